#include "pictures.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/letterbox.h"

struct recipe {
    int width, height, components;
    J_COLOR_SPACE in, out;
    bool progressive, arithmetic, full_chroma;
    const jpeg_scan_info *scans;
    int scan_count;
    int restart_rows;
};

/* Encodes `samples`: width * components bytes per row. */
static struct hs_buf make_jpeg(const struct recipe *recipe, const uint8_t *samples)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct hs_buf buf = make_buf();
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = (JDIMENSION) recipe->width;
    jpeg.image_height = (JDIMENSION) recipe->height;
    jpeg.input_components = recipe->components;
    jpeg.in_color_space = recipe->in;
    jpeg_set_defaults(&jpeg);
    jpeg_set_colorspace(&jpeg, recipe->out);
    jpeg_set_quality(&jpeg, 95, TRUE);
    if (recipe->full_chroma)
        jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
    if (recipe->progressive)
        jpeg_simple_progression(&jpeg);
    if (recipe->scans) {
        jpeg.scan_info = recipe->scans;
        jpeg.num_scans = recipe->scan_count;
    }
    jpeg.arith_code = recipe->arithmetic;
    jpeg.restart_in_rows = recipe->restart_rows;
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row =
            (JSAMPROW) samples + (size_t) jpeg.next_scanline * (size_t) recipe->width * (size_t) recipe->components;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    assert_int_equal(hs_buf_append(&buf, bytes, size), 0);
    free(bytes);
    return buf;
}

static struct hs_buf make_gradient_jpeg(int width, int height, struct recipe recipe)
{
    struct hs_image *image = make_gradient(width, height);
    recipe.width = width;
    recipe.height = height;
    recipe.components = 3;
    recipe.in = JCS_RGB;
    if (recipe.out == JCS_UNKNOWN)
        recipe.out = JCS_YCbCr;
    struct hs_buf buf = make_jpeg(&recipe, image->pixels);
    hs_image_destroy(image);
    return buf;
}

static void every_format_decodes_the_gradient(void **state)
{
    (void) state;
    static const struct recipe recipes[] = {
        { .full_chroma = false },
        { .full_chroma = true },
        { .progressive = true },
        { .out = JCS_RGB },
        { .restart_rows = 1 },
        { .arithmetic = true },
        { .arithmetic = true, .progressive = true },
    };
    struct hs_image *want = make_gradient(90, 61);
    for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++) {
        struct hs_buf buf = make_gradient_jpeg(90, 61, recipes[i]);
        struct hs_image *image = decode_ok(buf.data, buf.len);
        int max;
        double mean;
        compare_images(image, want, &max, &mean);
        assert_true(max <= 9);
        assert_true(mean < 1.5);
        hs_image_destroy(image);
        hs_buf_finish(&buf);
    }
    hs_image_destroy(want);
}

static void gray_is_spread_to_three(void **state)
{
    (void) state;
    uint8_t samples[16 * 16];
    memset(samples, 77, sizeof(samples));
    struct recipe recipe = { .width = 16, .height = 16, .components = 1, .in = JCS_GRAYSCALE, .out = JCS_GRAYSCALE };
    struct hs_buf buf = make_jpeg(&recipe, samples);
    struct hs_image *image = decode_ok(buf.data, buf.len);
    assert_memory_equal(pixel_at(image, 7, 9), "\x4d\x4d\x4d", 3);
    hs_image_destroy(image);
    hs_buf_finish(&buf);
}

/* Inverted, as Adobe writes it: 255 means no ink. Red: no cyan, full magenta and yellow, no black. The same
 * numbers with black at 128 are half as bright: 128 - 128 * 0 / 255. */
