#include "pictures.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/file.h"
#include "image/encode.h"
#include "image/letterbox.h"

static void nothing_and_noise_are_refused(void **state)
{
    (void) state;
    decode_fails("", 0, NULL, HS_EDECODE, "image is empty");
    decode_fails("hello, world", 12, NULL, HS_EDECODE, "content is not an image");
    decode_fails("\0", 1, NULL, HS_EDECODE, "content is not an image");
    decode_fails("<html><body></body></html>", 26, NULL, HS_EDECODE, "content is not an image");
}

static void known_formats_are_named(void **state)
{
    (void) state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        { "GIF89a\1\0\1\0", 10, "image is GIF; JPEG, PNG, WebP and BMP are accepted" },
        { "II*\0\x08\0\0\0", 8, "image is TIFF;" },
        { "MM\0*\0\0\0\x08", 8, "image is TIFF;" },
        { "\0\0\0\x1c"
          "ftypavif\0\0\0\0",
          16, "image is AVIF;" },
        { "\0\0\0\x1c"
          "ftypheic\0\0\0\0",
          16, "image is HEIC;" },
        { "\0\0\0\x1c"
          "ftypisom\0\0\0\0",
          16, "image is video (MP4);" },
        { "\xff\x0a\0\0", 4, "image is JPEG XL;" },
        { "\0\0\0\x0cjP  \r\n\x87\n", 12, "image is JPEG 2000;" },
        { "%PDF-1.7", 8, "image is PDF;" },
        { "  <svg xmlns='x'/>", 18, "image is SVG;" },
        { "\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a -->\n<svg/>", 41, "image is SVG;" },
        { "P6\n1 1\n255\n", 11, "image is Netpbm (PNM);" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        decode_fails(cases[i].bytes, cases[i].len, NULL, HS_EUNSUPPORTED, cases[i].text);
    decode_fails("<?xml version='1.0'?><a/>", 25, NULL, HS_EDECODE, "content is not an image");
    decode_fails("GIF", 3, NULL, HS_EDECODE, "content is not an image");
}

/* A PNG header alone suffices to test the size limits. */
static struct hs_buf png_header(uint32_t width, uint32_t height)
{
    struct hs_buf buf = make_buf();
    assert_int_equal(hs_buf_append(&buf, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16), 0);
    put_be(&buf, width, 4);
    put_be(&buf, height, 4);
    assert_int_equal(hs_buf_append(&buf, "\x08\2\0\0\0????", 9), 0);
    return buf;
}

static void limits_are_found_in_the_header(void **state)
{
    (void) state;
    struct hs_buf buf = png_header(50000, 50000);
    decode_fails(buf.data, buf.len, NULL, HS_ETOOLARGE,
                 "image is 50000x50000 pixels, at most 64 megapixels are accepted");
    hs_buf_finish(&buf);
    buf = png_header(0x7fffffff, 0x7fffffff);
    decode_fails(buf.data, buf.len, NULL, HS_ETOOLARGE, "image is 2147483647x2147483647 pixels");
    hs_buf_finish(&buf);
    buf = png_header(40000, 10);
    decode_fails(buf.data, buf.len, NULL, HS_ETOOLARGE,
                 "image is 40000x10 pixels, at most 32768 per side are accepted");
    struct hs_image_options options = options_plain();
    options.limits.max_bytes = 32;
    decode_fails(buf.data, buf.len, &options, HS_ETOOLARGE, "image is 33 bytes, at most 32 bytes are accepted");
    hs_buf_finish(&buf);
}

static void limits_hold_to_the_pixel(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(100, 50);
    struct hs_buf buf = make_buf();
    assert_int_equal(hs_image_encode_png(image, &buf, NULL), 0);
    hs_image_destroy(image);
    struct hs_image_options options = options_plain();
    options.limits.max_pixels = 5000;
    options.limits.max_side = 100;
    options.limits.max_bytes = buf.len;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    hs_image_destroy(image);
    options.limits.max_pixels = 4999;
    decode_fails(buf.data, buf.len, &options, HS_ETOOLARGE, "image is 100x50 pixels, at most 0.004999 megapixels");
    options.limits.max_pixels = 0;
    options.limits.max_side = 99;
    decode_fails(buf.data, buf.len, &options, HS_ETOOLARGE, "at most 99 per side");
    options.limits.max_side = 0;
    options.limits.max_memory = 15000;
    decode_fails(buf.data, buf.len, &options, HS_ETOOLARGE, "of memory to decode");
    hs_buf_finish(&buf);
}

static void probe_matches_decode(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(33, 17);
    struct hs_buf buf = make_buf();
    struct hs_image_info info;
    int w, h;
    assert_int_equal(hs_image_encode_jpeg(image, 90, &buf, NULL), 0);
    assert_int_equal(hs_image_probe(buf.data, buf.len, &info, NULL), 0);
    assert_int_equal(info.format, HS_IMAGE_JPEG);
    assert_int_equal(info.format, HS_IMAGE_JPEG);
    assert_int_equal(info.width, 33);
    assert_int_equal(info.height, 17);
    assert_int_equal(info.orientation, 1);
    assert_false(info.animated);
    info.orientation = 6;
    hs_image_info_size(&info, false, &w, &h);
    assert_int_equal(w, 33);
    hs_image_info_size(&info, true, &w, &h);
    assert_int_equal(w, 17);
    assert_int_equal(h, 33);
    hs_buf_finish(&buf);
    hs_image_destroy(image);
}

/* The six pixels of an upright 3 x 2 image, and their order in each orientation. */
static void all_turns_give_the_upright_picture(void **state)
{
    (void) state;
    static const struct {
        int width, height;
        const char *stored;
    } cases[9] = {
        [1] = { 3, 2, "abcdef" }, [2] = { 3, 2, "cbafed" }, [3] = { 3, 2, "fedcba" }, [4] = { 3, 2, "defabc" },
        [5] = { 2, 3, "adbecf" }, [6] = { 2, 3, "cfbead" }, [7] = { 2, 3, "fcebda" }, [8] = { 2, 3, "daebfc" }
    };
    for (int orientation = 1; orientation <= 8; orientation++) {
        struct hs_image *image;
        assert_int_equal(hs_image_create(cases[orientation].width, cases[orientation].height, &image, NULL), 0);
        image->orig_width = image->width * 8;
        image->orig_height = image->height * 8;
        for (int i = 0; i < 6; i++)
            memset(image->pixels + (size_t) i * 3, cases[orientation].stored[i], 3);
        assert_int_equal(hs_image_turn(&image, orientation, NULL), 0);
        assert_int_equal(image->width, 3);
        assert_int_equal(image->height, 2);
        assert_int_equal(image->orig_width, 24);
        assert_int_equal(image->orig_height, 16);
        assert_memory_equal(image->pixels, "aaabbbcccdddeeefff", 18);
        hs_image_destroy(image);
    }
}

/* Four quarter turns restore the image. The image is larger than one tile, so this covers several tiles. */
static void four_quarter_turns_are_the_identity(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(71, 45), *turned = make_gradient(71, 45);
    int max;
    double mean;
    for (int i = 0; i < 4; i++)
        assert_int_equal(hs_image_turn(&turned, 6, NULL), 0);
    compare_images(image, turned, &max, &mean);
    assert_int_equal(max, 0);
    assert_int_equal(hs_image_turn(&turned, 6, NULL), 0);
    assert_int_equal(hs_image_turn(&turned, 8, NULL), 0);
    compare_images(image, turned, &max, &mean);
    assert_int_equal(max, 0);
    hs_image_destroy(image);
    hs_image_destroy(turned);
}

/* A JPEG with an EXIF block of the given orientation after its first marker. */
static struct hs_buf jpeg_with_exif(int width, int height, uint8_t orientation)
{
    struct hs_image *image = make_gradient(width, height);
    struct hs_buf plain = make_buf(), buf = make_buf();
    assert_int_equal(hs_image_encode_jpeg(image, 95, &plain, NULL), 0);
    hs_image_destroy(image);
    assert_int_equal(hs_buf_append(&buf,
                                   "\xff\xd8\xff\xe1\0\x22"
                                   "Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0",
                                   30),
                     0);
    put_le(&buf, orientation, 4);
    put_le(&buf, 0, 4);
    assert_int_equal(hs_buf_append(&buf, plain.data + 2, plain.len - 2), 0);
    hs_buf_finish(&plain);
    return buf;
}

static void exif_is_applied_on_request(void **state)
{
    (void) state;
    struct hs_buf buf = jpeg_with_exif(64, 32, 6);
    struct hs_image *image = decode_ok(buf.data, buf.len);
    assert_int_equal(image->orientation, 6);
    assert_int_equal(image->width, 64);
    hs_image_destroy(image);
    struct hs_image_options options = options_plain();
    options.apply_exif = true;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    assert_int_equal(image->width, 32);
    assert_int_equal(image->height, 64);
    assert_int_equal(image->orig_width, 32);
    assert_int_equal(image->orig_height, 64);
    assert_int_equal(image->orientation, 6);
    /* Stored red rises to the right; after a clockwise turn it rises downwards, and green falls to the right. */
    assert_true(pixel_at(image, 16, 60)[0] > pixel_at(image, 16, 3)[0] + 150);
    assert_true(pixel_at(image, 3, 32)[1] > pixel_at(image, 28, 32)[1] + 150);
    hs_image_destroy(image);
    hs_buf_finish(&buf);
}

/* The target applies after the turn: 1600x400 turned is 400x1600, which fits 320x640 as 160x640. */
static void the_target_applies_after_the_turn(void **state)
{
    (void) state;
    struct hs_buf buf = jpeg_with_exif(1600, 400, 6);
    struct hs_image_options options = options_plain();
    struct hs_image *image;
    struct hs_letterbox box;
    options.apply_exif = true;
    options.target_w = 320;
    options.target_h = 640;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    hs_letterbox_plan(400, 1600, 320, 640, &box);
    assert_int_equal(image->width, 200);
    assert_int_equal(image->height, 800);
    assert_true(image->width >= box.content_w && image->height >= box.content_h);
    assert_int_equal(image->orig_height, 1600);
    hs_image_destroy(image);
    options.apply_exif = false;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    assert_int_equal(image->width, 400); /* 1600x400 fits as 320x80 */
    hs_image_destroy(image);
    hs_buf_finish(&buf);
}

/* ---- hs_image_peek_size ---- */

static void check_peek(const uint8_t *data, size_t len, const char *name)
{
    struct hs_image_info info;
    int width = 0, height = 0;
    bool known = hs_image_probe(data, len, &info, NULL) == 0;
    bool found = hs_image_peek_size(data, len, &width, &height);
    if (known && found && info.width == width && info.height == height)
        return;
    /* Files that fuzzing found may hide their size. */
    if (!known || (!found && strncmp(name, "found_", 6) == 0))
        return;
    fail_msg("%s: %dx%d, not %dx%d", name, width, height, info.width, info.height);
}

/* Reads the image corpus, which has all formats and kinds. */
static void peek_matches_probe(void **state)
{
    (void) state;
    char folder[PATH_MAX], path[PATH_MAX + 256];
    snprintf(folder, sizeof(folder), "%s/fuzz/corpus/image", getenv("HS_SOURCE_DIR"));
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        uint8_t *data;
        size_t len;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        assert_int_equal(hs_file_read(path, 1 << 20, &data, &len, NULL), 0);
        for (size_t part = 0; part <= len; part += part < 700 ? 1 : 97) {
            uint8_t *copy = guarded_copy(data, part);
            check_peek(copy, part, entry->d_name);
            guarded_free(copy, part);
        }
        check_peek(data, len, entry->d_name);
        free(data);
        count++;
    }
    closedir(dir);
    assert_true(count > 30);
}

