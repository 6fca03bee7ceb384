/* The subcommands of hailo-face; each lives in the cmd_<name>.c of its name. */
#ifndef HS_FACE_COMMANDS_H
#define HS_FACE_COMMANDS_H

#include "cli/load_settings.h"
#include "cli/program.h"
#include "face/app.h"

int hs_face_cmd_serve(struct hs_invocation *call);
int hs_face_cmd_models(struct hs_invocation *call);
int hs_face_cmd_config(struct hs_invocation *call);

#endif
