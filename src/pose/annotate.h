/* The picture with boxes, keypoints and edges drawn on it. */
#ifndef HS_POSE_ANNOTATE_H
#define HS_POSE_ANNOTATE_H

#include "base/buf.h"
#include "pose/pipeline.h"

/* Draws result->people over result->image (which must be there, and is only read), turned upright, and encodes it as
 * `format`, HS_IMAGE_JPEG or HS_IMAGE_PNG, appended to out. Points and edges below keypoint_threshold are left out. */
int hs_pose_annotate(const struct hs_pose_result *result, float keypoint_threshold, enum hs_image_format format,
                     struct hs_buf *out, struct hs_error *err);

#endif
