#include "../unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vision/yolo_pose.h"

enum part { BOX, SCORE, KEYPOINT, PARTS };
enum { MAX_OUTPUTS = 3 * HS_YOLO_POSE_MAX_LEVELS };

/* Outputs of a small network: float values in [h][w][c] order for each level and part, index 3 * level + part,
 * and the same values as tensors in any layout, number type and order. */
struct network {
    struct hs_yolo_pose_spec spec;
    int bins, levels;
    int h[HS_YOLO_POSE_MAX_LEVELS], w[HS_YOLO_POSE_MAX_LEVELS];
    float *values[MAX_OUTPUTS];
};

struct tensors {
    int count;
    struct hs_tensor_desc descs[MAX_OUTPUTS];
    struct hs_tensor_view views[MAX_OUTPUTS];
    void *data[MAX_OUTPUTS];
};

static uint32_t random_state;

static float random_between(float low, float high)
{
    random_state = random_state * 1664525u + 1013904223u;
    return low + (high - low) * (float) (random_state >> 8) / (float) (1u << 24);
}

static int channels(const struct network *net, int part)
{
    return part == BOX ? 4 * net->bins : part == SCORE ? net->spec.classes : net->spec.keypoints * net->spec.dims;
}

static size_t cells(const struct network *net, int level)
{
    return (size_t) net->h[level] * (size_t) net->w[level];
}

static float *value(const struct network *net, int level, int part, int y, int x, int c)
{
    size_t cell = (size_t) y * (size_t) net->w[level] + (size_t) x;
    return &net->values[3 * level + part][cell * (size_t) channels(net, part) + (size_t) c];
}

/* Strides 8, 16, ... over the input; all values are 0, except that scores are far below any threshold. */
static struct network network_create(struct hs_yolo_pose_spec spec, int bins, int levels)
{
    struct network net = { .spec = spec, .bins = bins, .levels = levels };
    for (int level = 0; level < levels; level++) {
        net.h[level] = spec.input_h / (8 << level);
        net.w[level] = spec.input_w / (8 << level);
        for (int part = 0; part < PARTS; part++) {
            size_t count = cells(&net, level) * (size_t) channels(&net, part);
            net.values[3 * level + part] = calloc(count, sizeof(float));
            for (size_t i = 0; part == SCORE && i < count; i++)
                net.values[3 * level + part][i] = spec.score_logits ? -50 : 0;
        }
    }
    return net;
}

static void network_destroy(struct network *net)
{
    for (int i = 0; i < MAX_OUTPUTS; i++)
        free(net->values[i]);
}

static void network_randomize(struct network *net, uint32_t seed)
{
    random_state = seed;
    for (int level = 0; level < net->levels; level++) {
        for (int part = 0; part < PARTS; part++) {
            size_t count = cells(net, level) * (size_t) channels(net, part);
            for (size_t i = 0; i < count; i++) {
                float *v = &net->values[3 * level + part][i];
                *v = part != SCORE            ? random_between(-4, 4)
                     : net->spec.score_logits ? random_between(-6, 1.5f)
                                              : random_between(0, 1);
            }
        }
    }
}

/* Output i of the tensors is output order[i] of the network (NULL: the same order). Quantised tensors hold the
 * nearest stored values; scale and zero point cover -4..4, and for scores 0..1 or -6..2. */
static struct tensors tensors_create(const struct network *net, enum hs_layout layout, enum hs_dtype dtype,
                                     const int *order)
{
    struct tensors t = { .count = 3 * net->levels };
    for (int i = 0; i < t.count; i++) {
        int from = order ? order[i] : i, level = from / 3, part = from % 3, c = channels(net, part);
        size_t count = cells(net, level) * (size_t) c;
        struct hs_tensor_desc *desc = &t.descs[i];
        *desc = (struct hs_tensor_desc) { .dtype = dtype,
                                          .layout = layout,
                                          .h = net->h[level],
                                          .w = net->w[level],
                                          .c = c,
                                          .scale = 1,
                                          .size_bytes = count * hs_dtype_size(dtype) };
        if (dtype != HS_DTYPE_F32) {
            float top = dtype == HS_DTYPE_U16 ? 65535 : 255, range = part == SCORE && !net->spec.score_logits ? 1 : 8;
            desc->scale = range / top;
            desc->zero_point = range < 8 ? 0 : rintf(top * (part == SCORE ? 0.75f : 0.5f));
        }
        t.data[i] = malloc(desc->size_bytes);
        t.views[i] = hs_tensor_view_of(desc, t.data[i]);
        for (size_t k = 0; k < count; k++) {
            size_t cell = k / (size_t) c, channel = k % (size_t) c;
            size_t at = layout == HS_LAYOUT_NHWC ? k : channel * cells(net, level) + cell;
            float v = net->values[from][k], q = rintf(v / desc->scale + desc->zero_point);
            if (dtype == HS_DTYPE_F32)
                ((float *) t.data[i])[at] = v;
            else if (dtype == HS_DTYPE_U16)
                ((uint16_t *) t.data[i])[at] = (uint16_t) fminf(fmaxf(q, 0), 65535);
            else
                ((uint8_t *) t.data[i])[at] = (uint8_t) fminf(fmaxf(q, 0), 255);
        }
    }
    return t;
}

