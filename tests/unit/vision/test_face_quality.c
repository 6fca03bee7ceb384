#include "../unit.h"

#include <math.h>
#include <string.h>

#include "vision/align.h"
#include "vision/face_quality.h"

enum { SIDE = HS_ALIGN_SIZE };

static uint8_t picture[SIDE * SIDE * 3];

static void fill(int (*value)(int x, int y))
{
    for (int i = 0; i < SIDE * SIDE; i++)
        memset(picture + 3 * i, value(i % SIDE, i / SIDE), 3);
}

static int flat(int x, int y)
{
    (void) x;
    (void) y;
    return 100;
}

static int ramp(int x, int y)
{
    return x + y;
}

static int board(int x, int y)
{
    return (x + y) % 2 ? 110 : 100;
}

static int wave(int x, int y)
{
    return 128 + (int) lround(20 * sin(x * 0.2) * sin(y * 0.2));
}

static void size_is_the_shorter_side(void **state)
{
    (void) state;
    assert_float_equal(hs_face_size(&(struct hs_rect) { 10, 20, 50, 100 }), 40, 0);
    assert_float_equal(hs_face_size(&(struct hs_rect) { 10, 20, 150, 100 }), 80, 0);
    assert_float_equal(hs_face_size(&(struct hs_rect) { 10, 20, 5, 100 }), 0, 0);
}

static void sharpness_by_hand(void **state)
{
    (void) state;
    fill(flat);
    assert_float_equal(hs_face_sharpness(picture), 0, 0);
    fill(ramp); /* its Laplacian is zero */
    assert_float_equal(hs_face_sharpness(picture), 0, 0);
    /* each field differs by 10 from its four neighbours: the Laplacian is +40 or -40, its variance 1600 */
    fill(board);
    assert_float_equal(hs_face_sharpness(picture), 1600.0 / 1700, 1e-6);
    fill(wave);
    float soft = hs_face_sharpness(picture);
    assert_true(soft > 0 && soft < 0.05f);
}

static void exposure_by_hand(void **state)
{
    (void) state;
    fill(flat);
    struct hs_face_exposure e = hs_face_exposure_measure(picture);
    assert_float_equal(e.mean, 100.0 / 255, 1e-6);
    assert_float_equal(e.clipped, 0, 0);
    memset(picture, 0, SIDE * 3);                           /* one row black */
    memset(picture + (SIDE - 1) * SIDE * 3, 255, SIDE * 3); /* one row white */
    memset(picture + SIDE * 3, 4, 3);
    memset(picture + SIDE * 3 + 3, 5, 3);
    memset(picture + SIDE * 3 + 6, 251, 3);
    memset(picture + SIDE * 3 + 9, 250, 3);
    e = hs_face_exposure_measure(picture);
    assert_float_equal(e.clipped, (2.0 * SIDE + 2) / (SIDE * SIDE), 1e-6);
    assert_float_equal(e.mean, (100.0 * (SIDE * SIDE - 2 * SIDE - 4) + 255 * SIDE + 510) / (255.0 * SIDE * SIDE), 1e-5);
    for (int i = 0; i < SIDE * SIDE; i++)
        memcpy(picture + 3 * i, (const uint8_t[]) { 200, 100, 0 }, 3);
    e = hs_face_exposure_measure(picture); /* (77 * 200 + 150 * 100) / 256 = 118.75, truncated */
    assert_float_equal(e.mean, 118.0 / 255, 1e-6);
}

/* A head of the model behind the formulas, seen from far away: eyes 100 apart, mouth 80 below, nose 41 in front
 * of it and at the height of the template. Degrees as in struct hs_face_pose. */
