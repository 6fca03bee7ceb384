#include "service/model_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "infer/registry.h"
#include "service/embedding_parity.h"
#include "service/server_main.h"

/* A transient failure is retried after about 5, 10 and 20 ms. */
enum { RETRIES_MAX = 3 };
#define FIRST_PAUSE_NS (5 * HS_NS_PER_MS)

/* ---- creation ---- */

/* Probes for the ids of the devices to use. Returns none if inference.device_id is set. */
static void find_devices(const struct hs_model_options *options, struct hs_backend_probe *ret_probe)
{
    const char *device = hs_model_runner_device(options);
    const struct hs_device_options look = { .script = hs_model_runner_script(device) };
    const struct hs_backend *backend;
    *ret_probe = (struct hs_backend_probe) { 0 };
    if (!hs_null_if_empty(options->settings->inference.device_id) &&
        hs_registry_find(hs_model_runner_backend_name(device), &backend, NULL) == 0)
        backend->probe(&look, ret_probe);
}

static int init_devices(struct hs_model_pool *pool, const struct hs_model_options *options, struct hs_error *err)
{
    struct hs_backend_probe probe;
    find_devices(options, &probe);
    int count = probe.device_count > 1 && probe.ids[0][0] ? probe.device_count : 1;
    count = count < HS_PROBE_MAX_DEVICES ? count : HS_PROBE_MAX_DEVICES;
    pool->runners = calloc((size_t) count, sizeof(*pool->runners));
    if (!pool->runners)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model");
    for (int i = 0; i < count; i++) {
        struct hs_model_options one = *options;
        if (count > 1)
            one.device_id = probe.ids[i];
        int r = hs_model_runner_init(&pool->runners[i], &one, err);
        if (r < 0)
            return r;
        pool->count++;
    }
    return 0;
}

/* Checks that embeddings of the fallback are comparable with the device's embeddings in the gallery. */
static int check_embeddings(const struct hs_store *store, const struct hs_model_runner *fallback,
                            const struct hs_model_runner *first, struct hs_error *err)
{
    const struct hs_pack *a = fallback->choice.pack, *b = first->choice.pack;
    if (a->task != HS_TASK_FACE_EMBEDDING)
        return 0;
    if (strcmp(a->embedding.space, b->embedding.space) != 0)
        return hs_error_set(err, HS_EMODEL, "%s has another embedding space", fallback->model);
    return hs_embedding_parity_check(store, &first->choice, &fallback->choice, err);
}

static bool is_auto(const struct hs_model_options *options)
{
    return strcmp(hs_model_runner_device(options), "auto") == 0;
}

bool hs_model_pool_may_use_processor(const struct hs_model_options *options)
{
    return strcmp(hs_model_runner_backend_name(hs_model_runner_device(options)), "hailo") == 0 &&
           (is_auto(options) || options->settings->device.fallback == HS_FALLBACK_CPU);
}

static bool has_file(const struct hs_model_options *options, const struct hs_pack *pack, const char *backend)
{
    char version[HS_RUNTIME_SIZE];
    const struct hs_pack_file *file = hs_pack_find_file(pack, backend, hs_model_runner_runtime(backend, version));
    return file && hs_store_has(options->store, file);
}

bool hs_model_pool_is_installed(const struct hs_model_options *options, const struct hs_pack *pack)
{
    return has_file(options, pack, hs_model_runner_backend_name(hs_model_runner_device(options))) ||
           (hs_model_pool_may_use_processor(options) && has_file(options, pack, "openvino"));
}

/* Initialises the model `model` on the processor. If that fails and `any` is set, uses the default model instead. */
static int init_processor(struct hs_model_runner *runner, const struct hs_model_options *options, const char *model,
                          bool any, struct hs_error *err)
{
    struct hs_model_options cpu = *options;
    cpu.device = "cpu";
    cpu.device_id = "";
    cpu.refused = NULL;
    cpu.model = model;
    int r = hs_model_runner_init(runner, &cpu, err);
    if (r < 0 && any && strcmp(model, "auto") != 0) {
        cpu.model = "auto";
        r = hs_model_runner_init(runner, &cpu, err);
    }
    return r;
}

