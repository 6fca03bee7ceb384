#include "../unit.h"

#include <math.h>
#include <string.h>

#include "face_tensors.h"
#include "vision/face_heads.h"

static const struct hs_face_params usual = { 0.5f, 0.4f, 100 };

/* Second anchor (128 pixels) of the cell x = 3, y = 1 on stride 16, with the centre (56, 24). `no` and `yes`
 * are its scores; no other anchor has a face. */
static struct face_network one_face(float no, float yes)
{
    static const float points[10] = { -1, -0.5f, 1, -0.5f, 0, 0, -1, 1, 1, 1 };
    struct face_network net = face_network_create(96, 64, 2, 0);
    for (int level = 0; level < HS_FACE_LEVELS; level++)
        for (int i = 0; i < face_cells(&net, level) * HS_FACE_ANCHORS; i++)
            net.values[level][SCORE][2 * i] = 5;
    face_value(&net, 1, SCORE, 1, 3, 1)[0] = no;
    face_value(&net, 1, SCORE, 1, 3, 1)[1] = yes;
    float sides[4] = { 0.5f, -0.25f, 5 * logf(0.5f), 0 };
    memcpy(face_value(&net, 1, BOX, 1, 3, 1), sides, sizeof(sides));
    memcpy(face_value(&net, 1, LANDMARK, 1, 3, 1), points, sizeof(points));
    return net;
}

/* The centre moves by 12.8 times the numbers; the width is halved, the height is unchanged. */
static void check_one_face(const struct hs_face_list *list, double score, double tolerance)
{
    static const double box[4] = { 62.4 - 32, 20.8 - 64, 62.4 + 32, 20.8 + 64 };
    static const double points[HS_FACE_LANDMARKS][2] = {
        { 43.2, 17.6 }, { 68.8, 17.6 }, { 56, 24 }, { 43.2, 36.8 }, { 68.8, 36.8 },
    };
    assert_int_equal(list->count, 1);
    face_expect(&list->faces[0], score, box, points, tolerance);
}

static void decode(const struct face_network *net, const struct face_tensors *t, bool logits, struct hs_face_list *list)
{
    struct hs_face_layout layout;
    struct hs_error err = { 0 };
    int r = hs_face_layout_init(HS_FACE_RETINAFACE, t->descs, t->count, net->w, net->h, logits, &layout, &err);
    if (r < 0)
        print_error("%s\n", err.message);
    assert_int_equal(r, 0);
    assert_int_equal(hs_face_decode(&layout, t->views, &usual, list), 0);
}

static void one_face_in_every_form(void **state)
{
    (void) state;
    static const int orders[2][3] = { { 0, 1, 2 }, { 2, 0, 1 } };
    struct hs_face_list list;
    hs_face_list_init(&list);
    for (int i = 0; i < 6; i++) {
        bool logits = i >= 4;
        enum face_form form = i < 2 || i == 4 ? FORM_JOINED : i == 2 ? FORM_NCHW : FORM_NHWC;
        struct face_network net = logits ? one_face(1, 1 + logf(4)) : one_face(0.2f, 0.8f);
        struct face_tensors t = face_tensors_create(&net, form, HS_DTYPE_F32, true, logits, i < 2 ? orders[i] : NULL);
        decode(&net, &t, logits, &list);
        check_one_face(&list, 0.8, 1e-4);
        face_tensors_destroy(&t);
        face_network_destroy(&net);
    }
    hs_face_list_finish(&list);
}

/* Outputs in the form of a HEF: logits in 8 bits. */
static void quantised_grids_with_logits(void **state)
{
    (void) state;
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(-4, 4);
    struct face_tensors t = face_tensors_create(&net, FORM_NHWC, HS_DTYPE_U8, true, true, NULL);
    decode(&net, &t, true, &list);
    assert_int_equal(list.count, 1);
    assert_float_equal(list.faces[0].score, 1 / (1 + exp(-8)), 1e-4);
    /* half a step of 16 / 255, times 12.8 for the centre, 0.2 of the size for the sides */
    assert_float_equal(list.faces[0].box.x1, 30.4, 1.2);
    assert_float_equal(list.faces[0].box.y2, 84.8, 1.2);
    assert_float_equal(list.faces[0].landmarks[HS_FACE_LEFT_EYE].x, 43.2, 0.5);
    face_tensors_destroy(&t);
    face_network_destroy(&net);
    hs_face_list_finish(&list);
}

