#include "vision/threshold_scan.h"

/* A block is examined without branches, which compilers turn into vector code; nearly all blocks hold nothing. */
enum { BLOCK = 64 };

#define DEFINE_NEXT(name, type, passes)                                                                               \
    static size_t name(const type *v, type limit, size_t count, ptrdiff_t step, size_t from)                          \
    {                                                                                                                 \
        size_t i = from;                                                                                              \
        while (i < count) {                                                                                           \
            size_t end = (i / BLOCK + 1) * BLOCK;                                                                     \
            if (step == 1 && i % BLOCK == 0 && end <= count) {                                                        \
                int any = 0;                                                                                          \
                for (size_t k = 0; k < BLOCK; k++)                                                                    \
                    any |= v[i + k] passes limit;                                                                     \
                if (!any) {                                                                                           \
                    i = end;                                                                                          \
                    continue;                                                                                         \
                }                                                                                                     \
            }                                                                                                         \
            for (; i < end && i < count; i++)                                                                         \
                if (v[(ptrdiff_t) i * step] passes limit)                                                             \
                    return i;                                                                                         \
        }                                                                                                             \
        return count;                                                                                                 \
    }

DEFINE_NEXT(next_f32, float, >)
DEFINE_NEXT(next_u8, uint8_t, >=)
DEFINE_NEXT(next_i8, int8_t, >=)
DEFINE_NEXT(next_u16, uint16_t, >=)

static void range_of(enum hs_dtype dtype, int32_t *ret_min, int32_t *ret_max)
{
    *ret_min = dtype == HS_DTYPE_I8 ? INT8_MIN : 0;
    *ret_max = dtype == HS_DTYPE_I8 ? INT8_MAX : dtype == HS_DTYPE_U16 ? UINT16_MAX : UINT8_MAX;
}

struct hs_threshold hs_threshold_of(const struct hs_tensor_view *view, float real)
{
    struct hs_threshold limit = {.dtype = view->dtype, .above = real};
    if (view->dtype == HS_DTYPE_F32)
        return limit;
    /* Real values grow with stored ones, so the border is found by halving. The expression is that of hs_tensor_at:
     * another rounding would put a value on the border on the other side. */
    int32_t low, high;
    range_of(view->dtype, &low, &high);
    high++;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (((float) middle - view->zero_point) * view->scale > real)
            high = middle;
        else
            low = middle + 1;
    }
    limit.at_least = low;
    return limit;
}

size_t hs_threshold_next(const struct hs_threshold *limit, const void *run, size_t count, ptrdiff_t step, size_t from)
{
    int32_t min, max;
    if (limit->dtype == HS_DTYPE_F32)
        return next_f32(run, limit->above, count, step, from);
    range_of(limit->dtype, &min, &max);
    if (limit->at_least > max)
        return count;
    int32_t at_least = limit->at_least < min ? min : limit->at_least;
    switch (limit->dtype) {
    case HS_DTYPE_U16:
        return next_u16(run, (uint16_t) at_least, count, step, from);
    case HS_DTYPE_I8:
        return next_i8(run, (int8_t) at_least, count, step, from);
    default:
        return next_u8(run, (uint8_t) at_least, count, step, from);
    }
}
