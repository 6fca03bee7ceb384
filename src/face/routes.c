#include <string.h>

#include "base/clock.h"
#include "base/json_build.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "face/health.h"
#include "face/request_params.h"
#include "face/route_docs.h"
#include "face/routes_database.h"
#include "http/param.h"
#include "service/app_routes.h"
#include "service/batch.h"
#include "service/heavy.h"
#include "service/request_options.h"

static void get_health(struct hs_http_request *req)
{
    struct hs_face_app *app = hs_http_context(req);
    const struct hs_model_runner *embedder = hs_model_pool_first(app->embedder);
    struct hs_model_pool_status detect, embed;
    hs_model_pool_get_status(app->detector, &detect);
    hs_model_pool_get_status(app->embedder, &embed);
    json_t *health = json_pack("{s:s, s:s, s:b, s:s, s:s, s:b, s:s, s:o*}", "status", "healthy", "service",
                               "hailo-face", "model_loaded", detect.loaded && embed.loaded, "detection_model",
                               hs_model_pool_first(app->detector)->model, "recognition_model", embedder->model,
                               "database_enabled", app->gallery != NULL, "embedding_space",
                               embedder->choice.pack->embedding.space, "database", hs_face_health_database(app));
    hs_app_reply_health(req, health);
}

/* Sends the time of each stage as a header (https://www.w3.org/TR/server-timing). search_ms is
 * negative if faces were only detected. */
static void add_timings(struct hs_http_request *req, const struct hs_face_timings *t, double search_ms)
{
    char text[240], decode[32], detect[32], embed[32], search[32], total[32];
    hs_json_double(hs_json_ms(t->decode_ms), decode);
    hs_json_double(hs_json_ms(t->detect_ms), detect);
    hs_json_double(hs_json_ms(t->embed_ms), embed);
    hs_json_double(hs_json_ms(search_ms), search);
    hs_json_double(hs_json_ms(t->total_ms + (search_ms > 0 ? search_ms : 0)), total);
    if (search_ms < 0)
        hs_str_format(text, sizeof(text), "decode;dur=%s, detect;dur=%s, total;dur=%s", decode, detect, total);
    else
        hs_str_format(text, sizeof(text), "decode;dur=%s, detect;dur=%s, embed;dur=%s, search;dur=%s, total;dur=%s",
                      decode, detect, embed, search, total);
    hs_http_add_header(req, "Server-Timing", text);
}

static void post_detect(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_param_spec param_spec = { .image = "image", .all_faces = true };
    struct hs_face_result result;
    struct hs_error err;
    bool landmarks;
    if (!hs_face_require_body(req))
        return;
    if (hs_field_bool(hs_http_body(req), &hs_face_field_return_landmarks, false, &landmarks, &err) < 0) {
        hs_face_reply_failure(req, HS_EINVAL, &err);
        return;
    }
    if (hs_face_run_request(req, app, &param_spec, &result)) {
        add_timings(req, &result.timings, -1);
        hs_http_reply_json(req, 200, hs_request_add_warnings(req, hs_face_detect_json(&result, landmarks)));
    }
    hs_face_result_finish(&result);
}

/* A batch: the request that applies to all of its pictures. */
struct face_batch {
    const struct hs_face_app *app;
    struct hs_face_pipeline pipeline;
    struct hs_face_request request;
    bool landmarks;               /* detect */
    struct hs_face_recognize how; /* recognize */
};

/* Finds the faces in a picture. The caller always finishes *ret_result. */
static int find_one(const struct face_batch *of, const struct hs_batch_picture *picture,
                    struct hs_face_result *ret_result, struct hs_error *err)
{
    return hs_face_find(&of->pipeline, picture->data, picture->len, &of->request, picture->deadline_ns, picture->cancel,
                        ret_result, err);
}

