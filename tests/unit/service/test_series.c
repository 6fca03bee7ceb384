#include "../unit.h"

#include "service/series.h"

static void summary_of(const double *values, size_t count, struct hs_series_summary *ret)
{
    struct hs_series series = { 0 };
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hs_series_add(&series, values[i], NULL), 0);
    *ret = hs_series_summarize(&series);
    hs_series_finish(&series);
}

static void least_median_mean_and_most(void **state)
{
    (void) state;
    const double values[] = { 4, -1, 9, 2, 6 };
    struct hs_series_summary s;
    summary_of(values, 5, &s);
    assert_true(s.count == 5 && s.least == -1 && s.median == 4 && s.most == 9 && s.mean > 3.999 && s.mean < 4.001);
    summary_of(values, 4, &s);
    assert_true(s.count == 4 && s.least == -1 && s.median == 3 && s.most == 9);
    summary_of(values, 1, &s);
    assert_true(s.count == 1 && s.least == 4 && s.median == 4 && s.mean == 4 && s.most == 4);
}

static void none_and_many(void **state)
{
    (void) state;
    struct hs_series_summary s;
    summary_of(NULL, 0, &s);
    assert_true(s.count == 0 && s.least == 0 && s.median == 0 && s.mean == 0 && s.most == 0);
    double many[1000];
    for (int i = 0; i < 1000; i++)
        many[i] = (i * 7919) % 1000;
    summary_of(many, 1000, &s);
    assert_true(s.count == 1000 && s.least == 0 && s.median == 499.5 && s.most == 999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_median_mean_and_most),
        cmocka_unit_test(none_and_many),
    };
    return HS_RUN_TESTS(tests);
}
