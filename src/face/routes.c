#include "face/routes.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "face/ask.h"
#include "face/routes_database.h"
#include "http/param.h"
#include "vision/embedding.h"

enum { CANDIDATES_MAX = 100 };

static void get_health(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    struct hs_engine_status detector, embedder;
    hs_engine_get_status(app->detector.engine, &detector);
    hs_engine_get_status(app->embedder.engine, &embedder);
    hs_http_reply_json(req, 200,
                       json_pack("{s:s, s:s, s:b, s:s, s:s, s:b, s:s, s:s}", "status", "healthy", "service",
                                 "hailo-face", "model_loaded", detector.model_loaded && embedder.model_loaded,
                                 "detection_model", app->detector.model, "recognition_model", app->embedder.model,
                                 "database_enabled", app->gallery != NULL, "device", app->detector.device,
                                 "embedding_space", app->embedder.choice.pack->embedding.space));
}

/* 503 with the reason while one of the networks cannot answer. */
static void get_ready(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_network *networks[] = { &app->detector, &app->embedder };
    for (size_t i = 0; i < HS_ARRAY_LEN(networks); i++) {
        struct hs_engine_status status;
        hs_engine_get_status(networks[i]->engine, &status);
        if (status.state == HS_ENGINE_READY || status.state == HS_ENGINE_IDLE)
            continue;
        bool loading = status.state == HS_ENGINE_LOADING;
        hs_http_reply_json(req, 503,
                           json_pack("{s:b, s:s, s:s*}", "ready", 0, "reason",
                                     loading ? "model_loading" : "model_failed", "detail",
                                     loading ? NULL : status.error.message));
        return;
    }
    hs_http_reply_json(req, 200, json_pack("{s:b}", "ready", 1));
}

static void post_detect(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_wish wish = { .image = "image" };
    struct hs_face_result result;
    struct hs_error err;
    bool landmarks;
    if (!hs_face_ask_body(req))
        return;
    if (hs_param_bool(hs_http_body(req), "return_landmarks", false, &landmarks, &err) < 0) {
        hs_face_reply_failure(req, HS_EINVAL, &err);
        return;
    }
    if (hs_face_ask_faces(req, app, &wish, &result)) {
        json_t *faces = json_array();
        for (size_t i = 0; i < result.count; i++) {
            const struct hs_face *face = &result.faces[i].face;
            json_array_append_new(faces, json_pack("{s:o, s:f, s:o}", "bbox", hs_face_bbox_json(&face->box, &result),
                                                   "confidence", (double) face->score, "landmarks",
                                                   landmarks ? hs_face_landmarks_json(face) : json_null()));
        }
        hs_http_reply_json(req, 200, json_pack("{s:o, s:I, s:f}", "faces", faces, "count", (json_int_t) result.count,
                                               "inference_time_ms", result.timings.detect_ms));
    }
    hs_face_result_finish(&result);
}

static json_t *vector_json(const float *vector, int dimension)
{
    json_t *list = json_array();
    for (int i = 0; i < dimension; i++)
        json_array_append_new(list, json_real((double) vector[i]));
    return list;
}

static void post_embed(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_wish wish = { .image = "image", .boxed = true, .embed = true };
    struct hs_face_result result;
    if (!hs_face_ask_body(req))
        return;
    const struct hs_face_found *found = NULL;
    if (hs_face_ask_faces(req, app, &wish, &result))
        found = hs_face_ask_best(req, &result);
    if (found)
        hs_http_reply_json(req, 200,
                           json_pack("{s:o, s:i, s:o, s:s, s:o}", "embedding",
                                     vector_json(found->embedding, result.dimension), "dimension", result.dimension,
                                     "bbox", hs_face_bbox_json(&found->face.box, &result), "embedding_space",
                                     app->embedder.choice.pack->embedding.space, "quality",
                                     hs_face_quality_json(found)));
    hs_face_result_finish(&result);
}

/* ---- recognize ---- */

struct recognize {
    double threshold, margin;
    int64_t top;
};

static int read_recognize(const struct hs_http_request *req, const struct hs_face_app *app, struct recognize *ret,
                          struct hs_error *err)
{
    const struct hs_body *body = hs_http_body((struct hs_http_request *) req);
    const char *word = hs_body_text(body, "threshold");
    int r = 0;
    ret->threshold = (double) app->embedder.choice.pack->embedding.threshold;
    if (!word || strcmp(word, "auto") != 0)
        r = hs_param_double(body, "threshold", 0, 1, app->recognition_threshold, &ret->threshold, err);
    if (r == 0)
        r = hs_param_double(body, "min_margin", 0, 1, app->settings->face_recognition.min_margin, &ret->margin, err);
    return r < 0 ? r : hs_param_int(body, "candidates", 0, CANDIDATES_MAX, 0, &ret->top, err);
}

static json_t *candidates_json(const struct hs_face_match *matches, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:f}", "identity", matches[i].name, "score", matches[i].score));
    return list;
}

