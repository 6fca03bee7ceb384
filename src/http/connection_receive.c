/* Reads requests: the head, then the body until work starts. Discards input that is no longer
 * needed. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/admission.h"
#include "http/connection_internal.h"
#include "http/request.h"
#include "http/request_internal.h"
#include "http/stream.h"

enum {
    UNWANTED_MAX = 64 << 10, /* limit for reading an unexpected body, to keep the connection open */
    BLANK_LINES_MAX = 8,     /* RFC 9112, 2.2: some clients send an empty line after a body */
    IN_MIN = 2 << 10,
    UNPACK_PIECE = 64,      /* bytes of a compressed body per call of the unpacker */
    UNPACK_TURN = 64 << 10, /* unpacked bytes after which other connections get a turn */
    UNPACK_READ = 16 << 10, /* bytes of a compressed body per read */
};

/* ---- Requests ---- */

static void end_job(struct hs_http_request *req)
{
    struct hs_http_server *server = req->server;
    if (req->stage == HS_HTTP_STREAMING)
        hs_http_stream_end(&req->stream, true);
    hs_completion_queue_post(&server->completions, req, true);
}

static void run_continuation(void *arg)
{
    hs_request_run_continuation(arg);
    end_job(arg);
}

static void run_job(void *arg)
{
    struct hs_http_request *req = arg;
    struct hs_pool *long_work = req->server->long_work;
    hs_request_run(req);
    if (!req->continuation)
        end_job(req);
    else if (!long_work || hs_pool_submit(long_work, run_continuation, req, HS_NO_DEADLINE) < 0)
        run_continuation(req);
}

/* Called when the body is complete. */
static enum hs_step start_work(struct hs_conn *conn)
{
    struct hs_http_server *server = hs_conn_server(conn);
    struct hs_http_request *req = conn->request;
    struct hs_error err;
    const char *field;
    /* The deadline starts here, so that a slow upload does not shorten the time for the work. */
    req->body_end_ns = hs_clock_now_ns();
    req->deadline_ns = hs_deadline_in_ms(server->options.request_timeout_ms);
    int r = req->body ? hs_body_end(req->body, &err) : 0;
    if (r < 0) {
        hs_http_reply_error(req, r, NULL, "%s", err.message);
        return hs_conn_begin_response(conn);
    }
    hs_http_read_timeout(req, &field, NULL); /* the handler reports an invalid timeout */
    if (req->route->flags & HS_HTTP_INLINE) {
        hs_request_run(req);
        return hs_conn_begin_response(conn);
    }
    hs_conn_enter(conn, HS_CONN_WORKING);
    req->stage = HS_HTTP_HANDLING;
    conn->in_worker = true;
    bool heavy = req->route->is_heavy && req->route->is_heavy(req);
    if ((heavy ? hs_pool_submit_heavy : hs_pool_submit)(server->pool, run_job, req, req->deadline_ns) == 0)
        return HS_STEP_WAIT;
    conn->in_worker = false;
    req->stage = HS_HTTP_RECEIVING;
    hs_count(&hs_http_refusals, HS_HTTP_REFUSED_QUEUE);
    hs_http_reply_error(req, HS_EBUSY, NULL, "The server is busy, try again");
    return hs_conn_begin_response(conn);
}

enum hs_step hs_conn_refuse(struct hs_conn *conn, int code, const char *message)
{
    conn->close_after = conn->linger = true;
    hs_http_reply_error(conn->request, code, NULL, "%s", message);
    return hs_conn_begin_response(conn);
}

static int too_large(size_t max, struct hs_error *err)
{
    return hs_error_set(err, HS_ETOOLARGE, "The body is larger than %zu bytes", max);
}

/* Removes server.path_prefix from the path, so that a proxy may leave it there. */
static void strip_prefix(struct hs_http_request *req, const char *prefix)
{
    size_t len = strlen(prefix);
    char *rest = req->path + len;
    if (len == 0 || !hs_str_starts(req->path, prefix) || (rest[0] != '/' && rest[0] != '\0'))
        return;
    if (rest[0] == '/')
        memmove(req->path, rest, strlen(rest) + 1);
    else
        req->path[1] = '\0'; /* the prefix alone begins with '/' */
}

/* Finds the route and creates the parser for its body. For HS_EMETHOD, ret_allow lists the methods
 * of the path. */
