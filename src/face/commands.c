#include "face/commands.h"

#include "service/start_log.h"

int hs_face_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                          struct hs_settings **ret_settings)
{
    struct hs_problems problems = { 0 };
    int code = hs_load_settings(call, &hs_face_schema, extra, extra_count, ret_settings, &problems);
    if (code == HS_EXIT_OK) {
        const struct hs_face_settings *s = hs_settings_values(*ret_settings);
        hs_start_log(call, &s->logging, &problems);
    }
    hs_problems_finish(&problems);
    return code;
}
