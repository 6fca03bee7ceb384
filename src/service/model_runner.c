#include "service/model_runner.h"

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
#include "infer/registry.h"

/* A device goes down after this many consecutive failed runs. */
enum { FAILURES_MAX = 5 };

/* Embeddings of the simulated device whose cosine is below this are of different people. */
#define SIM_THRESHOLD 0.7f
#define SIM_THRESHOLD_MIN 0.3f

const char *hs_model_runner_backend_name(const char *device)
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

const char *hs_model_runner_runtime(const char *backend, char dst[HS_RUNTIME_SIZE])
{
    return strcmp(backend, "hailo") == 0 && hs_registry_runtime(backend, dst, HS_RUNTIME_SIZE) ? dst : NULL;
}

const char *hs_model_runner_script(const char *device)
{
    return hs_str_starts(device, "sim:") ? device + strlen("sim:") : NULL;
}

const char *hs_model_runner_device(const struct hs_model_options *options)
{
    return options->device ? options->device : options->settings->inference.device;
}

/* A simulated device has one kind of outputs per task, regardless of the model. Its embeddings have
 * a separate embedding space, so that they are never compared with real ones. */
static void describe_simulated(struct hs_model_runner *runner)
{
    static const enum hs_decode decodes[] = {
        [HS_TASK_POSE] = HS_DECODE_YOLO_POSE_RAW,
        [HS_TASK_FACE_DETECTION] = HS_DECODE_SCRFD,
        [HS_TASK_FACE_EMBEDDING] = HS_DECODE_ARCFACE,
    };
    runner->pack = *runner->choice.pack;
    runner->file = *runner->choice.file;
    runner->file.decode = decodes[runner->pack.task];
    runner->file.scores = HS_SCORES_PROBABILITIES;
    if (runner->pack.task == HS_TASK_FACE_EMBEDDING)
        runner->pack.embedding = (struct hs_pack_embedding) {
            .space = "sim",
            .dimension = HS_SIM_VECTOR_SIZE,
            .threshold = SIM_THRESHOLD,
            .threshold_min = SIM_THRESHOLD_MIN,
        };
    runner->choice.pack = &runner->pack;
    runner->choice.file = &runner->file;
}

static void note_refused(const struct hs_model_options *options, const char *file)
{
    if (options->refused)
        hs_str_copy(options->refused, HS_REFUSED_SIZE, file);
}

static int choose_model(struct hs_model_runner *runner, const struct hs_model_options *options, struct hs_error *err)
{
    char runtime[HS_RUNTIME_SIZE];
    const char *backend = runner->backend->name;
    int r = hs_store_choose(options->store, options->task, options->model, backend,
                            hs_model_runner_runtime(backend, runtime), &runner->choice, err);
    if (r < 0) {
        note_refused(options, options->model);
        return r;
    }
    bool automatic = strcmp(options->model, "auto") == 0;
    runner->model = automatic ? runner->choice.pack->name : options->model;
    if (hs_model_runner_is_simulated(runner))
        describe_simulated(runner);
    else
        r = hs_store_verified_path(options->store, &runner->choice, &runner->path, err);
    if (r < 0)
        note_refused(options, runner->choice.file->name);
    return r;
}

static void choose_input(struct hs_model_runner *runner, const struct hs_model_options *options)
{
    const struct hs_pack_input *input = &runner->choice.pack->input;
    runner->input = (struct hs_input_size) { input->height, input->width };
    if (input->stride == 0 || runner->backend->traits & HS_BACKEND_FIXED_SIZE)
        return;
    if (options->input.w > 0)
        runner->input = options->input;
    /* A configured input that is not square is used for every picture. */
    runner->free_size = options->settings->inference.rectangular && runner->input.w == runner->input.h;
    if (runner->free_size)
        runner->rule = hs_letterbox_rule_of(runner->input.w, input->stride, options->border);
}

struct hs_input_size hs_model_runner_input_size(const struct hs_model_runner *runner, int orig_w, int orig_h)
{
    struct hs_input_size size = runner->input;
    if (runner->free_size)
        hs_letterbox_rect(&runner->rule, orig_w, orig_h, &size.w, &size.h);
    return size;
}

struct hs_input_size hs_model_runner_half_size(const struct hs_model_runner *runner)
{
    struct hs_input_size size = runner->input;
    int stride = runner->choice.pack->input.stride;
    if (runner->free_size)
        size.w = size.h = (size.w / 2 + stride - 1) / stride * stride;
    return size;
}

/* Returns the sizes for which the network is prepared on load. */
static int sizes_of(const struct hs_model_runner *runner, const struct hs_model_options *options,
                    struct hs_input_size ret_sizes[HS_LETTERBOX_SIZES_MAX + 1])
{
    struct hs_letterbox_size rule_sizes[HS_LETTERBOX_SIZES_MAX];
    if (!runner->free_size || !options->prepare)
        return 0;
    int count = hs_letterbox_sizes(&runner->rule, rule_sizes);
    for (int i = 0; i < count; i++)
        ret_sizes[i] = (struct hs_input_size) { rule_sizes[i].h, rule_sizes[i].w };
    if (options->half_size)
        ret_sizes[count++] = hs_model_runner_half_size(runner);
    return count;
}

