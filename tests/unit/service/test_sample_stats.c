#include "../unit.h"

#include "../alloc_fail.h"
#include "base/mem.h"
#include "service/sample_stats.h"

static void summary_of(const double *values, size_t count, struct hs_sample_stats *ret)
{
    struct hs_samples samples = { 0 };
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hs_samples_add(&samples, values[i], NULL), 0);
    *ret = hs_samples_summarize(&samples);
    hs_samples_finish(&samples);
}

static void least_median_mean_and_most(void **state)
{
    (void) state;
    const double values[] = { 4, -1, 9, 2, 6 };
    struct hs_sample_stats s;
    summary_of(values, 5, &s);
    assert_true(s.count == 5 && s.min == -1 && s.median == 4 && s.max == 9 && s.mean > 3.999 && s.mean < 4.001);
    summary_of(values, 4, &s);
    assert_true(s.count == 4 && s.min == -1 && s.median == 3 && s.max == 9);
    summary_of(values, 1, &s);
    assert_true(s.count == 1 && s.min == 4 && s.median == 4 && s.mean == 4 && s.max == 4);
}

static void none_and_many(void **state)
{
    (void) state;
    struct hs_sample_stats s;
    summary_of(NULL, 0, &s);
    assert_true(s.count == 0 && s.min == 0 && s.median == 0 && s.mean == 0 && s.max == 0);
    double many[1000];
    for (int i = 0; i < 1000; i++)
        many[i] = (i * 7919) % 1000;
    summary_of(many, 1000, &s);
    assert_true(s.count == 1000 && s.min == 0 && s.median == 499.5 && s.max == 999);
}

static void percentiles_are_the_nearest_rank(void **state)
{
    (void) state;
    double one[] = { 7 }, few[] = { 4, 1, 3, 2 }, many[200];
    for (int i = 0; i < 200; i++)
        many[i] = 200 - i;
    const struct {
        double *values;
        size_t count;
        double mean, p50, p95, p99;
    } cases[] = { { one, 1, 7, 7, 7, 7 }, { few, 4, 2.5, 2, 4, 4 }, { many, 200, 100.5, 100, 190, 198 } };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_samples samples = { .values = cases[i].values, .count = cases[i].count };
        assert_float_equal(hs_samples_summarize(&samples).mean, cases[i].mean, 1e-9);
        assert_true(hs_samples_percentile(&samples, .50) == cases[i].p50);
        assert_true(hs_samples_percentile(&samples, .95) == cases[i].p95);
        assert_true(hs_samples_percentile(&samples, .99) == cases[i].p99);
    }
}

static void no_memory_is_an_error(void **state)
{
    (void) state;
    struct hs_samples samples = { 0 };
    struct hs_error err = { 0 };
    hs_alloc_fail_arm(1);
    assert_int_equal(hs_samples_add(&samples, 1, &err), HS_ENOMEM);
    assert_true(hs_alloc_fail_disarm());
    assert_int_equal(samples.count, 0);
    assert_non_null(strstr(err.message, "no memory for 1 "));
    assert_int_equal(hs_samples_add(&samples, 1, &err), 0);
    hs_samples_finish(&samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_median_mean_and_most),
        cmocka_unit_test(none_and_many),
        cmocka_unit_test(percentiles_are_the_nearest_rank),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return HS_RUN_TESTS(tests);
}
