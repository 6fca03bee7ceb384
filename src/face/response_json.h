/* Answers of the face service as JSON; the command line prints the same. */
#ifndef HS_FACE_RESPONSE_JSON_H
#define HS_FACE_RESPONSE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "face/app.h"
#include "face/face_select.h"

enum { HS_FACE_CANDIDATES_MAX = 100 };

/* How a face is recognised. */
struct hs_face_recognize {
    double threshold;    /* a name's score must be above it */
    double margin;       /* and better than the second best name's by this */
    size_t candidates;   /* list so many of the best names, known or not; 0..HS_FACE_CANDIDATES_MAX */
    int64_t deadline_ns; /* how long to wait for the gallery if it is still being read */
};

/* The configured way. */
struct hs_face_recognize hs_face_recognize_default(const struct hs_face_app *app);

/* A list with one item more, and an object with one member more or another value of it. Both take and give the
 * reference, and take the value. Without memory, or if either is NULL: NULL, so that an answer is whole or none. */
json_t *hs_face_with_item(json_t *list, json_t *item);
json_t *hs_face_with_member(json_t *object, const char *key, json_t *value);

/* The same with all members of `more` that the object has not, from *more, which is taken. */
json_t *hs_face_with_members(json_t *object, json_t *more);

/* New references, NULL without memory. */
json_t *hs_face_bbox_json(const struct hs_rect *box, const struct hs_face_result *result); /* [x, y, width, height] */
json_t *hs_face_quality_json(const struct hs_face_found *found);                           /* or null */

json_t *hs_face_vector_json(const float *vector, size_t dimension);
json_t *hs_face_detect_json(const struct hs_face_result *result, bool landmarks);
json_t *hs_face_embed_json(const struct hs_face_found *found, const struct hs_face_result *result);

/* Of two faces whose vectors are of one space: its threshold is the configured one if that is the app's own space,
 * else its pack's. */
json_t *hs_face_compare_json(const struct hs_face_app *app, const struct hs_face_found *a,
                             const struct hs_face_result *in_a, const struct hs_face_found *b,
                             const struct hs_face_result *in_b);

/* Searches the gallery for every face that has a vector. NULL and err filled if that fails. */
json_t *hs_face_recognize_json(const struct hs_face_app *app, const struct hs_face_result *result,
                               const struct hs_face_recognize *how, struct hs_error *err);

#endif
