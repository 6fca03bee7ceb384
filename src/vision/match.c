#include "vision/match.h"

size_t hs_match_boxes(const struct hs_rect *a, size_t a_count, const struct hs_rect *b, size_t b_count, float least_iou,
                      size_t *ret_of_a, unsigned char *ret_taken)
{
    size_t matched = 0;
    for (size_t k = 0; k < b_count; k++)
        ret_taken[k] = 0;
    for (size_t i = 0; i < a_count; i++) {
        float best = 0;
        ret_of_a[i] = HS_MATCH_NONE;
        for (size_t k = 0; k < b_count; k++) {
            float iou = ret_taken[k] ? 0 : hs_rect_iou(&a[i], &b[k]);
            if (iou >= least_iou && iou > best) {
                best = iou;
                ret_of_a[i] = k;
            }
        }
        if (ret_of_a[i] == HS_MATCH_NONE)
            continue;
        ret_taken[ret_of_a[i]] = 1;
        matched++;
    }
    return matched;
}
