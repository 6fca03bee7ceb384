/* The loader is the one thread that opens, loads, unloads and closes. So a backend never runs two
 * of these calls at the same time, and a request can time out during a load. The loader also polls
 * slots that the device still holds after their deadline, recovers a device that is down, restarts
 * one if the process has grown too large, and polls the device's health.
 *
 * Restarts: on some machines the memory of an inference runtime grows with use, and only closing
 * the whole runtime frees it. No request fails because of a restart: running ones end first, the
 * others wait until the model is loaded again. */
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/registry.h"
#include "infer/runner_internal.h"

/* Duration of one round of polling over all stuck slots. */
#define STUCK_POLL_NS (20 * HS_NS_PER_MS)
#define STUCK_GRACE_NS (2 * HS_NS_PER_S)
#define ABANDONED_POLL_NS HS_NS_PER_S
/* Limits of a warm-up run, a hang and a drain if options.run_timeout_ns is 0. */
#define WARMUP_LIMIT_NS (30 * HS_NS_PER_S)
#define HANG_LIMIT_NS (5 * HS_NS_PER_S)
#define DRAIN_LIMIT_NS (5 * HS_NS_PER_S)
#define HEALTH_PERIOD_NS (10 * HS_NS_PER_S)
/* Period of measuring the process's memory while slots are used. */
#define MEASURE_PERIOD_NS (HS_NS_PER_S / 4)

/* Most instances that a hung device may keep. At this number the device is not retried until one of
 * them is freed. */
enum { ABANDONED_MAX = 16 };

/* Set while one runner of this process restarts. Only one restarts at a time, because that may free
 * enough. */
static atomic_flag restart_taken = ATOMIC_FLAG_INIT;

static int64_t limit_of(const struct hs_runner *runner, int64_t default_ns)
{
    return runner->options.run_timeout_ns > 0 ? runner->options.run_timeout_ns : default_ns;
}

/* ---- An instance, without the lock: no other thread uses it ---- */

static void free_instance(struct hs_instance *instance)
{
    if (!instance)
        return;
    for (int i = 0; i < instance->slot_count; i++)
        pthread_cond_destroy(&instance->slots[i].changed);
    instance->runner->options.backend->unload(instance->model);
    free(instance->parts);
    free(instance);
}

static int make_slots(struct hs_instance *instance, struct hs_error *err)
{
    const struct hs_model_info *info = instance->info;
    instance->parts = calloc((size_t) info->slots * (size_t) info->batch, sizeof(*instance->parts));
    if (!instance->parts)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model's slots");
    for (int i = 0; i < info->slots; i++) {
        struct hs_slot *slot = &instance->slots[i];
        slot->instance = instance;
        slot->index = i;
        slot->part = instance->parts + (size_t) i * (size_t) info->batch;
        if (hs_cond_init(&slot->changed) != 0)
            return hs_error_set(err, HS_ENOMEM, "no memory for the model's slots");
        instance->slot_count++;
        for (int k = 0; k < info->batch; k++)
            slot->part[k] = (struct hs_slot_part) {
                .slot = slot,
                .lease = { .input_stride = info->input_stride, .output_count = info->output_count },
            };
    }
    return 0;
}

/* Runs on the current contents of the first slot. A run that does not end keeps that slot. */
static int warm_up(struct hs_instance *instance, int runs, struct hs_error *err)
{
    const struct hs_runner *runner = instance->runner;
    const struct hs_backend *backend = runner->options.backend;
    int64_t limit_ns = limit_of(runner, WARMUP_LIMIT_NS);
    int r = 0;
    for (int i = 0; i < runs && r == 0; i++) {
        if (instance->info->free_size)
            r = backend->resize(instance->model, 0, instance->info->input_h, instance->info->input_w, err);
        if (r == 0)
            r = backend->submit(instance->model, 0, 1, err);
        if (r == 0)
            r = backend->wait(instance->model, 0, hs_clock_now_ns() + limit_ns, err);
    }
    if (r != HS_ETIMEOUT)
        return r;
    instance->busy = instance->stuck = 1;
    instance->slots[0].state = HS_SLOT_STUCK;
    return hs_error_set(err, HS_ELOST, "the device did not respond within %.1f s", hs_ns_to_ms(limit_ns) / 1000);
}

