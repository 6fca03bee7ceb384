/* What all users of one script in this process share: the simulated devices with their timelines, their counts of calls
 * and the faults that are due. It starts when the script is first named and stays until the process ends, so that a
 * device that is closed and opened again goes on where it was. Any thread may call. */
#ifndef HS_BACKENDS_SIM_WORLD_H
#define HS_BACKENDS_SIM_WORLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/sim/script.h"

struct hs_sim_unit {
    int64_t free_at_ns; /* when all that was submitted so far is done */
    int64_t runs;       /* submits so far */
    int64_t loads;      /* loads so far */
    int64_t approaches; /* opens and loads so far */
    unsigned losses;    /* how often the device went away; what was opened and loaded before is dead */
    uint64_t random;
    struct {
        bool begun;
        int64_t begun_ns, hits;
    } faults[HS_SIM_MAX_FAULTS];
};

struct hs_sim_world {
    struct hs_sim_world *next;
    char *path, *text; /* of the script; NULL: none */
    struct hs_sim_script script;
    int64_t start_ns;
    pthread_mutex_t lock;   /* guards units; nothing else is locked while it is held */
    pthread_cond_t changed; /* a device went away */
    struct hs_sim_unit units[HS_PROBE_MAX_DEVICES];
};

/* `path` NULL: no script. A file that was changed starts a new world. Never freed. HS_EINVAL names file, line, key. */
int hs_sim_world_find(const char *path, struct hs_sim_world **ret_world, struct hs_error *err);

/* All that follows is called with the world's lock held. */

/* Takes note of what began by time. Every other question about losses comes after it. */
void hs_sim_advance(struct hs_sim_world *world, int unit);

/* Whether this fault hits the call of that number, which counts then. */
const struct hs_sim_fault *hs_sim_hit(struct hs_sim_world *world, int unit, enum hs_sim_kind kind, int64_t number);

/* Whether a fault of that kind would hit the next call; nothing counts. */
bool hs_sim_is_due(struct hs_sim_world *world, int unit, enum hs_sim_kind kind, int64_t number);

/* How long this many pictures take: the median for them, and chance as the script has it. */
int64_t hs_sim_draw_latency_ns(struct hs_sim_world *world, int unit, int pictures);

/* Waits until the moment, or until the device goes away (false), counted from `losses`. */
bool hs_sim_sleep(struct hs_sim_world *world, int unit, unsigned losses, int64_t until_ns);

#endif
