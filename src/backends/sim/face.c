/* This file inverts the decoder: an anchor lies at (x * stride, y * stride), without an offset of
 * half a cell; a box is four distances from there (left, top, right, bottom), a landmark is an
 * offset, all in strides. */
#include "backends/sim/face.h"

#include <math.h>
#include <string.h>

#include "backends/sim/tensor_write.h"

enum { ANCHORS = 2, LANDMARKS = 5, FIRST_SCORE = 230, SCORE_STEP = 4, STRIDES = 3 };

/* Largest distance in cells from the middle of a box to its sides; larger boxes use a coarser stride. */
#define REACH 7.0f

/* ArcFace's template of eyes, nose and corners of the mouth, in an aligned face of SIDE x SIDE pixels. */
#define SIDE 112.0f
static const float template[LANDMARKS][2] = {
    { 38.2946f, 51.6963f }, { 73.5318f, 51.5014f }, { 56.0252f, 71.7366f },
    { 41.5493f, 92.3655f }, { 70.7299f, 92.2041f },
};

void hs_sim_face_describe(int input_h, int input_w, enum hs_dtype dtype,
                          struct hs_tensor_desc ret_descs[HS_SIM_FACE_HEADS])
{
    /* Eight bits reach 12.7 strides to each side for boxes, and 10.2 in both directions for landmarks. */
    float finer = dtype == HS_DTYPE_U16 ? 256 : 1;
    for (int i = 0; i < STRIDES; i++) {
        struct hs_tensor_desc *score = &ret_descs[3 * i];
        int stride = 8 << i;
        hs_sim_describe(score, "score", stride, input_h, input_w, ANCHORS, dtype, 1 / (255.0f * finer), 0);
        hs_sim_describe(score + 1, "bbox", stride, input_h, input_w, ANCHORS * 4, dtype, 0.05f / finer, 0);
        hs_sim_describe(score + 2, "kps", stride, input_h, input_w, ANCHORS * LANDMARKS * 2, dtype, 0.08f / finer,
                        128 * finer);
    }
}

/* Both anchors of the cell hold the same face, the second with less confidence, so that NMS has
 * work to do. */
static void fill_anchor(const struct hs_tensor_desc *descs, const struct hs_sim_blob *blob, int scale, int anchor,
                        float confidence, void *const data[])
{
    const struct hs_tensor_desc *score = &descs[3 * scale], *box = score + 1, *points = score + 2;
    void *const *out = &data[3 * scale];
    float s = (float) (8 << scale), width = (float) (blob->x2 - blob->x1), height = (float) (blob->y2 - blob->y1);
    float left = (float) blob->x1 / s, top = (float) blob->y1 / s;
    int x = (int) fminf(roundf(left + width / 2 / s), (float) (box->w - 1));
    int y = (int) fminf(roundf(top + height / 2 / s), (float) (box->h - 1));
    const float sides[4] = { (float) x - left, (float) y - top, left + width / s - (float) x,
                             top + height / s - (float) y };
    hs_sim_tensor_set(score, out[0], hs_sim_cell(score, x, y) + (size_t) anchor, confidence);
    for (size_t i = 0; i < 4; i++)
        hs_sim_tensor_set(box, out[1], hs_sim_cell(box, x, y) + (size_t) anchor * 4 + i, sides[i]);
    for (size_t i = 0; i < LANDMARKS; i++) {
        size_t at = hs_sim_cell(points, x, y) + ((size_t) anchor * LANDMARKS + i) * 2;
        hs_sim_tensor_set(points, out[2], at, left + template[i][0] / SIDE * width / s - (float) x);
        hs_sim_tensor_set(points, out[2], at + 1, top + template[i][1] / SIDE * height / s - (float) y);
    }
}

void hs_sim_face_fill(const struct hs_tensor_desc descs[HS_SIM_FACE_HEADS], const struct hs_sim_blob *blobs, int count,
                      void *const data[HS_SIM_FACE_HEADS])
{
    for (int i = 0; i < HS_SIM_FACE_HEADS; i++)
        memset(data[i], 0, descs[i].size_bytes);
    /* If two faces share a cell, the larger one overwrites the other. */
    for (int i = count - 1; i >= 0; i--) {
        const struct hs_sim_blob *blob = &blobs[i];
        float half = fmaxf((float) (blob->x2 - blob->x1), (float) (blob->y2 - blob->y1)) / 2;
        float confidence = (float) (FIRST_SCORE - SCORE_STEP * i) / 255.0f;
        int scale = 0;
        while (scale < STRIDES - 1 && half > REACH * (float) (8 << scale))
            scale++;
        fill_anchor(descs, blob, scale, 0, confidence, data);
        fill_anchor(descs, blob, scale, 1, confidence / 2, data);
    }
}
