#include "convert/face_shape.h"

#include <inttypes.h>

enum { DEFAULT_INPUT = 640, STRIDE = 32, LEVELS = 3, ANCHORS = 2, MIN_DIMENSION = 64, DIMENSION_STEP = 32 };

/* ---- which family ---- */

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

/* ---- input ---- */

static int check_input(const struct hs_onnx_info *info, struct hs_error *err)
{
    const struct hs_onnx_value *input = &info->inputs[0];
    if (info->external_data)
        return hs_error_set(err, HS_EMODEL, "the weights lie in other files; save the model as a single file");
    if (info->input_count != 1 || input->rank != 4)
        return hs_error_set(err, HS_EMODEL, "a face model has one input, a picture with 4 dimensions");
    if (input->elem_type != HS_ONNX_FLOAT)
        return hs_error_set(err, HS_EMODEL, "the input must be 32-bit float");
    if (input->dims[1] != 3)
        return hs_error_set(err, HS_EMODEL, "the input must be [batch, 3, height, width]");
    if (input->dims[0] > 1)
        return hs_error_set(err, HS_EMODEL, "the model is fixed to batches of %" PRId64 "; export it with batch 1",
                            input->dims[0]);
    for (size_t i = 0; i < info->output_count; i++)
        if (info->outputs[i].elem_type != HS_ONNX_FLOAT)
            return hs_error_set(err, HS_EMODEL, "the outputs must be 32-bit float");
    return 0;
}

static int side_of(int64_t dim, int wanted)
{
    return dim > 0 && dim <= HS_MODEL_MAX_INPUT ? (int) dim : wanted > 0 ? wanted : DEFAULT_INPUT;
}

static int read_size(const struct hs_onnx_value *input, struct hs_face_shape *shape, struct hs_error *err)
{
    bool open = input->dims[2] < 0 && input->dims[3] < 0;
    shape->height = side_of(input->dims[2], shape->input);
    shape->width = side_of(input->dims[3], shape->input);
    shape->stride = open ? STRIDE : 0;
    if (shape->input > 0 && (shape->width != shape->input || shape->height != shape->input))
        return hs_error_set(err, HS_EMODEL, "the model's input is fixed to %d x %d", shape->width, shape->height);
    if (input->dims[2] > HS_MODEL_MAX_INPUT || input->dims[3] > HS_MODEL_MAX_INPUT || shape->width % STRIDE ||
        shape->height % STRIDE || shape->width > HS_MODEL_MAX_INPUT || shape->height > HS_MODEL_MAX_INPUT)
        return hs_error_set(err, HS_EMODEL, "the input's sides (%d x %d) must be multiples of %d, at most %d",
                            shape->width, shape->height, STRIDE, HS_MODEL_MAX_INPUT);
    return 0;
}

static void normalise(struct hs_face_shape *shape, const float mean[3], float std)
{
    for (int i = 0; i < 3; i++) {
        shape->mean[i] = mean[i];
        shape->std[i] = std;
    }
}

/* ---- outputs ---- */

/* Cells of the input at a stride, times two anchors. */
static int64_t rows_at(const struct hs_face_shape *shape, int stride)
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

static int read_scrfd(const struct hs_onnx_info *info, struct hs_face_shape *shape, struct hs_error *err)
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

static int read_retinaface(const struct hs_onnx_info *info, struct hs_face_shape *shape, struct hs_error *err)
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

static int read_arcface(const struct hs_onnx_info *info, struct hs_face_shape *shape, struct hs_error *err)
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

int hs_face_shape_read(const struct hs_onnx_info *info, enum hs_decode decode, struct hs_face_shape *shape,
                       struct hs_error *err)
{
    struct hs_face_shape found = { .input = shape->input, .decode = decode };
    found.task = decode == HS_DECODE_ARCFACE ? HS_TASK_FACE_EMBEDDING : HS_TASK_FACE_DETECTION;
    int status = check_input(info, err);
    if (status == 0 && decode != HS_DECODE_ARCFACE)
        status = read_size(&info->inputs[0], &found, err);
    if (status == 0 && decode != HS_DECODE_ARCFACE)
        status = check_batch(info, err);
    if (status == 0)
        status = decode == HS_DECODE_ARCFACE      ? read_arcface(info, &found, err)
                 : decode == HS_DECODE_RETINAFACE ? read_retinaface(info, &found, err)
                                                  : read_scrfd(info, &found, err);
    if (status == 0)
        *shape = found;
    return status;
}
