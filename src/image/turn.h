/* Turns pictures by their EXIF orientation. */
#ifndef HS_IMAGE_TURN_H
#define HS_IMAGE_TURN_H

#include "image/image.h"

/* Turns *image upright as EXIF `orientation` (1..8) asks; replaces it by another one if pixels have to move. On failure
 * *image is as before. Any thread. */
int hs_image_turn(struct hs_image **image, int orientation, struct hs_error *err);

#endif
