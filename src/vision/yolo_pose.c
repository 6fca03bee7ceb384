/* Cells are numbered across all grids, finest first. The rows form is handled as one grid of 1 x N
 * cells whose numbers need no decoding. */
#include "vision/yolo_pose.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "vision/detector.h"

struct grid {
    struct hs_tensor_view box, score, keypoint;
    int stride; /* 0: numbers are already pixels and probabilities */
    uint32_t first_cell;
};

struct decoder {
    const struct hs_yolo_pose_layout *layout;
    struct grid grids[HS_YOLO_POSE_MAX_LEVELS];
    int grid_count;
};

/* Returns a view of `count` channels of a rows matrix, starting at `first`, as a grid of one row. */
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
    for (int i = 0; i < layout->level_count; i++) {
        const struct hs_yolo_pose_level *level = &layout->levels[i];
        struct grid *grid = &decoder->grids[i];
        *grid = (struct grid) {
            .box = views[level->box],
            .score = views[level->score],
            .keypoint = views[level->keypoint],
            .stride = level->stride,
            .first_cell = cells,
        };
        assert(grid->box.h == level->h && grid->box.w == level->w && grid->box.c == 4 * layout->bins);
        assert(grid->score.h == level->h && grid->score.w == level->w && grid->score.c == layout->spec.classes);
        assert(grid->keypoint.h == level->h && grid->keypoint.w == level->w);
        cells += (uint32_t) level->h * (uint32_t) level->w;
    }
}

/* A cell counts once, with its best class; the first one in a tie. */
static bool is_best_class(const struct grid *grid, const struct hs_hit *hit)
{
    const struct hs_tensor_view *score = &grid->score;
    uint32_t cell = hit->place - grid->first_cell, w = (uint32_t) score->w;
    ptrdiff_t at = (ptrdiff_t) (cell / w) * score->stride_h + (ptrdiff_t) (cell % w) * score->stride_w;
    float raw = hs_tensor_at(score, at + hit->class_id * score->stride_c);
    for (int i = 0; i < score->c; i++) {
        float other = hs_tensor_at(score, at + i * score->stride_c);
        if (other > raw || (other == raw && i < hit->class_id))
            return false;
    }
    return true;
}

static int scan_grid(const struct grid *grid, struct hs_hits *hits)
{
    const struct hs_tensor_view *score = &grid->score;
    /* Rows without a gap between them form one long run. */
    bool whole = score->stride_h == score->w * score->stride_w;
    int runs = whole ? 1 : score->h, status = 0;
    struct hs_score_run run = {
        .view = score,
        .step = score->stride_w,
        .place_step = 1,
        .count = whole ? (size_t) score->h * (size_t) score->w : (size_t) score->w,
    };
    for (run.class_id = 0; run.class_id < score->c; run.class_id++) {
        for (int i = 0; i < runs && status == 0; i++) {
            size_t kept = hits->count;
            run.at = run.class_id * score->stride_c + i * score->stride_h;
            run.first_place = grid->first_cell + (uint32_t) ((size_t) i * run.count);
            status = hs_hits_scan(hits, &run);
            for (size_t k = kept; k < hits->count; k++)
                if (is_best_class(grid, &hits->items[k]))
                    hits->items[kept++] = hits->items[k];
            hits->count = kept;
        }
    }
    return status;
}

static const struct grid *grid_of(const struct decoder *decoder, uint32_t cell)
{
    int i = decoder->grid_count - 1;
    while (decoder->grids[i].first_cell > cell)
        i--;
    return &decoder->grids[i];
}

/* Returns the expected bin under the softmax of `bins` raw values: distribution focal loss (Li et al.
 * 2020, "Generalized Focal Loss"), as in YOLOv8. A single bin is the distance itself. Returns NaN if
 * any of the values is a NaN or an infinity. */
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

/* Decodes the box of a cell; callback of hs_hits_suppress. */
static struct hs_rect decode_box(const void *arg, uint32_t cell)
{
    const struct decoder *decoder = arg;
    const struct grid *grid = grid_of(decoder, cell);
    const struct hs_tensor_view *box = &grid->box;
    uint32_t x = (cell - grid->first_cell) % (uint32_t) box->w, y = (cell - grid->first_cell) / (uint32_t) box->w;
    ptrdiff_t at = (ptrdiff_t) y * box->stride_h + (ptrdiff_t) x * box->stride_w;
    float side[4];
    if (grid->stride == 0) {
        for (int i = 0; i < 4; i++)
            side[i] = hs_tensor_at(box, at + i * box->stride_c);
        return (struct hs_rect) { side[0] - side[2] / 2, side[1] - side[3] / 2, side[0] + side[2] / 2,
                                  side[1] + side[3] / 2 };
    }
    int bins = decoder->layout->bins;
    for (int i = 0; i < 4; i++)
        side[i] = expected_bin(box, at + i * bins * box->stride_c, bins);
    /* The sides are distances left, top, right and bottom from the centre of the cell, in strides. */
    float cx = (float) x + 0.5f, cy = (float) y + 0.5f, s = (float) grid->stride;
    return (struct hs_rect) { (cx - side[0]) * s, (cy - side[1]) * s, (cx + side[2]) * s, (cy + side[3]) * s };
}

/* Decodes keypoints. For raw heads x = (2 v + column) * stride, and y likewise with the row; unlike
 * boxes they have no half-cell offset. Returns false if a number is not finite. */
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
                point.conf = hs_sigmoid(point.conf);
        }
        finite = finite && isfinite(point.x) && isfinite(point.y) && isfinite(point.conf);
        point.conf = point.conf < 0 ? 0 : point.conf > 1 ? 1 : point.conf;
        points[i] = point;
    }
    return finite;
}

int hs_yolo_pose_decode(const struct hs_yolo_pose_layout *layout, const struct hs_tensor_view *views,
                        const struct hs_yolo_pose_params *params, struct hs_pose_list *list)
{
    struct decoder decoder = { .layout = layout };
    bool logits = !layout->rows && layout->spec.score_logits;
    struct hs_hits hits = { .threshold = params->score_threshold, .logits = logits };
    struct hs_nms_candidate *kept = NULL;
    size_t count = 0;
    int max = params->max_detections, status = hs_pose_list_reserve(list, 0, layout->spec.keypoints);
    if (max > HS_YOLO_POSE_MAX_DETECTIONS)
        max = HS_YOLO_POSE_MAX_DETECTIONS;
    if (layout->rows)
        open_rows(&decoder, &views[0]);
    else
        open_heads(&decoder, views);
    for (int i = 0; status == 0 && i < decoder.grid_count; i++)
        status = scan_grid(&decoder.grids[i], &hits);
    if (status == 0)
        status = hs_hits_suppress(&hits, decode_box, &decoder, params->iou_threshold, max, &kept, &count);
    if (status == 0)
        status = hs_pose_list_reserve(list, count, layout->spec.keypoints);
    for (size_t i = 0; status == 0 && i < count; i++)
        if (decode_keypoints(&decoder, kept[i].id, hs_pose_list_keypoints(list, list->count)))
            list->poses[list->count++] = (struct hs_pose) { kept[i].box, kept[i].score, kept[i].class_id };
    free(kept);
    hs_hits_finish(&hits);
    return status;
}