/* On failure *ret_instance is NULL, or an instance that the caller must abandon because the device
 * holds its first slot. */
static int make_instance(struct hs_runner *runner, int runs, struct hs_instance **ret_instance, struct hs_error *err)
{
    const struct hs_backend *backend = runner->options.backend;
    struct hs_instance *instance = calloc(1, sizeof(*instance));
    *ret_instance = NULL;
    if (!instance)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model");
    instance->runner = runner;
    instance->device = runner->device;
    int r = backend->load(runner->device, &runner->spec, &instance->model, err);
    if (r == 0) {
        instance->info = backend->info(instance->model);
        r = make_slots(instance, err);
    }
    if (r == 0)
        r = warm_up(instance, runs, err);
    if (r == 0 || instance->stuck > 0)
        *ret_instance = instance;
    else
        free_instance(instance);
    return r;
}

/* Reports a missing module as a missing device. */
static int find_module(struct hs_runner *runner, struct hs_error *err)
{
    const struct hs_backend *backend;
    struct hs_error why;
    int r = hs_registry_find(runner->options.backend->name, &backend, &why);
    if (r != 0)
        return hs_error_set(err, r == HS_ENOTFOUND ? HS_ENODEVICE : r, "%s", why.message);
    pthread_mutex_lock(&runner->lock);
    runner->options.backend = backend;
    pthread_mutex_unlock(&runner->lock);
    return 0;
}

static int open_device(struct hs_runner *runner, struct hs_backend_probe *ret_probe, struct hs_error *err)
{
    int r = runner->options.backend->open ? 0 : find_module(runner, err);
    if (r != 0)
        return r;
    const struct hs_runner_options *options = &runner->options;
    const struct hs_device_options device_options = {
        .device_id = options->device_id,
        .group = options->group,
        .cache_dir = options->cache_dir,
        .script = options->script,
        .threads = options->threads,
        .on_warning = options->on_warning,
        .on_warning_arg = options->on_warning_arg,
    };
    options->backend->probe(&device_options, ret_probe);
    return options->backend->open(&device_options, &runner->device, err);
}

/* ---- Loading and unloading; called with the lock held, which is released during backend calls ---- */

static void abandon(struct hs_runner *runner, struct hs_instance *instance)
{
    instance->abandoned = true;
    instance->next = runner->abandoned;
    runner->abandoned = instance;
}

static void load(struct hs_runner *runner)
{
    struct hs_backend_probe probe = { 0 };
    struct hs_instance *instance = NULL;
    struct hs_error err = { 0 };
    /* A device that was down must complete at least one run. */
    int runs = runner->options.warmup > 0 ? runner->options.warmup : runner->down;
    hs_runner_set_load_state(runner, HS_LOAD_LOADING);
    pthread_mutex_unlock(&runner->lock);
    int64_t start_ns = hs_clock_now_ns();
    int r = runner->device ? 0 : open_device(runner, &probe, &err);
    if (r == 0)
        r = make_instance(runner, runs, &instance, &err);
    pthread_mutex_lock(&runner->lock);
    if (probe.device[0]) {
        hs_str_copy(runner->device_name, sizeof(runner->device_name), probe.device);
        hs_str_copy(runner->version, sizeof(runner->version), probe.version);
    }
    if (r == 0) {
        runner->instance = instance;
        runner->error.code = 0;
        runner->recoveries += runner->down;
        runner->down = runner->hung = runner->used = false;
        runner->failures_in_row = 0;
        runner->last_used_ns = hs_clock_now_ns();
        runner->last_load_ns = runner->last_used_ns - start_ns;
        runner->loads++;
        hs_runner_set_load_state(runner, HS_LOAD_LOADED);
        hs_runner_dispatch(runner);
        return;
    }
    if (instance)
        abandon(runner, instance);
    runner->unload_asked = false; /* it applies to this load, not to the next attempt */
    hs_runner_set_load_state(runner, HS_LOAD_NONE);
    if (!runner->down) {
        hs_runner_mark_down(runner, false, &err);
        return;
    }
    runner->error = err;
    hs_runner_schedule_attempt(runner);
}

