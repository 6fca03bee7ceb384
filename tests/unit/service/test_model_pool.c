/* Tests how a pool handles each result of an attempt: retry, next device, fallback or failure. The
 * attempts are scripted; nothing is computed. */
#include "../unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sim/sim.h"
#include "base/clock.h"
#include "service/model_pool.h"

enum { DEVICES = 3 };

/* Builds a pool of idle devices, with or without a fallback. */
static void build(struct hs_model_pool *pool, int devices, bool fallback)
{
    const struct hs_runner_options options = {
        .backend = &hs_backend_sim, .slots = 1, .queue_max = 4, .keep_alive_s = -1
    };
    const struct hs_model_spec spec = { .std = { 1, 1, 1 } };
    memset(pool, 0, sizeof(*pool));
    pool->runners = calloc((size_t) devices, sizeof(*pool->runners));
    pool->count = devices;
    pool->fallback = fallback ? calloc(1, sizeof(*pool->fallback)) : NULL;
    for (int i = 0; i < devices + fallback; i++) {
        struct hs_model_runner *runner = i < devices ? &pool->runners[i] : pool->fallback;
        runner->device = i < devices ? "sim" : "cpu";
        runner->model = "test";
        assert_int_equal(hs_runner_create(&options, &spec, &runner->runner, NULL), 0);
    }
}

/* The codes of the next attempts on each runner, the fallback last; 0 after the end of a list. */
struct script {
    struct hs_model_pool *pool;
    int codes[DEVICES + 1][8];
    int calls[DEVICES + 1];
};

static int attempt(void *arg, const struct hs_model_runner *runner, struct hs_error *err)
{
    struct script *s = arg;
    long i = runner == s->pool->fallback ? s->pool->count : runner - s->pool->runners;
    int code = s->calls[i] < 8 ? s->codes[i][s->calls[i]] : 0;
    s->calls[i]++;
    return code ? hs_error_set(err, code, "scripted") : 0;
}

static int run(struct script *s, int64_t deadline_ms, struct hs_cancel *cancel,
               const struct hs_model_runner **ret_runner)
{
    struct hs_error err;
    return hs_model_pool_run(s->pool, attempt, s, hs_deadline_in_ms(deadline_ms), cancel, ret_runner, &err);
}

static void transient_failures_are_retried_on_the_same_device(void **state)
{
    (void) state;
    struct hs_model_pool pool;
    const struct hs_model_runner *runner = NULL;
    build(&pool, 1, false);
    struct script s = { .pool = &pool, .codes = { { HS_ETRANSIENT, HS_ETRANSIENT, HS_ETRANSIENT } } };
    assert_int_equal(run(&s, 20000, NULL, &runner), 0);
    assert_int_equal(s.calls[0], 4);
    assert_ptr_equal(runner, &pool.runners[0]);
    /* Retries are limited. */
    struct script worse = { .pool = &pool,
                            .codes = { { HS_ETRANSIENT, HS_ETRANSIENT, HS_ETRANSIENT, HS_ETRANSIENT } } };
    assert_int_equal(run(&worse, 20000, NULL, &runner), HS_ETRANSIENT);
    assert_int_equal(worse.calls[0], 4);
    /* No retry if the deadline is too near. */
    struct script late = { .pool = &pool, .codes = { { HS_ETRANSIENT } } };
    assert_int_equal(run(&late, 1, NULL, &runner), HS_ETRANSIENT);
    assert_int_equal(late.calls[0], 1);
    hs_model_pool_finish(&pool);
}

static void another_device_takes_over(void **state)
{
    (void) state;
    static const int codes[] = { HS_ELOST,    HS_EDEVICE, HS_ENODEVICE, HS_EINUSE,
                                 HS_EVERSION, HS_EMODEL,  HS_ENOMEM,    HS_ENOTREADY };
    struct hs_model_pool pool;
    build(&pool, DEVICES, false);
    for (size_t i = 0; i < HS_ARRAY_LEN(codes); i++) {
        const struct hs_model_runner *runner = NULL;
        struct script s = { .pool = &pool, .codes = { { codes[i] }, { codes[i] }, { 0 } } };
        assert_int_equal(run(&s, 20000, NULL, &runner), 0);
        assert_ptr_equal(runner, &pool.runners[2]);
        struct script all = { .pool = &pool, .codes = { { codes[i] }, { codes[i] }, { codes[i] } } };
        assert_int_equal(run(&all, 20000, NULL, &runner), codes[i]);
        for (int k = 0; k < DEVICES; k++)
            assert_int_equal(all.calls[k], 1);
    }
    hs_model_pool_finish(&pool);
}

