/* The CPU backend: OpenVINO through its C API.
 *
 * A slot is input memory and one infer request per picture of its batch. A stream of OpenVINO is a
 * set of threads that compute one picture. By default there is one stream with all cores, and two
 * slots, so that one picture is prepared while another is computed; a model loaded with N slots
 * gets N streams, and the threads are divided among them.
 *
 * With free sizes the network is compiled once for all of them, and a slot's tensor is set to the
 * size of its picture. A batch has a fixed size, because a free one costs a tenth more for a single
 * picture: a second network takes exactly full batches, and smaller ones are run picture by
 * picture. Both compute the same numbers. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/openvino/compile.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/thread.h"
#include "hs/backend.h"

/* One stream computes one picture while the next one is written. */
enum { DEFAULT_SLOTS = 2 };

struct hs_device {
    ov_core_t *core;
    char *cache_dir; /* NULL: no cache */
    char *runtime;   /* as in struct hs_openvino_target; NULL without a cache */
    int threads;
    void (*on_warning)(void *arg, const char *line);
    void *on_warning_arg;
};

struct request {
    ov_infer_request_t *handle;
    const uint8_t *outputs[HS_MODEL_MAX_OUTPUTS];
};

struct slot {
    uint8_t *input;
    size_t mapped_bytes;
    int h, w;                 /* size of the picture to which the tensors are bound */
    struct request *requests; /* one per picture of a batch */
    struct request many;      /* for a full batch; handle NULL without batches */
    int count;                /* pictures submitted */
    int started;              /* number of started `requests` */
    struct hs_error start_error;
    struct hs_tensor_desc outputs[HS_MODEL_MAX_OUTPUTS];
};

struct hs_model {
    ov_compiled_model_t *one, *many;
    int streams; /* pictures computed at the same time */
    struct hs_model_info info;
    struct slot slots[HS_MODEL_MAX_SLOTS];
};

static int processor_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 256 ? 256 : (int) count;
}

/* Shortens "2026.4.1-22345-0123abc-releases/2026/4" to 2026.4.1. */
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

/* ---- The current folder ---- */

/* A call that runs on a separate thread with / as its current folder. */
struct rooted {
    int (*run)(void *arg, struct hs_error *err);
    void *arg;
    bool must; /* if a thread cannot have its own current folder, change that of the process during the call */
    int status;
    struct hs_error err;
};

