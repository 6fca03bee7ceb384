/* Responses of the face service as JSON; the command line prints the same. */
#ifndef HS_FACE_RESPONSE_JSON_H
#define HS_FACE_RESPONSE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "face/app.h"
#include "face/face_select.h"

enum { HS_FACE_CANDIDATES_MAX = 100 };

/* Recognition parameters. */
struct hs_face_recognize {
    double threshold;    /* the score of a match must be higher */
    double margin;       /* and exceed the second best identity's score by this */
    size_t candidates;   /* number of best identities to list, matching or not; 0..HS_FACE_CANDIDATES_MAX */
    int64_t deadline_ns; /* longest wait for a gallery that is still being read */
};

/* Returns the configured parameters. */
struct hs_face_recognize hs_face_recognize_default(const struct hs_face_app *app);

/* Each returns a new reference; NULL if memory is short. */
json_t *hs_face_bbox_json(const struct hs_rect *box, const struct hs_face_result *result); /* [x, y, width, height] */
json_t *hs_face_quality_json(const struct hs_face_found *found);                           /* or JSON null */

json_t *hs_face_vector_json(const float *vector, size_t dimension);
json_t *hs_face_detect_json(const struct hs_face_result *result, bool landmarks);
json_t *hs_face_embed_json(const struct hs_face_found *found, const struct hs_face_result *result);

/* Compares two faces whose embeddings are in the same space. Uses the configured threshold if that
 * is the app's space, otherwise the threshold of the pack. */
json_t *hs_face_compare_json(const struct hs_face_app *app, const struct hs_face_found *a,
                             const struct hs_face_result *in_a, const struct hs_face_found *b,
                             const struct hs_face_result *in_b);

/* Searches the gallery for each face that has an embedding. On failure returns NULL and sets err. */
json_t *hs_face_recognize_json(const struct hs_face_app *app, const struct hs_face_result *result,
                               const struct hs_face_recognize *how, struct hs_error *err);

#endif
