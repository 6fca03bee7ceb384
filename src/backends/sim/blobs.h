/* Detection rule of the simulated device: each blob of nearly white pixels (red, green and blue all
 * above 200) is a person or a face. Letterbox padding (114) and the soft edges of JPEG and scaling
 * are darker than that. */
#ifndef HS_BACKENDS_SIM_BLOBS_H
#define HS_BACKENDS_SIM_BLOBS_H

#include <stdint.h>

enum { HS_SIM_MAX_BLOBS = 8, HS_SIM_BRIGHT = 200, HS_SIM_BLOB_MIN_PIXELS = 4 };

/* Covers pixels x1 <= x < x2, y1 <= y < y2. */
struct hs_sim_blob {
    int x1, y1, x2, y2;
};

/* Finds the bright blobs of a packed RGB picture. Cells of 8 x 8 pixels with a bright pixel are
 * joined if they touch, corners included; a blob is the box around their bright pixels. A blob
 * inside another blob's box is part of that blob; a blob of fewer than HS_SIM_BLOB_MIN_PIXELS is
 * ignored. The largest boxes come first; of equal boxes, the upper one, then the left one. Returns
 * the number of blobs, or HS_ENOMEM. */
int hs_sim_blobs_find(const uint8_t *rgb, int h, int w, struct hs_sim_blob ret_blobs[HS_SIM_MAX_BLOBS]);

#endif
