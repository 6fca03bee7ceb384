/* A turned and scaled part of a picture, cut out in one pass from the decoded pixels. Pure functions, any thread. */
#ifndef HS_IMAGE_WARP_H
#define HS_IMAGE_WARP_H

#include <stdint.h>

#include "hs/status.h"
#include "image/image.h"

/* `matrix` is a similarity, 2 x 3 row by row, from the original picture (orig_width x orig_height) to the output:
 * x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5]. On both sides whole numbers are the middles of pixels, as
 * in OpenCV's warpAffine. `image` may have been decoded smaller than the original; the matrix stays the same.
 *
 * The filter depends on how many decoded pixels an output pixel is wide: up to 2, bilinear; more, the average over the
 * square that the output pixel covers, from a regular grid of samples of a decoded pixel each (16 x 16 at most). The
 * outside of the picture is black and is blended as such.
 *
 * Writes out_w * out_h * 3 bytes at dst: RGB, rows tightly packed. Allocates nothing. HS_EINVAL: the matrix is not
 * finite, is no similarity (its rows are not (a, -b) and (b, a)) or has a scale of (nearly) zero. */
int hs_warp_similarity(const struct hs_image *image, const double matrix[6], int out_w, int out_h, uint8_t *dst,
                       struct hs_error *err);

#endif
