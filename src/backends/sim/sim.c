#include "backends/sim/sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/sim/face.h"
#include "backends/sim/person.h"
#include "backends/sim/state.h"
#include "backends/sim/vector.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

enum { MAX_SIDE = 8192 };

struct hs_device {
    struct hs_sim_state *sim;
    int index;
    unsigned losses; /* the simulated device's count when the device was opened; if it has grown since, this device is
                        dead */
    struct leak *leaks; /* guarded by the state's lock */
};

struct leak {
    struct leak *next;
    uint8_t bytes[];
};

struct slot {
    uint8_t *input, *outputs; /* outputs: output_bytes for each picture */
    struct hs_tensor_desc descs[HS_MODEL_MAX_OUTPUTS];
    /* State of the current run. */
    int64_t done_ns;
    int result;
    int h, w; /* size of its pictures */
    bool hangs;
    int64_t late_ns; /* time after the deadline at which it ends; negative: it ends at done_ns */
};

struct hs_model {
    struct hs_device *device;
    struct hs_sim_state *sim;
    int index;
    unsigned losses;
    enum hs_output_kind output_kind;
    struct hs_model_info info;
    size_t input_bytes;  /* per slot */
    size_t output_bytes; /* per picture */
    size_t output_at[HS_MODEL_MAX_OUTPUTS];
    struct slot slots[HS_MODEL_MAX_SLOTS];
};

static int lost(struct hs_error *err)
{
    return hs_error_set(err, HS_ELOST, "the simulated device was lost (set in its script)");
}

/* Returns true if the device is lost for this call, and counts the hit. The state's lock is held. */
static bool is_lost(struct hs_sim_state *sim, int index)
{
    hs_sim_advance(sim, index);
    return hs_sim_take_fault(sim, index, HS_SIM_LOST, sim->devices[index].runs);
}

/* Applies the faults that keep a device from being opened or used for a load. */
static int apply_setup_faults(struct hs_sim_state *sim, int index, struct hs_error *err)
{
    int64_t number = ++sim->devices[index].setups;
    if (is_lost(sim, index))
        return lost(err);
    if (hs_sim_take_fault(sim, index, HS_SIM_NONE, number))
        return hs_error_set(err, HS_ENODEVICE, "no simulated device is present (set in its script)");
    if (hs_sim_take_fault(sim, index, HS_SIM_BUSY, number))
        return hs_error_set(err, HS_EINUSE, "another program uses the simulated device (set in its script)");
    if (hs_sim_take_fault(sim, index, HS_SIM_MISMATCH, number))
        return hs_error_set(err, HS_EVERSION,
                            "the versions of the simulated driver and library do not match (set in its script)");
    return 0;
}

/* ---- Device ---- */

static void fill_probe(struct hs_sim_state *sim, struct hs_backend_probe *ret_probe)
{
    pthread_mutex_lock(&sim->lock);
    for (int i = 0; i < sim->script.devices; i++) {
        const struct hs_sim_device *sim_device = &sim->devices[i];
        hs_sim_advance(sim, i);
        if (!hs_sim_has_fault(sim, i, HS_SIM_LOST, sim_device->runs) &&
            !hs_sim_has_fault(sim, i, HS_SIM_NONE, sim_device->setups + 1))
            hs_str_format(ret_probe->ids[ret_probe->device_count++], HS_DEVICE_ID_SIZE, "sim%d", i);
    }
    pthread_mutex_unlock(&sim->lock);
    ret_probe->available = ret_probe->device_count > 0;
    if (!ret_probe->available)
        hs_str_copy(ret_probe->reason, sizeof(ret_probe->reason), "no simulated device is present (set in its script)");
}