static int detect_one(void *ctx, const struct hs_batch_picture *picture, struct hs_buf *out, struct hs_error *err)
{
    const struct face_batch *of = ctx;
    struct hs_face_result result = { 0 };
    int r = find_one(of, picture, &result, err);
    if (r == 0)
        r = hs_batch_append(picture, hs_face_detect_json(&result, of->landmarks), out, err);
    hs_face_result_finish(&result);
    return r;
}

/* Reads the fields that all batches have, and replies. */
static void reply_batch(struct hs_http_request *req, struct face_batch *of, const struct hs_face_param_spec *param_spec,
                        int (*process)(void *ctx, const struct hs_batch_picture *picture, struct hs_buf *out,
                                       struct hs_error *err))
{
    const struct hs_batch batch = {
        .process = process,
        .failure = hs_face_failure_json,
        .parallel = of->app->settings->device.batch_size,
        .ctx = of,
    };
    struct hs_error err;
    int r = hs_face_read_request(req, of->app, param_spec, &of->request, NULL, &err);
    if (r == 0)
        r = hs_face_acquire_pipeline(req, of->app, param_spec, &of->pipeline, &err);
    if (r < 0) {
        hs_face_reply_failure(req, r, &err);
        return;
    }
    of->request.priority = HS_BACKGROUND;
    of->how.deadline_ns = hs_http_deadline_ns(req); /* hs_face_acquire_pipeline may have shortened it */
    hs_batch_reply(req, &batch);
    hs_face_unref_models(of->app, &of->pipeline);
}

static void post_detect_batch(struct hs_http_request *req)
{
    const struct hs_face_param_spec param_spec = { .image = "image", .all_faces = true };
    struct face_batch of = { .app = hs_http_context(req) };
    struct hs_error err;
    if (!hs_face_require_body(req))
        return;
    int r = hs_field_bool(hs_http_body(req), &hs_face_field_return_landmarks, false, &of.landmarks, &err);
    if (r < 0)
        hs_face_reply_failure(req, r, &err);
    else
        reply_batch(req, &of, &param_spec, detect_one);
}

static void post_embed(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_param_spec param_spec = { .image = "image", .with_bbox = true, .embed = true };
    struct hs_face_result result;
    if (!hs_face_require_body(req))
        return;
    const struct hs_face_found *found = NULL;
    if (hs_face_run_request(req, app, &param_spec, &result))
        found = hs_face_require_best(req, &result);
    if (found) {
        json_t *response = hs_face_embed_json(found, &result);
        response = hs_json_with_member(response, "bbox", hs_face_response_bbox(req, found, &result));
        hs_face_reply_embedding(req, hs_request_add_warnings(req, response));
    }
    hs_face_result_finish(&result);
}

static int read_recognize(struct hs_http_request *req, const struct hs_face_app *app, struct hs_face_recognize *ret,
                          struct hs_error *err)
{
    const struct hs_body *body = hs_http_body(req);
    const char *word = hs_body_text(body, "threshold");
    int64_t candidates = 0;
    int r = 0;
    *ret = hs_face_recognize_default(app);
    ret->deadline_ns = hs_http_deadline_ns(req);
    if (word && strcmp(word, "auto") == 0)
        ret->threshold = (double) hs_model_pool_first(app->embedder)->choice.pack->embedding.threshold;
    else
        r = hs_field_double(body, &hs_face_field_threshold, ret->threshold, &ret->threshold, err);
    if (r == 0)
        r = hs_field_double(body, &hs_face_field_min_margin, ret->margin, &ret->margin, err);
    if (r == 0)
        r = hs_field_int(body, &hs_face_field_candidates, 0, &candidates, err);
    ret->candidates = (size_t) candidates;
    return r;
}

