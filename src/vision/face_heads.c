/* Anchors are numbered across all strides, finest first. Grids and matrices differ only in the
 * distances between their numbers. */
#include "vision/face_heads.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "vision/detector.h"

/* Constants of RetinaFace's box coding. */
#define CENTRE_VARIANCE 0.1f
#define SIZE_VARIANCE 0.2f

/* One output on one stride: number k of anchor a of cell (x, y) is at offset
 * first + y * per_row + x * per_column + a * per_anchor + k * per_number. */
struct part {
    struct hs_tensor_view view;
    ptrdiff_t first, per_row, per_column, per_anchor, per_number;
};

struct level {
    int h, w, stride;
    uint32_t first_anchor;
    struct part parts[HS_FACE_PARTS];
};

/* An anchor, located by its number. */
struct anchor {
    const struct level *level;
    int x, y;         /* the cell */
    int number;       /* 0 or 1: index in the cell */
    float prior_size; /* RetinaFace only: two octaves per stride */
};

struct decoder {
    const struct hs_face_layout *layout;
    struct level levels[HS_FACE_LEVELS];
};

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

static void open_levels(struct decoder *decoder, const struct hs_tensor_view *views)
{
    const struct hs_face_layout *layout = decoder->layout;
    uint32_t anchors = 0;
    for (int i = 0; i < HS_FACE_LEVELS; i++) {
        const struct hs_face_level *from = &layout->levels[i];
        struct level *level = &decoder->levels[i];
        *level = (struct level) { .h = from->h, .w = from->w, .stride = from->stride, .first_anchor = anchors };
        for (int part = 0; part < (layout->has_landmarks ? HS_FACE_PARTS : HS_FACE_POINTS); part++)
            level->parts[part] = open_part(&views[from->output[part]], from, from->rows[part],
                                           hs_face_part_width(layout->network, part));
        anchors += (uint32_t) from->h * (uint32_t) from->w * HS_FACE_ANCHORS;
    }
}

/* Scans scores of one number, or pairs whose second number is the probability: all anchors of the
 * stride in one run if they are evenly spaced, else each anchor number of each row. */
static int scan_single(const struct decoder *decoder, const struct level *level, struct hs_hits *hits)
{
    const struct part *part = &level->parts[HS_FACE_SCORE];
    uint32_t w = (uint32_t) level->w;
    ptrdiff_t last = hs_face_part_width(decoder->layout->network, HS_FACE_SCORE) - 1;
    ptrdiff_t at = part->first + last * part->per_number;
    struct hs_score_run run = { .view = &part->view, .at = at, .first_place = level->first_anchor };
    int r = 0;
    if (part->per_column == HS_FACE_ANCHORS * part->per_anchor && part->per_row == level->w * part->per_column) {
        run.step = part->per_anchor;
        run.count = (size_t) level->h * w * HS_FACE_ANCHORS;
        run.place_step = 1;
        return hs_hits_scan(hits, &run);
    }
    run.step = part->per_column;
    run.count = w;
    run.place_step = HS_FACE_ANCHORS;
    for (int y = 0; y < level->h; y++) {
        for (uint32_t a = 0; r == 0 && a < HS_FACE_ANCHORS; a++) {
            run.at = at + y * part->per_row + (ptrdiff_t) a * part->per_anchor;
            run.first_place = level->first_anchor + (uint32_t) y * w * HS_FACE_ANCHORS + a;
            r = hs_hits_scan(hits, &run);
        }
    }
    return r;
}

/* The softmax over two values is the sigmoid of their difference, so only the difference is compared. */
static int scan_logit_pairs(const struct level *level, struct hs_hits *hits)
{
    const struct part *part = &level->parts[HS_FACE_SCORE];
    float above = hs_logit_threshold(hits->threshold);
    uint32_t anchor = level->first_anchor;
    int r = 0;
    for (int y = 0; y < level->h; y++) {
        for (int x = 0; x < level->w; x++) {
            for (int a = 0; r == 0 && a < HS_FACE_ANCHORS; a++, anchor++) {
                ptrdiff_t at = part->first + y * part->per_row + x * part->per_column + a * part->per_anchor;
                float no = hs_tensor_at(&part->view, at), yes = hs_tensor_at(&part->view, at + part->per_number);
                if (yes - no > above)
                    r = hs_hits_add(hits, hs_sigmoid(yes - no), anchor, 0);
            }
        }
    }
    return r;
}

