#include <stdlib.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "http/failure.h"
#include "http/param.h"
#include "pose/annotate.h"
#include "pose/app.h"
#include "pose/response_json.h"
#include "pose/route_docs.h"
#include "service/app_routes.h"
#include "service/batch.h"
#include "service/drawing.h"
#include "service/heavy.h"
#include "service/request_options.h"
#include "service/response.h"
#include "service/response_warnings.h"
#include "vision/yolo_pose.h"

static void get_health(struct hs_http_request *req)
{
    const struct hs_pose_app *app = hs_http_context(req);
    struct hs_model_pool_status status;
    hs_model_pool_get_status(app->pool, &status);
    int64_t uptime_us = (hs_clock_now_ns() - app->core.started_ns) / 1000;
    json_t *health =
        json_pack("{s:s, s:s, s:b, s:f}", "status", "ok", "model", hs_model_pool_first(app->pool)->model,
                  "model_loaded", (int) status.loaded, "uptime_seconds", hs_json_rounded((double) uptime_us / 1e6, 1));
    hs_app_reply_health(req, health);
}

/* The parameters of a request, and the model that it names. */
struct detect_request {
    const struct hs_pose_app *app;
    struct hs_model_pool *pool; /* released with hs_model_cache_unref */
    struct hs_pose_params params;
    float keypoint_threshold;
    bool annotated; /* reply with the picture in `format` instead of JSON */
    enum hs_image_format format;
};

/* Returns true if the client names a picture type and does not prefer JSON to it. */
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

/* On failure *ret_field is the invalid field. */
static int read_params(struct hs_http_request *req, struct detect_request *detect, struct hs_request_options *ret,
                       const char **ret_field, struct hs_error *err)
{
    const struct hs_pose_settings *s = detect->app->settings;
    const struct hs_body *body = hs_http_body(req);
    struct hs_pose_params *params = &detect->params;
    const struct hs_field *field = NULL;
    double confidence, iou, keypoint;
    int64_t max_detections;
    int r;
    *params = hs_pose_app_params(detect->app);
    if ((r = hs_request_options_read(req, ret, ret_field, err)) < 0 ||
        (r = hs_field_double(body, field = &hs_pose_confidence_threshold, s->inference.confidence_threshold,
                             &confidence, err)) < 0 ||
        (r = hs_field_double(body, field = &hs_pose_iou_threshold, s->inference.iou_threshold, &iou, err)) < 0 ||
        (r = hs_field_double(body, field = &hs_pose_keypoint_threshold, s->pose.keypoint_threshold, &keypoint, err)) <
            0 ||
        (r = hs_field_int(body, field = &hs_pose_max_detections, s->inference.max_detections, &max_detections, err)) <
            0 ||
        (r = hs_field_bool(body, field = &hs_pose_apply_exif, s->image.apply_exif, &params->apply_exif, err)) < 0) {
        *ret_field = field ? field->name : *ret_field;
        return r;
    }
    params->confidence_threshold = (float) confidence;
    params->iou_threshold = (float) iou;
    params->max_detections = (int) max_detections;
    params->deadline_ns = hs_http_deadline_ns(req); /* hs_request_options_read may have shortened it */
    params->cancel = hs_http_cancel(req);
    detect->keypoint_threshold = (float) keypoint;
    return 0;
}

/* Reads the parameters and references the model. On failure *ret_field is the invalid field. */
static int read_detect(struct hs_http_request *req, struct detect_request *ret, const char **ret_field,
                       struct hs_error *err)
{
    struct hs_request_options options;
    *ret = (struct detect_request) { .app = hs_http_context(req) };
    int r = read_params(req, ret, &options, ret_field, err);
    if (r < 0)
        return r;
    *ret_field = "model";
    return hs_request_options_ref(req, &options, &ret->app->core, 0, &ret->pool, err);
}

static void reply_picture(struct hs_http_request *req, const struct detect_request *detect,
                          const struct hs_pose_result *result)
{
    struct hs_error err;
    struct hs_buf out;
    hs_buf_init(&out, HS_DRAWING_MAX);
    int r = hs_pose_annotate(result, detect->keypoint_threshold, detect->format, &out, &err);
    if (r < 0) {
        hs_buf_finish(&out);
        hs_http_reply_failure(req, r, NULL, &err);
        return;
    }
    size_t len;
    uint8_t *data = hs_buf_take(&out, &len);
    json_t *answer = hs_response_warn_damage(hs_request_add_warnings(req, json_object()), "image", result->damage);
    if (result->image->width < result->image->orig_width)
        answer = hs_response_warn(answer, hs_warning_json("drawing_reduced", NULL,
                                                          "the drawing was reduced to at most %d pixels per side",
                                                          HS_DRAWING_RESPONSE_SIDE));
    hs_response_warnings_header(req, answer);
    json_decref(answer);
    hs_http_reply_bytes(req, 200, detect->format == HS_IMAGE_PNG ? "image/png" : "image/jpeg", data, len);
}

