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

#endif
