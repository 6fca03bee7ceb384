#include "pose/settings.h"

static const struct hs_setting pose_rows[] = {
    { .name = "pose.keypoint_threshold",
      .type = HS_SETTING_DOUBLE,
      .flags = HS_SETTING_RELOAD,
      .offset = offsetof(struct hs_pose_section, keypoint_threshold),
      .min = 0,
      .max = 1,
      .default_val = "0.3",
      .help = "Lowest confidence of both keypoints of a skeleton edge; a request can override it" },
    { .name = "pose.skeleton_connections",
      .type = HS_SETTING_BOOL,
      .flags = HS_SETTING_RELOAD,
      .offset = offsetof(struct hs_pose_section, skeleton_connections),
      .default_val = "true",
      .help = "Include the edges of the skeleton in responses" },
};

static const struct hs_setting_group groups[] = {
    HS_GROUP(hs_server_rows, struct hs_pose_settings, server),
    HS_GROUP(hs_model_rows, struct hs_pose_settings, model),
    HS_GROUP(hs_inference_rows, struct hs_pose_settings, inference),
    HS_GROUP(hs_device_rows, struct hs_pose_settings, device),
    HS_GROUP(hs_performance_rows, struct hs_pose_settings, performance),
    HS_GROUP(pose_rows, struct hs_pose_settings, pose),
    HS_GROUP(hs_image_rows, struct hs_pose_settings, image),
    HS_GROUP(hs_auth_rows, struct hs_pose_settings, auth),
    HS_GROUP(hs_limit_rows, struct hs_pose_settings, limits),
    HS_GROUP(hs_logging_rows, struct hs_pose_settings, logging),
    HS_GROUP(hs_resource_rows, struct hs_pose_settings, resource_limits),
};

static const struct hs_setting_default defaults[] = {
    { "server.port", "11436" },
    { "auth.keys_file", "/var/lib/hailo-pose/keys.json" },
};

static const char *const required[] = { "server",      "model",       "inference",  "pose",
                                        "server.host", "server.port", "model.name", NULL };

const struct hs_schema hs_pose_schema = {
    .program = "hailo-pose",
    .yaml_path = "/etc/hailo/hailo-pose.yaml",
    .settings_size = sizeof(struct hs_pose_settings),
    .groups = groups,
    .group_count = HS_ARRAY_LEN(groups),
    .defaults = defaults,
    .default_count = HS_ARRAY_LEN(defaults),
    .required = required,
};