/* Errors with a status below 499 name the field. */
static void reply_failure(struct hs_http_request *req, int code, const char *field, const struct hs_error *err)
{
    hs_http_reply_failure(req, code, hs_status_http(code) < 499 ? field : NULL, err);
}

static void reply_json(struct hs_http_request *req, const struct detect_request *detect,
                       const struct hs_pose_result *result)
{
    struct hs_error err;
    struct hs_buf out;
    json_t *more = hs_request_add_warnings(req, json_object());
    hs_buf_init(&out, HS_RESPONSE_MAX);
    int r = more ? hs_pose_response_write(detect->app, result, detect->keypoint_threshold, more, &out) : HS_ENOMEM;
    json_decref(more);
    if (r == 0)
        hs_response_send(req, &out);
    else
        hs_http_reply_error(req, hs_response_failed(r, &err), NULL, "%s", err.message);
    hs_buf_finish(&out);
}

static void post_detect(struct hs_http_request *req)
{
    struct detect_request detect = { .pool = NULL };
    struct hs_pose_result result;
    struct hs_error err;
    const char *field = "image";
    uint8_t *data = NULL;
    size_t len = 0;
    hs_pose_result_init(&result);
    int r = hs_body_take_file(hs_http_body(req), "image", &data, &len, &err);
    if (r == 0)
        r = read_detect(req, &detect, &field, &err);
    if (r == 0) {
        field = "image";
        detect.annotated = wants_picture(hs_http_header(req, "Accept"), &detect.format);
        detect.params.keep_image = detect.annotated;
        detect.params.keep_side = HS_DRAWING_RESPONSE_SIDE;
        r = hs_pose_detect(detect.pool, data, len, &detect.params, &result, &err);
    }
    free(data);
    if (r < 0)
        reply_failure(req, r, field, &err);
    else if (detect.annotated)
        reply_picture(req, &detect, &result);
    else
        reply_json(req, &detect, &result);
    hs_pose_result_finish(&result);
    if (detect.pool)
        hs_model_cache_unref(detect.app->core.caches[0], detect.pool);
}

/* Implements hs_batch.process. */
static int detect_one(void *ctx, const struct hs_batch_picture *picture, struct hs_buf *out, struct hs_error *err)
{
    const struct detect_request *detect = ctx;
    struct hs_pose_params params = detect->params;
    struct hs_pose_result result;
    params.cancel = picture->cancel;
    hs_pose_result_init(&result);
    int r = hs_pose_detect(detect->pool, picture->data, picture->len, &params, &result, err);
    if (r == 0) {
        r = hs_pose_response_write(detect->app, &result, detect->keypoint_threshold, picture->extra, out);
        r = r < 0 ? hs_response_failed(r, err) : 0;
    }
    hs_pose_result_finish(&result);
    return r;
}

static void post_batch(struct hs_http_request *req)
{
    struct detect_request detect;
    struct hs_error err;
    const char *field;
    int r = read_detect(req, &detect, &field, &err);
    if (r < 0) {
        reply_failure(req, r, field, &err);
        return;
    }
    const struct hs_batch batch = {
        .process = detect_one,
        .parallel = detect.app->settings->device.batch_size,
        .ctx = &detect,
    };
    detect.params.priority = HS_BACKGROUND;
    hs_batch_reply(req, &batch);
    hs_model_cache_unref(detect.app->core.caches[0], detect.pool);
}

static const char *const batch_list[] = { "images", "image", NULL };
static const char *const detect_files[] = { "image", NULL };
const struct hs_http_route hs_pose_routes[] = {
    { .method = "GET",
      .path = "/health",
      .handle = get_health,
      .flags = HS_HTTP_INLINE | HS_HTTP_PROBE | HS_HTTP_OPEN,
      .doc = &hs_pose_doc_health },
    HS_APP_ROUTES,
    { .method = "POST",
      .path = "/v1/pose/detect",
      .handle = post_detect,
      .scope = HS_SCOPE_DETECT,
      .is_heavy = hs_heavy_pictures,
      .body = HS_BODY_FORM_ELSE_JSON,
      .spec = { .files = detect_files, .fields = hs_pose_detect_fields },
      .doc = &hs_pose_doc_detect },
    { .method = "POST",
      .path = "/v1/pose/detect/batch",
      .handle = post_batch,
      .scope = HS_SCOPE_DETECT,
      .is_heavy = hs_heavy_pictures,
      .body = HS_BODY_FORM_ELSE_JSON,
      .spec = { .list = batch_list, .list_member = "image", .fields = hs_pose_batch_fields },
      .doc = &hs_pose_doc_batch },
};
const size_t hs_pose_route_count = HS_ARRAY_LEN(hs_pose_routes);
