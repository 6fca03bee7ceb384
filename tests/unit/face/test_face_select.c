#include "../unit.h"

#include "face/face_select.h"

static void each_rule_selects_its_face(void **state)
{
    (void) state;
    struct hs_face_found faces[] = {
        { .face = { .box = { 0, 0, 10, 10 }, .score = .9f } },
        { .face = { .box = { 60, 0, 100, 40 }, .score = .8f } },
        { .face = { .box = { 40, 45, 55, 60 }, .score = .7f } },
    };
    struct hs_face_result result = { .faces = faces, .count = 3, .width = 100, .height = 100 };
    assert_ptr_equal(hs_face_select(&result, HS_FACE_BEST), &faces[0]);
    assert_ptr_equal(hs_face_select(&result, HS_FACE_LARGEST), &faces[1]);
    assert_ptr_equal(hs_face_select(&result, HS_FACE_MIDDLE), &faces[2]);
    faces[2].face.box = faces[1].face.box; /* of equal ones the first is selected */
    assert_ptr_equal(hs_face_select(&result, HS_FACE_LARGEST), &faces[1]);
    result.count = 0;
    assert_null(hs_face_select(&result, HS_FACE_BEST));
}

static void the_subject_of_a_portrait_is_the_best_face(void **state)
{
    (void) state;
    float vector[1] = { 1 };
    struct hs_face_found faces[] = {
        { .face = { .box = { 0, 0, 200, 200 }, .score = .9f } },
        { .face = { .box = { 80, 60, 110, 99 }, .score = .8f }, .embedding = vector },
        { .face = { .box = { 10, 0, 60, 100 }, .score = .7f }, .embedding = vector },
        { .face = { .box = { 100, 0, 200, 90 }, .score = .6f }, .embedding = vector },
    };
    struct hs_face_result result = { .faces = faces, .count = 4, .width = 200, .height = 120 };
    assert_ptr_equal(hs_face_best(&result), &faces[2]); /* 100 of 200; the first has no embedding */
    faces[2].face.box.y2 = 99;
    assert_ptr_equal(hs_face_best(&result), &faces[3]);
    faces[3].face.box.x1 = 101;
    assert_ptr_equal(hs_face_best(&result), &faces[1]); /* no face is that large: the score decides */
    result.count = 1;
    assert_null(hs_face_best(&result));
}

static void rules_have_names(void **state)
{
    (void) state;
    enum hs_face_rule rule = HS_FACE_BEST;
    assert_true(hs_face_rule_read("largest", &rule) && rule == HS_FACE_LARGEST);
    assert_true(hs_face_rule_read("best", &rule) && rule == HS_FACE_BEST);
    assert_true(hs_face_rule_read("middle", &rule) && rule == HS_FACE_MIDDLE);
    assert_false(hs_face_rule_read("Largest", &rule));
    assert_false(hs_face_rule_read("", &rule));
    assert_true(rule == HS_FACE_MIDDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_selects_its_face),
        cmocka_unit_test(the_subject_of_a_portrait_is_the_best_face),
        cmocka_unit_test(rules_have_names),
    };
    return HS_RUN_TESTS(tests);
}
