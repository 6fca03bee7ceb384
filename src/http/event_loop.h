/* The network thread: accepts connections and waits for socket events, worker completions and
 * timeouts. */
#ifndef HS_HTTP_EVENT_LOOP_H
#define HS_HTTP_EVENT_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hs/status.h"
#include "http/connection.h"
#include "http/listener.h"

struct hs_event_loop {
    struct hs_http_server *server;
    struct hs_listener listeners[HS_LISTENERS_MAX];
    size_t listener_count;
    pthread_t thread;
    bool running;
    /* Network thread only. */
    struct hs_conn_list conns;
    bool listening; /* the listening sockets are in the epoll set */
    bool closed;    /* they are closed */
    int64_t next_tick_ns;
};

/* Starts the thread, which accepts clients of loop->listeners. HS_EIO. */
int hs_event_loop_start(struct hs_event_loop *loop, struct hs_http_server *server, struct hs_error *err);

/* Stops accepting connections. Call once, from any thread. */
void hs_event_loop_stop_listening(struct hs_event_loop *loop);

/* Ends the thread and closes every connection and listener. No worker may have a request. Also
 * accepts a loop that was not started. */
void hs_event_loop_stop(struct hs_event_loop *loop);

#endif
