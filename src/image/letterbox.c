/* The resampling is separable: for each output row the source rows that it covers are blended into one line of 16-bit
 * numbers (value * 256), then that line is resampled into the row. Only that line and the tables of taps are held, so
 * the picture is read once and the input written once. Weights have 8 bits, which is within one level of exact.
 *
 * Enlarging has more rows to write than to read, so there the lines are made along the rows, once for each source row,
 * and blended down the columns. Nothing is rounded before the end, so both ways give the same numbers. */
#include "image/letterbox.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* gcc's -O2 leaves loops of unknown length scalar; the ones here are the whole cost of this file. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

enum { WEIGHT_ONE = 256 };

/* The source samples first..last that make one output sample. All between the two ends weigh WEIGHT_ONE (when areas are
 * averaged; bilinear has nothing between). */
struct tap {
    int first, last;
    uint16_t first_weight, last_weight;
};

struct axis {
    bool area;
    struct tap *taps;
};

static int round_at_least_one(double value)
{
    /* The default rounding mode is half to even, as Python's round(). */
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

static void plan_bilinear(struct tap *taps, int src, int dst)
{
    double ratio = (double) src / dst;
    for (int i = 0; i < dst; i++) {
        double at = fmin(fmax((i + 0.5) * ratio - 0.5, 0), src - 1);
        int first = (int) at;
        int weight = (int) lrint((at - first) * WEIGHT_ONE);
        taps[i] = (struct tap) { first, first + 1 < src ? first + 1 : first, (uint16_t) (WEIGHT_ONE - weight),
                                 (uint16_t) weight };
    }
}

/* With a ratio above 2 an output sample always covers parts of at least two source samples. */
static void plan_area(struct tap *taps, int src, int dst)
{
    double ratio = (double) src / dst;
    for (int i = 0; i < dst; i++) {
        double begin = i * ratio, end = fmin((i + 1) * ratio, src);
        int first = (int) begin, last = (int) ceil(end) - 1;
        taps[i] = (struct tap) { first, last, (uint16_t) lrint((first + 1 - begin) * WEIGHT_ONE),
                                 (uint16_t) lrint((end - last) * WEIGHT_ONE) };
    }
}

static void plan_axis(struct axis *axis, struct tap *taps, int src, int dst)
{
    axis->taps = taps;
    axis->area = src > (int64_t) dst * 2;
    if (axis->area)
        plan_area(taps, src, dst);
    else
        plan_bilinear(taps, src, dst);
}

static uint64_t tap_sum(const struct tap *tap)
{
    return tap->first_weight + tap->last_weight + (uint64_t) (tap->last - tap->first - 1) * WEIGHT_ONE;
}

static void blend_rows(const uint8_t *restrict a, const uint8_t *restrict b, const struct tap *tap,
                       uint16_t *restrict line, size_t n)
{
    uint16_t wa = tap->first_weight, wb = tap->last_weight;
    for (size_t i = 0; i < n; i++)
        line[i] = (uint16_t) (a[i] * wa + b[i] * wb);
}

static void add_row(const uint8_t *restrict row, uint16_t weight, uint32_t *restrict sums, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sums[i] += (uint16_t) (row[i] * weight);
}

static void average_rows(const struct hs_image *image, const struct tap *tap, uint32_t *restrict sums,
                         uint16_t *restrict line, size_t n)
{
    memset(sums, 0, n * sizeof(*sums));
    for (int y = tap->first; y <= tap->last; y++) {
        uint16_t weight = y == tap->first ? tap->first_weight : y == tap->last ? tap->last_weight : WEIGHT_ONE;
        add_row(image->pixels + (size_t) y * image->stride, weight, sums, n);
    }
    float scale = 256.0f / (float) tap_sum(tap);
    for (size_t i = 0; i < n; i++)
        line[i] = (uint16_t) (int32_t) ((float) (int32_t) sums[i] * scale + 0.5f);
}

static void blend_columns(const uint16_t *restrict line, const struct tap *restrict taps, uint8_t *restrict dst, int n)
{
    for (int x = 0; x < n; x++, dst += 3) {
        const uint16_t *a = line + (size_t) taps[x].first * 3;
        const uint16_t *b = line + (size_t) taps[x].last * 3;
        uint32_t wa = taps[x].first_weight, wb = taps[x].last_weight;
        for (int c = 0; c < 3; c++)
            dst[c] = (uint8_t) ((a[c] * wa + b[c] * wb + 32768) >> 16);
    }
}

static void spread_row(const uint8_t *restrict row, const struct tap *restrict taps, uint16_t *restrict line, int n)
{
    for (int x = 0; x < n; x++, line += 3) {
        const uint8_t *a = row + (size_t) taps[x].first * 3, *b = row + (size_t) taps[x].last * 3;
        uint16_t wa = taps[x].first_weight, wb = taps[x].last_weight;
        for (int c = 0; c < 3; c++)
            line[c] = (uint16_t) (a[c] * wa + b[c] * wb);
    }
}

static void blend_lines(const uint16_t *restrict a, const uint16_t *restrict b, const struct tap *tap,
                        uint8_t *restrict dst, size_t n)
{
    /* Both factors in 16 bits: processors have that multiplication in their oldest vector instructions. */
    uint16_t wa = tap->first_weight, wb = tap->last_weight;
    for (size_t i = 0; i < n; i++)
        dst[i] = (uint8_t) (((uint32_t) a[i] * wa + (uint32_t) b[i] * wb + 32768) >> 16);
}

static void average_columns(const uint16_t *line, const struct tap *taps, uint8_t *dst, int n)
{
    for (int x = 0; x < n; x++, dst += 3) {
        const struct tap *tap = &taps[x];
        const uint16_t *p = line + (size_t) tap->first * 3, *end = line + (size_t) tap->last * 3;
        /* One sample weighs at most 255 * 256 * 256 and sides fit in 31 bits, so 64 bits hold any sum. */
        uint64_t sums[3];
        for (int c = 0; c < 3; c++)
            sums[c] = (uint64_t) p[c] * tap->first_weight + (uint64_t) end[c] * tap->last_weight;
        for (p += 3; p < end; p += 3) {
            for (int c = 0; c < 3; c++)
                sums[c] += (uint64_t) p[c] * WEIGHT_ONE;
        }
        double scale = 1.0 / (256.0 * (double) tap_sum(tap));
        for (int c = 0; c < 3; c++)
            dst[c] = (uint8_t) ((double) sums[c] * scale + 0.5);
    }
}

/* Buffers of one call. */
struct scratch {
    struct axis columns, rows;
    uint32_t *sums; /* of a source row's length */
    uint16_t *line; /* the same; two of an output row's length if the picture is enlarged */
};

static void shrink(const struct hs_letterbox *box, const struct hs_image *image, const struct scratch *scratch,
                   uint8_t *dst, size_t dst_stride)
{
    size_t n = (size_t) image->width * 3;
    for (int y = 0; y < box->content_h; y++, dst += dst_stride) {
        const struct tap *tap = &scratch->rows.taps[y];
        if (scratch->rows.area)
            average_rows(image, tap, scratch->sums, scratch->line, n);
        else
            blend_rows(image->pixels + (size_t) tap->first * image->stride,
                       image->pixels + (size_t) tap->last * image->stride, tap, scratch->line, n);
        if (scratch->columns.area)
            average_columns(scratch->line, scratch->columns.taps, dst, box->content_w);
        else
            blend_columns(scratch->line, scratch->columns.taps, dst, box->content_w);
    }
}

/* Source row y is kept in line y % 2: an output row needs one or two that follow each other. */
static void enlarge(const struct hs_letterbox *box, const struct hs_image *image, const struct scratch *scratch,
                    uint8_t *dst, size_t dst_stride)
{
    size_t n = (size_t) box->content_w * 3;
    uint16_t *lines[2] = { scratch->line, scratch->line + n };
    int made = -1;
    for (int y = 0; y < box->content_h; y++, dst += dst_stride) {
        const struct tap *tap = &scratch->rows.taps[y];
        while (made < tap->last) {
            made++;
            spread_row(image->pixels + (size_t) made * image->stride, scratch->columns.taps, lines[made % 2],
                       box->content_w);
        }
        blend_lines(lines[tap->first % 2], lines[tap->last % 2], tap, dst, n);
    }
}

static int resample(const struct hs_letterbox *box, const struct hs_image *image, uint8_t *dst, size_t dst_stride)
{
    bool grows = box->content_h > image->height && box->content_w >= image->width;
    size_t n = (size_t) image->width * 3, taps = (size_t) box->content_w + (size_t) box->content_h;
    size_t sums = grows ? 0 : n, line = grows ? (size_t) box->content_w * 3 * 2 : n;
    struct tap *memory = malloc(taps * sizeof(struct tap) + sums * sizeof(uint32_t) + line * sizeof(uint16_t));
    if (!memory)
        return HS_ENOMEM;
    struct scratch scratch = { .sums = (uint32_t *) (memory + taps) };
    scratch.line = (uint16_t *) (scratch.sums + sums);
    plan_axis(&scratch.columns, memory, image->width, box->content_w);
    plan_axis(&scratch.rows, memory + box->content_w, image->height, box->content_h);
    (grows ? enlarge : shrink)(box, image, &scratch, dst, dst_stride);
    free(memory);
    return 0;
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
        return resample(box, image, content, stride);
    for (int y = 0; y < image->height; y++)
        memcpy(content + stride * (size_t) y, image->pixels + image->stride * (size_t) y,
               stride - (size_t) (box->in_w - box->content_w) * 3);
    return 0;
}
