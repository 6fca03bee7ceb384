/* Cancellation of a request: set once (by the HTTP server when the client leaves), polled by the code that works for
 * the request, and able to wake one waiter. Any thread. */
#ifndef HS_BASE_CANCEL_H
#define HS_BASE_CANCEL_H

#include <pthread.h>
#include <stdbool.h>

struct hs_cancel {
    /* guards everything below, and is held while `wake` runs: so a caller of watch, unwatch or is_set must not hold a
     * lock that its `wake` takes */
    pthread_mutex_t lock;
    bool cancelled;
    void (*wake)(void *arg);
    void *arg;
};

void hs_cancel_init(struct hs_cancel *cancel);
void hs_cancel_finish(struct hs_cancel *cancel);

/* Every function below takes NULL as "cannot be cancelled". */
void hs_cancel_trigger(struct hs_cancel *cancel);
bool hs_cancel_is_set(struct hs_cancel *cancel);

/* `wake` is called once, from the cancelling thread, when trigger happens after this (never from inside this call: ask
 * hs_cancel_is_set after it). hs_cancel_unwatch returns only when no call of it is running or can still come. `wake`
 * must not call into this object. One watcher at a time. */
void hs_cancel_watch(struct hs_cancel *cancel, void (*wake)(void *arg), void *arg);
void hs_cancel_unwatch(struct hs_cancel *cancel);

#endif
