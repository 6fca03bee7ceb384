/* Metrics of the HTTP server: responses, durations and bytes by route, errors by code, and refusals
 * by reason. Labels are patterns of routes, methods and statuses from fixed tables. */
#ifndef HS_HTTP_HTTP_METRICS_H
#define HS_HTTP_HTTP_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/metrics.h"
#include "http/route.h"

/* Reasons why the server refused a request or a connection. */
enum hs_http_refusal {
    HS_HTTP_REFUSED_QUEUE,       /* the queue in front of the workers was full */
    HS_HTTP_REFUSED_DEADLINE,    /* the deadline passed in that queue */
    HS_HTTP_REFUSED_BODIES,      /* no memory left in the budget for bodies */
    HS_HTTP_REFUSED_RESPONSES,   /* no memory left in the budget for responses */
    HS_HTTP_REFUSED_CONNECTIONS, /* too many connections from one address */
    HS_HTTP_REFUSED_EVICTED,     /* a connection was closed because another one needed its place */
    HS_HTTP_REFUSED_TIMEOUT,     /* a connection was closed because it was too slow */
};
extern struct hs_counters hs_http_refusals;

/* TLS handshakes by their result. */
enum hs_http_handshake { HS_HTTP_HANDSHAKE_DONE, HS_HTTP_HANDSHAKE_FAILED };
extern struct hs_counters hs_http_handshakes;

/* Requests that the rules for API keys and rates refuse. */
enum hs_http_key_refusal {
    HS_HTTP_KEY_MISSING,
    HS_HTTP_KEY_INVALID,
    HS_HTTP_KEY_SCOPE,
    HS_HTTP_KEY_ATTEMPTS,
    HS_HTTP_KEY_RATE,
};
extern struct hs_counters hs_http_key_refusals;

/* Responses with an error, by the code in the response. */
extern struct hs_counters hs_http_errors;

/* Counters of one server: one entry per route, and one for requests without a route. */
struct hs_http_metrics;

/* Creates the counters for `count` routes; NULL: out of memory. Borrows `routes`. Caller frees with free(). */
struct hs_http_metrics *hs_http_metrics_create(const struct hs_http_route *routes, size_t count);

/* A request that has ended for its client. */
struct hs_http_outcome {
    const struct hs_http_route *route; /* NULL: none */
    const char *method;                /* as sent; "": unknown */
    int status;                        /* 0: the connection closed before a response */
    int error;                         /* HS_E… of the response; 0: none */
    int64_t duration_ns;
    uint64_t bytes_in, bytes_out; /* of the bodies */
};
void hs_http_metrics_record(struct hs_http_metrics *metrics, const struct hs_http_outcome *outcome);

/* Writes the families by route. */
void hs_http_metrics_put(const struct hs_http_metrics *metrics, struct hs_metrics_writer *writer);

#endif
