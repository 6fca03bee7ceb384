/* Tests batches through a server on a real socket. Each picture specifies the size of its answer. */
#include "../unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/app.h"
#include "service/batch.h"
#include "service/response.h"

enum { MB = 1 << 20 };

struct fixture {
    struct hs_app_core core; /* must be first: handlers read it from the server's context */
    struct hs_app app;
    struct hs_app_budgets budgets;
    struct hs_http_server *server;
    atomic_int begun, handled;
};

/* The text of a picture is the number of bytes of its answer. */
static int answer(void *ctx, const struct hs_batch_picture *picture, struct hs_buf *out, struct hs_error *err)
{
    struct fixture *f = ctx;
    char number[16] = "";
    atomic_fetch_add(&f->begun, 1);
    memcpy(number, picture->data, picture->len < 15 ? picture->len : 15);
    size_t len = strtoul(number, NULL, 10);
    if (len == 0)
        return hs_error_set(err, HS_EDECODE, "no number");
    char *text = malloc(len + 1);
    if (!text)
        return hs_error_set(err, HS_ENOMEM, "no memory");
    memset(text, 'x', len);
    text[len] = '\0';
    int r = hs_batch_append(picture, json_pack("{s:s}", "text", text), out, err);
    free(text);
    return r;
}

static void handle(struct hs_http_request *req)
{
    struct fixture *f = hs_http_context(req);
    const struct hs_batch batch = { .process = answer, .ctx = f };
    hs_batch_reply(req, &batch);
    atomic_fetch_add(&f->handled, 1);
}

static const char *const list[] = { "images", NULL };
static const struct hs_http_route routes[] = {
    { .method = "POST",
      .path = "/batch",
      .handle = handle,
      .body = HS_BODY_FORM_ELSE_JSON,
      .spec = { .list = list, .list_member = "image" } },
};

static void use_sorted(const void *state, struct hs_http_options *options)
{
    (void) state;
    options->json_style = HS_JSON_SORTED;
}

static struct fixture *set_up(void (*configure_http)(const void *state, struct hs_http_options *options))
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct hs_http_options options;
    struct hs_error err;
    assert_non_null(f);
    f->app.configure_http = configure_http;
    f->core.app = &f->app;
    f->core.budgets = &f->budgets;
    hs_budget_init(&f->budgets.responses, HS_RESPONSES_HELD_MAX);
    hs_log_setup("test", HS_LOG_ERROR, HS_LOG_TEXT);
    hs_http_options_init(&options);
    options.batch_max = 256;
    if (configure_http)
        configure_http(f, &options);
    if (hs_http_create(&options, routes, 1, f, &f->server, &err) < 0 || hs_http_start(f->server, &err) < 0)
        fail_msg("%s", err.message);
    return f;
}

static void tear_down(struct fixture *f)
{
    hs_http_destroy(f->server);
    hs_budget_finish(&f->budgets.responses);
    free(f);
}

/* ---- a client ---- */

static void send_all(int fd, const void *data, size_t len)
{
    for (const char *p = data; len > 0;) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        p += n;
        len -= (size_t) n;
    }
}

/* Sends `count` pictures that request `size` bytes each, except picture `odd`, which requests `odd_size`. */
static int ask(const struct fixture *f, int count, size_t size, int odd, size_t odd_size, bool lines)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { .tv_sec = 60 };
    int small = 8192, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct hs_buf body, head;
    assert_true(fd >= 0);
    address.sin_port = htons((uint16_t) strtol(strrchr(hs_http_address(f->server), ':') + 1, NULL, 10));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    hs_buf_init(&body, MB);
    hs_buf_init(&head, 1024);
    for (int i = 0; i < count; i++)
        hs_buf_printf(&body, "--b\r\nContent-Disposition: form-data; name=\"images\"; filename=\"a\"\r\n\r\n%zu\r\n",
                      i == odd ? odd_size : size);
    hs_buf_append_str(&body, "--b--\r\n");
    hs_buf_printf(&head,
                  "POST /batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: %s\r\n"
                  "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %zu\r\n\r\n",
                  lines ? "application/x-ndjson" : "*/*", body.len);
    send_all(fd, head.data, head.len);
    send_all(fd, body.data, body.len);
    hs_buf_finish(&head);
    hs_buf_finish(&body);
    return fd;
}