/* NULL, and err filled, where the gallery could not be searched. */
static json_t *match_json(const struct hs_face_app *app, const struct hs_face_found *found,
                          const struct hs_face_result *result, const struct recognize *wish, struct hs_error *err)
{
    struct hs_face_match matches[CANDIDATES_MAX + 2];
    size_t count = 0, asked = wish->top > 2 ? (size_t) wish->top : 2;
    if (hs_face_index_find(app->index, found->embedding, asked, -INFINITY, matches, &count, err) < 0)
        return NULL;
    double margin = count > 1 ? matches[0].score - matches[1].score : 1;
    bool known = count > 0 && matches[0].score > wish->threshold && margin >= wish->margin;
    json_t *face = json_pack("{s:o, s:f, s:s, s:f, s:s, s:o}", "bbox", hs_face_bbox_json(&found->face.box, result),
                             "detection_confidence", (double) found->face.score, "identity",
                             known ? matches[0].name : "Unknown", "match_score", known ? matches[0].score : 0.0,
                             "embedding_space", app->embedder.choice.pack->embedding.space, "quality",
                             hs_face_quality_json(found));
    if (known && count > 1)
        json_object_set_new(face, "margin", json_real(margin));
    if (wish->top > 0)
        json_object_set_new(face, "candidates",
                            candidates_json(matches, count < (size_t) wish->top ? count : (size_t) wish->top));
    return face;
}

static void reply_recognized(struct hs_http_request *req, const struct hs_face_app *app,
                             const struct hs_face_result *result, const struct recognize *wish, int64_t start_ns)
{
    struct hs_error err;
    json_t *faces = json_array();
    for (size_t i = 0; i < result->count; i++) {
        if (!result->faces[i].embedding)
            continue;
        json_t *face = match_json(app, &result->faces[i], result, wish, &err);
        if (!face) {
            json_decref(faces);
            hs_face_reply_failure(req, err.code, &err);
            return;
        }
        json_array_append_new(faces, face);
    }
    double ms = hs_ns_to_ms(hs_clock_now_ns() - start_ns) - result->timings.decode_ms;
    json_int_t count = (json_int_t) json_array_size(faces);
    hs_http_reply_json(req, 200, json_pack("{s:o, s:I, s:f}", "faces", faces, "count", count, "inference_time_ms", ms));
}

static void post_recognize(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_wish wish = { .image = "image", .embed = true };
    struct hs_face_result result;
    struct recognize recognize;
    struct hs_error err;
    int64_t start_ns = hs_clock_now_ns();
    if (!hs_face_ask_gallery(req, app) || !hs_face_ask_body(req))
        return;
    int r = read_recognize(req, app, &recognize, &err);
    if (r < 0) {
        hs_face_reply_failure(req, r, &err);
        return;
    }
    if (hs_face_ask_faces(req, app, &wish, &result))
        reply_recognized(req, app, &result, &recognize, start_ns);
    hs_face_result_finish(&result);
}

/* ---- compare ---- */

static void reply_compared(struct hs_http_request *req, const struct hs_face_app *app,
                           const struct hs_face_result *a, const struct hs_face_result *b)
{
    const struct hs_face_found *first = hs_face_ask_best(req, a);
    const struct hs_face_found *second = first ? hs_face_ask_best(req, b) : NULL;
    if (!second)
        return;
    double score = (double) hs_embedding_cosine(first->embedding, second->embedding, (size_t) a->dimension);
    hs_http_reply_json(req, 200,
                       json_pack("{s:b, s:f, s:f, s:o, s:o, s:s}", "same", score > app->recognition_threshold, "score",
                                 score, "threshold", app->recognition_threshold, "bbox",
                                 hs_face_bbox_json(&first->face.box, a), "bbox2",
                                 hs_face_bbox_json(&second->face.box, b), "embedding_space",
                                 app->embedder.choice.pack->embedding.space));
}

static void post_compare(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_wish first = { .image = "image", .embed = true }, second = { .image = "image2", .embed = true };
    struct hs_face_result a, b = { 0 };
    if (!hs_face_ask_body(req))
        return;
    if (hs_face_ask_faces(req, app, &first, &a) && hs_face_ask_faces(req, app, &second, &b))
        reply_compared(req, app, &a, &b);
    hs_face_result_finish(&a);
    hs_face_result_finish(&b);
}

void hs_face_shape(struct hs_http_options *ret_options)
{
    ret_options->error_shape = HS_HTTP_ERROR_TEXT;
    ret_options->json_style = HS_JSON_SORTED;
    ret_options->json_content_type = "application/json";
    ret_options->not_found_message = "Endpoint not found";
}

static const char *const one_picture[] = { "image", NULL };
static const char *const two_pictures[] = { "image", "image2", NULL };

#define POST(where, function, pictures) \
    { .method = "POST", .path = (where), .handle = (function), .body = HS_BODY_FORM_OR_JSON, \
      .spec = { .files = (pictures), .any_json = true } }
#define GET(where, function, how) { .method = "GET", .path = (where), .handle = (function), .flags = (how) }

const struct hs_http_route hs_face_routes[] = {
    GET("/health", get_health, HS_HTTP_INLINE),
    GET("/health/ready", get_ready, HS_HTTP_INLINE),
    POST("/v1/detect", post_detect, one_picture),
    POST("/v1/embed", post_embed, one_picture),
    POST("/v1/recognize", post_recognize, one_picture),
    POST("/v1/compare", post_compare, two_pictures),
    POST("/v1/database/add", hs_face_post_add, one_picture),
    POST("/v1/database/remove", hs_face_post_remove, NULL),
    POST("/v1/database/verify", hs_face_post_verify, one_picture),
    GET("/v1/database/list", hs_face_get_list, 0),
    GET("/v1/database/identities/{name}", hs_face_get_identity, 0),
    { .method = "DELETE", .path = "/v1/database/identities/{name}", .handle = hs_face_delete_identity },
};
const size_t hs_face_route_count = HS_ARRAY_LEN(hs_face_routes);
