/* Fails each allocation of a scenario once. The request then fails or works without that memory;
 * the next request succeeds, and nothing leaks. */
#include "runner_status.h"

#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "../alloc_fail.h"
#include "backends/sim/sim.h"
#include "infer/registry.h"
#include "sim_script.h"

enum { SIDE = 64, PICTURES_MAX = 4 };

/* ---- A runner ---- */

struct plan {
    struct hs_runner_options options;
    enum hs_output_kind output_kind;
    bool free_size;
    uint64_t outputs; /* hash of the runs' outputs; 0 until known */
};

/* Returns the FNV-1a hash of all outputs of the lease. */
static uint64_t sum_outputs(const struct hs_lease *lease)
{
    struct hs_tensor_view views[HS_MODEL_MAX_OUTPUTS];
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (int picture = 0; picture < lease->pictures; picture++) {
        hs_lease_outputs(lease, picture, views);
        for (int i = 0; i < lease->output_count; i++)
            for (size_t k = 0; k < lease->descs[i].size_bytes; k++)
                sum = (sum ^ ((const uint8_t *) views[i].data)[k]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

static int run_once(struct plan *plan, struct hs_runner *runner)
{
    const struct hs_slot_request request = {
        .h = SIDE,
        .w = SIDE,
        .count = plan->options.batch > 1 ? plan->options.batch : 1,
        .deadline_ns = hs_deadline_in_ms(PATIENCE_MS),
    };
    struct hs_lease *lease = NULL;
    struct hs_error err = { 0 };
    int r = hs_runner_acquire(runner, &request, &lease, &err);
    if (r == 0) {
        assert_int_equal(lease->pictures, request.count);
        for (int i = 0; i < lease->pictures; i++)
            memset(lease->input + (size_t) i * lease->input_stride, 240, SIDE * SIDE * 3);
        r = hs_runner_run(lease, NULL, &err);
    }
    assert_int_equal(r, err.code);
    if (r == 0) {
        uint64_t sum = sum_outputs(lease);
        assert_true(plan->outputs == 0 || plan->outputs == sum);
        plan->outputs = sum;
    }
    hs_runner_release(lease);
    return r;
}

static int serve(void *arg)
{
    struct plan *plan = arg;
    static const struct hs_input_size sizes[] = { { SIDE, SIDE } };
    const struct hs_model_spec spec = {
        .path = "model",
        .std = { 255, 255, 255 },
        .input_h = SIDE,
        .input_w = SIDE,
        .free_size = plan->free_size,
        .sizes = sizes,
        .size_count = 1,
        .output_kind = plan->output_kind,
    };
    struct hs_runner *runner = NULL;
    struct hs_error err = { 0 };
    int r = hs_runner_create(&plan->options, &spec, &runner, &err);
    assert_int_equal(r, err.code);
    if (r != 0) {
        assert_null(runner);
        return r;
    }
    r = run_once(plan, runner);
    if (r != 0) {
        assert_int_equal(r, HS_ENOMEM);
        WAIT_FOR(runner, s.state == HS_RUNNER_READY);
        assert_int_equal(run_once(plan, runner), 0);
    }
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.in_use + status.waiting + status.stuck, 0);
    assert_int_equal(status.loads, 1);
    assert_int_equal(status.error.code, 0);
    hs_runner_destroy(runner);
    assert_false(hs_runner_any_leaked());
    return r;
}

static struct plan plan_of(enum hs_output_kind output_kind)
{
    return (struct plan) {
        .options = {
            .backend = &hs_backend_sim,
            .device_id = "sim0",
            .group = "group",
            .cache_dir = "cache",
            .slots = 2,
            .warmup = 1,
            .queue_max = 4,
            .retry_max_ns = HS_NS_PER_MS,
            .keep_alive_s = -1,
        },
        .output_kind = output_kind,
        .free_size = output_kind != HS_OUTPUT_EMBEDDINGS,
    };
}

static void a_runner_serves_once_it_has_memory(void **state)
{
    (void) state;
    for (int output_kind = HS_OUTPUT_POSES; output_kind <= HS_OUTPUT_EMBEDDINGS; output_kind++) {
        struct plan plan = plan_of((enum hs_output_kind) output_kind);
        assert_true(hs_fail_each_allocation(serve, &plan) > 8);
    }
}

static void a_batching_runner_serves_once_it_has_memory(void **state)
{
    (void) state;
    struct plan plan = plan_of(HS_OUTPUT_EMBEDDINGS);
    plan.options.script = sim_script("latency_ms: 0.1\nbatch_ms: {1: 0.1, 4: 0.1}\nleak_kb: 1");
    plan.options.batch = PICTURES_MAX;
    assert_true(hs_fail_each_allocation(serve, &plan) > 8);
}

/* ---- The device alone ---- */

static int use_device(void *arg)
{
    const struct hs_backend *sim = &hs_backend_sim;
    /* Uses a new script each time, so that creating the script's state is part of the test. */
    const struct hs_device_options options = { .script = sim_script("latency_ms: 0\nleak_kb: 1") };
    const struct hs_model_spec spec = { .input_h = SIDE, .input_w = SIDE, .slots = 2, .batch = 1 };
    struct hs_device *device = NULL;
    struct hs_model *model = NULL;
    struct hs_error err = { 0 };
    (void) arg;
    int r = sim->open(&options, &device, &err);
    if (r == 0) {
        r = sim->load(device, &spec, &model, &err);
        if (r == 0)
            r = sim->submit(model, 0, 1, &err);
        if (r == 0)
            r = sim->wait(model, 0, hs_deadline_in_ms(PATIENCE_MS), &err);
    }
    assert_int_equal(r, err.code);
    sim->unload(model);
    sim->close(device);
    if (r == 0)
        return 0;
    /* A failed open does not affect the next one. */
    device = NULL;
    assert_int_equal(sim->open(&options, &device, NULL), 0);
    sim->close(device);
    return r;
}

static void a_device_opens_once_it_has_memory(void **state)
{
    (void) state;
    assert_true(hs_fail_each_allocation(use_device, NULL) > 6);
}

/* ---- A backend that does not return ---- */

static sem_t inside, go_on;

static int open_never(const struct hs_device_options *options, struct hs_device **ret_device, struct hs_error *err)
{
    (void) options, (void) ret_device;
    sem_post(&inside);
    sem_wait(&go_on);
    return hs_error_set(err, HS_ENODEVICE, "gone");
}

static void probe_nothing(const struct hs_device_options *options, struct hs_backend_probe *ret_probe)
{
    (void) options;
    *ret_probe = (struct hs_backend_probe) { .available = true };
}

/* The runner is left to its loader thread, which frees it when the backend returns. Sanitizers find
 * anything that it does not free. */
static void a_runner_is_leaked_if_the_backend_does_not_return(void **state)
{
    (void) state;
    static const struct hs_backend never = {
        .abi = HS_BACKEND_ABI, .name = "never", .device = "never", .probe = probe_nothing, .open = open_never
    };
    struct plan plan = plan_of(HS_OUTPUT_POSES);
    const struct hs_model_spec spec = { .path = "model", .std = { 1, 1, 1 }, .input_h = SIDE, .input_w = SIDE };
    struct hs_runner *runner = NULL;
    sem_init(&inside, 0, 0);
    sem_init(&go_on, 0, 0);
    plan.options.backend = &never;
    assert_int_equal(hs_runner_create(&plan.options, &spec, &runner, NULL), 0);
    hs_runner_preload(runner);
    sem_wait(&inside);
    assert_false(hs_runner_any_leaked());
    int64_t start_ns = hs_clock_now_ns();
    hs_runner_destroy(runner);
    assert_true(hs_clock_now_ns() - start_ns >= 4 * HS_NS_PER_S);
    assert_true(hs_runner_any_leaked());
    /* Other runners can be created and freed in the meantime. */
    assert_int_equal(hs_runner_create(&plan.options, &spec, &runner, NULL), 0);
    hs_runner_destroy(runner);
    sem_post(&go_on);
    int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS);
    while (hs_runner_any_leaked() && hs_clock_now_ns() < give_up_ns)
        usleep(1000);
    assert_false(hs_runner_any_leaked());
    sem_destroy(&inside);
    sem_destroy(&go_on);
}

/* ---- The registry ---- */

/* A missing backend is reported as missing even without memory; only the list of folders may be
 * left out of the message. */
static int find_absent(void *arg)
{
    const struct hs_backend *backend = NULL;
    struct hs_error err = { 0 };
    (void) arg;
    assert_int_equal(hs_registry_find("nosuch", &backend, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "backend 'nosuch' not found: no hs_backend_nosuch.so in "));
    assert_null(backend);
    return 0;
}

static void an_absent_backend_is_reported_without_memory(void **state)
{
    (void) state;
    assert_true(hs_fail_each_allocation(find_absent, NULL) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_runner_serves_once_it_has_memory),
        cmocka_unit_test(a_batching_runner_serves_once_it_has_memory),
        cmocka_unit_test(a_device_opens_once_it_has_memory),
        cmocka_unit_test(an_absent_backend_is_reported_without_memory),
        cmocka_unit_test(a_runner_is_leaked_if_the_backend_does_not_return),
    };
    return HS_RUN_TESTS(tests);
}
