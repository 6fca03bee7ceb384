/* Decoder of YOLOv8-pose and YOLO11-pose networks. Pure functions on tensors: no threads, no files, nothing global.
 *
 * Two forms of output are understood:
 * - raw heads: for each of 1..5 strides three tensors over the same grid, with 4 * bins channels (box sides as
 *   distributions over bins), `classes` channels (scores) and keypoints * dims channels. Tensors come in any order and
 *   any layout and number type; they are identified by shape alone, never by name.
 * - rows: one matrix [4 + classes + keypoints * dims, N] (or its transpose), an ordinary Ultralytics export, boxes as
 *   centre and size in input pixels, scores and visibilities as probabilities. */
#ifndef HS_VISION_YOLO_POSE_H
#define HS_VISION_YOLO_POSE_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"
#include "hs/tensor.h"
#include "vision/pose_list.h"

enum {
    HS_YOLO_POSE_MAX_LEVELS = 5,
    HS_YOLO_POSE_MAX_BINS = 64,
    HS_YOLO_POSE_MAX_CLASSES = 4096,
    HS_YOLO_POSE_MAX_KEYPOINTS = 512,
    HS_YOLO_POSE_MAX_DETECTIONS = 1000,
};

/* The model according to its pack, and the size of its input. */
struct hs_yolo_pose_spec {
    int classes;
    int keypoints;
    int dims;          /* numbers a keypoint: 3 with visibility, 2 without (then each gets confidence 1) */
    bool score_logits; /* raw heads only: scores still need the sigmoid (our ONNX: yes, Hailo's HEF: no) */
    int input_w, input_h;
};

/* Which output plays which part on one stride; indices into the model's outputs. */
struct hs_yolo_pose_level {
    int h, w, stride;
    int box, score, keypoint;
};

/* Made once for a model and input size, then only read. */
struct hs_yolo_pose_layout {
    struct hs_yolo_pose_spec spec;
    bool rows;            /* one matrix instead of raw heads */
    bool rows_transposed; /* it is [N, channels] */
    int output_count;
    int bins;
    int level_count; /* by ascending stride */
    struct hs_yolo_pose_level levels[HS_YOLO_POSE_MAX_LEVELS];
};

/* Finds the part of each output. HS_EMODEL with a message that names the shapes if they do not fit the spec or fit it
 * in more than one way (classes == keypoints * dims, for example: then the shapes do not separate them). */
int hs_yolo_pose_layout_init(const struct hs_tensor_desc *outputs, int output_count,
                             const struct hs_yolo_pose_spec *spec, struct hs_yolo_pose_layout *ret_layout,
                             struct hs_error *err);

struct hs_yolo_pose_params {
    float score_threshold; /* 0..1; a detection's score is above it */
    float iou_threshold;   /* 0..1; see hs_nms_run */
    int max_detections;    /* 0.., cut to HS_YOLO_POSE_MAX_DETECTIONS; applied after suppression */
};

/* Decodes one picture's outputs; views[i] is output i as described to hs_yolo_pose_layout_init. Each cell counts with
 * its best class. The list is emptied first, then holds the detections by descending score, in pixels of the network's
 * input, not clamped. Scores are compared in their raw form, and only cells above the threshold are decoded further.
 * A cell with a NaN, an infinity or an inverted box is no detection. Memory: 12 bytes for each cell above the
 * threshold, 32 for each of at most HS_NMS_MAX_CANDIDATES, and the list. HS_ENOMEM is the only failure. Any thread,
 * one list a thread. */
int hs_yolo_pose_decode(const struct hs_yolo_pose_layout *layout, const struct hs_tensor_view *views,
                        const struct hs_yolo_pose_params *params, struct hs_pose_list *list);

#endif
