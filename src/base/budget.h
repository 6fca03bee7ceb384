/* An amount of memory that several users share. Each charges before it allocates and releases what it charged after it
 * has freed. Any thread. */
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
    struct hs_budget_waiter *first, *last; /* served in their order */
};

void hs_budget_init(struct hs_budget *budget, size_t max);
void hs_budget_finish(struct hs_budget *budget); /* nothing is charged, nobody waits */

/* Charges `bytes` if they fit now and nobody waits. NULL budget: always true. */
bool hs_budget_try(struct hs_budget *budget, size_t bytes);

/* Waits until `bytes` fit, behind those that came before. More than the whole budget waits until it has it for itself:
 * *ret_charged, which the caller releases, is never more than the budget's maximum. NULL budget: at once. HS_ETIMEOUT;
 * HS_ECANCELED (`cancel` may be NULL; it must have no other watcher). */
int hs_budget_wait(struct hs_budget *budget, size_t bytes, int64_t deadline_ns, struct hs_cancel *cancel,
                   size_t *ret_charged);

void hs_budget_release(struct hs_budget *budget, size_t bytes); /* NULL budget: no effect */

/* Charged now, and the most that ever was (ret_peak may be NULL). */
size_t hs_budget_used(struct hs_budget *budget, size_t *ret_peak);

/* An amount in two parts, three quarters and one, so that small users need not wait behind large ones. A large user
 * waits for the first part. A small one takes from its own part, else from the first part if that has room and nobody
 * waits for it, else waits for its own part. Both parts are served in order: a small user waits only for small ones
 * that came before, a large one only for those that have a charge of the first part, or stand before it there. */
struct hs_split_budget {
    struct hs_budget large, small;
};

void hs_split_budget_init(struct hs_split_budget *split, size_t max);
void hs_split_budget_finish(struct hs_split_budget *split);

/* As hs_budget_wait. More than a part is charged as the whole part, so beside such a user only those of the other part
 * take memory. *ret_part is what gets the charge back; NULL for a NULL budget. */
int hs_split_budget_wait(struct hs_split_budget *split, bool small, size_t bytes, int64_t deadline_ns,
                         struct hs_cancel *cancel, struct hs_budget **ret_part, size_t *ret_charged);

/* Charged now, of both parts. */
size_t hs_split_budget_used(struct hs_split_budget *split);

#endif
