/* The models that a service has at hand: the configured one, and those that requests asked for by name. Any thread. */
#ifndef HS_SERVICE_FLEETS_H
#define HS_SERVICE_FLEETS_H

#include <stdint.h>

#include "service/fleet.h"

struct hs_fleets;

enum { HS_FLEETS_MAX = 8 };

/* options->model is the configured one, which is put together here and stays; nothing is loaded. `memory_max`: bytes of
 * the process above which the least recently used of the others is unloaded. Caller frees with hs_fleets_destroy. */
int hs_fleets_create(const struct hs_network_options *options, int64_t memory_max, struct hs_fleets **ret_fleets,
                     struct hs_error *err);
void hs_fleets_destroy(struct hs_fleets *fleets); /* no fleet is taken. NULL allowed */

struct hs_fleet *hs_fleets_default(struct hs_fleets *fleets);

/* The fleet of the pack of that name (dashes and underscores are one), NULL: the configured one. The caller gives it
 * back. HS_ENOTFOUND: no such pack, or not for this; HS_ENOTREADY: its file is not here; HS_EBUSY: all places are taken
 * by models in use. */
int hs_fleets_take(struct hs_fleets *fleets, const char *name, struct hs_fleet **ret_fleet, struct hs_error *err);
void hs_fleets_give_back(struct hs_fleets *fleets, struct hs_fleet *fleet); /* NULL allowed */

/* Those that there are at this moment, the configured one first, and the others unless one is just being put together:
 * never waits. They stay until they are let go, and do not count as used. Returns how many. */
size_t hs_fleets_hold(struct hs_fleets *fleets, struct hs_fleet *ret_held[HS_FLEETS_MAX]);
void hs_fleets_let_go(struct hs_fleets *fleets, struct hs_fleet *const *held, size_t count);

/* The state of a pack: as hs_engine_state_name of its fleet; "idle" where its file is here, but nobody asked for it
 * yet; "absent" where it is not. */
const char *hs_fleets_state(struct hs_fleets *fleets, const struct hs_pack *pack);

/* Unloads the model as soon as nobody uses it. False: it was not loaded. */
bool hs_fleets_unload(struct hs_fleets *fleets, const struct hs_pack *pack);

#endif