/* For any file only the first bytes and a bounded number of segment headers are read. */
static void peek_reads_a_limited_part_of_a_jpeg(void **state)
{
    (void) state;
    static const uint8_t frame[] = { 0xff, 0xc0, 0, 11, 8, 0x12, 0x34, 0x56, 0x78, 1, 1, 0x11, 0 };
    int width, height;
    for (int many = 0; many < 2; many++) {
        struct hs_buf buf = make_buf();
        put_be(&buf, 0xffd8, 2);
        for (int i = 0; i < (many ? 2000 : 200); i++) {
            put_be(&buf, 0xffe20010, 4);
            for (int k = 0; k < 14; k++)
                put_be(&buf, 0, 1);
        }
        assert_int_equal(hs_buf_append(&buf, frame, sizeof(frame)), 0);
        assert_int_equal(hs_image_peek_size(buf.data, buf.len, &width, &height), !many);
        hs_buf_finish(&buf);
    }
    assert_int_equal(width, 0x5678);
    assert_int_equal(height, 0x1234);
}

/* ---- memory budget shared by all images ---- */

static struct hs_image_options options_of(struct hs_split_budget *budget)
{
    struct hs_image_options options = options_plain();
    options.limits.budget = budget;
    options.deadline_ns = HS_NO_DEADLINE;
    return options;
}

