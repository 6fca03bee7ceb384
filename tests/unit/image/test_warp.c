#include "../unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/warp.h"

enum { SIDE = 48 };

static uint32_t random_state = 5;

static int random_below(int limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int) ((random_state >> 8) % (uint32_t) limit);
}

/* Smooth waves with hard edges and a little noise, similar to a photograph. */
static struct hs_image *picture_create(int w, int h)
{
    struct hs_image *image = NULL;
    assert_int_equal(hs_image_create(w, h, &image, NULL), 0);
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            uint8_t *p = image->pixels + (size_t) y * image->stride + (size_t) x * 3;
            bool bright = (x / 37 + y / 29) % 2;
            for (int c = 0; c < 3; c++)
                p[c] = (uint8_t) (90 + 50 * bright + (int) (40 * sin(x * 0.05 * (c + 1)) * cos(y * 0.07)) +
                                  random_below(20));
        }
    }
    return image;
}

static double pixel(const struct hs_image *image, int x, int y, int c)
{
    if (x < 0 || y < 0 || x >= image->width || y >= image->height)
        return 0;
    return image->pixels[(size_t) y * image->stride + (size_t) x * 3 + (size_t) c];
}

/* Maps an output pixel to the original image and to decoded pixels, as defined in the header. */
static void map_back(const struct hs_image *image, const double m[6], double x, double y, double *ret_u, double *ret_v)
{
    double square = m[0] * m[0] + m[3] * m[3], dx = x - m[2], dy = y - m[5];
    double ox = (m[0] * dx + m[3] * dy) / square, oy = (-m[3] * dx + m[0] * dy) / square;
    *ret_u = (ox + 0.5) * image->width / image->orig_width - 0.5;
    *ret_v = (oy + 0.5) * image->height / image->orig_height - 0.5;
}

static double bilinear(const struct hs_image *image, double u, double v, int c)
{
    int x = (int) floor(u), y = (int) floor(v);
    double fx = u - x, fy = v - y;
    return (1 - fy) * ((1 - fx) * pixel(image, x, y, c) + fx * pixel(image, x + 1, y, c)) +
           fy * ((1 - fx) * pixel(image, x, y + 1, c) + fx * pixel(image, x + 1, y + 1, c));
}

/* Returns the average over the square that an output pixel covers, from so many points that it is nearly exact. */
static double area(const struct hs_image *image, const double m[6], int x, int y, int c)
{
    enum { N = 60 };
    double sum = 0;
    for (int j = 0; j < N; j++) {
        for (int i = 0; i < N; i++) {
            double u, v;
            map_back(image, m, x - 0.5 + (i + 0.5) / N, y - 0.5 + (j + 0.5) / N, &u, &v);
            sum += pixel(image, (int) floor(u + 0.5), (int) floor(v + 0.5), c);
        }
    }
    return sum / (N * N);
}

/* Computes the mean and the largest difference from the reference. */
static void compare(const struct hs_image *image, const double m[6], bool shrinks, double *ret_mean, double *ret_most)
{
    static uint8_t out[SIDE * SIDE * 3 + 1];
    out[SIDE * SIDE * 3] = 42;
    assert_int_equal(hs_warp_similarity(image, m, SIDE, SIDE, out, NULL), 0);
    assert_int_equal(out[SIDE * SIDE * 3], 42);
    *ret_mean = *ret_most = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        for (int c = 0; c < 3; c++) {
            double u, v;
            map_back(image, m, i % SIDE, i / SIDE, &u, &v);
            double wanted = shrinks ? area(image, m, i % SIDE, i / SIDE, c) : bilinear(image, u, v, c);
            double difference = fabs(out[3 * i + c] - wanted);
            *ret_mean += difference / (SIDE * SIDE * 3);
            *ret_most = fmax(*ret_most, difference);
        }
    }
}

/* Maps the point (cx, cy) of the original to the centre of the output. */
static void make_matrix(double scale, double degrees, double cx, double cy, double m[6])
{
    double a = scale * cos(degrees * 3.14159265358979323846 / 180);
    double b = scale * sin(degrees * 3.14159265358979323846 / 180);
    m[0] = m[4] = a;
    m[1] = -b;
    m[3] = b;
    m[2] = (SIDE - 1) / 2.0 - a * cx + b * cy;
    m[5] = (SIDE - 1) / 2.0 - b * cx - a * cy;
}

static void identity_copies(void **state)
{
    (void) state;
    static const double m[6] = { 1, 0, 0, 0, 1, 0 };
    uint8_t out[SIDE * SIDE * 3];
    struct hs_image *image = picture_create(SIDE, SIDE);
    assert_int_equal(hs_warp_similarity(image, m, SIDE, SIDE, out, NULL), 0);
    for (int y = 0; y < SIDE; y++)
        assert_memory_equal(out + (size_t) y * SIDE * 3, image->pixels + (size_t) y * image->stride, SIDE * 3);
    hs_image_destroy(image);
}

