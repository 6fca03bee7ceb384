#include "../unit.h"

#include <stdatomic.h>
#include <string.h>

#include "service/parallel_for.h"

enum { COUNT = 500 };

struct work {
    atomic_int runs[COUNT];
    int fails_at; /* -1: never */
};

static int run(void *arg, size_t index, struct hs_error *err)
{
    struct work *work = arg;
    atomic_fetch_add(&work->runs[index], 1);
    return (int) index == work->fails_at ? hs_error_set(err, HS_EIO, "index %zu", index) : 0;
}

static int total(const struct work *work)
{
    int sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += work->runs[i];
    return sum;
}

static void each_index_is_run_once(void **state)
{
    (void) state;
    const int threads[] = { 0, 1, 7, 200 };
    for (int i = 0; i < 4; i++) {
        struct work work = { .fails_at = -1 };
        const struct hs_parallel_for loop = { .count = COUNT, .threads = threads[i], .run = run, .arg = &work };
        assert_int_equal(hs_parallel_for(&loop, NULL), 0);
        for (int k = 0; k < COUNT; k++)
            assert_int_equal(work.runs[k], 1);
    }
    const struct hs_parallel_for none = { .count = 0, .threads = 3, .run = run };
    assert_int_equal(hs_parallel_for(&none, NULL), 0);
}

static void the_first_failure_stops_the_loop(void **state)
{
    (void) state;
    struct hs_error err;
    struct work work = { .fails_at = 5 };
    struct hs_parallel_for loop = { .count = COUNT, .threads = 1, .run = run, .arg = &work };
    assert_int_equal(hs_parallel_for(&loop, &err), HS_EIO);
    assert_string_equal(err.message, "index 5");
    assert_int_equal(total(&work), 6);
    work = (struct work) { .fails_at = 0 };
    loop.threads = 4;
    assert_int_equal(hs_parallel_for(&loop, &err), HS_EIO);
    assert_string_equal(err.message, "index 0");
    for (int i = 0; i < COUNT; i++)
        assert_true(work.runs[i] <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_index_is_run_once),
        cmocka_unit_test(the_first_failure_stops_the_loop),
    };
    return HS_RUN_TESTS(tests);
}
