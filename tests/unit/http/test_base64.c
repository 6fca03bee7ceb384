#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "http/base64.h"

/* Decodes text in pieces of `step` characters. */
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
    size_t rest = 0;
    int r = hs_base64_end(&decoder, out + at, &rest, err);
    *ret_len = at + rest;
    return r;
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

/* The expected values are those of CPython's b64decode. */
static void test_lenient(void **state)
{
    (void) state;
    expect("Zm9v\r\nYm Fy", "foobar");
    expect("Z!m@9#v", "foo");
    expect("Zg==Zm9v", "f"); /* the padding ends the text */
    expect("Zg=\n=", "f");
    expect("=Zm9v", "foo"); /* skips a pad at an invalid place */
    expect("Z=m9v", "foo");
    expect("Zm=9v", "foo"); /* skips a single pad after two characters */
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
}

/* RFC 3986 §3.1: a scheme ignores case. Text that only resembles one keeps its case, which base64
 * needs. */
static void test_data_uri_spelling(void **state)
{
    (void) state;
    expect("DATA:image/png;base64,Zm9v", "foo");
    expect("Data:image/png;base64,Zm9v", "foo");
    expect(" \r\n\tdata:image/png;base64,Zm9v", "foo");
    expect("\ndata:image/png;base64, Zm9v\n", "foo");
    expect("data: image/png; base64 ,\r\nZm9v ", "foo");
    expect("DATAZm9v", "\x0c\x04\xc0"
                       "foo");
    expect("dAtZ", "\x74\x0b\x59");
    expect(" datZ", "\x75\xab\x59");
    expect("data\x1aZm9v", "\x75\xab\x5a"
                           "foo");
}

/* Output of encoders for the URL-safe alphabet: node's base64url, Go's RawURLEncoding, Python's
 * rstrip("="). */
static void test_unpadded(void **state)
{
    (void) state;
    expect("Zg", "f");
    expect("Zm8", "fo");
    expect("Zm9v", "foo");
    expect("Zm9vYg", "foob");
    expect("Zm9vYmE", "fooba");
    expect("Zm9vYm\r\nE\r\n", "fooba");
    expect("_-_-_w", "\xff\xef\xfe\xff");
    expect("/+/+/w", "\xff\xef\xfe\xff");
    expect("data:image/png;base64,Zm8", "fo");
    expect("da", "u");
    expect("data", "\x75\xab\x5a");
}

static void test_errors(void **state)
{
    (void) state;
    expect_error("Z", "one character");
    expect_error("Zg=", "padding");
    expect_error("Zm9vYg=", "padding");
    expect_error("Zm9vY", "one character");
    expect_error("dataZ", "one character");
    expect_error("data:", "comma");
    expect_error("_-_-_", "one character");
    expect_error("d", "one character");
    expect_error("Zm9v\xc3\xa4", "ASCII");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_vectors), cmocka_unit_test(test_both_alphabets),
        cmocka_unit_test(test_lenient),     cmocka_unit_test(test_data_uri),
        cmocka_unit_test(test_errors),      cmocka_unit_test(test_data_uri_spelling),
        cmocka_unit_test(test_unpadded),
    };
    return HS_RUN_TESTS(tests);
}
