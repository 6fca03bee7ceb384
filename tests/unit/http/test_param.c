#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/param.h"
#include "http/request.h"
#include "http/request_internal.h"
#include "http/server.h"

static struct hs_body *body_of(const char *type, const char *text)
{
    static const struct hs_body_spec spec = { .bytes_max = 100000 };
    struct hs_body *body;
    struct hs_error err = { 0 };
    int r = hs_body_create(HS_BODY_FORM_ELSE_JSON, type, &spec, NULL, &body, &err);
    if (r == 0)
        r = hs_body_feed(body, text, strlen(text), &err);
    if (r == 0)
        r = hs_body_end(body, &err);
    if (r < 0)
        fail_msg("%s", err.message);
    return body;
}

/* Parse {"p": value}, or the same value as a form field. */
static struct hs_body *json(const char *value)
{
    char text[512];
    snprintf(text, sizeof(text), "{\"p\": %s}", value);
    return body_of(NULL, text);
}

static struct hs_body *form(const char *value)
{
    char text[8192];
    snprintf(text, sizeof(text), "--B\r\nContent-Disposition: form-data; name=p\r\n\r\n%s\r\n--B--", value);
    return body_of("multipart/form-data; boundary=B", text);
}

static void expect_double(struct hs_body *body, double want)
{
    double got = -1;
    struct hs_error err = { 0 };
    int r = hs_param_double(body, "p", 0, 1, 0.5, &got, &err);
    if (r < 0)
        fail_msg("%s", err.message);
    assert_true(got == want);
    hs_body_destroy(body);
}

static void refuse_double(struct hs_body *body, const char *message)
{
    double got = -1;
    struct hs_error err = { 0 };
    assert_int_equal(hs_param_double(body, "p", 0, 1, 0.5, &got, &err), HS_EINVAL);
    assert_string_equal(err.message, message);
    assert_true(got == -1);
    hs_body_destroy(body);
}

static void test_double(void **state)
{
    (void) state;
    expect_double(json("0.25"), 0.25);
    expect_double(json("1"), 1);
    expect_double(json("\" 0.25 \""), 0.25);
    expect_double(json("null"), 0.5);
    expect_double(body_of(NULL, "{}"), 0.5);
    expect_double(form(" 2.5e-1 "), 0.25);
    expect_double(form("0"), 0);
    refuse_double(json("1.5"), "p: must be between 0 and 1, not 1.5");
    refuse_double(json("-1"), "p: must be between 0 and 1, not -1");
    refuse_double(json("\"nan\""), "p: must be between 0 and 1, not \"nan\"");
    refuse_double(form("inf"), "p: must be between 0 and 1, not \"inf\"");
    refuse_double(form("0.5x"), "p: must be a number, not \"0.5x\"");
    refuse_double(form("0x1p-1"), "p: must be a number, not \"0x1p-1\"");
    refuse_double(form(""), "p: must be a number, not \"\"");
    refuse_double(json("true"), "p: must be a number, not a boolean");
    refuse_double(json("[0.5]"), "p: must be a number, not an array");
    refuse_double(json("{}"), "p: must be a number, not an object");
}

static void test_open_range(void **state)
{
    (void) state;
    struct hs_body *body = json("-3");
    struct hs_error err;
    double got;
    assert_int_equal(hs_param_double(body, "p", 0, INFINITY, 0, &got, &err), HS_EINVAL);
    assert_string_equal(err.message, "p: must be at least 0, not -3");
    assert_int_equal(hs_param_double(body, "p", -INFINITY, -4, 0, &got, &err), HS_EINVAL);
    assert_string_equal(err.message, "p: must be at most -4, not -3");
    assert_int_equal(hs_param_double(body, "p", -INFINITY, INFINITY, 0, &got, &err), 0);
    hs_body_destroy(body);
}

static void expect_int(struct hs_body *body, int64_t want)
{
    int64_t got = -1;
    struct hs_error err = { 0 };
    int r = hs_param_int(body, "p", 0, 1000, 10, &got, &err);
    if (r < 0)
        fail_msg("%s", err.message);
    assert_int_equal(got, want);
    hs_body_destroy(body);
}

