/* Tests streams over real sockets: complete and incomplete ones, clients that read slowly or
 * disconnect, and many at once. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "http/admission.h"
#include "http/server.h"
#include "http/stream.h"

/* ---- The service under test ---- */

struct fixture {
    struct hs_http_options options;
    struct hs_http_server *server;
    pthread_mutex_t lock; /* guards the fields below */
    pthread_cond_t changed;
    int permits; /* number of pieces that /steps handlers may write */
    int inside, left, cancelled, timed_out;
    size_t written; /* bytes written by /flood */
    int admin;      /* result of hs_http_check_admin in /left; 1: not called yet */
};

static void enter(struct fixture *f, int by)
{
    pthread_mutex_lock(&f->lock);
    f->inside += by;
    f->left += by < 0;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void count(struct fixture *f, int r)
{
    pthread_mutex_lock(&f->lock);
    f->cancelled += r == HS_ECANCELED;
    f->timed_out += r == HS_ETIMEOUT;
    pthread_mutex_unlock(&f->lock);
}

/* Waits for a permit. Returns false if the client disconnects first. */
static bool permitted(struct fixture *f, struct hs_http_request *req)
{
    bool got = false;
    while (!got && !hs_cancel_is_set(hs_http_cancel(req))) {
        pthread_mutex_lock(&f->lock);
        if (f->permits == 0)
            hs_cond_wait_until(&f->changed, &f->lock, hs_deadline_in_ms(10));
        got = f->permits > 0;
        f->permits -= got;
        pthread_mutex_unlock(&f->lock);
    }
    return got;
}

/* Writes three pieces, one per permit. */
static void handle_steps(struct hs_http_request *req)
{
    struct fixture *f = hs_http_context(req);
    hs_http_add_header(req, "X-Kind", "steps");
    struct hs_http_stream *stream = hs_http_stream_begin(req, 201, "text/plain");
    hs_http_add_header(req, "X-Late", "yes");
    hs_http_reply_bytes(req, 500, "text/plain", malloc(5), 5);
    enter(f, 1);
    int r = 0;
    for (int i = 0; i < 3 && r == 0; i++) {
        char piece[8];
        snprintf(piece, sizeof(piece), "step%d\n", i);
        r = permitted(f, req) ? hs_http_stream_write(stream, piece, 6, HS_NO_DEADLINE) : HS_ECANCELED;
    }
    count(f, r);
    enter(f, -1);
}

/* Writes the number of bytes in the query, in pieces of odd sizes: byte i is i % 251. */
static void handle_count(struct hs_http_request *req)
{
    struct fixture *f = hs_http_context(req);
    int64_t total = 0;
    static const size_t sizes[] = { 1, 1000, 70000, 13, 4096, 250000 };
    hs_str_to_int64(hs_http_query(req, "n"), &total);
    uint8_t *piece = malloc(250000);
    struct hs_http_stream *stream = hs_http_stream_begin(req, 200, "application/octet-stream");
    int r = 0;
    enter(f, 1);
    for (size_t at = 0, k = 0; at < (size_t) total && r == 0; k++) {
        size_t n = sizes[k % 6] < (size_t) total - at ? sizes[k % 6] : (size_t) total - at;
        for (size_t i = 0; i < n; i++)
            piece[i] = (uint8_t) ((at + i) % 251);
        r = hs_http_stream_write(stream, piece, n, HS_NO_DEADLINE);
        at += n;
    }
    free(piece);
    hs_http_stream_end(stream, r == 0);
    assert_true(r < 0 || hs_http_stream_write(stream, "x", 1, HS_NO_DEADLINE) == HS_ECANCELED);
    count(f, r);
    enter(f, -1);
}

/* Writes until a write fails. */
static void flood(struct hs_http_request *req, int64_t deadline_ns)
{
    static const uint8_t block[65536];
    struct fixture *f = hs_http_context(req);
    struct hs_http_stream *stream = hs_http_stream_begin(req, 200, "application/octet-stream");
    int r = 0;
    enter(f, 1);
    while (r == 0) {
        r = hs_http_stream_write(stream, block, sizeof(block), deadline_ns);
        pthread_mutex_lock(&f->lock);
        f->written += r == 0 ? sizeof(block) : 0;
        pthread_cond_broadcast(&f->changed);
        pthread_mutex_unlock(&f->lock);
    }
    hs_http_stream_end(stream, false);
    count(f, r);
    enter(f, -1);
}

static void handle_flood(struct hs_http_request *req)
{
    flood(req, HS_NO_DEADLINE);
}

static void handle_brief(struct hs_http_request *req)
{
    flood(req, hs_deadline_in_ms(100));
}

static void handle_broken(struct hs_http_request *req)
{
    struct hs_http_stream *stream = hs_http_stream_begin(req, 200, "text/plain");
    hs_http_stream_write(stream, "half", 4, HS_NO_DEADLINE);
    hs_http_stream_end(stream, false);
}

static void handle_events(struct hs_http_request *req)
{
    struct hs_http_stream *stream = hs_sse_begin(req);
    assert_int_equal(hs_sse_send(stream, "note", "7", "one\ntwo\r\nthree\rfour", HS_NO_DEADLINE), 0);
    assert_int_equal(hs_http_stream_write(stream, ":\n\n", 3, HS_NO_DEADLINE), 0);
    assert_int_equal(hs_sse_send(stream, NULL, NULL, "", HS_NO_DEADLINE), 0);
    assert_int_equal(hs_sse_send(stream, "two\nlines", NULL, "x", HS_NO_DEADLINE), HS_EINVAL);
    assert_int_equal(hs_sse_send(stream, NULL, "two\rlines", "x", HS_NO_DEADLINE), HS_EINVAL);
    assert_int_equal(hs_sse_send(stream, NULL, NULL, "end\n", HS_NO_DEADLINE), 0);
}

static void handle_accept(struct hs_http_request *req)
{
    hs_http_reply_json(req, 200, json_pack("{s:b}", "lines", hs_accept_prefers(req, "application/x-ndjson")));
}

static void handle_plain(struct hs_http_request *req)
{
    hs_http_reply_json(req, 200, json_pack("{s:b}", "plain", 1));
}

static void handle_none(struct hs_http_request *req)
{
    struct hs_http_stream *stream = hs_http_stream_begin(req, 204, "");
    assert_int_equal(hs_http_stream_write(stream, "", 0, HS_NO_DEADLINE), 0);
}

/* Checks its client after the connection is closed. */
static void handle_left(struct hs_http_request *req)
{
    struct fixture *f = hs_http_context(req);
    struct hs_http_stats stats;
    int64_t deadline_ns = hs_deadline_in_ms(10000);
    hs_http_stream_begin(req, 200, "text/plain");
    enter(f, 1);
    do
        hs_http_stats_of(req, &stats);
    while (stats.connections > 0 && hs_clock_now_ns() < deadline_ns);
    int admin = hs_http_check_admin(req, NULL);
    pthread_mutex_lock(&f->lock);
    f->admin = admin;
    pthread_mutex_unlock(&f->lock);
    enter(f, -1);
}

/* Texts with this end are counted when they are overwritten. */
static const char secret_end[] = "0.25, 0.125]}";
static atomic_int secrets_wiped;

/* Replaces libsodium's function in hs_mem_free_wiped. */
void sodium_memzero(void *data, size_t len)
{
    volatile uint8_t *p = data;
    secrets_wiped += memmem(data, len, secret_end, strlen(secret_end)) != NULL;
    while (len > 0)
        p[--len] = 0;
}

static void handle_secret(struct hs_http_request *req)
{
    if (hs_http_query(req, "stream"))
        hs_http_stream_begin(req, 200, "text/plain");
    hs_http_reply_secret_json(req, 200, json_pack("{s:[f, f]}", "embedding", 0.25, 0.125));
}

static const struct hs_http_route routes[] = {
    { .method = "GET", .path = "/secret", .handle = handle_secret },
    { .method = "GET", .path = "/steps", .handle = handle_steps },
    { .method = "GET", .path = "/count", .handle = handle_count },
    { .method = "GET", .path = "/flood", .handle = handle_flood },
    { .method = "GET", .path = "/brief", .handle = handle_brief },
    { .method = "GET", .path = "/broken", .handle = handle_broken },
    { .method = "GET", .path = "/events", .handle = handle_events },
    { .method = "GET", .path = "/accept", .handle = handle_accept },
    { .method = "GET", .path = "/plain", .handle = handle_plain },
    { .method = "GET", .path = "/none", .handle = handle_none },
    { .method = "GET", .path = "/left", .handle = handle_left },
};

static struct fixture *set_up(void (*change)(struct hs_http_options *options))
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct hs_error err;
    hs_log_setup("test", HS_LOG_ERROR, HS_LOG_TEXT);
    pthread_mutex_init(&f->lock, NULL);
    hs_cond_init(&f->changed);
    hs_http_options_init(&f->options);
    f->options.workers = 4;
    if (change)
        change(&f->options);
    int r = hs_http_create(&f->options, routes, sizeof(routes) / sizeof(routes[0]), f, &f->server, &err);
    if (r == 0)
        r = hs_http_start(f->server, &err);
    if (r < 0)
        fail_msg("%s", err.message);
    return f;
}

