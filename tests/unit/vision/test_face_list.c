#include "../unit.h"

#include <math.h>

#include "vision/face_list.h"

/* 1280 x 720 in 640 x 640: half size, with 140 rows of border above. */
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
    assert_float_equal(face->box.y1, 0, 0);    /* -80 clamped */
    assert_float_equal(face->box.x2, 1280, 0); /* 1440 clamped */
    assert_float_equal(face->box.y2, 720, 0);
    assert_float_equal(face->landmarks[HS_FACE_LEFT_EYE].x, 640, 0);
    assert_float_equal(face->landmarks[HS_FACE_LEFT_EYE].y, 360, 0);
    assert_float_equal(face->landmarks[HS_FACE_RIGHT_EYE].x, -20, 0);
    assert_float_equal(face->landmarks[HS_FACE_NOSE].y, -20, 0);
    assert_float_equal(face->landmarks[HS_FACE_LEFT_MOUTH].x, -1280, 0); /* exceeds the range of float in between */
    assert_float_equal(face->landmarks[HS_FACE_LEFT_MOUTH].y, 1440, 0);
    assert_float_equal(list.faces[1].box.y2, 40, 0);
    assert_float_equal(list.faces[1].landmarks[0].y, 0, 0); /* no landmarks: nothing to map */
    hs_face_list_finish(&list);
}

static void keeps_its_memory_and_rejects_huge_sizes(void **state)
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

static void fill(struct hs_face_list *list, const struct hs_face *faces, size_t count)
{
    hs_face_list_init(list);
    assert_int_equal(hs_face_list_reserve(list, count), 0);
    for (size_t i = 0; i < count; i++)
        list->faces[i] = faces[i];
    list->count = count;
}

static void moves_from_a_part_to_the_whole(void **state)
{
    (void) state;
    const struct hs_face faces[] = {
        { .box = { 1, 2, 3, 4 }, .has_landmarks = true, .landmarks = { { 1, 1 }, { -1, 0 } } },
        { .box = { 0, 0, 1, 1 } },
    };
    struct hs_face_list list;
    fill(&list, faces, 2);
    hs_face_list_move(&list, 2, 4, 100, 200);
    assert_float_equal(list.faces[0].box.x1, 102, 0);
    assert_float_equal(list.faces[0].box.y2, 216, 0);
    assert_float_equal(list.faces[0].landmarks[0].y, 204, 0);
    assert_float_equal(list.faces[0].landmarks[1].x, 98, 0);
    assert_float_equal(list.faces[1].box.x2, 102, 0);
    assert_float_equal(list.faces[1].landmarks[0].x, 0, 0);
    hs_face_list_finish(&list);
}

static void adds_only_what_is_new(void **state)
{
    (void) state;
    const struct hs_face here[] = { { .box = { 0, 0, 10, 10 }, .score = 0.6f } };
    const struct hs_face there[] = {
        { .box = { 2, 2, 6, 6 }, .score = 0.9f },    /* inside the first one */
        { .box = { 6, 0, 16, 10 }, .score = 0.7f },  /* four tenths overlap */
        { .box = { 7, 0, 17, 10 }, .score = 0.95f }, /* the previous one again */
        { .box = { 40, 0, 50, 10 }, .score = 0.5f },
        { .box = { 60, 0, 60, 10 }, .score = 0.55f }, /* empty: overlaps nothing */
    };
    struct hs_face_list list, more, none;
    fill(&list, here, 1);
    fill(&more, there, 5);
    hs_face_list_init(&none);
    assert_int_equal(hs_face_list_add(&list, &more, 10), 0);
    assert_int_equal(list.count, 4);
    assert_float_equal(list.faces[0].score, 0.7f, 0);
    assert_float_equal(list.faces[1].score, 0.6f, 0);
    assert_float_equal(list.faces[3].score, 0.5f, 0);
    assert_int_equal(hs_face_list_add(&list, &none, 2), 0);
    assert_int_equal(list.count, 2);
    assert_int_equal(hs_face_list_add(&none, &list, 10), 0);
    assert_int_equal(none.count, 2);
    hs_face_list_finish(&none);
    assert_int_equal(hs_face_list_add(&none, &none, 10), 0);
    assert_int_equal(none.count, 0);
    hs_face_list_finish(&none);
    hs_face_list_finish(&more);
    hs_face_list_finish(&list);
}

