#include "../unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "../alloc_fail.h"
#include "pose/settings.h"
#include "service/server_reload.h"

static const struct hs_app app = {
    .program = { .name = "hailo-test", .schema = &hs_pose_schema, .app = &app },
    .state_size = sizeof(struct hs_app_core),
};
static char path[] = "/tmp/hs-reload-XXXXXX.json";
static const struct hs_command command = { .name = "serve" };
static const struct hs_invocation call = { .program = &app.program, .command = &command, .config_path = path };

static void http_options(const struct hs_app_core *core, struct hs_http_options *ret)
{
    (void) core;
    hs_http_options_init(ret);
}

/* A reload of a server that has not started, with the same settings. */
static int reload_once(void *arg)
{
    struct hs_app_core core = *(const struct hs_app_core *) arg;
    struct hs_http_options options;
    struct hs_http_server *server;
    struct hs_error err;
    http_options(&core, &options);
    int r = hs_http_create(&options, NULL, 0, &core, &server, &err);
    if (r < 0)
        return r;
    struct hs_server_reload reload = {
        .call = &call, .core = &core, .server = server, .http_options = http_options, .folder = "/"
    };
    hs_server_reload_init(&reload);
    r = hs_server_reload_run(&reload, &err);
    assert_null(reload.next);
    assert_int_equal(reload.current != &core, r == 0);
    hs_http_destroy(server);
    return r < 0 ? HS_ENOMEM : 0; /* the log has other reasons of a failure */
}

static void without_memory_the_old_settings_stay(void **state)
{
    (void) state;
    const struct hs_config_request request = { .schema = &hs_pose_schema,
                                               .path = path,
                                               .environment = (const char *const *) environ };
    struct hs_app_core core = { .app = &app };
    struct hs_problems problems = { 0 };
    struct hs_error err;
    int fd = mkstemps(path, 5);
    assert_int_equal(write(fd, "{}", 2), 2);
    close(fd);
    assert_int_equal(hs_config_load(&request, &core.config, &problems, &err), 0);
    core.common = hs_app_common(core.config);
    assert_true(hs_fail_each_allocation(reload_once, &core) > 5);
    unlink(path);
    hs_problems_finish(&problems);
    hs_settings_destroy(core.config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_the_old_settings_stay),
    };
    return HS_RUN_TESTS(tests);
}
