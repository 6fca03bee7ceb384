#include "service/fleet.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "infer/registry.h"
#include "service/embedding_parity.h"
#include "service/startup.h"

/* A transient failure is tried again after about 5, 10 and 20 ms. */
enum { RETRIES_MAX = 3 };
#define FIRST_PAUSE_NS (5 * HS_NS_PER_MS)

/* ---- Made and ended ---- */

/* The ids of the devices to use; none where there is no choice. */
static void find_devices(const struct hs_network_options *options, struct hs_backend_probe *ret_probe)
{
    const char *device = hs_network_device(options);
    const struct hs_device_options look = { .script = hs_network_script(device) };
    const struct hs_backend *backend;
    *ret_probe = (struct hs_backend_probe) { 0 };
    if (!hs_given(options->inference->device_id) &&
        hs_registry_find(hs_network_backend_name(device), &backend, NULL) == 0)
        backend->probe(&look, ret_probe);
}

static int init_pool(struct hs_fleet *fleet, const struct hs_network_options *options, struct hs_error *err)
{
    struct hs_backend_probe probe;
    find_devices(options, &probe);
    int count = probe.device_count > 1 && probe.ids[0][0] ? probe.device_count : 1;
    count = count < HS_PROBE_MAX_DEVICES ? count : HS_PROBE_MAX_DEVICES;
    fleet->networks = calloc((size_t) count, sizeof(*fleet->networks));
    if (!fleet->networks)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model");
    for (int i = 0; i < count; i++) {
        struct hs_network_options one = *options;
        if (count > 1)
            one.device_id = probe.ids[i];
        int r = hs_network_init(&fleet->networks[i], &one, err);
        if (r < 0)
            return r;
        fleet->count++;
    }
    return 0;
}

/* Whoever stands in for an embedder has to give the vectors that it would have given: they are held against those that
 * the gallery has of it. */
static int check_fit(const struct hs_store *store, const struct hs_network *standby, const struct hs_network *first,
                     struct hs_error *err)
{
    const struct hs_pack *a = standby->choice.pack, *b = first->choice.pack;
    if (a->task != HS_TASK_FACE_EMBEDDING)
        return 0;
    if (strcmp(a->embedding.space, b->embedding.space) != 0)
        return hs_error_set(err, HS_EMODEL, "vectors of %s are of another embedding space", standby->model);
    return hs_embedding_parity_check(store, &first->choice, &standby->choice, err);
}

static int init_standby(struct hs_fleet *fleet, const struct hs_network_options *options, struct hs_error *err)
{
    const struct hs_network *first = hs_fleet_first(fleet);
    struct hs_network_options cpu = *options;
    cpu.device = "cpu";
    cpu.device_id = "";
    cpu.refused = NULL;
    cpu.model = first->choice.pack->name;
    fleet->standby = calloc(1, sizeof(*fleet->standby));
    if (!fleet->standby)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model");
    int r = hs_network_init(fleet->standby, &cpu, err);
    if (r < 0 && cpu.model != options->model) {
        cpu.model = "auto";
        r = hs_network_init(fleet->standby, &cpu, err);
    }
    if (r == 0) {
        r = check_fit(options->store, fleet->standby, first, err);
        if (r < 0)
            hs_network_finish(fleet->standby);
    }
    return r;
}

int hs_fleet_init(struct hs_fleet *fleet, const struct hs_network_options *options, struct hs_error *err)
{
    struct hs_error why;
    *fleet = (struct hs_fleet) { 0 };
    int r = init_pool(fleet, options, err);
    if (r < 0) {
        hs_fleet_finish(fleet);
        return r;
    }
    const struct hs_network *first = hs_fleet_first(fleet);
    if (options->policy->fallback == HS_FALLBACK_CPU && strcmp(first->device, "cpu") != 0 &&
        init_standby(fleet, options, &why) < 0) {
        hs_log_warning("device.fallback: the processor cannot stand in for %s: %s", first->model, why.message);
        hs_str_copy(fleet->no_standby, sizeof(fleet->no_standby), why.message);
        free(fleet->standby);
        fleet->standby = NULL;
    }
    return 0;
}

