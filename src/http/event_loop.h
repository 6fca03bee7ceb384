/* The network thread: accepts connections, waits for their sockets, for workers and for time limits. */
#ifndef HS_HTTP_EVENT_LOOP_H
#define HS_HTTP_EVENT_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hs/status.h"
#include "http/connection.h"

struct hs_event_loop {
    struct hs_http_server *server;
    int listen_fd; /* -1: closed */
    pthread_t thread;
    bool running;
    /* The network thread's own. */
    struct hs_conn_list conns;
    bool listening; /* the listening socket is in the epoll set */
    int64_t next_tick_ns;
};

/* Starts the thread on a listening socket that does not block, and takes that. HS_EIO. */
int hs_event_loop_start(struct hs_event_loop *loop, struct hs_http_server *server, int listen_fd, struct hs_error *err);

/* Refuses new connections from now on. Once, and from any thread. */
void hs_event_loop_stop_listening(struct hs_event_loop *loop);

/* Ends the thread and closes every connection; no worker may have a request. Also for one that was not started. */
void hs_event_loop_stop(struct hs_event_loop *loop);

#endif
