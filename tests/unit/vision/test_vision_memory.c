/* Runs each scenario with its first, second, third … allocation failing. It then returns HS_ENOMEM, and lists
 * are usable and either empty or unchanged. */
#include "../unit.h"

#include <math.h>

#include "../alloc_fail.h"
#include "base/mem.h"
#include "face_tensors.h"
#include "vision/coco_eval.h"
#include "vision/detector.h"
#include "vision/face_list.h"
#include "vision/iou_match.h"
#include "vision/pose_list.h"
#include "vision/yolo_pose.h"

static void each(int (*scenario)(void *arg), void *arg, int least)
{
    int count = hs_fail_each_allocation(scenario, arg);
    if (count < least)
        fail_msg("%d allocations failed, at least %d should", count, least);
}

/* ---- poses ---- */

enum { CHANNELS = 4 + 1 + 2 * 3, CELLS = 84, PEOPLE = 2 };

struct rows {
    struct hs_yolo_pose_layout layout;
    struct hs_tensor_view view;
};

static int decode_poses(void *arg)
{
    static const struct hs_yolo_pose_params params = { 0.5f, 0.5f, 10 };
    const struct rows *rows = arg;
    struct hs_pose_list list;
    hs_pose_list_init(&list);
    int r = hs_yolo_pose_decode(&rows->layout, &rows->view, &params, &list);
    if (r == 0) {
        assert_int_equal(list.count, PEOPLE);
        assert_float_equal(list.poses[0].score, 0.9, 1e-6);
        assert_float_equal(list.poses[0].box.x1, 6, 1e-5);
        assert_float_equal(hs_pose_list_keypoints(&list, 1)[1].x, 41, 1e-5);
    } else {
        assert_int_equal(list.count, 0);
    }
    hs_pose_list_finish(&list);
    return r;
}

static void poses_are_decoded(void **state)
{
    (void) state;
    static float values[CHANNELS][CELLS];
    const struct hs_yolo_pose_spec spec = { .classes = 1, .keypoints = 2, .dims = 3, .input_w = 64, .input_h = 64 };
    struct hs_tensor_desc desc = { .dtype = HS_DTYPE_F32,
                                   .layout = HS_LAYOUT_ROWS,
                                   .h = CHANNELS,
                                   .w = CELLS,
                                   .c = 1,
                                   .scale = 1,
                                   .size_bytes = sizeof(values) };
    struct rows rows;
    struct hs_error err = { 0 };
    for (int i = 0; i < PEOPLE; i++) {
        const float column[CHANNELS] = {
            (float) (10 + 30 * i), 10, 8, 8, 0.9f - 0.1f * (float) i, (float) (10 + 30 * i), 10, 1,
            (float) (11 + 30 * i), 12, 1
        };
        for (int c = 0; c < CHANNELS; c++)
            values[c][7 * i] = column[c];
    }
    if (hs_yolo_pose_layout_init(&desc, 1, &spec, &rows.layout, &err) < 0)
        fail_msg("%s", err.message);
    rows.view = hs_tensor_view_of(&desc, values);
    each(decode_poses, &rows, 4);
}

static int reserve_poses(void *arg)
{
    struct hs_pose_list list;
    (void) arg;
    hs_pose_list_init(&list);
    int r = hs_pose_list_reserve(&list, 4, 17);
    if (r == 0) {
        list.count = 4;
        r = hs_pose_list_reserve(&list, 8, 17);
    }
    /* The list is empty, and all entries within its capacities are writable, after any failure. */
    assert_int_equal(list.count, 0);
    if (r == 0)
        hs_pose_list_keypoints(&list, 7)[16] = (struct hs_keypoint) { 1, 1, 1 };
    if (list.pose_capacity > 0)
        list.poses[list.pose_capacity - 1] = (struct hs_pose) { 0 };
    if (list.keypoint_capacity > 0)
        list.keypoints[list.keypoint_capacity - 1] = (struct hs_keypoint) { 0 };
    hs_pose_list_finish(&list);
    return r;
}

