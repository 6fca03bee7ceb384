#include "pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/draw.h"

enum { GREEN = 0x20c040, RED = 0xc02040 };

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

/* Returns the drawn image, read `band` rows at a time. */
static struct hs_image *draw_turned(const struct hs_image *image, int orientation, const struct hs_draw_shape *shapes,
                                    size_t count, int band)
{
    struct hs_overlay *overlay;
    struct hs_image *drawn;
    struct hs_error err = { 0 };
    if (hs_overlay_create(image, orientation, shapes, count, &overlay, &err) != 0)
        fail_msg("%s", err.message);
    const struct hs_image_rows rows = hs_overlay_rows(overlay);
    assert_int_equal(hs_image_create(rows.width, rows.height, &drawn, NULL), 0);
    for (int y = 0; y < rows.height; y += band) {
        int n = rows.height - y < band ? rows.height - y : band;
        assert_int_equal(rows.read(rows.ctx, y, n, drawn->pixels + (size_t) y * drawn->stride, &err), 0);
    }
    hs_overlay_destroy(overlay);
    return drawn;
}

static struct hs_image *draw(const struct hs_image *image, const struct hs_draw_shape *shapes, size_t count)
{
    return draw_turned(image, 1, shapes, count, image->height);
}

static void expect_same(const struct hs_image *a, const struct hs_image *b)
{
    int max;
    double mean;
    compare_images(a, b, &max, &mean);
    assert_int_equal(max, 0);
}

static void nothing_drawn_is_an_exact_copy(void **state)
{
    (void) state;
    struct hs_image *image = make_gradient(61, 33), *drawn = draw(image, NULL, 0);
    expect_same(image, drawn);
    hs_image_destroy(image);
    hs_image_destroy(drawn);
}

static void shapes_color_their_pixels(void **state)
{
    (void) state;
    struct hs_image *image = black(100, 100);
    const struct hs_draw_shape shapes[] = {
        { HS_DRAW_RECT, 10, 10, 60, 50, 4, 0xff8000, NULL },
        { HS_DRAW_LINE, 70, 5, 70, 95, 6, 0x00ff00, NULL },
        { HS_DRAW_CIRCLE, 30, 80, 0, 0, 8, 0x0000ff, NULL },
    };
    struct hs_image *drawn = draw(image, shapes, 3);
    assert_int_equal(color_at(drawn, 30, 10), 0xff8000); /* top edge, 8..12 */
    assert_int_equal(color_at(drawn, 59, 30), 0xff8000);
    assert_int_equal(color_at(drawn, 30, 30), 0); /* inside the outline */
    assert_int_equal(color_at(drawn, 30, 13), 0);
    assert_int_equal(color_at(drawn, 68, 50), 0x00ff00);
    assert_int_equal(color_at(drawn, 74, 50), 0);
    assert_int_equal(color_at(drawn, 30, 80), 0x0000ff);
    assert_int_equal(color_at(drawn, 25, 80), 0x0000ff);
    assert_int_equal(color_at(drawn, 40, 80), 0);
    assert_int_equal(color_at(image, 30, 80), 0); /* the source is unchanged */
    hs_image_destroy(image);
    hs_image_destroy(drawn);
}

static void units_grow_with_the_picture(void **state)
{
    (void) state;
    assert_float_equal(hs_draw_unit(100, 50), 1, 1e-6);
    assert_float_equal(hs_draw_unit(640, 480), 1, 1e-6);
    assert_float_equal(hs_draw_unit(480, 1280), 2, 1e-6);
    struct hs_image *image = black(1280, 20);
    const struct hs_draw_shape line = { HS_DRAW_LINE, 0, 10, 1280, 10, 4, 0xffffff, NULL };
    struct hs_image *drawn = draw(image, &line, 1);
    assert_int_equal(color_at(drawn, 600, 6), 0xffffff); /* 4 units are 8 pixels: 6..14 */
    assert_int_equal(color_at(drawn, 600, 13), 0xffffff);
    assert_int_equal(color_at(drawn, 600, 5), 0);
    hs_image_destroy(image);
    hs_image_destroy(drawn);
}

