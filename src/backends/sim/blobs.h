/* The rule by which the simulated device sees: what is nearly white (red, green and blue all above 200) is somebody.
 * Letterbox padding (114) and the soft edges of JPEG and scaling are not. */
#ifndef HS_BACKENDS_SIM_BLOBS_H
#define HS_BACKENDS_SIM_BLOBS_H

#include <stdint.h>

enum { HS_SIM_MAX_BLOBS = 8, HS_SIM_BRIGHT = 200, HS_SIM_BLOB_MIN_PIXELS = 4 };

/* Pixels x1 up to but not x2, y1 up to but not y2. */
struct hs_sim_blob {
    int x1, y1, x2, y2;
};

/* Finds the bright blobs of a packed RGB picture: cells of 8 x 8 pixels that hold a bright one belong together where
 * they touch, corners included; a blob is the box around their bright pixels. One that lies inside another's box is
 * part of that one; one of less than HS_SIM_BLOB_MIN_PIXELS is none. The largest boxes come first, of equal ones the
 * higher and then the left one. Gives how many there are, or HS_ENOMEM. */
int hs_sim_blobs_find(const uint8_t *rgb, int h, int w, struct hs_sim_blob ret_blobs[HS_SIM_MAX_BLOBS]);

#endif
