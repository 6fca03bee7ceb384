#include "../unit.h"

#include <string.h>

#include "base/mem.h"
#include "service/bench_run.h"

static void percentiles_are_the_nearest_rank(void **state)
{
    (void) state;
    double one[] = { 7 }, few[] = { 4, 1, 3, 2 }, many[200];
    struct hs_bench_times t = hs_bench_times_of(one, 1);
    assert_true(t.mean == 7 && t.p50 == 7 && t.p95 == 7 && t.p99 == 7);
    t = hs_bench_times_of(few, HS_ARRAY_LEN(few));
    assert_true(t.mean == 2.5 && t.p50 == 2 && t.p95 == 4 && t.p99 == 4);
    for (int i = 0; i < 200; i++)
        many[i] = 200 - i;
    t = hs_bench_times_of(many, HS_ARRAY_LEN(many));
    assert_true(t.mean == 100.5 && t.p50 == 100 && t.p95 == 190 && t.p99 == 198);
}

/* Rounds whose first stage takes as many ms as their number; every third one fails. */
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
    assert_true(s.stages[0].mean == 2 && s.stages[0].p50 == 1 && s.stages[0].p99 == 4); /* 0, 1, 3, 4 */
    assert_true(s.stages[1].p50 >= 0 && s.per_second > 0);
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
        cmocka_unit_test(percentiles_are_the_nearest_rank),
        cmocka_unit_test(failures_are_counted_and_not_measured),
        cmocka_unit_test(no_round_is_an_error),
    };
    return HS_RUN_TESTS(tests);
}
