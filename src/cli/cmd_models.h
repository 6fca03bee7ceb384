/* `models list|pull|verify|import|remove`, the same for every service. */
#ifndef HS_CLI_CMD_MODELS_H
#define HS_CLI_CMD_MODELS_H

#include "cli/program.h"
#include "models/pack.h"

enum { HS_CMD_MODELS_MAX_TASKS = 4 };

struct hs_cmd_models {
    /* What the program serves: `list` shows these, `pull` without a name brings one of each. */
    const enum hs_task *tasks;
    size_t task_count; /* at most HS_CMD_MODELS_MAX_TASKS */
    /* Called once when the command line has been read: fills in what follows from the settings that it asks for.
     * HS_EXIT_OK, or the exit code to end with (it has said why). Texts must live until hs_cmd_models returns. */
    int (*settle)(const struct hs_invocation *call, struct hs_cmd_models *context);
    void *arg;           /* of `settle` */
    const char *backend; /* of this machine: "hailo" or "openvino" */
    bool standby;        /* the processor may stand in for it, so `pull` brings that one's file, too */
    const char *runtime; /* its version, "5.1.1"; NULL: not known */
    char version[32];    /* where `runtime` may lie */
    const char *models_dir, *packs_dir, *mirror; /* as configured; NULL: not */
    /* What `pull` without a name brings for each of the tasks; NULL: the default for this machine. */
    const char *models[HS_CMD_MODELS_MAX_TASKS];
};

/* Prints to stdout; progress and complaints to stderr. Returns the exit code. */
int hs_cmd_models(struct hs_invocation *call, struct hs_cmd_models *context);

#endif
