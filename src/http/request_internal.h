/* The structs behind http/server.h, http/request.h and http/stream.h, for the server's own files.
 *
 * The network thread creates every request after it reads the head, and frees every request. From
 * submission until `finished`, a worker shares it; `cancel` and `stream` have their own locks. */
#ifndef HS_HTTP_REQUEST_INTERNAL_H
#define HS_HTTP_REQUEST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "base/pool.h"
#include "http/completion_queue.h"
#include "http/connection.h"
#include "http/event_loop.h"
#include "http/head_parser.h"
#include "http/http_metrics.h"
#include "http/listener.h"
#include "http/proxy.h"
#include "http/route.h"
#include "http/server.h"
#include "http/tls.h"

/* `refs` and `current` of the server belong to the network thread while it runs. */
struct hs_http_revision {
    struct hs_http_server *server;
    struct hs_http_options options;
    void *ctx;
    void (*release)(void *ctx); /* NULL: ctx outlives the server */
    size_t refs;                /* one of the server while it is current, and one per request */
};

void hs_http_revision_unref(struct hs_http_revision *revision); /* NULL allowed */

/* Makes the committed revision the current one. Network thread only. */
void hs_http_take_revision(struct hs_http_server *server);

struct hs_http_server {
    struct hs_http_options options; /* of the current revision; network thread only while it runs */
    struct hs_http_revision *current;
    const struct hs_http_route *routes;
    size_t route_count;

    struct hs_pool *pool;      /* outlives the network thread */
    struct hs_pool *long_work; /* pool of one thread for hs_http_continue_with; NULL: none */
    struct hs_event_loop loop;
    struct hs_completion_queue completions;
    struct hs_budget bodies, responses;
    struct hs_proxies proxies;
    bool uses_tls; /* a certificate was set before the start */
    atomic_bool draining;
    atomic_size_t connections;
    atomic_ullong requests, cancelled, timed_out;
    size_t workers; /* these two are fixed at the start */
    int64_t stuck_after_ns;
    atomic_uint signs_wanted, signs_given; /* of life, by the network thread: see hs_http_is_alive */
    struct hs_http_metrics *metrics;

    pthread_mutex_t lock; /* guards the fields below; no other lock is taken while it is held */
    pthread_cond_t quiet; /* signalled when active becomes 0 */
    size_t active;
    struct hs_http_revision *committed; /* not yet taken; NULL: none */

    pthread_mutex_t tls_lock; /* guards tls */
    struct hs_tls_context *tls;
};

/* Returns true if connections of this listening socket use TLS. */
bool hs_http_uses_tls(const struct hs_http_server *server, const struct hs_listener *listener);

/* Returns the first port with TLS, to which others redirect; 0: none. */
int hs_http_tls_port(const struct hs_http_server *server);

/* Starts TLS with the present certificate; see hs_tls_session_create. */
struct hs_tls_session *hs_http_create_tls_session(struct hs_http_server *server, int fd);

enum hs_http_stage {
    HS_HTTP_RECEIVING, /* on the network thread; a body may follow */
    HS_HTTP_HANDLING,  /* queued or with a worker */
    HS_HTTP_STREAMING, /* a worker has started the response: see http/stream.h */
};

struct hs_http_pair {
    const char *name, *value; /* pointers into the request's text */
};

struct hs_http_reply {
    int status; /* 0: none yet */
    int error;  /* HS_E… of an error response; 0: none */
    char content_type[128];
    uint8_t *data;
    size_t len;
    bool is_static;        /* data is a constant */
    bool is_secret;        /* data is overwritten before it is freed */
    struct hs_buf headers; /* name NUL value NUL, repeated */
    size_t charged;        /* charged to the server's budget for responses */
};

enum { HS_HTTP_BLOCK_SIZE = (16 << 10) - 2 * (int) sizeof(void *) };

struct hs_http_block {
    struct hs_http_block *next;
    size_t len;
    uint8_t data[HS_HTTP_BLOCK_SIZE];
};

/* `lock` guards the fields below it. Lock order: `lock` first, then the completion queue's or the
 * budget's lock. */
struct hs_http_stream {
    struct hs_http_request *req;
    struct hs_cancel abandoned; /* wakes a writer that waits for memory */
    pthread_mutex_t lock;
    pthread_cond_t room;         /* signalled when bytes were taken, or no more will be */
    struct hs_http_block *first; /* written blocks; the network thread has taken `taken` bytes of the first */
    struct hs_http_block *last;
    size_t taken, waiting, charged;
    bool ended, broken; /* set by the handler: no more bytes follow; the response is incomplete */
    bool gone;          /* set by the network thread: it takes no more bytes */
};

enum { HS_HTTP_ID_SIZE = 65, HS_HTTP_ACTOR_SIZE = 32 };

