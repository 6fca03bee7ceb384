#include "face/enrol.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_build.h"
#include "base/json_writer.h"
#include "base/str.h"
#include "face/response_json.h"
#include "service/response_warnings.h"
#include "vision/embedding.h"

/* With the gate off, the longest wait for a gallery that is still being read. */
enum { GALLERY_WAIT_MS = 1000 };

const char *const hs_enrol_gates[] = { "off", "standard", "strict", NULL };

/* Derived from measurements of ordinary enrolment photos: see docs/face.md. */
static const struct hs_enrol_limits standard = {
    .size = 50,
    .score = 0.6f,
    .sharpness = 0.3f,
    .yaw = 40,
    .pitch = 35,
    .roll = 35,
    .other_face = 0.5f,
};
static const struct hs_enrol_limits strict = {
    .size = 80,
    .score = 0.7f,
    .sharpness = 0.45f,
    .yaw = 25,
    .pitch = 30,
    .roll = 20,
    .other_face = 0,
};

const struct hs_enrol_limits *hs_enrol_limits_of(enum hs_enrol_gate gate)
{
    return gate == HS_ENROL_STRICT ? &strict : gate == HS_ENROL_STANDARD ? &standard : NULL;
}

/* ---- reasons ---- */

static struct hs_enrol_reason *add_reason(struct hs_enrol_verdict *verdict, const char *code, const char *measure,
                                          double value, double limit)
{
    struct hs_enrol_reason *reason = &verdict->reasons[verdict->count++];
    *reason = (struct hs_enrol_reason) { .value = value, .limit = limit };
    hs_str_copy(reason->code, sizeof(reason->code), code);
    hs_str_copy(reason->measure, sizeof(reason->measure), measure);
    return reason;
}

static void require(struct hs_enrol_verdict *verdict, bool met, const char *code, const char *measure, float value,
                    float limit)
{
    if (!met)
        add_reason(verdict, code, measure, (double) value, (double) limit);
}

/* Counts the other faces that are large enough to be the intended one. */
static size_t count_others(const struct hs_enrol_limits *limits, const struct hs_face_result *result,
                           const struct hs_face_found *face)
{
    float least = limits->other_face * hs_face_size(&face->face.box);
    size_t count = 0;
    for (size_t i = 0; i < result->count; i++)
        count += &result->faces[i] != face && hs_face_size(&result->faces[i].face.box) >= least;
    return count;
}

void hs_enrol_quality_gate(const struct hs_enrol_limits *limits, const struct hs_face_result *result, bool chosen,
                           struct hs_enrol_verdict *ret_verdict)
{
    *ret_verdict = (struct hs_enrol_verdict) { .face = hs_face_best(result) };
    const struct hs_face_found *face = ret_verdict->face;
    if (!limits)
        return;
    if (!face) {
        add_reason(ret_verdict, "no_face", "faces", 0, 1);
        return;
    }
    size_t others = chosen ? 0 : count_others(limits, result, face);
    if (others > 0)
        add_reason(ret_verdict, "multiple_faces", "faces", (double) others + 1, 1);
    const struct hs_face_quality *q = &face->quality;
    float size = hs_face_size(&face->face.box), score = face->face.score;
    require(ret_verdict, size >= limits->size, "face_too_small", "size", size, limits->size);
    require(ret_verdict, score >= limits->score, "low_score", "score", score, limits->score);
    if (!face->has_quality)
        return;
    require(ret_verdict, q->sharpness >= limits->sharpness, "blurred", "sharpness", q->sharpness, limits->sharpness);
    require(ret_verdict, fabsf(q->pose.yaw) <= limits->yaw, "extreme_pose", "yaw", q->pose.yaw, limits->yaw);
    require(ret_verdict, fabsf(q->pose.pitch) <= limits->pitch, "extreme_pose", "pitch", q->pose.pitch, limits->pitch);
    require(ret_verdict, fabsf(q->pose.roll) <= limits->roll, "extreme_pose", "roll", q->pose.roll, limits->roll);
}

