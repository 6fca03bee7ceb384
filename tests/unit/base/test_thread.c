#include "../unit.h"

#include "base/thread.h"

struct seen {
    char name[16];
    sigset_t blocked;
    pthread_mutex_t lock; /* held until the test reads the name, because a thread that has ended has no name */
};

static void *record_signals(void *arg)
{
    struct seen *seen = arg;
    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    pthread_mutex_lock(&seen->lock);
    pthread_mutex_unlock(&seen->lock);
    return arg;
}

static void a_thread_blocks_signals_and_the_caller_does_not(void **state)
{
    (void) state;
    struct seen seen = { .lock = PTHREAD_MUTEX_INITIALIZER };
    sigset_t own;
    pthread_t thread;
    void *result = NULL;
    pthread_mutex_lock(&seen.lock);
    assert_int_equal(hs_thread_start(&thread, "test-thread", record_signals, &seen), 0);
    assert_int_equal(pthread_getname_np(thread, seen.name, sizeof(seen.name)), 0);
    pthread_mutex_unlock(&seen.lock);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &seen);
    assert_string_equal(seen.name, "test-thread");
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1 };
    pthread_sigmask(SIG_SETMASK, NULL, &own);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        assert_true(sigismember(&seen.blocked, signals[i]));
        assert_false(sigismember(&own, signals[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_blocks_signals_and_the_caller_does_not),
    };
    return HS_RUN_TESTS(tests);
}
