/* Samples of one kind, and their statistics. */
#ifndef HS_SERVICE_SAMPLE_STATS_H
#define HS_SERVICE_SAMPLE_STATS_H

#include <stddef.h>

#include "hs/status.h"

/* A zeroed one is empty. */
struct hs_samples {
    double *values;
    size_t count, capacity;
};

struct hs_sample_stats {
    size_t count;
    double least, median, mean, most; /* 0 if there are none */
};

int hs_samples_add(struct hs_samples *samples, double value, struct hs_error *err); /* HS_ENOMEM */

/* Sorts the values. The median of an even number is the mean of the two in the middle. */
struct hs_sample_stats hs_samples_summarize(struct hs_samples *samples);

/* The nearest rank: the smallest value that at least the fraction `q` of all values do not exceed. The values are
 * sorted (hs_samples_summarize); there is at least one. */
double hs_samples_percentile(const struct hs_samples *samples, double q);

void hs_samples_finish(struct hs_samples *samples);

#endif