static struct hs_buf png_file(int width, int height)
{
    struct hs_image *image = make_gradient(width, height);
    struct hs_buf buf = make_buf();
    assert_int_equal(hs_image_encode_png(image, &buf, NULL), 0);
    hs_image_destroy(image);
    return buf;
}

static void the_budget_is_charged_until_the_picture_is_destroyed(void **state)
{
    (void) state;
    struct hs_split_budget budget;
    struct hs_image_options options = options_of(&budget);
    struct hs_buf buf = png_file(400, 300);
    struct hs_image *image;
    size_t pixels = 400 * 300 * 3, peak;
    hs_split_budget_init(&budget, (size_t) 64 << 20);
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    assert_int_equal(hs_budget_used(&budget.small, &peak), pixels);
    assert_in_range(peak, pixels + (4u << 20), pixels + (5u << 20)); /* libspng's own */
    hs_image_destroy(image);
    assert_int_equal(hs_split_budget_used(&budget), 0);
    options.more_per_pixel = 7;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    assert_int_equal(hs_split_budget_used(&budget), 400 * 300 * 10);
    hs_image_destroy(image);
    options.more_per_pixel = 0;
    options.target_w = options.target_h = 40;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    assert_int_equal(hs_split_budget_used(&budget), 40 * 30 * 3);
    hs_image_destroy(image);
    assert_int_equal(hs_image_decode(buf.data, buf.len / 2, &options, &image, NULL), HS_EDECODE);
    assert_int_equal(hs_split_budget_used(&budget), 0);
    hs_split_budget_finish(&budget);
    hs_buf_finish(&buf);
}

