#include "gallery/search_kernel.h"

#if defined(__aarch64__)
#include <arm_neon.h>

/* Mandatory on aarch64. */
static bool usable(void)
{
    return true;
}

/* The sum of two products is at most 2 * 127 * 127, which fits in sixteen bits, because -128 does not occur. */
static inline int32x4_t add_products(int32x4_t sum, int8x16_t query, const int8_t *row)
{
    int8x16_t r = vld1q_s8(row);
    int16x8_t pairs = vmull_s8(vget_low_s8(query), vget_low_s8(r));
    return vpadalq_s16(sum, vmlal_high_s8(pairs, query, r));
}

static int32_t one_row(const int8_t *query, const int8_t *row, size_t stride)
{
    int32x4_t a = vdupq_n_s32(0), b = a, c = a, d = a;
    for (size_t i = 0; i < stride; i += 64) {
        a = add_products(a, vld1q_s8(query + i), row + i);
        b = add_products(b, vld1q_s8(query + i + 16), row + i + 16);
        c = add_products(c, vld1q_s8(query + i + 32), row + i + 32);
        d = add_products(d, vld1q_s8(query + i + 48), row + i + 48);
    }
    return vaddvq_s32(vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)));
}

static void dots(const int8_t *query, const int8_t *rows, size_t stride, size_t count, int32_t *ret_dots)
{
    for (size_t row = 0; row < count; row++)
        ret_dots[row] = one_row(query, rows + row * stride, stride);
}

const struct hs_search_kernel hs_search_neon = { "neon", usable, dots };
#endif
