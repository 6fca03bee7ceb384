#include "backends/sim/sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/sim/person.h"
#include "backends/sim/script.h"
#include "base/clock.h"
#include "base/str.h"

struct hs_device {
    struct hs_sim_script script;
    pthread_mutex_t lock; /* guards `runs` */
    int64_t runs;
};

struct slot {
    uint8_t *input;
    bool hangs, fails;
    int64_t done_ns;
};

struct hs_model {
    struct hs_device *device;
    struct hs_model_info info;
    size_t input_bytes;
    void *outputs[HS_MODEL_MAX_OUTPUTS]; /* one copy for all slots: they never change */
    struct slot slots[HS_MODEL_MAX_SLOTS];
};

static void probe(struct hs_backend_probe *ret_probe)
{
    memset(ret_probe, 0, sizeof(*ret_probe));
    ret_probe->available = true;
    ret_probe->device_count = 1;
    hs_str_copy(ret_probe->device, sizeof(ret_probe->device), "simulated, answers are made up");
    hs_str_copy(ret_probe->version, sizeof(ret_probe->version), "sim 1");
}

/* Waiting for a moment is all that this device does, so a condition that nobody signals is its clock. */
static void wait_until(int64_t deadline_ns)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never;
    if (hs_cond_init(&never) != 0)
        return;
    pthread_mutex_lock(&lock);
    while (hs_clock_now_ns() < deadline_ns)
        hs_cond_wait_until(&never, &lock, deadline_ns);
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&never);
    pthread_mutex_destroy(&lock);
}

static int open_device(const struct hs_device_options *options, struct hs_device **ret_device, struct hs_error *err)
{
    struct hs_sim_script script;
    int r = hs_sim_script_parse(options->script, &script, err);
    if (r != 0)
        return r;
    if (script.absent)
        return hs_error_set(err, HS_ENOTREADY, "there is no simulated device, as its script says");
    if (script.fail_open)
        return hs_error_set(err, HS_EDEVICE, "the simulated device does not open, as its script says");
    struct hs_device *device = calloc(1, sizeof(*device));
    if (!device)
        return hs_error_set(err, HS_ENOMEM, "no memory for the device");
    device->script = script;
    pthread_mutex_init(&device->lock, NULL);
    *ret_device = device;
    return 0;
}

static void close_device(struct hs_device *device)
{
    if (!device)
        return;
    pthread_mutex_destroy(&device->lock);
    free(device);
}

static void unload(struct hs_model *model)
{
    if (!model)
        return;
    for (int i = 0; i < model->info.slots; i++)
        if (model->slots[i].input)
            munmap(model->slots[i].input, model->input_bytes);
    for (int i = 0; i < model->info.output_count; i++)
        free(model->outputs[i]);
    free(model);
}

static void describe(struct hs_model *model)
{
    const struct hs_sim_script *script = &model->device->script;
    struct hs_model_info *info = &model->info;
    info->output_count = script->output_count ? script->output_count : HS_SIM_HEADS;
    if (script->output_count)
        memcpy(info->outputs, script->outputs, sizeof(info->outputs));
    else
        hs_sim_person_describe(info->input_h, info->input_w, info->outputs);
}

static void fill(const struct hs_tensor_desc *desc, double value, void *data)
{
    size_t count = desc->size_bytes / hs_dtype_size(desc->dtype);
    for (size_t i = 0; i < count; i++)
        switch (desc->dtype) {
        case HS_DTYPE_F32:
            ((float *) data)[i] = (float) value;
            break;
        case HS_DTYPE_U16:
            ((uint16_t *) data)[i] = (uint16_t) (int) value;
            break;
        case HS_DTYPE_I8:
            ((int8_t *) data)[i] = (int8_t) (int) value;
            break;
        case HS_DTYPE_U8:
            ((uint8_t *) data)[i] = (uint8_t) (int) value;
            break;
        }
}

