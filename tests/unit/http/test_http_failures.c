/* Tests bodies of every kind, and whole servers, with failing memory or system calls: nothing
 * leaks, nothing stays charged, and the server handles the next request. */
#include "entries.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <zlib.h>

#include "alloc_fail.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "call_fail.h"
#include "http/base64.h"
#include "http/body.h"
#include "http/request.h"
#include "http/server.h"
#include "http/stream.h"

static struct hs_error err;

/* ---- Bodies ---- */

static const char *const files[] = { "image", NULL }, *const lists[] = { "images", NULL };
static const struct hs_body_spec one = { .files = files, .bytes_max = 1 << 20 };
static const struct hs_body_spec many = {
    .files = files, .bytes_max = 1 << 20, .list = lists, .list_member = "data", .list_max = 2
};

struct body {
    const char *type;
    const struct hs_body_spec *spec;
    enum hs_coding coding;
    const char *text;
    size_t len;
    const char *image, *member; /* expected content; NULL: not checked */
};

static int take_all(const struct body *b, struct hs_body *body)
{
    uint8_t *data = NULL;
    size_t len, count;
    int r = b->image ? hs_body_take_file(body, "image", &data, &len, &err) : 0;
    if (r == 0 && b->image) {
        assert_int_equal(len, strlen(b->image));
        assert_memory_equal(data, b->image, len);
    }
    free(data);
    if (r == 0 && b->member) {
        assert_int_equal(hs_body_list_count(body, &count, &err), 0);
        assert_int_equal(count, 2);
        r = hs_body_list_take(body, 1, &data, &len, &err);
        assert_int_equal(r, 0);
        assert_int_equal(len, strlen(b->member));
        assert_memory_equal(data, b->member, len);
        free(data);
    }
    if (r == 0 && b->spec == &many)
        assert_string_equal(hs_body_text(body, "text"), "value");
    return r;
}

static int parse(void *arg)
{
    const struct body *b = arg;
    struct hs_budget budget;
    struct hs_body *body = NULL;
    size_t half = b->len / 2;
    err.message[0] = '\0';
    hs_budget_init(&budget, 1 << 20);
    int r = hs_body_create(HS_BODY_FORM_OR_JSON, b->type, b->spec, &budget, &body, &err);
    if (r == 0)
        r = hs_body_set_coding(body, b->coding, &err);
    if (r == 0)
        r = hs_body_feed(body, b->text, half, &err);
    if (r == 0)
        r = hs_body_feed(body, b->text + half, b->len - half, &err);
    if (r == 0)
        r = hs_body_end(body, &err);
    if (r == 0)
        r = take_all(b, body);
    if (r == HS_ENOMEM)
        assert_true(hs_str_starts(err.message, "no memory for "));
    hs_body_destroy(body);
    assert_int_equal(hs_budget_used(&budget, NULL), 0);
    hs_budget_finish(&budget);
    return r;
}

static size_t pack(const char *text, int bits, char *dst, size_t size)
{
    z_stream stream = { .next_in = (uint8_t *) (uintptr_t) text, .avail_in = (uInt) strlen(text) };
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = (uint8_t *) dst;
    stream.avail_out = (uInt) size;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return size - stream.avail_out;
}

static const char json_many[] = "{\"image\": \"YWJj\", \"text\": \"value\", \"images\": [\"eA==\", {\"data\": "
                                "\"eHl6\", \"x\": 1}]}";
static const char form_many[] = "--XX\r\nContent-Disposition: form-data; name=image\r\n\r\nabc\r\n"
                                "--XX\r\nContent-Disposition: form-data; name=images\r\n\r\nx\r\n"
                                "--XX\r\nContent-Disposition: form-data; name=text\r\n\r\nvalue\r\n"
                                "--XX\r\nContent-Disposition: form-data; name=images\r\n\r\nxyz\r\n--XX--\r\n";
static const char form[] = "multipart/form-data; boundary=XX", json[] = "application/json";

