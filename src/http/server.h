/* The HTTP/1.1 server: one network thread moves bytes, keeps the time limits and sees clients that leave; workers run
 * the handlers. It knows routes, limits and the shape of answers, and nothing of what is served. */
#ifndef HS_HTTP_SERVER_H
#define HS_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json_writer.h"
#include "hs/status.h"
#include "http/access.h"
#include "http/route.h"

/* {"error": {"message", "type", "code", "field"}} or {"error": "message"}. */
enum hs_http_error_shape { HS_HTTP_ERROR_OBJECT, HS_HTTP_ERROR_TEXT };

enum { HS_HTTP_ANSWER_FREE = 64 << 10 };

/* A copy is taken; strings are borrowed for the server's life. hs_http_options_init gives the values in brackets. */
struct hs_http_options {
    const char *host; /* ["127.0.0.1"] name or address, IPv6 with or without brackets; "::" takes IPv4 too */
    int port;         /* [0] 0 picks a free one */
    int workers;      /* [2] threads that run handlers */
    int heavy_max;    /* [1] of them, how many run heavy requests at a time (struct hs_http_route) */
    bool long_work;   /* [false] one thread more, for hs_http_continue_with (http/request.h) */
    size_t queue_max; /* [64] requests waiting for a worker; one more gets 503 */

    size_t connections_max;         /* [256] one more takes the place of another: see hs_conn_evict */
    size_t connections_per_address; /* [0: no limit] further ones are closed at once */
    size_t header_max;              /* [16 KiB] request line and headers; more gets 431 */
    size_t body_max;                /* [16 MiB] unless the route says less; more gets 413 */
    size_t batch_max;               /* [32] pictures in a body's list, unless the route says less; more gets 400 */
    size_t bodies_max;              /* [256 MiB] memory for bodies, all requests together; more gets 503 */
    size_t answers_max;             /* [32 MiB] memory for answers that wait for their clients, past the first
                                       HS_HTTP_ANSWER_FREE bytes of each; one that does not fit becomes a 503. A single
                                       larger one is sent if there is no other. */

    int64_t header_timeout_ms; /* [10 s] from connecting, or from a request's first byte, to the end of the headers */
    int64_t body_idle_ms;      /* [10 s] the longest pause in a body */
    int64_t body_timeout_ms;   /* [60 s] a whole body; also the time to take a whole answer; of a stream: a pause */
    int64_t idle_timeout_ms;   /* [60 s] keep-alive without a request */
    size_t body_rate_min;      /* [1 KiB/s] a body that comes more slowly on average, after rate_window_ms, is cut */
    size_t
        answer_rate_min; /* [4 KiB/s] a client that takes less while bytes wait for it, over rate_window_ms, is cut */
    int64_t rate_window_ms;     /* [10 s] */
    int64_t request_timeout_ms; /* [30 s, -1: none] the deadline that a handler sees, from the end of the body */
    int retry_after_s;          /* [1] sent with 429 and 503 */

    enum hs_http_error_shape error_shape; /* [HS_HTTP_ERROR_OBJECT] */
    enum hs_json_style json_style;        /* [HS_JSON_SPACED] */
    const char *json_content_type;        /* ["application/json; charset=utf-8"] */
    const char *not_found_message;        /* ["Not found"] */
    struct hs_http_access access;         /* [nothing named; admin HS_HTTP_ADMIN_OFF] */
};

void hs_http_options_init(struct hs_http_options *options);

struct hs_http_server;

/* Checks options and routes and makes a server that does not listen yet. `routes` (count of them) and `ctx` are
 * borrowed for the server's life; handlers find ctx with hs_http_context. Caller frees with hs_http_destroy. */
int hs_http_create(const struct hs_http_options *options, const struct hs_http_route *routes, size_t count, void *ctx,
                   struct hs_http_server **ret_server, struct hs_error *err);

/* Binds, and accepts when it returns 0. HS_EIO: the address cannot be had, and why. */
int hs_http_start(struct hs_http_server *server, struct hs_error *err);

/* "127.0.0.1:8080" or "[::1]:8080" with the real port; valid after start. */
const char *hs_http_address(const struct hs_http_server *server);

/* Stops accepting and waits until every request in work is answered, at most until the deadline. Answers during it
 * carry "Connection: close". Returns 0, or HS_ETIMEOUT with requests left. Not from a handler. */
int hs_http_drain(struct hs_http_server *server, int64_t deadline_ns);

/* Cancels what still runs, waits for the handlers to return and frees everything. NULL allowed. Not from a handler. */
void hs_http_destroy(struct hs_http_server *server);

/* Counters for /health and the metrics. Any thread. */
struct hs_http_stats {
    uint64_t requests;   /* with an answer, or given up */
    size_t connections;  /* open now */
    size_t active;       /* requests between their headers and the end of their answer */
    size_t queued;       /* of these, waiting for a worker */
    size_t body_bytes;   /* memory held by bodies now */
    size_t answer_bytes; /* of answers_max, held by answers now */
    uint64_t cancelled;  /* clients that left while their request was in work */
    uint64_t timed_out;  /* connections cut because they were too slow */
};
void hs_http_stats(struct hs_http_server *server, struct hs_http_stats *ret_stats);
void hs_http_stats_of(const struct hs_http_request *req, struct hs_http_stats *ret_stats); /* of its server */

#endif
