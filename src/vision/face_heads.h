/* What the anchor-based face networks (SCRFD, RetinaFace) share: outputs found by shape, scores scanned raw, then
 * suppression, then landmarks. Users include scrfd.h or retinaface.h and need only the structs of this page. Pure
 * functions, any thread.
 *
 * Both networks have strides 8, 16 and 32 and two anchors a cell, numbered row by row, column by column, anchor by
 * anchor. An output comes in one of two forms, in any order and number type:
 * - a grid [h, w, 2 * k] (HS_LAYOUT_NHWC or HS_LAYOUT_NCHW), channels anchor by anchor;
 * - a matrix [anchors, k] (HS_LAYOUT_ROWS): of one stride or, where the network joins them, of all strides in turn.
 * k is 4 for boxes, 10 for landmarks (x, y of five points) and the decoder's own for scores. Landmarks may be missing;
 * then they are missing on every stride. */
#ifndef HS_VISION_FACE_HEADS_H
#define HS_VISION_FACE_HEADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "hs/tensor.h"
#include "vision/face_list.h"

enum { HS_FACE_LEVELS = 3, HS_FACE_ANCHORS = 2, HS_FACE_MAX_FACES = 1000 };

/* What each score output holds for one anchor. */
enum hs_face_score {
    HS_FACE_PROBABILITY,      /* k = 1: the probability */
    HS_FACE_LOGIT,            /* k = 1: needs the sigmoid */
    HS_FACE_PROBABILITY_PAIR, /* k = 2: no face, face; softmax done */
    HS_FACE_LOGIT_PAIR,       /* k = 2: no face, face; needs the softmax */
};

/* One stride. The parts are indices into the model's outputs; landmark is -1 where there is none. */
struct hs_face_level {
    int h, w, stride;
    int score, box, landmark;
    bool score_rows, box_rows, landmark_rows; /* that output is a matrix */
    int first_row;                            /* of this stride in a joined matrix, else 0 */
};

/* Made once for a model and input size by hs_scrfd_layout_init or hs_retinaface_layout_init, then only read. */
struct hs_face_layout {
    int input_w, input_h;
    enum hs_face_score score;
    bool has_landmarks;
    struct hs_face_level levels[HS_FACE_LEVELS]; /* by ascending stride */
};

struct hs_face_params {
    float score_threshold; /* 0..1; a face's score is above it */
    float iou_threshold;   /* 0..1; see hs_nms_run */
    int max_faces;         /* 0.., cut to HS_FACE_MAX_FACES; applied after suppression */
};

/* An anchor by its place. */
struct hs_face_anchor {
    int level, stride;
    int x, y;   /* the cell */
    int number; /* 0 or 1: which of the cell's anchors */
};

/* The network's own geometry: raw numbers of an anchor to pixels of the network's input. */
struct hs_face_coding {
    struct hs_rect (*box)(const struct hs_face_anchor *anchor, const float raw[4]);
    struct hs_point (*point)(const struct hs_face_anchor *anchor, float raw_x, float raw_y);
};

/* Finds the part of each output by shape alone. `joined`: matrices hold all strides, else one each. Both sides of the
 * input are multiples of 32. HS_EMODEL with a message that names the shapes where an output fits nowhere, or a place
 * stays empty: so a graph that is bound to another input size is refused here. */
int hs_face_heads_find(const struct hs_tensor_desc *outputs, int output_count, int input_w, int input_h,
                       enum hs_face_score score, bool joined, struct hs_face_layout *ret_layout, struct hs_error *err);

/* See hs_scrfd_decode. */
int hs_face_heads_decode(const struct hs_face_layout *layout, const struct hs_tensor_view *views,
                         const struct hs_face_params *params, const struct hs_face_coding *coding,
                         struct hs_face_list *list);

#endif
