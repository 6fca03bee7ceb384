/* Draws boxes, keypoints and edges over a picture. */
#ifndef HS_POSE_ANNOTATE_H
#define HS_POSE_ANNOTATE_H

#include "base/buf.h"
#include "pose/pipeline.h"

/* Draws result->people over result->image, which must not be NULL and is only read, turns the
 * picture upright, encodes it as `format` (HS_IMAGE_JPEG or HS_IMAGE_PNG) and appends it to out.
 * Omits points and edges below keypoint_threshold. */
int hs_pose_annotate(const struct hs_pose_result *result, float keypoint_threshold, enum hs_image_format format,
                     struct hs_buf *out, struct hs_error *err);

#endif
