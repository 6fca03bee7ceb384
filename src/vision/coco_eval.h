/* Computes keypoint average precision as defined by COCO and implemented by pycocotools (COCOeval,
 * iouType "keypoints", one category, maxDets 20). Pure functions on arrays; any thread. */
#ifndef HS_VISION_COCO_EVAL_H
#define HS_VISION_COCO_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "vision/coco_pose.h"

/* An annotated person. `keypoints` holds x, y, v for each keypoint, as in COCO's files; v 0 means not
 * labelled. */
struct hs_coco_truth {
    int64_t image_id;
    double area;
    double bbox[4]; /* x, y, width, height */
    bool is_crowd;
    int keypoint_count; /* num_keypoints of the file; a person with 0 is ignored: neither a hit nor a miss */
    double keypoints[3 * HS_COCO_KEYPOINTS];
};

/* A detected person. `area` selects the size range of an unmatched detection; pycocotools uses the area
 * of the box around all keypoints (hs_coco_result_area) unless the results file has boxes. All numbers
 * are finite. */
struct hs_coco_result {
    int64_t image_id;
    double score;
    double area;
    double keypoints[3 * HS_COCO_KEYPOINTS];
};

/* 0..1 each, or -1 if the set has no annotated person of that size. */
struct hs_coco_metrics {
    double ap, ap50, ap75, ap_medium, ap_large;
    double ar, ar50, ar75, ar_medium, ar_large;
};

/* Returns the area of the box around all keypoints, whatever their third number. */
double hs_coco_result_area(const double keypoints[3 * HS_COCO_KEYPOINTS]);

/* Returns the object keypoint similarity, 0..1. If the truth has no labelled keypoint, the distance of
 * a point is measured to the truth's box, enlarged to three times its size. */
double hs_coco_similarity(const struct hs_coco_truth *truth, const struct hs_coco_result *result);

/* Evaluates the images `image_ids` (in any order; duplicates count once) and ignores truths and results
 * of other images. Results of equal score keep their order, as in numpy's mergesort. Fails with
 * HS_ENOMEM. */
int hs_coco_evaluate(const int64_t *image_ids, size_t image_count, const struct hs_coco_truth *truths,
                     size_t truth_count, const struct hs_coco_result *results, size_t result_count,
                     struct hs_coco_metrics *ret_metrics, struct hs_error *err);

#endif
