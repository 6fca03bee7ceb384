#include "../unit.h"

#include "base/mem.h"
#include "vision/iou_match.h"

/* A box inside a larger struct, as in the lists. */
struct thing {
    int before;
    struct hs_rect box;
    float after;
};

static struct thing at(float x, float y)
{
    return (struct thing) { .box = { x, y, x + 10, y + 10 } };
}

static struct hs_boxes boxes_of(const struct thing *things, size_t count)
{
    return (struct hs_boxes) { .first = &things[0].box, .count = count, .stride = sizeof(*things) };
}

static void each_gets_the_best_free_box(void **state)
{
    (void) state;
    const struct thing a[] = { at(0, 0), at(1, 0), at(50, 50), at(90, 0) };
    const struct thing b[] = { at(50, 53), at(1, 0), at(3, 0) };
    struct hs_boxes all_a = boxes_of(a, HS_ARRAY_LEN(a)), all_b = boxes_of(b, HS_ARRAY_LEN(b));
    size_t of[HS_ARRAY_LEN(a)];
    unsigned char taken[HS_ARRAY_LEN(b)] = { 9, 9, 9 };
    assert_int_equal(hs_iou_match(&all_a, &all_b, .5f, of, taken), 3);
    assert_int_equal(of[0], 1);
    assert_int_equal(of[1], 2); /* the exact match belongs to the first box already */
    assert_int_equal(of[2], 0);
    assert_true(of[3] == HS_IOU_MATCH_NONE);
}

static void smaller_overlap_is_no_match(void **state)
{
    (void) state;
    const struct thing a[] = { at(0, 0) }, b[] = { at(0, 5) };
    struct hs_boxes all_a = boxes_of(a, 1), all_b = boxes_of(b, 1);
    size_t of[1];
    unsigned char taken[1];
    assert_int_equal(hs_iou_match(&all_a, &all_b, .5f, of, taken), 0); /* IoU 1/3 */
    assert_true(of[0] == HS_IOU_MATCH_NONE);
    assert_int_equal(hs_iou_match(&all_a, &all_b, .33f, of, taken), 1);
}

static void empty_lists_have_no_matches(void **state)
{
    (void) state;
    const struct thing a[] = { at(0, 0) };
    struct hs_boxes all = boxes_of(a, 1), none = { 0 };
    size_t of[1];
    unsigned char taken[1];
    assert_int_equal(hs_iou_match(&none, &all, .5f, of, taken), 0);
    assert_int_equal(hs_iou_match(&all, &none, .5f, of, NULL), 0);
    assert_true(of[0] == HS_IOU_MATCH_NONE);
    assert_int_equal(hs_iou_match(&none, &none, .5f, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gets_the_best_free_box),
        cmocka_unit_test(smaller_overlap_is_no_match),
        cmocka_unit_test(empty_lists_have_no_matches),
    };
    return HS_RUN_TESTS(tests);
}
