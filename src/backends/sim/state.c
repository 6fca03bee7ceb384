#include "backends/sim/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

static struct {
    pthread_mutex_t lock; /* guards the list; held while a state is created */
    struct hs_sim_state *first;
} states = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- Finding ---- */

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void state_free(struct hs_sim_state *sim)
{
    free(sim->path);
    free(sim->text);
    free(sim);
}

static int init_locks(struct hs_sim_state *sim, struct hs_error *err)
{
    if (hs_cond_init(&sim->changed) != 0)
        return hs_error_set(err, HS_ENOMEM, "no memory for the simulated device");
    pthread_mutex_init(&sim->lock, NULL);
    return 0;
}

/* Takes `text`, also on failure. */
static int state_create(const char *path, char *text, size_t len, struct hs_sim_state **ret_world, struct hs_error *err)
{
    struct hs_sim_state *sim = calloc(1, sizeof(*sim));
    if (!sim || (path && !(sim->path = strdup(path)))) {
        free(text);
        free(sim);
        return hs_error_set(err, HS_ENOMEM, "no memory for the simulated device");
    }
    sim->text = text;
    hs_sim_script_default(&sim->script);
    int r = text ? hs_sim_script_parse(text, len, path, &sim->script, err) : 0;
    if (r == 0)
        r = init_locks(sim, err);
    if (r < 0) {
        state_free(sim);
        return r;
    }
    sim->start_ns = hs_clock_now_ns();
    for (int i = 0; i < HS_PROBE_MAX_DEVICES; i++)
        sim->devices[i].random = ((uint64_t) sim->script.seed << 8) + (uint64_t) i;
    *ret_world = sim;
    return 0;
}

static struct hs_sim_state *find_existing(const char *path, const char *text)
{
    for (struct hs_sim_state *sim = states.first; sim; sim = sim->next)
        if (same(sim->path, path) && same(sim->text, text))
            return sim;
    return NULL;
}

int hs_sim_state_find(const char *path, struct hs_sim_state **ret_world, struct hs_error *err)
{
    uint8_t *text = NULL;
    size_t len = 0;
    int r = path ? hs_file_read(path, HS_SIM_SCRIPT_MAX_BYTES, &text, &len, err) : 0;
    if (r < 0)
        return r;
    pthread_mutex_lock(&states.lock);
    struct hs_sim_state *sim = find_existing(path, (const char *) text);
    if (sim) {
        free(text);
    } else {
        r = state_create(path, (char *) text, len, &sim, err);
        if (r == 0) {
            sim->next = states.first;
            states.first = sim;
        }
    }
    pthread_mutex_unlock(&states.lock);
    if (r == 0)
        *ret_world = sim;
    return r;
}

/* ---- Faults ---- */

static int64_t ns_of(double ms)
{
    return (int64_t) (ms * (double) HS_NS_PER_MS);
}

/* Returns true if the fault has begun by this call, and has not ended yet. */
static bool is_active(const struct hs_sim_state *sim, int device, int index, int64_t number, int64_t now_ns)
{
    const struct hs_sim_fault *fault = &sim->script.faults[index];
    const struct hs_sim_device *u = &sim->devices[device];
    if (fault->device >= 0 && fault->device != device)
        return false;
    int64_t begun_ns = fault->at > 0 ? now_ns : sim->start_ns + ns_of(fault->at_ms);
    if (u->faults[index].begun)
        begun_ns = u->faults[index].begun_ns;
    else if (fault->at > 0 ? number < fault->at : now_ns < begun_ns)
        return false;
    if (fault->count > 0 && u->faults[index].hits >= fault->count)
        return false;
    return fault->for_ms < 0 || now_ns < begun_ns + ns_of(fault->for_ms);
}

