#include "pose/app.h"

#include "base/clock.h"
#include "service/image_limits.h"

static void fill(struct hs_pose_app *app)
{
    const struct hs_pose_settings *s = app->settings;
    app->pipeline = (struct hs_pose_pipeline) {
        .limits = hs_image_limits_of(&s->server, &s->image),
        .input_w = s->inference.input_size[0],
        .input_h = s->inference.input_size[1],
        .rectangular = s->inference.rectangular,
    };
    app->models = (struct hs_models_api) {
        .store = app->store,
        .created_s = hs_clock_wall_s(),
        .parts = { { .fleets = app->fleets, .task = HS_TASK_POSE, .name = "pose-estimation",
                     .h = s->inference.input_size[1], .w = s->inference.input_size[0] } },
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
        const struct hs_network_options network = {
            .store = app->store,
            .task = HS_TASK_POSE,
            .model = app->settings->model.name,
            .inference = &app->settings->inference,
            .policy = &app->settings->device,
            .performance = &app->settings->performance,
            .refused = app->refused,
            .batch = 1,
            .keep_alive_s = app->settings->model.keep_alive,
        };
        r = hs_fleets_create(&network, app->settings->model.max_memory, &app->fleets, err);
    }
    if (r < 0) {
        hs_pose_app_finish(app);
        return r;
    }
    app->fleet = hs_fleets_default(app->fleets);
    fill(app);
    return 0;
}

void hs_pose_app_finish(struct hs_pose_app *app)
{
    hs_fleets_destroy(app->fleets);
    hs_store_close(app->store);
    hs_settings_destroy(app->config);
}

static void start_loading(const struct hs_pose_app *app)
{
    int w, h;
    hs_pose_input_size(&app->pipeline, hs_fleet_first(app->fleet), &w, &h);
    hs_fleet_start_loading(app->fleet, h, w);
}

void hs_pose_app_start_loading(struct hs_pose_app *app)
{
    if (app->settings->model.keep_alive != 0)
        start_loading(app);
}

int hs_pose_app_load(struct hs_pose_app *app, struct hs_error *err)
{
    start_loading(app);
    return hs_fleet_wait_loaded(app->fleet, HS_NO_DEADLINE, err);
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
