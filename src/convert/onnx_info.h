/* Reads an ONNX file's graph inputs and outputs, metadata, and use of external weights, without
 * running the model. Parses the protobuf wire format directly, with a limit on every count and
 * length. */
#ifndef HS_CONVERT_ONNX_INFO_H
#define HS_CONVERT_ONNX_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum {
    HS_ONNX_MAX_DIMS = 8,
    HS_ONNX_MAX_VALUES = 64, /* limit for inputs, and for outputs */
    HS_ONNX_MAX_PROPS = 64,
    HS_ONNX_MAX_TEXT = 1 << 20, /* limit for one metadata value */
};

/* The element types used here, numbered as in onnx.proto (TensorProto.DataType). */
enum { HS_ONNX_FLOAT = 1, HS_ONNX_UINT8 = 2, HS_ONNX_FLOAT16 = 10 };

/* A dimension is its size, or -1 if it is dynamic (named) or unknown. */
struct hs_onnx_value {
    char name[128];
    int elem_type;
    int rank; /* -1: no shape given */
    int64_t dims[HS_ONNX_MAX_DIMS];
};

struct hs_onnx_prop {
    char *key, *value;
};

struct hs_onnx_info {
    int64_t ir_version, opset;
    char producer[64];
    bool external_data; /* the file refers to weights in other files */
    size_t node_count;
    size_t input_count, output_count, prop_count;
    struct hs_onnx_value inputs[HS_ONNX_MAX_VALUES], outputs[HS_ONNX_MAX_VALUES]; /* without the weights */
    struct hs_onnx_prop props[HS_ONNX_MAX_PROPS];
};

/* Parses an ONNX file. HS_EMODEL: not an ONNX file, or a damaged one. Borrows `data` for the call.
 * Caller frees with hs_onnx_info_destroy. Any thread. */
int hs_onnx_info_parse(const uint8_t *data, size_t len, struct hs_onnx_info **ret_info, struct hs_error *err);
int hs_onnx_info_load(const char *path, struct hs_onnx_info **ret_info, struct hs_error *err);
void hs_onnx_info_destroy(struct hs_onnx_info *info); /* NULL allowed */

/* Returns the value of a metadata entry (borrowed from `info`), or NULL. */
const char *hs_onnx_info_prop(const struct hs_onnx_info *info, const char *key);

#endif
