/* The engine on a device that takes batches and fails in all the ways that its script knows. Each answer is compared
 * with what the device's plain rule makes of the very picture that was asked about. */
#include "../unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sim/sim.h"
#include "backends/sim/vector.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/engine.h"
#include "sim_script.h"

enum { PATIENCE_MS = 20000, SIDE = 112, BYTES = SIDE * SIDE * 3 };

static struct hs_engine_options defaults(const char *script)
{
    return (struct hs_engine_options) {
        .backend = &hs_backend_sim, .script = sim_script(script), .slots = 4, .max_copies = 4, .queue_max = 64,
        .keep_alive_s = -1, .retry_max_ns = 100 * HS_NS_PER_MS,
    };
}

static struct hs_engine *create(const struct hs_engine_options *options)
{
    struct hs_model_spec spec = { .std = { 255, 255, 255 }, .finding = HS_FINDS_EMBEDDINGS };
    struct hs_engine *engine = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_engine_create(options, &spec, &engine, &err), 0);
    return engine;
}

static struct hs_engine_status status_of(struct hs_engine *engine)
{
    struct hs_engine_status status;
    hs_engine_get_status(engine, &status);
    return status;
}

#define WAIT_FOR(engine, condition) do { \
        int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS); \
        struct hs_engine_status s = status_of(engine); \
        while (!(condition) && hs_clock_now_ns() < give_up_ns) \
            s = status_of(engine); \
        assert_true(condition); \
    } while (0)

/* A picture of coloured stripes; no two seeds look alike. */
static void draw(uint8_t *rgb, uint64_t seed)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            uint64_t cell = (uint64_t) (y / 7 * 16 + x / 7) + seed * 1000003;
            cell = (cell ^ cell >> 13) * UINT64_C(0x9E3779B97F4A7C15);
            for (int c = 0; c < 3; c++)
                rgb[(y * SIDE + x) * 3 + c] = (uint8_t) (cell >> (24 + 8 * c));
        }
}

static bool is_right(const struct hs_lease *lease, int picture, uint64_t seed)
{
    uint8_t *rgb = malloc(BYTES);
    struct hs_tensor_view view;
    bool same = true;
    draw(rgb, seed);
    void *wanted = malloc(lease->descs[0].size_bytes);
    hs_sim_vector_fill(&lease->descs[0], rgb, SIDE, SIDE, wanted);
    hs_lease_outputs(lease, picture, &view);
    same = memcmp(view.data, wanted, lease->descs[0].size_bytes) == 0;
    free(wanted);
    free(rgb);
    return same;
}

/* One request with `count` pictures. 0, or why it failed; -1000: a wrong answer. */
static int ask(struct hs_engine *engine, int count, enum hs_priority priority, int64_t deadline_ms, uint64_t seed)
{
    int64_t deadline_ns = hs_deadline_in_ms(deadline_ms);
    int r = 0;
    for (int done = 0; done < count && r == 0;) {
        const struct hs_engine_wish wish = {
            .h = SIDE, .w = SIDE, .count = count - done, .priority = priority, .deadline_ns = deadline_ns,
        };
        struct hs_lease *lease;
        r = hs_engine_acquire_some(engine, &wish, &lease, NULL);
        if (r != 0)
            return r;
        for (int i = 0; i < lease->pictures; i++)
            draw(lease->input + (size_t) i * lease->input_stride, seed + (uint64_t) (done + i));
        r = hs_engine_run(lease, NULL, NULL);
        for (int i = 0; i < lease->pictures && r == 0; i++)
            r = is_right(lease, i, seed + (uint64_t) (done + i)) ? 0 : -1000;
        done += lease->pictures;
        hs_engine_release(lease);
    }
    return r;
}

static int ask_once(struct hs_engine *engine, int64_t deadline_ms)
{
    return ask(engine, 1, HS_INTERACTIVE, deadline_ms, 7);
}

/* ---- Many at once ---- */

struct client {
    struct hs_engine *engine;
    pthread_t thread;
    uint64_t seed;
    int rounds, count;
    int64_t deadline_ms;
    int right, wrong, refused;
};

