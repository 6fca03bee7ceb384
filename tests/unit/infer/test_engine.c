#include "../unit.h"

#include <pthread.h>
#include <string.h>

#include "backends/sim/sim.h"
#include "base/clock.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "sim_script.h"

/* Long enough for any machine; a test that waits for it has failed. */
enum { PATIENCE_MS = 20000 };

static struct hs_engine_options defaults(const char *script)
{
    return (struct hs_engine_options) {
        .backend = &hs_backend_sim, .script = script ? sim_script(script) : NULL, .slots = 2, .max_copies = 4,
        .queue_max = 64, .keep_alive_s = -1,
    };
}

static struct hs_engine *create(const struct hs_engine_options *options)
{
    struct hs_model_spec spec = { .std = { 255, 255, 255 } };
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

/* Asks again and again until the status is as wanted: what is waited for has no event of its own. */
#define WAIT_FOR(engine, condition) do { \
        int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS); \
        struct hs_engine_status s = status_of(engine); \
        while (!(condition) && hs_clock_now_ns() < give_up_ns) \
            s = status_of(engine); \
        assert_true(condition); \
    } while (0)

static struct hs_lease *acquire(struct hs_engine *engine, int h, int w)
{
    struct hs_lease *lease = NULL;
    struct hs_error err = { 0 };
    int r = hs_engine_acquire(engine, h, w, hs_deadline_in_ms(PATIENCE_MS), NULL, &lease, &err);
    if (r != 0)
        print_error("acquire: %d %s\n", r, err.message);
    assert_int_equal(r, 0);
    return lease;
}

/* Holds every picture of these tests. */
static const struct hs_engine_shape whole = { 1280, 1280 };

static int try_acquire(struct hs_engine *engine, int h, int w, int64_t ms, struct hs_lease **ret_lease)
{
    struct hs_error err = { 0 };
    int r = hs_engine_acquire(engine, h, w, hs_deadline_in_ms(ms), NULL, ret_lease, &err);
    assert_int_equal(r, err.code);
    return r;
}

static void a_request_goes_through(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 15");
    struct hs_engine *engine = create(&options);
    assert_int_equal(status_of(engine).state, HS_ENGINE_IDLE);
    struct hs_lease *lease = acquire(engine, 384, 640);
    struct hs_engine_timings timings;
    struct hs_error err = { 0 };
    assert_int_equal(lease->input_h, 384);
    assert_int_equal(lease->input_w, 640);
    memset(lease->input, 114, 384 * 640 * 3);
    assert_int_equal(hs_engine_run(lease, &timings, &err), 0);
    assert_true(timings.inference_ns >= 15 * HS_NS_PER_MS);
    assert_true(timings.queue_ns >= 0);
    assert_int_equal(lease->output_count, 9);
    assert_int_equal(lease->outputs[6].h, 12);
    assert_int_equal(lease->outputs[6].c, lease->descs[6].c);
    hs_engine_release(lease);
    struct hs_engine_status status = status_of(engine);
    assert_int_equal(status.state, HS_ENGINE_READY);
    assert_true(status.model_loaded);
    assert_string_equal(status.backend, "sim");
    assert_non_null(strstr(status.device, "simulated"));
    assert_int_equal(status.runs, 1);
    assert_int_equal(status.in_use, 0);
    assert_int_equal(status.copy_count, 1);
    hs_engine_destroy(engine);
    hs_engine_destroy(NULL);
}

