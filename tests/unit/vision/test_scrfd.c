#include "../unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "face_tensors.h"
#include "vision/face_heads.h"

static const struct hs_face_params usual = { 0.5f, 0.4f, 100 };

static void decode(const struct face_network *net, const struct face_tensors *t, bool logits,
                   struct hs_face_params params, struct hs_face_list *list)
{
    struct hs_face_layout layout;
    struct hs_error err = { 0 };
    int status = hs_face_layout_init(HS_FACE_SCRFD, t->descs, t->count, net->w, net->h, logits, &layout, &err);
    if (status < 0)
        print_error("%s\n", err.message);
    assert_int_equal(status, 0);
    assert_int_equal(hs_face_decode(&layout, t->views, &params, list), 0);
}

static void decode_rows(const struct face_network *net, bool logits, struct hs_face_params params,
                        struct hs_face_list *list)
{
    struct face_tensors t = face_tensors_create(net, FORM_ROWS, HS_DTYPE_F32, true, logits, NULL);
    decode(net, &t, logits, params, list);
    face_tensors_destroy(&t);
}

/* Second anchor of the cell x = 3, y = 1 on stride 16 of a 96 x 64 input. */
static struct face_network one_face(float score, float background)
{
    static const float sides[4] = { 1, 0.5f, 2, 1.5f };
    static const float points[10] = { -0.25f, 0, 1, 0.125f, 0.5f, 0.5f, -0.125f, 1, 1, 1 };
    struct face_network net = face_network_create(96, 64, 1, background);
    *face_value(&net, 1, SCORE, 1, 3, 1) = score;
    memcpy(face_value(&net, 1, BOX, 1, 3, 1), sides, sizeof(sides));
    memcpy(face_value(&net, 1, LANDMARK, 1, 3, 1), points, sizeof(points));
    return net;
}

/* The anchor is at (48, 16). All numbers here are exact in all number types. */
static void check_one_face(const struct hs_face_list *list, double score, double tolerance)
{
    static const double box[4] = { 48 - 16, 16 - 8, 48 + 32, 16 + 24 };
    static const double points[HS_FACE_LANDMARKS][2] = { { 44, 16 }, { 64, 18 }, { 56, 24 }, { 46, 32 }, { 64, 32 } };
    assert_int_equal(list->count, 1);
    face_expect(&list->faces[0], score, box, points, tolerance);
}

static void one_face_by_hand(void **state)
{
    (void) state;
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(0.75f, 0.25f);
    decode_rows(&net, false, usual, &list);
    check_one_face(&list, 0.75, 1e-5);
    face_network_destroy(&net);
    net = one_face(logf(4), -20); /* sigmoid(ln 4) = 0.8 */
    decode_rows(&net, true, usual, &list);
    check_one_face(&list, 0.8, 1e-5);
    face_network_destroy(&net);
    hs_face_list_finish(&list);
}

static void every_form_gives_the_same_face(void **state)
{
    (void) state;
    static const enum face_form forms[] = { FORM_ROWS, FORM_NHWC, FORM_NCHW };
    static const enum hs_dtype types[] = { HS_DTYPE_F32, HS_DTYPE_U8, HS_DTYPE_I8, HS_DTYPE_U16 };
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(1, 0.25f);
    for (size_t f = 0; f < 3; f++) {
        for (size_t d = 0; d < 4; d++) {
            struct face_tensors t = face_tensors_create(&net, forms[f], types[d], true, false, NULL);
            decode(&net, &t, false, usual, &list);
            check_one_face(&list, 1, types[d] == HS_DTYPE_F32 ? 1e-5 : 16 * 16.0 / 255 / 2 + 0.5);
            face_tensors_destroy(&t);
        }
    }
    face_network_destroy(&net);
    hs_face_list_finish(&list);
}

