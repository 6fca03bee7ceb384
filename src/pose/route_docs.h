/* The fields of hailo-pose's requests, and the descriptions of its routes (http/route_doc.h). */
#ifndef HS_POSE_ROUTE_DOCS_H
#define HS_POSE_ROUTE_DOCS_H

#include "http/route_doc.h"

extern const struct hs_field hs_pose_confidence_threshold, hs_pose_iou_threshold, hs_pose_keypoint_threshold,
    hs_pose_max_detections, hs_pose_apply_exif;

/* The fields of detect and of its batch, for struct hs_body_spec. */
extern const struct hs_field *const hs_pose_detect_fields[], *const hs_pose_batch_fields[];

extern const struct hs_route_doc hs_pose_doc_health, hs_pose_doc_detect, hs_pose_doc_batch;

#endif