static void look(double yaw, double roll, struct hs_point ret[HS_FACE_LANDMARKS])
{
    static const double head[HS_FACE_LANDMARKS][3] = {
        { -50, 0, 0 }, { 50, 0, 0 }, { 0, 0.495 * 80, 41 }, { -40, 80, 0 }, { 40, 80, 0 },
    };
    double to = 3.14159265358979323846 / 180, c = cos(yaw * to), s = sin(yaw * to);
    for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
        double x = c * head[i][0] + s * head[i][2], y = head[i][1];
        double cr = cos(roll * to), sr = sin(roll * to);
        ret[i] = (struct hs_point) { (float) (500 + cr * x - sr * y), (float) (400 + sr * x + cr * y) };
    }
}

static void pose_of_a_turned_head(void **state)
{
    (void) state;
    for (int yaw = -80; yaw <= 80; yaw += 20) {
        for (int roll = -150; roll <= 150; roll += 30) {
            struct hs_point points[HS_FACE_LANDMARKS];
            struct hs_face_pose pose;
            look(yaw, roll, points);
            assert_true(hs_face_pose_estimate(points, &pose));
            assert_float_equal(pose.yaw, yaw, 0.05);
            assert_float_equal(pose.roll, roll, 0.05);
            assert_float_equal(pose.pitch, 0, 0.05);
        }
    }
}

static void pitch_by_hand(void **state)
{
    (void) state;
    struct hs_point points[HS_FACE_LANDMARKS];
    struct hs_face_pose pose;
    look(0, 0, points);
    points[HS_FACE_NOSE].y = 400 + 0.495f * 80 - 0.41f * 80; /* higher by the depth of the nose: 45 degrees */
    assert_true(hs_face_pose_estimate(points, &pose));
    assert_float_equal(pose.pitch, 45, 0.01);
    points[HS_FACE_NOSE].y = 400 + 0.495f * 80 + 0.41f * 80;
    assert_true(hs_face_pose_estimate(points, &pose));
    assert_float_equal(pose.pitch, -45, 0.01);
    assert_true(hs_face_pose_estimate(hs_align_template, &pose));
    assert_true(fabsf(pose.yaw) < 3 && fabsf(pose.pitch) < 3 && fabsf(pose.roll) < 1);
}

static void no_pose_without_eyes(void **state)
{
    (void) state;
    struct hs_point points[HS_FACE_LANDMARKS];
    struct hs_face_pose pose = { 1, 2, 3 };
    look(0, 0, points);
    points[HS_FACE_RIGHT_EYE] = points[HS_FACE_LEFT_EYE];
    assert_false(hs_face_pose_estimate(points, &pose));
    look(0, 0, points);
    points[HS_FACE_NOSE].x = NAN;
    assert_false(hs_face_pose_estimate(points, &pose));
    look(0, 0, points);
    points[HS_FACE_LEFT_MOUTH].y = INFINITY;
    assert_false(hs_face_pose_estimate(points, &pose));
    assert_float_equal(pose.yaw, 1, 0);
}

static void all_of_them_at_once(void **state)
{
    (void) state;
    struct hs_face face = { .box = { 0, 0, 60, 70 }, .has_landmarks = true };
    struct hs_face_quality quality = { .size = 42 };
    look(20, 10, face.landmarks);
    fill(board);
    assert_true(hs_face_quality_measure(&face, picture, &quality));
    assert_float_equal(quality.size, 60, 0);
    assert_float_equal(quality.sharpness, 1600.0 / 1700, 1e-6);
    assert_float_equal(quality.pose.yaw, 20, 0.05);
    assert_float_equal(quality.exposure.mean, 105.0 / 255, 1e-6);
    face.has_landmarks = false;
    quality.size = 42;
    assert_false(hs_face_quality_measure(&face, picture, &quality));
    assert_float_equal(quality.size, 42, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_is_the_shorter_side),
        cmocka_unit_test(sharpness_by_hand),
        cmocka_unit_test(exposure_by_hand),
        cmocka_unit_test(pose_of_a_turned_head),
        cmocka_unit_test(pitch_by_hand),
        cmocka_unit_test(no_pose_without_eyes),
        cmocka_unit_test(all_of_them_at_once),
    };
    return HS_RUN_TESTS(tests);
}