static void test_bodies(void **state)
{
    char packed[2][1000];
    size_t gzip = pack(json_many, 31, packed[0], 1000), deflated = pack(form_many, 15, packed[1], 1000);
    const struct body bodies[] = {
        { json, &many, HS_CODING_NONE, json_many, strlen(json_many), "abc", "xyz" },
        { form, &many, HS_CODING_NONE, form_many, strlen(form_many), "abc", "xyz" },
        { json, &many, HS_CODING_GZIP, packed[0], gzip, "abc", "xyz" },
        { form, &many, HS_CODING_DEFLATE, packed[1], deflated, "abc", "xyz" },
        { "image/jpeg", &one, HS_CODING_NONE, "abc", 3, "abc", NULL },
        { "application/octet-stream", &one, HS_CODING_NONE, "xyz", 3, "xyz", NULL },
    };
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(bodies); i++)
        assert_true(hs_fail_each_allocation(parse, (void *) (uintptr_t) &bodies[i]) >= 4);
}

/* Exactly enough memory, and one byte less. */
static void test_budget_of_a_body(void **state)
{
    struct hs_budget budget;
    struct hs_body *body;
    (void) state;
    hs_budget_init(&budget, HS_INFLATE_MEMORY);
    for (size_t other = 0; other < 2; other++) {
        assert_int_equal(hs_body_create(HS_BODY_JSON, json, &one, &budget, &body, &err), 0);
        assert_true(hs_budget_try(&budget, other));
        assert_int_equal(hs_body_set_coding(body, HS_CODING_NONE, &err), 0);
        assert_false(hs_body_is_compressed(body));
        assert_int_equal(hs_body_set_coding(body, HS_CODING_GZIP, &err), other ? HS_EBUSY : 0);
        assert_int_equal(hs_body_is_compressed(body), !other);
        hs_body_destroy(body);
        assert_int_equal(hs_budget_used(&budget, NULL), other);
        hs_budget_release(&budget, other);
    }
    hs_budget_finish(&budget);
    /* The tree of a JSON text is charged before parsing: 80 bytes for each byte of text. */
    for (size_t lack = 0; lack < 2; lack++) {
        hs_budget_init(&budget, 80 * 2 - lack);
        assert_int_equal(hs_body_create(HS_BODY_JSON, json, &one, &budget, &body, &err), 0);
        assert_int_equal(hs_body_feed(body, "{}", 2, &err), 0);
        assert_int_equal(hs_body_end(body, &err), lack ? HS_EBUSY : 0);
        if (lack)
            assert_string_equal(err.message, "Too many large requests at once, try again");
        hs_body_destroy(body);
        assert_int_equal(hs_budget_used(&budget, NULL), 0);
        hs_budget_finish(&budget);
    }
}

static void test_bounds_of_a_body(void **state)
{
    struct hs_body *body;
    struct hs_body_spec small = one;
    char text[HS_BODY_PARTS_MAX * 80 + 200];
    (void) state;
    small.bytes_max = 10;
    for (size_t more = 0; more < 2; more++) {
        assert_int_equal(hs_body_create(HS_BODY_FORM_OR_JSON, "image/png", &small, NULL, &body, &err), 0);
        assert_int_equal(hs_body_feed(body, "12345", 5, &err), 0);
        assert_int_equal(hs_body_feed(body, "123456", 5 + more, &err), more ? HS_ETOOLARGE : 0);
        if (more)
            assert_string_equal(err.message, "The body is larger than 10 bytes");
        hs_body_destroy(body);
    }
    /* The maximum number of parts, all of them texts, and one more. */
    for (int more = 0; more < 2; more++) {
        size_t len = 0;
        for (int i = 0; i < HS_BODY_PARTS_MAX + more; i++)
            len += (size_t) snprintf(text + len, sizeof(text) - len,
                                     "--XX\r\nContent-Disposition: form-data; name=t%d\r\n\r\n%d\r\n", i, i);
        len += (size_t) snprintf(text + len, sizeof(text) - len, "--XX--\r\n");
        assert_int_equal(hs_body_create(HS_BODY_FORM_OR_JSON, form, &one, NULL, &body, &err), 0);
        int r = hs_body_feed(body, text, len, &err);
        assert_int_equal(r, more ? HS_ETOOLARGE : 0);
        if (!more) {
            assert_int_equal(hs_body_end(body, &err), 0);
            assert_string_equal(hs_body_text(body, "t99"), "99");
            assert_true(hs_body_has(body, "t0"));
            assert_false(hs_body_has(body, "t100"));
        }
        hs_body_destroy(body);
    }
}