static void options_out_of_bounds_are_refused(void **state)
{
    (void) state;
    struct hs_model_spec spec = { 0 };
    struct hs_engine *engine = NULL;
    struct hs_error err = { 0 };
    struct hs_engine_options options = defaults(NULL);
    options.slots = HS_MODEL_MAX_SLOTS + 1;
    assert_int_equal(hs_engine_create(&options, &spec, &engine, &err), HS_EINVAL);
    options = defaults(NULL);
    options.max_copies = 0;
    assert_int_equal(hs_engine_create(&options, &spec, &engine, &err), HS_EINVAL);
    options = defaults(NULL);
    options.queue_max = -1;
    assert_int_equal(hs_engine_create(&options, &spec, &engine, &err), HS_EINVAL);
    options = defaults(NULL);
    engine = create(&options);
    struct hs_lease *lease;
    assert_int_equal(try_acquire(engine, 0, 640, 1000, &lease), HS_EINVAL);
    assert_int_equal(try_acquire(engine, 640, 1 << 20, 1000, &lease), HS_EINVAL);
    hs_engine_destroy(engine);
}

struct client {
    pthread_t thread;
    struct hs_engine *engine;
    struct hs_cancel *cancel;
    int h, w, rounds, result;
    int64_t deadline_ms;
};

static void *use_engine(void *arg)
{
    struct client *client = arg;
    for (int i = 0; i < client->rounds; i++) {
        struct hs_lease *lease;
        struct hs_error err = { 0 };
        client->result = hs_engine_acquire(client->engine, client->h, client->w, hs_deadline_in_ms(client->deadline_ms),
                                           client->cancel, &lease, &err);
        if (client->result != 0)
            break;
        memset(lease->input, i, (size_t) client->h * (size_t) client->w * 3);
        client->result = hs_engine_run(lease, NULL, &err);
        hs_engine_release(lease);
        if (client->result != 0)
            break;
    }
    return NULL;
}

static void start(struct client *client)
{
    assert_int_equal(pthread_create(&client->thread, NULL, use_engine, client), 0);
}

static void many_first_requests_load_once(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 1\nload_ms: 50");
    struct hs_engine *engine = create(&options);
    struct client clients[16];
    for (size_t i = 0; i < HS_ARRAY_LEN(clients); i++) {
        clients[i] = (struct client) { .engine = engine, .h = 64, .w = 64, .rounds = 5, .deadline_ms = PATIENCE_MS };
        start(&clients[i]);
    }
    for (size_t i = 0; i < HS_ARRAY_LEN(clients); i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].result, 0);
    }
    struct hs_engine_status status = status_of(engine);
    assert_int_equal(status.loads, 1);
    assert_int_equal(status.runs, 80);
    assert_int_equal(status.in_use, 0);
    assert_int_equal(status.waiting, 0);
    hs_engine_destroy(engine);
}

static void slots_bound_what_is_in_the_device_over_all_shapes(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    struct hs_engine *engine = create(&options);
    struct hs_lease *a = acquire(engine, 32, 32), *b = acquire(engine, 64, 64), *c = NULL;
    assert_int_equal(try_acquire(engine, 32, 32, 20, &c), HS_ETIMEOUT);
    assert_int_equal(try_acquire(engine, 96, 96, 20, &c), HS_ETIMEOUT);
    hs_engine_release(a);
    assert_int_equal(try_acquire(engine, 96, 96, PATIENCE_MS, &c), 0);
    hs_engine_release(b);
    hs_engine_release(c);
    assert_int_equal(status_of(engine).timeouts, 2);
    hs_engine_destroy(engine);
}

static void a_full_queue_refuses(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    options.slots = 1;
    options.queue_max = 1;
    struct hs_engine *engine = create(&options);
    struct hs_lease *held = acquire(engine, 32, 32), *lease;
    struct client waiting = { .engine = engine, .h = 32, .w = 32, .rounds = 1, .deadline_ms = PATIENCE_MS };
    start(&waiting);
    WAIT_FOR(engine, s.waiting == 1);
    assert_int_equal(try_acquire(engine, 32, 32, PATIENCE_MS, &lease), HS_EBUSY);
    assert_int_equal(status_of(engine).refusals, 1);
    hs_engine_release(held);
    pthread_join(waiting.thread, NULL);
    assert_int_equal(waiting.result, 0);
    hs_engine_destroy(engine);
}

