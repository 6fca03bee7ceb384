/* A thread that watches sockets which the HTTP library does not read: it reports clients that leave, drains what a
 * refused client still sends so that it gets to read its answer, and calls a function at intervals. */
#ifndef HS_HTTP_SOCKET_WATCHER_H
#define HS_HTTP_SOCKET_WATCHER_H

#include <stdint.h>

#include "hs/status.h"

struct hs_watcher;

struct hs_watcher_events {
    void (*gone)(void *ctx, uint64_t id); /* at most once for each hs_watcher_add */
    void (*tick)(void *ctx);
};

/* Starts the thread; events come from it. Caller frees with hs_watcher_destroy. */
int hs_watcher_create(int tick_ms, const struct hs_watcher_events *events, void *ctx, struct hs_watcher **ret_watcher,
                      struct hs_error *err);

/* Ends the thread and closes lingering sockets. NULL allowed. */
void hs_watcher_destroy(struct hs_watcher *watcher);

/* Reports `id` (never used again, below 2^63) when the peer closes or half-closes. The caller owns the socket and
 * removes it before closing it; a report may still arrive after that, hence the id. Any thread. */
int hs_watcher_add(struct hs_watcher *watcher, int fd, uint64_t id);
void hs_watcher_remove(struct hs_watcher *watcher, int fd);

/* Reads and drops bytes from a duplicate of the socket until the peer closes or a limit of time or bytes is reached.
 * Any thread; the socket itself may be closed at once. */
void hs_watcher_linger(struct hs_watcher *watcher, int fd);

#endif
