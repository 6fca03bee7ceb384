/* Converts an Ultralytics YOLOv8 or YOLO11 pose checkpoint (.pt) to ONNX, without Python.
 *
 * The graph is fully convolutional: `images` is [batch, 3, height, width], RGB 0..1; height and width may be any
 * multiples of the largest stride. The outputs are the raw heads, for each stride s
 *     box_s  [batch, 4 * bins, h/s, w/s]      left, top, right, bottom: logits over `bins` distances, in cells
 *     cls_s  [batch, classes, h/s, w/s]       class logits; with `sigmoid` probabilities, as in a Hailo HEF
 *     kpt_s  [batch, points * dims, h/s, w/s] x and y as (2 * v + cell index) * s; a visibility logit if dims is 3
 * `decoded` adds `output0` [batch, 4 + classes + points * dims, cells], as in Ultralytics' own export.
 * The same checkpoint always gives the same bytes. No code in the checkpoint is executed. */
#ifndef HS_CONVERT_PT2ONNX_H
#define HS_CONVERT_PT2ONNX_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"

enum {
    HS_PT2ONNX_MAX_LEVELS = 8,
    HS_PT2ONNX_MAX_CLASSES = 10000,
    HS_PT2ONNX_MAX_POINTS = 10000,
    HS_PT2ONNX_MAX_LICENSE = 1000,
};

struct hs_pt2onnx_options {
    bool sigmoid, decoded;
};

struct hs_pt2onnx_info {
    int classes;
    int keypoints, keypoint_dims; /* dims 2: x, y; 3: and visibility */
    int bins;
    int levels, strides[HS_PT2ONNX_MAX_LEVELS];
    int image_size;                           /* side used in training; 0 if the checkpoint does not record it */
    char license[HS_PT2ONNX_MAX_LICENSE + 1]; /* from the checkpoint; "None" if absent */
    char source_sha256[65];                   /* of the checkpoint */
};

/* Converts the checkpoint pt_path and writes onnx_path atomically. `options` NULL means neither
 * option. Fills *ret_info (may be NULL) on success. HS_EMODEL for a checkpoint that is damaged,
 * hostile or of another kind, with one line that names the file and the layer. HS_ENOTFOUND,
 * HS_EIO, HS_ENOMEM. Any thread. */
int hs_pt2onnx_convert(const char *pt_path, const char *onnx_path, const struct hs_pt2onnx_options *options,
                       struct hs_pt2onnx_info *ret_info, struct hs_error *err);

#endif