/* Closes the device; if abandoned instances still have slots on it, the last of them closes it. */
static void close_device(struct hs_runner *runner, struct hs_device *device)
{
    if (runner->device == device) {
        runner->device = NULL;
        runner->has_health = false;
        runner->next_health_ns = 0;
    }
    for (struct hs_instance *held = runner->abandoned; held; held = held->next)
        if (held->device == device)
            return;
    pthread_mutex_unlock(&runner->lock);
    runner->options.backend->close(device);
    pthread_mutex_lock(&runner->lock);
}

static void unload(struct hs_runner *runner)
{
    struct hs_instance *instance = runner->instance;
    hs_runner_set_load_state(runner, HS_LOAD_DRAINING);
    runner->instance = NULL;
    pthread_mutex_unlock(&runner->lock);
    free_instance(instance);
    pthread_mutex_lock(&runner->lock);
    hs_runner_set_load_state(runner, HS_LOAD_NONE);
    hs_runner_dispatch(runner);
}

/* Frees one abandoned instance. Returns false if the device holds slots of all of them. */
static bool free_abandoned(struct hs_runner *runner)
{
    for (struct hs_instance **at = &runner->abandoned; *at; at = &(*at)->next) {
        struct hs_instance *instance = *at;
        if (instance->busy > 0)
            continue;
        struct hs_device *device = instance->device;
        *at = instance->next;
        pthread_mutex_unlock(&runner->lock);
        free_instance(instance);
        pthread_mutex_lock(&runner->lock);
        if (device != runner->device)
            close_device(runner, device);
        return true;
    }
    return false;
}

/* Returns the time at which the idle model is unloaded; HS_NO_DEADLINE: not now. */
static int64_t idle_deadline(const struct hs_runner *runner)
{
    double keep_s = runner->keep_alive_s;
    if (runner->in_use > 0 || runner->waiting > 0 || runner->load_state != HS_LOAD_LOADED)
        return HS_NO_DEADLINE;
    if (runner->unload_asked)
        return 0;
    if (keep_s < 0 || keep_s > 1e9 || (keep_s == 0 && !runner->used))
        return HS_NO_DEADLINE;
    return runner->last_used_ns + (int64_t) (keep_s * 1e9);
}

/* ---- A device that is down ---- */

static bool recover_once(struct hs_runner *runner)
{
    struct hs_instance *instance = runner->instance;
    if (hs_clock_now_ns() < runner->next_attempt_ns)
        return false;
    if (instance && instance->stuck > 0 && instance->busy == instance->stuck) {
        /* The device may still write to the instance, so the instance stays allocated and the
         * device open until all slots are returned. */
        runner->in_use -= instance->busy;
        runner->stuck -= instance->stuck;
        runner->instance = NULL;
        abandon(runner, instance);
        hs_runner_set_load_state(runner, HS_LOAD_NONE);
    }
    if (runner->instance)
        return false; /* leases are in use; releasing the last of them wakes the loader */
    int abandoned = 0;
    for (const struct hs_instance *held = runner->abandoned; held; held = held->next)
        abandoned++;
    if (abandoned >= ABANDONED_MAX) {
        hs_runner_schedule_attempt(runner);
        return false;
    }
    if (runner->device)
        close_device(runner, runner->device);
    load(runner);
    return true;
}

/* ---- A restart ---- */

/* Called with the lock held whenever a slot is freed. The loader takes the measurement. */
void hs_runner_consider_restart(struct hs_runner *runner)
{
    if (runner->options.restart_above > 0 && hs_clock_now_ns() >= runner->next_measure_ns)
        pthread_cond_signal(&runner->work);
}

