#include "pose/app.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "service/image_limits.h"

int hs_pose_app_init(void *state, struct hs_error *err)
{
    struct hs_pose_app *app = state;
    const struct hs_pose_settings *s = app->settings = hs_settings_values(app->core.config);
    int r = hs_app_core_add_model(&app->core, NULL, err);
    if (r < 0)
        return r;
    app->cache = app->core.models.parts[0].cache;
    app->pool = hs_model_cache_default(app->cache);
    app->pipeline.limits = hs_image_limits_of(&s->server, &s->image);
    return 0;
}

struct hs_pose_params hs_pose_app_params(const struct hs_pose_app *app)
{
    return (struct hs_pose_params) {
        .confidence_threshold = (float) app->settings->inference.confidence_threshold,
        .iou_threshold = (float) app->settings->inference.iou_threshold,
        .max_detections = app->settings->inference.max_detections,
        .apply_exif = app->settings->image.apply_exif,
    };
}

int hs_pose_app_detect_file(const struct hs_pose_app *app, const char *path, const struct hs_pose_params *params,
                            struct hs_pose_result *result, struct hs_error *err)
{
    struct hs_error why;
    uint8_t *data;
    size_t len;
    int r = hs_file_read(path, app->pipeline.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_pose_detect(&app->pipeline, app->pool, data, len, params, HS_NO_DEADLINE, NULL, result, &why);
    free(data);
    return r < 0 ? hs_error_set(err, r, "%s: %s", path, why.message) : 0;
}
