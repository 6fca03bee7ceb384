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

/* Read-only once made: any number of threads may detect at once. */
struct hs_pose_pipeline {
    struct hs_image_limits limits;
};

/* What a request may choose. */
struct hs_pose_params {
    float confidence_threshold, iou_threshold; /* 0..1 */
    int max_detections;                        /* 0.. */
    bool apply_exif;                           /* turn the picture as its EXIF orientation says */
    enum hs_priority priority;                 /* of those who wait for the device */
    bool keep_image;                           /* also return the picture at full size, for drawing */
};

struct hs_pose_timings {
    double decode_ms, preprocess_ms, queue_ms, inference_ms, postprocess_ms, total_ms;
};

/* Boxes and keypoints are in pixels of the picture (turned, where that was asked for), inside 0..width, 0..height. */
struct hs_pose_result {
    struct hs_pose_list people;
    int width, height;
    struct hs_image *image; /* NULL unless asked for */
    struct hs_pose_timings timings;
    const struct hs_model_runner *runner; /* that answered: its model and device; borrowed from the pool */
    bool degraded;                        /* the fallback of the pool answered */
};

void hs_pose_result_init(struct hs_pose_result *result);   /* allocates nothing */
void hs_pose_result_finish(struct hs_pose_result *result); /* frees; may be used again afterwards */

/* `data` is only read during the call. Errors are those of hs_image_decode ("Failed to decode image: …"),
 * hs_model_pool_run. cancel may be NULL. *result is initialised; what it held is replaced. */
int hs_pose_detect(const struct hs_pose_pipeline *pipeline, struct hs_model_pool *pool, const uint8_t *data, size_t len,
                   const struct hs_pose_params *params, int64_t deadline_ns, struct hs_cancel *cancel,
                   struct hs_pose_result *result, struct hs_error *err);

/* The same for a picture that is decoded already. */
int hs_pose_detect_image(const struct hs_pose_pipeline *pipeline, struct hs_model_pool *pool,
                         const struct hs_image *image, const struct hs_pose_params *params, int64_t deadline_ns,
                         struct hs_cancel *cancel, struct hs_pose_result *result, struct hs_error *err);

#endif
