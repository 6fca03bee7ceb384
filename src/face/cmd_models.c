#include <string.h>

#include "base/mem.h"
#include "face/commands.h"
#include "service/models_command.h"

static const char *named(const char *model)
{
    return strcmp(model, "auto") == 0 ? NULL : model;
}

static int settle(const struct hs_invocation *call, struct hs_cmd_models *context)
{
    struct hs_settings **settings = context->arg;
    int code = hs_face_load_settings(call, NULL, 0, settings);
    if (code != HS_EXIT_OK)
        return code;
    const struct hs_face_settings *s = hs_settings_values(*settings);
    hs_models_context_fill(&s->model, s->inference.device, s->device.fallback, context);
    context->models[0] = named(s->face_recognition.detection_model);
    context->models[1] = named(s->face_recognition.recognition_model);
    return HS_EXIT_OK;
}

int hs_face_cmd_models(struct hs_invocation *call)
{
    static const enum hs_task tasks[] = { HS_TASK_FACE_DETECTION, HS_TASK_FACE_EMBEDDING };
    struct hs_settings *settings = NULL;
    struct hs_cmd_models context = {
        .tasks = tasks,
        .task_count = HS_ARRAY_LEN(tasks),
        .settle = settle,
        .arg = &settings,
    };
    int code = hs_cmd_models(call, &context);
    hs_settings_destroy(settings);
    return code;
}