static void *run_client(void *arg)
{
    struct client *c = arg;
    for (int i = 0; i < c->rounds; i++) {
        int r = ask(c->engine, c->count, i % 3 == 0 ? HS_BACKGROUND : HS_INTERACTIVE, c->deadline_ms,
                    c->seed + (uint64_t) i * 64);
        c->right += r == 0;
        c->wrong += r == -1000;
        c->refused += r != 0 && r != -1000;
    }
    return NULL;
}

/* Returns how many requests were answered rightly. */
static int run_clients(struct hs_engine *engine, int clients, int rounds, int64_t deadline_ms)
{
    struct client all[16] = { 0 };
    int right = 0;
    for (int i = 0; i < clients; i++) {
        all[i] = (struct client) {
            .engine = engine, .seed = (uint64_t) i << 32, .rounds = rounds, .count = i % 5 == 4 ? 3 : 1,
            .deadline_ms = deadline_ms,
        };
        assert_int_equal(pthread_create(&all[i].thread, NULL, run_client, &all[i]), 0);
    }
    for (int i = 0; i < clients; i++) {
        pthread_join(all[i].thread, NULL);
        assert_int_equal(all[i].wrong, 0);
        assert_int_equal(all[i].right + all[i].refused, rounds);
        right += all[i].right;
    }
    return right;
}

/* ---- Batches ---- */

static void requests_share_batches(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("batch_ms: {1: 3, 8: 6}");
    options.batch = 8;
    struct hs_engine *engine = create(&options);
    assert_int_equal(run_clients(engine, 12, 20, PATIENCE_MS), 240);
    struct hs_engine_status status = status_of(engine);
    assert_int_equal(status.pictures, 20 * (10 + 2 * 3));
    assert_true(status.runs < status.pictures);
    assert_int_equal(status.in_use, 0);
    hs_engine_destroy(engine);
}

struct late_lease {
    struct hs_engine *engine;
    pthread_t thread;
    int result;
};

static void *ask_in_thread(void *arg)
{
    struct late_lease *l = arg;
    l->result = ask_once(l->engine, PATIENCE_MS);
    return NULL;
}

/* One that was given out and comes back without a run does not hold up the others of its batch. */
static void a_lease_that_is_not_run_holds_nobody_up(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("batch_ms: {1: 1, 4: 2}");
    options.batch = 4;
    options.slots = 1;
    struct hs_engine *engine = create(&options);
    struct hs_lease *unused;
    assert_int_equal(hs_engine_acquire(engine, SIDE, SIDE, hs_deadline_in_ms(PATIENCE_MS), NULL, &unused, NULL), 0);
    struct late_lease other = { .engine = engine };
    assert_int_equal(pthread_create(&other.thread, NULL, ask_in_thread, &other), 0);
    memset(unused->input, 0, BYTES);
    hs_engine_release(unused);
    pthread_join(other.thread, NULL);
    assert_int_equal(other.result, 0);
    hs_engine_destroy(engine);
}

/* Pictures wait for company no longer than they are told to. */
static void a_batch_is_not_waited_for_for_ever(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("batch_ms: {1: 1, 4: 2}");
    options.batch = 4;
    options.batch_wait_ns = 20 * HS_NS_PER_MS;
    struct hs_engine *engine = create(&options);
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    assert_true(hs_clock_now_ns() - start_ns >= 20 * HS_NS_PER_MS);
    /* A full one does not wait at all; nor is a deadline missed for it. */
    assert_int_equal(ask(engine, 4, HS_INTERACTIVE, PATIENCE_MS, 3), 0);
    hs_engine_destroy(engine);
}

/* ---- A device that fails ---- */

static void a_lost_device_comes_back(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 1\nfaults: [{kind: lost, at: 5, count: 3}]");
    struct hs_engine *engine = create(&options);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    assert_int_equal(ask_once(engine, PATIENCE_MS), HS_ELOST);
    /* Told at once from now, and not after a deadline. */
    struct hs_error err = { 0 };
    struct hs_lease *lease;
    assert_int_equal(hs_engine_acquire(engine, SIDE, SIDE, HS_NO_DEADLINE, NULL, &lease, &err), HS_ELOST);
    assert_true(err.message[0]);
    WAIT_FOR(engine, s.state == HS_ENGINE_READY);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    assert_int_equal(status_of(engine).error.code, 0);
    hs_engine_destroy(engine);
}

