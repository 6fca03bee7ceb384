/* The life of a service on the network: listens, serves until a signal, finishes what runs. */
#ifndef HS_SERVICE_SERVE_H
#define HS_SERVICE_SERVE_H

#include <signal.h>
#include <stddef.h>

#include "cli/load_settings.h"
#include "config/common.h"
#include "http/server.h"

struct hs_service {
    const struct hs_server_settings *settings;
    const struct hs_performance_settings *performance;
    bool accelerated;                            /* workers wait for a device that needs no processor */
    int batch_size;                              /* pictures of several requests that it takes at a time */
    const struct hs_http_route *routes;
    size_t route_count;
    void *ctx;                                   /* what handlers find */
    void (*shape)(struct hs_http_options *ret);  /* NULL: errors and JSON as http/server.h has them by default */
    void (*begin)(void *ctx);                    /* called before the first client can ask; NULL: nothing to do */
    void (*watch)(void *ctx);    /* called about once a second; NULL: nothing to do */
    bool (*must_end)(void *ctx); /* asked about once a second: whether only a fresh start helps; NULL: never */
    const char *what;                            /* for the log: "yolo11n-pose on cpu" */
};

/* Serves until SIGTERM or SIGINT: then no new connection is taken and what runs is finished within
 * settings->shutdown_timeout; a second signal ends the process at once. Prints "listening on http://ADDRESS:PORT" on
 * standard output once it accepts. Gives the exit code: a failure where must_end said so. */
int hs_serve(const struct hs_invocation *call, const struct hs_service *service, sigset_t *waited);

/* What a program adds to the `serve` command. */
struct hs_serve_command {
    /* hs_load_settings for this program. */
    int (*load)(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                struct hs_settings **ret_settings);
    /* Takes the settings, puts the service together and calls hs_serve. Gives the exit code. */
    int (*run)(const struct hs_invocation *call, struct hs_settings *settings, sigset_t *waited);
};

/* Reads the options, blocks the signals that end a service (before any thread starts), loads the settings and runs.
 * Gives the exit code. */
int hs_serve_command_run(struct hs_invocation *call, const struct hs_serve_command *command);

#endif
