/* The subcommands of hailo-pose that are its own; each lives in the cmd_<name>.c of its name. */
#ifndef HS_POSE_COMMANDS_H
#define HS_POSE_COMMANDS_H

#include "pose/app.h"

int hs_pose_cmd_detect(struct hs_invocation *call);
int hs_pose_cmd_eval(struct hs_invocation *call);
int hs_pose_cmd_compare_devices(struct hs_invocation *call);

/* Its parts of `bench` and `selftest`. */
extern const struct hs_app_bench hs_pose_bench;
void hs_pose_check_picture(struct hs_selftest *test, void *state);

#endif
