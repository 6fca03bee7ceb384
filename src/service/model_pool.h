/* A pool is one model on everything that can run it: a runner for each device of its kind, and if the settings allow it
 * a fallback on the processor. This is the one place that decides about retries and the fallback, by the recovery
 * column of the status list (hs/status.h). */
#ifndef HS_SERVICE_MODEL_POOL_H
#define HS_SERVICE_MODEL_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "service/model_runner.h"

struct hs_model_pool {
    struct hs_model_runner *runners;         /* one for each device, all of the same pack */
    int count;                               /* at least 1 */
    struct hs_model_runner *fallback;        /* on the processor; NULL: none */
    char no_fallback[HS_ERROR_MESSAGE_SIZE]; /* why there is none although the settings ask for it; "": there is */
    /* "": `runners` are what the settings name; else why that could not be had at the start: `runners` is the
     * processor, for good */
    char instead[HS_ERROR_MESSAGE_SIZE];
    bool degraded;                    /* with `instead`, if the settings name a device and not `auto` */
    atomic_uint next;                 /* device to look at first */
    atomic_bool logged_fallback;      /* the log says that the fallback answers */
    bool logged_down;                 /* the log says that a device is down; of hs_model_pool_watch */
    atomic_ullong retries, fallbacks; /* runs done again, and by the fallback */
};

/* True if the processor may run the model in place of the device that the settings name, or of the one that `auto`
 * found. */
bool hs_model_pool_may_use_processor(const struct hs_model_options *options);

/* True if a file of the pack is installed for that device, or for the processor if that may run it. Only the store, the
 * settings and the device of the options are looked at. */
bool hs_model_pool_can_have(const struct hs_model_options *options, const struct hs_pack *pack);

/* As hs_model_runner_init, for every device that the settings allow. If the model cannot be had for them (no file for
 * this runtime, not installed, damaged) and the processor may run it, it does so from the start. If a fallback cannot
 * be had, the log says why; an embedding model is one only if its vectors are shown to be the same
 * (service/embedding_parity.h). *pool must not move. The caller frees with hs_model_pool_finish. */
int hs_model_pool_init(struct hs_model_pool *pool, const struct hs_model_options *options, struct hs_error *err);
void hs_model_pool_finish(struct hs_model_pool *pool); /* a zeroed one is fine */

/* The runner of the first device: which pack, which file, its name in the configuration. */
static inline const struct hs_model_runner *hs_model_pool_first(const struct hs_model_pool *pool)
{
    return &pool->runners[0];
}

/* One run on a runner, from hs_runner_acquire to hs_runner_release; may be called several times. */
typedef int (*hs_model_attempt)(void *arg, const struct hs_model_runner *runner, struct hs_error *err);

/* Calls `attempt` for the device with the least to do. HS_RECOVERY_RETRY: again after a pause that doubles, with
 * jitter; then, and for every other failure of the device, on the next device, and at last on the fallback. Errors of
 * the request are returned at once. *ret_runner is the runner that answered. cancel may be NULL. Any thread. */
int hs_model_pool_run(struct hs_model_pool *pool, hs_model_attempt attempt, void *arg, int64_t deadline_ns,
                      struct hs_cancel *cancel, const struct hs_model_runner **ret_runner, struct hs_error *err);

/* True if the processor answered in place of a device that the settings name. */
static inline bool hs_model_pool_is_fallback(const struct hs_model_pool *pool, const struct hs_model_runner *runner)
{
    return runner == pool->fallback || pool->degraded;
}

/* Starts to load on every device; hs_model_pool_wait_loaded waits for the first one. */
void hs_model_pool_preload(struct hs_model_pool *pool);
int hs_model_pool_wait_loaded(struct hs_model_pool *pool, int64_t deadline_ns, struct hs_error *err);

void hs_model_pool_set_keep_alive(struct hs_model_pool *pool, double seconds);
void hs_model_pool_unload(struct hs_model_pool *pool);

struct hs_model_pool_status {
    enum hs_runner_state state; /* of the best device */
    bool loaded;                /* on it, or on the fallback while that answers */
    bool degraded;              /* all devices are down, and the fallback answers */
    bool hung;                  /* a device does not give its pictures back */
    const char *device;         /* the kind of device that answers now: "hailo", "cpu" */
    int devices, devices_up;
    int slots;             /* pictures that may be in all devices at the same time */
    struct hs_error error; /* of the first device that is down; code 0: none is */
    uint64_t retries, fallbacks;
    const char *no_fallback; /* why the processor cannot be the fallback although the settings ask for it; else NULL */
    const char *instead;     /* as in struct hs_model_pool; NULL: not so */
};

void hs_model_pool_get_status(struct hs_model_pool *pool, struct hs_model_pool_status *ret_status);

/* Logs that a device went down or came back. For a server, about once a second, by one thread. */
void hs_model_pool_watch(struct hs_model_pool *pool);

/* Why a device of the pool is down or not used, even if the processor answers; NULL: none is. */
const char *hs_model_pool_complaint(const struct hs_model_pool_status *status);

/* Why requests cannot be answered now: "model_loading" or "model_failed", and details ("" for the former). NULL: they
 * can. */
const char *hs_model_pool_reason(const struct hs_model_pool_status *status, const char **ret_detail);

#endif
