#include "pictures.h"

#include <string.h>

#include "image/encode.h"

static void png_round_trip_is_exact(void **state)
{
    (void) state;
    static const int sizes[][2] = { { 1, 1 }, { 3, 2 }, { 65, 33 }, { 640, 2 } };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct hs_image *image = make_gradient(sizes[i][0], sizes[i][1]);
        struct hs_buf buf = make_buf();
        int max;
        double mean;
        assert_int_equal(hs_image_encode_png(image, &buf, NULL), 0);
        struct hs_image *decoded = decode_ok(buf.data, buf.len);
        compare_images(image, decoded, &max, &mean);
        assert_int_equal(max, 0);
        hs_image_destroy(image);
        hs_image_destroy(decoded);
        hs_buf_finish(&buf);
    }
}

static void jpeg_round_trip_is_close(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(200, 120);
    struct hs_buf fine = make_buf(), coarse = make_buf();
    int max;
    double mean;
    assert_int_equal(hs_image_encode_jpeg(image, 95, &fine, NULL), 0);
    assert_int_equal(hs_image_encode_jpeg(image, 20, &coarse, NULL), 0);
    assert_true(fine.len > coarse.len);
    struct hs_image *decoded = decode_ok(fine.data, fine.len);
    compare_images(image, decoded, &max, &mean);
    assert_true(max <= 8);
    assert_true(mean < 1.5);
    hs_image_destroy(decoded);
    hs_image_destroy(image);
    hs_buf_finish(&fine);
    hs_buf_finish(&coarse);
}

/* Rows need not be tightly packed, and earlier contents of the buffer stay. */
static void strides_and_appending(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(10, 4), view = *image;
    struct hs_buf buf = make_buf();
    view.width = 6;
    assert_int_equal(hs_buf_append(&buf, "before", 6), 0);
    assert_int_equal(hs_image_encode_png(&view, &buf, NULL), 0);
    assert_memory_equal(buf.data, "before", 6);
    struct hs_image *decoded = decode_ok(buf.data + 6, buf.len - 6);
    assert_int_equal(decoded->width, 6);
    for (int y = 0; y < 4; y++)
        assert_memory_equal(pixel_at(decoded, 0, y), pixel_at(image, 0, y), 18);
    hs_image_destroy(decoded);
    hs_image_destroy(image);
    hs_buf_finish(&buf);
}

static void a_full_buffer_is_an_error(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(64, 64);
    struct hs_error err;
    struct hs_buf buf;
    hs_buf_init(&buf, 100);
    assert_int_equal(hs_image_encode_png(image, &buf, &err), HS_ETOOLARGE);
    assert_non_null(strstr(err.message, "exceeds the size limit"));
    hs_buf_finish(&buf);
    assert_int_equal(hs_image_encode_jpeg(image, 90, &buf, &err), HS_ETOOLARGE);
    hs_buf_finish(&buf);
    hs_image_destroy(image);
    image = make_gradient(65501, 1);
    hs_buf_init(&buf, 1u << 20);
    assert_int_equal(hs_image_encode_jpeg(image, 90, &buf, &err), HS_EINVAL);
    hs_buf_finish(&buf);
    hs_image_destroy(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_round_trip_is_exact),
        cmocka_unit_test(jpeg_round_trip_is_close),
        cmocka_unit_test(strides_and_appending),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return HS_RUN_TESTS(tests);
}
