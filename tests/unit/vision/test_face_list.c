#include "../unit.h"

#include <math.h>

#include "vision/face_list.h"

/* 1280 x 720 in 640 x 640: half size, 140 rows of border above. */
static const struct hs_transform half = { 0.5f, 0.5f, 0, 140, 1280, 720 };

static void boxes_are_clamped_and_landmarks_are_not(void **state)
{
    (void) state;
    struct hs_face_list list;
    hs_face_list_init(&list);
    assert_int_equal(hs_face_list_reserve(&list, 2), 0);
    list.count = 2;
    list.faces[0] = (struct hs_face) { .box = { 80, 100, 720, 560 },
                                       .score = 0.9f,
                                       .has_landmarks = true,
                                       .landmarks = { { 320, 320 }, { -10, 140 }, { 0, 130 }, { -3e38f, 3e38f } } };
    list.faces[1] = (struct hs_face) { .box = { 10, 150, 20, 160 }, .score = 0.5f };
    hs_face_list_map(&list, &half);
    const struct hs_face *face = &list.faces[0];
    assert_float_equal(face->box.x1, 160, 0);
    assert_float_equal(face->box.y1, 0, 0);    /* -80 cut */
    assert_float_equal(face->box.x2, 1280, 0); /* 1440 cut */
    assert_float_equal(face->box.y2, 720, 0);
    assert_float_equal(face->landmarks[HS_FACE_LEFT_EYE].x, 640, 0);
    assert_float_equal(face->landmarks[HS_FACE_LEFT_EYE].y, 360, 0);
    assert_float_equal(face->landmarks[HS_FACE_RIGHT_EYE].x, -20, 0);
    assert_float_equal(face->landmarks[HS_FACE_NOSE].y, -20, 0);
    assert_float_equal(face->landmarks[HS_FACE_LEFT_MOUTH].x, -1280, 0); /* past the range of float on the way */
    assert_float_equal(face->landmarks[HS_FACE_LEFT_MOUTH].y, 1440, 0);
    assert_float_equal(list.faces[1].box.y2, 40, 0);
    assert_float_equal(list.faces[1].landmarks[0].y, 0, 0); /* no landmarks: nothing to map */
    hs_face_list_finish(&list);
}

static void keeps_its_memory_and_refuses_what_cannot_be(void **state)
{
    (void) state;
    struct hs_face_list list;
    hs_face_list_init(&list);
    assert_int_equal(hs_face_list_reserve(&list, 10), 0);
    const void *faces = list.faces;
    list.count = 10;
    assert_int_equal(hs_face_list_reserve(&list, 5), 0);
    assert_int_equal(list.count, 0);
    assert_ptr_equal(list.faces, faces);
    list.count = 3;
    assert_int_equal(hs_face_list_reserve(&list, SIZE_MAX / 8), HS_ENOMEM);
    assert_int_equal(list.count, 0);
    assert_ptr_equal(list.faces, faces);
    hs_face_list_finish(&list);
    assert_null(list.faces);
    hs_face_list_finish(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_are_clamped_and_landmarks_are_not),
        cmocka_unit_test(keeps_its_memory_and_refuses_what_cannot_be),
    };
    return HS_RUN_TESTS(tests);
}
