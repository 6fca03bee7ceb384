/* Cuts a rotated and scaled region out of an image in one pass over the decoded pixels. Pure functions,
 * any thread. */
#ifndef HS_IMAGE_WARP_H
#define HS_IMAGE_WARP_H

#include <stdint.h>

#include "hs/status.h"
#include "image/image.h"

/* Applies a similarity. `matrix` is 2 x 3, row by row, and maps the original image
 * (orig_width x orig_height) to the output: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5].
 * Integer coordinates are pixel centres on both sides, as in OpenCV's warpAffine. `image` may have been
 * decoded smaller than the original; the matrix stays the same.
 *
 * The filter depends on the width of an output pixel in decoded pixels: bilinear up to 2; above that
 * the average over the square that the output pixel covers, from a regular grid of samples of one
 * decoded pixel each (16 x 16 at most). Pixels outside of the image are black and blend as black.
 *
 * Writes out_w * out_h * 3 bytes to dst: RGB, rows tightly packed. Allocates nothing. Fails with
 * HS_EINVAL if the matrix is not finite, is not a similarity (rows (a, -b) and (b, a)) or has a scale
 * of (nearly) zero. */
int hs_warp_similarity(const struct hs_image *image, const double matrix[6], int out_w, int out_h, uint8_t *dst,
                       struct hs_error *err);

#endif
