/* Cells are numbered through all grids, finest first. A decode is four passes that each see far fewer items than the
 * one before: scan raw scores (every cell), decode boxes (cells above the threshold), suppress, decode keypoints (what
 * is returned). The ordinary export is treated as one grid of 1 x N cells whose numbers need no decoding. */
#include "vision/yolo_pose.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vision/nms.h"
#include "vision/scan.h"

struct grid {
    struct hs_tensor_view box, score, keypoint;
    int stride; /* 0: numbers are pixels and probabilities already */
    uint32_t first_cell;
};

/* A cell above the threshold. */
struct hit {
    float score;
    uint32_t cell;
    int32_t class_id;
};

struct hits {
    struct hit *items;
    size_t count, capacity;
};

struct decoder {
    const struct hs_yolo_pose_layout *layout;
    struct grid grids[HS_YOLO_POSE_MAX_LEVELS];
    int grid_count;
    bool logits;
    float threshold;
};

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* A lower bound of the raw value at which the score passes `threshold`. It is lowered by more than the rounding of
 * both functions, because each hit's score is compared once more. */
static float raw_threshold(float threshold, bool logits)
{
    if (!logits)
        return threshold;
    if (threshold <= 0)
        return -INFINITY;
    if (threshold >= 1)
        return INFINITY;
    double t = threshold, logit = log(t / (1 - t));
    return (float) (logit - 1e-3 * (1 + fabs(logit)));
}

/* `count` channels of a matrix of rows, from `first` on, seen as a grid of one row. */
static struct hs_tensor_view rows_view(const struct hs_tensor_view *all, bool transposed, int first, int count)
{
    struct hs_tensor_view view = *all;
    view.stride_c = transposed ? all->stride_w : all->stride_h;
    view.stride_w = transposed ? all->stride_h : all->stride_w;
    view.w = transposed ? all->h : all->w;
    view.stride_h = 0;
    view.h = 1;
    view.c = count;
    view.data = (const char *) all->data + first * view.stride_c * (ptrdiff_t) hs_dtype_size(all->dtype);
    return view;
}

static void open_rows(struct decoder *decoder, const struct hs_tensor_view *all)
{
    const struct hs_yolo_pose_layout *layout = decoder->layout;
    const struct hs_yolo_pose_spec *spec = &layout->spec;
    int points = spec->keypoints * spec->dims;
    assert((layout->rows_transposed ? all->w : all->h) == 4 + spec->classes + points);
    decoder->grid_count = 1;
    decoder->grids[0] = (struct grid) {
        .box = rows_view(all, layout->rows_transposed, 0, 4),
        .score = rows_view(all, layout->rows_transposed, 4, spec->classes),
        .keypoint = rows_view(all, layout->rows_transposed, 4 + spec->classes, points),
    };
}

