/* Runs the runner on a device that takes batches and fails in every way that a script can specify.
 * Each answer is compared with the simulated device's rule applied to the same picture. */
#include "runner_status.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sim/sim.h"
#include "backends/sim/vector.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/runner_internal.h"
#include "sim_script.h"
#include "stripes.h"

enum { SIDE = 112, BYTES = SIDE * SIDE * 3 };

static struct hs_runner_options defaults(const char *script)
{
    return (struct hs_runner_options) {
        .backend = &hs_backend_sim,
        .script = sim_script(script),
        .slots = 4,
        .queue_max = 64,
        .keep_alive_s = -1,
        .retry_max_ns = 100 * HS_NS_PER_MS,
    };
}

static struct hs_runner *create(const struct hs_runner_options *options)
{
    const struct hs_model_spec spec = {
        .std = { 255, 255, 255 },
        .output_kind = HS_OUTPUT_EMBEDDINGS,
        .input_h = SIDE,
        .input_w = SIDE,
    };
    struct hs_runner *runner = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_runner_create(options, &spec, &runner, &err), 0);
    return runner;
}

static bool is_expected(const struct hs_lease *lease, int picture, uint64_t seed)
{
    uint8_t *rgb = malloc(BYTES);
    struct hs_tensor_view view;
    bool same = true;
    draw_stripes(rgb, SIDE, seed);
    void *wanted = malloc(lease->descs[0].size_bytes);
    hs_sim_vector_fill(&lease->descs[0], rgb, SIDE, SIDE, wanted);
    hs_lease_outputs(lease, picture, &view);
    same = memcmp(view.data, wanted, lease->descs[0].size_bytes) == 0;
    free(wanted);
    free(rgb);
    return same;
}

/* Sends one request with `count` pictures. Returns 0, or the code of its failure; -1000: a wrong answer. */
static int ask(struct hs_runner *runner, int count, enum hs_priority priority, int64_t deadline_ms, uint64_t seed)
{
    int64_t deadline_ns = hs_deadline_in_ms(deadline_ms);
    int r = 0;
    for (int done = 0; done < count && r == 0;) {
        const struct hs_slot_request request = {
            .h = SIDE,
            .w = SIDE,
            .count = count - done,
            .priority = priority,
            .deadline_ns = deadline_ns,
        };
        struct hs_lease *lease;
        r = hs_runner_acquire(runner, &request, &lease, NULL);
        if (r != 0)
            return r;
        for (int i = 0; i < lease->pictures; i++)
            draw_stripes(lease->input + (size_t) i * lease->input_stride, SIDE, seed + (uint64_t) (done + i));
        r = hs_runner_run(lease, NULL, NULL);
        for (int i = 0; i < lease->pictures && r == 0; i++)
            r = is_expected(lease, i, seed + (uint64_t) (done + i)) ? 0 : -1000;
        done += lease->pictures;
        hs_runner_release(lease);
    }
    return r;
}

static int ask_once(struct hs_runner *runner, int64_t deadline_ms)
{
    return ask(runner, 1, HS_INTERACTIVE, deadline_ms, 7);
}

/* ---- Many at once ---- */

struct client {
    struct hs_runner *runner;
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
        int r = ask(c->runner, c->count, i % 3 == 0 ? HS_BACKGROUND : HS_INTERACTIVE, c->deadline_ms,
                    c->seed + (uint64_t) i * 64);
        c->right += r == 0;
        c->wrong += r == -1000;
        c->refused += r != 0 && r != -1000;
    }
    return NULL;
}