static void cmyk_and_ycck(void **state)
{
    (void) state;
    static const uint8_t colours[3][4] = { { 255, 0, 0, 255 }, { 255, 0, 0, 128 }, { 255, 255, 255, 255 } };
    static const uint8_t want[3][3] = { { 255, 0, 0 }, { 128, 0, 0 }, { 255, 255, 255 } };
    for (int i = 0; i < 6; i++) {
        uint8_t samples[16 * 16 * 4];
        for (int p = 0; p < 256; p++)
            memcpy(samples + (size_t) p * 4, colours[i % 3], 4);
        struct recipe recipe = {
            .width = 16, .height = 16, .components = 4, .in = JCS_CMYK, .out = i < 3 ? JCS_CMYK : JCS_YCCK
        };
        struct hs_buf buf = make_jpeg(&recipe, samples);
        struct hs_image *image = decode_ok(buf.data, buf.len);
        for (int c = 0; c < 3; c++)
            assert_true(abs(pixel_at(image, 5, 5)[c] - want[i % 3][c]) <= 3);
        hs_image_destroy(image);
        hs_buf_finish(&buf);
    }
}

static void reduced_is_never_below_the_target(void **state)
{
    (void) state;
    static const int targets[] = { 32, 100, 160, 161, 320, 321, 500, 640, 2000 };
    struct hs_buf buf = make_gradient_jpeg(1280, 724, (struct recipe) { 0 });
    struct hs_image *whole = decode_ok(buf.data, buf.len);
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct hs_image_options options = options_plain();
        struct hs_letterbox box;
        struct hs_image *image;
        options.target_w = options.target_h = targets[i];
        assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
        hs_letterbox_plan(1280, 724, targets[i], targets[i], &box);
        assert_true(image->width == 1280 || (image->width >= box.content_w && image->width < box.content_w * 2) ||
                    image->width == 160);
        assert_true(image->height == 724 || image->height >= box.content_h);
        assert_int_equal(image->orig_width, 1280);
        assert_int_equal(image->orig_height, 724);
        /* The network input matches that of the full image, except for the difference between the filters. */
        size_t size = (size_t) box.in_w * (size_t) box.in_h * 3;
        uint8_t *a = malloc(size), *b = malloc(size);
        assert_non_null(a);
        assert_non_null(b);
        assert_int_equal(hs_letterbox_apply(&box, image, a), 0);
        assert_int_equal(hs_letterbox_apply(&box, whole, b), 0);
        for (size_t k = 0; k < size; k++)
            assert_true(abs(a[k] - b[k]) <= 6);
        free(a);
        free(b);
        hs_image_destroy(image);
    }
    hs_image_destroy(whole);
    hs_buf_finish(&buf);
}

/* Steps of 5 pixels with noise, so that a shift by one pixel is visible. */
static struct hs_buf make_noisy_jpeg(int width, int height, struct recipe recipe)
{
    size_t size = (size_t) width * (size_t) height * 3;
    uint8_t *samples = malloc(size);
    uint32_t noise = 1;
    assert_non_null(samples);
    for (size_t i = 0; i < size; i++) {
        noise = noise * 1664525 + 1013904223;
        samples[i] = (uint8_t) (i / 3 % (size_t) width / 5 * 37 + i / 3 / (size_t) width / 5 * 53 + (noise >> 28));
    }
    recipe.width = width;
    recipe.height = height;
    recipe.components = 3;
    recipe.in = JCS_RGB;
    recipe.out = JCS_YCbCr;
    struct hs_buf buf = make_jpeg(&recipe, samples);
    free(samples);
    return buf;
}

/* The decoded part contains the requested one and equals that area of the whole image, except for two pixels at
 * its borders that are not borders of the whole. */
static void check_part(const struct hs_buf *file, const struct hs_image_options *options, struct hs_image_part wanted)
{
    struct hs_image *whole, *image;
    struct hs_image_part got;
    struct hs_error err = { 0 };
    assert_int_equal(hs_image_decode(file->data, file->len, options, &whole, &err), 0);
    int r = hs_image_decode_part(file->data, file->len, options, &wanted, &image, &got, &err);
    if (r != 0)
        print_error("%s\n", err.message);
    assert_int_equal(r, 0);
    int denom = image->orig_width / image->width, x0 = got.x / denom, y0 = got.y / denom;
    assert_true(got.x <= wanted.x && got.y <= wanted.y);
    assert_true(got.x + got.width >= wanted.x + wanted.width && got.y + got.height >= wanted.y + wanted.height);
    assert_int_equal(image->orig_width, got.width);
    assert_int_equal(image->orig_height, got.height);
    assert_int_equal(image->width * denom, got.width);
    assert_int_equal(image->height * denom, got.height);
    assert_in_range(x0 + image->width, 1, whole->width);
    assert_in_range(y0 + image->height, 1, whole->height);
    int left = x0 == 0 ? 0 : 2, right = image->width - (x0 + image->width == whole->width ? 0 : 2);
    int top = y0 == 0 ? 0 : 2, bottom = image->height - (y0 + image->height == whole->height ? 0 : 2);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++)
            assert_memory_equal(pixel_at(image, x, y), pixel_at(whole, x0 + x, y0 + y), 3);
    hs_image_destroy(image);
    hs_image_destroy(whole);
}

