/* Separable resampling. For each output row the source rows that it covers are blended into one line of
 * 16-bit numbers (value * 256), then that line is resampled into the row. Memory holds only that line
 * and the tables of taps, the source is read once, and the output is written once. Weights have 8 bits,
 * so results are within one level of the exact ones.
 *
 * Enlarging writes more rows than it reads. It resamples each source row once along the row, and then
 * blends these lines vertically. Nothing is rounded before the last step, so both orders give the same
 * numbers. */
#include "image/resample.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* gcc does not vectorise loops of unknown length at -O2; these loops take nearly all the time of this
 * file. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

enum { WEIGHT_ONE = 256 };

/* The source samples first..last of one output sample. Samples between the two ends have the weight
 * WEIGHT_ONE; only area averaging has any. */
struct tap {
    int first, last;
    uint16_t first_weight, last_weight;
};

struct axis {
    bool area;
    struct tap *taps;
};

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

/* With a ratio above 2 an output sample covers parts of at least two source samples. */
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

static uint16_t row_weight(const struct tap *tap, int y)
{
    return y == tap->first ? tap->first_weight : y == tap->last ? tap->last_weight : WEIGHT_ONE;
}

static void scale_sums(const uint32_t *restrict sums, const struct tap *tap, uint16_t *restrict line, size_t n)
{
    float scale = 256.0f / (float) tap_sum(tap);
    for (size_t i = 0; i < n; i++)
        line[i] = (uint16_t) (int32_t) ((float) (int32_t) sums[i] * scale + 0.5f);
}

static void average_rows(const struct hs_image *image, const struct tap *tap, uint32_t *restrict sums,
                         uint16_t *restrict line, size_t n)
{
    memset(sums, 0, n * sizeof(*sums));
    for (int y = tap->first; y <= tap->last; y++)
        add_row(image->pixels + (size_t) y * image->stride, row_weight(tap, y), sums, n);
    scale_sums(sums, tap, line, n);
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
    /* Both factors have 16 bits, because even the oldest vector instructions can multiply these. */
    uint16_t wa = tap->first_weight, wb = tap->last_weight;
    for (size_t i = 0; i < n; i++)
        dst[i] = (uint8_t) (((uint32_t) a[i] * wa + (uint32_t) b[i] * wb + 32768) >> 16);
}

