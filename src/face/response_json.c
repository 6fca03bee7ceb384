#include "face/response_json.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_build.h"
#include "base/json_writer.h"
#include "service/response_warnings.h"
#include "vision/embedding.h"

struct hs_face_recognize hs_face_recognize_default(const struct hs_face_app *app)
{
    return (struct hs_face_recognize) {
        .threshold = app->recognition_threshold,
        .margin = app->settings->face_recognition.min_margin,
        .deadline_ns = HS_NO_DEADLINE,
    };
}

/* ---- parts of responses ---- */

json_t *hs_face_bbox_json(const struct hs_rect *box, const struct hs_face_result *result)
{
    int x1 = hs_pixel(box->x1, result->width), y1 = hs_pixel(box->y1, result->height);
    return json_pack("[i, i, i, i]", x1, y1, hs_pixel(box->x2, result->width) - x1,
                     hs_pixel(box->y2, result->height) - y1);
}

/* Rounds to a tenth of a pixel; landmarks are not more accurate. */
static double round_to_tenth(float v)
{
    return hs_json_rounded((double) v, 1);
}

static double clamp_to_size(float v, int size)
{
    return round_to_tenth(fminf(fmaxf(v, 0), (float) (size - 1)));
}

/* A face at the border may have landmarks outside the picture; they are clipped to it, like boxes. */
static json_t *landmarks_json(const struct hs_face *face, const struct hs_face_result *result)
{
    if (!face->has_landmarks)
        return json_null();
    json_t *list = json_array();
    for (int i = 0; i < HS_FACE_LANDMARKS; i++)
        list = hs_json_with_item(list, json_pack("[f, f]", clamp_to_size(face->landmarks[i].x, result->width),
                                                 clamp_to_size(face->landmarks[i].y, result->height)));
    return list;
}

static double round_to_thousandth(float v)
{
    return hs_json_rounded((double) v, 3);
}

json_t *hs_face_quality_json(const struct hs_face_found *found)
{
    const struct hs_face_quality *q = &found->quality;
    if (!found->has_quality)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "size", round_to_tenth(q->size), "sharpness",
                     round_to_thousandth(q->sharpness), "yaw", round_to_tenth(q->pose.yaw), "pitch",
                     round_to_tenth(q->pose.pitch), "roll", round_to_tenth(q->pose.roll), "exposure",
                     round_to_thousandth(q->exposure.mean), "clipped", round_to_thousandth(q->exposure.clipped));
}

/* Adds `truncated` if max_faces cut the list. Takes `response` and returns it, as the functions below do. */
static json_t *with_truncated(json_t *response, const struct hs_face_result *result)
{
    if (result->found <= result->count)
        return response;
    response = hs_json_with_member(response, "truncated", json_true());
    return hs_json_with_member(response, "found", json_integer((json_int_t) result->found));
}

/* Adds the device that produced the response. */
static json_t *with_device(json_t *response, const struct hs_face_result *result)
{
    response = hs_json_with_member(response, "device", json_string(result->device));
    return result->degraded ? hs_json_with_member(response, "degraded", json_true()) : response;
}

/* Adds the device, and damage of the picture. */
static json_t *with_result(json_t *response, const struct hs_face_result *result)
{
    return hs_response_warn_damage(with_device(response, result), "image", result->damage);
}

json_t *hs_face_detect_json(const struct hs_face_result *result, bool landmarks)
{
    json_t *faces = json_array();
    for (size_t i = 0; i < result->count; i++) {
        const struct hs_face *face = &result->faces[i].face;
        faces = hs_json_with_item(faces, json_pack("{s:o, s:f, s:o}", "bbox", hs_face_bbox_json(&face->box, result),
                                                   "confidence", hs_json_score((double) face->score), "landmarks",
                                                   landmarks ? landmarks_json(face, result) : json_null()));
    }
    json_t *response = json_pack("{s:o, s:I, s:f}", "faces", faces, "count", (json_int_t) result->count,
                                 "inference_time_ms", hs_json_ms(result->timings.detect_ms));
    return with_result(with_truncated(response, result), result);
}

json_t *hs_face_vector_json(const float *vector, size_t dimension)
{
    json_t *list = json_array();
    for (size_t i = 0; i < dimension; i++)
        list = hs_json_with_item(list, json_real(hs_json_float(vector[i])));
    return list;
}

json_t *hs_face_embed_json(const struct hs_face_found *found, const struct hs_face_result *result)
{
    json_t *response = json_pack("{s:o, s:i, s:o, s:s, s:o}", "embedding",
                                 hs_face_vector_json(found->embedding, (size_t) result->dimension), "dimension",
                                 result->dimension, "bbox", hs_face_bbox_json(&found->face.box, result),
                                 "embedding_space", result->space, "quality", hs_face_quality_json(found));
    return with_result(response, result);
}