static int prepare(struct hs_conn *conn, char ret_allow[HS_HTTP_ALLOW_SIZE], struct hs_error *err)
{
    struct hs_http_server *server = hs_conn_server(conn);
    struct hs_http_request *req = conn->request;
    hs_admission_begin(req);
    strip_prefix(req, server->options.path_prefix);
    int r = hs_http_route_find(server->routes, server->route_count, req->method, req->path, &req->route, req->params,
                               ret_allow);
    int allowed = r == HS_EMETHOD && strcmp(req->method, "OPTIONS") == 0
                      ? 0
                      : hs_admission_authorize(req, r == 0 ? req->route : NULL, err);
    if (allowed < 0)
        return allowed;
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

/* Best effort: a client that does not receive it sends the body after a delay anyway. */
static void send_continue(struct hs_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec piece = { (void *) (uintptr_t) text, sizeof(text) - 1 };
    ssize_t n = hs_conn_transport_write(conn, &piece, 1);
    if (n > 0)
        conn->written += n;
    /* Neither a partial line nor a TLS record that waits for the socket can be undone. */
    if ((n > 0 && (size_t) n < sizeof(text) - 1) || (n < 0 && conn->tls))
        conn->broken = true;
}

static char *end_text(uint8_t *data, struct hs_http_span span)
{
    data[span.at + span.len] = '\0';
    return (char *) data + span.at;
}

/* Overwrites API keys in the input buffer after they were copied to the request. */
static void wipe_keys(const struct hs_http_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (hs_admission_is_secret_header(pairs[i].name))
            explicit_bzero((char *) (uintptr_t) pairs[i].value, strlen(pairs[i].value));
    }
}

/* Creates the request from a parsed head. Writes a NUL after each part of the head. */
static struct hs_http_request *make_request(struct hs_conn *conn, uint8_t *data, const struct hs_http_head *head)
{
    struct hs_http_server *server = hs_conn_server(conn);
    struct hs_http_pair pairs[HS_HTTP_HEADERS_MAX];
    char target[HS_HTTP_METHOD_SIZE] = "";
    const char *sent = target;
    for (size_t i = 0; head && i < head->field_count; i++)
        pairs[i] =
            (struct hs_http_pair) { end_text(data, head->fields[i].name), end_text(data, head->fields[i].value) };
    if (head && head->target.len > 0)
        sent = end_text(data, head->target);
    struct hs_http_request *req = hs_request_create(&server->current->options, server->current->ctx, sent);
    if (req) {
        req->revision = server->current;
        req->revision->refs++;
    }
    int r = req ? hs_request_set_headers(req, pairs, head ? head->field_count : 0, NULL) : HS_ENOMEM;
    wipe_keys(pairs, head ? head->field_count : 0);
    if (r < 0) {
        hs_request_destroy(req);
        return NULL;
    }
    if (head && head->method.len > 0)
        hs_str_copy(req->method, sizeof(req->method), end_text(data, head->method));
    req->server = server;
    req->conn = conn;
    hs_request_set_peer(req, conn->peer, conn->tls != NULL);
    conn->request = req;
    conn->body_seen = 0;
    pthread_mutex_lock(&server->lock);
    server->active++;
    pthread_mutex_unlock(&server->lock);
    return req;
}

enum hs_step hs_conn_refuse_head(struct hs_conn *conn, const struct hs_http_head *head, int code, const char *message)
{
    conn->close_after = conn->linger = true;
    struct hs_http_request *req = make_request(conn, conn->in + conn->in_at, head);
    if (conn->in)
        explicit_bzero(conn->in + conn->in_at, conn->in_len - conn->in_at); /* may have an API key that was not read */
    conn->in_at = conn->in_len;
    return req ? hs_conn_refuse(conn, code, message) : hs_conn_send_static(conn);
}

