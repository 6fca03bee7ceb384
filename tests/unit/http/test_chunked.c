/* Tests the chunked coding, whole and split at every position. */
#include "unit.h"

#include <string.h>

#include "base/mem.h"
#include "http/chunked.h"

struct outcome {
    int code;
    bool done;
    size_t used;
    char body[64];
};

static struct outcome decode(const char *text, size_t step)
{
    struct hs_chunked chunked = { .trailer_max = 64 };
    struct outcome out = { 0 };
    size_t len = strlen(text), body_len = 0;
    while (out.code == 0 && out.used < len && !out.done) {
        size_t n = len - out.used < step ? len - out.used : step, used, piece;
        const uint8_t *data = (const uint8_t *) text + out.used;
        out.code = hs_chunked_feed(&chunked, data, n, &used, &piece, NULL);
        if (out.code < 0)
            break;
        assert_true(body_len + piece < sizeof(out.body));
        memcpy(out.body + body_len, data + used - piece, piece);
        body_len += piece;
        out.used += used;
        out.done = hs_chunked_is_done(&chunked);
    }
    return out;
}

static void check(const char *text, int code, const char *body, size_t rest)
{
    for (size_t step = 1; step <= strlen(text); step++) {
        struct outcome out = decode(text, step);
        assert_int_equal(out.code, code);
        if (code < 0)
            continue;
        assert_true(out.done);
        assert_string_equal(out.body, body);
        assert_int_equal(strlen(text) - out.used, rest);
    }
}

static void test_bodies(void **state)
{
    (void) state;
    check("0\r\n\r\n", 0, "", 0);
    check("5\r\nhello\r\n1\r\n!\r\n000\r\n\r\nGET ", 0, "hello!", 4);
    check("b\r\nhello world\r\n0\r\n\r\n", 0, "hello world", 0);
    check("2;a=b;c=\"d\"\r\nhi\r\n0 \t;x\r\n\r\n", 0, "hi", 0);
    check("2\r\nhi\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", 0, "hi", 0);
}

static void test_damages(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "\r\n",
        "x\r\n",
        "0x2\r\nhi\r\n",
        "-1\r\n",
        "2\nhi\r\n",
        "2 \r\nhi\r\n",
        " 2\r\nhi\r\n",
        "2\r\nhi!\r\n",
        "2\r\nhi\n",
        "2\rhi",
        "0\r\n\n",
        "0\r\n X: 1\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nX: \x01\r\n\r\n",
        "8000000000000000\r\n",
        "00000000000000000ffffffffffffffff\r\n",
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(texts); i++)
        check(texts[i], HS_EINVAL, "", 0);
}

static void test_bounds(void **state)
{
    (void) state;
    struct hs_chunked chunked = { .trailer_max = 64 };
    char text[HS_CHUNK_LINE_MAX + 8];
    size_t used, len;
    check("0\r\nX: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n\r\n", HS_EHEADERS, "", 0);
    memset(text, '0', sizeof(text));
    assert_int_equal(hs_chunked_feed(&chunked, (uint8_t *) text, sizeof(text), &used, &len, NULL), HS_EINVAL);
    /* The limit of all extensions together: each line is short. */
    memset(text, 'e', sizeof(text));
    memcpy(text, "1;", 2);
    memcpy(text + 100, "\r\nx\r\n", 5);
    chunked = (struct hs_chunked) { .trailer_max = 64 };
    int r = 0;
    size_t rounds = 0;
    for (; r == 0 && rounds < 1000; rounds++) {
        for (size_t at = 0; r == 0 && at < 105; at += used)
            r = hs_chunked_feed(&chunked, (uint8_t *) text + at, 105 - at, &used, &len, NULL);
    }
    assert_int_equal(r, HS_EINVAL);
    assert_in_range(rounds, HS_CHUNK_EXTENSIONS_MAX / 100, HS_CHUNK_EXTENSIONS_MAX / 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_damages),
        cmocka_unit_test(test_bounds),
    };
    return HS_RUN_TESTS(tests);
}
