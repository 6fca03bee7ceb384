#include "convert/model_shape.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"

enum { DEFAULT_INPUT = 640, DEFAULT_STRIDE = 32, LEVELS = 3, ANCHORS = 2, MIN_DIMENSION = 64, DIMENSION_STEP = 32 };

/* ---- input ---- */

static int check_single_file(const struct hs_onnx_info *info, struct hs_error *err)
{
    if (!info->external_data)
        return 0;
    return hs_error_set(err, HS_EMODEL, "the weights lie in other files; save the model as a single file");
}

static int check_input(const struct hs_onnx_info *info, const char *kind, struct hs_error *err)
{
    const struct hs_onnx_value *input = &info->inputs[0];
    if (info->input_count != 1 || input->rank != 4)
        return hs_error_set(err, HS_EMODEL, "a %s model has one input, a picture with 4 dimensions", kind);
    if (input->elem_type == HS_ONNX_FLOAT16)
        return hs_error_set(err, HS_EMODEL, "the input is 16-bit; export the model without `half`");
    if (input->elem_type != HS_ONNX_FLOAT)
        return hs_error_set(err, HS_EMODEL, "the input must be 32-bit float");
    if (input->dims[1] != 3)
        return hs_error_set(err, HS_EMODEL, "the input must be [batch, 3, height, width]");
    if (input->dims[0] > 1)
        return hs_error_set(err, HS_EMODEL, "the model is fixed to batches of %" PRId64 "; export it with batch 1",
                            input->dims[0]);
    return 0;
}

static int side_of(int64_t dim, int wanted, int from_file)
{
    if (dim > 0 && dim <= HS_MODEL_MAX_INPUT)
        return (int) dim;
    return wanted > 0 ? wanted : from_file > 0 ? from_file : DEFAULT_INPUT;
}

/* Height and width: the fixed ones, else those that the user wants, else those in `from_file` (0: not said). */
static int read_size(const struct hs_onnx_info *info, const int from_file[2], int stride, struct hs_model_shape *shape,
                     struct hs_error *err)
{
    const int64_t *dims = info->inputs[0].dims;
    shape->height = side_of(dims[2], shape->input, from_file[0]);
    shape->width = side_of(dims[3], shape->input, from_file[1]);
    shape->stride = dims[2] < 0 && dims[3] < 0 ? stride : 0;
    if (shape->input > 0 && (shape->width != shape->input || shape->height != shape->input))
        return hs_error_set(err, HS_EMODEL, "the model's input is fixed to %d x %d", shape->width, shape->height);
    if (dims[2] > HS_MODEL_MAX_INPUT || dims[3] > HS_MODEL_MAX_INPUT || shape->width % stride ||
        shape->height % stride || shape->width > HS_MODEL_MAX_INPUT || shape->height > HS_MODEL_MAX_INPUT)
        return hs_error_set(err, HS_EMODEL, "the input's sides (%d x %d) must be multiples of %d, at most %d",
                            shape->width, shape->height, stride, HS_MODEL_MAX_INPUT);
    return 0;
}

static void normalise(struct hs_model_shape *shape, const float mean[3], float std)
{
    for (int i = 0; i < 3; i++) {
        shape->mean[i] = mean[i];
        shape->std[i] = std;
    }
}

/* ---- pose models ---- */

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

static int read_metadata(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err)
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

static int check_counts(struct hs_model_shape *shape, struct hs_error *err)
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
static int read_decoded(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err)
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
static int read_raw(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err)
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

int hs_pose_shape_read(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err)
{
    static const float mean[3] = {0};
    int strides[8], sizes[2] = {0, 0}, stride = DEFAULT_STRIDE;
    size_t count = read_numbers(hs_onnx_info_prop(info, "stride"), strides, 8);
    for (size_t i = 0; i < count; i++)
        stride = strides[i] > stride ? strides[i] : stride;
    if (read_numbers(hs_onnx_info_prop(info, "imgsz"), sizes, 2) == 1)
        sizes[1] = sizes[0];
    shape->task = HS_TASK_POSE;
    normalise(shape, mean, 255);
    int status = check_single_file(info, err);
    if (status == 0)
        status = read_metadata(info, shape, err);
    if (status == 0)
        status = check_input(info, "pose", err);
    if (status == 0)
        status = read_size(info, sizes, stride, shape, err);
    if (status == 0 && info->output_count == 1 && info->outputs[0].rank == 3)
        status = read_decoded(info, shape, err);
    else if (status == 0 && info->output_count == 3 * LEVELS)
        status = read_raw(info, shape, err);
    else if (status == 0)
        status = hs_error_set(err, HS_EMODEL,
                              "a pose model has one output [1, channels, cells] or nine raw ones; this one has %zu",
                              info->output_count);
    if (status < 0)
        hs_label_list_finish(&shape->labels);
    return status;
}

