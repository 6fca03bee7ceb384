/* Tests the real server on a real socket: framing, limits, cancellation, drain. */
#include "entries.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../alloc_fail.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/param.h"
#include "http/request.h"
#include "http/request_internal.h"
#include "http/server.h"

/* ---- The service under test ---- */

/* Blocks /wait handlers until it is opened. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int inside, cancelled;
};

static void gate_wake(void *arg)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void handle_health(struct hs_http_request *req)
{
    hs_http_reply_json(req, 200, json_pack("{s:s}", "status", "ok"));
}

static void handle_stats(struct hs_http_request *req)
{
    struct hs_http_stats stats;
    hs_http_stats_of(req, &stats);
    hs_http_reply_json(req, 200, json_pack("{s:I}", "queued", (json_int_t) stats.queued));
}

static void handle_wait(struct hs_http_request *req)
{
    struct gate *gate = hs_http_context(req);
    struct hs_cancel *cancel = hs_http_cancel(req);
    hs_cancel_watch(cancel, gate_wake, gate);
    pthread_mutex_lock(&gate->lock);
    gate->inside++;
    pthread_cond_broadcast(&gate->changed);
    for (;;) {
        bool open = gate->open;
        pthread_mutex_unlock(&gate->lock);
        bool cancelled = hs_cancel_is_set(cancel);
        pthread_mutex_lock(&gate->lock);
        if (open || cancelled) {
            gate->cancelled += cancelled;
            break;
        }
        if (!gate->open)
            hs_cond_wait_until(&gate->changed, &gate->lock, hs_deadline_in_ms(20));
    }
    gate->inside--;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
    hs_cancel_unwatch(cancel);
    hs_http_reply_json(req, 200, json_pack("{s:b}", "waited", 1));
}

static void handle_echo(struct hs_http_request *req)
{
    uint8_t *data;
    size_t len;
    struct hs_error err;
    double threshold;
    int r = hs_body_take_file(hs_http_body(req), "image", &data, &len, &err);
    if (r < 0) {
        hs_http_reply_error(req, r, "image", "%s", err.message);
        return;
    }
    r = hs_param_double(hs_http_body(req), "confidence_threshold", 0, 1, 0.5, &threshold, &err);
    free(data);
    if (r < 0)
        hs_http_reply_error(req, r, "confidence_threshold", "%s", err.message);
    else
        hs_http_reply_json(req, 200, json_pack("{s:I, s:f}", "bytes", (json_int_t) len, "threshold", threshold));
}

static void handle_item(struct hs_http_request *req)
{
    const char *color = hs_http_query(req, "color");
    hs_http_add_header(req, "X-Extra", "yes");
    hs_http_add_header(req, "X-Bad", "a\r\nInjected: 1");
    hs_http_reply_json(req, 200,
                       json_pack("{s:s, s:s}", "name", hs_http_param(req, 0), "color", color ? color : "none"));
}

static void handle_big(struct hs_http_request *req)
{
    size_t len = 3 << 20;
    uint8_t *data = calloc(1, len);
    hs_http_reply_bytes(req, 200, "application/octet-stream", data, data ? len : 0);
}

/* Larger than the system's buffers for a connection. */
static void handle_huge(struct hs_http_request *req)
{
    size_t len = 24 << 20;
    uint8_t *data = calloc(1, len);
    hs_http_reply_bytes(req, 200, "application/octet-stream", data, data ? len : 0);
}

static void handle_without_memory(struct hs_http_request *req)
{
    hs_http_reply_json(req, 200, NULL);
}

static void handle_deep(struct hs_http_request *req)
{
    json_t *value = json_array();
    for (int i = 0; i < 2 * HS_JSON_DEPTH_MAX; i++)
        value = json_pack("[o]", value);
    hs_http_reply_json(req, 200, value);
}

static int check_closed(struct hs_http_request *req)
{
    bool closed = hs_http_header(req, "X-Closed") != NULL;
    if (closed)
        hs_http_reply_error(req, HS_ENOTREADY, NULL, "This route is closed");
    return closed;
}

static bool is_heavy(struct hs_http_request *req)
{
    const uint8_t *data;
    size_t len;
    return hs_body_peek(hs_http_body(req), 0, &data, &len) && len == 3 && memcmp(data, "\xff\xff\xff", 3) == 0;
}

static void handle_long(struct hs_http_request *req)
{
    hs_http_continue_with(req, handle_wait);
}

static bool is_marked_heavy(struct hs_http_request *req)
{
    const char *word = hs_http_peek_query(req, "heavy");
    return word && strcmp(word, "yes") == 0;
}

/* Reads only 'a', and returns the unused query arguments. */
static void handle_unused(struct hs_http_request *req)
{
    char names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE] = { "", "" };
    hs_http_query(req, "a");
    size_t count = hs_http_query_unused(req, names);
    hs_http_reply_json(req, 200, json_pack("{s:I, s:s}", "unused", (json_int_t) count, "first", names[0]));
}

static void handle_nothing(struct hs_http_request *req)
{
    (void) req;
}

static const char *const image_field[] = { "image", NULL };
static const struct hs_http_route routes[] = {
    { .method = "GET", .path = "/health", .handle = handle_health, .flags = HS_HTTP_INLINE },
    { .method = "GET", .path = "/stats", .handle = handle_stats, .flags = HS_HTTP_INLINE },
    { .method = "GET", .path = "/wait", .handle = handle_wait },
    { .method = "POST",
      .path = "/echo",
      .handle = handle_echo,
      .body = HS_BODY_FORM_ELSE_JSON,
      .spec = { .files = image_field } },
    { .method = "POST",
      .path = "/small",
      .handle = handle_echo,
      .body = HS_BODY_FORM_OR_JSON,
      .spec = { .files = image_field, .bytes_max = 1000 } },
    { .method = "GET", .path = "/items/{name}", .handle = handle_item },
    { .method = "DELETE", .path = "/items/{name}", .handle = handle_item },
    { .method = "GET", .path = "/big", .handle = handle_big },
    { .method = "GET", .path = "/huge", .handle = handle_huge },
    { .method = "GET", .path = "/no-memory", .handle = handle_without_memory },
    { .method = "GET", .path = "/deep", .handle = handle_deep },
    { .method = "POST",
      .path = "/checked",
      .handle = handle_echo,
      .body = HS_BODY_FORM_OR_JSON,
      .spec = { .files = image_field },
      .check = check_closed },
    { .method = "POST",
      .path = "/heavy",
      .handle = handle_wait,
      .body = HS_BODY_FORM_ELSE_JSON,
      .spec = { .files = image_field },
      .is_heavy = is_heavy },
    { .method = "GET", .path = "/nothing", .handle = handle_nothing },
    { .method = "GET", .path = "/long", .handle = handle_long },
    { .method = "GET", .path = "/unused", .handle = handle_unused, .is_heavy = is_marked_heavy },
    { .method = "GET", .path = "/change", .handle = handle_health, .flags = HS_HTTP_INLINE | HS_HTTP_CHANGES },
};