static void tear_down(struct fixture *f)
{
    hs_http_destroy(f->server);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    free(f);
}

static void permit(struct fixture *f, int n)
{
    pthread_mutex_lock(&f->lock);
    f->permits += n;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void expect_inside(struct fixture *f, int inside)
{
    int64_t deadline = hs_deadline_in_ms(10000);
    int r = 0;
    pthread_mutex_lock(&f->lock);
    while (f->inside != inside && r == 0)
        r = hs_cond_wait_until(&f->changed, &f->lock, deadline);
    int got = f->inside;
    pthread_mutex_unlock(&f->lock);
    assert_int_equal(got, inside);
}

/* Waits until `left` handlers have run to their end. A client may have the head before its handler counts. */
static void expect_left(struct fixture *f, int left)
{
    int64_t deadline = hs_deadline_in_ms(10000);
    int r = 0;
    pthread_mutex_lock(&f->lock);
    while (f->left != left && r == 0)
        r = hs_cond_wait_until(&f->changed, &f->lock, deadline);
    int got = f->left;
    pthread_mutex_unlock(&f->lock);
    assert_int_equal(got, left);
}

/* Waits until /flood stops writing, and returns the number of bytes written. */
static size_t settled(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    size_t before = SIZE_MAX;
    while (f->written != before || f->written == 0) {
        before = f->written;
        hs_cond_wait_until(&f->changed, &f->lock, hs_deadline_in_ms(50));
        if (f->written == before)
            hs_cond_wait_until(&f->changed, &f->lock, hs_deadline_in_ms(200));
    }
    pthread_mutex_unlock(&f->lock);
    return before;
}

/* ---- A client ---- */

static int port_of(const struct fixture *f)
{
    return (int) strtol(strrchr(hs_http_address(f->server), ':') + 1, NULL, 10);
}

static int dial(const struct fixture *f)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t) port_of(f)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { .tv_sec = 20 };
    int small = 8192, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    return fd;
}