static int init_fallback(struct hs_model_pool *pool, const struct hs_model_options *options, struct hs_error *err)
{
    const struct hs_model_runner *first = hs_model_pool_first(pool);
    const char *model = first->choice.pack->name;
    bool any = strcmp(options->model, "auto") == 0 || options->settings->device.fallback == HS_FALLBACK_CPU;
    pool->fallback = calloc(1, sizeof(*pool->fallback));
    if (!pool->fallback)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model");
    int r = init_processor(pool->fallback, options, model, any, err);
    if (r == 0) {
        r = check_embeddings(options->store, pool->fallback, first, err);
        if (r < 0)
            hs_model_runner_finish(pool->fallback);
    }
    return r;
}

/* Returns false for a name that is not a model's. That is a configuration error, so no other model replaces it. */
static bool names_a_model(const struct hs_model_options *options)
{
    const struct hs_pack *pack = hs_store_find(options->store, options->model);
    return strcmp(options->model, "auto") == 0 || (pack && pack->task == options->task);
}

/* Runs the model on the processor from the start, because of `why`. */
static int replace_devices(struct hs_model_pool *pool, const struct hs_model_options *options,
                           const struct hs_error *why)
{
    /* Another embedding model has another embedding space, so no face would match the gallery. */
    bool any = options->settings->device.fallback == HS_FALLBACK_CPU && options->task != HS_TASK_FACE_EMBEDDING;
    hs_model_pool_finish(pool);
    pool->runners = calloc(1, sizeof(*pool->runners));
    if (!pool->runners)
        return HS_ENOMEM;
    int r = init_processor(&pool->runners[0], options, options->model, any, NULL);
    if (r < 0)
        return r;
    pool->count = 1;
    pool->degraded = !is_auto(options);
    hs_str_copy(pool->replaced_reason, sizeof(pool->replaced_reason), why->message);
    if (options->refused)
        options->refused[0] = '\0';
    hs_log_warning("hailo unavailable, %s runs on the CPU: %s", hs_model_pool_first(pool)->model, why->message);
    return 0;
}

int hs_model_pool_init(struct hs_model_pool *pool, const struct hs_model_options *options, struct hs_error *err)
{
    struct hs_error why;
    bool wanted = options->settings->device.fallback == HS_FALLBACK_CPU;
    *pool = (struct hs_model_pool) { 0 };
    int r = init_devices(pool, options, &why);
    if (r < 0 && r != HS_ENOMEM && names_a_model(options) && hs_model_pool_may_use_processor(options) &&
        replace_devices(pool, options, &why) == 0)
        return 0;
    if (r < 0) {
        hs_model_pool_finish(pool);
        return hs_error_set(err, r, "%s", why.message);
    }
    const struct hs_model_runner *first = hs_model_pool_first(pool);
    if ((wanted || is_auto(options)) && !hs_model_runner_is_processor(first) &&
        init_fallback(pool, options, &why) < 0) {
        if (wanted) {
            hs_log_warning("device.fallback: no CPU fallback for %s: %s", first->model, why.message);
            hs_str_copy(pool->no_fallback, sizeof(pool->no_fallback), why.message);
        }
        free(pool->fallback);
        pool->fallback = NULL;
    }
    return 0;
}

void hs_model_pool_finish(struct hs_model_pool *pool)
{
    for (int i = 0; i < pool->count; i++)
        hs_model_runner_finish(&pool->runners[i]);
    free(pool->runners);
    if (pool->fallback)
        hs_model_runner_finish(pool->fallback);
    free(pool->fallback);
    pool->runners = NULL;
    pool->fallback = NULL;
    pool->count = 0;
}

/* ---- a run ---- */

/* Returns the least loaded device that is up and not in `tried`, and adds it to `tried`; NULL if there is none. */
static const struct hs_model_runner *choose_device(struct hs_model_pool *pool, unsigned *tried)
{
    unsigned from = pool->count > 1 ? atomic_fetch_add(&pool->next, 1) : 0;
    int best = -1, best_load = 0;
    for (int k = 0; k < pool->count; k++) {
        int i = (int) ((from + (unsigned) k) % (unsigned) pool->count);
        if (*tried & 1u << i)
            continue;
        int load = hs_runner_get_load(pool->runners[i].runner);
        if (load >= 0 && (best < 0 || load < best_load)) {
            best = i;
            best_load = load;
        }
    }
    if (best < 0)
        return NULL;
    *tried |= 1u << best;
    return &pool->runners[best];
}