struct fixture {
    struct hs_http_options options;
    struct hs_http_server *server;
    struct gate gate;
};

static struct fixture *set_up(void (*change)(struct hs_http_options *options))
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct hs_error err;
    hs_log_setup("test", HS_LOG_ERROR, HS_LOG_TEXT);
    pthread_mutex_init(&f->gate.lock, NULL);
    hs_cond_init(&f->gate.changed);
    hs_http_options_init(&f->options);
    f->options.body_max = 1 << 20;
    f->options.bodies_max = 4 << 20;
    if (change)
        change(&f->options);
    int r = hs_http_create(&f->options, routes, sizeof(routes) / sizeof(routes[0]), &f->gate, &f->server, &err);
    if (r == 0)
        r = hs_http_start(f->server, &err);
    if (r < 0)
        fail_msg("%s", err.message);
    return f;
}

static void tear_down(struct fixture *f)
{
    hs_http_destroy(f->server);
    pthread_mutex_destroy(&f->gate.lock);
    pthread_cond_destroy(&f->gate.changed);
    free(f);
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

/* Waits until exactly `inside` handlers wait at the gate. */
static void gate_expect(struct gate *gate, int inside)
{
    int64_t deadline = hs_deadline_in_ms(10000);
    pthread_mutex_lock(&gate->lock);
    int r = 0;
    while (gate->inside != inside && r == 0)
        r = hs_cond_wait_until(&gate->changed, &gate->lock, deadline);
    int got = gate->inside;
    pthread_mutex_unlock(&gate->lock);
    assert_int_equal(got, inside);
}

/* ---- A client ---- */

static int port_of(const struct fixture *f)
{
    return (int) strtol(strrchr(hs_http_address(f->server), ':') + 1, NULL, 10);
}

static int dial_from(const struct fixture *f, const char *own)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t) port_of(f)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { .tv_sec = 10 };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (own) {
        struct sockaddr_in from = { .sin_family = AF_INET };
        assert_int_equal(inet_pton(AF_INET, own, &from.sin_addr), 1);
        assert_int_equal(bind(fd, (struct sockaddr *) &from, sizeof(from)), 0);
    }
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    return fd;
}

static int dial(const struct fixture *f)
{
    return dial_from(f, NULL);
}

static bool put(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t) n;
    }
    return true;
}

static void send_text(int fd, const char *text)
{
    assert_true(put(fd, text, strlen(text)));
}

static bool try_send_text(int fd, const char *text)
{
    return put(fd, text, strlen(text));
}

struct answer {
    int status;
    char head[4096], *body;
    size_t len;
};

/* Reads one byte at a time up to the empty line, so that a pipelined response stays in the socket. */
static bool read_head(int fd, struct answer *a)
{
    size_t len = 0;
    while (len + 1 < sizeof(a->head)) {
        if (recv(fd, a->head + len, 1, 0) != 1)
            return false;
        a->head[++len] = '\0';
        if (len >= 4 && memcmp(a->head + len - 4, "\r\n\r\n", 4) == 0) {
            a->status = strncmp(a->head, "HTTP/1.1 ", 9) == 0 ? (int) strtol(a->head + 9, NULL, 10) : 0;
            return a->status > 0;
        }
    }
    return false;
}

static bool read_answer(int fd, struct answer *a, bool has_body)
{
    *a = (struct answer) { 0 };
    if (!read_head(fd, a))
        return false;
    const char *length = strcasestr(a->head, "\r\nContent-Length: ");
    a->len = length && has_body ? (size_t) strtol(length + 18, NULL, 10) : 0;
    a->body = calloc(1, a->len + 1);
    size_t got = 0;
    while (got < a->len) {
        ssize_t n = recv(fd, a->body + got, a->len - got, 0);
        if (n <= 0)
            return false;
        got += (size_t) n;
    }
    return true;
}

static void expect(int fd, int status, const char *body)
{
    struct answer a;
    assert_true(read_answer(fd, &a, true));
    if (a.status != status || (body && !strstr(a.body, body)))
        fail_msg("wanted %d %s, got %s%s", status, body ? body : "", a.head, a.body);
    free(a.body);
}

static void expect_end(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static void ask(const struct fixture *f, const char *request, int status, const char *body)
{
    int fd = dial(f);
    send_text(fd, request);
    expect(fd, status, body);
    close(fd);
}

/* Sends a POST with the correct Content-Length. */
static void post(int fd, const char *path, const char *type, const char *body)
{
    char head[512];
    snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", path,
             type, strlen(body));
    send_text(fd, head);
    send_text(fd, body);
}

static void ask_post(const struct fixture *f, const char *path, const char *type, const char *body, int status,
                     const char *want)
{
    int fd = dial(f);
    post(fd, path, type, body);
    expect(fd, status, want);
    close(fd);
}

/* ---- Routes and framing ---- */

static void test_keep_alive(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int fd = dial(f);
    for (int i = 0; i < 5; i++) {
        send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fd, 200, "{\"status\": \"ok\"}");
    }
    post(fd, "/echo", "application/json", "{\"image\": \"aGFsbG8xMg=\"}");
    expect(fd, 400, "Invalid base64: incorrect padding");
    post(fd, "/echo", "image/jpeg", "{\"image\": \"aGFsbG8=\"}");
    expect(fd, 200, "{\"bytes\": 5, \"threshold\": 0.5}");
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(fd, 200, NULL);
    expect_end(fd);
    close(fd);
    tear_down(f);
}

static void test_head(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct answer a;
    int fd = dial(f);
    send_text(fd, "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_answer(fd, &a, false));
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.head, "Content-Length: 17"));
    assert_non_null(strstr(a.head, "Content-Type: application/json; charset=utf-8"));
    assert_non_null(strstr(a.head, "Date: "));
    free(a.body);
    /* The next response starts directly after the head, because no body was sent. */
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "ok");
    close(fd);
    tear_down(f);
}

