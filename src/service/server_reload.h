/* Reads the settings of a running server again and applies them, on SIGHUP. */
#ifndef HS_SERVICE_SERVER_RELOAD_H
#define HS_SERVICE_SERVER_RELOAD_H

#include "service/app.h"

/* Fill the first fields, then call hs_server_reload_init. Main thread. */
struct hs_server_reload {
    const struct hs_invocation *call;
    const struct hs_config_override *given; /* options of `serve` that set settings */
    size_t given_count;
    struct hs_app_core *core; /* the state at the start */
    struct hs_http_server *server;
    void (*http_options)(const struct hs_app_core *core, struct hs_http_options *ret); /* options from the settings */
    const char *folder; /* the folder in which the program was started, "": unknown; relative paths begin there */

    const struct hs_app_core *current; /* the state of new requests */
    /* Between prepare and commit. */
    struct hs_settings *next;
    struct hs_app_core *next_core;
    struct hs_http_revision *revision;
};

/* Reloads by their result. */
extern struct hs_counters hs_server_reloads;

/* Registers the part of core->reload that changes the log, the options of the server and the settings of requests. */
void hs_server_reload_init(struct hs_server_reload *reload);

/* Reads and checks the settings, and applies them to all parts of core->reload, or to none. Logs the result: changed
 * settings, those that need a restart, and errors. Returns 0, or HS_EINVAL or the error of a part: the old settings
 * stay in effect, and *err has the reason. */
int hs_server_reload_run(struct hs_server_reload *reload, struct hs_error *err);

#endif
