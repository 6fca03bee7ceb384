#include "face/request_params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "face/route_docs.h"
#include "gallery/retention.h"
#include "http/admission.h"
#include "http/failure.h"
#include "http/param.h"
#include "image/image.h"
#include "service/request_options.h"
#include "vision/face_heads.h"

void hs_face_reply_failure(struct hs_http_request *req, int code, const struct hs_error *err)
{
    hs_http_reply_failure(req, code, NULL, err);
}

void hs_face_reply_embedding(struct hs_http_request *req, json_t *response)
{
    json_t *vector = json_incref(json_object_get(response, "embedding"));
    hs_http_reply_secret_json(req, 200, response);
    for (size_t i = 0; i < json_array_size(vector); i++)
        json_real_set(json_array_get(vector, i), 0);
    json_decref(vector);
}

bool hs_face_require_body(struct hs_http_request *req)
{
    const json_t *json = hs_body_json(hs_http_body(req));
    bool nothing =
        json &&
        (json_is_null(json) || json_is_false(json) ||
         ((json_is_object(json) || json_is_array(json)) && json_object_size(json) == 0 && json_array_size(json) == 0));
    if (nothing)
        hs_http_reply_known_error(req, HS_EINVAL, "No JSON body", NULL, NULL);
    else if (json && !json_is_object(json))
        hs_http_reply_known_error(req, HS_EINVAL, "The body must be a JSON object", NULL, NULL);
    else
        return true;
    return false;
}

bool hs_face_require_name(struct hs_http_request *req, const char **ret_name)
{
    const struct hs_body *body = hs_http_body(req);
    const json_t *value = hs_body_value(body, "name");
    const char *name = hs_body_text(body, "name");
    if (!name && !value) {
        hs_http_reply_known_error(req, HS_EMISSING, "Missing 'name' field", NULL, NULL);
        return false;
    }
    if (!name || !name[0]) {
        hs_http_reply_error(req, HS_EINVAL, "name", "name: must be a non-empty string");
        return false;
    }
    *ret_name = name;
    return true;
}

bool hs_face_require_gallery(struct hs_http_request *req, const struct hs_face_app *app)
{
    if (app->gallery)
        return true;
    hs_http_reply_known_error(req, HS_ENOTREADY, "Database not enabled", NULL, NULL);
    return false;
}

bool hs_face_read_metadata(struct hs_http_request *req, char **ret_text)
{
    const struct hs_body *body = hs_http_body(req);
    const json_t *value = hs_body_value(body, "metadata");
    const char *text = hs_body_json(body) ? NULL : hs_body_text(body, "metadata");
    *ret_text = NULL;
    if (!value && !text && !hs_body_has(body, "metadata"))
        return true;
    if (text)
        *ret_text = strdup(strcmp(text, "null") == 0 ? "" : text);
    else if (json_is_null(value))
        *ret_text = strdup("");
    else if (json_is_object(value))
        *ret_text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
    else {
        hs_http_reply_error(req, HS_EINVAL, "metadata", "metadata: must be a JSON object");
        return false;
    }
    if (!*ret_text)
        hs_http_reply_error(req, HS_ENOMEM, NULL, "no memory for the metadata");
    return *ret_text != NULL;
}

int hs_face_read_expiry(const struct hs_body *body, char ret_time[HS_GALLERY_TIME_SIZE], bool *ret_present,
                        struct hs_error *err)
{
    const char *text;
    int r = hs_field_string(body, &hs_face_field_expires_at, NULL, &text, err);
    *ret_present = r == 0 && text;
    return *ret_present ? hs_retention_read(hs_face_field_expires_at.name, text, hs_clock_wall_s(), ret_time, err) : r;
}

bool hs_face_read_query_bool(struct hs_http_request *req, const struct hs_field *field, bool *ret)
{
    struct hs_error err;
    int r = hs_query_bool(req, field, false, ret, &err);
    if (r < 0)
        hs_http_reply_error(req, r, field->name, "%s", err.message);
    return r == 0;
}

bool hs_face_read_purge(struct hs_http_request *req, bool purge)
{
    struct hs_error err;
    if (!purge || hs_http_check_admin(req, &err) == 0)
        return true;
    hs_http_reply_error(req, HS_EFORBIDDEN, "purge_backups", "purge_backups: %s", err.message);
    return false;
}

/* ---- bbox ---- */