/* Returns the number of correct answers. */
static int run_clients(struct hs_runner *runner, int clients, int rounds, int64_t deadline_ms)
{
    struct client all[16] = { 0 };
    int right = 0;
    for (int i = 0; i < clients; i++) {
        all[i] = (struct client) {
            .runner = runner,
            .seed = (uint64_t) i << 32,
            .rounds = rounds,
            .count = i % 5 == 4 ? 3 : 1,
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

static int acquire(struct hs_runner *runner, int64_t deadline_ns, struct hs_lease **ret_lease, struct hs_error *err)
{
    const struct hs_slot_request request = { .h = SIDE, .w = SIDE, .count = 1, .deadline_ns = deadline_ns };
    return hs_runner_acquire(runner, &request, ret_lease, err);
}

/* ---- Batches ---- */

static void requests_share_batches(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("batch_ms: {1: 3, 8: 6}");
    options.batch = 8;
    struct hs_runner *runner = create(&options);
    assert_int_equal(run_clients(runner, 12, 20, PATIENCE_MS), 240);
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.pictures, 20 * (10 + 2 * 3));
    assert_true(status.runs < status.pictures);
    assert_int_equal(status.in_use, 0);
    hs_runner_destroy(runner);
}

/* The smallest batch. */
static void two_requests_share_a_batch_of_two(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("batch_ms: {1: 5, 2: 6}");
    options.batch = 2;
    options.slots = 1;
    struct hs_runner *runner = create(&options);
    const struct hs_slot_request request = { .h = SIDE, .w = SIDE, .count = 2, .deadline_ns = HS_NO_DEADLINE };
    struct hs_lease *lease;
    assert_int_equal(hs_runner_acquire(runner, &request, &lease, NULL), 0);
    assert_int_equal(lease->pictures, 2);
    for (int i = 0; i < 2; i++)
        draw_stripes(lease->input + (size_t) i * lease->input_stride, SIDE, 5 + (uint64_t) i);
    assert_int_equal(hs_runner_run(lease, NULL, NULL), 0);
    assert_true(is_expected(lease, 0, 5) && is_expected(lease, 1, 6));
    hs_runner_release(lease);
    assert_int_equal(status_of(runner).runs, 1);
    assert_int_equal(run_clients(runner, 12, 10, PATIENCE_MS), 120);
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.pictures, 2 + 10 * (10 + 2 * 3));
    assert_true(status.runs < status.pictures && 2 * status.runs >= status.pictures);
    hs_runner_destroy(runner);
}

struct late_lease {
    struct hs_runner *runner;
    pthread_t thread;
    int result;
};

static void *ask_in_thread(void *arg)
{
    struct late_lease *l = arg;
    l->result = ask_once(l->runner, PATIENCE_MS);
    return NULL;
}

/* A lease that is released without a run does not block the other leases of its batch. */
static void an_unused_lease_does_not_block_others(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("batch_ms: {1: 1, 4: 2}");
    options.batch = 4;
    options.slots = 1;
    struct hs_runner *runner = create(&options);
    struct hs_lease *unused;
    assert_int_equal(acquire(runner, hs_deadline_in_ms(PATIENCE_MS), &unused, NULL), 0);
    struct late_lease other = { .runner = runner };
    assert_int_equal(pthread_create(&other.thread, NULL, ask_in_thread, &other), 0);
    memset(unused->input, 0, BYTES);
    hs_runner_release(unused);
    pthread_join(other.thread, NULL);
    assert_int_equal(other.result, 0);
    hs_runner_destroy(runner);
}

/* A picture waits for others of its batch at most for batch_wait_ns. */
static void a_batch_is_submitted_after_its_wait(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("batch_ms: {1: 1, 4: 2}");
    options.batch = 4;
    options.batch_wait_ns = 20 * HS_NS_PER_MS;
    struct hs_runner *runner = create(&options);
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    assert_true(hs_clock_now_ns() - start_ns >= 20 * HS_NS_PER_MS);
    /* A full batch does not wait, and no deadline is missed because of the wait. */
    assert_int_equal(ask(runner, 4, HS_INTERACTIVE, PATIENCE_MS, 3), 0);
    hs_runner_destroy(runner);
}

/* ---- A backend whose calls end when the test releases them ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool submitting, released;
    struct hs_model_info info;
    uint8_t input[2 * BYTES];
    float output;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void gate_probe(const struct hs_device_options *options, struct hs_backend_probe *ret_probe)
{
    (void) options;
    *ret_probe = (struct hs_backend_probe) { .available = true };
}

static int gate_open(const struct hs_device_options *options, struct hs_device **ret_device, struct hs_error *err)
{
    (void) options, (void) err;
    *ret_device = (struct hs_device *) &gate;
    return 0;
}

static void gate_close(struct hs_device *device)
{
    (void) device;
}

static int gate_load(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                     struct hs_error *err)
{
    (void) device, (void) spec, (void) err;
    gate.info = (struct hs_model_info) {
        .input_h = SIDE,
        .input_w = SIDE,
        .slots = 1,
        .batch = 2,
        .input_stride = BYTES,
        .output_count = 1,
        .outputs = { { .dtype = HS_DTYPE_F32, .layout = HS_LAYOUT_ROWS, .h = 1, .w = 1, .c = 1, .scale = 1 } },
    };
    *ret_model = (struct hs_model *) &gate;
    return 0;
}

static void gate_unload(struct hs_model *model)
{
    (void) model;
}

static const struct hs_model_info *gate_info(const struct hs_model *model)
{
    (void) model;
    return &gate.info;
}

static uint8_t *gate_input(struct hs_model *model, int slot)
{
    (void) model, (void) slot;
    return gate.input;
}

static int gate_submit(struct hs_model *model, int slot, int count, struct hs_error *err)
{
    (void) model, (void) slot, (void) count, (void) err;
    pthread_mutex_lock(&gate.lock);
    gate.submitting = true;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.released)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    return 0;
}

static int gate_wait(struct hs_model *model, int slot, int64_t deadline_ns, struct hs_error *err)
{
    (void) model, (void) slot, (void) deadline_ns, (void) err;
    return 0;
}

static const void *gate_output(struct hs_model *model, int slot, int picture, int index)
{
    (void) model, (void) slot, (void) picture, (void) index;
    return &gate.output;
}

static const struct hs_backend gate_backend = {
    .abi = HS_BACKEND_ABI,
    .name = "gate",
    .device = "gate",
    .probe = gate_probe,
    .open = gate_open,
    .close = gate_close,
    .load = gate_load,
    .unload = gate_unload,
    .info = gate_info,
    .input = gate_input,
    .submit = gate_submit,
    .wait = gate_wait,
    .output = gate_output,
};

struct sharer {
    pthread_t thread;
    struct hs_lease *lease;
    int result;
};

static void *run_share(void *arg)
{
    struct sharer *sharer = arg;
    sharer->result = hs_runner_run(sharer->lease, NULL, NULL);
    hs_runner_release(sharer->lease);
    return NULL;
}

static bool is_ready(struct hs_runner *runner, const struct hs_lease *lease)
{
    pthread_mutex_lock(&runner->lock);
    bool ready = ((const struct hs_slot_part *) lease)->ready;
    pthread_mutex_unlock(&runner->lock);
    return ready;
}

/* Two requests share a batch. The one that submits it reaches its deadline inside the backend. The
 * other one must take over at once, and not at its own deadline, at which it would fail. */
static void a_waiter_takes_over_from_a_submitter_that_is_late(void **state)
{
    (void) state;
    struct hs_runner_options options = {
        .backend = &gate_backend,
        .batch = 2,
        .slots = 1,
        .queue_max = 4,
        .keep_alive_s = -1,
    };
    struct hs_runner *runner = create(&options);
    struct sharer patient = { .result = 1 }, late = { .result = 1 };
    int64_t late_ns = hs_deadline_in_ms(300);
    assert_int_equal(acquire(runner, hs_deadline_in_ms(PATIENCE_MS), &patient.lease, NULL), 0);
    assert_int_equal(acquire(runner, late_ns, &late.lease, NULL), 0);
    assert_int_equal(pthread_create(&patient.thread, NULL, run_share, &patient), 0);
    while (!is_ready(runner, patient.lease))
        sched_yield();
    assert_int_equal(pthread_create(&late.thread, NULL, run_share, &late), 0); /* ready last, so this one submits */
    pthread_mutex_lock(&gate.lock);
    while (!gate.submitting)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    while (hs_clock_now_ns() < late_ns)
        sched_yield();
    pthread_mutex_lock(&gate.lock);
    gate.released = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    pthread_join(late.thread, NULL);
    pthread_join(patient.thread, NULL);
    assert_int_equal(patient.result, 0);
    assert_int_equal(status_of(runner).in_use, 0);
    hs_runner_destroy(runner);
}

/* ---- A device that fails ---- */

static void a_lost_device_comes_back(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1\nfaults: [{kind: lost, at: 5, count: 3}]");
    struct hs_runner *runner = create(&options);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    assert_int_equal(ask_once(runner, PATIENCE_MS), HS_ELOST);
    /* Requests now fail at once, and not at their deadline. */
    struct hs_error err = { 0 };
    struct hs_lease *lease;
    assert_int_equal(acquire(runner, HS_NO_DEADLINE, &lease, &err), HS_ELOST);
    assert_true(err.message[0]);
    WAIT_FOR(runner, s.state == HS_RUNNER_READY);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    assert_int_equal(status_of(runner).error.code, 0);
    hs_runner_destroy(runner);
}

struct waiter {
    struct hs_runner *runner;
    pthread_t thread;
    bool acquires; /* else the thread calls hs_runner_wait_loaded */
    int result;
};

static void *wait_without_deadline(void *arg)
{
    struct waiter *waiter = arg;
    struct hs_lease *lease;
    waiter->result = waiter->acquires ? acquire(waiter->runner, HS_NO_DEADLINE, &lease, NULL)
                                      : hs_runner_wait_loaded(waiter->runner, HS_NO_DEADLINE, NULL);
    if (waiter->acquires && waiter->result == 0)
        hs_runner_release(lease);
    return NULL;
}

/* Joins the threads of start_waiters, of which half wait for the load and half for a slot. Returns
 * the number that failed. */
static int join_waiters(struct waiter *waiters, int count)
{
    int failed = 0;
    for (int i = 0; i < count; i++) {
        pthread_join(waiters[i].thread, NULL);
        failed += waiters[i].result != 0;
    }
    return failed;
}

static void start_waiters(struct waiter *waiters, int count, struct hs_runner *runner)
{
    for (int i = 0; i < count; i++) {
        waiters[i] = (struct waiter) { .runner = runner, .acquires = i % 2 };
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_without_deadline, &waiters[i]), 0);
    }
}

