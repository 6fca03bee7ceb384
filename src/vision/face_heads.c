/* Anchors are numbered through all strides, finest first. A decode is four passes that each see far fewer items than
 * the one before: scan raw scores (every anchor), decode boxes (anchors above the threshold), suppress, decode
 * landmarks (what is returned). Grids and matrices differ only in how far apart their numbers lie. */
#include "vision/face_heads.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "vision/nms.h"
#include "vision/scan.h"

enum { BOX_WIDTH = 4, LANDMARK_WIDTH = 2 * HS_FACE_LANDMARKS };

/* One output on one stride: number k of anchor a of cell (x, y) lies at
 * first + y * per_row + x * per_column + a * per_anchor + k * per_number. */
struct part {
    struct hs_tensor_view view;
    ptrdiff_t first, per_row, per_column, per_anchor, per_number;
};

struct level {
    int h, w, stride;
    uint32_t first_anchor;
    struct part score, box, landmark;
};

/* An anchor above the threshold. */
struct hit {
    float score;
    uint32_t anchor;
};

struct hits {
    struct hit *items;
    size_t count, capacity;
};

struct decoder {
    const struct hs_face_layout *layout;
    const struct hs_face_coding *coding;
    float threshold;
    struct level levels[HS_FACE_LEVELS];
};

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* A lower bound of the logit at which the score passes `threshold`. It is lowered by more than the rounding of both
 * functions, because each hit's score is compared once more. */
static float logit_threshold(float threshold)
{
    if (threshold <= 0)
        return -INFINITY;
    if (threshold >= 1)
        return INFINITY;
    double t = threshold, logit = log(t / (1 - t));
    return (float) (logit - 1e-3 * (1 + fabs(logit)));
}

static struct part open_part(const struct hs_tensor_view *view, const struct hs_face_level *level, bool rows, int width)
{
    struct part part = { .view = *view };
    if (rows) {
        part.first = level->first_row * view->stride_h;
        part.per_number = view->stride_w;
        part.per_anchor = view->stride_h;
        part.per_column = HS_FACE_ANCHORS * part.per_anchor;
        part.per_row = level->w * part.per_column;
        assert(view->w == width && view->h >= level->first_row + HS_FACE_ANCHORS * level->h * level->w);
    } else {
        part.per_number = view->stride_c;
        part.per_anchor = width * view->stride_c;
        part.per_column = view->stride_w;
        part.per_row = view->stride_h;
        assert(view->h == level->h && view->w == level->w && view->c == HS_FACE_ANCHORS * width);
    }
    return part;
}

static int score_width(enum hs_face_score score)
{
    return score == HS_FACE_PROBABILITY_PAIR || score == HS_FACE_LOGIT_PAIR ? 2 : 1;
}

static void open_levels(struct decoder *decoder, const struct hs_tensor_view *views)
{
    const struct hs_face_layout *layout = decoder->layout;
    uint32_t anchors = 0;
    for (int i = 0; i < HS_FACE_LEVELS; i++) {
        const struct hs_face_level *from = &layout->levels[i];
        struct level *level = &decoder->levels[i];
        *level = (struct level) { .h = from->h, .w = from->w, .stride = from->stride, .first_anchor = anchors };
        level->score = open_part(&views[from->score], from, from->score_rows, score_width(layout->score));
        level->box = open_part(&views[from->box], from, from->box_rows, BOX_WIDTH);
        if (layout->has_landmarks)
            level->landmark = open_part(&views[from->landmark], from, from->landmark_rows, LANDMARK_WIDTH);
        anchors += (uint32_t) from->h * (uint32_t) from->w * HS_FACE_ANCHORS;
    }
}

static int push_hit(struct hits *hits, const struct hit *hit)
{
    if (hits->count == hits->capacity) {
        size_t capacity = hits->capacity ? 2 * hits->capacity : 256;
        struct hit *items = realloc(hits->items, capacity * sizeof(*items));
        if (!items)
            return HS_ENOMEM;
        hits->items = items;
        hits->capacity = capacity;
    }
    hits->items[hits->count++] = *hit;
    return 0;
}

static int consider(const struct decoder *decoder, float score, uint32_t anchor, struct hits *hits)
{
    if (!isfinite(score) || !(score > decoder->threshold))
        return 0;
    return push_hit(hits, &(struct hit) { .score = score > 1 ? 1 : score, .anchor = anchor });
}

