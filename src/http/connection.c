/* Each connection is a state machine with the phases in connection.h. `run` does all work that does
 * not block, and then registers the epoll events that the phase needs. Only the event loop waits.
 * connection_receive.c reads requests and connection_send.c sends responses. This file has the
 * shared parts: the socket, creation and closing, the state machine, and time limits.
 *
 * While a worker runs a request, the connection only watches for a disconnect (EPOLLRDHUP). If the
 * client closes the connection or its sending side, the request is cancelled.
 *
 * Only hs_conn_transport_read and hs_conn_transport_write move the bytes of HTTP, on the socket or
 * through TLS (http/tls.h). The TLS handshake takes place inside the first reads, in the time for the
 * first head. A session may hold bytes that it has decrypted and the connection has not read; epoll
 * does not know them, so `run` continues at once (hs_conn_has_buffered). */
#include "http/connection.h"

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
#include "base/mem.h"
#include "base/str.h"
#include "http/connection_internal.h"
#include "http/request_internal.h"
#include "http/trace_context.h"

enum {
    LINGER_MS = 5000,
    EVICTION_MS = 1000,       /* minimum age of a head, body or response that can be evicted */
    EVICTION_RATE = 32 << 10, /* bytes/s; a body or response at this rate or above is not evicted */
    READS_MAX = 16,           /* reads of a body per turn of a connection */
    STEPS_MAX = 32,           /* send steps per turn of a connection */
    FIELDS_ALWAYS = 8,        /* fields of every log line of a request */
};

/* ---- The socket ---- */

/* A TLS connection begins with a handshake record (RFC 8446, 5.1). A client that speaks HTTP instead
 * gets a response that it can read. */
static void detect_plain_http(struct hs_conn *conn)
{
    uint8_t first;
    if (recv(conn->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) != 1)
        return;
    conn->tls_started = true;
    if (!hs_http_is_token_char(first))
        return;
    hs_tls_session_free(conn->tls);
    conn->tls = NULL;
}

/* An end of the connection is not worth a line, but garbage is. */
static void report_failed_handshake(const struct hs_conn *conn)
{
    const struct hs_log_field fields[] = { HS_LOG_FIELD_STRING("client", conn->peer) };
    if (errno != EPROTO || hs_tls_session_is_established(conn->tls))
        return;
    hs_log_fields(HS_LOG_INFO, fields, HS_ARRAY_LEN(fields), "TLS handshake failed: %s",
                  hs_tls_session_error(conn->tls));
}

/* Counts a handshake that this read completed, or that ended without being complete. */
static void count_handshake(const struct hs_conn *conn, ssize_t n)
{
    if (hs_tls_session_is_established(conn->tls))
        hs_count(&hs_http_handshakes, HS_HTTP_HANDSHAKE_DONE);
    else if (conn->tls_started && (n == 0 || (n < 0 && !hs_conn_would_block())))
        hs_count(&hs_http_handshakes, HS_HTTP_HANDSHAKE_FAILED);
}

ssize_t hs_conn_transport_read(struct hs_conn *conn, void *dst, size_t len)
{
    if (conn->tls && !conn->tls_started)
        detect_plain_http(conn);
    if (!conn->tls)
        return recv(conn->fd, dst, len, MSG_DONTWAIT);
    bool established = hs_tls_session_is_established(conn->tls);
    ssize_t n = hs_tls_session_read(conn->tls, dst, len);
    if (!established)
        count_handshake(conn, n);
    if (n < 0)
        report_failed_handshake(conn);
    return n;
}