/* The device goes down while its model is loading, and again while a load is wanted. Every waiter
 * must be woken. */
static void waiters_for_a_load_fail_if_the_device_is_down(void **state)
{
    (void) state;
    enum { WAITERS = 8 };
    struct waiter waiters[WAITERS];
    struct hs_runner_options options = defaults("load_ms: 300\nfaults: [{kind: load_fail, count: 2}]");
    struct hs_runner *runner = create(&options);
    hs_runner_preload(runner);
    start_waiters(waiters, WAITERS, runner);
    assert_int_equal(join_waiters(waiters, WAITERS), WAITERS);
    WAIT_FOR(runner, s.state == HS_RUNNER_READY);
    /* The model is wanted while it is unloaded, and the device fails during that time. */
    start_waiters(waiters, WAITERS, runner);
    hs_runner_unload(runner);
    hs_runner_preload(runner);
    join_waiters(waiters, WAITERS);
    WAIT_FOR(runner, s.state == HS_RUNNER_READY || s.state == HS_RUNNER_IDLE);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    hs_runner_destroy(runner);
}

static void consecutive_failures_mark_the_device_down(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1\nfaults: [{kind: error, at: 2, count: 6}]");
    options.failures_max = 3;
    struct hs_runner *runner = create(&options);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_once(runner, PATIENCE_MS), HS_EDEVICE);
    assert_int_equal(ask_once(runner, PATIENCE_MS), HS_ENOTREADY);
    assert_int_equal(status_of(runner).state, HS_RUNNER_FAILED);
    WAIT_FOR(runner, s.state == HS_RUNNER_READY);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    hs_runner_destroy(runner);
}

