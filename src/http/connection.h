/* One connection: reads requests, one after the other, hands them to their handlers and sends the answers. Everything
 * here is for the network thread. */
#ifndef HS_HTTP_CONNECTION_H
#define HS_HTTP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/chunked.h"
#include "http/head_parser.h"

enum { HS_ADDRESS_SIZE = 64, HS_CONN_SCRATCH = 64 << 10 };

struct hs_http_request;
struct hs_http_server;
struct sockaddr;

enum hs_conn_phase {
    HS_CONN_FRESH,   /* connected, and has sent nothing yet */
    HS_CONN_IDLE,    /* between requests */
    HS_CONN_HEAD,    /* in the middle of a head */
    HS_CONN_BODY,    /* in the middle of a body */
    HS_CONN_WORKING, /* the request is in the queue or with a worker; nothing is read */
    HS_CONN_SENDING, /* an answer, which a worker may still be making */
    HS_CONN_LINGER,  /* answered, and closed for sending; the rest that the client sends is dropped */
    HS_CONN_CLOSED,  /* freed by the next hs_conn_bury */
};

struct hs_conn {
    struct hs_conn_list *list;
    struct hs_conn *prev, *next;
    int fd;
    uint32_t watched; /* epoll events asked for; 0: not in the set */
    char remote[HS_ADDRESS_SIZE];
    enum hs_conn_phase phase;
    int64_t phase_since_ns, last_data_ns;

    uint8_t *in; /* received, not read yet: [in_at, in_len); NULL if nothing is */
    size_t in_at, in_len, in_capacity;
    struct hs_http_head_scan scan;
    int blank_lines; /* before the request line */
    bool ended;      /* the client will send no more */
    bool broken;     /* reading or watching failed */

    struct hs_http_request *request; /* NULL between requests */
    bool in_work;                    /* a worker has it */
    bool left;                       /* and the client has left meanwhile */
    bool old;                        /* HTTP/1.0 */
    bool close_after, linger;        /* the answer ends the connection; bytes of the client may still be on their way */
    bool is_chunked;
    uint64_t body_left, body_seen;
    struct hs_chunked chunked;

    struct hs_buf out; /* what is sent first: the head of an answer, or the frame of a chunk */
    size_t out_at;
    const uint8_t *body; /* sent after it */
    size_t body_len, body_at;
    bool streams, framed, last_frame; /* the answer is a stream, in chunks, the final one of which is in `out` */
    size_t chunk_left;
    bool blocked;          /* the socket takes no more now */
    uint64_t sent;         /* bytes of the answer's body */
    uint64_t written;      /* to the socket, ever */
    uint64_t taken;        /* of these, by the client at the last tick */
    uint64_t rate_taken;   /* the same when the window of the least rate began */
    int64_t rate_since_ns; /* its begin; 0: nothing waits */
    size_t linger_left;
};

struct hs_conn_list {
    struct hs_http_server *server;
    int epoll_fd;
    struct hs_conn *head, *dead;
    uint8_t scratch[HS_CONN_SCRATCH];
};

/* Takes the socket; NULL (and the socket is closed) without memory. */
struct hs_conn *hs_conn_create(struct hs_conn_list *list, int fd, const struct sockaddr *peer);

/* Epoll's events for the connection. */
void hs_conn_on_event(struct hs_conn *conn, uint32_t events);

/* A worker has done something for the request, and if `finished` does not touch it any more. Also for a request whose
 * connection is closed. */
void hs_conn_on_completion(struct hs_http_request *req, bool finished);

/* Cuts the connection if its phase lasts too long or its client is too slow; a client that is in the middle of a
 * request gets a 408. */
void hs_conn_check_time(struct hs_conn *conn, int64_t now_ns);

/* Cancels the request in work, if there is one: it will be answered, and if it waits for a worker it waits no longer.
 */
void hs_conn_cancel(struct hs_conn *conn);

/* At once, whatever it is doing. */
void hs_conn_close(struct hs_conn *conn);

/* The connection without a request that has been silent longest; if there is none, the one whose body comes, or whose
 * answer is taken, most slowly, below 32 KiB/s for a second or more. NULL if there is none either. And closes it. */
struct hs_conn *hs_conn_find_evictable(struct hs_conn_list *list);
bool hs_conn_evict(struct hs_conn_list *list);

/* How many connections come from this address. */
size_t hs_conn_count_from(const struct hs_conn_list *list, const struct sockaddr *peer);

/* Frees closed connections. */
void hs_conn_bury(struct hs_conn_list *list);

#endif
