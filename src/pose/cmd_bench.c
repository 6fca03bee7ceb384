/* The stages of `bench`. */
#include "base/clock.h"
#include "base/mem.h"
#include "pose/commands.h"

enum { ROUND_TIMEOUT_MS = 120000 };

/* In the order of a request. */
enum stage { DECODE, PREPROCESS, QUEUE, INFERENCE, POSTPROCESS, TOTAL, ROUND_TRIP };

static const char *const stage_names[] = {
    [DECODE] = "decode",           [PREPROCESS] = "preprocess", [QUEUE] = "queue",           [INFERENCE] = "inference",
    [POSTPROCESS] = "postprocess", [TOTAL] = "total",           [ROUND_TRIP] = "round_trip",
};

static int run_round(const void *state, const struct hs_bench_picture *picture, double *ret_ms, struct hs_error *err)
{
    const struct hs_pose_app *app = state;
    const struct hs_pose_params params = hs_pose_app_params(app);
    struct hs_pose_result result;
    hs_pose_result_init(&result);
    int r = hs_pose_detect(&app->pipeline, app->pool, picture->data, picture->len, &params,
                           hs_deadline_in_ms(ROUND_TIMEOUT_MS), NULL, &result, err);
    ret_ms[DECODE] = result.timings.decode_ms;
    ret_ms[PREPROCESS] = result.timings.preprocess_ms;
    ret_ms[QUEUE] = result.timings.queue_ms;
    ret_ms[INFERENCE] = result.timings.inference_ms;
    ret_ms[POSTPROCESS] = result.timings.postprocess_ms;
    ret_ms[TOTAL] = result.timings.total_ms;
    hs_pose_result_finish(&result);
    return r;
}

const struct hs_app_bench hs_pose_bench = {
    .route = "/v1/pose/detect",
    .stages = { stage_names, HS_ARRAY_LEN(stage_names) },
    .round = run_round,
};
