/* Decodes YOLOv8-pose and YOLO11-pose networks. Pure functions on tensors: no threads, no files, no
 * global state.
 *
 * Two forms of output are supported:
 * - raw heads: for each of 1..5 strides three tensors over the same grid, with 4 * bins channels (box sides as
 *   distributions over bins), `classes` channels (scores) and keypoints * dims channels. Tensors come in any order,
 *   layout and number type; they are identified by shape alone, never by name.
 * - rows: one matrix [4 + classes + keypoints * dims, N] or its transpose, as in ordinary Ultralytics exports: boxes
 *   as centre and size in input pixels, scores and visibilities as probabilities. */
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

/* Model properties from its pack, and the input size. */
struct hs_yolo_pose_spec {
    int classes;
    int keypoints;
    int dims;          /* numbers per keypoint: 3 with visibility, 2 without (confidence is then 1) */
    bool score_logits; /* raw heads only: scores are logits (our ONNX: yes, Hailo's HEF: no) */
    int input_w, input_h;
};

/* Outputs of one stride by role; indices into the model's outputs. */
struct hs_yolo_pose_level {
    int h, w, stride;
    int box, score, keypoint;
};

/* Created once for a model and input size; read-only afterwards. */
struct hs_yolo_pose_layout {
    struct hs_yolo_pose_spec spec;
    bool rows;            /* one matrix instead of raw heads */
    bool rows_transposed; /* the matrix is [N, channels] */
    int output_count;
    int bins;
    int level_count; /* levels are sorted by ascending stride */
    struct hs_yolo_pose_level levels[HS_YOLO_POSE_MAX_LEVELS];
};

/* Assigns each output to a role and a stride. Fails with HS_EMODEL and a message with the shapes if
 * they do not match the spec, or match it in more than one way (for example if
 * classes == keypoints * dims). */
int hs_yolo_pose_layout_init(const struct hs_tensor_desc *outputs, int output_count,
                             const struct hs_yolo_pose_spec *spec, struct hs_yolo_pose_layout *ret_layout,
                             struct hs_error *err);

struct hs_yolo_pose_params {
    float score_threshold; /* 0..1; detections need a higher score */
    float iou_threshold;   /* 0..1; see hs_nms_run */
    int max_detections;    /* 0.., capped at HS_YOLO_POSE_MAX_DETECTIONS; applied after NMS */
};

/* Decodes the outputs of one image; views[i] is output i as described to hs_yolo_pose_layout_init. Each
 * cell yields at most one detection, of its best class. Clears the list, then fills it with the
 * detections by descending score, in pixels of the network's input, not clamped. Compares scores in
 * their raw form and decodes only cells above the threshold. Skips cells with a NaN, an infinity or an
 * inverted box. Memory: 12 bytes for each cell above the threshold, 32 for each of at most
 * HS_NMS_MAX_CANDIDATES, and the list. Fails only with HS_ENOMEM. Any thread, one list per thread. */
int hs_yolo_pose_decode(const struct hs_yolo_pose_layout *layout, const struct hs_tensor_view *views,
                        const struct hs_yolo_pose_params *params, struct hs_pose_list *list);

#endif
