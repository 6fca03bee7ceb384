/* Runs each scenario with its first, second, third … allocation failing. A scenario then returns HS_ENOMEM with
 * a message and frees everything, including its charge, or succeeds without that allocation. The results, above
 * all the pixels, never change. */
#include "pictures.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/encode.h>

#include "../alloc_fail.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "image/draw.h"
#include "image/encode.h"
#include "image/letterbox.h"
#include "image/resample.h"
#include "image/warp.h"

/* Shared by all scenarios: the function that fails sets it. */
static struct hs_error error;

static int checked(int r)
{
    if (r != 0) {
        assert_int_equal(error.code, r);
        assert_non_null(strstr(error.message, "no memory"));
    }
    return r;
}

static void each(int (*scenario)(void *arg), void *arg, int least)
{
    int count = hs_fail_each_allocation(scenario, arg);
    if (count < least)
        fail_msg("%d allocations failed, at least %d should", count, least);
}

/* ---- decoding ---- */

struct decoding {
    const uint8_t *data;
    size_t len;
    struct hs_image_options options;
    const struct hs_image_part *part;
    const struct hs_image *wanted; /* the result without a failure; NULL while that is computed */
    struct hs_image *first;
};

static void expect_same(const struct hs_image *a, const struct hs_image *b)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->orientation, b->orientation);
    assert_int_equal(a->orig_width, b->orig_width);
    assert_int_equal(a->orig_height, b->orig_height);
    assert_string_equal(a->damage, b->damage);
    assert_memory_equal(a->pixels, b->pixels, a->stride * (size_t) a->height);
}

static int decode(void *arg)
{
    struct decoding *d = arg;
    struct hs_image *image = NULL;
    struct hs_image_part got;
    memset(&error, 0, sizeof(error));
    int r = d->part ? hs_image_decode_part(d->data, d->len, &d->options, d->part, &image, &got, &error)
                    : hs_image_decode(d->data, d->len, &d->options, &image, &error);
    if (r != 0) {
        assert_null(image);
        assert_int_equal(hs_split_budget_used(d->options.limits.budget), 0);
        return checked(r);
    }
    if (!d->wanted) {
        d->first = image;
        return 0;
    }
    assert_int_equal(hs_split_budget_used(d->options.limits.budget), image->stride * (size_t) image->height);
    expect_same(image, d->wanted);
    hs_image_destroy(image);
    assert_int_equal(hs_split_budget_used(d->options.limits.budget), 0);
    return 0;
}

/* Decodes whole, upright, reduced to about a third, and reduced to the exact size. */
static void decode_with_failures(const uint8_t *data, size_t len, const struct hs_image_part *part, int least)
{
    struct hs_split_budget budget;
    for (int kind = 0; kind < 4; kind++) {
        struct decoding d = { .data = data, .len = len, .options = options_plain(), .part = part };
        d.options.deadline_ns = HS_NO_DEADLINE;
        d.options.apply_exif = kind > 0 && !part;
        d.options.exact = kind == 3;
        if (kind >= 2) {
            struct hs_image_info info;
            assert_int_equal(hs_image_probe(data, len, &info, NULL), 0);
            d.options.target_w = d.options.target_h = (info.width > info.height ? info.width : info.height) / 3;
        }
        hs_split_budget_init(&budget, (size_t) 64 << 20);
        d.options.limits.budget = &budget;
        assert_int_equal(decode(&d), 0);
        d.wanted = d.first;
        /* The charge of the expected image would disturb the checks. */
        hs_budget_release(d.first->budget, d.first->charged);
        d.first->charged = 0;
        each(decode, &d, least);
        hs_image_destroy(d.first);
        hs_split_budget_finish(&budget);
    }
}

