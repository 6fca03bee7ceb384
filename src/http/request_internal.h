/* The structs behind http/server.h, http/request.h and http/stream.h, for the files of the server itself.
 *
 * The network thread makes and frees every request, once its head was read. From submission to `finished` a worker has
 * it too; `cancel` and `stream` have their own locks. */
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
#include "http/route.h"
#include "http/server.h"

struct hs_http_server {
    struct hs_http_options options;
    const struct hs_http_route *routes;
    size_t route_count;
    void *ctx;

    struct hs_pool *pool;      /* outlives the network thread */
    struct hs_pool *long_work; /* of one thread, for hs_http_continue_with; NULL: none */
    struct hs_event_loop loop;
    struct hs_completion_queue completions;
    struct hs_budget bodies, answers;
    char address[HS_ADDRESS_SIZE];
    atomic_bool draining;
    atomic_size_t connections;
    atomic_ullong requests, cancelled, timed_out;

    pthread_mutex_t lock; /* guards what follows; no other lock is taken inside it */
    pthread_cond_t quiet; /* active became 0 */
    size_t active;
};

enum hs_http_stage {
    HS_HTTP_AT_HEAD,   /* with the network thread; a body may follow */
    HS_HTTP_AT_WORK,   /* a worker has it */
    HS_HTTP_STREAMING, /* a worker has begun to answer: see http/stream.h */
};

struct hs_http_pair {
    const char *name, *value; /* inside the request's own text */
};

struct hs_http_reply {
    int status; /* 0: none yet */
    char content_type[128];
    uint8_t *data;
    size_t len;
    bool is_static;        /* data is a constant */
    bool is_secret;        /* data is overwritten before it is freed */
    struct hs_buf headers; /* name NUL value NUL, repeated */
    size_t charged;        /* of the server's budget for answers */
};

enum { HS_HTTP_BLOCK_SIZE = (16 << 10) - 2 * (int) sizeof(void *) };

struct hs_http_block {
    struct hs_http_block *next;
    size_t len;
    uint8_t data[HS_HTTP_BLOCK_SIZE];
};

/* `lock` guards what follows it; the locks of the completion queue and of the budget may be taken inside it. */
struct hs_http_stream {
    struct hs_http_request *req;
    struct hs_cancel abandoned; /* wakes a writer that waits for memory */
    pthread_mutex_t lock;
    pthread_cond_t room;         /* bytes were taken, or no more will be */
    struct hs_http_block *first; /* written; `taken` bytes of the first block are with the network already */
    struct hs_http_block *last;
    size_t taken, waiting, charged;
    bool ended, broken; /* by the handler: no more bytes come; they are not the whole answer */
    bool gone;          /* by the network: no more bytes are taken */
};

enum { HS_HTTP_ID_SIZE = 65 };

struct hs_http_request {
    const struct hs_http_options *options;
    void *context;
    struct hs_http_server *server; /* NULL if no server made it */
    struct hs_conn *conn;          /* the network thread's; NULL if the connection is closed */
    enum hs_http_stage stage;
    bool posted, finished; /* guarded by the completion queue */
    struct hs_http_request *next;

    char id[HS_HTTP_ID_SIZE], method[HS_HTTP_METHOD_SIZE];
    char remote[HS_ADDRESS_SIZE]; /* the client's address; "": unknown */
    char *target;                 /* as sent */
    char *authority;              /* of an absolute target; NULL: there is none, see Host */
    char *path;                   /* as sent; params point into it */
    char *query;                  /* as sent, inside target */
    char *args;         /* of the query: asked for (0, 1), name NUL value NUL, repeated; made when asked for */
    char *args_end;     /* where they end; NULL: not made yet */
    struct hs_buf text; /* headers point into it, so it never grows once they do */
    struct hs_http_pair *headers;
    size_t header_count;
    const struct hs_http_route *route;
    hs_http_handler rest;                   /* of the handler's work, on another thread; NULL: none */
    const char *params[HS_HTTP_PARAMS_MAX]; /* decoded; NULL if the route has none */

    int64_t started_ns, body_end_ns, deadline_ns;
    struct hs_cancel cancel;
    struct hs_body *body;
    size_t dropped; /* bytes of a body on a route that takes none */
    struct hs_http_reply reply;
    struct hs_http_stream stream;
};

/* The target is copied. NULL without memory. */
struct hs_http_request *hs_request_create(const struct hs_http_options *options, void *context, const char *target);
void hs_request_destroy(struct hs_http_request *req);

/* Copies `count` headers, and takes the request id from them or makes one. HS_ENOMEM. */
int hs_request_set_headers(struct hs_http_request *req, const struct hs_http_pair *headers, size_t count,
                           struct hs_error *err);

/* Runs the handler unless it is too late. Unless that leaves a rest, makes sure that there is a reply, which is charged
 * to the budget. */
void hs_request_run(struct hs_http_request *req);

/* Runs the rest, and makes sure of the same. */
void hs_request_run_rest(struct hs_http_request *req);

/* How the client learns where the answer ends, and whether the connection does. */
struct hs_http_framing {
    bool has_length, chunked; /* at most one of them */
    bool close, keep_alive;   /* at most one of them is written */
};

/* Appends status line and headers. Sticky errors of `out`. */
int hs_request_write_head(const struct hs_http_request *req, const struct hs_http_framing *framing, struct hs_buf *out);

/* An answer as it goes over the wire if there is no memory to write one; a constant. */
const char *hs_http_static_answer(const struct hs_http_options *options);

void hs_http_stream_init(struct hs_http_stream *stream, struct hs_http_request *req);
void hs_http_stream_finish(struct hs_http_stream *stream);

/* ---- A stream as the network thread sees it ---- */

/* No more bytes are taken: the client has left, or does not want them. */
void hs_http_stream_abandon(struct hs_http_stream *stream);

/* The handler has ended a stream in good order (whole) or not. */
enum hs_stream_state { HS_STREAM_OPEN, HS_STREAM_WHOLE, HS_STREAM_BROKEN };

/* The bytes that wait, at most `max` pieces of them, which stay until they are taken. */
struct iovec;
size_t hs_http_stream_peek(struct hs_http_stream *stream, struct iovec *ret_pieces, size_t max, size_t *ret_len,
                           enum hs_stream_state *ret_state);
void hs_http_stream_take(struct hs_http_stream *stream, size_t len);

#endif
