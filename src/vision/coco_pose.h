/* The 17 keypoints of a COCO person: names, edges, colours for drawing, and the evaluation's spread for
 * each keypoint. */
#ifndef HS_VISION_COCO_POSE_H
#define HS_VISION_COCO_POSE_H

#include <stdint.h>

enum { HS_COCO_KEYPOINTS = 17, HS_COCO_EDGES = 19 };

/* Zero-based keypoint indices, and the colour of the line between them. */
struct hs_coco_edge {
    uint8_t from, to;
    uint8_t rgb[3];
};

/* In COCO's order: "nose", "left_eye", ... */
extern const char *const hs_coco_keypoint_names[HS_COCO_KEYPOINTS];

/* In the order of the HTTP API. Left limbs are green, right limbs orange, the trunk is blue, the head
 * violet; left and right are the person's. */
extern const struct hs_coco_edge hs_coco_edges[HS_COCO_EDGES];

/* Colours of the points, by the same rule. */
extern const uint8_t hs_coco_keypoint_rgb[HS_COCO_KEYPOINTS][3];

/* COCO's constants for object keypoint similarity. */
extern const double hs_coco_sigmas[HS_COCO_KEYPOINTS];

#endif
