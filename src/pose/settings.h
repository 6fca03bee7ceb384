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
    struct hs_server_settings server;
    struct hs_model_settings model;
    struct hs_inference_settings inference;
    struct hs_device_settings device;
    struct hs_performance_settings performance;
    struct hs_pose_section pose;
    struct hs_image_settings image;
    struct hs_logging_settings logging;
    struct hs_resource_settings resource_limits;
};

extern const struct hs_schema hs_pose_schema;

#endif
