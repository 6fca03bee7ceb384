/* The keeper: the one thread that opens, loads, unloads and closes, so that backends never see two of these at once,
 * and a request whose deadline passes during a load need not wait for the load's end. It also asks after slots that the
 * device still holds past their deadline. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/state.h"

/* How long the keeper waits for stuck slots, all of them together, before it looks at its other work again. */
#define STUCK_LOOK_NS (20 * HS_NS_PER_MS)
#define STUCK_GRACE_NS (2 * HS_NS_PER_S)
#define ABANDONED_LOOK_NS HS_NS_PER_S
/* A warm-up run that takes longer has failed, where the options do not say. */
#define WARMUP_LIMIT_NS (30 * HS_NS_PER_S)
#define HANG_LIMIT_NS (5 * HS_NS_PER_S)

/* Copies that a hung device may keep; with more of them it must give some back first, or the process end. */
enum { ABANDONED_MAX = HS_ENGINE_COPIES / 2 };
/* A shared copy that could not be loaded is done without for so long. */
#define SHARED_RETRY_NS (60 * HS_NS_PER_S)

static const unsigned in_memory = 1u << HS_COPY_LOADING | 1u << HS_COPY_LOADED | 1u << HS_COPY_DRAINING;

static int open_device(struct hs_engine *engine, struct hs_backend_probe *ret_probe, struct hs_error *err)
{
    const struct hs_engine_options *options = &engine->options;
    const struct hs_device_options device_options = {
        .device_id = options->device_id,
        .group = options->group,
        .cache_dir = options->cache_dir,
        .script = options->script,
        .threads = options->threads,
    };
    options->backend->probe(&device_options, ret_probe);
    return options->backend->open(&device_options, &engine->device, err);
}

static void free_slots(struct hs_copy *copy)
{
    for (int i = 0; i < copy->slot_count; i++)
        pthread_cond_destroy(&copy->slots[i].changed);
    copy->slot_count = 0;
    free(copy->shares);
    copy->shares = NULL;
}

static void fill_share(const struct hs_model_info *info, struct hs_slot *slot, struct hs_share *share)
{
    share->slot = slot;
    share->lease = (struct hs_lease) {
        .input_h = info->input_h,
        .input_w = info->input_w,
        .pictures = 1,
        .input_stride = info->input_stride,
        .output_count = info->output_count,
        .descs = info->outputs,
    };
}

/* No lock is needed: of a copy that is being loaded nobody else looks at more than state and key. */
static int fill_slots(struct hs_engine *engine, struct hs_copy *copy, struct hs_error *err)
{
    const struct hs_model_info *info = engine->options.backend->info(copy->model);
    copy->busy = copy->stuck = copy->running = copy->slot_count = 0;
    copy->shares = calloc((size_t) info->slots * (size_t) info->batch, sizeof(*copy->shares));
    if (!copy->shares)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model's slots");
    memset(copy->slots, 0, sizeof(copy->slots));
    for (int i = 0; i < info->slots; i++) {
        struct hs_slot *slot = &copy->slots[i];
        slot->engine = engine;
        slot->copy = copy;
        slot->index = i;
        slot->share = copy->shares + (size_t) i * (size_t) info->batch;
        if (hs_cond_init(&slot->changed) != 0)
            return hs_error_set(err, HS_ENOMEM, "no memory for the model's slots");
        copy->slot_count++;
        for (int k = 0; k < info->batch; k++)
            fill_share(info, slot, &slot->share[k]);
    }
    return 0;
}

