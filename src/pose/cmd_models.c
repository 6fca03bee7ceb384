#include <string.h>

#include "cli/cmd_models.h"
#include "infer/registry.h"
#include "pose/commands.h"

/* The accelerator's files are wanted where its device is present, or asked for. */
static const char *preferred_backend(int device)
{
    const struct hs_backend *hailo;
    struct hs_backend_probe probe = { 0 };
    if (device == HS_USE_HAILO)
        return "hailo";
    if (device == HS_USE_AUTO && hs_registry_find("hailo", &hailo, NULL) == 0)
        hailo->probe(&probe);
    return probe.available ? "hailo" : "openvino";
}

static const char *given(const char *text)
{
    return text[0] ? text : NULL;
}

static int settle(const struct hs_invocation *call, struct hs_cmd_models *context)
{
    struct hs_settings **settings = context->arg;
    int code = hs_pose_load_settings(call, NULL, 0, settings);
    if (code != HS_EXIT_OK)
        return code;
    const struct hs_pose_settings *s = hs_settings_values(*settings);
    context->backend = preferred_backend(s->inference.device);
    context->models_dir = given(s->model.dir);
    context->packs_dir = given(s->model.packs_dir);
    context->mirror = given(s->model.mirror);
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