static void test_routes(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct answer a;
    ask(f, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n", 404,
        "{\"error\": {\"message\": \"Not found\", \"type\": \"invalid_request_error\", \"code\": \"not_found\"}}");
    ask(f, "GET /health/ HTTP/1.1\r\nHost: x\r\n\r\n", 404, NULL);
    ask(f, "GET /items/ HTTP/1.1\r\nHost: x\r\n\r\n", 404, NULL);
    ask(f, "GET /items/a/b HTTP/1.1\r\nHost: x\r\n\r\n", 404, NULL);
    ask(f, "GET /items/J%C3%B6rg?a=1&color=dark+red HTTP/1.1\r\nHost: x\r\n\r\n", 200,
        "{\"name\": \"J\\u00f6rg\", \"color\": \"dark red\"}");
    ask(f, "GET /items/a?c%6Flor=re%64 HTTP/1.1\r\nHost: x\r\n\r\n", 200, "\"color\": \"red\"");
    ask(f, "GET /items/a?&&color&color=red&& HTTP/1.1\r\nHost: x\r\n\r\n", 200, "\"color\": \"\"");
    ask(f, "GET /items/a?b=&=c&color==%26&color=x HTTP/1.1\r\nHost: x\r\n\r\n", 200, "\"color\": \"=&\"");
    ask(f, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 500, "internal_error");
    int fd = dial(f);
    send_text(fd, "OPTIONS /items/x HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.status, 204);
    assert_non_null(strstr(a.head, "Allow: GET, HEAD, DELETE, OPTIONS\r\n"));
    free(a.body);
    send_text(fd, "PUT /items/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.status, 405);
    assert_non_null(strstr(a.head, "Allow: GET, HEAD, DELETE, OPTIONS\r\n"));
    assert_non_null(strstr(a.body, "method_not_allowed"));
    free(a.body);
    send_text(fd, "GET /items/x HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_answer(fd, &a, true));
    assert_non_null(strstr(a.head, "X-Extra: yes\r\n"));
    assert_null(strstr(a.head, "Injected"));
    free(a.body);
    close(fd);
    tear_down(f);
}

/* RFC 9112, 3.2.2 */
static void test_absolute_target(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    ask(f, "GET http://localhost/change HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Site: same-origin\r\n\r\n", 200,
        "ok");
    ask(f, "GET http://evil.example/change HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n\r\n", 403,
        "evil.example");
    tear_down(f);
}

static void test_request_id(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct answer a;
    int fd = dial(f);
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\nx-request-id: abc.DEF_1-2\r\n\r\n");
    assert_true(read_answer(fd, &a, true));
    assert_non_null(strstr(a.head, "X-Request-Id: abc.DEF_1-2\r\n"));
    free(a.body);
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: no spaces please\r\n\r\n");
    assert_true(read_answer(fd, &a, true));
    assert_null(strstr(a.head, "spaces"));
    const char *id = strstr(a.head, "X-Request-Id: ");
    assert_non_null(id);
    assert_int_equal(strspn(id + 14, "0123456789abcdef"), 32);
    free(a.body);
    close(fd);
    tear_down(f);
}

static void test_pipeline(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int fd = dial(f);
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /items/a HTTP/1.1\r\nHost: x\r\n\r\n"
                  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{\"image\": \"aaaa\"}"
                  "GET /items/b HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "ok");
    expect(fd, 200, "\"a\"");
    expect(fd, 200, "\"bytes\": 3");
    expect(fd, 200, "\"b\"");
    close(fd);
    tear_down(f);
}

static void test_chunked(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int fd = dial(f);
    send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    send_text(fd, "5\r\n{\"ima\r\n1\r\ng\r\n");
    send_text(fd, "b\r\ne\": \"aaaaaa\r\n4\r\naa\"}\r\n0\r\n\r\n");
    expect(fd, 200, "\"bytes\": 6");
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "ok");
    close(fd);
    ask(f, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400,
        NULL);
    tear_down(f);
}

static void test_multipart(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    const char *form = "multipart/form-data; boundary=B", *json = "application/json", *detail;
    ask_post(f, "/echo", form,
             "--B\r\nContent-Disposition: form-data; name=\"confidence_threshold\"\r\n\r\n0.25\r\n"
             "--B\r\nContent-Disposition: form-data; name=image\r\n\r\nabcd\r\n--B--\r\n",
             200, "{\"bytes\": 4, \"threshold\": 0.25}");
    ask_post(f, "/echo", "multipart/form-data", "abc", 400, "boundary");
    ask_post(f, "/small", "text/plain", "{}", 415, "unsupported_media_type");
    ask_post(f, "/echo", json, "", 400, "Invalid JSON: the body is empty");
    detail = "{\"error\": {\"message\": \"Missing 'image' field\", \"type\": \"invalid_request_error\", "
             "\"code\": \"missing_field\", \"field\": \"image\"}}";
    ask_post(f, "/echo", json, "{}", 400, detail);
    ask_post(f, "/echo", json, "{\"image\": \"aaaa\", \"confidence_threshold\": 1.5}", 400,
             "confidence_threshold: must be between 0 and 1, not 1.5");
    tear_down(f);
}

static void test_expect(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct answer a;
    int fd = dial(f);
    send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n");
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.status, 100);
    free(a.body);
    send_text(fd, "{\"image\": \"aaaa\"}");
    expect(fd, 200, NULL);
    /* The server sends no 100 Continue for a body that it will reject. */
    send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    expect(fd, 413, "too_large");
    expect_end(fd);
    close(fd);
    tear_down(f);
}

/* ---- Limits ---- */

static void test_too_large(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct answer a;
    /* Sends the whole body before reading the response, as simple clients do. */
    size_t len = 8 << 20;
    char *body = calloc(1, len);
    memset(body, 'a', len);
    int fd = dial(f);
    send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n");
    put(fd, body, len);
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.status, 413);
    assert_non_null(strstr(a.head, "Connection: close\r\n"));
    free(a.body);
    expect_end(fd);
    close(fd);

    fd = dial(f);
    send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n{\"image\": \"");
    put(fd, body, len - 11);
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.status, 413);
    assert_non_null(strstr(a.body, "larger than 1048576 bytes"));
    assert_non_null(strstr(a.head, "X-Request-Id: "));
    free(a.body);
    expect_end(fd);
    close(fd);

    fd = dial(f);
    send_text(fd, "POST /small HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1001\r\n\r\n");
    expect(fd, 413, "larger than 1000 bytes");
    close(fd);
    /* Rejected in the middle of the body: malformed. */
    fd = dial(f);
    send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n{\"image\": \"a\n");
    expect(fd, 400, "Invalid JSON: control character in a string (line 1, column 13)");
    close(fd);
    struct hs_http_stats stats;
    hs_http_stats(f->server, &stats);
    assert_int_equal(stats.body_bytes, 0);
    free(body);
    tear_down(f);
}

static void test_headers_too_large(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    char filler[20001];
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    int fd = dial(f);
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ");
    send_text(fd, filler);
    send_text(fd, "\r\n\r\n");
    expect(fd, 431, "headers_too_large");
    close(fd);
    /* Far more than the server stores. */
    struct answer a;
    fd = dial(f);
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ");
    for (int i = 0; i < 20; i++)
        put(fd, filler, sizeof(filler) - 1);
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.status, 431);
    free(a.body);
    close(fd);
    ask(f, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL);
    tear_down(f);
}

static void small_memory(struct hs_http_options *options)
{
    options->body_max = options->bodies_max = 1 << 20;
}

