/* `models list|pull|verify|import|remove`, the same for every service. */
#ifndef HS_CLI_CMD_MODELS_H
#define HS_CLI_CMD_MODELS_H

#include "cli/program.h"
#include "models/pack.h"

struct hs_cmd_models {
    const enum hs_task *tasks; /* what the program serves: `list` shows these, `pull` without a name brings one of each */
    size_t task_count;
    const char *backend;       /* of this machine: "hailo" or "openvino" */
    const char *runtime;       /* its version, "5.1.1"; NULL: not known */
    const char *models_dir;    /* where the settings name a folder and --models does not; NULL: none */
};

/* Prints to stdout; progress and complaints to stderr. Returns the exit code. */
int hs_cmd_models(struct hs_invocation *call, const struct hs_cmd_models *context);

#endif