static void open_heads(struct decoder *decoder, const struct hs_tensor_view *views)
{
    const struct hs_yolo_pose_layout *layout = decoder->layout;
    uint32_t cells = 0;
    decoder->grid_count = layout->level_count;
    decoder->logits = layout->spec.score_logits;
    for (int i = 0; i < layout->level_count; i++) {
        const struct hs_yolo_pose_level *level = &layout->levels[i];
        struct grid *grid = &decoder->grids[i];
        *grid = (struct grid) {
            .box = views[level->box], .score = views[level->score], .keypoint = views[level->keypoint],
            .stride = level->stride, .first_cell = cells,
        };
        assert(grid->box.h == level->h && grid->box.w == level->w && grid->box.c == 4 * layout->bins);
        assert(grid->score.h == level->h && grid->score.w == level->w && grid->score.c == layout->spec.classes);
        assert(grid->keypoint.h == level->h && grid->keypoint.w == level->w);
        cells += (uint32_t) level->h * (uint32_t) level->w;
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

/* A cell counts once, with its best class; of equal ones the first. */
static bool is_best_class(const struct hs_tensor_view *score, ptrdiff_t cell_at, int class_id, float raw)
{
    for (int i = 0; i < score->c; i++) {
        float other = hs_tensor_at(score, cell_at + i * score->stride_c);
        if (other > raw || (other == raw && i < class_id))
            return false;
    }
    return true;
}

static int consider(const struct decoder *decoder, const struct grid *grid, uint32_t cell, int class_id,
                    struct hits *hits)
{
    const struct hs_tensor_view *score = &grid->score;
    ptrdiff_t at = (ptrdiff_t) (cell / (uint32_t) score->w) * score->stride_h +
                   (ptrdiff_t) (cell % (uint32_t) score->w) * score->stride_w;
    float raw = hs_tensor_at(score, at + class_id * score->stride_c);
    float value = decoder->logits ? sigmoid(raw) : raw;
    if (!isfinite(value) || !(value > decoder->threshold) || !is_best_class(score, at, class_id, raw))
        return 0;
    /* 255 * (1/255 rounded) and the like may end a hair above 1. */
    struct hit hit = {.score = fminf(value, 1), .cell = grid->first_cell + cell, .class_id = class_id};
    return push_hit(hits, &hit);
}

static int scan_grid(const struct decoder *decoder, const struct grid *grid, struct hits *hits)
{
    const struct hs_tensor_view *score = &grid->score;
    struct hs_scan_limit limit = hs_scan_limit_of(score, raw_threshold(decoder->threshold, decoder->logits));
    /* Rows that follow one another without a gap are one long run. */
    bool whole = score->stride_h == score->w * score->stride_w;
    int runs = whole ? 1 : score->h;
    size_t length = whole ? (size_t) score->h * (size_t) score->w : (size_t) score->w;
    for (int class_id = 0; class_id < score->c; class_id++) {
        for (int run = 0; run < runs; run++) {
            ptrdiff_t at = class_id * score->stride_c + run * score->stride_h;
            const void *data = (const char *) score->data + at * (ptrdiff_t) hs_dtype_size(score->dtype);
            for (size_t i = 0; (i = hs_scan_next(&limit, data, length, score->stride_w, i)) < length; i++) {
                int status = consider(decoder, grid, (uint32_t) ((size_t) run * length + i), class_id, hits);
                if (status < 0)
                    return status;
            }
        }
    }
    return 0;
}

static const struct grid *grid_of(const struct decoder *decoder, uint32_t cell)
{
    int i = decoder->grid_count - 1;
    while (decoder->grids[i].first_cell > cell)
        i--;
    return &decoder->grids[i];
}

/* Expected bin under the softmax of `bins` raw values: distribution focal loss (Li et al. 2020, "Generalized Focal
 * Loss"), as YOLOv8 uses it. With one bin there is no distribution and the value is the distance itself.
 * A NaN or an infinity among the values makes the result NaN. */
static float expected_bin(const struct hs_tensor_view *view, ptrdiff_t at, int bins)
{
    float raw[HS_YOLO_POSE_MAX_BINS], top = -INFINITY, sum = 0, weighted = 0;
    for (int i = 0; i < bins; i++) {
        raw[i] = hs_tensor_at(view, at + i * view->stride_c);
        if (raw[i] > top)
            top = raw[i];
    }
    if (bins == 1)
        return raw[0];
    for (int i = 0; i < bins; i++) {
        float e = expf(raw[i] - top);
        sum += e;
        weighted += e * (float) i;
    }
    return weighted / sum;
}

static struct hs_rect decode_box(const struct decoder *decoder, const struct grid *grid, int x, int y)
{
    const struct hs_tensor_view *box = &grid->box;
    ptrdiff_t at = y * box->stride_h + x * box->stride_w;
    float side[4];
    if (grid->stride == 0) {
        for (int i = 0; i < 4; i++)
            side[i] = hs_tensor_at(box, at + i * box->stride_c);
        return (struct hs_rect) {side[0] - side[2] / 2, side[1] - side[3] / 2, side[0] + side[2] / 2,
                                side[1] + side[3] / 2};
    }
    int bins = decoder->layout->bins;
    for (int i = 0; i < 4; i++)
        side[i] = expected_bin(box, at + i * bins * box->stride_c, bins);
    /* Distances left, top, right, bottom in strides from the middle of the cell. */
    float cx = (float) x + 0.5f, cy = (float) y + 0.5f, s = (float) grid->stride;
    return (struct hs_rect) {(cx - side[0]) * s, (cy - side[1]) * s, (cx + side[2]) * s, (cy + side[3]) * s};
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
        const struct grid *grid = grid_of(decoder, hit->cell);
        uint32_t local = hit->cell - grid->first_cell, w = (uint32_t) grid->box.w;
        struct hs_rect box = decode_box(decoder, grid, (int) (local % w), (int) (local / w));
        if (is_usable(&box))
            candidates[used++] = (struct hs_nms_candidate) {box, hit->score, hit->class_id, hit->cell};
    }
    return used;
}

/* Keypoints of raw heads: x = (2 v + column) * stride, y alike with the row, without the half cell that boxes have.
 * False where a number is not finite. */
static bool decode_keypoints(const struct decoder *decoder, uint32_t cell, struct hs_keypoint *points)
{
    const struct hs_yolo_pose_spec *spec = &decoder->layout->spec;
    const struct grid *grid = grid_of(decoder, cell);
    const struct hs_tensor_view *view = &grid->keypoint;
    uint32_t local = cell - grid->first_cell, w = (uint32_t) view->w;
    ptrdiff_t x = (ptrdiff_t) (local % w), y = (ptrdiff_t) (local / w);
    ptrdiff_t at = y * view->stride_h + x * view->stride_w;
    float s = (float) grid->stride;
    bool finite = true;
    for (int i = 0; i < spec->keypoints; i++, at += spec->dims * view->stride_c) {
        struct hs_keypoint point = {
            .x = hs_tensor_at(view, at),
            .y = hs_tensor_at(view, at + view->stride_c),
            .conf = spec->dims == 3 ? hs_tensor_at(view, at + 2 * view->stride_c) : 1,
        };
        if (grid->stride) {
            point.x = (2 * point.x + (float) x) * s;
            point.y = (2 * point.y + (float) y) * s;
            if (spec->dims == 3)
                point.conf = sigmoid(point.conf);
        }
        finite = finite && isfinite(point.x) && isfinite(point.y) && isfinite(point.conf);
        point.conf = point.conf < 0 ? 0 : point.conf > 1 ? 1 : point.conf;
        points[i] = point;
    }
    return finite;
}

static int fill_list(const struct decoder *decoder, const struct hs_nms_candidate *kept, size_t count,
                     struct hs_pose_list *list)
{
    int status = hs_pose_list_reserve(list, count, decoder->layout->spec.keypoints);
    for (size_t i = 0; status == 0 && i < count; i++) {
        if (!decode_keypoints(decoder, kept[i].id, hs_pose_list_keypoints(list, list->count)))
            continue;
        list->poses[list->count++] = (struct hs_pose) {kept[i].box, kept[i].score, kept[i].class_id};
    }
    return status;
}

/* Best first. Cells are unique, so the order is total. */
static int compare_hits(const void *left, const void *right)
{
    const struct hit *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->cell > b->cell) - (a->cell < b->cell);
}

static int decode_hits(const struct decoder *decoder, struct hits *hits, const struct hs_yolo_pose_params *params,
                       struct hs_pose_list *list)
{
    int max = params->max_detections;
    if (max > HS_YOLO_POSE_MAX_DETECTIONS)
        max = HS_YOLO_POSE_MAX_DETECTIONS;
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

int hs_yolo_pose_decode(const struct hs_yolo_pose_layout *layout, const struct hs_tensor_view *views,
                        const struct hs_yolo_pose_params *params, struct hs_pose_list *list)
{
    struct decoder decoder = {.layout = layout, .threshold = params->score_threshold};
    struct hits hits = {0};
    if (layout->rows)
        open_rows(&decoder, &views[0]);
    else
        open_heads(&decoder, views);
    int status = hs_pose_list_reserve(list, 0, layout->spec.keypoints);
    for (int i = 0; status == 0 && i < decoder.grid_count; i++)
        status = scan_grid(&decoder, &decoder.grids[i], &hits);
    if (status == 0)
        status = decode_hits(&decoder, &hits, params, list);
    free(hits.items);
    return status;
}