static void test_memory_bound(void **state)
{
    (void) state;
    struct fixture *f = set_up(small_memory);
    struct hs_http_stats stats;
    char *body = malloc(600000);
    memset(body, 'a', 600000);
    const char *head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\n"
                       "Content-Length: 700000\r\n\r\n--B\r\nContent-Disposition: form-data; name=image\r\n\r\n";
    int first = dial(f), second = dial(f);
    struct answer a;
    send_text(first, head);
    assert_true(put(first, body, 600000));
    int64_t deadline = hs_deadline_in_ms(5000);
    do
        hs_http_stats(f->server, &stats);
    while (stats.body_bytes < 600000 && hs_clock_now_ns() < deadline);
    assert_in_range(stats.body_bytes, 600000, 1 << 20);
    send_text(second, head);
    put(second, body, 600000);
    assert_true(read_answer(second, &a, true));
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.head, "Retry-After: 1\r\n"));
    assert_non_null(strstr(a.body, "\"code\": \"busy\""));
    free(a.body);
    close(first);
    close(second);
    free(body);
    tear_down(f);
}

static void short_timeouts(struct hs_http_options *options)
{
    options->header_timeout_ms = 200;
    options->body_idle_ms = 200;
    options->body_timeout_ms = 500;
    options->idle_timeout_ms = 400;
}

