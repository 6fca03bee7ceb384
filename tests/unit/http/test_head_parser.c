/* Tests the request head parser: the parsed values, and the error for each kind of damage.
 * tests/hostile/rfc has the full list of damages with the real server's responses. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/head_parser.h"

static int parse(const char *text, struct hs_http_head *head, struct hs_error *err)
{
    struct hs_http_head_scan scan = { 0 };
    size_t len = strlen(text), end = hs_http_head_find_end((const uint8_t *) text, len, &scan);
    assert_int_equal(end, len);
    return hs_http_head_parse((const uint8_t *) text, len, head, err);
}

static void assert_span(const char *text, struct hs_http_span span, const char *want)
{
    assert_int_equal(span.len, strlen(want));
    assert_memory_equal(text + span.at, want, span.len);
}

static void test_parts(void **state)
{
    (void) state;
    static const char text[] = "POST /a?b=c HTTP/1.1\r\nHost: x:80\r\nX-One:\t two words \t\r\nEmpty:\r\n"
                               "content-LENGTH: 0012\r\nExpect: 100-CONTINUE\r\n\r\n";
    struct hs_http_head head;
    assert_int_equal(parse(text, &head, NULL), 0);
    assert_span(text, head.method, "POST");
    assert_span(text, head.target, "/a?b=c");
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.field_count, 5);
    assert_span(text, head.fields[0].name, "Host");
    assert_span(text, head.fields[1].value, "two words");
    assert_span(text, head.fields[2].value, "");
    assert_true(head.has_length && !head.chunked && head.expects_continue && head.keep_alive);
    assert_int_equal(head.length, 12);
}

/* Finds the same end for every piece size, and does not scan a byte twice. */
static void test_end(void **state)
{
    (void) state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET ";
    size_t len = strlen(text), want = len - 4;
    for (size_t step = 1; step <= len; step++) {
        struct hs_http_head_scan scan = { 0 };
        size_t end = 0, at = 0;
        while (end == 0 && at < len) {
            at = at + step < len ? at + step : len;
            end = hs_http_head_find_end((const uint8_t *) text, at, &scan);
            assert_true(end != 0 || scan.at == at);
        }
        assert_int_equal(end, want);
    }
}

static void test_connection(void **state)
{
    (void) state;
    static const struct {
        const char *version, *header;
        bool keep;
    } cases[] = {
        { "1.1", "X: y", true },
        { "1.1", "Connection: close", false },
        { "1.1", "Connection: keep-alive, CLOSE", false },
        { "1.1", "Connection: closed", true },
        { "1.2", "Connection: x,,y", true },
        { "1.0", "X: y", false },
        { "1.0", "Connection: Keep-Alive", true },
        { "1.0", "Connection: keep-alive\r\nConnection: close", false },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_http_head head;
        char text[200];
        snprintf(text, sizeof(text), "GET / HTTP/%s\r\nHost: x\r\n%s\r\n\r\n", cases[i].version, cases[i].header);
        assert_int_equal(parse(text, &head, NULL), 0);
        assert_int_equal(head.keep_alive, cases[i].keep);
    }
}

static void test_errors(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        int code;
        const char *message;
    } cases[] = {
        { "GET / HTTP/1.1\r\n\r\n", HS_EINVAL, "no Host" },
        { "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HS_EINVAL, "more than one Host" },
        { "GET / HTTP/1.1\r\nHost: a\n\r\n", HS_EINVAL, "CR LF" },
        { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", HS_EHTTPVERSION, "HTTP/2" },
        { "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", HS_EUNIMPLEMENTED, "CONNECT" },
        { "Connect a:1 HTTP/1.1\r\nHost: a\r\n\r\n", HS_EINVAL, "a path or an http URL" },
        { "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", HS_EINVAL, "end with chunked" },
        { "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HS_EUNIMPLEMENTED, "only" },
        { "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", HS_EINVAL, "after chunked" },
        { "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HS_EINVAL, "HTTP/1.0" },
        { "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", HS_EINVAL,
          "both Transfer-Encoding" },
        { "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", HS_ETOOLARGE, "too large" },
        { "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\n", HS_EINVAL, "not a number" },
        { "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n", HS_EINVAL, "a name, a colon" },
        { "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", HS_EINVAL, "The header X contains" },
        { "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", HS_EEXPECT, "100-continue" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_http_head head;
        struct hs_error err;
        assert_int_equal(parse(cases[i].text, &head, &err), cases[i].code);
        assert_int_equal(err.code, cases[i].code);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s: %s", cases[i].text, err.message);
    }
}

/* After an error, the method and target are still available for the log. */
static void test_parts_of_an_invalid_head(void **state)
{
    (void) state;
    static const char text[] = "GET /x HTTP/1.1\r\nHost : a\r\n\r\n";
    struct hs_http_head head;
    assert_int_equal(parse(text, &head, NULL), HS_EINVAL);
    assert_span(text, head.method, "GET");
    assert_span(text, head.target, "/x");
}

static void test_largest_length(void **state)
{
    (void) state;
    struct hs_http_head head;
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n", &head, NULL), 0);
    assert_true(head.length == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_parts_of_an_invalid_head),
        cmocka_unit_test(test_largest_length),
    };
    return HS_RUN_TESTS(tests);
}
