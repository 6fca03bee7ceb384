#include "pictures.h"

#include <stdlib.h>
#include <string.h>

#include "image/letterbox.h"

static void plan_follows_ultralytics(void **state)
{
    (void) state;
    /* orig w, h, input w, h -> content w, h, left, top; calculated by hand from Ultralytics' LetterBox. */
    static const int cases[][8] = {
        { 1280, 720, 640, 640, 640, 360, 0, 140 },
        { 1280, 720, 640, 384, 640, 360, 0, 12 },
        { 720, 1280, 640, 640, 360, 640, 140, 0 },
        { 720, 1280, 640, 384, 216, 384, 212, 0 }, /* a wide input for a tall image, and vice versa */
        { 1280, 720, 384, 640, 384, 216, 0, 212 },
        { 810, 1080, 640, 640, 480, 640, 80, 0 },
        { 640, 640, 640, 640, 640, 640, 0, 0 },
        { 100, 50, 640, 640, 640, 320, 0, 160 }, /* enlarged */
        { 4000, 4, 640, 640, 640, 1, 0, 319 },   /* 0.64 becomes 1; rest 639, 319.5 - 0.1 -> 319 */
        { 1000, 1, 640, 640, 640, 1, 0, 319 },   /* 0.64 */
        { 30000, 1, 640, 640, 640, 1, 0, 319 },  /* 0.02: at least 1 */
        { 640, 5, 320, 320, 320, 2, 0, 159 },    /* 2.5 -> 2, half to even */
        { 640, 7, 320, 320, 320, 4, 0, 158 },    /* 3.5 -> 4, half to even */
        { 640, 639, 640, 640, 640, 639, 0, 0 },  /* an odd rest of 1: 0.5 - 0.1 -> 0 above */
        { 640, 637, 640, 640, 640, 637, 0, 1 },  /* 3: 1.4 -> 1 above, 2 below */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int *c = cases[i];
        struct hs_letterbox box;
        hs_letterbox_plan(c[0], c[1], c[2], c[3], &box);
        assert_int_equal(box.content_w, c[4]);
        assert_int_equal(box.content_h, c[5]);
        assert_int_equal(box.pad_left, c[6]);
        assert_int_equal(box.pad_top, c[7]);
        assert_true(box.pad_left + box.content_w <= box.in_w && box.pad_top + box.content_h <= box.in_h);
    }
}

static void rect_rounds_the_short_side_up(void **state)
{
    (void) state;
    static const int cases[][7] = {
        /* w, h, long side, multiple, border -> in w, h */
        { 1280, 720, 640, 32, 0, 640, 384 },  { 720, 1280, 640, 32, 0, 384, 640 }, { 640, 480, 640, 32, 0, 640, 480 },
        { 4000, 3000, 640, 32, 0, 640, 480 }, { 500, 500, 640, 32, 0, 640, 640 },  { 4000, 4, 640, 32, 0, 640, 32 },
        { 4, 4000, 640, 32, 0, 32, 640 },     { 1, 1, 320, 32, 0, 320, 320 },      { 640, 481, 640, 32, 0, 640, 512 },
        { 1000, 999, 640, 32, 0, 640, 640 },  { 640, 304, 640, 32, 8, 640, 320 },  { 640, 305, 640, 32, 8, 640, 352 },
        { 305, 640, 640, 32, 8, 352, 640 },   { 640, 160, 320, 32, 8, 320, 96 },   { 4000, 4, 640, 32, 8, 640, 32 },
        { 640, 620, 640, 32, 16, 640, 640 },  { 1, 1, 320, 32, 1000, 320, 320 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int *c = cases[i];
        int w, h;
        const struct hs_letterbox_rule rule = { c[2], c[3], c[4], c[3], c[2] };
        hs_letterbox_rect(&rule, c[0], c[1], &w, &h);
        assert_int_equal(w, c[5]);
        assert_int_equal(h, c[6]);
    }
}

/* The rule for pose networks. The common aspect ratios cost no more than without a border. */
static void pose_inputs_have_a_border(void **state)
{
    (void) state;
    static const int cases[][3] = {
        /* w, h -> the short side at 640 */
        { 1280, 720, 384 },  { 640, 480, 512 },   { 3000, 2000, 448 }, { 320, 160, 384 },
        { 2560, 1080, 384 }, { 1280, 1024, 640 }, { 640, 640, 640 },   { 640, 368, 384 },
        { 640, 369, 448 },   { 640, 624, 640 },   { 4000, 10, 384 },
    };
    const struct hs_letterbox_rule rule = hs_letterbox_rule_of(640, 32, HS_LETTERBOX_BORDER);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int *c = cases[i];
        int w, h;
        struct hs_letterbox box;
        hs_letterbox_rect(&rule, c[0], c[1], &w, &h);
        assert_int_equal(w, 640);
        assert_int_equal(h, c[2]);
        hs_letterbox_plan(c[0], c[1], w, h, &box);
        if (h < 640) {
            assert_true(box.pad_top >= HS_LETTERBOX_BORDER);
            assert_true(h - box.pad_top - box.content_h >= HS_LETTERBOX_BORDER);
        }
        hs_letterbox_rect(&rule, c[1], c[0], &w, &h); /* the same image, turned */
        assert_int_equal(w, c[2]);
        assert_int_equal(h, 640);
    }
}

