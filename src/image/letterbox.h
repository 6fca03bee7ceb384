/* A picture fitted into a network's input: scaled with its shape kept, centred, the rest filled with gray. Sizes
 * and pads follow Ultralytics' LetterBox: scale = min(in_w / w, in_h / h), the size rounded half to even, the left and
 * top pad round(rest / 2 - 0.1).
 *
 * The filter, chosen for each axis: bilinear with half-pixel centres (OpenCV's INTER_LINEAR) when the axis grows or
 * shrinks by up to 2, the exact average over the covered area (INTER_AREA) when it shrinks by more. Pure functions, any
 * thread. */
#ifndef HS_IMAGE_LETTERBOX_H
#define HS_IMAGE_LETTERBOX_H

#include <stdint.h>

#include "base/geometry.h"
#include "image/image.h"

enum {
    HS_LETTERBOX_PAD_VALUE = 114,
    /* Border for a network that saw borders in training, for hs_letterbox_rect. Without one yolo11n-pose misses more of
     * the people who are cut by the edge. 8 is the most that leaves 16:9, 3:2 and 4:3 pictures their size. */
    HS_LETTERBOX_BORDER = 8,
};

struct hs_letterbox {
    int orig_w, orig_h;       /* the whole picture: what coordinates are given in */
    int in_w, in_h;           /* the network's input */
    int content_w, content_h; /* the part of the input that shows the picture, each at least 1 */
    int pad_left, pad_top;    /* where that part begins */
    float scale_x, scale_y;   /* content_w / orig_w, content_h / orig_h */
    uint8_t pad_value;        /* what the rest is filled with, HS_LETTERBOX_PAD_VALUE unless changed */
};

/* All four sizes are at least 1. */
void hs_letterbox_plan(int orig_w, int orig_h, int in_w, int in_h, struct hs_letterbox *ret_box);

/* How the input of a network with free sides follows from the size of a picture, and from nothing else. The long side
 * is `long_side`. The short one is the picture's with `border` pixels on each side of it, rounded up to a multiple of
 * `multiple`, at least `least`; above `most` it is long_side. */
struct hs_letterbox_rule {
    int long_side, multiple, border, least, most;
};

/* The rule for a network of the given stride. It has at most seven sizes, so that a service can prepare for all of
 * them: multiples of a tenth of the long side (64 of 640) from six to eight tenths, which 16:9, 3:2 and 4:3 need, and
 * the square. Each size costs about 8 MB. Keypoint AP of yolo11n-pose is the same or better than with steps of 32
 * (docs/performance.md). long_side is a multiple of stride. */
struct hs_letterbox_rule hs_letterbox_rule_of(int long_side, int stride, int border);

enum { HS_LETTERBOX_SIZES_MAX = 16 };

struct hs_letterbox_size {
    int w, h;
};

/* All sizes of the rule, the square first. Returns how many. */
int hs_letterbox_sizes(const struct hs_letterbox_rule *rule,
                       struct hs_letterbox_size ret_sizes[HS_LETTERBOX_SIZES_MAX]);

/* The size for a picture. */
void hs_letterbox_rect(const struct hs_letterbox_rule *rule, int orig_w, int orig_h, int *ret_in_w, int *ret_in_h);

/* Writes all of in_h * in_w * 3 bytes at dst: RGB, rows tightly packed. `image` shows the whole picture and may have
 * been decoded smaller than box->orig_w x box->orig_h. HS_ENOMEM: no memory for the line buffers. */
int hs_letterbox_apply(const struct hs_letterbox *box, const struct hs_image *image, uint8_t *dst);

/* From pixels of the network's input to pixels of the original picture. */
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