static int ask(const struct fixture *f, const char *method, const char *target, const char *version)
{
    char text[200];
    int fd = dial(f), n = snprintf(text, sizeof(text), "%s %s %s\r\nHost: x\r\n\r\n", method, target, version);
    assert_int_equal(send(fd, text, (size_t) n, MSG_NOSIGNAL), n);
    return fd;
}

static bool read_n(int fd, void *dst, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, (char *) dst + got, len - got, 0);
        if (n <= 0)
            return false;
        got += (size_t) n;
    }
    return true;
}

/* Reads up to and including `end`. */
static bool read_until(int fd, const char *end, char *dst, size_t size)
{
    size_t n = strlen(end);
    for (size_t len = 0; len + 1 < size && read_n(fd, dst + len, 1);) {
        dst[++len] = '\0';
        if (len >= n && memcmp(dst + len - n, end, n) == 0)
            return true;
    }
    return false;
}

static void expect_head(int fd, const char *line, const char *has)
{
    char head[2048];
    assert_true(read_until(fd, "\r\n\r\n", head, sizeof(head)));
    assert_memory_equal(head, line, strlen(line));
    if (!strcasestr(head, has))
        fail_msg("no %s in %s", has, head);
    assert_null(strcasestr(head, "Content-Length"));
    assert_null(strstr(head, "X-Late"));
}

/* Reads one chunk into dst. Returns its length, 0 for the final one, or -1 if there was none. */
static long read_chunk(int fd, char *dst, size_t size)
{
    char line[32];
    if (!read_until(fd, "\r\n", line, sizeof(line)))
        return -1;
    size_t len = (size_t) strtoul(line, NULL, 16);
    if (len + 2 > size || !read_n(fd, dst, len + 2))
        return -1;
    dst[len] = '\0';
    return (long) len;
}

static void expect_chunk(int fd, const char *text)
{
    char chunk[64];
    assert_int_equal(read_chunk(fd, chunk, sizeof(chunk)), (long) strlen(text));
    assert_string_equal(chunk, text);
}

