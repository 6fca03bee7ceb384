#include "vision/iou_match.h"

#include <string.h>

static const struct hs_rect *box(const struct hs_boxes *boxes, size_t i)
{
    return (const void *) ((const char *) boxes->first + i * boxes->stride);
}

/* Returns the index of the free box with the highest IoU. */
static size_t best_of(const struct hs_rect *wanted, const struct hs_boxes *boxes, float min_iou,
                      const unsigned char *taken)
{
    size_t best = HS_IOU_MATCH_NONE;
    float most = 0;
    for (size_t i = 0; i < boxes->count; i++) {
        float iou = taken[i] ? 0 : hs_rect_iou(wanted, box(boxes, i));
        if (iou >= min_iou && iou > most) {
            most = iou;
            best = i;
        }
    }
    return best;
}

size_t hs_iou_match(const struct hs_boxes *a, const struct hs_boxes *b, float min_iou, size_t *ret_of_a,
                    unsigned char *taken)
{
    size_t matched = 0;
    if (b->count)
        memset(taken, 0, b->count);
    for (size_t i = 0; i < a->count; i++) {
        ret_of_a[i] = best_of(box(a, i), b, min_iou, taken);
        if (ret_of_a[i] != HS_IOU_MATCH_NONE) {
            taken[ret_of_a[i]] = 1;
            matched++;
        }
    }
    return matched;
}
