/* The request and response interface for handlers. Only the thread that runs the handler may use
 * it, until the handler returns; strings are valid until then. */
#ifndef HS_HTTP_REQUEST_H
#define HS_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "hs/status.h"
#include "http/body.h"
#include "http/route.h"

struct hs_http_request;

void *hs_http_context(const struct hs_http_request *req);                   /* ctx of hs_http_create */
const char *hs_http_param(const struct hs_http_request *req, size_t index); /* segment in braces, counted from 0 */
const char *hs_http_query(struct hs_http_request *req, const char *name);   /* decoded; NULL if absent */

/* Like hs_http_query, but does not mark the argument as used. */
const char *hs_http_peek_query(struct hs_http_request *req, const char *name);

/* Lists the query arguments that hs_http_query has not read, in the form of hs_body_unused. */
size_t hs_http_query_unused(struct hs_http_request *req, char ret_names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE]);

const char *hs_http_header(const struct hs_http_request *req, const char *name); /* name in any case; NULL if absent */
const char *hs_http_id(const struct hs_http_request *req);                       /* X-Request-Id of the response */

/* Returns the client's address: an IP address, or "unix:UID" for a client of a unix socket. Behind proxies of
 * server.trusted_proxies it is the address that they report (http/proxy.h). */
const char *hs_http_client(const struct hs_http_request *req);

/* Return the host, with its port if there is one, and the scheme ("http", "https") that the client used; behind a
 * trusted proxy those of X-Forwarded-Host and X-Forwarded-Proto. The host may be NULL and is not validated. */
const char *hs_http_host(const struct hs_http_request *req);
const char *hs_http_scheme(const struct hs_http_request *req);

/* Returns true if the request came through a proxy: a trusted one, or it has a header that proxies add. */
bool hs_http_is_proxied(const struct hs_http_request *req);

int64_t hs_http_deadline_ns(const struct hs_http_request *req); /* HS_NO_DEADLINE: none */

/* Returns "key:ID" if the client has sent a valid API key, or "" if the server needs no keys. */
const char *hs_http_actor(const struct hs_http_request *req);

/* Returns false if the server needs API keys and the client has sent none. Only a route with
 * HS_HTTP_OPEN is called then. */
bool hs_http_is_known(const struct hs_http_request *req);

/* The header X-Request-Timeout and the field `timeout`. */
extern const struct hs_field hs_field_timeout_header, hs_field_timeout;

/* Reads how long the client waits for the response: the header X-Request-Timeout and the field
 * `timeout`, in seconds ("500ms", "2s") from the end of the body. The shorter one applies, and
 * neither extends the server's deadline. HS_EINVAL: *ret_field is the invalid one. */
int hs_http_read_timeout(struct hs_http_request *req, const char **ret_field, struct hs_error *err);

/* Returns the cancel object, which is triggered if the client disconnects or the server is destroyed.
 * Never NULL. */
struct hs_cancel *hs_http_cancel(struct hs_http_request *req);

/* Returns the parsed body; NULL on routes with HS_BODY_NONE. */
struct hs_body *hs_http_body(struct hs_http_request *req);

/* Returns the quality that an Accept header assigns to exactly this media type (RFC 9110, 12.5.1);
 * -1 if the header does not name it. */
double hs_accept_quality(const char *accept, const char *type);

/* Returns true if the request's Accept header names this type with at least the quality of JSON,
 * the default. */
bool hs_accept_prefers(const struct hs_http_request *req, const char *type);

/* Runs `rest` after the handler returns. For work that may take hours: `rest` runs on the server's
 * thread for long work (options.long_work), so that the worker is free. If another request already
 * waits for that thread, or the server has none, `rest` runs on the worker. The server always calls
 * `rest`, even if the request is cancelled. Not on routes with HS_HTTP_INLINE. */
void hs_http_continue_with(struct hs_http_request *req, hs_http_handler rest);

/* Adds a response header, copied. Drops a header that contains a line break or does not fit. May be
 * called before or after a reply. */
void hs_http_add_header(struct hs_http_request *req, const char *name, const char *value);

/* A handler ends with one of these calls, or with a stream (http/stream.h); the last call wins.
 * None of them can fail: if memory is exhausted, the response is a 503 with a constant text. */

/* Takes the reference to value. */
void hs_http_reply_json(struct hs_http_request *req, int http_status, json_t *value);

/* Like hs_http_reply_json, for a response with a face vector: overwrites the text before freeing it. */
void hs_http_reply_secret_json(struct hs_http_request *req, int http_status, json_t *value);

/* Takes data, which malloc allocated (NULL with len 0). Copies content_type. */
void hs_http_reply_bytes(struct hs_http_request *req, int http_status, const char *content_type, uint8_t *data,
                         size_t len);

/* Sends an error response in the server's shape, or as application/problem+json (RFC 9457) if the client prefers that;
 * `code` (HS_E…) selects its HTTP status. field may be NULL. 429 and 503 carry Retry-After. */
void hs_http_reply_error(struct hs_http_request *req, int code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with a text that clients compare, and `detail` (NULL: none) and the members of `more` (NULL: none; takes the
 * reference) beside it. Without Retry-After. */
void hs_http_reply_known_error(struct hs_http_request *req, int code, const char *known, const char *detail,
                               json_t *more);

/* Returns the JSON of an error in the server's shape, to embed in another response. NULL if memory is exhausted. */
json_t *hs_http_error_json(const struct hs_http_request *req, int code, const char *field, const char *message);

/* Appends a line of JSON in the server's style, with a line feed. */
int hs_http_append_line(const struct hs_http_request *req, const json_t *value, struct hs_buf *out);

#endif