static void every_format_is_decoded_or_out_of_memory(void **state)
{
    (void) state;
    /* `least` is the minimum number of our own allocations: two for the image, plus those of its decoder; libspng and
     * its zlib use ours. */
    static const struct {
        const char *name;
        int least;
    } files[] = {
        { "rgb.png", 5 },
        { "palette.png", 5 },
        { "exif.png", 2 },
        { "png_xmp.png", 2 },
        { "gray16.png", 5 },
        { "png_xmp_packed.png", 3 },
        { "png_profile.png", 3 },
        { "png_profile_packed.png", 4 },
        { "gray.jpg", 3 },
        { "cmyk.jpg", 4 },
        { "exif6.jpg", 3 },
        { "progressive.jpg", 3 },
        { "restart.jpg", 3 },
        { "damaged.jpg", 3 },
        { "damaged_progressive.jpg", 3 },
        { "rgb24.bmp", 2 },
        { "index8.bmp", 2 },
        { "index1.bmp", 2 },
        { "lossy.webp", 2 },
        { "lossless.webp", 2 },
        { "alpha.webp", 2 },
        { "exif.webp", 2 },
        { "animated.webp", 2 },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(files); i++) {
        char path[PATH_MAX];
        uint8_t *data;
        size_t len;
        snprintf(path, sizeof(path), "%s/fuzz/corpus/image/%s", getenv("HS_SOURCE_DIR"), files[i].name);
        assert_int_equal(hs_file_read(path, 1 << 20, &data, &len, NULL), 0);
        decode_with_failures(data, len, NULL, files[i].least);
        free(data);
    }
}

/* An image that is reduced during decoding allocates a line buffer and the reducer besides the image. */
static void large_pictures_without_memory(void **state)
{
    (void) state;
    static const struct hs_image_part part = { 40, 30, 50, 40 };
    struct hs_image *image = make_gradient(160, 120);
    struct hs_buf png = make_buf(), jpeg = make_buf();
    assert_int_equal(hs_image_encode_png(image, &png, NULL), 0);
    assert_int_equal(hs_image_encode_jpeg(image, 90, &jpeg, NULL), 0);
    decode_with_failures(png.data, png.len, NULL, 2);
    decode_with_failures(jpeg.data, jpeg.len, NULL, 3);
    decode_with_failures(jpeg.data, jpeg.len, &part, 3);
    hs_image_destroy(image);
    hs_buf_finish(&png);
    hs_buf_finish(&jpeg);
}

/* ---- processing of images ---- */

static int encode_into(const struct hs_image *image, bool png, struct hs_buf *out)
{
    return png ? hs_image_encode_png(image, out, &error) : hs_image_encode_jpeg(image, 90, out, &error);
}

struct encoding {
    const struct hs_image *image;
    bool png;
    const struct hs_buf *wanted;
};

static int encode(void *arg)
{
    const struct encoding *e = arg;
    struct hs_buf out;
    hs_buf_init(&out, 1 << 20);
    memset(&error, 0, sizeof(error));
    int r = encode_into(e->image, e->png, &out);
    if (r == 0) {
        assert_int_equal(out.len, e->wanted->len);
        assert_memory_equal(out.data, e->wanted->data, out.len);
    }
    hs_buf_finish(&out);
    return checked(r);
}

static void files_are_complete_or_out_of_memory(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(200, 100);
    for (int png = 0; png < 2; png++) {
        struct hs_buf wanted = make_buf();
        struct encoding e = { image, png, &wanted };
        assert_int_equal(encode_into(image, png, &wanted), 0);
        each(encode, &e, 3);
        hs_buf_finish(&wanted);
    }
    hs_image_destroy(image);
}

static int no_rows(void *ctx, int first, int count, uint8_t *rows, struct hs_error *err)
{
    (void) count;
    (void) rows;
    return first < *(const int *) ctx ? 0 : hs_error_set(err, HS_ECANCELED, "no row %d", first);
}

