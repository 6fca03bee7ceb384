/* The built-in picture, used by self-tests and benchmarks: a person that this program draws. Every
 * supported pose network finds the person; face detectors find the face, with a low score. */
#ifndef HS_SERVICE_TEST_IMAGE_H
#define HS_SERVICE_TEST_IMAGE_H

#include "base/buf.h"
#include "hs/status.h"

enum { HS_TEST_IMAGE_W = 480, HS_TEST_IMAGE_H = 640 };

/* The position of a keypoint of the figure in pixels. `keypoint` is its COCO index. */
struct hs_test_image_point {
    int keypoint;
    float x, y;
};

extern const struct hs_test_image_point hs_test_image_points[];
extern const int hs_test_image_point_count;

/* Draws the picture, HS_TEST_IMAGE_W x HS_TEST_IMAGE_H, and appends it as a JPEG file. */
int hs_test_image_encode(struct hs_buf *out, struct hs_error *err);

#endif
