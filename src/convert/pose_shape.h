/* Decides from an ONNX file's shapes and metadata whether the service can serve it, and how its outputs are read. */
#ifndef HS_CONVERT_POSE_SHAPE_H
#define HS_CONVERT_POSE_SHAPE_H

#include "convert/label_list.h"
#include "convert/model_kind.h"
#include "convert/onnx_info.h"
#include "hs/status.h"

struct hs_pose_shape {
    enum hs_decode decode;
    enum hs_scores scores;
    int classes, keypoints, dims; /* in: what the user says, 0: not said. out: what holds */
    int input;                    /* in: side wanted where the file leaves it open, 0: what it says, else 640 */
    int width, height, stride;    /* out: as in struct hs_pack_input */
    struct hs_label_list labels;  /* out: `classes` names, from the file; empty where it has none. Caller finishes */
};

/* Fills *shape. HS_EMODEL with the reason where it cannot be served; only the shape's numbers may have changed then. */
int hs_pose_shape_read(const struct hs_onnx_info *info, struct hs_pose_shape *shape, struct hs_error *err);

#endif
