/* Pictures in other sizes: areas are averaged from a factor of 2 on, below it and for larger ones lines are blended.
 * Any thread. */
#ifndef HS_IMAGE_RESAMPLE_H
#define HS_IMAGE_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

/* Writes the picture as width x height pixels, RGB, a row every dst_stride bytes. HS_ENOMEM. */
int hs_resample(const struct hs_image *image, int width, int height, uint8_t *dst, size_t dst_stride);

/* Makes the same of a picture whose rows come one after the other, from the top down, so that only a few of them are
 * held. */
struct hs_reducer;

/* From width x height pixels to dst->width x dst->height, which are not larger. dst is borrowed and written to by
 * hs_reducer_add. Caller frees with hs_reducer_destroy. HS_ENOMEM. */
int hs_reducer_create(int width, int height, struct hs_image *dst, struct hs_reducer **ret_reducer,
                      struct hs_error *err);
void hs_reducer_destroy(struct hs_reducer *reducer); /* NULL allowed */

/* The next row, 3 * width bytes. The height-th row completes dst; no more may follow. */
void hs_reducer_add(struct hs_reducer *reducer, const uint8_t *row);

/* Bytes that a reducer holds. */
uint64_t hs_reducer_memory(int width, int dst_width, int dst_height);

#endif
