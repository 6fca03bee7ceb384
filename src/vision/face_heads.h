/* Decodes anchor-based face detectors. Pure functions on tensors: no threads, no files, no global
 * state.
 *
 * SCRFD (InsightFace, "Sample and Computation Redistribution for Efficient Face Detection",
 * arXiv:2105.04714): box numbers are the distances left, top, right and bottom, in strides, from the
 * anchor (x * stride, y * stride), without a half-cell offset. Landmark numbers are offsets in strides
 * from the same point.
 *
 * RetinaFace with the priors of biubug6's PyTorch port (arXiv:1905.00641; SSD's box coding,
 * arXiv:1512.02325): a prior of size a (16 32, 64 128, 256 512 pixels) has its centre in the middle of
 * its cell, p = ((x + 0.5) * stride, (y + 0.5) * stride). Its box has the centre p + 0.1 * a * (dx, dy)
 * and the sides a * exp(0.2 * (dw, dh)); its landmarks are p + 0.1 * a * (dx, dy).
 *
 * Both have the strides 8, 16 and 32 and two anchors per cell, numbered row by row, column by column,
 * anchor by anchor. An output has one of two forms, in any order and number type, and is identified by
 * its shape alone:
 * - a grid [h, w, 2 * k] (HS_LAYOUT_NHWC or HS_LAYOUT_NCHW), channels anchor by anchor (HEF);
 * - a matrix [anchors, k] (HS_LAYOUT_ROWS, ONNX exports) of one stride (SCRFD) or of all strides in order (RetinaFace).
 * k is 4 for boxes, 10 for landmarks (x, y of five points), and for scores 1 (SCRFD) or 2 (RetinaFace:
 * no face, face). Landmarks are optional, but all strides have them or none. */
#ifndef HS_VISION_FACE_HEADS_H
#define HS_VISION_FACE_HEADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "hs/tensor.h"
#include "vision/face_list.h"

enum { HS_FACE_LEVELS = 3, HS_FACE_ANCHORS = 2, HS_FACE_MAX_FACES = 1000 };

enum hs_face_network { HS_FACE_SCRFD, HS_FACE_RETINAFACE };

enum hs_face_part { HS_FACE_SCORE, HS_FACE_BOX, HS_FACE_POINTS, HS_FACE_PARTS };

/* One stride. */
struct hs_face_level {
    int h, w, stride;
    int output[HS_FACE_PARTS]; /* index into the model's outputs; -1 for missing landmarks */
    bool rows[HS_FACE_PARTS];  /* the output is a matrix */
    int first_row;             /* first row of this stride in a joined matrix, else 0 */
};

/* Created by hs_face_layout_init for one model and input size; read-only afterwards. */
struct hs_face_layout {
    enum hs_face_network network;
    int input_w, input_h;
    bool score_logits;
    bool has_landmarks;
    struct hs_face_level levels[HS_FACE_LEVELS]; /* by ascending stride */
};

struct hs_face_params {
    float score_threshold; /* 0..1; faces need a higher score */
    float iou_threshold;   /* 0..1; see hs_nms_run */
    int max_faces;         /* 0.., capped at HS_FACE_MAX_FACES; applied after NMS */
};

/* Returns the numbers per anchor in an output. */
static inline int hs_face_part_width(enum hs_face_network network, enum hs_face_part part)
{
    return part == HS_FACE_BOX ? 4 : part == HS_FACE_POINTS ? 10 : network == HS_FACE_RETINAFACE ? 2 : 1;
}

/* Assigns each output to a part and a stride. Both input sides are multiples of 32. With `score_logits`
 * the decoder applies the sigmoid (SCRFD) or the softmax over "no face, face" (RetinaFace). Fails with
 * HS_EMODEL and a message with the shapes if an output matches nothing or one is missing; so does a
 * graph with another fixed input size. */
int hs_face_layout_init(enum hs_face_network network, const struct hs_tensor_desc *outputs, int output_count,
                        int input_w, int input_h, bool score_logits, struct hs_face_layout *ret_layout,
                        struct hs_error *err);

/* Decodes the outputs of one image; views[i] is output i as described to hs_face_layout_init. Clears
 * the list, then fills it with the faces by descending score, in pixels of the network's input, not
 * clamped. Compares scores in their raw form and decodes only anchors above the threshold; decodes
 * landmarks only for boxes that NMS keeps. Skips anchors with a NaN, an infinity or an inverted box.
 * Fails only with HS_ENOMEM. Any thread, one list per thread. */
int hs_face_decode(const struct hs_face_layout *layout, const struct hs_tensor_view *views,
                   const struct hs_face_params *params, struct hs_face_list *list);

#endif