static void those_who_wait_are_served_in_order(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    options.slots = 1;
    struct hs_engine *engine = create(&options);
    struct hs_lease *held = acquire(engine, 32, 32), *lease;
    struct client first = { .engine = engine, .h = 32, .w = 32, .rounds = 1, .deadline_ms = PATIENCE_MS };
    start(&first);
    WAIT_FOR(engine, s.waiting == 1);
    /* The second comes later and gives up early: it must not get what belongs to the first. */
    assert_int_equal(try_acquire(engine, 32, 32, 10, &lease), HS_ETIMEOUT);
    hs_engine_release(held);
    pthread_join(first.thread, NULL);
    assert_int_equal(first.result, 0);
    hs_engine_destroy(engine);
}

static void a_cancelled_request_leaves_the_queue(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    options.slots = 1;
    struct hs_engine *engine = create(&options);
    struct hs_lease *held = acquire(engine, 32, 32);
    struct hs_cancel cancel;
    hs_cancel_init(&cancel);
    struct client waiting = {
        .engine = engine, .h = 32, .w = 32, .rounds = 1, .deadline_ms = -1, .cancel = &cancel,
    };
    start(&waiting);
    WAIT_FOR(engine, s.waiting == 1);
    hs_cancel_trigger(&cancel);
    pthread_join(waiting.thread, NULL);
    assert_int_equal(waiting.result, HS_ECANCELED);
    assert_int_equal(status_of(engine).waiting, 0);
    /* One that was cancelled before it began does not wait at all. */
    struct hs_lease *lease;
    struct hs_error err = { 0 };
    assert_int_equal(hs_engine_acquire(engine, 32, 32, HS_NO_DEADLINE, &cancel, &lease, &err), HS_ECANCELED);
    hs_engine_release(held);
    hs_cancel_finish(&cancel);
    hs_engine_destroy(engine);
}

