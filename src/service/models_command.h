/* `models list|pull|verify|import|remove`. */
#ifndef HS_SERVICE_MODELS_COMMAND_H
#define HS_SERVICE_MODELS_COMMAND_H

#include "cli/program.h"

/* Prints to stdout; progress and complaints to stderr. Returns the exit code. */
int hs_cmd_models(struct hs_invocation *call);

#endif