struct hs_http_request {
    struct hs_http_revision *revision; /* owns options and context; NULL if created without a server */
    const struct hs_http_options *options;
    void *context;
    struct hs_http_server *server; /* NULL if the request was created without a server */
    struct hs_conn *conn;          /* used by the network thread; NULL if the connection is closed */
    enum hs_http_stage stage;
    bool posted, finished; /* guarded by the completion queue */
    struct hs_http_request *next;

    char id[HS_HTTP_ID_SIZE], method[HS_HTTP_METHOD_SIZE];
    char actor[HS_HTTP_ACTOR_SIZE]; /* "key:ID"; "": no API key */
    bool keyed;                     /* the server needs API keys */
    unsigned scopes;                /* of the API key; bits of hs_scope_bit */
    int retry_after_s;              /* for a 429; 0: the server's retry_after_s */
    char client[HS_ADDRESS_SIZE];   /* see hs_http_client; "": unknown */
    bool proxied;                   /* a trusted proxy sent the request */
    bool secure;                    /* the client used https */
    char *target;                   /* as sent */
    char *authority;                /* host of an absolute target; NULL: none, use Host */
    char *path;                     /* as sent; params point into it */
    char *query;                    /* as sent; points into target */
    char *args;         /* query arguments: used flag (0, 1), name NUL value NUL, repeated; parsed on first use */
    char *args_end;     /* end of args; NULL: not parsed yet */
    struct hs_buf text; /* headers point into it, so it must not grow after they are set */
    struct hs_http_pair *headers;
    size_t header_count;
    const struct hs_http_route *route;
    hs_http_handler continuation;           /* rest of the handler's work, on another thread; NULL: none */
    const char *params[HS_HTTP_PARAMS_MAX]; /* decoded; NULL if the route has none */

    int64_t started_ns, body_end_ns, deadline_ns;
    struct hs_cancel cancel;
    struct hs_body *body;
    size_t dropped; /* body bytes dropped on a route that takes no body */
    struct hs_http_reply reply;
    struct hs_http_stream stream;
};

/* Creates a request and copies the target. Returns NULL if memory is exhausted. */
struct hs_http_request *hs_request_create(const struct hs_http_options *options, void *context, const char *target);
void hs_request_destroy(struct hs_http_request *req);

/* Copies `count` headers. Takes the request id from them, or creates one. HS_ENOMEM. */
int hs_request_set_headers(struct hs_http_request *req, const struct hs_http_pair *headers, size_t count,
                           struct hs_error *err);

/* Sets the client from the peer of the connection and, if that is a trusted proxy, from the headers.
 * `secure`: the connection uses TLS. Call it after the headers are set. */
void hs_request_set_peer(struct hs_http_request *req, const char *peer, bool secure);

/* Runs the handler unless the deadline has passed or the request is cancelled. Unless the handler
 * leaves a continuation, ensures that there is a reply, and charges the reply to the budget. */
void hs_request_run(struct hs_http_request *req);

/* Runs the continuation, and ensures and charges a reply in the same way. */
void hs_request_run_continuation(struct hs_http_request *req);

/* How the response marks its own end and the end of the connection. */
struct hs_http_framing {
    bool has_length, chunked; /* never both */
    bool close, keep_alive;   /* never both written */
};

/* Appends the status line and the headers. Errors are sticky in `out`. */
int hs_request_write_head(const struct hs_http_request *req, const struct hs_http_framing *framing, struct hs_buf *out);

/* Returns "Bad Request" for 400; "Unknown" for a status that the server does not send. */
const char *hs_http_status_phrase(int status);

/* Returns a constant response in wire format, to send if memory is exhausted. */
const char *hs_http_static_response(const struct hs_http_options *options);

void hs_http_stream_init(struct hs_http_stream *stream, struct hs_http_request *req);
void hs_http_stream_finish(struct hs_http_stream *stream);

/* ---- The network thread's side of a stream ---- */

/* Stops taking bytes, because the client disconnected or does not read the body. */
void hs_http_stream_abandon(struct hs_http_stream *stream);

/* State of the stream: the handler still writes, has ended it complete (WHOLE), or has ended it
 * incomplete (BROKEN). */
enum hs_stream_state { HS_STREAM_OPEN, HS_STREAM_WHOLE, HS_STREAM_BROKEN };

/* Returns the unsent bytes in at most `max` pieces. The pieces stay valid until they are taken. */
struct iovec;
size_t hs_http_stream_peek(struct hs_http_stream *stream, struct iovec *ret_pieces, size_t max, size_t *ret_len,
                           enum hs_stream_state *ret_state);
void hs_http_stream_take(struct hs_http_stream *stream, size_t len);

#endif
