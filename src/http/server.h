/* HTTP/1.1 server. One network thread does all socket I/O, enforces time limits and detects
 * disconnected clients; workers run the handlers. The server knows routes, limits and response
 * shapes, but nothing about the services on top. */
#ifndef HS_HTTP_SERVER_H
#define HS_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json_writer.h"
#include "hs/status.h"
#include "http/access.h"
#include "http/listener.h"
#include "http/route.h"

struct hs_auth;

/* {"error": {"message", "type", "code", "field"}} or {"error": "message"}. */
enum hs_http_error_shape { HS_HTTP_ERROR_OBJECT, HS_HTTP_ERROR_TEXT };

enum { HS_HTTP_RESPONSE_FREE = 64 << 10 };

/* hs_http_create copies the options and borrows the strings for the server's life. Brackets hold
 * the values of hs_http_options_init. */
struct hs_http_options {
    const char *host;     /* ["127.0.0.1"] name or address, IPv6 with or without brackets; "::" also accepts IPv4;
                             "unix:" and an absolute path: a unix socket */
    int port;             /* [0] 0 selects a free port */
    unsigned socket_mode; /* [0660] permissions of the unix socket */
    int redirect_port;    /* [0: none] plain HTTP port of the same host that redirects every request to https */
    const struct hs_listener *inherited; /* [NULL] sockets of systemd, used instead of host and ports if there are any;
                                            hs_http_create takes the sockets and copies the structs */
    size_t inherited_count;
    const char *path_prefix;     /* [""] "/pose": also removed from the start of paths */
    const char *trusted_proxies; /* [""] see hs_proxies_init */
    int workers;                 /* [2] threads that run handlers */
    int heavy_max;    /* [1] maximum number of workers that run heavy requests at a time (struct hs_http_route) */
    bool long_work;   /* [false] adds one thread for hs_http_continue_with (http/request.h) */
    size_t queue_max; /* [64] requests that wait for a worker; further ones get 503 */

    size_t connections_max;         /* [256] a further one evicts another: see hs_conn_evict */
    size_t connections_per_address; /* [0: no limit] further ones are closed at once */
    size_t header_max;              /* [16 KiB] request line and headers; larger ones get 431 */
    size_t body_max;                /* [16 MiB] unless the route has a lower limit; larger ones get 413 */
    size_t batch_max;               /* [32] pictures in a body's list, unless the route has a lower limit; longer ones
                                       get 400 */
    size_t bodies_max;              /* [256 MiB] memory for the bodies of all requests; over it, a request gets 503 */
    size_t responses_max;           /* [32 MiB] memory for unsent responses, excluding the first HS_HTTP_RESPONSE_FREE
                                     bytes of each. A response that does not fit becomes a 503. A single larger one is
                                     sent if no other is held. */

    int64_t header_timeout_ms; /* [10 s] from the connection, or a request's first byte, to the end of the headers */
    int64_t body_idle_ms;      /* [10 s] longest pause in a body */
    int64_t body_timeout_ms;   /* [60 s] for a whole body; also for the client to read a whole response, and the longest
                                  pause in a stream */
    int64_t idle_timeout_ms;   /* [60 s] keep-alive connection without a request */
    size_t body_rate_min;      /* [1 KiB/s] minimum average rate of a body, checked after rate_window_ms; a slower
                                  connection is closed */
    size_t response_rate_min;  /* [4 KiB/s] minimum rate at which a client reads, over rate_window_ms; a slower one is
                                closed */
    int64_t rate_window_ms;    /* [10 s] */
    int64_t request_timeout_ms; /* [30 s, -1: none] deadline of the handler, from the end of the body */
    int64_t stuck_after_ms;     /* [30 s] time after a request's deadline from which its worker counts as stuck: see
                                   hs_http_is_alive */
    int retry_after_s;          /* [1] sent with 429 and 503 */

    enum hs_http_error_shape error_shape; /* [HS_HTTP_ERROR_OBJECT] */
    enum hs_json_style json_style;        /* [HS_JSON_SPACED] */
    const char *json_content_type;        /* ["application/json; charset=utf-8"] */
    const char *not_found_message;        /* ["Not found"] */
    struct hs_http_access access;         /* [all empty; admin HS_HTTP_ADMIN_OFF] */
    struct hs_auth *auth; /* [NULL: no API keys and no limits on rates] auth/auth.h; borrowed for the server's life */
};

void hs_http_options_init(struct hs_http_options *options);

struct hs_http_server;
struct hs_tls_context;

