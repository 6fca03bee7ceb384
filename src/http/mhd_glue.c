/* The server's side of libmicrohttpd: callbacks that take requests in and send answers out.
 *
 * Threads: libmicrohttpd's own thread polls the sockets, parses requests and feeds bodies; a connection whose request
 * is complete is suspended and its handler runs on the pool, which resumes it with the reply; the watcher thread
 * watches suspended sockets and time limits.
 *
 * libmicrohttpd takes an answer before the body or after it, but not in between. If a body must be refused half-way
 * (chunked and too large, malformed, no memory left) the answer is written to the socket directly, which no other
 * thread writes to while a request is read, and the connection ends. With TLS it would have to go through the
 * session. */
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/thread.h"
#include "http/admission.h"
#include "http/request.h"
#include "http/request_internal.h"

/* A body on a route that takes none is read, so that the connection can be used again, up to this many bytes. */
enum { UNWANTED_MAX = 64 << 10 };

/* Bytes of a stream that are taken at once if the answer has no chunks; chunks fill the buffer of the connection. */
enum { STREAM_BLOCK = 16 << 10 };

/* ---- Answers ---- */

static enum MHD_Result send_reply(struct hs_http_request *req)
{
    struct hs_http_reply *reply = &req->reply;
    struct hs_http_server *server = req->server;
    struct MHD_Response *response;
    hs_conn_enter(&server->conns, req->conn, HS_CONN_SENDING);
    if (req->stage == HS_HTTP_STREAMING) {
        response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, hs_http_stream_read, &req->stream, NULL);
        /* libmicrohttpd 0.9.75 ends the chunks of an answer to HEAD, which has none. */
        if (response && strcmp(req->method, "HEAD") == 0)
            MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    } else {
        response = reply->data ? MHD_create_response_from_buffer(reply->len, reply->data, MHD_RESPMEM_MUST_FREE)
                               : MHD_create_response_from_buffer(0, (char *) (uintptr_t) "", MHD_RESPMEM_PERSISTENT);
        if (response)
            reply->data = NULL;
    }
    if (!response)
        return MHD_NO;
    if (reply->content_type[0])
        MHD_add_response_header(response, "Content-Type", reply->content_type);
    MHD_add_response_header(response, "X-Request-Id", req->id);
    if (req->close_after || atomic_load(&server->draining))
        MHD_add_response_header(response, "Connection", "close");
    const char *p = (const char *) reply->headers.data, *end = p ? p + reply->headers.len : NULL;
    while (p < end) {
        const char *value = p + strlen(p) + 1;
        MHD_add_response_header(response, p, value);
        p = value + strlen(value) + 1;
    }
    enum MHD_Result r = MHD_queue_response(req->mhd, (unsigned) reply->status, response);
    MHD_destroy_response(response);
    return r;
}

/* In the middle of a body: see the top of the file. */
static enum MHD_Result refuse_body(struct hs_http_request *req, int code, const char *message)
{
    struct hs_buf answer;
    hs_buf_init(&answer, 65536);
    hs_http_reply_error(req, code, NULL, "%s", message);
    if (hs_request_write_reply(req, &answer) == 0)
        hs_conn_send_last(&req->server->conns, req->conn, answer.data, answer.len);
    hs_buf_finish(&answer);
    req->linger = true;
    return MHD_NO;
}

static int too_large(size_t max, struct hs_error *err)
{
    return hs_error_set(err, HS_ETOOLARGE, "The body is larger than %zu bytes", max);
}

/* ---- The request's way ---- */

/* From here on the request belongs to the network thread, which may free it at once. */
static void resume_answered(struct hs_http_request *req)
{
    hs_conn_unwatch(&req->server->conns, req->conn);
    req->stage = HS_HTTP_ANSWERED;
    hs_conn_enter(&req->server->conns, req->conn, HS_CONN_SENDING);
    MHD_resume_connection(req->mhd);
}

static void run_job(void *arg)
{
    struct hs_http_request *req = arg;
    hs_request_run(req);
    if (req->stage != HS_HTTP_STREAMING)
        resume_answered(req);
    else if (hs_http_stream_leave(&req->stream))
        hs_request_destroy(req);
}

static enum MHD_Result start_work(struct hs_http_request *req)
{
    struct hs_http_server *server = req->server;
    struct hs_error err;
    const char *field;
    /* Counted from here, so that a slow upload does not shorten the time for the work. */
    req->body_end_ns = hs_clock_now_ns();
    req->deadline_ns = hs_deadline_in_ms(server->options.request_timeout_ms);
    int r = req->body ? hs_body_end(req->body, &err) : 0;
    if (r < 0) {
        hs_http_reply_error(req, r, NULL, "%s", err.message);
        return send_reply(req);
    }
    hs_http_read_timeout(req, &field, NULL); /* the handler reports an invalid one */
    if (req->route->flags & HS_HTTP_INLINE) {
        hs_request_run(req);
        return send_reply(req);
    }
    /* Suspended first: the worker may be done before submit returns. */
    req->stage = HS_HTTP_AT_WORK;
    MHD_suspend_connection(req->mhd);
    hs_conn_work(&server->conns, req->conn);
    if (hs_pool_submit(server->pool, run_job, req, req->deadline_ns) < 0) {
        hs_http_reply_error(req, HS_EBUSY, NULL, "The server is busy, try again");
        resume_answered(req);
    }
    return MHD_YES;
}

