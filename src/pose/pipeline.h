/* Detects people with keypoints in a picture: decoding, letterboxing, inference, output decoding,
 * and mapping back to the picture. */
#ifndef HS_POSE_PIPELINE_H
#define HS_POSE_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "hs/status.h"
#include "image/image.h"
#include "service/model_pool.h"
#include "vision/pose_list.h"

/* The parameters of a request and its limits. */
struct hs_pose_params {
    struct hs_image_limits limits;
    float confidence_threshold, iou_threshold; /* 0..1 */
    int max_detections;                        /* 0 or more */
    bool apply_exif;                           /* turn the picture by its EXIF orientation */
    bool keep_image;                           /* also return the picture, for hs_drawing_encode */
    int keep_side;                             /* longest side to which that picture is reduced; 0: full size */
    enum hs_priority priority;                 /* in the queue of the device */
    int64_t deadline_ns;
    struct hs_cancel *cancel; /* may be NULL */
};

struct hs_pose_timings {
    double decode_ms, preprocess_ms, queue_ms, inference_ms, postprocess_ms, total_ms;
};

/* Boxes and keypoints are in pixels of the picture (turned if apply_exif is set), within 0..width, 0..height. */
struct hs_pose_result {
    struct hs_pose_list people;
    size_t found; /* before the limit max_detections; at most HS_YOLO_POSE_MAX_DETECTIONS */
    int width, height;
    char damage[HS_IMAGE_DAMAGE_SIZE]; /* damage of the picture, as in struct hs_image; "": none */
    struct hs_image *image;            /* NULL unless keep_image is set; the whole picture, possibly reduced */
    int turn;                          /* EXIF orientation by which `image` still has to be turned; 1: none */
    struct hs_pose_timings timings;
    const struct hs_model_runner *runner; /* that answered; borrowed from the pool */
    bool degraded;                        /* the pool's fallback answered */
};

void hs_pose_result_init(struct hs_pose_result *result);   /* allocates nothing */
void hs_pose_result_finish(struct hs_pose_result *result); /* frees the contents; *result can be reused */

/* `data` is only read during the call. *result must be initialised; its contents are replaced.
 * Errors are those of hs_image_decode ("Failed to decode image: …") and hs_model_pool_run. Any
 * number of threads. */
int hs_pose_detect(struct hs_model_pool *pool, const uint8_t *data, size_t len, const struct hs_pose_params *params,
                   struct hs_pose_result *result, struct hs_error *err);

#endif
