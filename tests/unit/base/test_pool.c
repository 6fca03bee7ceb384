#include "../unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"

/* Jobs wait at this gate, so that the fill level of the queue is known. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int inside;
    atomic_int done;
};

static void pass(void *arg)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
    atomic_fetch_add(&gate->done, 1);
}

static void wait_inside(struct gate *gate, int count)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->inside < count)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void open_gate(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void a_full_queue_refuses_and_destroy_finishes_the_rest(void **state)
{
    (void) state;
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    struct hs_pool *pool;
    assert_int_equal(hs_pool_create("test", 2, 3, false, &pool, NULL), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
    wait_inside(&gate, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
    size_t waiting;
    assert_int_equal(hs_pool_waiting(pool), 3);
    assert_int_equal(hs_pool_get_load(pool, &waiting), 2);
    assert_int_equal(waiting, 3);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), HS_EBUSY);
    open_gate(&gate);
    hs_pool_destroy(pool);
    assert_int_equal(atomic_load(&gate.done), 5);
}

static void a_stopped_pool_has_run_all_jobs(void **state)
{
    (void) state;
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .open = true };
    struct hs_pool *pool;
    assert_int_equal(hs_pool_create("test", 1, 3, true, &pool, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
    hs_pool_stop(pool);
    assert_int_equal(atomic_load(&gate.done), 3);
    assert_int_equal(hs_pool_waiting(pool), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), HS_EBUSY);
    hs_pool_expire(pool, &gate);
    hs_pool_stop(pool);
    hs_pool_destroy(pool);
    assert_int_equal(atomic_load(&gate.done), 3);
}

static void a_closed_pool_refuses_jobs_and_runs_queued_ones(void **state)
{
    (void) state;
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    struct hs_pool *pool;
    assert_int_equal(hs_pool_create("test", 1, 3, false, &pool, NULL), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
    wait_inside(&gate, 1);
    hs_pool_close(pool);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), HS_EBUSY);
    assert_int_equal(hs_pool_waiting(pool), 1);
    open_gate(&gate);
    hs_pool_destroy(pool);
    assert_int_equal(atomic_load(&gate.done), 2);
}

struct late {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char order[8];
    int count;
};

static struct late late = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* Records its name, a letter. */
static void note(void *arg)
{
    pthread_mutex_lock(&late.lock);
    late.order[late.count++] = *(char *) arg;
    pthread_cond_broadcast(&late.changed);
    pthread_mutex_unlock(&late.lock);
}

static void wait_noted(int count)
{
    pthread_mutex_lock(&late.lock);
    while (late.count < count)
        pthread_cond_wait(&late.changed, &late.lock);
    pthread_mutex_unlock(&late.lock);
}