/* Covers an error of the row source in the first band and in the second one. */
static void errors_of_the_rows_are_passed_on(void **state)
{
    (void) state;
    for (int from = 0; from <= 64; from += 64) {
        const struct hs_image_rows rows = { 32, 65, no_rows, &from };
        struct hs_buf out = make_buf();
        struct hs_error err;
        char text[32];
        snprintf(text, sizeof(text), "no row %d", from);
        assert_int_equal(hs_image_rows_encode_png(&rows, &out, &err), HS_ECANCELED);
        assert_string_equal(err.message, text);
        assert_int_equal(hs_image_rows_encode_jpeg(&rows, 90, &out, &err), HS_ECANCELED);
        assert_string_equal(err.message, text);
        hs_buf_finish(&out);
    }
}

static int turn(void *arg)
{
    struct hs_image *wanted = arg, *image;
    memset(&error, 0, sizeof(error));
    int r = hs_image_create(wanted->width, wanted->height, &image, &error);
    if (r < 0)
        return checked(r);
    memcpy(image->pixels, wanted->pixels, wanted->stride * (size_t) wanted->height);
    const struct hs_image *before = image;
    r = hs_image_turn(&image, 6, &error);
    if (r < 0) {
        assert_ptr_equal(image, before);
        expect_same(image, wanted);
    } else {
        assert_int_equal(image->width, wanted->height);
        assert_memory_equal(pixel_at(image, image->width - 1, 0), wanted->pixels, 3);
    }
    hs_image_destroy(image);
    return checked(r);
}

static void a_picture_that_cannot_be_turned_is_as_before(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(20, 10);
    each(turn, image, 4);
    hs_image_destroy(image);
}

static int letterbox(void *arg)
{
    static uint8_t input[96 * 96 * 3];
    struct hs_letterbox box;
    const struct hs_image *image = arg;
    hs_letterbox_plan(image->width, image->height, 96, 96, &box);
    memset(input, 1, sizeof(input));
    int r = hs_letterbox_apply(&box, image, input);
    /* The border, and the first and last pixels of the image. */
    assert_int_equal(input[0], HS_LETTERBOX_PAD_VALUE);
    if (r == 0) {
        const uint8_t *first = input + (size_t) box.pad_top * 96 * 3;
        const uint8_t *last = first + (size_t) box.content_h * 96 * 3 - 3;
        assert_true(first[0] < 10 && first[1] < 10 && last[0] > 245 && last[1] > 245);
    }
    return r;
}

static int resample(void *arg)
{
    static uint8_t pixels[300 * 200 * 3];
    const struct hs_image *image = arg;
    int r = hs_resample(image, 300, 200, pixels, 900);
    if (r == 0)
        assert_true(pixels[0] < 10 && pixels[sizeof(pixels) - 3] > 245);
    return r;
}

static int reduce(void *arg)
{
    const struct hs_image *image = arg;
    struct hs_image *dst;
    struct hs_reducer *reducer;
    memset(&error, 0, sizeof(error));
    int r = hs_image_create(20, 10, &dst, &error);
    if (r < 0)
        return checked(r);
    r = hs_reducer_create(image->width, image->height, dst, &reducer, &error);
    if (r == 0) {
        for (int y = 0; y < image->height; y++)
            hs_reducer_add(reducer, pixel_at(image, 0, y));
        hs_reducer_destroy(reducer);
        assert_true(pixel_at(dst, 0, 0)[0] < 20 && pixel_at(dst, 19, 9)[0] > 235);
    }
    hs_image_destroy(dst);
    return checked(r);
}

/* A warp allocates nothing, so it succeeds without any memory. */
static int warp(void *arg)
{
    static const double matrix[6] = { 0.5, 0, 0, 0, 0.5, 0 };
    uint8_t pixels[10 * 10 * 3];
    const struct hs_image *image = arg;
    int r = hs_warp_similarity(image, matrix, 10, 10, pixels, NULL);
    assert_true(pixels[0] < pixels[27] && pixels[1] < pixels[271]);
    return r;
}