/* ---- Servers ---- */

static void handle_health(struct hs_http_request *req)
{
    hs_http_add_header(req, "X-Extra", "yes");
    hs_http_reply_json(req, 200, json_pack("{s:s}", "status", "ok"));
}

static void handle_echo(struct hs_http_request *req)
{
    uint8_t *data = NULL;
    size_t len = 0;
    int r = hs_body_take_file(hs_http_body(req), "image", &data, &len, &err);
    if (r < 0)
        hs_http_reply_error(req, r, "image", "%s", err.message);
    else
        hs_http_reply_bytes(req, 200, "text/plain", data, len);
}

static void handle_stream(struct hs_http_request *req)
{
    struct hs_http_stream *stream = hs_http_stream_begin(req, 200, "text/plain");
    int r = hs_http_stream_write(stream, "status ok", 9, HS_NO_DEADLINE);
    hs_http_stream_end(stream, r == 0);
}

static const struct hs_http_route routes[] = {
    { .method = "GET", .path = "/health", .handle = handle_health, .flags = HS_HTTP_INLINE },
    { .method = "POST",
      .path = "/echo",
      .handle = handle_echo,
      .body = HS_BODY_FORM_OR_JSON,
      .spec = { .files = files } },
    { .method = "GET", .path = "/stream", .handle = handle_stream },
};

static int start(struct hs_http_server **ret_server)
{
    struct hs_http_options options;
    hs_http_options_init(&options);
    int r = hs_http_create(&options, routes, HS_ARRAY_LEN(routes), NULL, ret_server, &err);
    if (r == 0)
        r = hs_http_start(*ret_server, &err);
    if (r < 0) {
        hs_http_destroy(*ret_server);
        *ret_server = NULL;
    }
    return r;
}

/* Returns the status of the response, or 0 if the connection ended before a complete one. A 200
 * must contain `text`. */
