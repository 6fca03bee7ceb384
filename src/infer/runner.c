/* The queue in front of a device, and its circuit breaker. */
#include "infer/runner.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "infer/runner_internal.h"

#define FIRST_PAUSE_NS (100 * HS_NS_PER_MS)
#define DEFAULT_PAUSE_MAX_NS (5 * HS_NS_PER_S)
/* Time for which hs_runner_destroy waits for the loader, which waits two seconds for stuck slots. A
 * backend may never return. */
#define DESTROY_LIMIT_NS (4 * HS_NS_PER_S)

/* Runners that could not be freed, because their device still holds slots or their loader is inside
 * the backend. */
static struct {
    pthread_mutex_t lock;
    struct hs_runner *first;
} leaked = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- Creation ---- */

static void free_runner(struct hs_runner *runner)
{
    free((char *) runner->options.device_id);
    free((char *) runner->options.group);
    free((char *) runner->options.cache_dir);
    free((char *) runner->options.script);
    free((char *) runner->spec.path);
    free((struct hs_input_size *) runner->spec.sizes);
    pthread_cond_destroy(&runner->changed);
    pthread_cond_destroy(&runner->work);
    pthread_mutex_destroy(&runner->lock);
    free(runner);
}

static bool copy_text(const char *text, const char **ret_copy)
{
    *ret_copy = text ? strdup(text) : NULL;
    return !text || *ret_copy;
}

static int copy_options(struct hs_runner *runner, const struct hs_runner_options *options,
                        const struct hs_model_spec *spec)
{
    runner->options = *options;
    runner->spec = *spec;
    runner->spec.slots = options->slots;
    runner->spec.batch = options->batch > 1 ? options->batch : 1;
    bool device_id = copy_text(options->device_id, &runner->options.device_id);
    bool group = copy_text(options->group, &runner->options.group);
    bool cache_dir = copy_text(options->cache_dir, &runner->options.cache_dir);
    bool script = copy_text(options->script, &runner->options.script);
    bool path = copy_text(spec->path, &runner->spec.path);
    struct hs_input_size *sizes = calloc((size_t) spec->size_count + 1, sizeof(*sizes));
    for (int i = 0; sizes && i < spec->size_count; i++)
        sizes[i] = spec->sizes[i];
    runner->spec.sizes = sizes;
    return device_id && group && cache_dir && script && path && sizes ? 0 : HS_ENOMEM;
}

static int check_options(const struct hs_runner_options *options, struct hs_error *err)
{
    if (options->slots < 0 || options->slots > HS_MODEL_MAX_SLOTS)
        return hs_error_set(err, HS_EINVAL, "slots must be 0 to %d", HS_MODEL_MAX_SLOTS);
    if (options->batch < 0 || options->batch > HS_MODEL_MAX_BATCH)
        return hs_error_set(err, HS_EINVAL, "the batch size must be 0 to %d pictures", HS_MODEL_MAX_BATCH);
    if (options->queue_max < 0 || options->threads < 0)
        return hs_error_set(err, HS_EINVAL, "the length of the queue and the number of threads must not be negative");
    if (options->restart_above < 0 || options->restart_pause_ns < 0)
        return hs_error_set(err, HS_EINVAL, "the memory limit and the pause between restarts must not be negative");
    return 0;
}

int hs_runner_create(const struct hs_runner_options *options, const struct hs_model_spec *spec,
                     struct hs_runner **ret_runner, struct hs_error *err)
{
    int r = check_options(options, err);
    if (r != 0)
        return r;
    struct hs_runner *runner = calloc(1, sizeof(*runner));
    if (!runner)
        return hs_error_set(err, HS_ENOMEM, "no memory for the runner");
    pthread_mutex_init(&runner->lock, NULL);
    r = hs_cond_init(&runner->work);
    if (r == 0)
        r = hs_cond_init(&runner->changed);
    if (r == 0)
        r = copy_options(runner, options, spec);
    runner->keep_alive_s = options->keep_alive_s;
    if (r == 0)
        r = hs_thread_start(&runner->loader, "loader", hs_runner_load_loop, runner);
    if (r != 0) {
        free_runner(runner);
        return hs_error_set(err, r, "no memory for the runner");
    }
    *ret_runner = runner;
    return 0;
}

