/* A connection is a machine of the phases in connection.h. `run` does everything that can be done without waiting, then
 * asks epoll for what the phase waits for. All waiting is done by the event loop.
 *
 * A client that a worker is busy for is watched for its end only (EPOLLRDHUP): one that closes, or closes its sending
 * side, has left, and its request is cancelled.
 *
 * transport_read and transport_write are the only functions that move bytes, for a TLS layer to replace. */
#include "http/connection.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "http/admission.h"
#include "http/request.h"
#include "http/request_internal.h"
#include "http/stream.h"

enum {
    UNWANTED_MAX = 64 << 10, /* a body on a route that takes none is read up to here, to keep the connection */
    BLANK_LINES_MAX = 8,     /* RFC 9112, 2.2: some clients send an empty line after a body */
    IN_MIN = 2 << 10,
    LINGER_MS = 5000,
    LINGER_BYTES = 64 << 20,
    EVICTION_MS = 1000,       /* what has lasted less is not given up for another connection, */
    EVICTION_RATE = 32 << 10, /* nor is a body or an answer that moves as many bytes a second */
    UNPACK_PIECE = 64,        /* bytes of a packed body that are unpacked at a time, until they made */
    UNPACK_TURN = 64 << 10,   /* so many; then other connections have their turn */
    UNPACK_READ = 16 << 10,   /* of a packed body, read at a time */
    PIECES_MAX = 8,
    READS_MAX = 16, /* of a body, and */
    STEPS_MAX = 32, /* of sending, before other connections have their turn */
};

/* RUN: more can be done; WAIT: for an event; GONE: the connection is closed. */
enum step { RUN, WAIT, GONE };

static struct hs_http_server *server_of(const struct hs_conn *conn)
{
    return conn->list->server;
}

static const struct hs_http_options *options_of(const struct hs_conn *conn)
{
    return &conn->list->server->options;
}

/* ---- The socket ---- */

static ssize_t transport_read(struct hs_conn *conn, void *dst, size_t len)
{
    return recv(conn->fd, dst, len, MSG_DONTWAIT);
}

static ssize_t transport_write(struct hs_conn *conn, struct iovec *pieces, size_t count)
{
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = count };
    return sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* True if the call failed only because it would have had to wait. */
static bool would_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void watch(struct hs_conn *conn, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = conn };
    int operation = conn->watched == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (events == conn->watched)
        return;
    if (epoll_ctl(conn->list->epoll_fd, operation, conn->fd, &event) == 0)
        conn->watched = events;
    else
        conn->broken = true; /* the next tick closes it */
}

/* ---- Life ---- */

static void enter(struct hs_conn *conn, enum hs_conn_phase phase)
{
    conn->phase = phase;
    conn->phase_since_ns = conn->last_data_ns = hs_clock_now_ns();
}

/* The address without port; an IPv4 address mapped into IPv6 is written as IPv4. */
static void write_peer(const struct sockaddr *address, char ret_text[HS_ADDRESS_SIZE])
{
    const void *where = &((const struct sockaddr_in *) (const void *) address)->sin_addr;
    int family = address->sa_family;
    if (family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *) (const void *) address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(six);
        where = mapped ? (const void *) (six->s6_addr + 12) : six;
        family = mapped ? AF_INET : AF_INET6;
    }
    if ((family != AF_INET && family != AF_INET6) || !inet_ntop(family, where, ret_text, HS_ADDRESS_SIZE))
        hs_str_copy(ret_text, HS_ADDRESS_SIZE, "-");
}

struct hs_conn *hs_conn_create(struct hs_conn_list *list, int fd, const struct sockaddr *peer)
{
    struct hs_conn *conn = calloc(1, sizeof(*conn));
    if (!conn) {
        close(fd);
        return NULL;
    }
    conn->list = list;
    conn->fd = fd;
    hs_buf_init(&conn->out, 64 << 10);
    write_peer(peer, conn->remote);
    enter(conn, HS_CONN_FRESH);
    conn->next = list->head;
    if (conn->next)
        conn->next->prev = conn;
    list->head = conn;
    atomic_fetch_add(&list->server->connections, 1);
    watch(conn, EPOLLIN);
    return conn;
}

static void drop_input(struct hs_conn *conn)
{
    free(conn->in);
    conn->in = NULL;
    conn->in_at = conn->in_len = conn->in_capacity = 0;
    conn->scan = (struct hs_http_head_scan) { 0 };
}

static void drop_output(struct hs_conn *conn)
{
    hs_buf_finish(&conn->out);
    conn->out_at = conn->body_len = conn->body_at = conn->chunk_left = 0;
    conn->body = NULL;
    conn->streams = conn->framed = conn->last_frame = conn->blocked = false;
    conn->sent = 0;
    conn->rate_since_ns = 0;
}

