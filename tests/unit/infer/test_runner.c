#include "runner_status.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "backends/sim/sim.h"
#include "base/mem.h"
#include "sim_script.h"

static struct hs_runner_options defaults(const char *script)
{
    return (struct hs_runner_options) {
        .backend = &hs_backend_sim,
        .script = script ? sim_script(script) : NULL,
        .slots = 2,
        .queue_max = 64,
        .keep_alive_s = -1,
    };
}

static struct hs_runner *create(const struct hs_runner_options *options)
{
    const struct hs_model_spec spec = { .std = { 255, 255, 255 }, .input_h = 640, .input_w = 640, .free_size = true };
    struct hs_runner *runner = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_runner_create(options, &spec, &runner, &err), 0);
    return runner;
}

static int acquire_until(struct hs_runner *runner, int h, int w, int64_t deadline_ns, struct hs_cancel *cancel,
                         struct hs_lease **ret_lease, struct hs_error *err)
{
    const struct hs_slot_request request = {
        .h = h,
        .w = w,
        .count = 1,
        .deadline_ns = deadline_ns,
        .cancel = cancel,
    };
    return hs_runner_acquire(runner, &request, ret_lease, err);
}

static struct hs_lease *acquire(struct hs_runner *runner, int h, int w)
{
    struct hs_lease *lease = NULL;
    struct hs_error err = { 0 };
    int r = acquire_until(runner, h, w, hs_deadline_in_ms(PATIENCE_MS), NULL, &lease, &err);
    if (r != 0)
        print_error("acquire: %d %s\n", r, err.message);
    assert_int_equal(r, 0);
    return lease;
}

static int try_acquire(struct hs_runner *runner, int h, int w, int64_t ms, struct hs_lease **ret_lease)
{
    struct hs_error err = { 0 };
    int r = acquire_until(runner, h, w, hs_deadline_in_ms(ms), NULL, ret_lease, &err);
    assert_int_equal(r, err.code);
    return r;
}

static void a_request_goes_through(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 15");
    struct hs_runner *runner = create(&options);
    assert_int_equal(status_of(runner).state, HS_RUNNER_IDLE);
    struct hs_lease *lease = acquire(runner, 384, 640);
    struct hs_runner_timings timings;
    struct hs_error err = { 0 };
    assert_int_equal(lease->input_h, 384);
    assert_int_equal(lease->input_w, 640);
    memset(lease->input, 114, 384 * 640 * 3);
    assert_int_equal(hs_runner_run(lease, &timings, &err), 0);
    assert_true(timings.inference_ns >= 15 * HS_NS_PER_MS);
    assert_true(timings.queue_ns >= 0);
    assert_int_equal(lease->output_count, 9);
    assert_int_equal(lease->outputs[6].h, 12);
    assert_int_equal(lease->outputs[6].c, lease->descs[6].c);
    hs_runner_release(lease);
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.state, HS_RUNNER_READY);
    assert_true(status.loaded);
    assert_string_equal(status.backend, "sim");
    assert_non_null(strstr(status.device, "simulated"));
    assert_int_equal(status.runs, 1);
    assert_int_equal(status.in_use, 0);
    assert_int_equal(status.loads, 1);
    hs_runner_destroy(runner);
    hs_runner_destroy(NULL);
}

static void options_out_of_bounds_are_refused(void **state)
{
    (void) state;
    static const struct {
        int slots, batch, queue_max, threads;
        int64_t above, pause_ns;
        const char *message; /* NULL: accepted */
    } cases[] = {
        { -1, 0, 0, 0, 0, 0, "slots must be 0 to 16" },
        { HS_MODEL_MAX_SLOTS + 1, 0, 0, 0, 0, 0, "slots must be 0 to 16" },
        { 0, -1, 0, 0, 0, 0, "the batch size must be 0 to 32 pictures" },
        { 0, HS_MODEL_MAX_BATCH + 1, 0, 0, 0, 0, "the batch size must be 0 to 32 pictures" },
        { 0, 0, -1, 0, 0, 0, "the length of the queue and the number of threads" },
        { 0, 0, 0, -1, 0, 0, "the length of the queue and the number of threads" },
        { 0, 0, 0, 0, -1, 0, "the memory limit and the pause between restarts" },
        { 0, 0, 0, 0, 0, -1, "the memory limit and the pause between restarts" },
        { 0, 0, 0, 0, 0, 0, NULL },
        { HS_MODEL_MAX_SLOTS, HS_MODEL_MAX_BATCH, 1, 1, 1, 1, NULL },
    };
    const struct hs_model_spec spec = { .std = { 1, 1, 1 }, .input_h = 8, .input_w = 8 };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_runner *runner = NULL;
        struct hs_error err = { 0 };
        struct hs_runner_options options = defaults(NULL);
        options.slots = cases[i].slots;
        options.batch = cases[i].batch;
        options.queue_max = cases[i].queue_max;
        options.threads = cases[i].threads;
        options.restart_above = cases[i].above;
        options.restart_pause_ns = cases[i].pause_ns;
        int r = hs_runner_create(&options, &spec, &runner, &err);
        assert_int_equal(r, cases[i].message ? HS_EINVAL : 0);
        assert_int_equal(runner == NULL, cases[i].message != NULL);
        if (cases[i].message)
            assert_non_null(strstr(err.message, cases[i].message));
        hs_runner_destroy(runner);
    }
}

