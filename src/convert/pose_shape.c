#include "convert/pose_shape.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"

enum { DEFAULT_INPUT = 640, DEFAULT_STRIDE = 32, LEVELS = 3 };

/* ---- metadata ---- */

/* The whole numbers of a Python list such as [17, 3], or a plain number; at most `max`. Gives how many. */
static size_t read_numbers(const char *text, int *ret, size_t max)
{
    size_t count = 0;
    if (!text)
        return 0;
    const char *at = text + strspn(text, " [(");
    while (count < max && *at >= '0' && *at <= '9') {
        int value = 0;
        for (; *at >= '0' && *at <= '9'; at++)
            value = value < 100000 ? value * 10 + (*at - '0') : value;
        ret[count++] = value;
        at += strspn(at, " ,");
    }
    return count;
}

/* What the user says wins over nothing, and must not contradict the file. */
static int settle(int *value, int from_file, const char *what, struct hs_error *err)
{
    if (*value > 0 && from_file > 0 && *value != from_file)
        return hs_error_set(err, HS_EMODEL, "the file says %d %s, not %d", from_file, what, *value);
    if (*value == 0)
        *value = from_file;
    return 0;
}

static int read_metadata(const struct hs_onnx_info *info, struct hs_pose_shape *shape, struct hs_error *err)
{
    const char *task = hs_onnx_info_prop(info, "task"), *names = hs_onnx_info_prop(info, "names");
    const char *end2end = hs_onnx_info_prop(info, "end2end");
    char quoted[60];
    int pair[2] = {0, 0};
    if (task && strcmp(task, "pose") != 0) {
        hs_str_quote(quoted, sizeof(quoted), task, strlen(task));
        return hs_error_set(err, HS_EMODEL, "the model's task is %s; only pose models can be served", quoted);
    }
    if (end2end && hs_str_equal_nocase(end2end, "true"))
        return hs_error_set(err, HS_EMODEL, "the model suppresses overlaps itself (end2end); export it without");
    int status = 0;
    if (names)
        status = hs_label_list_parse(names, HS_MODEL_MAX_CLASSES, &shape->labels, err);
    if (status == 0)
        status = settle(&shape->classes, (int) shape->labels.count, "classes", err);
    if (status == 0 && read_numbers(hs_onnx_info_prop(info, "kpt_shape"), pair, 2) == 2) {
        status = settle(&shape->keypoints, pair[0], "keypoints", err);
        if (status == 0)
            status = settle(&shape->dims, pair[1], "numbers a keypoint", err);
    }
    return status;
}

/* ---- input ---- */

static int side_of(int64_t dim, int from_file, int wanted)
{
    if (dim > 0 && dim <= HS_MODEL_MAX_INPUT)
        return (int) dim;
    return wanted > 0 ? wanted : from_file > 0 ? from_file : DEFAULT_INPUT;
}

static int read_input(const struct hs_onnx_info *info, struct hs_pose_shape *shape, struct hs_error *err)
{
    const struct hs_onnx_value *input = &info->inputs[0];
    int strides[8], sizes[2] = {0, 0}, stride = DEFAULT_STRIDE;
    if (info->input_count != 1 || input->rank != 4)
        return hs_error_set(err, HS_EMODEL, "a pose model has one input, a picture with 4 dimensions");
    if (input->elem_type == HS_ONNX_FLOAT16)
        return hs_error_set(err, HS_EMODEL, "the input is 16-bit; export the model without `half`");
    if (input->elem_type != HS_ONNX_FLOAT)
        return hs_error_set(err, HS_EMODEL, "the input must be 32-bit float");
    if (input->dims[1] != 3)
        return hs_error_set(err, HS_EMODEL, "the input must be [batch, 3, height, width]");
    if (input->dims[0] > 1)
        return hs_error_set(err, HS_EMODEL, "the model is fixed to batches of %" PRId64 "; export it with batch 1",
                            input->dims[0]);
    size_t count = read_numbers(hs_onnx_info_prop(info, "stride"), strides, 8);
    for (size_t i = 0; i < count; i++)
        stride = strides[i] > stride ? strides[i] : stride;
    if (read_numbers(hs_onnx_info_prop(info, "imgsz"), sizes, 2) == 1)
        sizes[1] = sizes[0];
    bool open = input->dims[2] < 0 && input->dims[3] < 0;
    shape->height = side_of(input->dims[2], sizes[0], shape->input);
    shape->width = side_of(input->dims[3], sizes[1], shape->input);
    shape->stride = open ? stride : 0;
    if (shape->input > 0 && (shape->width != shape->input || shape->height != shape->input))
        return hs_error_set(err, HS_EMODEL, "the model's input is fixed to %d x %d", shape->width, shape->height);
    if (shape->width % stride || shape->height % stride || shape->width > HS_MODEL_MAX_INPUT ||
        shape->height > HS_MODEL_MAX_INPUT)
        return hs_error_set(err, HS_EMODEL, "the input's sides (%d x %d) must be multiples of %d, at most %d",
                            shape->width, shape->height, stride, HS_MODEL_MAX_INPUT);
    return 0;
}

