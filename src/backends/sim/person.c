/* This file inverts the decoder (stride s, cell i of a row):
 *   side distance = sum over bins b of b * softmax(bins)_b, in cells from the cell's centre
 *   keypoint x = (2 * kx + i) * s, and its visibility = sigmoid of the third channel
 * Scales and zero points of the quantised numbers are those of a published yolov8s_pose HEF. */
#include "backends/sim/person.h"

#include <math.h>
#include <string.h>

#include "backends/sim/tensor_write.h"

enum { BINS = 16, KEYPOINTS = 17, FIRST_SCORE = 230, SCORE_STEP = 4, STRIDES = 3 };

/* Largest distance in cells from the middle of a box to its sides: the last bin, less half a cell. */
#define REACH 14.5f
/* A bin's value before the softmax; a LOW bin gets a share of about e^-18. The HEF's scale can
 * represent both. */
#define HIGH 13.5f
#define LOW (-4.5f)
#define VISIBLE 4.0f /* sigmoid(4) = 0.98 */

static const float box_scale[STRIDES] = { 0.0751f, 0.0741f, 0.0798f }, box_zero[STRIDES] = { 62, 72, 84 };
static const float point_scale[STRIDES] = { 0.000423f, 0.000525f, 0.000619f };
static const float point_zero[STRIDES] = { 18261, 19190, 17224 };

/* Keypoints of a person seen from the front, in COCO's order, as fractions of the box's half width
 * and half height from its middle. */
static const float skeleton[KEYPOINTS][2] = {
    { 0.00f, -0.84f },  { 0.12f, -0.88f }, { -0.12f, -0.88f }, { 0.24f, -0.85f }, { -0.24f, -0.85f }, { 0.50f, -0.60f },
    { -0.50f, -0.60f }, { 0.68f, -0.30f }, { -0.68f, -0.30f }, { 0.74f, -0.02f }, { -0.74f, -0.02f }, { 0.32f, -0.02f },
    { -0.32f, -0.02f }, { 0.34f, 0.44f },  { -0.34f, 0.44f },  { 0.36f, 0.90f },  { -0.36f, 0.90f },
};

/* The box is in pixels. */
struct person {
    float x1, y1, x2, y2;
    int scale; /* the stride is 8 << scale */
    float score;
};

void hs_sim_person_describe(int input_h, int input_w, enum hs_dtype dtype,
                            struct hs_tensor_desc ret_descs[HS_SIM_PERSON_HEADS])
{
    enum hs_dtype wide = dtype == HS_DTYPE_U8 ? HS_DTYPE_U16 : dtype;
    for (int i = 0; i < STRIDES; i++) {
        int stride = 8 << i;
        struct hs_tensor_desc *box = &ret_descs[3 * i], *score = box + 1, *points = box + 2;
        /* Sixteen bits cover the range of eight bits with a scale 256 times finer. */
        float finer = dtype == HS_DTYPE_U16 ? 256 : 1;
        hs_sim_describe(box, "box", stride, input_h, input_w, 4 * BINS, dtype, box_scale[i] / finer,
                        box_zero[i] * finer);
        hs_sim_describe(score, "score", stride, input_h, input_w, 1, dtype, 1 / (255.0f * finer), 0);
        hs_sim_describe(points, "keypoints", stride, input_h, input_w, 3 * KEYPOINTS, wide, point_scale[i],
                        point_zero[i]);
    }
}

/* Two neighbouring bins share the weight so that the expected bin is `distance`. */
static void fill_side(const struct hs_tensor_desc *desc, void *data, size_t at, float distance)
{
    float d = fminf(fmaxf(distance, 0), BINS - 1), part = d - floorf(d);
    int bin = (int) d;
    for (int b = 0; b < BINS; b++)
        hs_sim_tensor_set(desc, data, at + (size_t) b, LOW);
    hs_sim_tensor_set(desc, data, at + (size_t) bin, fmaxf(HIGH + logf(fmaxf(1 - part, 1e-6f)), LOW));
    if (bin + 1 < BINS && part > 0)
        hs_sim_tensor_set(desc, data, at + (size_t) bin + 1, fmaxf(HIGH + logf(part), LOW));
}

