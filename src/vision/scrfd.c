#include "vision/scrfd.h"

static struct hs_rect decode_box(const struct hs_face_anchor *anchor, const float raw[4])
{
    float x = (float) anchor->x, y = (float) anchor->y, s = (float) anchor->stride;
    return (struct hs_rect) { (x - raw[0]) * s, (y - raw[1]) * s, (x + raw[2]) * s, (y + raw[3]) * s };
}

static struct hs_point decode_point(const struct hs_face_anchor *anchor, float raw_x, float raw_y)
{
    float s = (float) anchor->stride;
    return (struct hs_point) { ((float) anchor->x + raw_x) * s, ((float) anchor->y + raw_y) * s };
}

int hs_scrfd_layout_init(const struct hs_tensor_desc *outputs, int output_count, int input_w, int input_h,
                         bool score_logits, struct hs_face_layout *ret_layout, struct hs_error *err)
{
    return hs_face_heads_find(outputs, output_count, input_w, input_h,
                              score_logits ? HS_FACE_LOGIT : HS_FACE_PROBABILITY, false, ret_layout, err);
}

int hs_scrfd_decode(const struct hs_face_layout *layout, const struct hs_tensor_view *views,
                    const struct hs_face_params *params, struct hs_face_list *list)
{
    static const struct hs_face_coding coding = { .box = decode_box, .point = decode_point };
    return hs_face_heads_decode(layout, views, params, &coding, list);
}
