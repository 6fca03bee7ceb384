#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "../alloc_fail.h"
#include "convert/model_shape.h"
#include "pose_onnx.h"

static struct hs_onnx_info *finish(struct hs_buf *model)
{
    struct hs_onnx_info *info = NULL;
    struct hs_error err = { 0 };
    if (hs_onnx_info_parse(model->data, model->len, &info, &err) < 0)
        fail_msg("%s", err.message);
    hs_buf_finish(model);
    return info;
}

/* A model as Ultralytics exports it: one class, 17 keypoints of three numbers, with metadata. */
static struct hs_onnx_info *usual(int side)
{
    struct hs_buf model;
    pose_onnx_decoded(&model, side, 56, side * side / 64 * 21 / 16);
    pose_onnx_prop(&model, "task", "pose");
    pose_onnx_prop(&model, "names", "{0: 'person'}");
    pose_onnx_prop(&model, "kpt_shape", "[17, 3]");
    pose_onnx_prop(&model, "stride", "32");
    pose_onnx_prop(&model, "imgsz", "[640, 640]");
    return finish(&model);
}

static struct hs_onnx_info *raw(int box, int classes, int points, const char *kpt_shape)
{
    struct hs_buf model;
    pose_onnx_raw(&model, box, classes, points);
    pose_onnx_prop(&model, "kpt_shape", kpt_shape);
    return finish(&model);
}

static void set_prop(struct hs_onnx_info *info, const char *key, const char *value)
{
    for (size_t i = 0; i < info->prop_count; i++)
        if (strcmp(info->props[i].key, key) == 0) {
            free(info->props[i].value);
            info->props[i].value = strdup(value);
            return;
        }
    info->props[info->prop_count++] = (struct hs_onnx_prop) { strdup(key), strdup(value) };
}

/* Reads and frees the info. `shape` holds the user's options. */
static void accept(struct hs_onnx_info *info, struct hs_model_shape *shape)
{
    struct hs_error err = { 0 };
    if (hs_pose_shape_read(info, shape, &err) < 0)
        fail_msg("%s", err.message);
    hs_onnx_info_destroy(info);
}

static void refuse(struct hs_onnx_info *info, struct hs_model_shape shape, const char *reason)
{
    struct hs_error err = { 0 };
    assert_int_equal(hs_pose_shape_read(info, &shape, &err), HS_EMODEL);
    if (!strstr(err.message, reason))
        fail_msg("\"%s\" does not say \"%s\"", err.message, reason);
    assert_null(shape.labels.labels);
    assert_null(shape.keypoint_names.labels);
    hs_onnx_info_destroy(info);
}

static const struct hs_model_shape unsaid;

static void a_default_export(void **state)
{
    (void) state;
    struct hs_model_shape shape = { 0 };
    accept(usual(640), &shape);
    assert_int_equal(shape.decode, HS_DECODE_YOLO_POSE_DECODED);
    assert_int_equal(shape.scores, HS_SCORES_PROBABILITIES);
    assert_int_equal(shape.classes, 1);
    assert_int_equal(shape.keypoints, 17);
    assert_int_equal(shape.dims, 3);
    assert_int_equal(shape.width, 640);
    assert_int_equal(shape.height, 640);
    assert_int_equal(shape.stride, 0); /* this size only */
    assert_int_equal(shape.labels.count, 1);
    assert_string_equal(shape.labels.labels[0], "person");
    hs_label_list_finish(&shape.labels);
}

static void other_classes_and_keypoints(void **state)
{
    (void) state;
    struct hs_buf model;
    struct hs_model_shape shape = { 0 };
    pose_onnx_decoded(&model, 320, 4 + 3 + 5 * 2, 2100);
    pose_onnx_prop(&model, "task", "pose");
    pose_onnx_prop(&model, "names", "['a', 'b', 'c']");
    pose_onnx_prop(&model, "kpt_shape", "(5, 2)");
    accept(finish(&model), &shape);
    assert_int_equal(shape.classes, 3);
    assert_int_equal(shape.keypoints, 5);
    assert_int_equal(shape.dims, 2);
    hs_label_list_finish(&shape.labels);
}