static void the_fallback_is_the_last_resort(void **state)
{
    (void) state;
    struct hs_model_pool pool;
    const struct hs_model_runner *runner = NULL;
    build(&pool, 2, true);
    struct script s = { .pool = &pool, .codes = { { HS_ELOST }, { HS_EDEVICE } } };
    assert_int_equal(run(&s, 20000, NULL, &runner), 0);
    assert_true(hs_model_pool_is_fallback(&pool, runner));
    assert_int_equal(s.calls[2], 1);
    struct script well = { .pool = &pool };
    assert_int_equal(run(&well, 20000, NULL, &runner), 0);
    assert_false(hs_model_pool_is_fallback(&pool, runner));
    assert_int_equal(well.calls[2], 0);
    struct hs_model_pool_status status;
    hs_model_pool_get_status(&pool, &status);
    assert_int_equal(status.fallbacks, 1);
    assert_false(status.degraded);
    hs_model_pool_finish(&pool);
}

/* Errors caused by the request, and its deadline, are not retried on another device. */
static void errors_of_the_request_are_passed_on(void **state)
{
    (void) state;
    static const int codes[] = { HS_EINVAL, HS_EDECODE, HS_ECANCELED, HS_ETIMEOUT, HS_EBUSY };
    struct hs_model_pool pool;
    const struct hs_model_runner *runner = NULL;
    build(&pool, 2, true);
    for (size_t i = 0; i < HS_ARRAY_LEN(codes); i++) {
        struct script s = { .pool = &pool, .codes = { { codes[i] }, { codes[i] } } };
        assert_int_equal(run(&s, 20000, NULL, &runner), codes[i]);
        assert_int_equal(s.calls[0] + s.calls[1], 1);
        assert_int_equal(s.calls[2], 0);
    }
    hs_model_pool_finish(&pool);
}

static void a_disconnected_client_ends_the_pauses(void **state)
{
    (void) state;
    struct hs_model_pool pool;
    const struct hs_model_runner *runner = NULL;
    struct hs_cancel cancel;
    build(&pool, 1, false);
    hs_cancel_init(&cancel);
    hs_cancel_trigger(&cancel);
    struct script s = { .pool = &pool, .codes = { { HS_ETRANSIENT, HS_ETRANSIENT, HS_ETRANSIENT, HS_ETRANSIENT } } };
    assert_int_equal(run(&s, 20000, &cancel, &runner), HS_ETRANSIENT);
    assert_int_equal(s.calls[0], 1);
    hs_cancel_finish(&cancel);
    hs_model_pool_finish(&pool);
}

/* Cancelled by another thread while this thread waits; may be NULL. */
static _Thread_local struct hs_cancel *cancel_while_waiting;
static _Thread_local int cancelled_waits;

int __real_hs_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns);
int __wrap_hs_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns);

static void *trigger(void *cancel)
{
    hs_cancel_trigger(cancel);
    return NULL;
}

/* The trigger locks `mutex`, so it runs after the wait has begun. The wait is so long that only the
 * wake-up ends it. */
int __wrap_hs_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns)
{
    struct hs_cancel *cancel = cancel_while_waiting;
    if (!cancel)
        return __real_hs_cond_wait_until(cond, mutex, deadline_ns);
    pthread_t thread;
    cancel_while_waiting = NULL;
    assert_int_equal(pthread_create(&thread, NULL, trigger, cancel), 0);
    int r = __real_hs_cond_wait_until(cond, mutex, hs_deadline_in_ms(20000));
    pthread_mutex_unlock(mutex);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_mutex_lock(mutex);
    cancelled_waits++;
    return r;
}

static void a_disconnect_ends_the_current_pause(void **state)
{
    (void) state;
    struct hs_model_pool pool;
    const struct hs_model_runner *runner = NULL;
    struct hs_cancel cancel;
    build(&pool, 1, false);
    hs_cancel_init(&cancel);
    struct script s = { .pool = &pool, .codes = { { HS_ETRANSIENT, HS_ETRANSIENT, HS_ETRANSIENT, HS_ETRANSIENT } } };
    cancel_while_waiting = &cancel;
    int64_t begin_ns = hs_clock_now_ns();
    assert_int_equal(run(&s, 60000, &cancel, &runner), HS_ETRANSIENT);
    assert_int_equal(cancelled_waits, 1);
    assert_true(hs_clock_now_ns() - begin_ns < 10 * HS_NS_PER_S);
    assert_int_equal(s.calls[0], 1);
    hs_cancel_finish(&cancel);
    hs_model_pool_finish(&pool);
}

static void work_is_spread(void **state)
{
    (void) state;
    struct hs_model_pool pool;
    const struct hs_model_runner *runner = NULL;
    build(&pool, DEVICES, false);
    struct script s = { .pool = &pool };
    for (int i = 0; i < 30; i++)
        assert_int_equal(run(&s, 20000, NULL, &runner), 0);
    for (int i = 0; i < DEVICES; i++)
        assert_int_equal(s.calls[i], 10);
    hs_model_pool_finish(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transient_failures_are_retried_on_the_same_device),
        cmocka_unit_test(another_device_takes_over),
        cmocka_unit_test(the_fallback_is_the_last_resort),
        cmocka_unit_test(errors_of_the_request_are_passed_on),
        cmocka_unit_test(a_disconnected_client_ends_the_pauses),
        cmocka_unit_test(a_disconnect_ends_the_current_pause),
        cmocka_unit_test(work_is_spread),
    };
    return HS_RUN_TESTS(tests);
}
