/* The service: listens, loads the models meanwhile, and stops when told. */
#include <string.h>

#include "base/str.h"
#include "face/commands.h"
#include "face/routes.h"
#include "service/hailo.h"
#include "service/serve.h"
#include "service/startup.h"

static void begin(void *ctx)
{
    hs_face_app_start_loading(ctx);
}

static void watch(void *ctx)
{
    const struct hs_face_app *app = ctx;
    hs_model_pool_watch(app->detector);
    hs_model_pool_watch(app->embedder);
}

static bool must_end(void *ctx)
{
    struct hs_face_app *app = ctx;
    struct hs_model_pool_status detect, embed;
    hs_model_pool_get_status(app->detector, &detect);
    hs_model_pool_get_status(app->embedder, &embed);
    return (detect.hung || embed.hung) && app->settings->device.on_hang == HS_HANG_EXIT;
}

static int serve(const struct hs_invocation *call, struct hs_face_app *app, sigset_t *waited)
{
    char what[2 * HS_PACK_NAME_SIZE + 600];
    hs_str_format(what, sizeof(what), "%s and %s on %s", hs_model_pool_first(app->detector)->model,
                  hs_model_pool_first(app->embedder)->model, hs_model_pool_first(app->detector)->device);
    const struct hs_service service = {
        .settings = &app->settings->server,
        .performance = &app->settings->performance,
        .accelerated = !hs_model_runner_is_processor(hs_model_pool_first(app->detector)),
        .batch_size = app->settings->device.batch_size,
        .routes = hs_face_routes,
        .route_count = hs_face_route_count,
        .ctx = app,
        .shape = app->settings->older.debug ? hs_face_shape_debug : hs_face_shape,
        .begin = begin,
        .watch = watch,
        .must_end = must_end,
        .what = what,
    };
    return hs_serve(call, &service, waited);
}

static int run(const struct hs_invocation *call, struct hs_settings *settings, sigset_t *waited)
{
    struct hs_face_app app;
    struct hs_error err;
    const struct hs_face_settings *s = hs_settings_values(settings);
    hs_hailo_tell_start(&s->inference);
    if (hs_face_app_init(&app, settings, &err) < 0) {
        hs_startup_tell_model(app.refused);
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    }
    int code = serve(call, &app, waited);
    hs_face_app_finish(&app);
    return code;
}

int hs_face_cmd_serve(struct hs_invocation *call)
{
    static const struct hs_serve_command command = { .load = hs_face_load_settings, .run = run };
    return hs_serve_command_run(call, &command);
}