static void a_turned_picture_has_its_charge(void **state)
{
    (void) state;
    struct hs_split_budget budget;
    struct hs_image_options options = options_of(&budget);
    struct hs_buf buf = jpeg_with_exif(1600, 1600, 6);
    struct hs_image *image;
    size_t pixels = 1600 * 1600 * 3, peak;
    hs_split_budget_init(&budget, (size_t) 64 << 20);
    options.apply_exif = true;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, NULL), 0);
    assert_int_equal(hs_budget_used(&budget.small, &peak), pixels);
    assert_int_equal(peak, 2 * pixels);
    hs_image_destroy(image);
    hs_split_budget_finish(&budget);
    hs_buf_finish(&buf);
}

/* The charge of a large multi-scan JPEG includes its coefficients; a part is charged for the part only. */
static void codec_buffers_are_charged(void **state)
{
    (void) state;
    struct hs_split_budget budget;
    struct hs_image_options options = options_of(&budget);
    struct hs_image *image = make_gradient(1600, 1200);
    struct hs_buf buf = make_buf();
    struct hs_image_part part = { 800, 600, 100, 100 }, got;
    assert_int_equal(hs_image_encode_jpeg(image, 90, &buf, NULL), 0);
    hs_image_destroy(image);
    hs_split_budget_init(&budget, (size_t) 64 << 20);
    size_t peak;
    assert_int_equal(hs_image_decode_part(buf.data, buf.len, &options, &part, &image, &got, NULL), 0);
    hs_budget_used(&budget.small, &peak);
    assert_true(peak < 3u << 20);
    assert_true(hs_split_budget_used(&budget) >= image->stride * (size_t) image->height);
    hs_image_destroy(image);
    hs_split_budget_finish(&budget);
    hs_buf_finish(&buf);
}

