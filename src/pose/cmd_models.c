#include "cli/cmd_models.h"
#include "infer/registry.h"
#include "pose/commands.h"

/* The accelerator's files are wanted where its device is present. */
static const char *preferred_backend(void)
{
    const struct hs_backend *hailo;
    struct hs_backend_probe probe = { 0 };
    if (hs_registry_find("hailo", &hailo, NULL) == 0)
        hailo->probe(&probe);
    return probe.available ? "hailo" : "openvino";
}

int hs_pose_cmd_models(struct hs_invocation *call)
{
    static const enum hs_task tasks[] = { HS_TASK_POSE };
    const struct hs_cmd_models context = {
        .tasks = tasks,
        .task_count = 1,
        .backend = preferred_backend(),
    };
    return hs_cmd_models(call, &context);
}
