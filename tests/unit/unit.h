/* Common header of all unit tests: cmocka and the headers that it requires, a runner, and a
 * watchdog that names a test which does not end. */
#ifndef HS_TESTS_UNIT_H
#define HS_TESTS_UNIT_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* 1 under a sanitizer, which delays the reuse of freed memory, so that tests cannot check memory
 * limits. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HS_SANITIZED 1
#endif
#endif
#ifndef HS_SANITIZED
#define HS_SANITIZED 0
#endif

/* Time limit of one test. Meson stops a whole program after 600 s, without naming the test. ThreadSanitizer makes the
 * sweeps of failures ten times slower. */
enum { HS_TEST_S = HS_SANITIZED ? 540 : 240, HS_TEST_EMULATED_S = 2400 };

/* The tests of the program; `at` - 1 is the index of the current one. */
static struct {
    const struct CMUnitTest *tests;
    size_t at;
} hs_watch;

static inline void hs_watch_end(int number)
{
    static const char text[] = ": the test did not end in time\n";
    const char *name = hs_watch.at ? hs_watch.tests[hs_watch.at - 1].name : "setup of the group";
    (void) number;
    if (write(STDERR_FILENO, name, strlen(name)) < 0 || write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(2);
    _exit(1);
}

static inline void hs_watch_start(unsigned seconds)
{
    signal(SIGALRM, hs_watch_end);
    alarm(seconds);
}

static inline int hs_watch_setup(void **state)
{
    const struct CMUnitTest *test = &hs_watch.tests[hs_watch.at++];
    hs_watch_start(getenv("HS_EMULATED") ? HS_TEST_EMULATED_S : HS_TEST_S);
    return test->setup_func ? test->setup_func(state) : 0;
}

static inline int hs_watch_teardown(void **state)
{
    const struct CMUnitTest *test = &hs_watch.tests[hs_watch.at - 1];
    return test->teardown_func ? test->teardown_func(state) : 0;
}

static inline int hs_run_watched(const char *name, const struct CMUnitTest *tests, size_t count,
                                 CMFixtureFunction setup, CMFixtureFunction teardown)
{
    struct CMUnitTest *watched = malloc(count * sizeof(*watched));
    if (!watched)
        return 1;
    memcpy(watched, tests, count * sizeof(*watched));
    for (size_t i = 0; i < count; i++) {
        watched[i].setup_func = hs_watch_setup;
        watched[i].teardown_func = hs_watch_teardown;
    }
    hs_watch.tests = tests;
    hs_watch_start(HS_TEST_S);
    int failed = _cmocka_run_group_tests(name, watched, count, setup, teardown);
    free(watched);
    return failed;
}

#undef cmocka_run_group_tests
#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    hs_run_watched(#tests, tests, sizeof(tests) / sizeof(tests[0]), setup, teardown)

#define HS_RUN_TESTS(tests) cmocka_run_group_tests(tests, NULL, NULL)

#endif
