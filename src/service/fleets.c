#include "service/fleets.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

struct place {
    bool used;
    atomic_int taken; /* grows with the lock held, and may shrink without it */
    int64_t last_used_ns;
    const struct hs_pack *pack; /* of the store */
    struct hs_fleet fleet;
};

struct hs_fleets {
    struct hs_network_options options;
    const char *backend; /* asked for once: with `auto` it means a look for devices */
    const char *runtime; /* NULL, or `version` */
    char version[HS_RUNTIME_SIZE];
    int64_t memory_max;
    pthread_mutex_t lock; /* guards all below; held while a fleet is put together, which reads its whole file */
    struct place places[HS_FLEETS_MAX]; /* the first is the configured model's, and stays */
};

int hs_fleets_create(const struct hs_network_options *options, int64_t memory_max, struct hs_fleets **ret_fleets,
                     struct hs_error *err)
{
    struct hs_fleets *fleets = calloc(1, sizeof(*fleets));
    if (!fleets)
        return hs_error_set(err, HS_ENOMEM, "no memory for the models");
    fleets->options = *options;
    fleets->backend = hs_network_backend_name(hs_network_device(options));
    fleets->runtime = hs_network_runtime(fleets->backend, fleets->version);
    fleets->memory_max = memory_max;
    fleets->options.refused = NULL; /* it is about the configured model only */
    int r = hs_fleet_init(&fleets->places[0].fleet, options, err);
    if (r < 0) {
        free(fleets);
        return r;
    }
    pthread_mutex_init(&fleets->lock, NULL);
    fleets->places[0].used = true;
    fleets->places[0].pack = hs_store_find(options->store, hs_fleet_first(&fleets->places[0].fleet)->choice.pack->name);
    *ret_fleets = fleets;
    return 0;
}

void hs_fleets_destroy(struct hs_fleets *fleets)
{
    if (!fleets)
        return;
    for (int i = 0; i < HS_FLEETS_MAX; i++)
        if (fleets->places[i].used)
            hs_fleet_finish(&fleets->places[i].fleet);
    pthread_mutex_destroy(&fleets->lock);
    free(fleets);
}

struct hs_fleet *hs_fleets_default(struct hs_fleets *fleets)
{
    return &fleets->places[0].fleet;
}

/* ---- With the lock held ---- */

static struct place *find(struct hs_fleets *fleets, const struct hs_pack *pack)
{
    for (int i = 0; i < HS_FLEETS_MAX; i++)
        if (fleets->places[i].used && fleets->places[i].pack == pack)
            return &fleets->places[i];
    return NULL;
}

static bool is_loaded(struct place *place)
{
    struct hs_fleet_status status;
    hs_fleet_get_status(&place->fleet, &status);
    return status.loaded;
}

/* The one that nobody uses for the longest time; the configured one is not among them. NULL: there is none. */
static struct place *oldest(struct hs_fleets *fleets, bool loaded)
{
    struct place *best = NULL;
    for (int i = 1; i < HS_FLEETS_MAX; i++) {
        struct place *place = &fleets->places[i];
        if (place->used && place->taken == 0 && (!loaded || is_loaded(place)) &&
            (!best || place->last_used_ns < best->last_used_ns))
            best = place;
    }
    return best;
}

/* An empty place. */
static struct place *make_room(struct hs_fleets *fleets)
{
    for (int i = 1; i < HS_FLEETS_MAX; i++)
        if (!fleets->places[i].used)
            return &fleets->places[i];
    struct place *place = oldest(fleets, false);
    if (place) {
        hs_fleet_finish(&place->fleet);
        place->used = false;
    }
    return place;
}

static int add(struct hs_fleets *fleets, const struct hs_pack *pack, struct place **ret_place, struct hs_error *err)
{
    struct place *place = make_room(fleets);
    if (!place)
        return hs_error_set(err, HS_EBUSY, "%d models are in use already", HS_FLEETS_MAX);
    struct hs_network_options options = fleets->options;
    options.model = pack->name;
    int r = hs_fleet_init(&place->fleet, &options, err);
    if (r < 0)
        return r;
    place->used = true;
    place->pack = pack;
    *ret_place = place;
    return 0;
}

static void stay_within_memory(struct hs_fleets *fleets, const struct place *wanted)
{
    if (hs_mem_resident() <= fleets->memory_max)
        return;
    struct place *place = oldest(fleets, true);
    if (place && place != wanted)
        hs_fleet_unload(&place->fleet);
}

