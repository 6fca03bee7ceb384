/* Tests compressed bodies: output, limits and errors. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "../../../fuzz/compress.h"
#include "base/mem.h"
#include "http/body.h"
#include "http/content_coding.h"

enum { GZIP = MAX_WBITS + 16, ZLIB = MAX_WBITS, RAW = -MAX_WBITS };

/* Compresses `len` bytes; caller frees with free(). */
static uint8_t *pack(int bits, const void *data, size_t len, size_t *ret_len)
{
    uint8_t *packed = compress_bytes(9, bits, data, len, ret_len);
    assert_non_null(packed);
    return packed;
}

static void test_header(void **state)
{
    (void) state;
    static const struct {
        const char *header;
        int coding; /* negative: rejected */
    } rows[] = {
        { NULL, HS_CODING_NONE },
        { "", HS_CODING_NONE },
        { "identity", HS_CODING_NONE },
        { " Identity ", HS_CODING_NONE },
        { "gzip", HS_CODING_GZIP },
        { "GZip", HS_CODING_GZIP },
        { "x-gzip\t", HS_CODING_GZIP },
        { "deflate", HS_CODING_DEFLATE },
        { "br", HS_EUNSUPPORTED },
        { "zstd", HS_EUNSUPPORTED },
        { "compress", HS_EUNSUPPORTED },
        { "gzip, gzip", HS_EUNSUPPORTED },
        { "gzip, identity", HS_EUNSUPPORTED },
        { "gzi", HS_EUNSUPPORTED },
        { "gzipp", HS_EUNSUPPORTED },
        { "\xff\x01", HS_EUNSUPPORTED },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        enum hs_coding coding = HS_CODING_NONE;
        struct hs_error err = { 0 };
        int r = hs_coding_read(rows[i].header, &coding, &err);
        assert_int_equal(r < 0 ? r : (int) coding, rows[i].coding);
    }
    struct hs_error err;
    enum hs_coding coding;
    hs_coding_read("br", &coding, &err);
    assert_string_equal(err.message, "Content-Encoding: must be one of gzip, deflate and identity, not \"br\"");
}

static const char *const files[] = { "image", NULL };

/* Feeds a compressed picture in pieces; returns the status and the unpacked bytes. */
static int parse(enum hs_coding coding, const uint8_t *packed, size_t len, size_t step, size_t bytes_max,
                 struct hs_budget *budget, uint8_t **ret_image, size_t *ret_len, struct hs_error *err)
{
    const struct hs_body_spec spec = { .files = files, .bytes_max = bytes_max };
    struct hs_body *body;
    assert_int_equal(hs_body_create(HS_BODY_FORM_OR_JSON, "image/jpeg", &spec, budget, &body, err), 0);
    int r = hs_body_set_coding(body, coding, err);
    for (size_t i = 0; i < len && r == 0; i += step)
        r = hs_body_feed(body, packed + i, len - i < step ? len - i : step, err);
    if (r == 0)
        r = hs_body_end(body, err);
    if (r == 0)
        r = hs_body_take_file(body, "image", ret_image, ret_len, err);
    hs_body_destroy(body);
    return r;
}

static void expect(enum hs_coding coding, const uint8_t *packed, size_t len, const uint8_t *want, size_t want_len)
{
    static const size_t steps[] = { 1, 2, 7, 1000, 1 << 20 };
    for (size_t i = 0; i < HS_ARRAY_LEN(steps); i++) {
        struct hs_error err = { 0 };
        uint8_t *got = NULL;
        size_t got_len = 0;
        int r = parse(coding, packed, len, steps[i], 1 << 20, NULL, &got, &got_len, &err);
        if (r < 0)
            fail_msg("step %zu: %s", steps[i], err.message);
        assert_int_equal(got_len, want_len);
        assert_memory_equal(got, want, want_len);
        free(got);
    }
}

static void expect_error(enum hs_coding coding, const uint8_t *packed, size_t len, int code, const char *message)
{
    static const size_t steps[] = { 1, 7, 1 << 20 };
    for (size_t i = 0; i < HS_ARRAY_LEN(steps); i++) {
        struct hs_error err = { 0 };
        uint8_t *got = NULL;
        size_t got_len;
        assert_int_equal(parse(coding, packed, len, steps[i], 1 << 20, NULL, &got, &got_len, &err), code);
        assert_string_equal(err.message, message);
    }
}

/* Returns 200 kB, half of which compresses badly and half well. */
static uint8_t *sample(size_t *ret_len)
{
    size_t len = 200000;
    uint8_t *data = malloc(len);
    unsigned seed = 1;
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245 + 12345;
        data[i] = i < len / 2 ? (uint8_t) (seed >> 16) : (uint8_t) (i / 1000);
    }
    *ret_len = len;
    return data;
}

static void test_unpacked(void **state)
{
    (void) state;
    static const struct {
        int bits;
        enum hs_coding coding;
    } rows[] = { { GZIP, HS_CODING_GZIP }, { ZLIB, HS_CODING_DEFLATE }, { RAW, HS_CODING_DEFLATE } };
    size_t len, packed_len;
    uint8_t *data = sample(&len);
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        uint8_t *packed = pack(rows[i].bits, data, len, &packed_len);
        expect(rows[i].coding, packed, packed_len, data, len);
        free(packed);
    }
    free(data);
}

