#include "service/network.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/sim/sim.h"
#include "backends/sim/vector.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "infer/later.h"
#include "infer/registry.h"

/* While an accelerator computes one picture, the next ones wait in it. */
enum { ACCELERATOR_SLOTS = 4 };
/* So many failed runs in a row are the device's fault. */
enum { FAILURES_MAX = 5 };

/* Below this cosine the scripted device's vectors are those of different people. */
#define SIM_THRESHOLD 0.7f

const char *hs_network_backend_name(const char *device)
{
    const struct hs_backend *hailo;
    struct hs_backend_probe probe = { 0 };
    if (strcmp(device, "sim") == 0 || hs_str_starts(device, "sim:"))
        return "sim";
    if (strcmp(device, "hailo") == 0)
        return "hailo";
    if (strcmp(device, "auto") == 0 && hs_registry_find("hailo", &hailo, NULL) == 0)
        hailo->probe(NULL, &probe);
    return probe.available ? "hailo" : "openvino";
}

const char *hs_network_runtime(const char *backend, char dst[HS_RUNTIME_SIZE])
{
    return strcmp(backend, "hailo") == 0 && hs_registry_runtime(backend, dst, HS_RUNTIME_SIZE) ? dst : NULL;
}

const char *hs_network_script(const char *device)
{
    return hs_str_starts(device, "sim:") ? device + strlen("sim:") : NULL;
}

const char *hs_network_device(const struct hs_network_options *options)
{
    return options->device ? options->device : options->inference->device;
}

static enum hs_finding finding_of(enum hs_task task)
{
    return task == HS_TASK_POSE             ? HS_FINDS_POSES
           : task == HS_TASK_FACE_DETECTION ? HS_FINDS_FACES
                                            : HS_FINDS_EMBEDDINGS;
}

/* Whatever model it plays, the scripted device has outputs of one kind for each task. Its vectors are in a space of
 * their own, so that they are never compared with real ones. */
static void stand_in(struct hs_network *network)
{
    static const enum hs_decode decodes[] = {
        [HS_FINDS_POSES] = HS_DECODE_YOLO_POSE_RAW, [HS_FINDS_FACES] = HS_DECODE_SCRFD,
        [HS_FINDS_EMBEDDINGS] = HS_DECODE_ARCFACE,
    };
    network->stand_in = *network->choice.pack;
    network->stand_in_file = *network->choice.file;
    network->stand_in_file.decode = decodes[finding_of(network->stand_in.task)];
    network->stand_in_file.scores = HS_SCORES_PROBABILITIES;
    if (network->stand_in.task == HS_TASK_FACE_EMBEDDING)
        network->stand_in.embedding = (struct hs_pack_embedding) {
            .space = "sim", .dimension = HS_SIM_VECTOR_SIZE, .threshold = SIM_THRESHOLD,
        };
    network->choice.pack = &network->stand_in;
    network->choice.file = &network->stand_in_file;
}

/* A HEF is compiled for one size of input, whatever the network could do. */
static void fix_size(struct hs_network *network)
{
    network->stand_in = *network->choice.pack;
    network->stand_in.input.stride = 0;
    network->choice.pack = &network->stand_in;
}

static void note_refused(const struct hs_network_options *options, const char *file)
{
    if (options->refused)
        hs_str_copy(options->refused, HS_REFUSED_SIZE, file);
}

/* The scripted device needs no file; it plays any model. */
static int choose_model(struct hs_network *network, const struct hs_network_options *options,
                        const struct hs_backend *backend, struct hs_error *err)
{
    char runtime[HS_RUNTIME_SIZE];
    network->simulated = strcmp(backend->name, "sim") == 0;
    int r = hs_store_choose(options->store, options->task, options->model, backend->name,
                            hs_network_runtime(backend->name, runtime), &network->choice, err);
    if (r < 0) {
        note_refused(options, options->model);
        return r;
    }
    bool automatic = strcmp(options->model, "auto") == 0;
    network->model = automatic ? network->choice.pack->name : options->model;
    if (network->simulated)
        stand_in(network);
    else if (strcmp(backend->name, "hailo") == 0)
        fix_size(network);
    r = network->simulated ? 0 : hs_store_verified_path(options->store, &network->choice, &network->path, err);
    if (r < 0)
        note_refused(options, network->choice.file->name);
    return r;
}

/* Compiled models are kept beside the model files unless a folder is named. One that cannot be written only costs
 * start-up time. */