static void refuse_int(struct hs_body *body, int64_t max, const char *message)
{
    int64_t got = -1;
    struct hs_error err = { 0 };
    assert_int_equal(hs_param_int(body, "p", 0, max, 10, &got, &err), HS_EINVAL);
    assert_string_equal(err.message, message);
    assert_int_equal(got, -1);
    hs_body_destroy(body);
}

static void test_int(void **state)
{
    (void) state;
    expect_int(json("5"), 5);
    expect_int(json("2.9"), 2);
    expect_int(json("-0.9"), 0);
    expect_int(json("\"5\""), 5);
    expect_int(json("null"), 10);
    expect_int(form(" 7 "), 7);
    refuse_int(form("1.5"), 1000, "p: must be a whole number, not \"1.5\"");
    refuse_int(json("\"1.5\""), 1000, "p: must be a whole number, not \"1.5\"");
    refuse_int(json("-1"), 1000, "p: must be between 0 and 1000, not -1");
    refuse_int(json("-1"), INT64_MAX, "p: must be at least 0, not -1");
    refuse_int(json("1e30"), 1000, "p: must be between 0 and 1000, not 1e+30");
    refuse_int(form("99999999999999999999"), 1000, "p: must be between 0 and 1000, not \"99999999999999999999\"");
    refuse_int(json("false"), 1000, "p: must be a whole number, not a boolean");
    refuse_int(form("five"), 1000, "p: must be a whole number, not \"five\"");
    refuse_int(form("nan"), 1000, "p: must be a whole number, not \"nan\"");
}