static enum MHD_Result on_body(struct hs_http_request *req, const char *data, size_t *len)
{
    struct hs_error err;
    int r = 0;
    hs_conn_touch(&req->server->conns, req->conn);
    if (req->body)
        r = hs_body_feed(req->body, data, *len, &err);
    else if ((req->dropped += *len) > UNWANTED_MAX)
        r = too_large(UNWANTED_MAX, &err);
    *len = 0;
    return r < 0 ? refuse_body(req, r, err.message) : MHD_YES;
}

/* ---- Headers ---- */

struct header_list {
    struct hs_http_pair pairs[HS_HTTP_HEADERS_MAX];
    size_t count; /* one more than fits: there are too many */
};

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct header_list *list = cls;
    (void) kind;
    if (list->count < HS_HTTP_HEADERS_MAX)
        list->pairs[list->count] = (struct hs_http_pair) { name, value ? value : "" };
    return list->count++ < HS_HTTP_HEADERS_MAX ? MHD_YES : MHD_NO;
}

static size_t count_header(const struct hs_http_request *req, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < req->header_count; i++)
        n += hs_str_equal_nocase(req->headers[i].name, name);
    return n;
}

/* Takes the headers over, and reads those that announce a body. Two lengths, or a length and chunks, are how requests
 * are smuggled past a proxy (RFC 9112 §6.3). */
static int read_headers(struct hs_http_request *req, uint64_t *ret_length, bool *ret_chunked, struct hs_error *err)
{
    struct header_list list = { .count = 0 };
    MHD_get_connection_values(req->mhd, MHD_HEADER_KIND, collect_header, &list);
    bool too_many = list.count > HS_HTTP_HEADERS_MAX;
    int r = hs_request_set_headers(req, list.pairs, too_many ? HS_HTTP_HEADERS_MAX : list.count, err);
    if (r < 0)
        return r;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(req->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (too_many || (info && info->header_size > req->options->header_max))
        return hs_error_set(err, HS_EHEADERS, "The request's headers are larger than %zu bytes or more than %d",
                            req->options->header_max, HS_HTTP_HEADERS_MAX);
    size_t lengths = count_header(req, "Content-Length");
    const char *text = hs_http_header(req, "Content-Length");
    int64_t length = 0;
    *ret_chunked = count_header(req, "Transfer-Encoding") > 0;
    if (lengths > 1 || (lengths == 1 && *ret_chunked))
        return hs_error_set(err, HS_EINVAL, "The length of the body is given twice");
    if (text && (!hs_str_to_int64(text, &length) || length < 0))
        return hs_error_set(err, HS_ETOOLARGE, "The Content-Length is not a usable number");
    *ret_length = (uint64_t) length;
    return 0;
}

/* Finds the route and makes the parser of the body that it takes. */
static int prepare(struct hs_http_request *req, uint64_t length, char allow[HS_HTTP_ALLOW_SIZE], struct hs_error *err)
{
    struct hs_http_server *server = req->server;
    hs_admission_begin(req);
    int r = hs_http_route_find(server->routes, server->route_count, req->method, req->path, &req->route, req->params,
                               allow);
    if (r == HS_EMETHOD)
        return hs_error_set(err, r, "Method %s is not allowed here", req->method);
    if (r < 0)
        return hs_error_set(err, r, "%s", req->options->not_found_message);
    r = hs_admission_check(req, req->route, err);
    if (r < 0)
        return r;
    if (req->route->body == HS_BODY_NONE)
        return length > UNWANTED_MAX ? too_large(UNWANTED_MAX, err) : 0;
    struct hs_body_spec spec = req->route->spec;
    if (spec.bytes_max == 0 || spec.bytes_max > server->options.body_max)
        spec.bytes_max = server->options.body_max;
    if (spec.list_max == 0)
        spec.list_max = server->options.batch_max;
    if (length > spec.bytes_max)
        return too_large(spec.bytes_max, err);
    return hs_admission_create_body(req, req->route->body, &spec, &server->budget, &req->body, err);
}

static enum MHD_Result on_headers(struct hs_http_request *req, const char *method)
{
    struct hs_http_server *server = req->server;
    struct hs_error err;
    char allow[HS_HTTP_ALLOW_SIZE] = "";
    uint64_t length = 0;
    /* Until the framing was read there may be a body; answering early is right in any case. */
    bool chunked = true;
    req->stage = HS_HTTP_AT_BODY;
    hs_str_copy(req->method, sizeof(req->method), method);
    pthread_mutex_lock(&server->lock);
    server->active++;
    pthread_mutex_unlock(&server->lock);
    hs_conn_enter(&server->conns, req->conn, HS_CONN_BODY);
    int r = read_headers(req, &length, &chunked, &err);
    if (r == 0)
        r = prepare(req, length, allow, &err);
    if (r == 0)
        return MHD_YES;
    hs_admission_refuse(req, r, allow, &err);
    if (length == 0 && !chunked) {
        /* Nothing is on its way: answered in the next call, and the connection stays. */
        req->stage = HS_HTTP_ANSWERED;
        return MHD_YES;
    }
    req->close_after = req->linger = true;
    return send_reply(req);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *len, void **req_cls)
{
    struct hs_http_request *req = *req_cls;
    (void) cls, (void) url, (void) version;
    if (!req)
        return MHD_NO;
    req->mhd = mhd;
    if (req->stage == HS_HTTP_AT_LINE)
        return on_headers(req, method);
    if (req->stage == HS_HTTP_ANSWERED || req->stage == HS_HTTP_STREAMING)
        return send_reply(req);
    if (*len > 0)
        return on_body(req, data, len);
    return req->stage == HS_HTTP_AT_BODY ? start_work(req) : MHD_YES;
}

/* ---- Connections ---- */

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct hs_http_server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*socket_context)
            hs_conn_remove(&server->conns, *socket_context);
        *socket_context = NULL;
        return;
    }
    /* The result may be overwritten by the next call (it is, from version 1.0 on). */
    int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const struct sockaddr *peer = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    *socket_context = hs_conn_add(&server->conns, fd, peer);
}