static void a_part_equals_the_whole_image_there(void **state)
{
    (void) state;
    static const struct recipe recipes[] = {
        { .full_chroma = false }, { .full_chroma = true }, { .progressive = true },
        { .arithmetic = true },   { .restart_rows = 1 },
    };
    static const struct hs_image_part parts[] = {
        { 0, 0, 403, 299 },  { 0, 0, 1, 1 },         { 402, 298, 1, 1 },  { 100, 100, 50, 60 }, { 37, 0, 90, 299 },
        { 0, 211, 403, 17 }, { 201, 150, 202, 149 }, { 15, 17, 33, 250 }, { 384, 3, 19, 290 },
    };
    static const int targets[] = { 0, 200, 100, 30 };
    for (size_t i = 0; i < HS_ARRAY_LEN(recipes); i++) {
        struct hs_buf file = make_noisy_jpeg(403, 299, recipes[i]);
        struct hs_image_options options = options_plain();
        for (size_t t = 0; t < HS_ARRAY_LEN(targets); t++) {
            options.target_w = options.target_h = targets[t];
            for (size_t k = 0; k < HS_ARRAY_LEN(parts); k++)
                check_part(&file, &options, parts[k]);
        }
        hs_buf_finish(&file);
    }
}

static void invalid_parts_are_rejected(void **state)
{
    (void) state;
    static const struct hs_image_part parts[] = {
        { -1, 0, 5, 5 }, { 0, 0, 65, 5 }, { 60, 0, 5, 5 }, { 0, 0, 0, 5 }, { 0, 40, 5, INT_MAX }, { INT_MAX, 0, 5, 5 },
    };
    struct hs_buf file = make_noisy_jpeg(64, 48, (struct recipe) { 0 });
    struct hs_image_options options = options_plain();
    struct hs_image *image = NULL;
    struct hs_image_part got;
    struct hs_error err;
    for (size_t i = 0; i < HS_ARRAY_LEN(parts); i++)
        assert_int_equal(hs_image_decode_part(file.data, file.len, &options, &parts[i], &image, &got, &err), HS_EINVAL);
    /* A file cut at any byte is refused or decoded, but never crashes. */
    const struct hs_image_part top = { 8, 2, 20, 6 };
    for (size_t len = 0; len < file.len; len += 7)
        if (hs_image_decode_part(file.data, len, &options, &top, &image, &got, &err) == 0)
            hs_image_destroy(image);
    hs_buf_finish(&file);
}

static void cut_anywhere_it_is_refused(void **state)
{
    (void) state;
    static const struct recipe recipes[] = {
        { .restart_rows = 0 }, { .restart_rows = 1 }, { .progressive = true }, { .arithmetic = true }
    };
    for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++) {
        struct hs_buf buf = make_gradient_jpeg(200, 150, recipes[i]);
        /* The last bytes are the end marker and possibly fill bits of the last byte. */
        for (size_t len = 0; len < buf.len - 6; len += len < 30 ? 1 : 53) {
            struct hs_image_options options = options_plain();
            struct hs_image *image;
            uint8_t *copy = malloc(len ? len : 1);
            assert_non_null(copy);
            memcpy(copy, buf.data, len);
            assert_int_equal(hs_image_decode(copy, len, &options, &image, NULL), HS_EDECODE);
            free(copy);
        }
        decode_fails(buf.data, buf.len * 3 / 4, NULL, HS_EDECODE, "JPEG is truncated");
        hs_buf_finish(&buf);
    }
}

