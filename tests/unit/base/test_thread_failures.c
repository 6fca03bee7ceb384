/* Tests threads, subprocesses and waits with failing system calls or cancellation: everything that
 * was started is undone. */
#include "entries.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "alloc_fail.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/str.h"
#include "base/subprocess.h"
#include "base/thread.h"
#include "call_fail.h"

static struct hs_error err;
static char output[HS_SUBPROCESS_OUTPUT_SIZE];

/* ---- Pools ---- */

static void count_run(void *arg)
{
    atomic_fetch_add((atomic_int *) arg, 1);
}

static int run_pool(void *arg)
{
    atomic_int runs = 0;
    struct hs_pool *pool;
    (void) arg;
    int r = hs_pool_create("test", 2, 2, true, &pool, &err);
    if (r < 0)
        return r;
    assert_int_equal(hs_pool_submit(pool, count_run, &runs, HS_NO_DEADLINE), 0);
    hs_pool_destroy(pool);
    assert_int_equal(atomic_load(&runs), 1);
    return 0;
}

static void test_pool_memory(void **state)
{
    (void) state;
    assert_int_equal(hs_fail_each_allocation(run_pool, NULL), 4);
}

/* The threads that did start end again. */
static void test_pool_threads(void **state)
{
    struct hs_pool *pool = NULL;
    char text[64];
    (void) state;
    /* ThreadSanitizer keeps a thread of its own from the first one on. */
    assert_int_equal(hs_pool_create("test", 1, 1, false, &pool, &err), 0);
    hs_pool_destroy(pool);
    pool = NULL;
    int before = count_threads(3); /* one, and two entries of each folder */
    for (int deadlines = 0; deadlines < 2; deadlines++) {
        int threads = 3 + deadlines;
        for (int nth = 1; nth <= threads; nth++) {
            hs_call_fail_arm("pthread_create", nth, EAGAIN);
            assert_int_equal(hs_pool_create("test", 3, 2, deadlines, &pool, &err), HS_ENOMEM);
            assert_true(hs_call_fail_disarm());
            hs_str_format(text, sizeof(text), "started only %d of %d worker threads", nth - 1, threads);
            assert_string_equal(err.message, text);
            assert_null(pool);
            assert_int_equal(count_threads(before), before);
        }
        hs_call_fail_arm("pthread_create", threads + 1, EAGAIN);
        assert_int_equal(hs_pool_create("test", 3, 2, deadlines, &pool, &err), 0);
        assert_false(hs_call_fail_disarm());
        hs_pool_destroy(pool);
        pool = NULL;
    }
}

/* The caller's signal mask does not change, even if the thread fails to start. */
static void *do_nothing(void *arg)
{
    return arg;
}

static void test_signal_mask(void **state)
{
    (void) state;
    for (int fail = 0; fail < 2; fail++) {
        sigset_t before = { 0 }, after = { 0 }; /* zeroed, because the system fills only a part */
        pthread_t thread = pthread_self();
        pthread_sigmask(SIG_SETMASK, NULL, &before);
        hs_call_fail_arm("pthread_create", fail, EAGAIN);
        assert_int_equal(hs_thread_start(&thread, "test", do_nothing, NULL), fail ? HS_ENOMEM : 0);
        pthread_sigmask(SIG_SETMASK, NULL, &after);
        assert_memory_equal(&before, &after, sizeof(before));
        assert_int_equal(pthread_equal(thread, pthread_self()) != 0, fail);
        if (!fail)
            pthread_join(thread, NULL);
    }
}

/* ---- Programs ---- */

static int run_program(const char *script, int *ret_code)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    const struct hs_subprocess job = { .argv = argv, .dir = "/", .deadline_ns = HS_NO_DEADLINE };
    return hs_subprocess_run(&job, ret_code, output, &err);
}

static void test_program_that_cannot_be_started(void **state)
{
    static const struct {
        const char *call;
        int error, code;
        const char *text;
    } rows[] = {
        { "pipe2", EMFILE, HS_EIO, "cannot run sh: Too many open files" },
        { "pipe2", ENOMEM, HS_ENOMEM, "cannot run sh: Cannot allocate memory" },
        { "eventfd", ENFILE, HS_EIO, "cannot run sh: Too many open files in system" },
        { "waitpid", EINTR, 0, NULL },
        { "waitpid", ECHILD, HS_EIO, "cannot wait for sh: No child processes" },
        { "pidfd_open", ENOSYS, 0, NULL },
        { "close_range", ENOSYS, 0, NULL },
    };
    (void) state;
    int descriptors = count_descriptors();
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        int code = -1;
        err.message[0] = '\0';
        hs_call_fail_arm(rows[i].call, 1, rows[i].error);
        int r = run_program("ls /proc/self/fd | wc -l; exit 5", &code);
        /* close_range is called in the child; ThreadSanitizer and qemu-user give it a copy of the memory. */
        assert_true(hs_call_fail_disarm() || HS_SANITIZED || getenv("HS_EMULATED"));
        assert_int_equal(r, rows[i].code);
        if (r < 0)
            assert_string_equal(err.message, rows[i].text);
        else
            assert_int_equal(code, 5);
        if (r == 0)
            assert_string_equal(output, "4\n"); /* three standard descriptors, and the folder that ls reads */
        assert_int_equal(count_descriptors(), descriptors);
    }
}

