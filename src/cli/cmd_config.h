/* `config render|check|show|reference|example`: the same for every program, from its schema. */
#ifndef HS_CLI_CMD_CONFIG_H
#define HS_CLI_CMD_CONFIG_H

#include "cli/program.h"
#include "config/setting.h"

/* call->argv[0] is "config". Gives the exit code. */
int hs_cmd_config_run(struct hs_invocation *call, const struct hs_schema *schema);

#endif