/* All pixels are there; only the end marker is missing. */
static void a_missing_end_marker_is_accepted(void **state)
{
    (void) state;
    static const struct recipe recipes[] = { { .restart_rows = 0 }, { .progressive = true } };
    for (size_t i = 0; i < HS_ARRAY_LEN(recipes); i++) {
        struct hs_buf buf = make_gradient_jpeg(64, 64, recipes[i]);
        struct hs_image *image = decode_ok(buf.data, buf.len), *without = decode_ok(buf.data, buf.len - 2);
        assert_string_equal(image->damage, "");
        assert_string_equal(without->damage, "the JPEG is damaged: the end marker is missing");
        assert_memory_equal(image->pixels, without->pixels, image->stride * 64);
        hs_image_destroy(image);
        hs_image_destroy(without);
        hs_buf_finish(&buf);
    }
}

/* Returns the offset of the nth marker of that kind, counted from 0. */
static size_t find_marker(const struct hs_buf *buf, uint8_t kind, int nth)
{
    for (size_t i = 0; i + 1 < buf->len; i++)
        if (buf->data[i] == 0xff && buf->data[i + 1] == kind && nth-- == 0)
            return i;
    fail_msg("no marker %02x", kind);
    return 0;
}

static void expect_damage(const struct hs_buf *buf, const char *text, int width, int height)
{
    struct hs_image *image = decode_ok(buf->data, buf->len);
    assert_string_equal(image->damage, text);
    assert_int_equal(image->width, width);
    assert_int_equal(image->height, height);
    assert_int_equal(image->orientation, 1);
    hs_image_destroy(image);
}

/* Bytes are missing, but the end marker is there. */
static void missing_data_before_the_end_marker_is_damage(void **state)
{
    (void) state;
    static const struct recipe recipes[] = { { .restart_rows = 0 }, { .progressive = true }, { .restart_rows = 2 } };
    static const size_t lost[] = { 1, 3, 60 };
    for (size_t i = 0; i < HS_ARRAY_LEN(recipes); i++) {
        for (size_t k = 0; k < HS_ARRAY_LEN(lost); k++) {
            struct hs_buf buf = make_noisy_jpeg(64, 64, recipes[i]);
            buf.len -= lost[k];
            memcpy(buf.data + buf.len - 2, "\xff\xd9", 2);
            expect_damage(&buf, "the JPEG is damaged: a part of its data is missing", 64, 64);
            hs_buf_finish(&buf);
        }
    }
}

/* Rows before the damage, and those after the next restart marker, equal those of the undamaged image. */
static void damage_keeps_the_pixels_before_it(void **state)
{
    (void) state;
    struct hs_buf buf = make_noisy_jpeg(64, 128, (struct recipe) { .restart_rows = 1 });
    struct hs_image *whole = decode_ok(buf.data, buf.len);
    size_t at = find_marker(&buf, 0xd5, 0); /* after six rows of 16 x 16 pixels */
    memset(buf.data + at + 2, 0xaa, 40);
    struct hs_image *image = decode_ok(buf.data, buf.len);
    assert_true(hs_str_starts(image->damage, "the JPEG is damaged: "));
    assert_memory_equal(whole->pixels, image->pixels, whole->stride * 94);
    assert_memory_not_equal(whole->pixels + whole->stride * 96, image->pixels + whole->stride * 96, whole->stride * 16);
    assert_memory_equal(pixel_at(whole, 0, 114), pixel_at(image, 0, 114), whole->stride * 14);
    hs_image_destroy(whole);
    hs_image_destroy(image);
    /* Zeroes the marker itself: its two bytes then look like data. */
    memset(buf.data + at, 0, 2);
    image = decode_ok(buf.data, buf.len);
    assert_true(hs_str_starts(image->damage, "the JPEG is damaged: "));
    hs_image_destroy(image);
    hs_buf_finish(&buf);
}

