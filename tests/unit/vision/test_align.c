#include "../unit.h"

#include <math.h>
#include <string.h>

#include "vision/align.h"

static const double pi = 3.14159265358979323846;
static uint32_t random_state = 7;

static double random_between(double low, double high)
{
    random_state = random_state * 1664525u + 1013904223u;
    return low + (high - low) * (double) (random_state >> 8) / (double) (1u << 24);
}

static void apply(const double m[6], double x, double y, double *ret_x, double *ret_y)
{
    *ret_x = m[0] * x + m[1] * y + m[2];
    *ret_y = m[3] * x + m[4] * y + m[5];
}

/* Places the template in an image: `size` times as large, turned clockwise, with its corner at (x, y). */
static void place(double size, double degrees, double x, double y, struct hs_point ret[HS_FACE_LANDMARKS])
{
    double c = size * cos(degrees * pi / 180), s = size * sin(degrees * pi / 180);
    double m[6] = { c, -s, x, s, c, y };
    for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
        double px, py;
        apply(m, (double) hs_align_template[i].x, (double) hs_align_template[i].y, &px, &py);
        ret[i] = (struct hs_point) { (float) px, (float) py };
    }
}

static void the_template_itself_stays(void **state)
{
    (void) state;
    static const double identity[6] = { 1, 0, 0, 0, 1, 0 };
    struct hs_alignment a;
    assert_int_equal(hs_align_face(hs_align_template, &a, NULL), 0);
    for (int i = 0; i < 6; i++) {
        assert_float_equal(a.matrix[i], identity[i], 1e-12);
        assert_float_equal(a.inverse[i], identity[i], 1e-12);
    }
    assert_float_equal(a.scale, 1, 1e-12);
    assert_float_equal(a.angle_deg, 0, 1e-12);
    assert_float_equal(a.rms_error, 0, 1e-6);
}

static void a_quarter_turn_by_hand(void **state)
{
    (void) state;
    struct hs_point points[HS_FACE_LANDMARKS];
    struct hs_alignment a;
    /* clockwise in the image: (x, y) becomes (-y, x), then twice as large and moved */
    for (int i = 0; i < HS_FACE_LANDMARKS; i++)
        points[i] = (struct hs_point) { 300 - 2 * hs_align_template[i].y, 10 + 2 * hs_align_template[i].x };
    assert_int_equal(hs_align_face(points, &a, NULL), 0);
    static const double wanted[6] = { 0, 0.5, -5, -0.5, 0, 150 };
    for (int i = 0; i < 6; i++)
        assert_float_equal(a.matrix[i], wanted[i], 1e-4);
    assert_float_equal(a.scale, 0.5, 1e-6);
    assert_float_equal(a.angle_deg, 90, 1e-4);
}

static void any_similarity_is_recovered(void **state)
{
    (void) state;
    for (int round = 0; round < 1000; round++) {
        struct hs_point points[HS_FACE_LANDMARKS];
        struct hs_alignment a;
        double size = exp(random_between(-3, 3)), degrees = random_between(-179, 179);
        place(size, degrees, random_between(-500, 5000), random_between(-500, 5000), points);
        assert_int_equal(hs_align_face(points, &a, NULL), 0);
        assert_float_equal(a.scale * size, 1, 1e-3);
        assert_float_equal(remainder(a.angle_deg - degrees, 360), 0, 0.05);
        assert_true(a.rms_error < 0.02);
        for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
            double x, y, back_x, back_y;
            apply(a.matrix, (double) points[i].x, (double) points[i].y, &x, &y);
            assert_float_equal(x, hs_align_template[i].x, 0.03);
            assert_float_equal(y, hs_align_template[i].y, 0.03);
            apply(a.inverse, x, y, &back_x, &back_y);
            assert_float_equal(back_x, points[i].x, 1e-6);
            assert_float_equal(back_y, points[i].y, 1e-6);
        }
    }
}

static double square_error(const double m[6], const struct hs_point *points)
{
    double sum = 0;
    for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
        double x, y;
        apply(m, (double) points[i].x, (double) points[i].y, &x, &y);
        sum += pow(x - (double) hs_align_template[i].x, 2) + pow(y - (double) hs_align_template[i].y, 2);
    }
    return sum;
}

/* No similarity close to the result fits better, and rms_error is the error of the result. */
static void noisy_points_get_the_least_squares_solution(void **state)
{
    (void) state;
    for (int round = 0; round < 200; round++) {
        struct hs_point points[HS_FACE_LANDMARKS];
        struct hs_alignment a;
        place(random_between(0.5, 4), random_between(-90, 90), 200, 100, points);
        for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
            points[i].x += (float) random_between(-15, 15);
            points[i].y += (float) random_between(-15, 15);
        }
        assert_int_equal(hs_align_face(points, &a, NULL), 0);
        double best = square_error(a.matrix, points);
        assert_float_equal(a.rms_error, sqrt(best / HS_FACE_LANDMARKS), 1e-6);
        for (int i = 0; i < 20; i++) {
            double da = random_between(-1e-3, 1e-3), db = random_between(-1e-3, 1e-3), m[6];
            memcpy(m, a.matrix, sizeof(m));
            m[0] += da;
            m[1] -= db;
            m[2] += random_between(-0.1, 0.1);
            m[3] += db;
            m[4] += da;
            m[5] += random_between(-0.1, 0.1);
            assert_true(square_error(m, points) >= best);
        }
    }
}

static void refuse(const struct hs_point *points, const char *word)
{
    struct hs_alignment a = { .scale = 42 };
    struct hs_error err = { 0 };
    assert_int_equal(hs_align_face(points, &a, &err), HS_EINVAL);
    assert_non_null(strstr(err.message, word));
    assert_float_equal(a.scale, 42, 0);
}

static void invalid_landmarks_are_rejected(void **state)
{
    (void) state;
    struct hs_point points[HS_FACE_LANDMARKS];
    for (int i = 0; i < HS_FACE_LANDMARKS; i++)
        points[i] = (struct hs_point) { 100, 200 };
    refuse(points, "coincide");
    points[3].x = NAN;
    refuse(points, "finite");
    points[3].x = INFINITY;
    refuse(points, "finite");
    /* all points coincide except the nose, which is in the middle of the template: no rotation and scale helps */
    const struct hs_point far[HS_FACE_LANDMARKS] = { { 0, 0 }, { 0, 0 }, { 1000, 0 }, { 0, 0 }, { 0, 0 } };
    refuse(far, "face");
    place(1e-6, 0, 50, 50, points);
    refuse(points, "coincide");
}

/* A mirrored face is not a face: the result is the best rotation and scale, never a reflection. */
static void there_is_no_reflection(void **state)
{
    (void) state;
    struct hs_point points[HS_FACE_LANDMARKS];
    struct hs_alignment a;
    for (int i = 0; i < HS_FACE_LANDMARKS; i++)
        points[i] = (struct hs_point) { 112 - hs_align_template[i].x, hs_align_template[i].y };
    assert_int_equal(hs_align_face(points, &a, NULL), 0);
    assert_true(a.matrix[0] * a.matrix[4] - a.matrix[1] * a.matrix[3] > 0);
    assert_true(a.rms_error > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_template_itself_stays),      cmocka_unit_test(a_quarter_turn_by_hand),
        cmocka_unit_test(any_similarity_is_recovered),    cmocka_unit_test(noisy_points_get_the_least_squares_solution),
        cmocka_unit_test(invalid_landmarks_are_rejected), cmocka_unit_test(there_is_no_reflection),
    };
    return HS_RUN_TESTS(tests);
}
