/* Scales images: averages the covered area if an axis shrinks by more than a factor of 2, else
 * interpolates linearly. Any thread. */
#ifndef HS_IMAGE_RESAMPLE_H
#define HS_IMAGE_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

/* Writes the image to dst as width x height RGB pixels, with dst_stride bytes from row to row. Fails
 * with HS_ENOMEM. */
int hs_resample(const struct hs_image *image, int width, int height, uint8_t *dst, size_t dst_stride);

/* Scales an image whose rows arrive one at a time, from top to bottom. Holds only a few rows. */
struct hs_reducer;

/* Creates a reducer from width x height to dst->width x dst->height pixels, which must not be larger.
 * Borrows dst; hs_reducer_add writes to it. Caller frees with hs_reducer_destroy. Fails with HS_ENOMEM. */
int hs_reducer_create(int width, int height, struct hs_image *dst, struct hs_reducer **ret_reducer,
                      struct hs_error *err);
void hs_reducer_destroy(struct hs_reducer *reducer); /* NULL allowed */

/* Adds the next row, 3 * width bytes. Row number `height` completes dst and must be the last. */
void hs_reducer_add(struct hs_reducer *reducer, const uint8_t *row);

/* Returns the bytes that a reducer allocates. */
uint64_t hs_reducer_memory(int width, int dst_width, int dst_height);

#endif
