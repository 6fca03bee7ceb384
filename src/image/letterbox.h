/* Fits an image into the input of a network: scales it with its aspect ratio kept, centres it, and
 * fills the rest with gray. Sizes and pads follow Ultralytics' LetterBox:
 * scale = min(in_w / w, in_h / h), the size rounded half to even, the left and top pad
 * round(rest / 2 - 0.1).
 *
 * The filter is chosen for each axis: bilinear with half-pixel centres (OpenCV's INTER_LINEAR) if the
 * axis grows or shrinks by a factor of up to 2, the exact average of the covered area (INTER_AREA) if
 * it shrinks by more. Pure functions, any thread. */
#ifndef HS_IMAGE_LETTERBOX_H
#define HS_IMAGE_LETTERBOX_H

#include <stdint.h>

#include "base/geometry.h"
#include "image/image.h"

enum {
    HS_LETTERBOX_PAD_VALUE = 114,
    /* Border for hs_letterbox_rect and networks that were trained with borders. Without it yolo11n-pose
     * misses more people at the image's edge. 8 is the largest border that does not change the input
     * size of 16:9, 3:2 and 4:3 images. */
    HS_LETTERBOX_BORDER = 8,
};

struct hs_letterbox {
    int orig_w, orig_h;       /* the whole image, to which results are mapped */
    int in_w, in_h;           /* the network's input */
    int content_w, content_h; /* the area of the input that shows the image, each side at least 1 */
    int pad_left, pad_top;    /* offset of that area */
    float scale_x, scale_y;   /* content_w / orig_w, content_h / orig_h */
    uint8_t pad_value;        /* value of the padding, HS_LETTERBOX_PAD_VALUE unless changed */
};

/* Computes the letterbox of an image. All four sizes are at least 1. */
void hs_letterbox_plan(int orig_w, int orig_h, int in_w, int in_h, struct hs_letterbox *ret_box);

/* Derives the input size of a network with dynamic sides from the size of an image alone. The long side
 * is `long_side`. The short side is the scaled image's with `border` pixels on each side, rounded up to
 * a multiple of `multiple`, and at least `least`. If that exceeds `most`, the short side is long_side
 * too. */
struct hs_letterbox_rule {
    int long_side, multiple, border, least, most;
};

/* Returns the rule for a network of the given stride. It yields at most seven sizes, so that a service
 * can prepare for all of them: multiples of a tenth of the long side (64 of 640) from six to eight
 * tenths, for 16:9, 3:2 and 4:3, and the square. Each size costs about 8 MB. Keypoint AP of
 * yolo11n-pose is the same or better than with steps of 32 (docs/performance.md). long_side is a
 * multiple of stride. */
struct hs_letterbox_rule hs_letterbox_rule_of(int long_side, int stride, int border);

enum { HS_LETTERBOX_SIZES_MAX = 16 };

struct hs_letterbox_size {
    int w, h;
};

/* Lists all sizes of the rule, the square first. Returns their number. */
int hs_letterbox_sizes(const struct hs_letterbox_rule *rule,
                       struct hs_letterbox_size ret_sizes[HS_LETTERBOX_SIZES_MAX]);

/* Returns the input size for an image of orig_w x orig_h pixels. */
void hs_letterbox_rect(const struct hs_letterbox_rule *rule, int orig_w, int orig_h, int *ret_in_w, int *ret_in_h);

/* Writes in_h * in_w * 3 bytes to dst: RGB, rows tightly packed. `image` shows the whole image and may
 * have been decoded at less than box->orig_w x box->orig_h. Fails with HS_ENOMEM if the line buffers
 * cannot be allocated. */
int hs_letterbox_apply(const struct hs_letterbox *box, const struct hs_image *image, uint8_t *dst);

/* Returns the transform from input pixels to pixels of the original image. */
static inline struct hs_transform hs_letterbox_transform(const struct hs_letterbox *box)
{
    return (struct hs_transform) {
        .scale_x = box->scale_x,
        .scale_y = box->scale_y,
        .pad_x = (float) box->pad_left,
        .pad_y = (float) box->pad_top,
        .width = (float) box->orig_w,
        .height = (float) box->orig_h,
    };
}

#endif
