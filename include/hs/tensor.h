/* Tensors that backends return and decoders read: native number type, native order, never copied. */
#ifndef HS_TENSOR_H
#define HS_TENSOR_H

#include <stddef.h>
#include <stdint.h>

enum hs_dtype { HS_DTYPE_U8, HS_DTYPE_I8, HS_DTYPE_U16, HS_DTYPE_F32 };

/* Order in memory of the dimensions after the batch. HS_LAYOUT_ROWS is a matrix [rows, columns] (for instance
 * [56, 8400] of a usual YOLO export), stored as h = rows, w = columns, c = 1. */
enum hs_layout { HS_LAYOUT_NCHW, HS_LAYOUT_NHWC, HS_LAYOUT_ROWS };

enum { HS_TENSOR_NAME_SIZE = 64 };

/* One input or output of a loaded model, without its batch dimension.
 * real value = (stored - zero_point) * scale; for HS_DTYPE_F32 scale is 1 and zero_point 0. */
struct hs_tensor_desc {
    char name[HS_TENSOR_NAME_SIZE];
    enum hs_dtype dtype;
    enum hs_layout layout;
    int h, w, c;
    float scale, zero_point;
    size_t size_bytes;
};

/* A view of a tensor's data. Strides are in elements, so that one decoder reads both NCHW and NHWC. Borrows `data`. */
struct hs_tensor_view {
    const void *data;
    enum hs_dtype dtype;
    int h, w, c;
    ptrdiff_t stride_h, stride_w, stride_c;
    float scale, zero_point;
};

/* Returns the view of a tightly packed tensor; it borrows `data`. */
static inline struct hs_tensor_view hs_tensor_view_of(const struct hs_tensor_desc *desc, const void *data)
{
    struct hs_tensor_view view;
    view.data = data;
    view.dtype = desc->dtype;
    view.h = desc->h;
    view.w = desc->w;
    view.c = desc->c;
    view.scale = desc->scale;
    view.zero_point = desc->zero_point;
    if (desc->layout == HS_LAYOUT_NHWC) {
        view.stride_c = 1;
        view.stride_w = desc->c;
        view.stride_h = (ptrdiff_t) desc->w * desc->c;
    } else {
        view.stride_w = 1;
        view.stride_h = desc->w;
        view.stride_c = (ptrdiff_t) desc->h * desc->w;
    }
    return view;
}

static inline size_t hs_dtype_size(enum hs_dtype dtype)
{
    return dtype == HS_DTYPE_F32 ? 4 : dtype == HS_DTYPE_U16 ? 2 : 1;
}

/* Returns the real value at element offset `at` (a sum of index * stride). */
static inline float hs_tensor_at(const struct hs_tensor_view *view, ptrdiff_t at)
{
    switch (view->dtype) {
    case HS_DTYPE_F32:
        return ((const float *) view->data)[at];
    case HS_DTYPE_U16:
        return ((float) ((const uint16_t *) view->data)[at] - view->zero_point) * view->scale;
    case HS_DTYPE_I8:
        return ((float) ((const int8_t *) view->data)[at] - view->zero_point) * view->scale;
    case HS_DTYPE_U8:
    default:
        return ((float) ((const uint8_t *) view->data)[at] - view->zero_point) * view->scale;
    }
}

static inline float hs_tensor_get(const struct hs_tensor_view *view, int y, int x, int c)
{
    return hs_tensor_at(view, y * view->stride_h + x * view->stride_w + c * view->stride_c);
}

#endif