static void a_hung_device_is_abandoned_and_reopened(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1\nfaults: [{kind: hang, at: 2, count: 2}]");
    options.slots = 2;
    options.failures_max = 2;
    options.run_timeout_ns = 30 * HS_NS_PER_MS;
    struct hs_runner *runner = create(&options);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    assert_int_equal(ask_once(runner, PATIENCE_MS), HS_ELOST);
    assert_int_equal(ask_once(runner, PATIENCE_MS), HS_ELOST);
    assert_true(status_of(runner).hung);
    WAIT_FOR(runner, s.state == HS_RUNNER_READY);
    assert_false(status_of(runner).hung);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    hs_runner_destroy(runner); /* leaves the hung instances allocated */
}

/* Each attempt leaves an instance that the device still holds. */
static void reopens_of_a_hung_device_are_bounded(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1\nfaults: [{kind: hang, at: 2}]");
    options.run_timeout_ns = 2 * HS_NS_PER_MS;
    options.retry_max_ns = HS_NS_PER_MS;
    options.slots = options.failures_max = 1;
    options.batch = 1;
    struct hs_runner *runner = create(&options);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    assert_int_equal(ask_once(runner, PATIENCE_MS), HS_ELOST);
    /* Allows time for more attempts than the number of abandoned instances permits. */
    for (int64_t end_ns = hs_deadline_in_ms(1500); hs_clock_now_ns() < end_ns;) {
        struct hs_runner_status status = status_of(runner);
        assert_int_equal(status.state, HS_RUNNER_FAILED);
        assert_true(status.hung);
    }
    assert_int_equal(ask_once(runner, PATIENCE_MS), HS_ELOST);
    hs_runner_destroy(runner);
}

