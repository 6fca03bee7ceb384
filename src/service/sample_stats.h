/* Samples of one kind, and their statistics. */
#ifndef HS_SERVICE_SAMPLE_STATS_H
#define HS_SERVICE_SAMPLE_STATS_H

#include <stddef.h>

#include "hs/status.h"

/* A zeroed struct is empty. */
struct hs_samples {
    double *values;
    size_t count, capacity;
};

struct hs_sample_stats {
    size_t count;
    double min, median, mean, max; /* 0 without samples */
};

int hs_samples_add(struct hs_samples *samples, double value, struct hs_error *err); /* HS_ENOMEM */

/* Sorts the values and returns their statistics. The median of an even count is the mean of the two middle values. */
struct hs_sample_stats hs_samples_summarize(struct hs_samples *samples);

/* Returns the percentile by nearest rank: the smallest value such that at least the fraction `q` of
 * all values do not exceed it. Requires at least one value, sorted by hs_samples_summarize. */
double hs_samples_percentile(const struct hs_samples *samples, double q);

void hs_samples_finish(struct hs_samples *samples);

#endif