struct pause {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool cancelled;
};

static void cancel_pause(void *arg)
{
    struct pause *wait = arg;
    pthread_mutex_lock(&wait->lock);
    wait->cancelled = true;
    pthread_cond_signal(&wait->wake);
    pthread_mutex_unlock(&wait->lock);
}

/* Waits before a retry. Half of the pause is random, so that runs that failed together are not
 * retried together. Returns false if the deadline comes first or the run is cancelled. */
static bool pause_before(int retry, int64_t deadline_ns, struct hs_cancel *cancel)
{
    struct pause wait = { .lock = PTHREAD_MUTEX_INITIALIZER };
    int64_t pause_ns = FIRST_PAUSE_NS << retry;
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) == sizeof(chance))
        pause_ns = pause_ns / 2 + (int64_t) (chance % (uint32_t) pause_ns);
    int64_t until_ns = hs_clock_now_ns() + pause_ns;
    if (until_ns >= deadline_ns || hs_cond_init(&wait.wake) != 0)
        return false;
    hs_cancel_watch(cancel, cancel_pause, &wait);
    bool left = hs_cancel_is_set(cancel);
    pthread_mutex_lock(&wait.lock);
    wait.cancelled |= left;
    while (!wait.cancelled && hs_clock_now_ns() < until_ns)
        hs_cond_wait_until(&wait.wake, &wait.lock, until_ns);
    pthread_mutex_unlock(&wait.lock);
    hs_cancel_unwatch(cancel);
    pthread_cond_destroy(&wait.wake);
    pthread_mutex_destroy(&wait.lock);
    return !wait.cancelled;
}

static int run_on(struct hs_model_pool *pool, const struct hs_model_runner *runner, hs_model_attempt attempt, void *arg,
                  int64_t deadline_ns, struct hs_cancel *cancel, struct hs_error *err)
{
    int r = attempt(arg, runner, err);
    for (int retry = 0;
         hs_status_recovery(r) == HS_RECOVERY_RETRY && retry < RETRIES_MAX && pause_before(retry, deadline_ns, cancel);
         retry++) {
        atomic_fetch_add(&pool->retries, 1);
        r = attempt(arg, runner, err);
    }
    return r;
}

/* Logs when the fallback starts and stops answering. */
static void log_fallback(struct hs_model_pool *pool, bool begins, const struct hs_error *why)
{
    if (!pool->fallback || atomic_exchange(&pool->logged_fallback, begins) == begins)
        return;
    const struct hs_model_runner *first = hs_model_pool_first(pool);
    if (begins) {
        hs_log_warning("%s unavailable, falling back to CPU: %s", first->device, why->message);
    } else {
        hs_log_info("%s available again, CPU fallback ended", first->device);
        hs_runner_unload(pool->fallback->runner);
    }
}

int hs_model_pool_run(struct hs_model_pool *pool, hs_model_attempt attempt, void *arg, int64_t deadline_ns,
                      struct hs_cancel *cancel, const struct hs_model_runner **ret_runner, struct hs_error *err)
{
    const struct hs_model_runner *runner = NULL;
    struct hs_error why = { 0 };
    unsigned tried = 0;
    int r = HS_ENODEVICE;
    while (hs_status_recovery(r) != HS_RECOVERY_NONE && (runner = choose_device(pool, &tried)) != NULL) {
        r = run_on(pool, runner, attempt, arg, deadline_ns, cancel, &why);
        if (r == 0)
            log_fallback(pool, false, NULL);
        if (hs_clock_now_ns() >= deadline_ns)
            goto out;
    }
    /* If all devices are down, the first one fails at once, with the reason. */
    if (tried == 0) {
        runner = hs_model_pool_first(pool);
        r = attempt(arg, runner, &why);
    }
    if (pool->fallback && hs_status_recovery(r) != HS_RECOVERY_NONE) {
        log_fallback(pool, true, &why);
        atomic_fetch_add(&pool->fallbacks, 1);
        runner = pool->fallback;
        r = run_on(pool, runner, attempt, arg, deadline_ns, cancel, &why);
    }
out:
    if (r == 0)
        *ret_runner = runner;
    else if (err)
        *err = why;
    return r;
}