/* No request waits any more, and the device returns no slot for as long as a run may take: the
 * device is hung. */
static void a_device_that_keeps_all_pictures_hangs(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1\nfaults: [{kind: hang, at: 1, count: 2}]");
    options.slots = 2;
    options.run_timeout_ns = 200 * HS_NS_PER_MS;
    struct hs_runner *runner = create(&options);
    hs_runner_preload(runner);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ask_once(runner, 20), HS_ETIMEOUT);
    assert_false(status_of(runner).hung);
    WAIT_FOR(runner, s.hung || s.loads > 1);
    struct hs_runner_status status = status_of(runner);
    if (status.hung)
        assert_string_equal(status.error.message, "the device did not return its 2 slots within 0.2 s");
    WAIT_FOR(runner, s.state == HS_RUNNER_READY && s.loads == 2);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    hs_runner_destroy(runner);
    assert_true(hs_runner_any_leaked()); /* the device still holds its memory */
}

static void short_deadlines_do_not_bring_a_device_down(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 40");
    options.slots = 1;
    options.failures_max = 1;
    struct hs_runner *runner = create(&options);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask_once(runner, 5), HS_ETIMEOUT);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    assert_int_equal(status_of(runner).failures, 0);
    hs_runner_destroy(runner);
}

static void an_unavailable_device_recovers(void **state)
{
    (void) state;
    static const struct {
        const char *kind;
        int expected;
    } kinds[] = {
        { "none", HS_ENODEVICE },      { "busy", HS_EINUSE },   { "mismatch", HS_ENOTREADY },
        { "bad_model", HS_ENOTREADY }, { "memory", HS_ENOMEM }, { "load_fail", HS_ENOTREADY },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(kinds); i++) {
        char script[100];
        hs_str_format(script, sizeof(script), "latency_ms: 0\nfaults: [{kind: %s, at: 1, count: 2}]", kinds[i].kind);
        struct hs_runner_options options = defaults(script);
        struct hs_runner *runner = create(&options);
        assert_int_equal(ask_once(runner, PATIENCE_MS), kinds[i].expected);
        WAIT_FOR(runner, s.state == HS_RUNNER_READY);
        assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
        hs_runner_destroy(runner);
    }
}

static void warm_up_runs_before_the_first_use(void **state)
{
    (void) state;
    /* The first two runs fail: the first one in the warm-up, the second one in the next attempt. */
    struct hs_runner_options options = defaults("latency_ms: 0\nfaults: [{kind: error, at: 1, count: 2}]");
    options.warmup = 3;
    struct hs_runner *runner = create(&options);
    assert_int_equal(ask_once(runner, PATIENCE_MS), HS_ENOTREADY);
    WAIT_FOR(runner, s.state == HS_RUNNER_READY);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    assert_int_equal(status_of(runner).runs, 1);
    hs_runner_destroy(runner);
}

