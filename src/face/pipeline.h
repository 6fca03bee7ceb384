/* Finds the faces in a picture and, on request, their quality and embeddings. The steps are:
 * decode, letterbox, run the detector, decode its outputs; then align, embed, normalise. */
#ifndef HS_FACE_PIPELINE_H
#define HS_FACE_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "hs/status.h"
#include "image/image.h"
#include "service/model_pool.h"
#include "vision/face_list.h"
#include "vision/face_quality.h"

/* Borrows everything, for the lifetime of the pipeline. */
struct hs_face_pipeline {
    struct hs_model_pool *detector, *embedder;
    struct hs_image_limits limits;
    float iou_threshold;
    bool apply_exif;
};

struct hs_face_result;

struct hs_face_request {
    float score_threshold;              /* 0..1; only faces that score higher are returned */
    int max_faces;                      /* keep the best by score; ignored for `subject` */
    const struct hs_rect *inside;       /* return only the face that fits this box (in pixels of the picture) best; if
                                         * the whole picture shows no face there, the box is searched again by itself.
                                         * NULL: all faces */
    bool tiny;                          /* second pass at twice the size, for tiny faces */
    bool large;                         /* second pass at half the size, for faces that fill the picture */
    enum hs_priority priority;          /* priority in the queue for the device */
    bool embed;                         /* also align and embed each face */
    bool subject;                       /* embed only the face that hs_face_best selects, and list the others */
    const struct hs_face_result *known; /* earlier result for the same picture; its faces are used instead of
                                         * running the detector. NULL: none */
};

struct hs_face_found {
    struct hs_face face; /* in pixels of the picture, clipped to it */
    float *embedding;    /* `dimension` floats of length 1; NULL if not requested or not possible */
    bool has_quality;    /* only set if the face was embedded, because quality is measured on the aligned face */
    struct hs_face_quality quality;
};

struct hs_face_timings {
    double decode_ms, detect_ms, embed_ms, total_ms;
};

struct hs_face_result {
    struct hs_face_found *faces; /* by descending score */
    size_t count;
    size_t found;       /* number before the limit by max_faces or the box; at most HS_FACE_MAX_FACES */
    size_t first_index; /* index of faces[0] among these, by descending score; 0 unless a box selected it */
    int turn;           /* EXIF orientation that still has to be applied; 1: none */
    int dimension;      /* of the embeddings */
    char space[HS_PACK_SPACE_MAX + 1], model[HS_PACK_NAME_SIZE]; /* of the embeddings, as in the model's pack;
                                                                  * copies, because the pool may be closed
                                                                  * before the response is written */
    float threshold;                                             /* recommended by the pack */
    int width, height;
    char damage[HS_IMAGE_DAMAGE_SIZE]; /* damage of the picture, as in struct hs_image; "": none */
    struct hs_face_timings timings;
    const char *device; /* the device that ran the networks: "cpu", "hailo", "sim"; static */
    bool degraded;      /* true if the fallback ran at least one network */
};

/* Finds the faces in a picture. `data` is only read during the call. The caller frees *result with
 * hs_face_result_finish, also after an error. cancel may be NULL. Errors as for hs_image_decode
 * ("Failed to decode image"), hs_runner_acquire and hs_runner_run. Any thread. */
int hs_face_find(const struct hs_face_pipeline *pipeline, const uint8_t *data, size_t len,
                 const struct hs_face_request *request, int64_t deadline_ns, struct hs_cancel *cancel,
                 struct hs_face_result *result, struct hs_error *err);
/* Wipes the embeddings and frees the result; a zeroed result is allowed. */
void hs_face_result_finish(struct hs_face_result *result);

#endif