static int allocate(struct hs_model *model, struct hs_error *err)
{
    const struct hs_sim_script *script = &model->device->script;
    for (int i = 0; i < model->info.output_count; i++) {
        model->outputs[i] = malloc(model->info.outputs[i].size_bytes);
        if (!model->outputs[i])
            return hs_error_set(err, HS_ENOMEM, "no memory for the simulated model");
        if (script->output_count)
            fill(&model->info.outputs[i], script->fill[i], model->outputs[i]);
        else
            hs_sim_person_fill(model->info.outputs, i, model->outputs[i]);
    }
    for (int i = 0; i < model->info.slots; i++) {
        void *memory = mmap(NULL, model->input_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return hs_error_set(err, HS_ENOMEM, "no memory for the simulated model");
        model->slots[i].input = memory;
    }
    return 0;
}

static int load(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                struct hs_error *err)
{
    if (spec->input_h < 1 || spec->input_w < 1 || spec->input_h > 8192 || spec->input_w > 8192)
        return hs_error_set(err, HS_EINVAL, "an input of %dx%d is out of bounds", spec->input_w, spec->input_h);
    if (device->script.load_ms > 0)
        wait_until(hs_deadline_in_ms(device->script.load_ms));
    if (device->script.fail_load)
        return hs_error_set(err, HS_EDEVICE, "the simulated model does not load, as its script says");
    struct hs_model *model = calloc(1, sizeof(*model));
    if (!model)
        return hs_error_set(err, HS_ENOMEM, "no memory for the simulated model");
    model->device = device;
    model->info.input_h = spec->input_h;
    model->info.input_w = spec->input_w;
    model->info.slots = spec->slots < device->script.slots ? spec->slots : device->script.slots;
    model->info.batch = 1;
    model->info.input_stride = model->input_bytes = (size_t) spec->input_h * (size_t) spec->input_w * 3;
    describe(model);
    int r = allocate(model, err);
    if (r != 0) {
        unload(model);
        return r;
    }
    *ret_model = model;
    return 0;
}

static const struct hs_model_info *info(const struct hs_model *model)
{
    return &model->info;
}

static uint8_t *input(struct hs_model *model, int slot)
{
    return model->slots[slot].input;
}

static int submit(struct hs_model *model, int slot_index, int count, struct hs_error *err)
{
    (void) count;
    struct hs_device *device = model->device;
    struct slot *slot = &model->slots[slot_index];
    if (device->script.fail_submit)
        return hs_error_set(err, HS_EDEVICE, "the simulated run does not start, as its script says");
    pthread_mutex_lock(&device->lock);
    int64_t run = ++device->runs;
    pthread_mutex_unlock(&device->lock);
    slot->hangs = device->script.hang || run == device->script.hang_at;
    slot->fails = device->script.fail_wait || run == device->script.fail_at;
    slot->done_ns = hs_deadline_in_ms(device->script.latency_ms);
    return 0;
}

static int wait_slot(struct hs_model *model, int slot_index, int64_t deadline_ns, struct hs_error *err)
{
    struct slot *slot = &model->slots[slot_index];
    if (slot->hangs || slot->done_ns > deadline_ns) {
        wait_until(deadline_ns);
        return hs_error_set(err, HS_ETIMEOUT, "the simulated run is still going");
    }
    wait_until(slot->done_ns);
    if (slot->fails)
        return hs_error_set(err, HS_EDEVICE, "the simulated run failed, as its script says");
    return 0;
}

static const void *output(struct hs_model *model, int slot, int picture, int index)
{
    (void) slot, (void) picture;
    return model->outputs[index];
}

const struct hs_backend hs_backend_sim = {
    .abi = HS_BACKEND_ABI,
    .name = "sim",
    .probe = probe,
    .open = open_device,
    .close = close_device,
    .load = load,
    .unload = unload,
    .info = info,
    .input = input,
    .submit = submit,
    .wait = wait_slot,
    .output = output,
    .health = NULL,
};
