#include "backends/sim/world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

static struct {
    pthread_mutex_t lock; /* guards the list; held while a world is created */
    struct hs_sim_world *first;
} worlds = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- Finding ---- */

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void world_free(struct hs_sim_world *world)
{
    free(world->path);
    free(world->text);
    free(world);
}

static int init_locks(struct hs_sim_world *world, struct hs_error *err)
{
    if (hs_cond_init(&world->changed) != 0)
        return hs_error_set(err, HS_ENOMEM, "no memory for the simulated device");
    pthread_mutex_init(&world->lock, NULL);
    return 0;
}

/* Takes `text`, also on failure. */
static int world_create(const char *path, char *text, size_t len, struct hs_sim_world **ret_world, struct hs_error *err)
{
    struct hs_sim_world *world = calloc(1, sizeof(*world));
    if (!world || (path && !(world->path = strdup(path)))) {
        free(text);
        free(world);
        return hs_error_set(err, HS_ENOMEM, "no memory for the simulated device");
    }
    world->text = text;
    hs_sim_script_default(&world->script);
    int r = text ? hs_sim_script_parse(text, len, path, &world->script, err) : 0;
    if (r == 0)
        r = init_locks(world, err);
    if (r < 0) {
        world_free(world);
        return r;
    }
    world->start_ns = hs_clock_now_ns();
    for (int i = 0; i < HS_PROBE_MAX_DEVICES; i++)
        world->units[i].random = ((uint64_t) world->script.seed << 8) + (uint64_t) i;
    *ret_world = world;
    return 0;
}

static struct hs_sim_world *find_made(const char *path, const char *text)
{
    for (struct hs_sim_world *world = worlds.first; world; world = world->next)
        if (same(world->path, path) && same(world->text, text))
            return world;
    return NULL;
}

int hs_sim_world_find(const char *path, struct hs_sim_world **ret_world, struct hs_error *err)
{
    uint8_t *text = NULL;
    size_t len = 0;
    int r = path ? hs_file_read(path, HS_SIM_SCRIPT_MAX_BYTES, &text, &len, err) : 0;
    if (r < 0)
        return r;
    pthread_mutex_lock(&worlds.lock);
    struct hs_sim_world *world = find_made(path, (const char *) text);
    if (world) {
        free(text);
    } else {
        r = world_create(path, (char *) text, len, &world, err);
        if (r == 0) {
            world->next = worlds.first;
            worlds.first = world;
        }
    }
    pthread_mutex_unlock(&worlds.lock);
    if (r == 0)
        *ret_world = world;
    return r;
}

/* ---- Faults ---- */

static int64_t ns_of(double ms)
{
    return (int64_t) (ms * (double) HS_NS_PER_MS);
}

/* Returns true if the fault has begun by this call, and has not ended yet. */
static bool is_active(const struct hs_sim_world *world, int unit, int index, int64_t number, int64_t now_ns)
{
    const struct hs_sim_fault *fault = &world->script.faults[index];
    const struct hs_sim_unit *u = &world->units[unit];
    if (fault->device >= 0 && fault->device != unit)
        return false;
    int64_t begun_ns = fault->at > 0 ? now_ns : world->start_ns + ns_of(fault->at_ms);
    if (u->faults[index].begun)
        begun_ns = u->faults[index].begun_ns;
    else if (fault->at > 0 ? number < fault->at : now_ns < begun_ns)
        return false;
    if (fault->count > 0 && u->faults[index].hits >= fault->count)
        return false;
    return fault->for_ms < 0 || now_ns < begun_ns + ns_of(fault->for_ms);
}

static void begin(struct hs_sim_world *world, int unit, int index, int64_t now_ns)
{
    struct hs_sim_unit *u = &world->units[unit];
    const struct hs_sim_fault *fault = &world->script.faults[index];
    if (u->faults[index].begun)
        return;
    u->faults[index].begun = true;
    u->faults[index].begun_ns = fault->at > 0 ? now_ns : world->start_ns + ns_of(fault->at_ms);
    if (fault->kind != HS_SIM_LOST)
        return;
    u->losses++;
    u->free_at_ns = 0;
    pthread_cond_broadcast(&world->changed);
}