/* A head with at least this roll, in degrees, lies on its side. */
static const float sideways_roll = 60;

static void warn_sideways(const struct hs_face_result *result, const struct hs_face_found *face,
                          struct hs_enrol_verdict *warnings)
{
    float roll = face->has_quality ? fabsf(face->quality.pose.roll) : 0;
    bool turned = result->turn > 2; /* 2 is mirrored only; the others include a rotation */
    if (roll < sideways_roll && !turned)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < warnings->count; i++)
        if (strcmp(warnings->reasons[i].measure, "roll") != 0)
            warnings->reasons[kept++] = warnings->reasons[i];
    warnings->count = kept;
    struct hs_enrol_reason *reason = add_reason(
        warnings, "sideways", "roll", face->has_quality ? (double) face->quality.pose.roll : 0, (double) sideways_roll);
    reason->turned = turned;
}

void hs_enrol_warnings(const struct hs_face_result *result, bool chosen, struct hs_enrol_verdict *ret_warnings)
{
    struct hs_enrol_limits limits = standard;
    limits.other_face = 0;
    hs_enrol_quality_gate(&limits, result, chosen, ret_warnings);
    const struct hs_face_found *face = ret_warnings->face;
    if (!face) {
        ret_warnings->count = 0;
        return;
    }
    /* Count also the faces cut off by max_faces. */
    if (!chosen && result->found > result->count && result->count == 1)
        add_reason(ret_warnings, "multiple_faces", "faces", (double) result->found, 1);
    for (size_t i = 0; i < ret_warnings->count; i++)
        if (strcmp(ret_warnings->reasons[i].code, "multiple_faces") == 0)
            ret_warnings->reasons[i].value = (double) result->found;
    warn_sideways(result, face, ret_warnings);
}

/* ---- the gallery ---- */

/* Returns 1 for the same picture, or else the best cosine similarity with the person's embeddings. */
static double best_similarity(const struct hs_gallery_person *person, const char *space, const float *vector,
                              size_t dimension, const char *source_sha256)
{
    double best = -1;
    for (size_t i = 0; i < person->count; i++) {
        const struct hs_gallery_embedding *e = &person->embeddings[i];
        if (e->dimension != dimension || strcmp(e->space, space) != 0)
            continue;
        if (source_sha256 && e->source_sha256 && hs_str_equal_nocase(source_sha256, e->source_sha256))
            return 1;
        best = fmax(best, (double) hs_embedding_cosine(vector, e->values, dimension));
    }
    return best;
}

static int find_duplicate(const struct hs_enrol_comparison *against, const char *name, const char *source_sha256,
                          size_t dimension, struct hs_enrol_verdict *verdict, struct hs_error *err)
{
    struct hs_gallery_person *person;
    int r = hs_gallery_get(against->gallery, name, true, &person, err);
    if (r == HS_ENOTFOUND)
        return 0;
    if (r < 0)
        return r;
    double like = best_similarity(person, against->space, verdict->face->embedding, dimension, source_sha256);
    if (like >= HS_ENROL_DUPLICATE)
        add_reason(verdict, "duplicate", "similarity", like, HS_ENROL_DUPLICATE);
    hs_gallery_person_destroy(person);
    return 0;
}

int hs_enrol_compare(const struct hs_enrol_comparison *against, const char *name, const char *source_sha256,
                     size_t dimension, struct hs_enrol_verdict *verdict, struct hs_error *err)
{
    struct hs_face_match matches[2];
    size_t count = 0;
    int r = find_duplicate(against, name, source_sha256, dimension, verdict, err);
    if (r < 0)
        return r;
    /* Find the best other identity, if the face would be recognised as one. */
    r = hs_face_index_find(against->index, verdict->face->embedding, 2, against->threshold, against->deadline_ns,
                           matches, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        if (strcmp(matches[i].name, name) == 0)
            continue;
        struct hs_enrol_reason *reason =
            add_reason(verdict, "identity_conflict", "similarity", matches[i].score, against->threshold);
        hs_str_copy(reason->identity, sizeof(reason->identity), matches[i].name);
        break;
    }
    return r;
}