static int reserve_faces(void *arg)
{
    struct hs_face_list list;
    (void) arg;
    hs_face_list_init(&list);
    int r = hs_face_list_reserve(&list, 4);
    if (r == 0) {
        list.count = 4;
        r = hs_face_list_reserve(&list, 8);
    }
    assert_int_equal(list.count, 0);
    if (list.capacity > 0)
        list.faces[list.capacity - 1] = (struct hs_face) { 0 };
    assert_true(r < 0 || list.capacity == 8);
    hs_face_list_finish(&list);
    return r;
}

static void lists_reserve_memory(void **state)
{
    (void) state;
    assert_int_equal(hs_fail_each_allocation(reserve_poses, NULL), 4);
    assert_int_equal(hs_fail_each_allocation(reserve_faces, NULL), 2);
}

/* ---- faces ---- */

struct network {
    struct hs_face_layout layout;
    struct face_tensors tensors;
};

static int decode_faces(void *arg)
{
    static const struct hs_face_params params = { 0.5f, 0.4f, 100 };
    const struct network *net = arg;
    struct hs_face_list list;
    hs_face_list_init(&list);
    int r = hs_face_decode(&net->layout, net->tensors.views, &params, &list);
    if (r == 0) {
        assert_int_equal(list.count, 1);
        assert_float_equal(list.faces[0].score, 0.75, 1e-5);
        assert_true(list.faces[0].has_landmarks);
    } else {
        assert_int_equal(list.count, 0);
    }
    hs_face_list_finish(&list);
    return r;
}

static void faces_are_decoded(void **state)
{
    (void) state;
    static const enum hs_face_network networks[] = { HS_FACE_SCRFD, HS_FACE_RETINAFACE };
    for (size_t i = 0; i < HS_ARRAY_LEN(networks); i++) {
        bool retina = networks[i] == HS_FACE_RETINAFACE;
        struct face_network values = face_network_create(96, 64, retina ? 2 : 1, 0.25f);
        struct network net;
        struct hs_error err = { 0 };
        face_value(&values, 1, SCORE, 1, 3, 1)[retina] = 0.75f;
        for (int k = 0; k < 4; k++)
            face_value(&values, 1, BOX, 1, 3, 1)[k] = 1;
        net.tensors = face_tensors_create(&values, retina ? FORM_JOINED : FORM_ROWS, HS_DTYPE_F32, true, false, NULL);
        if (hs_face_layout_init(networks[i], net.tensors.descs, net.tensors.count, 96, 64, false, &net.layout, &err) <
            0)
            fail_msg("%s", err.message);
        each(decode_faces, &net, 3);
        face_tensors_destroy(&net.tensors);
        face_network_destroy(&values);
    }
}

static const struct hs_face some_faces[] = {
    { .box = { 0, 0, 10, 10 }, .score = 0.5f },
    { .box = { 50, 0, 60, 10 }, .score = 0.6f },
    { .box = { 1, 0, 11, 10 }, .score = 0.9f }, /* the first one again */
};

/* If adding or merging fails, the list is unchanged. */
static int merge_lists(void *arg)
{
    bool merge = *(const bool *) arg;
    struct hs_face_list list, more;
    hs_face_list_init(&list);
    hs_face_list_init(&more);
    int r = hs_face_list_reserve(&list, 1);
    if (r == 0)
        r = hs_face_list_reserve(&more, 2);
    if (r == 0) {
        list.faces[list.count++] = some_faces[0];
        more.faces[more.count++] = some_faces[1];
        more.faces[more.count++] = some_faces[2];
        r = merge ? hs_face_list_merge(&list, &more, 0.5f, 10) : hs_face_list_add(&list, &more, 10);
        assert_int_equal(more.count, 2);
        assert_int_equal(list.count, r == 0 ? 2 : 1);
        assert_float_equal(list.faces[0].score, r == 0 ? 0.6f : 0.5f, 0);
        assert_float_equal(list.faces[list.count - 1].score, 0.5f, 0);
    }
    hs_face_list_finish(&list);
    hs_face_list_finish(&more);
    return r;
}