static void user_options_replace_missing_metadata(void **state)
{
    (void) state;
    struct hs_buf model;
    struct hs_model_shape said = { .keypoints = 17 }, more = { .keypoints = 4, .dims = 2, .classes = 6 };
    pose_onnx_decoded(&model, 640, 56, 8400);
    refuse(finish(&model), unsaid, "--keypoints");
    pose_onnx_decoded(&model, 640, 56, 8400);
    accept(finish(&model), &said);
    assert_int_equal(said.classes, 1);
    assert_int_equal(said.dims, 3);
    assert_null(said.labels.labels);
    pose_onnx_decoded(&model, 640, 18, 8400);
    accept(finish(&model), &more);
    pose_onnx_decoded(&model, 640, 57, 8400);
    refuse(finish(&model), (struct hs_model_shape) { .keypoints = 17 }, "57 channels");
}

/* As written by an export with `dynamic=True` and without `simplify`. */
static void an_unknown_channel_count(void **state)
{
    (void) state;
    struct hs_buf model;
    const struct hs_model_shape said = { .keypoints = 2, .dims = 2, .classes = 1 };
    struct hs_model_shape shape = { 0 };
    pose_onnx_decoded(&model, 64, 0, 84);
    pose_onnx_prop(&model, "names", "{0: 'card'}");
    pose_onnx_prop(&model, "kpt_shape", "[2, 2]");
    accept(finish(&model), &shape);
    assert_int_equal(shape.keypoints, 2);
    assert_int_equal(shape.dims, 2);
    hs_label_list_finish(&shape.labels);
    pose_onnx_decoded(&model, 64, 0, 84);
    shape = said;
    accept(finish(&model), &shape);
    /* Numbers that cannot be compared with the file are not guessed. */
    for (int i = 0; i < 3; i++) {
        struct hs_model_shape less = said;
        *(i == 0 ? &less.keypoints : i == 1 ? &less.dims : &less.classes) = 0;
        pose_onnx_decoded(&model, 64, 0, 84);
        refuse(finish(&model), less, "--keypoints N");
    }
}

static void keypoint_names(void **state)
{
    (void) state;
    struct hs_onnx_info *info = usual(640);
    struct hs_model_shape shape = { 0 };
    struct hs_buf model;
    set_prop(info, "kpt_names", "{0: ['a', 'b']}"); /* two names for 17 keypoints */
    accept(info, &shape);
    assert_null(shape.keypoint_names.labels);
    hs_label_list_finish(&shape.labels);
    pose_onnx_decoded(&model, 64, 4 + 2 + 2 * 2, 84);
    pose_onnx_prop(&model, "kpt_shape", "[2, 2]");
    pose_onnx_prop(&model, "kpt_names", "{0: ['top', 'bottom'], 1: ['top', 'bottom']}");
    shape = (struct hs_model_shape) { .classes = 2 };
    accept(finish(&model), &shape);
    assert_int_equal(shape.keypoint_names.count, 2);
    assert_string_equal(shape.keypoint_names.labels[1], "bottom");
    hs_label_list_finish(&shape.keypoint_names);
    /* A refused model keeps no names. */
    pose_onnx_decoded(&model, 64, 11, 84);
    pose_onnx_prop(&model, "kpt_shape", "[2, 2]");
    pose_onnx_prop(&model, "kpt_names", "{0: ['top', 'bottom']}");
    refuse(finish(&model), unsaid, "11 channels");
}

static void overlaps_suppressed_by_the_export(void **state)
{
    (void) state;
    struct hs_buf model;
    pose_onnx_decoded(&model, 640, 300, 57);
    pose_onnx_prop(&model, "kpt_shape", "[17, 3]");
    refuse(finish(&model), unsaid, "nms=True");
    pose_onnx_decoded(&model, 640, 0, 0);
    pose_onnx_prop(&model, "kpt_shape", "[17, 3]");
    pose_onnx_prop(&model, "args", "{'batch': 1, 'dynamic': True, 'nms': True}");
    refuse(finish(&model), unsaid, "export it without nms");
}