static void requests_out_of_bounds_are_refused(void **state)
{
    (void) state;
    static const struct {
        int h, w, count;
        const char *message; /* NULL: accepted */
    } cases[] = {
        { 0, 640, 1, "an input of 640x0" },
        { 640, 0, 1, "an input of 0x640" },
        { 641, 640, 1, "an input of 640x641" },
        { 640, 641, 1, "an input of 641x640" },
        { 64, 64, 0, "at least one picture" },
        { 64, 64, -1, "at least one picture" },
        { 640, 640, 1, NULL },
        { 1, 1, 1, NULL },
    };
    struct hs_runner_options options = defaults("latency_ms: 0");
    struct hs_runner *runner = create(&options);
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        const struct hs_slot_request request = {
            .h = cases[i].h,
            .w = cases[i].w,
            .count = cases[i].count,
            .deadline_ns = hs_deadline_in_ms(PATIENCE_MS),
        };
        struct hs_lease *lease = NULL;
        struct hs_error err = { 0 };
        assert_int_equal(hs_runner_acquire(runner, &request, &lease, &err), cases[i].message ? HS_EINVAL : 0);
        assert_int_equal(lease == NULL, cases[i].message != NULL);
        if (cases[i].message)
            assert_non_null(strstr(err.message, cases[i].message));
        hs_runner_release(lease);
    }
    hs_runner_destroy(runner);
    /* A model with a fixed size accepts only that size. */
    const struct hs_model_spec spec = { .std = { 1, 1, 1 }, .input_h = 64, .input_w = 32 };
    static const int sizes[][3] = {
        { 64, 32, 0 }, { 32, 32, HS_EINVAL }, { 64, 16, HS_EINVAL }, { 32, 64, HS_EINVAL }
    };
    assert_int_equal(hs_runner_create(&options, &spec, &runner, NULL), 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(sizes); i++) {
        struct hs_lease *lease = NULL;
        assert_int_equal(try_acquire(runner, sizes[i][0], sizes[i][1], PATIENCE_MS, &lease), sizes[i][2]);
        hs_runner_release(lease);
    }
    hs_runner_destroy(runner);
}

/* The runner keeps no pointer to the strings of its options. */
static void texts_of_the_options_are_copied(void **state)
{
    (void) state;
    char id[] = "sim1", script[64];
    snprintf(script, sizeof(script), "%s", sim_script("devices: 2\nlatency_ms: 0"));
    struct hs_runner_options options = defaults(NULL);
    options.device_id = id;
    options.script = script;
    struct hs_runner *runner = create(&options);
    memset(id, 'x', sizeof(id) - 1);
    memset(script, 'x', sizeof(script) - 1);
    hs_runner_release(acquire(runner, 64, 64));
    hs_runner_destroy(runner);
    runner = create(&options);
    hs_runner_preload(runner);
    struct hs_error err = { 0 };
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "xxxx"));
    hs_runner_destroy(runner);
}

