#include "pictures.h"

#include <stdlib.h>
#include <string.h>

#include <webp/encode.h>

#include "image/letterbox.h"

static struct hs_buf encode(const struct hs_image *image, bool lossless)
{
    struct hs_buf buf = make_buf();
    uint8_t *bytes;
    size_t size = lossless
                      ? WebPEncodeLosslessRGB(image->pixels, image->width, image->height, (int) image->stride, &bytes)
                      : WebPEncodeRGB(image->pixels, image->width, image->height, (int) image->stride, 90, &bytes);
    assert_true(size > 0);
    assert_int_equal(hs_buf_append(&buf, bytes, size), 0);
    WebPFree(bytes);
    return buf;
}

static void put_chunk(struct hs_buf *buf, const char *name, const void *data, size_t len)
{
    assert_int_equal(hs_buf_append(buf, name, 4), 0);
    put_le(buf, (uint32_t) len, 4);
    assert_int_equal(hs_buf_append(buf, data, len), 0);
    if (len % 2 == 1)
        put_le(buf, 0, 1);
}

/* RIFF header, then VP8X with flags and the canvas size minus one. */
static struct hs_buf extended(uint8_t flags, int width, int height)
{
    struct hs_buf buf = make_buf(), body = make_buf();
    assert_int_equal(hs_buf_append(&buf, "RIFF????WEBP", 12), 0);
    put_le(&body, flags, 4);
    put_le(&body, (uint32_t) width - 1, 3);
    put_le(&body, (uint32_t) height - 1, 3);
    put_chunk(&buf, "VP8X", body.data, body.len);
    hs_buf_finish(&body);
    return buf;
}

static void close_riff(struct hs_buf *buf)
{
    for (int i = 0; i < 4; i++)
        buf->data[4 + i] = (uint8_t) ((buf->len - 8) >> (8 * i));
}

static void lossless_is_exact_and_lossy_close(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(75, 40);
    int max;
    double mean;
    for (int lossless = 0; lossless < 2; lossless++) {
        struct hs_buf buf = encode(image, lossless);
        struct hs_image *decoded = decode_ok(buf.data, buf.len);
        compare_images(image, decoded, &max, &mean);
        assert_true(max <= (lossless ? 0 : 16));
        hs_image_destroy(decoded);
        for (size_t len = 0; len < buf.len - 2; len += 11) {
            struct hs_image_options options = options_plain();
            assert_int_equal(hs_image_decode(buf.data, len, &options, &decoded, NULL), HS_EDECODE);
        }
        hs_buf_finish(&buf);
    }
    hs_image_destroy(image);
}

static void alpha_is_dropped(void **state)
{
    (void) state;
    static const uint8_t rgba[] = { 10, 20, 30, 128, 40, 50, 60, 255 };
    uint8_t *bytes;
    size_t size = WebPEncodeLosslessRGBA(rgba, 2, 1, 8, &bytes);
    assert_true(size > 0);
    struct hs_image *image = decode_ok(bytes, size);
    assert_memory_equal(image->pixels, "\x0a\x14\x1e\x28\x32\x3c", 6);
    hs_image_destroy(image);
    WebPFree(bytes);
}

static void exif_is_found_behind_the_picture(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(20, 10);
    struct hs_buf frame = encode(image, true), buf = extended(0x08, 20, 10);
    struct hs_image_info info;
    assert_int_equal(hs_buf_append(&buf, frame.data + 12, frame.len - 12), 0);
    put_chunk(&buf, "EXIF", "II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x08\0\0\0", 22);
    close_riff(&buf);
    assert_int_equal(hs_image_probe(buf.data, buf.len, &info, NULL), 0);
    assert_int_equal(info.orientation, 8);
    assert_int_equal(info.width, 20);
    struct hs_image_options options = options_plain();
    struct hs_image *turned;
    options.apply_exif = true;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &turned, NULL), 0);
    assert_int_equal(turned->width, 10);
    assert_int_equal(turned->height, 20);
    hs_image_destroy(turned);
    hs_image_destroy(image);
    hs_buf_finish(&frame);
    hs_buf_finish(&buf);
}

