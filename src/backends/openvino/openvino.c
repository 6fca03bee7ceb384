/* The CPU backend: OpenVINO through its C API.
 *
 * A slot is an infer request with input memory of its own, bound to it once. OpenVINO calls a set of threads that work
 * on one picture a stream; a model loaded with N slots gets N streams, among which the device's threads are divided.
 * So one slot means all cores on one picture, and as many slots as cores means one core a picture: which of them is
 * wanted is the engine's decision. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/openvino/blob_pages.h"
#include "backends/openvino/compile.h"
#include "backends/openvino/status.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "hs/backend.h"

struct hs_device {
    ov_core_t *core;
    char *cache_dir; /* NULL: none */
    int threads;
};

struct slot {
    uint8_t *input;
    size_t mapped_bytes;
    ov_infer_request_t *request;
    const uint8_t *outputs[HS_MODEL_MAX_OUTPUTS]; /* of the first picture; the others follow, packed */
};

struct hs_model {
    ov_compiled_model_t *compiled;
    struct hs_model_info info;
    struct slot slots[HS_MODEL_MAX_SLOTS];
};

static int processor_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 256 ? 256 : (int) count;
}

/* "2026.4.1-22345-0123abc-releases/2026/4" is 2026.4.1 for people. */
static void runtime_version(char *dst, size_t size)
{
    ov_version_t version;
    if (ov_get_openvino_version(&version) != OK) {
        hs_str_copy(dst, size, "OpenVINO");
        return;
    }
    hs_str_format(dst, size, "OpenVINO %.*s", (int) strcspn(version.buildNumber, "-"), version.buildNumber);
    ov_version_free(&version);
}

static void probe(const struct hs_device_options *options, struct hs_backend_probe *ret_probe)
{
    (void) options;
    ov_core_t *core = NULL;
    char *name = NULL;
    struct hs_error err = { 0 };
    memset(ret_probe, 0, sizeof(*ret_probe));
    runtime_version(ret_probe->version, sizeof(ret_probe->version));
    int r = hs_openvino_check(ov_core_create(&core), HS_EDEVICE, &err, "OpenVINO does not start");
    if (r == 0)
        r = hs_openvino_check(ov_core_get_property(core, "CPU", ov_property_key_device_full_name, &name), HS_EDEVICE,
                              &err, "OpenVINO's CPU plugin does not load");
    if (r == 0) {
        ret_probe->available = true;
        ret_probe->device_count = 1;
        hs_str_format(ret_probe->device, sizeof(ret_probe->device), "%.40s, %d core%s", name && name[0] ? name : "CPU",
                      processor_count(), processor_count() == 1 ? "" : "s");
    } else {
        hs_str_copy(ret_probe->reason, sizeof(ret_probe->reason), err.message);
    }
    ov_free(name);
    ov_core_free(core);
}

static void close_device(struct hs_device *device)
{
    if (!device)
        return;
    ov_core_free(device->core);
    free(device->cache_dir);
    free(device);
    malloc_trim(0);
}

static int open_device(const struct hs_device_options *options, struct hs_device **ret_device, struct hs_error *err)
{
    struct hs_device *device = calloc(1, sizeof(*device));
    if (!device)
        return hs_error_set(err, HS_ENOMEM, "no memory for the device");
    device->threads = options->threads > 0 ? options->threads : processor_count();
    int r = 0;
    if (options->cache_dir) {
        device->cache_dir = strdup(options->cache_dir);
        if (!device->cache_dir)
            r = hs_error_set(err, HS_ENOMEM, "no memory for the device");
    }
    if (r == 0)
        r = hs_openvino_check(ov_core_create(&device->core), HS_EDEVICE, err, "OpenVINO does not start");
    if (r != 0) {
        close_device(device);
        return r;
    }
    *ret_device = device;
    return 0;
}

static void unload(struct hs_model *model)
{
    if (!model)
        return;
    for (int i = 0; i < HS_MODEL_MAX_SLOTS; i++) {
        ov_infer_request_free(model->slots[i].request);
        if (model->slots[i].input)
            munmap(model->slots[i].input, model->slots[i].mapped_bytes);
    }
    ov_compiled_model_free(model->compiled);
    free(model);
    malloc_trim(0);
}