/* ---- face models ---- */

static int64_t last_dim(const struct hs_onnx_value *value)
{
    return value->rank > 0 ? value->dims[value->rank - 1] : -1;
}

/* Outputs of rows with `width` numbers each, with or without a batch dimension. */
static size_t count_rows(const struct hs_onnx_info *info, int64_t width)
{
    size_t count = 0;
    for (size_t i = 0; i < info->output_count; i++) {
        int rank = info->outputs[i].rank;
        count += (rank == 2 || rank == 3) && last_dim(&info->outputs[i]) == width;
    }
    return count;
}

/* [batch, D]; some exports leave [batch, D, 1, 1]. */
static bool is_vector(const struct hs_onnx_value *value)
{
    return value->rank == 2 || (value->rank == 4 && value->dims[2] == 1 && value->dims[3] == 1);
}

bool hs_face_shape_match(const struct hs_onnx_info *info, enum hs_decode *ret_decode)
{
    size_t count = info->output_count, boxes = count_rows(info, 4), points = count_rows(info, 10);
    if ((count == 2 * LEVELS || count == 3 * LEVELS) && boxes == LEVELS && count_rows(info, 1) == LEVELS)
        *ret_decode = HS_DECODE_SCRFD;
    else if (count == 3 && boxes == 1 && count_rows(info, 2) == 1 && points == 1)
        *ret_decode = HS_DECODE_RETINAFACE;
    else if (count == 1 && is_vector(&info->outputs[0]))
        *ret_decode = HS_DECODE_ARCFACE;
    else
        return false;
    return true;
}

/* Cells of the input at a stride, times two anchors. */
static int64_t rows_at(const struct hs_model_shape *shape, int stride)
{
    return (int64_t) (shape->width / stride) * (shape->height / stride) * ANCHORS;
}

static int check_batch(const struct hs_onnx_info *info, struct hs_error *err)
{
    for (size_t i = 0; i < info->output_count; i++)
        if (info->outputs[i].rank == 3 && info->outputs[i].dims[0] > 1)
            return hs_error_set(err, HS_EMODEL, "the model is fixed to batches of %" PRId64, info->outputs[i].dims[0]);
    return 0;
}

/* The rows that the three outputs with `width` numbers a row declare, most first; false unless there are three, all
 * with a number or all without. An export with a free input often keeps the numbers of the size it was made with. */
static bool read_levels(const struct hs_onnx_info *info, int64_t width, int64_t ret[LEVELS])
{
    size_t count = 0, known = 0;
    for (size_t i = 0; i < info->output_count; i++) {
        const struct hs_onnx_value *output = &info->outputs[i];
        if (last_dim(output) != width || count == LEVELS)
            continue;
        int64_t rows = output->dims[output->rank - 2];
        size_t at = count++;
        for (; at > 0 && ret[at - 1] < rows; at--)
            ret[at] = ret[at - 1];
        ret[at] = rows;
        known += rows > 0;
    }
    return count == LEVELS && (known == 0 || known == LEVELS);
}

static int read_scrfd(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err)
{
    static const float mean[] = { 127.5f, 127.5f, 127.5f };
    static const int64_t widths[] = { 1, 4, 10 };
    shape->points = info->output_count == 3 * LEVELS;
    for (size_t i = 0; i < (shape->points ? 3u : 2u); i++) {
        int64_t rows[LEVELS];
        bool fine = read_levels(info, widths[i], rows);
        if (fine && rows[0] > 0)
            fine = rows[0] == 4 * rows[1] && rows[1] == 4 * rows[2];
        if (!fine)
            return hs_error_set(err, HS_EMODEL,
                                "an SCRFD model has three outputs each of 1, 4 and, with points, 10 numbers a row, "
                                "with N, N/4 and N/16 rows");
        if (shape->stride == 0 && rows[0] > 0 && rows[0] != rows_at(shape, 8))
            return hs_error_set(err, HS_EMODEL,
                                "the largest outputs have %" PRId64 " rows; two anchors a cell are %" PRId64, rows[0],
                                rows_at(shape, 8));
    }
    normalise(shape, mean, 128);
    return 0;
}