/* A run is refused if its deadline has passed or its client was cancelled; the lease is returned unused. */
static void an_expired_run_is_not_started(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 0");
    struct hs_runner *runner = create(&options);
    struct hs_lease *lease;
    struct hs_error err = { 0 };
    struct hs_cancel cancel;
    hs_runner_release(acquire(runner, 64, 64));
    int64_t deadline_ns = hs_deadline_in_ms(200);
    assert_int_equal(acquire_until(runner, 64, 64, deadline_ns, NULL, &lease, &err), 0);
    while (hs_clock_now_ns() < deadline_ns)
        usleep(1000);
    assert_int_equal(hs_runner_run(lease, NULL, &err), HS_ETIMEOUT);
    assert_string_equal(err.message, "the timeout passed before the inference started");
    hs_runner_release(lease);
    hs_cancel_init(&cancel);
    assert_int_equal(acquire_until(runner, 64, 64, hs_deadline_in_ms(PATIENCE_MS), &cancel, &lease, &err), 0);
    hs_cancel_trigger(&cancel);
    assert_int_equal(hs_runner_run(lease, NULL, &err), HS_ECANCELED);
    assert_string_equal(err.message, "cancelled before the inference started");
    hs_runner_release(lease);
    assert_int_equal(acquire_until(runner, 64, 64, hs_deadline_in_ms(PATIENCE_MS), &cancel, &lease, &err),
                     HS_ECANCELED);
    assert_string_equal(err.message, "cancelled before the start");
    hs_cancel_finish(&cancel);
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.in_use + status.stuck + status.waiting, 0);
    assert_int_equal(status.runs + status.failures, 0);
    hs_runner_destroy(runner);
}

static void states_have_names(void **state)
{
    (void) state;
    static const char *const names[] = { "idle", "loading", "ready", "unloading", "failed", "failed" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++)
        assert_string_equal(hs_runner_state_name((enum hs_runner_state) i), names[i]);
}

struct client {
    pthread_t thread;
    struct hs_runner *runner;
    struct hs_cancel *cancel;
    int h, w, rounds, result;
    int64_t deadline_ms;
};

static void *use_runner(void *arg)
{
    struct client *client = arg;
    for (int i = 0; i < client->rounds; i++) {
        struct hs_lease *lease;
        struct hs_error err = { 0 };
        client->result = acquire_until(client->runner, client->h, client->w, hs_deadline_in_ms(client->deadline_ms),
                                       client->cancel, &lease, &err);
        if (client->result != 0)
            break;
        memset(lease->input, i, (size_t) client->h * (size_t) client->w * 3);
        client->result = hs_runner_run(lease, NULL, &err);
        hs_runner_release(lease);
        if (client->result != 0)
            break;
    }
    return NULL;
}

static void start(struct client *client)
{
    assert_int_equal(pthread_create(&client->thread, NULL, use_runner, client), 0);
}

static void many_first_requests_load_once(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1\nload_ms: 50");
    struct hs_runner *runner = create(&options);
    struct client clients[16];
    for (size_t i = 0; i < HS_ARRAY_LEN(clients); i++) {
        clients[i] = (struct client) { .runner = runner, .h = 64, .w = 64, .rounds = 5, .deadline_ms = PATIENCE_MS };
        start(&clients[i]);
    }
    for (size_t i = 0; i < HS_ARRAY_LEN(clients); i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].result, 0);
    }
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.loads, 1);
    assert_int_equal(status.runs, 80);
    assert_int_equal(status.in_use, 0);
    assert_int_equal(status.waiting, 0);
    hs_runner_destroy(runner);
}

static void one_load_serves_all_sizes(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 1\nload_ms: 1");
    struct hs_runner *runner = create(&options);
    struct client clients[12];
    struct hs_error err = { 0 };
    for (int i = 0; i < 12; i++) {
        clients[i] = (struct client) {
            .runner = runner,
            .h = 32 + 32 * (i % 5),
            .w = 64,
            .rounds = 8,
            .deadline_ms = PATIENCE_MS,
        };
        start(&clients[i]);
    }
    for (int i = 0; i < 12; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].result, 0);
    }
    assert_int_equal(status_of(runner).loads, 1);
    assert_int_equal(status_of(runner).runs, 96);
    /* The output descriptions have the size of this run. */
    for (int side = 64; side <= 640; side += 192) {
        struct hs_lease *lease = acquire(runner, side, 320);
        memset(lease->input, 114, (size_t) side * 320 * 3);
        assert_int_equal(hs_runner_run(lease, NULL, &err), 0);
        assert_int_equal(lease->outputs[0].h, side / 8);
        assert_int_equal(lease->outputs[0].w, 40);
        hs_runner_release(lease);
    }
    hs_runner_destroy(runner);
}

