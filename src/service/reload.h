/* Applies new settings to a running service: all of them, or none.
 *
 * Each part of the service that can change registers itself. On SIGHUP the settings are read and checked first (as
 * `config check` does). Then every part prepares the change, which may fail; then every part commits it, which may not
 * fail, or, after a failure, those that prepared abandon it and the service continues with its old settings. */
#ifndef HS_SERVICE_RELOAD_H
#define HS_SERVICE_RELOAD_H

#include <stddef.h>

#include "config/settings.h"
#include "hs/status.h"

/* Called on the main thread, while requests are served. */
struct hs_reload_part {
    const char *name; /* "TLS certificate": begins the message if `prepare` fails */
    /* Reads, checks and allocates all that the change needs, without effect on requests. `next` is valid until commit
     * or abandon has returned; copy what must live longer. */
    int (*prepare)(void *ctx, const struct hs_settings *next, struct hs_error *err);
    void (*commit)(void *ctx);  /* NULL: nothing to do */
    void (*abandon)(void *ctx); /* called only if prepare succeeded; NULL: nothing to do */
    void *ctx;
};

enum { HS_RELOAD_PARTS_MAX = 16 };

/* All-zero: no parts. */
struct hs_reload {
    struct hs_reload_part parts[HS_RELOAD_PARTS_MAX];
    size_t count;
};

/* Registers a part; copies it and borrows name and ctx. Parts prepare and commit in the order of registration. At most
 * HS_RELOAD_PARTS_MAX. Main thread, before the service serves. */
void hs_reload_add(struct hs_reload *reload, const struct hs_reload_part *part);

/* Prepares all parts, then commits all of them, or abandons those that prepared. On failure err->message begins with
 * the name of the part that failed. Main thread. */
int hs_reload_apply(const struct hs_reload *reload, const struct hs_settings *next, struct hs_error *err);

#endif
