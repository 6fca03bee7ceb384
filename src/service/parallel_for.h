/* Runs a function for each index on several threads. */
#ifndef HS_SERVICE_PARALLEL_FOR_H
#define HS_SERVICE_PARALLEL_FOR_H

#include <stddef.h>

#include "cli/progress.h"
#include "hs/status.h"

struct hs_parallel_for {
    size_t count;
    int threads;                                               /* including the caller's; values below 1 count as 1 */
    int (*run)(void *arg, size_t index, struct hs_error *err); /* called on any of the threads */
    void *arg;
    struct hs_progress *progress; /* shows how many are done; may be NULL */
};

/* Runs index 0..count - 1. The first failure stops the loop: no further index is started, and its
 * error is returned. Also HS_ENOMEM if that many threads cannot be started. */
int hs_parallel_for(const struct hs_parallel_for *loop, struct hs_error *err);

#endif