/* ---- loading and status ---- */

void hs_model_pool_preload(struct hs_model_pool *pool)
{
    for (int i = 0; i < pool->count; i++)
        hs_runner_preload(pool->runners[i].runner);
}

int hs_model_pool_wait_loaded(struct hs_model_pool *pool, int64_t deadline_ns, struct hs_error *err)
{
    return hs_runner_wait_loaded(pool->runners[0].runner, deadline_ns, err);
}

void hs_model_pool_set_keep_alive(struct hs_model_pool *pool, double seconds)
{
    for (int i = 0; i < pool->count; i++)
        hs_runner_set_keep_alive(pool->runners[i].runner, seconds);
}

void hs_model_pool_unload(struct hs_model_pool *pool)
{
    for (int i = 0; i < pool->count; i++)
        hs_runner_unload(pool->runners[i].runner);
    if (pool->fallback)
        hs_runner_unload(pool->fallback->runner);
}

/* Lower is better. */
static int rank(enum hs_runner_state state)
{
    static const int ranks[] = {
        [HS_RUNNER_READY] = 0,   [HS_RUNNER_IDLE] = 1,   [HS_RUNNER_UNLOADING] = 2,
        [HS_RUNNER_LOADING] = 3, [HS_RUNNER_FAILED] = 4,
    };
    return ranks[state];
}

void hs_model_pool_get_status(struct hs_model_pool *pool, struct hs_model_pool_status *ret_status)
{
    struct hs_model_pool_status s = {
        .state = HS_RUNNER_FAILED,
        .device = hs_model_pool_first(pool)->device,
        .devices = pool->count,
        .retries = atomic_load(&pool->retries),
        .fallbacks = atomic_load(&pool->fallbacks),
        .no_fallback = hs_null_if_empty(pool->no_fallback),
        .replaced_reason = hs_null_if_empty(pool->replaced_reason),
        .degraded = pool->degraded,
    };
    struct hs_runner_status one;
    for (int i = 0; i < pool->count; i++) {
        hs_runner_get_status(pool->runners[i].runner, &one);
        if (one.state != HS_RUNNER_FAILED)
            s.devices_up++;
        else if (s.error.code == 0)
            s.error = one.error;
        if (rank(one.state) < rank(s.state))
            s.state = one.state;
        s.loaded |= one.loaded;
        s.hung |= one.hung;
        s.slots += one.slots;
    }
    if (s.state == HS_RUNNER_FAILED && pool->fallback) {
        s.degraded = true;
        s.device = pool->fallback->device;
        hs_runner_get_status(pool->fallback->runner, &one);
        s.loaded |= one.loaded;
    }
    *ret_status = s;
}

void hs_model_pool_watch(struct hs_model_pool *pool)
{
    const struct hs_model_runner *first = hs_model_pool_first(pool);
    struct hs_model_pool_status status;
    hs_model_pool_get_status(pool, &status);
    const char *device_error = status.error.code ? status.error.message : NULL;
    if ((device_error != NULL) == pool->logged_down || status.state == HS_RUNNER_LOADING)
        return;
    pool->logged_down = device_error != NULL;
    if (!device_error)
        hs_log_info("%s runs %s again", first->device, first->model);
    else
        hs_log_error("%s cannot run %s: %s", first->device, first->model, device_error);
    if (device_error && status.error.code == HS_EMODEL && !hs_model_runner_is_simulated(first))
        hs_startup_report_model(first->choice.file->name);
    if (device_error && status.error.code == HS_EINUSE && !hs_model_runner_is_simulated(first))
        hs_startup_log_holders();
}

const char *hs_model_pool_device_error(const struct hs_model_pool_status *status)
{
    return status->error.code ? status->error.message : status->replaced_reason;
}

const char *hs_model_pool_not_ready(const struct hs_model_pool_status *status, const char **ret_detail)
{
    *ret_detail = status->state == HS_RUNNER_FAILED ? status->error.message : "";
    bool fallback = status->degraded && !status->replaced_reason;
    if (fallback || status->state == HS_RUNNER_READY || status->state == HS_RUNNER_IDLE ||
        status->state == HS_RUNNER_UNLOADING)
        return NULL;
    return status->state == HS_RUNNER_LOADING ? "model_loading" : "model_failed";
}
