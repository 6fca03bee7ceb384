/* One model on everything that can run it: the devices of its kind are a pool, and the processor stands in for them
 * where the settings allow that. What fails is tried again, elsewhere, or there, within the request's time. */
#ifndef HS_SERVICE_FLEET_H
#define HS_SERVICE_FLEET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "service/network.h"

struct hs_fleet {
    struct hs_network *networks; /* one for each device of the pool, all of the same pack */
    int count;                   /* at least 1 */
    struct hs_network *standby;  /* on the processor; NULL: none */
    char no_standby[HS_ERROR_MESSAGE_SIZE]; /* why there is none, where the settings ask for one; "": there is */
    atomic_uint next;            /* where to begin looking for a device */
    atomic_bool told;            /* the log knows that the standby answers */
    bool told_down;              /* and that a device is down; of hs_fleet_watch */
    atomic_ullong retries, standins; /* runs done again, and by the standby */
};

/* As hs_network_init, for every device that the settings allow. A standby that cannot be had is said in the log and
 * done without: for embeddings also one whose vectors are not shown to be the same (service/embedding_parity.h). *fleet
 * must not move. Caller frees with hs_fleet_finish. */
int hs_fleet_init(struct hs_fleet *fleet, const struct hs_network_options *options, struct hs_error *err);
void hs_fleet_finish(struct hs_fleet *fleet); /* a zeroed one is fine */

/* The pool's first network: which pack, which file, how the configuration calls it. */
static inline const struct hs_network *hs_fleet_first(const struct hs_fleet *fleet)
{
    return &fleet->networks[0];
}

/* One run on one of the networks, from hs_engine_acquire to hs_engine_release; may be called several times. */
typedef int (*hs_fleet_attempt)(void *arg, const struct hs_network *network, struct hs_error *err);

/* Calls `attempt` for a device that answers and has least to do. HS_ETRANSIENT is tried again after a pause that
 * doubles, with some chance in it; another failure of the device is tried on the next one, and at last on the standby.
 * Errors of the request (what decoding, HS_EBUSY of a full queue, the deadline or the client did) are passed on at
 * once. *ret_network is who answered. cancel may be NULL. Any thread. */
int hs_fleet_run(struct hs_fleet *fleet, hs_fleet_attempt attempt, void *arg, int64_t deadline_ns,
                 struct hs_cancel *cancel, const struct hs_network **ret_network, struct hs_error *err);

/* Whether the processor stands in for this network's device. */
static inline bool hs_fleet_is_standby(const struct hs_fleet *fleet, const struct hs_network *network)
{
    return network == fleet->standby;
}

/* Begins to load this input size on every device of the pool; hs_fleet_wait_loaded waits for the first. */
void hs_fleet_start_loading(struct hs_fleet *fleet, int h, int w);
int hs_fleet_wait_loaded(struct hs_fleet *fleet, int64_t deadline_ns, struct hs_error *err);

void hs_fleet_set_keep_alive(struct hs_fleet *fleet, double seconds);
void hs_fleet_unload(struct hs_fleet *fleet);

struct hs_fleet_status {
    enum hs_engine_state state; /* of the best device of the pool */
    bool loaded;                /* on it, or on the standby while that answers */
    bool degraded;              /* the pool is down, and the standby answers */
    bool hung;                  /* a device does not give its pictures back */
    const char *device;         /* what answers come from now: "hailo", "cpu" */
    int devices, devices_up;    /* of the pool */
    int slots;                  /* pictures that may be in all of them at the same time */
    struct hs_error error;      /* of the pool's first device that is down; code 0: none is */
    uint64_t retries, standins;
    const char *no_standby; /* why the processor does not stand in, though the settings ask for that; else NULL */
};

void hs_fleet_get_status(struct hs_fleet *fleet, struct hs_fleet_status *ret_status);

/* For a server, about once a second, by one thread: the log hears of a device that is down, and of its return. */
void hs_fleet_watch(struct hs_fleet *fleet);

/* Why a device of the pool is down, whoever answers meanwhile; NULL: none is. */
const char *hs_fleet_complaint(const struct hs_fleet_status *status);

/* Why requests cannot be answered now: "model_loading" or "model_failed", and what is known of it ("" for the former).
 * NULL: they can. */
const char *hs_fleet_reason(const struct hs_fleet_status *status, const char **ret_detail);

#endif