static enum hs_step begin_request(struct hs_conn *conn, size_t len)
{
    struct hs_http_head head;
    struct hs_error err;
    char allow[HS_HTTP_ALLOW_SIZE];
    uint8_t *data = conn->in + conn->in_at;
    conn->close_after = conn->linger = conn->http10 = false;
    conn->blank_lines = 0;
    conn->scan = (struct hs_http_head_scan) { 0 };
    int r = hs_http_head_parse(data, len, &head, &err);
    if (r < 0)
        return hs_conn_refuse_head(conn, &head, r, err.message);
    struct hs_http_request *req = make_request(conn, data, &head);
    if (!req)
        return hs_conn_send_static(conn);
    conn->in_at += len;
    conn->http10 = head.minor == 0;
    conn->close_after = !head.keep_alive;
    conn->is_chunked = head.chunked;
    conn->chunked = (struct hs_chunked) { .trailer_max = hs_conn_options(conn)->header_max };
    conn->body_left = head.length;
    hs_conn_enter(conn, HS_CONN_BODY);
    bool has_body = head.chunked || head.length > 0;
    if (conn->redirects) {
        hs_admission_redirect(req);
    } else if (strcmp(req->path, "*") == 0) { /* OPTIONS for the server in general */
        hs_http_add_header(req, "Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS");
        hs_http_reply_bytes(req, 204, "", NULL, 0);
    } else if ((r = prepare(conn, allow, &err)) < 0) {
        hs_admission_refuse(req, r, allow, &err);
    }
    if (req->reply.status != 0) {
        /* An unread body ends the connection. */
        conn->close_after |= has_body;
        conn->linger |= has_body;
        return hs_conn_begin_response(conn);
    }
    if (!has_body)
        return start_work(conn);
    if (head.expects_continue && conn->in_at == conn->in_len)
        send_continue(conn);
    return HS_STEP_RUN;
}

/* ---- Reading ---- */

/* Makes room for `more` bytes after the received ones. */
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

/* Returns false if an empty line before the request line may be incomplete. */
static bool skip_blank_lines(struct hs_conn *conn)
{
    while (conn->in_len - conn->in_at >= 2 && conn->blank_lines < BLANK_LINES_MAX &&
           memcmp(conn->in + conn->in_at, "\r\n", 2) == 0) {
        conn->in_at += 2;
        conn->blank_lines++;
    }
    return conn->in_len - conn->in_at != 1 || conn->in[conn->in_at] != '\r' || conn->blank_lines == BLANK_LINES_MAX;
}

enum hs_step hs_conn_read_head(struct hs_conn *conn)
{
    const struct hs_http_options *options = hs_conn_options(conn);
    bool whole_lines = skip_blank_lines(conn);
    size_t len = conn->in_len - conn->in_at;
    if (len == 0) {
        hs_conn_drop_input(conn);
        return conn->ended ? hs_conn_abort(conn) : HS_STEP_WAIT;
    }
    if (!whole_lines && !conn->ended)
        return HS_STEP_WAIT;
    if (conn->phase == HS_CONN_IDLE)
        hs_conn_enter(conn, HS_CONN_HEAD);
    conn->phase = HS_CONN_HEAD; /* the time of a FRESH connection starts when it connects */
    if (conn->secure && !conn->tls)
        return hs_conn_refuse_head(conn, NULL, HS_EINVAL, "This port accepts only https");
    const uint8_t *data = conn->in + conn->in_at;
    if (!hs_http_is_token_char(data[0]))
        return hs_conn_refuse_head(conn, NULL, HS_EINVAL, "The request line does not begin with a method");
    size_t end = hs_http_head_find_end(data, len, &conn->scan);
    if (end == 0 ? len >= options->header_max : end > options->header_max) {
        bool in_line = conn->scan.line == 0;
        char message[100];
        hs_str_format(message, sizeof(message), "The request's %s larger than %zu bytes",
                      in_line ? "target is" : "headers are", options->header_max);
        return hs_conn_refuse_head(conn, NULL, in_line ? HS_EURI : HS_EHEADERS, message);
    }
    if (end > 0)
        return begin_request(conn, end);
    return conn->ended ? hs_conn_refuse_head(conn, NULL, HS_EINVAL, "The request ends before its headers do")
                       : HS_STEP_WAIT;
}

/* Handles a piece of the body, without framing. */
static int take_body(struct hs_conn *conn, const uint8_t *data, size_t len, struct hs_error *err)
{
    struct hs_http_request *req = conn->request;
    conn->body_seen += len;
    if (req->body)
        return hs_body_feed(req->body, data, len, err);
    return (req->dropped += len) > UNWANTED_MAX ? too_large(UNWANTED_MAX, err) : 0;
}

