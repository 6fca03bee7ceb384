/* Sends responses: complete ones, and streams, either in chunks or until the connection closes.
 * Also closes the connection. */
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "http/connection_internal.h"
#include "http/request_internal.h"

enum { LINGER_BYTES = 64 << 20, PIECES_MAX = 8 };

/* If a socket is closed while it holds unread bytes, the kernel sends a reset, which can destroy a
 * response that the peer has not read yet. So this function only closes the sending side, and input
 * is read and dropped for a while. */
static enum hs_step close_gently(struct hs_conn *conn)
{
    if (conn->in_at < conn->in_len || hs_conn_has_unread(conn))
        conn->linger = true;
    if (conn->ended || !conn->linger || shutdown(conn->fd, SHUT_WR) < 0)
        return hs_conn_abort(conn);
    hs_conn_drop_input(conn);
    hs_conn_drop_output(conn);
    hs_conn_enter(conn, HS_CONN_LINGER);
    conn->linger_left = LINGER_BYTES;
    return HS_STEP_WAIT;
}

/* If only the end of the connection marks the end of the response, the end of TLS shows the client
 * that the response is complete. */
static enum hs_step complete(struct hs_conn *conn)
{
    hs_conn_end_request(conn, true);
    if (conn->tls && conn->close_after)
        hs_tls_session_end(conn->tls);
    if (conn->close_after)
        return close_gently(conn);
    hs_conn_drop_output(conn);
    if (conn->in_at == conn->in_len)
        hs_conn_drop_input(conn);
    hs_conn_enter(conn, HS_CONN_IDLE);
    return HS_STEP_RUN;
}

/* Frames the next chunk of the stream. HS_STEP_WAIT: no bytes are pending. HS_STEP_GONE: the
 * response must end here. */
static enum hs_step next_chunk(struct hs_conn *conn, size_t waiting, enum hs_stream_state state)
{
    hs_buf_clear(&conn->out);
    conn->out_at = 0;
    if (waiting > 0) {
        conn->chunk_left = waiting;
        if (conn->framed && hs_buf_printf(&conn->out, "%zx\r\n", waiting) < 0)
            return HS_STEP_GONE;
        return HS_STEP_RUN;
    }
    if (state == HS_STREAM_OPEN)
        return HS_STEP_WAIT;
    if (state == HS_STREAM_BROKEN)
        return HS_STEP_GONE;
    conn->last_frame = true;
    return !conn->framed || hs_buf_append_str(&conn->out, "0\r\n\r\n") == 0 ? HS_STEP_RUN : HS_STEP_GONE;
}

/* Collects the unsent bytes of `out`, then the pieces that follow it. */
static size_t collect(struct hs_conn *conn, struct iovec *pieces, size_t count, size_t max)
{
    size_t total = 0, kept = 0;
    if (conn->out_at < conn->out.len)
        pieces[kept++] = (struct iovec) { conn->out.data + conn->out_at, conn->out.len - conn->out_at };
    /* The caller leaves the first entry free. */
    for (size_t i = 0; i < count && total < max; i++) {
        struct iovec piece = pieces[i + 1];
        piece.iov_len = piece.iov_len < max - total ? piece.iov_len : max - total;
        total += piece.iov_len;
        pieces[kept++] = piece;
    }
    return kept;
}

/* Sends `out` and the pieces, until the socket accepts no more. Returns the bytes sent from the
 * pieces, or -1. */
static ssize_t send_pieces(struct hs_conn *conn, struct iovec *pieces, size_t count)
{
    ssize_t n = hs_conn_transport_write(conn, pieces, count);
    if (n < 0) {
        conn->blocked = hs_conn_would_block();
        return conn->blocked ? 0 : -1;
    }
    size_t head = conn->out.len - conn->out_at;
    head = (size_t) n < head ? (size_t) n : head;
    conn->out_at += head;
    conn->written += n;
    conn->sent += (size_t) n - head;
    return n - (ssize_t) head;
}