static void expect_seconds(struct hs_body *body, double want)
{
    double got = -7;
    struct hs_error err = { 0 };
    if (hs_param_seconds(body, "p", 0.5, 600, true, 30, &got, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(got == want);
    hs_body_destroy(body);
}

static void refuse_seconds(struct hs_body *body, bool unlimited, const char *message)
{
    double got = -7;
    struct hs_error err = { 0 };
    assert_int_equal(hs_param_seconds(body, "p", 0.5, 600, unlimited, 30, &got, &err), HS_EINVAL);
    assert_string_equal(err.message, message);
    assert_true(got == -7);
    hs_body_destroy(body);
}

static void test_seconds(void **state)
{
    (void) state;
    char text[5000];
    memset(text, '1', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    expect_seconds(json("2.5"), 2.5);
    expect_seconds(json("\"5m\""), 300);
    expect_seconds(json("-1"), -1);
    expect_seconds(json("null"), 30);
    expect_seconds(body_of(NULL, "{}"), 30);
    expect_seconds(form("500ms"), 0.5);
    refuse_seconds(json("-1"), false, "p: must be between 0.5 and 600 seconds, also \"250ms\" or \"5m\", not -1");
    refuse_seconds(json("601"), true,
                   "p: must be between 0.5 and 600 seconds, also \"250ms\" or \"5m\", or -1, not 601");
    refuse_seconds(form("0.1"), false, "p: must be between 0.5 and 600 seconds, also \"250ms\" or \"5m\", not \"0.1\"");
    refuse_seconds(form("soon"), false,
                   "p: must be between 0.5 and 600 seconds, also \"250ms\" or \"5m\", not \"soon\"");
    refuse_seconds(json("[5]"), false,
                   "p: must be between 0.5 and 600 seconds, also \"250ms\" or \"5m\", not an array");
    refuse_seconds(form(text), false, "p: must be a plain text of at most 4096 bytes");
}

/* Every type reports this error; none treats the field as absent. */
static void test_unusable_text(void **state)
{
    (void) state;
    static const char *const names[] = { "json", NULL }, *const want = "p: must be a plain text of at most 4096 bytes";
    char text[5000];
    memset(text, '1', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct hs_body *body = form(text);
    struct hs_error err = { 0 };
    int64_t whole;
    bool truth;
    const char *string;
    int index;
    assert_int_equal(hs_param_int(body, "p", 0, 1, 0, &whole, &err), HS_EINVAL);
    assert_string_equal(err.message, want);
    err.message[0] = '\0';
    assert_int_equal(hs_param_bool(body, "p", false, &truth, &err), HS_EINVAL);
    assert_string_equal(err.message, want);
    err.message[0] = '\0';
    assert_int_equal(hs_param_string(body, "p", NULL, &string, &err), HS_EINVAL);
    assert_string_equal(err.message, want);
    err.message[0] = '\0';
    assert_int_equal(hs_param_enum(body, "p", names, 0, &index, &err), HS_EINVAL);
    assert_string_equal(err.message, want);
    hs_body_destroy(body);
}

static void expect_bool(struct hs_body *body, int want)
{
    bool got = false;
    struct hs_error err = { 0 };
    int r = hs_param_bool(body, "p", true, &got, &err);
    assert_int_equal(r < 0 ? r : (int) got, want);
    hs_body_destroy(body);
}

static void test_bool(void **state)
{
    (void) state;
    expect_bool(json("true"), 1);
    expect_bool(json("false"), 0);
    expect_bool(json("1"), 1);
    expect_bool(json("0"), 0);
    expect_bool(json("null"), 1);
    expect_bool(json("\"off\""), 0);
    expect_bool(form("Yes"), 1);
    expect_bool(form("False"), 0);
    expect_bool(form(""), HS_EINVAL);
    expect_bool(json("2"), HS_EINVAL);
    expect_bool(json("1.0"), HS_EINVAL);
    expect_bool(json("[]"), HS_EINVAL);
}

static void test_string_and_enum(void **state)
{
    (void) state;
    static const char *const names[] = { "json", "png", NULL };
    const char *text = NULL;
    int index = -1;
    struct hs_error err = { 0 };
    struct hs_body *body = json("\"png\"");
    assert_int_equal(hs_param_string(body, "p", NULL, &text, &err), 0);
    assert_string_equal(text, "png");
    assert_int_equal(hs_param_string(body, "q", "default", &text, &err), 0);
    assert_string_equal(text, "default");
    assert_int_equal(hs_param_enum(body, "p", names, 0, &index, &err), 0);
    assert_int_equal(index, 1);
    assert_int_equal(hs_param_enum(body, "q", names, 0, &index, &err), 0);
    assert_int_equal(index, 0);
    hs_body_destroy(body);
    body = json("3");
    assert_int_equal(hs_param_string(body, "p", NULL, &text, &err), HS_EINVAL);
    assert_string_equal(err.message, "p: must be a string, not 3");
    assert_int_equal(hs_param_enum(body, "p", names, 0, &index, &err), HS_EINVAL);
    assert_string_equal(err.message, "p: must be one of json, png, not 3");
    hs_body_destroy(body);
}

static void test_long_text(void **state)
{
    (void) state;
    char text[5000];
    memset(text, '1', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    refuse_double(form(text), "p: must be a plain text of at most 4096 bytes");
    text[4096] = '\0';
    /* Parses at most that many bytes, and the message quotes only a few of them. */
    double got;
    struct hs_error err = { 0 };
    struct hs_body *body = form(text);
    assert_int_equal(hs_param_double(body, "p", 0, 1, 0, &got, &err), HS_EINVAL);
    assert_int_equal(strlen(err.message), strlen("p: must be between 0 and 1, not ") + 63);
    hs_body_destroy(body);
}

static void the_timeout_header_has_bounds(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        { "0.001", true },    { "1", true },      { "86400", true }, { "0", false },   { "0.0009", false },
        { "86400.1", false }, { "86401", false }, { "-1", false },   { "nan", false }, { "inf", false },
        { "1e9", false },     { "", false },      { "soon", false }, { "1 2", false },
    };
    struct hs_http_options options;
    hs_http_options_init(&options);
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        const struct hs_http_pair header = { "X-Request-Timeout", cases[i].text };
        struct hs_http_request *req = hs_request_create(&options, NULL, "/");
        const char *field = NULL;
        struct hs_error err = { 0 };
        assert_non_null(req);
        assert_int_equal(hs_request_set_headers(req, &header, 1, &err), 0);
        int64_t before_ns = req->deadline_ns = INT64_MAX;
        int r = hs_http_read_timeout(req, &field, &err);
        if (r != (cases[i].valid ? 0 : HS_EINVAL))
            fail_msg("\"%s\" gave %d", cases[i].text, r);
        assert_int_equal(req->deadline_ns == before_ns, !cases[i].valid);
        if (!cases[i].valid) {
            assert_string_equal(field, "X-Request-Timeout");
            assert_non_null(strstr(err.message, "between 0.001 and 86400 seconds"));
        }
        hs_request_destroy(req);
    }
}

/* ---- Rows ---- */

static void test_rows(void **state)
{
    (void) state;
    static const char *const words[] = { "off", "on", NULL };
    static const struct hs_field number = { .name = "p", .min = -1, .max = 0.5 };
    static const struct hs_field whole = { .name = "p", .type = HS_FIELD_INTEGER, .min = 1, .max = 3 };
    static const struct hs_field time = { .name = "p", .type = HS_FIELD_SECONDS, .min = 0, .max = 60 };
    static const struct hs_field endless = { .name = "p", .flags = HS_FIELD_UNLIMITED, .min = 0, .max = 60 };
    static const struct hs_field choice = { .name = "p", .type = HS_FIELD_CHOICE, .choices = words };
    struct hs_body *body = json("-1");
    double real = 0;
    int64_t integer = 0;
    int word = 5;
    struct hs_error err;
    assert_int_equal(hs_field_double(body, &number, 0, &real, &err), 0);
    assert_true(real == -1);
    assert_int_equal(hs_field_int(body, &whole, 0, &integer, &err), HS_EINVAL);
    assert_string_equal(err.message, "p: must be between 1 and 3, not -1");
    assert_int_equal(hs_field_seconds(body, &time, 0, &real, &err), HS_EINVAL);
    assert_int_equal(hs_field_seconds(body, &endless, 0, &real, &err), 0);
    assert_int_equal(hs_field_choice(body, &choice, 1, &word, &err), HS_EINVAL);
    assert_int_equal(word, 5);
    hs_body_destroy(body);
    body = json("null");
    assert_int_equal(hs_field_choice(body, &choice, 1, &word, &err), 0);
    assert_int_equal(word, 1);
    hs_body_destroy(body);
}

/* `query` is what follows the '?'. Returns the result; on failure compares the message. */
static int64_t query_int(const char *query, double max, const char *error)
{
    const struct hs_field limit = { .name = "limit", .type = HS_FIELD_INTEGER, .min = 1, .max = max };
    struct hs_http_options options;
    struct hs_error err;
    char target[256];
    int64_t value = 0;
    hs_http_options_init(&options);
    snprintf(target, sizeof(target), "/?%s", query);
    struct hs_http_request *req = hs_request_create(&options, NULL, target);
    assert_non_null(req);
    int r = hs_query_int(req, &limit, 7, &value, &err);
    assert_int_equal(r, error ? HS_EINVAL : 0);
    if (error)
        assert_string_equal(err.message, error);
    hs_request_destroy(req);
    return value;
}

static void test_query(void **state)
{
    (void) state;
    static const char range[] = "limit: must be a whole number between 1 and 10";
    static const char open_range[] = "limit: must be a whole number above 0";
    assert_int_equal(query_int("", 10, NULL), 7);
    assert_int_equal(query_int("limit=10", 10, NULL), 10);
    const char *const wrong[] = {
        "limit=0", "limit=11", "limit=x", "limit=", "limit=1.5", "limit=99999999999999999999"
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(wrong); i++)
        assert_int_equal(query_int(wrong[i], 10, range), 0);
    assert_int_equal(query_int("limit=99999999999999999999", 0, NULL), INT64_MAX);
    assert_int_equal(query_int("limit=0", 0, open_range), 0);
    assert_int_equal(query_int("limit=-99999999999999999999", 0, open_range), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_double),
        cmocka_unit_test(test_open_range),
        cmocka_unit_test(test_int),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_unusable_text),
        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_string_and_enum),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(the_timeout_header_has_bounds),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_query),
    };
    return HS_RUN_TESTS(tests);
}