/* Returns the box from a JSON list, or from the text of a list in a form. */
static json_t *bbox_value(const struct hs_body *body)
{
    const json_t *value = hs_body_value(body, "bbox");
    const char *text = hs_body_text(body, "bbox");
    if (value)
        return json_is_null(value) ? NULL : json_deep_copy(value);
    return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

static int read_bbox(const struct hs_body *body, struct hs_rect *ret, bool *ret_given, struct hs_error *err)
{
    float v[4];
    *ret_given = hs_body_has(body, "bbox");
    if (!*ret_given)
        return 0;
    json_t *list = bbox_value(body);
    bool read = json_is_array(list) && json_array_size(list) == 4;
    for (size_t i = 0; i < 4 && read; i++) {
        double number = json_number_value(json_array_get(list, i));
        read = json_is_number(json_array_get(list, i)) && fabs(number) <= 1e6;
        v[i] = read ? (float) number : 0;
    }
    json_decref(list);
    if (!read)
        return hs_error_set(err, HS_EINVAL, "bbox: must be four numbers [x, y, width, height]");
    if (v[2] <= 0 || v[3] <= 0)
        return hs_error_set(err, HS_EINVAL, "bbox: width and height must be above 0");
    *ret = (struct hs_rect) { v[0], v[1], v[0] + v[2], v[1] + v[3] };
    return 0;
}

/* ---- faces ---- */

static bool is_picture_error(int code)
{
    return code == HS_EDECODE || code == HS_EUNSUPPORTED || code == HS_EMISSING || code == HS_EINVAL;
}

json_t *hs_face_failure_json(const struct hs_http_request *req, int code, const struct hs_error *err)
{
    char text[HS_ERROR_MESSAGE_SIZE];
    return is_picture_error(code) ? json_pack("{s:s, s:s}", "error", "Failed to decode image", "detail",
                                              hs_http_failure_text(req, err, text))
                                  : hs_http_failure_json(req, code, NULL, err);
}

static void reply_picture_failure(struct hs_http_request *req, int code, const struct hs_error *err)
{
    char text[HS_ERROR_MESSAGE_SIZE];
    if (is_picture_error(code))
        hs_http_reply_known_error(req, code == HS_EMISSING ? code : HS_EDECODE, "Failed to decode image",
                                  hs_http_failure_text(req, err, text), NULL);
    else
        hs_face_reply_failure(req, code, err);
}

bool hs_face_read_picture(struct hs_http_request *req, const char *field, uint8_t **ret_data, size_t *ret_len)
{
    struct hs_error err;
    int r = hs_body_take_file(hs_http_body(req), field, ret_data, ret_len, &err);
    if (r < 0)
        reply_picture_failure(req, r, &err);
    return r == 0;
}

int hs_face_read_request(struct hs_http_request *req, const struct hs_face_app *app,
                         const struct hs_face_param_spec *param_spec, struct hs_face_request *ret_request,
                         struct hs_rect *ret_inside, struct hs_error *err)
{
    const struct hs_body *body = hs_http_body(req);
    bool with_bbox = false;
    int r = param_spec->with_bbox ? read_bbox(body, ret_inside, &with_bbox, err) : 0;
    *ret_request = hs_face_app_request(app);
    ret_request->inside = with_bbox ? ret_inside : NULL;
    ret_request->embed = param_spec->embed;
    int64_t max_faces = ret_request->max_faces;
    if (r == 0 && param_spec->all_faces)
        r = hs_field_bool(body, &hs_face_field_tiny_faces, ret_request->tiny, &ret_request->tiny, err);
    if (!param_spec->all_faces)
        ret_request->large = ret_request->subject = true;
    else if (r == 0)
        r = hs_field_bool(body, &hs_face_field_large_faces, ret_request->large, &ret_request->large, err);
    if (r == 0 && param_spec->all_faces)
        r = hs_field_int(body, &hs_face_field_max_faces, max_faces, &max_faces, err);
    ret_request->max_faces = (int) max_faces;
    return r;
}

/* Returns true if the box does not overlap the picture. A header without a size is left to the decoder. */
static bool is_outside(const struct hs_face_app *app, const struct hs_rect *box, const uint8_t *data, size_t len,
                       struct hs_error *err)
{
    struct hs_image_info info;
    int width, height;
    if (hs_image_probe(data, len, &info, NULL) < 0)
        return false;
    hs_image_info_size(&info, app->pipeline.apply_exif, &width, &height);
    if (box->x2 > 0 && box->y2 > 0 && box->x1 < (float) width && box->y1 < (float) height)
        return false;
    hs_error_set(err, HS_EINVAL, "bbox: is outside the picture, which is %dx%d pixels", width, height);
    return true;
}

/* Reads the options of both models. `model` names the detector, or the embedder if the model is one. */
static int read_models(struct hs_http_request *req, const struct hs_face_app *app,
                       struct hs_request_options *ret_detect, struct hs_request_options *ret_embed,
                       struct hs_error *err)
{
    const char *field;
    int r = hs_request_options_read(req, ret_detect, &field, err);
    *ret_embed = *ret_detect;
    ret_embed->model = NULL;
    if (r == 0)
        r = hs_field_string(hs_http_body(req), &hs_face_field_recognition_model, NULL, &ret_embed->model, err);
    const char *model = r == 0 ? ret_detect->model : NULL;
    const struct hs_pack *named = model ? hs_store_find(app->core.store, model) : NULL;
    if (named && named->task == HS_TASK_FACE_EMBEDDING && !ret_embed->model) {
        ret_embed->model = ret_detect->model;
        ret_detect->model = NULL;
    }
    return r;
}

static int check_space(const struct hs_face_app *app, const struct hs_model_pool *embedder, struct hs_error *err)
{
    const struct hs_pack *ours = hs_model_pool_first(app->embedder)->choice.pack;
    const struct hs_pack *asked = hs_model_pool_first(embedder)->choice.pack;
    if (strcmp(asked->embedding.space, ours->embedding.space) == 0)
        return 0;
    return hs_error_set(err, HS_EINVAL, "recognition_model: %s has the embedding space %s, but the gallery uses %s",
                        asked->name, asked->embedding.space, ours->embedding.space);
}

int hs_face_acquire_pipeline(struct hs_http_request *req, const struct hs_face_app *app,
                             const struct hs_face_param_spec *param_spec, struct hs_face_pipeline *ret_pipeline,
                             struct hs_error *err)
{
    struct hs_face_pipeline pipeline = app->pipeline;
    struct hs_request_options detect, embed;
    pipeline.detector = pipeline.embedder = NULL;
    int r = read_models(req, app, &detect, &embed, err);
    if (r == 0)
        r = hs_request_options_ref(req, &detect, &app->core, HS_FACE_DETECTOR, &pipeline.detector, err);
    if (r == 0)
        r = hs_request_options_ref(req, &embed, &app->core, HS_FACE_EMBEDDER, &pipeline.embedder, err);
    if (r == 0 && param_spec->gallery)
        r = check_space(app, pipeline.embedder, err);
    if (r < 0)
        hs_face_unref_models(app, &pipeline);
    *ret_pipeline = pipeline;
    return r;
}

void hs_face_unref_models(const struct hs_face_app *app, const struct hs_face_pipeline *pipeline)
{
    hs_model_cache_unref(app->core.caches[HS_FACE_DETECTOR], pipeline->detector);
    hs_model_cache_unref(app->core.caches[HS_FACE_EMBEDDER], pipeline->embedder);
}

bool hs_face_run_request_on(struct hs_http_request *req, const struct hs_face_app *app,
                            const struct hs_face_param_spec *param_spec, const uint8_t *data, size_t len,
                            struct hs_face_result *ret_result)
{
    struct hs_error err;
    struct hs_face_request request;
    struct hs_face_pipeline pipeline;
    struct hs_rect inside;
    *ret_result = (struct hs_face_result) { 0 };
    int r = hs_face_read_request(req, app, param_spec, &request, &inside, &err);
    if (r == 0 && request.inside && is_outside(app, request.inside, data, len, &err))
        r = HS_EINVAL;
    if (r == 0)
        r = hs_face_acquire_pipeline(req, app, param_spec, &pipeline, &err);
    if (r < 0) {
        hs_face_reply_failure(req, r, &err);
        return false;
    }
    r = hs_face_find(&pipeline, data, len, &request, hs_http_deadline_ns(req), hs_http_cancel(req), ret_result, &err);
    hs_face_unref_models(app, &pipeline);
    if (r < 0)
        reply_picture_failure(req, r, &err);
    return r == 0;
}

bool hs_face_run_request(struct hs_http_request *req, const struct hs_face_app *app,
                         const struct hs_face_param_spec *param_spec, struct hs_face_result *ret_result)
{
    uint8_t *data;
    size_t len;
    *ret_result = (struct hs_face_result) { 0 };
    if (!hs_face_read_picture(req, param_spec->image, &data, &len))
        return false;
    bool found = hs_face_run_request_on(req, app, param_spec, data, len, ret_result);
    free(data);
    return found;
}

json_t *hs_face_response_bbox(struct hs_http_request *req, const struct hs_face_found *found,
                              const struct hs_face_result *result)
{
    const struct hs_body *body = hs_http_body(req);
    return hs_body_has(body, "bbox") ? bbox_value(body) : hs_face_bbox_json(&found->face.box, result);
}

const struct hs_face_found *hs_face_require_best(struct hs_http_request *req, const struct hs_face_result *result)
{
    const struct hs_face_found *best = hs_face_best(result);
    if (!best)
        hs_http_reply_known_error(req, HS_EINVAL, result->count ? "Failed to extract embedding" : "No face detected",
                                  NULL, NULL);
    return best;
}
