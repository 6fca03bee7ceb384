#include "base/budget.h"

#include <assert.h>

#include "base/clock.h"

struct hs_budget_waiter {
    struct hs_budget *budget;
    struct hs_budget_waiter *next;
    pthread_cond_t turn;
    size_t bytes;
    bool charged, cancelled;
};

void hs_budget_init(struct hs_budget *budget, size_t max)
{
    *budget = (struct hs_budget) { .lock = PTHREAD_MUTEX_INITIALIZER, .max = max };
}

void hs_budget_finish(struct hs_budget *budget)
{
    assert(budget->used == 0 && !budget->first);
    pthread_mutex_destroy(&budget->lock);
}

/* ---- With the lock held ---- */

static bool charge(struct hs_budget *budget, size_t bytes)
{
    if (bytes > budget->max - budget->used)
        return false;
    budget->used += bytes;
    if (budget->used > budget->peak)
        budget->peak = budget->used;
    return true;
}

/* Charges waiters from the head of the queue as long as they fit. */
static void charge_waiters(struct hs_budget *budget)
{
    struct hs_budget_waiter *waiter;
    while ((waiter = budget->first) && charge(budget, waiter->bytes)) {
        budget->first = waiter->next;
        if (!budget->first)
            budget->last = NULL;
        waiter->charged = true;
        pthread_cond_signal(&waiter->turn);
    }
}

static void remove_waiter(struct hs_budget *budget, const struct hs_budget_waiter *waiter)
{
    struct hs_budget_waiter *before = NULL, **link = &budget->first;
    while (*link != waiter) {
        before = *link;
        link = &(*link)->next;
    }
    *link = waiter->next;
    if (budget->last == waiter)
        budget->last = before;
    charge_waiters(budget); /* the next waiter may need less and fit now */
}

/* ---- */

bool hs_budget_try(struct hs_budget *budget, size_t bytes)
{
    if (!budget)
        return true;
    pthread_mutex_lock(&budget->lock);
    bool ok = !budget->first && charge(budget, bytes);
    pthread_mutex_unlock(&budget->lock);
    return ok;
}

/* Runs in the thread that cancels. */
static void on_cancel(void *arg)
{
    struct hs_budget_waiter *waiter = arg;
    pthread_mutex_lock(&waiter->budget->lock);
    waiter->cancelled = true;
    pthread_cond_signal(&waiter->turn);
    pthread_mutex_unlock(&waiter->budget->lock);
}

int hs_budget_wait(struct hs_budget *budget, size_t bytes, int64_t deadline_ns, struct hs_cancel *cancel,
                   size_t *ret_charged)
{
    *ret_charged = 0;
    if (!budget)
        return 0;
    struct hs_budget_waiter waiter = { .budget = budget, .bytes = bytes < budget->max ? bytes : budget->max };
    int r = hs_cond_init(&waiter.turn);
    if (r < 0)
        return r;
    hs_cancel_watch(cancel, on_cancel, &waiter);
    bool cancelled = hs_cancel_is_set(cancel);
    pthread_mutex_lock(&budget->lock);
    waiter.cancelled |= cancelled;
    *(budget->last ? &budget->last->next : &budget->first) = &waiter;
    budget->last = &waiter;
    charge_waiters(budget);
    while (r == 0 && !waiter.charged)
        r = waiter.cancelled ? HS_ECANCELED : hs_cond_wait_until(&waiter.turn, &budget->lock, deadline_ns);
    if (waiter.charged) {
        *ret_charged = waiter.bytes;
        r = 0;
    } else {
        remove_waiter(budget, &waiter);
    }
    pthread_mutex_unlock(&budget->lock);
    hs_cancel_unwatch(cancel);
    pthread_cond_destroy(&waiter.turn);
    return r;
}

void hs_budget_release(struct hs_budget *budget, size_t bytes)
{
    if (!budget)
        return;
    pthread_mutex_lock(&budget->lock);
    assert(bytes <= budget->used);
    budget->used -= bytes;
    charge_waiters(budget);
    pthread_mutex_unlock(&budget->lock);
}

size_t hs_budget_used(struct hs_budget *budget, size_t *ret_peak)
{
    pthread_mutex_lock(&budget->lock);
    size_t used = budget->used;
    if (ret_peak)
        *ret_peak = budget->peak;
    pthread_mutex_unlock(&budget->lock);
    return used;
}

/* ---- in two parts ---- */

void hs_split_budget_init(struct hs_split_budget *split, size_t max)
{
    hs_budget_init(&split->small, max / 4);
    hs_budget_init(&split->large, max - max / 4);
}

void hs_split_budget_finish(struct hs_split_budget *split)
{
    hs_budget_finish(&split->small);
    hs_budget_finish(&split->large);
}

int hs_split_budget_wait(struct hs_split_budget *split, bool small, size_t bytes, int64_t deadline_ns,
                         struct hs_cancel *cancel, struct hs_budget **ret_part, size_t *ret_charged)
{
    struct hs_budget *part = !split ? NULL : small ? &split->small : &split->large;
    *ret_part = part;
    *ret_charged = 0;
    if (!split || !small)
        return hs_budget_wait(part, bytes, deadline_ns, cancel, ret_charged);
    if (!hs_budget_try(part, bytes)) {
        if (!hs_budget_try(&split->large, bytes))
            return hs_budget_wait(part, bytes, deadline_ns, cancel, ret_charged);
        *ret_part = &split->large;
    }
    *ret_charged = bytes;
    return 0;
}

size_t hs_split_budget_used(struct hs_split_budget *split)
{
    return hs_budget_used(&split->small, NULL) + hs_budget_used(&split->large, NULL);
}
