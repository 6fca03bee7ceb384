/* All settings of hailo-pose. */
#ifndef HS_POSE_SETTINGS_H
#define HS_POSE_SETTINGS_H

#include "config/common.h"

struct hs_pose_section {
    double keypoint_threshold;
    bool skeleton_connections;
};

/* The values of hs_settings_values with hs_pose_schema. */
struct hs_pose_settings {
    HS_COMMON_SECTIONS
    struct hs_pose_section pose;
};

extern const struct hs_schema hs_pose_schema;

#endif
