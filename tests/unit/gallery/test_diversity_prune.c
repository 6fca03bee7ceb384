#include "../unit.h"

#include <math.h>

#include "gallery/diversity_prune.h"

static void feed(struct hs_prune *kept, int64_t id, const char *space, float x, float y, double score)
{
    float values[] = { x, y };
    assert_int_equal(hs_prune_add(kept, id, space, values, 2, score), 0);
}

/* Of the most similar pair (1 and 3) the one of lower quality is dropped; each space is counted separately. */
static void test_lower_score_is_dropped(void **state)
{
    (void) state;
    struct hs_prune kept;
    hs_prune_init(&kept, 2);
    feed(&kept, 1, "a", 1, 0, 0.5);
    feed(&kept, 2, "a", 0, 1, 0.1);
    feed(&kept, 7, "b", 1, 0, 0);
    assert_int_equal(kept.dropped_count, 0);
    feed(&kept, 3, "a", 0.96F, 0.28F, 0.4);
    assert_int_equal(kept.dropped_count, 1);
    assert_int_equal(kept.dropped[0], 3);
    feed(&kept, 4, "a", 0.28F, 0.96F, 0.4);
    assert_int_equal(kept.dropped_count, 2);
    assert_int_equal(kept.dropped[1], 2);
    assert_int_equal(kept.count, 3);
    hs_prune_finish(&kept);
}

static void test_older_is_dropped(void **state)
{
    (void) state;
    struct hs_prune kept;
    hs_prune_init(&kept, 2);
    feed(&kept, 1, "a", 1, 0, 0);
    feed(&kept, 2, "a", -1, 0, 0);
    feed(&kept, 3, "a", 1, 0, 0);
    assert_int_equal(kept.dropped_count, 1);
    assert_int_equal(kept.dropped[0], 1);
    hs_prune_finish(&kept);
}

static void test_one_only(void **state)
{
    (void) state;
    struct hs_prune kept;
    hs_prune_init(&kept, 1);
    for (int64_t id = 1; id <= 50; id++)
        feed(&kept, id, "a", id % 2 ? 1 : -1, 0, id == 20 ? 1 : 0);
    assert_int_equal(kept.count, 1);
    assert_int_equal(kept.dropped_count, 49);
    for (size_t i = 0; i < kept.dropped_count; i++)
        assert_int_not_equal(kept.dropped[i], 20);
    hs_prune_finish(&kept);
}

static void test_unusable_is_dropped_first(void **state)
{
    (void) state;
    struct hs_prune kept;
    hs_prune_init(&kept, 2);
    feed(&kept, 1, "a", 1, 0, 0);
    assert_int_equal(hs_prune_add(&kept, 2, "a", NULL, 0, 1), 0);
    feed(&kept, 3, "a", 1, 0, 0);
    assert_int_equal(kept.dropped[0], 2);
    hs_prune_finish(&kept);
}

static void feed_angle(struct hs_prune *kept, int64_t id, float degrees, double score)
{
    float radians = degrees * 0.01745329F;
    feed(kept, id, "a", cosf(radians), sinf(radians), score);
}

/* Drops the nearest neighbour of the last item. Its new nearest neighbour must be another item, not itself. */
static void test_nearest_of_the_last(void **state)
{
    (void) state;
    struct hs_prune kept;
    hs_prune_init(&kept, 3);
    feed_angle(&kept, 1, 0, 0);
    feed_angle(&kept, 2, 120, 0.9);
    feed_angle(&kept, 3, 200, 0.5);
    feed_angle(&kept, 4, 10, 0.9);
    assert_int_equal(kept.dropped_count, 1);
    assert_int_equal(kept.dropped[0], 1);
    /* 2 and 3 are now the nearest pair: 80 degrees, all others at least 85. */
    feed_angle(&kept, 5, 285, 0.9);
    assert_int_equal(kept.dropped_count, 2);
    assert_int_equal(kept.dropped[1], 3);
    hs_prune_finish(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower_score_is_dropped),
        cmocka_unit_test(test_older_is_dropped),
        cmocka_unit_test(test_one_only),
        cmocka_unit_test(test_unusable_is_dropped_first),
        cmocka_unit_test(test_nearest_of_the_last),
    };
    return HS_RUN_TESTS(tests);
}