/* Appends the reasons of the comparison with the gallery, which the gate counts, too. */
static void append(struct hs_enrol_verdict *verdict, const struct hs_enrol_verdict *more, size_t first)
{
    for (size_t i = first; i < more->count; i++)
        verdict->reasons[verdict->count++] = more->reasons[i];
}

int hs_enrol_check(const struct hs_face_app *app, enum hs_enrol_gate gate, const struct hs_enrol_candidate *candidate,
                   struct hs_enrol_verdict *ret_verdict, struct hs_enrol_verdict *ret_warnings, struct hs_error *err)
{
    const struct hs_face_result *result = candidate->result;
    int64_t short_deadline_ns = hs_deadline_in_ms(GALLERY_WAIT_MS);
    const struct hs_enrol_comparison against = {
        .gallery = app->gallery,
        .index = app->index,
        .space = hs_model_pool_first(app->embedder)->choice.pack->embedding.space,
        .threshold = app->recognition_threshold,
        .deadline_ns = gate == HS_ENROL_OFF && short_deadline_ns < candidate->deadline_ns ? short_deadline_ns
                                                                                          : candidate->deadline_ns,
    };
    hs_enrol_quality_gate(hs_enrol_limits_of(gate), result, candidate->chosen, ret_verdict);
    hs_enrol_warnings(result, candidate->chosen, ret_warnings);
    if (!ret_verdict->face)
        return 0;
    size_t before = ret_warnings->count;
    int r = hs_enrol_compare(&against, candidate->name, candidate->source_sha256, (size_t) result->dimension,
                             ret_warnings, err);
    if (gate == HS_ENROL_OFF)
        return 0;
    append(ret_verdict, ret_warnings, before);
    return r;
}

/* ---- texts and JSON ---- */

json_t *hs_enrol_reasons_json(const struct hs_enrol_verdict *verdict)
{
    json_t *list = json_array();
    for (size_t i = 0; i < verdict->count; i++) {
        const struct hs_enrol_reason *r = &verdict->reasons[i];
        json_t *reason = json_pack("{s:s, s:s, s:f, s:f}", "code", r->code, "measure", r->measure, "value",
                                   hs_json_score(r->value), "limit", hs_json_score(r->limit));
        if (r->identity[0])
            reason = hs_json_with_member(reason, "identity", json_string(r->identity));
        list = hs_json_with_item(list, reason);
    }
    return list;
}

void hs_enrol_reasons_text(const struct hs_enrol_verdict *verdict, char *dst, size_t size)
{
    dst[0] = '\0';
    for (size_t i = 0; i < verdict->count; i++) {
        const struct hs_enrol_reason *r = &verdict->reasons[i];
        size_t len = strlen(dst);
        hs_str_format(dst + len, size - len, "%s%s (%s %.4g, limit %.4g%s%s)", i ? "; " : "", r->code, r->measure,
                      r->value, r->limit, r->identity[0] ? ": " : "", r->identity);
    }
}

static void text_of_pose(const struct hs_enrol_reason *r, char *dst, size_t size)
{
    hs_str_format(dst, size, "The face is turned away: %s %.0f degrees, at most %.0f are recommended", r->measure,
                  r->value, r->limit);
}

static void text_of_sideways(const struct hs_enrol_reason *r, char *dst, size_t size)
{
    if (r->turned)
        hs_str_format(dst, size,
                      "The EXIF orientation of the picture was not applied, and the face lies on its side (roll %.0f "
                      "degrees). Set image.apply_exif, or send the picture upright",
                      r->value);
    else
        hs_str_format(dst, size, "The face lies on its side (roll %.0f degrees). Send the picture upright", r->value);
}

