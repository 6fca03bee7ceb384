#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "http/base64.h"

/* Decodes text cut into pieces of `step` characters. */
static int decode(const char *text, size_t step, uint8_t *out, size_t *ret_len, struct hs_error *err)
{
    struct hs_base64 decoder;
    size_t len = strlen(text), at = 0;
    hs_base64_init(&decoder);
    for (size_t i = 0; i < len; i += step) {
        size_t n = len - i < step ? len - i : step;
        char *piece = malloc(n);
        uint8_t *room = malloc(HS_BASE64_ROOM(n));
        memcpy(piece, text + i, n);
        size_t got = hs_base64_feed(&decoder, piece, n, room);
        assert_true(got <= HS_BASE64_ROOM(n));
        memcpy(out + at, room, got);
        at += got;
        free(piece);
        free(room);
    }
    *ret_len = at;
    return hs_base64_end(&decoder, err);
}

static void expect(const char *text, const char *want)
{
    for (size_t step = 1; step < 20; step++) {
        uint8_t out[256];
        size_t len;
        struct hs_error err = { 0 };
        assert_int_equal(decode(text, step, out, &len, &err), 0);
        assert_int_equal(len, strlen(want));
        assert_memory_equal(out, want, len);
    }
}

static void expect_error(const char *text, const char *message)
{
    for (size_t step = 1; step < 20; step++) {
        uint8_t out[256];
        size_t len;
        struct hs_error err = { 0 };
        assert_int_equal(decode(text, step, out, &len, &err), HS_EINVAL);
        assert_non_null(strstr(err.message, "Invalid base64: "));
        assert_non_null(strstr(err.message, message));
    }
}

/* RFC 4648 §10. */
static void test_rfc_vectors(void **state)
{
    (void) state;
    expect("", "");
    expect("Zg==", "f");
    expect("Zm8=", "fo");
    expect("Zm9v", "foo");
    expect("Zm9vYg==", "foob");
    expect("Zm9vYmE=", "fooba");
    expect("Zm9vYmFy", "foobar");
}

static void test_both_alphabets(void **state)
{
    (void) state;
    expect("+/+/", "\xfb\xff\xbf");
    expect("-_-_", "\xfb\xff\xbf");
}

/* What CPython's b64decode gives for the same text. */
static void test_lenient(void **state)
{
    (void) state;
    expect("Zm9v\r\nYm Fy", "foobar");
    expect("Z!m@9#v", "foo");
    expect("Zg==Zm9v", "f"); /* the padding ends it */
    expect("Zg=\n=", "f");
    expect("=Zm9v", "foo"); /* a pad where none can be is skipped */
    expect("Z=m9v", "foo");
    expect("Zm=9v", "foo"); /* one pad after two characters is not enough */
    expect("Zm9v====", "foo");
}

static void test_data_uri(void **state)
{
    (void) state;
    expect("data:image/png;base64,Zm9v", "foo");
    expect("data:,Zm9v", "foo");
    expect("data:a,Zm9v,Zm9v", "foofoo");
    expect("dataZm9v", "\x75\xab\x5a"
                       "foo");
    expect("datZ", "\x75\xab\x59");
    expect_error("data:image/png;base64", "comma");
    expect_error("Data:image/png;base64,Zm9v", "padding");
}

static void test_errors(void **state)
{
    (void) state;
    expect_error("Z", "one character");
    expect_error("Zg", "padding");
    expect_error("Zg=", "padding");
    expect_error("Zm9", "padding");
    expect_error("Zm9vY", "one character");
    expect_error("data", "no data");
    expect_error("da", "padding");
    expect_error("d", "one character");
    expect_error("Zm9v\xc3\xa4", "ASCII");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_vectors), cmocka_unit_test(test_both_alphabets), cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_data_uri),    cmocka_unit_test(test_errors),
    };
    return HS_RUN_TESTS(tests);
}