static void slots_bound_what_is_in_the_device(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 0");
    struct hs_runner *runner = create(&options);
    struct hs_lease *a = acquire(runner, 32, 32), *b = acquire(runner, 64, 64), *c = NULL;
    assert_int_equal(try_acquire(runner, 32, 32, 20, &c), HS_ETIMEOUT);
    assert_int_equal(try_acquire(runner, 96, 96, 20, &c), HS_ETIMEOUT);
    hs_runner_release(a);
    assert_int_equal(try_acquire(runner, 96, 96, PATIENCE_MS, &c), 0);
    hs_runner_release(b);
    hs_runner_release(c);
    assert_int_equal(status_of(runner).timeouts, 2);
    hs_runner_destroy(runner);
}

static void a_full_queue_refuses(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 0");
    options.slots = 1;
    options.queue_max = 1;
    struct hs_runner *runner = create(&options);
    struct hs_lease *held = acquire(runner, 32, 32), *lease;
    struct client waiting = { .runner = runner, .h = 32, .w = 32, .rounds = 1, .deadline_ms = PATIENCE_MS };
    start(&waiting);
    WAIT_FOR(runner, s.waiting == 1);
    assert_int_equal(try_acquire(runner, 32, 32, PATIENCE_MS, &lease), HS_EBUSY);
    assert_int_equal(status_of(runner).refusals, 1);
    hs_runner_release(held);
    pthread_join(waiting.thread, NULL);
    assert_int_equal(waiting.result, 0);
    hs_runner_destroy(runner);
}

static void waiters_are_served_in_order(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 0");
    options.slots = 1;
    struct hs_runner *runner = create(&options);
    struct hs_lease *held = acquire(runner, 32, 32), *lease;
    struct client first = { .runner = runner, .h = 32, .w = 32, .rounds = 1, .deadline_ms = PATIENCE_MS };
    start(&first);
    WAIT_FOR(runner, s.waiting == 1);
    /* The second request arrives later and times out first. It must not take the slot for which the
     * first one waits. */
    assert_int_equal(try_acquire(runner, 32, 32, 10, &lease), HS_ETIMEOUT);
    hs_runner_release(held);
    pthread_join(first.thread, NULL);
    assert_int_equal(first.result, 0);
    hs_runner_destroy(runner);
}

static void a_cancelled_request_leaves_the_queue(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 0");
    options.slots = 1;
    struct hs_runner *runner = create(&options);
    struct hs_lease *held = acquire(runner, 32, 32);
    struct hs_cancel cancel;
    hs_cancel_init(&cancel);
    struct client waiting = {
        .runner = runner,
        .h = 32,
        .w = 32,
        .rounds = 1,
        .deadline_ms = -1,
        .cancel = &cancel,
    };
    start(&waiting);
    WAIT_FOR(runner, s.waiting == 1);
    hs_cancel_trigger(&cancel);
    pthread_join(waiting.thread, NULL);
    assert_int_equal(waiting.result, HS_ECANCELED);
    assert_int_equal(status_of(runner).waiting, 0);
    /* A request that is already cancelled does not wait at all. */
    struct hs_lease *lease;
    struct hs_error err = { 0 };
    assert_int_equal(acquire_until(runner, 32, 32, HS_NO_DEADLINE, &cancel, &lease, &err), HS_ECANCELED);
    hs_runner_release(held);
    hs_cancel_finish(&cancel);
    hs_runner_destroy(runner);
}

static void a_late_slot_is_unused_until_it_is_returned(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 150");
    options.slots = 1;
    struct hs_runner *runner = create(&options);
    struct hs_error err = { 0 };
    hs_runner_preload(runner);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    struct hs_lease *lease;
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(try_acquire(runner, 32, 32, 20, &lease), 0);
    assert_int_equal(hs_runner_run(lease, NULL, &err), HS_ETIMEOUT);
    hs_runner_release(lease);
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.stuck, 1);
    assert_int_equal(status.in_use, 1);
    /* The short deadline of one client does not mark the device as down. */
    assert_int_equal(status.state, HS_RUNNER_READY);
    lease = acquire(runner, 32, 32);
    assert_true(hs_clock_now_ns() - start_ns >= 150 * HS_NS_PER_MS);
    assert_int_equal(status_of(runner).stuck, 0);
    assert_int_equal(status_of(runner).state, HS_RUNNER_READY);
    assert_int_equal(hs_runner_run(lease, NULL, &err), 0);
    hs_runner_release(lease);
    hs_runner_destroy(runner);
}