static void post_recognize(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_param_spec param_spec = {
        .image = "image", .embed = true, .gallery = true, .all_faces = true
    };
    struct hs_face_result result;
    struct hs_face_recognize how;
    struct hs_error err;
    if (!hs_face_require_gallery(req, app) || !hs_face_require_body(req))
        return;
    int r = read_recognize(req, app, &how, &err);
    if (r < 0) {
        hs_face_reply_failure(req, r, &err);
        return;
    }
    if (hs_face_run_request(req, app, &param_spec, &result)) {
        int64_t start_ns = hs_clock_now_ns();
        json_t *response = hs_face_recognize_json(app, &result, &how, &err);
        add_timings(req, &result.timings, hs_ns_to_ms(hs_clock_now_ns() - start_ns));
        if (response)
            hs_http_reply_json(req, 200, hs_request_add_warnings(req, response));
        else
            hs_face_reply_failure(req, err.code, &err);
    }
    hs_face_result_finish(&result);
}

static int recognize_one(void *ctx, const struct hs_batch_picture *picture, struct hs_buf *out, struct hs_error *err)
{
    const struct face_batch *of = ctx;
    struct hs_face_result result = { 0 };
    int r = find_one(of, picture, &result, err);
    json_t *response = r == 0 ? hs_face_recognize_json(of->app, &result, &of->how, err) : NULL;
    if (r == 0)
        r = response ? hs_batch_append(picture, response, out, err) : err->code;
    hs_face_result_finish(&result);
    return r;
}

static void post_recognize_batch(struct hs_http_request *req)
{
    const struct hs_face_param_spec param_spec = {
        .image = "image", .embed = true, .gallery = true, .all_faces = true
    };
    struct face_batch of = { .app = hs_http_context(req) };
    struct hs_error err;
    if (!hs_face_require_gallery(req, of.app) || !hs_face_require_body(req))
        return;
    int r = read_recognize(req, of.app, &of.how, &err);
    if (r < 0)
        hs_face_reply_failure(req, r, &err);
    else
        reply_batch(req, &of, &param_spec, recognize_one);
}

static void post_compare(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_param_spec first = { .image = "image", .embed = true },
                                    second = { .image = "image2", .embed = true };
    struct hs_face_result a, b = { 0 };
    if (!hs_face_require_body(req))
        return;
    if (hs_face_run_request(req, app, &first, &a) && hs_face_run_request(req, app, &second, &b)) {
        const struct hs_face_found *one = hs_face_require_best(req, &a),
                                   *two = one ? hs_face_require_best(req, &b) : NULL;
        if (two)
            hs_http_reply_json(req, 200, hs_request_add_warnings(req, hs_face_compare_json(app, one, &a, two, &b)));
    }
    hs_face_result_finish(&a);
    hs_face_result_finish(&b);
}

static const char *const one_picture[] = { "image", NULL };
static const char *const several_pictures[] = { "images", "image", NULL };
static const char *const two_pictures[] = { "image", "image2", NULL };

/* Runs before the body is checked, so that "Database not enabled" is the response to any body. */
static int check_gallery(struct hs_http_request *req)
{
    return !hs_face_require_gallery(req, hs_http_context(req));
}

#define POST(where, function, pictures, first, needed, how, what)                                                      \
    {                                                                                                                  \
        .method = "POST", .path = (where), .handle = (function), .check = (first), .is_heavy = hs_heavy_pictures,      \
        .scope = (needed), .flags = (how), .body = HS_BODY_FORM_OR_JSON, .doc = &hs_face_doc_##what, .spec = {         \
            .files = (pictures),                                                                                       \
            .fields = hs_face_##what##_fields,                                                                         \
            .any_json = true                                                                                           \
        }                                                                                                              \
    }
#define BATCH(where, function, first, needed, what)                                                                    \
    {                                                                                                                  \
        .method = "POST", .path = (where), .handle = (function), .check = (first), .is_heavy = hs_heavy_pictures,      \
        .scope = (needed), .body = HS_BODY_FORM_OR_JSON, .doc = &hs_face_doc_##what, .spec = {                         \
            .list = several_pictures,                                                                                  \
            .list_member = "image",                                                                                    \
            .fields = hs_face_##what##_fields,                                                                         \
            .any_json = true                                                                                           \
        }                                                                                                              \
    }
