#include "../unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/budget.h"
#include "base/clock.h"

struct user {
    struct hs_budget *budget; /* part of the split budget that was charged */
    struct hs_split_budget *split;
    bool small;
    struct hs_cancel cancel;
    size_t bytes, charged;
    int64_t deadline_ns;
    int result;
    atomic_bool done;
    pthread_t thread;
};

static void *run_split_user(void *arg)
{
    struct user *user = arg;
    user->result = hs_split_budget_wait(user->split, user->small, user->bytes, user->deadline_ns, &user->cancel,
                                        &user->budget, &user->charged);
    atomic_store(&user->done, true);
    return NULL;
}

static void *run_user(void *arg)
{
    struct user *user = arg;
    user->result = hs_budget_wait(user->budget, user->bytes, user->deadline_ns, &user->cancel, &user->charged);
    atomic_store(&user->done, true);
    return NULL;
}

static bool waits(struct hs_budget *budget)
{
    pthread_mutex_lock(&budget->lock);
    bool any = budget->first != NULL;
    pthread_mutex_unlock(&budget->lock);
    return any;
}

static void nap(void)
{
    nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
}

static void start_user(struct user *user, struct hs_budget *budget, size_t bytes)
{
    *user = (struct user) { .budget = budget, .bytes = bytes, .deadline_ns = HS_NO_DEADLINE };
    hs_cancel_init(&user->cancel);
    assert_int_equal(pthread_create(&user->thread, NULL, run_user, user), 0);
}

static void end_user(struct user *user)
{
    pthread_join(user->thread, NULL);
    hs_cancel_finish(&user->cancel);
}

static void charges_that_fit_succeed_at_once(void **state)
{
    (void) state;
    struct hs_budget budget;
    size_t peak;
    hs_budget_init(&budget, 100);
    assert_true(hs_budget_try(&budget, 60));
    assert_false(hs_budget_try(&budget, 41));
    assert_true(hs_budget_try(&budget, 40));
    assert_false(hs_budget_try(&budget, 1));
    hs_budget_release(&budget, 70);
    assert_int_equal(hs_budget_used(&budget, &peak), 30);
    assert_int_equal(peak, 100);
    hs_budget_release(&budget, 30);
    hs_budget_finish(&budget);
    assert_true(hs_budget_try(NULL, SIZE_MAX));
    hs_budget_release(NULL, 1);
}

static void waiters_are_served_in_order(void **state)
{
    (void) state;
    struct hs_budget budget;
    struct user large, small;
    hs_budget_init(&budget, 100);
    assert_true(hs_budget_try(&budget, 50));
    start_user(&large, &budget, 1000);
    while (!waits(&budget))
        nap();
    assert_false(hs_budget_try(&budget, 1)); /* fails although it would fit, because another user waits */
    start_user(&small, &budget, 10);
    hs_budget_release(&budget, 50);
    while (!atomic_load(&large.done))
        nap();
    end_user(&large);
    assert_int_equal(large.result, 0);
    assert_int_equal(large.charged, 100); /* a request larger than the budget gets all of it */
    assert_false(atomic_load(&small.done));
    hs_budget_release(&budget, large.charged);
    end_user(&small);
    assert_int_equal(small.result, 0);
    assert_int_equal(small.charged, 10);
    hs_budget_release(&budget, small.charged);
    assert_int_equal(hs_budget_used(&budget, NULL), 0);
    hs_budget_finish(&budget);
}

static void a_cancelled_waiter_unblocks_the_next(void **state)
{
    (void) state;
    struct hs_budget budget;
    struct user large, small;
    hs_budget_init(&budget, 100);
    assert_true(hs_budget_try(&budget, 50));
    start_user(&large, &budget, 80);
    while (!waits(&budget))
        nap();
    start_user(&small, &budget, 10);
    hs_cancel_trigger(&large.cancel);
    end_user(&large);
    assert_int_equal(large.result, HS_ECANCELED);
    assert_int_equal(large.charged, 0);
    end_user(&small);
    assert_int_equal(small.result, 0);
    size_t charged = 1;
    assert_int_equal(hs_budget_wait(&budget, 50, hs_deadline_in_ms(5), NULL, &charged), HS_ETIMEOUT);
    assert_int_equal(charged, 0);
    hs_budget_release(&budget, 60);
    assert_int_equal(hs_budget_wait(&budget, 100, hs_deadline_in_ms(0), NULL, &charged), 0);
    hs_budget_release(&budget, charged);
    hs_budget_finish(&budget);
}