static void failures_in_a_row_are_the_device_s(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 1\nfaults: [{kind: error, at: 2, count: 6}]");
    options.failures_max = 3;
    struct hs_engine *engine = create(&options);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_once(engine, PATIENCE_MS), HS_EDEVICE);
    assert_int_equal(ask_once(engine, PATIENCE_MS), HS_ENOTREADY);
    assert_int_equal(status_of(engine).state, HS_ENGINE_FAILED);
    WAIT_FOR(engine, s.state == HS_ENGINE_READY);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    hs_engine_destroy(engine);
}

static void a_hung_device_is_given_up_and_opened_anew(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 1\nfaults: [{kind: hang, at: 2, count: 2}]");
    options.slots = 2;
    options.failures_max = 2;
    options.run_timeout_ns = 30 * HS_NS_PER_MS;
    struct hs_engine *engine = create(&options);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    assert_int_equal(ask_once(engine, PATIENCE_MS), HS_ELOST);
    assert_int_equal(ask_once(engine, PATIENCE_MS), HS_ELOST);
    assert_true(status_of(engine).hung);
    WAIT_FOR(engine, s.state == HS_ENGINE_READY);
    assert_false(status_of(engine).hung);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    hs_engine_destroy(engine); /* leaving what hangs as it is */
}

/* Each attempt leaves a copy behind that the device still holds. */
static void attempts_on_a_device_that_goes_on_hanging_are_bounded(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 1\nfaults: [{kind: hang, at: 2}]");
    options.run_timeout_ns = 2 * HS_NS_PER_MS;
    options.retry_max_ns = HS_NS_PER_MS;
    options.slots = options.failures_max = 1;
    options.batch = 1;
    struct hs_engine *engine = create(&options);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    assert_int_equal(ask_once(engine, PATIENCE_MS), HS_ELOST);
    /* Enough time for more attempts than there are places for copies. */
    for (int64_t end_ns = hs_deadline_in_ms(1500); hs_clock_now_ns() < end_ns;) {
        struct hs_engine_status status = status_of(engine);
        assert_int_equal(status.state, HS_ENGINE_FAILED);
        assert_true(status.hung);
    }
    assert_int_equal(ask_once(engine, PATIENCE_MS), HS_ELOST);
    hs_engine_destroy(engine);
}

static void short_deadlines_do_not_bring_a_device_down(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 40");
    options.slots = 1;
    options.failures_max = 1;
    struct hs_engine *engine = create(&options);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask_once(engine, 5), HS_ETIMEOUT);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    assert_int_equal(status_of(engine).failures, 0);
    hs_engine_destroy(engine);
}

static void an_absent_device_is_waited_for(void **state)
{
    (void) state;
    static const struct {
        const char *kind;
        int told;
    } kinds[] = {
        { "none", HS_ENODEVICE }, { "busy", HS_EINUSE }, { "mismatch", HS_ENOTREADY }, { "bad_model", HS_ENOTREADY },
        { "memory", HS_ENOMEM }, { "load_fail", HS_ENOTREADY },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(kinds); i++) {
        char script[100];
        hs_str_format(script, sizeof(script), "latency_ms: 0\nfaults: [{kind: %s, at: 1, count: 2}]", kinds[i].kind);
        struct hs_engine_options options = defaults(script);
        struct hs_engine *engine = create(&options);
        assert_int_equal(ask_once(engine, PATIENCE_MS), kinds[i].told);
        WAIT_FOR(engine, s.state == HS_ENGINE_READY);
        assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
        hs_engine_destroy(engine);
    }
}

static void warm_up_runs_before_the_first_use(void **state)
{
    (void) state;
    /* The first two runs fail: the warm-up meets the first, and the attempt after that the second. */
    struct hs_engine_options options = defaults("latency_ms: 0\nfaults: [{kind: error, at: 1, count: 2}]");
    options.warmup = 3;
    struct hs_engine *engine = create(&options);
    assert_int_equal(ask_once(engine, PATIENCE_MS), HS_ENOTREADY);
    WAIT_FOR(engine, s.state == HS_ENGINE_READY);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    assert_int_equal(status_of(engine).runs, 1);
    hs_engine_destroy(engine);
}

