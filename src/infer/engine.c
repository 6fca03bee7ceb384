/* What workers call, but for hs_engine_run (run.c). Who gets which slot is decided in state.c, what is loaded in
 * keeper.c. */
#include "infer/engine.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "infer/state.h"

/* Engines whose device never gave a slot back: their memory may still be written to, so it stays. */
static struct {
    pthread_mutex_t lock;
    struct hs_engine *first;
} abandoned = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int default_slots(int threads)
{
    long count = threads > 0 ? threads : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > HS_MODEL_MAX_SLOTS ? HS_MODEL_MAX_SLOTS : (int) count;
}

static void free_engine(struct hs_engine *engine)
{
    free((char *) engine->options.device_id);
    free((char *) engine->options.group);
    free((char *) engine->options.cache_dir);
    free((char *) engine->options.script);
    free((char *) engine->spec.path);
    pthread_cond_destroy(&engine->changed);
    pthread_cond_destroy(&engine->work);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}

static bool copy_text(const char *text, const char **ret_copy)
{
    *ret_copy = text ? strdup(text) : NULL;
    return !text || *ret_copy;
}

static int copy_options(struct hs_engine *engine, const struct hs_engine_options *options,
                        const struct hs_model_spec *spec)
{
    engine->options = *options;
    engine->spec = *spec;
    bool device_id = copy_text(options->device_id, &engine->options.device_id);
    bool group = copy_text(options->group, &engine->options.group);
    bool cache_dir = copy_text(options->cache_dir, &engine->options.cache_dir);
    bool script = copy_text(options->script, &engine->options.script);
    bool path = copy_text(spec->path, &engine->spec.path);
    return device_id && group && cache_dir && script && path ? 0 : HS_ENOMEM;
}

static int check_options(const struct hs_engine_options *options, struct hs_error *err)
{
    if (options->slots < 0 || options->slots > HS_MODEL_MAX_SLOTS)
        return hs_error_set(err, HS_EINVAL, "slots must be 0 to %d", HS_MODEL_MAX_SLOTS);
    if (options->max_copies < 1 || options->max_copies > HS_ENGINE_MAX_COPIES)
        return hs_error_set(err, HS_EINVAL, "the number of loaded copies must be 1 to %d", HS_ENGINE_MAX_COPIES);
    if (options->batch < 0 || options->batch > HS_MODEL_MAX_BATCH)
        return hs_error_set(err, HS_EINVAL, "a batch must be 0 to %d pictures", HS_MODEL_MAX_BATCH);
    if (options->queue_max < 0 || options->threads < 0)
        return hs_error_set(err, HS_EINVAL, "the queue's length and the number of threads cannot be negative");
    if (options->restart_above < 0 || options->restart_pause_ns < 0)
        return hs_error_set(err, HS_EINVAL, "the limit of a restart and the pause between two cannot be negative");
    return 0;
}

/* Signals are the main thread's business; a new thread inherits this mask. */
static int start_keeper(struct hs_engine *engine)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&engine->keeper, NULL, hs_engine_keep, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return HS_ENOMEM;
    pthread_setname_np(engine->keeper, "engine");
    return 0;
}

int hs_engine_create(const struct hs_engine_options *options, const struct hs_model_spec *spec,
                     struct hs_engine **ret_engine, struct hs_error *err)
{
    int r = check_options(options, err);
    if (r != 0)
        return r;
    struct hs_engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return hs_error_set(err, HS_ENOMEM, "no memory for the engine");
    pthread_mutex_init(&engine->lock, NULL);
    r = hs_cond_init(&engine->work);
    if (r == 0)
        r = hs_cond_init(&engine->changed);
    if (r == 0)
        r = copy_options(engine, options, spec);
    engine->slots = options->slots > 0 ? options->slots : default_slots(options->threads);
    engine->adaptive = options->adaptive && engine->slots > 1;
    engine->batch = options->batch > 1 ? options->batch : 1;
    engine->keep_alive_s = options->keep_alive_s;
    engine->batch_apart = options->adaptive;
    if (r == 0)
        r = start_keeper(engine);
    if (r != 0) {
        free_engine(engine);
        return hs_error_set(err, r, "no memory for the engine");
    }
    *ret_engine = engine;
    return 0;
}

void hs_engine_destroy(struct hs_engine *engine)
{
    if (!engine)
        return;
    pthread_mutex_lock(&engine->lock);
    engine->ending = true;
    pthread_cond_signal(&engine->work);
    pthread_mutex_unlock(&engine->lock);
    pthread_join(engine->keeper, NULL);
    if (engine->stuck == 0 && hs_engine_count(engine, 1u << HS_COPY_ABANDONED) == 0) {
        free_engine(engine);
        return;
    }
    pthread_mutex_lock(&abandoned.lock);
    engine->next_abandoned = abandoned.first;
    abandoned.first = engine;
    pthread_mutex_unlock(&abandoned.lock);
}