/* Feeds bytes to the body parser; *ret_used of them belong to this request. */
static enum hs_step feed_body(struct hs_conn *conn, const uint8_t *data, size_t len, size_t *ret_used)
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
        return hs_conn_refuse(conn, r, err.message);
    return done ? start_work(conn) : HS_STEP_WAIT;
}

/* Like feed_body, but stops a compressed body after its turn, because a few of its bytes can unpack
 * to a thousand times as many. */
static enum hs_step feed_limited(struct hs_conn *conn, const uint8_t *data, size_t len, size_t *ret_used)
{
    const struct hs_body *body = conn->request->body;
    if (!body || !hs_body_is_compressed(body))
        return feed_body(conn, data, len, ret_used);
    size_t before = hs_body_inflated_bytes(body), at = 0, used;
    enum hs_step step = HS_STEP_WAIT;
    while (conn->phase == HS_CONN_BODY && at < len && hs_body_inflated_bytes(body) - before < UNPACK_TURN) {
        step = feed_body(conn, data + at, len - at < UNPACK_PIECE ? len - at : UNPACK_PIECE, &used);
        at += used;
    }
    *ret_used = at;
    return step;
}

bool hs_conn_has_pending_body(const struct hs_conn *conn)
{
    return conn->phase == HS_CONN_BODY && conn->in_at < conn->in_len;
}

enum hs_step hs_conn_read_body(struct hs_conn *conn)
{
    enum hs_step step = HS_STEP_WAIT;
    if (conn->in_at < conn->in_len) {
        size_t used;
        uint8_t *in = conn->in;
        step = feed_limited(conn, in + conn->in_at, conn->in_len - conn->in_at, &used);
        if (conn->in == in) { /* otherwise the connection is closing */
            conn->in_at += used;
            if (conn->in_at == conn->in_len)
                hs_conn_drop_input(conn);
        }
    }
    if (step == HS_STEP_WAIT && conn->phase == HS_CONN_BODY && conn->ended && !hs_conn_has_pending_body(conn))
        return hs_conn_refuse(conn, HS_EINVAL, "The request ends before its body does");
    return step;
}

bool hs_conn_receive(struct hs_conn *conn)
{
    const struct hs_http_options *options = hs_conn_options(conn);
    bool body = conn->phase == HS_CONN_BODY;
    bool packed = body && conn->request->body && hs_body_is_compressed(conn->request->body);
    size_t held = conn->in_len - conn->in_at, room = packed ? UNPACK_READ : HS_CONN_SCRATCH;
    if (hs_conn_has_pending_body(conn))
        return false;
    if (body && !conn->is_chunked && conn->body_left < room)
        room = (size_t) conn->body_left; /* leave the bytes after the body in the socket */
    else if (!body)
        room = options->header_max > held ? options->header_max - held : 1;
    room = room < HS_CONN_SCRATCH ? room : HS_CONN_SCRATCH;
    ssize_t n = hs_conn_transport_read(conn, conn->list->scratch, room);
    if (n <= 0) {
        conn->ended |= n == 0;
        conn->broken |= n < 0 && !hs_conn_would_block();
        return false;
    }
    conn->last_data_ns = hs_clock_now_ns();
    size_t used = 0;
    if (body && held == 0)
        feed_limited(conn, conn->list->scratch, (size_t) n, &used);
    if (conn->phase == HS_CONN_CLOSED || used == (size_t) n)
        return conn->phase == HS_CONN_BODY && (size_t) n == room && !packed;
    if (!reserve_input(conn, (size_t) n - used)) {
        conn->broken = true;
        return false;
    }
    memcpy(conn->in + conn->in_len, conn->list->scratch + used, (size_t) n - used);
    conn->in_len += (size_t) n - used;
    if (!body)
        explicit_bzero(conn->list->scratch, (size_t) n); /* a head may have an API key: see wipe_keys */
    return false;
}

void hs_conn_discard(struct hs_conn *conn)
{
    ssize_t n = hs_conn_transport_drop(conn);
    if (n == 0 || (n < 0 && !hs_conn_would_block()) || (n > 0 && (size_t) n >= conn->linger_left))
        hs_conn_close(conn);
    else if (n > 0)
        conn->linger_left -= (size_t) n;
}
