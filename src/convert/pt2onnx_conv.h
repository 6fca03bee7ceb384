/* The convolution of a checkpoint as one node of a graph. */
#ifndef HS_CONVERT_PT2ONNX_CONV_H
#define HS_CONVERT_PT2ONNX_CONV_H

#include "convert/pt2onnx_graph.h"

/* Emits torch's Conv2d `module`, with the batch norm `norm` after it folded in (NULL or None: there is none) and, where
 * `order` is not NULL, its output channels put in that order; `order_len` must be their number. */
struct hs_pt_edge hs_pt_emit_conv(struct hs_pt_graph *graph, const struct hs_pickle_value *module,
                                  const struct hs_pickle_value *norm, const size_t *order, size_t order_len,
                                  struct hs_pt_edge x, const char *path);

/* Whether a window of this size, moved by `stride`, makes of every side that is a multiple of the stride that side
 * divided by it: the outputs of a network promise sides of exactly that. */
bool hs_pt_window_divides(int64_t kernel, int64_t padding, int64_t dilation, int64_t stride);

#endif
