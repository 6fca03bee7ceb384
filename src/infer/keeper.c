/* The keeper: the one thread that opens, loads, unloads and closes, so that backends never see two of these at once,
 * and a request whose deadline passes during a load need not wait for the load's end. It also asks after slots that the
 * device still holds past their deadline. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/state.h"

/* How long the keeper waits for one stuck slot before it looks at its other work again. */
#define STUCK_LOOK_NS (20 * HS_NS_PER_MS)
#define STUCK_GRACE_NS (2 * HS_NS_PER_S)
/* A shared copy that could not be loaded is done without for so long. */
#define SHARED_RETRY_NS (60 * HS_NS_PER_S)

static const unsigned in_memory = 1u << HS_COPY_LOADING | 1u << HS_COPY_LOADED | 1u << HS_COPY_DRAINING;

static int open_device(struct hs_engine *engine, struct hs_backend_probe *ret_probe, struct hs_error *err)
{
    const struct hs_engine_options *options = &engine->options;
    const struct hs_device_options device_options = {
        .device_id = options->device_id,
        .cache_dir = options->cache_dir,
        .script = options->script,
        .threads = options->threads,
    };
    options->backend->probe(ret_probe);
    return options->backend->open(&device_options, &engine->device, err);
}

static void fill_slots(struct hs_engine *engine, struct hs_copy *copy)
{
    const struct hs_backend *backend = engine->options.backend;
    const struct hs_model_info *info = backend->info(copy->model);
    copy->slot_count = info->slots;
    copy->batch = info->batch;
    copy->busy = copy->stuck = 0;
    copy->last_used_ns = engine->last_used_ns = hs_clock_now_ns();
    memset(copy->slots, 0, sizeof(copy->slots));
    for (int i = 0; i < info->slots; i++)
        copy->slots[i] = (struct hs_slot) {
            .engine = engine, .copy = copy, .index = i,
            .lease = {
                .input = backend->input(copy->model, i), .input_h = info->input_h, .input_w = info->input_w,
                .pictures = 1, .input_stride = info->input_stride, .output_count = info->output_count,
                .descs = info->outputs,
            },
        };
}

/* Everyone who waits for this size and has no other copy to hope for gets the load's error. */
static void fail_waiters(struct hs_engine *engine, const struct hs_copy *copy, int code, const struct hs_error *err)
{
    struct hs_waiter *next;
    for (struct hs_waiter *waiter = engine->first; waiter; waiter = next) {
        next = waiter->next;
        if (waiter->h != copy->h || waiter->w != copy->w)
            continue;
        hs_engine_unlink(engine, waiter);
        waiter->result = code;
        if (waiter->err)
            *waiter->err = *err;
        pthread_cond_signal(&waiter->wake);
    }
}

static void load_failed(struct hs_engine *engine, struct hs_copy *copy, int code, const struct hs_error *err)
{
    copy->state = HS_COPY_NONE;
    if (copy->needed) {
        engine->error = *err;
        fail_waiters(engine, copy, code, err);
    } else if (copy->batch > 1) {
        engine->batch = 1;
    } else {
        engine->shared_not_before_ns = hs_clock_now_ns() + SHARED_RETRY_NS;
    }
}

/* Past the bound on memory, the least recently used copy goes; after that was unloaded the next one, until one is left.
 */
static void stay_within_memory(struct hs_engine *engine)
{
    if (engine->options.memory_max == 0 || hs_engine_count(engine, 1u << HS_COPY_LOADED) < 2 ||
        hs_mem_resident() <= engine->options.memory_max)
        return;
    struct hs_copy *victim = hs_engine_victim(engine);
    if (!victim)
        return;
    victim->state = HS_COPY_DRAINING;
    engine->evictions++;
}

/* A copy made for a batch is of no use without it. */
static int load_model(struct hs_engine *engine, const struct hs_model_spec *spec, struct hs_copy *copy,
                      struct hs_error *err)
{
    const struct hs_backend *backend = engine->options.backend;
    int r = backend->load(engine->device, spec, &copy->model, err);
    if (r == 0 && engine->batch_apart && backend->info(copy->model)->batch < spec->batch) {
        backend->unload(copy->model);
        copy->model = NULL;
        r = hs_error_set(err, HS_EMODEL, "the model takes one picture at a time");
    }
    return r;
}

static void load(struct hs_engine *engine, struct hs_copy *copy)
{
    struct hs_model_spec spec = engine->spec;
    struct hs_backend_probe probe = { 0 };
    struct hs_error err = { 0 };
    copy->state = HS_COPY_LOADING;
    spec.input_h = copy->h;
    spec.input_w = copy->w;
    spec.slots = copy->solo ? 1 : engine->slots;
    spec.batch = copy->batch;
    pthread_mutex_unlock(&engine->lock);
    int64_t start_ns = hs_clock_now_ns();
    int r = engine->device ? 0 : open_device(engine, &probe, &err);
    int64_t before_bytes = hs_mem_resident();
    if (r == 0)
        r = load_model(engine, &spec, copy, &err);
    int64_t cost_bytes = hs_mem_resident() - before_bytes;
    pthread_mutex_lock(&engine->lock);
    if (probe.device[0]) {
        hs_str_copy(engine->device_name, sizeof(engine->device_name), probe.device);
        hs_str_copy(engine->version, sizeof(engine->version), probe.version);
    }
    if (r != 0) {
        load_failed(engine, copy, r, &err);
    } else {
        copy->state = HS_COPY_LOADED;
        fill_slots(engine, copy);
        engine->error.code = 0;
        engine->last_load_ns = hs_clock_now_ns() - start_ns;
        /* The first one brings with it what all of them share. */
        if (engine->loads++ > 0)
            engine->cost_bytes[copy->solo] = cost_bytes > 0 ? cost_bytes : 0;
        stay_within_memory(engine);
        hs_engine_dispatch(engine);
    }
    pthread_cond_broadcast(&engine->changed);
}

