#include "pose/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/param.h"
#include "http/request.h"
#include "pose/annotate.h"
#include "pose/answer.h"
#include "pose/app.h"
#include "service/batch.h"
#include "service/drawing.h"
#include "service/health.h"
#include "service/metrics.h"
#include "service/pull.h"
#include "service/request_options.h"
#include "vision/yolo_pose.h"

static void get_health(struct hs_http_request *req)
{
    const struct hs_pose_app *app = hs_http_context(req);
    struct hs_model_pool_status status;
    hs_model_pool_get_status(app->pool, &status);
    double uptime_s = (double) ((hs_clock_now_ns() - app->core.started_ns) / 1000) / 1e6;
    json_t *health = json_pack("{s:s, s:s, s:b, s:f}", "status", "ok", "model", hs_model_pool_first(app->pool)->model,
                               "model_loaded", (int) status.loaded, "uptime_seconds", uptime_s);
    struct hs_model_pool *pool = app->pool;
    hs_health_add_devices(health, &pool, 1);
    hs_http_reply_json(req, 200, health);
}

static void get_ready(struct hs_http_request *req)
{
    const struct hs_pose_app *app = hs_http_context(req);
    struct hs_model_pool_status status;
    const char *detail;
    hs_model_pool_get_status(app->pool, &status);
    const char *reason = hs_model_pool_reason(&status, &detail);
    if (reason)
        hs_http_reply_json(
            req, 503, json_pack("{s:b, s:s, s:s*}", "ready", 0, "reason", reason, "detail", detail[0] ? detail : NULL));
    else
        hs_http_reply_json(req, 200, json_pack("{s:b}", "ready", 1));
}

static void get_metrics(struct hs_http_request *req)
{
    const struct hs_pose_app *app = hs_http_context(req);
    const struct hs_metrics_part part = { "pose", app->cache };
    hs_metrics_reply(req, &part, 1);
}

static void get_models(struct hs_http_request *req)
{
    const struct hs_pose_app *app = hs_http_context(req);
    hs_models_api_list(req, &app->core.models);
}

static void post_load(struct hs_http_request *req)
{
    const struct hs_pose_app *app = hs_http_context(req);
    hs_models_api_load(req, &app->core.models);
}

static void post_unload(struct hs_http_request *req)
{
    const struct hs_pose_app *app = hs_http_context(req);
    hs_models_api_unload(req, &app->core.models);
}

static void post_pull(struct hs_http_request *req)
{
    static const enum hs_task tasks[] = { HS_TASK_POSE };
    const struct hs_pose_app *app = hs_http_context(req);
    const struct hs_pull pull = {
        .store = app->core.store,
        .tasks = tasks,
        .task_count = HS_ARRAY_LEN(tasks),
        .settings = &app->settings->model,
        .device = app->settings->inference.device,
    };
    hs_pull_reply(req, &pull);
}

/* What a detect request asks for. */
struct detect_request {
    struct hs_request_options wish;
    struct hs_pose_params params;
    double keypoint_threshold;
    bool annotated; /* answer with the picture instead of JSON, as */
    enum hs_image_format format;
};

/* A picture is sent only to who names one and likes it no less than JSON. */
static bool wants_picture(const char *accept, enum hs_image_format *ret_format)
{
    if (!accept)
        return false;
    double json = hs_accept_quality(accept, "application/json");
    double png = hs_accept_quality(accept, "image/png"), jpeg = hs_accept_quality(accept, "image/jpeg");
    double best = png > jpeg ? png : jpeg;
    *ret_format = png > jpeg ? HS_IMAGE_PNG : HS_IMAGE_JPEG;
    return best > 0 && best >= json;
}