/* Called with the request line. Its result is what on_request and on_completed find. */
static void *on_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct hs_http_server *server = cls;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct hs_conn *conn = info ? info->socket_context : NULL;
    if (!conn)
        return NULL;
    struct hs_http_request *req = hs_request_create(&server->options, server->ctx, uri);
    if (req) {
        req->server = server;
        req->conn = conn;
        hs_conn_set_request(&server->conns, conn, req);
    }
    hs_conn_enter(&server->conns, conn, HS_CONN_HEADERS);
    return req;
}

static void log_access(const struct hs_http_request *req, int status, bool completed)
{
    char target[200];
    hs_str_quote(target, sizeof(target), req->target, strlen(req->target));
    unsigned long long bytes = req->stage == HS_HTTP_STREAMING ? req->stream.sent : req->reply.len;
    hs_log_info("%s %s %s %s %d %llu %.1f ms%s", req->id[0] ? req->id : "-", req->conn->remote,
                req->method[0] ? req->method : "-", target, status, bytes,
                hs_ns_to_ms(hs_clock_now_ns() - req->started_ns), completed ? "" : " (cut)");
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **req_cls, enum MHD_RequestTerminationCode code)
{
    struct hs_http_server *server = cls;
    struct hs_http_request *req = *req_cls;
    (void) mhd;
    if (!req)
        return;
    *req_cls = NULL;
    if (req->stage == HS_HTTP_STREAMING)
        hs_conn_unwatch(&server->conns, req->conn);
    if (req->linger)
        hs_conn_linger(&server->conns, req->conn);
    hs_conn_set_request(&server->conns, req->conn, NULL);
    bool cut = !hs_conn_enter(&server->conns, req->conn, HS_CONN_IDLE);
    int status = req->reply.status || !cut ? req->reply.status : hs_status_http(HS_ESLOW);
    log_access(req, status, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    pthread_mutex_lock(&server->lock);
    server->requests++;
    if (req->stage != HS_HTTP_AT_LINE && --server->active == 0)
        pthread_cond_broadcast(&server->quiet);
    pthread_mutex_unlock(&server->lock);
    if (req->stage != HS_HTTP_STREAMING || hs_http_stream_complete(&req->stream))
        hs_request_destroy(req);
}

static void log_library(void *cls, const char *format, va_list args)
{
    char text[512];
    (void) cls;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    vsnprintf(text, sizeof(text), format, args);
#pragma GCC diagnostic pop
    text[strcspn(text, "\r\n")] = '\0';
    hs_log_debug("libmicrohttpd: %s", text);
}

struct MHD_Daemon *hs_mhd_start(struct hs_http_server *server, int fd)
{
    const struct hs_http_options *o = &server->options;
    /* The library knows one limit for every pause; the finer ones are kept by the watcher. */
    int64_t pause_ms = o->idle_timeout_ms > o->body_idle_ms ? o->idle_timeout_ms : o->body_idle_ms;
    unsigned pause_s = (unsigned) ((pause_ms + 999) / 1000);
    /* One block a connection holds headers, the read buffer and the answer's headers. */
    size_t memory = 2 * o->header_max + (32 << 10);
    sigset_t before;
    hs_thread_block_signals(&before);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, server,
        MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        memory, MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t) (16 << 10), MHD_OPTION_CONNECTION_LIMIT,
        (unsigned) o->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned) o->connections_per_address,
        MHD_OPTION_CONNECTION_TIMEOUT, pause_s, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_URI_LOG_CALLBACK, on_line,
        server, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}
