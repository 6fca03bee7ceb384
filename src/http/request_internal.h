/* The structs behind http/server.h, http/request.h and http/stream.h, for the files of the server itself.
 *
 * A request is made when its line was read. It belongs to the network thread, but from submission to completion of its
 * job to a worker; `cancel` and `stream` have their own locks. */
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
#include "http/conn_table.h"
#include "http/route.h"
#include "http/server.h"

struct MHD_Connection;
struct MHD_Daemon;

struct hs_http_server {
    struct hs_http_options options;
    const struct hs_http_route *routes;
    size_t route_count;
    void *ctx;

    struct MHD_Daemon *daemon;
    struct hs_pool *pool; /* outlives the daemon */
    struct hs_conn_table conns;
    struct hs_budget budget;
    char address[HS_ADDRESS_SIZE];
    int quiesced_fd; /* the listening socket once draining began, else -1; closed after the daemon was stopped */
    atomic_bool draining;

    pthread_mutex_t lock; /* guards what follows; no other lock is taken inside it */
    pthread_cond_t quiet; /* active became 0 */
    size_t active;
    uint64_t requests;
};

enum hs_http_stage {
    HS_HTTP_AT_LINE,   /* the request line was read */
    HS_HTTP_AT_BODY,   /* the headers were read; a body may follow */
    HS_HTTP_AT_WORK,   /* a worker has it */
    HS_HTTP_STREAMING, /* a worker has it and has begun to answer: see http/stream.h */
    HS_HTTP_ANSWERED   /* the reply is ready to be sent */
};

struct hs_http_pair {
    const char *name, *value; /* inside the request's own text */
};

struct hs_http_reply {
    int status; /* 0: none yet */
    char content_type[128];
    uint8_t *data;
    size_t len;
    struct hs_buf headers; /* name NUL value NUL, repeated */
};

/* `lock` guards what follows it. It is taken inside the connection table's lock, never around it, and libmicrohttpd's
 * own lock for suspending and resuming is taken inside it. */
struct hs_http_stream {
    struct hs_http_request *req;
    pthread_mutex_t lock;
    pthread_cond_t room; /* bytes were taken, or no more will be */
    struct hs_buf bytes; /* written; `taken` of them are with the HTTP library already */
    size_t taken;
    uint64_t sent;
    bool suspended;       /* the connection waits for bytes */
    bool ended, broken;   /* by the handler: no more bytes come; they are not the whole answer */
    bool gone;            /* by the network: no more bytes are taken */
    bool left, completed; /* the worker is done with the request; the network thread is */
};

enum { HS_HTTP_ID_SIZE = 65, HS_HTTP_METHOD_SIZE = 24, HS_HTTP_HEADERS_MAX = 128 };

struct hs_http_request {
    const struct hs_http_options *options;
    void *context;
    struct hs_http_server *server; /* NULL if no server made it */
    struct hs_conn *conn;
    struct MHD_Connection *mhd;
    enum hs_http_stage stage;

    char id[HS_HTTP_ID_SIZE], method[HS_HTTP_METHOD_SIZE];
    char *target;       /* as sent */
    char *path, *query; /* in one piece of memory: the path as sent, params point into it; args point into the query */
    struct hs_buf text; /* headers point into it, so it never grows once they do */
    struct hs_http_pair *headers, *args;
    size_t header_count, arg_count;
    const struct hs_http_route *route;
    const char *params[HS_HTTP_PARAMS_MAX]; /* decoded; NULL if the route has none */

    int64_t started_ns, body_end_ns, deadline_ns;
    struct hs_cancel cancel;
    struct hs_body *body;
    size_t dropped; /* bytes of a body on a route that takes none */
    struct hs_http_reply reply;
    struct hs_http_stream stream;
    bool close_after, linger; /* the answer ends the connection; bytes of the client may still be on their way */
};

/* Starts the network thread on a listening socket, which it takes. NULL on failure; the socket is then still the
 * caller's. */
struct MHD_Daemon *hs_mhd_start(struct hs_http_server *server, int fd);

/* The target (path and query as sent) is copied. NULL without memory. */
struct hs_http_request *hs_request_create(const struct hs_http_options *options, void *context, const char *target);
void hs_request_destroy(struct hs_http_request *req);

/* Copies `count` headers, and takes the request id from them or makes one. HS_ENOMEM. */
int hs_request_set_headers(struct hs_http_request *req, const struct hs_http_pair *headers, size_t count,
                           struct hs_error *err);

/* Runs the handler unless it is too late, and makes sure that there is a reply. */
void hs_request_run(struct hs_http_request *req);

/* Appends the whole reply as it goes over the wire, closing the connection; used if the HTTP library cannot answer. */
int hs_request_write_reply(const struct hs_http_request *req, struct hs_buf *out);

/* Appends such an answer to a request that did not arrive in time. */
int hs_request_write_timeout(const struct hs_http_options *options, struct hs_buf *out);

/* The client has left. */
void hs_http_stream_abandon(struct hs_http_stream *stream);

/* An MHD_ContentReaderCallback; cls is the stream. */
ssize_t hs_http_stream_read(void *cls, uint64_t at, char *dst, size_t max);

/* The worker (leave) or the network thread (complete) is done with a request whose stream has begun. True: the other
 * one is too, and the caller frees the request. Else the caller must not touch it any more. */
bool hs_http_stream_leave(struct hs_http_stream *stream);
bool hs_http_stream_complete(struct hs_http_stream *stream);

#endif