/* Rows may be further apart than their size, because a device may pad them. */
static void padded_rows_are_read_with_their_strides(void **state)
{
    (void) state;
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(1, 0.25f);
    struct face_tensors t = face_tensors_create(&net, FORM_NHWC, HS_DTYPE_F32, true, false, NULL);
    for (int i = 0; i < t.count; i++) {
        struct hs_tensor_view *view = &t.views[i];
        size_t row = (size_t) view->stride_h, padded = row + 5;
        float *data = calloc((size_t) view->h * padded, sizeof(float));
        for (int y = 0; y < view->h; y++)
            memcpy(data + (size_t) y * padded, (float *) t.data[i] + (size_t) y * row, row * sizeof(float));
        free(t.data[i]);
        view->data = t.data[i] = data;
        view->stride_h = (ptrdiff_t) padded;
    }
    decode(&net, &t, false, usual, &list);
    check_one_face(&list, 1, 1e-5);
    face_tensors_destroy(&t);
    face_network_destroy(&net);
    hs_face_list_finish(&list);
}

static void outputs_come_in_any_order(void **state)
{
    (void) state;
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(0.75f, 0.25f);
    int order[FACE_OUTPUTS] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };
    srand(3);
    for (int round = 0; round < 50; round++) {
        for (int i = FACE_OUTPUTS - 1; i > 0; i--) {
            int k = rand() % (i + 1), held = order[i];
            order[i] = order[k];
            order[k] = held;
        }
        struct face_tensors t =
            face_tensors_create(&net, round % 2 ? FORM_ROWS : FORM_NHWC, HS_DTYPE_F32, true, false, order);
        decode(&net, &t, false, usual, &list);
        check_one_face(&list, 0.75, 1e-5);
        face_tensors_destroy(&t);
    }
    face_network_destroy(&net);
    hs_face_list_finish(&list);
}

static void six_outputs_have_no_landmarks(void **state)
{
    (void) state;
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(0.75f, 0.25f);
    struct face_tensors t = face_tensors_create(&net, FORM_ROWS, HS_DTYPE_F32, false, false, NULL);
    assert_int_equal(t.count, 6);
    decode(&net, &t, false, usual, &list);
    assert_int_equal(list.count, 1);
    assert_false(list.faces[0].has_landmarks);
    assert_float_equal(list.faces[0].box.x2, 80, 1e-5);
    face_tensors_destroy(&t);
    face_network_destroy(&net);
    hs_face_list_finish(&list);
}

static size_t count_at(float score, bool logits, float threshold, int max)
{
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(score, logits ? -50 : 0);
    decode_rows(&net, logits, (struct hs_face_params) { threshold, 0.4f, max }, &list);
    size_t count = list.count;
    face_network_destroy(&net);
    hs_face_list_finish(&list);
    return count;
}

static void a_score_must_be_above_the_threshold(void **state)
{
    (void) state;
    assert_int_equal(count_at(0.5f, false, 0.5f, 10), 0);
    assert_int_equal(count_at(nextafterf(0.5f, 1), false, 0.5f, 10), 1);
    assert_int_equal(count_at(1, false, 1, 10), 0);
    assert_int_equal(count_at(0.001f, false, 0, 10), 1);
    assert_int_equal(count_at(0, true, 0.5f, 10), 0); /* sigmoid(0) is 0.5 exactly */
    assert_int_equal(count_at(1e-3f, true, 0.5f, 10), 1);
    assert_int_equal(count_at(-1e-3f, true, 0.5f, 10), 0);
    assert_int_equal(count_at(3, true, 1, 10), 0);
    assert_int_equal(count_at(3, true, 0.5f, 0), 0);
    assert_int_equal(count_at(3, true, 0.5f, -1), 0);
    assert_int_equal(count_at(3, true, NAN, 10), 0);
    assert_int_equal(count_at(NAN, false, 0.5f, 10), 0);
    assert_int_equal(count_at(INFINITY, false, 0.5f, 10), 0);
    assert_int_equal(count_at(NAN, true, 0.5f, 10), 0);
}

static size_t count_with(int part, int number, float value)
{
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(0.75f, 0);
    face_value(&net, 1, part, 1, 3, 1)[number] = value;
    decode_rows(&net, false, usual, &list);
    size_t count = list.count;
    face_network_destroy(&net);
    hs_face_list_finish(&list);
    return count;
}

static void nan_and_infinity_are_not_faces(void **state)
{
    (void) state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(count_with(BOX, i, NAN), 0);
        assert_int_equal(count_with(BOX, i, INFINITY), 0);
        assert_int_equal(count_with(BOX, i, -INFINITY), 0);
        assert_int_equal(count_with(BOX, i, -5), 0); /* inverted */
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(count_with(LANDMARK, i, NAN), 0);
        assert_int_equal(count_with(LANDMARK, i, 3e38f), 0); /* in pixels it exceeds the range of float */
    }
}