static void a_contradiction_is_refused(void **state)
{
    (void) state;
    refuse(usual(640), (struct hs_model_shape) { .keypoints = 5 }, "the number of keypoints in the file is 17, not 5");
    refuse(usual(640), (struct hs_model_shape) { .dims = 2 },
           "the number of values per keypoint in the file is 3, not 2");
    refuse(usual(640), (struct hs_model_shape) { .classes = 2 }, "the number of classes in the file is 1, not 2");
    refuse(usual(640), (struct hs_model_shape) { .input = 320 }, "fixed to 640 x 640");
}

static void unsupported_models_are_rejected(void **state)
{
    (void) state;
    struct hs_onnx_info *info = usual(640);
    set_prop(info, "task", "detect");
    refuse(info, unsaid, "task of the model is \"detect\"");
    info = usual(640);
    set_prop(info, "task", "\x1b[31mred");
    refuse(info, unsaid, "\\x1b");
    info = usual(640);
    set_prop(info, "end2end", "True");
    refuse(info, unsaid, "end2end");
    info = usual(640);
    set_prop(info, "names", "{0: open('/etc/passwd')}");
    refuse(info, unsaid, "class names");
    info = usual(640);
    info->external_data = true;
    refuse(info, unsaid, "other files");
    info = usual(640);
    set_prop(info, "kpt_shape", "[17, 4]");
    refuse(info, unsaid, "keypoints (17) or values per keypoint (4)");
    info = usual(640);
    set_prop(info, "kpt_shape", "[99999999999999999999, 3]");
    refuse(info, unsaid, "unsupported number of classes");
    info = usual(640);
    set_prop(info, "kpt_shape", "[18, 3]");
    refuse(info, unsaid, "56 channels");
}

static void inputs(void **state)
{
    (void) state;
    struct hs_onnx_info *info = usual(640);
    info->inputs[0].elem_type = HS_ONNX_FLOAT16;
    refuse(info, unsaid, "half");
    info = usual(640);
    info->inputs[0].elem_type = HS_ONNX_UINT8;
    refuse(info, unsaid, "32-bit float");
    info = usual(640);
    info->inputs[0].dims[1] = 1;
    refuse(info, unsaid, "[batch, 3, height, width]");
    info = usual(640);
    info->inputs[0].dims[0] = 8;
    refuse(info, unsaid, "batches of 8");
    info = usual(640);
    info->inputs[0].rank = 3;
    refuse(info, unsaid, "4 dimensions");
    info = usual(640);
    info->input_count = 2;
    refuse(info, unsaid, "one input");
    info = usual(640);
    info->inputs[0].dims[2] = 650;
    refuse(info, unsaid, "multiples of 32");
    info = usual(640);
    set_prop(info, "stride", "64");
    info->inputs[0].dims[2] = 352;
    refuse(info, unsaid, "multiples of 64");
    info = usual(640);
    info->inputs[0].dims[2] = info->inputs[0].dims[3] = 9600;
    refuse(info, unsaid, "at most 8192");
}

static void a_dynamic_input_takes_the_requested_size(void **state)
{
    (void) state;
    struct hs_model_shape shape = { 0 }, small = { .input = 320 }, plain = { 0 };
    struct hs_onnx_info *info = raw(64, 1, 51, "[17, 3]");
    set_prop(info, "imgsz", "[384, 640]");
    accept(info, &shape);
    assert_int_equal(shape.height, 384);
    assert_int_equal(shape.width, 640);
    assert_int_equal(shape.stride, 32);
    accept(raw(64, 1, 51, "[17, 3]"), &small);
    assert_int_equal(small.width, 320);
    info = raw(64, 1, 51, "[17, 3]");
    set_prop(info, "imgsz", "416");
    accept(info, &plain);
    assert_int_equal(plain.height, 416);
    assert_int_equal(plain.width, 416);
    refuse(raw(64, 1, 51, "[17, 3]"), (struct hs_model_shape) { .input = 333 }, "multiples of 32");
}