/* Bounding box and number of the pixels of one colour. */
struct extent {
    int x1, y1, x2, y2, count;
};

static struct extent extent_of(const struct hs_image *image, uint32_t color)
{
    struct extent e = { image->width, image->height, -1, -1, 0 };
    for (int y = 0; y < image->height; y++) {
        for (int x = 0; x < image->width; x++) {
            if (color_at(image, x, y) != color)
                continue;
            e.x1 = x < e.x1 ? x : e.x1;
            e.x2 = x > e.x2 ? x : e.x2;
            e.y1 = y < e.y1 ? y : e.y1;
            e.y2 = y > e.y2 ? y : e.y2;
            e.count++;
        }
    }
    return e;
}

static void labels_have_a_bar(void **state)
{
    (void) state;
    struct hs_image *image = black(200, 100);
    const struct hs_draw_shape shapes[] = {
        { HS_DRAW_RECT, 20, 60, 60, 90, 1, GREEN, "0.90" },
        { HS_DRAW_RECT, 150, 2, 190, 90, 2, RED, "x" }, /* no space above: the bar moves down */
    };
    struct hs_image *drawn = draw(image, shapes, 2);
    assert_int_equal(color_at(drawn, 20, 50), GREEN); /* left of the text */
    assert_int_equal(color_at(drawn, 20, 59), GREEN);
    assert_int_equal(color_at(drawn, 25, 65), 0);
    assert_int_equal(color_at(drawn, 150, 5), RED);
    /* Letters on green are white. */
    assert_true(extent_of(drawn, 0xffffff).count > 0);
    hs_image_destroy(image);
    hs_image_destroy(drawn);
}

/* For any rectangle and any length of text, the whole bar is inside the image: its lower edge, which has no
 * text, is as wide as the bar. */
static void labels_are_inside_the_picture(void **state)
{
    (void) state;
    static const struct hs_draw_shape shapes[] = {
        { HS_DRAW_RECT, 180, 5, 199, 95, 1, GREEN, "near the right border" },
        { HS_DRAW_RECT, -50, -50, 30, 20, 1, GREEN, "above and left" },
        { HS_DRAW_RECT, 150, 80, 400, 300, 1, GREEN, "right and below" },
        { HS_DRAW_RECT, 0, 0, 200, 100, 1, GREEN, "the whole picture" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(shapes); i++) {
        struct hs_image *image = black(200, 100);
        struct hs_draw_shape without = shapes[i];
        without.label = NULL;
        struct hs_image *drawn = draw(image, &shapes[i], 1), *bare = draw(image, &without, 1);
        assert_true(extent_of(drawn, GREEN).count > extent_of(bare, GREEN).count + 200);
        /* Checks both ends of a row of the bar: the margin separates the text from them. */
        int ends = 0, first = -1, last = -1;
        for (int y = 0; y < 100; y++) {
            int run = 0;
            for (int x = 0; x < 200; x++)
                if (memcmp(pixel_at(drawn, x, y), pixel_at(bare, x, y), 3) != 0) {
                    first = first < 0 || x < first ? x : first;
                    last = x > last ? x : last;
                    run++;
                }
            ends += run > 0;
        }
        assert_in_range(ends, 9, 24);
        assert_in_range(last - first, 30, 199);
        hs_image_destroy(image);
        hs_image_destroy(drawn);
        hs_image_destroy(bare);
    }
}

/* Returns a checksum of the text pixels in a label's bar; it differs between texts. */
static uint64_t text_sum(const char *label, int right)
{
    struct hs_image *image = black(400, 100);
    const struct hs_draw_shape shape = { HS_DRAW_RECT, 50, 50, (float) right, 95, 1, GREEN, label };
    struct hs_image *drawn = draw(image, &shape, 1);
    uint64_t sum = 14695981039346656037u; /* FNV-1a */
    for (int y = 0; y < 50; y++)
        for (int x = 0; x < 400; x++)
            sum = (sum ^ (color_at(drawn, x, y) != GREEN && color_at(drawn, x, y) != 0)) * 1099511628211u;
    hs_image_destroy(image);
    hs_image_destroy(drawn);
    return sum;
}

static void text_of_any_script_is_drawn(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "Zoe",
        "Zo\xc3\xab",
        "\xd0\x97\xd0\xbe\xd1\x8f",
        "\xce\x96\xcf\x89\xce\xae", /* Latin, Cyrillic, Greek */
        "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
        "\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85", /* Hebrew, Arabic */
        "\xe5\xbc\xa0\xe4\xbc\x9f",
        "\xf0\x9f\x98\x80", /* Chinese, an emoji: boxes without a font */
        "a\nb",
        "a\x01"
        "b",
        "\xe2\x80\xae"
        "abc",
        "\xf4\x8f\xbf\xbf", /* a line feed, a control character, an override, a noncharacter */
    };
    uint64_t sums[HS_ARRAY_LEN(texts)];
    for (size_t i = 0; i < HS_ARRAY_LEN(texts); i++) {
        sums[i] = text_sum(texts[i], 250);
        for (size_t k = 0; k < i; k++)
            assert_true(sums[i] != sums[k]);
    }
}