/* If libjpeg cannot read a table between two scans, the image consists of the scans before it. */
static void scans_before_a_broken_one_are_shown(void **state)
{
    (void) state;
    struct hs_buf buf = make_noisy_jpeg(64, 64, (struct recipe) { .progressive = true });
    int tables = 0;
    for (size_t i = 0; i + 1 < buf.len; i++)
        tables += buf.data[i] == 0xff && buf.data[i + 1] == 0xc4;
    size_t last = find_marker(&buf, 0xc4, tables - 1), first_scan = find_marker(&buf, 0xda, 0);
    assert_true(last > first_scan);
    buf.data[last + 4] = 0x77; /* an invalid class and number */
    struct hs_image *image = decode_ok(buf.data, buf.len);
    assert_true(hs_str_starts(image->damage, "the JPEG is damaged: Bogus DHT index"));
    hs_image_destroy(image);
    /* With the first table damaged, nothing can be decoded. */
    size_t first = find_marker(&buf, 0xc4, 0);
    buf.data[first + 4] = 0x77;
    decode_fails(buf.data, buf.len, NULL, HS_EDECODE, "JPEG cannot be decoded: Bogus DHT index");
    hs_buf_finish(&buf);
}

/* A failed attempt returns its charge, and the second attempt yields a reduced image too. */
static void attempts_share_one_charge(void **state)
{
    (void) state;
    struct hs_split_budget budget;
    struct hs_image_options options = { .limits = HS_IMAGE_LIMITS_DEFAULT, .target_w = 20, .target_h = 20 };
    options.exact = true;
    options.deadline_ns = HS_NO_DEADLINE;
    options.limits.budget = &budget;
    struct hs_buf buf = make_noisy_jpeg(64, 64, (struct recipe) { .progressive = true });
    struct hs_image *image;
    hs_split_budget_init(&budget, (size_t) 64 << 20);
    int tables = 0;
    for (size_t i = 0; i + 1 < buf.len; i++)
        tables += buf.data[i] == 0xff && buf.data[i + 1] == 0xc4;
    buf.data[find_marker(&buf, 0xc4, tables - 1) + 4] = 0x77;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    assert_true(hs_str_starts(image->damage, "the JPEG is damaged: Bogus DHT index"));
    assert_int_equal(image->width, 20);
    assert_int_equal(hs_split_budget_used(&budget), 20 * 20 * 3);
    hs_image_destroy(image);
    assert_int_equal(hs_split_budget_used(&budget), 0);
    /* Other damage fails the second attempt too. */
    buf.data[find_marker(&buf, 0xda, 0) + 5] = 0x77;
    assert_true(hs_image_decode(buf.data, buf.len, &options, &image, NULL) < 0);
    assert_int_equal(hs_split_budget_used(&budget), 0);
    hs_split_budget_finish(&budget);
    hs_buf_finish(&buf);
}

/* The file has the usual subsampling, and its coefficients take 72 MB. */
static void a_progressive_file_of_a_camera_is_within_the_default_limits(void **state)
{
    (void) state;
    struct hs_buf buf = make_gradient_jpeg(6000, 4000, (struct recipe) { .progressive = true });
    struct hs_image_options options = options_plain();
    struct hs_split_budget budget;
    struct hs_image *image;
    hs_split_budget_init(&budget, options.limits.max_memory);
    options.limits.budget = &budget;
    options.target_w = options.target_h = 640;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    assert_int_equal(image->orig_width, 6000);
    hs_image_destroy(image);
    size_t peak;
    hs_budget_used(&budget.large, &peak);
    assert_in_range(peak, 72000000, budget.large.max - 1);
    hs_split_budget_finish(&budget);
    hs_buf_finish(&buf);
}

static void size_of_the_real_header_counts(void **state)
{
    (void) state;
    struct hs_buf buf = make_gradient_jpeg(64, 64, (struct recipe) { 0 });
    for (size_t i = 0; i + 8 < buf.len; i++) {
        if (buf.data[i] == 0xff && buf.data[i + 1] == 0xc0)
            memcpy(buf.data + i + 5, "\xff\xdc\xff\xdc", 4);
    }
    struct hs_image_options options = options_plain();
    options.limits.max_side = 0;
    decode_fails(buf.data, buf.len, &options, HS_ETOOLARGE, "image is 65500x65500 pixels, at most 64 megapixels");
    hs_buf_finish(&buf);
}

