#include "cli/cmd_config.h"
#include "face/commands.h"

int hs_face_cmd_config(struct hs_invocation *call)
{
    return hs_cmd_config_run(call, &hs_face_schema);
}