static void unload_and_keep_alive_can_be_requested(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 0");
    struct hs_runner *runner = create(&options);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    hs_runner_unload(runner);
    WAIT_FOR(runner, s.state == HS_RUNNER_IDLE);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    assert_int_equal(status_of(runner).state, HS_RUNNER_READY);
    hs_runner_set_keep_alive(runner, 0);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    WAIT_FOR(runner, s.state == HS_RUNNER_IDLE);
    hs_runner_destroy(runner);
}

/* An unload that is requested during a failing load does not apply to the model that the next
 * attempt loads. */
static void an_unload_ends_with_a_load_that_fails(void **state)
{
    (void) state;
    struct hs_runner_options options =
        defaults("latency_ms: 0\nload_ms: 200\nfaults: [{kind: load_fail, at: 1, count: 1}]");
    struct hs_runner *runner = create(&options);
    hs_runner_preload(runner);
    hs_runner_unload(runner);
    WAIT_FOR(runner, s.loads == 1);
    pthread_mutex_lock(&runner->lock);
    assert_false(runner->unload_asked);
    assert_int_equal(runner->load_state, HS_LOAD_LOADED);
    pthread_mutex_unlock(&runner->lock);
    hs_runner_destroy(runner);
}

/* ---- A process that grows ---- */

#define MIB (INT64_C(1) << 20)

struct restart_log {
    int times, grew;
    int64_t least_before_bytes;
};

static void note_restart(void *arg, int64_t before_bytes, int64_t after_bytes)
{
    struct restart_log *restart_log = arg;
    if (restart_log->times++ == 0 || before_bytes < restart_log->least_before_bytes)
        restart_log->least_before_bytes = before_bytes;
    restart_log->grew += after_bytes >= before_bytes;
}

/* Under a sanitizer or an emulator, the memory of the process includes theirs. */
static bool can_check_memory(void)
{
    return !HS_SANITIZED && !getenv("HS_EMULATED");
}

/* Without restarts the process would grow by nearly 1 GiB. No request fails. */
static void a_restart_frees_the_memory_of_a_growing_process(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 4\nload_ms: 20\nleak_kb: 2048");
    struct restart_log restart_log = { 0 };
    int64_t before_bytes = hs_mem_resident();
    options.restart_above = before_bytes + 60 * MIB;
    options.restart_pause_ns = 10 * HS_NS_PER_MS;
    options.on_restart = note_restart;
    options.on_restart_arg = &restart_log;
    struct hs_runner *runner = create(&options);
    assert_int_equal(run_clients(runner, 8, 45, PATIENCE_MS), 360);
    struct hs_runner_status status = status_of(runner);
    assert_true(status.restarts >= 2);
    assert_int_equal(restart_log.times, status.restarts);
    assert_true(restart_log.least_before_bytes > options.restart_above);
    assert_true(!can_check_memory() || restart_log.grew == 0);
    assert_true(!can_check_memory() || hs_mem_resident() < before_bytes + 300 * MIB);
    assert_int_equal(status.failures + status.timeouts + status.refusals, 0);
    hs_runner_destroy(runner);
}

static void a_restart_loads_the_model_again(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1");
    options.restart_above = 1;
    options.restart_pause_ns = 3600 * HS_NS_PER_S;
    struct hs_runner *runner = create(&options);
    hs_runner_preload(runner);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), NULL), 0);
    assert_int_equal(status_of(runner).restarts, 0); /* only after the first use */
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    WAIT_FOR(runner, s.restarts == 1 && s.state == HS_RUNNER_READY);
    assert_int_equal(status_of(runner).loads, 2);
    /* The pause has not ended. */
    assert_int_equal(run_clients(runner, 4, 20, PATIENCE_MS), 80);
    assert_int_equal(status_of(runner).restarts, 1);
    hs_runner_destroy(runner);
}

