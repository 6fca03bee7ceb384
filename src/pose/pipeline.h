/* A picture in, people with keypoints out: decode, letterbox, network, decode of its outputs, back to the picture. */
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

/* The parameters of a request, and the bounds of its work. */
struct hs_pose_params {
    struct hs_image_limits limits;
    float confidence_threshold, iou_threshold; /* 0..1 */
    int max_detections;                        /* 0.. */
    bool apply_exif;                           /* turn the picture as its EXIF orientation says */
    bool keep_image;                           /* also return the picture, for hs_drawing_encode */
    int keep_side;                             /* its longest side, to which it is reduced; 0: at full size */
    enum hs_priority priority;                 /* of those who wait for the device */
    int64_t deadline_ns;
    struct hs_cancel *cancel; /* may be NULL */
};

struct hs_pose_timings {
    double decode_ms, preprocess_ms, queue_ms, inference_ms, postprocess_ms, total_ms;
};

/* Boxes and keypoints are in pixels of the picture (turned if that was asked for), inside 0..width, 0..height. */
struct hs_pose_result {
    struct hs_pose_list people;
    size_t found; /* before the cut to max_detections, at most HS_YOLO_POSE_MAX_DETECTIONS */
    int width, height;
    char damage[HS_IMAGE_DAMAGE_SIZE]; /* of the picture, as in struct hs_image; "": none */
    struct hs_image *image;            /* NULL unless asked for; it shows all of the picture, perhaps reduced */
    int turn;                          /* EXIF orientation by which the image is still to be turned; 1: not */
    struct hs_pose_timings timings;
    const struct hs_model_runner *runner; /* that answered: its model and device; borrowed from the pool */
    bool degraded;                        /* the fallback of the pool answered */
};

void hs_pose_result_init(struct hs_pose_result *result);   /* allocates nothing */
void hs_pose_result_finish(struct hs_pose_result *result); /* frees; may be used again afterwards */

/* `data` is only read during the call. Errors are those of hs_image_decode ("Failed to decode image: …") and
 * hs_model_pool_run. *result is initialised; what it held is replaced. Any number of threads. */
int hs_pose_detect(struct hs_model_pool *pool, const uint8_t *data, size_t len, const struct hs_pose_params *params,
                   struct hs_pose_result *result, struct hs_error *err);

#endif