/* Text that does not fit ends with an ellipsis after a whole letter, and differs from text that ends there. */
static void text_is_cut_with_an_ellipsis(void **state)
{
    (void) state;
    assert_true(text_sum("Bartholomew Featherstonehaugh", 60) == text_sum("Bartholomew Featherstonehaughs", 60));
    assert_true(text_sum("Bartholomew Featherstonehaugh", 390) != text_sum("Bartholomew Featherstonehaughs", 390));
    assert_true(text_sum("Bart", 60) != text_sum("Barthol", 60));
}

/* Labels are drawn after all shapes, whatever the order of the shapes. */
static void nothing_is_drawn_over_a_label(void **state)
{
    (void) state;
    struct hs_image *image = black(200, 100);
    const struct hs_draw_shape label = { HS_DRAW_RECT, 20, 50, 120, 90, 1, GREEN, "name" };
    const struct hs_draw_shape over = { HS_DRAW_LINE, 0, 44, 200, 44, 6, RED, NULL };
    const struct hs_draw_shape before[] = { over, label }, after[] = { label, over };
    struct hs_image *a = draw(image, before, 2), *b = draw(image, after, 2);
    assert_int_equal(color_at(b, 5, 44), RED);
    assert_int_equal(color_at(b, 21, 44), GREEN);
    for (int y = 38; y < 49; y++)
        assert_memory_equal(pixel_at(a, 21, y), pixel_at(b, 21, y), 20 * 3);
    hs_image_destroy(a);
    hs_image_destroy(b);
    hs_image_destroy(image);
}

/* Both bars of two equal rectangles are fully visible. */
static void labels_avoid_each_other(void **state)
{
    (void) state;
    struct hs_image *image = black(300, 200);
    const struct hs_draw_shape shapes[] = {
        { HS_DRAW_RECT, 100, 100, 200, 180, 1, GREEN, "first" },
        { HS_DRAW_RECT, 102, 101, 202, 181, 1, RED, "first" },
    };
    struct hs_image *both = draw(image, shapes, 2), *one = draw(image, shapes, 1), *two = draw(image, shapes + 1, 1);
    int kept = 0, alone = 0;
    for (int y = 80; y < 99; y++) {
        for (int x = 100; x < 140; x++) {
            alone += color_at(one, x, y) != 0;
            kept += color_at(one, x, y) != 0 && memcmp(pixel_at(one, x, y), pixel_at(both, x, y), 3) == 0;
        }
    }
    assert_true(alone > 100);
    assert_int_equal(kept, alone);
    assert_true(extent_of(both, RED).count > extent_of(two, RED).count - 60);
    hs_image_destroy(both);
    hs_image_destroy(one);
    hs_image_destroy(two);
    hs_image_destroy(image);
}

