/* One request and its answer, as the server holds them; handlers see http/request.h. Made when the request line was
 * read. It belongs to the network thread, but from submission to completion of its job to a worker; `cancel` and
 * `stream` have their own locks. */
#ifndef HS_HTTP_EXCHANGE_H
#define HS_HTTP_EXCHANGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "http/body.h"
#include "http/listen.h"
#include "http/route.h"
#include "http/server.h"

struct MHD_Connection;
struct hs_conn;

enum hs_http_stage {
    HS_HTTP_AT_LINE, /* the request line was read */
    HS_HTTP_AT_BODY, /* headers done, the body comes or nothing comes */
    HS_HTTP_AT_WORK, /* a worker has it */
    HS_HTTP_STREAMING, /* a worker has it and has begun to answer: see http/stream.h */
    HS_HTTP_ANSWERED /* the reply is ready to be sent */
};

struct hs_http_pair {
    const char *name, *value; /* inside the exchange's own text */
};

struct hs_http_reply {
    int status; /* 0: none yet */
    char content_type[128];
    uint8_t *data;
    size_t len;
    struct hs_buf headers; /* name NUL value NUL, repeated */
};

/* `lock` guards what follows it. It is taken inside the connection list's lock, never around it, and what libmicrohttpd
 * locks to suspend and resume is taken inside it. */
struct hs_http_stream {
    struct hs_http_request *req;
    pthread_mutex_t lock;
    pthread_cond_t room;  /* bytes were taken, or nobody takes them any more */
    struct hs_buf bytes;  /* written; `taken` of them are with the HTTP library already */
    size_t taken;
    uint64_t sent;
    bool suspended;       /* the connection waits for bytes */
    bool ended, broken;   /* by the handler: nothing more comes, and what came is not all */
    bool gone;            /* by the network: nobody takes any more */
    bool left, completed; /* the worker and the network thread are done with the request */
};

enum { HS_HTTP_ID_SIZE = 65, HS_HTTP_METHOD_SIZE = 24, HS_HTTP_HEADERS_MAX = 128 };

struct hs_http_request {
    const struct hs_http_options *options;
    void *context;
    struct hs_http_server *server; /* NULL for one that no server made */
    struct hs_conn *conn;
    struct MHD_Connection *mhd;
    enum hs_http_stage stage;

    char id[HS_HTTP_ID_SIZE], method[HS_HTTP_METHOD_SIZE];
    char remote[HS_ADDRESS_SIZE];
    char *target, *path, *query; /* as sent; decoded; as sent, "" where there is none */
    char *sent_path;             /* as sent; what params point into */
    struct hs_buf text;          /* what headers and query point into; never grows once they do */
    struct hs_http_pair *headers, *args;
    size_t header_count, arg_count;
    const struct hs_http_route *route;
    const char *params[HS_HTTP_PARAMS_MAX]; /* decoded; NULL where the route has none */

    int64_t started_ns, received_ns, body_end_ns, deadline_ns;
    struct hs_cancel cancel;
    struct hs_body *body;
    size_t dropped; /* bytes of a body that was not wanted */
    struct hs_http_reply reply;
    struct hs_http_stream stream;
    bool close_after, linger; /* the answer ends the connection; bytes of the client may still be on their way */
};

/* Copies the target (path and query as sent). NULL without memory. */
struct hs_http_request *hs_exchange_create(const struct hs_http_options *options, void *context, const char *remote,
                                           const char *target);
void hs_exchange_destroy(struct hs_http_request *req);

/* Takes `count` headers over by copying them, and the request id among them or a new one. HS_ENOMEM, HS_EHEADERS. */
int hs_exchange_set_headers(struct hs_http_request *req, const struct hs_http_pair *headers, size_t count,
                            struct hs_error *err);

/* Ends the body and reads how long the client will wait. HS_EINVAL: the body cannot be ended; there is a reply. */
int hs_exchange_prepare(struct hs_http_request *req);

/* Runs the handler, where it is not too late, and sees to it that there is a reply. */
void hs_exchange_run(struct hs_http_request *req);

/* The stream's life inside the request's, what the client's leaving means to it, and the reader that the HTTP library
 * calls (an MHD_ContentReaderCallback; cls is the stream). */
void hs_stream_init(struct hs_http_stream *stream, struct hs_http_request *req);
void hs_stream_finish(struct hs_http_stream *stream);
void hs_stream_abandon(struct hs_http_stream *stream);
ssize_t hs_stream_read(void *cls, uint64_t at, char *dst, size_t max);

/* The worker, or the network thread, is done with a request whose stream has begun; true: the other one is too, and the
 * caller frees the request. Else the caller must not touch it any more. */
bool hs_stream_leave(struct hs_http_stream *stream);
bool hs_stream_complete(struct hs_http_stream *stream);

/* The whole reply as it goes over the wire, closing the connection; for places where the HTTP library cannot answer. */
int hs_exchange_raw(const struct hs_http_request *req, struct hs_buf *out);

#endif