void hs_engine_start_loading(struct hs_engine *engine, const struct hs_engine_shape *shapes, size_t count)
{
    pthread_mutex_lock(&engine->lock);
    for (size_t i = 0; i < count && i < (size_t) engine->options.max_copies && !engine->down; i++) {
        const struct hs_copy_key key = {
            .h = shapes[i].h,
            .w = shapes[i].w,
            .batch = engine->batch_apart ? 1 : engine->batch,
            .solo = engine->adaptive,
        };
        hs_engine_want(engine, &key, true);
    }
    pthread_mutex_unlock(&engine->lock);
}

static bool is_loading(const struct hs_engine *engine)
{
    return engine->restarting || hs_engine_count(engine, 1u << HS_COPY_WANTED | 1u << HS_COPY_LOADING) > 0;
}

static bool is_loaded(const struct hs_engine *engine)
{
    return hs_engine_count(engine, 1u << HS_COPY_LOADED) > 0;
}

int hs_engine_wait_loaded(struct hs_engine *engine, int64_t deadline_ns, struct hs_error *err)
{
    int r = 0;
    pthread_mutex_lock(&engine->lock);
    while (is_loading(engine) && r == 0)
        r = hs_cond_wait_until(&engine->changed, &engine->lock, deadline_ns);
    if (is_loading(engine))
        hs_error_set(err, HS_ETIMEOUT, "the model is still loading");
    else if (is_loaded(engine))
        r = 0;
    else if (engine->error.code != 0)
        r = hs_error_set(err, engine->error.code, "%s", engine->error.message);
    else
        r = hs_error_set(err, HS_ENOTREADY, "the model is not loaded");
    pthread_mutex_unlock(&engine->lock);
    return r;
}

static void cancel_waiter(void *arg)
{
    struct hs_waiter *waiter = arg;
    pthread_mutex_lock(&waiter->engine->lock);
    waiter->cancelled = true;
    pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&waiter->engine->lock);
}

/* Behind all that are as important. */
static void enqueue(struct hs_engine *engine, struct hs_waiter *waiter)
{
    struct hs_waiter *before = engine->last;
    while (before && before->priority > waiter->priority)
        before = before->prev;
    waiter->prev = before;
    waiter->next = before ? before->next : engine->first;
    *(before ? &before->next : &engine->first) = waiter;
    *(waiter->next ? &waiter->next->prev : &engine->last) = waiter;
    engine->waiting++;
    hs_engine_dispatch(engine);
}

/* The engine's lock is held. 0: the waiter has a slot. */
static int wait_for_slot(struct hs_engine *engine, struct hs_waiter *waiter, int64_t deadline_ns)
{
    if (engine->down)
        return hs_engine_down_error(engine, waiter->err);
    enqueue(engine, waiter);
    if (!waiter->share && waiter->result == 0 && engine->waiting > engine->options.queue_max) {
        hs_engine_unlink(engine, waiter);
        engine->refusals++;
        return hs_error_set(waiter->err, HS_EBUSY, "%d requests are waiting already", engine->waiting);
    }
    int r = 0;
    while (!waiter->share && waiter->result == 0 && !waiter->cancelled && r == 0)
        r = hs_cond_wait_until(&waiter->wake, &engine->lock, deadline_ns);
    if (waiter->share)
        return 0;
    if (waiter->result != 0)
        return waiter->result;
    hs_engine_unlink(engine, waiter);
    if (waiter->cancelled)
        return hs_error_set(waiter->err, HS_ECANCELED, "cancelled while waiting");
    engine->timeouts++;
    return hs_error_set(waiter->err, HS_ETIMEOUT, "no slot became free in time");
}

int hs_engine_acquire(struct hs_engine *engine, int h, int w, int64_t deadline_ns, struct hs_cancel *cancel,
                      struct hs_lease **ret_lease, struct hs_error *err)
{
    const struct hs_engine_wish wish = { .h = h, .w = w, .count = 1, .deadline_ns = deadline_ns, .cancel = cancel };
    return hs_engine_acquire_some(engine, &wish, ret_lease, err);
}

static int check_wish(const struct hs_engine_wish *wish, struct hs_error *err)
{
    if (wish->count < 1)
        return hs_error_set(err, HS_EINVAL, "at least one picture must be asked for");
    if (wish->h < 1 || wish->w < 1 || wish->h > HS_ENGINE_MAX_SIDE || wish->w > HS_ENGINE_MAX_SIDE)
        return hs_error_set(err, HS_EINVAL, "an input of %dx%d is out of bounds", wish->w, wish->h);
    return 0;
}