static void tensors_destroy(struct tensors *t)
{
    for (int i = 0; i < t->count; i++)
        free(t->data[i]);
}

static void decode(const struct network *net, const struct tensors *t, struct hs_yolo_pose_params params,
                   struct hs_pose_list *list)
{
    struct hs_yolo_pose_layout layout;
    struct hs_error err = { 0 };
    int status = hs_yolo_pose_layout_init(t->descs, t->count, &net->spec, &layout, &err);
    if (status < 0)
        print_error("%s\n", err.message);
    assert_int_equal(status, 0);
    assert_int_equal(hs_yolo_pose_decode(&layout, t->views, &params, list), 0);
}

static void decode_f32(const struct network *net, struct hs_yolo_pose_params params, struct hs_pose_list *list)
{
    struct tensors t = tensors_create(net, HS_LAYOUT_NCHW, HS_DTYPE_F32, NULL);
    decode(net, &t, params, list);
    tensors_destroy(&t);
}

static void assert_same(const struct hs_pose_list *a, const struct hs_pose_list *b, double tolerance)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->keypoint_count, b->keypoint_count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->poses[i].class_id, b->poses[i].class_id);
        assert_float_equal(a->poses[i].score, b->poses[i].score, tolerance);
        assert_float_equal(a->poses[i].box.x1, b->poses[i].box.x1, tolerance);
        assert_float_equal(a->poses[i].box.y1, b->poses[i].box.y1, tolerance);
        assert_float_equal(a->poses[i].box.x2, b->poses[i].box.x2, tolerance);
        assert_float_equal(a->poses[i].box.y2, b->poses[i].box.y2, tolerance);
    }
    for (size_t i = 0; i < a->count * (size_t) a->keypoint_count; i++) {
        assert_float_equal(a->keypoints[i].x, b->keypoints[i].x, tolerance);
        assert_float_equal(a->keypoints[i].y, b->keypoints[i].y, tolerance);
        assert_float_equal(a->keypoints[i].conf, b->keypoints[i].conf, tolerance);
    }
}

/* One cell at x = 1, y = 0 of a 2 x 2 grid with stride 16. */
static struct network one_cell(bool logits, float score)
{
    struct hs_yolo_pose_spec spec = {
        .classes = 1, .keypoints = 2, .dims = 3, .score_logits = logits, .input_w = 32, .input_h = 32
    };
    struct network net = network_create(spec, 4, 2);
    float *box = value(&net, 1, BOX, 0, 1, 0), *points = value(&net, 1, KEYPOINT, 0, 1, 0);
    /* left: all weight on bin 1; top: half on 0, half on 1; right: weights 1 2 3 4 of 10, expectation 2; bottom: equal
     * weights, 1.5 */
    const float raw[16] = { -200, 0, -200, -200, 7, 7, -200, -200, 0, logf(2), logf(3), logf(4), 5, 5, 5, 5 };
    memcpy(box, raw, sizeof(raw));
    const float keypoints[6] = { 0.25f, -0.5f, 0, 1, 2, logf(3) };
    memcpy(points, keypoints, sizeof(keypoints));
    *value(&net, 1, SCORE, 0, 1, 0) = score;
    return net;
}

static void one_cell_by_hand(void **state)
{
    (void) state;
    struct network net = one_cell(true, logf(4)); /* sigmoid(ln 4) = 0.8 */
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    decode_f32(&net, (struct hs_yolo_pose_params) { 0.5f, 0.45f, 10 }, &list);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.keypoint_count, 2);
    assert_float_equal(list.poses[0].score, 0.8, 1e-6);
    /* the middle of the cell is (24, 8) */
    assert_float_equal(list.poses[0].box.x1, 24 - 16, 1e-5);
    assert_float_equal(list.poses[0].box.y1, 8 - 8, 1e-5);
    assert_float_equal(list.poses[0].box.x2, 24 + 32, 1e-5);
    assert_float_equal(list.poses[0].box.y2, 8 + 24, 1e-5);
    assert_float_equal(list.keypoints[0].x, (2 * 0.25 + 1) * 16, 1e-5);
    assert_float_equal(list.keypoints[0].y, (2 * -0.5 + 0) * 16, 1e-5);
    assert_float_equal(list.keypoints[0].conf, 0.5, 1e-6);
    assert_float_equal(list.keypoints[1].x, (2 * 1 + 1) * 16, 1e-5);
    assert_float_equal(list.keypoints[1].y, (2 * 2 + 0) * 16, 1e-5);
    assert_float_equal(list.keypoints[1].conf, 0.75, 1e-6);
    hs_pose_list_finish(&list);
    network_destroy(&net);
}

