/* Decoder of RetinaFace detectors with the priors of biubug6's PyTorch port: steps 8, 16, 32, sizes 16 32, 64 128,
 * 256 512 pixels, variances 0.1 and 0.2 (arXiv:1905.00641; SSD's box coding, arXiv:1512.02325). Pure functions on
 * tensors: no threads, no files, nothing global.
 *
 * Outputs, in any order, told apart by shape alone:
 * - ONNX exports: loc [N, 4], conf [N, 2] and landms [N, 10] with the anchors of all strides (HS_LAYOUT_ROWS);
 * - HEF: for each stride grids of 8, 4 and 20 channels, quantised (HS_LAYOUT_NHWC), or the same as HS_LAYOUT_NCHW.
 * A prior of size a stands on the middle of its cell, p = ((x + 0.5) * stride, (y + 0.5) * stride). Its box has the
 * centre p + 0.1 * a * (dx, dy) and the sides a * exp(0.2 * (dw, dh)); its landmarks are p + 0.1 * a * (dx, dy). */
#ifndef HS_VISION_RETINAFACE_H
#define HS_VISION_RETINAFACE_H

#include "vision/face_heads.h"

/* Finds the part of each output; landmarks may be missing. `score_logits`: the softmax over "no face, face" is still to
 * be done (HEF: yes, our ONNX: no). HS_EMODEL with a message that names the shapes where they are not those of this
 * input size. */
int hs_retinaface_layout_init(const struct hs_tensor_desc *outputs, int output_count, int input_w, int input_h,
                              bool score_logits, struct hs_face_layout *ret_layout, struct hs_error *err);

/* As hs_scrfd_decode. */
int hs_retinaface_decode(const struct hs_face_layout *layout, const struct hs_tensor_view *views,
                         const struct hs_face_params *params, struct hs_face_list *list);

#endif
