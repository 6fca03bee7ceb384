/* Matches the boxes of two lists by their overlap. */
#ifndef HS_VISION_IOU_MATCH_H
#define HS_VISION_IOU_MATCH_H

#include <stddef.h>

#include "base/geometry.h"

#define HS_IOU_MATCH_NONE ((size_t) -1)

/* Boxes that are members of an array of something: `first` is that of its first element, `stride` bytes before the
 * next. Borrowed. */
struct hs_boxes {
    const struct hs_rect *first; /* may be NULL if there are none */
    size_t count, stride;
};

/* Each box of `a`, in order, gets the free box of `b` with which it has the highest overlap (IoU) of at least
 * `least_iou`, above 0. ret_of_a[i] is its index or HS_IOU_MATCH_NONE; `taken` is room for as many marks as there are
 * boxes in `b`. Returns how many found one. */
size_t hs_iou_match(const struct hs_boxes *a, const struct hs_boxes *b, float least_iou, size_t *ret_of_a,
                    unsigned char *taken);

#endif
