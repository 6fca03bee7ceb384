/* The state of hailo-pose: its model and the pipeline over it. */
#ifndef HS_POSE_APP_H
#define HS_POSE_APP_H

#include "pose/pipeline.h"
#include "pose/settings.h"
#include "service/app.h"

struct hs_pose_app {
    struct hs_app_core core; /* first */
    const struct hs_pose_settings *settings; /* of core.config */
    struct hs_model_cache *cache;
    struct hs_model_pool *pool; /* the configured model, of cache */
    struct hs_pose_pipeline pipeline;
};

/* hs_app.init of hailo-pose. */
int hs_pose_app_init(void *state, struct hs_error *err);

/* The parameters that the settings give to a picture. */
struct hs_pose_params hs_pose_app_params(const struct hs_pose_app *app);

/* hs_pose_detect of a file. Messages name the file. */
int hs_pose_app_detect_file(const struct hs_pose_app *app, const char *path, const struct hs_pose_params *params,
                            struct hs_pose_result *result, struct hs_error *err);

#endif