static void *run_rooted(void *arg)
{
    struct rooted *call = arg;
    bool own = unshare(CLONE_FS) == 0, moves = own || call->must;
    int before = moves && !own ? open(".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (moves && chdir("/") < 0)
        call->status = hs_error_set(&call->err, HS_EDEVICE, "cannot change to the folder /: %s", strerror(errno));
    else
        call->status = call->run(call->arg, &call->err);
    if (before >= 0) {
        if (fchdir(before) < 0)
            call->status =
                hs_error_set(&call->err, HS_EDEVICE, "cannot change back to the current folder: %s", strerror(errno));
        close(before);
    }
    return NULL;
}

/* OpenVINO opens files by their bare names, that is, in the current folder: plugins that are not
 * installed, which it would load from there, and weights of a compiled model. It aborts if that
 * folder cannot be entered. */
static int run_in_root(int (*run)(void *arg, struct hs_error *err), void *arg, bool must, struct hs_error *err)
{
    struct rooted call = { .run = run, .arg = arg, .must = must };
    pthread_t thread;
    if (hs_thread_start(&thread, "openvino", run_rooted, &call) < 0)
        return hs_error_set(err, HS_ENOMEM, "cannot start a thread for OpenVINO");
    pthread_join(thread, NULL);
    if (call.status < 0 && err)
        *err = call.err;
    return call.status;
}

static int create_core(void *ret_core, struct hs_error *err)
{
    return hs_openvino_check(ov_core_create((ov_core_t **) ret_core), HS_EDEVICE, err, "cannot initialise OpenVINO");
}

static void probe(const struct hs_device_options *options, struct hs_backend_probe *ret_probe)
{
    (void) options;
    ov_core_t *core = NULL;
    char *name = NULL;
    struct hs_error err = { 0 };
    memset(ret_probe, 0, sizeof(*ret_probe));
    runtime_version(ret_probe->version, sizeof(ret_probe->version));
    int r = run_in_root(create_core, &core, true, &err);
    if (r == 0)
        r = hs_openvino_check(ov_core_get_property(core, "CPU", ov_property_key_device_full_name, &name), HS_EDEVICE,
                              &err, "cannot load OpenVINO's CPU plugin");
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
    free(device->runtime);
    free(device);
    malloc_trim(0);
}

/* Reads the processor's features from the kernel, because virtual machines hide some features of a
 * processor type. */
static char *read_processor_flags(void)
{
    FILE *cpuinfo = fopen("/proc/cpuinfo", "re");
    char *line = NULL;
    size_t capacity = 0;
    bool found = false;
    while (cpuinfo && !found && getline(&line, &capacity, cpuinfo) > 0)
        found = hs_str_starts(line, "flags") || hs_str_starts(line, "Features");
    if (cpuinfo)
        fclose(cpuinfo);
    if (found)
        return line;
    free(line);
    return strdup("");
}

/* Describes everything that a compiled model depends on, except the model and its settings. The
 * caller frees it with free(); NULL: out of memory. */
static char *describe_runtime(const ov_core_t *core)
{
    ov_version_t version = { 0 };
    char *name = NULL, *formats = NULL, *text = NULL, *flags = read_processor_flags();
    bool known = ov_get_openvino_version(&version) == OK;
    if (ov_core_get_property(core, "CPU", ov_property_key_device_full_name, &name) != OK)
        name = NULL;
    if (ov_core_get_property(core, "CPU", ov_property_key_device_capabilities, &formats) != OK)
        formats = NULL;
    if (!flags || asprintf(&text, "%s|%s|%s|%s", known ? version.buildNumber : "", name ? name : "",
                           formats ? formats : "", flags) < 0)
        text = NULL;
    if (known)
        ov_version_free(&version);
    ov_free(name);
    ov_free(formats);
    free(flags);
    return text;
}

static int open_device(const struct hs_device_options *options, struct hs_device **ret_device, struct hs_error *err)
{
    struct hs_device *device = calloc(1, sizeof(*device));
    if (!device)
        return hs_error_set(err, HS_ENOMEM, "no memory for the device");
    device->threads = options->threads > 0 ? options->threads : processor_count();
    device->on_warning = options->on_warning;
    device->on_warning_arg = options->on_warning_arg;
    int r = 0;
    if (options->cache_dir) {
        /* Absolute, because OpenVINO's threads may have another current folder (run_in_root). */
        char cache_dir[PATH_MAX];
        bool absolute = hs_path_absolute(cache_dir, sizeof(cache_dir), options->cache_dir);
        device->cache_dir = strdup(absolute ? cache_dir : options->cache_dir);
        if (!device->cache_dir)
            r = hs_error_set(err, HS_ENOMEM, "no memory for the device");
    }
    if (r == 0)
        r = run_in_root(create_core, &device->core, true, err);
    if (r == 0 && device->cache_dir) {
        device->runtime = describe_runtime(device->core);
        if (!device->runtime)
            r = hs_error_set(err, HS_ENOMEM, "no memory for the device");
    }
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
    for (int i = 0; i < model->info.slots; i++) {
        struct slot *slot = &model->slots[i];
        for (int k = 0; slot->requests && k < model->info.batch; k++)
            ov_infer_request_free(slot->requests[k].handle);
        ov_infer_request_free(slot->many.handle);
        free(slot->requests);
        if (slot->input)
            munmap(slot->input, slot->mapped_bytes);
    }
    ov_compiled_model_free(model->many);
    ov_compiled_model_free(model->one);
    free(model);
    malloc_trim(0);
}

static int bind_input(struct request *request, uint8_t *memory, int batch, int h, int w, struct hs_error *err)
{
    int64_t dims[4] = { batch, h, w, 3 };
    ov_shape_t shape = { 4, dims };
    ov_tensor_t *tensor = NULL;
    int r = hs_openvino_check(ov_tensor_create_from_host_ptr(U8, shape, memory, &tensor), HS_ENOMEM, err,
                              "cannot create an input tensor");
    if (r == 0)
        r = hs_openvino_check(ov_infer_request_set_input_tensor(request->handle, tensor), HS_EMODEL, err,
                              "the model rejected the input tensor");
    ov_tensor_free(tensor); /* the request keeps its own reference */
    return r;
}

/* Finds the outputs of a finished request of `batch` pictures, and describes them as outputs of one
 * picture. */
static int read_outputs(struct request *request, int batch, int count, struct hs_tensor_desc *descs,
                        struct hs_error *err)
{
    int r = 0;
    for (int i = 0; r == 0 && i < count; i++) {
        ov_tensor_t *tensor = NULL;
        ov_element_type_e type = DYNAMIC;
        ov_shape_t shape = { 0, NULL };
        void *data = NULL;
        ov_status_e s = ov_infer_request_get_output_tensor_by_index(request->handle, (size_t) i, &tensor);
        if (s == OK)
            s = ov_tensor_data(tensor, &data);
        if (s == OK)
            s = ov_tensor_get_element_type(tensor, &type);
        if (s == OK)
            s = ov_tensor_get_shape(tensor, &shape);
        r = hs_openvino_check(s, HS_EMODEL, err, "cannot read an output of the model");
        if (r == 0 && type != F32)
            r = hs_error_set(err, HS_EMODEL, "output '%s' is not 32-bit float", descs[i].name);
        if (r == 0)
            r = hs_openvino_describe(&shape, batch, &descs[i], err);
        request->outputs[i] = data;
        ov_shape_free(&shape);
        ov_tensor_free(tensor);
    }
    return r;
}

static int make_slot(struct hs_model *model, struct slot *slot, struct hs_error *err)
{
    const struct hs_model_info *info = &model->info;
    slot->mapped_bytes = info->input_stride * (size_t) info->batch;
    void *memory = mmap(NULL, slot->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        slot->input = memory;
    slot->requests = calloc((size_t) info->batch, sizeof(*slot->requests));
    if (!slot->input || !slot->requests)
        return hs_error_set(err, HS_ENOMEM, "no memory for an input of %dx%d", info->input_w, info->input_h);
    slot->h = info->input_h;
    slot->w = info->input_w;
    memcpy(slot->outputs, info->outputs, sizeof(slot->outputs));
    int r = 0;
    for (int i = 0; r == 0 && i < info->batch; i++) {
        r = hs_openvino_check(ov_compiled_model_create_infer_request(model->one, &slot->requests[i].handle), HS_ENOMEM,
                              err, "cannot create an inference request");
        if (r == 0)
            r = bind_input(&slot->requests[i], slot->input + (size_t) i * info->input_stride, 1, slot->h, slot->w, err);
    }
    if (r == 0 && model->many) {
        r = hs_openvino_check(ov_compiled_model_create_infer_request(model->many, &slot->many.handle), HS_ENOMEM, err,
                              "cannot create an inference request");
        if (r == 0)
            r = bind_input(&slot->many, slot->input, info->batch, slot->h, slot->w, err);
    }
    return r;
}

static int resize(struct hs_model *model, int slot_index, int h, int w, struct hs_error *err)
{
    struct slot *slot = &model->slots[slot_index];
    if (h == slot->h && w == slot->w)
        return 0;
    if (!model->info.free_size || h < 1 || w < 1 || h > model->info.input_h || w > model->info.input_w)
        return hs_error_set(err, HS_EINVAL, "input size %dx%d out of bounds", w, h);
    int r = bind_input(&slot->requests[0], slot->input, 1, h, w, err);
    if (r == 0) {
        slot->h = h;
        slot->w = w;
    }
    return r;
}

/* Starts `count` pictures. If some could not be started, wait_slot reports that after the others are done. */
static int submit(struct hs_model *model, int slot_index, int count, struct hs_error *err)
{
    struct slot *slot = &model->slots[slot_index];
    if (count < 1 || count > model->info.batch)
        return hs_error_set(err, HS_EINVAL, "a slot of this model holds 1 to %d pictures", model->info.batch);
    slot->count = count;
    slot->started = 0;
    slot->start_error.code = 0;
    if (count > 1 && count == model->info.batch)
        return hs_openvino_check(ov_infer_request_start_async(slot->many.handle), HS_EDEVICE, err,
                                 "cannot start the inference");
    while (slot->started < count &&
           hs_openvino_check(ov_infer_request_start_async(slot->requests[slot->started].handle), HS_EDEVICE,
                             &slot->start_error, "cannot start the inference") == 0)
        slot->started++;
    if (slot->started == 0)
        return hs_error_set(err, slot->start_error.code, "%s", slot->start_error.message);
    return 0;
}

static int wait_request(struct request *request, int64_t deadline_ns, struct hs_error *err)
{
    if (deadline_ns == HS_NO_DEADLINE)
        return hs_openvino_check(ov_infer_request_wait(request->handle), HS_EDEVICE, err, "the inference failed");
    /* OpenVINO counts in whole milliseconds. Rounds up, because wait must not return before the deadline. */
    int64_t left = deadline_ns - hs_clock_now_ns();
    ov_status_e s = ov_infer_request_wait_for(request->handle, left > 0 ? (left + HS_NS_PER_MS - 1) / HS_NS_PER_MS : 0);
    if (s == RESULT_NOT_READY)
        return hs_error_set(err, HS_ETIMEOUT, "the inference is still running");
    return hs_openvino_check(s, HS_EDEVICE, err, "the inference failed");
}

static int wait_slot(struct hs_model *model, int slot_index, int64_t deadline_ns, struct hs_error *err)
{
    struct slot *slot = &model->slots[slot_index];
    int outputs = model->info.output_count, failed = 0;
    struct hs_error why;
    if (slot->started == 0) {
        int r = wait_request(&slot->many, deadline_ns, err);
        return r == 0 ? read_outputs(&slot->many, slot->count, outputs, slot->outputs, err) : r;
    }
    /* A slot is done only when all its requests are, even after a failure. */
    for (int i = 0; i < slot->started; i++) {
        int r = wait_request(&slot->requests[i], deadline_ns, &why);
        if (r == HS_ETIMEOUT)
            return hs_error_set(err, r, "%s", why.message);
        if (r == 0)
            r = read_outputs(&slot->requests[i], 1, outputs, slot->outputs, &why);
        if (r != 0 && failed == 0)
            failed = hs_error_set(err, r, "%s", why.message);
    }
    if (failed == 0 && slot->started < slot->count)
        failed = hs_error_set(err, slot->start_error.code, "%s", slot->start_error.message);
    return failed;
}

/* Runs one slot per stream at the same time, so that each stream is prepared for this size: the
 * first run of a size takes about twice as long as later ones. */
static int run_streams(struct hs_model *model, int h, int w, int count, struct hs_error *err)
{
    int started = 0, r = 0;
    for (; r == 0 && started < model->streams; started += r == 0) {
        r = model->info.free_size ? resize(model, started, h, w, err) : 0;
        if (r == 0)
            r = submit(model, started, count, err);
    }
    for (int i = 0; i < started; i++) {
        int done = wait_slot(model, i, HS_NO_DEADLINE, r == 0 ? err : NULL);
        r = r == 0 ? done : r;
    }
    return r;
}

static int warm_up(struct hs_model *model, const struct hs_model_spec *spec, struct hs_error *err)
{
    int r = run_streams(model, spec->input_h, spec->input_w, 1, err);
    for (int i = 0; r == 0 && model->info.free_size && i < spec->size_count; i++)
        if (spec->sizes[i].h != spec->input_h || spec->sizes[i].w != spec->input_w)
            r = run_streams(model, spec->sizes[i].h, spec->sizes[i].w, 1, err);
    if (r == 0 && model->many)
        r = run_streams(model, spec->input_h, spec->input_w, model->info.batch, err);
    if (r == 0 && model->info.free_size)
        r = resize(model, 0, spec->input_h, spec->input_w, err);
    return r;
}

static int check_spec(const struct hs_model_spec *spec, struct hs_error *err)
{
    if (!spec->path)
        return hs_error_set(err, HS_EINVAL, "the model has no file for OpenVINO");
    if (spec->input_h < 1 || spec->input_w < 1 || spec->input_h > 8192 || spec->input_w > 8192)
        return hs_error_set(err, HS_EINVAL, "input size %dx%d out of bounds", spec->input_w, spec->input_h);
    if (spec->slots < 0 || spec->slots > HS_MODEL_MAX_SLOTS)
        return hs_error_set(err, HS_EINVAL, "number of slots out of bounds: %d", spec->slots);
    if (spec->batch < 0 || spec->batch > HS_MODEL_MAX_BATCH)
        return hs_error_set(err, HS_EINVAL, "batch size out of bounds: %d", spec->batch);
    for (int i = 0; i < 3; i++)
        if (!(spec->std[i] > 0))
            return hs_error_set(err, HS_EINVAL, "std of a model must be positive");
    return 0;
}

/* Batches of free size would need a third network; nothing uses them. */
static int compile_networks(struct hs_device *device, const struct hs_model_spec *spec, int streams,
                            struct hs_model *model, struct hs_error *err)
{
    const struct hs_openvino_target target = {
        .core = device->core,
        .streams = streams,
        .threads = device->threads,
        .cache_dir = device->cache_dir,
        .runtime = device->runtime,
        .on_warning = device->on_warning,
        .on_warning_arg = device->on_warning_arg,
    };
    int r = hs_openvino_compile(&target, spec, 1, &model->one, err);
    if (r == 0)
        r = hs_openvino_output_names(model->one, &model->info, err);
    model->info.batch = 1;
    if (r != 0 || spec->batch < 2 || spec->free_size)
        return r;
    r = hs_openvino_compile(&target, spec, spec->batch, &model->many, err);
    if (r == 0)
        model->info.batch = spec->batch;
    return r == HS_EUNSUPPORTED ? 0 : r;
}

/* Parses a line of /proc/self/maps: "7f00a000-7f00b000 r--p 00000000 fe:00 123   /path/of/a.blob"
 * (proc(5)). */
static bool read_line(char *line, uintptr_t *ret_start, uintptr_t *ret_end, const char **ret_path)
{
    char *end;
    uintmax_t first = strtoumax(line, &end, 16);
    if (*end != '-')
        return false;
    uintmax_t last = strtoumax(end + 1, &end, 16);
    const char *path = strchr(end, '/');
    line[strcspn(line, "\n")] = '\0';
    *ret_start = (uintptr_t) first;
    *ret_end = (uintptr_t) last;
    *ret_path = path;
    return path && last > first;
}

/* OpenVINO maps a cached model into memory, copies its weights in the order best for the processor,
 * and keeps the mapping. This function returns the mapped pages of files in `cache_dir` to the
 * kernel, which reads them again on access. It saves the size of the weights per loaded model.
 * NULL: no cache, does nothing. */
static void release_blobs(const char *cache_dir)
{
    FILE *maps = cache_dir ? fopen("/proc/self/maps", "re") : NULL;
    char *folder = maps ? realpath(cache_dir, NULL) : NULL;
    char *line = NULL;
    size_t capacity = 0;
    while (folder && getline(&line, &capacity, maps) > 0) {
        uintptr_t start, end;
        const char *path;
        if (read_line(line, &start, &end, &path) && hs_str_starts(path, folder) && path[strlen(folder)] == '/')
            madvise((void *) start, end - start, MADV_PAGEOUT); /* older kernels refuse; the pages then stay */
    }
    free(line);
    free(folder);
    if (maps)
        fclose(maps);
}

static int load_model(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                      struct hs_error *err)
{
    int r = 0;
    struct hs_model *model = calloc(1, sizeof(*model));
    if (!model)
        return hs_error_set(err, HS_ENOMEM, "no memory for the model");
    int streams = spec->slots > device->threads ? device->threads : spec->slots > 0 ? spec->slots : 1;
    model->streams = streams;
    model->info.input_h = spec->input_h;
    model->info.input_w = spec->input_w;
    model->info.free_size = spec->free_size;
    model->info.input_stride = (size_t) spec->input_h * (size_t) spec->input_w * 3;
    r = compile_networks(device, spec, streams, model, err);
    int slots = spec->slots > 0 ? streams : DEFAULT_SLOTS;
    for (; r == 0 && model->info.slots < slots; model->info.slots++) {
        r = make_slot(model, &model->slots[model->info.slots], err);
        if (r != 0)
            model->info.slots++; /* partly made; unload frees it */
    }
    if (r == 0)
        r = warm_up(model, spec, err);
    if (r != 0) {
        unload(model);
        return r;
    }
    memcpy(model->info.outputs, model->slots[0].outputs, sizeof(model->info.outputs));
    /* Reading and compiling leave tens of megabytes of freed memory in the allocator. */
    malloc_trim(0);
    release_blobs(device->cache_dir);
    *ret_model = model;
    return 0;
}

struct load {
    struct hs_device *device;
    const struct hs_model_spec *spec;
    struct hs_model *model;
};

static int load_rooted(void *arg, struct hs_error *err)
{
    struct load *load = arg;
    return load_model(load->device, load->spec, &load->model, err);
}

static int load(struct hs_device *device, const struct hs_model_spec *spec, struct hs_model **ret_model,
                struct hs_error *err)
{
    struct hs_model_spec absolute = *spec;
    struct load load = { .device = device, .spec = &absolute };
    char path[PATH_MAX];
    int r = check_spec(spec, err);
    if (r == 0 && !hs_path_absolute(path, sizeof(path), spec->path))
        r = hs_error_set(err, HS_ENOTFOUND,
                         "cannot make %s absolute: the current folder was deleted, or the path is too long",
                         spec->path);
    absolute.path = path;
    if (r == 0)
        r = run_in_root(load_rooted, &load, false, err);
    if (r == 0)
        *ret_model = load.model;
    return r;
}

static const struct hs_model_info *info(const struct hs_model *model)
{
    return &model->info;
}

static uint8_t *input(struct hs_model *model, int slot)
{
    return model->slots[slot].input;
}

static const void *output(struct hs_model *model, int slot_index, int picture, int index)
{
    const struct slot *slot = &model->slots[slot_index];
    if (slot->started > 0)
        return slot->requests[picture].outputs[index];
    return slot->many.outputs[index] + (size_t) picture * slot->outputs[index].size_bytes;
}

static const struct hs_tensor_desc *outputs(const struct hs_model *model, int slot)
{
    return model->slots[slot].outputs;
}

__attribute__((visibility("default"))) extern const struct hs_backend hs_backend_entry;

const struct hs_backend hs_backend_entry = {
    .abi = HS_BACKEND_ABI,
    .name = "openvino",
    .device = "cpu",
    .traits = HS_BACKEND_PROCESSOR,
    .default_slots = 0,
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
    .health = NULL,
};