static int at_most(int value, int limit)
{
    return value < limit ? value : limit;
}

static void fill_person(const struct hs_tensor_desc *descs, const struct person *person, void *const data[])
{
    const struct hs_tensor_desc *box = &descs[3 * person->scale], *score = box + 1, *points = box + 2;
    void *const *out = &data[3 * person->scale];
    float s = (float) (8 << person->scale), middle_x = (person->x1 + person->x2) / 2 / s,
          middle_y = (person->y1 + person->y2) / 2 / s;
    int x = at_most((int) middle_x, box->w - 1), y = at_most((int) middle_y, box->h - 1);
    float cx = (float) x + 0.5f, cy = (float) y + 0.5f;
    float half_w = (person->x2 - person->x1) / 2 / s, half_h = (person->y2 - person->y1) / 2 / s;
    const float sides[4] = { cx - person->x1 / s, cy - person->y1 / s, person->x2 / s - cx, person->y2 / s - cy };
    for (int i = 0; i < 4; i++)
        fill_side(box, out[0], hs_sim_cell(box, x, y) + (size_t) i * BINS, sides[i]);
    hs_sim_tensor_set(score, out[1], hs_sim_cell(score, x, y), person->score);
    for (int k = 0; k < KEYPOINTS; k++) {
        size_t at = hs_sim_cell(points, x, y) + 3 * (size_t) k;
        hs_sim_tensor_set(points, out[2], at, (middle_x + skeleton[k][0] * half_w - (float) x) / 2);
        hs_sim_tensor_set(points, out[2], at + 1, (middle_y + skeleton[k][1] * half_h - (float) y) / 2);
        hs_sim_tensor_set(points, out[2], at + 2, VISIBLE);
    }
}

/* The box spans 3 x 7 cells of 32 pixels around the middle cell, fewer if the grid is small. */
static struct person default_person(const struct hs_tensor_desc *coarsest)
{
    int column = coarsest->w / 2, row = coarsest->h / 2;
    float s = 8 << (STRIDES - 1), x = (float) column + 0.5f, y = (float) row + 0.5f;
    float half_w = (float) at_most(3, (coarsest->w - 1) / 2), half_h = (float) at_most(7, (coarsest->h - 1) / 2);
    return (struct person) {
        .x1 = (x - half_w) * s,
        .y1 = (y - half_h) * s,
        .x2 = (x + half_w) * s,
        .y2 = (y + half_h) * s,
        .scale = STRIDES - 1,
        .score = FIRST_SCORE / 255.0f,
    };
}

static struct person person_of(const struct hs_sim_blob *blob, int index)
{
    struct person person = {
        .x1 = (float) blob->x1,
        .y1 = (float) blob->y1,
        .x2 = (float) blob->x2,
        .y2 = (float) blob->y2,
        .score = (float) (FIRST_SCORE - SCORE_STEP * index) / 255.0f,
    };
    float half = fmaxf(person.x2 - person.x1, person.y2 - person.y1) / 2;
    while (person.scale < STRIDES - 1 && half > REACH * (float) (8 << person.scale))
        person.scale++;
    return person;
}

void hs_sim_person_fill(const struct hs_tensor_desc descs[HS_SIM_PERSON_HEADS], const struct hs_sim_blob *blobs,
                        int count, void *const data[HS_SIM_PERSON_HEADS])
{
    for (int i = 0; i < HS_SIM_PERSON_HEADS; i++)
        memset(data[i], 0, descs[i].size_bytes);
    if (count == 0) {
        struct person person = default_person(&descs[3 * (STRIDES - 1)]);
        fill_person(descs, &person, data);
    }
    /* If two persons share a cell, the larger one overwrites the other. */
    for (int i = count - 1; i >= 0; i--) {
        struct person person = person_of(&blobs[i], i);
        fill_person(descs, &person, data);
    }
}
