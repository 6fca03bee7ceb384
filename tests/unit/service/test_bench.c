#include "../unit.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "service/bench.h"

/* The first stage of round n takes n ms; every third round fails. */
static void *make_worker(void *arg, struct hs_error *err)
{
    (void) err;
    return arg;
}

static int run_round(void *worker, size_t round, double *ret_ms, struct hs_error *err)
{
    (void) worker;
    if (round % 3 == 2)
        return hs_error_set(err, HS_EIO, "round %zu", round);
    ret_ms[0] = (double) round;
    return 0;
}

static void free_worker(void *worker)
{
    (void) worker;
}

static const char *const names[] = { "work", "round_trip" };
static const struct hs_bench_stages stages = { names, HS_ARRAY_LEN(names) };

static void failures_are_counted_and_not_measured(void **state)
{
    (void) state;
    const struct hs_bench_job job = { make_worker, run_round, free_worker };
    const struct hs_bench_plan plan = { .clients = 1, .seconds = 60, .rounds_max = 6 };
    struct hs_bench_summary s;
    struct hs_error err;
    int context;
    assert_int_equal(hs_bench_run(&job, &context, &stages, &plan, &s, &err), 0);
    assert_int_equal(s.rounds, 4);
    assert_int_equal(s.failures, 2);
    assert_string_equal(s.first_failure, "round 2");
    assert_true(s.stages[0].mean == 2 && s.stages[0].p50 == 1 && s.stages[0].p99 == 4); /* of rounds 0, 1, 3, 4 */
    assert_true(s.stages[1].p50 >= 0 && s.per_second > 0);
}

/* Each round takes 5 ms of this thread's processor time, regardless of the elapsed time. */
static int work_5_ms(void *worker, size_t round, double *ret_ms, struct hs_error *err)
{
    struct timespec start, now;
    (void) worker;
    (void) round;
    (void) ret_ms;
    (void) err;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000L + (now.tv_nsec - start.tv_nsec) < 5000000L);
    return 0;
}

static void processor_time_is_that_of_a_round(void **state)
{
    (void) state;
    const struct hs_bench_job job = { make_worker, work_5_ms, free_worker };
    const struct hs_bench_plan plan = { .clients = 2, .seconds = 60, .rounds_max = 20 };
    struct hs_bench_summary s;
    struct hs_error err;
    int context;
    assert_int_equal(hs_bench_run(&job, &context, &stages, &plan, &s, &err), 0);
    assert_int_equal(s.rounds, 20);
    assert_int_equal(s.failures, 0);
    /* getrusage may have a resolution of 4 ms. */
    assert_true(s.cpu_seconds_per_round > .004 && s.cpu_seconds_per_round < .02);
    assert_true(s.per_second * s.seconds > 19.99 && s.per_second * s.seconds < 20.01);
    assert_true(s.stages[1].p50 >= 5 && s.stages[1].p50 <= s.stages[1].p95 && s.stages[1].p95 <= s.stages[1].p99);
}

static void warm_up_rounds_are_not_counted(void **state)
{
    (void) state;
    const struct hs_bench_job job = { make_worker, work_5_ms, free_worker };
    const struct hs_bench_plan plan = { .clients = 1, .seconds = 60, .rounds_max = 3, .warm_seconds = .02 };
    struct hs_bench_summary s;
    struct hs_error err;
    int context;
    assert_int_equal(hs_bench_run(&job, &context, &stages, &plan, &s, &err), 0);
    assert_int_equal(s.rounds, 3);
}

static void *make_none(void *arg, struct hs_error *err)
{
    (void) arg;
    hs_error_set(err, HS_ENOMEM, "no worker");
    return NULL;
}

static void no_round_is_an_error(void **state)
{
    (void) state;
    const struct hs_bench_job job = { make_none, run_round, free_worker };
    const struct hs_bench_plan plan = { .clients = 2, .seconds = .01 };
    struct hs_bench_summary s;
    struct hs_error err;
    assert_int_equal(hs_bench_run(&job, NULL, &stages, &plan, &s, &err), HS_EIO);
    assert_non_null(strstr(err.message, "no worker"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_counted_and_not_measured),
        cmocka_unit_test(processor_time_is_that_of_a_round),
        cmocka_unit_test(warm_up_rounds_are_not_counted),
        cmocka_unit_test(no_round_is_an_error),
    };
    return HS_RUN_TESTS(tests);
}