static void font_size_grows_with_the_rectangle(void **state)
{
    (void) state;
    static const float sizes[] = { 4, 40, 55, 900 };
    int heights[HS_ARRAY_LEN(sizes)];
    for (size_t i = 0; i < HS_ARRAY_LEN(sizes); i++) {
        struct hs_image *image = black(640, 640);
        const struct hs_draw_shape shape = { HS_DRAW_RECT,   300,   300,   300 + sizes[i],
                                             300 + sizes[i], 0.01f, GREEN, "name" };
        struct hs_image *drawn = draw(image, &shape, 1);
        int y = 290;
        while (y > 0 && color_at(drawn, 300, y) == GREEN)
            y--;
        heights[i] = 300 - y;
        hs_image_destroy(image);
        hs_image_destroy(drawn);
    }
    assert_in_range(heights[0], 10, 14); /* the lower bound */
    assert_int_equal(heights[1], heights[0]);
    assert_true(heights[2] > heights[0] && heights[2] < heights[3]);
    assert_in_range(heights[3], 14, 20); /* the upper bound */
}

static const struct hs_draw_shape busy[] = {
    { HS_DRAW_RECT, 3.3f, 2.7f, 70.4f, 111.9f, 0, GREEN, "\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85 0.93" },
    { HS_DRAW_LINE, -5, 3, 140, 160, 3, RED, NULL },
    { HS_DRAW_CIRCLE, 64.5f, 63.5f, 0, 0, 9, 0x3366ff, NULL },
    { HS_DRAW_RECT, 60, 64, 150, 140, 0, RED, "on the border of two bands" },
    { HS_DRAW_LINE, 0, 63.9f, 150, 64.2f, 0, 0xffffff, NULL },
};

static void bands_equal_the_whole(void **state)
{
    (void) state;
    static const int bands[] = { 1, 7, 16, 64, 100, 149 };
    struct hs_image *image = make_gradient(131, 150), *whole = draw(image, busy, HS_ARRAY_LEN(busy));
    for (size_t i = 0; i < HS_ARRAY_LEN(bands); i++) {
        struct hs_image *drawn = draw_turned(image, 1, busy, HS_ARRAY_LEN(busy), bands[i]);
        expect_same(whole, drawn);
        hs_image_destroy(drawn);
    }
    hs_image_destroy(image);
    hs_image_destroy(whole);
}

/* An image that is stored turned is drawn upright, with the shapes at the right positions. */
static void the_drawing_is_upright(void **state)
{
    (void) state;
    for (int orientation = 1; orientation <= 8; orientation++) {
        struct hs_image *stored = make_gradient(131, 150), *upright = make_gradient(131, 150);
        struct hs_draw_shape shapes[HS_ARRAY_LEN(busy)];
        assert_int_equal(hs_image_turn(&upright, orientation, NULL), 0);
        /* Maps a stored point (x, y) through the upright positions of the stored image's corners. */
        for (size_t i = 0; i < HS_ARRAY_LEN(busy); i++) {
            float *points[] = { &shapes[i].x0, &shapes[i].y0, &shapes[i].x1, &shapes[i].y1 };
            shapes[i] = busy[i];
            for (int k = 0; k < 4; k += 2) {
                float x = *points[k], y = *points[k + 1];
                const float turned[9][2] = {
                    { 0, 0 }, { x, y },       { 131 - x, y },       { 131 - x, 150 - y }, { x, 150 - y },
                    { y, x }, { 150 - y, x }, { 150 - y, 131 - x }, { y, 131 - x },
                };
                *points[k] = turned[orientation][0];
                *points[k + 1] = turned[orientation][1];
            }
            if (shapes[i].kind == HS_DRAW_RECT) {
                const struct hs_draw_shape s = shapes[i];
                shapes[i].x0 = fminf(s.x0, s.x1);
                shapes[i].x1 = fmaxf(s.x0, s.x1);
                shapes[i].y0 = fminf(s.y0, s.y1);
                shapes[i].y1 = fmaxf(s.y0, s.y1);
            }
        }
        struct hs_image *want = draw(upright, shapes, HS_ARRAY_LEN(shapes));
        struct hs_image *got = draw_turned(stored, orientation, busy, HS_ARRAY_LEN(busy), 64);
        expect_same(want, got);
        hs_image_destroy(stored);
        hs_image_destroy(upright);
        hs_image_destroy(want);
        hs_image_destroy(got);
    }
}

