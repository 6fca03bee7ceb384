/* Enrolling a face: whether a picture is good enough for it, and putting its vector into the gallery. */
#ifndef HS_FACE_ENROL_H
#define HS_FACE_ENROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "face/app.h"

/* How strict the gate is; the order of hs_enrol_gates. */
enum hs_enrol_gate { HS_ENROL_OFF, HS_ENROL_STANDARD, HS_ENROL_STRICT };
extern const char *const hs_enrol_gates[]; /* "off", "standard", "strict", NULL */

/* Bounds of one gate; docs/face.md has the table and what was measured with it. */
struct hs_enrol_limits {
    float size;             /* least, in pixels: hs_face_quality.size */
    float score;            /* least, of the detector */
    float sharpness;        /* least */
    float yaw, pitch, roll; /* most, in degrees to either side */
    float other_face;       /* another face counts from this share of the enrolled one's size on; 0: any */
};
const struct hs_enrol_limits *hs_enrol_limits_of(enum hs_enrol_gate gate); /* NULL for HS_ENROL_OFF */

/* A vector is a duplicate if one of the name is at least so similar. */
#define HS_ENROL_DUPLICATE 0.9995

enum { HS_ENROL_REASONS_MAX = 10, HS_ENROL_CODE_SIZE = 24 };

struct hs_enrol_reason {
    char code[HS_ENROL_CODE_SIZE];
    char measure[HS_ENROL_CODE_SIZE]; /* what was measured: "yaw"; never empty */
    double value, limit;
    bool turned;                            /* of "sideways": the file's EXIF orientation was not applied */
    char identity[HS_GALLERY_NAME_MAX + 1]; /* whom it looks like; empty: nobody else is part of the reason */
};

struct hs_enrol_verdict {
    const struct hs_face_found *face;                     /* the one to be enrolled; NULL if none has a vector */
    struct hs_enrol_reason reasons[HS_ENROL_REASONS_MAX]; /* all that speak against it */
    size_t count;
};

/* What is worth knowing about a face that is enrolled all the same, as reasons: those of the standard gate, but with
 * any other face, and "sideways" instead of "extreme_pose" for a face that lies on its side or on its head, or if the
 * file says that it is to be turned and it was not. Pure. */
void hs_enrol_warnings(const struct hs_face_result *result, bool chosen, struct hs_enrol_verdict *ret_warnings);

/* Judges the faces that were found in a picture, without looking into the gallery. `chosen` says that the caller picked
 * the face (by a box), so that others beside it do not matter. limits NULL: nothing speaks against anything.
 * verdict->face points into result. Pure. */
void hs_enrol_quality_gate(const struct hs_enrol_limits *limits, const struct hs_face_result *result, bool chosen,
                           struct hs_enrol_verdict *ret_verdict);

/* Compares with the gallery: adds "duplicate" and "identity_conflict" to the verdict. */
struct hs_enrol_against {
    struct hs_gallery *gallery;
    struct hs_face_index *index;
    const char *space;
    double threshold; /* of recognition */
    int64_t deadline_ns;
};
int hs_enrol_compare(const struct hs_enrol_against *against, const char *name, const char *source_sha256,
                     size_t dimension, struct hs_enrol_verdict *verdict, struct hs_error *err);

/* A face that is to be enrolled. */
struct hs_enrol_candidate {
    const char *name, *source_sha256;
    const struct hs_face_result *result;
    bool chosen; /* by the caller's box */
    int64_t deadline_ns;
};

/* Gate, warnings and gallery, as the app is set up; ret_warnings is what to say if nothing speaks against it. With the
 * gate off nothing does, and the comparison with the gallery may be missing from the warnings: it is not waited for
 * longer than a second. */
int hs_enrol_check(const struct hs_face_app *app, enum hs_enrol_gate gate, const struct hs_enrol_candidate *candidate,
                   struct hs_enrol_verdict *ret_verdict, struct hs_enrol_verdict *ret_warnings, struct hs_error *err);

/* [{"code", "measure", "value", "limit", "identity"}]; NULL without memory. */
json_t *hs_enrol_reasons_json(const struct hs_enrol_verdict *verdict);

/* Adds to an answer the face that was taken, `face`: {"bbox", "confidence", "quality", "faces_found", "index"}, where
 * `index` is its place among all faces of the picture by descending score; and `warnings` (service/answer_warnings.h),
 * also if there are none: those of the verdict with "measure", "value", "limit" and "identity", and damage of the
 * picture. Takes and gives the reference; NULL without memory. */
json_t *hs_enrol_add_face(json_t *answer, const struct hs_face_found *face, const struct hs_face_result *result,
                          const struct hs_enrol_verdict *warnings);

/* One warning as a sentence. */
void hs_enrol_warning_text(const struct hs_enrol_reason *r, char *dst, size_t size);

/* "blurred (sharpness 0.12, limit 0.25); …", cut if it does not fit. "" if there is no reason. */
void hs_enrol_reasons_text(const struct hs_enrol_verdict *verdict, char *dst, size_t size);

/* Stored beside the vector. NULL: not known, or nothing. */
struct hs_enrol_entry {
    const char *name;
    const char *metadata;                     /* JSON object */
    const char *source_sha256;                /* of the picture's bytes */
    const struct hs_gallery_request *request; /* to be remembered */
};

/* Adds the face's vector to the gallery and to the index. Errors are those of hs_gallery_add. */
int hs_enrol_store(const struct hs_face_app *app, const struct hs_enrol_entry *entry, const struct hs_face_found *found,
                   const struct hs_face_result *result, struct hs_gallery_added *ret_added, struct hs_error *err);

#endif
