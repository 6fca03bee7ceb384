/* The life of a service on the network: listens, serves until a signal, finishes what runs. */
#ifndef HS_SERVICE_SERVE_H
#define HS_SERVICE_SERVE_H

#include <signal.h>
#include <stddef.h>

#include "cli/program.h"
#include "config/common.h"
#include "http/server.h"

struct hs_service {
    const struct hs_server_settings *settings;
    const struct hs_http_route *routes;
    size_t route_count;
    void *ctx;                                   /* what handlers find */
    void (*shape)(struct hs_http_options *ret);  /* NULL: errors and JSON as http/server.h has them by default */
    void (*begin)(void *ctx);                    /* called before the first client can ask; NULL: nothing to do */
    const char *what;                            /* for the log: "yolo11n-pose on cpu" */
};

/* Blocks the signals that end a service, so that serve can wait for them: before any thread starts. A client that hangs
 * up becomes an error of its write. */
void hs_serve_take_signals(sigset_t *ret_waited);

/* Serves until SIGTERM or SIGINT: then no new connection is taken and what runs is finished within
 * settings->shutdown_timeout; a second signal ends the process at once. Prints "listening on http://ADDRESS:PORT" on
 * standard output once it accepts. Gives the exit code. */
int hs_serve(const struct hs_invocation *call, const struct hs_service *service, sigset_t *waited);

#endif
