/* A picture in, faces out; and for each, if wanted, its quality and its vector:
 * decode, letterbox, detector, its outputs; then align, embed, normalise. */
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

/* Borrowed, as all of this is, for the pipeline's life. */
struct hs_face_pipeline {
    struct hs_model_pool *detector, *embedder;
    struct hs_image_limits limits;
    float iou_threshold;
    bool apply_exif;
};

struct hs_face_result;

struct hs_face_request {
    float score_threshold;        /* 0..1; a face's score is above it */
    int max_faces;                /* the first ones by score; without effect for `subject` */
    const struct hs_rect *inside; /* only the face that lies best in this box, in pixels of the picture, which is also
                                     looked at by itself where the whole picture shows none there; NULL: all */
    bool tiny;                    /* look a second time, at twice the size, for tiny faces */
    bool large;                   /* look a second time, at half the size, for faces that fill the picture */
    enum hs_priority priority;    /* of those who wait for the device */
    bool embed;                   /* also align and embed each face */
    bool subject;                 /* of all faces embed the one that hs_face_best takes, and list the others without */
    const struct hs_face_result *known; /* what was found in this very picture: its faces are not looked for again;
                                           NULL: they are looked for */
};

struct hs_face_found {
    struct hs_face face; /* in pixels of the picture, inside it */
    float *embedding;    /* of length 1, `dimension` numbers; NULL if not asked for or not possible */
    bool has_quality;    /* measured on the aligned face, so only if it was embedded */
    struct hs_face_quality quality;
};

struct hs_face_timings {
    double decode_ms, detect_ms, embed_ms, total_ms;
};

struct hs_face_result {
    struct hs_face_found *faces; /* by descending score */
    size_t count;
    size_t found;       /* before the cut to max_faces or to the face in the box, at most HS_FACE_MAX_FACES */
    size_t first_index; /* of faces[0] among them, by descending score: 0 unless a box chose it */
    int turn;           /* EXIF orientation by which the picture is still to be turned; 1: not */
    int dimension;      /* of the embeddings */
    char space[HS_PACK_SPACE_MAX + 1], model[HS_PACK_NAME_SIZE]; /* theirs, as the pack writes them; copies, since the
                                                                pool may be closed before the answer is written */
    float threshold;                                             /* that the pack recommends */
    int width, height;
    char damage[HS_IMAGE_DAMAGE_SIZE]; /* of the picture, as in struct hs_image; "": none */
    struct hs_face_timings timings;
    const char *device; /* that ran the networks: "cpu", "hailo", "sim"; static */
    bool degraded;      /* for one of them the fallback answered */
};

/* `data` is only read during the call. The caller frees *result with hs_face_result_finish, also after an error. cancel
 * may be NULL. Errors are those of hs_image_decode ("Failed to decode image"), hs_runner_acquire and hs_runner_run.
 * Any number of threads. */
int hs_face_find(const struct hs_face_pipeline *pipeline, const uint8_t *data, size_t len,
                 const struct hs_face_request *request, int64_t deadline_ns, struct hs_cancel *cancel,
                 struct hs_face_result *result, struct hs_error *err);
/* Overwrites the vectors before it frees them. A zeroed result is fine. */
void hs_face_result_finish(struct hs_face_result *result);

#endif
