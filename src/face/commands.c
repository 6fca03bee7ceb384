#include "face/commands.h"

int hs_face_start(const struct hs_invocation *call, bool gallery, struct hs_face_app **ret_app)
{
    static const struct hs_config_override off = { "this command", "database.enabled", "false" };
    void *state;
    int code = hs_app_start(call, &off, gallery ? 0 : 1, gallery ? HS_APP_OPEN : 0, &state);
    if (code != HS_EXIT_OK)
        return code;
    *ret_app = state;
    if (!gallery || (*ret_app)->gallery)
        return HS_EXIT_OK;
    hs_app_destroy(state);
    return hs_invocation_fail(call, HS_EXIT_FAILURE, "database.enabled is false");
}
