#include "service/models_command.h"

#include <string.h>

#include "service/model_runner.h"

/* The simulated device plays the processor's models. */
void hs_models_context_fill(const struct hs_model_settings *model, const char *device, int fallback,
                            struct hs_cmd_models *context)
{
    context->backend = strcmp(hs_model_runner_backend_name(device), "hailo") == 0 ? "hailo" : "openvino";
    context->runtime = hs_model_runner_runtime(context->backend, context->version);
    context->standby = strcmp(context->backend, "openvino") != 0 && fallback == HS_FALLBACK_CPU;
    context->models_dir = hs_given(model->dir);
    context->packs_dir = hs_given(model->packs_dir);
    context->mirror = hs_given(model->mirror);
}
