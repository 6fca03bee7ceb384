/* A connection whose stream has nothing to send is suspended, as one whose request is in work; the next write resumes
 * it. Both happen under the stream's lock, so that none is resumed that is not suspended.
 *
 * Once a stream has begun, the request has two holders: the network thread, until the connection is done with it, and
 * the worker, until the handler has returned. The last one frees it. */
#include "http/stream.h"

#include <assert.h>
#include <string.h>

#include <microhttpd.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/request_internal.h"

enum { EVENT_MAX = 1 << 20 };

/* ---- The handler's side ---- */

struct hs_http_stream *hs_http_stream_begin(struct hs_http_request *req, int http_status, const char *content_type)
{
    struct hs_http_stream *stream = &req->stream;
    assert(req->stage == HS_HTTP_AT_WORK);
    req->reply.status = http_status;
    hs_str_copy(req->reply.content_type, sizeof(req->reply.content_type), content_type);
    req->stage = HS_HTTP_STREAMING;
    hs_conn_begin_stream(&req->server->conns, req->conn);
    MHD_resume_connection(req->mhd);
    return stream;
}

/* The lock is held. */
static void resume(struct hs_http_stream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = false;
    MHD_resume_connection(stream->req->mhd);
}

int hs_http_stream_write(struct hs_http_stream *stream, const void *data, size_t len, int64_t deadline_ns)
{
    struct hs_buf *bytes = &stream->bytes;
    const uint8_t *p = data;
    int r = 0;
    pthread_mutex_lock(&stream->lock);
    while (len > 0 && r == 0) {
        size_t room = HS_HTTP_STREAM_MAX - (bytes->len - stream->taken), n = len < room ? len : room;
        if (stream->gone || stream->ended) {
            r = HS_ECANCELED;
        } else if (n == 0) {
            r = hs_cond_wait_until(&stream->room, &stream->lock, deadline_ns);
        } else {
            if (stream->taken > 0 && n > bytes->max - bytes->len) {
                memmove(bytes->data, bytes->data + stream->taken, bytes->len - stream->taken);
                bytes->len -= stream->taken;
                stream->taken = 0;
            }
            r = hs_buf_append(bytes, p, n);
            if (r == 0)
                resume(stream);
            p += n;
            len -= n;
        }
    }
    pthread_mutex_unlock(&stream->lock);
    return r;
}

void hs_http_stream_end(struct hs_http_stream *stream, bool complete)
{
    pthread_mutex_lock(&stream->lock);
    stream->broken |= !complete && !stream->ended;
    stream->ended = true;
    resume(stream);
    pthread_mutex_unlock(&stream->lock);
}

bool hs_http_stream_leave(struct hs_http_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->left = stream->ended = true;
    resume(stream);
    bool last = stream->completed;
    pthread_mutex_unlock(&stream->lock);
    return last;
}

/* ---- The network's side ---- */

void hs_http_stream_abandon(struct hs_http_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->gone = true;
    pthread_cond_broadcast(&stream->room);
    pthread_mutex_unlock(&stream->lock);
}

ssize_t hs_http_stream_read(void *cls, uint64_t at, char *dst, size_t max)
{
    struct hs_http_stream *stream = cls;
    struct hs_http_request *req = stream->req;
    struct hs_buf *bytes = &stream->bytes;
    (void) at;
    pthread_mutex_lock(&stream->lock);
    size_t left = bytes->len - stream->taken, n = left < max ? left : max;
    ssize_t result = (ssize_t) n;
    if (stream->gone || stream->broken) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (left == 0 && stream->ended) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (left == 0) {
        MHD_suspend_connection(req->mhd);
        stream->suspended = true;
    } else {
        memcpy(dst, bytes->data + stream->taken, n);
        stream->taken += n;
        stream->sent += n;
        if (stream->taken == bytes->len)
            stream->taken = bytes->len = 0;
        pthread_cond_broadcast(&stream->room);
    }
    pthread_mutex_unlock(&stream->lock);
    /* The time limit runs only while there are bytes to take, and restarts whenever the client took some. */
    hs_conn_enter(&req->server->conns, req->conn, result == 0 ? HS_CONN_WORKING : HS_CONN_SENDING);
    return result;
}

bool hs_http_stream_complete(struct hs_http_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool unfinished = !stream->ended;
    pthread_mutex_unlock(&stream->lock);
    /* The worker does not free the request before `completed`. */
    if (unfinished)
        hs_cancel_trigger(&stream->req->cancel);
    pthread_mutex_lock(&stream->lock);
    stream->gone = stream->completed = true;
    pthread_cond_broadcast(&stream->room);
    bool last = stream->left;
    pthread_mutex_unlock(&stream->lock);
    return last;
}

/* ---- Server-sent events ---- */

struct hs_http_stream *hs_sse_begin(struct hs_http_request *req)
{
    hs_http_add_header(req, "Cache-Control", "no-store");
    hs_http_add_header(req, "X-Accel-Buffering", "no");
    return hs_http_stream_begin(req, 200, "text/event-stream");
}

int hs_sse_send(struct hs_http_stream *stream, const char *event, const char *id, const char *data, int64_t deadline_ns)
{
    struct hs_buf out;
    if ((event && strpbrk(event, "\r\n")) || (id && strpbrk(id, "\r\n")))
        return HS_EINVAL;
    hs_buf_init(&out, EVENT_MAX);
    if (event)
        hs_buf_printf(&out, "event: %s\n", event);
    if (id)
        hs_buf_printf(&out, "id: %s\n", id);
    for (bool more = true; more;) { /* CR, LF and both together end a line */
        size_t len = strcspn(data, "\r\n");
        hs_buf_append_str(&out, "data: ");
        hs_buf_append(&out, data, len);
        hs_buf_append_str(&out, "\n");
        data += len;
        more = *data != '\0';
        data += data[0] == '\r' && data[1] == '\n' ? 2 : more;
    }
    int r = hs_buf_append_str(&out, "\n");
    if (r == 0)
        r = hs_http_stream_write(stream, out.data, out.len, deadline_ns);
    hs_buf_finish(&out);
    return r;
}
