#include "../unit.h"

#include <stdlib.h>

#include "gallery/search_map.h"

enum { IDS = 20000, STEPS = 200000 };

/* Against a plain table, with ids that come and go. */
static void finds_what_is_there(void **state)
{
    (void) state;
    struct hs_search_map map = { 0 };
    uint32_t *rows = calloc(IDS, sizeof(*rows)); /* 0: absent */
    for (int step = 0; step < STEPS; step++) {
        int i = rand() % IDS;
        int64_t id = (int64_t) i * (i % 2 ? INT64_C(-4294967296) : 1);
        const uint32_t *found = hs_search_map_find(&map, id);
        assert_int_equal(found ? *found : 0, rows[i]);
        if (rows[i]) {
            hs_search_map_remove(&map, id);
            rows[i] = 0;
        } else {
            rows[i] = (uint32_t) step + 1;
            assert_int_equal(hs_search_map_add(&map, id, rows[i]), 0);
        }
    }
    for (int i = 0; i < IDS; i++) {
        const uint32_t *found = hs_search_map_find(&map, (int64_t) i * (i % 2 ? INT64_C(-4294967296) : 1));
        assert_int_equal(found ? *found : 0, rows[i]);
    }
    assert_true(hs_search_map_memory(&map) < (size_t) IDS * 64);
    hs_search_map_finish(&map);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_there),
    };
    return HS_RUN_TESTS(tests);
}
