/* The same work for each index, by several threads. */
#ifndef HS_SERVICE_PARALLEL_FOR_H
#define HS_SERVICE_PARALLEL_FOR_H

#include <stddef.h>

#include "cli/progress.h"
#include "hs/status.h"

struct hs_parallel_for {
    size_t count;
    int threads;                                               /* the caller's among them; less than 1 counts as 1 */
    int (*run)(void *arg, size_t index, struct hs_error *err); /* by any of the threads */
    void *arg;
    struct hs_progress *progress; /* shows how many are done; NULL allowed */
};

/* Runs index 0..count - 1. The first failure ends the loop: no further index is begun, and its error is returned.
 * HS_ENOMEM also if that many threads cannot be started. */
int hs_parallel_for(const struct hs_parallel_for *loop, struct hs_error *err);

#endif