static void expect_end(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static void expect_quiet(int fd)
{
    struct timeval brief = { .tv_usec = 50000 }, limit = { .tv_sec = 20 };
    char c;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
    assert_true(recv(fd, &c, 1, MSG_PEEK) < 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* Reads the chunks of /count. */
static bool read_count(int fd, size_t total)
{
    size_t at = 0, size = 1 << 20;
    char *chunk = malloc(size);
    long n;
    bool good = true;
    while (good && (n = read_chunk(fd, chunk, size)) > 0) {
        for (long i = 0; i < n; i++)
            good &= (uint8_t) chunk[i] == (uint8_t) ((at + (size_t) i) % 251);
        at += (size_t) n;
    }
    free(chunk);
    return good && at == total;
}

/* ---- Tests ---- */

static void test_pieces(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int fd = ask(f, "GET", "/steps", "HTTP/1.1");
    expect_head(fd, "HTTP/1.1 201 ", "X-Kind: steps\r\n");
    /* Each piece arrives when it is written, not with the next one. */
    expect_quiet(fd);
    permit(f, 1);
    expect_chunk(fd, "step0\n");
    expect_quiet(fd);
    permit(f, 1);
    expect_chunk(fd, "step1\n");
    permit(f, 1);
    expect_chunk(fd, "step2\n");
    expect_chunk(fd, "");
    /* The connection stays open. */
    assert_int_equal(send(fd, "GET /count?n=5 HTTP/1.1\r\nHost: x\r\n\r\n", 36, MSG_NOSIGNAL), 36);
    expect_head(fd, "HTTP/1.1 200 ", "Transfer-Encoding: chunked\r\n");
    assert_true(read_count(fd, 5));
    assert_int_equal(send(fd, "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", 32, MSG_NOSIGNAL), 32);
    char head[2048];
    assert_true(read_until(fd, "plain\": true}", head, sizeof(head)));
    close(fd);
    tear_down(f);
}

static void test_sizes(void **state)
{
    (void) state;
    static const size_t sizes[] = { 0, 1, 65536, 1 << 20, 5000000 };
    struct fixture *f = set_up(NULL);
    for (size_t i = 0; i < 5; i++) {
        char target[40];
        snprintf(target, sizeof(target), "/count?n=%zu", sizes[i]);
        int fd = ask(f, "GET", target, "HTTP/1.1");
        expect_head(fd, "HTTP/1.1 200 ", "Transfer-Encoding: chunked\r\n");
        assert_true(read_count(fd, sizes[i]));
        close(fd);
    }
    tear_down(f);
}

static void test_http10(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    char *bytes = malloc(100000);
    int fd = ask(f, "GET", "/count?n=100000", "HTTP/1.0");
    expect_head(fd, "HTTP/1.", "Content-Type: application/octet-stream\r\n");
    assert_true(read_n(fd, bytes, 100000));
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal((uint8_t) bytes[i], i % 251);
    expect_end(fd);
    close(fd);
    free(bytes);
    tear_down(f);
}

static void test_head(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    char head[2048];
    int fd = ask(f, "HEAD", "/flood", "HTTP/1.1");
    /* The headers of GET and nothing after them, so the connection stays open. */
    expect_head(fd, "HTTP/1.1 200 ", "Transfer-Encoding: chunked\r\n");
    expect_left(f, 1);
    assert_int_equal(send(fd, "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", 32, MSG_NOSIGNAL), 32);
    assert_true(read_until(fd, "plain\": true}", head, sizeof(head)));
    assert_memory_equal(head, "HTTP/1.1 200 OK\r\n", 17);
    close(fd);
    tear_down(f);
}

static void test_broken(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    char chunk[64];
    int fd = ask(f, "GET", "/broken", "HTTP/1.1");
    expect_head(fd, "HTTP/1.1 200 ", "chunked");
    long n = read_chunk(fd, chunk, sizeof(chunk));
    if (n >= 0)
        n = read_chunk(fd, chunk, sizeof(chunk));
    assert_int_equal(n, -1); /* no final chunk */
    close(fd);
    tear_down(f);
}

static void test_events(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    char all[1000] = "", chunk[1000];
    int fd = ask(f, "GET", "/events", "HTTP/1.1");
    expect_head(fd, "HTTP/1.1 200 ", "Content-Type: text/event-stream\r\n");
    while (read_chunk(fd, chunk, sizeof(chunk)) > 0)
        hs_str_copy(all + strlen(all), sizeof(all) - strlen(all), chunk);
    assert_string_equal(all, "event: note\nid: 7\ndata: one\ndata: two\ndata: three\ndata: four\n\n:\n\ndata: \n\n"
                             "data: end\ndata: \n\n");
    close(fd);
    tear_down(f);
}

static void test_accept(void **state)
{
    (void) state;
    static const struct {
        const char *header;
        bool lines;
    } cases[] = {
        { "X: y", false },
        { "Accept: */*", false },
        { "Accept: application/x-ndjson", true },
        { "Accept: application/json, application/X-NDJSON", true },
        { "Accept: application/json, application/x-ndjson;q=0.9", false },
        { "Accept: application/json;q=0.1,application/x-ndjson;q=0.2", true },
        { "Accept: application/x-ndjson;q=0", false },
        { "Accept: application/x-ndjsonx", false },
    };
    struct fixture *f = set_up(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[200], answer[2048];
        int fd = dial(f),
            n = snprintf(text, sizeof(text), "GET /accept HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", cases[i].header);
        assert_int_equal(send(fd, text, (size_t) n, MSG_NOSIGNAL), n);
        assert_true(read_until(fd, "}", answer, sizeof(answer)));
        if (!strstr(answer, cases[i].lines ? "\"lines\": true" : "\"lines\": false"))
            fail_msg("%s: %s", cases[i].header, answer);
        close(fd);
    }
    tear_down(f);
}

/* The buffer for unread bytes is limited; the writer continues after the client reads. */
static void test_slow_reader(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    char *bytes = malloc(4 << 20);
    int fd = ask(f, "GET", "/flood", "HTTP/1.1");
    size_t before = settled(f);
    assert_in_range(before, HS_HTTP_STREAM_MAX / 2, HS_HTTP_STREAM_MAX + (6 << 20));
    assert_true(read_n(fd, bytes, 4 << 20));
    assert_true(settled(f) > before);
    close(fd);
    expect_inside(f, 0);
    assert_int_equal(f->cancelled, 1);
    free(bytes);
    tear_down(f);
}

static void test_write_deadline(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int fd = ask(f, "GET", "/brief", "HTTP/1.1");
    expect_head(fd, "HTTP/1.1 200 ", "chunked");
    expect_left(f, 1);
    assert_int_equal(f->timed_out, 1);
    close(fd);
    tear_down(f);
}

static void short_timeouts(struct hs_http_options *options)
{
    options->body_timeout_ms = 500;
}

/* The limit applies to a pause, not to the whole stream. */
static void test_time_limit(void **state)
{
    (void) state;
    struct fixture *f = set_up(short_timeouts);
    struct hs_http_stats stats;
    int waits = ask(f, "GET", "/steps", "HTTP/1.1");
    expect_head(waits, "HTTP/1.1 201 ", "chunked");
    int64_t end = hs_deadline_in_ms(1500);
    int slow = ask(f, "GET", "/flood", "HTTP/1.1");
    char *bytes = malloc(4 << 20);
    while (hs_clock_now_ns() < end) {
        /* The system reports free space in its send buffer only when a third of it is free. */
        assert_true(read_n(slow, bytes, 4 << 20));
        expect_quiet(waits);
    }
    free(bytes);
    hs_http_stats(f->server, &stats);
    assert_int_equal(stats.timed_out, 0);
    /* From here on, the client reads nothing and is disconnected. The client that waits for the
     * handler is not. */
    expect_inside(f, 1);
    hs_http_stats(f->server, &stats);
    assert_int_equal(stats.timed_out, 1);
    permit(f, 1);
    expect_chunk(waits, "step0\n");
    close(slow), close(waits);
    tear_down(f);
}

static void test_client_leaves(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct hs_http_stats stats;
    int waits = ask(f, "GET", "/steps", "HTTP/1.1"), floods = ask(f, "GET", "/flood", "HTTP/1.1");
    expect_head(waits, "HTTP/1.1 201 ", "chunked");
    settled(f);
    expect_inside(f, 2);
    close(waits);
    expect_inside(f, 1);
    close(floods);
    expect_inside(f, 0);
    assert_int_equal(f->cancelled, 2);
    assert_int_equal(hs_http_drain(f->server, hs_deadline_in_ms(5000)), 0);
    hs_http_stats(f->server, &stats);
    assert_int_equal(stats.active, 0);
    tear_down(f);
}

/* RFC 9112, 6.1: no Transfer-Encoding, and nothing after the head. */
static void test_no_content(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    char head[2048];
    int fd = ask(f, "GET", "/none", "HTTP/1.1");
    assert_true(read_until(fd, "\r\n\r\n", head, sizeof(head)));
    assert_memory_equal(head, "HTTP/1.1 204 ", 13);
    assert_null(strcasestr(head, "Transfer-Encoding"));
    assert_int_equal(send(fd, "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", 32, MSG_NOSIGNAL), 32);
    assert_true(read_until(fd, "plain\": true}", head, sizeof(head)));
    assert_memory_equal(head, "HTTP/1.1 200 OK\r\n", 17);
    close(fd);
    tear_down(f);
}

static void local_admin(struct hs_http_options *options)
{
    options->access.admin = HS_HTTP_ADMIN_LOCAL;
}

/* A handler that continues after its connection closes can still identify the client. */
static void test_client_is_known_after_it_left(void **state)
{
    (void) state;
    struct fixture *f = set_up(local_admin);
    f->admin = 1;
    int fd = ask(f, "GET", "/left", "HTTP/1.1");
    expect_head(fd, "HTTP/1.1 200 ", "chunked");
    expect_inside(f, 1);
    close(fd);
    expect_inside(f, 0);
    assert_int_equal(f->admin, 0);
    tear_down(f);
}

static void test_drain(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int fd = ask(f, "GET", "/steps", "HTTP/1.1");
    expect_head(fd, "HTTP/1.1 201 ", "chunked");
    assert_int_equal(hs_http_drain(f->server, hs_deadline_in_ms(50)), HS_ETIMEOUT);
    permit(f, 3);
    assert_int_equal(hs_http_drain(f->server, hs_deadline_in_ms(5000)), 0);
    close(fd);
    tear_down(f);
}

static void test_destroy(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int waits = ask(f, "GET", "/steps", "HTTP/1.1"), floods = ask(f, "GET", "/flood", "HTTP/1.1"),
        done = ask(f, "GET", "/count?n=300000", "HTTP/1.1");
    expect_head(waits, "HTTP/1.1 201 ", "chunked");
    settled(f);
    tear_down(f);
    close(waits), close(floods), close(done);
}

/* Clients read everything, a part, slowly or nothing, and disconnect at random times. */
static void *connect_and_disconnect(void *arg)
{
    const struct fixture *f = arg;
    unsigned seed = (unsigned) (uintptr_t) &seed;
    for (int i = 0; i < 30; i++) {
        char bytes[5000];
        seed = seed * 1103515245 + 12345;
        unsigned kind = seed >> 16 & 3;
        int fd = ask(f, "GET", kind == 0 ? "/steps" : kind == 1 ? "/flood" : "/count?n=400000", "HTTP/1.1");
        if (kind == 3) {
            bool whole = read_until(fd, "\r\n\r\n", bytes, sizeof(bytes)) && read_count(fd, 400000);
            if (!whole)
                fprintf(stderr, "a stream was not whole\n");
            close(fd);
            if (!whole)
                return (void *) (uintptr_t) 1;
            continue;
        }
        if (seed >> 20 & 1)
            read_n(fd, bytes, sizeof(bytes) / (kind + 1) % 200);
        close(fd);
    }
    return NULL;
}

static void test_many(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct hs_http_stats stats;
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, connect_and_disconnect, f);
    for (int i = 0; i < 6; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(hs_http_drain(f->server, hs_deadline_in_ms(10000)), 0);
    hs_http_stats(f->server, &stats);
    assert_int_equal(stats.active, 0);
    expect_inside(f, 0);
    tear_down(f);
}

/* Overwrites a secret response, including one that a stream replaced. */
static void test_secrets_are_overwritten(void **state)
{
    (void) state;
    char head[2048];
    struct fixture *f = set_up(NULL);
    int fd = ask(f, "GET", "/secret", "HTTP/1.1");
    assert_true(read_until(fd, secret_end, head, sizeof(head)));
    close(fd);
    fd = ask(f, "GET", "/secret?stream=1", "HTTP/1.1");
    assert_true(read_until(fd, "\r\n0\r\n\r\n", head, sizeof(head)));
    close(fd);
    tear_down(f);
    assert_int_equal(secrets_wiped, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_http10),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_write_deadline),
        cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_destroy),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_client_is_known_after_it_left),
        cmocka_unit_test(test_no_content),
        cmocka_unit_test(test_secrets_are_overwritten),
    };
    return HS_RUN_TESTS(tests);
}
