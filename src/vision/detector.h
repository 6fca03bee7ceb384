/* Shared by the decoders of detection networks: checks of their outputs, and the way from raw scores to the boxes that
 * suppression keeps. A decode is four passes that each see far fewer items than the one before: scan raw scores (every
 * place of the outputs), decode boxes (places above the threshold), suppress, decode points (detections that are
 * returned). Pure functions, any thread. */
#ifndef HS_VISION_DETECTOR_H
#define HS_VISION_DETECTOR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/geometry.h"
#include "hs/status.h"
#include "hs/tensor.h"

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

/* A threshold in the tensor's own numbers. */
struct hs_threshold {
    enum hs_dtype dtype;
    float above;      /* floats: an element passes when it is greater (a NaN never is) */
    int32_t at_least; /* integers: an element passes when it is at least this; may lie outside the type's range */
};

/* The limit that passes exactly those elements whose real value (hs_tensor_at) is greater than `real`. The view's scale
 * is above 0. */
struct hs_threshold hs_threshold_of(const struct hs_tensor_view *view, float real);

/* Index of the first element at or after `from` that passes, or `count`. The run has `count` elements that lie `step`
 * elements apart; step 1 is the fast case (whole blocks at once). */
size_t hs_threshold_next(const struct hs_threshold *limit, const void *run, size_t count, ptrdiff_t step, size_t from);

/* A place above the threshold: an anchor or a cell, by its number. */
struct hs_hit {
    float score; /* at most 1 */
    uint32_t place;
    int32_t class_id;
};

/* Set the first two members, the rest to zero. */
struct hs_hits {
    float threshold;
    bool logits; /* scores in the outputs need the sigmoid */
    struct hs_hit *items;
    size_t count, capacity;
};

/* Scores in one output: `count` elements, the first at offset `at`, `step` elements apart, of the places first_place,
 * first_place + place_step, ... */
struct hs_score_run {
    const struct hs_tensor_view *view;
    ptrdiff_t at, step;
    size_t count;
    uint32_t first_place, place_step;
    int32_t class_id;
};

static inline float hs_sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* A lower bound of the logit at which hs_sigmoid passes `threshold`. */
float hs_logit_threshold(float threshold);

/* HS_EMODEL with a message if an output has no size or an unusable quantisation. */
int hs_outputs_check(const struct hs_tensor_desc *outputs, int count, struct hs_error *err);

/* "80x80x64, 12800x4, ...", cut to `size`. */
void hs_outputs_text(const struct hs_tensor_desc *outputs, int count, char *dst, size_t size);

/* Adds a place if its score is finite and above the threshold. HS_ENOMEM. */
int hs_hits_add(struct hs_hits *hits, float score, uint32_t place, int32_t class_id);

/* Adds the places of a run whose score is above the threshold. HS_ENOMEM. */
int hs_hits_scan(struct hs_hits *hits, const struct hs_score_run *run);

/* Decodes the boxes of the best HS_NMS_MAX_CANDIDATES hits and suppresses (hs_nms_run). A box that is not finite or is
 * inverted does not count. `id` of a kept box is its place. Caller frees *ret_kept. Sorts the hits. HS_ENOMEM. */
int hs_hits_suppress(struct hs_hits *hits, struct hs_rect (*box_of)(const void *decoder, uint32_t place),
                     const void *decoder, float iou_threshold, int max_out, struct hs_nms_candidate **ret_kept,
                     size_t *ret_count);

void hs_hits_finish(struct hs_hits *hits);

#endif