static size_t count_at(bool logits, float score, float threshold, int max)
{
    struct network net = one_cell(logits, score);
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    decode_f32(&net, (struct hs_yolo_pose_params) { threshold, 0.45f, max }, &list);
    size_t count = list.count;
    hs_pose_list_finish(&list);
    network_destroy(&net);
    return count;
}

static void a_score_must_be_above_the_threshold(void **state)
{
    (void) state;
    assert_int_equal(count_at(false, 0.5f, 0.5f, 10), 0);
    assert_int_equal(count_at(false, nextafterf(0.5f, 1), 0.5f, 10), 1);
    assert_int_equal(count_at(false, 1, 1, 10), 0);
    assert_int_equal(count_at(false, 0.001f, 0, 10), 1); /* cells with score 0 are not detected */
    assert_int_equal(count_at(true, 0, 0.5f, 10), 0);    /* sigmoid(0) is 0.5 exactly */
    assert_int_equal(count_at(true, 1e-3f, 0.5f, 10), 1);
    assert_int_equal(count_at(true, -1e-3f, 0.5f, 10), 0);
    assert_int_equal(count_at(true, 3, 1, 10), 0);
    assert_int_equal(count_at(true, 3, 0.5f, 0), 0);
    assert_int_equal(count_at(true, 3, 0.5f, -1), 0);
    assert_int_equal(count_at(true, 3, NAN, 10), 0);
    /* with logits a threshold of 0 passes all 20 cells; their boxes of size 24, 16 apart, overlap */
    assert_true(count_at(true, 3, 0, 1000) > 1);
}

static void two_dimensional_keypoints_are_certain(void **state)
{
    (void) state;
    struct hs_yolo_pose_spec spec = {
        .classes = 1, .keypoints = 5, .dims = 2, .score_logits = true, .input_w = 32, .input_h = 32
    };
    struct network net = network_create(spec, 16, 1);
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    *value(&net, 0, SCORE, 3, 2, 0) = 5;
    *value(&net, 0, KEYPOINT, 3, 2, 8) = 0.75f;
    *value(&net, 0, KEYPOINT, 3, 2, 9) = -1;
    decode_f32(&net, (struct hs_yolo_pose_params) { 0.5f, 0.45f, 10 }, &list);
    assert_int_equal(list.count, 1);
    assert_float_equal(list.keypoints[4].x, (1.5 + 2) * 8, 1e-5);
    assert_float_equal(list.keypoints[4].y, (-2 + 3) * 8, 1e-5);
    assert_float_equal(list.keypoints[4].conf, 1, 0);
    assert_float_equal(list.poses[0].box.x1, (2.5 - 7.5) * 8, 1e-4); /* equal weights on 0..15 */
    hs_pose_list_finish(&list);
    network_destroy(&net);
}

/* Straightforward reference for the decoder: decodes all cells completely, in double. */
struct reference {
    double score, x1, y1, x2, y2;
    int level, y, x, class_id;
    bool dropped;
};

static double reference_sigmoid(double v)
{
    return 1 / (1 + exp(-v));
}

static int compare_references(const void *left, const void *right)
{
    const struct reference *a = left, *b = right;
    return a->score < b->score ? 1 : -1;
}

static double reference_iou(const struct reference *a, const struct reference *b)
{
    double w = fmin(a->x2, b->x2) - fmax(a->x1, b->x1), h = fmin(a->y2, b->y2) - fmax(a->y1, b->y1);
    double inter = fmax(w, 0) * fmax(h, 0);
    return inter / ((a->x2 - a->x1) * (a->y2 - a->y1) + (b->x2 - b->x1) * (b->y2 - b->y1) - inter);
}

static double reference_side(const struct network *net, int level, int y, int x, int side)
{
    double sum = 0, weighted = 0;
    for (int b = 0; b < net->bins; b++) {
        double e = exp((double) *value(net, level, BOX, y, x, side * net->bins + b));
        sum += e;
        weighted += b * e;
    }
    return net->bins == 1 ? (double) *value(net, level, BOX, y, x, side) : weighted / sum;
}

