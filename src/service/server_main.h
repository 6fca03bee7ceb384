/* `serve`: listens, loads the models meanwhile, serves until a signal, finishes what runs. */
#ifndef HS_SERVICE_SERVER_MAIN_H
#define HS_SERVICE_SERVER_MAIN_H

#include "cli/program.h"

/* Serves until SIGTERM or SIGINT: then no new connection is taken and what runs is finished within
 * server.shutdown_timeout; a second signal ends the process at once. Prints "listening on http://ADDRESS:PORT" on
 * standard output once it accepts. Returns the exit code: a failure if a device hangs and the settings say to end. */
int hs_cmd_serve(struct hs_invocation *call);

#endif
