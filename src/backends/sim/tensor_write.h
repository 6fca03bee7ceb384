/* Writes tensors, the inverse of hs_tensor_at, and describes tightly packed grids. */
#ifndef HS_BACKENDS_SIM_TENSOR_WRITE_H
#define HS_BACKENDS_SIM_TENSOR_WRITE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "hs/tensor.h"

/* Stores `value` in the description's type, rounded and clamped to the range of that type. */
static inline void hs_sim_tensor_set(const struct hs_tensor_desc *desc, void *data, size_t at, float value)
{
    if (desc->dtype == HS_DTYPE_F32) {
        ((float *) data)[at] = value;
        return;
    }
    float most = desc->dtype == HS_DTYPE_U16 ? UINT16_MAX : UINT8_MAX;
    float stored = fminf(fmaxf(roundf(value / desc->scale + desc->zero_point), 0), most);
    if (desc->dtype == HS_DTYPE_U16)
        ((uint16_t *) data)[at] = (uint16_t) stored;
    else
        ((uint8_t *) data)[at] = (uint8_t) stored;
}

/* Describes a grid of one stride over an input of this size; sides are rounded up to whole cells.
 * Uses scale and zero_point unless the type is float32. */
static inline void hs_sim_describe(struct hs_tensor_desc *ret_desc, const char *name, int stride, int input_h,
                                   int input_w, int channels, enum hs_dtype dtype, float scale, float zero_point)
{
    *ret_desc = (struct hs_tensor_desc) {
        .dtype = dtype,
        .layout = HS_LAYOUT_NHWC,
        .h = (input_h + stride - 1) / stride,
        .w = (input_w + stride - 1) / stride,
        .c = channels,
        .scale = dtype == HS_DTYPE_F32 ? 1 : scale,
        .zero_point = dtype == HS_DTYPE_F32 ? 0 : zero_point,
    };
    hs_str_format(ret_desc->name, sizeof(ret_desc->name), "sim/%s_%d", name, stride);
    ret_desc->size_bytes =
        (size_t) ret_desc->h * (size_t) ret_desc->w * (size_t) channels * hs_dtype_size(ret_desc->dtype);
}

/* Returns the index of the first number of cell (x, y). */
static inline size_t hs_sim_cell(const struct hs_tensor_desc *desc, int x, int y)
{
    return ((size_t) y * (size_t) desc->w + (size_t) x) * (size_t) desc->c;
}

#endif
