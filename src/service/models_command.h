/* The settings of a service as what its `models` command has to know. */
#ifndef HS_SERVICE_MODELS_COMMAND_H
#define HS_SERVICE_MODELS_COMMAND_H

#include "cli/cmd_models.h"
#include "config/common.h"

/* Fills the backend of this machine and the places. `model` outlives the context. */
void hs_models_context_fill(const struct hs_model_settings *model, const char *device, struct hs_cmd_models *context);

#endif