/* Markers without a segment may stand before the frame header: TEM, and RST0 to RST7. */
static void markers_without_a_segment_are_skipped(void **state)
{
    (void) state;
    struct hs_buf plain = make_gradient_jpeg(64, 48, (struct recipe) { 0 });
    for (int marker = 0xcf; marker <= 0xd7; marker++) {
        struct hs_buf buf = make_buf();
        int width = 0, height = 0;
        const uint8_t bytes[] = { 0xff, (uint8_t) (marker == 0xcf ? 1 : marker) };
        assert_int_equal(hs_buf_append(&buf, plain.data, 2), 0);
        assert_int_equal(hs_buf_append(&buf, bytes, 2), 0);
        assert_int_equal(hs_buf_append(&buf, plain.data + 2, plain.len - 2), 0);
        assert_true(hs_image_peek_size(buf.data, buf.len, &width, &height));
        assert_int_equal(width, 64);
        assert_int_equal(height, 48);
        struct hs_image *image = decode_ok(buf.data, buf.len);
        assert_int_equal(image->width, 64);
        hs_image_destroy(image);
        hs_buf_finish(&buf);
    }
    hs_buf_finish(&plain);
}

/* Sends the spectral bits of luma one by one: a valid file of 2 + 2 * 14 * ... scans, each a pass over the
 * image. */
static void many_scans_are_refused(void **state)
{
    (void) state;
    jpeg_scan_info scans[3 + 3 * 63];
    int count = 0;
    for (int c = 0; c < 3; c++)
        scans[count++] = (jpeg_scan_info) { .comps_in_scan = 1, .component_index = { c } };
    for (int c = 0; c < 3; c++) {
        for (int k = 1; k < 64; k++)
            scans[count++] = (jpeg_scan_info) { .comps_in_scan = 1, .component_index = { c }, .Ss = k, .Se = k };
    }
    struct hs_buf buf = make_gradient_jpeg(64, 64, (struct recipe) { .scans = scans, .scan_count = count });
    decode_fails(buf.data, buf.len, NULL, HS_ETOOLARGE, "JPEG has more than 64 scans");
    hs_buf_finish(&buf);
    /* 3 + 61 scans are within the limit. */
    buf = make_gradient_jpeg(64, 64, (struct recipe) { .scans = scans, .scan_count = 64 });
    struct hs_image *image = decode_ok(buf.data, buf.len);
    hs_image_destroy(image);
    hs_buf_finish(&buf);
}

/* 1600 x 1200 in 4:2:0: 5.76 MB of pixels, and as much again for coefficients if the file is progressive. */
static void coefficients_count_as_memory(void **state)
{
    (void) state;
    struct hs_buf plain = make_gradient_jpeg(1600, 1200, (struct recipe) { 0 });
    struct hs_buf progressive = make_gradient_jpeg(1600, 1200, (struct recipe) { .progressive = true });
    struct hs_image_options options = options_plain();
    struct hs_image *image;
    options.limits.max_memory = 8000000;
    assert_int_equal(hs_image_decode(plain.data, plain.len, &options, &image, NULL), 0);
    hs_image_destroy(image);
    decode_fails(progressive.data, progressive.len, &options, HS_ETOOLARGE, "image needs 13 MB of memory");
    options.limits.max_memory = 14000000;
    assert_int_equal(hs_image_decode(progressive.data, progressive.len, &options, &image, NULL), 0);
    hs_image_destroy(image);
    hs_buf_finish(&plain);
    hs_buf_finish(&progressive);
}

/* Segments that end with the file or claim to continue beyond it; reading there crashes the test
 * (guarded_copy). */