/* Called after the head is in `out` or sent. */
static enum hs_step send_stream(struct hs_conn *conn)
{
    struct hs_http_stream *stream = &conn->request->stream;
    struct iovec pieces[PIECES_MAX + 2];
    enum hs_stream_state state;
    size_t waiting, count = hs_http_stream_peek(stream, pieces + 1, PIECES_MAX, &waiting, &state);
    if (conn->client_gone && !conn->last_frame)
        return hs_conn_abort(conn);
    if (conn->out_at == conn->out.len && conn->chunk_left == 0) {
        enum hs_step step = conn->last_frame ? HS_STEP_WAIT : next_chunk(conn, waiting, state);
        if (step == HS_STEP_GONE) {
            conn->linger = conn->close_after = true;
            hs_conn_end_request(conn, false);
            return close_gently(conn);
        }
        if (conn->last_frame && conn->out_at == conn->out.len)
            return conn->in_worker ? HS_STEP_WAIT : complete(conn);
        if (step == HS_STEP_WAIT)
            return HS_STEP_WAIT;
    }
    /* All bytes of a chunk are available, because its size is the number of pending bytes. The line
     * end follows them. */
    static const char line_end[] = "\r\n";
    size_t chunk = conn->chunk_left, end = conn->framed && chunk > 0 ? 2 : 0;
    count = collect(conn, pieces, count, chunk);
    if (end > 0)
        pieces[count++] = (struct iovec) { (void *) (uintptr_t) line_end, end };
    ssize_t sent = send_pieces(conn, pieces, count);
    if (sent < 0)
        return hs_conn_abort(conn);
    size_t n = (size_t) sent < chunk ? (size_t) sent : chunk, end_sent = (size_t) sent - n;
    conn->sent -= end_sent;
    conn->chunk_left -= n;
    hs_http_stream_take(stream, n);
    if (chunk > 0 && conn->chunk_left == 0) {
        hs_buf_clear(&conn->out);
        conn->out_at = 0;
        if (end_sent < end && hs_buf_append_str(&conn->out, line_end + end_sent) < 0)
            return hs_conn_abort(conn);
    }
    return conn->blocked ? HS_STEP_WAIT : HS_STEP_RUN;
}

enum hs_step hs_conn_send_response(struct hs_conn *conn)
{
    conn->blocked = false;
    if (conn->streams)
        return send_stream(conn);
    if (conn->out_at < conn->out.len || conn->body_at < conn->body_len) {
        struct iovec pieces[PIECES_MAX + 1];
        pieces[1] =
            (struct iovec) { (void *) (uintptr_t) (conn->body + conn->body_at), conn->body_len - conn->body_at };
        ssize_t n = send_pieces(conn, pieces, collect(conn, pieces, 1, conn->body_len - conn->body_at));
        if (n < 0)
            return hs_conn_abort(conn);
        conn->body_at += (size_t) n;
        /* Other connections get a turn first, even if the socket could accept more by now. */
        conn->blocked |= conn->out_at < conn->out.len || conn->body_at < conn->body_len;
        if (conn->blocked)
            return HS_STEP_WAIT;
    }
    return complete(conn);
}

enum hs_step hs_conn_send_static(struct hs_conn *conn)
{
    const char *text = hs_http_static_response(hs_conn_options(conn));
    struct iovec piece = { (void *) (uintptr_t) text, strlen(text) };
    ssize_t n = hs_conn_transport_write(conn, &piece, 1);
    conn->linger = conn->close_after = true;
    if (conn->tls)
        hs_tls_session_end(conn->tls);
    hs_conn_end_request(conn, n > 0);
    return close_gently(conn);
}

enum hs_step hs_conn_begin_response(struct hs_conn *conn)
{
    struct hs_http_request *req = conn->request;
    bool is_head = strcmp(req->method, "HEAD") == 0, streams = req->stage == HS_HTTP_STREAMING;
    bool bodyless = req->reply.status == 204 || req->reply.status == 304;
    bool draining = atomic_load(&hs_conn_server(conn)->draining);
    hs_conn_drop_output(conn);
    hs_conn_enter(conn, HS_CONN_SENDING);
    /* As in hs_request_run, for requests that no handler ran. */
    if (!conn->in_worker) {
        hs_body_destroy(req->body);
        req->body = NULL;
    }
    /* Without chunks, the end of the connection marks the end of a stream. */
    conn->linger |= draining;
    conn->close_after |= draining || conn->ended || (streams && conn->http10);
    const struct hs_http_framing framing = {
        .has_length = !streams && !bodyless,
        .chunked = streams && !conn->http10 && !bodyless,
        .close = conn->close_after,
        .keep_alive = conn->http10,
    };
    if (hs_request_write_head(req, &framing, &conn->out) < 0) {
        hs_conn_drop_output(conn);
        return hs_conn_send_static(conn);
    }
    if (streams && (is_head || bodyless)) {
        hs_http_stream_abandon(&req->stream);
        conn->streams = conn->last_frame = true;
    } else if (streams) {
        conn->streams = true;
        conn->framed = framing.chunked;
    } else if (!is_head && !bodyless) {
        conn->body = req->reply.data;
        conn->body_len = req->reply.len;
    }
    return HS_STEP_RUN;
}
