/* The built-in picture: a person drawn by us, which every pose network here finds. The self-test runs it. */
#ifndef HS_POSE_FIGURE_HEADER_H
#define HS_POSE_FIGURE_HEADER_H

#include "hs/status.h"
#include "image/image.h"

enum { HS_POSE_FIGURE_W = 480, HS_POSE_FIGURE_H = 640 };

/* Where a keypoint of the figure is, in its pixels; index as in the COCO order. */
struct hs_pose_figure_point {
    int keypoint;
    float x, y;
};

extern const struct hs_pose_figure_point hs_pose_figure_points[];
extern const int hs_pose_figure_point_count;

/* Draws it, HS_POSE_FIGURE_W x HS_POSE_FIGURE_H RGB. Caller frees with hs_image_destroy. */
int hs_pose_figure_draw(struct hs_image **ret_image, struct hs_error *err);

#endif
