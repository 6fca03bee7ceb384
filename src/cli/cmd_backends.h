/* `backends list|build`, the same for every service. */
#ifndef HS_CLI_CMD_BACKENDS_H
#define HS_CLI_CMD_BACKENDS_H

#include "cli/program.h"

/* Prints to stdout; complaints to stderr. Returns the exit code. */
int hs_cmd_backends(struct hs_invocation *call);

#endif