/* Anchors `first`, first + step, ... whose `count` scores lie `apart` elements from one another, `at` the first. */
static int scan_run(const struct decoder *decoder, const struct part *part, ptrdiff_t at, ptrdiff_t apart, size_t count,
                    uint32_t first, uint32_t step, struct hits *hits)
{
    bool logit = decoder->layout->score == HS_FACE_LOGIT;
    const struct hs_tensor_view *view = &part->view;
    const char *run = (const char *) view->data + at * (ptrdiff_t) hs_dtype_size(view->dtype);
    float above = logit ? logit_threshold(decoder->threshold) : decoder->threshold;
    struct hs_scan_limit limit = hs_scan_limit_of(view, above);
    for (size_t i = 0; (i = hs_scan_next(&limit, run, count, apart, i)) < count; i++) {
        float raw = hs_tensor_at(view, at + (ptrdiff_t) i * apart);
        int status = consider(decoder, logit ? sigmoid(raw) : raw, first + (uint32_t) i * step, hits);
        if (status < 0)
            return status;
    }
    return 0;
}

/* One number a score: either all anchors of the stride in one run, or each anchor number of each row. */
static int scan_single(const struct decoder *decoder, const struct level *level, struct hits *hits)
{
    const struct part *part = &level->score;
    uint32_t w = (uint32_t) level->w;
    ptrdiff_t last = score_width(decoder->layout->score) - 1, at = part->first + last * part->per_number;
    int status = 0;
    if (part->per_column == HS_FACE_ANCHORS * part->per_anchor && part->per_row == level->w * part->per_column)
        return scan_run(decoder, part, at, part->per_anchor, (size_t) level->h * w * HS_FACE_ANCHORS,
                        level->first_anchor, 1, hits);
    for (int y = 0; y < level->h; y++) {
        for (uint32_t a = 0; status == 0 && a < HS_FACE_ANCHORS; a++)
            status = scan_run(decoder, part, at + y * part->per_row + (ptrdiff_t) a * part->per_anchor,
                              part->per_column, w, level->first_anchor + (uint32_t) y * w * HS_FACE_ANCHORS + a,
                              HS_FACE_ANCHORS, hits);
    }
    return status;
}

/* Softmax over two is the sigmoid of their difference, so the difference is compared and nothing else computed. */
static int scan_logit_pairs(const struct decoder *decoder, const struct level *level, struct hits *hits)
{
    const struct part *part = &level->score;
    float above = logit_threshold(decoder->threshold);
    uint32_t anchor = level->first_anchor;
    int status = 0;
    for (int y = 0; y < level->h; y++) {
        for (int x = 0; x < level->w; x++) {
            for (int a = 0; status == 0 && a < HS_FACE_ANCHORS; a++, anchor++) {
                ptrdiff_t at = part->first + y * part->per_row + x * part->per_column + a * part->per_anchor;
                float no = hs_tensor_at(&part->view, at), yes = hs_tensor_at(&part->view, at + part->per_number);
                if (yes - no > above)
                    status = consider(decoder, sigmoid(yes - no), anchor, hits);
            }
        }
    }
    return status;
}

static int scan_level(const struct decoder *decoder, const struct level *level, struct hits *hits)
{
    if (decoder->layout->score == HS_FACE_LOGIT_PAIR)
        return scan_logit_pairs(decoder, level, hits);
    return scan_single(decoder, level, hits);
}

static struct hs_face_anchor find_anchor(const struct decoder *decoder, uint32_t number)
{
    int i = HS_FACE_LEVELS - 1;
    while (decoder->levels[i].first_anchor > number)
        i--;
    const struct level *level = &decoder->levels[i];
    uint32_t local = number - level->first_anchor, cell = local / HS_FACE_ANCHORS, w = (uint32_t) level->w;
    return (struct hs_face_anchor) { .level = i,
                                     .stride = level->stride,
                                     .x = (int) (cell % w),
                                     .y = (int) (cell / w),
                                     .number = (int) (local % HS_FACE_ANCHORS) };
}

