/* The handler writes into a list of blocks, and the network thread sends from it. The first blocks
 * of each stream are free. Further blocks are charged to the server's budget for responses, which
 * limits the memory. So a slow reader uses memory before it blocks a worker. */
#include "http/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/request_internal.h"

enum { EVENT_MAX = 1 << 20 };

/* ---- The handler's side ---- */

struct hs_http_stream *hs_http_stream_begin(struct hs_http_request *req, int http_status, const char *content_type)
{
    assert(req->stage == HS_HTTP_HANDLING);
    req->reply.status = http_status;
    hs_str_copy(req->reply.content_type, sizeof(req->reply.content_type), content_type);
    req->stage = HS_HTTP_STREAMING;
    hs_completion_queue_post(&req->server->completions, req, false);
    return &req->stream;
}

/* Called with the lock held; releases it while waiting for memory. */
static int add_block(struct hs_http_stream *stream, int64_t deadline_ns)
{
    struct hs_budget *budget = &stream->req->server->responses;
    size_t charged = 0;
    int r = 0;
    if (stream->waiting >= HS_HTTP_RESPONSE_FREE) {
        pthread_mutex_unlock(&stream->lock);
        r = hs_budget_wait(budget, sizeof(struct hs_http_block), deadline_ns, &stream->abandoned, &charged);
        pthread_mutex_lock(&stream->lock);
    }
    struct hs_http_block *block = r == 0 ? malloc(sizeof(*block)) : NULL;
    if (!block) {
        hs_budget_release(budget, charged);
        return r < 0 ? r : HS_ENOMEM;
    }
    block->next = NULL;
    block->len = 0;
    stream->charged += charged;
    *(stream->last ? &stream->last->next : &stream->first) = block;
    stream->last = block;
    return 0;
}

int hs_http_stream_write(struct hs_http_stream *stream, const void *data, size_t len, int64_t deadline_ns)
{
    struct hs_completion_queue *queue = &stream->req->server->completions;
    const uint8_t *p = data;
    int r = 0;
    bool told = true;
    if (deadline_ns > stream->req->deadline_ns)
        deadline_ns = stream->req->deadline_ns;
    pthread_mutex_lock(&stream->lock);
    while (len > 0 && r == 0) {
        struct hs_http_block *last = stream->last;
        size_t room = last ? sizeof(last->data) - last->len : 0, n = len < room ? len : room;
        bool full = stream->waiting >= HS_HTTP_STREAM_MAX;
        if (stream->gone || stream->ended) {
            r = HS_ECANCELED;
        } else if (n > 0 && !full) {
            memcpy(last->data + last->len, p, n);
            last->len += n;
            stream->waiting += n;
            p += n;
            len -= n;
            told = false;
        } else {
            /* Post the new bytes to the network thread before waiting until it takes some. */
            if (!told)
                hs_completion_queue_post(queue, stream->req, false);
            told = true;
            r = full ? hs_cond_wait_until(&stream->room, &stream->lock, deadline_ns) : add_block(stream, deadline_ns);
        }
    }
    pthread_mutex_unlock(&stream->lock);
    if (!told)
        hs_completion_queue_post(queue, stream->req, false);
    return r;
}

void hs_http_stream_end(struct hs_http_stream *stream, bool complete)
{
    pthread_mutex_lock(&stream->lock);
    stream->broken |= !complete && !stream->ended;
    stream->ended = true;
    pthread_mutex_unlock(&stream->lock);
    hs_completion_queue_post(&stream->req->server->completions, stream->req, false);
}

/* ---- The network thread's side ---- */

void hs_http_stream_init(struct hs_http_stream *stream, struct hs_http_request *req)
{
    stream->req = req;
    hs_cancel_init(&stream->abandoned);
    pthread_mutex_init(&stream->lock, NULL);
    hs_cond_init(&stream->room);
}

static void remove_first(struct hs_http_stream *stream)
{
    struct hs_http_block *block = stream->first;
    stream->first = block->next;
    if (!stream->first)
        stream->last = NULL;
    free(block);
    stream->taken = 0;
    size_t back = stream->charged < sizeof(*block) ? stream->charged : sizeof(*block);
    stream->charged -= back;
    if (back > 0)
        hs_budget_release(&stream->req->server->responses, back);
}

void hs_http_stream_finish(struct hs_http_stream *stream)
{
    while (stream->first)
        remove_first(stream);
    pthread_cond_destroy(&stream->room);
    pthread_mutex_destroy(&stream->lock);
    hs_cancel_finish(&stream->abandoned);
}

void hs_http_stream_abandon(struct hs_http_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->gone = true;
    pthread_cond_broadcast(&stream->room);
    pthread_mutex_unlock(&stream->lock);
    hs_cancel_trigger(&stream->abandoned);
}

size_t hs_http_stream_peek(struct hs_http_stream *stream, struct iovec *ret_pieces, size_t max, size_t *ret_len,
                           enum hs_stream_state *ret_state)
{
    size_t count = 0, taken, len = 0;
    pthread_mutex_lock(&stream->lock);
    taken = stream->taken;
    for (struct hs_http_block *block = stream->first; block && count < max; block = block->next) {
        if (block->len > taken)
            ret_pieces[count++] = (struct iovec) { block->data + taken, block->len - taken };
        len += block->len - taken;
        taken = 0;
    }
    *ret_state = !stream->ended ? HS_STREAM_OPEN : stream->broken ? HS_STREAM_BROKEN : HS_STREAM_WHOLE;
    pthread_mutex_unlock(&stream->lock);
    *ret_len = len;
    return count;
}

void hs_http_stream_take(struct hs_http_stream *stream, size_t len)
{
    pthread_mutex_lock(&stream->lock);
    stream->waiting -= len;
    while (len > 0) {
        struct hs_http_block *block = stream->first;
        size_t n = block->len - stream->taken < len ? block->len - stream->taken : len;
        stream->taken += n;
        len -= n;
        /* A block with room can take more bytes, so it is not removed; an empty one is reset. */
        if (stream->taken == block->len && block->next)
            remove_first(stream);
        else if (stream->taken == block->len)
            stream->taken = block->len = 0;
    }
    pthread_cond_broadcast(&stream->room);
    pthread_mutex_unlock(&stream->lock);
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
    for (bool more = true; more;) { /* CR, LF and CR LF end a line */
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
