#include "image/letterbox.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "image/resample.h"

static int round_at_least_one(double value)
{
    /* The default rounding mode rounds half to even, like Python's round(). */
    double rounded = nearbyint(value);
    return rounded < 1 ? 1 : (int) rounded;
}

static int pad_before(int rest)
{
    return (int) nearbyint(rest / 2.0 - 0.1);
}

void hs_letterbox_plan(int orig_w, int orig_h, int in_w, int in_h, struct hs_letterbox *ret_box)
{
    assert(orig_w > 0 && orig_h > 0 && in_w > 0 && in_h > 0);
    double scale = fmin((double) in_w / orig_w, (double) in_h / orig_h);
    struct hs_letterbox box = { .orig_w = orig_w, .orig_h = orig_h, .in_w = in_w, .in_h = in_h };
    box.content_w = round_at_least_one(orig_w * scale);
    box.content_h = round_at_least_one(orig_h * scale);
    box.pad_left = pad_before(in_w - box.content_w);
    box.pad_top = pad_before(in_h - box.content_h);
    box.scale_x = (float) ((double) box.content_w / orig_w);
    box.scale_y = (float) ((double) box.content_h / orig_h);
    box.pad_value = HS_LETTERBOX_PAD_VALUE;
    *ret_box = box;
}

static int round_up(int value, int multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

struct hs_letterbox_rule hs_letterbox_rule_of(int long_side, int stride, int border)
{
    assert(stride > 0 && long_side >= stride && border >= 0);
    int multiple = round_up(long_side / 10 > 64 ? long_side / 10 : 64, stride);
    if (multiple > long_side)
        multiple = stride;
    int least = round_up((long_side * 6 + 9) / 10, multiple), most = long_side * 8 / 10 / multiple * multiple;
    return (struct hs_letterbox_rule) {
        long_side, multiple, border, least < long_side ? least : long_side, most > least ? most : least,
    };
}

int hs_letterbox_sizes(const struct hs_letterbox_rule *rule, struct hs_letterbox_size ret_sizes[HS_LETTERBOX_SIZES_MAX])
{
    int count = 0;
    ret_sizes[count++] = (struct hs_letterbox_size) { rule->long_side, rule->long_side };
    for (int side = rule->least; side <= rule->most && side < rule->long_side && count + 2 <= HS_LETTERBOX_SIZES_MAX;
         side += rule->multiple) {
        ret_sizes[count++] = (struct hs_letterbox_size) { rule->long_side, side };
        ret_sizes[count++] = (struct hs_letterbox_size) { side, rule->long_side };
    }
    return count;
}

void hs_letterbox_rect(const struct hs_letterbox_rule *rule, int orig_w, int orig_h, int *ret_in_w, int *ret_in_h)
{
    assert(orig_w > 0 && orig_h > 0);
    bool wide = orig_w >= orig_h;
    double scale = (double) rule->long_side / (wide ? orig_w : orig_h);
    int side = round_up(round_at_least_one((wide ? orig_h : orig_w) * scale) + 2 * rule->border, rule->multiple);
    side = side < rule->least ? rule->least : side <= rule->most ? side : rule->long_side;
    *ret_in_w = wide ? rule->long_side : side;
    *ret_in_h = wide ? side : rule->long_side;
}

static void fill_border(const struct hs_letterbox *box, uint8_t *dst)
{
    size_t stride = (size_t) box->in_w * 3, left = (size_t) box->pad_left * 3;
    size_t right_at = left + (size_t) box->content_w * 3;
    int bottom = box->pad_top + box->content_h;
    memset(dst, box->pad_value, stride * (size_t) box->pad_top);
    memset(dst + stride * (size_t) bottom, box->pad_value, stride * (size_t) (box->in_h - bottom));
    if (right_at == stride)
        return;
    for (int y = box->pad_top; y < bottom; y++) {
        uint8_t *row = dst + stride * (size_t) y;
        memset(row, box->pad_value, left);
        memset(row + right_at, box->pad_value, stride - right_at);
    }
}

int hs_letterbox_apply(const struct hs_letterbox *box, const struct hs_image *image, uint8_t *dst)
{
    size_t stride = (size_t) box->in_w * 3;
    uint8_t *content = dst + stride * (size_t) box->pad_top + (size_t) box->pad_left * 3;
    fill_border(box, dst);
    if (image->width != box->content_w || image->height != box->content_h)
        return hs_resample(image, box->content_w, box->content_h, content, stride);
    for (int y = 0; y < image->height; y++)
        memcpy(content + stride * (size_t) y, image->pixels + image->stride * (size_t) y,
               stride - (size_t) (box->in_w - box->content_w) * 3);
    return 0;
}