/* A service prepares the sizes of the list before it reports ready, so all images must map to one of them. */
static void a_rule_has_few_sizes_and_a_picture_gets_one_of_them(void **state)
{
    (void) state;
    static const int networks[][3] = {
        /* long side, stride -> sizes */
        { 640, 32, 7 }, { 320, 32, 5 }, { 1280, 32, 7 }, { 960, 32, 7 }, { 640, 20, 5 }, { 32, 32, 1 }, { 96, 32, 3 },
    };
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        const struct hs_letterbox_rule rule = hs_letterbox_rule_of(networks[i][0], networks[i][1], HS_LETTERBOX_BORDER);
        struct hs_letterbox_size sizes[HS_LETTERBOX_SIZES_MAX];
        int count = hs_letterbox_sizes(&rule, sizes);
        assert_int_equal(count, networks[i][2]);
        for (int side = 1; side <= 2000; side++) {
            int w, h, found = 0;
            hs_letterbox_rect(&rule, side, 1000, &w, &h);
            assert_int_equal(w % networks[i][1] + h % networks[i][1], 0);
            for (int k = 0; k < count; k++)
                found += sizes[k].w == w && sizes[k].h == h;
            assert_int_equal(found, 1);
        }
    }
}

static void points_map_to_the_original(void **state)
{
    (void) state;
    struct hs_letterbox box;
    hs_letterbox_plan(1280, 720, 640, 640, &box);
    struct hs_transform wide = hs_letterbox_transform(&box);
    assert_float_equal(hs_transform_x(&wide, 320), 640, 1e-3);
    assert_float_equal(hs_transform_y(&wide, 320), 360, 1e-3);
    assert_float_equal(hs_transform_x(&wide, 0), 0, 1e-3);
    assert_float_equal(hs_transform_y(&wide, 140), 0, 1e-3);
    assert_float_equal(hs_transform_x(&wide, 640), 1280, 1e-3);
    assert_float_equal(hs_transform_y(&wide, 500), 720, 1e-3);
    assert_float_equal(hs_transform_y(&wide, 0), 0, 0); /* in the border: the nearest pixel of the image */
    assert_float_equal(hs_transform_y(&wide, 640), 720, 0);
    /* Sides and pads that all differ, so that a mix-up is detected. */
    hs_letterbox_plan(300, 1000, 320, 640, &box);
    struct hs_transform tall = hs_letterbox_transform(&box);
    assert_float_equal(hs_transform_x(&tall, 160), 150, 1e-3);
    assert_float_equal(hs_transform_x(&tall, 64), 0, 1e-3);
    assert_float_equal(hs_transform_x(&tall, 320), 300, 0);
    assert_float_equal(hs_transform_y(&tall, 64), 100, 1e-3);
    assert_float_equal(hs_transform_y(&tall, 640), 1000, 1e-3);
}

/* Runs a letterbox into a buffer with guard bytes around it. */
static uint8_t *run(const struct hs_image *image, int orig_w, int orig_h, int in_w, int in_h)
{
    struct hs_letterbox box;
    size_t size = (size_t) in_w * (size_t) in_h * 3;
    uint8_t *out = malloc(size);
    assert_non_null(out);
    memset(out, 0xee, size);
    hs_letterbox_plan(orig_w, orig_h, in_w, in_h, &box);
    assert_int_equal(hs_letterbox_apply(&box, image, out), 0);
    return out;
}

