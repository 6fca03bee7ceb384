/* A memory budget that several users share. A user charges bytes before it allocates them and releases them after it
 * frees them. Any thread. */
#ifndef HS_BASE_BUDGET_H
#define HS_BASE_BUDGET_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "hs/status.h"

struct hs_budget_waiter;

struct hs_budget {
    pthread_mutex_t lock; /* guards what follows */
    size_t max, used, peak;
    struct hs_budget_waiter *first, *last; /* served in order of arrival */
};

void hs_budget_init(struct hs_budget *budget, size_t max);
void hs_budget_finish(struct hs_budget *budget); /* only after all charges are released, without waiters */

/* Charges `bytes` if they fit now and the queue of waiters is empty, else returns false. NULL budget: always true. */
bool hs_budget_try(struct hs_budget *budget, size_t bytes);

/* Waits until `bytes` fit, in order of arrival, and charges them. More than the whole budget is charged as the whole
 * budget: *ret_charged, which the caller releases, never exceeds the budget's maximum. NULL budget: returns at once and
 * charges nothing. HS_ETIMEOUT; HS_ECANCELED (`cancel` may be NULL; it must have no other watcher). */
int hs_budget_wait(struct hs_budget *budget, size_t bytes, int64_t deadline_ns, struct hs_cancel *cancel,
                   size_t *ret_charged);

void hs_budget_release(struct hs_budget *budget, size_t bytes); /* NULL budget: no effect */

/* Returns the bytes that are charged now; *ret_peak is the highest value so far (may be NULL). */
size_t hs_budget_used(struct hs_budget *budget, size_t *ret_peak);

/* A budget in two parts, so that small users do not wait behind large ones: three quarters for large users and one
 * quarter for small ones. A large user waits for the large part. A small user charges the small part, else the large
 * part if it has room and no waiters, else waits for the small part. Each part serves its waiters in order of arrival:
 * a small user waits only for small users, a large one for holders of the large part and earlier waiters for it. */
struct hs_split_budget {
    struct hs_budget large, small;
};

void hs_split_budget_init(struct hs_split_budget *split, size_t max);
void hs_split_budget_finish(struct hs_split_budget *split);

/* As hs_budget_wait. More than a part is charged as the whole part; until its release only the other part has room.
 * The caller releases the charge to *ret_part, which is NULL for a NULL budget. */
int hs_split_budget_wait(struct hs_split_budget *split, bool small, size_t bytes, int64_t deadline_ns,
                         struct hs_cancel *cancel, struct hs_budget **ret_part, size_t *ret_charged);

/* Returns the bytes that are charged now in both parts. */
size_t hs_split_budget_used(struct hs_split_budget *split);

#endif