void hs_runner_destroy(struct hs_runner *runner)
{
    if (!runner)
        return;
    int64_t limit_ns = hs_clock_now_ns() + DESTROY_LIMIT_NS;
    pthread_mutex_lock(&runner->lock);
    runner->ending = true;
    pthread_cond_signal(&runner->work);
    while (!runner->ended && hs_clock_now_ns() < limit_ns)
        hs_cond_wait_until(&runner->changed, &runner->lock, limit_ns);
    bool held = runner->instance || runner->abandoned;
    runner->orphaned = !runner->ended;
    if (runner->orphaned || held) {
        pthread_mutex_lock(&leaked.lock);
        runner->next_leaked = leaked.first;
        leaked.first = runner;
        pthread_mutex_unlock(&leaked.lock);
    }
    if (runner->orphaned) {
        pthread_detach(runner->loader);
        pthread_mutex_unlock(&runner->lock);
        return;
    }
    pthread_mutex_unlock(&runner->lock);
    pthread_join(runner->loader, NULL);
    if (!held)
        free_runner(runner);
}

void hs_runner_free_orphan(struct hs_runner *runner)
{
    pthread_mutex_lock(&leaked.lock);
    struct hs_runner **at = &leaked.first;
    while (*at != runner)
        at = &(*at)->next_leaked;
    *at = runner->next_leaked;
    pthread_mutex_unlock(&leaked.lock);
    free_runner(runner);
}

bool hs_runner_any_leaked(void)
{
    pthread_mutex_lock(&leaked.lock);
    bool any = leaked.first;
    pthread_mutex_unlock(&leaked.lock);
    return any;
}

/* ---- Loading and unloading on request ---- */

void hs_runner_set_load_state(struct hs_runner *runner, enum hs_load_state state)
{
    runner->load_state = state;
    pthread_cond_broadcast(&runner->changed);
    pthread_cond_signal(&runner->work);
}

void hs_runner_preload(struct hs_runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    runner->unload_asked = false;
    /* A load or a restart that is already under way is enough. */
    runner->preload_asked = !runner->down && !runner->restarting &&
                            (runner->load_state == HS_LOAD_NONE || runner->load_state == HS_LOAD_DRAINING);
    hs_runner_dispatch(runner);
    pthread_mutex_unlock(&runner->lock);
}

static bool is_loading(const struct hs_runner *runner)
{
    return runner->restarting || runner->preload_asked || runner->load_state == HS_LOAD_WANTED ||
           runner->load_state == HS_LOAD_LOADING;
}

int hs_runner_wait_loaded(struct hs_runner *runner, int64_t deadline_ns, struct hs_error *err)
{
    int r = 0;
    pthread_mutex_lock(&runner->lock);
    uint64_t before = runner->loads;
    while (is_loading(runner) && r == 0)
        r = hs_cond_wait_until(&runner->changed, &runner->lock, deadline_ns);
    if (is_loading(runner))
        r = hs_error_set(err, HS_ETIMEOUT, "the model is still loading");
    else if (runner->load_state == HS_LOAD_LOADED || runner->loads != before)
        r = 0; /* a keep-alive time of 0 may have unloaded it already */
    else if (runner->error.code != 0)
        r = hs_error_set(err, runner->error.code, "%s", runner->error.message);
    else
        r = hs_error_set(err, HS_ENOTREADY, "the model is not loaded");
    pthread_mutex_unlock(&runner->lock);
    return r;
}

void hs_runner_set_keep_alive(struct hs_runner *runner, double seconds)
{
    pthread_mutex_lock(&runner->lock);
    if (runner->keep_alive_s != seconds) {
        runner->keep_alive_s = seconds;
        pthread_cond_signal(&runner->work);
    }
    pthread_mutex_unlock(&runner->lock);
}

void hs_runner_unload(struct hs_runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    runner->unload_asked = is_loading(runner) || runner->load_state == HS_LOAD_LOADED;
    pthread_cond_signal(&runner->work);
    pthread_mutex_unlock(&runner->lock);
}

/* ---- The queue, with the lock held ---- */

static void remove_waiter(struct hs_runner *runner, struct hs_waiter *waiter)
{
    *(waiter->prev ? &waiter->prev->next : &runner->first) = waiter->next;
    *(waiter->next ? &waiter->next->prev : &runner->last) = waiter->prev;
    waiter->prev = waiter->next = NULL;
    runner->waiting--;
}

/* Continues after requests that get no slot, because a later one may fit into a batch that is being
 * filled. */
void hs_runner_dispatch(struct hs_runner *runner)
{
    if (runner->down || runner->restarting)
        return;
    if (runner->load_state == HS_LOAD_NONE && (runner->first || runner->preload_asked)) {
        runner->preload_asked = false;
        hs_runner_set_load_state(runner, HS_LOAD_WANTED);
    }
    struct hs_waiter *next;
    for (struct hs_waiter *waiter = runner->first; waiter && runner->load_state == HS_LOAD_LOADED; waiter = next) {
        next = waiter->next;
        waiter->part = hs_slot_take(runner, waiter->request);
        if (waiter->part) {
            remove_waiter(runner, waiter);
            pthread_cond_signal(&waiter->wake);
        }
    }
}

