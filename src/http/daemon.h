/* The server's insides, and its side of libmicrohttpd: callbacks that take requests in and send answers out. */
#ifndef HS_HTTP_DAEMON_H
#define HS_HTTP_DAEMON_H

#include <pthread.h>
#include <stdbool.h>

#include "base/pool.h"
#include "http/conn.h"
#include "http/server.h"
#include "http/watch.h"

struct MHD_Daemon;

struct hs_http_server {
    struct hs_http_options options;
    const struct hs_http_route *routes;
    size_t route_count;
    void *ctx;

    struct MHD_Daemon *daemon;
    struct hs_watch *watch;
    struct hs_conn_list conns;
    struct hs_budget budget;
    char address[HS_ADDRESS_SIZE];
    int port;
    int quiesced_fd; /* the listening socket once draining began, else -1; closed after the daemon was stopped */

    struct hs_pool *pool; /* as long as the daemon runs */
    pthread_mutex_t lock; /* guards what follows; no other lock is taken inside it */
    pthread_cond_t quiet; /* active became 0 */
    size_t active;
    uint64_t requests;
    bool draining;
};

/* Starts the network thread on a listening socket, which it takes. NULL where that fails; the socket is then still the
 * caller's. */
struct MHD_Daemon *hs_daemon_start(struct hs_http_server *server, int fd);

/* A request that was cancelled and still waits for a worker waits no longer. The connection list's lock is held, and so
 * keeps the request. */
void hs_daemon_expire_now(struct hs_http_request *req);

#endif