static void reference_decode(const struct network *net, struct hs_yolo_pose_params params, struct hs_pose_list *list)
{
    size_t count = 0, total = 0;
    for (int level = 0; level < net->levels; level++)
        total += cells(net, level);
    struct reference *all = calloc(total, sizeof(*all));
    for (int level = 0; level < net->levels; level++) {
        for (int y = 0; y < net->h[level]; y++) {
            for (int x = 0; x < net->w[level]; x++) {
                struct reference r = { .score = -1, .level = level, .y = y, .x = x };
                int s = 8 << level;
                for (int c = 0; c < net->spec.classes; c++) {
                    double raw = (double) *value(net, level, SCORE, y, x, c);
                    double score = net->spec.score_logits ? reference_sigmoid(raw) : raw;
                    if (score > r.score) {
                        r.score = score;
                        r.class_id = c;
                    }
                }
                r.x1 = (x + 0.5 - reference_side(net, level, y, x, 0)) * s;
                r.y1 = (y + 0.5 - reference_side(net, level, y, x, 1)) * s;
                r.x2 = (x + 0.5 + reference_side(net, level, y, x, 2)) * s;
                r.y2 = (y + 0.5 + reference_side(net, level, y, x, 3)) * s;
                if (r.score > (double) params.score_threshold && r.x2 >= r.x1 && r.y2 >= r.y1)
                    all[count++] = r;
            }
        }
    }
    qsort(all, count, sizeof(*all), compare_references);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (!all[j].dropped && all[j].class_id == all[i].class_id &&
                reference_iou(&all[i], &all[j]) > (double) params.iou_threshold)
                all[i].dropped = true;
    assert_int_equal(hs_pose_list_reserve(list, total, net->spec.keypoints), 0);
    for (size_t i = 0; i < count && list->count < (size_t) params.max_detections; i++) {
        const struct reference *r = &all[i];
        if (r->dropped)
            continue;
        int s = 8 << r->level, dims = net->spec.dims;
        for (int k = 0; k < net->spec.keypoints; k++) {
            const float *v = value(net, r->level, KEYPOINT, r->y, r->x, k * dims);
            hs_pose_list_keypoints(list, list->count)[k] =
                (struct hs_keypoint) { (2 * v[0] + (float) r->x) * (float) s, (2 * v[1] + (float) r->y) * (float) s,
                                       dims == 3 ? (float) reference_sigmoid((double) v[2]) : 1 };
        }
        list->poses[list->count++] = (struct hs_pose) { { (float) r->x1, (float) r->y1, (float) r->x2, (float) r->y2 },
                                                        (float) r->score,
                                                        r->class_id };
    }
    free(all);
}

struct random_case {
    struct hs_yolo_pose_spec spec;
    int bins, levels;
    struct hs_yolo_pose_params params;
};

static const struct random_case random_cases[] = {
    { { 1, 17, 3, true, 160, 96 }, 16, 3, { 0.25f, 0.45f, 300 } },
    { { 1, 17, 3, false, 160, 96 }, 16, 3, { 0.9f, 0.7f, 300 } },
    { { 3, 5, 2, true, 64, 128 }, 8, 3, { 0.5f, 0.3f, 20 } },
    { { 80, 21, 3, true, 64, 64 }, 16, 2, { 0.7f, 0.7f, 300 } },
    { { 2, 4, 3, true, 96, 96 }, 1, 1, { 0.01f, 0.6f, 5 } }, /* one bin: boxes may be inverted */
    { { 1, 17, 3, true, 256, 128 }, 16, 4, { 0.001f, 0.7f, 1000 } },
};

static void random_networks_equal_the_reference(void **state)
{
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(random_cases); i++) {
        const struct random_case *c = &random_cases[i];
        struct network net = network_create(c->spec, c->bins, c->levels);
        struct hs_pose_list got, wanted;
        hs_pose_list_init(&got);
        hs_pose_list_init(&wanted);
        for (uint32_t seed = 0; seed < 4; seed++) {
            network_randomize(&net, 1000 * (uint32_t) i + seed);
            decode_f32(&net, c->params, &got);
            reference_decode(&net, c->params, &wanted);
            assert_true(wanted.count > 0);
            assert_same(&got, &wanted, 2e-3);
        }
        hs_pose_list_finish(&got);
        hs_pose_list_finish(&wanted);
        network_destroy(&net);
    }
}