static void fail_waiters(struct hs_runner *runner, const struct hs_error *why)
{
    while (runner->first) {
        struct hs_waiter *waiter = runner->first;
        remove_waiter(runner, waiter);
        waiter->result = why->code;
        if (waiter->err)
            *waiter->err = *why;
        pthread_cond_signal(&waiter->wake);
    }
}

/* Inserts behind all waiters of the same or a higher priority. */
static void add_waiter(struct hs_runner *runner, struct hs_waiter *waiter)
{
    struct hs_waiter *before = runner->last;
    while (before && before->request->priority > waiter->request->priority)
        before = before->prev;
    waiter->prev = before;
    waiter->next = before ? before->next : runner->first;
    *(before ? &before->next : &runner->first) = waiter;
    *(waiter->next ? &waiter->next->prev : &runner->last) = waiter;
    runner->waiting++;
    hs_runner_dispatch(runner);
}

/* Fails with a code that the client may retry (HTTP 503), because the device may recover. */
static int down_error(const struct hs_runner *runner, struct hs_error *err)
{
    int code = runner->error.code;
    return hs_error_set(err, hs_status_http(code) == 503 ? code : HS_ENOTREADY, "%s", runner->error.message);
}

static int wait_for_slot(struct hs_runner *runner, struct hs_waiter *waiter, int64_t deadline_ns)
{
    if (runner->down)
        return down_error(runner, waiter->err);
    add_waiter(runner, waiter);
    if (!waiter->part && waiter->result == 0 && runner->waiting > runner->options.queue_max) {
        remove_waiter(runner, waiter);
        runner->refusals++;
        return hs_error_set(waiter->err, HS_EBUSY, "the queue of the model is full (waiting: %d)", runner->waiting);
    }
    int r = 0;
    while (!waiter->part && waiter->result == 0 && !waiter->cancelled && r == 0)
        r = hs_cond_wait_until(&waiter->wake, &runner->lock, deadline_ns);
    if (waiter->part || waiter->result != 0)
        return waiter->result;
    remove_waiter(runner, waiter);
    if (waiter->cancelled)
        return hs_error_set(waiter->err, HS_ECANCELED, "cancelled while waiting");
    runner->timeouts++;
    return hs_error_set(waiter->err, HS_ETIMEOUT, "the timeout passed while waiting for a free slot");
}

static int check_request(const struct hs_runner *runner, const struct hs_slot_request *request, struct hs_error *err)
{
    const struct hs_model_spec *spec = &runner->spec;
    bool fits = spec->free_size ? request->h <= spec->input_h && request->w <= spec->input_w
                                : request->h == spec->input_h && request->w == spec->input_w;
    if (request->count < 1)
        return hs_error_set(err, HS_EINVAL, "at least one picture is required");
    if (request->h < 1 || request->w < 1 || !fits)
        return hs_error_set(err, HS_EINVAL, "the model does not support an input of %dx%d", request->w, request->h);
    return 0;
}

static void cancel_waiter(void *arg)
{
    struct hs_waiter *waiter = arg;
    pthread_mutex_lock(&waiter->runner->lock);
    waiter->cancelled = true;
    pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&waiter->runner->lock);
}

int hs_runner_acquire(struct hs_runner *runner, const struct hs_slot_request *request, struct hs_lease **ret_lease,
                      struct hs_error *err)
{
    struct hs_waiter waiter = { .request = request, .runner = runner, .err = err };
    int64_t start_ns = hs_clock_now_ns();
    int r = check_request(runner, request, err);
    if (r != 0)
        return r;
    if (hs_cond_init(&waiter.wake) != 0)
        return hs_error_set(err, HS_ENOMEM, "no memory to wait for a slot");
    hs_cancel_watch(request->cancel, cancel_waiter, &waiter);
    /* Checked before locking, because a cancel's lock comes first. A cancel set later wakes the waiter. */
    if (hs_cancel_is_set(request->cancel))
        r = hs_error_set(err, HS_ECANCELED, "cancelled before the start");
    if (r == 0) {
        pthread_mutex_lock(&runner->lock);
        r = wait_for_slot(runner, &waiter, request->deadline_ns);
        pthread_mutex_unlock(&runner->lock);
    }
    hs_cancel_unwatch(request->cancel);
    pthread_cond_destroy(&waiter.wake);
    if (r != 0)
        return r;
    waiter.part->cancel = request->cancel;
    waiter.part->deadline_ns = request->deadline_ns;
    waiter.part->queue_ns = hs_clock_now_ns() - start_ns;
    *ret_lease = &waiter.part->lease;
    return 0;
}

