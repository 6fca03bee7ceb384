/* The built-in picture: a person drawn by us, which every pose network here finds; face detectors find its face, with a
 * low score. Self-tests and benchmarks run it. */
#ifndef HS_SERVICE_TEST_IMAGE_H
#define HS_SERVICE_TEST_IMAGE_H

#include "base/buf.h"
#include "hs/status.h"

enum { HS_TEST_IMAGE_W = 480, HS_TEST_IMAGE_H = 640 };

/* Where a keypoint of the figure is, in its pixels; index as in the COCO order. */
struct hs_test_image_point {
    int keypoint;
    float x, y;
};

extern const struct hs_test_image_point hs_test_image_points[];
extern const int hs_test_image_point_count;

/* Draws it, HS_TEST_IMAGE_W x HS_TEST_IMAGE_H, and appends it as a JPEG file. */
int hs_test_image_encode(struct hs_buf *out, struct hs_error *err);

#endif