static void log_access(const struct hs_conn *conn, int status, bool completed)
{
    const struct hs_http_request *req = conn->request;
    char target[200];
    hs_str_quote(target, sizeof(target), req->target, strlen(req->target));
    hs_log_info("%s %s %s %s %d %llu %.1f ms%s", req->id[0] ? req->id : "-", conn->remote,
                req->method[0] ? req->method : "-", target, status, (unsigned long long) conn->sent,
                hs_ns_to_ms(hs_clock_now_ns() - req->started_ns), completed ? "" : " (cut)");
}

/* The request is over for the client: counts and logs it, and frees it unless a worker still has it. */
static void end_request(struct hs_conn *conn, bool completed)
{
    struct hs_http_server *server = server_of(conn);
    struct hs_http_request *req = conn->request;
    if (!req)
        return;
    /* Until its answer has begun a worker may be writing the status. */
    log_access(conn, conn->in_work && !conn->streams ? 0 : req->reply.status, completed);
    conn->request = NULL;
    req->conn = NULL;
    if (conn->in_work) { /* its memory is freed when the worker is done */
        hs_cancel_trigger(&req->cancel);
        hs_http_stream_abandon(&req->stream);
    } else {
        hs_request_destroy(req);
    }
    conn->in_work = conn->left = false;
    atomic_fetch_add(&server->requests, 1);
    pthread_mutex_lock(&server->lock);
    if (--server->active == 0)
        pthread_cond_broadcast(&server->quiet);
    pthread_mutex_unlock(&server->lock);
}

void hs_conn_cancel(struct hs_conn *conn)
{
    struct hs_http_request *req = conn->request;
    if (!conn->in_work || conn->left)
        return;
    conn->left = true;
    atomic_fetch_add(&server_of(conn)->cancelled, 1);
    hs_cancel_trigger(&req->cancel);
    hs_http_stream_abandon(&req->stream);
    hs_pool_expire(server_of(conn)->pool, req);
}

void hs_conn_close(struct hs_conn *conn)
{
    if (conn->phase == HS_CONN_CLOSED)
        return;
    hs_conn_cancel(conn);
    end_request(conn, false);
    watch(conn, 0);
    close(conn->fd);
    drop_input(conn);
    drop_output(conn);
    conn->phase = HS_CONN_CLOSED;
    struct hs_conn_list *list = conn->list;
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        list->head = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    conn->next = list->dead;
    list->dead = conn;
    atomic_fetch_sub(&list->server->connections, 1);
}

void hs_conn_bury(struct hs_conn_list *list)
{
    while (list->dead) {
        struct hs_conn *conn = list->dead;
        list->dead = conn->next;
        free(conn);
    }
}

static enum step give_up(struct hs_conn *conn)
{
    hs_conn_close(conn);
    return GONE;
}

/* ---- Sending ---- */

/* Bytes of the client wait in the socket. */
static bool has_unread(const struct hs_conn *conn)
{
    int unread = 0;
    return ioctl(conn->fd, FIONREAD, &unread) == 0 && unread > 0;
}

/* Closing a socket while bytes of the peer are unread makes the kernel send a reset, and a reset can destroy an answer
 * that the peer has not read yet. So such a connection is only closed for sending, and read for a while. */
static enum step close_gently(struct hs_conn *conn)
{
    if (conn->in_at < conn->in_len || has_unread(conn))
        conn->linger = true;
    if (conn->ended || !conn->linger || shutdown(conn->fd, SHUT_WR) < 0)
        return give_up(conn);
    drop_input(conn);
    drop_output(conn);
    enter(conn, HS_CONN_LINGER);
    conn->linger_left = LINGER_BYTES;
    return WAIT;
}

static enum step complete(struct hs_conn *conn)
{
    end_request(conn, true);
    if (conn->close_after)
        return close_gently(conn);
    drop_output(conn);
    if (conn->in_at == conn->in_len)
        drop_input(conn);
    enter(conn, HS_CONN_IDLE);
    return RUN;
}

/* Frames the next chunk of the stream, if one waits. WAIT: none does. GONE: the answer must end here. */
static enum step next_chunk(struct hs_conn *conn, size_t waiting, enum hs_stream_state state)
{
    hs_buf_clear(&conn->out);
    conn->out_at = 0;
    if (waiting > 0) {
        conn->chunk_left = waiting;
        if (conn->framed && hs_buf_printf(&conn->out, "%zx\r\n", waiting) < 0)
            return GONE;
        return RUN;
    }
    if (state == HS_STREAM_OPEN)
        return WAIT;
    if (state == HS_STREAM_BROKEN)
        return GONE;
    conn->last_frame = true;
    return !conn->framed || hs_buf_append_str(&conn->out, "0\r\n\r\n") == 0 ? RUN : GONE;
}

