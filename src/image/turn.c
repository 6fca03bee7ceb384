/* Turning by the EXIF orientation. Every orientation is an optional exchange of rows and columns followed by optional
 * mirrors, so one loop with two strides does all of them. */
#include "image/turn.h"

#include <assert.h>

enum { TILE = 32 };

/* Copies a w x h block: dst is written in order, src is walked with a step for each of dst's axes. Tiles keep the walk
 * along the source's columns inside the cache. */
static void copy_turned(struct hs_image *dst, const uint8_t *src, ptrdiff_t step_x, ptrdiff_t step_y)
{
    for (int ty = 0; ty < dst->height; ty += TILE) {
        int y_end = ty + TILE < dst->height ? ty + TILE : dst->height;
        for (int tx = 0; tx < dst->width; tx += TILE) {
            int x_end = tx + TILE < dst->width ? tx + TILE : dst->width;
            for (int y = ty; y < y_end; y++) {
                uint8_t *out = dst->pixels + (size_t) y * dst->stride + (size_t) tx * 3;
                const uint8_t *in = src + y * step_y + tx * step_x;
                for (int x = tx; x < x_end; x++, out += 3, in += step_x) {
                    out[0] = in[0];
                    out[1] = in[1];
                    out[2] = in[2];
                }
            }
        }
    }
}

int hs_image_turn(struct hs_image **image, int orientation, struct hs_error *err)
{
    /* The upright pixel (x, y) is the stored pixel at column x and row y, each counted from the far end if the flag is
     * set; from 5 on column y and row x. EXIF 2.32, 4.6.4 A, "Orientation". */
    static const struct {
        bool far_column, far_row;
    } turns[9] = {[2] = {true, false},  [3] = {true, true}, [4] = {false, true},
                  [6] = {false, true}, [7] = {true, true}, [8] = {true, false}};
    assert(orientation >= 1 && orientation <= 8);
    if (orientation == 1)
        return 0;
    const struct hs_image *src = *image;
    bool swap = orientation >= 5;
    struct hs_image *dst;
    int r = hs_image_create(swap ? src->height : src->width, swap ? src->width : src->height, &dst, err);
    if (r < 0)
        return r;
    dst->orig_width = swap ? src->orig_height : src->orig_width;
    dst->orig_height = swap ? src->orig_width : src->orig_height;
    dst->orientation = src->orientation;
    ptrdiff_t column = 3, row = (ptrdiff_t) src->stride;
    const uint8_t *start = src->pixels;
    if (turns[orientation].far_column) {
        start += (src->width - 1) * column;
        column = -column;
    }
    if (turns[orientation].far_row) {
        start += (src->height - 1) * row;
        row = -row;
    }
    copy_turned(dst, start, swap ? row : column, swap ? column : row);
    hs_image_destroy(*image);
    *image = dst;
    return 0;
}
