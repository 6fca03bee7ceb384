/* An ONNX file: its inputs, outputs and metadata, and the shape of a pose or face model if it is one. */
#include <stdlib.h>
#include <string.h>

#include "convert/model_shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_values(const struct hs_onnx_value *a, const struct hs_onnx_value *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(a[i].name, b[i].name) != 0 || a[i].elem_type != b[i].elem_type || a[i].rank != b[i].rank ||
            a[i].rank < -1 || a[i].rank > HS_ONNX_MAX_DIMS)
            abort();
        for (const char *p = a[i].name; *p; p++)
            if (*p < 32 || *p > 126)
                abort();
        for (int k = 0; k < a[i].rank; k++)
            if (a[i].dims[k] != b[i].dims[k] || a[i].dims[k] == 0 || a[i].dims[k] < -1)
                abort();
    }
}

static void check_same(const struct hs_onnx_info *a, const struct hs_onnx_info *b)
{
    if (a->ir_version != b->ir_version || a->ir_version <= 0 || a->opset != b->opset || a->opset < 0 ||
        a->external_data != b->external_data || a->node_count != b->node_count || a->input_count != b->input_count ||
        a->output_count != b->output_count || a->prop_count != b->prop_count || a->prop_count > HS_ONNX_MAX_PROPS ||
        strcmp(a->producer, b->producer) != 0)
        abort();
    check_values(a->inputs, b->inputs, a->input_count);
    check_values(a->outputs, b->outputs, a->output_count);
    for (size_t i = 0; i < a->prop_count; i++) {
        const char *value = hs_onnx_info_prop(a, a->props[i].key);
        if (!value || strcmp(value, hs_onnx_info_prop(b, b->props[i].key)) != 0)
            abort();
    }
}

/* An accepted shape can be served: all values are within the limits of a pack, and the channels add up. */
static void check_shape(const struct hs_onnx_info *info, struct hs_model_shape shape)
{
    const struct hs_model_shape wanted = shape;
    struct hs_error err;
    int r = hs_pose_shape_read(info, &shape, &err);
    if (r < 0) {
        if (err.code != r || !err.message[0] || shape.labels.labels || shape.keypoint_names.labels)
            abort();
        return;
    }
    int points = shape.keypoints * shape.dims, stride = shape.stride ? shape.stride : 1;
    if (shape.classes < 1 || shape.classes > HS_MODEL_MAX_CLASSES || shape.keypoints < 1 ||
        shape.keypoints > HS_MODEL_MAX_KEYPOINTS || shape.dims < 2 || shape.dims > 3)
        abort();
    if (shape.width < 1 || shape.height < 1 || shape.width > HS_MODEL_MAX_INPUT || shape.height > HS_MODEL_MAX_INPUT ||
        shape.width % stride || shape.height % stride)
        abort();
    if ((wanted.classes && wanted.classes != shape.classes) || (wanted.dims && wanted.dims != shape.dims) ||
        (wanted.keypoints && wanted.keypoints != shape.keypoints) || (wanted.input && wanted.input != shape.width))
        abort();
    if (shape.labels.count && shape.labels.count != (size_t) shape.classes)
        abort();
    if (shape.keypoint_names.count && shape.keypoint_names.count != (size_t) shape.keypoints)
        abort();
    int64_t channels = info->outputs[0].dims[1]; /* -1: dynamic */
    if (shape.decode == HS_DECODE_YOLO_POSE_DECODED && channels >= 0 && channels != 4 + shape.classes + points)
        abort();
    hs_label_list_finish(&shape.labels);
    hs_label_list_finish(&shape.keypoint_names);
}

static void check_face(const struct hs_onnx_info *info, struct hs_model_shape shape)
{
    const struct hs_model_shape wanted = shape;
    struct hs_error err;
    enum hs_decode decode;
    if (!hs_face_shape_match(info, &decode))
        return;
    int r = hs_face_shape_read(info, decode, &shape, &err);
    if (r < 0) {
        if (err.code != r || !err.message[0])
            abort();
        return;
    }
    bool embedding = shape.task == HS_TASK_FACE_EMBEDDING;
    if (shape.decode != decode || embedding != (decode == HS_DECODE_ARCFACE) || embedding != (shape.dimension > 0) ||
        shape.dimension > HS_MODEL_MAX_EMBEDDING || !(shape.std[0] > 0))
        abort();
    int multiple = embedding ? HS_MODEL_FACE_SIDE : 32;
    if (shape.width < multiple || shape.height < multiple || shape.width % multiple || shape.height % multiple ||
        shape.width > HS_MODEL_MAX_INPUT || shape.height > HS_MODEL_MAX_INPUT)
        abort();
    if (!embedding && wanted.input && (wanted.input != shape.width || wanted.input != shape.height))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t unknown[] = { 0xa0, 0x06, 0x01 }; /* field 100, varint: readers skip unknown fields */
    struct hs_onnx_info *info, *again;
    struct hs_error err;
    int r = hs_onnx_info_parse(data, len, &info, &err);
    if (r < 0) {
        if (err.code != r || !err.message[0])
            abort();
        return 0;
    }
    uint8_t *longer = malloc(len + sizeof(unknown));
    if (longer) {
        memcpy(longer, data, len);
        memcpy(longer + len, unknown, sizeof(unknown));
        if (hs_onnx_info_parse(longer, len + sizeof(unknown), &again, NULL) < 0)
            abort();
        check_same(info, again);
        hs_onnx_info_destroy(again);
    }
    free(longer);
    check_shape(info, (struct hs_model_shape) { 0 });
    check_shape(info, (struct hs_model_shape) { .classes = 1, .keypoints = 5, .dims = 2, .input = 320 });
    check_face(info, (struct hs_model_shape) { 0 });
    check_face(info, (struct hs_model_shape) { .input = 320 });
    hs_onnx_info_destroy(info);
    return 0;
}
