#include "../unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/budget.h"
#include "base/clock.h"

struct user {
    struct hs_budget *budget;
    struct hs_cancel cancel;
    size_t bytes, charged;
    int64_t deadline_ns;
    int result;
    atomic_bool done;
    pthread_t thread;
};

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

static void what_fits_is_charged(void **state)
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

static void waiters_are_served_in_their_order(void **state)
{
    (void) state;
    struct hs_budget budget;
    struct user large, small;
    hs_budget_init(&budget, 100);
    assert_true(hs_budget_try(&budget, 50));
    start_user(&large, &budget, 1000);
    while (!waits(&budget))
        nap();
    assert_false(hs_budget_try(&budget, 1)); /* although it would fit */
    start_user(&small, &budget, 10);
    hs_budget_release(&budget, 50);
    while (!atomic_load(&large.done))
        nap();
    end_user(&large);
    assert_int_equal(large.result, 0);
    assert_int_equal(large.charged, 100); /* the whole budget, for itself */
    assert_false(atomic_load(&small.done));
    hs_budget_release(&budget, large.charged);
    end_user(&small);
    assert_int_equal(small.result, 0);
    assert_int_equal(small.charged, 10);
    hs_budget_release(&budget, small.charged);
    assert_int_equal(hs_budget_used(&budget, NULL), 0);
    hs_budget_finish(&budget);
}

static void a_waiter_that_leaves_makes_room(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_charged),
        cmocka_unit_test(waiters_are_served_in_their_order),
        cmocka_unit_test(a_waiter_that_leaves_makes_room),
    };
    return HS_RUN_TESTS(tests);
}
