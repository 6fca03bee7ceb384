/* Shapes and labels on a copy of a picture. Knows nothing of what they mean. */
#ifndef HS_IMAGE_DRAW_H
#define HS_IMAGE_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

enum hs_draw_kind {
    HS_DRAW_RECT,   /* corners x0,y0 and x1,y1; the outline; the label is in a filled bar at its top left */
    HS_DRAW_LINE,   /* from x0,y0 to x1,y1 */
    HS_DRAW_CIRCLE, /* filled; the middle is x0,y0 */
};

/* Coordinates are pixels of the picture; parts outside of it are cut. `size` is the line's width or the circle's radius
 * in units of hs_draw_unit, 0 for a sensible one. `label` is UTF-8, borrowed, and may be NULL. */
struct hs_draw_shape {
    enum hs_draw_kind kind;
    float x0, y0, x1, y1;
    float size;
    uint32_t color; /* 0xRRGGBB */
    const char *label;
};

/* Pixels of one unit of `size` and of the text's height, so that drawings look alike on small and large
 * pictures: the longer side / 640, at least 1. */
float hs_draw_unit(int width, int height);

/* Draws the shapes in order on a copy of `image`; caller frees *ret_image with hs_image_destroy. Shapes with a
 * coordinate that is not finite are left out, so are labels that are not UTF-8. HS_ETOOLARGE for a side above 32767
 * pixels. Any thread. */
int hs_draw(const struct hs_image *image, const struct hs_draw_shape *shapes, size_t count, struct hs_image **ret_image,
            struct hs_error *err);

#endif