static void probe(const struct hs_device_options *options, struct hs_backend_probe *ret_probe)
{
    struct hs_sim_state *sim;
    struct hs_error err;
    memset(ret_probe, 0, sizeof(*ret_probe));
    hs_str_copy(ret_probe->device, sizeof(ret_probe->device), "simulated, results are not real");
    hs_str_copy(ret_probe->version, sizeof(ret_probe->version), "sim 2");
    if (hs_sim_state_find(options ? options->script : NULL, &sim, &err) < 0)
        hs_str_copy(ret_probe->reason, sizeof(ret_probe->reason), err.message);
    else
        fill_probe(sim, ret_probe);
}

int hs_sim_check_script(const char *path, struct hs_error *err)
{
    struct hs_sim_state *sim;
    return hs_sim_state_find(path, &sim, err);
}

/* Returns the index of the device with this id, or -1 if there is none. */
static int find_device(const struct hs_sim_state *sim, const char *id)
{
    char name[HS_DEVICE_ID_SIZE];
    for (int i = 0; i < sim->script.devices; i++) {
        hs_str_format(name, sizeof(name), "sim%d", i);
        if (!id || strcmp(id, name) == 0)
            return i;
    }
    return -1;
}

static int open_device(const struct hs_device_options *options, struct hs_device **ret_device, struct hs_error *err)
{
    struct hs_sim_state *sim;
    int r = hs_sim_state_find(options->script, &sim, err);
    if (r < 0)
        return r;
    int index = find_device(sim, options->device_id);
    if (index < 0) {
        char shown[2 * HS_DEVICE_ID_SIZE];
        hs_str_quote(shown, sizeof(shown), options->device_id, strlen(options->device_id));
        return hs_error_set(err, HS_ENODEVICE, "no simulated device %s found", shown);
    }
    struct hs_device *device = calloc(1, sizeof(*device));
    if (!device)
        return hs_error_set(err, HS_ENOMEM, "no memory for the device");
    pthread_mutex_lock(&sim->lock);
    r = apply_setup_faults(sim, index, err);
    *device = (struct hs_device) { .sim = sim, .index = index, .losses = sim->devices[index].losses };
    pthread_mutex_unlock(&sim->lock);
    if (r < 0)
        free(device);
    else
        *ret_device = device;
    return r;
}

static void close_device(struct hs_device *device)
{
    for (struct leak *leak = device ? device->leaks : NULL, *next; leak; leak = next) {
        next = leak->next;
        free(leak);
    }
    free(device);
}

static int health(struct hs_device *device, struct hs_device_health *ret_health, struct hs_error *err)
{
    struct hs_sim_state *sim = device->sim;
    (void) err;
    memset(ret_health, 0, sizeof(*ret_health));
    pthread_mutex_lock(&sim->lock);
    hs_sim_advance(sim, device->index);
    ret_health->ok = sim->devices[device->index].losses == device->losses;
    pthread_mutex_unlock(&sim->lock);
    ret_health->has_temperature = ret_health->ok && sim->script.has_temperature;
    ret_health->temperature_c = ret_health->has_temperature ? (float) sim->script.temperature_c : 0;
    hs_str_copy(ret_health->note, sizeof(ret_health->note), ret_health->ok ? "simulated" : "lost (set in its script)");
    return 0;
}

/* ---- Model ---- */

static void unload(struct hs_model *model)
{
    if (!model)
        return;
    for (int i = 0; i < model->info.slots; i++) {
        if (model->slots[i].input)
            munmap(model->slots[i].input, model->input_bytes);
        free(model->slots[i].outputs);
    }
    free(model);
}

/* Describes the outputs for an input of h x w. */
static void describe(const struct hs_model *model, int h, int w, struct hs_tensor_desc *ret_outputs)
{
    enum hs_dtype dtype = model->sim->script.outputs;
    switch (model->output_kind) {
    case HS_OUTPUT_POSES:
        hs_sim_person_describe(h, w, dtype, ret_outputs);
        break;
    case HS_OUTPUT_FACES:
        hs_sim_face_describe(h, w, dtype, ret_outputs);
        break;
    case HS_OUTPUT_EMBEDDINGS:
        hs_sim_vector_describe(dtype, &ret_outputs[0]);
        break;
    }
}

