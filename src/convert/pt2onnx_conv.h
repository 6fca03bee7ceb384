/* The convolution of a checkpoint as one node of a graph. */
#ifndef HS_CONVERT_PT2ONNX_CONV_H
#define HS_CONVERT_PT2ONNX_CONV_H

#include "convert/pt2onnx_module.h"

/* Emits torch's Conv2d `m`, with the batch norm `norm` after it folded in (its value NULL or None: there is none) and,
 * if `order` is not NULL, its output channels put in that order; `order_len` must be their number. */
struct hs_pt_edge hs_pt_emit_conv(const struct hs_pt_module *m, const struct hs_pt_module *norm, const size_t *order,
                                  size_t order_len, struct hs_pt_edge x);

/* Whether a window of this size, moved by `stride`, makes of every side that is a multiple of the stride that side
 * divided by it: the outputs of a network promise sides of exactly that. */
bool hs_pt_window_divides(int64_t kernel, int64_t padding, int64_t dilation, int64_t stride);

#endif
