#include "vision/coco_pose.h"

#define GREEN { 0, 200, 83 }
#define ORANGE { 255, 128, 0 }
#define BLUE { 51, 153, 255 }
#define VIOLET { 186, 85, 211 }

const char *const hs_coco_keypoint_names[HS_COCO_KEYPOINTS] = {
    "nose",           "left_eye",   "right_eye",   "left_ear",   "right_ear",   "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip",      "left_knee",  "right_knee",  "left_ankle", "right_ankle",
};

const struct hs_coco_edge hs_coco_edges[HS_COCO_EDGES] = {
    { 15, 13, GREEN }, { 13, 11, GREEN }, { 16, 14, ORANGE }, { 14, 12, ORANGE }, { 11, 12, BLUE },
    { 5, 11, BLUE },   { 6, 12, BLUE },   { 5, 6, BLUE },     { 5, 7, GREEN },    { 6, 8, ORANGE },
    { 7, 9, GREEN },   { 8, 10, ORANGE }, { 1, 2, VIOLET },   { 0, 1, VIOLET },   { 0, 2, VIOLET },
    { 1, 3, VIOLET },  { 2, 4, VIOLET },  { 3, 5, VIOLET },   { 4, 6, VIOLET },
};

const uint8_t hs_coco_keypoint_rgb[HS_COCO_KEYPOINTS][3] = {
    VIOLET, VIOLET, VIOLET, VIOLET, VIOLET, GREEN,  ORANGE, GREEN,  ORANGE,
    GREEN,  ORANGE, GREEN,  ORANGE, GREEN,  ORANGE, GREEN,  ORANGE,
};

/* Values of pycocotools' kpt_oks_sigmas; see cocodataset.org, "Keypoint Evaluation". */
const double hs_coco_sigmas[HS_COCO_KEYPOINTS] = {
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
    0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
};