static void begin(struct hs_sim_state *sim, int device, int index, int64_t now_ns)
{
    struct hs_sim_device *u = &sim->devices[device];
    const struct hs_sim_fault *fault = &sim->script.faults[index];
    if (u->faults[index].begun)
        return;
    u->faults[index].begun = true;
    u->faults[index].begun_ns = fault->at > 0 ? now_ns : sim->start_ns + ns_of(fault->at_ms);
    if (fault->kind != HS_SIM_LOST)
        return;
    u->losses++;
    u->free_at_ns = 0;
    pthread_cond_broadcast(&sim->changed);
}

/* Returns the time of the next scripted loss that begins at a time; HS_NO_DEADLINE: none. */
static int64_t next_loss_ns(const struct hs_sim_state *sim, int device)
{
    int64_t next_ns = HS_NO_DEADLINE;
    for (int i = 0; i < sim->script.fault_count; i++) {
        const struct hs_sim_fault *fault = &sim->script.faults[i];
        if (fault->kind != HS_SIM_LOST || fault->at > 0 || sim->devices[device].faults[i].begun ||
            (fault->device >= 0 && fault->device != device))
            continue;
        int64_t at_ns = sim->start_ns + ns_of(fault->at_ms);
        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    return next_ns;
}

void hs_sim_advance(struct hs_sim_state *sim, int device)
{
    int64_t now_ns = hs_clock_now_ns();
    for (int i = 0; i < sim->script.fault_count; i++) {
        const struct hs_sim_fault *fault = &sim->script.faults[i];
        if (fault->kind == HS_SIM_LOST && fault->at == 0 && (fault->device < 0 || fault->device == device) &&
            now_ns >= sim->start_ns + ns_of(fault->at_ms))
            begin(sim, device, i, now_ns);
    }
}

const struct hs_sim_fault *hs_sim_take_fault(struct hs_sim_state *sim, int device, enum hs_sim_kind kind,
                                             int64_t number)
{
    int64_t now_ns = hs_clock_now_ns();
    for (int i = 0; i < sim->script.fault_count; i++) {
        const struct hs_sim_fault *fault = &sim->script.faults[i];
        if (fault->kind != kind || !is_active(sim, device, i, number, now_ns))
            continue;
        begin(sim, device, i, now_ns);
        sim->devices[device].faults[i].hits++;
        return fault;
    }
    return NULL;
}

bool hs_sim_has_fault(struct hs_sim_state *sim, int device, enum hs_sim_kind kind, int64_t number)
{
    int64_t now_ns = hs_clock_now_ns();
    for (int i = 0; i < sim->script.fault_count; i++)
        if (sim->script.faults[i].kind == kind && is_active(sim, device, i, number, now_ns))
            return true;
    return false;
}

/* ---- Time ---- */

/* Returns a number in (0, 1] from splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
 * number generators"). */
static double random_double(uint64_t *state)
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

int64_t hs_sim_draw_latency_ns(struct hs_sim_state *sim, int device, int pictures)
{
    static const double z99 = 2.3263478740408408, two_pi = 6.283185307179586;
    const struct hs_sim_script *script = &sim->script;
    double ms = median_ms(script, pictures);
    if (script->p99_ms > script->latency_ms) {
        /* Log-normal with this median. The Box-Muller transform generates the normal number. */
        uint64_t *state = &sim->devices[device].random;
        double sigma = log(script->p99_ms / script->latency_ms) / z99;
        double normal = sqrt(-2 * log(random_double(state)));
        normal *= cos(two_pi * random_double(state));
        ms *= exp(sigma * normal);
    }
    return ns_of(ms);
}

bool hs_sim_sleep(struct hs_sim_state *sim, int device, unsigned losses, int64_t until_ns)
{
    for (;;) {
        hs_sim_advance(sim, device);
        if (sim->devices[device].losses != losses)
            return false;
        if (hs_clock_now_ns() >= until_ns)
            return true;
        int64_t loss_ns = next_loss_ns(sim, device);
        hs_cond_wait_until(&sim->changed, &sim->lock, loss_ns < until_ns ? loss_ns : until_ns);
    }
}
