#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "gallery/search_kernel.h"

enum { MAX_STRIDE = 8192, ROWS = 11 };

static int8_t extreme(void)
{
    static const int8_t values[] = { -127, 127, 0, 1, -1 };
    return values[rand() % 5];
}

static void fill(int8_t *bytes, size_t count, int kind)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = kind == 0   ? (int8_t) (rand() % 255 - 127)
                   : kind == 1 ? 127
                   : kind == 2 ? -127
                   : kind == 3 ? extreme()
                               : 0;
}

static void compare(const struct hs_search_kernel *kernel, const int8_t *query, const int8_t *rows, size_t stride)
{
    for (size_t count = 0; count <= ROWS; count++) {
        int32_t expected[ROWS + 1], dots[ROWS + 1];
        for (size_t i = 0; i <= ROWS; i++)
            expected[i] = dots[i] = 0x5a5a5a5a;
        hs_search_portable.dots(query, rows, stride, count, expected);
        kernel->dots(query, rows, stride, count, dots);
        assert_memory_equal(dots, expected, sizeof(dots));
    }
}

static void all_kernels_give_the_same_integers(void **state)
{
    (void) state;
    static const size_t strides[] = { 64, 128, 192, 512, 576, 1024, MAX_STRIDE };
    int8_t *query = aligned_alloc(HS_SEARCH_ALIGN, MAX_STRIDE);
    int8_t *rows = aligned_alloc(HS_SEARCH_ALIGN, (size_t) MAX_STRIDE * ROWS);
    for (const struct hs_search_kernel *const *kernel = hs_search_kernels(); *kernel; kernel++) {
        if (!(*kernel)->usable()) {
            printf("# %s: this processor does not have it\n", (*kernel)->name);
            continue;
        }
        printf("# %s\n", (*kernel)->name);
        for (size_t s = 0; s < sizeof(strides) / sizeof(strides[0]); s++)
            for (int kind = 0; kind < 25; kind++) {
                fill(query, strides[s], kind % 5);
                fill(rows, strides[s] * ROWS, kind / 5);
                compare(*kernel, query, rows, strides[s]);
            }
    }
    free(query);
    free(rows);
}

static void the_best_one_is_usable(void **state)
{
    (void) state;
    assert_true(hs_search_kernel_best()->usable());
    assert_true(hs_search_portable.usable());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kernels_give_the_same_integers),
        cmocka_unit_test(the_best_one_is_usable),
    };
    return HS_RUN_TESTS(tests);
}
