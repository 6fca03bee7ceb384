/* Decoder of SCRFD face detectors (InsightFace, "Sample and Computation Redistribution for Efficient Face Detection",
 * arXiv:2105.04714). Pure functions on tensors: no threads, no files, nothing global.
 *
 * Outputs: for each of the strides 8, 16, 32 the scores, boxes and, in the "kps" networks, landmarks of two anchors a
 * cell. Two forms, in any order, told apart by shape alone:
 * - ONNX exports: [N, 1], [N, 4], [N, 10] with N = 2 * (input_h / stride) * (input_w / stride), with or without a
 *   batch dimension of 1 (HS_LAYOUT_ROWS);
 * - HEF: grids of 2, 8 and 20 channels, quantised (HS_LAYOUT_NHWC), or the same as HS_LAYOUT_NCHW.
 * Box numbers are the distances left, top, right, bottom in strides from the anchor (x * stride, y * stride), which has
 * no half cell; landmark numbers are offsets in strides from there. */
#ifndef HS_VISION_SCRFD_H
#define HS_VISION_SCRFD_H

#include "vision/face_heads.h"

/* Finds the part of each of the 9 outputs (6: no landmarks). `score_logits`: scores still need the sigmoid (the usual
 * exports and HEFs: no). HS_EMODEL with a message that names the shapes where they are not those of this input size. */
int hs_scrfd_layout_init(const struct hs_tensor_desc *outputs, int output_count, int input_w, int input_h,
                         bool score_logits, struct hs_face_layout *ret_layout, struct hs_error *err);

/* Decodes one picture's outputs; views[i] is output i as described to hs_scrfd_layout_init. The list is emptied first,
 * then holds the faces by descending score, in pixels of the network's input, not clamped. Scores are compared in
 * their raw form, and only anchors above the threshold are decoded further; landmarks only for what suppression keeps.
 * An anchor with a NaN, an infinity or an inverted box is no face. HS_ENOMEM is the only failure. Any thread, one list
 * a thread. */
int hs_scrfd_decode(const struct hs_face_layout *layout, const struct hs_tensor_view *views,
                    const struct hs_face_params *params, struct hs_face_list *list);

#endif