static void same_size_is_copied_between_the_pads(void **state)
{
    (void) state;
    static const uint8_t rgb[] = { 1, 2, 3, 4, 5, 6 };
    struct hs_image *image = make_pixels(2, 1, rgb);
    uint8_t *out = run(image, 2, 1, 2, 3);
    static const uint8_t want[] = { 114, 114, 114, 114, 114, 114, 1, 2, 3, 4, 5, 6, 114, 114, 114, 114, 114, 114 };
    assert_memory_equal(out, want, sizeof(want));
    free(out);
    out = run(image, 2, 1, 2, 2); /* the odd row of padding goes below */
    assert_memory_equal(out, want + 6, 12);
    free(out);
    /* With the image moved to the top left, the rest is black. */
    static const uint8_t moved[] = { 1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    uint8_t black[sizeof(moved)];
    struct hs_letterbox box;
    hs_letterbox_plan(2, 1, 2, 3, &box);
    box.pad_left = box.pad_top = 0;
    box.pad_value = 0;
    assert_int_equal(hs_letterbox_apply(&box, image, black), 0);
    assert_memory_equal(black, moved, sizeof(moved));
    hs_image_destroy(image);
}

static void growing_is_bilinear_between_pixel_centres(void **state)
{
    (void) state;
    /* Two pixels 0 and 100 to four: centres at -0.25, 0.25, 0.75, 1.25 of the source -> 0, 25, 75, 100. */
    static const uint8_t rgb[] = { 0, 0, 200, 100, 50, 0 };
    struct hs_image *image = make_pixels(2, 1, rgb);
    uint8_t *out = run(image, 2, 1, 4, 2);
    static const uint8_t row[] = { 0, 0, 200, 25, 13, 150, 75, 38, 50, 100, 50, 0 };
    assert_memory_equal(out, row, sizeof(row));
    assert_memory_equal(out + 12, row, sizeof(row)); /* the single row is repeated */
    free(out);
    hs_image_destroy(image);
}

static void halving_takes_the_mean_of_two(void **state)
{
    (void) state;
    static const uint8_t rgb[] = { 10, 0, 0, 20, 0, 4, 30, 255, 8, 41, 255, 12,
                                   10, 0, 0, 20, 0, 4, 30, 255, 8, 41, 255, 12 };
    struct hs_image *image = make_pixels(4, 2, rgb);
    uint8_t *out = run(image, 4, 2, 2, 1);
    static const uint8_t want[] = { 15, 0, 2, 36, 255, 10 };
    assert_memory_equal(out, want, sizeof(want));
    free(out);
    hs_image_destroy(image);
}

static void shrinking_by_more_than_two_averages_the_area(void **state)
{
    (void) state;
    /* Five columns to two: each covers 2.5, and both share the middle one equally. (10 + 20 + 30 / 2) / 2.5 =
     * 18, (30 / 2 + 40 + 50) / 2.5 = 42. Reducing five equal rows to two does not change that. */
    struct hs_image *image = make_gradient(5, 5);
    for (int y = 0; y < 5; y++) {
        for (int x = 0; x < 5; x++)
            memset(image->pixels + (size_t) y * image->stride + (size_t) x * 3, (x + 1) * 10, 3);
    }
    uint8_t *out = run(image, 5, 5, 2, 2);
    static const uint8_t want[] = { 18, 18, 18, 42, 42, 42, 18, 18, 18, 42, 42, 42 };
    assert_memory_equal(out, want, sizeof(want));
    free(out);
    /* The other axis: 9 rows of value y * 9 to 3, each the mean of three. */
    hs_image_destroy(image);
    image = make_gradient(9, 9);
    for (int y = 0; y < 9; y++)
        memset(image->pixels + (size_t) y * image->stride, y * 9, 27);
    out = run(image, 9, 9, 3, 3);
    assert_int_equal(out[0], 9);
    assert_int_equal(out[9], 36);
    assert_int_equal(out[18 + 8], 63);
    free(out);
    hs_image_destroy(image);
}

/* Flat white stays white with all filters and ratios; otherwise rounding would darken images. */
static void flat_colours_are_unchanged(void **state)
{
    (void) state;
    static const int sizes[][2] = { { 1, 1 },    { 3, 2 },   { 31, 7 },   { 64, 64 },   { 65, 63 },
                                    { 200, 90 }, { 777, 3 }, { 2, 1500 }, { 1001, 999 } };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int w = sizes[i][0], h = sizes[i][1];
        struct hs_image *image = make_gradient(w, h);
        memset(image->pixels, 255, image->stride * (size_t) h);
        struct hs_letterbox box;
        hs_letterbox_plan(w, h, 64, 64, &box);
        uint8_t *out = run(image, w, h, 64, 64);
        for (int y = 0; y < 64; y++) {
            for (int x = 0; x < 64; x++) {
                bool inside = x >= box.pad_left && x < box.pad_left + box.content_w && y >= box.pad_top &&
                              y < box.pad_top + box.content_h;
                for (int c = 0; c < 3; c++)
                    assert_int_equal(out[(y * 64 + x) * 3 + c], inside ? 255 : 114);
            }
        }
        free(out);
        hs_image_destroy(image);
    }
}