/* ---- outputs ---- */

static int check_counts(struct hs_pose_shape *shape, struct hs_error *err)
{
    if (shape->keypoints == 0)
        return hs_error_set(err, HS_EMODEL,
                            "the file does not say how many keypoints it has; say it with --keypoints N "
                            "(and --dims 2 or 3, --classes N)");
    if (shape->dims == 0)
        shape->dims = 3;
    if (shape->classes == 0)
        shape->classes = 1;
    if (shape->keypoints > HS_MODEL_MAX_KEYPOINTS || shape->classes > HS_MODEL_MAX_CLASSES ||
        (shape->dims != 2 && shape->dims != 3))
        return hs_error_set(err, HS_EMODEL, "%d classes and %d keypoints with %d numbers each cannot be served",
                            shape->classes, shape->keypoints, shape->dims);
    return 0;
}

/* [1, 4 + classes + keypoints * dims, cells]. */
static int read_decoded(const struct hs_onnx_info *info, struct hs_pose_shape *shape, struct hs_error *err)
{
    const struct hs_onnx_value *output = &info->outputs[0];
    int status = check_counts(shape, err);
    if (status < 0)
        return status;
    int64_t wanted = 4 + shape->classes + (int64_t) shape->keypoints * shape->dims;
    if (output->dims[0] > 1)
        return hs_error_set(err, HS_EMODEL, "the model is fixed to batches of %" PRId64, output->dims[0]);
    if (output->dims[2] == wanted && output->dims[1] != wanted)
        return hs_error_set(err, HS_EMODEL, "the output is transposed: [1, %" PRId64 ", cells] is needed", wanted);
    if (output->dims[1] != wanted)
        return hs_error_set(err, HS_EMODEL,
                            "the output has %" PRId64 " channels; a box, %d classes and %d keypoints with %d "
                            "numbers each are 4 + %d + %d * %d = %" PRId64,
                            output->dims[1], shape->classes, shape->keypoints, shape->dims, shape->classes,
                            shape->keypoints, shape->dims, wanted);
    shape->decode = HS_DECODE_YOLO_POSE_DECODED;
    shape->scores = HS_SCORES_PROBABILITIES;
    return 0;
}

static int count_channels(const struct hs_onnx_info *info, int64_t channels)
{
    int count = 0;
    for (size_t i = 0; i < info->output_count; i++)
        count += info->outputs[i].dims[1] == channels;
    return count;
}

/* For each of three strides a box, a class and a keypoint tensor. The decoder tells them apart by channel count, so the
 * three counts must differ; the box's is what is left, four times the number of bins. */
static int read_raw(const struct hs_onnx_info *info, struct hs_pose_shape *shape, struct hs_error *err)
{
    int status = check_counts(shape, err);
    if (status < 0)
        return status;
    int64_t classes = shape->classes, points = (int64_t) shape->keypoints * shape->dims, box = 0;
    for (size_t i = 0; i < info->output_count; i++) {
        const struct hs_onnx_value *output = &info->outputs[i];
        if (output->rank != 4 || output->dims[0] > 1)
            return hs_error_set(err, HS_EMODEL, "each of the nine outputs must be [1, channels, height, width]");
        if (output->dims[1] != classes && output->dims[1] != points)
            box = output->dims[1];
    }
    bool fine = box > 0 && box % 4 == 0 && count_channels(info, box) == LEVELS &&
                count_channels(info, classes) == LEVELS && count_channels(info, points) == LEVELS;
    if (!fine)
        return hs_error_set(err, HS_EMODEL,
                            "the nine outputs must have three different channel counts, three of each: "
                            "boxes, %" PRId64 " classes, %d * %d for keypoints",
                            classes, shape->keypoints, shape->dims);
    const char *scores = hs_onnx_info_prop(info, "scores");
    shape->decode = HS_DECODE_YOLO_POSE_RAW;
    shape->scores = scores && strcmp(scores, "probabilities") == 0 ? HS_SCORES_PROBABILITIES : HS_SCORES_LOGITS;
    return 0;
}

int hs_pose_shape_read(const struct hs_onnx_info *info, struct hs_pose_shape *shape, struct hs_error *err)
{
    int status = info->external_data
                     ? hs_error_set(err, HS_EMODEL, "the weights lie in other files; save the model as a single file")
                     : read_metadata(info, shape, err);
    if (status == 0)
        status = read_input(info, shape, err);
    if (status == 0) {
        if (info->output_count == 1 && info->outputs[0].rank == 3)
            status = read_decoded(info, shape, err);
        else if (info->output_count == 3 * LEVELS)
            status = read_raw(info, shape, err);
        else
            status = hs_error_set(err, HS_EMODEL,
                                  "a pose model has one output [1, channels, cells] or nine raw ones; this "
                                  "one has %zu",
                                  info->output_count);
    }
    if (status < 0)
        hs_label_list_finish(&shape->labels);
    return status;
}
