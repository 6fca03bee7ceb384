#include "pose/app.h"

#include "base/clock.h"
#include "service/image_limits.h"

static void fill(struct hs_pose_app *app)
{
    const struct hs_pose_settings *s = app->settings;
    app->pipeline = (struct hs_pose_pipeline) {
        .limits = hs_image_limits_of(&s->server, &s->image),
    };
    app->models = (struct hs_models_api) {
        .store = app->store,
        .created_s = hs_clock_wall_s(),
        .parts = { { .cache = app->cache, .task = HS_TASK_POSE, .name = "pose-estimation" } },
        .part_count = 1,
    };
}

int hs_pose_app_init(struct hs_pose_app *app, struct hs_settings *config, struct hs_error *err)
{
    *app = (struct hs_pose_app) {
        .config = config,
        .settings = hs_settings_values(config),
        .started_ns = hs_clock_now_ns(),
    };
    const struct hs_store_options store = {
        .service = hs_pose_schema.program,
        .models_dir = hs_given(app->settings->model.dir),
        .packs_dir = hs_given(app->settings->model.packs_dir),
    };
    int r = hs_store_open(&store, &app->store, err);
    if (r == 0) {
        const struct hs_model_options options = {
            .store = app->store,
            .task = HS_TASK_POSE,
            .model = app->settings->model.name,
            .inference = &app->settings->inference,
            .policy = &app->settings->device,
            .performance = &app->settings->performance,
            .input = { app->settings->inference.input_size[1], app->settings->inference.input_size[0] },
            .rectangular = app->settings->inference.rectangular,
            .border = HS_LETTERBOX_BORDER,
            .refused = app->refused,
            .batch = 1,
            .keep_alive_s = app->settings->model.keep_alive,
        };
        r = hs_model_cache_create(&options, app->settings->model.max_memory, &app->cache, err);
    }
    if (r < 0) {
        hs_pose_app_finish(app);
        return r;
    }
    app->pool = hs_model_cache_default(app->cache);
    fill(app);
    return 0;
}

void hs_pose_app_finish(struct hs_pose_app *app)
{
    hs_model_cache_destroy(app->cache);
    hs_store_close(app->store);
    hs_settings_destroy(app->config);
}

void hs_pose_app_start_loading(struct hs_pose_app *app)
{
    if (app->settings->model.keep_alive != 0)
        hs_model_pool_preload(app->pool);
}

int hs_pose_app_load(struct hs_pose_app *app, struct hs_error *err)
{
    hs_model_pool_preload(app->pool);
    return hs_model_pool_wait_loaded(app->pool, HS_NO_DEADLINE, err);
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