static void unloading_and_keeping_can_be_asked_for(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    struct hs_engine *engine = create(&options);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    hs_engine_unload(engine);
    WAIT_FOR(engine, s.state == HS_ENGINE_IDLE);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    assert_int_equal(status_of(engine).state, HS_ENGINE_READY);
    hs_engine_set_keep_alive(engine, 0);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    WAIT_FOR(engine, s.state == HS_ENGINE_IDLE);
    hs_engine_destroy(engine);
}

/* ---- A process that grows ---- */

#define MIB (INT64_C(1) << 20)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* freed memory is kept for a while */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct told {
    int times;
    int64_t least_before_bytes;
};

static void note_restart(void *arg, int64_t before_bytes, int64_t after_bytes)
{
    struct told *told = arg;
    if (told->times++ == 0 || before_bytes < told->least_before_bytes)
        told->least_before_bytes = before_bytes;
    assert_true(SANITIZED || after_bytes < before_bytes);
}

/* Nearly a GiB in all, were it not given back; and no request notices. */
static void a_process_that_grows_is_brought_back(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 4\nload_ms: 20\nleak_kb: 2048");
    struct told told = { 0 };
    int64_t before_bytes = hs_mem_resident();
    options.restart_above = before_bytes + 60 * MIB;
    options.restart_pause_ns = 10 * HS_NS_PER_MS;
    options.on_restart = note_restart;
    options.on_restart_arg = &told;
    struct hs_engine *engine = create(&options);
    assert_int_equal(run_clients(engine, 8, 45, PATIENCE_MS), 360);
    struct hs_engine_status status = status_of(engine);
    assert_true(status.restarts >= 2);
    assert_int_equal(told.times, status.restarts);
    assert_true(told.least_before_bytes > options.restart_above);
    assert_true(SANITIZED || hs_mem_resident() < before_bytes + 300 * MIB);
    assert_int_equal(status.failures + status.timeouts + status.refusals, 0);
    hs_engine_destroy(engine);
}

static void both_sizes_come_back(void **state)
{
    (void) state;
    static const struct hs_engine_shape shapes[] = { { SIDE, SIDE }, { SIDE, 2 * SIDE } };
    struct hs_engine_options options = defaults("latency_ms: 1");
    options.restart_above = 1;
    options.restart_pause_ns = 3600 * HS_NS_PER_S;
    struct hs_engine *engine = create(&options);
    hs_engine_start_loading(engine, shapes, 2);
    assert_int_equal(hs_engine_wait_loaded(engine, hs_deadline_in_ms(PATIENCE_MS), NULL), 0);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    WAIT_FOR(engine, s.restarts == 1 && s.copy_count == 2);
    assert_int_equal(status_of(engine).loads, 4);
    assert_int_equal(status_of(engine).evictions, 0);
    /* The pause is not over. */
    assert_int_equal(run_clients(engine, 4, 20, PATIENCE_MS), 80);
    assert_int_equal(status_of(engine).restarts, 1);
    hs_engine_destroy(engine);
}

/* A limit that is always passed costs a restart now and then, and no request. */
static void a_limit_set_too_low_does_not_thrash(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 2");
    options.restart_above = 1;
    options.restart_pause_ns = 100 * HS_NS_PER_MS;
    int64_t start_ns = hs_clock_now_ns();
    struct hs_engine *engine = create(&options);
    assert_int_equal(run_clients(engine, 8, 40, PATIENCE_MS), 320);
    int64_t took_ns = hs_clock_now_ns() - start_ns;
    struct hs_engine_status status = status_of(engine);
    assert_true(status.restarts >= 2);
    assert_true((int64_t) status.restarts <= took_ns / options.restart_pause_ns + 1);
    hs_engine_destroy(engine);
}

