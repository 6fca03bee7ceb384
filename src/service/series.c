#include "service/series.h"

#include <stdlib.h>

#include "base/mem.h"

int hs_series_add(struct hs_series *series, double value, struct hs_error *err)
{
    if (series->count == series->capacity) {
        size_t wanted = series->capacity ? series->capacity * 2 : 64, bytes;
        void *more = hs_size_mul(wanted, sizeof(*series->values), &bytes) ? realloc(series->values, bytes) : NULL;
        if (!more)
            return hs_error_set(err, HS_ENOMEM, "no memory for %zu numbers", wanted);
        series->values = more;
        series->capacity = wanted;
    }
    series->values[series->count++] = value;
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

struct hs_series_summary hs_series_summarize(struct hs_series *series)
{
    struct hs_series_summary s = { .count = series->count };
    if (s.count == 0)
        return s;
    qsort(series->values, s.count, sizeof(*series->values), ascending);
    for (size_t i = 0; i < s.count; i++)
        s.mean += series->values[i] / (double) s.count;
    s.least = series->values[0];
    s.most = series->values[s.count - 1];
    s.median = (series->values[(s.count - 1) / 2] + series->values[s.count / 2]) / 2;
    return s;
}

void hs_series_finish(struct hs_series *series)
{
    free(series->values);
    *series = (struct hs_series) { 0 };
}
