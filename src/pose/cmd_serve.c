/* The service: listens, loads the model meanwhile, and stops when told. */
#include <string.h>

#include "base/str.h"
#include "pose/commands.h"
#include "pose/routes.h"
#include "service/hailo.h"
#include "service/serve.h"
#include "service/startup.h"

static void begin(void *ctx)
{
    hs_pose_app_start_loading(ctx);
}

static void watch(void *ctx)
{
    const struct hs_pose_app *app = ctx;
    hs_model_pool_watch(app->pool);
}

static bool must_end(void *ctx)
{
    const struct hs_pose_app *app = ctx;
    struct hs_model_pool_status status;
    hs_model_pool_get_status(app->pool, &status);
    return status.hung && app->settings->device.on_hang == HS_HANG_EXIT;
}

static int serve(const struct hs_invocation *call, struct hs_pose_app *app, sigset_t *waited)
{
    char what[HS_PACK_NAME_SIZE + 300];
    hs_str_format(what, sizeof(what), "%s on %s", hs_model_pool_first(app->pool)->model,
                  hs_model_pool_first(app->pool)->device);
    const struct hs_service service = {
        .settings = &app->settings->server,
        .performance = &app->settings->performance,
        .accelerated = !hs_model_runner_is_processor(hs_model_pool_first(app->pool)),
        .batch_size = app->settings->device.batch_size,
        .routes = hs_pose_routes,
        .route_count = hs_pose_route_count,
        .ctx = app,
        .begin = begin,
        .watch = watch,
        .must_end = must_end,
        .what = what,
    };
    return hs_serve(call, &service, waited);
}

static int run(const struct hs_invocation *call, struct hs_settings *settings, sigset_t *waited)
{
    struct hs_pose_app app;
    struct hs_error err;
    const struct hs_pose_settings *s = hs_settings_values(settings);
    hs_hailo_tell_start(&s->inference);
    if (hs_pose_app_init(&app, settings, &err) < 0) {
        hs_startup_tell_model(app.refused);
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    }
    int code = serve(call, &app, waited);
    hs_pose_app_finish(&app);
    return code;
}

int hs_pose_cmd_serve(struct hs_invocation *call)
{
    static const struct hs_serve_command command = { .load = hs_pose_load_settings, .run = run };
    return hs_serve_command_run(call, &command);
}