static void priors_have_six_sizes(void **state)
{
    (void) state;
    struct hs_face_list list;
    hs_face_list_init(&list);
    for (int level = 0; level < HS_FACE_LEVELS; level++) {
        for (int anchor = 0; anchor < HS_FACE_ANCHORS; anchor++) {
            struct face_network net = face_network_create(96, 64, 2, 0);
            face_value(&net, level, SCORE, 1, 2, anchor)[1] = 0.9f;
            struct face_tensors t = face_tensors_create(&net, FORM_JOINED, HS_DTYPE_F32, false, false, NULL);
            decode(&net, &t, false, &list);
            assert_int_equal(list.count, 1);
            double size = 16 << (2 * level + anchor), s = 8 << level;
            assert_float_equal(list.faces[0].box.x1, 2.5 * s - size / 2, 1e-4);
            assert_float_equal(list.faces[0].box.y2, 1.5 * s + size / 2, 1e-4);
            assert_false(list.faces[0].has_landmarks);
            face_tensors_destroy(&t);
            face_network_destroy(&net);
        }
    }
    hs_face_list_finish(&list);
}

static size_t count_with(float no, float yes, bool logits, float wide)
{
    struct hs_face_list list;
    hs_face_list_init(&list);
    struct face_network net = one_face(no, yes);
    face_value(&net, 1, BOX, 1, 3, 1)[2] = wide;
    struct face_tensors t = face_tensors_create(&net, FORM_NHWC, HS_DTYPE_F32, true, logits, NULL);
    decode(&net, &t, logits, &list);
    size_t count = list.count;
    face_tensors_destroy(&t);
    face_network_destroy(&net);
    hs_face_list_finish(&list);
    return count;
}

static void nan_is_not_a_face(void **state)
{
    (void) state;
    assert_int_equal(count_with(1, 2, true, 0), 1);
    assert_int_equal(count_with(2, 2, true, 0), 0); /* exactly 0.5 */
    assert_int_equal(count_with(0.5f, 0.5f, false, 0), 0);
    assert_int_equal(count_with(NAN, 2, true, 0), 0);
    assert_int_equal(count_with(1, NAN, true, 0), 0);
    assert_int_equal(count_with(-INFINITY, -INFINITY, true, 0), 0);
    assert_int_equal(count_with(1, 2, true, 1e6f), 0); /* exp exceeds the range of float */
    assert_int_equal(count_with(1, 2, true, NAN), 0);
    assert_int_equal(count_with(1, 2, true, -1e6f), 1); /* a width of zero */
}

static void another_input_size_is_refused(void **state)
{
    (void) state;
    struct face_network net = one_face(0, 1);
    struct face_tensors t = face_tensors_create(&net, FORM_JOINED, HS_DTYPE_F32, true, false, NULL);
    struct hs_face_layout layout;
    struct hs_error err = { 0 };
    assert_int_equal(hs_face_layout_init(HS_FACE_RETINAFACE, t.descs, 3, 96, 96, false, &layout, &err), HS_EMODEL);
    assert_non_null(strstr(err.message, "252x10"));
    assert_int_equal(hs_face_layout_init(HS_FACE_RETINAFACE, t.descs, 1, 96, 64, false, &layout, &err), HS_EMODEL);
    t.descs[2] = t.descs[1];
    assert_int_equal(hs_face_layout_init(HS_FACE_RETINAFACE, t.descs, 3, 96, 64, false, &layout, &err), HS_EMODEL);
    face_tensors_destroy(&t);
    face_network_destroy(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_face_in_every_form),        cmocka_unit_test(quantised_grids_with_logits),
        cmocka_unit_test(priors_have_six_sizes),         cmocka_unit_test(nan_is_not_a_face),
        cmocka_unit_test(another_input_size_is_refused),
    };
    return HS_RUN_TESTS(tests);
}
