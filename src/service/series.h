/* Numbers of one kind as they come, and what they are like. */
#ifndef HS_SERVICE_SERIES_H
#define HS_SERVICE_SERIES_H

#include <stddef.h>

#include "hs/status.h"

/* A zeroed one is empty. */
struct hs_series {
    double *values;
    size_t count, capacity;
};

struct hs_series_summary {
    size_t count;
    double least, median, mean, most; /* 0 where there are none */
};

int hs_series_add(struct hs_series *series, double value, struct hs_error *err); /* HS_ENOMEM */

/* Sorts the values. The median of an even number is the mean of the two in the middle. */
struct hs_series_summary hs_series_summarize(struct hs_series *series);
void hs_series_finish(struct hs_series *series);

#endif