static void headers_are_not_read_past_the_end(void **state)
{
    (void) state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        { "\xff\xd8\xff", 3 },
        { "\xff\xd8\xff\xc0", 4 },
        { "\xff\xd8\xff\xc0\0", 5 },
        { "\xff\xd8\xff\xc0\0\x11", 6 },
        { "\xff\xd8\xff\xc0\0\x11\x08", 7 },
        { "\xff\xd8\xff\xc0\0\x11\x08\0\x10\0", 10 },
        { "\xff\xd8\xff\xc0\0\2\xff\xc0\0\7\x08\0\x10\0\x10", 15 },
        { "\xff\xd8\xff\xe1\xff\xff"
          "Exif\0\0II*\0\x08\0\0\0\xff\xff",
          22 },
        { "\xff\xd8\xff\xe1\0\x08"
          "Exif\0\0",
          12 },
        { "\xff\xd8\xff\xe1\0\7"
          "Exif\0",
          11 },
        /* The last byte of a four-byte entry is missing. */
        { "\xff\xd8\xff\xe1\0\x1e"
          "Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\4\0\1\0\0\0\6\0\0",
          33 },
        { "\xff\xd8\xff\xe1\0\2", 6 },
        { "\xff\xd8\xff\xe1\0", 5 },
        { "\xff\xd8\xff\xe1", 4 },
        { "\xff\xd8\xff\xfe\xff\xff", 6 },
        /* An end marker, or the data of a scan, before the frame header. */
        { "\xff\xd8\xff\xd9\xff\xc0\0\x0b\x08\0\x10\0\x10\1\1\x11\0", 17 },
        { "\xff\xd8\xff\xda\0\2\xff\xc0\0\x0b\x08\0\x10\0\x10\1\1\x11\0", 19 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int width, height;
        decode_fails(cases[i].bytes, cases[i].len, NULL, HS_EDECODE,
                     "JPEG is truncated: it ends before the frame header");
        uint8_t *copy = guarded_copy(cases[i].bytes, cases[i].len);
        assert_false(hs_image_peek_size(copy, cases[i].len, &width, &height));
        guarded_free(copy, cases[i].len);
    }
}

static void impossible_files(void **state)
{
    (void) state;
    decode_fails("\xff\xd8", 2, NULL, HS_EDECODE, "JPEG is truncated: it ends before the frame header");
    decode_fails("\xff\xd8\xff\xd9", 4, NULL, HS_EDECODE, "JPEG is truncated: it ends before the frame header");
    decode_fails("\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\x08\1\1\x11\0", 15, NULL, HS_EDECODE,
                 "JPEG header has an invalid size, 8x0 pixels");
    /* Two components. */
    decode_fails("\xff\xd8\xff\xc0\0\x0e\x08\0\x08\0\x08\2\1\x11\0\2\x11\0\xff\xda\0\x0a\2\1\0\2\0\0\x3f\0", 30, NULL,
                 HS_EDECODE, "2 colour components");
    /* 12 bits per sample. */
    decode_fails("\xff\xd8\xff\xc1\0\x0b\x0c\0\x08\0\x08\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0", 25, NULL, HS_EDECODE,
                 "precision 12");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_decodes_the_gradient),
        cmocka_unit_test(a_progressive_file_of_a_camera_is_within_the_default_limits),
        cmocka_unit_test(gray_is_spread_to_three),
        cmocka_unit_test(cmyk_and_ycck),
        cmocka_unit_test(reduced_is_never_below_the_target),
        cmocka_unit_test(a_part_equals_the_whole_image_there),
        cmocka_unit_test(invalid_parts_are_rejected),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(a_missing_end_marker_is_accepted),
        cmocka_unit_test(missing_data_before_the_end_marker_is_damage),
        cmocka_unit_test(damage_keeps_the_pixels_before_it),
        cmocka_unit_test(scans_before_a_broken_one_are_shown),
        cmocka_unit_test(attempts_share_one_charge),
        cmocka_unit_test(size_of_the_real_header_counts),
        cmocka_unit_test(markers_without_a_segment_are_skipped),
        cmocka_unit_test(many_scans_are_refused),
        cmocka_unit_test(coefficients_count_as_memory),
        cmocka_unit_test(headers_are_not_read_past_the_end),
        cmocka_unit_test(impossible_files),
    };
    return HS_RUN_TESTS(tests);
}
