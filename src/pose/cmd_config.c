#include "cli/cmd_config.h"
#include "pose/commands.h"

int hs_pose_cmd_config(struct hs_invocation *call)
{
    return hs_cmd_config_run(call, &hs_pose_schema);
}
