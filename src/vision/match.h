/* Which boxes of two lists are of the same thing. */
#ifndef HS_VISION_MATCH_H
#define HS_VISION_MATCH_H

#include <stddef.h>

#include "vision/geometry.h"

#define HS_MATCH_NONE ((size_t) -1)

/* Each box of `a`, in order, gets the free box of `b` with which it has the highest overlap (IoU) of at least
 * `least_iou`, above 0. ret_of_a[i] is its index or HS_MATCH_NONE; ret_taken has room for b_count marks, 1 where taken.
 * Gives how many found one. */
size_t hs_match_boxes(const struct hs_rect *a, size_t a_count, const struct hs_rect *b, size_t b_count, float least_iou,
                      size_t *ret_of_a, unsigned char *ret_taken);

#endif