static void measure(struct hs_runner *runner)
{
    const struct hs_runner_options *options = &runner->options;
    int64_t now_ns = hs_clock_now_ns();
    if (options->restart_above == 0 || runner->restarting || runner->down || now_ns < runner->next_measure_ns ||
        runner->load_state != HS_LOAD_LOADED || !runner->used)
        return;
    pthread_mutex_unlock(&runner->lock);
    int64_t bytes = hs_mem_resident();
    pthread_mutex_lock(&runner->lock);
    runner->next_measure_ns = now_ns + MEASURE_PERIOD_NS;
    runner->restart_bytes = bytes;
    if (bytes <= options->restart_above || runner->load_state != HS_LOAD_LOADED ||
        atomic_flag_test_and_set(&restart_taken))
        return;
    runner->restarting = true;
    runner->restart_until_ns = now_ns + limit_of(runner, DRAIN_LIMIT_NS);
    runner->next_measure_ns = now_ns + options->restart_pause_ns;
    hs_runner_set_load_state(runner, HS_LOAD_DRAINING);
}

void hs_runner_end_restart(struct hs_runner *runner)
{
    if (!runner->restarting)
        return;
    atomic_flag_clear(&restart_taken);
    runner->restarting = false;
    pthread_cond_broadcast(&runner->changed);
}

static bool restart_once(struct hs_runner *runner)
{
    const struct hs_runner_options *options = &runner->options;
    if (runner->instance && runner->instance->busy > 0) {
        if (hs_clock_now_ns() < runner->restart_until_ns)
            return false; /* releasing the last lease wakes the loader */
        hs_runner_set_load_state(runner, HS_LOAD_LOADED);
        hs_runner_end_restart(runner);
        hs_runner_dispatch(runner);
        return true;
    }
    int64_t before_bytes = runner->restart_bytes;
    if (runner->instance)
        unload(runner);
    if (runner->device)
        close_device(runner, runner->device);
    pthread_mutex_unlock(&runner->lock);
    malloc_trim(0); /* freed memory is scattered over the allocator's arenas */
    if (options->on_restart)
        options->on_restart(options->on_restart_arg, before_bytes, hs_mem_resident());
    pthread_mutex_lock(&runner->lock);
    runner->restarts++;
    load(runner);
    hs_runner_end_restart(runner);
    hs_runner_dispatch(runner);
    return true;
}

/* ---- Stuck slots ---- */

/* Polls the stuck slots of one instance, each for `poll_ns`. */
static void poll_stuck(struct hs_runner *runner, struct hs_instance *instance, int64_t poll_ns)
{
    for (int i = 0; instance && i < instance->slot_count; i++) {
        struct hs_slot *slot = &instance->slots[i];
        if (slot->state != HS_SLOT_STUCK)
            continue;
        pthread_mutex_unlock(&runner->lock);
        int r = runner->options.backend->wait(instance->model, i, hs_clock_now_ns() + poll_ns, NULL);
        pthread_mutex_lock(&runner->lock);
        if (r != HS_ETIMEOUT)
            hs_slot_free(slot);
    }
}

static void poll_all_stuck(struct hs_runner *runner)
{
    int count = runner->stuck;
    for (struct hs_instance *instance = runner->abandoned; instance; instance = instance->next)
        count += instance->stuck;
    if (count == 0)
        return;
    poll_stuck(runner, runner->instance, STUCK_POLL_NS / count);
    for (struct hs_instance *instance = runner->abandoned; instance; instance = instance->next)
        poll_stuck(runner, instance, STUCK_POLL_NS / count);
}

/* Detects a hang: every slot has been stuck for longer than short request deadlines explain. */
static void detect_hang(struct hs_runner *runner)
{
    const struct hs_instance *instance = runner->instance;
    int64_t limit_ns = limit_of(runner, HANG_LIMIT_NS), now_ns = hs_clock_now_ns();
    if (runner->down || !instance || instance->stuck < instance->slot_count)
        return;
    for (int i = 0; i < instance->slot_count; i++)
        if (now_ns - instance->slots[i].started_ns < limit_ns)
            return;
    struct hs_error why;
    hs_error_set(&why, HS_ELOST, "the device did not return its %d slot%s within %.1f s", instance->slot_count,
                 instance->slot_count == 1 ? "" : "s", hs_ns_to_ms(limit_ns) / 1000);
    hs_runner_mark_down(runner, true, &why);
}