static void layout_and_order_make_no_difference(void **state)
{
    (void) state;
    static const int order[9] = { 7, 3, 2, 8, 0, 5, 1, 6, 4 };
    struct network net = network_create(random_cases[0].spec, 16, 3);
    struct hs_pose_list plain, other;
    hs_pose_list_init(&plain);
    hs_pose_list_init(&other);
    network_randomize(&net, 7);
    decode_f32(&net, random_cases[0].params, &plain);
    struct tensors t = tensors_create(&net, HS_LAYOUT_NHWC, HS_DTYPE_F32, order);
    decode(&net, &t, random_cases[0].params, &other);
    assert_true(plain.count > 5);
    assert_same(&plain, &other, 0);
    tensors_destroy(&t);
    hs_pose_list_finish(&plain);
    hs_pose_list_finish(&other);
    network_destroy(&net);
}

/* Replaces the network's values by the stored values of the quantised tensors. */
static void take_stored_values(struct network *net, const struct tensors *t)
{
    for (int i = 0; i < t->count; i++) {
        int c = t->descs[i].c;
        for (int y = 0; y < t->descs[i].h; y++)
            for (int x = 0; x < t->descs[i].w; x++)
                for (int k = 0; k < c; k++)
                    *value(net, i / 3, i % 3, y, x, k) = hs_tensor_get(&t->views[i], y, x, k);
    }
}

static void quantised_equals_float(void **state)
{
    (void) state;
    const enum hs_dtype dtypes[] = { HS_DTYPE_U8, HS_DTYPE_U16 };
    for (size_t i = 0; i < 2 * HS_ARRAY_LEN(random_cases); i++) {
        const struct random_case *c = &random_cases[i / 2];
        struct network net = network_create(c->spec, c->bins, c->levels);
        struct hs_pose_list got, wanted;
        hs_pose_list_init(&got);
        hs_pose_list_init(&wanted);
        network_randomize(&net, (uint32_t) i);
        struct tensors t = tensors_create(&net, i % 4 < 2 ? HS_LAYOUT_NHWC : HS_LAYOUT_NCHW, dtypes[i % 2], NULL);
        decode(&net, &t, c->params, &got);
        take_stored_values(&net, &t);
        decode_f32(&net, c->params, &wanted);
        assert_true(got.count > 0);
        assert_same(&got, &wanted, 0);
        tensors_destroy(&t);
        hs_pose_list_finish(&got);
        hs_pose_list_finish(&wanted);
        network_destroy(&net);
    }
}

/* Tests a threshold that equals a stored value: 0.2 and 51 * (1/255). */
static void quantised_threshold_is_strict(void **state)
{
    (void) state;
    struct network net = one_cell(false, 51 / 255.0f);
    struct tensors t = tensors_create(&net, HS_LAYOUT_NHWC, HS_DTYPE_U8, NULL);
    float stored = (float) 51 * t.descs[4].scale;
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    decode(&net, &t, (struct hs_yolo_pose_params) { stored, 0.45f, 10 }, &list);
    assert_int_equal(list.count, 0);
    decode(&net, &t, (struct hs_yolo_pose_params) { nextafterf(stored, 0), 0.45f, 10 }, &list);
    assert_int_equal(list.count, 1);
    decode(&net, &t, (struct hs_yolo_pose_params) { 0, 0.45f, 10 }, &list);
    assert_int_equal(list.count, 1);
    tensors_destroy(&t);
    hs_pose_list_finish(&list);
    network_destroy(&net);
}

/* Writes the decoded matrix of an ordinary export, [channels, N] or its transpose. */
static void write_rows(const struct network *net, bool transposed, float *rows, int n)
{
    int k3 = net->spec.keypoints * net->spec.dims, total = 4 + net->spec.classes + k3, column = 0;
    for (int level = 0; level < net->levels; level++) {
        for (int i = 0; i < (int) cells(net, level); i++, column++) {
            int y = i / net->w[level], x = i % net->w[level], s = 8 << level;
            double d[4];
            for (int side = 0; side < 4; side++)
                d[side] = reference_side(net, level, y, x, side);
            float out[512] = { (float) ((x + 0.5 + (d[2] - d[0]) / 2) * s), (float) ((y + 0.5 + (d[3] - d[1]) / 2) * s),
                               (float) ((d[0] + d[2]) * s), (float) ((d[1] + d[3]) * s) };
            for (int c = 0; c < net->spec.classes; c++) {
                float raw = *value(net, level, SCORE, y, x, c);
                out[4 + c] = net->spec.score_logits ? (float) reference_sigmoid((double) raw) : raw;
            }
            for (int k = 0; k < k3; k++) {
                float raw = *value(net, level, KEYPOINT, y, x, k);
                int axis = k % net->spec.dims;
                out[4 + net->spec.classes + k] = axis == 2 ? (float) reference_sigmoid((double) raw)
                                                           : (2 * raw + (float) (axis ? y : x)) * (float) s;
            }
            for (int c = 0; c < total; c++)
                rows[transposed ? column * total + c : c * n + column] = out[c];
        }
    }
}

