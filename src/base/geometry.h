/* Points and rectangles as plain values, in pixels. The owner of a value defines the picture. */
#ifndef HS_BASE_GEOMETRY_H
#define HS_BASE_GEOMETRY_H

struct hs_point {
    float x, y;
};

/* Corners: (x1, y1) top left, (x2, y2) bottom right, exclusive. Width is x2 - x1, without the "+ 1" of the
 * pixel-counting convention. */
struct hs_rect {
    float x1, y1, x2, y2;
};

static inline float hs_rect_area(const struct hs_rect *r)
{
    float w = r->x2 - r->x1, h = r->y2 - r->y1;
    return w > 0 && h > 0 ? w * h : 0;
}

/* Returns a coordinate as a whole pixel of a picture that is `size` pixels wide (or high): truncated towards zero and
 * clamped to 0..size-1, the long-standing form of integers in the answers of both services. */
static inline int hs_pixel(float v, int size)
{
    return v <= 0 ? 0 : v >= (float) (size - 1) ? size - 1 : (int) v;
}

/* Returns the area of the intersection. */
static inline float hs_rect_intersection(const struct hs_rect *a, const struct hs_rect *b)
{
    struct hs_rect common = {
        .x1 = a->x1 > b->x1 ? a->x1 : b->x1,
        .y1 = a->y1 > b->y1 ? a->y1 : b->y1,
        .x2 = a->x2 < b->x2 ? a->x2 : b->x2,
        .y2 = a->y2 < b->y2 ? a->y2 : b->y2,
    };
    return hs_rect_area(&common);
}

/* Returns the intersection over union (IoU), 0..1; 0 if the union is empty. */
static inline float hs_rect_iou(const struct hs_rect *a, const struct hs_rect *b)
{
    float inter = hs_rect_intersection(a, b), both = hs_rect_area(a) + hs_rect_area(b) - inter;
    return both > 0 ? inter / both : 0;
}

/* Returns the intersection over the smaller area, 0..1; 0 if a rectangle is empty. */
static inline float hs_rect_overlap(const struct hs_rect *a, const struct hs_rect *b)
{
    float area_a = hs_rect_area(a), area_b = hs_rect_area(b), smaller = area_a < area_b ? area_a : area_b;
    return smaller > 0 ? hs_rect_intersection(a, b) / smaller : 0;
}

/* Maps pixels of the network's input to pixels of the picture: (v - pad) / scale, then clamped to 0..width and
 * 0..height (both inclusive). `scale` is input pixels per picture pixel, finite and above 0. */
struct hs_transform {
    float scale_x, scale_y;
    float pad_x, pad_y;
    float width, height; /* of the picture */
};

static inline float hs_transform_x(const struct hs_transform *to, float x)
{
    float mapped = (x - to->pad_x) / to->scale_x;
    return mapped < 0 ? 0 : mapped > to->width ? to->width : mapped;
}

static inline float hs_transform_y(const struct hs_transform *to, float y)
{
    float mapped = (y - to->pad_y) / to->scale_y;
    return mapped < 0 ? 0 : mapped > to->height ? to->height : mapped;
}

static inline struct hs_rect hs_transform_rect(const struct hs_transform *to, const struct hs_rect *r)
{
    return (struct hs_rect) { hs_transform_x(to, r->x1), hs_transform_y(to, r->y1), hs_transform_x(to, r->x2),
                              hs_transform_y(to, r->y2) };
}

#endif