/* A subprocess needs four descriptors. With fewer, it does not run, and none stays open. */
static void test_program_without_descriptors(void **state)
{
    struct rlimit before;
    (void) state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int descriptors = count_descriptors(), lowest = dup(0);
    close(lowest);
    for (int room = 0; room <= 4; room++) {
        int code = -1;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit) { (rlim_t) (lowest + room), before.rlim_max }), 0);
        int r = run_program("exit 5", &code);
        setrlimit(RLIMIT_NOFILE, &before);
        assert_int_equal(r, room < 4 ? HS_EIO : 0);
        if (r < 0)
            assert_string_equal(err.message, "cannot run sh: Too many open files");
        else
            assert_int_equal(code, 5);
        assert_int_equal(count_descriptors(), descriptors);
    }
}

/* ---- Budgets ---- */

/* A thread that waits for this many bytes. */
struct waiter {
    struct hs_budget *budget;
    struct hs_cancel cancel;
    pthread_t thread;
    size_t bytes, charged;
    int result;
    atomic_bool done;
};

static void *wait_for_bytes(void *arg)
{
    struct waiter *w = arg;
    w->result = hs_budget_wait(w->budget, w->bytes, HS_NO_DEADLINE, &w->cancel, &w->charged);
    atomic_store(&w->done, true);
    return NULL;
}

/* Returns after the waiter is in the queue, so that later requests wait even if they fit. */
static void start_waiter(struct waiter *w, struct hs_budget *budget, size_t bytes, const struct hs_budget *seen)
{
    *w = (struct waiter) { .budget = budget, .bytes = bytes };
    hs_cancel_init(&w->cancel);
    const struct hs_budget_waiter *last = seen->last;
    assert_int_equal(pthread_create(&w->thread, NULL, wait_for_bytes, w), 0);
    for (bool in = false; !in;) {
        pthread_mutex_lock(&budget->lock);
        in = budget->last != last;
        pthread_mutex_unlock(&budget->lock);
        usleep(100);
    }
}

static void end_waiter(struct waiter *w, int result, size_t charged)
{
    pthread_join(w->thread, NULL);
    assert_int_equal(w->result, result);
    assert_int_equal(w->charged, charged);
    hs_cancel_finish(&w->cancel);
}

/* If the first, middle or last waiter leaves the queue, the others stay in order. */
static void test_leaving_the_queue(void **state)
{
    (void) state;
    for (int leaver = 0; leaver < 3; leaver++) {
        struct hs_budget budget;
        struct waiter waiters[4];
        size_t charged;
        hs_budget_init(&budget, 10);
        assert_true(hs_budget_try(&budget, 10));
        assert_false(hs_budget_try(&budget, 1));
        for (int i = 0; i < 3; i++)
            start_waiter(&waiters[i], &budget, 10, &budget);
        hs_cancel_trigger(&waiters[leaver].cancel);
        end_waiter(&waiters[leaver], HS_ECANCELED, 0);
        start_waiter(&waiters[3], &budget, 10, &budget);
        for (int i = 0; i < 4; i++) {
            if (i == leaver)
                continue;
            for (int j = i; j < 4; j++)
                assert_true(j == leaver || !atomic_load(&waiters[j].done));
            hs_budget_release(&budget, 10);
            end_waiter(&waiters[i], 0, 10);
        }
        assert_int_equal(hs_budget_used(&budget, &charged), 10);
        assert_int_equal(charged, 10);
        hs_budget_release(&budget, 10);
        hs_budget_finish(&budget);
    }
}

/* If a large waiter gives up, the next waiter is served at once if it fits. */
static void test_leaving_serves_those_behind(void **state)
{
    struct hs_budget budget;
    struct waiter large, small;
    size_t charged = 9, peak;
    (void) state;
    hs_budget_init(&budget, 10);
    assert_true(hs_budget_try(&budget, 5));
    start_waiter(&large, &budget, 6, &budget);
    assert_false(hs_budget_try(&budget, 1)); /* fails although it would fit, because `large` waits */
    start_waiter(&small, &budget, 5, &budget);
    hs_cancel_trigger(&large.cancel);
    end_waiter(&large, HS_ECANCELED, 0);
    end_waiter(&small, 0, 5);
    assert_int_equal(hs_budget_wait(&budget, 1, hs_deadline_in_ms(1), NULL, &charged), HS_ETIMEOUT);
    assert_int_equal(charged, 0);
    hs_budget_release(&budget, 10);
    assert_int_equal(hs_budget_wait(&budget, 11, 0, NULL, &charged), 0); /* free bytes win over an expired deadline */
    assert_int_equal(charged, 10);
    hs_budget_release(&budget, charged);
    hs_cancel_init(&large.cancel);
    hs_cancel_trigger(&large.cancel);
    assert_true(hs_budget_try(&budget, 10));
    assert_int_equal(hs_budget_wait(&budget, 1, HS_NO_DEADLINE, &large.cancel, &charged), HS_ECANCELED);
    hs_cancel_finish(&large.cancel);
    hs_budget_release(&budget, 10);
    assert_int_equal(hs_budget_used(&budget, &peak), 0);
    assert_int_equal(peak, 10);
    hs_budget_finish(&budget);
    assert_true(hs_budget_try(NULL, SIZE_MAX));
    assert_int_equal(hs_budget_wait(NULL, SIZE_MAX, 0, NULL, &charged), 0);
    assert_int_equal(charged, 0);
}

int main(void)
{
    hs_alloc_watch_leaks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_memory),
        cmocka_unit_test(test_pool_threads),
        cmocka_unit_test(test_signal_mask),
        cmocka_unit_test(test_program_that_cannot_be_started),
        cmocka_unit_test(test_program_without_descriptors),
        cmocka_unit_test(test_leaving_the_queue),
        cmocka_unit_test(test_leaving_serves_those_behind),
    };
    return HS_RUN_TESTS(tests);
}
