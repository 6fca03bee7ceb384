/* Each connection is a state machine with the phases in connection.h. `run` does all work that does
 * not block, and then registers the epoll events that the phase needs. Only the event loop waits.
 * connection_receive.c reads requests and connection_send.c sends responses. This file has the
 * shared parts: the socket, creation and closing, the state machine, and time limits.
 *
 * While a worker runs a request, the connection only watches for a disconnect (EPOLLRDHUP). If the
 * client closes the connection or its sending side, the request is cancelled.
 *
 * Only hs_conn_transport_read and hs_conn_transport_write move bytes, so that a TLS layer can
 * replace them. */
#include "http/connection.h"

#include <arpa/inet.h>
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
    TRACE_FIELDS = 2,         /* the last fields of a log line, if the client sent a trace */
};

/* ---- The socket ---- */

ssize_t hs_conn_transport_read(struct hs_conn *conn, void *dst, size_t len)
{
    return recv(conn->fd, dst, len, MSG_DONTWAIT);
}

ssize_t hs_conn_transport_write(struct hs_conn *conn, struct iovec *pieces, size_t count)
{
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = count };
    return sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
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

bool hs_conn_has_unread(const struct hs_conn *conn)
{
    int unread = 0;
    return ioctl(conn->fd, FIONREAD, &unread) == 0 && unread > 0;
}

/* ---- Creation and destruction ---- */

void hs_conn_enter(struct hs_conn *conn, enum hs_conn_phase phase)
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
    const struct hs_log_field fields[] = {
        { .key = "method", .kind = HS_LOG_STRING, .in_message = true, .value.string = method },
        { .key = "route", .kind = HS_LOG_STRING, .in_message = true, .value.string = route },
        { .key = "status", .kind = HS_LOG_INTEGER, .in_message = true, .value.integer = status },
        HS_LOG_FIELD_DECIMAL("duration_ms", hs_ns_to_ms(duration_ns)),
        HS_LOG_FIELD_INTEGER("bytes_in", (int64_t) conn->body_seen),
        HS_LOG_FIELD_INTEGER("bytes_out", (int64_t) conn->sent),
        HS_LOG_FIELD_STRING("client", req->remote),
        HS_LOG_FIELD_STRING("request_id", req->id),
        HS_LOG_FIELD_STRING("trace_id", trace.trace_id),
        HS_LOG_FIELD_STRING("parent_id", trace.parent_id),
    };
    size_t count = HS_ARRAY_LEN(fields) - (read_trace(req, &trace) ? 0 : TRACE_FIELDS);
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
    else if (hs_conn_has_pending_body(conn))
        events |= EPOLLOUT; /* fires at once */
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

/* Returns the written bytes that the client's system has acknowledged. */
static uint64_t acked_bytes(const struct hs_conn *conn)
{
    int queued = 0;
    if (ioctl(conn->fd, SIOCOUTQ, &queued) < 0 || queued < 0 || (uint64_t) queued > conn->written)
        queued = 0;
    return conn->written - (uint64_t) queued;
}

/* Returns true if output is pending and the client reads too slowly. Records when it last read some. */
static bool reads_too_slowly(struct hs_conn *conn, int64_t now_ns)
{
    const struct hs_http_options *options = hs_conn_options(conn);
    if (!conn->blocked)
        return false;
    uint64_t acked = acked_bytes(conn);
    if (conn->rate_since_ns == 0 || acked > conn->acked)
        conn->last_data_ns = now_ns;
    conn->acked = acked;
    int64_t window_ms = (now_ns - conn->rate_since_ns) / HS_NS_PER_MS;
    if (conn->rate_since_ns != 0 && window_ms < options->rate_window_ms)
        return false;
    bool slow = conn->rate_since_ns != 0 &&
                (acked - conn->rate_acked) * 1000 < (uint64_t) options->response_rate_min * (uint64_t) window_ms;
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
    bool open = conn->phase == HS_CONN_FRESH || conn->phase == HS_CONN_IDLE;
    bool silent = conn->phase == HS_CONN_LINGER || (open && !hs_conn_has_unread(conn));
    bool slow = conn->phase == HS_CONN_HEAD && now_ns - conn->phase_since_ns >= EVICTION_MS * HS_NS_PER_MS;
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
    return (body ? conn->body_seen : acked_bytes(conn) - conn->rate_acked) * 1000 / (uint64_t) lasted_ms;
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

size_t hs_conn_count_from(const struct hs_conn_list *list, const struct sockaddr *peer)
{
    char remote[HS_ADDRESS_SIZE];
    size_t count = 0;
    write_peer(peer, remote);
    for (const struct hs_conn *conn = list->head; conn; conn = conn->next)
        count += strcmp(conn->remote, remote) == 0;
    return count;
}
