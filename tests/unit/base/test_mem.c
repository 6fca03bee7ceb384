#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void sizes_that_do_not_fit_are_told(void **state)
{
    (void) state;
    size_t ret = 7;
    assert_true(hs_size_mul(6, 7, &ret));
    assert_int_equal(ret, 42);
    assert_false(hs_size_mul(SIZE_MAX, 2, &ret));
    assert_false(hs_size_add(SIZE_MAX, 1, &ret));
    assert_int_equal(ret, 42);
    assert_true(hs_size_add(40, 3, &ret));
    assert_int_equal(ret, 43);
}

static void memory_that_is_written_to_is_counted(void **state)
{
    (void) state;
    const size_t size = 64 << 20;
    int64_t before = hs_mem_resident();
    assert_true(before > 0);
    char *block = malloc(size);
    assert_non_null(block);
    memset(block, 1, size);
    assert_true(hs_mem_resident() - before > (int64_t) size / 2);
    assert_int_equal(block[size / 2], 1);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_that_do_not_fit_are_told),
        cmocka_unit_test(memory_that_is_written_to_is_counted),
    };
    return HS_RUN_TESTS(tests);
}