#define GET(where, function, what)                                                                                     \
    { .method = "GET",                                                                                                 \
      .path = (where),                                                                                                 \
      .handle = (function),                                                                                            \
      .scope = HS_SCOPE_GALLERY_READ,                                                                                  \
      .doc = &hs_face_doc_##what }
#define DELETE(where, function, what)                                                                                  \
    { .method = "DELETE",                                                                                              \
      .path = (where),                                                                                                 \
      .handle = (function),                                                                                            \
      .scope = HS_SCOPE_GALLERY_WRITE,                                                                                 \
      .is_heavy = hs_face_is_purge,                                                                                    \
      .flags = HS_HTTP_CHANGES,                                                                                        \
      .doc = &hs_face_doc_##what }
#define IDENTITIES "/v1/database/identities"
#define IDENTITY IDENTITIES "/{name}"

const struct hs_http_route hs_face_routes[] = {
    { .method = "GET",
      .path = "/health",
      .handle = get_health,
      .flags = HS_HTTP_INLINE | HS_HTTP_PROBE | HS_HTTP_OPEN,
      .doc = &hs_face_doc_health },
    HS_APP_ROUTES,
    POST("/v1/detect", post_detect, one_picture, NULL, HS_SCOPE_DETECT, 0, detect),
    BATCH("/v1/detect/batch", post_detect_batch, NULL, HS_SCOPE_DETECT, detect_batch),
    POST("/v1/embed", post_embed, one_picture, NULL, HS_SCOPE_RECOGNIZE, 0, embed),
    POST("/v1/recognize", post_recognize, one_picture, check_gallery, HS_SCOPE_RECOGNIZE, 0, recognize),
    BATCH("/v1/recognize/batch", post_recognize_batch, check_gallery, HS_SCOPE_RECOGNIZE, recognize_batch),
    POST("/v1/compare", post_compare, two_pictures, NULL, HS_SCOPE_RECOGNIZE, 0, compare),
    POST("/v1/database/add", hs_face_post_add, one_picture, check_gallery, HS_SCOPE_GALLERY_WRITE, HS_HTTP_CHANGES,
         add),
    { .method = "POST",
      .path = "/v1/database/remove",
      .handle = hs_face_post_remove,
      .scope = HS_SCOPE_GALLERY_WRITE,
      .check = check_gallery,
      .is_heavy = hs_face_is_purge,
      .flags = HS_HTTP_CHANGES,
      .body = HS_BODY_FORM_OR_JSON,
      .spec = { .fields = hs_face_remove_fields, .any_json = true },
      .doc = &hs_face_doc_remove },
    POST("/v1/database/verify", hs_face_post_verify, one_picture, check_gallery, HS_SCOPE_RECOGNIZE, 0, verify),
    { .method = "GET",
      .path = "/v1/database/list",
      .handle = hs_face_get_list,
      .scope = HS_SCOPE_GALLERY_READ,
      .is_heavy = hs_face_is_full_list,
      .doc = &hs_face_doc_list },
    GET(IDENTITIES, hs_face_get_identities, identities),
    GET(IDENTITY, hs_face_get_identity, get_identity),
    { .method = "PUT",
      .path = IDENTITY,
      .handle = hs_face_put_identity,
      .scope = HS_SCOPE_GALLERY_WRITE,
      .check = check_gallery,
      .flags = HS_HTTP_CHANGES,
      .body = HS_BODY_FORM_OR_JSON,
      .spec = { .fields = hs_face_update_fields, .any_json = true },
      .doc = &hs_face_doc_put_identity },
    DELETE(IDENTITY, hs_face_delete_identity, delete_identity),
    GET(IDENTITY "/embeddings", hs_face_get_embeddings, embeddings),
    GET(IDENTITY "/embeddings/{id}", hs_face_get_embedding, get_embedding),
    DELETE(IDENTITY "/embeddings/{id}", hs_face_delete_embedding, delete_embedding),
};
const size_t hs_face_route_count = HS_ARRAY_LEN(hs_face_routes);