static int read_retinaface(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err)
{
    static const float mean[] = { 123, 117, 104 };
    int64_t wanted = rows_at(shape, 8) + rows_at(shape, 16) + rows_at(shape, 32);
    for (size_t i = 0; i < info->output_count; i++) {
        const struct hs_onnx_value *output = &info->outputs[i];
        int64_t rows = output->dims[output->rank - 2];
        if (shape->stride == 0 && rows > 0 && rows != wanted)
            return hs_error_set(err, HS_EMODEL,
                                "an output has %" PRId64 " rows; priors of RetinaFace (MobileNet) are %" PRId64, rows,
                                wanted);
    }
    shape->points = true;
    shape->bgr = true;
    normalise(shape, mean, 1);
    return 0;
}

static int read_arcface(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err)
{
    static const float mean[] = { 127.5f, 127.5f, 127.5f };
    const struct hs_onnx_value *input = &info->inputs[0], *output = &info->outputs[0];
    if (input->dims[2] != HS_MODEL_FACE_SIDE || input->dims[3] != HS_MODEL_FACE_SIDE)
        return hs_error_set(err, HS_EMODEL,
                            "a model with one vector as output is a face embedding, and its input must be "
                            "[batch, 3, %d, %d]",
                            HS_MODEL_FACE_SIDE, HS_MODEL_FACE_SIDE);
    if (output->dims[0] > 1)
        return hs_error_set(err, HS_EMODEL, "the model is fixed to batches of %" PRId64, output->dims[0]);
    if (output->dims[1] < MIN_DIMENSION || output->dims[1] > HS_MODEL_MAX_EMBEDDING || output->dims[1] % DIMENSION_STEP)
        return hs_error_set(err, HS_EMODEL,
                            "the output is a vector of %" PRId64 " numbers; a face embedding has %d to %d, a multiple "
                            "of %d",
                            output->dims[1], MIN_DIMENSION, HS_MODEL_MAX_EMBEDDING, DIMENSION_STEP);
    shape->dimension = (int) output->dims[1];
    shape->width = shape->height = HS_MODEL_FACE_SIDE;
    shape->stride = 0;
    normalise(shape, mean, 127.5f);
    return 0;
}

int hs_face_shape_read(const struct hs_onnx_info *info, enum hs_decode decode, struct hs_model_shape *shape,
                       struct hs_error *err)
{
    struct hs_model_shape found = *shape;
    found.decode = decode;
    found.scores = HS_SCORES_PROBABILITIES;
    found.task = decode == HS_DECODE_ARCFACE ? HS_TASK_FACE_EMBEDDING : HS_TASK_FACE_DETECTION;
    int status = check_single_file(info, err);
    if (status == 0)
        status = check_input(info, "face", err);
    for (size_t i = 0; i < info->output_count && status == 0; i++) {
        const struct hs_onnx_value *output = &info->outputs[i];
        if (output->elem_type != HS_ONNX_FLOAT)
            status = hs_error_set(err, HS_EMODEL, "the outputs must be 32-bit float");
    }
    if (status == 0 && decode == HS_DECODE_ARCFACE)
        status = read_arcface(info, &found, err);
    else if (status == 0)
        status = read_size(info, (const int[2]){0, 0}, DEFAULT_STRIDE, &found, err);
    if (status == 0 && decode != HS_DECODE_ARCFACE)
        status = check_batch(info, err);
    if (status == 0 && decode == HS_DECODE_SCRFD)
        status = read_scrfd(info, &found, err);
    if (status == 0 && decode == HS_DECODE_RETINAFACE)
        status = read_retinaface(info, &found, err);
    if (status == 0)
        *shape = found;
    return status;
}