static int ask(struct hs_http_server *server, const char *request, const char *text)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { .tv_sec = 10 };
    char answer[2000] = "";
    size_t len = 0;
    ssize_t n = 0;
    address.sin_port = htons((uint16_t) strtol(strrchr(hs_http_address(server), ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t) strlen(request))
        while (len + 1 < sizeof(answer) && (n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0)
            len += (size_t) n;
    assert_true(n >= 0 || errno == ECONNRESET || errno == EPIPE); /* the connection ended before the timeout */
    close(fd);
    if (!hs_str_starts(answer, "HTTP/1.1 "))
        return 0;
    int status = (int) strtol(answer + 9, NULL, 10);
    if (strstr(answer, "chunked") && !hs_str_ends(answer, "\r\n0\r\n\r\n"))
        return 0; /* the start of the response was already sent */
    if (status == 200 && !strstr(answer, text))
        fail_msg("no %s in %s", text, answer);
    return status;
}

static const char get_health[] = "GET http://x/health?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
static const char get_stream[] = "GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
static const char post_json[] = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json"
                                "\r\nContent-Length: 18\r\n\r\n{\"image\": \"YWJj\"}\n";

/* For each failing allocation, the client gets a 503 or no response, and the next request succeeds. */
static void test_requests_without_memory(void **state)
{
    static const struct {
        const char *request, *text;
    } rows[] = { { get_health, "{\"status\": \"ok\"}" }, { get_stream, "status ok" }, { post_json, "abc" } };
    struct hs_http_server *server = NULL;
    struct hs_http_stats stats;
    (void) state;
    size_t live = hs_alloc_live();
    assert_int_equal(start(&server), 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        int nth = 1, without_answer = 0;
        for (bool failed = true; failed; nth++) {
            hs_alloc_fail_arm(nth);
            int status = ask(server, rows[i].request, rows[i].text);
            failed = hs_alloc_fail_disarm();
            if (status != 200 && status != 503 && status != 0)
                fail_msg("%s: allocation %d: %d", rows[i].request, nth, status);
            without_answer += status == 0;
            assert_true(failed || status == 200);
            assert_int_equal(ask(server, rows[i].request, rows[i].text), 200);
        }
        assert_true(nth > 6);
        assert_true(without_answer <= 4); /* for the connection, and for a stream that has begun */
    }
    hs_http_stats(server, &stats);
    assert_int_equal(stats.body_bytes, 0);
    assert_int_equal(stats.response_bytes, 0);
    assert_int_equal(stats.active, 0);
    hs_http_destroy(server);
    assert_int_equal(hs_alloc_live(), live);
}

static int start_and_end(void *arg)
{
    struct hs_http_server *server = NULL;
    (void) arg;
    int r = start(&server);
    if (r == 0)
        assert_int_equal(ask(server, get_health, "ok"), 200);
    hs_http_destroy(server);
    return r;
}

static void test_start_without_memory(void **state)
{
    (void) state;
    struct hs_http_server *server = NULL;
    int nth = 1;
    size_t live = hs_alloc_live();
    for (bool failed = true; failed; nth++) {
        hs_alloc_fail_arm(nth);
        int r = start(&server);
        failed = hs_alloc_fail_disarm();
        assert_int_equal(r, failed ? HS_ENOMEM : 0);
        assert_int_equal(server != NULL, r == 0);
        hs_http_destroy(server);
        server = NULL;
        assert_int_equal(hs_alloc_live(), live);
    }
    assert_true(nth >= 5);
}

static void test_start_that_fails(void **state)
{
    static const struct {
        const char *call;
        int nth, error, code;
        const char *text;
    } rows[] = {
        { "eventfd", 1, EMFILE, HS_EIO, "cannot create an event descriptor: Too many open files" },
        { "pthread_create", 1, EAGAIN, HS_ENOMEM, "started only 0 of 3 worker threads" },
        { "pthread_create", 3, EAGAIN, HS_ENOMEM, "started only 2 of 3 worker threads" },
        { "socket", 1, EMFILE, HS_EIO, "cannot listen on 127.0.0.1 port 0: Too many open files" },
        { "listen", 1, EADDRINUSE, HS_ECONFLICT, "cannot listen on 127.0.0.1 port 0: Address already in use" },
        { "listen", 1, EACCES, HS_EIO, "cannot listen on 127.0.0.1 port 0: Permission denied" },
        { "getsockname", 1, ENOBUFS, HS_EIO, "cannot read the address of the listening socket" },
        { "epoll_create1", 1, EMFILE, HS_EIO, "cannot start the network thread" },
        { "epoll_ctl", 1, ENOMEM, HS_EIO, "cannot start the network thread" },
        { "epoll_ctl", 2, ENOSPC, HS_EIO, "cannot start the network thread" },
        { "pthread_create", 4, EAGAIN, HS_EIO, "cannot start the network thread" },
    };
    struct hs_http_server *server = NULL;
    (void) state;
    int descriptors = count_descriptors(), threads = count_entries("/proc/self/task");
    size_t live = hs_alloc_live();
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        hs_call_fail_arm(rows[i].call, rows[i].nth, rows[i].error);
        int r = start(&server);
        assert_true(hs_call_fail_disarm());
        assert_int_equal(r, rows[i].code);
        assert_string_equal(err.message, rows[i].text);
        assert_int_equal(count_descriptors(), descriptors);
        assert_int_equal(count_threads(threads), threads);
        assert_int_equal(start_and_end(NULL), 0);
        assert_int_equal(hs_alloc_live(), live);
    }
}

