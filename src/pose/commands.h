/* The subcommands of hailo-pose; each lives in the cmd_<name>.c of its name. */
#ifndef HS_POSE_COMMANDS_H
#define HS_POSE_COMMANDS_H

#include "cli/program.h"
#include "cli/load_settings.h"
#include "pose/app.h"

int hs_pose_cmd_serve(struct hs_invocation *call);
int hs_pose_cmd_detect(struct hs_invocation *call);
int hs_pose_cmd_eval(struct hs_invocation *call);
int hs_pose_cmd_bench(struct hs_invocation *call);
int hs_pose_cmd_compare_devices(struct hs_invocation *call);
int hs_pose_cmd_models(struct hs_invocation *call);
int hs_pose_cmd_config(struct hs_invocation *call);
int hs_pose_cmd_selftest(struct hs_invocation *call);

/* hs_load_settings for this program; the log is set up as they say. HS_EXIT_OK, or the exit code to end with. Caller
 * frees with hs_settings_destroy. */
int hs_pose_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                          struct hs_settings **ret_settings);

/* The same, put together: an app whose model is loaded, for commands that work through given pictures. The caller
 * finishes it. */
int hs_pose_start_app(const struct hs_invocation *call, struct hs_pose_app *ret_app);

#endif
