/* Enrols a face: checks that the picture is good enough, and adds its embedding to the gallery. */
#ifndef HS_FACE_ENROL_H
#define HS_FACE_ENROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "face/app.h"

/* Strictness of the quality gate, in the order of hs_enrol_gates. */
enum hs_enrol_gate { HS_ENROL_OFF, HS_ENROL_STANDARD, HS_ENROL_STRICT };
extern const char *const hs_enrol_gates[]; /* "off", "standard", "strict", NULL */

/* Limits of a gate; docs/face.md has the table and the measurements behind it. */
struct hs_enrol_limits {
    float size;             /* minimum, in pixels: hs_face_quality.size */
    float score;            /* minimum score of the detector */
    float sharpness;        /* minimum */
    float yaw, pitch, roll; /* maximum, in degrees to either side */
    float other_face;       /* other faces count from this share of the enrolled face's size on; 0: any */
};
const struct hs_enrol_limits *hs_enrol_limits_of(enum hs_enrol_gate gate); /* NULL for HS_ENROL_OFF */

/* An embedding is a duplicate if the identity has one with at least this cosine similarity. */
#define HS_ENROL_DUPLICATE 0.9995

enum { HS_ENROL_REASONS_MAX = 10, HS_ENROL_CODE_SIZE = 24 };

struct hs_enrol_reason {
    char code[HS_ENROL_CODE_SIZE];
    char measure[HS_ENROL_CODE_SIZE]; /* the measured quantity, such as "yaw"; never empty */
    double value, limit;
    bool turned;                            /* for "sideways": the EXIF orientation was not applied */
    char identity[HS_GALLERY_NAME_MAX + 1]; /* the identity that the face resembles; empty: none */
};

struct hs_enrol_verdict {
    const struct hs_face_found *face;                     /* the face to enrol; NULL if no face has an embedding */
    struct hs_enrol_reason reasons[HS_ENROL_REASONS_MAX]; /* all reasons to reject it */
    size_t count;
};

/* Returns warnings, as reasons, about a face that is enrolled anyway: those of the standard gate,
 * but counting any other face, and with "sideways" instead of "extreme_pose" for a face that lies
 * on its side or upside down, or if the EXIF orientation requires a rotation that was not applied.
 * Pure. */
void hs_enrol_warnings(const struct hs_face_result *result, bool chosen, struct hs_enrol_verdict *ret_warnings);

/* Checks the faces found in a picture, without using the gallery. `chosen` means that the client
 * selected the face with a box, so that other faces do not matter. With limits
 * NULL the verdict has no reasons. verdict->face points into result. Pure. */
void hs_enrol_quality_gate(const struct hs_enrol_limits *limits, const struct hs_face_result *result, bool chosen,
                           struct hs_enrol_verdict *ret_verdict);

/* The input of hs_enrol_compare, which compares the face with the gallery and adds "duplicate" and
 * "identity_conflict" to the verdict. */
struct hs_enrol_comparison {
    struct hs_gallery *gallery;
    struct hs_face_index *index;
    const char *space;
    double threshold; /* the recognition threshold */
    int64_t deadline_ns;
};
int hs_enrol_compare(const struct hs_enrol_comparison *against, const char *name, const char *source_sha256,
                     size_t dimension, struct hs_enrol_verdict *verdict, struct hs_error *err);

/* A face to enrol. */
struct hs_enrol_candidate {
    const char *name, *source_sha256;
    const struct hs_face_result *result;
    bool chosen; /* selected by the client's box */
    int64_t deadline_ns;
};

/* Runs the quality gate, the warnings and the comparison with the gallery, with the app's settings.
 * ret_warnings is the verdict to report if ret_verdict has no reasons. If the gate is off,
 * ret_verdict has none, and the warnings may lack the comparison with the gallery, because it waits
 * for the gallery for at most one second. */
int hs_enrol_check(const struct hs_face_app *app, enum hs_enrol_gate gate, const struct hs_enrol_candidate *candidate,
                   struct hs_enrol_verdict *ret_verdict, struct hs_enrol_verdict *ret_warnings, struct hs_error *err);

/* Returns [{"code", "measure", "value", "limit", "identity"}]; NULL if memory is short. */
json_t *hs_enrol_reasons_json(const struct hs_enrol_verdict *verdict);

/* Adds two members to a response. `face` is the enrolled face: {"bbox", "confidence", "quality",
 * "faces_found", "index"}, where `index` is its position among all faces of the picture by
 * descending score. `warnings` (service/response_warnings.h) is present even if empty: those of the
 * verdict, with "measure", "value", "limit" and "identity", and damage of the picture. Takes
 * `response` and returns it; NULL if memory is short. */
json_t *hs_enrol_add_face(json_t *response, const struct hs_face_found *face, const struct hs_face_result *result,
                          const struct hs_enrol_verdict *warnings);

/* Writes a warning as a sentence. */
void hs_enrol_warning_text(const struct hs_enrol_reason *r, char *dst, size_t size);

/* Writes "blurred (sharpness 0.12, limit 0.25); …", truncated to size; "" without reasons. */
void hs_enrol_reasons_text(const struct hs_enrol_verdict *verdict, char *dst, size_t size);

/* Data stored with the embedding. NULL: not known, or absent. */
struct hs_enrol_entry {
    const char *name;
    const char *metadata;                     /* JSON object */
    const char *expires_at;                   /* as for hs_gallery_add_until */
    const char *source_sha256;                /* of the picture's bytes */
    const struct hs_gallery_request *request; /* to store; see hs_gallery_add */
};

/* Adds the face's embedding to the gallery and to the index. Errors as for hs_gallery_add. */
int hs_enrol_store(const struct hs_face_app *app, const struct hs_enrol_entry *entry, const struct hs_face_found *found,
                   const struct hs_face_result *result, struct hs_gallery_added *ret_added, struct hs_error *err);

#endif
