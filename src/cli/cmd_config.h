/* `config render|check|show|reference|example`: the same for every program, from its schema. */
#ifndef HS_CLI_CMD_CONFIG_H
#define HS_CLI_CMD_CONFIG_H

#include "cli/program.h"

/* Returns the exit code. */
int hs_cmd_config(struct hs_invocation *call);

#endif
