/* Shared by the decoders of detection networks: checks of the outputs, and the path from raw scores to
 * the boxes that NMS keeps. A decode has four passes, and each handles far fewer items than the
 * previous one: scan raw scores (all places of the outputs), decode boxes (places above the threshold),
 * run NMS, decode points (returned detections). Pure functions, any thread. */
#ifndef HS_VISION_DETECTOR_H
#define HS_VISION_DETECTOR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/geometry.h"
#include "hs/status.h"
#include "hs/tensor.h"

/* Largest number of candidates, best scores first, that a decoder passes to hs_nms_run; max_nms in
 * Ultralytics' non_max_suppression. Bounds the quadratic worst case. */
enum { HS_NMS_MAX_CANDIDATES = 30000 };

/* The caller sets `id`, which differs for each candidate. Among equal scores the smaller id comes
 * first, so the result does not depend on the order of the candidates. No member is NaN. */
struct hs_nms_candidate {
    struct hs_rect box;
    float score;
    int32_t class_id;
    uint32_t id;
};

/* Sorts `items` by descending score, then ascending id, and keeps each one whose IoU with all better
 * kept items of its class is at most iou_threshold (an IoU equal to the threshold is kept, as in
 * torchvision.ops.nms). Moves the kept items to the front, in order; the items after them are
 * unspecified. Returns the number kept, at most max_out. The limit applies after suppression, so
 * neighbours of a strong candidate cannot displace a weaker one elsewhere. Time:
 * count * min(count, max_out). */
size_t hs_nms_run(struct hs_nms_candidate *items, size_t count, float iou_threshold, size_t max_out);

/* A threshold in the raw numbers of a tensor. */
struct hs_threshold {
    enum hs_dtype dtype;
    float above;      /* floats: an element passes if it is greater (NaN never passes) */
    int32_t at_least; /* integers: an element passes if it is not less; may be outside the type's range */
};

/* Returns the threshold that exactly those elements pass whose real value (hs_tensor_at) is greater
 * than `real`. The view's scale is above 0. */
struct hs_threshold hs_threshold_of(const struct hs_tensor_view *view, float real);

/* Returns the index of the first element at or after `from` that passes, or `count`. The run has
 * `count` elements, `step` elements apart; step 1 is fast, because whole blocks are tested at once. */
size_t hs_threshold_next(const struct hs_threshold *limit, const void *run, size_t count, ptrdiff_t step, size_t from);

/* A place, which is the number of an anchor or a cell, with a score above the threshold. */
struct hs_hit {
    float score; /* at most 1 */
    uint32_t place;
    int32_t class_id;
};

/* Initialise with the first two members set and the rest zero. */
struct hs_hits {
    float threshold;
    bool logits; /* scores in the outputs are logits, before the sigmoid */
    struct hs_hit *items;
    size_t count, capacity;
};

/* Scores in one output: `count` elements, the first at offset `at`, `step` elements apart, for the
 * places first_place, first_place + place_step, ... */
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

/* Returns a lower bound of the logit at which hs_sigmoid exceeds `threshold`. */
float hs_logit_threshold(float threshold);

/* Fails with HS_EMODEL and a message if an output has no size or an unusable quantisation. */
int hs_outputs_check(const struct hs_tensor_desc *outputs, int count, struct hs_error *err);

/* Writes "80x80x64, 12800x4, ..." to dst, cut to `size` bytes. */
void hs_outputs_text(const struct hs_tensor_desc *outputs, int count, char *dst, size_t size);

/* Adds a place if its score is finite and above the threshold. Fails with HS_ENOMEM. */
int hs_hits_add(struct hs_hits *hits, float score, uint32_t place, int32_t class_id);

/* Adds all places of a run with a score above the threshold. Fails with HS_ENOMEM. */
int hs_hits_scan(struct hs_hits *hits, const struct hs_score_run *run);

/* Decodes the boxes of the best HS_NMS_MAX_CANDIDATES hits and runs NMS (hs_nms_run) on them. Boxes
 * that are not finite or are inverted are dropped. `id` of a kept box is its place. May sort the hits.
 * Caller frees *ret_kept with free(). Fails with HS_ENOMEM. */
int hs_hits_suppress(struct hs_hits *hits, struct hs_rect (*box_of)(const void *decoder, uint32_t place),
                     const void *decoder, float iou_threshold, int max_out, struct hs_nms_candidate **ret_kept,
                     size_t *ret_count);

void hs_hits_finish(struct hs_hits *hits);

#endif
