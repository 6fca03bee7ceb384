#include "pose/app.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

int hs_pose_app_init(void *state, struct hs_error *err)
{
    struct hs_pose_app *app = state;
    app->settings = hs_settings_values(app->core.config);
    int r = hs_app_core_add_model(&app->core, NULL, err);
    if (r == 0)
        app->pool = hs_app_core_pool(&app->core, 0);
    return r;
}

void hs_pose_app_revise(void *state)
{
    struct hs_pose_app *app = state;
    app->settings = hs_settings_values(app->core.config);
}

struct hs_pose_params hs_pose_app_params(const struct hs_pose_app *app)
{
    return (struct hs_pose_params) {
        .limits = hs_app_core_image_limits(&app->core),
        .confidence_threshold = (float) app->settings->inference.confidence_threshold,
        .iou_threshold = (float) app->settings->inference.iou_threshold,
        .max_detections = app->settings->inference.max_detections,
        .apply_exif = app->settings->image.apply_exif,
        .deadline_ns = HS_NO_DEADLINE,
    };
}

int hs_pose_app_detect_file(const struct hs_pose_app *app, const char *path, const struct hs_pose_params *params,
                            struct hs_pose_result *result, struct hs_error *err)
{
    struct hs_error why;
    uint8_t *data;
    size_t len;
    int r = hs_file_read(path, params->limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_pose_detect(app->pool, data, len, params, result, &why);
    free(data);
    return r < 0 ? hs_error_set(err, r, "%s: %s", path, why.message) : 0;
}

/* ---- bench ---- */

enum { ROUND_TIMEOUT_MS = 120000 };

/* The members of struct hs_pose_timings, then the round trip. */
static const char *const stage_names[] = {
    "decode", "preprocess", "queue", "inference", "postprocess", "total", "round_trip",
};

static int run_round(const void *state, const struct hs_bench_picture *picture, double *ret_ms, struct hs_error *err)
{
    const struct hs_pose_app *app = state;
    struct hs_pose_params params = hs_pose_app_params(app);
    struct hs_pose_result result;
    params.deadline_ns = hs_deadline_in_ms(ROUND_TIMEOUT_MS);
    hs_pose_result_init(&result);
    int r = hs_pose_detect(app->pool, picture->data, picture->len, &params, &result, err);
    const struct hs_pose_timings *t = &result.timings;
    const double ms[] = {
        t->decode_ms, t->preprocess_ms, t->queue_ms, t->inference_ms, t->postprocess_ms, t->total_ms,
    };
    memcpy(ret_ms, ms, sizeof(ms));
    hs_pose_result_finish(&result);
    return r;
}

const struct hs_app_bench hs_pose_bench = {
    .route = "/v1/pose/detect",
    .stages = { stage_names, HS_ARRAY_LEN(stage_names) },
    .round = run_round,
};
