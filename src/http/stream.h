/* A response sent in pieces while the handler produces it, without a length: chunked in HTTP/1.1,
 * until the connection closes in HTTP/1.0. One thread at a time may use a stream, until the handler
 * returns. */
#ifndef HS_HTTP_STREAM_H
#define HS_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/request.h"

struct hs_http_stream;

enum { HS_HTTP_STREAM_MAX = 4 << 20 }; /* maximum unsent bytes of a stream */

/* Begins the response: sends the status and the headers added so far. Afterwards, the
 * hs_http_reply_… functions have no effect. Cannot fail: if the client has disconnected, the first
 * write fails. The request owns the stream. Not on routes with HS_HTTP_INLINE. */
struct hs_http_stream *hs_http_stream_begin(struct hs_http_request *req, int http_status, const char *content_type);

/* Writes data. Waits while the buffer is full, until deadline_ns or the request's own deadline,
 * whichever is first (HS_NO_DEADLINE: only the latter). If the client reads less than
 * options.response_rate_min, the server closes its connection earlier. HS_ECANCELED: nothing will
 * read the bytes (the client has disconnected or sent HEAD, or the server ends); HS_ETIMEOUT: the
 * buffer did not accept all bytes by the deadline; HS_ENOMEM. After an error, the stream can only
 * be ended as incomplete. */
int hs_http_stream_write(struct hs_http_stream *stream, const void *data, size_t len, int64_t deadline_ns);

/* Ends the response. A return from the handler ends it as complete. If it is incomplete, the
 * connection closes without the final chunk, so that the client detects the truncation. */
void hs_http_stream_end(struct hs_http_stream *stream, bool complete);

/* ---- Server-sent events (WHATWG HTML, 9.2) over such a stream ---- */

/* Begins a text/event-stream response whose headers ask proxies not to cache or buffer it. */
struct hs_http_stream *hs_sse_begin(struct hs_http_request *req);

/* Sends one event. `event` is its type; `id` lets a client resume after it. Both are single lines
 * and may be NULL. Each line of `data` becomes a data line of the event. Errors and deadline as for
 * hs_http_stream_write; HS_EINVAL if event or id has several lines. */
int hs_sse_send(struct hs_http_stream *stream, const char *event, const char *id, const char *data,
                int64_t deadline_ns);

#endif