bool hs_model_runner_cache_dir(const struct hs_inference_settings *settings, const struct hs_store *store, char *dst,
                               size_t size)
{
    const char *named = hs_null_if_empty(settings->cache_dir);
    return named ? hs_str_copy(dst, size, named) : hs_path_join(dst, size, hs_store_dir(store), "compiled");
}

/* A folder that is not writable only costs start-up time. */
static bool cache_folder(const struct hs_model_runner *runner, const struct hs_model_options *options, char *dst,
                         size_t size)
{
    struct hs_error err;
    if (hs_model_runner_is_simulated(runner) ||
        !hs_model_runner_cache_dir(&options->settings->inference, options->store, dst, size))
        return false;
    if (hs_dir_make(dst, &err) == 0 && access(dst, W_OK) == 0)
        return true;
    hs_log_debug("compiled models are not cached: %s is not writable", dst);
    return false;
}

static void log_restart(void *arg, int64_t before_bytes, int64_t after_bytes)
{
    const struct hs_model_runner *runner = arg;
    hs_log_info("%s: memory exceeded inference.restart_above (%lld MiB); restarted %s, %lld MiB before the model is "
                "loaded again",
                runner->model, (long long) before_bytes >> 20, runner->device, (long long) after_bytes >> 20);
}

static void log_warning(void *arg, const char *line)
{
    (void) arg;
    hs_log_warning("%s", line);
}

static int create_runner(struct hs_model_runner *runner, const struct hs_model_options *options, struct hs_error *err)
{
    const struct hs_inference_settings *s = &options->settings->inference;
    const struct hs_performance_settings *p = &options->settings->performance;
    const struct hs_device_settings *d = &options->settings->device;
    bool processor = hs_model_runner_is_processor(runner);
    char cache[PATH_MAX];
    const struct hs_runner_options made = {
        .backend = runner->backend,
        .group = d->group,
        .cache_dir = cache_folder(runner, options, cache, sizeof(cache)) ? cache : NULL,
        .device_id = hs_null_if_empty(options->device_id ? options->device_id : s->device_id),
        .script = hs_model_runner_script(hs_model_runner_device(options)),
        .threads = s->threads,
        .slots = s->slots > 0 ? s->slots : runner->backend->default_slots,
        .batch = processor ? options->batch : d->batch_size,
        .batch_wait_ns = (int64_t) (d->batch_wait_ms * HS_NS_PER_MS),
        .warmup = p->warmup_enabled ? p->warmup_iterations : 0,
        .run_timeout_ns = (int64_t) (d->timeout * HS_NS_PER_S),
        .failures_max = FAILURES_MAX,
        .retry_max_ns = (int64_t) (d->probe_interval * HS_NS_PER_S),
        .queue_max = p->max_queue_size,
        /* The processor's runtime grows in memory; a driver's device is not closed for that. */
        .restart_above = processor || hs_model_runner_is_simulated(runner) ? s->restart_above : 0,
        .restart_pause_ns = (int64_t) (s->restart_pause * HS_NS_PER_S),
        .on_restart = log_restart,
        .on_restart_arg = runner,
        .on_warning = log_warning,
        .keep_alive_s = options->settings->model.keep_alive,
    };
    struct hs_input_size sizes[HS_LETTERBOX_SIZES_MAX + 1];
    struct hs_model_spec spec;
    hs_pack_spec(runner->choice.pack, runner->path ? runner->path : "", &spec);
    spec.input_h = runner->input.h;
    spec.input_w = runner->input.w;
    spec.free_size = runner->free_size;
    spec.size_count = sizes_of(runner, options, sizes);
    spec.sizes = sizes;
    spec.precision = (enum hs_precision) s->precision;
    spec.free_threads = !s->pin_threads;
    return hs_runner_create(&made, &spec, &runner->runner, err);
}

/* A Hailo that the settings name is used as soon as its module can be opened. Until then the runner
 * reports the reason. */
static int find_backend(const char *name, const struct hs_backend **ret_backend, struct hs_error *err)
{
    int r = hs_registry_find(name, ret_backend, err);
    if (r < 0 && strcmp(name, hs_backend_hailo_absent.name) == 0) {
        *ret_backend = &hs_backend_hailo_absent;
        r = 0;
    }
    return r;
}

int hs_model_runner_init(struct hs_model_runner *runner, const struct hs_model_options *options, struct hs_error *err)
{
    const char *device = hs_model_runner_device(options);
    *runner = (struct hs_model_runner) { 0 };
    int r = find_backend(hs_model_runner_backend_name(device), &runner->backend, err);
    if (r == 0 && hs_model_runner_is_simulated(runner))
        r = hs_sim_check_script(hs_model_runner_script(device), err);
    if (r == 0)
        r = choose_model(runner, options, err);
    if (r == 0) {
        runner->device = runner->backend->device;
        choose_input(runner, options);
        r = create_runner(runner, options, err);
    }
    if (r < 0)
        hs_model_runner_finish(runner);
    return r;
}

void hs_model_runner_finish(struct hs_model_runner *runner)
{
    hs_runner_destroy(runner->runner);
    free(runner->path);
    *runner = (struct hs_model_runner) { 0 };
}
