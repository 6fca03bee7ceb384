/* The service: listens, loads the models meanwhile, and stops when told. */
#include "base/mem.h"
#include "base/str.h"
#include "face/commands.h"
#include "face/routes.h"
#include "service/serve.h"

struct serve_call {
    const char *host, *port;
};

static void begin(void *ctx)
{
    hs_face_app_start_loading(ctx);
}

static int serve(const struct hs_invocation *call, struct hs_face_app *app, sigset_t *waited)
{
    char what[2 * HS_PACK_NAME_SIZE + 600];
    hs_str_format(what, sizeof(what), "%s and %s on %s", app->detector.model, app->embedder.model,
                  app->detector.device);
    const struct hs_service service = {
        .settings = &app->settings->server,
        .routes = hs_face_routes,
        .route_count = hs_face_route_count,
        .ctx = app,
        .shape = hs_face_shape,
        .begin = begin,
        .what = what,
    };
    return hs_serve(call, &service, waited);
}

int hs_face_cmd_serve(struct hs_invocation *call)
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
    code = hs_face_load_settings(call, options_given, HS_ARRAY_LEN(options_given), &settings);
    if (code != HS_EXIT_OK)
        return code;
    struct hs_face_app app;
    struct hs_error err;
    if (hs_face_app_init(&app, settings, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    code = serve(call, &app, &waited);
    hs_face_app_finish(&app);
    return code;
}