static void average_columns(const uint16_t *line, const struct tap *taps, uint8_t *dst, int n)
{
    for (int x = 0; x < n; x++, dst += 3) {
        const struct tap *tap = &taps[x];
        const uint16_t *p = line + (size_t) tap->first * 3, *end = line + (size_t) tap->last * 3;
        /* A sample adds at most 255 * 256 * 256 and sides fit in 31 bits, so 64 bits hold any sum. */
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

/* Working memory of one call. */
struct scratch {
    struct axis columns, rows;
    uint32_t *sums; /* length of a source row */
    uint16_t *line; /* length of a source row; two output rows when enlarging */
};

/* Resamples a finished line to one output row. */
static void resample_line(const struct scratch *scratch, uint8_t *dst, int width)
{
    if (scratch->columns.area)
        average_columns(scratch->line, scratch->columns.taps, dst, width);
    else
        blend_columns(scratch->line, scratch->columns.taps, dst, width);
}

static void shrink(const struct hs_image *image, int width, int height, const struct scratch *scratch, uint8_t *dst,
                   size_t dst_stride)
{
    size_t n = (size_t) image->width * 3;
    for (int y = 0; y < height; y++, dst += dst_stride) {
        const struct tap *tap = &scratch->rows.taps[y];
        if (scratch->rows.area)
            average_rows(image, tap, scratch->sums, scratch->line, n);
        else
            blend_rows(image->pixels + (size_t) tap->first * image->stride,
                       image->pixels + (size_t) tap->last * image->stride, tap, scratch->line, n);
        resample_line(scratch, dst, width);
    }
}

/* Source row y is kept in line y % 2, because an output row needs one row or two neighbouring ones. */
static void enlarge(const struct hs_image *image, int width, int height, const struct scratch *scratch, uint8_t *dst,
                    size_t dst_stride)
{
    size_t n = (size_t) width * 3;
    uint16_t *lines[2] = { scratch->line, scratch->line + n };
    int made = -1;
    for (int y = 0; y < height; y++, dst += dst_stride) {
        const struct tap *tap = &scratch->rows.taps[y];
        while (made < tap->last) {
            made++;
            spread_row(image->pixels + (size_t) made * image->stride, scratch->columns.taps, lines[made % 2], width);
        }
        blend_lines(lines[tap->first % 2], lines[tap->last % 2], tap, dst, n);
    }
}

int hs_resample(const struct hs_image *image, int width, int height, uint8_t *dst, size_t dst_stride)
{
    bool grows = height > image->height && width >= image->width;
    size_t n = (size_t) image->width * 3, taps = (size_t) width + (size_t) height;
    size_t sums = grows ? 0 : n, line = grows ? (size_t) width * 3 * 2 : n;
    struct tap *memory = malloc(taps * sizeof(struct tap) + sums * sizeof(uint32_t) + line * sizeof(uint16_t));
    if (!memory)
        return HS_ENOMEM;
    struct scratch scratch = { .sums = (uint32_t *) (memory + taps) };
    scratch.line = (uint16_t *) (scratch.sums + sums);
    plan_axis(&scratch.columns, memory, image->width, width);
    plan_axis(&scratch.rows, memory + width, image->height, height);
    (grows ? enlarge : shrink)(image, width, height, &scratch, dst, dst_stride);
    free(memory);
    return 0;
}

/* ---- row by row ---- */

struct hs_reducer {
    struct hs_image *dst;
    struct scratch scratch;
    uint8_t *before; /* the previous source row; unused if rows are averaged */
    size_t n;        /* bytes per source row */
    int row, out;    /* number of the next source row and of the next output row */
};

int hs_reducer_create(int width, int height, struct hs_image *dst, struct hs_reducer **ret_reducer,
                      struct hs_error *err)
{
    assert(dst->width <= width && dst->height <= height);
    struct hs_reducer *reducer = malloc((size_t) hs_reducer_memory(width, dst->width, dst->height));
    if (!reducer)
        return hs_error_set(err, HS_ENOMEM, "no memory to reduce an image");
    size_t n = (size_t) width * 3, taps = (size_t) dst->width + (size_t) dst->height;
    struct tap *first = (struct tap *) (reducer + 1);
    *reducer = (struct hs_reducer) { .dst = dst, .n = n, .scratch = { .sums = (uint32_t *) (first + taps) } };
    reducer->scratch.line = (uint16_t *) (reducer->scratch.sums + n);
    reducer->before = (uint8_t *) (reducer->scratch.line + n);
    plan_axis(&reducer->scratch.columns, first, width, dst->width);
    plan_axis(&reducer->scratch.rows, first + dst->width, height, dst->height);
    memset(reducer->scratch.sums, 0, n * sizeof(uint32_t));
    *ret_reducer = reducer;
    return 0;
}

void hs_reducer_destroy(struct hs_reducer *reducer)
{
    free(reducer);
}

uint64_t hs_reducer_memory(int width, int dst_width, int dst_height)
{
    uint64_t n = (uint64_t) width * 3, taps = (uint64_t) dst_width + (uint64_t) dst_height;
    return sizeof(struct hs_reducer) + taps * sizeof(struct tap) +
           n * (sizeof(uint32_t) + sizeof(uint16_t) + sizeof(uint8_t));
}

static void put_line(struct hs_reducer *reducer)
{
    struct hs_image *dst = reducer->dst;
    resample_line(&reducer->scratch, dst->pixels + (size_t) reducer->out * dst->stride, dst->width);
    reducer->out++;
}

/* A row may end one area and begin the next. */
static void add_to_areas(struct hs_reducer *reducer, const uint8_t *row)
{
    const struct scratch *scratch = &reducer->scratch;
    while (reducer->out < reducer->dst->height) {
        const struct tap *tap = &scratch->rows.taps[reducer->out];
        if (reducer->row < tap->first)
            return;
        add_row(row, row_weight(tap, reducer->row), scratch->sums, reducer->n);
        if (reducer->row < tap->last)
            return;
        scale_sums(scratch->sums, tap, scratch->line, reducer->n);
        memset(scratch->sums, 0, reducer->n * sizeof(*scratch->sums));
        put_line(reducer);
    }
}

static void blend_with_last(struct hs_reducer *reducer, const uint8_t *row)
{
    const struct scratch *scratch = &reducer->scratch;
    while (reducer->out < reducer->dst->height && scratch->rows.taps[reducer->out].last == reducer->row) {
        const struct tap *tap = &scratch->rows.taps[reducer->out];
        blend_rows(tap->first == reducer->row ? row : reducer->before, row, tap, scratch->line, reducer->n);
        put_line(reducer);
    }
    memcpy(reducer->before, row, reducer->n);
}

void hs_reducer_add(struct hs_reducer *reducer, const uint8_t *row)
{
    if (reducer->scratch.rows.area)
        add_to_areas(reducer, row);
    else
        blend_with_last(reducer, row);
    reducer->row++;
}