static void a_shift_by_hand(void **state)
{
    (void) state;
    /* two pixels, moved right by a half: black, half of the first, their mean, half of the second, black */
    static const double m[6] = { 1, 0, 1.5, 0, 1, 0 };
    static const uint8_t wanted[5] = { 0, 50, 150, 100, 0 };
    uint8_t out[5 * 3];
    struct hs_image *image = NULL;
    assert_int_equal(hs_image_create(2, 1, &image, NULL), 0);
    memset(image->pixels, 100, 3);
    memset(image->pixels + 3, 200, 3);
    assert_int_equal(hs_warp_similarity(image, m, 5, 1, out, NULL), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(out[3 * i + 1], wanted[i]);
    hs_image_destroy(image);
}

static void bilinear_equals_the_reference(void **state)
{
    (void) state;
    struct hs_image *image = picture_create(200, 150);
    for (int i = 0; i < 24; i++) {
        double m[6], mean, most, scale = 0.51 * pow(1.15, i);
        make_matrix(scale, i * 37, 20 + 7 * i, 10 + 6 * i, m); /* some cross the border */
        compare(image, m, false, &mean, &most);
        assert_true(most < 0.51);
    }
    hs_image_destroy(image);
}

static void shrinking_averages_areas(void **state)
{
    (void) state;
    struct hs_image *image = picture_create(900, 700);
    double worst = 0;
    for (int i = 0; i < 14; i++) {
        double m[6], mean, most, shrink = 2.01 * pow(1.22, i);
        make_matrix(1 / shrink, i * 29, 450 - 10 * i, 350 + 9 * i, m);
        compare(image, m, true, &mean, &most);
        worst = fmax(worst, mean);
        assert_true(mean < 0.5);
    }
    print_message("largest mean difference %.3f\n", worst);
    hs_image_destroy(image);
}

/* A quarter of the size, aligned to whole pixels: an output pixel is the mean of 4 x 4. */
static void four_times_smaller_by_hand(void **state)
{
    (void) state;
    static const double m[6] = { 0.25, 0, -0.375, 0, 0.25, -0.375 };
    struct hs_image *image = picture_create(16, 8);
    uint8_t out[4 * 2 * 3];
    assert_int_equal(hs_warp_similarity(image, m, 4, 2, out, NULL), 0);
    for (int i = 0; i < 8; i++) {
        for (int c = 0; c < 3; c++) {
            double sum = 0;
            for (int k = 0; k < 16; k++)
                sum += pixel(image, i % 4 * 4 + k % 4, i / 4 * 4 + k / 4, c);
            assert_float_equal(out[3 * i + c], sum / 16, 0.51);
        }
    }
    hs_image_destroy(image);
}

/* The matrix of an image that was decoded at half size still refers to the original. */
static void reduced_pictures_keep_their_coordinates(void **state)
{
    (void) state;
    struct hs_image *image = picture_create(300, 200);
    double m[6], mean, most;
    image->orig_width = 601;
    image->orig_height = 400;
    make_matrix(0.4, 20, 300, 200, m); /* 1.25 decoded pixels per output pixel */
    compare(image, m, false, &mean, &most);
    assert_true(most < 0.51);
    make_matrix(0.15, 20, 300, 200, m);
    compare(image, m, true, &mean, &most);
    assert_true(mean < 0.5);
    hs_image_destroy(image);
}

static void outside_is_black(void **state)
{
    (void) state;
    static const double shifts[] = { 1e4, -1e4, 1e12, 1e300 };
    uint8_t out[SIDE * SIDE * 3];
    struct hs_image *image = picture_create(40, 30);
    for (size_t i = 0; i < 8; i++) {
        double scale = i < 4 ? 1 : 0.1, m[6] = { scale, 0, shifts[i % 4], 0, scale, -shifts[i % 4] };
        memset(out, 1, sizeof(out));
        assert_int_equal(hs_warp_similarity(image, m, SIDE, SIDE, out, NULL), 0);
        for (size_t k = 0; k < sizeof(out); k++)
            assert_int_equal(out[k], 0);
    }
    hs_image_destroy(image);
}

static void other_matrices_are_refused(void **state)
{
    (void) state;
    static const double bad[][6] = {
        { 0, 0, 1, 0, 0, 1 },  { NAN, 0, 0, 0, 1, 0 },   { 1, 0, INFINITY, 0, 1, 0 }, { 1, 0, 0, 0, 2, 0 },
        { -1, 0, 0, 0, 1, 0 }, { 1, 0.5, 0, 0.5, 1, 0 }, { 1e-9, 0, 0, 0, 1e-9, 0 },  { 1e308, 0, 0, 1e308, 0, 0 },
    };
    uint8_t out[3] = { 42 };
    struct hs_error err = { 0 };
    struct hs_image *image = picture_create(4, 4);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(hs_warp_similarity(image, bad[i], 1, 1, out, &err), HS_EINVAL);
        assert_int_equal(out[0], 42);
    }
    assert_non_null(strstr(err.message, "similarity"));
    hs_image_destroy(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_copies),
        cmocka_unit_test(a_shift_by_hand),
        cmocka_unit_test(bilinear_equals_the_reference),
        cmocka_unit_test(shrinking_averages_areas),
        cmocka_unit_test(four_times_smaller_by_hand),
        cmocka_unit_test(reduced_pictures_keep_their_coordinates),
        cmocka_unit_test(outside_is_black),
        cmocka_unit_test(other_matrices_are_refused),
    };
    return HS_RUN_TESTS(tests);
}