void hs_enrol_warning_text(const struct hs_enrol_reason *r, char *dst, size_t size)
{
    const char *code = r->code;
    if (strcmp(code, "identity_conflict") == 0)
        hs_str_format(dst, size, "The face looks like '%s': similarity %.2f, recognition threshold %.2f", r->identity,
                      r->value, r->limit);
    else if (strcmp(code, "duplicate") == 0)
        hs_str_format(dst, size, "This picture or the same face is already enrolled under this name: similarity %.4f",
                      r->value);
    else if (strcmp(code, "multiple_faces") == 0)
        hs_str_format(dst, size,
                      "The picture shows %.0f faces; `face` describes the enrolled one, `bbox` selects another",
                      r->value);
    else if (strcmp(code, "face_too_small") == 0)
        hs_str_format(dst, size, "The face is small: %.0f pixels, at least %.0f are recommended", r->value, r->limit);
    else if (strcmp(code, "low_score") == 0)
        hs_str_format(dst, size, "The detection score of the face is low: %.2f, at least %.2f is recommended", r->value,
                      r->limit);
    else if (strcmp(code, "blurred") == 0)
        hs_str_format(dst, size, "The face is blurred: sharpness %.2f, at least %.2f is recommended", r->value,
                      r->limit);
    else if (strcmp(code, "sideways") == 0)
        text_of_sideways(r, dst, size);
    else
        text_of_pose(r, dst, size);
}

static json_t *face_json(const struct hs_face_found *face, const struct hs_face_result *result)
{
    size_t index = result->first_index + (size_t) (face - result->faces);
    return json_pack("{s:o, s:f, s:o, s:I, s:I}", "bbox", hs_face_bbox_json(&face->face.box, result), "confidence",
                     hs_json_score((double) face->face.score), "quality", hs_face_quality_json(face), "faces_found",
                     (json_int_t) result->found, "index", (json_int_t) index);
}

json_t *hs_enrol_add_face(json_t *response, const struct hs_face_found *face, const struct hs_face_result *result,
                          const struct hs_enrol_verdict *warnings)
{
    json_t *reasons = hs_enrol_reasons_json(warnings);
    response = hs_json_with_member(response, "face", face_json(face, result));
    response = hs_json_with_member(response, "warnings", json_array());
    for (size_t i = 0; i < warnings->count; i++) {
        char text[HS_ERROR_MESSAGE_SIZE];
        hs_enrol_warning_text(&warnings->reasons[i], text, sizeof(text));
        json_t *warning = hs_warning_json(warnings->reasons[i].code, NULL, "%s", text);
        response = hs_response_warn(response, hs_json_with_members(warning, json_incref(json_array_get(reasons, i))));
    }
    json_decref(reasons);
    return hs_response_warn_damage(response, "image", result->damage);
}

/* ---- storing ---- */

int hs_enrol_store(const struct hs_face_app *app, const struct hs_enrol_entry *entry, const struct hs_face_found *found,
                   const struct hs_face_result *result, struct hs_gallery_added *ret_added, struct hs_error *err)
{
    json_t *quality = hs_face_quality_json(found);
    /* The gallery keeps the embedding with the higher score if an identity is full. */
    if (found->has_quality)
        quality =
            hs_json_with_member(quality, "score", json_real((double) (found->face.score * found->quality.sharpness)));
    char *text = json_is_object(quality) ? json_dumps(quality, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(quality);
    if (found->has_quality && !text)
        return hs_error_set(err, HS_ENOMEM, "no memory for the quality of a face");
    const struct hs_gallery_new_embedding embedding = {
        .values = found->embedding,
        .dimension = (size_t) result->dimension,
        .space = result->space,
        .model = result->model,
        .quality = text,
        .source_sha256 = entry->source_sha256,
    };
    int r = hs_gallery_add_until(app->gallery, entry->request, entry->name, entry->metadata, entry->expires_at,
                                 &embedding, ret_added, err);
    free(text);
    return r;
}
