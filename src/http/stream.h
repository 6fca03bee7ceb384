/* An answer that is sent while it is being made, in pieces, without a length: chunks in HTTP/1.1, up to the end of the
 * connection in HTTP/1.0. All of it is for one thread at a time, until the handler returns. */
#ifndef HS_HTTP_STREAM_H
#define HS_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/request.h"

struct hs_http_stream;

enum { HS_HTTP_STREAM_MAX = 4 << 20 }; /* bytes that wait for a client to take them */

/* Begins the answer: sends the status and the headers that were added so far. Not on routes with HS_HTTP_INLINE. From
 * then on the hs_http_reply_… functions have no effect. Cannot fail: if the client has left, the first write fails. The
 * request owns the stream. */
struct hs_http_stream *hs_http_stream_begin(struct hs_http_request *req, int http_status, const char *content_type);

/* Waits while the buffer is full, at most until the request's own deadline (HS_NO_DEADLINE stands for that); a client
 * that takes less than options.answer_rate_min is cut off before. HS_ECANCELED: these bytes will not be read (the
 * client has left or asked with HEAD, or the server ends); HS_ETIMEOUT: not all of them found room by the deadline;
 * HS_ENOMEM. After an error the stream can only be ended as incomplete. */
int hs_http_stream_write(struct hs_http_stream *stream, const void *data, size_t len, int64_t deadline_ns);

/* Ends the answer; returning from the handler ends it as complete. If it is not, the connection closes without the
 * final chunk, so that the client can tell. */
void hs_http_stream_end(struct hs_http_stream *stream, bool complete);

/* ---- Server-sent events (WHATWG HTML, 9.2) over such an answer ---- */

/* Begins a text/event-stream that proxies are asked not to cache or buffer. */
struct hs_http_stream *hs_sse_begin(struct hs_http_request *req);

/* Sends one event. `event` names its kind, `id` lets a client resume after it; both are one line and may be NULL. Each
 * line of `data` becomes one of the event. Errors and deadline as hs_http_stream_write; HS_EINVAL for a name or id of
 * several lines. */
int hs_sse_send(struct hs_http_stream *stream, const char *event, const char *id, const char *data,
                int64_t deadline_ns);

#endif