static void nine_raw_outputs(void **state)
{
    (void) state;
    struct hs_model_shape shape = { 0 }, sigmoid = { 0 }, few_bins = { .classes = 4 };
    accept(raw(64, 1, 51, "[17, 3]"), &shape);
    assert_int_equal(shape.decode, HS_DECODE_YOLO_POSE_RAW);
    assert_int_equal(shape.scores, HS_SCORES_LOGITS);
    struct hs_onnx_info *info = raw(64, 1, 51, "[17, 3]");
    set_prop(info, "scores", "probabilities");
    accept(info, &sigmoid);
    assert_int_equal(sigmoid.scores, HS_SCORES_PROBABILITIES);
    accept(raw(32, 4, 10, "[5, 2]"), &few_bins);
    assert_int_equal(few_bins.keypoints, 5);
    refuse(raw(64, 64, 51, "[17, 3]"), (struct hs_model_shape) { .classes = 64 }, "three different channel counts");
    refuse(raw(63, 1, 51, "[17, 3]"), unsaid, "three different channel counts");
    refuse(raw(64, 2, 51, "[17, 3]"), unsaid, "three different channel counts");
    refuse(raw(64, 1, 50, "[17, 3]"), unsaid, "three different channel counts");
    info = raw(64, 1, 51, "[17, 3]");
    info->outputs[4].rank = 3;
    refuse(info, unsaid, "nine outputs");
}

static void other_outputs(void **state)
{
    (void) state;
    struct hs_onnx_info *info = usual(640);
    info->outputs[0].rank = 2;
    refuse(info, unsaid, "one output [1, channels, cells] or nine raw ones; this one has 1");
    info = usual(640);
    info->output_count = 2;
    refuse(info, unsaid, "this one has 2");
    info = usual(640);
    info->output_count = 0;
    refuse(info, unsaid, "this one has 0");
    info = usual(640);
    info->outputs[0].dims[1] = 8400;
    info->outputs[0].dims[2] = 56;
    refuse(info, unsaid, "transposed");
    info = usual(640);
    info->outputs[0].dims[0] = 4;
    refuse(info, unsaid, "batches of 4");
}

static int read_without_memory(void *arg)
{
    const struct hs_buf *model = arg;
    struct hs_onnx_info *info = NULL;
    struct hs_model_shape shape = { 0 };
    struct hs_error err = { 0 };
    int r = hs_onnx_info_parse(model->data, model->len, &info, &err);
    assert_true((r == 0) == (info != NULL));
    if (r == 0)
        r = hs_pose_shape_read(info, &shape, &err);
    assert_int_equal(r, err.code);
    if (r == 0) {
        assert_int_equal(shape.labels.count, 2);
        assert_string_equal(shape.labels.labels[1], "dog");
        assert_int_equal(shape.keypoint_names.count, 3);
        assert_string_equal(shape.keypoint_names.labels[2], "tail");
    } else {
        assert_non_null(strstr(err.message, "out of memory"));
        assert_null(shape.labels.labels);
        assert_null(shape.keypoint_names.labels);
    }
    hs_label_list_finish(&shape.labels);
    hs_label_list_finish(&shape.keypoint_names);
    hs_onnx_info_destroy(info);
    return r;
}

/* On failure the model must be refused, not served without its names. */
static void each_allocation_may_fail(void **state)
{
    (void) state;
    struct hs_buf model;
    pose_onnx_decoded(&model, 64, 4 + 2 + 3 * 3, 84);
    pose_onnx_prop(&model, "task", "pose");
    pose_onnx_prop(&model, "names", "{0: 'cat', 1: 'dog'}");
    pose_onnx_prop(&model, "kpt_shape", "[3, 3]");
    pose_onnx_prop(&model, "kpt_names", "{0: ['nose', 'ear', 'tail'], 1: ['nose', 'ear', 'tail']}");
    assert_true(hs_fail_each_allocation(read_without_memory, &model) >= 20);
    hs_buf_finish(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_default_export),
        cmocka_unit_test(other_classes_and_keypoints),
        cmocka_unit_test(user_options_replace_missing_metadata),
        cmocka_unit_test(an_unknown_channel_count),
        cmocka_unit_test(keypoint_names),
        cmocka_unit_test(overlaps_suppressed_by_the_export),
        cmocka_unit_test(a_contradiction_is_refused),
        cmocka_unit_test(unsupported_models_are_rejected),
        cmocka_unit_test(inputs),
        cmocka_unit_test(a_dynamic_input_takes_the_requested_size),
        cmocka_unit_test(nine_raw_outputs),
        cmocka_unit_test(other_outputs),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return HS_RUN_TESTS(tests);
}