/* `out` first, then what it is the head of. */
static size_t collect(struct hs_conn *conn, struct iovec pieces[PIECES_MAX + 1], size_t count, size_t max)
{
    size_t total = 0, kept = 0;
    if (conn->out_at < conn->out.len)
        pieces[kept++] = (struct iovec) { conn->out.data + conn->out_at, conn->out.len - conn->out_at };
    /* The caller has left the first place free. */
    for (size_t i = 0; i < count && total < max; i++) {
        struct iovec piece = pieces[i + 1];
        piece.iov_len = piece.iov_len < max - total ? piece.iov_len : max - total;
        total += piece.iov_len;
        pieces[kept++] = piece;
    }
    return kept;
}

/* Sends pieces after `out`, as much as the socket takes. Returns how much of the pieces was sent, or -1. */
static ssize_t send_pieces(struct hs_conn *conn, struct iovec *pieces, size_t count)
{
    ssize_t n = transport_write(conn, pieces, count);
    if (n < 0) {
        conn->blocked = would_wait();
        return conn->blocked ? 0 : -1;
    }
    size_t head = conn->out.len - conn->out_at;
    head = (size_t) n < head ? (size_t) n : head;
    conn->out_at += head;
    conn->written += (size_t) n;
    conn->sent += (size_t) n - head;
    return n - (ssize_t) head;
}

/* The head is on its way, or sent. */
static enum step send_stream(struct hs_conn *conn)
{
    struct hs_http_stream *stream = &conn->request->stream;
    struct iovec pieces[PIECES_MAX + 1];
    enum hs_stream_state state;
    size_t waiting, count = hs_http_stream_peek(stream, pieces + 1, PIECES_MAX, &waiting, &state);
    if (conn->left && !conn->last_frame)
        return give_up(conn);
    if (conn->out_at == conn->out.len && conn->chunk_left == 0) {
        enum step step = conn->last_frame ? WAIT : next_chunk(conn, waiting, state);
        if (step == GONE) {
            conn->linger = conn->close_after = true;
            end_request(conn, false);
            return close_gently(conn);
        }
        if (conn->last_frame && conn->out_at == conn->out.len)
            return conn->in_work ? WAIT : complete(conn);
        if (step == WAIT)
            return WAIT;
    }
    count = collect(conn, pieces, count, conn->chunk_left);
    size_t chunk_left = conn->chunk_left;
    ssize_t n = send_pieces(conn, pieces, count);
    if (n < 0)
        return give_up(conn);
    if (n > 0) {
        hs_http_stream_take(stream, (size_t) n);
        conn->chunk_left -= (size_t) n;
    }
    if (chunk_left > 0 && conn->chunk_left == 0) {
        hs_buf_clear(&conn->out);
        conn->out_at = 0;
        if (conn->framed && hs_buf_append_str(&conn->out, "\r\n") < 0)
            return give_up(conn);
    }
    return conn->blocked ? WAIT : RUN;
}

static enum step send_answer(struct hs_conn *conn)
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
            return give_up(conn);
        conn->body_at += (size_t) n;
        /* Others come first, even if the socket could take more by now. */
        conn->blocked |= conn->out_at < conn->out.len || conn->body_at < conn->body_len;
        if (conn->blocked)
            return WAIT;
    }
    return complete(conn);
}

/* The last resort without memory for a real answer. */
static enum step send_static(struct hs_conn *conn)
{
    const char *text = hs_http_static_answer(options_of(conn));
    struct iovec piece = { (void *) (uintptr_t) text, strlen(text) };
    ssize_t n = transport_write(conn, &piece, 1);
    conn->linger = conn->close_after = true;
    end_request(conn, n > 0);
    return close_gently(conn);
}