/* Returns a face in a box, with landmarks at typical positions. */
static struct hs_face face_in(float x1, float y1, float x2, float y2, float score)
{
    static const struct hs_point at[] = { { .3f, .4f }, { .7f, .4f }, { .5f, .6f }, { .35f, .8f }, { .65f, .8f } };
    struct hs_face face = { .box = { x1, y1, x2, y2 }, .score = score, .has_landmarks = true };
    for (int i = 0; i < HS_FACE_LANDMARKS; i++)
        face.landmarks[i] = (struct hs_point) { x1 + at[i].x * (x2 - x1), y1 + at[i].y * (y2 - y1) };
    return face;
}

static void merges_two_scales(void **state)
{
    (void) state;
    const struct hs_face here[] = {
        face_in(10, 10, 110, 150, 0.6f),  /* found at both scales */
        face_in(300, 300, 330, 340, 0.9f) /* lies inside the box of a large one */
    };
    struct hs_face misplaced = face_in(10, 10, 110, 150, 0.8f);
    misplaced.box = (struct hs_rect) { 10, 10, 60, 70 }; /* another box around the same landmarks */
    const struct hs_face there[] = {
        face_in(14, 8, 116, 156, 0.95f), /* the first one again, slightly moved and with a better score */
        misplaced, face_in(150, 150, 500, 560, 0.7f), face_in(152, 146, 498, 566, 0.65f), /* the same again */
    };
    struct hs_face_list list, more;
    fill(&list, here, 2);
    fill(&more, there, 4);
    assert_int_equal(hs_face_list_merge(&list, &more, 0.4f, 10), 0);
    assert_int_equal(list.count, 3);
    assert_memory_equal(&list.faces[0], &here[1], sizeof(here[1]));
    assert_memory_equal(&list.faces[1], &there[2], sizeof(there[2]));
    assert_memory_equal(&list.faces[2], &here[0], sizeof(here[0]));
    /* A small face in the exact middle of a large one, with landmarks around the same point, is another face. */
    const struct hs_face middle = face_in(320, 340, 340, 370, 0.5f);
    list.count = 0;
    list.faces[list.count++] = middle;
    assert_int_equal(hs_face_list_merge(&list, &more, 0.4f, 10), 0);
    assert_int_equal(list.count, 3);
    assert_memory_equal(&list.faces[2], &middle, sizeof(middle));
    assert_int_equal(hs_face_list_merge(&list, &more, 0.4f, 2), 0);
    assert_int_equal(list.count, 2);
    hs_face_list_finish(&more);
    hs_face_list_finish(&list);
}

/* Sorted by descending score; ties by x, then y, whatever the input order. */
static void equal_scores_have_an_order(void **state)
{
    (void) state;
    static const struct hs_face sorted[] = {
        { .box = { 500, 90, 510, 100 }, .score = 0.9f }, { .box = { 0, 100, 10, 110 }, .score = 0.5f },
        { .box = { 0, 200, 10, 210 }, .score = 0.5f },   { .box = { 50, 0, 60, 10 }, .score = 0.5f },
        { .box = { 50, 60, 60, 70 }, .score = 0.5f },    { .box = { 90, 0, 99, 10 }, .score = 0.25f },
    };
    enum { COUNT = sizeof(sorted) / sizeof(sorted[0]) };
    for (size_t shift = 0; shift < COUNT; shift++) {
        for (int back = 0; back < 2; back++) {
            struct hs_face mixed[COUNT];
            struct hs_face_list list, more;
            for (size_t i = 0; i < COUNT; i++)
                mixed[i] = sorted[back ? (2 * COUNT - 1 - i - shift) % COUNT : (i + shift) % COUNT];
            hs_face_list_init(&list);
            fill(&more, mixed, COUNT);
            assert_int_equal(hs_face_list_add(&list, &more, COUNT - 1), 0);
            assert_int_equal(list.count, COUNT - 1);
            for (size_t i = 0; i < list.count; i++) {
                assert_float_equal(list.faces[i].box.x1, sorted[i].box.x1, 0);
                assert_float_equal(list.faces[i].box.y1, sorted[i].box.y1, 0);
            }
            hs_face_list_finish(&list);
            hs_face_list_finish(&more);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_are_clamped_and_landmarks_are_not),
        cmocka_unit_test(keeps_its_memory_and_rejects_huge_sizes),
        cmocka_unit_test(moves_from_a_part_to_the_whole),
        cmocka_unit_test(adds_only_what_is_new),
        cmocka_unit_test(merges_two_scales),
        cmocka_unit_test(equal_scores_have_an_order),
    };
    return HS_RUN_TESTS(tests);
}
