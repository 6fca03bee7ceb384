/* Worker threads behind a bounded queue that refuses when it is full. Jobs are run in their order. */
#ifndef HS_BASE_POOL_H
#define HS_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_pool;

/* `threads` >= 1 workers, at most `queue_max` jobs waiting (those running do not count). Threads are named `name` (at
 * most 15 characters) and block all signals. Caller frees with hs_pool_destroy. */
int hs_pool_create(const char *name, int threads, size_t queue_max, struct hs_pool **ret_pool, struct hs_error *err);

/* From now on one more thread runs the jobs that wait past their deadline, whatever the workers do: they are to notice
 * that it is late and end at once. */
int hs_pool_keep_time(struct hs_pool *pool, struct hs_error *err);

/* Runs what is still queued, then ends the threads. NULL allowed. Not from a worker. */
void hs_pool_destroy(struct hs_pool *pool);

/* Queues run(arg). HS_EBUSY: the queue is full, run will not be called. Any thread. */
int hs_pool_submit(struct hs_pool *pool, void (*run)(void *arg), void *arg, int64_t deadline_ns);

/* The deadline of the job with this argument, if it still waits, is now. Any thread. */
void hs_pool_hurry(struct hs_pool *pool, const void *arg);

size_t hs_pool_waiting(struct hs_pool *pool);

#endif