int hs_engine_acquire_some(struct hs_engine *engine, const struct hs_engine_wish *wish, struct hs_lease **ret_lease,
                           struct hs_error *err)
{
    struct hs_waiter waiter = {
        .h = wish->h, .w = wish->w, .count = wish->count, .priority = wish->priority, .err = err, .engine = engine,
    };
    int64_t start_ns = hs_clock_now_ns();
    int r = check_wish(wish, err);
    if (r != 0)
        return r;
    if (hs_cond_init(&waiter.wake) != 0)
        return hs_error_set(err, HS_ENOMEM, "no memory to wait");
    hs_cancel_watch(wish->cancel, cancel_waiter, &waiter);
    /* Asked before the lock is taken: a cancel's lock comes first. What comes after the watch wakes the waiter. */
    if (hs_cancel_is_set(wish->cancel))
        r = hs_error_set(err, HS_ECANCELED, "cancelled before it began");
    if (r == 0) {
        pthread_mutex_lock(&engine->lock);
        r = wait_for_slot(engine, &waiter, wish->deadline_ns);
        pthread_mutex_unlock(&engine->lock);
    }
    hs_cancel_unwatch(wish->cancel);
    pthread_cond_destroy(&waiter.wake);
    if (r != 0)
        return r;
    waiter.share->cancel = wish->cancel;
    waiter.share->deadline_ns = wish->deadline_ns;
    waiter.share->queue_ns = hs_clock_now_ns() - start_ns;
    *ret_lease = &waiter.share->lease;
    return 0;
}

void hs_engine_set_keep_alive(struct hs_engine *engine, double seconds)
{
    pthread_mutex_lock(&engine->lock);
    if (engine->keep_alive_s != seconds) {
        engine->keep_alive_s = seconds;
        pthread_cond_signal(&engine->work);
    }
    pthread_mutex_unlock(&engine->lock);
}

void hs_engine_unload(struct hs_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    engine->unload_asked =
        hs_engine_count(engine, 1u << HS_COPY_WANTED | 1u << HS_COPY_LOADING | 1u << HS_COPY_LOADED) > 0;
    pthread_cond_signal(&engine->work);
    pthread_mutex_unlock(&engine->lock);
}

static void list_copies(const struct hs_engine *engine, struct hs_engine_status *status)
{
    for (int i = 0; i < HS_ENGINE_COPIES && status->copy_count < HS_ENGINE_MAX_COPIES; i++) {
        const struct hs_copy *copy = &engine->copies[i];
        if (copy->state == HS_COPY_LOADED)
            status->copies[status->copy_count++] = (struct hs_engine_copy_status) {
                .h = copy->h,
                .w = copy->w,
                .slots = copy->slot_count,
                .batch = copy->batch,
                .solo = copy->solo,
            };
    }
}

static enum hs_engine_state judge(const struct hs_engine *engine)
{
    if (engine->down)
        return HS_ENGINE_FAILED;
    if (is_loaded(engine))
        return HS_ENGINE_READY;
    if (is_loading(engine))
        return HS_ENGINE_LOADING;
    return hs_engine_count(engine, 1u << HS_COPY_DRAINING) > 0 ? HS_ENGINE_UNLOADING : HS_ENGINE_IDLE;
}

int hs_engine_get_load(struct hs_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    int load = engine->down ? -1 : engine->in_use + engine->waiting;
    pthread_mutex_unlock(&engine->lock);
    return load;
}

void hs_engine_get_status(struct hs_engine *engine, struct hs_engine_status *ret_status)
{
    pthread_mutex_lock(&engine->lock);
    *ret_status = (struct hs_engine_status) {
        .model_loaded = is_loaded(engine),
        .backend = engine->options.backend->name,
        .slots = engine->slots,
        .in_use = engine->in_use,
        .stuck = engine->stuck,
        .waiting = engine->waiting,
        .runs = engine->runs,
        .pictures = engine->pictures,
        .failures = engine->failures,
        .timeouts = engine->timeouts,
        .refusals = engine->refusals,
        .loads = engine->loads,
        .evictions = engine->evictions,
        .run_ns = engine->run_ns,
        .restarts = engine->restarts,
        .last_load_ns = engine->last_load_ns,
        .has_health = engine->has_health,
        .health = engine->health,
        .error = engine->error,
        .hung = engine->hung,
    };
    memcpy(ret_status->device, engine->device_name, sizeof(ret_status->device));
    memcpy(ret_status->version, engine->version, sizeof(ret_status->version));
    list_copies(engine, ret_status);
    ret_status->state = judge(engine);
    pthread_mutex_unlock(&engine->lock);
}

const char *hs_engine_state_name(enum hs_engine_state state)
{
    static const char *const names[] = { "idle", "loading", "ready", "unloading", "failed" };
    return (size_t) state < HS_ARRAY_LEN(names) ? names[state] : "failed";
}
