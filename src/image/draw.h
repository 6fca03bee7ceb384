/* Shapes and labels over a picture, which is only read: the drawn picture is made a few rows at a time, so that no
 * second one has to fit in memory. Knows nothing of what the shapes mean. */
#ifndef HS_IMAGE_DRAW_H
#define HS_IMAGE_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "image/encode.h"
#include "image/image.h"

enum hs_draw_kind {
    HS_DRAW_RECT,   /* corners x0,y0 and x1,y1; the outline */
    HS_DRAW_LINE,   /* from x0,y0 to x1,y1 */
    HS_DRAW_CIRCLE, /* filled; the middle is x0,y0 */
};

/* Coordinates are pixels of the picture as it is stored; parts outside of it are cut. `size` is the line's width or the
 * circle's radius in units of hs_draw_unit, 0 for a sensible one. `label` is UTF-8, and may be NULL; it is drawn for a
 * rectangle only. */
struct hs_draw_shape {
    enum hs_draw_kind kind;
    float x0, y0, x1, y1;
    float size;
    uint32_t color; /* 0xRRGGBB */
    const char *label;
};

/* Pixels of one unit of `size`, so that drawings look alike on small and large pictures: the longer side / 640, at
 * least 1. */
float hs_draw_unit(int width, int height);

struct hs_overlay;

/* Prepares the drawing: all shapes in their order, and the labels over all of them. It shows the picture upright:
 * turned with its shapes as the EXIF `orientation` (1..8) says, 1 for a picture that is upright already. `image` is
 * borrowed until the overlay is destroyed, `shapes` and labels are only read during the call.
 *
 * A label is a filled bar above the top left corner of its rectangle, or near there if another label is in its way, and
 * always inside the picture. Its letters grow with the rectangle, between bounds; text that is wider than the rectangle
 * and than twelve times its letters' height is cut and ends with an ellipsis. Left out are shapes with a coordinate
 * that is not finite or beyond a million, labels that are not UTF-8, and labels in pictures too small for one.
 *
 * HS_ETOOLARGE for a width above 32767 pixels, HS_ENOMEM, HS_EINTERNAL (hs_text_create). The caller frees *ret_overlay
 * with hs_overlay_destroy. Any thread, one at a time for an overlay. */
int hs_overlay_create(const struct hs_image *image, int orientation, const struct hs_draw_shape *shapes, size_t count,
                      struct hs_overlay **ret_overlay, struct hs_error *err);
void hs_overlay_destroy(struct hs_overlay *overlay); /* NULL allowed */

/* The rows of the drawn picture; valid as long as the overlay. */
struct hs_image_rows hs_overlay_rows(struct hs_overlay *overlay);

#endif