/* ---- Health ---- */

static int64_t health_time(const struct hs_runner *runner)
{
    /* A hung device may not return from this call either. */
    bool can = runner->device && runner->options.backend->health && !runner->down && runner->stuck == 0;
    return can ? runner->next_health_ns : HS_NO_DEADLINE;
}

static bool poll_health(struct hs_runner *runner)
{
    struct hs_device_health health;
    if (hs_clock_now_ns() < health_time(runner))
        return false;
    pthread_mutex_unlock(&runner->lock);
    int r = runner->options.backend->health(runner->device, &health, NULL);
    pthread_mutex_lock(&runner->lock);
    runner->next_health_ns = hs_clock_now_ns() + HEALTH_PERIOD_NS;
    runner->has_health = r == 0;
    if (r == 0)
        runner->health = health;
    return true;
}

/* ---- The thread ---- */

/* Does one piece of work; returns false if there is none. */
static bool work_once(struct hs_runner *runner)
{
    measure(runner);
    if (free_abandoned(runner))
        return true;
    if (runner->restarting)
        return restart_once(runner);
    if (runner->load_state == HS_LOAD_DRAINING && runner->instance->busy == 0) {
        unload(runner);
        return true;
    }
    if (runner->down)
        return recover_once(runner);
    if (runner->load_state == HS_LOAD_WANTED) {
        load(runner);
        return true;
    }
    if (hs_clock_now_ns() < idle_deadline(runner))
        return false;
    runner->unload_asked = false;
    unload(runner);
    /* If a request arrived during the unload, the device stays open for it. */
    if (runner->device && runner->load_state == HS_LOAD_NONE)
        close_device(runner, runner->device);
    return true;
}

static int64_t next_time(const struct hs_runner *runner)
{
    int64_t now_ns = hs_clock_now_ns(), health_ns = health_time(runner), time_ns = idle_deadline(runner);
    if (runner->down)
        /* If the time has passed, releasing the last lease wakes the loader. */
        time_ns = runner->next_attempt_ns > now_ns ? runner->next_attempt_ns : HS_NO_DEADLINE;
    else if (runner->restarting)
        time_ns = runner->restart_until_ns;
    if (runner->abandoned && time_ns > now_ns + ABANDONED_POLL_NS)
        time_ns = now_ns + ABANDONED_POLL_NS;
    return health_ns < time_ns ? health_ns : time_ns;
}

/* Allows stuck slots some time to be returned, then unloads and closes. */
static void finish(struct hs_runner *runner)
{
    int64_t grace_ns = hs_clock_now_ns() + STUCK_GRACE_NS;
    hs_runner_end_restart(runner);
    while ((runner->stuck > 0 || runner->abandoned) && hs_clock_now_ns() < grace_ns)
        if (!free_abandoned(runner))
            poll_all_stuck(runner);
    if (runner->instance && runner->instance->busy == 0)
        unload(runner);
    if (runner->device && !runner->instance)
        close_device(runner, runner->device);
    runner->ended = true;
    pthread_cond_broadcast(&runner->changed);
}

void *hs_runner_load_loop(void *arg)
{
    struct hs_runner *runner = arg;
    pthread_mutex_lock(&runner->lock);
    while (!runner->ending) {
        poll_all_stuck(runner);
        detect_hang(runner);
        if (runner->ending || work_once(runner) || poll_health(runner))
            continue;
        if (runner->stuck == 0)
            hs_cond_wait_until(&runner->work, &runner->lock, next_time(runner));
    }
    finish(runner);
    bool orphaned = runner->orphaned && !runner->instance && !runner->abandoned;
    pthread_mutex_unlock(&runner->lock);
    if (orphaned)
        hs_runner_free_orphan(runner);
    return NULL;
}