static void test_slow_clients(void **state)
{
    (void) state;
    struct fixture *f = set_up(short_timeouts);
    int silent = dial(f), header = dial(f), body = dial(f), idle = dial(f), drip = dial(f);
    send_text(header, "GET /health HTTP/1.1\r\nHost: x\r\n");
    send_text(body, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"ima");
    send_text(idle, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    send_text(drip, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{");
    expect(idle, 200, NULL);
    expect_end(silent);
    expect(header, 408, "request_timeout");
    expect_end(header);
    expect(body, 408, "request_timeout");
    expect_end(body);
    expect_end(idle);
    /* A slow trickle of bytes avoids the pause limit, but not the limit of the whole body. */
    int64_t start = hs_clock_now_ns();
    struct timeval pause = { .tv_usec = 50000 };
    setsockopt(drip, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof(pause));
    char c;
    while (recv(drip, &c, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EINTR) && put(drip, " ", 1))
        assert_true(hs_clock_now_ns() - start < 5 * HS_NS_PER_S);
    struct hs_http_stats stats;
    hs_http_stats(f->server, &stats);
    assert_true(stats.timed_out >= 4);
    close(silent), close(header), close(body), close(idle), close(drip);
    tear_down(f);
}

static void few_connections(struct hs_http_options *options)
{
    options->connections_per_address = 3;
}

static void test_connections_per_address(void **state)
{
    (void) state;
    struct fixture *f = set_up(few_connections);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial(f);
        send_text(fds[i], "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(fds[i], 200, NULL);
    }
    int refused = dial(f);
    expect_end(refused);
    close(refused);
    close(fds[0]);
    /* A slot is free after the server detects the close. */
    int64_t deadline = hs_deadline_in_ms(5000);
    struct hs_http_stats stats;
    do
        hs_http_stats(f->server, &stats);
    while (stats.connections > 2 && hs_clock_now_ns() < deadline);
    int fd = -1;
    bool served = false;
    while (!served && hs_clock_now_ns() < deadline) {
        struct answer a = { 0 };
        fd = dial(f);
        served = try_send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n") && read_answer(fd, &a, true);
        free(a.body);
        close(fd);
    }
    assert_true(served);
    close(fds[1]);
    close(fds[2]);
    tear_down(f);
}

static void three_connections_two_of_an_address(struct hs_http_options *options)
{
    options->connections_max = 3;
    options->connections_per_address = 2;
}

/* An address with too many connections cannot evict those of other addresses. */
static void test_refused_connection_evicts_none(void **state)
{
    (void) state;
    struct fixture *f = set_up(three_connections_two_of_an_address);
    static const char request[] = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    int other = dial_from(f, "127.0.0.2"), own[2];
    send_text(other, request);
    expect(other, 200, NULL);
    for (int i = 0; i < 2; i++) {
        own[i] = dial(f);
        send_text(own[i], request);
        expect(own[i], 200, NULL);
    }
    int refused = dial(f);
    expect_end(refused);
    send_text(other, request);
    expect(other, 200, NULL);
    close(refused), close(own[0]), close(own[1]), close(other);
    tear_down(f);
}

static void two_connections(struct hs_http_options *options)
{
    options->connections_max = 2;
    options->header_timeout_ms = 400;
}

static void test_connections_total(void **state)
{
    (void) state;
    struct fixture *f = set_up(two_connections);
    int first = dial(f), second = dial(f);
    send_text(first, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(first, 200, NULL);
    send_text(second, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(second, 200, NULL);
    /* Idle connections use all slots; the oldest one is evicted. */
    int third = dial(f);
    send_text(third, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(third, 200, NULL);
    expect_end(first);
    close(first), close(second), close(third);
    tear_down(f);
}

/* A connection whose request is handled keeps its slot, and the client in excess waits for one. */
static void test_busy_connections_are_not_evicted(void **state)
{
    (void) state;
    struct fixture *f = set_up(two_connections);
    int busy[2], third;
    for (int i = 0; i < 2; i++) {
        busy[i] = dial(f);
        send_text(busy[i], "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    gate_expect(&f->gate, 2);
    third = dial(f);
    send_text(third, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    usleep(100000);
    gate_open(&f->gate);
    for (int i = 0; i < 2; i++)
        expect(busy[i], 200, "waited");
    assert_int_equal(f->gate.cancelled, 0);
    close(busy[0]), close(busy[1]);
    expect(third, 200, NULL);
    close(third);
    tear_down(f);
}

/* Connects and disconnects `count` clients, and waits until the server has noticed. */
static void connect_often(struct fixture *f, int count)
{
    struct hs_http_stats stats;
    int64_t deadline = hs_deadline_in_ms(10000);
    for (int i = 0; i < count; i++) {
        int fd = dial(f);
        send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        expect(fd, 200, NULL);
        close(fd);
    }
    do
        hs_http_stats(f->server, &stats);
    while (stats.connections > 0 && hs_clock_now_ns() < deadline);
    assert_int_equal(stats.connections, 0);
    ask(f, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200, "ok");
}

/* The memory of closed connections is freed while the server runs. */
static void test_closed_connections_are_freed(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    hs_alloc_watch_leaks();
    connect_often(f, 10);
    size_t before = hs_alloc_live();
    connect_often(f, 200);
    assert_true(hs_alloc_live() < before + 100);
    tear_down(f);
}

static void four_connections(struct hs_http_options *options)
{
    options->connections_max = 4;
}

/* Silent connections, and one that stopped inside its headers, do not block other clients. */
static void test_silent_connections_make_room(void **state)
{
    (void) state;
    struct fixture *f = set_up(four_connections);
    int silent[20];
    for (int i = 0; i < 20; i++)
        silent[i] = dial(f);
    for (int i = 0; i < 3; i++)
        ask(f, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200, "ok");
    struct hs_http_stats stats;
    hs_http_stats(f->server, &stats);
    assert_true(stats.connections <= 4);
    for (int i = 0; i < 20; i++) {
        if (i < 16)
            expect_end(silent[i]);
        close(silent[i]);
    }
    tear_down(f);
}

/* ---- Unread responses ---- */

static void little_memory_for_responses(struct hs_http_options *options)
{
    options->responses_max = 40 << 20;
}

static void no_memory_for_responses(struct hs_http_options *options)
{
    options->responses_max = 1 << 20;
}

static int ask_without_reading(const struct fixture *f, const char *request)
{
    int small = 4096, fd = dial(f);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    send_text(fd, request);
    return fd;
}

static void expect_answer_bytes(struct fixture *f, size_t bytes)
{
    struct hs_http_stats stats;
    int64_t deadline = hs_deadline_in_ms(5000);
    do
        hs_http_stats(f->server, &stats);
    while (stats.response_bytes != bytes && hs_clock_now_ns() < deadline);
    assert_int_equal(stats.response_bytes, bytes);
}

static void check_answer_memory(void (*options)(struct hs_http_options *options), size_t charged)
{
    static const char request[] = "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n";
    struct fixture *f = set_up(options);
    struct answer a;
    int holder = ask_without_reading(f, request);
    expect_answer_bytes(f, charged);
    int fd = dial(f);
    send_text(fd, request);
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.head, "Retry-After: 1\r\n"));
    assert_non_null(strstr(a.body, "\"code\": \"busy\""));
    free(a.body);
    /* Responses of normal size need no budget. */
    send_text(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "ok");
    close(holder);
    expect_answer_bytes(f, 0);
    send_text(fd, request);
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.len, 24 << 20);
    free(a.body);
    expect_answer_bytes(f, 0);
    close(fd);
    tear_down(f);
}

static void test_answer_memory(void **state)
{
    (void) state;
    check_answer_memory(little_memory_for_responses, 24 << 20);
}

/* A response larger than the whole budget is sent if no other is held. */
static void test_answer_larger_than_its_memory(void **state)
{
    (void) state;
    check_answer_memory(no_memory_for_responses, 1 << 20);
}

static void min_rates(struct hs_http_options *options)
{
    options->rate_window_ms = 1000;
    options->body_rate_min = 100000;
    options->response_rate_min = 100000;
}

/* The client does not read the error response, and the server frees the body anyway. */
static void test_body_of_an_error_is_freed(void **state)
{
    (void) state;
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1004\r\n\r\n";
    struct fixture *f = set_up(NULL);
    struct hs_http_stats stats;
    struct timeval limit = { .tv_sec = 2 };
    char text[sizeof(request) + 1004];
    int small = 64 << 10, fd = dial(f);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    snprintf(text, sizeof(text), "%s[%1002s!", request, "");
    /* Send until the server blocks on its responses and stops reading. */
    while (try_send_text(fd, text))
        continue;
    hs_http_stats(f->server, &stats);
    assert_int_equal(stats.active, 1);
    assert_int_equal(stats.body_bytes, 0);
    close(fd);
    tear_down(f);
}

/* The rates apply long before the other limits: 10 s for a pause, 60 s for the whole. */
static void test_slow_readers_are_cut(void **state)
{
    (void) state;
    struct fixture *f = set_up(min_rates);
    int fd = ask_without_reading(f, "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n"), fine = dial(f);
    struct hs_http_stats stats;
    struct answer a;
    int64_t deadline = hs_deadline_in_ms(8000);
    expect_answer_bytes(f, 24 << 20);
    do
        hs_http_stats(f->server, &stats);
    while (stats.timed_out == 0 && hs_clock_now_ns() < deadline);
    assert_int_equal(stats.timed_out, 1);
    expect_answer_bytes(f, 0);
    send_text(fine, "GET /huge HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_answer(fine, &a, true));
    assert_int_equal(a.len, 24 << 20);
    free(a.body);
    close(fd), close(fine);
    tear_down(f);
}

static void test_slow_bodies_are_cut(void **state)
{
    (void) state;
    struct fixture *f = set_up(min_rates);
    int fd = dial(f);
    struct timeval pause = { .tv_usec = 20000 };
    char c;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof(pause));
    send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{");
    int64_t start = hs_clock_now_ns();
    while (recv(fd, &c, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EINTR)) {
        put(fd, " ", 1);
        assert_true(hs_clock_now_ns() - start < 8 * HS_NS_PER_S);
    }
    expect(fd, 408, "request_timeout");
    close(fd);
    tear_down(f);
}

/* ---- Responses without a body ---- */

static void expect_plain_error(const struct fixture *f, const char *path, int status, const char *code)
{
    char request[100];
    struct answer a;
    int fd = dial(f);
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    send_text(fd, request);
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.status, status);
    json_t *value = json_loadb(a.body, a.len, 0, NULL), *error = json_object_get(value, "error");
    assert_non_null(error);
    if (code)
        assert_string_equal(json_string_value(json_object_get(error, "code")), code);
    json_decref(value);
    free(a.body);
    close(fd);
}

static void face_like(struct hs_http_options *options);

/* Tests the constant response for a request that cannot be allocated. */
static void test_static_answer(void **state)
{
    (void) state;
    struct hs_http_options options;
    hs_http_options_init(&options);
    for (int shape = HS_HTTP_ERROR_OBJECT; shape <= HS_HTTP_ERROR_TEXT; shape++) {
        options.error_shape = (enum hs_http_error_shape) shape;
        const char *text = hs_http_static_response(&options), *body = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "\r\nContent-Length: ");
        assert_true(strncmp(text, "HTTP/1.1 503 ", 13) == 0 && body && length && length < body);
        assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
        assert_int_equal(strtol(length + 18, NULL, 10), strlen(body + 4));
        json_t *value = json_loads(body + 4, 0, NULL);
        assert_non_null(json_object_get(value, "error"));
        json_decref(value);
    }
}

/* The body is never empty. */
static void test_answers_that_cannot_be_made(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    expect_plain_error(f, "/no-memory", 503, "out_of_memory");
    expect_plain_error(f, "/deep", 500, "internal");
    tear_down(f);
    f = set_up(face_like);
    expect_plain_error(f, "/no-memory", 503, NULL);
    expect_plain_error(f, "/deep", 500, NULL);
    tear_down(f);
}

/* The check uses only the headers: it runs before the media type, the length and the body are
 * examined. */
static void test_check_comes_before_the_body(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    static const char *const rests[] = {
        "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n",
        "Content-Type: multipart/form-data\r\nContent-Length: 99999999999\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{x",
        "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
        int fd = dial(f);
        send_text(fd, "POST /checked HTTP/1.1\r\nHost: x\r\nX-Closed: 1\r\n");
        send_text(fd, rests[i]);
        expect(fd, 503, "This route is closed");
        expect_end(fd);
        close(fd);
    }
    ask_post(f, "/checked", "application/json", "{\"image\": \"aaaa\"}", 200, "\"bytes\": 3");
    ask_post(f, "/checked", "text/plain", "x", 415, NULL);
    tear_down(f);
}

/* ---- Workers ---- */

static void tight_queue(struct hs_http_options *options)
{
    options->workers = 1;
    options->queue_max = 1;
}

/* Waits until `count` requests wait for a worker. */
static void expect_queued(struct fixture *f, size_t count)
{
    struct hs_http_stats stats;
    int64_t deadline = hs_deadline_in_ms(5000);
    do
        hs_http_stats(f->server, &stats);
    while (stats.queued != count && hs_clock_now_ns() < deadline);
    assert_int_equal(stats.queued, count);
}

static void test_queue_full(void **state)
{
    (void) state;
    struct fixture *f = set_up(tight_queue);
    struct answer a;
    int running = dial(f), waiting = dial(f), refused = dial(f);
    send_text(running, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    gate_expect(&f->gate, 1);
    send_text(waiting, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_queued(f, 1);
    send_text(refused, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_answer(refused, &a, true));
    assert_int_equal(a.status, 503);
    assert_non_null(strstr(a.head, "Retry-After: 1\r\n"));
    assert_non_null(strstr(a.body, "internal_error"));
    free(a.body);
    /* Inline routes need no worker, and the refused connection stays open. */
    send_text(refused, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(refused, 200, "ok");
    gate_open(&f->gate);
    expect(running, 200, "waited");
    expect(waiting, 200, "waited");
    close(running), close(waiting), close(refused);
    tear_down(f);
}

/* With two workers, one runs requests that are heavy by their body, and the other one runs the rest. */
static void test_heavy_requests_leave_a_worker(void **state)
{
    (void) state;
    static const char heavy[] = "POST /heavy HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{\"image\": \"////\"}";
    static const char light[] = "POST /heavy HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{\"image\": \"aaaa\"}";
    struct fixture *f = set_up(NULL);
    int slow[3];
    for (int i = 0; i < 3; i++) {
        slow[i] = dial(f);
        send_text(slow[i], heavy);
    }
    gate_expect(&f->gate, 1);
    expect_queued(f, 2);
    ask(f, "GET /items/a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "\"name\": \"a\"");
    int other = dial(f);
    send_text(other, light);
    gate_expect(&f->gate, 2);
    assert_int_equal(f->gate.inside, 2);
    expect_queued(f, 2);
    gate_open(&f->gate);
    expect(other, 200, "waited");
    for (int i = 0; i < 3; i++) {
        expect(slow[i], 200, "waited");
        close(slow[i]);
    }
    close(other);
    tear_down(f);
}

/* With all workers busy, requests expire in the order of their deadlines. Each sets its deadline in
 * one of the three ways. */
static void test_deadline_passes_in_the_queue(void **state)
{
    (void) state;
    static const char *const late[] = {
        "GET /wait HTTP/1.1\r\nHost: x\r\nX-Request-Timeout: 0.2\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{\"timeout\": 0.15}",
        ("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 67\r\n\r\n"
         "--b\r\nContent-Disposition: form-data; name=\"timeout\"\r\n\r\n0.1\r\n--b--\r\n"),
    };
    struct fixture *f = set_up(NULL);
    int busy[] = { dial(f), dial(f) }, waiting[3];
    for (int i = 0; i < 2; i++)
        send_text(busy[i], "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    gate_expect(&f->gate, 2);
    int64_t start_ns = hs_clock_now_ns();
    for (int i = 0; i < 3; i++) {
        waiting[i] = dial(f);
        send_text(waiting[i], late[i]);
    }
    for (int i = 2; i >= 0; i--) {
        expect(waiting[i], 504, "timed out while it was queued");
        assert_true(hs_clock_now_ns() - start_ns >= (100 + (2 - i) * 50) * HS_NS_PER_MS);
        close(waiting[i]);
    }
    assert_int_equal(f->gate.inside, 2);
    gate_open(&f->gate);
    for (int i = 0; i < 2; i++) {
        expect(busy[i], 200, "waited");
        close(busy[i]);
    }
    tear_down(f);
}

/* A disconnected client frees its queue slot at once. */
static void test_client_leaves_the_queue(void **state)
{
    (void) state;
    struct fixture *f = set_up(tight_queue);
    int running = dial(f), leaving = dial(f), next = dial(f);
    send_text(running, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    gate_expect(&f->gate, 1);
    send_text(leaving, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_queued(f, 1);
    close(leaving);
    expect_queued(f, 0);
    send_text(next, "GET /items/x HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_queued(f, 1);
    gate_open(&f->gate);
    expect(running, 200, "waited");
    expect(next, 200, "none");
    close(running), close(next);
    tear_down(f);
}

static void test_client_leaves(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int a = dial(f), b = dial(f);
    send_text(a, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    send_text(b, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    gate_expect(&f->gate, 2);
    close(a);
    gate_expect(&f->gate, 1);
    assert_int_equal(f->gate.cancelled, 1);
    gate_open(&f->gate);
    expect(b, 200, "waited");
    struct hs_http_stats stats;
    hs_http_stats(f->server, &stats);
    assert_int_equal(stats.cancelled, 1);
    close(b);
    tear_down(f);
}

/* The disconnect arrives with a part of the body; the memory must be freed before any timeout. */
static void test_client_leaves_in_body(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int fd = dial(f);
    send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{\"image\": \"aaaa");
    close(fd);
    struct hs_http_stats stats;
    int64_t deadline = hs_deadline_in_ms(8000);
    do
        hs_http_stats(f->server, &stats);
    while ((stats.connections > 0 || stats.requests == 0) && hs_clock_now_ns() < deadline);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.body_bytes, 0);
    assert_int_equal(stats.timed_out, 0);
    tear_down(f);
}

/* Clients disconnect at random times while others stay, to expose data races. */
static void *connect_and_disconnect(void *arg)
{
    const struct fixture *f = arg;
    unsigned seed = 1;
    for (int i = 0; i < 60; i++) {
        int fd = dial(f);
        seed = seed * 1103515245 + 12345;
        switch (seed >> 16 & 3) {
        case 0:
            try_send_text(fd, "GET /items/a HTTP/1.1\r\nHost: x\r\n\r\n");
            break;
        case 1:
            try_send_text(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
            break;
        case 2:
            try_send_text(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{");
            break;
        default: {
            struct answer a = { 0 };
            if (try_send_text(fd, "GET /items/a HTTP/1.1\r\nHost: x\r\n\r\n") && read_answer(fd, &a, true) &&
                try_send_text(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n"))
                shutdown(fd, SHUT_WR);
            free(a.body);
        }
        }
        close(fd);
    }
    return NULL;
}

static void test_connect_and_disconnect(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, connect_and_disconnect, f);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ask(f, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200, "ok");
    assert_int_equal(hs_http_drain(f->server, hs_deadline_in_ms(5000)), 0);
    struct hs_http_stats stats;
    hs_http_stats(f->server, &stats);
    assert_int_equal(stats.active, 0);
    assert_int_equal(stats.body_bytes, 0);
    tear_down(f);
}

static void *open_later(void *arg)
{
    struct gate *gate = arg;
    pthread_mutex_lock(&gate->lock);
    hs_cond_wait_until(&gate->changed, &gate->lock, hs_deadline_in_ms(50));
    pthread_mutex_unlock(&gate->lock);
    gate_open(gate);
    return NULL;
}

/* ---- Reload and watchdog ---- */

/* A context of the routes (the gate) that counts its releases. */
struct revised {
    struct gate gate; /* first, so that handlers find it */
    atomic_int released;
};

static void note_release(void *ctx)
{
    struct revised *revised = ctx;
    atomic_fetch_add(&revised->released, 1);
}

static struct hs_http_revision *revise(struct fixture *f, struct revised *revised, const char *message)
{
    struct hs_http_options options = f->options;
    struct hs_http_revision *revision;
    struct hs_error err;
    pthread_mutex_init(&revised->gate.lock, NULL);
    hs_cond_init(&revised->gate.changed);
    options.not_found_message = message;
    assert_int_equal(hs_http_revision_create(f->server, &options, revised, note_release, &revision, &err), 0);
    return revision;
}

/* A commit takes effect within moments. */
static void wait_for_message(const struct fixture *f, const char *message)
{
    struct answer a = { .status = 0 };
    for (bool found = false; !found;) {
        int fd = dial(f);
        send_text(fd, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(read_answer(fd, &a, true));
        found = strstr(a.body, message);
        free(a.body);
        close(fd);
    }
}

static void wait_for_releases(struct revised *revised, int count)
{
    for (int i = 0; atomic_load(&revised->released) < count && i < 5000; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&revised->released), count);
}

static void test_requests_keep_their_revision(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct revised first = { 0 }, second = { 0 }, abandoned = { 0 }, last = { 0 };
    hs_http_revision_commit(revise(f, &first, "the first"));
    wait_for_message(f, "the first");
    int fd = dial(f);
    send_text(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    gate_expect(&first.gate, 1);

    hs_http_revision_commit(revise(f, &second, "the second"));
    wait_for_message(f, "the second");
    assert_int_equal(atomic_load(&first.released), 0);
    gate_open(&first.gate);
    expect(fd, 200, "waited");
    wait_for_releases(&first, 1);

    hs_http_revision_abandon(revise(f, &abandoned, "never"));
    assert_int_equal(atomic_load(&abandoned.released), 1);
    wait_for_message(f, "the second");
    hs_http_revision_commit(revise(f, &last, "the last"));
    close(fd);
    tear_down(f);
    assert_int_equal(atomic_load(&first.released), 1);
    assert_int_equal(atomic_load(&second.released), 1);
    assert_int_equal(atomic_load(&last.released), 1);
}

static void test_a_revision_is_checked(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct hs_http_options options = f->options;
    struct hs_http_revision *revision = NULL;
    struct hs_error err;
    options.body_max = options.bodies_max + 1;
    assert_int_equal(hs_http_revision_create(f->server, &options, f, NULL, &revision, &err), HS_EINVAL);
    assert_null(revision);
    tear_down(f);
}

static void one_worker_soon_stuck(struct hs_http_options *options)
{
    options->workers = 1;
    options->request_timeout_ms = 500; /* on a busy machine, the worker must take the request before */
    options->stuck_after_ms = 50;
}

static void wait_until_alive(struct fixture *f)
{
    int64_t limit_ns = hs_deadline_in_ms(20000);
    while (!hs_http_is_alive(f->server)) {
        assert_true(hs_clock_now_ns() < limit_ns);
        usleep(1000);
    }
}

/* The handler continues after its deadline, as in a deadlock. */
static void test_a_server_with_only_stuck_workers_is_not_alive(void **state)
{
    (void) state;
    struct fixture *f = set_up(one_worker_soon_stuck);
    int fd = dial(f);
    wait_until_alive(f);
    send_text(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    gate_expect(&f->gate, 1);
    usleep(700000); /* longer than the deadline and stuck_after_ms */
    for (int i = 0; i < 5; i++, usleep(20000))
        assert_false(hs_http_is_alive(f->server));
    gate_open(&f->gate);
    expect(fd, 200, "waited");
    wait_until_alive(f);
    close(fd);
    tear_down(f);
}

static void test_drain(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct answer a;
    pthread_t opener;
    int fd = dial(f);
    send_text(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    gate_expect(&f->gate, 1);
    assert_int_equal(hs_http_drain(f->server, hs_deadline_in_ms(20)), HS_ETIMEOUT);
    /* The server accepts no new connections. */
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t) port_of(f)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_not_equal(connect(late, (struct sockaddr *) &address, sizeof(address)), 0);
    close(late);
    pthread_create(&opener, NULL, open_later, &f->gate);
    assert_int_equal(hs_http_drain(f->server, hs_deadline_in_ms(5000)), 0);
    pthread_join(opener, NULL);
    assert_true(read_answer(fd, &a, true));
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.head, "Connection: close"));
    free(a.body);
    expect_end(fd);
    close(fd);
    tear_down(f);
}

/* Destroy does not wait for clients; it cancels running requests. */
static void test_destroy_cancels(void **state)
{
    (void) state;
    struct fixture *f = set_up(tight_queue);
    int a = dial(f), b = dial(f);
    send_text(a, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    gate_expect(&f->gate, 1);
    send_text(b, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    tear_down(f);
    close(a);
    close(b);
}

/* ---- Addresses and options ---- */

static void ipv6(struct hs_http_options *options)
{
    options->host = "[::1]";
}

static void *ask_for_stats(void *arg)
{
    int fd = *(int *) arg;
    struct answer a;
    bool answered = true;
    while (answered && try_send_text(fd, "GET /stats HTTP/1.1\r\nHost: x\r\n\r\n")) {
        answered = read_answer(fd, &a, true);
        free(a.body);
    }
    close(fd);
    return NULL;
}

/* ThreadSanitizer reports an error if the statistics read memory that destroy frees. */
static void test_stats_while_the_server_ends(void **state)
{
    (void) state;
    enum { CLIENTS = 4, ROUNDS = 15 };
    for (int round = 0; round < ROUNDS; round++) {
        struct fixture *f = set_up(NULL);
        pthread_t threads[CLIENTS];
        int fds[CLIENTS];
        for (int i = 0; i < CLIENTS; i++) {
            struct answer a;
            fds[i] = dial(f);
            send_text(fds[i], "GET /stats HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_true(read_answer(fds[i], &a, true));
            assert_int_equal(a.status, 200);
            free(a.body);
            pthread_create(&threads[i], NULL, ask_for_stats, &fds[i]);
        }
        tear_down(f);
        for (int i = 0; i < CLIENTS; i++)
            pthread_join(threads[i], NULL);
    }
}

static void test_addresses(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    char text[64];
    snprintf(text, sizeof(text), "127.0.0.1:%d", port_of(f));
    assert_string_equal(hs_http_address(f->server), text);
    /* The port is in use. */
    struct hs_http_options options = f->options;
    struct hs_http_server *other;
    struct hs_error err;
    options.port = port_of(f);
    assert_int_equal(hs_http_create(&options, routes, 1, NULL, &other, &err), 0);
    assert_int_equal(hs_http_start(other, &err), HS_ECONFLICT);
    assert_non_null(strstr(err.message, "in use"));
    hs_http_destroy(other);
    tear_down(f);

    int six = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 loopback = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    bool has_six = six >= 0 && bind(six, (struct sockaddr *) &loopback, sizeof(loopback)) == 0;
    if (six >= 0)
        close(six);
    if (!has_six) {
        print_message("no IPv6 on this machine\n");
        skip();
    }
    f = set_up(ipv6);
    snprintf(text, sizeof(text), "[::1]:%d", port_of(f));
    assert_string_equal(hs_http_address(f->server), text);
    tear_down(f);
}

static void test_descriptors(void **state)
{
    (void) state;
    int before = count_descriptors();
    for (int round = 0; round < 3; round++) {
        struct fixture *f = set_up(NULL);
        struct hs_http_options options = f->options;
        struct hs_http_server *other;
        ask(f, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL);
        /* Rejected before its body arrives: the server keeps the socket open to drop the rest. */
        int refused = dial(f);
        send_text(refused, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\nx");
        expect(refused, 413, NULL);
        options.port = port_of(f);
        assert_int_equal(hs_http_create(&options, routes, 1, NULL, &other, NULL), 0);
        assert_int_equal(hs_http_start(other, NULL), HS_ECONFLICT);
        hs_http_destroy(other);
        tear_down(f);
        close(refused);
        assert_int_equal(count_descriptors(), before);
    }
}

static void test_options(void **state)
{
    (void) state;
    struct hs_http_options options;
    struct hs_http_server *server;
    struct hs_error err;
    hs_http_options_init(&options);
    options.port = 70000;
    assert_int_equal(hs_http_create(&options, routes, 1, NULL, &server, &err), HS_EINVAL);
    hs_http_options_init(&options);
    options.bodies_max = options.body_max - 1;
    assert_int_equal(hs_http_create(&options, routes, 1, NULL, &server, &err), HS_EINVAL);
    hs_http_destroy(NULL);
}

static void face_like(struct hs_http_options *options)
{
    options->error_shape = HS_HTTP_ERROR_TEXT;
    options->json_style = HS_JSON_SORTED;
    options->json_content_type = "application/json";
    options->not_found_message = "Endpoint not found";
}

static void test_other_shape(void **state)
{
    (void) state;
    struct fixture *f = set_up(face_like);
    ask(f, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n", 404, "{\"error\":\"Endpoint not found\"}\n");
    ask(f, "GET /items/z HTTP/1.1\r\nHost: x\r\n\r\n", 200, "{\"color\":\"none\",\"name\":\"z\"}\n");
    tear_down(f);
}

static void test_big_answer(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct answer a;
    int fd = dial(f);
    for (int i = 0; i < 2; i++) {
        send_text(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(read_answer(fd, &a, true));
        assert_int_equal(a.len, 3 << 20);
        free(a.body);
    }
    close(fd);
    tear_down(f);
}

/* An argument that is_heavy reads and the handler does not is still reported as unused. */
static void test_peek_does_not_use_the_query(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int fd = dial(f);
    send_text(fd, "GET /unused?a=1&heavy=yes&a=2 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(fd, 200, "\"unused\": 1, \"first\": \"heavy\"");
    close(fd);
    tear_down(f);
}

static void one_worker_and_long_work(struct hs_http_options *options)
{
    options->workers = 1;
    options->long_work = true;
}

static void one_worker(struct hs_http_options *options)
{
    options->workers = 1;
}

static void test_long_work_leaves_the_worker(void **state)
{
    (void) state;
    static const char long_one[] = "GET /long HTTP/1.1\r\nHost: x\r\n\r\n";
    struct fixture *f = set_up(one_worker_and_long_work);
    int fds[2];
    for (int i = 0; i < 2; i++) {
        fds[i] = dial(f);
        send_text(fds[i], long_one);
        gate_expect(&f->gate, 1);
        ask(f, "GET /items/a HTTP/1.1\r\nHost: x\r\n\r\n", 200, "\"name\": \"a\"");
    }
    gate_expect(&f->gate, 1); /* the second request waits for the first */
    gate_open(&f->gate);
    for (int i = 0; i < 2; i++) {
        expect(fds[i], 200, "waited");
        close(fds[i]);
    }
    tear_down(f);
}

/* Runs with a thread for long work, then on the worker. */
static void test_destroy_cancels_long_work(void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        struct fixture *f = set_up(i ? one_worker : one_worker_and_long_work);
        int fd = dial(f);
        send_text(fd, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
        gate_expect(&f->gate, 1);
        hs_http_destroy(f->server);
        assert_int_equal(f->gate.inside, 0);
        assert_int_equal(f->gate.cancelled, 1);
        f->server = NULL;
        tear_down(f);
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_absolute_target),
        cmocka_unit_test(test_request_id),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_multipart),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_headers_too_large),
        cmocka_unit_test(test_memory_bound),
        cmocka_unit_test(test_slow_clients),
        cmocka_unit_test(test_connections_per_address),
        cmocka_unit_test(test_refused_connection_evicts_none),
        cmocka_unit_test(test_busy_connections_are_not_evicted),
        cmocka_unit_test(test_closed_connections_are_freed),
        cmocka_unit_test(test_connections_total),
        cmocka_unit_test(test_silent_connections_make_room),
        cmocka_unit_test(test_answer_memory),
        cmocka_unit_test(test_answer_larger_than_its_memory),
        cmocka_unit_test(test_body_of_an_error_is_freed),
        cmocka_unit_test(test_slow_readers_are_cut),
        cmocka_unit_test(test_slow_bodies_are_cut),
        cmocka_unit_test(test_static_answer),
        cmocka_unit_test(test_answers_that_cannot_be_made),
        cmocka_unit_test(test_check_comes_before_the_body),
        cmocka_unit_test(test_queue_full),
        cmocka_unit_test(test_heavy_requests_leave_a_worker),
        cmocka_unit_test(test_deadline_passes_in_the_queue),
        cmocka_unit_test(test_client_leaves_the_queue),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_client_leaves_in_body),
        cmocka_unit_test(test_connect_and_disconnect),
        cmocka_unit_test(test_requests_keep_their_revision),
        cmocka_unit_test(test_a_revision_is_checked),
        cmocka_unit_test(test_a_server_with_only_stuck_workers_is_not_alive),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_destroy_cancels),
        cmocka_unit_test(test_stats_while_the_server_ends),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_other_shape),
        cmocka_unit_test(test_big_answer),
        cmocka_unit_test(test_peek_does_not_use_the_query),
        cmocka_unit_test(test_long_work_leaves_the_worker),
        cmocka_unit_test(test_destroy_cancels_long_work),
    };
    return HS_RUN_TESTS(tests);
}
