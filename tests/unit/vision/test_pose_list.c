#include "../unit.h"

#include <math.h>

#include "vision/pose_list.h"

static void maps_and_clamps(void **state)
{
    (void) state;
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    assert_int_equal(hs_pose_list_reserve(&list, 2, 2), 0);
    list.count = 1;
    list.poses[0] = (struct hs_pose) { { 80, 140, 720, 560 }, 0.9f, 0 };
    hs_pose_list_keypoints(&list, 0)[0] = (struct hs_keypoint) { 320, 320, 0.5f };
    hs_pose_list_keypoints(&list, 0)[1] = (struct hs_keypoint) { -3e38f, 3e38f, 0.25f };
    /* 1280 x 720 in 640 x 640: half size, with 140 rows of border above */
    struct hs_transform to = { 0.5f, 0.5f, 0, 140, 1280, 720 };
    hs_pose_list_map(&list, &to);
    assert_float_equal(list.poses[0].box.x1, 160, 0);
    assert_float_equal(list.poses[0].box.y1, 0, 0);
    assert_float_equal(list.poses[0].box.x2, 1280, 0); /* 1440 clamped */
    assert_float_equal(list.poses[0].box.y2, 720, 0);  /* 840 clamped */
    assert_float_equal(list.keypoints[0].x, 640, 0);
    assert_float_equal(list.keypoints[0].y, 360, 0);
    assert_float_equal(list.keypoints[0].conf, 0.5, 0);
    assert_float_equal(list.keypoints[1].x, 0, 0);
    assert_float_equal(list.keypoints[1].y, 720, 0); /* exceeds the range of float in between */
    hs_pose_list_finish(&list);
}

static void keeps_its_memory_and_rejects_huge_sizes(void **state)
{
    (void) state;
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    assert_int_equal(hs_pose_list_reserve(&list, 10, 17), 0);
    const void *poses = list.poses, *keypoints = list.keypoints;
    list.count = 10;
    assert_int_equal(hs_pose_list_reserve(&list, 5, 21), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(list.keypoint_count, 21);
    assert_ptr_equal(list.poses, poses);
    assert_ptr_equal(list.keypoints, keypoints);
    assert_int_equal(hs_pose_list_reserve(&list, SIZE_MAX / 8, 17), HS_ENOMEM);
    assert_int_equal(list.count, 0);
    assert_int_equal(hs_pose_list_reserve(&list, 0, 17), 0);
    hs_pose_list_finish(&list);
    assert_null(list.poses);
    hs_pose_list_finish(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_and_clamps),
        cmocka_unit_test(keeps_its_memory_and_rejects_huge_sizes),
    };
    return HS_RUN_TESTS(tests);
}
