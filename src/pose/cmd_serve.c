/* The service: listens, loads the model meanwhile, and stops when told. */
#include "base/mem.h"
#include "base/str.h"
#include "pose/commands.h"
#include "pose/routes.h"
#include "service/serve.h"

struct serve_call {
    const char *host, *port;
};

static void begin(void *ctx)
{
    hs_pose_app_start_loading(ctx);
}

static int serve(const struct hs_invocation *call, struct hs_pose_app *app, sigset_t *waited)
{
    char what[HS_PACK_NAME_SIZE + 300];
    hs_str_format(what, sizeof(what), "%s on %s", app->network.model, app->network.device);
    const struct hs_service service = {
        .settings = &app->settings->server,
        .routes = hs_pose_routes,
        .route_count = hs_pose_route_count,
        .ctx = app,
        .begin = begin,
        .what = what,
    };
    return hs_serve(call, &service, waited);
}

int hs_pose_cmd_serve(struct hs_invocation *call)
{
    struct serve_call serve_call = { 0 };
    const struct hs_option options[] = {
        { .name = "host", .kind = HS_OPTION_TEXT, .target = &serve_call.host, .value = "ADDRESS",
          .help = "where to listen; wins over server.host" },
        { .name = "port", .kind = HS_OPTION_TEXT, .target = &serve_call.port, .value = "N",
          .help = "port; 0 picks a free one; wins over server.port" },
    };
    struct hs_text_list none = { 0 };
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), &none, 0, &code))
        return code;
    sigset_t waited;
    hs_serve_take_signals(&waited);
    const struct hs_config_override options_given[] = {
        { "--host", "server.host", serve_call.host },
        { "--port", "server.port", serve_call.port },
    };
    struct hs_settings *settings;
    code = hs_pose_load_settings(call, options_given, HS_ARRAY_LEN(options_given), &settings);
    if (code != HS_EXIT_OK)
        return code;
    struct hs_pose_app app;
    struct hs_error err;
    if (hs_pose_app_init(&app, settings, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    code = serve(call, &app, &waited);
    hs_pose_app_finish(&app);
    return code;
}
