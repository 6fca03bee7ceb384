#include "gallery/search_kernel.h"

#if HS_SEARCH_HAS_DOTPROD
#include <arm_neon.h>
#include <sys/auxv.h>

#ifdef __clang__
#define DOTPROD __attribute__((target("dotprod")))
#else
#define DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

/* HWCAP_ASIMDDP of Linux's asm/hwcap.h: the processor has SDOT and UDOT (Cortex-A76 and later). */
static bool usable(void)
{
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0;
}

/* Four sums a row keep both pipes busy; two rows share what is read of the query. */
DOTPROD static void two_rows(const int8_t *query, const int8_t *rows, size_t stride, int32_t *ret_dots)
{
    int32x4_t a[4], b[4];
    for (int k = 0; k < 4; k++)
        a[k] = b[k] = vdupq_n_s32(0);
    for (size_t i = 0; i < stride; i += 64) {
        for (size_t k = 0; k < 4; k++) {
            int8x16_t q = vld1q_s8(query + i + 16 * k);
            a[k] = vdotq_s32(a[k], q, vld1q_s8(rows + i + 16 * k));
            b[k] = vdotq_s32(b[k], q, vld1q_s8(rows + stride + i + 16 * k));
        }
    }
    ret_dots[0] = vaddvq_s32(vaddq_s32(vaddq_s32(a[0], a[1]), vaddq_s32(a[2], a[3])));
    ret_dots[1] = vaddvq_s32(vaddq_s32(vaddq_s32(b[0], b[1]), vaddq_s32(b[2], b[3])));
}

DOTPROD static int32_t one_row(const int8_t *query, const int8_t *row, size_t stride)
{
    int32x4_t sum = vdupq_n_s32(0);
    for (size_t i = 0; i < stride; i += 16)
        sum = vdotq_s32(sum, vld1q_s8(query + i), vld1q_s8(row + i));
    return vaddvq_s32(sum);
}

DOTPROD static void dots(const int8_t *query, const int8_t *rows, size_t stride, size_t count, int32_t *ret_dots)
{
    size_t row = 0;
    for (; row + 2 <= count; row += 2)
        two_rows(query, rows + row * stride, stride, ret_dots + row);
    if (row < count)
        ret_dots[row] = one_row(query, rows + row * stride, stride);
}

const struct hs_search_kernel hs_search_dotprod = { "dotprod", usable, dots };
#endif
