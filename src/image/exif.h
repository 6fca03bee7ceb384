/* The one thing that we want of EXIF. */
#ifndef HS_IMAGE_EXIF_H
#define HS_IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* The orientation 1..8 in an EXIF block: a TIFF structure, after "Exif\0\0" or without it. 1 for anything broken. */
int hs_exif_orientation(const uint8_t *data, size_t len);

#endif
