#include "pictures.h"

#include <string.h>

/* Makes a BMP with a 40-byte header: a palette of 4-byte entries (B, G, R, 0), then pixels. */
static struct hs_buf make_bmp(int width, int height, int bits, int compression, const void *palette, size_t entries,
                              const void *pixels, size_t len)
{
    struct hs_buf buf = make_buf();
    assert_int_equal(hs_buf_append(&buf, "BM", 2), 0);
    put_le(&buf, (uint32_t) (54 + entries * 4 + len), 4);
    put_le(&buf, 0, 4);
    put_le(&buf, (uint32_t) (54 + entries * 4), 4);
    put_le(&buf, 40, 4);
    put_le(&buf, (uint32_t) width, 4);
    put_le(&buf, (uint32_t) height, 4);
    put_le(&buf, 1, 2);
    put_le(&buf, (uint32_t) bits, 2);
    put_le(&buf, (uint32_t) compression, 4);
    for (int i = 0; i < 3; i++)
        put_le(&buf, 0, 4);
    put_le(&buf, bits <= 8 ? (uint32_t) entries : 0, 4);
    put_le(&buf, 0, 4);
    assert_int_equal(hs_buf_append(&buf, palette, entries * 4), 0);
    assert_int_equal(hs_buf_append(&buf, pixels, len), 0);
    return buf;
}

static void expect(struct hs_buf buf, int width, int height, const char *rgb)
{
    struct hs_image *image;
    decode_gives(buf.data, buf.len, width, height, rgb);
    /* Truncated files are refused, except that the padding of the last row may be missing. */
    for (size_t len = 0; len + 4 < buf.len; len++) {
        struct hs_image_options options = options_plain();
        uint8_t *copy = guarded_copy(buf.data, len);
        assert_true(hs_image_decode(copy, len, &options, &image, NULL) < 0);
        guarded_free(copy, len);
    }
    hs_buf_finish(&buf);
}

static const uint8_t four_colours[] = {
    0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0, 9, 8, 7, 0
}; /* red green blue 7,8,9 */
#define RED "\xff\0\0"
#define GREEN "\0\xff\0"
#define BLUE "\0\0\xff"
#define DARK "\7\x08\x09"

static void rows_from_the_bottom_and_from_the_top(void **state)
{
    (void) state;
    /* Two pixels per row, padded to 8 bytes. */
    static const char pixels[] = "\1\2\3\4\5\6\0\0\x0b\x0c\x0d\x0e\x0f\x10\0";
    expect(make_bmp(2, 2, 24, 0, NULL, 0, pixels, 16), 2, 2, "\x0d\x0c\x0b\x10\x0f\x0e\3\2\1\6\5\4");
    expect(make_bmp(2, -2, 24, 0, NULL, 0, pixels, 16), 2, 2, "\3\2\1\6\5\4\x0d\x0c\x0b\x10\x0f\x0e");
}

static void palettes_of_1_4_and_8_bits(void **state)
{
    (void) state;
    expect(make_bmp(9, 1, 1, 0, four_colours, 2, "\xa0\x80\0", 4), 9, 1, GREEN RED GREEN RED RED RED RED RED GREEN);
    expect(make_bmp(3, 1, 4, 0, four_colours, 4, "\x12\x30\0", 4), 3, 1, GREEN BLUE DARK);
    expect(make_bmp(3, 1, 8, 0, four_colours, 4, "\0\3\2", 4), 3, 1, RED DARK BLUE);
    /* An index beyond the palette is black. */
    expect(make_bmp(1, 1, 8, 0, four_colours, 4, "\x09\0\0", 4), 1, 1, "\0\0\0");
}

static void pixels_of_32_bits(void **state)
{
    (void) state;
    /* The fourth byte is ignored. */
    expect(make_bmp(1, 1, 32, 0, NULL, 0, "\1\2\3\x99", 4), 1, 1, "\3\2\1");
    /* Bit fields for the usual bytes; they follow the header, like three palette entries. */
    static const uint8_t usual[] = { 0, 0, 0xff, 0, 0, 0xff, 0, 0, 0xff, 0, 0, 0 };
    expect(make_bmp(2, 1, 32, 3, usual, 3, "\1\2\3\x99\4\5\6\0", 8), 2, 1, "\3\2\1\6\5\4");
    /* Other bit fields, in 32 and 16 bits. */
    static const uint8_t masks10[] = { 0, 0, 0xf0, 0x3f, 0, 0xfc, 0x0f, 0, 0xff, 3, 0, 0 };
    struct hs_buf buf = make_bmp(1, 1, 32, 3, masks10, 3, "\0\x02\xf0\x3f", 4);
    decode_fails(buf.data, buf.len, NULL, HS_EUNSUPPORTED, "32 bits a pixel and compression 3 is not supported");
    hs_buf_finish(&buf);
    buf = make_bmp(3, 1, 16, 3, usual, 3, "\0\xf8\xe0\7\x1f\0\0", 8);
    decode_fails(buf.data, buf.len, NULL, HS_EUNSUPPORTED, "16 bits a pixel and compression 3 is not supported");
    hs_buf_finish(&buf);
}

