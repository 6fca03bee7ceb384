#include "pictures.h"

#include <math.h>
#include <string.h>

#include "image/draw.h"

static struct hs_image *black(int width, int height)
{
    struct hs_image *image = make_gradient(width, height);
    memset(image->pixels, 0, image->stride * (size_t) height);
    return image;
}

static uint32_t color_at(const struct hs_image *image, int x, int y)
{
    const uint8_t *p = pixel_at(image, x, y);
    return (uint32_t) p[0] << 16 | (uint32_t) p[1] << 8 | p[2];
}

static void nothing_drawn_is_an_exact_copy(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(61, 33), *drawn;
    int max;
    double mean;
    image->orig_width = 122;
    assert_int_equal(hs_draw(image, NULL, 0, &drawn, NULL), 0);
    compare_images(image, drawn, &max, &mean);
    assert_int_equal(max, 0);
    assert_ptr_not_equal(image->pixels, drawn->pixels);
    assert_int_equal(drawn->orig_width, 122);
    hs_image_destroy(image);
    hs_image_destroy(drawn);
}

static void shapes_colour_what_they_cover(void **state)
{
    (void) state;
    struct hs_image *image = black(100, 100), *drawn;
    const struct hs_draw_shape shapes[] = {
        { HS_DRAW_RECT, 10, 10, 60, 50, 4, 0xff8000, NULL },
        { HS_DRAW_LINE, 70, 5, 70, 95, 6, 0x00ff00, NULL },
        { HS_DRAW_CIRCLE, 30, 80, 0, 0, 8, 0x0000ff, NULL },
    };
    assert_int_equal(hs_draw(image, shapes, 3, &drawn, NULL), 0);
    assert_int_equal(color_at(drawn, 30, 10), 0xff8000); /* top edge, 8..12 */
    assert_int_equal(color_at(drawn, 59, 30), 0xff8000);
    assert_int_equal(color_at(drawn, 30, 30), 0); /* inside the outline */
    assert_int_equal(color_at(drawn, 30, 13), 0);
    assert_int_equal(color_at(drawn, 68, 50), 0x00ff00);
    assert_int_equal(color_at(drawn, 74, 50), 0);
    assert_int_equal(color_at(drawn, 30, 80), 0x0000ff);
    assert_int_equal(color_at(drawn, 25, 80), 0x0000ff);
    assert_int_equal(color_at(drawn, 40, 80), 0);
    assert_int_equal(color_at(image, 30, 80), 0); /* the source is as it was */
    hs_image_destroy(image);
    hs_image_destroy(drawn);
}

static void units_grow_with_the_picture(void **state)
{
    (void) state;
    assert_float_equal(hs_draw_unit(100, 50), 1, 1e-6);
    assert_float_equal(hs_draw_unit(640, 480), 1, 1e-6);
    assert_float_equal(hs_draw_unit(480, 1280), 2, 1e-6);
    struct hs_image *image = black(1280, 20), *drawn;
    const struct hs_draw_shape line = { HS_DRAW_LINE, 0, 10, 1280, 10, 4, 0xffffff, NULL };
    assert_int_equal(hs_draw(image, &line, 1, &drawn, NULL), 0);
    assert_int_equal(color_at(drawn, 600, 6), 0xffffff); /* 4 units are 8 pixels: 6..14 */
    assert_int_equal(color_at(drawn, 600, 13), 0xffffff);
    assert_int_equal(color_at(drawn, 600, 5), 0);
    hs_image_destroy(image);
    hs_image_destroy(drawn);
}

static void labels_stand_in_a_bar(void **state)
{
    (void) state;
    struct hs_image *image = black(200, 100), *drawn;
    const struct hs_draw_shape shapes[] = {
        { HS_DRAW_RECT, 20, 60, 60, 90, 1, 0x20c040, "person 0.90" },
        { HS_DRAW_RECT, 150, 2, 190, 90, 2, 0xc02040, "x" }, /* no room above: the bar is moved down */
    };
    assert_int_equal(hs_draw(image, shapes, 2, &drawn, NULL), 0);
    assert_int_equal(color_at(drawn, 21, 45), 0x20c040);
    assert_int_equal(color_at(drawn, 21, 59), 0x20c040);
    assert_int_equal(color_at(drawn, 21, 62), 0);
    assert_int_equal(color_at(drawn, 152, 5), 0xc02040);
    hs_image_destroy(image);
    hs_image_destroy(drawn);
}

static void strange_shapes_are_harmless(void **state)
{
    (void) state;
    struct hs_image *image = black(50, 50), *drawn;
    const struct hs_draw_shape shapes[] = {
        { HS_DRAW_RECT, NAN, 10, 60, 50, 4, 0xffffff, "a" },
        { HS_DRAW_LINE, INFINITY, 5, 70, 95, 6, 0xffffff, NULL },
        { HS_DRAW_CIRCLE, 10, 10, 0, 0, NAN, 0xffffff, NULL },
        { HS_DRAW_RECT, -1000, -1000, -500, -500, 4, 0xffffff, "far away" },
        { HS_DRAW_LINE, 1e9f, 1e9f, 2e9f, 1e9f, 4, 0xffffff, NULL },
        { HS_DRAW_LINE, 10, 60, 40, 60, 0, 0xffffff, "\xff\xfe" }, /* its bar would reach into the picture */
    };
    int max;
    double mean;
    assert_int_equal(hs_draw(image, shapes, 6, &drawn, NULL), 0);
    compare_images(image, drawn, &max, &mean);
    assert_int_equal(max, 0);
    hs_image_destroy(drawn);
    hs_image_destroy(image);
    image = make_gradient(32768, 1);
    struct hs_error err;
    assert_int_equal(hs_draw(image, shapes, 1, &drawn, &err), HS_ETOOLARGE);
    hs_image_destroy(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_drawn_is_an_exact_copy), cmocka_unit_test(shapes_colour_what_they_cover),
        cmocka_unit_test(units_grow_with_the_picture),    cmocka_unit_test(labels_stand_in_a_bar),
        cmocka_unit_test(strange_shapes_are_harmless),
    };
    return HS_RUN_TESTS(tests);
}
