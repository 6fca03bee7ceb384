#include "vision/retinaface.h"

#include <math.h>

#define CENTRE_VARIANCE 0.1f
#define SIZE_VARIANCE 0.2f

/* 16 32, 64 128, 256 512: two octaves a stride. */
static float prior_size(const struct hs_face_anchor *anchor)
{
    return (float) (16 << (2 * anchor->level + anchor->number));
}

static struct hs_point decode_point(const struct hs_face_anchor *anchor, float raw_x, float raw_y)
{
    float s = (float) anchor->stride, size = prior_size(anchor);
    return (struct hs_point) { ((float) anchor->x + 0.5f) * s + raw_x * CENTRE_VARIANCE * size,
                               ((float) anchor->y + 0.5f) * s + raw_y * CENTRE_VARIANCE * size };
}

static struct hs_rect decode_box(const struct hs_face_anchor *anchor, const float raw[4])
{
    struct hs_point centre = decode_point(anchor, raw[0], raw[1]);
    float w = prior_size(anchor) * expf(raw[2] * SIZE_VARIANCE), h = prior_size(anchor) * expf(raw[3] * SIZE_VARIANCE);
    return (struct hs_rect) { centre.x - w / 2, centre.y - h / 2, centre.x + w / 2, centre.y + h / 2 };
}

int hs_retinaface_layout_init(const struct hs_tensor_desc *outputs, int output_count, int input_w, int input_h,
                              bool score_logits, struct hs_face_layout *ret_layout, struct hs_error *err)
{
    return hs_face_heads_find(outputs, output_count, input_w, input_h,
                              score_logits ? HS_FACE_LOGIT_PAIR : HS_FACE_PROBABILITY_PAIR, true, ret_layout, err);
}

int hs_retinaface_decode(const struct hs_face_layout *layout, const struct hs_tensor_view *views,
                         const struct hs_face_params *params, struct hs_face_list *list)
{
    static const struct hs_face_coding coding = { .box = decode_box, .point = decode_point };
    return hs_face_heads_decode(layout, views, params, &coding, list);
}
