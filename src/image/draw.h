/* Draws shapes and labels over an image, which is only read. The drawn rows are produced a few at a
 * time, so that memory never holds a second image. The code does not depend on the meaning of the
 * shapes. */
#ifndef HS_IMAGE_DRAW_H
#define HS_IMAGE_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "image/encode.h"
#include "image/image.h"

enum hs_draw_kind {
    HS_DRAW_RECT,   /* outline, with the corners x0,y0 and x1,y1 */
    HS_DRAW_LINE,   /* from x0,y0 to x1,y1 */
    HS_DRAW_CIRCLE, /* filled, centred at x0,y0 */
};

/* Coordinates are pixels of the stored image; parts outside of it are clipped. `size` is the line width
 * or the circle's radius in units of hs_draw_unit, 0 for the default. `label` is UTF-8, may be NULL,
 * and is drawn for rectangles only. */
struct hs_draw_shape {
    enum hs_draw_kind kind;
    float x0, y0, x1, y1;
    float size;
    uint32_t color; /* 0xRRGGBB */
    const char *label;
};

/* Returns the pixels of one unit of `size`: the longer side / 640, at least 1. The unit makes drawings
 * look alike on small and large images. */
float hs_draw_unit(int width, int height);

struct hs_overlay;

/* Prepares a drawing of all shapes, in order, with the labels above all of them. The result is upright:
 * image and shapes are turned by the EXIF `orientation` (1..8; 1 for an image that is already upright).
 * Borrows `image` until the overlay is destroyed; reads `shapes` and labels only during the call.
 *
 * A label is a filled bar above the top left corner of its rectangle, or close to it if another label
 * is in the way, and always inside the image. Its font size grows with the rectangle, within bounds.
 * Text that is wider than both the rectangle and twelve times the font height is cut and ends with an
 * ellipsis. Shapes with a coordinate that is not finite or exceeds a million are skipped. So are labels
 * that are not UTF-8 and labels of images that are too small for them.
 *
 * Fails with HS_ETOOLARGE if the width exceeds 32767 pixels, with HS_ENOMEM, or with HS_EINTERNAL (see
 * hs_text_create). Caller frees *ret_overlay with hs_overlay_destroy. Any thread, but one at a time for
 * each overlay. */
int hs_overlay_create(const struct hs_image *image, int orientation, const struct hs_draw_shape *shapes, size_t count,
                      struct hs_overlay **ret_overlay, struct hs_error *err);
void hs_overlay_destroy(struct hs_overlay *overlay); /* NULL allowed */

/* Returns the row source of the drawn image; valid until the overlay is destroyed. */
struct hs_image_rows hs_overlay_rows(struct hs_overlay *overlay);

#endif