static void load_failed(struct hs_engine *engine, struct hs_copy *copy, const struct hs_error *err)
{
    const struct hs_copy_key key = { copy->h, copy->w, copy->batch, copy->solo };
    bool abandoned = copy->stuck > 0;
    copy->state = abandoned ? HS_COPY_ABANDONED : HS_COPY_NONE;
    if (engine->down) {
        engine->error = *err;
        hs_engine_plan_attempt(engine);
    } else if (copy->needed && hs_engine_count(engine, 1u << HS_COPY_LOADED) == 0) {
        engine->revive = key;
        hs_engine_go_down(engine, err);
    } else if (copy->needed) {
        engine->error = *err;
        hs_engine_fail_waiters(engine, &key, err);
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

/* Some runs on whatever lies in the first slot. One that does not end keeps that slot. */
static int run_once(struct hs_engine *engine, struct hs_copy *copy, int runs, struct hs_error *err)
{
    const struct hs_backend *backend = engine->options.backend;
    int64_t limit_ns = engine->options.run_timeout_ns > 0 ? engine->options.run_timeout_ns : WARMUP_LIMIT_NS;
    int r = 0;
    for (int i = 0; i < runs && r == 0; i++) {
        r = backend->submit(copy->model, 0, 1, err);
        if (r == 0)
            r = backend->wait(copy->model, 0, hs_clock_now_ns() + limit_ns, err);
    }
    if (r == HS_ETIMEOUT) {
        copy->busy = copy->stuck = 1;
        copy->slots[0].state = HS_SLOT_STUCK;
        r = hs_error_set(err, HS_ELOST, "the device did not answer within %.1f s", hs_ns_to_ms(limit_ns) / 1000);
    }
    return r;
}

/* Frees a model that is not in use. */
static void drop_model(struct hs_engine *engine, struct hs_copy *copy)
{
    engine->options.backend->unload(copy->model);
    copy->model = NULL;
    free_slots(copy);
}

/* A copy made for a batch is of no use without it. */
static int load_model(struct hs_engine *engine, const struct hs_model_spec *spec, struct hs_copy *copy, int runs,
                      struct hs_error *err)
{
    const struct hs_backend *backend = engine->options.backend;
    int r = backend->load(engine->device, spec, &copy->model, err);
    if (r != 0)
        return r;
    copy->device = engine->device;
    if (engine->batch_apart && backend->info(copy->model)->batch < spec->batch)
        r = hs_error_set(err, HS_EMODEL, "the model takes one picture at a time");
    if (r == 0)
        r = fill_slots(engine, copy, err);
    if (r == 0)
        r = run_once(engine, copy, runs, err);
    if (r != 0 && copy->stuck == 0)
        drop_model(engine, copy);
    return r;
}

static void load_succeeded(struct hs_engine *engine, struct hs_copy *copy, int64_t took_ns, int64_t cost_bytes)
{
    copy->state = HS_COPY_LOADED;
    copy->batch = engine->options.backend->info(copy->model)->batch;
    copy->last_used_ns = engine->last_used_ns = hs_clock_now_ns();
    engine->error.code = 0;
    engine->down = engine->hung = false;
    engine->failures_in_row = 0;
    engine->last_load_ns = took_ns;
    /* The first one brings with it what all of them share. */
    if (engine->loads++ > 0)
        engine->cost_bytes[copy->solo] = cost_bytes > 0 ? cost_bytes : 0;
    stay_within_memory(engine);
    hs_engine_dispatch(engine);
}

static void load(struct hs_engine *engine, struct hs_copy *copy)
{
    struct hs_model_spec spec = engine->spec;
    struct hs_backend_probe probe = { 0 };
    struct hs_error err = { 0 };
    copy->state = HS_COPY_LOADING;
    copy->busy = copy->stuck = 0;
    spec.input_h = copy->h;
    spec.input_w = copy->w;
    spec.slots = copy->solo ? 1 : engine->slots;
    spec.batch = copy->batch;
    /* A device that was down shows by a run that it is back. */
    int runs = engine->options.warmup > 0 ? engine->options.warmup : engine->down;
    pthread_mutex_unlock(&engine->lock);
    int64_t start_ns = hs_clock_now_ns();
    int r = engine->device ? 0 : open_device(engine, &probe, &err);
    int64_t before_bytes = hs_mem_resident();
    if (r == 0)
        r = load_model(engine, &spec, copy, runs, &err);
    int64_t cost_bytes = hs_mem_resident() - before_bytes;
    pthread_mutex_lock(&engine->lock);
    if (probe.device[0]) {
        hs_str_copy(engine->device_name, sizeof(engine->device_name), probe.device);
        hs_str_copy(engine->version, sizeof(engine->version), probe.version);
    }
    if (r == 0)
        load_succeeded(engine, copy, hs_clock_now_ns() - start_ns, cost_bytes);
    else
        load_failed(engine, copy, &err);
    pthread_cond_broadcast(&engine->changed);
}

static bool is_held(const struct hs_engine *engine, const struct hs_device *device)
{
    for (int i = 0; i < HS_ENGINE_COPIES; i++)
        if (engine->copies[i].state == HS_COPY_ABANDONED && engine->copies[i].device == device)
            return true;
    return false;
}

/* One that still holds slots is closed after the last of them. */
static void close_device(struct hs_engine *engine, struct hs_device *device)
{
    if (engine->device == device) {
        engine->device = NULL;
        engine->has_health = false;
        engine->next_health_ns = 0;
    }
    if (is_held(engine, device))
        return;
    pthread_mutex_unlock(&engine->lock);
    engine->options.backend->close(device);
    pthread_mutex_lock(&engine->lock);
}

static void unload(struct hs_engine *engine, struct hs_copy *copy)
{
    struct hs_device *device = copy->device;
    if (copy->state == HS_COPY_LOADED)
        copy->state = HS_COPY_DRAINING;
    pthread_mutex_unlock(&engine->lock);
    drop_model(engine, copy);
    pthread_mutex_lock(&engine->lock);
    copy->state = copy->again ? HS_COPY_WANTED : HS_COPY_NONE;
    copy->again = false;
    if (device != engine->device)
        close_device(engine, device);
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
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        struct hs_copy *copy = &engine->copies[i];
        if ((copy->state == HS_COPY_DRAINING || copy->state == HS_COPY_ABANDONED) && copy->busy == 0)
            return copy;
    }
    return NULL;
}

/* When everything is to be unloaded for want of use; HS_NO_DEADLINE: not now. */
static int64_t idle_deadline(const struct hs_engine *engine)
{
    double keep_s = engine->keep_alive_s;
    if (engine->in_use > 0 || engine->waiting > 0 || hs_engine_count(engine, in_memory) == 0)
        return HS_NO_DEADLINE;
    if (engine->unload_asked)
        return 0;
    if (keep_s < 0)
        return HS_NO_DEADLINE;
    if (keep_s == 0)
        return engine->used ? engine->last_used_ns : HS_NO_DEADLINE;
    return keep_s > 1e9 ? HS_NO_DEADLINE : engine->last_used_ns + (int64_t) (keep_s * 1e9);
}

/* ---- A device that is down ---- */

/* Gives up copies of which the device holds nothing but slots that nobody waits for any more. Their memory may still be
 * written to, so it stays, and the device open, until it gives them back. An attempt may leave one more of them behind.
 * False: there are too many of these already. */
static bool abandon_stuck(struct hs_engine *engine)
{
    for (int i = 0; i < HS_ENGINE_COPIES; i++) {
        struct hs_copy *copy = &engine->copies[i];
        if (copy->state != HS_COPY_DRAINING || copy->stuck == 0 || copy->busy > copy->stuck)
            continue;
        copy->state = HS_COPY_ABANDONED;
        engine->in_use -= copy->busy;
        engine->stuck -= copy->stuck;
    }
    return hs_engine_count(engine, 1u << HS_COPY_ABANDONED) < ABANDONED_MAX;
}

static void try_again(struct hs_engine *engine)
{
    struct hs_copy *copy = engine->copies;
    while (copy->state != HS_COPY_NONE)
        copy++;
    copy->h = engine->revive.h;
    copy->w = engine->revive.w;
    copy->batch = engine->revive.batch;
    copy->solo = engine->revive.solo;
    copy->needed = true;
    load(engine, copy);
}

static bool recover_once(struct hs_engine *engine)
{
    if (hs_clock_now_ns() < engine->next_attempt_ns)
        return false;
    if (!abandon_stuck(engine)) {
        hs_engine_plan_attempt(engine);
        return false;
    }
    /* Leases are out: the last of them wakes the keeper. */
    if (hs_engine_count(engine, in_memory) > 0)
        return false;
    if (engine->device)
        close_device(engine, engine->device);
    try_again(engine);
    return true;
}

/* ---- A restart (restart.c) ---- */

static void give_back(struct hs_engine *engine)
{
    const struct hs_engine_options *options = &engine->options;
    int64_t before_bytes = engine->restart_bytes;
    pthread_mutex_unlock(&engine->lock);
    /* What was freed lies scattered over the allocator's pools. */
    malloc_trim(0);
    if (options->on_restart)
        options->on_restart(options->on_restart_arg, before_bytes, hs_mem_resident());
    pthread_mutex_lock(&engine->lock);
}

static bool restart_once(struct hs_engine *engine)
{
    if (hs_engine_drain(engine))
        return true;
    if (hs_engine_count(engine, in_memory) > 0) {
        if (hs_clock_now_ns() < engine->restart_until_ns)
            return false; /* the last lease that comes back wakes the keeper */
        hs_engine_end_restart(engine);
        return true;
    }
    if (engine->device)
        close_device(engine, engine->device);
    engine->restarts++;
    give_back(engine);
    hs_engine_end_restart(engine);
    return true;
}

/* ---- The thread ---- */

static bool unload_unused(struct hs_engine *engine)
{
    if (hs_clock_now_ns() < idle_deadline(engine))
        return false;
    engine->used = engine->unload_asked = false;
    unload_idle(engine);
    /* A request may have come meanwhile; then the device stays open for it. */
    if (engine->device && hs_engine_count(engine, in_memory | 1u << HS_COPY_WANTED) == 0)
        close_device(engine, engine->device);
    return true;
}

/* Does one piece of work; false: there is none. */
static bool work_once(struct hs_engine *engine)
{
    struct hs_copy *copy = next_drained(engine);
    if (copy) {
        unload(engine, copy);
        return true;
    }
    if (engine->down)
        return recover_once(engine);
    if (engine->restarting)
        return restart_once(engine);
    copy = next_wanted(engine);
    if (copy && hs_engine_fits(engine, hs_engine_count(engine, in_memory), copy->solo)) {
        load(engine, copy);
        return true;
    }
    return copy ? make_room(engine, copy) : unload_unused(engine);
}

static int count_stuck(const struct hs_engine *engine)
{
    int count = 0;
    for (int i = 0; i < HS_ENGINE_COPIES; i++)
        if (engine->copies[i].state != HS_COPY_NONE)
            count += engine->copies[i].stuck;
    return count > 0 ? count : 1;
}

/* Asks the device, for a moment each, whether it gives stuck slots back. */
static void look_at_stuck(struct hs_engine *engine)
{
    const int64_t look_ns = STUCK_LOOK_NS / count_stuck(engine);
    for (int i = 0; i < HS_ENGINE_COPIES * HS_MODEL_MAX_SLOTS; i++) {
        struct hs_slot *slot = &engine->copies[i / HS_MODEL_MAX_SLOTS].slots[i % HS_MODEL_MAX_SLOTS];
        if (slot->state != HS_SLOT_STUCK)
            continue;
        struct hs_model *model = slot->copy->model;
        int index = slot->index;
        pthread_mutex_unlock(&engine->lock);
        int r = engine->options.backend->wait(model, index, hs_clock_now_ns() + look_ns, NULL);
        pthread_mutex_lock(&engine->lock);
        if (r != HS_ETIMEOUT)
            hs_engine_free_slot(engine, slot);
    }
}

/* Every slot is stuck, and for so long that it is not for want of time that their requests gave. */
static void notice_hang(struct hs_engine *engine)
{
    int64_t limit_ns = engine->options.run_timeout_ns > 0 ? engine->options.run_timeout_ns : HANG_LIMIT_NS;
    int hung = 0;
    if (engine->down || engine->stuck < engine->slots)
        return;
    for (int i = 0; i < HS_ENGINE_COPIES * HS_MODEL_MAX_SLOTS; i++) {
        const struct hs_copy *copy = &engine->copies[i / HS_MODEL_MAX_SLOTS];
        const struct hs_slot *slot = &copy->slots[i % HS_MODEL_MAX_SLOTS];
        hung += copy->state != HS_COPY_ABANDONED && slot->state == HS_SLOT_STUCK &&
                hs_clock_now_ns() - slot->started_ns >= limit_ns;
    }
    if (hung == engine->slots) {
        struct hs_error why;
        hs_error_set(&why, HS_ELOST, "the device gave none of its %d pictures back in %.1f s", hung,
                     hs_ns_to_ms(limit_ns) / 1000);
        engine->hung = true;
        hs_engine_go_down(engine, &why);
    }
}

static int64_t next_time(const struct hs_engine *engine, bool abandoned)
{
    int64_t now_ns = hs_clock_now_ns(), time_ns = engine->down         ? engine->next_attempt_ns
                                                  : engine->restarting ? engine->restart_until_ns
                                                                       : idle_deadline(engine);
    /* Passed already, so something else is waited for, which wakes the keeper. */
    if (engine->down && time_ns <= now_ns)
        time_ns = HS_NO_DEADLINE;
    if (abandoned && time_ns > now_ns + ABANDONED_LOOK_NS)
        time_ns = now_ns + ABANDONED_LOOK_NS;
    int64_t health_ns = hs_engine_health_time(engine);
    return health_ns < time_ns ? health_ns : time_ns;
}

static void finish(struct hs_engine *engine)
{
    int64_t grace_ns = hs_clock_now_ns() + STUCK_GRACE_NS;
    hs_engine_leave_restart(engine);
    while ((engine->stuck > 0 || hs_engine_count(engine, 1u << HS_COPY_ABANDONED) > 0) &&
           hs_clock_now_ns() < grace_ns) {
        look_at_stuck(engine);
        for (struct hs_copy *copy; (copy = next_drained(engine)) != NULL;)
            unload(engine, copy);
    }
    unload_idle(engine);
    if (engine->device && hs_engine_count(engine, in_memory) == 0)
        close_device(engine, engine->device);
}

void *hs_engine_keep(void *arg)
{
    struct hs_engine *engine = arg;
    pthread_mutex_lock(&engine->lock);
    while (!engine->ending) {
        bool abandoned = hs_engine_count(engine, 1u << HS_COPY_ABANDONED) > 0;
        if (engine->stuck > 0 || abandoned)
            look_at_stuck(engine);
        notice_hang(engine);
        if (engine->ending || work_once(engine) || hs_engine_look_at_health(engine))
            continue;
        if (engine->stuck == 0)
            hs_cond_wait_until(&engine->work, &engine->lock, next_time(engine, abandoned));
    }
    finish(engine);
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}
