#include "pose/annotate.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "service/drawing.h"
#include "vision/coco_pose.h"

enum { LABEL_SIZE = 40 };

/* Colours that distinguish people if the model does not have COCO's keypoints; they repeat after eight people. */
static const uint32_t person_colors[] = {
    0x33c3f0, 0xf0a033, 0x7ed957, 0xe05780, 0xb388ff, 0xffd54f, 0x4db6ac, 0xff8a65
};

static uint32_t pack_rgb(const uint8_t rgb[3])
{
    return (uint32_t) rgb[0] << 16 | (uint32_t) rgb[1] << 8 | rgb[2];
}

struct drawing {
    struct hs_draw_shape *shapes;
    size_t count;
    char (*labels)[LABEL_SIZE];
};

static int reserve(struct drawing *d, const struct hs_pose_result *result, const struct hs_pack *pack)
{
    size_t shapes;
    if (!hs_size_mul(result->people.count, 1 + pack->keypoint_count + pack->edge_count, &shapes))
        return HS_ENOMEM;
    d->shapes = calloc(shapes ? shapes : 1, sizeof(*d->shapes));
    d->labels = calloc(result->people.count ? result->people.count : 1, sizeof(*d->labels));
    return d->shapes && d->labels ? 0 : HS_ENOMEM;
}

static void add_person(struct drawing *d, const struct hs_pose_result *result, size_t i, const struct hs_pack *pack,
                       float threshold)
{
    const struct hs_pose *pose = &result->people.poses[i];
    const struct hs_keypoint *points = hs_pose_list_keypoints(&result->people, i);
    bool coco = pack->keypoint_count == HS_COCO_KEYPOINTS && pack->edge_count == HS_COCO_EDGES;
    uint32_t own = person_colors[i % HS_ARRAY_LEN(person_colors)];
    snprintf(d->labels[i], LABEL_SIZE, "%zu  %.2f", i, (double) pose->score);
    d->shapes[d->count++] = hs_drawing_frame(&pose->box, own, d->labels[i]);
    for (size_t e = 0; e < pack->edge_count; e++) {
        const struct hs_keypoint *from = &points[pack->edges[e][0]], *to = &points[pack->edges[e][1]];
        if (from->conf >= threshold && to->conf >= threshold)
            d->shapes[d->count++] = (struct hs_draw_shape) {
                .kind = HS_DRAW_LINE,
                .x0 = from->x,
                .y0 = from->y,
                .x1 = to->x,
                .y1 = to->y,
                .color = coco ? pack_rgb(hs_coco_edges[e].rgb) : own,
            };
    }
    for (size_t k = 0; k < pack->keypoint_count; k++) {
        if (points[k].conf >= threshold)
            d->shapes[d->count++] = (struct hs_draw_shape) {
                .kind = HS_DRAW_CIRCLE,
                .x0 = points[k].x,
                .y0 = points[k].y,
                .color = coco ? pack_rgb(hs_coco_keypoint_rgb[k]) : own,
            };
    }
}

int hs_pose_annotate(const struct hs_pose_result *result, float keypoint_threshold, enum hs_image_format format,
                     struct hs_buf *out, struct hs_error *err)
{
    const struct hs_pack *pack = result->runner->choice.pack;
    struct drawing d = { 0 };
    int r = reserve(&d, result, pack);
    if (r < 0)
        hs_error_set(err, r, "no memory to draw %zu people", result->people.count);
    for (size_t i = 0; r == 0 && i < result->people.count; i++)
        add_person(&d, result, i, pack, keypoint_threshold);
    if (r == 0)
        r = hs_drawing_encode(result->image, result->turn, d.shapes, d.count, format, out, err);
    free(d.shapes);
    free(d.labels);
    return r;
}