static void no_budget_in_time_is_an_error(void **state)
{
    (void) state;
    struct hs_split_budget budget;
    struct hs_image_options options = options_of(&budget);
    struct hs_buf buf = png_file(40, 30);
    struct hs_image *image;
    struct hs_error err;
    struct hs_cancel cancel;
    hs_split_budget_init(&budget, 4000);
    assert_true(hs_budget_try(&budget.small, 1));
    options.deadline_ns = hs_deadline_in_ms(20);
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, &err), HS_ETIMEOUT);
    assert_non_null(strstr(err.message, "the request timed out"));
    hs_cancel_init(&cancel);
    hs_cancel_trigger(&cancel);
    options.deadline_ns = HS_NO_DEADLINE;
    options.cancel = &cancel;
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, &err), HS_ECANCELED);
    hs_cancel_finish(&cancel);
    options.cancel = NULL;
    hs_budget_release(&budget.small, 1);
    /* An image that exceeds its part of the budget is charged with all of that part. */
    assert_int_equal(hs_image_decode(buf.data, buf.len, &options, &image, &err), 0);
    assert_int_equal(hs_split_budget_used(&budget), 1000);
    hs_image_destroy(image);
    hs_split_budget_finish(&budget);
    hs_buf_finish(&buf);
}

/* A small image is decoded while a large one holds all memory of the large part. */
static void a_small_picture_does_not_wait_for_a_large_one(void **state)
{
    (void) state;
    struct hs_split_budget budget;
    struct hs_image_options options = options_of(&budget);
    struct hs_buf large = png_file(2100, 2000), small = png_file(2000, 2000);
    struct hs_image *image, *other;
    hs_split_budget_init(&budget, 4000);
    assert_int_equal(hs_image_decode(large.data, large.len, &options, &image, NULL), 0);
    assert_int_equal(hs_budget_used(&budget.large, NULL), 3000);
    options.deadline_ns = hs_deadline_in_ms(20);
    assert_int_equal(hs_image_decode(large.data, large.len, &options, &other, NULL), HS_ETIMEOUT);
    options.deadline_ns = HS_NO_DEADLINE;
    assert_int_equal(hs_image_decode(small.data, small.len, &options, &other, NULL), 0);
    assert_int_equal(hs_budget_used(&budget.small, NULL), 1000);
    hs_image_destroy(other);
    hs_image_destroy(image);
    hs_split_budget_finish(&budget);
    hs_buf_finish(&large);
    hs_buf_finish(&small);
}

static void destroy_takes_null(void **state)
{
    (void) state;
    struct hs_image *image = NULL;
    hs_image_destroy(NULL);
    assert_int_equal(hs_image_create(0, 5, &image, NULL), HS_EINVAL);
    assert_int_equal(hs_image_create(5, -1, &image, NULL), HS_EINVAL);
    assert_null(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_and_noise_are_refused),
        cmocka_unit_test(known_formats_are_named),
        cmocka_unit_test(limits_are_found_in_the_header),
        cmocka_unit_test(limits_hold_to_the_pixel),
        cmocka_unit_test(probe_matches_decode),
        cmocka_unit_test(all_turns_give_the_upright_picture),
        cmocka_unit_test(four_quarter_turns_are_the_identity),
        cmocka_unit_test(exif_is_applied_on_request),
        cmocka_unit_test(the_target_applies_after_the_turn),
        cmocka_unit_test(destroy_takes_null),
        cmocka_unit_test(the_budget_is_charged_until_the_picture_is_destroyed),
        cmocka_unit_test(a_turned_picture_has_its_charge),
        cmocka_unit_test(codec_buffers_are_charged),
        cmocka_unit_test(no_budget_in_time_is_an_error),
        cmocka_unit_test(a_small_picture_does_not_wait_for_a_large_one),
        cmocka_unit_test(peek_matches_probe),
        cmocka_unit_test(peek_reads_a_limited_part_of_a_jpeg),
    };
    return HS_RUN_TESTS(tests);
}
