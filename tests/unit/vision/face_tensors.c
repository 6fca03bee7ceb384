#include "face_tensors.h"

#include "../unit.h"

#include <math.h>
#include <stdlib.h>

static uint32_t random_state;

static float random_between(float low, float high)
{
    random_state = random_state * 1664525u + 1013904223u;
    return low + (high - low) * (float) (random_state >> 8) / (float) (1u << 24);
}

int face_cells(const struct face_network *net, int level)
{
    return (net->w / (8 << level)) * (net->h / (8 << level));
}

static int numbers(const struct face_network *net, int level, int part)
{
    return face_cells(net, level) * HS_FACE_ANCHORS * net->width[part];
}

float *face_value(const struct face_network *net, int level, int part, int y, int x, int anchor)
{
    int cell = y * (net->w / (8 << level)) + x;
    return &net->values[level][part][(cell * HS_FACE_ANCHORS + anchor) * net->width[part]];
}

struct face_network face_network_create(int w, int h, int score_width, float score)
{
    struct face_network net = { .w = w, .h = h, .width = { score_width, 4, 10 } };
    for (int level = 0; level < HS_FACE_LEVELS; level++) {
        for (int part = 0; part < PARTS; part++) {
            int count = numbers(&net, level, part);
            net.values[level][part] = calloc((size_t) count, sizeof(float));
            for (int i = 0; part == SCORE && i < count; i++)
                net.values[level][part][i] = score;
        }
    }
    return net;
}

void face_network_destroy(struct face_network *net)
{
    for (int level = 0; level < HS_FACE_LEVELS; level++)
        for (int part = 0; part < PARTS; part++)
            free(net->values[level][part]);
}

void face_network_randomize(struct face_network *net, uint32_t seed, float low, float high)
{
    random_state = seed;
    for (int level = 0; level < HS_FACE_LEVELS; level++)
        for (int part = 0; part < PARTS; part++)
            for (int i = 0; i < numbers(net, level, part); i++)
                net->values[level][part][i] = part == SCORE ? random_between(low, high) : random_between(-1, 4);
}

static void describe(struct hs_tensor_desc *desc, enum hs_dtype dtype, float low, float high)
{
    desc->dtype = dtype;
    desc->scale = 1;
    if (dtype != HS_DTYPE_F32) {
        desc->scale = (high - low) / (dtype == HS_DTYPE_U16 ? 65535 : 255);
        desc->zero_point = rintf(-low / desc->scale) - (dtype == HS_DTYPE_I8 ? 128 : 0);
    }
    desc->size_bytes = (size_t) desc->h * (size_t) desc->w * (size_t) desc->c * hs_dtype_size(dtype);
}

static void store(const struct hs_tensor_desc *desc, void *data, int at, float value)
{
    float q = rintf(value / desc->scale + desc->zero_point);
    if (desc->dtype == HS_DTYPE_F32)
        ((float *) data)[at] = value;
    else if (desc->dtype == HS_DTYPE_U16)
        ((uint16_t *) data)[at] = (uint16_t) fminf(fmaxf(q, 0), 65535);
    else if (desc->dtype == HS_DTYPE_I8)
        ((int8_t *) data)[at] = (int8_t) fminf(fmaxf(q, -128), 127);
    else
        ((uint8_t *) data)[at] = (uint8_t) fminf(fmaxf(q, 0), 255);
}

/* Stores the numbers of a stride in the order row, column, anchor; only NCHW has another order. */
static void fill(const struct face_network *net, int level, int part, const struct hs_tensor_desc *desc, void *data,
                 int first)
{
    int channels = HS_FACE_ANCHORS * net->width[part];
    for (int i = 0; i < numbers(net, level, part); i++) {
        int at = desc->layout == HS_LAYOUT_NCHW ? i % channels * face_cells(net, level) + i / channels : i;
        store(desc, data, first + at, net->values[level][part][i]);
    }
}

static struct hs_tensor_desc shape_of(const struct face_network *net, enum face_form form, int level, int part)
{
    struct hs_tensor_desc desc = { .layout = HS_LAYOUT_ROWS, .w = net->width[part], .c = 1 };
    if (form == FORM_JOINED) {
        for (int i = 0; i < HS_FACE_LEVELS; i++)
            desc.h += face_cells(net, i) * HS_FACE_ANCHORS;
    } else if (form == FORM_ROWS) {
        desc.h = face_cells(net, level) * HS_FACE_ANCHORS;
    } else {
        desc.layout = form == FORM_NHWC ? HS_LAYOUT_NHWC : HS_LAYOUT_NCHW;
        desc.h = net->h / (8 << level);
        desc.w = net->w / (8 << level);
        desc.c = HS_FACE_ANCHORS * net->width[part];
    }
    return desc;
}

struct face_tensors face_tensors_create(const struct face_network *net, enum face_form form, enum hs_dtype dtype,
                                        bool landmarks, bool wide_scores, const int *order)
{
    int parts = landmarks ? PARTS : LANDMARK;
    struct face_tensors t = { .count = parts * (form == FORM_JOINED ? 1 : HS_FACE_LEVELS) };
    for (int i = 0; i < t.count; i++) {
        int from = order ? order[i] : i, level = from / parts, part = from % parts, first = 0;
        struct hs_tensor_desc *desc = &t.descs[i];
        *desc = shape_of(net, form, level, part);
        describe(desc, dtype, part == SCORE ? (wide_scores ? -8 : 0) : -4, part == SCORE ? (wide_scores ? 8 : 1) : 12);
        t.data[i] = malloc(desc->size_bytes);
        t.views[i] = hs_tensor_view_of(desc, t.data[i]);
        if (form != FORM_JOINED)
            fill(net, level, part, desc, t.data[i], 0);
        for (int k = 0; form == FORM_JOINED && k < HS_FACE_LEVELS; k++) {
            fill(net, k, part, desc, t.data[i], first);
            first += numbers(net, k, part);
        }
    }
    return t;
}

void face_tensors_destroy(struct face_tensors *t)
{
    for (int i = 0; i < t->count; i++)
        free(t->data[i]);
}

void face_expect(const struct hs_face *face, double score, const double box[4],
                 const double landmarks[HS_FACE_LANDMARKS][2], double tolerance)
{
    assert_float_equal(face->score, score, 1e-5);
    assert_float_equal(face->box.x1, box[0], tolerance);
    assert_float_equal(face->box.y1, box[1], tolerance);
    assert_float_equal(face->box.x2, box[2], tolerance);
    assert_float_equal(face->box.y2, box[3], tolerance);
    assert_true(face->has_landmarks);
    for (int i = 0; i < HS_FACE_LANDMARKS; i++) {
        assert_float_equal(face->landmarks[i].x, landmarks[i][0], tolerance);
        assert_float_equal(face->landmarks[i].y, landmarks[i][1], tolerance);
    }
}