/* Checks the options and routes and creates a server that does not listen yet. Borrows `routes`
 * (count of them) and `ctx` for the server's life; handlers read ctx with hs_http_context. Caller
 * frees with hs_http_destroy. */
int hs_http_create(const struct hs_http_options *options, const struct hs_http_route *routes, size_t count, void *ctx,
                   struct hs_http_server **ret_server, struct hs_error *err);

/* Options and a context for later requests. */
struct hs_http_revision;

/* Prepares a change of the options while the server runs. Every request keeps the options and the context with which it
 * began; `release(ctx)` is called once no request uses them any more, on any thread, or by hs_http_revision_abandon.
 * The options are checked as by hs_http_create. Fields that are fixed at the start keep their effect: host, port,
 * workers, heavy_max, long_work, queue_max, bodies_max and responses_max. */
int hs_http_revision_create(struct hs_http_server *server, const struct hs_http_options *options, void *ctx,
                            void (*release)(void *ctx), struct hs_http_revision **ret_revision, struct hs_error *err);
void hs_http_revision_commit(struct hs_http_revision *revision); /* takes it; takes effect within moments */
void hs_http_revision_abandon(struct hs_http_revision *revision);

/* Starts the workers, binds the address and starts accepting. HS_ECONFLICT: the address is in use;
 * HS_EIO: it is not available for another reason, or the network thread cannot start; HS_ENOMEM:
 * the workers cannot start. The message has the reason. */
int hs_http_start(struct hs_http_server *server, struct hs_error *err);

/* Returns "127.0.0.1:8080", "[::1]:8080" or "unix:/run/x.sock", with the real port, of the first listening socket;
 * valid after hs_http_start. */
const char *hs_http_address(const struct hs_http_server *server);

/* Writes the address of a listening socket with its scheme ("https://127.0.0.1:8443", "unix:/run/x.sock"). Returns
 * false past the last one. */
enum { HS_HTTP_URL_SIZE = 160 };
bool hs_http_url(const struct hs_http_server *server, size_t index, char ret_url[HS_HTTP_URL_SIZE]);

/* Returns the first address that other machines can connect to and that answers requests; NULL: none.
 * The second form is for handlers. */
const char *hs_http_exposed_address(const struct hs_http_server *server);
const char *hs_http_exposed_address_of(const struct hs_http_request *req);

/* Sets the certificate of further TLS connections; open ones keep theirs. Takes the context. TCP sockets use TLS if a
 * context is set before hs_http_start; unix sockets never do. Any thread. */
void hs_http_set_tls(struct hs_http_server *server, struct hs_tls_context *context);

/* Stops accepting and waits until every running request has its response, or until the deadline.
 * Responses during that time carry "Connection: close". Returns 0, or HS_ETIMEOUT if requests
 * remain. Not from a handler. */
int hs_http_drain(struct hs_http_server *server, int64_t deadline_ns);

/* Cancels running requests, waits for their handlers to return and frees everything. NULL is
 * allowed. Not from a handler. */
void hs_http_destroy(struct hs_http_server *server);

/* Returns true if the server can answer: the network thread has run since the previous call, and not every worker is
 * stuck (stuck_after_ms at the start of the server). Asks the network thread for a sign that the next call checks, so
 * call it about once a second, from one thread. */
bool hs_http_is_alive(struct hs_http_server *server);

/* Counters for /health and the metrics. Any thread. */
struct hs_http_stats {
    uint64_t requests;     /* requests that were answered or abandoned */
    size_t connections;    /* currently open */
    size_t active;         /* requests between the end of their headers and the end of their response */
    size_t queued;         /* of `active`, requests that wait for a worker */
    size_t workers;        /* threads that run handlers */
    size_t workers_busy;   /* of these, threads that run one now */
    size_t body_bytes;     /* memory that bodies use now */
    size_t response_bytes; /* of responses_max, memory that responses use now */
    uint64_t cancelled;    /* clients that disconnected during their request */
    uint64_t timed_out;    /* connections closed because they were too slow */
};
void hs_http_stats(struct hs_http_server *server, struct hs_http_stats *ret_stats);
void hs_http_stats_of(const struct hs_http_request *req, struct hs_http_stats *ret_stats); /* stats of the request's
                                                                                              server */

/* Writes the metrics by route (http/http_metrics.h) of the request's server, and the expiry of its certificate. */
struct hs_metrics_writer;
void hs_http_put_metrics_of(const struct hs_http_request *req, struct hs_metrics_writer *writer);

#endif