/* RFC 1952 §2.2: a gzip file is a series of members. */
static void test_members(void **state)
{
    (void) state;
    size_t a_len, b_len;
    uint8_t *a = pack(GZIP, "abc", 3, &a_len), *b = pack(GZIP, "defg", 4, &b_len), *both = malloc(a_len + b_len);
    memcpy(both, a, a_len);
    memcpy(both + a_len, b, b_len);
    expect(HS_CODING_GZIP, both, a_len + b_len, (const uint8_t *) "abcdefg", 7);
    expect_error(HS_CODING_GZIP, both, a_len + b_len - 1, HS_EINVAL, "Content-Encoding: the gzip data is cut off");
    expect_error(HS_CODING_GZIP, both, a_len + 1, HS_EINVAL, "Content-Encoding: the gzip data is cut off");
    free(a);
    free(b);
    free(both);
}

static void test_damage(void **state)
{
    (void) state;
    size_t len, packed_len;
    uint8_t *data = sample(&len), *packed = pack(GZIP, data, len, &packed_len);
    expect_error(HS_CODING_GZIP, packed, 0, HS_EINVAL, "Content-Encoding: the gzip data is cut off");
    expect_error(HS_CODING_GZIP, packed, packed_len / 2, HS_EINVAL, "Content-Encoding: the gzip data is cut off");
    packed[packed_len - 8] ^= 1; /* in the checksum */
    expect_error(HS_CODING_GZIP, packed, packed_len, HS_EINVAL, "Content-Encoding: the gzip data is damaged");
    expect_error(HS_CODING_GZIP, data, len, HS_EINVAL, "Content-Encoding: the gzip data is damaged");
    free(packed);
    packed = pack(ZLIB, data, len, &packed_len);
    expect_error(HS_CODING_DEFLATE, packed, packed_len - 1, HS_EINVAL, "Content-Encoding: the deflate data is cut off");
    uint8_t *longer = realloc(packed, packed_len + 1);
    longer[packed_len] = 0;
    expect_error(HS_CODING_DEFLATE, longer, packed_len + 1, HS_EINVAL,
                 "Content-Encoding: the deflate data goes on after its end");
    free(longer);
    free(data);
}

/* 64 MiB compressed to 64 kB: fails at the limit, and allocates no more than a body of the limit's
 * size. */
static void test_bomb(void **state)
{
    (void) state;
    enum { BOUND = 1 << 20 };
    size_t len = 64 << 20, packed_len, got_len;
    uint8_t *zeros = calloc(len, 1), *packed = pack(GZIP, zeros, len, &packed_len), *got = NULL;
    struct hs_budget budget;
    struct hs_error err;
    free(zeros);
    hs_budget_init(&budget, 16 << 20);
    assert_in_range(packed_len, 1000, BOUND / 8);
    assert_int_equal(parse(HS_CODING_GZIP, packed, packed_len, packed_len, BOUND, &budget, &got, &got_len, &err),
                     HS_ETOOLARGE);
    assert_string_equal(err.message, "The unpacked body is larger than 1048576 bytes");
    size_t peak;
    assert_int_equal(hs_budget_used(&budget, &peak), 0);
    assert_in_range(peak, HS_INFLATE_MEMORY, 2 * BOUND + HS_INFLATE_MEMORY);
    hs_budget_finish(&budget);
    free(packed);
}

static void test_bounds(void **state)
{
    (void) state;
    size_t len, packed_len, got_len;
    uint8_t *data = sample(&len), *packed = pack(GZIP, data, len, &packed_len), *got = NULL;
    struct hs_budget budget;
    struct hs_error err;
    /* Exactly the limit, one byte over it, and compressed bytes that alone exceed it. */
    assert_int_equal(parse(HS_CODING_GZIP, packed, packed_len, 4096, len, NULL, &got, &got_len, &err), 0);
    free(got);
    assert_int_equal(parse(HS_CODING_GZIP, packed, packed_len, 4096, len - 1, NULL, &got, &got_len, &err),
                     HS_ETOOLARGE);
    assert_int_equal(parse(HS_CODING_GZIP, packed, packed_len, packed_len, packed_len - 1, NULL, &got, &got_len, &err),
                     HS_ETOOLARGE);
    assert_string_equal(strstr(err.message, "bytes"), "bytes");
    /* The unpacker's memory is charged like the body's. */
    hs_budget_init(&budget, HS_INFLATE_MEMORY - 1);
    assert_int_equal(parse(HS_CODING_GZIP, packed, packed_len, 4096, len, &budget, &got, &got_len, &err), HS_EBUSY);
    assert_int_equal(hs_budget_used(&budget, NULL), 0);
    hs_budget_finish(&budget);
    free(packed);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header), cmocka_unit_test(test_unpacked), cmocka_unit_test(test_members),
        cmocka_unit_test(test_damage), cmocka_unit_test(test_bomb),     cmocka_unit_test(test_bounds),
    };
    return HS_RUN_TESTS(tests);
}