static void place_outputs(struct hs_model *model)
{
    struct hs_model_info *info = &model->info;
    info->output_count = model->output_kind == HS_OUTPUT_POSES   ? HS_SIM_PERSON_HEADS
                         : model->output_kind == HS_OUTPUT_FACES ? HS_SIM_FACE_HEADS
                                                                 : 1;
    describe(model, info->input_h, info->input_w, info->outputs);
    /* Each output is aligned to 64 bytes, enough for any number type. */
    for (int i = 0; i < info->output_count; i++) {
        model->output_at[i] = model->output_bytes;
        model->output_bytes += (info->outputs[i].size_bytes + 63) / 64 * 64;
    }
}

static int allocate(struct hs_model *model, struct hs_error *err)
{
    for (int i = 0; i < model->info.slots; i++) {
        struct slot *slot = &model->slots[i];
        void *memory = mmap(NULL, model->input_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        slot->input = memory == MAP_FAILED ? NULL : memory;
        slot->outputs = calloc((size_t) model->info.batch, model->output_bytes);
        slot->h = model->info.input_h;
        slot->w = model->info.input_w;
        memcpy(slot->descs, model->info.outputs, sizeof(slot->descs));
        if (!slot->input || !slot->outputs)
            return hs_error_set(err, HS_ENOMEM, "no memory for the simulated model");
    }
    return 0;
}

static int at_most(int value, int limit)
{
    return value < limit ? value : limit;
}

static int make_model(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                      struct hs_error *err)
{
    const struct hs_sim_script *script = &device->sim->script;
    struct hs_model *model = calloc(1, sizeof(*model));
    if (!model)
        return hs_error_set(err, HS_ENOMEM, "no memory for the simulated model");
    *model = (struct hs_model) {
        .device = device,
        .sim = device->sim,
        .index = device->index,
        .losses = device->losses,
        .output_kind = spec->output_kind,
    };
    model->info.input_h = spec->input_h;
    model->info.input_w = spec->input_w;
    model->info.free_size = spec->free_size;
    model->info.slots = at_most(spec->slots > 0 ? spec->slots : 1, script->slots);
    int largest = script->batch_count > 0 ? script->batches[script->batch_count - 1].pictures : 1;
    model->info.batch = spec->batch < 1 ? 1 : at_most(spec->batch, largest);
    model->info.input_stride = (size_t) spec->input_h * (size_t) spec->input_w * 3;
    model->input_bytes = model->info.input_stride * (size_t) model->info.batch;
    place_outputs(model);
    int r = allocate(model, err);
    if (r == 0)
        *ret_model = model;
    else
        unload(model);
    return r;
}

/* Applies the script to this load. The state's lock is held, except during the scripted load time. */
static int apply_load_script(const struct hs_device *device, struct hs_error *err)
{
    struct hs_sim_state *sim = device->sim;
    struct hs_sim_device *sim_device = &sim->devices[device->index];
    int r = apply_setup_faults(sim, device->index, err);
    if (r < 0)
        return r;
    if (sim_device->losses != device->losses)
        return lost(err);
    int64_t number = ++sim_device->loads;
    double ms = sim->script.load_ms;
    const struct hs_sim_fault *slow = hs_sim_take_fault(sim, device->index, HS_SIM_LOAD_SLOW, number);
    const bool bad = hs_sim_take_fault(sim, device->index, HS_SIM_BAD_MODEL, number),
               full = hs_sim_take_fault(sim, device->index, HS_SIM_MEMORY, number),
               fails = hs_sim_take_fault(sim, device->index, HS_SIM_LOAD_FAIL, number);
    ms += slow ? slow->extra_ms : 0;
    int64_t until_ns = hs_clock_now_ns() + (int64_t) (ms * (double) HS_NS_PER_MS);
    if (!hs_sim_sleep(sim, device->index, device->losses, until_ns))
        return lost(err);
    if (bad)
        return hs_error_set(err, HS_EMODEL, "the simulated device cannot run this model (set in its script)");
    if (full)
        return hs_error_set(err, HS_ENOMEM, "the simulated device is out of memory (set in its script)");
    if (fails)
        return hs_error_set(err, HS_EDEVICE, "the simulated model cannot be loaded (set in its script)");
    return 0;
}

static int load(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                struct hs_error *err)
{
    if (spec->input_h < 1 || spec->input_w < 1 || spec->input_h > MAX_SIDE || spec->input_w > MAX_SIDE)
        return hs_error_set(err, HS_EINVAL, "input size %dx%d out of bounds", spec->input_w, spec->input_h);
    pthread_mutex_lock(&device->sim->lock);
    int r = apply_load_script(device, err);
    pthread_mutex_unlock(&device->sim->lock);
    return r == 0 ? make_model(device, spec, ret_model, err) : r;
}

static const struct hs_model_info *info(const struct hs_model *model)
{
    return &model->info;
}

static int resize(struct hs_model *model, int slot_index, int h, int w, struct hs_error *err)
{
    struct slot *slot = &model->slots[slot_index];
    if (h < 1 || w < 1 || h > model->info.input_h || w > model->info.input_w)
        return hs_error_set(err, HS_EINVAL, "input size %dx%d out of bounds", w, h);
    slot->h = h;
    slot->w = w;
    describe(model, h, w, slot->descs);
    return 0;
}

static const struct hs_tensor_desc *outputs(const struct hs_model *model, int slot)
{
    return model->slots[slot].descs;
}

static uint8_t *input(struct hs_model *model, int slot)
{
    return model->slots[slot].input;
}

static const void *output(struct hs_model *model, int slot, int picture, int index)
{
    return model->slots[slot].outputs + (size_t) picture * model->output_bytes + model->output_at[index];
}

/* ---- Runs ---- */

static int compute_outputs(const struct hs_model *model, const struct slot *slot, int number)
{
    const uint8_t *picture = slot->input + (size_t) number * model->info.input_stride;
    uint8_t *made = slot->outputs + (size_t) number * model->output_bytes;
    if (model->output_kind == HS_OUTPUT_EMBEDDINGS) {
        hs_sim_vector_fill(&slot->descs[0], picture, slot->h, slot->w, made);
        return 0;
    }
    struct hs_sim_blob blobs[HS_SIM_MAX_BLOBS];
    void *data[HS_MODEL_MAX_OUTPUTS];
    int count = hs_sim_blobs_find(picture, slot->h, slot->w, blobs);
    if (count < 0)
        return count;
    for (int k = 0; k < model->info.output_count; k++)
        data[k] = made + model->output_at[k];
    if (model->output_kind == HS_OUTPUT_POSES)
        hs_sim_person_fill(slot->descs, blobs, count, data);
    else
        hs_sim_face_fill(slot->descs, blobs, count, data);
    return 0;
}

/* Allocates memory as scripted; a failed allocation is ignored. The state's lock is held. */
static void take_memory(struct hs_device *device)
{
    size_t bytes = (size_t) device->sim->script.leak_kb * 1024;
    struct leak *leak = bytes > 0 ? malloc(sizeof(*leak) + bytes) : NULL;
    if (!leak)
        return;
    memset(leak->bytes, 0xff, bytes);
    leak->next = device->leaks;
    device->leaks = leak;
}

/* Schedules the run on the device's timeline and applies its faults. The state's lock is held. */
static int start_run(const struct hs_model *model, struct slot *slot, int count, struct hs_error *err)
{
    struct hs_sim_state *sim = model->sim;
    struct hs_sim_device *sim_device = &sim->devices[model->index];
    int64_t number = ++sim_device->runs, now_ns = hs_clock_now_ns();
    if (is_lost(sim, model->index) || sim_device->losses != model->losses)
        return lost(err);
    if (hs_sim_take_fault(sim, model->index, HS_SIM_QUEUE_FULL, number))
        return hs_error_set(err, HS_EBUSY, "the queue of the simulated device is full (set in its script)");
    const struct hs_sim_fault *late = hs_sim_take_fault(sim, model->index, HS_SIM_LATE, number);
    slot->late_ns = late ? (int64_t) (late->extra_ms * (double) HS_NS_PER_MS) : -1;
    slot->hangs = hs_sim_take_fault(sim, model->index, HS_SIM_HANG, number);
    slot->result = hs_sim_take_fault(sim, model->index, HS_SIM_ERROR, number)       ? HS_EDEVICE
                   : hs_sim_take_fault(sim, model->index, HS_SIM_TRANSIENT, number) ? HS_ETRANSIENT
                                                                                    : 0;
    int64_t start_ns = sim_device->free_at_ns > now_ns ? sim_device->free_at_ns : now_ns;
    slot->done_ns = start_ns + hs_sim_draw_latency_ns(sim, model->index, count);
    if (!slot->hangs)
        sim_device->free_at_ns = slot->done_ns;
    take_memory(model->device);
    return 0;
}

/* Computes the outputs here, during the simulated run time. */
static int submit(struct hs_model *model, int slot_index, int count, struct hs_error *err)
{
    struct slot *slot = &model->slots[slot_index];
    if (count < 1 || count > model->info.batch)
        return hs_error_set(err, HS_EINVAL, "a slot of this model holds 1 to %d pictures", model->info.batch);
    pthread_mutex_lock(&model->sim->lock);
    int r = start_run(model, slot, count, err);
    pthread_mutex_unlock(&model->sim->lock);
    for (int i = 0; r == 0 && slot->result == 0 && !slot->hangs && i < count; i++)
        slot->result = compute_outputs(model, slot, i);
    return r;
}

static int finish_run(const struct slot *slot, struct hs_error *err)
{
    switch (slot->result) {
    case 0:
        return 0;
    case HS_ETRANSIENT:
        return hs_error_set(err, HS_ETRANSIENT, "the simulated run failed temporarily (set in its script)");
    case HS_ENOMEM:
        return hs_error_set(err, HS_ENOMEM, "no memory for the simulated run");
    default:
        return hs_error_set(err, HS_EDEVICE, "the simulated run failed (set in its script)");
    }
}

static int wait_slot(struct hs_model *model, int slot_index, int64_t deadline_ns, struct hs_error *err)
{
    struct hs_sim_state *sim = model->sim;
    struct slot *slot = &model->slots[slot_index];
    if (slot->late_ns >= 0 && deadline_ns != HS_NO_DEADLINE) {
        int64_t late_ns = deadline_ns + slot->late_ns;
        slot->done_ns = late_ns > slot->done_ns ? late_ns : slot->done_ns;
        slot->late_ns = -1;
    }
    int64_t done_ns = slot->hangs ? HS_NO_DEADLINE : slot->done_ns;
    int64_t until_ns = done_ns < deadline_ns ? done_ns : deadline_ns;
    pthread_mutex_lock(&sim->lock);
    bool alive = hs_sim_sleep(sim, model->index, model->losses, until_ns);
    pthread_mutex_unlock(&sim->lock);
    if (!alive)
        return lost(err);
    if (done_ns > deadline_ns)
        return hs_error_set(err, HS_ETIMEOUT, "the simulated run is still in progress");
    return finish_run(slot, err);
}

const struct hs_backend hs_backend_sim = {
    .abi = HS_BACKEND_ABI,
    .name = "sim",
    .device = "sim",
    .traits = HS_BACKEND_SIMULATED,
    .default_slots = 4,
    .probe = probe,
    .open = open_device,
    .close = close_device,
    .load = load,
    .unload = unload,
    .info = info,
    .resize = resize,
    .input = input,
    .submit = submit,
    .wait = wait_slot,
    .output = output,
    .outputs = outputs,
    .health = health,
};