json_t *hs_face_compare_json(const struct hs_face_app *app, const struct hs_face_found *a,
                             const struct hs_face_result *in_a, const struct hs_face_found *b,
                             const struct hs_face_result *in_b)
{
    double score = (double) hs_embedding_cosine(a->embedding, b->embedding, (size_t) in_a->dimension);
    bool ours = strcmp(in_a->space, hs_model_pool_first(app->embedder)->choice.pack->embedding.space) == 0;
    double threshold = ours ? app->recognition_threshold : (double) in_a->threshold;
    json_t *response =
        json_pack("{s:b, s:f, s:f, s:o, s:o, s:s}", "same", score > threshold, "score", hs_json_score(score),
                  "threshold", hs_json_score(threshold), "bbox", hs_face_bbox_json(&a->face.box, in_a), "bbox2",
                  hs_face_bbox_json(&b->face.box, in_b), "embedding_space", in_a->space);
    response = hs_response_warn_damage(with_device(response, in_b->degraded ? in_b : in_a), "image", in_a->damage);
    return hs_response_warn_damage(response, "image2", in_b->damage);
}

static json_t *candidates_json(const struct hs_face_match *matches, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        list = hs_json_with_item(
            list, json_pack("{s:s, s:f}", "identity", matches[i].name, "score", hs_json_score(matches[i].score)));
    return list;
}

/* Returns NULL, with err set, if the search of the gallery fails or memory is short. */
static json_t *match_json(const struct hs_face_app *app, const struct hs_face_found *found,
                          const struct hs_face_result *result, const struct hs_face_recognize *how,
                          struct hs_error *err)
{
    struct hs_face_match matches[HS_FACE_CANDIDATES_MAX + 2];
    size_t count = 0, asked = how->candidates > 2 ? how->candidates : 2;
    if (hs_face_index_find(app->index, found->embedding, asked, -INFINITY, how->deadline_ns, matches, &count, err) < 0)
        return NULL;
    double margin = count > 1 ? matches[0].score - matches[1].score : 1;
    bool known = count > 0 && matches[0].score > how->threshold && margin >= how->margin;
    json_t *face =
        json_pack("{s:o, s:f, s:s, s:f, s:s, s:o}", "bbox", hs_face_bbox_json(&found->face.box, result),
                  "detection_confidence", hs_json_score((double) found->face.score), "identity",
                  known ? matches[0].name : "Unknown", "match_score", known ? hs_json_score(matches[0].score) : 0.0,
                  "embedding_space", result->space, "quality", hs_face_quality_json(found));
    if (known && count > 1)
        face = hs_json_with_member(face, "margin", json_real(hs_json_score(margin)));
    if (how->candidates > 0)
        face = hs_json_with_member(face, "candidates",
                                   candidates_json(matches, count < how->candidates ? count : how->candidates));
    if (!face)
        hs_error_set(err, HS_ENOMEM, "no memory for the response");
    return face;
}

/* Adds a warning if the threshold is below the embedding model's minimum. Takes `response` and returns it. */
static json_t *warn_low_threshold(json_t *response, const struct hs_face_app *app, double threshold)
{
    const struct hs_model_runner *embedder = hs_model_pool_first(app->embedder);
    double least = (double) embedder->choice.pack->embedding.threshold_min;
    if (threshold >= least - 1e-6)
        return response;
    return hs_response_warn(
        response,
        hs_warning_json("low_threshold", NULL,
                        "threshold %.4g is below %.4g, the minimum of %s: strangers may match people in the gallery",
                        threshold, least, embedder->model));
}

json_t *hs_face_recognize_json(const struct hs_face_app *app, const struct hs_face_result *result,
                               const struct hs_face_recognize *how, struct hs_error *err)
{
    int64_t start_ns = hs_clock_now_ns();
    json_t *faces = json_array();
    for (size_t i = 0; i < result->count; i++) {
        if (!result->faces[i].embedding)
            continue;
        json_t *face = match_json(app, &result->faces[i], result, how, err);
        if (!face) {
            json_decref(faces);
            return NULL;
        }
        faces = hs_json_with_item(faces, face);
    }
    double ms = result->timings.detect_ms + result->timings.embed_ms + hs_ns_to_ms(hs_clock_now_ns() - start_ns);
    json_int_t count = (json_int_t) json_array_size(faces);
    json_t *response =
        json_pack("{s:o, s:I, s:f}", "faces", faces, "count", count, "inference_time_ms", hs_json_ms(ms));
    response = with_result(warn_low_threshold(with_truncated(response, result), app, how->threshold), result);
    if (!response)
        hs_error_set(err, HS_ENOMEM, "no memory for the response");
    return response;
}
