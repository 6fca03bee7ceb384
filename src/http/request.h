/* The handler's view of a request, and how it answers. All of it is for the thread that runs the handler, until the
 * handler returns; strings live as long. */
#ifndef HS_HTTP_REQUEST_H
#define HS_HTTP_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/cancel.h"
#include "hs/status.h"
#include "http/body.h"
#include "http/route.h"

struct hs_http_request;

void *hs_http_context(const struct hs_http_request *req);                   /* the ctx of hs_http_create */
const char *hs_http_param(const struct hs_http_request *req, size_t index); /* segment in braces, from 0 */
const char *hs_http_query(struct hs_http_request *req, const char *name);   /* decoded; NULL if absent */

/* The same for one who only looks: it does not count as asked for. */
const char *hs_http_peek_query(struct hs_http_request *req, const char *name);

/* The names in the query that hs_http_query was not asked for, as hs_body_unused gives those of a body. */
size_t hs_http_query_unused(struct hs_http_request *req, char ret_names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE]);

const char *hs_http_header(const struct hs_http_request *req, const char *name); /* any case; NULL if absent */
int64_t hs_http_deadline_ns(const struct hs_http_request *req);                  /* HS_NO_DEADLINE: none */

/* Reads how long the client will wait for its answer: the header X-Request-Timeout and the field `timeout`, seconds
 * ("500ms", "2s") from the end of the body; the shorter one counts, and neither extends the server's own deadline.
 * HS_EINVAL: *ret_field is the invalid one. */
int hs_http_read_timeout(struct hs_http_request *req, const char **ret_field, struct hs_error *err);

/* Set when the client has left or the server is being destroyed. Never NULL. */
struct hs_cancel *hs_http_cancel(struct hs_http_request *req);

/* The parsed body; NULL on routes with HS_BODY_NONE. */
struct hs_body *hs_http_body(struct hs_http_request *req);

/* The quality that an Accept header gives to exactly this media type (RFC 9110, 12.5.1); -1 if it is not named. */
double hs_accept_quality(const char *accept, const char *type);

/* True if the request's Accept header names this type with at least the quality of JSON, which is the default. */
bool hs_accept_prefers(const struct hs_http_request *req, const char *type);

/* Work that may take hours: once the handler returns, `rest` runs in its place, on the thread that the server has for
 * it (options.long_work), so that the worker is free. If another request waits for that thread already, or the server
 * has none, it runs on the worker. `rest` is always called, and may find the request cancelled. Not on routes with
 * HS_HTTP_INLINE. */
void hs_http_continue_with(struct hs_http_request *req, hs_http_handler rest);

/* A header of the answer, copied. One that holds a line break or does not fit is left out. Before or after reply. */
void hs_http_add_header(struct hs_http_request *req, const char *name, const char *value);

/* One of these ends a handler, or a stream (http/stream.h); of several the last counts. None can fail: without memory
 * the answer is a 503 with a constant text. */

/* Takes the reference to value. */
void hs_http_reply_json(struct hs_http_request *req, int http_status, json_t *value);

/* The same for an answer with a face vector: its text is overwritten before it is freed. */
void hs_http_reply_secret_json(struct hs_http_request *req, int http_status, json_t *value);

/* Takes data, which came from malloc (NULL with len 0). content_type is copied. */
void hs_http_reply_bytes(struct hs_http_request *req, int http_status, const char *content_type, uint8_t *data,
                         size_t len);

/* The error answer in the server's shape; its HTTP status comes from code (HS_E…). field may be NULL. 429 and 503 carry
 * Retry-After. */
void hs_http_reply_error(struct hs_http_request *req, int code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The JSON of such an answer, for one that is part of another. NULL without memory. */
json_t *hs_http_error_json(const struct hs_http_request *req, int code, const char *field, const char *message);

/* Appends a line of JSON in the server's style, and a line feed. */
int hs_http_append_line(const struct hs_http_request *req, const json_t *value, struct hs_buf *out);

#endif
