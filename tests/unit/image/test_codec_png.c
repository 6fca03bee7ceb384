#include "pictures.h"

#include <stdlib.h>
#include <string.h>

#include <spng.h>

#include "image/encode.h"

/* Encodes a PNG of any kind with libspng. */
static struct hs_buf make_png(struct spng_ihdr header, const struct spng_plte *palette, const struct spng_trns *alpha,
                              const void *pixels, size_t len)
{
    struct hs_buf buf = make_buf();
    spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
    size_t size;
    int r;
    assert_non_null(png);
    assert_int_equal(spng_set_option(png, SPNG_ENCODE_TO_BUFFER, 1), 0);
    assert_int_equal(spng_set_ihdr(png, &header), 0);
    if (palette)
        assert_int_equal(spng_set_plte(png, (struct spng_plte *) palette), 0);
    if (alpha)
        assert_int_equal(spng_set_trns(png, (struct spng_trns *) alpha), 0);
    assert_int_equal(spng_encode_image(png, pixels, len, SPNG_FMT_RAW, SPNG_ENCODE_FINALIZE), 0);
    void *bytes = spng_get_png_buffer(png, &size, &r);
    assert_non_null(bytes);
    assert_int_equal(hs_buf_append(&buf, bytes, size), 0);
    free(bytes);
    spng_ctx_free(png);
    return buf;
}

static void expect(struct hs_buf buf, int width, int height, const char *rgb)
{
    decode_gives(buf.data, buf.len, width, height, rgb);
    hs_buf_finish(&buf);
}

static struct spng_ihdr header(uint32_t width, uint32_t height, uint8_t depth, uint8_t colour)
{
    return (struct spng_ihdr) { .width = width, .height = height, .bit_depth = depth, .color_type = colour };
}

static void every_colour_type_becomes_rgb(void **state)
{
    (void) state;
    expect(make_png(header(2, 1, 8, 2), NULL, NULL, "\1\2\3\4\5\6", 6), 2, 1, "\1\2\3\4\5\6");
    expect(make_png(header(2, 1, 8, 0), NULL, NULL, "\x05\xfa", 2), 2, 1, "\5\5\5\xfa\xfa\xfa");
    /* One bit: 0 and 255; two bits: steps of 85; four bits: steps of 17. */
    expect(make_png(header(3, 1, 1, 0), NULL, NULL, "\xa0", 1), 3, 1, "\xff\xff\xff\0\0\0\xff\xff\xff");
    expect(make_png(header(3, 1, 2, 0), NULL, NULL, "\x6c", 1), 3, 1, "\x55\x55\x55\xaa\xaa\xaa\xff\xff\xff");
    expect(make_png(header(2, 1, 4, 0), NULL, NULL, "\x1f", 1), 2, 1, "\x11\x11\x11\xff\xff\xff");
}

static void sixteen_bits_keep_the_high_byte(void **state)
{
    (void) state;
    expect(make_png(header(1, 1, 16, 2), NULL, NULL, "\x12\xff\x34\xff\x56\x00", 6), 1, 1, "\x12\x34\x56");
    expect(make_png(header(1, 1, 16, 0), NULL, NULL, "\x80\xff", 2), 1, 1, "\x80\x80\x80");
}

static void alpha_is_dropped_and_not_blended(void **state)
{
    (void) state;
    expect(make_png(header(2, 1, 8, 6), NULL, NULL, "\1\2\3\0\4\5\6\x80", 8), 2, 1, "\1\2\3\4\5\6");
    expect(make_png(header(2, 1, 8, 4), NULL, NULL, "\x05\0\xfa\x80", 4), 2, 1, "\5\5\5\xfa\xfa\xfa");
}

static void palettes_with_transparency(void **state)
{
    (void) state;
    struct spng_plte palette = { .n_entries = 2, .entries = { { .red = 9, .green = 8, .blue = 7 }, { .red = 200 } } };
    struct spng_trns alpha = { .n_type3_entries = 1 };
    expect(make_png(header(3, 1, 8, 3), &palette, &alpha, "\1\0\1", 3), 3, 1, "\xc8\0\0\x09\x08\x07\xc8\0\0");
    expect(make_png(header(3, 1, 1, 3), &palette, NULL, "\x40", 1), 3, 1, "\x09\x08\x07\xc8\0\0\x09\x08\x07");
}

static void interlaced_is_the_same(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(37, 29);
    struct spng_ihdr interlaced = header(37, 29, 8, 2);
    interlaced.interlace_method = SPNG_INTERLACE_ADAM7;
    expect(make_png(interlaced, NULL, NULL, image->pixels, image->stride * 29), 37, 29, (const char *) image->pixels);
    hs_image_destroy(image);
}

static struct hs_buf gradient_png(void)
{
    struct hs_image *image = make_gradient(64, 64);
    struct hs_buf buf = make_buf();
    assert_int_equal(hs_image_encode_png(image, &buf, NULL), 0);
    hs_image_destroy(image);
    return buf;
}