static void decoded_rows_give_the_same(void **state)
{
    (void) state;
    for (size_t i = 0; i < 4; i++) {
        const struct random_case *c = &random_cases[i];
        struct network net = network_create(c->spec, c->bins, c->levels);
        struct hs_pose_list got, wanted;
        hs_pose_list_init(&got);
        hs_pose_list_init(&wanted);
        network_randomize(&net, 77 + (uint32_t) i);
        decode_f32(&net, c->params, &wanted);
        int n = 0, total = 4 + c->spec.classes + c->spec.keypoints * c->spec.dims;
        for (int level = 0; level < net.levels; level++)
            n += (int) cells(&net, level);
        for (int transposed = 0; transposed < 2; transposed++) {
            size_t bytes = (size_t) n * (size_t) total * sizeof(float);
            float *rows = malloc(bytes);
            write_rows(&net, transposed, rows, n);
            struct tensors t = { .count = 1 };
            t.descs[0] = (struct hs_tensor_desc) { .dtype = HS_DTYPE_F32,
                                                   .layout = HS_LAYOUT_ROWS,
                                                   .c = 1,
                                                   .scale = 1,
                                                   .h = transposed ? n : total,
                                                   .w = transposed ? total : n,
                                                   .size_bytes = bytes };
            t.views[0] = hs_tensor_view_of(&t.descs[0], rows);
            decode(&net, &t, c->params, &got);
            assert_true(got.count > 0);
            assert_same(&got, &wanted, 2e-3);
            free(rows);
        }
        hs_pose_list_finish(&got);
        hs_pose_list_finish(&wanted);
        network_destroy(&net);
    }
}

static void nan_and_infinity_are_not_returned(void **state)
{
    (void) state;
    static const float poison[] = { NAN, INFINITY, -INFINITY, 3e38f, -3e38f };
    struct network net = network_create(random_cases[0].spec, 16, 3);
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    for (uint32_t turn = 0; turn < 40; turn++) {
        network_randomize(&net, turn);
        for (int i = 0; i < 200; i++) {
            int level = (int) random_between(0, 2.99f), part = (int) random_between(0, 2.99f);
            size_t count = cells(&net, level) * (size_t) channels(&net, part);
            size_t at = (size_t) random_between(0, (float) count - 1);
            net.values[3 * level + part][at] = poison[(int) random_between(0, 4.99f)];
        }
        decode_f32(&net, (struct hs_yolo_pose_params) { 0.1f, 0.45f, 300 }, &list);
        assert_true(list.count > 0);
        for (size_t i = 0; i < list.count; i++) {
            const struct hs_pose *pose = &list.poses[i];
            assert_true(pose->score > 0.1f && pose->score <= 1);
            assert_true(isfinite(pose->box.x1) && isfinite(pose->box.y1) && pose->box.x2 >= pose->box.x1 &&
                        pose->box.y2 >= pose->box.y1 && isfinite(pose->box.x2) && isfinite(pose->box.y2));
        }
        for (size_t i = 0; i < list.count * 17; i++)
            assert_true(isfinite(list.keypoints[i].x) && isfinite(list.keypoints[i].y) && list.keypoints[i].conf >= 0 &&
                        list.keypoints[i].conf <= 1);
    }
    hs_pose_list_finish(&list);
    network_destroy(&net);
}

/* With more cells above the threshold than NMS accepts, the best ones are found, in bounded memory. */
static void the_best_candidates_are_kept(void **state)
{
    (void) state;
    struct hs_yolo_pose_spec spec = { .classes = 1, .keypoints = 1, .dims = 2, .input_w = 1600, .input_h = 1600 };
    struct network net = network_create(spec, 1, 1); /* 40000 cells with empty boxes: NMS removes none */
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    for (int i = 0; i < 40000; i++)
        net.values[SCORE][i] = 0.1f + (float) i * 1e-5f;
    decode_f32(&net, (struct hs_yolo_pose_params) { 0.05f, 0.45f, INT32_MAX }, &list);
    assert_int_equal(list.count, HS_YOLO_POSE_MAX_DETECTIONS);
    assert_float_equal(list.poses[0].score, 0.1 + 0.39999, 1e-6);
    assert_float_equal(list.poses[0].box.x1, 199.5 * 8, 0);
    assert_float_equal(list.poses[999].score, 0.1 + 0.39000, 1e-6);
    hs_pose_list_finish(&list);
    network_destroy(&net);
}

