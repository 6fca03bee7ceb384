#include "pose/app.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "infer/registry.h"

/* The names that people use for backends, and what answers call them. */
static const char *device_name(const char *backend)
{
    return strcmp(backend, "openvino") == 0 ? "cpu" : backend;
}

/* Settings know no NULL: an empty text is one that was not given. */
static const char *given(const char *text)
{
    return text[0] ? text : NULL;
}

/* `auto` prefers the accelerator where it is present. */
static int choose_backend(int device, const struct hs_backend **ret_backend, struct hs_error *err)
{
    if (device == HS_USE_SIM || device == HS_USE_HAILO || device == HS_USE_CPU)
        return hs_registry_find(device == HS_USE_SIM ? "sim" : device == HS_USE_HAILO ? "hailo" : "openvino",
                                ret_backend, err);
    const struct hs_backend *hailo;
    if (hs_registry_find("hailo", &hailo, NULL) == 0) {
        struct hs_backend_probe probe = { 0 };
        hailo->probe(&probe);
        if (probe.available) {
            *ret_backend = hailo;
            return 0;
        }
    }
    return hs_registry_find("openvino", ret_backend, err);
}

/* The scripted device needs no file; it plays the default model. */
static int choose_model(struct hs_pose_app *app, const struct hs_backend *backend, struct hs_error *err)
{
    app->simulated = strcmp(backend->name, "sim") == 0;
    const char *name = app->settings->model.name;
    int r = hs_store_choose(app->store, HS_TASK_POSE, name, app->simulated ? "openvino" : backend->name, NULL,
                            &app->choice, err);
    if (r < 0)
        return r;
    app->model_name = strcmp(name, "auto") == 0 ? app->choice.pack->name : name;
    return app->simulated ? 0 : hs_store_verified_path(app->store, &app->choice, &app->model_path, err);
}

/* Compiled models are kept beside the model files unless a folder is named. A folder that cannot be written only costs
 * start-up time. */
static bool cache_folder(const struct hs_pose_app *app, char *dst, size_t size)
{
    struct hs_error err;
    const char *named = given(app->settings->inference.cache_dir);
    if (app->simulated || !(named ? hs_str_copy(dst, size, named)
                                  : hs_path_join(dst, size, hs_store_dir(app->store), "compiled")))
        return false;
    if (hs_dir_make(dst, &err) == 0 && access(dst, W_OK) == 0)
        return true;
    hs_log_debug("compiled models are not kept: %s is not writable", dst);
    return false;
}

static int create_engine(struct hs_pose_app *app, const struct hs_backend *backend, struct hs_error *err)
{
    const struct hs_pose_settings *s = app->settings;
    char cache[PATH_MAX];
    struct hs_engine_options options = {
        .backend = backend,
        .cache_dir = cache_folder(app, cache, sizeof(cache)) ? cache : NULL,
        .device_id = given(s->inference.device_id),
        .script = given(s->inference.sim_script),
        .threads = s->inference.threads,
        .slots = s->inference.slots,
        .adaptive = strcmp(backend->name, "openvino") == 0,
        .max_copies = s->inference.max_shapes,
        .memory_max = s->inference.max_memory,
        .queue_max = s->inference.queue_max,
        .keep_alive_s = s->model.keep_alive,
    };
    struct hs_model_spec spec;
    hs_pack_spec(app->choice.pack, app->model_path ? app->model_path : "", &spec);
    spec.precision = (enum hs_precision) s->inference.precision;
    return hs_engine_create(&options, &spec, &app->engine, err);
}

static void fill_pipeline(struct hs_pose_app *app, const struct hs_backend *backend)
{
    const struct hs_pose_settings *s = app->settings;
    app->pipeline.options = (struct hs_pose_pipeline_options) {
        .engine = app->engine,
        .pack = app->choice.pack,
        .file = app->choice.file,
        .device = device_name(backend->name),
        .limits = {
            .max_bytes = (size_t) s->server.max_body_mb << 20,
            .max_pixels = (int64_t) (s->image.max_megapixels * 1e6),
            .max_side = s->image.max_side,
            .max_memory = (size_t) s->image.max_memory,
        },
        .input_w = app->choice.pack->input.stride ? s->inference.input_size[0] : app->choice.pack->input.width,
        .input_h = app->choice.pack->input.stride ? s->inference.input_size[1] : app->choice.pack->input.height,
        .rectangular = s->inference.rectangular,
    };
}

int hs_pose_app_init(struct hs_pose_app *app, struct hs_settings *config, struct hs_error *err)
{
    *app = (struct hs_pose_app) {
        .config = config,
        .settings = hs_settings_values(config),
        .started_ns = hs_clock_now_ns(),
        .started_wall_s = hs_clock_wall_s(),
    };
    const struct hs_store_options store = {
        .service = hs_pose_schema.program,
        .models_dir = given(app->settings->model.dir),
        .packs_dir = given(app->settings->model.packs_dir),
    };
    const struct hs_backend *backend;
    int r = hs_store_open(&store, &app->store, err);
    if (r == 0)
        r = choose_backend(app->settings->inference.device, &backend, err);
    if (r == 0)
        r = choose_model(app, backend, err);
    if (r == 0)
        r = create_engine(app, backend, err);
    if (r < 0) {
        hs_pose_app_finish(app);
        return r;
    }
    fill_pipeline(app, backend);
    return 0;
}

void hs_pose_app_finish(struct hs_pose_app *app)
{
    hs_engine_destroy(app->engine);
    hs_store_close(app->store);
    free(app->model_path);
    hs_settings_destroy(app->config);
}

void hs_pose_app_start_loading(struct hs_pose_app *app)
{
    if (app->settings->model.keep_alive == 0)
        return;
    const struct hs_engine_shape shape = { app->pipeline.options.input_h, app->pipeline.options.input_w };
    hs_engine_start_loading(app->engine, &shape, 1);
}

int hs_pose_app_load(struct hs_pose_app *app, struct hs_error *err)
{
    const struct hs_engine_shape shape = { app->pipeline.options.input_h, app->pipeline.options.input_w };
    hs_engine_start_loading(app->engine, &shape, 1);
    return hs_engine_wait_loaded(app->engine, HS_NO_DEADLINE, err);
}

struct hs_pose_params hs_pose_app_params(const struct hs_pose_app *app)
{
    return (struct hs_pose_params) {
        .confidence_threshold = (float) app->settings->inference.confidence_threshold,
        .iou_threshold = (float) app->settings->inference.iou_threshold,
        .max_detections = app->settings->inference.max_detections,
        .apply_exif = app->settings->image.apply_exif,
    };
}