static void cut_anywhere_it_is_refused(void **state)
{
    (void) state;
    struct hs_buf buf = gradient_png();
    /* Cuts up to the checksum of the last pixel data; only the end chunk may be missing. */
    for (size_t len = 0; len < buf.len - 20; len += len < 100 ? 1 : 37) {
        struct hs_image_options options = options_plain();
        struct hs_image *image;
        struct hs_error err = { 0 };
        assert_true(hs_image_decode(buf.data, len, &options, &image, &err) == HS_EDECODE);
        assert_true(err.message[0] != '\0');
    }
    decode_fails(buf.data, buf.len / 2, NULL, HS_EDECODE, "PNG is truncated");
    hs_buf_finish(&buf);
}

static void a_wrong_checksum_is_an_error(void **state)
{
    (void) state;
    struct hs_buf buf = gradient_png();
    buf.data[buf.len / 2] ^= 0x10;
    decode_fails(buf.data, buf.len, NULL, HS_EDECODE, "PNG cannot be decoded");
    hs_buf_finish(&buf);
    buf = gradient_png();
    buf.data[30] ^= 1; /* the checksum of the header */
    decode_fails(buf.data, buf.len, NULL, HS_EDECODE, "checksum");
    hs_buf_finish(&buf);
}

static void impossible_headers(void **state)
{
    (void) state;
    struct hs_buf buf = gradient_png();
    memset(buf.data + 16, 0, 4);
    decode_fails(buf.data, buf.len, NULL, HS_EDECODE, "PNG header has an invalid size, 0x64 pixels");
    buf.data[16] = 0x80;
    decode_fails(buf.data, buf.len, NULL, HS_EDECODE, "PNG header has an invalid size, 2147483648x64 pixels");
    hs_buf_finish(&buf);
}

/* Three chunks of compressed text that unpack to 2 MB each. */
static void compressed_text_bomb(void **state)
{
    (void) state;
    struct hs_buf buf = make_buf();
    spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
    struct spng_ihdr one = header(1, 1, 8, 2);
    struct spng_text texts[3] = { { .type = SPNG_ZTXT }, { .type = SPNG_ZTXT }, { .type = SPNG_ZTXT } };
    char *zeros = malloc((2u << 20) + 1);
    size_t size;
    int r;
    assert_non_null(png);
    assert_non_null(zeros);
    memset(zeros, 'a', 2u << 20);
    zeros[2u << 20] = '\0';
    for (int i = 0; i < 3; i++) {
        memcpy(texts[i].keyword, "Comment", 8);
        texts[i].text = zeros;
        texts[i].length = 2u << 20;
    }
    assert_int_equal(spng_set_option(png, SPNG_ENCODE_TO_BUFFER, 1), 0);
    assert_int_equal(spng_set_ihdr(png, &one), 0);
    assert_int_equal(spng_set_text(png, texts, 3), 0);
    assert_int_equal(spng_encode_image(png, "\1\2\3", 3, SPNG_FMT_RAW, SPNG_ENCODE_FINALIZE), 0);
    void *bytes = spng_get_png_buffer(png, &size, &r);
    assert_non_null(bytes);
    assert_int_equal(hs_buf_append(&buf, bytes, size), 0);
    free(bytes);
    free(zeros);
    spng_ctx_free(png);
    assert_true(buf.len < 20000);
    decode_fails(buf.data, buf.len, NULL, HS_ETOOLARGE, "more than 4 MB of text");
    hs_buf_finish(&buf);
}

static void orientation_comes_from_exif(void **state)
{
    (void) state;
    struct hs_buf plain = gradient_png(), buf = make_buf();
    struct hs_image_info info;
    assert_int_equal(hs_buf_append(&buf, plain.data, 33), 0);
    put_be(&buf, 22, 4);
    assert_int_equal(hs_buf_append(&buf, "eXIfII*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0????", 30), 0);
    assert_int_equal(hs_buf_append(&buf, plain.data + 33, plain.len - 33), 0);
    assert_int_equal(hs_image_probe(buf.data, buf.len, &info, NULL), 0);
    assert_int_equal(info.orientation, 6);
    assert_int_equal(info.width, 64);
    assert_false(info.animated);
    hs_buf_finish(&plain);
    hs_buf_finish(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_colour_type_becomes_rgb),
        cmocka_unit_test(sixteen_bits_keep_the_high_byte),
        cmocka_unit_test(alpha_is_dropped_and_not_blended),
        cmocka_unit_test(palettes_with_transparency),
        cmocka_unit_test(interlaced_is_the_same),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(a_wrong_checksum_is_an_error),
        cmocka_unit_test(impossible_headers),
        cmocka_unit_test(compressed_text_bomb),
        cmocka_unit_test(orientation_comes_from_exif),
    };
    return HS_RUN_TESTS(tests);
}