static enum step begin_answer(struct hs_conn *conn)
{
    struct hs_http_request *req = conn->request;
    bool is_head = strcmp(req->method, "HEAD") == 0, streams = req->stage == HS_HTTP_STREAMING;
    bool bodyless = req->reply.status == 204 || req->reply.status == 304;
    bool draining = atomic_load(&server_of(conn)->draining);
    drop_output(conn);
    enter(conn, HS_CONN_SENDING);
    /* Without chunks the end of a stream is the end of the connection. */
    conn->linger |= draining;
    conn->close_after |= draining || conn->ended || (streams && conn->old);
    const struct hs_http_framing framing = {
        .has_length = !streams && !bodyless,
        .chunked = streams && !conn->old,
        .close = conn->close_after,
        .keep_alive = conn->old,
    };
    if (hs_request_write_head(req, &framing, &conn->out) < 0) {
        drop_output(conn);
        return send_static(conn);
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
    return RUN;
}

/* ---- Requests ---- */

static void run_job(void *arg)
{
    struct hs_http_request *req = arg;
    struct hs_http_server *server = req->server;
    hs_request_run(req);
    if (req->stage == HS_HTTP_STREAMING)
        hs_http_stream_end(&req->stream, true);
    hs_completion_queue_post(&server->completions, req, true);
}

/* The body is complete. */
static enum step start_work(struct hs_conn *conn)
{
    struct hs_http_server *server = server_of(conn);
    struct hs_http_request *req = conn->request;
    struct hs_error err;
    const char *field;
    /* Counted from here, so that a slow upload does not shorten the time for the work. */
    req->body_end_ns = hs_clock_now_ns();
    req->deadline_ns = hs_deadline_in_ms(server->options.request_timeout_ms);
    int r = req->body ? hs_body_end(req->body, &err) : 0;
    if (r < 0) {
        hs_http_reply_error(req, r, NULL, "%s", err.message);
        return begin_answer(conn);
    }
    hs_http_read_timeout(req, &field, NULL); /* the handler reports an invalid one */
    if (req->route->flags & HS_HTTP_INLINE) {
        hs_request_run(req);
        return begin_answer(conn);
    }
    enter(conn, HS_CONN_WORKING);
    req->stage = HS_HTTP_AT_WORK;
    conn->in_work = true;
    if (hs_pool_submit(server->pool, run_job, req, req->deadline_ns) == 0)
        return WAIT;
    conn->in_work = false;
    req->stage = HS_HTTP_AT_HEAD;
    hs_http_reply_error(req, HS_EBUSY, NULL, "The server is busy, try again");
    return begin_answer(conn);
}

/* In the middle of a request, whose rest is not read. */
static enum step refuse(struct hs_conn *conn, int code, const char *message)
{
    conn->close_after = conn->linger = true;
    hs_http_reply_error(conn->request, code, NULL, "%s", message);
    return begin_answer(conn);
}

static int too_large(size_t max, struct hs_error *err)
{
    return hs_error_set(err, HS_ETOOLARGE, "The body is larger than %zu bytes", max);
}

/* Finds the route and makes the parser of the body that it takes. HS_EMETHOD: ret_allow has the methods of the path. */
static int prepare(struct hs_conn *conn, char ret_allow[HS_HTTP_ALLOW_SIZE], struct hs_error *err)
{
    struct hs_http_server *server = server_of(conn);
    struct hs_http_request *req = conn->request;
    hs_admission_begin(req);
    int r = hs_http_route_find(server->routes, server->route_count, req->method, req->path, &req->route, req->params,
                               ret_allow);
    if (r == HS_EMETHOD)
        return hs_error_set(err, r, "Method %s is not allowed here", req->method);
    if (r < 0)
        return hs_error_set(err, r, "%s", req->options->not_found_message);
    r = hs_admission_check(req, req->route, err);
    if (r < 0)
        return r;
    if (req->route->check && req->route->check(req))
        return 0;
    if (req->route->body == HS_BODY_NONE)
        return conn->body_left > UNWANTED_MAX ? too_large(UNWANTED_MAX, err) : 0;
    struct hs_body_spec spec = req->route->spec;
    if (spec.bytes_max == 0 || spec.bytes_max > server->options.body_max)
        spec.bytes_max = server->options.body_max;
    if (spec.list_max == 0)
        spec.list_max = server->options.batch_max;
    if (conn->body_left > spec.bytes_max)
        return too_large(spec.bytes_max, err);
    return hs_admission_create_body(req, req->route->body, &spec, &server->bodies, &req->body, err);
}

/* Best effort: a client that does not see it sends the body after a while all the same. */
static void send_continue(struct hs_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec piece = { (void *) (uintptr_t) text, sizeof(text) - 1 };
    ssize_t n = transport_write(conn, &piece, 1);
    if (n > 0)
        conn->written += (size_t) n;
    if (n > 0 && (size_t) n < sizeof(text) - 1)
        conn->broken = true; /* half of it cannot be taken back */
}

static char *end_text(uint8_t *data, struct hs_http_span span)
{
    data[span.at + span.len] = '\0';
    return (char *) data + span.at;
}

/* Makes the request of a head, which is written to: its parts get their NUL. */
static struct hs_http_request *make_request(struct hs_conn *conn, uint8_t *data, const struct hs_http_head *head)
{
    struct hs_http_server *server = server_of(conn);
    struct hs_http_pair pairs[HS_HTTP_HEADERS_MAX];
    char target[HS_HTTP_METHOD_SIZE] = "";
    const char *sent = target;
    for (size_t i = 0; head && i < head->field_count; i++)
        pairs[i] =
            (struct hs_http_pair) { end_text(data, head->fields[i].name), end_text(data, head->fields[i].value) };
    if (head && head->target.len > 0)
        sent = end_text(data, head->target);
    struct hs_http_request *req = hs_request_create(&server->options, server->ctx, sent);
    if (!req || hs_request_set_headers(req, pairs, head ? head->field_count : 0, NULL) < 0) {
        hs_request_destroy(req);
        return NULL;
    }
    if (head && head->method.len > 0)
        hs_str_copy(req->method, sizeof(req->method), end_text(data, head->method));
    req->server = server;
    req->conn = conn;
    conn->request = req;
    pthread_mutex_lock(&server->lock);
    server->active++;
    pthread_mutex_unlock(&server->lock);
    return req;
}

/* Answers a head that is invalid or incomplete; `head` may be NULL, and be filled in part. */
static enum step refuse_head(struct hs_conn *conn, const struct hs_http_head *head, int code, const char *message)
{
    conn->close_after = conn->linger = true;
    struct hs_http_request *req = make_request(conn, conn->in + conn->in_at, head);
    conn->in_at = conn->in_len;
    return req ? refuse(conn, code, message) : send_static(conn);
}

static enum step begin_request(struct hs_conn *conn, size_t len)
{
    struct hs_http_head head;
    struct hs_error err;
    char allow[HS_HTTP_ALLOW_SIZE];
    uint8_t *data = conn->in + conn->in_at;
    conn->close_after = conn->linger = conn->old = false;
    conn->blank_lines = 0;
    conn->scan = (struct hs_http_head_scan) { 0 };
    int r = hs_http_head_parse(data, len, &head, &err);
    if (r < 0)
        return refuse_head(conn, &head, r, err.message);
    struct hs_http_request *req = make_request(conn, data, &head);
    if (!req)
        return send_static(conn);
    conn->in_at += len;
    conn->old = head.minor == 0;
    conn->close_after = !head.keep_alive;
    conn->is_chunked = head.chunked;
    conn->chunked = (struct hs_chunked) { .trailer_max = options_of(conn)->header_max };
    conn->body_left = head.length;
    conn->body_seen = 0;
    enter(conn, HS_CONN_BODY);
    bool has_body = head.chunked || head.length > 0;
    if (strcmp(req->path, "*") == 0) { /* OPTIONS */
        hs_http_add_header(req, "Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS");
        hs_http_reply_bytes(req, 204, "", NULL, 0);
    } else if ((r = prepare(conn, allow, &err)) < 0) {
        hs_admission_refuse(req, r, allow, &err);
    }
    if (req->reply.status != 0) {
        /* A body that is not read ends the connection. */
        conn->close_after |= has_body;
        conn->linger |= has_body;
        return begin_answer(conn);
    }
    if (!has_body)
        return start_work(conn);
    if (head.expects_continue && conn->in_at == conn->in_len)
        send_continue(conn);
    return RUN;
}

/* ---- Reading ---- */

/* Room for `more` bytes behind those that were received. */
static bool reserve_input(struct hs_conn *conn, size_t more)
{
    size_t len = conn->in_len - conn->in_at, capacity = conn->in_capacity;
    if (conn->in_at > 0) {
        memmove(conn->in, conn->in + conn->in_at, len);
        conn->in_at = 0;
        conn->in_len = len;
    }
    if (len + more <= capacity)
        return true;
    while (capacity < len + more)
        capacity = capacity < IN_MIN ? IN_MIN : 2 * capacity;
    uint8_t *in = realloc(conn->in, capacity);
    if (!in)
        return false;
    conn->in = in;
    conn->in_capacity = capacity;
    return true;
}

/* False: an empty line before the request line may still be on its way. */
static bool skip_blank_lines(struct hs_conn *conn)
{
    while (conn->in_len - conn->in_at >= 2 && conn->blank_lines < BLANK_LINES_MAX &&
           memcmp(conn->in + conn->in_at, "\r\n", 2) == 0) {
        conn->in_at += 2;
        conn->blank_lines++;
    }
    return conn->in_len - conn->in_at != 1 || conn->in[conn->in_at] != '\r' || conn->blank_lines == BLANK_LINES_MAX;
}

static enum step read_head(struct hs_conn *conn)
{
    const struct hs_http_options *options = options_of(conn);
    bool whole_lines = skip_blank_lines(conn);
    size_t len = conn->in_len - conn->in_at;
    if (len == 0) {
        drop_input(conn);
        return conn->ended ? give_up(conn) : WAIT;
    }
    if (!whole_lines && !conn->ended)
        return WAIT;
    if (conn->phase == HS_CONN_IDLE)
        enter(conn, HS_CONN_HEAD);
    conn->phase = HS_CONN_HEAD; /* a fresh one has its time from connecting */
    const uint8_t *data = conn->in + conn->in_at;
    if (!hs_http_is_token_char(data[0]))
        return refuse_head(conn, NULL, HS_EINVAL, "The request line does not begin with a method");
    size_t end = hs_http_head_find_end(data, len, &conn->scan);
    if (end == 0 ? len >= options->header_max : end > options->header_max) {
        bool in_line = conn->scan.line == 0;
        char message[100];
        hs_str_format(message, sizeof(message), "The request's %s larger than %zu bytes",
                      in_line ? "target is" : "headers are", options->header_max);
        return refuse_head(conn, NULL, in_line ? HS_EURI : HS_EHEADERS, message);
    }
    if (end > 0)
        return begin_request(conn, end);
    return conn->ended ? refuse_head(conn, NULL, HS_EINVAL, "The request ends before its headers do") : WAIT;
}

/* A piece of the body, without its framing. */
static int take_body(struct hs_conn *conn, const uint8_t *data, size_t len, struct hs_error *err)
{
    struct hs_http_request *req = conn->request;
    conn->body_seen += len;
    if (req->body)
        return hs_body_feed(req->body, data, len, err);
    return (req->dropped += len) > UNWANTED_MAX ? too_large(UNWANTED_MAX, err) : 0;
}

/* Feeds bytes to the body's parser; *ret_used of them belong to this request. */
static enum step feed_body(struct hs_conn *conn, const uint8_t *data, size_t len, size_t *ret_used)
{
    struct hs_error err;
    size_t at = 0;
    bool done = false;
    int r = 0;
    while (r == 0 && at < len && !done) {
        size_t used, piece;
        if (conn->is_chunked) {
            r = hs_chunked_feed(&conn->chunked, data + at, len - at, &used, &piece, &err);
            done = r == 0 && hs_chunked_is_done(&conn->chunked);
        } else {
            used = piece = conn->body_left < len - at ? (size_t) conn->body_left : len - at;
            conn->body_left -= piece;
            done = conn->body_left == 0;
        }
        if (r == 0 && piece > 0)
            r = take_body(conn, data + at + used - piece, piece, &err);
        at += r == 0 ? used : 0;
    }
    *ret_used = r < 0 ? len : at;
    if (r < 0)
        return refuse(conn, r, err.message);
    return done ? start_work(conn) : WAIT;
}

/* As feed_body, but a packed body only until it has had its turn: a few of its bytes can hold a thousand times as many.
 */
static enum step feed_turn(struct hs_conn *conn, const uint8_t *data, size_t len, size_t *ret_used)
{
    const struct hs_body *body = conn->request->body;
    if (!body || !hs_body_is_packed(body))
        return feed_body(conn, data, len, ret_used);
    size_t before = hs_body_unpacked(body), at = 0, used;
    enum step step = WAIT;
    while (conn->phase == HS_CONN_BODY && at < len && hs_body_unpacked(body) - before < UNPACK_TURN) {
        step = feed_body(conn, data + at, len - at < UNPACK_PIECE ? len - at : UNPACK_PIECE, &used);
        at += used;
    }
    *ret_used = at;
    return step;
}

/* Received bytes of a body wait for the connection's next turn. */
static bool awaits_turn(const struct hs_conn *conn)
{
    return conn->phase == HS_CONN_BODY && conn->in_at < conn->in_len;
}

static enum step read_body(struct hs_conn *conn)
{
    enum step step = WAIT;
    if (conn->in_at < conn->in_len) {
        size_t used;
        uint8_t *in = conn->in;
        step = feed_turn(conn, in + conn->in_at, conn->in_len - conn->in_at, &used);
        if (conn->in == in) { /* else the connection is being closed */
            conn->in_at += used;
            if (conn->in_at == conn->in_len)
                drop_input(conn);
        }
    }
    if (step == WAIT && conn->phase == HS_CONN_BODY && conn->ended && !awaits_turn(conn))
        return refuse(conn, HS_EINVAL, "The request ends before its body does");
    return step;
}

/* Takes what the socket has, once. True: it may have more of a body. */
static bool receive(struct hs_conn *conn)
{
    const struct hs_http_options *options = options_of(conn);
    bool body = conn->phase == HS_CONN_BODY;
    bool packed = body && conn->request->body && hs_body_is_packed(conn->request->body);
    size_t held = conn->in_len - conn->in_at, room = packed ? UNPACK_READ : HS_CONN_SCRATCH;
    if (awaits_turn(conn))
        return false;
    if (body && !conn->is_chunked && conn->body_left < room)
        room = (size_t) conn->body_left; /* what follows the body waits in the socket */
    else if (!body)
        room = options->header_max > held ? options->header_max - held : 1;
    room = room < HS_CONN_SCRATCH ? room : HS_CONN_SCRATCH;
    ssize_t n = transport_read(conn, conn->list->scratch, room);
    if (n <= 0) {
        conn->ended |= n == 0;
        conn->broken |= n < 0 && !would_wait();
        return false;
    }
    conn->last_data_ns = hs_clock_now_ns();
    size_t used = 0;
    if (body && held == 0)
        feed_turn(conn, conn->list->scratch, (size_t) n, &used);
    if (conn->phase == HS_CONN_CLOSED || used == (size_t) n)
        return conn->phase == HS_CONN_BODY && (size_t) n == room && !packed;
    if (!reserve_input(conn, (size_t) n - used)) {
        conn->broken = true;
        return false;
    }
    memcpy(conn->in + conn->in_len, conn->list->scratch + used, (size_t) n - used);
    conn->in_len += (size_t) n - used;
    return false;
}

/* Drops what a client still sends. One read at a time, so that a fast sender does not occupy the thread. */
static void drain(struct hs_conn *conn)
{
    ssize_t n = transport_read(conn, conn->list->scratch, HS_CONN_SCRATCH);
    if (n == 0 || (n < 0 && !would_wait()) || (n > 0 && (size_t) n >= conn->linger_left))
        hs_conn_close(conn);
    else if (n > 0)
        conn->linger_left -= (size_t) n;
}

/* ---- The machine ---- */

static enum step next_step(struct hs_conn *conn)
{
    switch (conn->phase) {
    case HS_CONN_FRESH:
    case HS_CONN_IDLE:
    case HS_CONN_HEAD:
        return read_head(conn);
    case HS_CONN_BODY:
        return read_body(conn);
    case HS_CONN_SENDING:
        return send_answer(conn);
    default:
        return WAIT;
    }
}

static void run(struct hs_conn *conn)
{
    int steps = 0;
    while (conn->phase != HS_CONN_CLOSED && !conn->broken && next_step(conn) == RUN) {
        /* A stream that is read as fast as it is written must not occupy the thread. */
        if (conn->phase == HS_CONN_SENDING && ++steps == STEPS_MAX) {
            conn->blocked = true;
            break;
        }
    }
    if (conn->phase == HS_CONN_CLOSED)
        return;
    if (conn->broken) {
        hs_conn_close(conn);
        return;
    }
    uint32_t events = EPOLLIN, end = conn->in_work && !conn->left ? EPOLLRDHUP : 0;
    if (conn->phase == HS_CONN_WORKING)
        events = end;
    else if (conn->phase == HS_CONN_SENDING)
        events = end | (conn->blocked ? EPOLLOUT : 0);
    else if (awaits_turn(conn))
        events |= EPOLLOUT; /* which comes at once */
    watch(conn, events);
    /* Nothing waits for the client: the window of the least rate begins with the next bytes that do. */
    if (!conn->blocked)
        conn->rate_since_ns = 0;
}

void hs_conn_on_event(struct hs_conn *conn, uint32_t events)
{
    switch (conn->phase) {
    case HS_CONN_CLOSED:
        return;
    case HS_CONN_FRESH:
    case HS_CONN_IDLE:
    case HS_CONN_HEAD:
    case HS_CONN_BODY:
        for (int i = 0; i < READS_MAX && receive(conn); i++)
            continue;
        break;
    case HS_CONN_LINGER:
        drain(conn);
        break;
    default:
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            hs_conn_cancel(conn);
    }
    run(conn);
}

void hs_conn_on_completion(struct hs_http_request *req, bool finished)
{
    struct hs_conn *conn = req->conn;
    if (!conn) { /* it was counted when the connection closed */
        if (finished)
            hs_request_destroy(req);
        return;
    }
    if (finished)
        conn->in_work = false;
    if (conn->phase == HS_CONN_WORKING)
        begin_answer(conn);
    run(conn);
}

/* ---- Time ---- */

/* Bytes that the client's system has acknowledged, of all that were written. */
static uint64_t taken_by_client(const struct hs_conn *conn)
{
    int queued = 0;
    if (ioctl(conn->fd, SIOCOUTQ, &queued) < 0 || queued < 0 || (uint64_t) queued > conn->written)
        queued = 0;
    return conn->written - (uint64_t) queued;
}

/* True if bytes wait for the client and it takes them too slowly. Notes when it last took some. */
static bool reads_too_slowly(struct hs_conn *conn, int64_t now_ns)
{
    const struct hs_http_options *options = options_of(conn);
    if (!conn->blocked)
        return false;
    uint64_t taken = taken_by_client(conn);
    if (conn->rate_since_ns == 0 || taken > conn->taken)
        conn->last_data_ns = now_ns;
    conn->taken = taken;
    int64_t window_ms = (now_ns - conn->rate_since_ns) / HS_NS_PER_MS;
    if (conn->rate_since_ns != 0 && window_ms < options->rate_window_ms)
        return false;
    bool slow = conn->rate_since_ns != 0 &&
                (taken - conn->rate_taken) * 1000 < (uint64_t) options->answer_rate_min * (uint64_t) window_ms;
    conn->rate_since_ns = now_ns;
    conn->rate_taken = taken;
    return slow;
}

static bool is_late(struct hs_conn *conn, int64_t now_ns)
{
    const struct hs_http_options *options = options_of(conn);
    int64_t lasted_ms = (now_ns - conn->phase_since_ns) / HS_NS_PER_MS;
    int64_t silent_ms = (now_ns - conn->last_data_ns) / HS_NS_PER_MS;
    switch (conn->phase) {
    case HS_CONN_FRESH:
    case HS_CONN_HEAD:
        return lasted_ms >= options->header_timeout_ms;
    case HS_CONN_IDLE:
        return lasted_ms >= options->idle_timeout_ms;
    case HS_CONN_BODY:
        return lasted_ms >= options->body_timeout_ms || silent_ms >= options->body_idle_ms ||
               (lasted_ms >= options->rate_window_ms &&
                conn->body_seen * 1000 < (uint64_t) options->body_rate_min * (uint64_t) lasted_ms);
    case HS_CONN_SENDING:
        return reads_too_slowly(conn, now_ns) ||
               (conn->blocked && (conn->streams ? silent_ms : lasted_ms) >= options->body_timeout_ms);
    case HS_CONN_LINGER:
        return lasted_ms >= LINGER_MS;
    default:
        return false;
    }
}

void hs_conn_check_time(struct hs_conn *conn, int64_t now_ns)
{
    if (conn->broken) {
        hs_conn_close(conn);
        return;
    }
    if (!is_late(conn, now_ns))
        return;
    atomic_fetch_add(&server_of(conn)->timed_out, conn->phase != HS_CONN_LINGER);
    if (conn->phase == HS_CONN_HEAD)
        refuse_head(conn, NULL, HS_ESLOW, "The request did not arrive in time");
    else if (conn->phase == HS_CONN_BODY)
        refuse(conn, HS_ESLOW, "The request did not arrive in time");
    else
        hs_conn_close(conn);
    if (conn->phase != HS_CONN_CLOSED)
        run(conn);
}

/* ---- Room ---- */

/* Without a request, or too slow with its head: since when. INT64_MAX for others, of which one may have just sent its
 * request. */
static int64_t idle_since(const struct hs_conn *conn, int64_t now_ns)
{
    bool open = conn->phase == HS_CONN_FRESH || conn->phase == HS_CONN_IDLE;
    bool silent = conn->phase == HS_CONN_LINGER || (open && !has_unread(conn));
    bool slow = conn->phase == HS_CONN_HEAD && now_ns - conn->phase_since_ns >= EVICTION_MS * HS_NS_PER_MS;
    return silent || slow ? conn->phase_since_ns : INT64_MAX;
}

/* Bytes a second of a body that comes, or of an answer that the client is waited for to take. EVICTION_RATE for others.
 */
static uint64_t pace(const struct hs_conn *conn, int64_t now_ns)
{
    bool body = conn->phase == HS_CONN_BODY;
    bool answer = conn->phase == HS_CONN_SENDING && conn->blocked && conn->rate_since_ns != 0;
    int64_t lasted_ms = (now_ns - (body ? conn->phase_since_ns : conn->rate_since_ns)) / HS_NS_PER_MS;
    if ((!body && !answer) || lasted_ms < EVICTION_MS || awaits_turn(conn))
        return EVICTION_RATE;
    return (body ? conn->body_seen : taken_by_client(conn) - conn->rate_taken) * 1000 / (uint64_t) lasted_ms;
}

bool hs_conn_evict(struct hs_conn_list *list)
{
    struct hs_conn *found = NULL;
    int64_t now_ns = hs_clock_now_ns(), since_ns = INT64_MAX;
    for (struct hs_conn *conn = list->head; conn; conn = conn->next) {
        int64_t idle_ns = conn->phase_since_ns < since_ns ? idle_since(conn, now_ns) : INT64_MAX;
        if (idle_ns < since_ns) {
            found = conn;
            since_ns = idle_ns;
        }
    }
    uint64_t slowest = EVICTION_RATE;
    for (struct hs_conn *conn = found ? NULL : list->head; conn; conn = conn->next) {
        uint64_t rate = pace(conn, now_ns);
        if (rate < slowest) {
            found = conn;
            slowest = rate;
        }
    }
    if (found) {
        atomic_fetch_add(&list->server->timed_out, 1);
        hs_conn_close(found);
    }
    return found;
}

size_t hs_conn_count_from(const struct hs_conn_list *list, const struct sockaddr *peer)
{
    char remote[HS_ADDRESS_SIZE];
    size_t count = 0;
    write_peer(peer, remote);
    for (const struct hs_conn *conn = list->head; conn; conn = conn->next)
        count += strcmp(conn->remote, remote) == 0;
    return count;
}