static void a_preload_cancels_a_pending_unload(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1");
    struct hs_runner *runner = create(&options);
    struct hs_lease *lease;
    assert_int_equal(acquire(runner, hs_deadline_in_ms(PATIENCE_MS), &lease, NULL), 0);
    hs_runner_unload(runner);
    hs_runner_preload(runner);
    pthread_mutex_lock(&runner->lock);
    assert_false(runner->unload_asked);
    pthread_mutex_unlock(&runner->lock);
    hs_runner_release(lease);
    hs_runner_destroy(runner);
}

/* Blocks a restart, after the device is closed, until the test continues. */
struct restart_gate {
    sem_t reached, go_on;
};

static void wait_in_restart(void *arg, int64_t before_bytes, int64_t after_bytes)
{
    (void) before_bytes, (void) after_bytes;
    struct restart_gate *restart_gate = arg;
    sem_post(&restart_gate->reached);
    sem_wait(&restart_gate->go_on);
}

static void a_preload_during_a_restart_is_served_by_it(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1");
    struct restart_gate restart_gate;
    sem_init(&restart_gate.reached, 0, 0);
    sem_init(&restart_gate.go_on, 0, 0);
    options.restart_above = 1;
    options.restart_pause_ns = 3600 * HS_NS_PER_S;
    options.on_restart = wait_in_restart;
    options.on_restart_arg = &restart_gate;
    struct hs_runner *runner = create(&options);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    sem_wait(&restart_gate.reached);
    hs_runner_preload(runner);
    sem_post(&restart_gate.go_on);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), NULL), 0);
    assert_int_equal(status_of(runner).loads, 2);
    hs_runner_destroy(runner);
    sem_destroy(&restart_gate.reached);
    sem_destroy(&restart_gate.go_on);
}

/* A limit that is always exceeded causes only occasional restarts, and no request fails. */
static void a_limit_set_too_low_does_not_thrash(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 2");
    options.restart_above = 1;
    options.restart_pause_ns = 100 * HS_NS_PER_MS;
    int64_t start_ns = hs_clock_now_ns();
    struct hs_runner *runner = create(&options);
    assert_int_equal(run_clients(runner, 8, 40, PATIENCE_MS), 320);
    int64_t took_ns = hs_clock_now_ns() - start_ns;
    struct hs_runner_status status = status_of(runner);
    assert_true(status.restarts >= 2);
    assert_true((int64_t) status.restarts <= took_ns / options.restart_pause_ns + 1);
    hs_runner_destroy(runner);
}

/* A restart does not take slots from the device. If one is not returned within the time that a run
 * may take, the restart is put off and requests continue. */
static void a_stuck_picture_delays_a_restart(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1\nfaults: [{kind: hang, at: 1, count: 1}]");
    options.restart_above = 1;
    options.restart_pause_ns = 10 * HS_NS_PER_MS;
    options.run_timeout_ns = 60 * HS_NS_PER_MS;
    struct hs_runner *runner = create(&options);
    assert_int_equal(ask_once(runner, 30), HS_ETIMEOUT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.restarts, 0);
    assert_int_equal(status.loads, 1);
    assert_int_equal(status.stuck, 1);
    hs_runner_destroy(runner);
}

/* A lease that is held longer than a run may take puts the restart off, and other requests continue. */
static void a_held_lease_delays_a_restart(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1");
    options.restart_above = 1;
    options.restart_pause_ns = 3600 * HS_NS_PER_S;
    options.run_timeout_ns = 100 * HS_NS_PER_MS;
    struct hs_runner *runner = create(&options);
    struct hs_lease *kept;
    assert_int_equal(acquire(runner, hs_deadline_in_ms(PATIENCE_MS), &kept, NULL), 0);
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    WAIT_FOR(runner, s.state == HS_RUNNER_LOADING);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(1), NULL), HS_ETIMEOUT);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    assert_true(hs_clock_now_ns() - start_ns >= 100 * HS_NS_PER_MS);
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.state, HS_RUNNER_READY);
    assert_int_equal(status.restarts, 0);
    assert_int_equal(status.loads, 1);
    /* Another runner can restart now. */
    struct hs_runner *other = create(&options);
    assert_int_equal(ask_once(other, PATIENCE_MS), 0);
    WAIT_FOR(other, s.restarts == 1 && s.state == HS_RUNNER_READY);
    hs_runner_destroy(other);
    hs_runner_release(kept);
    hs_runner_destroy(runner);
}