/* An animation on a 30x20 canvas; its first frame is 8x6 at 4,2 (the file stores half the offsets). */
static struct hs_buf animation(const struct hs_image *first, int x, int y)
{
    struct hs_buf frame = encode(first, true), body = make_buf(), buf = extended(0x02, 30, 20);
    put_chunk(&buf, "ANIM", "\xff\xff\xff\xff\0\0", 6);
    put_le(&body, (uint32_t) x / 2, 3);
    put_le(&body, (uint32_t) y / 2, 3);
    put_le(&body, (uint32_t) first->width - 1, 3);
    put_le(&body, (uint32_t) first->height - 1, 3);
    put_le(&body, 100, 3);
    put_le(&body, 0, 1);
    assert_int_equal(hs_buf_append(&body, frame.data + 12, frame.len - 12), 0);
    put_chunk(&buf, "ANMF", body.data, body.len);
    put_chunk(&buf, "ANMF", body.data, body.len);
    close_riff(&buf);
    hs_buf_finish(&frame);
    hs_buf_finish(&body);
    return buf;
}

static void the_first_frame_lies_on_a_black_canvas(void **state)
{
    (void) state;
    struct hs_image *first = make_gradient(8, 6);
    memset(first->pixels, 200, first->stride * 6);
    struct hs_buf buf = animation(first, 4, 2);
    struct hs_image_info info;
    assert_int_equal(hs_image_probe(buf.data, buf.len, &info, NULL), 0);
    assert_true(info.animated);
    struct hs_image *image = decode_ok(buf.data, buf.len);
    assert_int_equal(image->width, 30);
    assert_int_equal(image->height, 20);
    for (int y = 0; y < 20; y++) {
        for (int x = 0; x < 30; x++)
            assert_int_equal(pixel_at(image, x, y)[1], x >= 4 && x < 12 && y >= 2 && y < 8 ? 200 : 0);
    }
    hs_image_destroy(image);
    decode_fails(buf.data, buf.len - 40, NULL, HS_EDECODE, "WebP");
    hs_buf_finish(&buf);
    buf = animation(first, 24, 2); /* exceeds the canvas */
    decode_fails(buf.data, buf.len, NULL, HS_EDECODE, "WebP");
    hs_buf_finish(&buf);
    hs_image_destroy(first);
}

/* libwebp's scaler can replace the averaging of the letterbox. */
static void reduced_is_what_the_letterbox_would_make(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(1000, 600), *small;
    struct hs_buf buf = encode(image, true);
    struct hs_image_options options = options_plain();
    struct hs_letterbox box;
    uint8_t a[128 * 96 * 3], b[128 * 96 * 3];
    options.target_w = 128;
    options.target_h = 96;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &small, NULL), 0);
    hs_letterbox_plan(1000, 600, 128, 96, &box);
    assert_int_equal(small->width, box.content_w);
    assert_int_equal(small->height, box.content_h);
    assert_int_equal(small->orig_width, 1000);
    assert_int_equal(hs_letterbox_apply(&box, small, a), 0);
    assert_int_equal(hs_letterbox_apply(&box, image, b), 0);
    for (size_t i = 0; i < sizeof(a); i++)
        assert_true(abs(a[i] - b[i]) <= 3);
    hs_image_destroy(small);
    options.target_w = options.target_h = 640; /* below a factor of 2: not reduced */
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &small, NULL), 0);
    assert_int_equal(small->width, 1000);
    hs_image_destroy(small);
    options.limits.max_memory = 4u << 20; /* 1.8 MB of pixels, 2.4 MB inside libwebp, and its rows */
    decode_fails(buf.data, buf.len, &options, HS_ETOOLARGE, "of memory to decode");
    hs_image_destroy(image);
    hs_buf_finish(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_is_exact_and_lossy_close),
        cmocka_unit_test(alpha_is_dropped),
        cmocka_unit_test(exif_is_found_behind_the_picture),
        cmocka_unit_test(the_first_frame_lies_on_a_black_canvas),
        cmocka_unit_test(reduced_is_what_the_letterbox_would_make),
    };
    return HS_RUN_TESTS(tests);
}