/* Users that wait while the budget changes. */
static void start_split_user(struct user *user, struct hs_split_budget *split, bool small, size_t bytes)
{
    *user = (struct user) { .split = split, .small = small, .bytes = bytes, .deadline_ns = HS_NO_DEADLINE };
    hs_cancel_init(&user->cancel);
    assert_int_equal(pthread_create(&user->thread, NULL, run_split_user, user), 0);
}

static struct hs_budget *charge(struct hs_split_budget *split, bool small, size_t bytes, size_t expected)
{
    struct hs_budget *part;
    size_t charged;
    assert_int_equal(hs_split_budget_wait(split, small, bytes, hs_deadline_in_ms(20000), NULL, &part, &charged), 0);
    assert_int_equal(charged, expected);
    return part;
}

/* Large users fill their part and wait; a small user does not wait. */
static void small_users_do_not_wait_for_large_ones(void **state)
{
    (void) state;
    struct hs_split_budget split;
    struct user large, next;
    hs_split_budget_init(&split, 400);
    assert_ptr_equal(charge(&split, false, 1000, 300), &split.large);
    start_split_user(&large, &split, false, 200);
    while (!waits(&split.large))
        nap();
    start_split_user(&next, &split, false, 200);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(charge(&split, true, 60, 60), &split.small);
        hs_budget_release(&split.small, 60);
    }
    assert_false(atomic_load(&large.done));
    hs_budget_release(&split.large, 300);
    end_user(&large);
    assert_int_equal(large.result, 0);
    assert_ptr_equal(large.budget, &split.large);
    assert_int_equal(hs_split_budget_used(&split), 200);
    hs_budget_release(large.budget, large.charged);
    end_user(&next);
    hs_budget_release(next.budget, next.charged);
    assert_int_equal(hs_split_budget_used(&split), 0);
    hs_split_budget_finish(&split);
}

/* Small users may also use the other part, but not ahead of a large user that waits for it. */
static void small_users_use_the_free_part_of_large_ones(void **state)
{
    (void) state;
    struct hs_split_budget split;
    struct user large, small;
    size_t charged;
    struct hs_budget *part;
    hs_split_budget_init(&split, 400);
    assert_ptr_equal(charge(&split, true, 90, 90), &split.small);
    assert_ptr_equal(charge(&split, true, 90, 90), &split.large);
    assert_ptr_equal(charge(&split, true, 90, 90), &split.large);
    start_split_user(&large, &split, false, 150);
    while (!waits(&split.large))
        nap();
    start_split_user(&small, &split, true, 90);
    while (!waits(&split.small))
        nap();
    int r = hs_split_budget_wait(&split, true, 10, hs_deadline_in_ms(5), NULL, &part, &charged);
    assert_int_equal(r, HS_ETIMEOUT);
    assert_int_equal(charged, 0);
    hs_budget_release(&split.large, 90);
    end_user(&large);
    assert_int_equal(large.charged, 150);
    assert_false(atomic_load(&small.done));
    hs_budget_release(&split.small, 90);
    end_user(&small);
    assert_ptr_equal(small.budget, &split.small);
    hs_budget_release(&split.small, 90);
    hs_budget_release(&split.large, 90 + 150);
    hs_split_budget_finish(&split);
}

static void a_small_user_can_be_cancelled(void **state)
{
    (void) state;
    struct hs_split_budget split;
    struct user small;
    hs_split_budget_init(&split, 400);
    charge(&split, false, 300, 300);
    charge(&split, true, 500, 100); /* larger than its part: charges all of the part */
    start_split_user(&small, &split, true, 1);
    while (!waits(&split.small))
        nap();
    hs_cancel_trigger(&small.cancel);
    end_user(&small);
    assert_int_equal(small.result, HS_ECANCELED);
    hs_budget_release(&split.small, 100);
    hs_budget_release(&split.large, 300);
    hs_split_budget_finish(&split);
    struct hs_budget *part;
    size_t charged = 1;
    assert_int_equal(hs_split_budget_wait(NULL, true, 5, 0, NULL, &part, &charged), 0);
    assert_null(part);
    assert_int_equal(charged, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charges_that_fit_succeed_at_once),
        cmocka_unit_test(waiters_are_served_in_order),
        cmocka_unit_test(a_cancelled_waiter_unblocks_the_next),
        cmocka_unit_test(small_users_do_not_wait_for_large_ones),
        cmocka_unit_test(small_users_use_the_free_part_of_large_ones),
        cmocka_unit_test(a_small_user_can_be_cancelled),
    };
    return HS_RUN_TESTS(tests);
}