/* ---- The circuit breaker, with the lock held ---- */

void hs_runner_schedule_attempt(struct hs_runner *runner)
{
    int64_t most_ns = runner->options.retry_max_ns > 0 ? runner->options.retry_max_ns : DEFAULT_PAUSE_MAX_NS;
    int64_t pause_ns = runner->attempts < 16 ? FIRST_PAUSE_NS << runner->attempts : most_ns;
    runner->attempts++;
    runner->next_attempt_ns = hs_clock_now_ns() + (pause_ns < most_ns ? pause_ns : most_ns);
}

void hs_runner_mark_down(struct hs_runner *runner, bool hung, const struct hs_error *why)
{
    struct hs_error told;
    runner->downs += !runner->down;
    runner->down = true;
    runner->hung = hung;
    runner->error = *why;
    runner->attempts = 0;
    runner->preload_asked = false;
    hs_runner_schedule_attempt(runner);
    hs_runner_end_restart(runner);
    if (runner->load_state != HS_LOAD_LOADING)
        hs_runner_set_load_state(runner, runner->instance ? HS_LOAD_DRAINING : HS_LOAD_NONE);
    down_error(runner, &told);
    fail_waiters(runner, &told);
}

HS_ERROR_COUNTERS(hs_device_errors, "hailo_device_errors_total",
                  "Failed runs of all devices, by the code of the error.");

void hs_runner_count_run(struct hs_runner *runner, int result, bool hung, const struct hs_error *why)
{
    enum hs_recovery recovery = hs_status_recovery(result);
    int failures_max = runner->options.failures_max;
    runner->runs++;
    runner->failures += result != 0;
    hs_count_error(&hs_device_errors, result);
    if (result == 0)
        runner->failures_in_row = 0;
    if (recovery == HS_RECOVERY_NONE || runner->down)
        return;
    runner->failures_in_row++;
    if ((recovery == HS_RECOVERY_REOPEN && !hung) || (failures_max > 0 && runner->failures_in_row >= failures_max))
        hs_runner_mark_down(runner, hung, why);
}

/* ---- Status ---- */

int hs_runner_get_load(struct hs_runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    int load = runner->down ? -1 : runner->in_use + runner->waiting;
    pthread_mutex_unlock(&runner->lock);
    return load;
}

static enum hs_runner_state state_of(const struct hs_runner *runner)
{
    if (runner->down)
        return HS_RUNNER_FAILED;
    if (runner->load_state == HS_LOAD_LOADED)
        return HS_RUNNER_READY;
    if (is_loading(runner))
        return HS_RUNNER_LOADING;
    return runner->load_state == HS_LOAD_DRAINING ? HS_RUNNER_UNLOADING : HS_RUNNER_IDLE;
}

void hs_runner_get_status(struct hs_runner *runner, struct hs_runner_status *ret_status)
{
    pthread_mutex_lock(&runner->lock);
    *ret_status = (struct hs_runner_status) {
        .state = state_of(runner),
        .loaded = runner->load_state == HS_LOAD_LOADED,
        .backend = runner->options.backend->name,
        .slots = runner->instance ? runner->instance->slot_count : runner->options.slots,
        .in_use = runner->in_use,
        .stuck = runner->stuck,
        .hung = runner->hung,
        .waiting = runner->waiting,
        .runs = runner->runs,
        .pictures = runner->pictures,
        .failures = runner->failures,
        .timeouts = runner->timeouts,
        .refusals = runner->refusals,
        .loads = runner->loads,
        .restarts = runner->restarts,
        .downs = runner->downs,
        .recoveries = runner->recoveries,
        .run_ns = runner->run_ns,
        .busy_ns = runner->busy_ns + (runner->running > 0 ? hs_clock_now_ns() - runner->busy_since_ns : 0),
        .last_load_ns = runner->last_load_ns,
        .has_health = runner->has_health,
        .health = runner->health,
        .error = runner->error,
    };
    memcpy(ret_status->device, runner->device_name, sizeof(ret_status->device));
    memcpy(ret_status->version, runner->version, sizeof(ret_status->version));
    pthread_mutex_unlock(&runner->lock);
}

const char *hs_runner_state_name(enum hs_runner_state state)
{
    static const char *const names[] = { "idle", "loading", "ready", "unloading", "failed" };
    return (size_t) state < HS_ARRAY_LEN(names) ? names[state] : "failed";
}