static void a_failed_restart_marks_the_device_down(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1\nfaults: [{kind: load_fail, at: 2, count: 2}]");
    options.restart_above = 1;
    options.restart_pause_ns = 3600 * HS_NS_PER_S;
    struct hs_runner *runner = create(&options);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    WAIT_FOR(runner, s.restarts == 1 && s.state == HS_RUNNER_FAILED);
    WAIT_FOR(runner, s.state == HS_RUNNER_READY);
    assert_int_equal(ask_once(runner, PATIENCE_MS), 0);
    hs_runner_destroy(runner);
}

/* Many faults at once: no answer is wrong, nothing leaks, and after the last fault the device recovers. */
static void run_with_faults(const char *latency, int batch, int64_t restart_above)
{
    static const char *const kinds[] = { "transient", "error",    "queue_full", "late",      "lost",     "none",
                                         "busy",      "mismatch", "memory",     "load_fail", "bad_model" };
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
    struct hs_runner_options options = defaults(script);
    options.batch = batch;
    options.failures_max = 3;
    options.run_timeout_ns = 200 * HS_NS_PER_MS;
    options.restart_above = restart_above;
    options.restart_pause_ns = 20 * HS_NS_PER_MS;
    struct hs_runner *runner = create(&options);
    run_clients(runner, 16, 120, 60);
    WAIT_FOR(runner, s.state == HS_RUNNER_READY && s.in_use == 0 && s.stuck == 0 && s.waiting == 0);
    int r = 1;
    for (int i = 0; i < 200 && r != 0; i++) /* faults that begin at a call may still be pending */
        r = ask_once(runner, PATIENCE_MS);
    assert_int_equal(r, 0);
    hs_runner_destroy(runner);
}

static void random_faults_mix_up_no_results(void **state)
{
    (void) state;
    run_with_faults("latency_ms: {median: 1, p99: 4}", 1, 0);
    run_with_faults("batch_ms: {1: 1, 8: 3}", 8, 0);
    run_with_faults("batch_ms: {1: 1, 8: 3}", 8, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_share_batches),
        cmocka_unit_test(two_requests_share_a_batch_of_two),
        cmocka_unit_test(an_unused_lease_does_not_block_others),
        cmocka_unit_test(a_batch_is_submitted_after_its_wait),
        cmocka_unit_test(a_waiter_takes_over_from_a_submitter_that_is_late),
        cmocka_unit_test(a_lost_device_comes_back),
        cmocka_unit_test(waiters_for_a_load_fail_if_the_device_is_down),
        cmocka_unit_test(consecutive_failures_mark_the_device_down),
        cmocka_unit_test(a_hung_device_is_abandoned_and_reopened),
        cmocka_unit_test(reopens_of_a_hung_device_are_bounded),
        cmocka_unit_test(short_deadlines_do_not_bring_a_device_down),
        cmocka_unit_test(an_unavailable_device_recovers),
        cmocka_unit_test(warm_up_runs_before_the_first_use),
        cmocka_unit_test(unload_and_keep_alive_can_be_requested),
        cmocka_unit_test(an_unload_ends_with_a_load_that_fails),
        cmocka_unit_test(a_restart_frees_the_memory_of_a_growing_process),
        cmocka_unit_test(a_restart_loads_the_model_again),
        cmocka_unit_test(a_preload_cancels_a_pending_unload),
        cmocka_unit_test(a_preload_during_a_restart_is_served_by_it),
        cmocka_unit_test(a_limit_set_too_low_does_not_thrash),
        cmocka_unit_test(a_stuck_picture_delays_a_restart),
        cmocka_unit_test(a_held_lease_delays_a_restart),
        cmocka_unit_test(a_failed_restart_marks_the_device_down),
        cmocka_unit_test(a_device_that_keeps_all_pictures_hangs),
        cmocka_unit_test(random_faults_mix_up_no_results),
    };
    return HS_RUN_TESTS(tests);
}