static void a_hung_run_does_not_block_other_slots(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 0\nfaults: [{kind: hang, at: 1, count: 1}]");
    struct hs_runner *runner = create(&options);
    struct hs_lease *lease = NULL;
    struct hs_error err = { 0 };
    hs_runner_preload(runner);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    assert_int_equal(try_acquire(runner, 32, 32, 100, &lease), 0);
    assert_int_equal(hs_runner_run(lease, NULL, &err), HS_ETIMEOUT);
    hs_runner_release(lease);
    for (int i = 0; i < 10; i++) {
        lease = acquire(runner, 32, 32);
        assert_int_equal(hs_runner_run(lease, NULL, &err), 0);
        hs_runner_release(lease);
    }
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.stuck, 1);
    assert_int_equal(status.state, HS_RUNNER_READY);
    hs_runner_destroy(runner); /* returns after the grace period, and leaves the hung device open */
}

static void a_failed_load_is_reported_and_retried(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("faults: [{kind: load_fail}]");
    struct hs_runner *runner = create(&options);
    struct hs_error err = { 0 };
    hs_runner_preload(runner);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), &err), HS_EDEVICE);
    struct hs_runner_status status = status_of(runner);
    assert_int_equal(status.state, HS_RUNNER_FAILED);
    assert_false(status.loaded);
    assert_non_null(strstr(status.error.message, "cannot be loaded"));
    /* The device is now down, and requests fail with a code that may be retried. */
    struct hs_lease *lease;
    assert_int_equal(try_acquire(runner, 32, 32, PATIENCE_MS, &lease), HS_ENOTREADY);
    hs_runner_destroy(runner);
    options = defaults("faults: [{kind: none}]");
    runner = create(&options);
    assert_int_equal(try_acquire(runner, 32, 32, PATIENCE_MS, &lease), HS_ENODEVICE);
    hs_runner_destroy(runner);
}

static void a_failed_run_gives_its_slot_back(void **state)
{
    (void) state;
    static const int codes[] = { HS_EDEVICE, HS_ETRANSIENT };
    static const char *const scripts[] = { "faults: [{kind: error}]", "faults: [{kind: queue_full}]" };
    for (int i = 0; i < 2; i++) {
        struct hs_runner_options options = defaults(scripts[i]);
        options.slots = 1;
        struct hs_runner *runner = create(&options);
        struct hs_error err = { 0 };
        for (int k = 0; k < 3; k++) {
            struct hs_lease *lease = acquire(runner, 32, 32);
            assert_int_equal(hs_runner_run(lease, NULL, &err), codes[i]);
            hs_runner_release(lease);
        }
        assert_int_equal(status_of(runner).failures, 3);
        hs_runner_destroy(runner);
    }
}

static void keep_alive_0_unloads_when_nothing_is_in_use(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 0");
    options.keep_alive_s = 0;
    struct hs_runner *runner = create(&options);
    struct hs_error err = { 0 };
    hs_runner_preload(runner);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    assert_true(status_of(runner).loaded); /* preloaded models stay until their first use */
    struct hs_lease *a = acquire(runner, 32, 32), *b = acquire(runner, 32, 32);
    hs_runner_release(a);
    assert_true(status_of(runner).loaded);
    hs_runner_release(b);
    WAIT_FOR(runner, s.state == HS_RUNNER_IDLE);
    hs_runner_release(acquire(runner, 32, 32));
    assert_int_equal(status_of(runner).loads, 2);
    hs_runner_destroy(runner);
}

static void keep_alive_counts_from_the_last_use(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 0");
    options.keep_alive_s = 0.15;
    struct hs_runner *runner = create(&options);
    hs_runner_release(acquire(runner, 32, 32));
    int64_t used_ns = hs_clock_now_ns();
    WAIT_FOR(runner, s.state == HS_RUNNER_IDLE);
    assert_true(hs_clock_now_ns() - used_ns >= 140 * HS_NS_PER_MS);
    hs_runner_release(acquire(runner, 32, 32));
    assert_int_equal(status_of(runner).loads, 2);
    hs_runner_destroy(runner);
}

static void loading_is_a_state_and_a_deadline_does_not_wait_for_it(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("load_ms: 300");
    struct hs_runner *runner = create(&options);
    struct hs_error err = { 0 };
    struct hs_lease *lease;
    hs_runner_preload(runner);
    assert_int_equal(status_of(runner).state, HS_RUNNER_LOADING);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(10), &err), HS_ETIMEOUT);
    assert_int_equal(try_acquire(runner, 32, 32, 10, &lease), HS_ETIMEOUT);
    assert_int_equal(status_of(runner).state, HS_RUNNER_LOADING);
    hs_runner_release(acquire(runner, 32, 32));
    assert_string_equal(hs_runner_state_name(status_of(runner).state), "ready");
    hs_runner_destroy(runner);
}