/* Returns the time of the next scripted loss that begins at a time; HS_NO_DEADLINE: none. */
static int64_t next_loss_ns(const struct hs_sim_world *world, int unit)
{
    int64_t next_ns = HS_NO_DEADLINE;
    for (int i = 0; i < world->script.fault_count; i++) {
        const struct hs_sim_fault *fault = &world->script.faults[i];
        if (fault->kind != HS_SIM_LOST || fault->at > 0 || world->units[unit].faults[i].begun ||
            (fault->device >= 0 && fault->device != unit))
            continue;
        int64_t at_ns = world->start_ns + ns_of(fault->at_ms);
        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    return next_ns;
}

void hs_sim_advance(struct hs_sim_world *world, int unit)
{
    int64_t now_ns = hs_clock_now_ns();
    for (int i = 0; i < world->script.fault_count; i++) {
        const struct hs_sim_fault *fault = &world->script.faults[i];
        if (fault->kind == HS_SIM_LOST && fault->at == 0 && (fault->device < 0 || fault->device == unit) &&
            now_ns >= world->start_ns + ns_of(fault->at_ms))
            begin(world, unit, i, now_ns);
    }
}

const struct hs_sim_fault *hs_sim_hit(struct hs_sim_world *world, int unit, enum hs_sim_kind kind, int64_t number)
{
    int64_t now_ns = hs_clock_now_ns();
    for (int i = 0; i < world->script.fault_count; i++) {
        const struct hs_sim_fault *fault = &world->script.faults[i];
        if (fault->kind != kind || !is_active(world, unit, i, number, now_ns))
            continue;
        begin(world, unit, i, now_ns);
        world->units[unit].faults[i].hits++;
        return fault;
    }
    return NULL;
}

bool hs_sim_is_due(struct hs_sim_world *world, int unit, enum hs_sim_kind kind, int64_t number)
{
    int64_t now_ns = hs_clock_now_ns();
    for (int i = 0; i < world->script.fault_count; i++)
        if (world->script.faults[i].kind == kind && is_active(world, unit, i, number, now_ns))
            return true;
    return false;
}

/* ---- Time ---- */

/* Returns a number in (0, 1] from splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
 * number generators"). */
static double chance(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double) ((z ^ (z >> 31)) >> 11) * 0x1p-53 + 0x1p-53;
}

/* Interpolates linearly between the two nearest batch sizes in the script. */
static double median_ms(const struct hs_sim_script *script, int pictures)
{
    const struct hs_sim_batch *b = script->batches;
    if (script->batch_count == 0)
        return script->latency_ms;
    int i = 0;
    while (i < script->batch_count - 1 && b[i].pictures < pictures)
        i++;
    if (i == 0 || b[i].pictures <= pictures)
        return b[i].ms;
    double part = (double) (pictures - b[i - 1].pictures) / (b[i].pictures - b[i - 1].pictures);
    return b[i - 1].ms + part * (b[i].ms - b[i - 1].ms);
}

int64_t hs_sim_draw_latency_ns(struct hs_sim_world *world, int unit, int pictures)
{
    static const double z99 = 2.3263478740408408, two_pi = 6.283185307179586;
    const struct hs_sim_script *script = &world->script;
    double ms = median_ms(script, pictures);
    if (script->p99_ms > script->latency_ms) {
        /* Log-normal with this median. The Box-Muller transform generates the normal number. */
        uint64_t *state = &world->units[unit].random;
        double sigma = log(script->p99_ms / script->latency_ms) / z99;
        double normal = sqrt(-2 * log(chance(state)));
        normal *= cos(two_pi * chance(state));
        ms *= exp(sigma * normal);
    }
    return ns_of(ms);
}

bool hs_sim_sleep(struct hs_sim_world *world, int unit, unsigned losses, int64_t until_ns)
{
    for (;;) {
        hs_sim_advance(world, unit);
        if (world->units[unit].losses != losses)
            return false;
        if (hs_clock_now_ns() >= until_ns)
            return true;
        int64_t loss_ns = next_loss_ns(world, unit);
        hs_cond_wait_until(&world->changed, &world->lock, loss_ns < until_ns ? loss_ns : until_ns);
    }
}