/* ---- What others call ---- */

static int take(struct hs_fleets *fleets, const struct hs_pack *pack, struct hs_fleet **ret_fleet, struct hs_error *err)
{
    struct place *place = find(fleets, pack);
    int r = place ? 0 : add(fleets, pack, &place, err);
    if (r < 0 || !place)
        return r;
    place->taken++;
    place->last_used_ns = hs_clock_now_ns();
    stay_within_memory(fleets, place);
    *ret_fleet = &place->fleet;
    return 0;
}

/* The pack that a request means, by the configuration's own word for it too. */
static int find_pack(const struct hs_fleets *fleets, const char *name, const struct hs_pack **ret_pack,
                     struct hs_error *err)
{
    const struct hs_network_options *o = &fleets->options;
    struct hs_model_choice choice;
    if (strcmp(name, hs_fleet_first(&fleets->places[0].fleet)->model) == 0) {
        *ret_pack = fleets->places[0].pack;
        return 0;
    }
    int r = hs_store_choose(o->store, o->task, name, fleets->backend, fleets->runtime, &choice, err);
    if (r == 0)
        *ret_pack = choice.pack;
    return r;
}

int hs_fleets_take(struct hs_fleets *fleets, const char *name, struct hs_fleet **ret_fleet, struct hs_error *err)
{
    const struct hs_pack *pack = NULL;
    if (!name) {
        *ret_fleet = hs_fleets_default(fleets);
        return 0;
    }
    int r = find_pack(fleets, name, &pack, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&fleets->lock);
    r = take(fleets, pack, ret_fleet, err);
    pthread_mutex_unlock(&fleets->lock);
    return r;
}

void hs_fleets_give_back(struct hs_fleets *fleets, struct hs_fleet *fleet)
{
    pthread_mutex_lock(&fleets->lock);
    for (int i = 0; i < HS_FLEETS_MAX; i++) {
        struct place *place = &fleets->places[i];
        if (fleet == &place->fleet && place->taken > 0) {
            place->taken--;
            place->last_used_ns = hs_clock_now_ns();
        }
    }
    pthread_mutex_unlock(&fleets->lock);
}

size_t hs_fleets_hold(struct hs_fleets *fleets, struct hs_fleet *ret_held[HS_FLEETS_MAX])
{
    size_t count = 1;
    ret_held[0] = hs_fleets_default(fleets);
    if (pthread_mutex_trylock(&fleets->lock) != 0)
        return count;
    for (int i = 1; i < HS_FLEETS_MAX; i++) {
        if (!fleets->places[i].used)
            continue;
        fleets->places[i].taken++;
        ret_held[count++] = &fleets->places[i].fleet;
    }
    pthread_mutex_unlock(&fleets->lock);
    return count;
}

void hs_fleets_let_go(struct hs_fleets *fleets, struct hs_fleet *const *held, size_t count)
{
    for (int i = 1; i < HS_FLEETS_MAX; i++)
        for (size_t k = 1; k < count; k++)
            if (held[k] == &fleets->places[i].fleet)
                fleets->places[i].taken--;
}

const char *hs_fleets_state(struct hs_fleets *fleets, const struct hs_pack *pack)
{
    struct hs_model_choice choice;
    const struct hs_network_options *o = &fleets->options;
    const char *state = NULL;
    pthread_mutex_lock(&fleets->lock);
    struct place *place = find(fleets, pack);
    if (place) {
        struct hs_fleet_status status;
        hs_fleet_get_status(&place->fleet, &status);
        state = hs_engine_state_name(status.state);
    }
    pthread_mutex_unlock(&fleets->lock);
    if (state)
        return state;
    bool here = hs_store_choose(o->store, o->task, pack->name, fleets->backend, fleets->runtime, &choice, NULL) == 0 &&
                (strcmp(fleets->backend, "sim") == 0 || hs_store_has(o->store, choice.file));
    return here ? "idle" : "absent";
}

bool hs_fleets_unload(struct hs_fleets *fleets, const struct hs_pack *pack)
{
    pthread_mutex_lock(&fleets->lock);
    struct place *place = find(fleets, pack);
    bool loaded = place && is_loaded(place);
    if (loaded)
        hs_fleet_unload(&place->fleet);
    pthread_mutex_unlock(&fleets->lock);
    return loaded;
}
