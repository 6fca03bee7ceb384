/* The built-in picture: a person drawn by us, which every pose network here finds; face detectors find its face, with a
 * low score. Self-tests and benchmarks run it. */
#ifndef HS_SERVICE_FIGURE_H
#define HS_SERVICE_FIGURE_H

#include "hs/status.h"
#include "image/image.h"

enum { HS_FIGURE_W = 480, HS_FIGURE_H = 640 };

/* Where a keypoint of the figure is, in its pixels; index as in the COCO order. */
struct hs_figure_point {
    int keypoint;
    float x, y;
};

extern const struct hs_figure_point hs_figure_points[];
extern const int hs_figure_point_count;

/* Draws it, HS_FIGURE_W x HS_FIGURE_H RGB. Caller frees with hs_image_destroy. */
int hs_figure_draw(struct hs_image **ret_image, struct hs_error *err);

#endif
