#include "pictures.h"

#include <stdlib.h>
#include <string.h>

#include <spng.h>

#include "image/encode.h"
#include "image/letterbox.h"
#include "image/resample.h"

/* Returns noise, so that no two rows or columns are equal. */
static struct hs_image *make_noise(int width, int height)
{
    struct hs_image *image;
    uint32_t seed = 1;
    assert_int_equal(hs_image_create(width, height, &image, NULL), 0);
    for (size_t i = 0; i < image->stride * (size_t) height; i++)
        image->pixels[i] = (uint8_t) ((seed = seed * 1664525 + 1013904223) >> 24);
    return image;
}

static void expect_same(const struct hs_image *a, const struct hs_image *b)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    for (int y = 0; y < a->height; y++)
        assert_memory_equal(pixel_at(a, 0, y), pixel_at(b, 0, y), (size_t) a->width * 3);
}

static struct hs_image *resampled(const struct hs_image *image, int width, int height)
{
    struct hs_image *small;
    assert_int_equal(hs_image_create(width, height, &small, NULL), 0);
    assert_int_equal(hs_resample(image, width, height, small->pixels, small->stride), 0);
    return small;
}

static void rows_equal_the_whole(void **state)
{
    (void) state;
    static const int sizes[][4] = {
        { 300, 200, 37, 25 },  { 300, 200, 100, 66 }, { 300, 200, 299, 199 }, { 300, 200, 150, 100 },
        { 300, 200, 300, 7 },  { 300, 200, 13, 200 }, { 300, 200, 1, 1 },     { 301, 211, 201, 70 },
        { 301, 211, 99, 151 }, { 300, 1, 20, 1 },     { 1, 300, 1, 299 },     { 257, 129, 128, 64 },
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct hs_image *image = make_noise(sizes[i][0], sizes[i][1]), *small;
        struct hs_image *expected = resampled(image, sizes[i][2], sizes[i][3]);
        struct hs_reducer *reducer;
        assert_int_equal(hs_image_create(sizes[i][2], sizes[i][3], &small, NULL), 0);
        memset(small->pixels, 0x55, small->stride * (size_t) small->height);
        assert_int_equal(hs_reducer_create(image->width, image->height, small, &reducer, NULL), 0);
        for (int y = 0; y < image->height; y++)
            hs_reducer_add(reducer, pixel_at(image, 0, y));
        hs_reducer_destroy(reducer);
        expect_same(small, expected);
        hs_image_destroy(small);
        hs_image_destroy(expected);
        hs_image_destroy(image);
    }
    hs_reducer_destroy(NULL);
}

/* ---- files whose rows are reduced during decoding ---- */

static struct hs_buf png_of(const struct hs_image *image)
{
    struct hs_buf buf = make_buf();
    assert_int_equal(hs_image_encode_png(image, &buf, NULL), 0);
    return buf;
}

static struct hs_buf interlaced_png_of(const struct hs_image *image)
{
    struct hs_buf buf = make_buf();
    struct spng_ihdr header = { (uint32_t) image->width, (uint32_t) image->height, 8, 2, 0, 0, 1 };
    spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
    size_t size;
    int r;
    assert_int_equal(spng_set_option(png, SPNG_ENCODE_TO_BUFFER, 1), 0);
    assert_int_equal(spng_set_ihdr(png, &header), 0);
    assert_int_equal(
        spng_encode_image(png, image->pixels, image->stride * header.height, SPNG_FMT_RAW, SPNG_ENCODE_FINALIZE), 0);
    void *bytes = spng_get_png_buffer(png, &size, &r);
    assert_int_equal(hs_buf_append(&buf, bytes, size), 0);
    free(bytes);
    spng_ctx_free(png);
    return buf;
}

