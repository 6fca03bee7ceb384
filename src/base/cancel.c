#include "base/cancel.h"

#include <stddef.h>

void hs_cancel_init(struct hs_cancel *cancel)
{
    *cancel = (struct hs_cancel) { .cancelled = false };
    pthread_mutex_init(&cancel->lock, NULL);
}

void hs_cancel_finish(struct hs_cancel *cancel)
{
    pthread_mutex_destroy(&cancel->lock);
}

/* wake runs with the lock held, so that no call of it is running when unwatch returns. */
void hs_cancel_trigger(struct hs_cancel *cancel)
{
    if (!cancel)
        return;
    pthread_mutex_lock(&cancel->lock);
    bool first = !cancel->cancelled;
    cancel->cancelled = true;
    if (first && cancel->wake)
        cancel->wake(cancel->arg);
    pthread_mutex_unlock(&cancel->lock);
}

bool hs_cancel_is_set(struct hs_cancel *cancel)
{
    if (!cancel)
        return false;
    pthread_mutex_lock(&cancel->lock);
    bool cancelled = cancel->cancelled;
    pthread_mutex_unlock(&cancel->lock);
    return cancelled;
}

void hs_cancel_watch(struct hs_cancel *cancel, void (*wake)(void *arg), void *arg)
{
    if (!cancel)
        return;
    pthread_mutex_lock(&cancel->lock);
    cancel->wake = wake;
    cancel->arg = arg;
    pthread_mutex_unlock(&cancel->lock);
}

void hs_cancel_unwatch(struct hs_cancel *cancel)
{
    hs_cancel_watch(cancel, NULL, NULL);
}