/* Reads the answer until the connection is closed. */
/* Removes the chunk framing. The chunk borders depend on how fast the answer was read. */
static void join_chunks(struct hs_buf *answer)
{
    char *text = (char *) answer->data, *head = strstr(hs_buf_str(answer), "\r\n\r\n"), *to = head + 4, *at = to;
    size_t n;
    assert_non_null(head);
    if (!strcasestr(text, "\r\nTransfer-Encoding: chunked\r\n"))
        return;
    while ((n = strtoul(at, &at, 16)) > 0) {
        memmove(to, at + 2, n);
        to += n;
        at += 2 + n + 2;
    }
    answer->len = (size_t) (to - text);
    answer->data[answer->len] = '\0';
}

static struct hs_buf receive(int fd)
{
    static char piece[65536];
    struct hs_buf out;
    ssize_t n;
    hs_buf_init(&out, 256 * MB);
    while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
        assert_int_equal(hs_buf_append(&out, piece, (size_t) n), 0);
    assert_int_equal(close(fd), 0);
    join_chunks(&out);
    return out;
}

static const char *body_of(struct hs_buf *answer)
{
    const char *text = strstr(hs_buf_str(answer), "\r\n\r\n");
    assert_non_null(text);
    return text + 4;
}

/* Returns the JSON of a complete answer or of an error. */
static json_t *ask_whole(const struct fixture *f, int count, size_t size, int *ret_status)
{
    struct hs_buf answer = receive(ask(f, count, size, -1, 0, false));
    json_error_t why;
    assert_true(answer.len > 12);
    *ret_status = (int) strtol(hs_buf_str(&answer) + 9, NULL, 10); /* skips "HTTP/1.1 " */
    json_t *value = json_loads(body_of(&answer), 0, &why);
    if (!value)
        fail_msg("%d, %s", *ret_status, why.text);
    hs_buf_finish(&answer);
    return value;
}

static void expect_error(json_t *value, const char *code, const char *text)
{
    json_t *error = json_object_get(value, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), code);
    assert_non_null(strstr(json_string_value(json_object_get(error, "message")), text));
    json_decref(value);
}

/* The handler may return shortly after the answer was received. */
static void expect_all_released(struct fixture *f)
{
    for (int i = 0; i < 2000 && hs_budget_used(&f->budgets.responses, NULL) > 0; i++)
        usleep(5000);
    assert_int_equal(hs_budget_used(&f->budgets.responses, NULL), 0);
}

/* ---- tests ---- */

static void whole_responses_have_each_style(void **state)
{
    (void) state;
    for (int sorted = 0; sorted < 2; sorted++) {
        struct fixture *f = set_up(sorted ? use_sorted : NULL);
        struct hs_buf answer = receive(ask(f, 4, 3, 2, 0, false));
        static const char *const expected[] = {
            "{\"results\": [{\"text\": \"xxx\", \"index\": 0}, {\"text\": \"xxx\", \"index\": 1}, {\"error\": "
            "{\"message\": \"no number\", \"type\": \"invalid_request_error\", \"code\": \"undecodable\", \"field\": "
            "\"image\"}, \"index\": 2}, {\"text\": \"xxx\", \"index\": 3}], \"count\": 4, \"failed\": 1}\n",
            "{\"count\":4,\"failed\":1,\"results\":[{\"index\":0,\"text\":\"xxx\"},{\"index\":1,\"text\":\"xxx\"},{"
            "\"error\":{\"code\":\"undecodable\",\"field\":\"image\",\"message\":\"no number\",\"type\":"
            "\"invalid_request_error\"},\"index\":2},{\"index\":3,\"text\":\"xxx\"}]}\n",
        };
        assert_string_equal(body_of(&answer), expected[sorted]);
        hs_buf_finish(&answer);
        tear_down(f);
    }
}