static void unload(struct hs_engine *engine, struct hs_copy *copy)
{
    struct hs_model *model = copy->model;
    copy->state = HS_COPY_DRAINING;
    pthread_mutex_unlock(&engine->lock);
    engine->options.backend->unload(model);
    pthread_mutex_lock(&engine->lock);
    copy->model = NULL;
    copy->state = HS_COPY_NONE;
    stay_within_memory(engine);
}

static void unload_idle(struct hs_engine *engine)
{
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        struct hs_copy *copy = &engine->copies[i];
        if ((copy->state == HS_COPY_LOADED || copy->state == HS_COPY_DRAINING) && copy->busy == 0)
            unload(engine, copy);
    }
}

static void close_device(struct hs_engine *engine)
{
    struct hs_device *device = engine->device;
    engine->device = NULL;
    pthread_mutex_unlock(&engine->lock);
    engine->options.backend->close(device);
    pthread_mutex_lock(&engine->lock);
}

/* The wanted copy to load next: needed ones first, then in the order of wanting. */
static struct hs_copy *next_wanted(struct hs_engine *engine)
{
    struct hs_copy *next = NULL;
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        struct hs_copy *copy = &engine->copies[i];
        if (copy->state == HS_COPY_WANTED &&
            (!next || copy->needed > next->needed || (copy->needed == next->needed && copy->ticket < next->ticket)))
            next = copy;
    }
    return next;
}

static bool make_room(struct hs_engine *engine, struct hs_copy *wanted)
{
    struct hs_copy *victim = hs_engine_victim(engine);
    if (hs_engine_count(engine, 1u << HS_COPY_DRAINING) > 0)
        return false; /* room is on its way */
    bool stale = victim && victim->busy == 0 && hs_clock_now_ns() - victim->last_used_ns >= HS_ENGINE_STALE_NS;
    if (victim && (wanted->needed || stale)) {
        victim->state = HS_COPY_DRAINING;
        engine->evictions++;
        return true;
    }
    if (wanted->needed)
        return false;
    wanted->state = HS_COPY_NONE;
    return true;
}

static struct hs_copy *next_drained(struct hs_engine *engine)
{
    for (int i = 0; i < HS_ENGINE_COPIES; i++)
        if (engine->copies[i].state == HS_COPY_DRAINING && engine->copies[i].busy == 0)
            return &engine->copies[i];
    return NULL;
}

/* When everything is to be unloaded for want of use; HS_NO_DEADLINE: not now. */
static int64_t idle_deadline(const struct hs_engine *engine)
{
    double keep_s = engine->options.keep_alive_s;
    if (keep_s < 0 || engine->in_use > 0 || engine->waiting > 0 || hs_engine_count(engine, in_memory) == 0)
        return HS_NO_DEADLINE;
    if (keep_s == 0)
        return engine->used ? engine->last_used_ns : HS_NO_DEADLINE;
    return keep_s > 1e9 ? HS_NO_DEADLINE : engine->last_used_ns + (int64_t) (keep_s * 1e9);
}

/* Does one piece of work; false: there is none. */
static bool work_once(struct hs_engine *engine)
{
    struct hs_copy *copy = next_drained(engine);
    if (copy) {
        unload(engine, copy);
        return true;
    }
    copy = next_wanted(engine);
    if (copy && hs_engine_fits(engine, hs_engine_count(engine, in_memory), copy->solo)) {
        load(engine, copy);
        return true;
    }
    if (copy)
        return make_room(engine, copy);
    if (hs_clock_now_ns() < idle_deadline(engine))
        return false;
    engine->used = false;
    unload_idle(engine);
    /* A request may have come meanwhile; then the device stays open for it. */
    if (engine->device && hs_engine_count(engine, in_memory | 1u << HS_COPY_WANTED) == 0)
        close_device(engine);
    return true;
}

/* Asks the device, for a moment each, whether it gives stuck slots back. */
static void look_at_stuck(struct hs_engine *engine)
{
    for (int i = 0; i < HS_ENGINE_COPIES * HS_MODEL_MAX_SLOTS; i++) {
        struct hs_slot *slot = &engine->copies[i / HS_MODEL_MAX_SLOTS].slots[i % HS_MODEL_MAX_SLOTS];
        if (slot->state != HS_SLOT_STUCK)
            continue;
        struct hs_model *model = slot->copy->model;
        int index = slot->index;
        pthread_mutex_unlock(&engine->lock);
        int r = engine->options.backend->wait(model, index, hs_clock_now_ns() + STUCK_LOOK_NS, NULL);
        pthread_mutex_lock(&engine->lock);
        if (r != HS_ETIMEOUT)
            hs_engine_free_slot(engine, slot);
    }
}

static void finish(struct hs_engine *engine)
{
    int64_t grace_ns = hs_clock_now_ns() + STUCK_GRACE_NS;
    while (engine->stuck > 0 && hs_clock_now_ns() < grace_ns)
        look_at_stuck(engine);
    unload_idle(engine);
    if (engine->device && hs_engine_count(engine, in_memory) == 0)
        close_device(engine);
}

void *hs_engine_keep(void *arg)
{
    struct hs_engine *engine = arg;
    pthread_mutex_lock(&engine->lock);
    while (!engine->ending) {
        if (engine->stuck > 0)
            look_at_stuck(engine);
        if (engine->ending || work_once(engine))
            continue;
        if (engine->stuck == 0)
            hs_cond_wait_until(&engine->work, &engine->lock, idle_deadline(engine));
    }
    finish(engine);
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}
