/* Server-sent events (WHATWG HTML, 9.2) over a streamed answer. */
#ifndef HS_HTTP_SSE_H
#define HS_HTTP_SSE_H

#include "http/stream.h"

/* Begins a text/event-stream that nobody on the way keeps or holds back. */
struct hs_http_stream *hs_sse_begin(struct hs_http_request *req);

/* One event. `event` names its kind, `id` what a client may go on from; both are one line and may be NULL. Each line of
 * `data` becomes one of the event. Errors and the deadline are those of hs_http_stream_write; HS_EINVAL for a name or
 * id of several lines. */
int hs_sse_send(struct hs_http_stream *stream, const char *event, const char *id, const char *data,
                int64_t deadline_ns);

/* A comment, which clients ignore: it keeps what lies between from closing a silent connection. */
int hs_sse_keep_alive(struct hs_http_stream *stream, int64_t deadline_ns);

#endif