ssize_t hs_conn_transport_write(struct hs_conn *conn, struct iovec *pieces, size_t count)
{
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = count };
    if (conn->tls)
        return hs_tls_session_write(conn->tls, pieces, count, conn->list->record);
    return sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t hs_conn_transport_drop(struct hs_conn *conn)
{
    return recv(conn->fd, conn->list->scratch, HS_CONN_SCRATCH, MSG_DONTWAIT);
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

bool hs_conn_has_buffered(const struct hs_conn *conn)
{
    return conn->tls && !conn->ended && hs_tls_session_has_input(conn->tls);
}

bool hs_conn_has_unread(const struct hs_conn *conn)
{
    int unread = 0;
    return hs_conn_has_buffered(conn) || (ioctl(conn->fd, FIONREAD, &unread) == 0 && unread > 0);
}

/* ---- Creation and destruction ---- */

void hs_conn_enter(struct hs_conn *conn, enum hs_conn_phase phase)
{
    conn->phase = phase;
    conn->phase_since_ns = conn->last_data_ns = hs_clock_now_ns();
}

struct hs_conn *hs_conn_create(struct hs_conn_list *list, int fd, const struct hs_listener *listener, const char *peer)
{
    bool secure = hs_http_uses_tls(list->server, listener);
    struct hs_conn *conn = calloc(1, sizeof(*conn));
    if (conn && secure)
        conn->tls = hs_http_create_tls_session(list->server, fd);
    if (!conn || (secure && !conn->tls)) {
        free(conn);
        close(fd);
        return NULL;
    }
    conn->list = list;
    conn->fd = fd;
    conn->secure = secure;
    conn->redirects = listener->redirects;
    hs_buf_init(&conn->out, 64 << 10);
    hs_str_copy(conn->peer, sizeof(conn->peer), peer);
    hs_conn_enter(conn, HS_CONN_FRESH);
    conn->next = list->head;
    if (conn->next)
        conn->next->prev = conn;
    list->head = conn;
    atomic_fetch_add(&list->server->connections, 1);
    watch(conn, EPOLLIN);
    return conn;
}

void hs_conn_drop_input(struct hs_conn *conn)
{
    free(conn->in);
    conn->in = NULL;
    conn->in_at = conn->in_len = conn->in_capacity = 0;
    conn->scan = (struct hs_http_head_scan) { 0 };
}

void hs_conn_drop_output(struct hs_conn *conn)
{
    hs_buf_finish(&conn->out);
    conn->out_at = conn->body_len = conn->body_at = conn->chunk_left = 0;
    conn->body = NULL;
    conn->streams = conn->framed = conn->last_frame = conn->blocked = false;
    conn->sent = 0;
    conn->rate_since_ns = 0;
}

/* Reads the client's trace. Two headers are as invalid as a malformed one. */
static bool read_trace(const struct hs_http_request *req, struct hs_trace_context *ret_context)
{
    const char *value = NULL;
    for (size_t i = 0; i < req->header_count; i++) {
        if (!hs_str_equal_nocase(req->headers[i].name, "traceparent"))
            continue;
        if (value)
            return false;
        value = req->headers[i].value;
    }
    return value && hs_trace_context_read(value, ret_context);
}

/* Logs the pattern of the route, because a path or a query may contain the name of a person. */
static void log_access(const struct hs_conn *conn, int status, bool completed, int64_t duration_ns)
{
    const struct hs_http_request *req = conn->request;
    struct hs_trace_context trace;
    const char *method = req->method[0] ? req->method : NULL, *route = req->route ? req->route->path : NULL;
    struct hs_log_field fields[FIELDS_ALWAYS + 3] = {
        { .key = "method", .kind = HS_LOG_STRING, .in_message = true, .value.string = method },
        { .key = "route", .kind = HS_LOG_STRING, .in_message = true, .value.string = route },
        { .key = "status", .kind = HS_LOG_INTEGER, .in_message = true, .value.integer = status },
        HS_LOG_FIELD_DECIMAL("duration_ms", hs_ns_to_ms(duration_ns)),
        HS_LOG_FIELD_INTEGER("bytes_in", (int64_t) conn->body_seen),
        HS_LOG_FIELD_INTEGER("bytes_out", (int64_t) conn->sent),
        HS_LOG_FIELD_STRING("client", req->client),
        HS_LOG_FIELD_STRING("request_id", req->id),
    };
    size_t count = FIELDS_ALWAYS;
    if (req->actor[0])
        fields[count++] = (struct hs_log_field) HS_LOG_FIELD_STRING("actor", req->actor);
    if (read_trace(req, &trace)) {
        fields[count++] = (struct hs_log_field) HS_LOG_FIELD_STRING("trace_id", trace.trace_id);
        fields[count++] = (struct hs_log_field) HS_LOG_FIELD_STRING("parent_id", trace.parent_id);
    }
    enum hs_log_level level = status >= 500 ? HS_LOG_WARNING : HS_LOG_INFO;
    if (req->route && req->route->flags & HS_HTTP_PROBE && completed && status < 400)
        level = HS_LOG_DEBUG;
    hs_log_fields(level, fields, count, "%s %s %d%s", method ? method : "-", route ? route : "-", status,
                  completed ? "" : " (cut off)");
}

void hs_conn_end_request(struct hs_conn *conn, bool completed)
{
    struct hs_http_server *server = hs_conn_server(conn);
    struct hs_http_request *req = conn->request;
    if (!req)
        return;
    /* Until the response begins, a worker may be writing it. */
    int status = conn->in_worker && !conn->streams ? 0 : req->reply.status;
    const struct hs_http_outcome outcome = {
        .route = req->route,
        .method = req->method,
        .status = status,
        .error = status == 0 ? HS_ECANCELED : req->reply.error,
        .duration_ns = hs_clock_now_ns() - req->started_ns,
        .bytes_in = conn->body_seen,
        .bytes_out = conn->sent,
    };
    hs_http_metrics_record(server->metrics, &outcome);
    log_access(conn, status, completed, outcome.duration_ns);
    conn->request = NULL;
    req->conn = NULL;
    if (conn->in_worker) { /* freed when the worker finishes */
        hs_cancel_trigger(&req->cancel);
        hs_http_stream_abandon(&req->stream);
    } else {
        hs_request_destroy(req);
    }
    conn->in_worker = conn->client_gone = false;
    atomic_fetch_add(&server->requests, 1);
    pthread_mutex_lock(&server->lock);
    if (--server->active == 0)
        pthread_cond_broadcast(&server->quiet);
    pthread_mutex_unlock(&server->lock);
}

void hs_conn_cancel(struct hs_conn *conn)
{
    struct hs_http_request *req = conn->request;
    if (!conn->in_worker || conn->client_gone)
        return;
    conn->client_gone = true;
    atomic_fetch_add(&hs_conn_server(conn)->cancelled, 1);
    hs_cancel_trigger(&req->cancel);
    hs_http_stream_abandon(&req->stream);
    hs_pool_expire(hs_conn_server(conn)->pool, req);
}

void hs_conn_close(struct hs_conn *conn)
{
    if (conn->phase == HS_CONN_CLOSED)
        return;
    hs_conn_cancel(conn);
    hs_conn_end_request(conn, false);
    watch(conn, 0);
    if (conn->tls && conn->phase == HS_CONN_IDLE)
        hs_tls_session_end(conn->tls);
    hs_tls_session_free(conn->tls);
    conn->tls = NULL;
    close(conn->fd);
    hs_conn_drop_input(conn);
    hs_conn_drop_output(conn);
    conn->phase = HS_CONN_CLOSED;
    struct hs_conn_list *list = conn->list;
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        list->head = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    conn->next = list->closed;
    list->closed = conn;
    atomic_fetch_sub(&list->server->connections, 1);
}

void hs_conn_free_closed(struct hs_conn_list *list)
{
    while (list->closed) {
        struct hs_conn *conn = list->closed;
        list->closed = conn->next;
        free(conn);
    }
}

enum hs_step hs_conn_abort(struct hs_conn *conn)
{
    hs_conn_close(conn);
    return HS_STEP_GONE;
}

/* ---- The state machine ---- */

static enum hs_step next_step(struct hs_conn *conn)
{
    switch (conn->phase) {
    case HS_CONN_FRESH:
    case HS_CONN_IDLE:
    case HS_CONN_HEAD:
        return hs_conn_read_head(conn);
    case HS_CONN_BODY:
        return hs_conn_read_body(conn);
    case HS_CONN_SENDING:
        return hs_conn_send_response(conn);
    default:
        return HS_STEP_WAIT;
    }
}

/* Returns true if a reading connection waits until its socket is writable. Except in a handshake,
 * that is at once, so that other connections have their turn before this one continues. */
static bool must_continue(const struct hs_conn *conn)
{
    return hs_conn_has_pending_body(conn) || hs_conn_has_buffered(conn) ||
           (conn->tls && hs_tls_session_wants_write(conn->tls));
}

static void run(struct hs_conn *conn)
{
    int steps = 0;
    while (conn->phase != HS_CONN_CLOSED && !conn->broken && next_step(conn) == HS_STEP_RUN) {
        /* A stream that the client reads as fast as the handler writes must not occupy the thread. */
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
    uint32_t events = EPOLLIN, end = conn->in_worker && !conn->client_gone ? EPOLLRDHUP : 0;
    if (conn->phase == HS_CONN_WORKING)
        events = end;
    else if (conn->phase == HS_CONN_SENDING)
        events = end | (conn->blocked ? EPOLLOUT : 0);
    else if (conn->phase != HS_CONN_LINGER && must_continue(conn))
        events |= EPOLLOUT;
    watch(conn, events);
    /* Nothing is waiting to be sent, so the rate window starts with the next bytes that are. */
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
        for (int i = 0; i < READS_MAX && hs_conn_receive(conn); i++)
            continue;
        break;
    case HS_CONN_LINGER:
        hs_conn_discard(conn);
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
    if (!conn) { /* the request was counted when the connection closed */
        if (finished)
            hs_request_destroy(req);
        return;
    }
    if (finished)
        conn->in_worker = false;
    if (conn->phase == HS_CONN_WORKING)
        hs_conn_begin_response(conn);
    run(conn);
}

/* ---- Time ---- */

/* Returns the written bytes that the client's system has acknowledged. Only differences count: the
 * queue of the system also contains the overhead of TLS or, on a unix socket, of its buffers. */
static int64_t acked_bytes(const struct hs_conn *conn)
{
    int queued = 0;
    if (ioctl(conn->fd, SIOCOUTQ, &queued) < 0)
        queued = 0;
    return conn->written - queued;
}

/* Returns true if output is pending and the client reads too slowly. Records when it last read some. */
static bool reads_too_slowly(struct hs_conn *conn, int64_t now_ns)
{
    const struct hs_http_options *options = hs_conn_options(conn);
    if (!conn->blocked)
        return false;
    int64_t acked = acked_bytes(conn);
    if (conn->rate_since_ns == 0 || acked > conn->acked)
        conn->last_data_ns = now_ns;
    conn->acked = acked;
    int64_t window_ms = (now_ns - conn->rate_since_ns) / HS_NS_PER_MS;
    if (conn->rate_since_ns != 0 && window_ms < options->rate_window_ms)
        return false;
    bool slow = conn->rate_since_ns != 0 &&
                (acked - conn->rate_acked) * 1000 < (int64_t) options->response_rate_min * window_ms;
    conn->rate_since_ns = now_ns;
    conn->rate_acked = acked;
    return slow;
}

static bool is_late(struct hs_conn *conn, int64_t now_ns)
{
    const struct hs_http_options *options = hs_conn_options(conn);
    int64_t lasted_ms = (now_ns - conn->phase_since_ns) / HS_NS_PER_MS;
    int64_t silent_ms = (now_ns - conn->last_data_ns) / HS_NS_PER_MS;
    switch (conn->phase) {
    case HS_CONN_FRESH:
    case HS_CONN_HEAD:
        return lasted_ms >= options->header_timeout_ms;
    case HS_CONN_IDLE:
        return lasted_ms >= options->idle_timeout_ms;
    case HS_CONN_BODY:
        /* The client is not slow while bytes that it has already sent are unread here. */
        if (hs_conn_has_pending_body(conn))
            return lasted_ms >= options->body_timeout_ms;
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
    atomic_fetch_add(&hs_conn_server(conn)->timed_out, conn->phase != HS_CONN_LINGER);
    if (conn->phase != HS_CONN_LINGER && conn->phase != HS_CONN_IDLE)
        hs_count(&hs_http_refusals, HS_HTTP_REFUSED_TIMEOUT);
    if (conn->phase == HS_CONN_HEAD)
        hs_conn_refuse_head(conn, NULL, HS_ESLOW, "The request did not arrive in time");
    else if (conn->phase == HS_CONN_BODY)
        hs_conn_refuse(conn, HS_ESLOW, "The request did not arrive in time");
    else
        hs_conn_close(conn);
    if (conn->phase != HS_CONN_CLOSED)
        run(conn);
}

/* ---- Eviction ---- */

/* Returns when a connection without a request became idle, or when one that sends its head too
 * slowly started. Returns INT64_MAX for others, including one that may have just sent a request. */
static int64_t idle_since(const struct hs_conn *conn, int64_t now_ns)
{
    bool handshake = conn->phase == HS_CONN_FRESH && conn->tls_started;
    bool open = conn->phase == HS_CONN_FRESH || conn->phase == HS_CONN_IDLE;
    bool silent = conn->phase == HS_CONN_LINGER || (open && !handshake && !hs_conn_has_unread(conn));
    bool slow =
        (conn->phase == HS_CONN_HEAD || handshake) && now_ns - conn->phase_since_ns >= EVICTION_MS * HS_NS_PER_MS;
    return silent || slow ? conn->phase_since_ns : INT64_MAX;
}

/* Returns the bytes per second of an arriving body, or of a response that the client reads. Returns
 * EVICTION_RATE for other connections. */
static uint64_t transfer_rate(const struct hs_conn *conn, int64_t now_ns)
{
    bool body = conn->phase == HS_CONN_BODY;
    bool response = conn->phase == HS_CONN_SENDING && conn->blocked && conn->rate_since_ns != 0;
    int64_t lasted_ms = (now_ns - (body ? conn->phase_since_ns : conn->rate_since_ns)) / HS_NS_PER_MS;
    if ((!body && !response) || lasted_ms < EVICTION_MS || hs_conn_has_pending_body(conn))
        return EVICTION_RATE;
    int64_t moved = body ? (int64_t) conn->body_seen : acked_bytes(conn) - conn->rate_acked;
    return moved > 0 ? (uint64_t) (moved * 1000 / lasted_ms) : 0;
}

struct hs_conn *hs_conn_find_evictable(struct hs_conn_list *list)
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
        uint64_t rate = transfer_rate(conn, now_ns);
        if (rate < slowest) {
            found = conn;
            slowest = rate;
        }
    }
    return found;
}

bool hs_conn_evict(struct hs_conn_list *list)
{
    struct hs_conn *conn = hs_conn_find_evictable(list);
    if (!conn)
        return false;
    atomic_fetch_add(&list->server->timed_out, 1);
    hs_count(&hs_http_refusals, HS_HTTP_REFUSED_EVICTED);
    hs_conn_close(conn);
    return true;
}

size_t hs_conn_count_from(const struct hs_conn_list *list, const char *peer)
{
    size_t count = 0;
    for (const struct hs_conn *conn = list->head; conn; conn = conn->next)
        count += strcmp(conn->peer, peer) == 0;
    return count;
}
