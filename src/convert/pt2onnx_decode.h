/* The nodes that turn the raw heads of one stride into boxes, scores and keypoints. */
#ifndef HS_CONVERT_PT2ONNX_DECODE_H
#define HS_CONVERT_PT2ONNX_DECODE_H

#include "convert/pt2onnx_graph.h"

struct hs_pt_head {
    const char *box, *scores, *keypoints; /* names of values; the scores are logits */
    int64_t stride, bins, points, dims;
};

/* One stride as Ultralytics' export has it: cx cy w h, class probabilities and keypoints of each cell. Gives the name
 * of a value [batch, 4 + classes + points * dims, cells]. */
const char *hs_pt_emit_decode(struct hs_pt_graph *graph, const struct hs_pt_head *head);

#endif