static void a_response_over_the_limit_is_an_error(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int status;
    json_t *value = ask_whole(f, 15, MB, &status);
    assert_int_equal(status, 200);
    assert_int_equal(json_array_size(json_object_get(value, "results")), 15);
    json_decref(value);
    expect_all_released(f);
    f->begun = 0;
    value = ask_whole(f, 200, MB, &status);
    assert_int_equal(status, 413);
    expect_error(value, "too_large", "the answer would be larger than 16777216 bytes: ask for fewer detections or");
    assert_true(f->begun < 40); /* no further picture was started */
    expect_all_released(f);
    tear_down(f);
}

static void a_result_over_the_limit_is_an_error_line(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct hs_buf answer = receive(ask(f, 3, 5, 1, 17 * MB, true));
    const char *text = body_of(&answer);
    assert_non_null(strstr(text, "{\"text\": \"xxxxx\", \"index\": 0}\n"));
    assert_non_null(strstr(text, "the answer would be larger than"));
    assert_non_null(strstr(text, "{\"text\": \"xxxxx\", \"index\": 2}\n"));
    assert_non_null(strstr(text, "{\"count\": 3, \"failed\": 1}\n"));
    hs_buf_finish(&answer);
    expect_all_released(f);
    tear_down(f);
}

static void lines_are_freed_once_sent(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    struct hs_buf answer = receive(ask(f, 60, MB, -1, 0, true));
    size_t peak;
    assert_true(answer.len > (size_t) 60 * MB);
    assert_non_null(strstr(body_of(&answer) + answer.len - 4096, "{\"count\": 60, \"failed\": 0}\n"));
    hs_buf_finish(&answer);
    expect_all_released(f);
    hs_budget_used(&f->budgets.responses, &peak);
    assert_true(peak < 13 * MB);
    tear_down(f);
}

/* A client that reads nothing: few pictures are started, and the handler soon returns. */
static void a_client_that_does_not_read_blocks_no_other(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int fd = ask(f, 200, MB, -1, 0, true);
    for (int i = 0; i < 4000 && f->handled == 0; i++)
        usleep(5000);
    assert_int_equal(f->handled, 1);
    assert_true(f->begun < 40);
    expect_all_released(f);
    assert_int_equal(close(fd), 0);
    tear_down(f);
}

static void without_room_for_its_results_it_is_busy(void **state)
{
    (void) state;
    struct fixture *f = set_up(NULL);
    int status;
    assert_true(hs_budget_try(&f->budgets.responses, HS_RESPONSES_HELD_MAX - 5000));
    json_t *value = ask_whole(f, 3, MB, &status);
    assert_int_equal(status, 503);
    expect_error(value, "busy", "use all memory for answers");
    struct hs_buf answer = receive(ask(f, 3, 5, 1, MB, true));
    assert_non_null(strstr(body_of(&answer), "\"code\": \"busy\""));
    assert_non_null(strstr(body_of(&answer), "{\"count\": 3, \"failed\": 1}\n"));
    hs_buf_finish(&answer);
    hs_budget_release(&f->budgets.responses, HS_RESPONSES_HELD_MAX - 5000);
    expect_all_released(f);
    tear_down(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_responses_have_each_style),
        cmocka_unit_test(a_response_over_the_limit_is_an_error),
        cmocka_unit_test(a_result_over_the_limit_is_an_error_line),
        cmocka_unit_test(lines_are_freed_once_sent),
        cmocka_unit_test(a_client_that_does_not_read_blocks_no_other),
        cmocka_unit_test(without_room_for_its_results_it_is_busy),
    };
    return HS_RUN_TESTS(tests);
}