static void other_sizes_and_parts(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(200, 100);
    assert_int_equal(hs_fail_each_allocation(letterbox, image), 1);
    assert_int_equal(hs_fail_each_allocation(resample, image), 1);
    assert_int_equal(hs_fail_each_allocation(reduce, image), 3);
    assert_int_equal(hs_fail_each_allocation(warp, image), 0);
    hs_image_destroy(image);
}

/* libwebp allocates itself, so its decoder is replaced by one that has no memory. */
static bool webp_without_memory;

VP8StatusCode __real_WebPDecode(const uint8_t *data, size_t len, WebPDecoderConfig *config);
VP8StatusCode __wrap_WebPDecode(const uint8_t *data, size_t len, WebPDecoderConfig *config);

VP8StatusCode __wrap_WebPDecode(const uint8_t *data, size_t len, WebPDecoderConfig *config)
{
    return webp_without_memory ? VP8_STATUS_OUT_OF_MEMORY : __real_WebPDecode(data, len, config);
}

static void a_webp_for_which_libwebp_has_no_memory(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(64, 48), *decoded = NULL;
    struct hs_image_options options = options_plain();
    struct hs_buf buf = make_buf();
    uint8_t *bytes;
    size_t len = WebPEncodeLosslessRGB(image->pixels, 64, 48, (int) image->stride, &bytes);
    assert_true(len > 0);
    assert_int_equal(hs_buf_append(&buf, bytes, len), 0);
    WebPFree(bytes);
    memset(&error, 0, sizeof(error));
    webp_without_memory = true;
    int r = hs_image_decode(buf.data, buf.len, &options, &decoded, &error);
    webp_without_memory = false;
    assert_int_equal(checked(r), HS_ENOMEM);
    assert_null(decoded);
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &decoded, &error), 0);
    hs_image_destroy(decoded);
    hs_image_destroy(image);
    hs_buf_finish(&buf);
}

static int draw(void *arg)
{
    static const struct hs_draw_shape shapes[] = {
        { HS_DRAW_RECT, 20, 40, 90, 90, 3, 0xff8000, "Zoe" },
        { HS_DRAW_RECT, 100, 40, 190, 90, 3, 0xff8000, "Ida" },
        { HS_DRAW_CIRCLE, 50, 60, 0, 0, 8, 0x0000ff, NULL },
    };
    static uint8_t pixels[200 * 100 * 3];
    const struct hs_image *image = arg;
    struct hs_overlay *overlay;
    memset(&error, 0, sizeof(error));
    int r = hs_overlay_create(image, 1, shapes, HS_ARRAY_LEN(shapes), &overlay, &error);
    if (r == 0) {
        const struct hs_image_rows rows = hs_overlay_rows(overlay);
        r = rows.read(rows.ctx, 0, 100, pixels, &error);
        hs_overlay_destroy(overlay);
    }
    if (r == 0)
        assert_memory_equal(pixels + (60 * 200 + 50) * 3, "\0\0\xff", 3);
    return checked(r);
}

static void drawings_are_complete_or_out_of_memory(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(200, 100);
    assert_int_equal(draw(image), 0); /* the fonts are created once */
    each(draw, image, 4);
    hs_image_destroy(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_decoded_or_out_of_memory),
        cmocka_unit_test(large_pictures_without_memory),
        cmocka_unit_test(files_are_complete_or_out_of_memory),
        cmocka_unit_test(errors_of_the_rows_are_passed_on),
        cmocka_unit_test(a_picture_that_cannot_be_turned_is_as_before),
        cmocka_unit_test(other_sizes_and_parts),
        cmocka_unit_test(a_webp_for_which_libwebp_has_no_memory),
        cmocka_unit_test(drawings_are_complete_or_out_of_memory),
    };
    return HS_RUN_TESTS(tests);
}
