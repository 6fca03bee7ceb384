/* Turns an Ultralytics YOLOv8 or YOLO11 pose checkpoint (.pt) into ONNX, with no Python.
 *
 * The graph is fully convolutional: `images` is [batch, 3, height, width], RGB 0..1, any sides that are multiples of
 * the largest stride. The outputs are the raw heads, for each stride s
 *     box_s  [batch, 4 * bins, h/s, w/s]      left, top, right, bottom: logits over `bins` distances, in cells
 *     cls_s  [batch, classes, h/s, w/s]       class logits; with `sigmoid` probabilities, as a Hailo HEF gives them
 *     kpt_s  [batch, points * dims, h/s, w/s] x and y as (2 * v + cell index) * s; if dims is 3 a visibility logit
 * `decoded` adds `output0` [batch, 4 + classes + points * dims, cells], as in Ultralytics' own export.
 * The same checkpoint always gives the same bytes. Nothing that the checkpoint holds is executed. */
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
    int image_size;                           /* the side that it was trained at; 0 if the checkpoint does not say */
    char license[HS_PT2ONNX_MAX_LICENSE + 1]; /* as the checkpoint says; "None" if it does not */
    char source_sha256[65];                   /* of the checkpoint */
};

/* Reads pt_path and writes onnx_path atomically. `options` NULL means neither. ret_info may be NULL; else it is filled
 * on success. HS_EMODEL for a checkpoint that is damaged, hostile or of another kind: one line that names the file and
 * the layer. HS_ENOTFOUND, HS_EIO, HS_ENOMEM. Any thread. */
int hs_pt2onnx_convert(const char *pt_path, const char *onnx_path, const struct hs_pt2onnx_options *options,
                       struct hs_pt2onnx_info *ret_info, struct hs_error *err);

#endif