static int bind_input(struct slot *slot, const struct hs_model_info *info, struct hs_error *err)
{
    int64_t dims[4] = { info->batch, info->input_h, info->input_w, 3 };
    ov_shape_t shape = { 4, dims };
    ov_tensor_t *tensor = NULL;
    slot->mapped_bytes = info->input_stride * (size_t) info->batch;
    void *memory = mmap(NULL, slot->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return hs_error_set(err, HS_ENOMEM, "no memory for an input of %dx%d", info->input_w, info->input_h);
    slot->input = memory;
    int r = hs_openvino_check(ov_tensor_create_from_host_ptr(U8, shape, memory, &tensor), HS_ENOMEM, err,
                              "cannot make an input tensor");
    if (r == 0)
        r = hs_openvino_check(ov_infer_request_set_input_tensor(slot->request, tensor), HS_EMODEL, err,
                              "the network does not take our input");
    ov_tensor_free(tensor); /* the request keeps its own reference */
    return r;
}

/* Where shapes are fixed, so is the memory of the outputs: asked for once. */
static int find_outputs(struct slot *slot, const struct hs_model_info *info, struct hs_error *err)
{
    for (int i = 0; i < info->output_count; i++) {
        ov_tensor_t *tensor = NULL;
        void *data = NULL;
        size_t bytes = 0;
        ov_status_e s = ov_infer_request_get_output_tensor_by_index(slot->request, (size_t) i, &tensor);
        if (s == OK)
            s = ov_tensor_data(tensor, &data);
        if (s == OK)
            s = ov_tensor_get_byte_size(tensor, &bytes);
        int r = hs_openvino_check(s, HS_EMODEL, err, "cannot look at an output");
        ov_tensor_free(tensor);
        size_t wanted = info->outputs[i].size_bytes * (size_t) info->batch;
        if (r == 0 && bytes != wanted)
            r = hs_error_set(err, HS_EMODEL, "output '%s' has %zu bytes instead of %zu", info->outputs[i].name, bytes,
                             wanted);
        if (r != 0)
            return r;
        slot->outputs[i] = data;
    }
    return 0;
}

static int make_slot(struct hs_model *model, struct slot *slot, struct hs_error *err)
{
    int r = hs_openvino_check(ov_compiled_model_create_infer_request(model->compiled, &slot->request), HS_ENOMEM, err,
                              "cannot make an infer request");
    if (r == 0)
        r = bind_input(slot, &model->info, err);
    if (r == 0)
        r = find_outputs(slot, &model->info, err);
    return r;
}

/* Runs every slot once on whatever its input holds: the network's memory is touched then, so that the engine sees what
 * the model takes, and the first picture is as quick as the next ones. */
static int warm_up(struct hs_model *model, struct hs_error *err)
{
    for (int i = 0; i < model->info.slots; i++) {
        int r = hs_openvino_check(ov_infer_request_infer(model->slots[i].request), HS_EMODEL, err, "the network fails");
        if (r != 0)
            return r;
    }
    return 0;
}

static int check_spec(const struct hs_model_spec *spec, struct hs_error *err)
{
    if (!spec->path)
        return hs_error_set(err, HS_EINVAL, "the model has no file for OpenVINO");
    if (spec->input_h < 1 || spec->input_w < 1 || spec->input_h > 8192 || spec->input_w > 8192)
        return hs_error_set(err, HS_EINVAL, "an input of %dx%d is out of bounds", spec->input_w, spec->input_h);
    if (spec->slots < 1 || spec->slots > HS_MODEL_MAX_SLOTS)
        return hs_error_set(err, HS_EINVAL, "%d slots are out of bounds", spec->slots);
    if (spec->batch < 0 || spec->batch > HS_MODEL_MAX_BATCH)
        return hs_error_set(err, HS_EINVAL, "a batch of %d is out of bounds", spec->batch);
    for (int i = 0; i < 3; i++)
        if (!(spec->std[i] > 0))
            return hs_error_set(err, HS_EINVAL, "a model's std must be positive");
    return 0;
}

static int load(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                struct hs_error *err)
{
    int r = check_spec(spec, err);
    if (r != 0)
        return r;
    struct hs_model *model = calloc(1, sizeof(*model));
    if (!model)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model");
    int slots = spec->slots < device->threads ? spec->slots : device->threads;
    model->info.slots = slots;
    model->info.input_stride = (size_t) spec->input_h * (size_t) spec->input_w * 3;
    r = hs_openvino_compile(device->core, spec, slots, device->threads, device->cache_dir, &model->compiled,
                            &model->info.batch, err);
    if (r == 0)
        r = hs_openvino_describe(model->compiled, spec, &model->info, err);
    for (int i = 0; i < slots && r == 0; i++)
        r = make_slot(model, &model->slots[i], err);
    if (r == 0)
        r = warm_up(model, err);
    if (r != 0) {
        unload(model);
        return r;
    }
    /* Reading and compiling leave tens of megabytes of freed memory in the allocator. */
    malloc_trim(0);
    hs_openvino_release_blobs(device->cache_dir);
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

/* The compiled batch is fixed, because a free one costs a third more: what is not filled is computed all the same. */
static int submit(struct hs_model *model, int slot, int count, struct hs_error *err)
{
    (void) count;
    return hs_openvino_check(ov_infer_request_start_async(model->slots[slot].request), HS_EDEVICE, err,
                             "the network cannot be started");
}

static int wait_slot(struct hs_model *model, int slot, int64_t deadline_ns, struct hs_error *err)
{
    ov_infer_request_t *request = model->slots[slot].request;
    if (deadline_ns == HS_NO_DEADLINE)
        return hs_openvino_check(ov_infer_request_wait(request), HS_EDEVICE, err, "the network failed");
    /* OpenVINO counts in whole milliseconds; rounding up keeps the promise not to give up early. */
    int64_t left = deadline_ns - hs_clock_now_ns();
    ov_status_e s = ov_infer_request_wait_for(request, left > 0 ? (left + HS_NS_PER_MS - 1) / HS_NS_PER_MS : 0);
    if (s == RESULT_NOT_READY)
        return hs_error_set(err, HS_ETIMEOUT, "the network is still running");
    return hs_openvino_check(s, HS_EDEVICE, err, "the network failed");
}

static const void *output(struct hs_model *model, int slot, int picture, int index)
{
    return model->slots[slot].outputs[index] + (size_t) picture * model->info.outputs[index].size_bytes;
}

__attribute__((visibility("default"))) extern const struct hs_backend hs_backend_entry;

const struct hs_backend hs_backend_entry = {
    .abi = HS_BACKEND_ABI,
    .name = "openvino",
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