static int read_detect(struct hs_http_request *req, const struct hs_pose_app *app, struct detect_request *ret,
                       const char **ret_field, struct hs_error *err)
{
    const struct hs_pose_settings *s = app->settings;
    const struct hs_body *body = hs_http_body(req);
    double confidence, iou, keypoint;
    int64_t max_detections;
    struct hs_request_options wish;
    bool exif;
    int r;
    if ((r = hs_request_options_read(req, &wish, ret_field, err)) < 0 ||
        (r = hs_param_double(body, *ret_field = "confidence_threshold", 0, 1, s->inference.confidence_threshold,
                             &confidence, err)) < 0 ||
        (r = hs_param_double(body, *ret_field = "iou_threshold", 0, 1, s->inference.iou_threshold, &iou, err)) < 0 ||
        (r = hs_param_double(body, *ret_field = "keypoint_threshold", 0, 1, s->pose.keypoint_threshold, &keypoint,
                             err)) < 0 ||
        (r = hs_param_int(body, *ret_field = "max_detections", 0, HS_YOLO_POSE_MAX_DETECTIONS,
                          s->inference.max_detections, &max_detections, err)) < 0 ||
        (r = hs_param_bool(body, *ret_field = "apply_exif", s->image.apply_exif, &exif, err)) < 0)
        return r;
    enum hs_image_format format = HS_IMAGE_JPEG;
    bool annotated = wants_picture(hs_http_header(req, "Accept"), &format);
    *ret = (struct detect_request) {
        .wish = wish,
        .params = {
            .confidence_threshold = (float) confidence,
            .iou_threshold = (float) iou,
            .max_detections = (int) max_detections,
            .apply_exif = exif,
            .keep_image = annotated,
        },
        .keypoint_threshold = keypoint,
        .annotated = annotated,
        .format = format,
    };
    return 0;
}

static void reply_picture(struct hs_http_request *req, const struct detect_request *detect,
                          const struct hs_pose_result *result)
{
    struct hs_error err;
    struct hs_buf out;
    hs_buf_init(&out, HS_DRAWING_MAX);
    int r = hs_pose_annotate(result, result->runner->choice.pack, (float) detect->keypoint_threshold, detect->format,
                             &out, &err);
    if (r < 0) {
        hs_buf_finish(&out);
        hs_http_reply_error(req, r, NULL, "%s", err.message);
        return;
    }
    size_t len;
    uint8_t *data = hs_buf_take(&out, &len);
    hs_http_reply_bytes(req, 200, detect->format == HS_IMAGE_PNG ? "image/png" : "image/jpeg", data, len);
}

static json_t *result_json(const struct hs_pose_app *app, const struct detect_request *detect,
                           const struct hs_pose_result *result)
{
    const struct hs_pose_answer_options options = {
        .pack = result->runner->choice.pack,
        .model = result->runner->model,
        .keypoint_threshold = (float) detect->keypoint_threshold,
        .skeleton = app->settings->pose.skeleton_connections,
    };
    return hs_pose_answer(result, &options);
}

static void reply_result(struct hs_http_request *req, const struct hs_pose_app *app,
                         const struct detect_request *detect, const struct hs_pose_result *result)
{
    if (detect->annotated) {
        reply_picture(req, detect, result);
        return;
    }
    json_t *answer = result_json(app, detect, result);
    if (!answer)
        hs_http_reply_error(req, HS_ENOMEM, NULL, "no memory for the answer");
    else
        hs_http_reply_json(req, 200, answer);
}

static void post_detect(struct hs_http_request *req)
{
    const struct hs_pose_app *app = hs_http_context(req);
    struct hs_error err;
    const char *field = "image";
    uint8_t *data = NULL;
    size_t len = 0;
    struct detect_request detect;
    int r = hs_body_take_file(hs_http_body(req), "image", &data, &len, &err);
    if (r == 0)
        r = read_detect(req, app, &detect, &field, &err);
    if (r < 0) {
        hs_http_reply_error(req, r, field, "%s", err.message);
        free(data);
        return;
    }
    struct hs_model_pool *pool = NULL;
    struct hs_pose_result result;
    hs_pose_result_init(&result);
    field = "model";
    r = hs_request_options_ref(req, &detect.wish, app->cache, app->settings->model.keep_alive, &pool, &err);
    if (r == 0) {
        field = "image";
        r = hs_pose_detect(&app->pipeline, pool, data, len, &detect.params, hs_http_deadline_ns(req),
                           hs_http_cancel(req), &result, &err);
    }
    free(data);
    if (r < 0)
        hs_http_reply_error(req, r, hs_status_http(r) < 499 ? field : NULL, "%s", err.message);
    else
        reply_result(req, app, &detect, &result);
    hs_pose_result_finish(&result);
    hs_model_cache_unref(app->cache, pool);
}