static struct hs_buf bmp_of(const struct hs_image *image, bool top_down)
{
    struct hs_buf buf = make_buf();
    size_t padding = (4 - image->stride % 4) % 4;
    assert_int_equal(hs_buf_append(&buf, "BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", 18), 0);
    put_le(&buf, (uint32_t) image->width, 4);
    put_le(&buf, (uint32_t) (top_down ? -image->height : image->height), 4);
    put_le(&buf, 1 | 24 << 16, 4);
    for (int i = 0; i < 6; i++)
        put_le(&buf, 0, 4);
    for (int i = 0; i < image->height; i++) {
        const uint8_t *row = pixel_at(image, 0, top_down ? i : image->height - 1 - i);
        for (int x = 0; x < image->width; x++)
            put_le(&buf, (uint32_t) (row[x * 3] << 16 | row[x * 3 + 1] << 8 | row[x * 3 + 2]), 3);
        put_le(&buf, 0, (int) padding);
    }
    return buf;
}

static struct hs_image *decode_to(const struct hs_buf *file, int target_w, int target_h, bool exact)
{
    struct hs_image_options options = options_plain();
    struct hs_image *image;
    struct hs_error err;
    options.target_w = target_w;
    options.target_h = target_h;
    options.exact = exact;
    if (hs_image_decode(file->data, file->len, &options, &image, &err) < 0)
        fail_msg("%s", err.message);
    return image;
}

/* The network input has the same bytes as from the whole image, although only the reduced image is held. */
static void expect_letterboxed_alike(const struct hs_image *image, const struct hs_buf *file)
{
    static uint8_t expected[96 * 64 * 3], got[96 * 64 * 3];
    struct hs_letterbox box;
    hs_letterbox_plan(image->width, image->height, 96, 64, &box);
    assert_int_equal(hs_letterbox_apply(&box, image, expected), 0);
    struct hs_image *small = decode_to(file, 96, 64, false);
    assert_int_equal(small->width, box.content_w);
    assert_int_equal(small->height, box.content_h);
    assert_int_equal(small->orig_width, image->width);
    assert_int_equal(small->orig_height, image->height);
    assert_int_equal(hs_letterbox_apply(&box, small, got), 0);
    assert_memory_equal(got, expected, sizeof(got));
    hs_image_destroy(small);
}

static void a_reduced_decode_gives_the_same_network_input(void **state)
{
    (void) state;
    static const int sizes[][2] = { { 500, 333 }, { 193, 400 }, { 640, 128 }, { 193, 129 } };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct hs_image *image = make_noise(sizes[i][0], sizes[i][1]);
        struct hs_buf files[] = { png_of(image), interlaced_png_of(image), bmp_of(image, true), bmp_of(image, false) };
        for (size_t k = 0; k < 4; k++) {
            expect_letterboxed_alike(image, &files[k]);
            hs_buf_finish(&files[k]);
        }
        hs_image_destroy(image);
    }
}

/* Faces are cropped from the image, so a factor below 2 does not reduce it. */
static void slightly_larger_is_not_reduced(void **state)
{
    (void) state;
    struct hs_image *image = make_noise(191, 127);
    struct hs_buf file = png_of(image);
    struct hs_image *same = decode_to(&file, 96, 64, false);
    expect_same(same, image);
    hs_image_destroy(same);
    hs_buf_finish(&file);
    hs_image_destroy(image);
}

static void exact_is_never_larger(void **state)
{
    (void) state;
    struct hs_image *image = make_noise(150, 100);
    struct hs_buf jpeg = make_buf(), png = png_of(image), interlaced = interlaced_png_of(image);
    assert_int_equal(hs_image_encode_jpeg(image, 90, &jpeg, NULL), 0);
    struct hs_buf *files[] = { &jpeg, &png, &interlaced };
    for (size_t i = 0; i < 3; i++) {
        struct hs_image *whole = decode_to(files[i], 0, 0, true), *small = decode_to(files[i], 100, 100, true);
        struct hs_image *expected = resampled(whole, 100, 67);
        expect_same(small, expected);
        assert_int_equal(small->orig_width, 150);
        hs_image_destroy(small);
        small = decode_to(files[i], 1000, 1000, true);
        expect_same(small, whole);
        hs_image_destroy(small);
        hs_image_destroy(expected);
        hs_image_destroy(whole);
        hs_buf_finish(files[i]);
    }
    hs_image_destroy(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_equal_the_whole),
        cmocka_unit_test(a_reduced_decode_gives_the_same_network_input),
        cmocka_unit_test(slightly_larger_is_not_reduced),
        cmocka_unit_test(exact_is_never_larger),
    };
    return HS_RUN_TESTS(tests);
}