static bool cache_folder(const struct hs_network *network, const struct hs_network_options *options, char *dst,
                         size_t size)
{
    struct hs_error err;
    const char *named = hs_given(options->inference->cache_dir);
    if (network->simulated || !(named ? hs_str_copy(dst, size, named)
                                      : hs_path_join(dst, size, hs_store_dir(options->store), "compiled")))
        return false;
    if (hs_dir_make(dst, &err) == 0 && access(dst, W_OK) == 0)
        return true;
    hs_log_debug("compiled models are not kept: %s is not writable", dst);
    return false;
}

static void tell_restart(void *arg, int64_t before_bytes, int64_t after_bytes)
{
    const struct hs_network *network = arg;
    hs_log_info("%s: the process was past inference.restart_above with %lld MiB; %s is closed and opened anew, which "
                "leaves %lld MiB before the model is loaded again", network->model, (long long) before_bytes >> 20,
                network->device, (long long) after_bytes >> 20);
}

static int create_engine(struct hs_network *network, const struct hs_network_options *options,
                         const struct hs_backend *backend, struct hs_error *err)
{
    const struct hs_inference_settings *s = options->inference;
    const struct hs_performance_settings *p = options->performance;
    const struct hs_device_settings *d = options->policy;
    bool processor = strcmp(backend->name, "openvino") == 0;
    char cache[PATH_MAX];
    const struct hs_engine_options engine = {
        .backend = backend,
        .group = d->group,
        .cache_dir = cache_folder(network, options, cache, sizeof(cache)) ? cache : NULL,
        .device_id = hs_given(options->device_id ? options->device_id : s->device_id),
        .script = hs_network_script(hs_network_device(options)),
        .threads = s->threads,
        .slots = s->slots > 0 || processor ? s->slots : ACCELERATOR_SLOTS,
        .adaptive = processor,
        .batch = processor ? options->batch : d->batch_size,
        .batch_wait_ns = (int64_t) (d->batch_wait_ms * HS_NS_PER_MS),
        .warmup = p->warmup_enabled ? p->warmup_iterations : 0,
        .run_timeout_ns = (int64_t) (d->timeout * HS_NS_PER_S),
        .failures_max = FAILURES_MAX,
        .retry_max_ns = (int64_t) (d->probe_interval * HS_NS_PER_S),
        .max_copies = s->max_shapes,
        .memory_max = s->max_memory,
        .queue_max = p->max_queue_size,
        /* It is the processor's runtime that grows; a driver's device is not given up for that. */
        .restart_above = processor || network->simulated ? s->restart_above : 0,
        .restart_pause_ns = (int64_t) (s->restart_pause * HS_NS_PER_S),
        .on_restart = tell_restart,
        .on_restart_arg = network,
        .keep_alive_s = options->keep_alive_s,
    };
    struct hs_model_spec spec;
    hs_pack_spec(network->choice.pack, network->path ? network->path : "", &spec);
    spec.precision = (enum hs_precision) s->precision;
    spec.free_threads = !s->pin_threads;
    spec.finding = finding_of(network->choice.pack->task);
    return hs_engine_create(&engine, &spec, &network->engine, err);
}

/* Who insists on a Hailo gets it once its module can be opened; until then the engine says why it cannot. */
static int find_backend(const char *name, const struct hs_backend **ret_backend, struct hs_error *err)
{
    int r = hs_registry_find(name, ret_backend, err);
    if (r < 0 && strcmp(name, "hailo") == 0) {
        *ret_backend = &hs_backend_hailo_later;
        r = 0;
    }
    return r;
}

int hs_network_init(struct hs_network *network, const struct hs_network_options *options, struct hs_error *err)
{
    const struct hs_backend *backend;
    *network = (struct hs_network) { 0 };
    int r = find_backend(hs_network_backend_name(hs_network_device(options)), &backend, err);
    if (r == 0 && strcmp(backend->name, "sim") == 0)
        r = hs_sim_check_script(hs_network_script(hs_network_device(options)), err);
    if (r == 0)
        r = choose_model(network, options, backend, err);
    if (r == 0)
        r = create_engine(network, options, backend, err);
    if (r < 0) {
        hs_network_finish(network);
        return r;
    }
    network->device = strcmp(backend->name, "openvino") == 0 ? "cpu" : backend->name;
    return 0;
}

void hs_network_finish(struct hs_network *network)
{
    hs_engine_destroy(network->engine);
    free(network->path);
    *network = (struct hs_network) { 0 };
}