static void run_lengths_are_refused(void **state)
{
    (void) state;
    struct hs_buf buf = make_bmp(5, 1, 8, 1, four_colours, 4, "\5\1\0\1", 4);
    decode_fails(buf.data, buf.len, NULL, HS_EUNSUPPORTED,
                 "BMP with 8 bits a pixel and compression 1 is not supported; send it uncompressed with 24 bits");
    hs_buf_finish(&buf);
    buf = make_bmp(8, 1, 4, 2, four_colours, 4, "\5\x12\0\1", 4);
    decode_fails(buf.data, buf.len, NULL, HS_EUNSUPPORTED, "4 bits a pixel and compression 2");
    hs_buf_finish(&buf);
}

static void core_header_of_os2(void **state)
{
    (void) state;
    struct hs_buf buf = make_buf();
    assert_int_equal(hs_buf_append(&buf, "BM\0\0\0\0\0\0\0\0\x20\0\0\0\x0c\0\0\0\2\0\1\0\1\0\1\0", 26), 0);
    assert_int_equal(hs_buf_append(&buf, "\1\2\3\4\5\6", 6), 0); /* entries of three bytes */
    assert_int_equal(hs_buf_append(&buf, "\x40\0\0\0", 4), 0);
    expect(buf, 2, 1, "\3\2\1\6\5\4");
}

static void impossible_bmp_headers(void **state)
{
    (void) state;
    static const struct {
        int width, height, bits, compression, code;
        const char *text;
    } cases[] = {
        { 0, 1, 24, 0, HS_EDECODE, "0x1" },
        { -5, 1, 24, 0, HS_EDECODE, "-5x1" },
        { 1, 0, 24, 0, HS_EDECODE, "1x0" },
        { 1, INT32_MIN, 24, 0, HS_EDECODE, "1x2147483648" },
        { 1, 1, 7, 0, HS_EUNSUPPORTED, "7 bits" },
        { 1, 1, 0, 0, HS_EUNSUPPORTED, "0 bits" },
        { 1, 1, 24, 1, HS_EUNSUPPORTED, "compression 1" },
        { 1, 1, 24, 3, HS_EUNSUPPORTED, "compression 3" },
        { 1, 1, 24, 77, HS_EUNSUPPORTED, "compression 77" },
        { 1, 1, 0, 4, HS_EUNSUPPORTED, "compression 4" },
        { 30000, 30000, 24, 0, HS_ETOOLARGE, "at most 64 megapixels" },
        { 8000, 8000, 24, 0, HS_EDECODE, "BMP is truncated" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hs_buf buf =
            make_bmp(cases[i].width, cases[i].height, cases[i].bits, cases[i].compression, NULL, 0, "\0\0\0\0", 4);
        decode_fails(buf.data, buf.len, NULL, cases[i].code, cases[i].text);
        hs_buf_finish(&buf);
    }
    decode_fails("BM", 2, NULL, HS_EDECODE, "BMP is truncated: incomplete header");
}

/* Rows are padded to four bytes. The padding of the last row may be missing, but none of its pixels. */
static void the_last_row_may_lack_its_padding(void **state)
{
    (void) state;
    static const char rows[] = "\1\2\3\4\5\6\0\0"
                               "\7\10\11\12\13\14";
    for (size_t len = sizeof(rows) - 2; len <= sizeof(rows) - 1; len++) {
        struct hs_buf buf = make_bmp(2, 2, 24, 0, NULL, 0, rows, len);
        if (len < sizeof(rows) - 1)
            decode_fails(buf.data, buf.len, NULL, HS_EDECODE, "BMP is truncated");
        else
            decode_gives(buf.data, buf.len, 2, 2, "\11\10\7\14\13\12\3\2\1\6\5\4");
        hs_buf_finish(&buf);
    }
}

static void header_sizes(void **state)
{
    (void) state;
    static const struct {
        uint8_t size;
        const char *text; /* NULL: accepted */
    } cases[] = { { 11, "unknown header of 11 bytes" },
                  { 13, "unknown header of 13 bytes" },
                  { 39, "unknown header of 39 bytes" },
                  { 40, NULL },
                  { 45, "incomplete header" } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hs_buf buf = make_bmp(1, 1, 24, 0, NULL, 0, "\3\2\1\0", 4);
        assert_int_equal(buf.data[14], 40);
        buf.data[14] = cases[i].size;
        if (cases[i].text)
            decode_fails(buf.data, buf.len, NULL, HS_EDECODE, cases[i].text);
        else
            decode_gives(buf.data, buf.len, 1, 1, "\1\2\3");
        hs_buf_finish(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_from_the_bottom_and_from_the_top),
        cmocka_unit_test(palettes_of_1_4_and_8_bits),
        cmocka_unit_test(pixels_of_32_bits),
        cmocka_unit_test(run_lengths_are_refused),
        cmocka_unit_test(core_header_of_os2),
        cmocka_unit_test(impossible_bmp_headers),
        cmocka_unit_test(the_last_row_may_lack_its_padding),
        cmocka_unit_test(header_sizes),
    };
    return HS_RUN_TESTS(tests);
}
