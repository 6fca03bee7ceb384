/* A pool runs one model on all devices that can run it: a runner for each device of its kind, and
 * if the settings allow it, a fallback on the processor. Retries and the fallback are decided only
 * here, by the recovery column of the status list (hs/status.h). */
#ifndef HS_SERVICE_MODEL_POOL_H
#define HS_SERVICE_MODEL_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "service/model_runner.h"

struct hs_model_pool {
    struct hs_model_runner *runners;         /* one per device, all of the same pack */
    int count;                               /* at least 1 */
    struct hs_model_runner *fallback;        /* on the processor; NULL: none */
    char no_fallback[HS_ERROR_MESSAGE_SIZE]; /* why the fallback that the settings ask for is missing; else "" */
    /* "" if `runners` are those that the settings name. Otherwise the reason why these were not
     * available at the start; `runners` is then the processor, permanently. */
    char replaced_reason[HS_ERROR_MESSAGE_SIZE];
    bool degraded;               /* true if `replaced_reason` is set and the settings name a device other than `auto` */
    atomic_uint next;            /* the device to consider first */
    atomic_bool logged_fallback; /* "fallback answers" has been logged */
    bool logged_down;            /* "a device is down" has been logged; for hs_model_pool_watch */
    atomic_ullong retries, fallbacks; /* runs repeated, and runs done by the fallback */
};

/* Returns true if the processor may run the model in place of the device that the settings name or
 * `auto` found. */
bool hs_model_pool_may_use_processor(const struct hs_model_options *options);

/* Returns true if a file of the pack is installed for that device, or for the processor if that may
 * run it. Uses only the store, the settings and the device of the options. */
bool hs_model_pool_is_installed(const struct hs_model_options *options, const struct hs_pack *pack);

/* Initialises a runner, as hs_model_runner_init, for every device that the settings allow. If no
 * file can be used on them (none for this runtime, not installed, damaged) and the processor may
 * run the model, it does so from the start. If a fallback is not available, logs the reason; an
 * embedding model is accepted as fallback only if its embeddings are proven equivalent
 * (service/embedding_parity.h). *pool must not move. Caller frees with hs_model_pool_finish. */
int hs_model_pool_init(struct hs_model_pool *pool, const struct hs_model_options *options, struct hs_error *err);
void hs_model_pool_finish(struct hs_model_pool *pool); /* a zeroed pool is allowed */

/* Returns the runner of the first device, with the pack, the file and the configured name. */
static inline const struct hs_model_runner *hs_model_pool_first(const struct hs_model_pool *pool)
{
    return &pool->runners[0];
}

/* One run on a runner, from hs_runner_acquire to hs_runner_release; may be called several times. */
typedef int (*hs_model_attempt)(void *arg, const struct hs_model_runner *runner, struct hs_error *err);

/* Calls `attempt` on the least loaded device. On HS_RECOVERY_RETRY, tries again after a pause that
 * doubles each time, with jitter. After that, and for every other device failure, tries the next
 * device, and finally the fallback. Returns errors of the request at once. *ret_runner is the
 * runner that answered. `cancel` may be NULL. Any thread. */
int hs_model_pool_run(struct hs_model_pool *pool, hs_model_attempt attempt, void *arg, int64_t deadline_ns,
                      struct hs_cancel *cancel, const struct hs_model_runner **ret_runner, struct hs_error *err);

/* Returns true if the processor answered in place of a device that the settings name. */
static inline bool hs_model_pool_is_fallback(const struct hs_model_pool *pool, const struct hs_model_runner *runner)
{
    return runner == pool->fallback || pool->degraded;
}

/* Starts to load the model on every device. hs_model_pool_wait_loaded waits for the first one. */
void hs_model_pool_preload(struct hs_model_pool *pool);
int hs_model_pool_wait_loaded(struct hs_model_pool *pool, int64_t deadline_ns, struct hs_error *err);

void hs_model_pool_set_keep_alive(struct hs_model_pool *pool, double seconds);
void hs_model_pool_unload(struct hs_model_pool *pool);

struct hs_model_pool_status {
    enum hs_runner_state state; /* of the best device */
    bool loaded;                /* on that device, or on the fallback while it answers */
    bool degraded;              /* all devices are down, and the fallback answers */
    bool hung;                  /* a device does not return its pictures */
    const char *device;         /* the kind of device that answers: "hailo", "cpu" */
    int devices, devices_up;
    int slots;             /* pictures that all devices together process at a time */
    struct hs_error error; /* of the first device that is down; else code 0 */
    uint64_t retries, fallbacks;
    const char *no_fallback; /* why the processor cannot be the fallback although the settings ask for it, or NULL */
    const char *replaced_reason; /* as in struct hs_model_pool, or NULL */
};

void hs_model_pool_get_status(struct hs_model_pool *pool, struct hs_model_pool_status *ret_status);

/* Logs when a device goes down or comes back. A server calls this about once a second, from one thread. */
void hs_model_pool_watch(struct hs_model_pool *pool);

/* Returns why a device of the pool is down or unused, even if the processor answers; NULL if all are up. */
const char *hs_model_pool_device_error(const struct hs_model_pool_status *status);

/* Returns why requests cannot be answered: "model_loading" with "" as detail, or "model_failed"
 * with details. Returns NULL if they can. */
const char *hs_model_pool_not_ready(const struct hs_model_pool_status *status, const char **ret_detail);

#endif
