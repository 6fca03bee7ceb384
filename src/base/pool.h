/* Worker threads behind a bounded queue, which refuses jobs when it is full.
 *
 * Jobs run in order, but at most half of the workers, rounded up, run heavy jobs at a time. At this limit light jobs
 * overtake the heavy jobs in the queue, so with two or more workers a light job never waits for a heavy one to finish.
 * A stream of light jobs cannot starve a heavy job: a worker that finishes a heavy job takes the first job of the
 * queue. A quarter of the queue, rounded up, is reserved for light jobs, unless queue_max is 1. */
#ifndef HS_BASE_POOL_H
#define HS_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_pool;

/* Creates a pool with `threads` >= 1 workers and a queue of at most `queue_max` jobs (running jobs do not count). With
 * `deadlines`, one more thread runs each queued job whose deadline has passed, even if all workers are busy; such a job
 * must check its deadline and return at once. Threads are named `name` (at most 15 characters) and block all signals.
 * Caller frees with hs_pool_destroy. */
int hs_pool_create(const char *name, int threads, size_t queue_max, bool deadlines, struct hs_pool **ret_pool,
                   struct hs_error *err);

/* Closes the pool: later submits return HS_EBUSY. Any thread. */
void hs_pool_close(struct hs_pool *pool);

/* Closes the pool, runs the jobs that are still queued and joins the threads; every function may still be called. NULL
 * allowed. Not from a worker, and from one thread only. */
void hs_pool_stop(struct hs_pool *pool);

/* Stops and frees the pool; no other thread may use it any more. NULL allowed. */
void hs_pool_destroy(struct hs_pool *pool);

/* Sets the limit of workers that run heavy jobs at a time, at least 1, instead of half of them. Call it before the
 * first submit. */
void hs_pool_set_heavy_max(struct hs_pool *pool, int max);

/* Queues run(arg). HS_EBUSY: the queue is full or the pool is closed, and run is not called. Any thread. */
int hs_pool_submit(struct hs_pool *pool, void (*run)(void *arg), void *arg, int64_t deadline_ns);

/* As hs_pool_submit, for a job that may occupy its worker for long. HS_EBUSY also if only the part of the queue for
 * light jobs has room. */
int hs_pool_submit_heavy(struct hs_pool *pool, void (*run)(void *arg), void *arg, int64_t deadline_ns);

/* Expires the deadline of the jobs with this argument that are still queued. Any thread. */
void hs_pool_expire(struct hs_pool *pool, const void *arg);

/* Returns true if every worker runs a job whose deadline passed more than `grace_ns` ago, so that no worker is likely
 * to take another one. Any thread. */
bool hs_pool_is_stuck(struct hs_pool *pool, int64_t grace_ns);

size_t hs_pool_waiting(struct hs_pool *pool);

/* Returns the number of workers that run a job now, and the number of jobs in the queue. */
size_t hs_pool_get_load(struct hs_pool *pool, size_t *ret_waiting);

#endif