static void read_numbers(const struct part *part, const struct hs_face_anchor *anchor, int count, float *ret_numbers)
{
    ptrdiff_t at = part->first + anchor->y * part->per_row + anchor->x * part->per_column +
                   anchor->number * part->per_anchor;
    for (int i = 0; i < count; i++, at += part->per_number)
        ret_numbers[i] = hs_tensor_at(&part->view, at);
}

static bool is_usable(const struct hs_rect *box)
{
    return isfinite(box->x1) && isfinite(box->y1) && isfinite(box->x2) && isfinite(box->y2) && box->x2 >= box->x1 &&
           box->y2 >= box->y1;
}

static size_t decode_boxes(const struct decoder *decoder, const struct hits *hits, size_t count,
                           struct hs_nms_candidate *candidates)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct hit *hit = &hits->items[i];
        struct hs_face_anchor anchor = find_anchor(decoder, hit->anchor);
        float raw[BOX_WIDTH];
        read_numbers(&decoder->levels[anchor.level].box, &anchor, BOX_WIDTH, raw);
        struct hs_rect box = decoder->coding->box(&anchor, raw);
        if (is_usable(&box))
            candidates[used++] = (struct hs_nms_candidate) { .box = box, .score = hit->score, .id = hit->anchor };
    }
    return used;
}

/* False where a number is not finite. */
static bool decode_landmarks(const struct decoder *decoder, uint32_t number, struct hs_face *face)
{
    struct hs_face_anchor anchor = find_anchor(decoder, number);
    float raw[LANDMARK_WIDTH];
    bool finite = true;
    read_numbers(&decoder->levels[anchor.level].landmark, &anchor, LANDMARK_WIDTH, raw);
    for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
        face->landmarks[i] = decoder->coding->point(&anchor, raw[2 * i], raw[2 * i + 1]);
        finite = finite && isfinite(face->landmarks[i].x) && isfinite(face->landmarks[i].y);
    }
    face->has_landmarks = true;
    return finite;
}

static int fill_list(const struct decoder *decoder, const struct hs_nms_candidate *kept, size_t count,
                     struct hs_face_list *list)
{
    int status = hs_face_list_reserve(list, count);
    for (size_t i = 0; status == 0 && i < count; i++) {
        struct hs_face face = { .box = kept[i].box, .score = kept[i].score };
        if (!decoder->layout->has_landmarks || decode_landmarks(decoder, kept[i].id, &face))
            list->faces[list->count++] = face;
    }
    return status;
}

/* Best first. Anchors are unique, so the order is total. */
static int compare_hits(const void *left, const void *right)
{
    const struct hit *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->anchor > b->anchor) - (a->anchor < b->anchor);
}

static int decode_hits(const struct decoder *decoder, struct hits *hits, const struct hs_face_params *params,
                       struct hs_face_list *list)
{
    int max = params->max_faces < HS_FACE_MAX_FACES ? params->max_faces : HS_FACE_MAX_FACES;
    size_t count = hits->count;
    if (count == 0 || max <= 0)
        return 0;
    if (count > HS_NMS_MAX_CANDIDATES) {
        qsort(hits->items, count, sizeof(*hits->items), compare_hits);
        count = HS_NMS_MAX_CANDIDATES;
    }
    struct hs_nms_candidate *candidates = malloc(count * sizeof(*candidates));
    if (!candidates)
        return HS_ENOMEM;
    count = decode_boxes(decoder, hits, count, candidates);
    count = hs_nms_run(candidates, count, params->iou_threshold, (size_t) max);
    int status = fill_list(decoder, candidates, count, list);
    free(candidates);
    return status;
}

int hs_face_heads_decode(const struct hs_face_layout *layout, const struct hs_tensor_view *views,
                         const struct hs_face_params *params, const struct hs_face_coding *coding,
                         struct hs_face_list *list)
{
    struct decoder decoder = { .layout = layout, .coding = coding, .threshold = params->score_threshold };
    struct hits hits = { 0 };
    open_levels(&decoder, views);
    int status = hs_face_list_reserve(list, 0);
    for (int i = 0; status == 0 && i < HS_FACE_LEVELS; i++)
        status = scan_level(&decoder, &decoder.levels[i], &hits);
    if (status == 0)
        status = decode_hits(&decoder, &hits, params, list);
    free(hits.items);
    return status;
}