static void a_late_slot_is_out_of_use_until_it_comes_back(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 150");
    options.slots = 1;
    struct hs_engine *engine = create(&options);
    struct hs_engine_shape shape = { 32, 32 };
    struct hs_error err = { 0 };
    hs_engine_start_loading(engine, &shape, 1);
    assert_int_equal(hs_engine_wait_loaded(engine, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    struct hs_lease *lease;
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(try_acquire(engine, 32, 32, 20, &lease), 0);
    assert_int_equal(hs_engine_run(lease, NULL, &err), HS_ETIMEOUT);
    hs_engine_release(lease);
    struct hs_engine_status status = status_of(engine);
    assert_int_equal(status.stuck, 1);
    assert_int_equal(status.in_use, 1);
    /* One client's short patience does not say that the device is down. */
    assert_int_equal(status.state, HS_ENGINE_READY);
    lease = acquire(engine, 32, 32);
    assert_true(hs_clock_now_ns() - start_ns >= 150 * HS_NS_PER_MS);
    assert_int_equal(status_of(engine).stuck, 0);
    assert_int_equal(status_of(engine).state, HS_ENGINE_READY);
    assert_int_equal(hs_engine_run(lease, NULL, &err), 0);
    hs_engine_release(lease);
    hs_engine_destroy(engine);
}

static void a_device_that_hangs_ends_nothing_else(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0\nfaults: [{kind: hang, at: 1, count: 1}]");
    struct hs_engine *engine = create(&options);
    struct hs_engine_shape shape = { 32, 32 };
    struct hs_lease *lease = NULL;
    struct hs_error err = { 0 };
    hs_engine_start_loading(engine, &shape, 1);
    assert_int_equal(hs_engine_wait_loaded(engine, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    assert_int_equal(try_acquire(engine, 32, 32, 100, &lease), 0);
    assert_int_equal(hs_engine_run(lease, NULL, &err), HS_ETIMEOUT);
    hs_engine_release(lease);
    for (int i = 0; i < 10; i++) {
        lease = acquire(engine, 32, 32);
        assert_int_equal(hs_engine_run(lease, NULL, &err), 0);
        hs_engine_release(lease);
    }
    struct hs_engine_status status = status_of(engine);
    assert_int_equal(status.stuck, 1);
    assert_int_equal(status.state, HS_ENGINE_READY);
    hs_engine_destroy(engine); /* after its grace, leaving the hung device as it is */
}

static void the_least_recently_used_shape_makes_room(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    options.max_copies = 2;
    struct hs_engine *engine = create(&options);
    hs_engine_release(acquire(engine, 32, 32));
    hs_engine_release(acquire(engine, 64, 64));
    hs_engine_release(acquire(engine, 32, 32));
    hs_engine_release(acquire(engine, 96, 96));
    struct hs_engine_status status = status_of(engine);
    assert_int_equal(status.copy_count, 2);
    assert_int_equal(status.evictions, 1);
    for (int i = 0; i < status.copy_count; i++)
        assert_int_not_equal(status.copies[i].h, 64);
    /* A shape in use cannot make room. */
    struct hs_lease *a = acquire(engine, 32, 32), *b = acquire(engine, 96, 96), *c;
    assert_int_equal(try_acquire(engine, 128, 128, 30, &c), HS_ETIMEOUT);
    hs_engine_release(a);
    hs_engine_release(b);
    hs_engine_release(acquire(engine, 128, 128));
    hs_engine_destroy(engine);
}

/* A bound that this process is past already: one shape at a time. */
static void memory_is_a_bound_too(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults(NULL);
    options.memory_max = 1;
    struct hs_engine *engine = create(&options);
    for (int side = 64; side <= 256; side += 64) {
        hs_engine_release(acquire(engine, side, side));
        WAIT_FOR(engine, s.copy_count == 1);
        assert_int_equal(status_of(engine).copies[0].h, side);
    }
    struct hs_engine_shape shape;
    hs_engine_choose_shape(engine, 128, 192, whole, &shape);
    assert_int_equal(shape.h, 256);
    assert_int_equal(status_of(engine).evictions, 3);
    hs_engine_destroy(engine);
    options.memory_max = INT64_MAX / 2;
    engine = create(&options);
    for (int side = 64; side <= 256; side += 64)
        hs_engine_release(acquire(engine, side, side));
    assert_int_equal(status_of(engine).copy_count, 4);
    hs_engine_destroy(engine);
}

static void many_shapes_and_clients_get_through_little_room(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 1\nload_ms: 1");
    options.max_copies = 2;
    struct hs_engine *engine = create(&options);
    struct client clients[12];
    for (int i = 0; i < 12; i++) {
        clients[i] = (struct client) {
            .engine = engine, .h = 32 + 32 * (i % 5), .w = 64, .rounds = 8, .deadline_ms = PATIENCE_MS,
        };
        start(&clients[i]);
    }
    for (int i = 0; i < 12; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].result, 0);
    }
    struct hs_engine_status status = status_of(engine);
    assert_true(status.copy_count <= 2);
    assert_int_equal(status.runs, 96);
    hs_engine_destroy(engine);
}

static void a_picture_of_another_size_uses_what_is_loaded(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    options.max_copies = 2;
    struct hs_engine *engine = create(&options);
    struct hs_engine_shape shape;
    hs_engine_choose_shape(engine, 384, 640, whole, &shape); /* room: itself */
    assert_int_equal(shape.h, 384);
    hs_engine_release(acquire(engine, 640, 640));
    hs_engine_release(acquire(engine, 384, 640));
    hs_engine_choose_shape(engine, 384, 640, whole, &shape);
    assert_int_equal(shape.h, 384);
    hs_engine_choose_shape(engine, 352, 640, whole, &shape); /* the smaller of the two that hold it */
    assert_int_equal(shape.h, 384);
    hs_engine_choose_shape(engine, 640, 480, whole, &shape);
    assert_int_equal(shape.h, 640);
    assert_int_equal(shape.w, 640);
    hs_engine_choose_shape(engine, 736, 640, whole, &shape); /* none holds it: the whole */
    assert_int_equal(shape.h, 1280);
    hs_engine_destroy(engine);
}

static void a_lone_request_is_solo_and_company_is_shared(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    options.adaptive = true;
    struct hs_engine *engine = create(&options);
    struct hs_error err = { 0 };
    for (int i = 0; i < 5; i++) {
        struct hs_lease *lease = acquire(engine, 32, 32);
        assert_int_equal(hs_engine_run(lease, NULL, &err), 0);
        hs_engine_release(lease);
    }
    struct hs_engine_status status = status_of(engine);
    assert_int_equal(status.copy_count, 1);
    assert_true(status.copies[0].solo);
    assert_int_equal(status.copies[0].slots, 1);
    /* Two at once: the second waits for the shared copy, which is loaded for them. */
    struct hs_lease *a = acquire(engine, 32, 32), *b = acquire(engine, 32, 32);
    assert_ptr_not_equal(a->input, b->input);
    status = status_of(engine);
    assert_int_equal(status.copy_count, 2);
    hs_engine_release(a);
    hs_engine_release(b);
    hs_engine_destroy(engine);
}

static void a_failed_load_is_told_and_tried_again(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("faults: [{kind: load_fail}]");
    struct hs_engine *engine = create(&options);
    struct hs_engine_shape shape = { 32, 32 };
    struct hs_error err = { 0 };
    hs_engine_start_loading(engine, &shape, 1);
    assert_int_equal(hs_engine_wait_loaded(engine, hs_deadline_in_ms(PATIENCE_MS), &err), HS_EDEVICE);
    struct hs_engine_status status = status_of(engine);
    assert_int_equal(status.state, HS_ENGINE_FAILED);
    assert_false(status.model_loaded);
    assert_non_null(strstr(status.error.message, "does not load"));
    /* From then on it is down, which may pass. */
    struct hs_lease *lease;
    assert_int_equal(try_acquire(engine, 32, 32, PATIENCE_MS, &lease), HS_ENOTREADY);
    hs_engine_destroy(engine);
    options = defaults("faults: [{kind: none}]");
    engine = create(&options);
    assert_int_equal(try_acquire(engine, 32, 32, PATIENCE_MS, &lease), HS_ENODEVICE);
    hs_engine_destroy(engine);
}

static void a_failed_run_gives_its_slot_back(void **state)
{
    (void) state;
    static const int codes[] = { HS_EDEVICE, HS_ETRANSIENT };
    static const char *const scripts[] = { "faults: [{kind: error}]", "faults: [{kind: queue_full}]" };
    for (int i = 0; i < 2; i++) {
        struct hs_engine_options options = defaults(scripts[i]);
        options.slots = 1;
        struct hs_engine *engine = create(&options);
        struct hs_error err = { 0 };
        for (int k = 0; k < 3; k++) {
            struct hs_lease *lease = acquire(engine, 32, 32);
            assert_int_equal(hs_engine_run(lease, NULL, &err), codes[i]);
            hs_engine_release(lease);
        }
        assert_int_equal(status_of(engine).failures, 3);
        hs_engine_destroy(engine);
    }
}

static void keep_alive_0_unloads_when_nothing_is_in_use(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    options.keep_alive_s = 0;
    struct hs_engine *engine = create(&options);
    struct hs_engine_shape shape = { 32, 32 };
    struct hs_error err = { 0 };
    hs_engine_start_loading(engine, &shape, 1);
    assert_int_equal(hs_engine_wait_loaded(engine, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    assert_true(status_of(engine).model_loaded); /* loaded ahead of use: kept for the first one */
    struct hs_lease *a = acquire(engine, 32, 32), *b = acquire(engine, 32, 32);
    hs_engine_release(a);
    assert_true(status_of(engine).model_loaded);
    hs_engine_release(b);
    WAIT_FOR(engine, s.state == HS_ENGINE_IDLE);
    hs_engine_release(acquire(engine, 32, 32));
    assert_int_equal(status_of(engine).loads, 2);
    hs_engine_destroy(engine);
}

static void keep_alive_counts_from_the_last_use(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 0");
    options.keep_alive_s = 0.15;
    struct hs_engine *engine = create(&options);
    hs_engine_release(acquire(engine, 32, 32));
    int64_t used_ns = hs_clock_now_ns();
    WAIT_FOR(engine, s.state == HS_ENGINE_IDLE);
    assert_true(hs_clock_now_ns() - used_ns >= 140 * HS_NS_PER_MS);
    hs_engine_release(acquire(engine, 32, 32));
    assert_int_equal(status_of(engine).loads, 2);
    hs_engine_destroy(engine);
}

static void loading_is_a_state_and_a_deadline_does_not_wait_for_it(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("load_ms: 300");
    struct hs_engine *engine = create(&options);
    struct hs_engine_shape shape = { 32, 32 };
    struct hs_error err = { 0 };
    struct hs_lease *lease;
    hs_engine_start_loading(engine, &shape, 1);
    assert_int_equal(status_of(engine).state, HS_ENGINE_LOADING);
    assert_int_equal(hs_engine_wait_loaded(engine, hs_deadline_in_ms(10), &err), HS_ETIMEOUT);
    assert_int_equal(try_acquire(engine, 32, 32, 10, &lease), HS_ETIMEOUT);
    assert_int_equal(status_of(engine).state, HS_ENGINE_LOADING);
    hs_engine_release(acquire(engine, 32, 32));
    assert_string_equal(hs_engine_state_name(status_of(engine).state), "ready");
    hs_engine_destroy(engine);
}

static void a_storm_of_everything_leaves_nothing_behind(void **state)
{
    (void) state;
    struct hs_engine_options options = defaults("latency_ms: 3\nload_ms: 2");
    options.adaptive = true;
    options.max_copies = 3;
    options.keep_alive_s = 0;
    options.queue_max = 6;
    struct hs_engine *engine = create(&options);
    struct hs_cancel cancels[16];
    struct client clients[16];
    for (int i = 0; i < 16; i++) {
        hs_cancel_init(&cancels[i]);
        clients[i] = (struct client) {
            .engine = engine, .h = 32 + 32 * (i % 3), .w = 32, .rounds = 30, .cancel = &cancels[i],
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
    WAIT_FOR(engine, s.state == HS_ENGINE_IDLE && s.in_use == 0 && s.waiting == 0 && s.stuck == 0);
    hs_engine_destroy(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_through),
        cmocka_unit_test(options_out_of_bounds_are_refused),
        cmocka_unit_test(many_first_requests_load_once),
        cmocka_unit_test(slots_bound_what_is_in_the_device_over_all_shapes),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(those_who_wait_are_served_in_order),
        cmocka_unit_test(a_cancelled_request_leaves_the_queue),
        cmocka_unit_test(a_late_slot_is_out_of_use_until_it_comes_back),
        cmocka_unit_test(a_device_that_hangs_ends_nothing_else),
        cmocka_unit_test(the_least_recently_used_shape_makes_room),
        cmocka_unit_test(memory_is_a_bound_too),
        cmocka_unit_test(many_shapes_and_clients_get_through_little_room),
        cmocka_unit_test(a_picture_of_another_size_uses_what_is_loaded),
        cmocka_unit_test(a_lone_request_is_solo_and_company_is_shared),
        cmocka_unit_test(a_failed_load_is_told_and_tried_again),
        cmocka_unit_test(a_failed_run_gives_its_slot_back),
        cmocka_unit_test(keep_alive_0_unloads_when_nothing_is_in_use),
        cmocka_unit_test(keep_alive_counts_from_the_last_use),
        cmocka_unit_test(loading_is_a_state_and_a_deadline_does_not_wait_for_it),
        cmocka_unit_test(a_storm_of_everything_leaves_nothing_behind),
    };
    return HS_RUN_TESTS(tests);
}