static void test_hosts(void **state)
{
    char host[300];
    struct hs_http_options options;
    struct hs_http_server *server;
    (void) state;
    memset(host, 'a', sizeof(host));
    for (size_t len = 255; len <= 256; len++) {
        host[len] = '\0';
        hs_http_options_init(&options);
        options.host = host;
        assert_int_equal(hs_http_create(&options, routes, 1, NULL, &server, &err), 0);
        assert_int_equal(hs_http_start(server, &err), HS_EIO);
        assert_int_equal(strcmp(err.message, "server.host is longer than any host name") == 0, len == 256);
        hs_http_destroy(server);
        host[len] = 'a';
    }
    options.host = "[::1";
    assert_int_equal(hs_http_create(&options, routes, 1, NULL, &server, &err), 0);
    assert_int_equal(hs_http_start(server, &err), HS_EIO);
    assert_true(hs_str_starts(err.message, "cannot resolve [::1: "));
    hs_http_destroy(server);
}

/* Tests each option at its limits and past them. */
static void test_options(void **state)
{
    static const struct {
        const char *text;
        size_t offset, size;
        int64_t good, bad;
    } rows[] = {
#define ROW(field, good, bad, text)                                                                                    \
    { text, offsetof(struct hs_http_options, field), sizeof(((struct hs_http_options *) 0)->field), good, bad }
        ROW(port, 0, -1, "port: must be between 0 and 65535, not -1"),
        ROW(port, 65535, 65536, "port: must be between 0 and 65535, not 65536"),
        ROW(workers, 1, 0, "workers, queue and connections must be at least 1"),
        ROW(heavy_max, 1, 0, "workers, queue and connections must be at least 1"),
        ROW(queue_max, 1, 0, "workers, queue and connections must be at least 1"),
        ROW(connections_max, 1, 0, "workers, queue and connections must be at least 1"),
        ROW(header_max, 1024, 1023, "the limit of the headers must be between 1 KiB and 1 MiB"),
        ROW(header_max, 1 << 20, (1 << 20) + 1, "the limit of the headers must be between 1 KiB and 1 MiB"),
        ROW(bodies_max, 16 << 20, (16 << 20) - 1,
            "server.max_body_memory is smaller than server.max_body_mb; increase it"),
        ROW(header_timeout_ms, 1, 0, "time limits must be at least 1 ms"),
        ROW(body_idle_ms, 1, 0, "time limits must be at least 1 ms"),
        ROW(body_timeout_ms, 1, 0, "time limits must be at least 1 ms"),
        ROW(idle_timeout_ms, 1, 0, "time limits must be at least 1 ms"),
        ROW(rate_window_ms, 1, 0, "time limits must be at least 1 ms"),
#undef ROW
    };
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        for (int bad = 0; bad < 2; bad++) {
            struct hs_http_options options;
            struct hs_http_server *server = NULL;
            int64_t value = bad ? rows[i].bad : rows[i].good;
            hs_http_options_init(&options);
            memcpy((char *) &options + rows[i].offset, &value, rows[i].size); /* requires a little-endian machine */
            assert_int_equal(hs_http_create(&options, routes, 1, NULL, &server, &err), bad ? HS_EINVAL : 0);
            if (bad)
                assert_string_equal(err.message, rows[i].text);
            hs_http_destroy(server);
        }
    }
}

int main(void)
{
    hs_alloc_watch_leaks();
    hs_log_setup("test", HS_LOG_ERROR + 1, HS_LOG_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_budget_of_a_body),
        cmocka_unit_test(test_bounds_of_a_body),
        cmocka_unit_test(test_requests_without_memory),
        cmocka_unit_test(test_start_without_memory),
        cmocka_unit_test(test_start_that_fails),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_options),
    };
    return HS_RUN_TESTS(tests);
}