static void invalid_shapes_are_skipped(void **state)
{
    (void) state;
    struct hs_image *image = black(50, 50);
    const struct hs_draw_shape shapes[] = {
        { HS_DRAW_RECT, NAN, 10, 60, 50, 4, 0xffffff, "a" },
        { HS_DRAW_LINE, INFINITY, 5, 70, 95, 6, 0xffffff, NULL },
        { HS_DRAW_CIRCLE, 10, 10, 0, 0, NAN, 0xffffff, NULL },
        { HS_DRAW_RECT, -1000, -1000, -500, -500, 4, 0xffffff, NULL },
        { HS_DRAW_LINE, 1e9f, 1e9f, 2e9f, 1e9f, 4, 0xffffff, NULL },
        { HS_DRAW_LINE, 1e9f, 10, -1e9f, 10, 4, 0xffffff, NULL },
        { HS_DRAW_RECT, 10, 60, 40, 90, 0, 0xffffff, "\xff\xfe" }, /* its bar would reach into the image */
        { HS_DRAW_RECT, 10, 60, 40, 90, 0, 0xffffff, "" },
    };
    struct hs_image *drawn = draw(image, shapes, HS_ARRAY_LEN(shapes));
    expect_same(image, drawn);
    hs_image_destroy(drawn);
    hs_image_destroy(image);
    /* Images that are too small for a letter, and one with a single row. */
    static const int sizes[][2] = { { 1, 1 }, { 3, 200 }, { 200, 3 }, { 12, 12 }, { 30000, 1 } };
    const struct hs_draw_shape label = { HS_DRAW_RECT, 0, 0, 100, 100, 0, GREEN, "name" };
    for (size_t i = 0; i < HS_ARRAY_LEN(sizes); i++) {
        image = black(sizes[i][0], sizes[i][1]);
        drawn = draw(image, &label, 1);
        hs_image_destroy(drawn);
        hs_image_destroy(image);
    }
    image = make_gradient(32768, 1);
    struct hs_overlay *overlay;
    struct hs_error err;
    assert_int_equal(hs_overlay_create(image, 1, shapes, 1, &overlay, &err), HS_ETOOLARGE);
    drawn = draw_turned(image, 6, NULL, 0, 64); /* a column */
    assert_int_equal(drawn->width, 1);
    hs_image_destroy(drawn);
    hs_image_destroy(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_drawn_is_an_exact_copy), cmocka_unit_test(shapes_color_their_pixels),
        cmocka_unit_test(units_grow_with_the_picture),    cmocka_unit_test(labels_have_a_bar),
        cmocka_unit_test(labels_are_inside_the_picture),  cmocka_unit_test(text_of_any_script_is_drawn),
        cmocka_unit_test(text_is_cut_with_an_ellipsis),   cmocka_unit_test(nothing_is_drawn_over_a_label),
        cmocka_unit_test(labels_avoid_each_other),        cmocka_unit_test(font_size_grows_with_the_rectangle),
        cmocka_unit_test(bands_equal_the_whole),          cmocka_unit_test(the_drawing_is_upright),
        cmocka_unit_test(invalid_shapes_are_skipped),
    };
    return HS_RUN_TESTS(tests);
}
