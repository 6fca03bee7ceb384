/* Decoding, which this file inverts (stride s, cell i of a row):
 *   side distance = sum over bins b of b * softmax(bins)_b, in cells from the cell's centre
 *   keypoint x = (2 * kx + i) * s, and its visibility = sigmoid of the third channel
 * Scales and zero points are those of a published yolov8s_pose HEF. */
#include "backends/sim/person.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

enum { BINS = 16, KEYPOINTS = 17, SCORE = 230, STRIDES = 3 };

static const float box_scale[STRIDES] = { 0.0751f, 0.0741f, 0.0798f }, box_zero[STRIDES] = { 62, 72, 84 };
static const float point_scale[STRIDES] = { 0.000423f, 0.000525f, 0.000619f };
static const float point_zero[STRIDES] = { 18261, 19190, 17224 };

/* A person seen from the front, in COCO's order, as parts of the box's half width and half height from its middle. */
static const float figure[KEYPOINTS][2] = {
    { 0.00f, -0.84f }, { 0.12f, -0.88f }, { -0.12f, -0.88f }, { 0.24f, -0.85f }, { -0.24f, -0.85f },
    { 0.50f, -0.60f }, { -0.50f, -0.60f }, { 0.68f, -0.30f }, { -0.68f, -0.30f }, { 0.74f, -0.02f }, { -0.74f, -0.02f },
    { 0.32f, -0.02f }, { -0.32f, -0.02f }, { 0.34f, 0.44f }, { -0.34f, 0.44f }, { 0.36f, 0.90f }, { -0.36f, 0.90f },
};

void hs_sim_person_describe(int input_h, int input_w, struct hs_tensor_desc ret_descs[HS_SIM_HEADS])
{
    for (int scale = 0; scale < STRIDES; scale++) {
        int stride = 8 << scale;
        struct hs_tensor_desc common = {
            .layout = HS_LAYOUT_NHWC, .h = (input_h + stride - 1) / stride, .w = (input_w + stride - 1) / stride,
        };
        struct hs_tensor_desc *box = &ret_descs[3 * scale], *score = box + 1, *points = box + 2;
        *box = *score = *points = common;
        hs_str_format(box->name, sizeof(box->name), "sim/box_%d", stride);
        hs_str_format(score->name, sizeof(score->name), "sim/score_%d", stride);
        hs_str_format(points->name, sizeof(points->name), "sim/keypoints_%d", stride);
        box->dtype = score->dtype = HS_DTYPE_U8;
        points->dtype = HS_DTYPE_U16;
        box->c = 4 * BINS;
        score->c = 1;
        points->c = 3 * KEYPOINTS;
        box->scale = box_scale[scale];
        box->zero_point = box_zero[scale];
        score->scale = 1.0f / 255;
        points->scale = point_scale[scale];
        points->zero_point = point_zero[scale];
        for (struct hs_tensor_desc *desc = box; desc <= points; desc++)
            desc->size_bytes = (size_t) desc->h * (size_t) desc->w * (size_t) desc->c * hs_dtype_size(desc->dtype);
    }
}

static int at_most(int value, int limit)
{
    return value < limit ? value : limit;
}

static uint16_t store_point(const struct hs_tensor_desc *desc, float value)
{
    return (uint16_t) lroundf(value / desc->scale + desc->zero_point);
}

/* One bin at the top and the others at the bottom: the softmax is one bin, to about e^-20. */
static void fill_box(uint8_t *bins, int halfwidth, int halfheight)
{
    const int sides[4] = { halfwidth, halfheight, halfwidth, halfheight };
    memset(bins, 0, 4 * BINS);
    for (int side = 0; side < 4; side++)
        bins[side * BINS + sides[side]] = 255;
}

static void fill_points(const struct hs_tensor_desc *desc, uint16_t *points, int halfwidth, int halfheight)
{
    for (int k = 0; k < KEYPOINTS; k++) {
        points[3 * k] = store_point(desc, (0.5f + figure[k][0] * (float) halfwidth) / 2);
        points[3 * k + 1] = store_point(desc, (0.5f + figure[k][1] * (float) halfheight) / 2);
        points[3 * k + 2] = store_point(desc, 4.0f); /* sigmoid(4) = 0.98 */
    }
}

void hs_sim_person_fill(const struct hs_tensor_desc descs[HS_SIM_HEADS], int index, void *data)
{
    const struct hs_tensor_desc *desc = &descs[index];
    memset(data, 0, desc->size_bytes);
    if (index < 3 * (STRIDES - 1))
        return;
    /* 3 and 7 cells of 32 pixels around the centre, less where the grid is small. */
    int halfwidth = at_most(3, (desc->w - 1) / 2), halfheight = at_most(7, (desc->h - 1) / 2);
    size_t cell = ((size_t) (desc->h / 2) * (size_t) desc->w + (size_t) (desc->w / 2)) * (size_t) desc->c;
    if (desc->c == 4 * BINS)
        fill_box((uint8_t *) data + cell, halfwidth, halfheight);
    else if (desc->c == 1)
        ((uint8_t *) data)[cell] = SCORE;
    else
        fill_points(desc, (uint16_t *) data + cell, halfwidth, halfheight);
}