static void lists_are_merged(void **state)
{
    (void) state;
    for (int merge = 0; merge < 2; merge++) {
        bool arg = merge;
        assert_int_equal(hs_fail_each_allocation(merge_lists, &arg), 3);
    }
}

/* ---- candidates ---- */

static struct hs_rect box_of(const void *decoder, uint32_t place)
{
    (void) decoder;
    return (struct hs_rect) { (float) place * 20, 0, (float) place * 20 + 10, 10 };
}

/* More hits than the first allocation holds. */
static int suppress(void *arg)
{
    struct hs_hits hits = { .threshold = 0.1f };
    struct hs_nms_candidate *kept = NULL;
    size_t count = 0;
    int r = 0;
    (void) arg;
    for (uint32_t i = 0; i < 600 && r == 0; i++) {
        r = hs_hits_add(&hits, 0.2f + (float) i / 1000, i, 0);
        assert_int_equal(hits.count, r == 0 ? i + 1 : i);
    }
    if (r == 0)
        r = hs_hits_suppress(&hits, box_of, NULL, 0.5f, 5, &kept, &count);
    if (r == 0) {
        assert_int_equal(count, 5);
        assert_int_equal(kept[0].id, 599);
        assert_int_equal(kept[4].id, 595);
    } else {
        assert_null(kept);
    }
    free(kept);
    hs_hits_finish(&hits);
    return r;
}

static void candidates_are_suppressed(void **state)
{
    (void) state;
    assert_int_equal(hs_fail_each_allocation(suppress, NULL), 4);
}

/* ---- evaluation ---- */

static int evaluate(void *arg)
{
    static const int64_t images[] = { 2, 1, 1 };
    const struct hs_coco_truth *truths = arg;
    struct hs_coco_result results[2] = { { .image_id = 1, .score = 0.9 }, { .image_id = 2, .score = 0.8 } };
    struct hs_coco_metrics metrics = { .ap = -2 };
    struct hs_error err = { 0 };
    for (int i = 0; i < 2; i++) {
        memcpy(results[i].keypoints, truths[i].keypoints, sizeof(results[i].keypoints));
        results[i].area = hs_coco_result_area(results[i].keypoints);
    }
    int r = hs_coco_evaluate(images, 3, truths, 2, results, 2, &metrics, &err);
    assert_int_equal(r, err.code);
    if (r == 0)
        assert_true(fabs(metrics.ap - 1) < 1e-9 && fabs(metrics.ar - 1) < 1e-9 && metrics.ap_medium == -1);
    else
        assert_true(metrics.ap == -2 && err.message[0]);
    return r;
}

static void detections_are_evaluated(void **state)
{
    (void) state;
    struct hs_coco_truth truths[2];
    for (int i = 0; i < 2; i++) {
        truths[i] = (struct hs_coco_truth) {
            .image_id = i + 1, .area = 14400, .bbox = { 100, 100, 120, 120 }, .keypoint_count = HS_COCO_KEYPOINTS
        };
        for (int k = 0; k < HS_COCO_KEYPOINTS; k++) {
            truths[i].keypoints[3 * k] = truths[i].keypoints[3 * k + 1] = 100 + 7 * k;
            truths[i].keypoints[3 * k + 2] = 2;
        }
    }
    each(evaluate, truths, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poses_are_decoded),         cmocka_unit_test(lists_reserve_memory),
        cmocka_unit_test(faces_are_decoded),         cmocka_unit_test(lists_are_merged),
        cmocka_unit_test(candidates_are_suppressed), cmocka_unit_test(detections_are_evaluated),
    };
    return HS_RUN_TESTS(tests);
}
