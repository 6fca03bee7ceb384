/* Points and rectangles as plain values, in pixels of whatever picture the owner says. */
#ifndef HS_VISION_GEOMETRY_H
#define HS_VISION_GEOMETRY_H

struct hs_point {
    float x, y;
};

/* Corners: (x1, y1) top left, (x2, y2) bottom right, the latter outside. Width is x2 - x1, without the "+ 1" of the
 * pixel-counting convention. */
struct hs_rect {
    float x1, y1, x2, y2;
};

static inline float hs_rect_area(const struct hs_rect *r)
{
    float w = r->x2 - r->x1, h = r->y2 - r->y1;
    return w > 0 && h > 0 ? w * h : 0;
}

/* Intersection over union, 0..1; 0 where the union is empty. Width is x2 - x1 (no "+ 1"). */
static inline float hs_rect_iou(const struct hs_rect *a, const struct hs_rect *b)
{
    struct hs_rect common = {
        .x1 = a->x1 > b->x1 ? a->x1 : b->x1, .y1 = a->y1 > b->y1 ? a->y1 : b->y1,
        .x2 = a->x2 < b->x2 ? a->x2 : b->x2, .y2 = a->y2 < b->y2 ? a->y2 : b->y2,
    };
    float inter = hs_rect_area(&common);
    float both = hs_rect_area(a) + hs_rect_area(b) - inter;
    return both > 0 ? inter / both : 0;
}

#endif