/* Compares output pixels with the filter's definition in double precision, for ratios on both sides of 2. */
static double reference(const struct hs_image *image, const struct hs_letterbox *box, int x, int y, int c)
{
    double sum = 0, total = 0;
    double rx = (double) image->width / box->content_w, ry = (double) image->height / box->content_h;
    for (int sy = 0; sy < image->height; sy++) {
        for (int sx = 0; sx < image->width; sx++) {
            double weight = 1;
            for (int axis = 0; axis < 2; axis++) {
                double ratio = axis ? ry : rx;
                int i = axis ? y : x, s = axis ? sy : sx, n = axis ? image->height : image->width;
                double at = (i + 0.5) * ratio - 0.5;
                at = at < 0 ? 0 : at > n - 1 ? n - 1 : at;
                double low = s > i * ratio ? s : i * ratio, high = s + 1 < (i + 1) * ratio ? s + 1 : (i + 1) * ratio;
                double distance = s > at ? s - at : at - s;
                weight *= ratio > 2 ? (high > low ? high - low : 0) : (distance < 1 ? 1 - distance : 0);
            }
            sum += weight * pixel_at(image, sx, sy)[c];
            total += weight;
        }
    }
    return sum / total;
}

static void agrees_with_the_definition(void **state)
{
    (void) state;
    static const int cases[][4] = {
        { 37, 23, 64, 64 }, { 50, 40, 32, 32 }, { 61, 47, 30, 30 }, { 61, 47, 29, 64 }, { 97, 5, 16, 16 }
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const int *k = cases[i];
        struct hs_image *image = make_gradient(k[0], k[1]);
        uint32_t seed = 12345;
        for (size_t p = 0; p < image->stride * (size_t) image->height; p++) {
            seed = seed * 1664525u + 1013904223u; /* Numerical Recipes' generator: noise is the hardest content */
            image->pixels[p] = (uint8_t) (seed >> 24);
        }
        struct hs_letterbox box;
        hs_letterbox_plan(k[0], k[1], k[2], k[3], &box);
        uint8_t *out = run(image, k[0], k[1], k[2], k[3]);
        for (int y = 0; y < box.content_h; y++) {
            for (int x = 0; x < box.content_w; x++) {
                const uint8_t *p =
                    out + ((size_t) (y + box.pad_top) * (size_t) box.in_w + (size_t) (x + box.pad_left)) * 3;
                for (int c = 0; c < 3; c++)
                    assert_float_equal(p[c], reference(image, &box, x, y, c), 1.3);
            }
        }
        free(out);
        hs_image_destroy(image);
    }
}

/* The plan refers to the original; the image may be smaller. */
static void takes_a_reduced_picture(void **state)
{
    (void) state;
    struct hs_image *whole = make_gradient(800, 600), *half = make_gradient(400, 300);
    uint8_t *a = run(whole, 800, 600, 320, 320), *b = run(half, 800, 600, 320, 320);
    for (size_t i = 0; i < 320 * 320 * 3; i++)
        assert_true(abs(a[i] - b[i]) <= 2);
    free(a);
    free(b);
    hs_image_destroy(whole);
    hs_image_destroy(half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_follows_ultralytics),
        cmocka_unit_test(rect_rounds_the_short_side_up),
        cmocka_unit_test(pose_inputs_have_a_border),
        cmocka_unit_test(a_rule_has_few_sizes_and_a_picture_gets_one_of_them),
        cmocka_unit_test(points_map_to_the_original),
        cmocka_unit_test(same_size_is_copied_between_the_pads),
        cmocka_unit_test(growing_is_bilinear_between_pixel_centres),
        cmocka_unit_test(halving_takes_the_mean_of_two),
        cmocka_unit_test(shrinking_by_more_than_two_averages_the_area),
        cmocka_unit_test(flat_colours_are_unchanged),
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(takes_a_reduced_picture),
    };
    return HS_RUN_TESTS(tests);
}
