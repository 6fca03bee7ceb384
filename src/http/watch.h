/* A thread that looks after sockets while nobody reads them: it reports clients that leave, takes what a refused client
 * still sends so that it gets to read its answer, and calls a function at intervals. */
#ifndef HS_HTTP_WATCH_H
#define HS_HTTP_WATCH_H

#include <stdint.h>

#include "hs/status.h"

struct hs_watch;

struct hs_watch_events {
    void (*gone)(void *ctx, uint64_t id); /* at most once for each hs_watch_add */
    void (*tick)(void *ctx);
};

/* Starts the thread; events come from it. Caller frees with hs_watch_destroy. */
int hs_watch_create(int tick_ms, const struct hs_watch_events *events, void *ctx, struct hs_watch **ret_watch,
                    struct hs_error *err);

/* Ends the thread and closes lingering sockets. NULL allowed. */
void hs_watch_destroy(struct hs_watch *watch);

/* Reports `id` (never to be used again, below 2^63) when the peer closes or half-closes. The socket stays its owner's,
 * who removes it before closing it; a report that is on its way may still come after that, hence the id. Any thread. */
int hs_watch_add(struct hs_watch *watch, int fd, uint64_t id);
void hs_watch_remove(struct hs_watch *watch, int fd);

/* Reads and drops what comes on a duplicate of the socket until the peer closes or a limit of time or bytes is reached.
 * Any thread; the socket itself may be closed at once. */
void hs_watch_linger(struct hs_watch *watch, int fd);

#endif