void hs_fleet_finish(struct hs_fleet *fleet)
{
    for (int i = 0; i < fleet->count; i++)
        hs_network_finish(&fleet->networks[i]);
    free(fleet->networks);
    if (fleet->standby)
        hs_network_finish(fleet->standby);
    free(fleet->standby);
    fleet->networks = NULL;
    fleet->standby = NULL;
    fleet->count = 0;
}

/* ---- A run ---- */

/* What a device, and not the request, is to blame for. */
static bool is_device_failure(int code)
{
    switch (code) {
    case HS_ETRANSIENT:
    case HS_ELOST:
    case HS_ENODEVICE:
    case HS_EINUSE:
    case HS_ENOTREADY:
    case HS_EDEVICE:
    case HS_EVERSION:
    case HS_EMODEL:
    case HS_ENOMEM:
        return true;
    default:
        return false;
    }
}

/* The device with least to do among those that answer and were not tried yet; NULL: none. One that was is a bit of
 * `tried`. */
static const struct hs_network *choose(struct hs_fleet *fleet, unsigned *tried)
{
    unsigned from = fleet->count > 1 ? atomic_fetch_add(&fleet->next, 1) : 0;
    int best = -1, best_load = 0;
    for (int k = 0; k < fleet->count; k++) {
        int i = (int) ((from + (unsigned) k) % (unsigned) fleet->count);
        if (*tried & 1u << i)
            continue;
        int load = hs_engine_get_load(fleet->networks[i].engine);
        if (load >= 0 && (best < 0 || load < best_load)) {
            best = i;
            best_load = load;
        }
    }
    if (best < 0)
        return NULL;
    *tried |= 1u << best;
    return &fleet->networks[best];
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

/* Half of the pause is left to chance, so that those who failed together do not come back together. False: there is not
 * so much time. */
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

static int run_on(struct hs_fleet *fleet, const struct hs_network *network, hs_fleet_attempt attempt, void *arg,
                  int64_t deadline_ns, struct hs_cancel *cancel, struct hs_error *err)
{
    int r = attempt(arg, network, err);
    for (int retry = 0; r == HS_ETRANSIENT && retry < RETRIES_MAX && pause_before(retry, deadline_ns, cancel);
         retry++) {
        atomic_fetch_add(&fleet->retries, 1);
        r = attempt(arg, network, err);
    }
    return r;
}

/* Once when it begins, and once when it is over. */
static void tell(struct hs_fleet *fleet, bool standby, const struct hs_error *why)
{
    if (!fleet->standby || atomic_exchange(&fleet->told, standby) == standby)
        return;
    const struct hs_network *first = hs_fleet_first(fleet);
    if (standby) {
        hs_log_warning("the processor answers for %s: %s", first->device, why->message);
    } else {
        hs_log_info("%s answers again", first->device);
        hs_engine_unload(fleet->standby->engine);
    }
}

int hs_fleet_run(struct hs_fleet *fleet, hs_fleet_attempt attempt, void *arg, int64_t deadline_ns,
                 struct hs_cancel *cancel, const struct hs_network **ret_network, struct hs_error *err)
{
    const struct hs_network *network;
    struct hs_error why = { 0 };
    unsigned tried = 0;
    int r = HS_ENODEVICE;
    while ((network = choose(fleet, &tried)) != NULL) {
        r = run_on(fleet, network, attempt, arg, deadline_ns, cancel, &why);
        if (r == 0)
            tell(fleet, false, NULL);
        if (!is_device_failure(r))
            goto out;
        if (hs_clock_now_ns() >= deadline_ns)
            goto out;
    }
    /* All of them are down: the first one says why, at once. */
    network = hs_fleet_first(fleet);
    if (tried == 0)
        r = attempt(arg, network, &why);
    if (fleet->standby && is_device_failure(r)) {
        tell(fleet, true, &why);
        atomic_fetch_add(&fleet->standins, 1);
        network = fleet->standby;
        r = run_on(fleet, network, attempt, arg, deadline_ns, cancel, &why);
    }
out:
    if (r == 0)
        *ret_network = network;
    else if (err)
        *err = why;
    return r;
}

/* ---- Loading and status ---- */

void hs_fleet_start_loading(struct hs_fleet *fleet, int h, int w)
{
    const struct hs_engine_shape shape = { h, w };
    for (int i = 0; i < fleet->count; i++)
        hs_engine_start_loading(fleet->networks[i].engine, &shape, 1);
}

int hs_fleet_wait_loaded(struct hs_fleet *fleet, int64_t deadline_ns, struct hs_error *err)
{
    return hs_engine_wait_loaded(fleet->networks[0].engine, deadline_ns, err);
}

void hs_fleet_set_keep_alive(struct hs_fleet *fleet, double seconds)
{
    for (int i = 0; i < fleet->count; i++)
        hs_engine_set_keep_alive(fleet->networks[i].engine, seconds);
}

void hs_fleet_unload(struct hs_fleet *fleet)
{
    for (int i = 0; i < fleet->count; i++)
        hs_engine_unload(fleet->networks[i].engine);
    if (fleet->standby)
        hs_engine_unload(fleet->standby->engine);
}

/* Lower is better. */
static int rank(enum hs_engine_state state)
{
    static const int ranks[] = {
        [HS_ENGINE_READY] = 0, [HS_ENGINE_IDLE] = 1, [HS_ENGINE_UNLOADING] = 2, [HS_ENGINE_LOADING] = 3,
        [HS_ENGINE_FAILED] = 4,
    };
    return ranks[state];
}

void hs_fleet_get_status(struct hs_fleet *fleet, struct hs_fleet_status *ret_status)
{
    struct hs_fleet_status s = {
        .state = HS_ENGINE_FAILED, .device = hs_fleet_first(fleet)->device, .devices = fleet->count,
        .retries = atomic_load(&fleet->retries), .standins = atomic_load(&fleet->standins),
        .no_standby = hs_given(fleet->no_standby),
    };
    struct hs_engine_status one;
    for (int i = 0; i < fleet->count; i++) {
        hs_engine_get_status(fleet->networks[i].engine, &one);
        if (one.state != HS_ENGINE_FAILED)
            s.devices_up++;
        else if (s.error.code == 0)
            s.error = one.error;
        if (rank(one.state) < rank(s.state))
            s.state = one.state;
        s.loaded |= one.model_loaded;
        s.hung |= one.hung;
        s.slots += one.slots;
    }
    if (s.state == HS_ENGINE_FAILED && fleet->standby) {
        s.degraded = true;
        s.device = fleet->standby->device;
        hs_engine_get_status(fleet->standby->engine, &one);
        s.loaded |= one.model_loaded;
    }
    *ret_status = s;
}

void hs_fleet_watch(struct hs_fleet *fleet)
{
    const struct hs_network *first = hs_fleet_first(fleet);
    struct hs_fleet_status status;
    hs_fleet_get_status(fleet, &status);
    const char *complaint = hs_fleet_complaint(&status);
    if ((complaint != NULL) == fleet->told_down || status.state == HS_ENGINE_LOADING)
        return;
    fleet->told_down = complaint != NULL;
    if (!complaint)
        hs_log_info("%s runs %s again", first->device, first->model);
    else
        hs_log_error("%s does not run %s: %s", first->device, first->model, complaint);
    if (complaint && status.error.code == HS_EMODEL && !first->simulated)
        hs_startup_report_model(first->choice.file->name);
    if (complaint && status.error.code == HS_EINUSE && !first->simulated)
        hs_startup_log_holders();
}

const char *hs_fleet_complaint(const struct hs_fleet_status *status)
{
    return status->error.code ? status->error.message : NULL;
}

const char *hs_fleet_reason(const struct hs_fleet_status *status, const char **ret_detail)
{
    *ret_detail = status->state == HS_ENGINE_FAILED ? status->error.message : "";
    if (status->degraded || status->state == HS_ENGINE_READY || status->state == HS_ENGINE_IDLE ||
        status->state == HS_ENGINE_UNLOADING)
        return NULL;
    return status->state == HS_ENGINE_LOADING ? "model_loading" : "model_failed";
}