/* What the device does not give back is not taken from it; requests go on after the time that a run may take. */
static void a_stuck_picture_puts_a_restart_off(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 1\nfaults: [{kind: hang, at: 1, count: 1}]");
    options.restart_above = 1;
    options.restart_pause_ns = 10 * HS_NS_PER_MS;
    options.run_timeout_ns = 60 * HS_NS_PER_MS;
    struct hs_engine *engine = create(&options);
    assert_int_equal(ask_once(engine, 30), HS_ETIMEOUT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    struct hs_engine_status status = status_of(engine);
    assert_int_equal(status.restarts, 0);
    assert_int_equal(status.loads, 1);
    assert_int_equal(status.stuck, 1);
    hs_engine_destroy(engine);
}

static void a_restart_that_fails_is_a_device_that_is_down(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 1\nfaults: [{kind: load_fail, at: 2, count: 2}]");
    options.restart_above = 1;
    options.restart_pause_ns = 3600 * HS_NS_PER_S;
    struct hs_engine *engine = create(&options);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    WAIT_FOR(engine, s.restarts == 1 && s.state == HS_ENGINE_FAILED);
    WAIT_FOR(engine, s.state == HS_ENGINE_READY);
    assert_int_equal(ask_once(engine, PATIENCE_MS), 0);
    hs_engine_destroy(engine);
}

/* Everything at once: no wrong answer, nothing left behind, and all well after the last fault. */
static void storm(const char *latency, int batch, int64_t restart_above)
{
    static const char *const kinds[] = { "transient", "error", "queue_full", "late", "lost", "none", "busy", "mismatch",
                                         "memory", "load_fail", "bad_model" };
    char script[4096];
    unsigned seed = 20261;
    hs_str_format(script, sizeof(script), "%s\nfaults:\n", latency);
    size_t used = strlen(script);
    for (int i = 0; i < 40; i++) {
        seed = seed * 1103515245u + 12345u;
        const char *kind = kinds[(seed >> 16) % HS_ARRAY_LEN(kinds)];
        bool of_loads = strcmp(kind, "late") != 0 && (seed >> 16) % HS_ARRAY_LEN(kinds) > 4;
        hs_str_format(script + used, sizeof(script) - used, "  - {kind: %s, at: %u, count: %u}\n", kind,
                      of_loads ? 2 + (seed >> 8) % 8 : 1 + (seed >> 8) % 1200, 1 + (seed >> 4) % 4);
        used += strlen(script + used);
    }
    struct hs_engine_options options = defaults(script);
    options.batch = batch;
    options.failures_max = 3;
    options.run_timeout_ns = 200 * HS_NS_PER_MS;
    options.restart_above = restart_above;
    options.restart_pause_ns = 20 * HS_NS_PER_MS;
    struct hs_engine *engine = create(&options);
    run_clients(engine, 16, 120, 60);
    WAIT_FOR(engine, s.state == HS_ENGINE_READY && s.in_use == 0 && s.stuck == 0 && s.waiting == 0);
    int r = 1;
    for (int i = 0; i < 200 && r != 0; i++) /* faults counted in calls may be left */
        r = ask_once(engine, PATIENCE_MS);
    assert_int_equal(r, 0);
    hs_engine_destroy(engine);
}

static void a_storm_of_faults_mixes_nothing_up(void **state)
{
    (void) state;
    storm("latency_ms: {median: 1, p99: 4}", 1, 0);
    storm("batch_ms: {1: 1, 8: 3}", 8, 0);
    storm("batch_ms: {1: 1, 8: 3}", 8, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_share_batches),
        cmocka_unit_test(a_lease_that_is_not_run_holds_nobody_up),
        cmocka_unit_test(a_batch_is_not_waited_for_for_ever),
        cmocka_unit_test(a_lost_device_comes_back),
        cmocka_unit_test(failures_in_a_row_are_the_device_s),
        cmocka_unit_test(a_hung_device_is_given_up_and_opened_anew),
        cmocka_unit_test(attempts_on_a_device_that_goes_on_hanging_are_bounded),
        cmocka_unit_test(short_deadlines_do_not_bring_a_device_down),
        cmocka_unit_test(an_absent_device_is_waited_for),
        cmocka_unit_test(warm_up_runs_before_the_first_use),
        cmocka_unit_test(unloading_and_keeping_can_be_asked_for),
        cmocka_unit_test(a_process_that_grows_is_brought_back),
        cmocka_unit_test(both_sizes_come_back),
        cmocka_unit_test(a_limit_set_too_low_does_not_thrash),
        cmocka_unit_test(a_stuck_picture_puts_a_restart_off),
        cmocka_unit_test(a_restart_that_fails_is_a_device_that_is_down),
        cmocka_unit_test(a_storm_of_faults_mixes_nothing_up),
    };
    return HS_RUN_TESTS(tests);
}
