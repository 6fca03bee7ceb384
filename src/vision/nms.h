/* Greedy non-maximum suppression. Pure functions, no memory of their own, any thread. */
#ifndef HS_VISION_NMS_H
#define HS_VISION_NMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/geometry.h"

/* How many candidates a decoder hands to hs_nms_run at most (the best ones by score): the limit that Ultralytics'
 * non_max_suppression calls max_nms. It bounds the quadratic worst case. */
enum { HS_NMS_MAX_CANDIDATES = 30000 };

/* `id` is the caller's and is different for each candidate: of equal scores the smaller id comes first, so the result
 * does not depend on the order in which candidates were found. No member is NaN. */
struct hs_nms_candidate {
    struct hs_rect box;
    float score;
    int32_t class_id;
    uint32_t id;
};

/* Sorts `items` (descending score, then ascending id), then keeps each one whose IoU with every better kept one of its
 * class is at most iou_threshold (exactly the threshold stays, as in torchvision.ops.nms). The kept ones move to the
 * front, in order; what lies behind them is unspecified. Returns how many there are, at most max_out: the cut comes
 * after suppression, so neighbours of one strong candidate cannot crowd out a weaker one elsewhere.
 * Time: count * min(count, max_out). */
size_t hs_nms_run(struct hs_nms_candidate *items, size_t count, float iou_threshold, size_t max_out);

#endif