static atomic_bool in_load;

static int load_and_tell(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                         struct hs_error *err)
{
    atomic_store(&in_load, true);
    return hs_backend_sim.load(device, spec, ret_model, err);
}

/* The loader notices after the load that it is to end, also with a backend without a health check. */
static void a_runner_can_be_destroyed_while_it_loads(void **state)
{
    (void) state;
    struct hs_backend backend = hs_backend_sim;
    backend.health = NULL;
    backend.load = load_and_tell;
    struct hs_runner_options options = defaults("load_ms: 200");
    options.backend = &backend;
    struct hs_runner *runner = create(&options);
    hs_runner_preload(runner);
    WAIT_FOR(runner, s.state == HS_RUNNER_LOADING && atomic_load(&in_load));
    int64_t start_ns = hs_clock_now_ns();
    hs_runner_destroy(runner);
    assert_true(hs_clock_now_ns() - start_ns < 3000 * HS_NS_PER_MS);
}

static void a_second_preload_is_served_by_the_first(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("load_ms: 300");
    struct hs_runner *runner = create(&options);
    struct hs_error err = { 0 };
    hs_runner_preload(runner);
    hs_runner_preload(runner);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    hs_runner_unload(runner);
    WAIT_FOR(runner, s.state == HS_RUNNER_IDLE);
    assert_int_equal(hs_runner_wait_loaded(runner, hs_deadline_in_ms(PATIENCE_MS), &err), HS_ENOTREADY);
    assert_int_equal(status_of(runner).loads, 1);
    hs_runner_destroy(runner);
}

static void concurrent_operations_leak_nothing(void **state)
{
    (void) state;
    struct hs_runner_options options = defaults("latency_ms: 3\nload_ms: 2");
    options.keep_alive_s = 0;
    options.queue_max = 6;
    struct hs_runner *runner = create(&options);
    struct hs_cancel cancels[16];
    struct client clients[16];
    for (int i = 0; i < 16; i++) {
        hs_cancel_init(&cancels[i]);
        clients[i] = (struct client) {
            .runner = runner,
            .h = 32 + 32 * (i % 3),
            .w = 32,
            .rounds = 30,
            .cancel = &cancels[i],
            .deadline_ms = i % 4 == 0 ? 4 : PATIENCE_MS,
        };
        start(&clients[i]);
    }
    for (int i = 0; i < 16; i += 2)
        hs_cancel_trigger(&cancels[i]);
    for (int i = 0; i < 16; i++) {
        pthread_join(clients[i].thread, NULL);
        hs_cancel_finish(&cancels[i]);
        int r = clients[i].result;
        assert_true(r == 0 || r == HS_ECANCELED || r == HS_ETIMEOUT || r == HS_EBUSY);
    }
    WAIT_FOR(runner, s.state == HS_RUNNER_IDLE && s.in_use == 0 && s.waiting == 0 && s.stuck == 0);
    hs_runner_destroy(runner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_through),
        cmocka_unit_test(options_out_of_bounds_are_refused),
        cmocka_unit_test(requests_out_of_bounds_are_refused),
        cmocka_unit_test(texts_of_the_options_are_copied),
        cmocka_unit_test(an_expired_run_is_not_started),
        cmocka_unit_test(states_have_names),
        cmocka_unit_test(many_first_requests_load_once),
        cmocka_unit_test(one_load_serves_all_sizes),
        cmocka_unit_test(slots_bound_what_is_in_the_device),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(waiters_are_served_in_order),
        cmocka_unit_test(a_cancelled_request_leaves_the_queue),
        cmocka_unit_test(a_late_slot_is_unused_until_it_is_returned),
        cmocka_unit_test(a_hung_run_does_not_block_other_slots),
        cmocka_unit_test(a_failed_load_is_reported_and_retried),
        cmocka_unit_test(a_failed_run_gives_its_slot_back),
        cmocka_unit_test(keep_alive_0_unloads_when_nothing_is_in_use),
        cmocka_unit_test(keep_alive_counts_from_the_last_use),
        cmocka_unit_test(loading_is_a_state_and_a_deadline_does_not_wait_for_it),
        cmocka_unit_test(a_runner_can_be_destroyed_while_it_loads),
        cmocka_unit_test(a_second_preload_is_served_by_the_first),
        cmocka_unit_test(concurrent_operations_leak_nothing),
    };
    return HS_RUN_TESTS(tests);
}
