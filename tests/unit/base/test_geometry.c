#include "../unit.h"

#include <math.h>

#include "base/geometry.h"

static void iou_by_hand(void **state)
{
    (void) state;
    struct hs_rect a = { 0, 0, 10, 10 }, half = { 0, 0, 10, 5 }, apart = { 10, 0, 20, 10 }, shifted = { 5, 5, 15, 15 };
    struct hs_rect empty = { 3, 3, 3, 3 }, inverted = { 10, 10, 0, 0 };
    assert_float_equal(hs_rect_iou(&a, &a), 1, 0);
    assert_float_equal(hs_rect_iou(&a, &half), 0.5, 0);
    assert_float_equal(hs_rect_iou(&a, &apart), 0, 0); /* the rectangles share an edge, but no pixel */
    assert_float_equal(hs_rect_iou(&a, &shifted), 25.0 / 175, 1e-7);
    assert_float_equal(hs_rect_iou(&a, &empty), 0, 0);
    assert_float_equal(hs_rect_iou(&empty, &empty), 0, 0);
    assert_float_equal(hs_rect_iou(&inverted, &inverted), 0, 0);
}

static void overlap_is_relative_to_the_smaller_area(void **state)
{
    (void) state;
    struct hs_rect a = { 0, 0, 10, 10 }, inside = { 2, 2, 4, 4 }, half_out = { 8, 0, 12, 5 }, apart = { 10, 0, 20, 10 };
    struct hs_rect empty = { 3, 3, 3, 3 };
    assert_float_equal(hs_rect_overlap(&a, &inside), 1, 0);
    assert_float_equal(hs_rect_overlap(&inside, &a), 1, 0);
    assert_float_equal(hs_rect_overlap(&a, &half_out), 0.5, 0);
    assert_float_equal(hs_rect_overlap(&a, &apart), 0, 0);
    assert_float_equal(hs_rect_overlap(&a, &empty), 0, 0);
}

static void pixels_stay_in_the_picture(void **state)
{
    (void) state;
    assert_int_equal(hs_pixel(-3.5f, 100), 0);
    assert_int_equal(hs_pixel(0.99f, 100), 0);
    assert_int_equal(hs_pixel(41.999f, 100), 41);
    assert_int_equal(hs_pixel(99, 100), 99);
    assert_int_equal(hs_pixel(1e30f, 100), 99);
    assert_int_equal(hs_pixel(0, 1), 0);
}

static void transforms_clamp_to_the_picture(void **state)
{
    (void) state;
    struct hs_transform to = { 0.5f, 0.25f, 10, 20, 300, 100 };
    struct hs_rect rect = hs_transform_rect(&to, &(struct hs_rect) { 0, 25, 60, 1000 });
    assert_float_equal(rect.x1, 0, 0);
    assert_float_equal(rect.y1, 20, 1e-5);
    assert_float_equal(rect.x2, 100, 1e-5);
    assert_float_equal(rect.y2, 100, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iou_by_hand),
        cmocka_unit_test(overlap_is_relative_to_the_smaller_area),
        cmocka_unit_test(pixels_stay_in_the_picture),
        cmocka_unit_test(transforms_clamp_to_the_picture),
    };
    return HS_RUN_TESTS(tests);
}
