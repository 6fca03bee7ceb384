/* Worker threads behind a bounded queue, which refuses jobs when it is full.
 *
 * Jobs run in their order, but at most half of the workers, rounded up, run heavy jobs at a time. While they do,
 * light jobs pass the heavy ones that wait. So with two workers or more a light job never waits until a heavy one is
 * done. A heavy job waits for those before it and for no endless row of light ones: a worker that has run a heavy job
 * takes the first job of the queue. A quarter of the queue, rounded up, is for light
 * jobs alone, unless it has room for one job only. */
#ifndef HS_BASE_POOL_H
#define HS_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_pool;

/* `threads` >= 1 workers, at most `queue_max` jobs waiting (those running do not count). `deadlines`: one more thread
 * runs every job that waits past its deadline even if all workers are busy; such a job is expected to see that it is
 * late and to return at once. Threads are named `name` (at most 15 characters) and block all signals. Caller frees with
 * hs_pool_destroy. */
int hs_pool_create(const char *name, int threads, size_t queue_max, bool deadlines, struct hs_pool **ret_pool,
                   struct hs_error *err);

/* From now on submit returns HS_EBUSY. Any thread. */
void hs_pool_close(struct hs_pool *pool);

/* Closes the pool, runs what is still queued and ends the threads; every function may still be called. NULL allowed.
 * Not from a worker, and from one thread only. */
void hs_pool_stop(struct hs_pool *pool);

/* Stops the pool and frees it: no other thread may use it any more. NULL allowed. */
void hs_pool_destroy(struct hs_pool *pool);

/* At most so many workers, at least 1, run heavy jobs from now on, instead of half of them. Before the first job. */
void hs_pool_set_heavy_max(struct hs_pool *pool, int max);

/* Queues run(arg). HS_EBUSY: the queue is full or the pool is closed, run will not be called. Any thread. */
int hs_pool_submit(struct hs_pool *pool, void (*run)(void *arg), void *arg, int64_t deadline_ns);

/* The same for a job that may hold its worker for long. HS_EBUSY also if only the part for light jobs is
 * free. */
int hs_pool_submit_heavy(struct hs_pool *pool, void (*run)(void *arg), void *arg, int64_t deadline_ns);

/* Sets the deadline of the job with this argument to now, if it still waits. Any thread. */
void hs_pool_expire(struct hs_pool *pool, const void *arg);

size_t hs_pool_waiting(struct hs_pool *pool);

#endif
