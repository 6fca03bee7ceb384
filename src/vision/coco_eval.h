/* Keypoint average precision as COCO defines it and pycocotools computes it (COCOeval, iouType "keypoints", one
 * category, maxDets 20). Pure functions on arrays; any thread. */
#ifndef HS_VISION_COCO_EVAL_H
#define HS_VISION_COCO_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "vision/coco_pose.h"

/* An annotated person. `keypoints` are x, y, v as in COCO's files; v 0 means not labelled. */
struct hs_coco_truth {
    int64_t image_id;
    double area;
    double bbox[4]; /* x, y, width, height */
    bool is_crowd;
    int keypoint_count; /* num_keypoints of the file; a person with 0 is neither demanded nor counted against */
    double keypoints[3 * HS_COCO_KEYPOINTS];
};

/* A detected person. `area` decides to which size range an unmatched detection belongs; pycocotools takes that of the
 * box around all keypoints (hs_coco_result_area) unless the results file has boxes. Every number is finite. */
struct hs_coco_result {
    int64_t image_id;
    double score;
    double area;
    double keypoints[3 * HS_COCO_KEYPOINTS];
};

/* 0..1 each, or -1 if no person of that size is annotated. */
struct hs_coco_metrics {
    double ap, ap50, ap75, ap_medium, ap_large;
    double ar, ar50, ar75, ar_medium, ar_large;
};

/* Area of the box around all keypoints, whatever their third number. */
double hs_coco_result_area(const double keypoints[3 * HS_COCO_KEYPOINTS]);

/* Object keypoint similarity, 0..1. Where no keypoint of the truth is labelled, a point counts as near as it is to the
 * truth's box grown to three times its size. */
double hs_coco_similarity(const struct hs_coco_truth *truth, const struct hs_coco_result *result);

/* Evaluates over the pictures `image_ids` (any order, repeated ones count once); truths and results of other pictures
 * are left out. Results of equal score keep their order, as numpy's mergesort keeps it. HS_ENOMEM. */
int hs_coco_evaluate(const int64_t *image_ids, size_t image_count, const struct hs_coco_truth *truths,
                     size_t truth_count, const struct hs_coco_result *results, size_t result_count,
                     struct hs_coco_metrics *ret_metrics, struct hs_error *err);

#endif
