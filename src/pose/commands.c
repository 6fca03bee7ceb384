#include "pose/commands.h"

#include "base/mem.h"
#include "service/start_log.h"

int hs_pose_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                          struct hs_settings **ret_settings)
{
    struct hs_problems problems = { 0 };
    int code = hs_load_settings(call, &hs_pose_schema, extra, extra_count, ret_settings, &problems);
    if (code == HS_EXIT_OK) {
        const struct hs_pose_settings *s = hs_settings_values(*ret_settings);
        hs_start_log(call, &s->logging, &problems);
    }
    hs_problems_finish(&problems);
    return code;
}

int hs_pose_start_app(const struct hs_invocation *call, struct hs_pose_app *ret_app)
{
    struct hs_settings *settings;
    struct hs_error err;
    int code = hs_pose_load_settings(call, NULL, 0, &settings);
    if (code != HS_EXIT_OK)
        return code;
    if (hs_pose_app_init(ret_app, settings, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    if (hs_pose_app_load(ret_app, &err) == 0)
        return HS_EXIT_OK;
    hs_pose_app_finish(ret_app);
    return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
}
