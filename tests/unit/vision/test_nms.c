#include "../unit.h"

#include <math.h>
#include <string.h>

#include "vision/detector.h"

static struct hs_nms_candidate candidate(float x1, float y1, float x2, float y2, float score, int class_id, uint32_t id)
{
    return (struct hs_nms_candidate) { { x1, y1, x2, y2 }, score, class_id, id };
}

static void exactly_the_threshold_is_kept(void **state)
{
    (void) state;
    struct hs_nms_candidate pair[] = { candidate(0, 0, 10, 5, 0.5f, 0, 1), candidate(0, 0, 10, 10, 0.9f, 0, 0) };
    struct hs_nms_candidate items[2];
    memcpy(items, pair, sizeof(pair));
    assert_int_equal(hs_nms_run(items, 2, 0.5f, 10), 2);
    assert_int_equal(items[0].id, 0);
    assert_int_equal(items[1].id, 1);
    memcpy(items, pair, sizeof(pair));
    assert_int_equal(hs_nms_run(items, 2, nextafterf(0.5f, 0), 10), 1);
    assert_int_equal(items[0].id, 0);
}

static void a_suppressed_box_suppresses_nothing(void **state)
{
    (void) state;
    /* 0 suppresses 1, 1 would have suppressed 2, 0 and 2 overlap little */
    struct hs_nms_candidate items[] = { candidate(0, 0, 10, 10, 0.9f, 0, 0), candidate(4, 0, 14, 10, 0.8f, 0, 1),
                                        candidate(8, 0, 18, 10, 0.7f, 0, 2) };
    assert_int_equal(hs_nms_run(items, 3, 0.3f, 10), 2);
    assert_int_equal(items[0].id, 0);
    assert_int_equal(items[1].id, 2);
}

static void classes_are_suppressed_separately(void **state)
{
    (void) state;
    struct hs_nms_candidate items[] = { candidate(0, 0, 10, 10, 0.9f, 0, 0), candidate(0, 0, 10, 10, 0.8f, 1, 1),
                                        candidate(0, 0, 10, 10, 0.7f, 0, 2) };
    assert_int_equal(hs_nms_run(items, 3, 0.5f, 10), 2);
    assert_int_equal(items[0].class_id, 0);
    assert_int_equal(items[1].class_id, 1);
}

static void equal_scores_go_by_id(void **state)
{
    (void) state;
    for (int turn = 0; turn < 3; turn++) {
        struct hs_nms_candidate items[3];
        for (int i = 0; i < 3; i++) {
            uint32_t id = (uint32_t) ((i + turn) % 3);
            items[i] = candidate((float) id * 20, 0, (float) id * 20 + 10, 10, 0.5f, 0, id);
        }
        assert_int_equal(hs_nms_run(items, 3, 0.5f, 10), 3);
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(items[i].id, i);
    }
}

/* Example of the contract: twelve neighbours of a strong person, and a weaker person elsewhere. */
static void the_limit_applies_after_suppression(void **state)
{
    (void) state;
    struct hs_nms_candidate items[13];
    for (uint32_t i = 0; i < 12; i++)
        items[i] = candidate((float) i * 0.1f, 0, 100 + (float) i * 0.1f, 200, 0.95f - (float) i * 0.001f, 0, i);
    items[12] = candidate(400, 0, 500, 200, 0.7f, 0, 12);
    assert_int_equal(hs_nms_run(items, 13, 0.45f, 10), 2);
    assert_int_equal(items[0].id, 0);
    assert_int_equal(items[1].id, 12);
    assert_int_equal(hs_nms_run(items, 2, 0.45f, 1), 1);
    assert_int_equal(hs_nms_run(items, 2, 0.45f, 0), 0);
    assert_int_equal(hs_nms_run(NULL, 0, 0.45f, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_threshold_is_kept),       cmocka_unit_test(a_suppressed_box_suppresses_nothing),
        cmocka_unit_test(classes_are_suppressed_separately),   cmocka_unit_test(equal_scores_go_by_id),
        cmocka_unit_test(the_limit_applies_after_suppression),
    };
    return HS_RUN_TESTS(tests);
}
