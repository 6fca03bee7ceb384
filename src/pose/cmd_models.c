#include <string.h>

#include "pose/commands.h"
#include "service/models_command.h"

static int settle(const struct hs_invocation *call, struct hs_cmd_models *context)
{
    struct hs_settings **settings = context->arg;
    int code = hs_pose_load_settings(call, NULL, 0, settings);
    if (code != HS_EXIT_OK)
        return code;
    const struct hs_pose_settings *s = hs_settings_values(*settings);
    hs_models_context_fill(&s->model, s->inference.device, s->device.fallback, context);
    context->models[0] = strcmp(s->model.name, "auto") == 0 ? NULL : s->model.name;
    return HS_EXIT_OK;
}

int hs_pose_cmd_models(struct hs_invocation *call)
{
    static const enum hs_task tasks[] = { HS_TASK_POSE };
    struct hs_settings *settings = NULL;
    struct hs_cmd_models context = {
        .tasks = tasks,
        .task_count = 1,
        .settle = settle,
        .arg = &settings,
    };
    int code = hs_cmd_models(call, &context);
    hs_settings_destroy(settings);
    return code;
}
