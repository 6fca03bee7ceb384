/* The settings of a service as what its `models` command has to know. */
#ifndef HS_SERVICE_MODELS_COMMAND_H
#define HS_SERVICE_MODELS_COMMAND_H

#include "cli/cmd_models.h"
#include "config/common.h"

/* Fills the backend of this machine, whether the processor may stand in for it (`fallback` is an enum hs_fallback), and
 * the places. `model` outlives the context. */
void hs_models_context_fill(const struct hs_model_settings *model, const char *device, int fallback,
                            struct hs_cmd_models *context);

#endif