static void refuse(const struct network *net, const struct tensors *t, const char *words)
{
    struct hs_yolo_pose_layout layout = { .bins = -7 };
    struct hs_error err = { 0 };
    assert_int_equal(hs_yolo_pose_layout_init(t->descs, t->count, &net->spec, &layout, &err), HS_EMODEL);
    if (!strstr(err.message, words))
        print_error("%s\n", err.message);
    assert_non_null(strstr(err.message, words));
    assert_int_equal(layout.bins, -7);
}

static void mismatched_outputs_are_rejected(void **state)
{
    (void) state;
    struct network net = network_create(random_cases[0].spec, 16, 3), changed;
    struct tensors t = tensors_create(&net, HS_LAYOUT_NCHW, HS_DTYPE_U8, NULL), broken;
    struct hs_yolo_pose_layout layout;
    assert_int_equal(hs_yolo_pose_layout_init(t.descs, t.count, &net.spec, &layout, NULL), 0);
    assert_int_equal(layout.bins, 16);
    assert_int_equal(layout.level_count, 3);
    assert_int_equal(layout.levels[2].stride, 32);

#define CHANGED(change, words)                                                                                         \
    do {                                                                                                               \
        changed = net;                                                                                                 \
        broken = t;                                                                                                    \
        change;                                                                                                        \
        refuse(&changed, &broken, words);                                                                              \
    } while (0)
    CHANGED(changed.spec.classes = 2, "are not 4 x bins, 2 classes");
    CHANGED(changed.spec.keypoints = 16, "16 x 3 keypoints");
    CHANGED(changed.spec.dims = 4, "2 or 3 numbers");
    CHANGED(changed.spec.classes = 0, "classes");
    CHANGED(changed.spec.keypoints = 1 << 20, "keypoints");
    CHANGED(changed.spec.input_w = 0, "input size");
    CHANGED(changed.spec.input_w = 96, "does not divide");
    CHANGED(changed.spec.input_h = 192, "does not divide");
    CHANGED(broken.count = 8, "three on each");
    CHANGED(broken.count = 0, "no output");
    CHANGED(broken.descs[3].h--, "three on each");
    CHANGED(broken.descs[0].size_bytes--, "bytes");
    CHANGED(broken.descs[0].c = -1, "does not match its size");
    CHANGED((broken.descs[0].w = broken.descs[0].h = broken.descs[0].c = INT32_MAX), "does not match its size");
    CHANGED(broken.descs[0].scale = 0, "quantisation");
    CHANGED(broken.descs[0].scale = NAN, "quantisation");
    CHANGED(broken.descs[0].zero_point = INFINITY, "quantisation");
    CHANGED(broken.descs[3].c = 32, "bins per side");
    CHANGED((broken.count = 1, broken.descs[0].layout = HS_LAYOUT_ROWS), "is not a matrix");
#undef CHANGED
    tensors_destroy(&t);
    network_destroy(&net);
}

static void ambiguous_shapes_are_rejected(void **state)
{
    (void) state;
    struct hs_yolo_pose_spec six = { .classes = 6, .keypoints = 2, .dims = 3, .input_w = 32, .input_h = 32 };
    struct hs_yolo_pose_spec as_box = { .classes = 64, .keypoints = 17, .dims = 3, .input_w = 32, .input_h = 32 };
    struct hs_yolo_pose_spec clear = { .classes = 4, .keypoints = 17, .dims = 3, .input_w = 32, .input_h = 32 };
    const struct hs_yolo_pose_spec *specs[] = { &six, &as_box, &clear };
    for (int i = 0; i < 3; i++) {
        struct network net = network_create(*specs[i], 16, 1);
        struct tensors t = tensors_create(&net, HS_LAYOUT_NHWC, HS_DTYPE_F32, NULL);
        struct hs_yolo_pose_layout layout;
        if (i < 2)
            refuse(&net, &t, "more than one way");
        else /* the 4 channels could also be boxes with one bin, but the counts leave one reading */
            assert_int_equal(hs_yolo_pose_layout_init(t.descs, 3, &net.spec, &layout, NULL), 0);
        tensors_destroy(&t);
        network_destroy(&net);
    }
}

/* The largest allowed numbers of a specification and cells of an output, and one more. Only descriptions are
 * read. */
