/* An answer that is sent while it is being made, in pieces, without a length: chunks in HTTP/1.1, up to the end of the
 * connection in HTTP/1.0. All of it is for one thread at a time, until the handler returns. */
#ifndef HS_HTTP_STREAM_H
#define HS_HTTP_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "http/request.h"

struct hs_http_stream;

enum { HS_HTTP_STREAM_MAX = 1 << 20 }; /* bytes that wait for a client to take them */

/* Begins the answer: status and the headers that were added so far go out. Not on routes with HS_HTTP_INLINE, and in
 * place of the hs_http_reply_… functions, which are without effect from then on. Cannot fail: where the client has
 * left, the first write tells. The stream is the request's. */
struct hs_http_stream *hs_http_stream_begin(struct hs_http_request *req, int http_status, const char *content_type);

/* Waits while the client has not taken what was written before. A client that takes nothing at all for
 * options.body_timeout_ms is cut off, so the deadline may be HS_NO_DEADLINE. HS_ECANCELED: nobody will read this (the
 * client has left, asked with HEAD, or the server ends); HS_ETIMEOUT: not all of it found room by the deadline;
 * HS_ENOMEM. After an error the stream can only be broken off. */
int hs_http_stream_write(struct hs_http_stream *stream, const void *data, size_t len, int64_t deadline_ns);

/* What was written is the whole answer. Returning from the handler does it too. */
void hs_http_stream_end(struct hs_http_stream *stream);

/* It is not, and the client can tell: the connection ends without the mark of the end. */
void hs_http_stream_break(struct hs_http_stream *stream);

#endif
