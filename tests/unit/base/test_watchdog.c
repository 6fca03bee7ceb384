/* Tests the watchdog of unit.h. */
#include "../unit.h"

#include <sys/wait.h>

static int given;

static void hangs(void **state)
{
    (void) state;
    for (;;)
        pause();
}

static void a_test_that_hangs_is_named(void **state)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(a_test_that_hangs_is_named), cmocka_unit_test(hangs) };
    char said[100] = "";
    int ends[2], code = 0;
    (void) state;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        hs_watch.tests = tests;
        hs_watch.at = 2;
        hs_watch_start(1);
        tests[1].test_func(NULL);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 1 << 8);
    assert_true(read(ends[0], said, sizeof(said) - 1) > 0);
    close(ends[0]);
    assert_string_equal(said, "hangs: the test did not end in time\n");
}

static void each_test_is_watched(void **state)
{
    (void) state;
    unsigned left = alarm(HS_TEST_S);
    assert_in_range(left, 1, HS_TEST_EMULATED_S);
    assert_string_equal(hs_watch.tests[hs_watch.at - 1].name, "each_test_is_watched");
}

static int own_setup(void **state)
{
    *state = &given;
    return 0;
}

static void own_fixtures_still_run(void **state)
{
    assert_ptr_equal(*state, &given);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_test_that_hangs_is_named),
        cmocka_unit_test(each_test_is_watched),
        cmocka_unit_test_setup(own_fixtures_still_run, own_setup),
    };
    return HS_RUN_TESTS(tests);
}
