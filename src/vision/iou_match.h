/* Matches the boxes of two lists by IoU. */
#ifndef HS_VISION_IOU_MATCH_H
#define HS_VISION_IOU_MATCH_H

#include <stddef.h>

#include "base/geometry.h"

#define HS_IOU_MATCH_NONE ((size_t) -1)

/* Boxes inside an array of structs: `first` is the box of the first element, `stride` the bytes from
 * one box to the next. Borrowed. */
struct hs_boxes {
    const struct hs_rect *first; /* may be NULL if count is 0 */
    size_t count, stride;
};

/* Assigns to each box of `a`, in order, the free box of `b` with the highest IoU, at least `min_iou`,
 * which is above 0. ret_of_a[i] is its index or HS_IOU_MATCH_NONE. `taken` is scratch space with one
 * byte for each box of `b`. Returns the number of matches. */
size_t hs_iou_match(const struct hs_boxes *a, const struct hs_boxes *b, float min_iou, size_t *ret_of_a,
                    unsigned char *taken);

#endif
