/* Cancellation of a request: the HTTP server sets it once when the client disconnects, the code that runs the request
 * polls it, and it can wake one waiter. Any thread. */
#ifndef HS_BASE_CANCEL_H
#define HS_BASE_CANCEL_H

#include <pthread.h>
#include <stdbool.h>

struct hs_cancel {
    /* guards everything below and is held while `wake` runs, so a caller of watch, unwatch or is_set must not hold a
     * lock that its `wake` takes */
    pthread_mutex_t lock;
    bool cancelled;
    void (*wake)(void *arg);
    void *arg;
};

void hs_cancel_init(struct hs_cancel *cancel);
void hs_cancel_finish(struct hs_cancel *cancel);

/* All functions below accept NULL: a request that cannot be cancelled. */
void hs_cancel_trigger(struct hs_cancel *cancel);
bool hs_cancel_is_set(struct hs_cancel *cancel);

/* The first hs_cancel_trigger after this calls `wake` once, in the thread that cancels. A cancel that was triggered
 * before does not call it, so check hs_cancel_is_set after this function. hs_cancel_unwatch waits for a running `wake`;
 * after it `wake` is not called again. `wake` must not call into this object. One watcher at a time. */
void hs_cancel_watch(struct hs_cancel *cancel, void (*wake)(void *arg), void *arg);
void hs_cancel_unwatch(struct hs_cancel *cancel);

#endif
