/* One client connection: reads requests one at a time, passes them to their handlers and sends the
 * responses. Network thread only. */
#ifndef HS_HTTP_CONNECTION_H
#define HS_HTTP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/chunked.h"
#include "http/head_parser.h"
#include "http/listener.h"
#include "http/tls.h"

enum { HS_CONN_SCRATCH = 64 << 10 };

struct hs_http_request;
struct hs_http_server;

enum hs_conn_phase {
    HS_CONN_FRESH,   /* connected; no bytes received yet */
    HS_CONN_IDLE,    /* between requests */
    HS_CONN_HEAD,    /* part of a request head received */
    HS_CONN_BODY,    /* reading a body */
    HS_CONN_WORKING, /* the request is queued or a worker runs it; nothing is read */
    HS_CONN_SENDING, /* sending a response, which a worker may still be producing */
    HS_CONN_LINGER,  /* response sent and sending side closed; drops further input */
    HS_CONN_CLOSED,  /* freed by the next hs_conn_free_closed */
};

struct hs_conn {
    struct hs_conn_list *list;
    struct hs_conn *prev, *next;
    int fd;
    uint32_t watched;           /* epoll events registered; 0: not in the epoll set */
    struct hs_tls_session *tls; /* NULL: bytes are sent as they are */
    bool tls_started;           /* the client's first byte has arrived */
    bool secure;                /* accepted as a TLS connection, also if `tls` has ended */
    bool redirects;             /* every request is answered with a redirect to https */
    char peer[HS_ADDRESS_SIZE]; /* see hs_listener_write_peer */
    enum hs_conn_phase phase;
    int64_t phase_since_ns, last_data_ns;

    uint8_t *in; /* received bytes, unread part [in_at, in_len); NULL if there are none */
    size_t in_at, in_len, in_capacity;
    struct hs_http_head_scan scan;
    int blank_lines; /* empty lines seen before the request line */
    bool ended;      /* the client has closed its sending side */
    bool broken;     /* reading from the socket or watching it failed */

    struct hs_http_request *request; /* NULL between requests */
    bool in_worker;                  /* a worker uses the request */
    bool client_gone;                /* the client disconnected during that work */
    bool http10;                     /* HTTP/1.0 */
    bool close_after, linger;        /* close after this response; unread client bytes may still arrive */
    bool is_chunked;
    uint64_t body_left, body_seen;
    struct hs_chunked chunked;

    struct hs_buf out; /* sent first: the head of a response, or the framing of a chunk */
    size_t out_at;
    const uint8_t *body; /* sent after `out` */
    size_t body_len, body_at;
    bool streams, framed, last_frame; /* the response is a stream; it uses chunks; `out` holds the final chunk */
    size_t chunk_left;
    bool blocked;          /* the socket does not accept more bytes now */
    uint64_t sent;         /* response body bytes sent */
    int64_t written;       /* bytes written to the socket in total, without the overhead of TLS */
    int64_t acked;         /* bytes that the client had acknowledged at the last tick; see acked_bytes */
    int64_t rate_acked;    /* the same at the start of the rate window */
    int64_t rate_since_ns; /* start of the rate window; 0: no unsent bytes */
    size_t linger_left;
};

struct hs_conn_list {
    struct hs_http_server *server;
    int epoll_fd;
    struct hs_conn *head, *closed;
    uint8_t scratch[HS_CONN_SCRATCH];
    uint8_t record[HS_TLS_RECORD]; /* bytes of a response on their way into a TLS record */
};

/* Creates a connection that `listener` has accepted, and takes its socket. If memory is exhausted,
 * closes the socket and returns NULL. */
struct hs_conn *hs_conn_create(struct hs_conn_list *list, int fd, const struct hs_listener *listener, const char *peer);

/* Handles epoll events of the connection. */
void hs_conn_on_event(struct hs_conn *conn, uint32_t events);

/* Handles a request that a worker has posted; if `finished`, the worker no longer uses it. Also
 * accepts a request whose connection is closed. */
void hs_conn_on_completion(struct hs_http_request *req, bool finished);

/* Closes the connection if its phase exceeds a time limit or its client is too slow. A client that
 * is in the middle of a request gets a 408. */
void hs_conn_check_time(struct hs_conn *conn, int64_t now_ns);

/* Cancels the running request, if any. The request still gets a response. If it is still queued, it
 * expires at once. */
void hs_conn_cancel(struct hs_conn *conn);

/* Closes the connection at once, in any phase. */
void hs_conn_close(struct hs_conn *conn);

/* Finds the connection to close if the server is full: the longest-idle one without a request. If
 * there is none: the one whose request body arrives, or whose response is read, most slowly, at
 * less than 32 KiB/s over a second or more. Returns NULL if neither exists. hs_conn_evict also
 * closes it. */
struct hs_conn *hs_conn_find_evictable(struct hs_conn_list *list);
bool hs_conn_evict(struct hs_conn_list *list);

/* Counts the connections from this peer. */
size_t hs_conn_count_from(const struct hs_conn_list *list, const char *peer);

/* Frees closed connections. */
void hs_conn_free_closed(struct hs_conn_list *list);

#endif