static void bounds_of_the_layout(void **state)
{
    (void) state;
    static const struct {
        int classes, keypoints, dims, cells, code;
        const char *text;
    } cases[] = {
        { 1, 1, 2, 1, 0, "" },
        { HS_YOLO_POSE_MAX_CLASSES, 1, 3, 1, 0, "" },
        { HS_YOLO_POSE_MAX_CLASSES + 1, 1, 3, 1, HS_EMODEL, "1 to 4096 classes, not 4097" },
        { 0, 1, 3, 1, HS_EMODEL, "1 to 4096 classes, not 0" },
        { 1, HS_YOLO_POSE_MAX_KEYPOINTS, 3, 1, 0, "" },
        { 1, HS_YOLO_POSE_MAX_KEYPOINTS + 1, 3, 1, HS_EMODEL, "1 to 512 keypoints, not 513" },
        { 1, 0, 3, 1, HS_EMODEL, "1 to 512 keypoints, not 0" },
        { 1, 1, 4, 1, HS_EMODEL, "2 or 3 numbers, not 4" },
        { 1, 1, 1, 1, HS_EMODEL, "2 or 3 numbers, not 1" },
        { 1, 1, 3, 1 << 23, 0, "" },
        { 1, 1, 3, (1 << 23) + 1, HS_EMODEL, "has too many columns" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        for (int transposed = 0; transposed < 2; transposed++) {
            const struct hs_yolo_pose_spec spec = { .classes = cases[i].classes,
                                                    .keypoints = cases[i].keypoints,
                                                    .dims = cases[i].dims,
                                                    .input_w = 64,
                                                    .input_h = 64 };
            int rows = 4 + spec.classes + spec.keypoints * spec.dims;
            struct hs_tensor_desc desc = { .dtype = HS_DTYPE_F32,
                                           .layout = HS_LAYOUT_ROWS,
                                           .h = transposed ? cases[i].cells : rows,
                                           .w = transposed ? rows : cases[i].cells,
                                           .c = 1,
                                           .scale = 1 };
            desc.size_bytes = (size_t) desc.h * (size_t) desc.w * sizeof(float);
            struct hs_yolo_pose_layout layout = { .bins = 77 };
            struct hs_error err = { 0 };
            int r = hs_yolo_pose_layout_init(&desc, 1, &spec, &layout, &err);
            if (r != cases[i].code || !strstr(err.message, cases[i].text))
                fail_msg("case %zu gave %d \"%s\"", i, r, err.message);
            assert_int_equal(layout.bins, r == 0 ? 0 : 77);
            assert_true(r < 0 || layout.rows_transposed == (transposed == 1));
        }
    }
}

/* The limit applies to the sum of all grids. */
static void cells_of_all_levels_are_counted(void **state)
{
    (void) state;
    for (int levels = 1; levels <= 2; levels++) {
        const struct hs_yolo_pose_spec spec = {
            .classes = 1, .keypoints = 1, .dims = 3, .input_w = 1 << 14, .input_h = 1 << 15
        };
        static const int channels[] = { 8, 1, 3 };
        struct hs_tensor_desc descs[6];
        for (int k = 0; k < 6; k++) {
            bool second = k >= 3; /* the first level has the maximum number of cells */
            descs[k] = (struct hs_tensor_desc) { .dtype = HS_DTYPE_F32,
                                                 .layout = HS_LAYOUT_NHWC,
                                                 .h = second ? 2048 : 4096,
                                                 .w = second ? 1024 : 2048,
                                                 .c = channels[k % 3],
                                                 .scale = 1 };
            descs[k].size_bytes = (size_t) descs[k].h * (size_t) descs[k].w * (size_t) descs[k].c * sizeof(float);
        }
        struct hs_yolo_pose_layout layout;
        struct hs_error err = { 0 };
        int r = hs_yolo_pose_layout_init(descs, 3 * levels, &spec, &layout, &err);
        assert_int_equal(r, levels == 1 ? 0 : HS_EMODEL);
        if (r < 0)
            assert_non_null(strstr(err.message, "more than 8388608 cells"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_cell_by_hand),
        cmocka_unit_test(a_score_must_be_above_the_threshold),
        cmocka_unit_test(two_dimensional_keypoints_are_certain),
        cmocka_unit_test(random_networks_equal_the_reference),
        cmocka_unit_test(layout_and_order_make_no_difference),
        cmocka_unit_test(quantised_equals_float),
        cmocka_unit_test(quantised_threshold_is_strict),
        cmocka_unit_test(decoded_rows_give_the_same),
        cmocka_unit_test(nan_and_infinity_are_not_returned),
        cmocka_unit_test(the_best_candidates_are_kept),
        cmocka_unit_test(mismatched_outputs_are_rejected),
        cmocka_unit_test(ambiguous_shapes_are_rejected),
        cmocka_unit_test(bounds_of_the_layout),
        cmocka_unit_test(cells_of_all_levels_are_counted),
    };
    return HS_RUN_TESTS(tests);
}