struct detect_batch {
    const struct hs_pose_app *app;
    struct hs_model_pool *pool;
    struct detect_request detect;
};

static int answer_one(void *ctx, const struct hs_batch_picture *picture, json_t **ret_answer, struct hs_error *err)
{
    const struct detect_batch *batch = ctx;
    struct hs_pose_result result;
    hs_pose_result_init(&result);
    int r = hs_pose_detect(&batch->app->pipeline, batch->pool, picture->data, picture->len, &batch->detect.params,
                           picture->deadline_ns, picture->cancel, &result, err);
    if (r == 0 && !(*ret_answer = result_json(batch->app, &batch->detect, &result)))
        r = hs_error_set(err, HS_ENOMEM, "no memory for the answer");
    hs_pose_result_finish(&result);
    return r;
}

static void post_batch(struct hs_http_request *req)
{
    struct detect_batch of = { .app = hs_http_context(req) };
    const struct hs_batch batch = { .answer = answer_one, .together = of.app->settings->device.batch_size, .ctx = &of };
    struct hs_error err;
    const char *field;
    int r = read_detect(req, of.app, &of.detect, &field, &err);
    if (r == 0) {
        field = "model";
        r = hs_request_options_ref(req, &of.detect.wish, of.app->cache, of.app->settings->model.keep_alive, &of.pool,
                                   &err);
    }
    if (r < 0) {
        hs_http_reply_error(req, r, hs_status_http(r) < 499 ? field : NULL, "%s", err.message);
        return;
    }
    of.detect.params.keep_image = false;
    of.detect.params.priority = HS_BACKGROUND;
    hs_batch_reply(req, &batch);
    hs_model_cache_unref(of.app->cache, of.pool);
}

static const char *const batch_list[] = { "images", "image", NULL };
static const char *const detect_files[] = { "image", NULL };
static const char *const detect_texts[] = { "confidence_threshold",
                                            "iou_threshold",
                                            "keypoint_threshold",
                                            "max_detections",
                                            "apply_exif",
                                            HS_REQUEST_OPTION_FIELDS,
                                            NULL };

const struct hs_http_route hs_pose_routes[] = {
    { .method = "GET", .path = "/health", .handle = get_health, .flags = HS_HTTP_INLINE },
    { .method = "GET", .path = "/health/ready", .handle = get_ready, .flags = HS_HTTP_INLINE },
    { .method = "GET", .path = "/metrics", .handle = get_metrics, .flags = HS_HTTP_INLINE },
    { .method = "GET", .path = "/v1/models", .handle = get_models },
    { .method = "POST", .path = "/v1/models/{id}/load", .handle = post_load },
    { .method = "POST", .path = "/v1/models/{id}/unload", .handle = post_unload },
    { .method = "POST", .path = "/v1/models/{id}/pull", .handle = post_pull },
    { .method = "POST",
      .path = "/v1/pose/detect",
      .handle = post_detect,
      .body = HS_BODY_FORM_ELSE_JSON,
      .spec = { .files = detect_files, .texts = detect_texts } },
    { .method = "POST",
      .path = "/v1/pose/detect/batch",
      .handle = post_batch,
      .body = HS_BODY_FORM_ELSE_JSON,
      .spec = { .list = batch_list, .list_member = "image", .texts = detect_texts } },
};
const size_t hs_pose_route_count = HS_ARRAY_LEN(hs_pose_routes);
