#include "vision/detector.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

int hs_outputs_check(const struct hs_tensor_desc *outputs, int count, struct hs_error *err)
{
    for (int i = 0; i < count; i++) {
        const struct hs_tensor_desc *output = &outputs[i];
        size_t bytes = hs_dtype_size(output->dtype);
        if (output->h < 1 || output->w < 1 || output->c < 1 || !hs_size_mul(bytes, (size_t) output->h, &bytes) ||
            !hs_size_mul(bytes, (size_t) output->w, &bytes) || !hs_size_mul(bytes, (size_t) output->c, &bytes) ||
            bytes > PTRDIFF_MAX || output->size_bytes < bytes)
            return hs_error_set(err, HS_EMODEL, "output %d (%dx%dx%d) does not match its size of %zu bytes", i,
                                output->h, output->w, output->c, output->size_bytes);
        if (output->dtype != HS_DTYPE_F32 &&
            (!isfinite(output->scale) || !(output->scale > 0) || !isfinite(output->zero_point)))
            return hs_error_set(err, HS_EMODEL, "output %d has an invalid quantisation (scale %g, zero point %g)", i,
                                (double) output->scale, (double) output->zero_point);
    }
    return 0;
}

void hs_outputs_text(const struct hs_tensor_desc *outputs, int count, char *dst, size_t size)
{
    size_t used = 0;
    dst[0] = '\0';
    for (int i = 0; i < count && used < size; i++) {
        const struct hs_tensor_desc *output = &outputs[i];
        hs_str_format(dst + used, size - used, output->layout == HS_LAYOUT_ROWS ? "%s%dx%d" : "%s%dx%dx%d",
                      i ? ", " : "", output->h, output->w, output->c);
        used += strlen(dst + used);
    }
}

/* ---- scores above a threshold ---- */

/* Blocks are tested without branches, so that compilers vectorise the loop; nearly all blocks have no
 * hit. */
enum { BLOCK = 64 };

#define DEFINE_NEXT(name, type, passes)                                                                                \
    static size_t name(const type *v, type limit, size_t count, ptrdiff_t step, size_t from)                           \
    {                                                                                                                  \
        size_t i = from;                                                                                               \
        while (i < count) {                                                                                            \
            size_t end = (i / BLOCK + 1) * BLOCK;                                                                      \
            if (step == 1 && i % BLOCK == 0 && end <= count) {                                                         \
                int any = 0;                                                                                           \
                for (size_t k = 0; k < BLOCK; k++)                                                                     \
                    any |= v[i + k] passes limit;                                                                      \
                if (!any) {                                                                                            \
                    i = end;                                                                                           \
                    continue;                                                                                          \
                }                                                                                                      \
            }                                                                                                          \
            for (; i < end && i < count; i++)                                                                          \
                if (v[(ptrdiff_t) i * step] passes limit)                                                              \
                    return i;                                                                                          \
        }                                                                                                              \
        return count;                                                                                                  \
    }

DEFINE_NEXT(next_f32, float, >)
DEFINE_NEXT(next_u8, uint8_t, >=)
DEFINE_NEXT(next_i8, int8_t, >=)
DEFINE_NEXT(next_u16, uint16_t, >=)

static void range_of(enum hs_dtype dtype, int32_t *ret_min, int32_t *ret_max)
{
    *ret_min = dtype == HS_DTYPE_I8 ? INT8_MIN : 0;
    *ret_max = dtype == HS_DTYPE_I8 ? INT8_MAX : dtype == HS_DTYPE_U16 ? UINT16_MAX : UINT8_MAX;
}

struct hs_threshold hs_threshold_of(const struct hs_tensor_view *view, float real)
{
    struct hs_threshold limit = { .dtype = view->dtype, .above = real };
    if (view->dtype == HS_DTYPE_F32)
        return limit;
    /* Real values grow with stored ones, so bisection finds the limit. The expression is that of
     * hs_tensor_at, because different rounding could move a value across the limit. */
    int32_t low, high;
    range_of(view->dtype, &low, &high);
    high++;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (((float) middle - view->zero_point) * view->scale > real)
            high = middle;
        else
            low = middle + 1;
    }
    limit.at_least = low;
    return limit;
}

size_t hs_threshold_next(const struct hs_threshold *limit, const void *run, size_t count, ptrdiff_t step, size_t from)
{
    int32_t min, max;
    if (limit->dtype == HS_DTYPE_F32)
        return next_f32(run, limit->above, count, step, from);
    range_of(limit->dtype, &min, &max);
    if (limit->at_least > max)
        return count;
    int32_t at_least = limit->at_least < min ? min : limit->at_least;
    switch (limit->dtype) {
    case HS_DTYPE_U16:
        return next_u16(run, (uint16_t) at_least, count, step, from);
    case HS_DTYPE_I8:
        return next_i8(run, (int8_t) at_least, count, step, from);
    default:
        return next_u8(run, (uint8_t) at_least, count, step, from);
    }
}

