/* State shared by all users of one script in this process: the simulated devices with their
 * timelines, call counts and pending faults. It starts when the script is first named and lasts
 * until the process ends, so a device that is closed and opened again continues from its previous
 * state. Any thread may call these functions. */
#ifndef HS_BACKENDS_SIM_STATE_H
#define HS_BACKENDS_SIM_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/sim/script.h"

struct hs_sim_device {
    int64_t free_at_ns; /* time at which all runs submitted so far are done */
    int64_t runs;       /* submits so far */
    int64_t loads;      /* loads so far */
    int64_t setups;     /* opens and loads so far */
    unsigned losses;    /* number of losses; devices and models opened before the latest one are dead */
    uint64_t random;
    struct {
        bool begun;
        int64_t begun_ns, hits;
    } faults[HS_SIM_MAX_FAULTS];
};

struct hs_sim_state {
    struct hs_sim_state *next;
    char *path, *text; /* path and contents of the script; NULL: no script */
    struct hs_sim_script script;
    int64_t start_ns;
    pthread_mutex_t lock;   /* guards devices; no other lock is taken while it is held */
    pthread_cond_t changed; /* broadcast if a device is lost */
    struct hs_sim_device devices[HS_PROBE_MAX_DEVICES];
};

/* Returns the state for a script; creates it if the path is new or the file has changed. `path`
 * NULL: no script. The result is never freed. HS_EINVAL: the message has file, line and key. */
int hs_sim_state_find(const char *path, struct hs_sim_state **ret_world, struct hs_error *err);

/* The functions below are called with the state's lock held. */

/* Starts the losses whose time has come. Must precede other queries about losses. */
void hs_sim_advance(struct hs_sim_state *sim, int device);

/* Returns the fault of this kind that hits call `number`, and counts the hit; NULL if none does. */
const struct hs_sim_fault *hs_sim_take_fault(struct hs_sim_state *sim, int device, enum hs_sim_kind kind,
                                             int64_t number);

/* Returns true if a fault of this kind would hit the next call; does not count it. */
bool hs_sim_has_fault(struct hs_sim_state *sim, int device, enum hs_sim_kind kind, int64_t number);

/* Returns the duration of a run of this many pictures: the median for them, varied at random as scripted. */
int64_t hs_sim_draw_latency_ns(struct hs_sim_state *sim, int device, int pictures);

/* Sleeps until until_ns. Returns false if the device's count of losses is not `losses`, or changes
 * meanwhile. */
bool hs_sim_sleep(struct hs_sim_state *sim, int device, unsigned losses, int64_t until_ns);

#endif