static struct anchor find_anchor(const struct decoder *decoder, uint32_t number)
{
    int i = HS_FACE_LEVELS - 1;
    while (decoder->levels[i].first_anchor > number)
        i--;
    const struct level *level = &decoder->levels[i];
    uint32_t local = number - level->first_anchor, cell = local / HS_FACE_ANCHORS, w = (uint32_t) level->w;
    int of_cell = (int) (local % HS_FACE_ANCHORS);
    return (struct anchor) { level, (int) (cell % w), (int) (cell / w), of_cell, (float) (16 << (2 * i + of_cell)) };
}

static struct hs_point decode_point(const struct decoder *decoder, const struct anchor *anchor, float raw_x,
                                    float raw_y)
{
    float x = (float) anchor->x, y = (float) anchor->y, s = (float) anchor->level->stride, size = anchor->prior_size;
    if (decoder->layout->network == HS_FACE_SCRFD)
        return (struct hs_point) { (x + raw_x) * s, (y + raw_y) * s };
    return (struct hs_point) { (x + 0.5f) * s + raw_x * CENTRE_VARIANCE * size,
                               (y + 0.5f) * s + raw_y * CENTRE_VARIANCE * size };
}

static void read_numbers(const struct anchor *anchor, enum hs_face_part which, int count, float *ret_numbers)
{
    const struct part *part = &anchor->level->parts[which];
    ptrdiff_t at =
        part->first + anchor->y * part->per_row + anchor->x * part->per_column + anchor->number * part->per_anchor;
    for (int i = 0; i < count; i++, at += part->per_number)
        ret_numbers[i] = hs_tensor_at(&part->view, at);
}

/* Decodes the box of an anchor; callback of hs_hits_suppress. */
static struct hs_rect decode_box(const void *arg, uint32_t number)
{
    const struct decoder *decoder = arg;
    struct anchor anchor = find_anchor(decoder, number);
    float raw[4];
    read_numbers(&anchor, HS_FACE_BOX, 4, raw);
    if (decoder->layout->network == HS_FACE_SCRFD) {
        float x = (float) anchor.x, y = (float) anchor.y, s = (float) anchor.level->stride;
        return (struct hs_rect) { (x - raw[0]) * s, (y - raw[1]) * s, (x + raw[2]) * s, (y + raw[3]) * s };
    }
    struct hs_point centre = decode_point(decoder, &anchor, raw[0], raw[1]);
    float w = anchor.prior_size * expf(raw[2] * SIZE_VARIANCE), h = anchor.prior_size * expf(raw[3] * SIZE_VARIANCE);
    return (struct hs_rect) { centre.x - w / 2, centre.y - h / 2, centre.x + w / 2, centre.y + h / 2 };
}

/* Returns false if a number is not finite. */
static bool decode_landmarks(const struct decoder *decoder, uint32_t number, struct hs_face *face)
{
    struct anchor anchor = find_anchor(decoder, number);
    float raw[2 * HS_FACE_LANDMARKS];
    bool finite = true;
    read_numbers(&anchor, HS_FACE_POINTS, 2 * HS_FACE_LANDMARKS, raw);
    for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
        face->landmarks[i] = decode_point(decoder, &anchor, raw[2 * i], raw[2 * i + 1]);
        finite = finite && isfinite(face->landmarks[i].x) && isfinite(face->landmarks[i].y);
    }
    face->has_landmarks = true;
    return finite;
}

int hs_face_decode(const struct hs_face_layout *layout, const struct hs_tensor_view *views,
                   const struct hs_face_params *params, struct hs_face_list *list)
{
    bool logit_pairs = layout->network == HS_FACE_RETINAFACE && layout->score_logits;
    struct decoder decoder = { .layout = layout };
    struct hs_hits hits = { .threshold = params->score_threshold, .logits = layout->score_logits };
    struct hs_nms_candidate *kept = NULL;
    size_t count = 0;
    int max = params->max_faces < HS_FACE_MAX_FACES ? params->max_faces : HS_FACE_MAX_FACES;
    int r = hs_face_list_reserve(list, 0);
    open_levels(&decoder, views);
    for (int i = 0; r == 0 && i < HS_FACE_LEVELS; i++)
        r = logit_pairs ? scan_logit_pairs(&decoder.levels[i], &hits)
                        : scan_single(&decoder, &decoder.levels[i], &hits);
    if (r == 0)
        r = hs_hits_suppress(&hits, decode_box, &decoder, params->iou_threshold, max, &kept, &count);
    if (r == 0)
        r = hs_face_list_reserve(list, count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct hs_face face = { .box = kept[i].box, .score = kept[i].score };
        if (!layout->has_landmarks || decode_landmarks(&decoder, kept[i].id, &face))
            list->faces[list->count++] = face;
    }
    free(kept);
    hs_hits_finish(&hits);
    return r;
}