/* The bound is lower by more than the rounding error of log and exp; hs_hits_add compares the score
 * again. */
float hs_logit_threshold(float threshold)
{
    if (threshold <= 0)
        return -INFINITY;
    if (threshold >= 1)
        return INFINITY;
    double t = threshold, logit = log(t / (1 - t));
    return (float) (logit - 1e-3 * (1 + fabs(logit)));
}

int hs_hits_add(struct hs_hits *hits, float score, uint32_t place, int32_t class_id)
{
    if (!isfinite(score) || !(score > hits->threshold))
        return 0;
    if (hits->count == hits->capacity) {
        size_t capacity = hits->capacity ? 2 * hits->capacity : 256;
        struct hs_hit *items = realloc(hits->items, capacity * sizeof(*items));
        if (!items)
            return HS_ENOMEM;
        hits->items = items;
        hits->capacity = capacity;
    }
    /* Rounding can make a score slightly exceed 1, for example 255 * (1/255 rounded). */
    hits->items[hits->count++] = (struct hs_hit) { .score = fminf(score, 1), .place = place, .class_id = class_id };
    return 0;
}

int hs_hits_scan(struct hs_hits *hits, const struct hs_score_run *run)
{
    const struct hs_tensor_view *view = run->view;
    const char *data = (const char *) view->data + run->at * (ptrdiff_t) hs_dtype_size(view->dtype);
    float above = hits->logits ? hs_logit_threshold(hits->threshold) : hits->threshold;
    struct hs_threshold limit = hs_threshold_of(view, above);
    for (size_t i = 0; (i = hs_threshold_next(&limit, data, run->count, run->step, i)) < run->count; i++) {
        float raw = hs_tensor_at(view, run->at + (ptrdiff_t) i * run->step);
        int r = hs_hits_add(hits, hits->logits ? hs_sigmoid(raw) : raw,
                            run->first_place + (uint32_t) i * run->place_step, run->class_id);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- suppression ---- */

/* A total order, because all ids differ: every sorting algorithm yields the same sequence. */
static int compare_candidates(const void *left, const void *right)
{
    const struct hs_nms_candidate *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static bool is_suppressed(const struct hs_nms_candidate *kept, size_t kept_count, const struct hs_nms_candidate *item,
                          float iou_threshold)
{
    for (size_t i = 0; i < kept_count; i++)
        if (kept[i].class_id == item->class_id && hs_rect_iou(&kept[i].box, &item->box) > iou_threshold)
            return true;
    return false;
}

size_t hs_nms_run(struct hs_nms_candidate *items, size_t count, float iou_threshold, size_t max_out)
{
    if (count > 1)
        qsort(items, count, sizeof(*items), compare_candidates);
    /* A later, weaker candidate never changes the kept ones, so stopping at max_out equals cutting at
     * the end. */
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < max_out; i++)
        if (!is_suppressed(items, kept, &items[i], iou_threshold))
            items[kept++] = items[i];
    return kept;
}

/* Descending score. A total order, because all places differ. */
static int compare_hits(const void *left, const void *right)
{
    const struct hs_hit *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

static bool is_usable(const struct hs_rect *box)
{
    return isfinite(box->x1) && isfinite(box->y1) && isfinite(box->x2) && isfinite(box->y2) && box->x2 >= box->x1 &&
           box->y2 >= box->y1;
}

int hs_hits_suppress(struct hs_hits *hits, struct hs_rect (*box_of)(const void *decoder, uint32_t place),
                     const void *decoder, float iou_threshold, int max_out, struct hs_nms_candidate **ret_kept,
                     size_t *ret_count)
{
    size_t count = hits->count, used = 0;
    if (max_out <= 0)
        count = 0;
    if (count > HS_NMS_MAX_CANDIDATES) {
        qsort(hits->items, count, sizeof(*hits->items), compare_hits);
        count = HS_NMS_MAX_CANDIDATES;
    }
    struct hs_nms_candidate *candidates = malloc((count ? count : 1) * sizeof(*candidates));
    if (!candidates)
        return HS_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct hs_hit *hit = &hits->items[i];
        struct hs_rect box = box_of(decoder, hit->place);
        if (is_usable(&box))
            candidates[used++] = (struct hs_nms_candidate) { box, hit->score, hit->class_id, hit->place };
    }
    *ret_kept = candidates;
    *ret_count = hs_nms_run(candidates, used, iou_threshold, (size_t) (max_out > 0 ? max_out : 0));
    return 0;
}

void hs_hits_finish(struct hs_hits *hits)
{
    free(hits->items);
    hits->items = NULL;
    hits->count = hits->capacity = 0;
}