/* Straightforward reference for the decoder: decodes all anchors completely, in double. */
struct reference {
    double score, box[4], points[10];
    bool dropped;
};

static int compare(const void *left, const void *right)
{
    const struct reference *a = left, *b = right;
    return a->score < b->score ? 1 : -1;
}

static double iou(const double *a, const double *b)
{
    double w = fmin(a[2], b[2]) - fmax(a[0], b[0]), h = fmin(a[3], b[3]) - fmax(a[1], b[1]);
    double inter = fmax(w, 0) * fmax(h, 0);
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter);
}

static size_t reference_anchors(const struct face_network *net, bool logits, struct reference *all)
{
    size_t count = 0;
    for (int level = 0; level < HS_FACE_LEVELS; level++) {
        int s = 8 << level;
        for (int i = 0; i < face_cells(net, level) * HS_FACE_ANCHORS; i++) {
            int x = i / 2 % (net->w / s), y = i / 2 / (net->w / s);
            const float *d = face_value(net, level, BOX, y, x, i % 2);
            const float *p = face_value(net, level, LANDMARK, y, x, i % 2);
            double raw = (double) *face_value(net, level, SCORE, y, x, i % 2);
            struct reference r = { .score = logits ? 1 / (1 + exp(-raw)) : raw };
            for (int k = 0; k < 4; k++)
                r.box[k] = ((k % 2 ? y : x) + (k < 2 ? -1 : 1) * (double) d[k]) * s;
            for (int k = 0; k < 10; k++)
                r.points[k] = ((k % 2 ? y : x) + (double) p[k]) * s;
            if (r.score > 0.5 && r.box[2] >= r.box[0] && r.box[3] >= r.box[1])
                all[count++] = r;
        }
    }
    qsort(all, count, sizeof(*all), compare);
    return count;
}

static void check_reference(const struct face_network *net, bool logits, const struct hs_face_list *list)
{
    struct reference *all = calloc((size_t) (net->w * net->h), sizeof(*all));
    size_t count = reference_anchors(net, logits, all), kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].dropped)
            continue;
        for (size_t k = i + 1; k < count; k++)
            all[k].dropped = all[k].dropped || iou(all[i].box, all[k].box) > 0.4;
        const struct hs_face *face = &list->faces[kept++];
        assert_true(kept <= list->count);
        assert_float_equal(face->score, all[i].score, 1e-5);
        assert_float_equal(face->box.x1, all[i].box[0], 1e-3);
        assert_float_equal(face->box.y1, all[i].box[1], 1e-3);
        assert_float_equal(face->box.x2, all[i].box[2], 1e-3);
        assert_float_equal(face->box.y2, all[i].box[3], 1e-3);
        for (int k = 0; k < HS_FACE_LANDMARKS; k++) {
            assert_float_equal(face->landmarks[k].x, all[i].points[2 * k], 1e-3);
            assert_float_equal(face->landmarks[k].y, all[i].points[2 * k + 1], 1e-3);
        }
    }
    assert_int_equal(kept, list->count);
    assert_true(kept > 10);
    free(all);
}

static void equals_a_plain_reference(void **state)
{
    (void) state;
    static const enum face_form forms[] = { FORM_ROWS, FORM_NHWC, FORM_NCHW };
    struct hs_face_list list;
    hs_face_list_init(&list);
    for (uint32_t seed = 0; seed < 12; seed++) {
        bool logits = seed % 2;
        struct face_network net = face_network_create(seed % 3 ? 224 : 160, 160, 1, 0);
        face_network_randomize(&net, seed, logits ? -6 : 0, logits ? 1 : 0.6f);
        struct face_tensors t = face_tensors_create(&net, forms[seed % 3], HS_DTYPE_F32, true, logits, NULL);
        decode(&net, &t, logits, (struct hs_face_params) { 0.5f, 0.4f, 1000 }, &list);
        check_reference(&net, logits, &list);
        face_tensors_destroy(&t);
        face_network_destroy(&net);
    }
    hs_face_list_finish(&list);
}

