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

/* Four accumulators keep both pipelines busy. */
DOTPROD static int32_t one_row(const int8_t *query, const int8_t *row, size_t stride)
{
    int32x4_t a = vdupq_n_s32(0), b = a, c = a, d = a;
    for (size_t i = 0; i < stride; i += 64) {
        a = vdotq_s32(a, vld1q_s8(query + i), vld1q_s8(row + i));
        b = vdotq_s32(b, vld1q_s8(query + i + 16), vld1q_s8(row + i + 16));
        c = vdotq_s32(c, vld1q_s8(query + i + 32), vld1q_s8(row + i + 32));
        d = vdotq_s32(d, vld1q_s8(query + i + 48), vld1q_s8(row + i + 48));
    }
    return vaddvq_s32(vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)));
}

DOTPROD static void dots(const int8_t *query, const int8_t *rows, size_t stride, size_t count, int32_t *ret_dots)
{
    for (size_t row = 0; row < count; row++)
        ret_dots[row] = one_row(query, rows + row * stride, stride);
}

const struct hs_search_kernel hs_search_dotprod = { "dotprod", usable, dots };
#endif