/* The only worker is busy during this test. */
static void expired_jobs_run_without_a_worker(void **state)
{
    (void) state;
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    static char names[] = "abcde";
    struct hs_pool *pool;
    assert_int_equal(hs_pool_create("test", 1, 8, true, &pool, NULL), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
    wait_inside(&gate, 1);
    int64_t now_ns = hs_clock_now_ns();
    assert_int_equal(hs_pool_submit(pool, note, &names[0], HS_NO_DEADLINE), 0);
    assert_int_equal(hs_pool_submit(pool, note, &names[1], now_ns + 60 * HS_NS_PER_S), 0);
    assert_int_equal(hs_pool_submit(pool, note, &names[2], now_ns + 40 * HS_NS_PER_MS), 0);
    assert_int_equal(hs_pool_submit(pool, note, &names[3], now_ns + 20 * HS_NS_PER_MS), 0);
    wait_noted(2);
    assert_true(hs_clock_now_ns() >= now_ns + 40 * HS_NS_PER_MS);
    assert_string_equal(late.order, "dc");
    assert_int_equal(hs_pool_waiting(pool), 2);
    hs_pool_expire(pool, &pool);
    assert_int_equal(hs_pool_submit(pool, note, &names[4], now_ns + 60 * HS_NS_PER_S), 0);
    hs_pool_expire(pool, &names[4]);
    wait_noted(3);
    assert_string_equal(late.order, "dce");
    open_gate(&gate);
    hs_pool_destroy(pool);
    assert_string_equal(late.order, "dceab");
}

static void reset_notes(void)
{
    late.count = 0;
    memset(late.order, 0, sizeof(late.order));
}

/* Of three workers, two run heavy jobs; the third one runs the light jobs in order. */
static void light_jobs_overtake_queued_heavy_jobs(void **state)
{
    (void) state;
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    static char names[] = "ABcDef";
    struct hs_pool *pool;
    reset_notes();
    assert_int_equal(hs_pool_create("test", 3, 16, true, &pool, NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hs_pool_submit_heavy(pool, pass, &gate, HS_NO_DEADLINE), 0);
    wait_inside(&gate, 2);
    for (int i = 0; i < 6; i++) {
        bool heavy = names[i] < 'a';
        int r = (heavy ? hs_pool_submit_heavy : hs_pool_submit)(pool, note, &names[i], HS_NO_DEADLINE);
        assert_int_equal(r, 0);
    }
    wait_noted(3);
    assert_string_equal(late.order, "cef");
    assert_int_equal(hs_pool_waiting(pool), 3);
    /* The thread for deadlines runs an expired heavy job. */
    hs_pool_expire(pool, &names[1]);
    wait_noted(4);
    assert_string_equal(late.order, "cefB");
    open_gate(&gate);
    hs_pool_destroy(pool);
    assert_int_equal(late.count, 6);
}

/* A stream of light jobs: each job submits the next one, so that light jobs always wait. */
struct stream {
    struct hs_pool *pool;
    atomic_bool ended;
    atomic_int count;
};

static void follow(void *arg)
{
    struct stream *stream = arg;
    atomic_fetch_add(&stream->count, 1);
    if (!atomic_load(&stream->ended))
        hs_pool_submit(stream->pool, follow, stream, HS_NO_DEADLINE);
}

static void heavy_jobs_do_not_starve(void **state)
{
    (void) state;
    static char names[] = "ABCDE";
    struct stream stream = { 0 };
    for (int threads = 1; threads <= 3; threads++) {
        reset_notes();
        atomic_store(&stream.ended, false);
        assert_int_equal(hs_pool_create("test", threads, 64, false, &stream.pool, NULL), 0);
        for (int i = 0; i < 8; i++)
            assert_int_equal(hs_pool_submit(stream.pool, follow, &stream, HS_NO_DEADLINE), 0);
        for (int i = 0; i < 5; i++)
            assert_int_equal(hs_pool_submit_heavy(stream.pool, note, &names[i], HS_NO_DEADLINE), 0);
        wait_noted(5);
        if (threads <= 2) /* one heavy job at a time */
            assert_string_equal(late.order, "ABCDE");
        atomic_store(&stream.ended, true);
        hs_pool_destroy(stream.pool);
    }
}

/* Even if other workers are idle. */
static void only_some_workers_run_heavy_jobs(void **state)
{
    (void) state;
    for (int threads = 1; threads <= 5; threads++) {
        struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
        struct hs_pool *pool;
        size_t most = (size_t) (threads + 1) / 2;
        assert_int_equal(hs_pool_create("test", threads, 16, false, &pool, NULL), 0);
        if (threads == 5)
            hs_pool_set_heavy_max(pool, (int) (most = 4));
        for (int i = 0; i < 8; i++)
            assert_int_equal(hs_pool_submit_heavy(pool, pass, &gate, HS_NO_DEADLINE), 0);
        wait_inside(&gate, (int) most);
        for (int i = 0; i < 10; i++) {
            assert_int_equal(hs_pool_waiting(pool), 8 - most);
            nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
        }
        open_gate(&gate);
        hs_pool_destroy(pool);
        assert_int_equal(atomic_load(&gate.done), 8);
    }
}

static void heavy_jobs_leave_a_quarter_of_the_queue(void **state)
{
    (void) state;
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    struct hs_pool *pool;
    assert_int_equal(hs_pool_create("test", 1, 8, false, &pool, NULL), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
    wait_inside(&gate, 1);
    for (int i = 0; i < 6; i++)
        assert_int_equal(hs_pool_submit_heavy(pool, pass, &gate, HS_NO_DEADLINE), 0);
    assert_int_equal(hs_pool_submit_heavy(pool, pass, &gate, HS_NO_DEADLINE), HS_EBUSY);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), HS_EBUSY);
    open_gate(&gate);
    hs_pool_destroy(pool);
    assert_int_equal(atomic_load(&gate.done), 9);
}

/* Applies to queues with room for two or more jobs. */
static void heavy_jobs_leave_a_part_of_a_small_queue(void **state)
{
    (void) state;
    static const int heavy_most[] = { 0, 1, 1, 2, 3, 3, 4, 5, 6, 6 };
    for (int queue = 1; queue < (int) HS_ARRAY_LEN(heavy_most); queue++) {
        struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
        struct hs_pool *pool;
        assert_int_equal(hs_pool_create("test", 1, (size_t) queue, false, &pool, NULL), 0);
        assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
        wait_inside(&gate, 1);
        for (int i = 0; i < heavy_most[queue]; i++)
            assert_int_equal(hs_pool_submit_heavy(pool, pass, &gate, HS_NO_DEADLINE), 0);
        assert_int_equal(hs_pool_submit_heavy(pool, pass, &gate, HS_NO_DEADLINE), HS_EBUSY);
        for (int i = heavy_most[queue]; i < queue; i++)
            assert_int_equal(hs_pool_submit(pool, pass, &gate, HS_NO_DEADLINE), 0);
        open_gate(&gate);
        hs_pool_destroy(pool);
    }
}

static void a_pool_is_stuck_if_every_worker_is_late(void **state)
{
    (void) state;
    struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    struct hs_pool *pool;
    int64_t late_ns = hs_clock_now_ns() - HS_NS_PER_S;
    assert_int_equal(hs_pool_create("test", 2, 3, true, &pool, NULL), 0);
    assert_false(hs_pool_is_stuck(pool, 0));
    /* A worker takes the job as soon as it is queued, or the deadline thread does. */
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(hs_pool_submit(pool, pass, &gate, i < 3 ? HS_NO_DEADLINE : late_ns), 0);
        wait_inside(&gate, i);
        assert_false(hs_pool_is_stuck(pool, 0));
    }
    open_gate(&gate);
    hs_pool_destroy(pool);

    gate.open = false;
    gate.inside = 0;
    assert_int_equal(hs_pool_create("test", 2, 3, false, &pool, NULL), 0);
    assert_int_equal(hs_pool_submit(pool, pass, &gate, late_ns), 0);
    wait_inside(&gate, 1);
    assert_false(hs_pool_is_stuck(pool, 0)); /* the other worker is idle */
    assert_int_equal(hs_pool_submit(pool, pass, &gate, late_ns), 0);
    wait_inside(&gate, 2);
    assert_true(hs_pool_is_stuck(pool, 0));
    assert_false(hs_pool_is_stuck(pool, 60 * HS_NS_PER_S));
    open_gate(&gate);
    hs_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_refuses_and_destroy_finishes_the_rest),
        cmocka_unit_test(a_stopped_pool_has_run_all_jobs),
        cmocka_unit_test(a_closed_pool_refuses_jobs_and_runs_queued_ones),
        cmocka_unit_test(expired_jobs_run_without_a_worker),
        cmocka_unit_test(light_jobs_overtake_queued_heavy_jobs),
        cmocka_unit_test(heavy_jobs_do_not_starve),
        cmocka_unit_test(only_some_workers_run_heavy_jobs),
        cmocka_unit_test(heavy_jobs_leave_a_quarter_of_the_queue),
        cmocka_unit_test(heavy_jobs_leave_a_part_of_a_small_queue),
        cmocka_unit_test(a_pool_is_stuck_if_every_worker_is_late),
    };
    return HS_RUN_TESTS(tests);
}