static void the_limit_applies_after_suppression(void **state)
{
    (void) state;
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(0.75f, 0.25f);
    /* the other anchor of the cell has the same box and a lower score; another face is elsewhere */
    *face_value(&net, 1, SCORE, 1, 3, 0) = 0.7f;
    memcpy(face_value(&net, 1, BOX, 1, 3, 0), face_value(&net, 1, BOX, 1, 3, 1), 4 * sizeof(float));
    *face_value(&net, 0, SCORE, 7, 0, 0) = 0.6f;
    face_value(&net, 0, BOX, 7, 0, 0)[2] = face_value(&net, 0, BOX, 7, 0, 0)[3] = 1;
    decode_rows(&net, false, (struct hs_face_params) { 0.5f, 0.4f, 2 }, &list);
    assert_int_equal(list.count, 2);
    assert_float_equal(list.faces[1].score, 0.6, 1e-6);
    assert_float_equal(list.faces[1].box.y2, 64, 1e-5);
    decode_rows(&net, false, (struct hs_face_params) { 0.5f, 0.4f, 1 }, &list);
    assert_int_equal(list.count, 1);
    decode_rows(&net, false, (struct hs_face_params) { 0.5f, 1, 9 }, &list);
    assert_int_equal(list.count, 3);
    face_network_destroy(&net);
    hs_face_list_finish(&list);
}

static void refuse(const struct face_tensors *t, int count, int w, int h, const char *word)
{
    struct hs_face_layout layout = { .input_w = 42 };
    struct hs_error err = { 0 };
    assert_int_equal(hs_face_layout_init(HS_FACE_SCRFD, t->descs, count, w, h, false, &layout, &err), HS_EMODEL);
    if (!strstr(err.message, word))
        print_error("%s\n", err.message);
    assert_non_null(strstr(err.message, word));
    assert_int_equal(layout.input_w, 42);
}

static void other_shapes_are_refused(void **state)
{
    (void) state;
    struct face_network net = one_face(0.75f, 0.25f);
    struct face_tensors t = face_tensors_create(&net, FORM_ROWS, HS_DTYPE_F32, true, false, NULL);
    refuse(&t, t.count, 64, 64, "192x1"); /* another input size; the message lists the shapes */
    refuse(&t, t.count, 96, 72, "multiple of 32");
    refuse(&t, t.count, 0, 64, "multiple of 32");
    refuse(&t, t.count, 1 << 20, 1 << 20, "too large");
    refuse(&t, t.count - 1, 96, 64, "landmarks"); /* one missing */
    refuse(&t, 0, 96, 64, "outputs");
    t.descs[8] = t.descs[5]; /* one duplicated */
    refuse(&t, t.count, 96, 64, "outputs");
    t.descs[8].w = 3;
    refuse(&t, t.count, 96, 64, "3");
    t.descs[8].w = 0;
    refuse(&t, t.count, 96, 64, "bytes");
    t.descs[8] = t.descs[5];
    t.descs[8].size_bytes--;
    refuse(&t, t.count, 96, 64, "bytes");
    t.descs[8] = t.descs[5];
    t.descs[8].dtype = HS_DTYPE_U8;
    t.descs[8].scale = 0;
    refuse(&t, t.count, 96, 64, "quantisation");
    face_tensors_destroy(&t);
    t = face_tensors_create(&net, FORM_JOINED, HS_DTYPE_F32, true, false, NULL);
    refuse(&t, t.count, 96, 64, "252x4"); /* RetinaFace joins its strides */
    face_tensors_destroy(&t);
    face_network_destroy(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_face_by_hand),
        cmocka_unit_test(every_form_gives_the_same_face),
        cmocka_unit_test(padded_rows_are_read_with_their_strides),
        cmocka_unit_test(outputs_come_in_any_order),
        cmocka_unit_test(six_outputs_have_no_landmarks),
        cmocka_unit_test(a_score_must_be_above_the_threshold),
        cmocka_unit_test(nan_and_infinity_are_not_faces),
        cmocka_unit_test(equals_a_plain_reference),
        cmocka_unit_test(the_limit_applies_after_suppression),
        cmocka_unit_test(other_shapes_are_refused),
    };
    return HS_RUN_TESTS(tests);
}
