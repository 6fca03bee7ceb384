#include "service/sample_stats.h"

#include <stdlib.h>

#include "base/mem.h"

int hs_samples_add(struct hs_samples *samples, double value, struct hs_error *err)
{
    if (!HS_ARRAY_RESERVE(samples->values, samples->capacity, samples->count + 1))
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu numbers", samples->count + 1);
    samples->values[samples->count++] = value;
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

struct hs_sample_stats hs_samples_summarize(struct hs_samples *samples)
{
    struct hs_sample_stats s = { .count = samples->count };
    if (s.count == 0)
        return s;
    qsort(samples->values, s.count, sizeof(*samples->values), ascending);
    for (size_t i = 0; i < s.count; i++)
        s.mean += samples->values[i] / (double) s.count;
    s.min = samples->values[0];
    s.max = samples->values[s.count - 1];
    s.median = (samples->values[(s.count - 1) / 2] + samples->values[s.count / 2]) / 2;
    return s;
}

double hs_samples_percentile(const struct hs_samples *samples, double q)
{
    size_t rank = (size_t) (q * (double) samples->count + 0.999999);
    return samples->values[rank > 0 ? rank - 1 : 0];
}

void hs_samples_finish(struct hs_samples *samples)
{
    free(samples->values);
    *samples = (struct hs_samples) { 0 };
}
