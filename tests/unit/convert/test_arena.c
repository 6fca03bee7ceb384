#include "../unit.h"

#include <stdint.h>
#include <string.h>

#include "convert/arena.h"

static void memory_is_zero_and_aligned(void **state)
{
    (void) state;
    struct hs_arena arena;
    hs_arena_init(&arena, 16 << 20);
    for (size_t size = 0; size < 3000; size++) {
        unsigned char *data = hs_arena_alloc(&arena, size);
        assert_non_null(data);
        assert_int_equal((uintptr_t) data % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(data[i], 0);
        memset(data, 0xff, size);
    }
    hs_arena_finish(&arena);
}

static void large_allocations_keep_the_current_block(void **state)
{
    (void) state;
    struct hs_arena arena;
    hs_arena_init(&arena, 4 << 20);
    char *first = hs_arena_alloc(&arena, 16), *large = hs_arena_alloc(&arena, 1 << 20);
    char *second = hs_arena_alloc(&arena, 16);
    assert_non_null(large);
    assert_ptr_equal(second, first + 16);
    memset(large, 1, 1 << 20);
    assert_int_equal(second[0], 0);
    hs_arena_finish(&arena);
}

static void the_maximum_is_enforced(void **state)
{
    (void) state;
    struct hs_arena arena;
    hs_arena_init(&arena, 1 << 20);
    size_t count = 0;
    while (hs_arena_alloc(&arena, 1000))
        count++;
    assert_in_range(count, 900, 1048);
    assert_true(arena.used <= arena.max);
    assert_true(arena.full);
    hs_arena_finish(&arena);
    assert_false(arena.full);
    assert_null(hs_arena_alloc(&arena, (1 << 20) + 1));
    assert_null(hs_arena_alloc(&arena, SIZE_MAX));
    assert_null(hs_arena_alloc(&arena, SIZE_MAX - 8));
    assert_non_null(hs_arena_alloc(&arena, 1000));
    hs_arena_finish(&arena);
    hs_arena_finish(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zero_and_aligned),
        cmocka_unit_test(large_allocations_keep_the_current_block),
        cmocka_unit_test(the_maximum_is_enforced),
    };
    return HS_RUN_TESTS(tests);
}
