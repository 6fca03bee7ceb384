/* Writes ONNX messages as protocol buffers, byte for byte as Python's onnx and protobuf do (fields by number, repeated
 * numbers not packed). Field numbers are those of onnx.proto. The first failure stays in the buffer, see base/buf.h. */
#ifndef HS_CONVERT_ONNX_WRITE_H
#define HS_CONVERT_ONNX_WRITE_H

#include "base/buf.h"

/* TensorProto.DataType */
enum hs_onnx_elem { HS_ONNX_ELEM_FLOAT = 1, HS_ONNX_ELEM_INT64 = 7 };

/* A dimension has a name or, if that is NULL, a size. */
struct hs_onnx_dim {
    const char *name;
    int64_t size;
};

void hs_onnx_put_int(struct hs_buf *out, unsigned field, int64_t value);
void hs_onnx_put_bytes(struct hs_buf *out, unsigned field, const void *data, size_t len);
void hs_onnx_put_string(struct hs_buf *out, unsigned field, const char *text);
void hs_onnx_put_message(struct hs_buf *out, unsigned field, const struct hs_buf *message);
/* The fields of another buffer, and its error. */
void hs_onnx_put_fields(struct hs_buf *out, const struct hs_buf *fields);
/* Only the head of a field of `len` bytes; the caller appends them. */
void hs_onnx_put_head(struct hs_buf *out, unsigned field, size_t len);

/* text is set: a string; ints is set: `count` numbers; else one number. */
struct hs_onnx_attribute {
    const char *name, *text;
    const int64_t *ints;
    size_t count;
    int64_t value;
};

/* NodeProto.attribute */
void hs_onnx_put_attribute(struct hs_buf *node, const struct hs_onnx_attribute *attribute);

/* GraphProto.initializer of `count` little-endian elements (count is the product of dims). */
void hs_onnx_put_tensor(struct hs_buf *graph, const char *name, enum hs_onnx_elem type, const int64_t *dims,
                        size_t dim_count, const void *elements, size_t count);

enum { HS_ONNX_GRAPH_NODE = 1, HS_ONNX_GRAPH_NAME = 2, HS_ONNX_GRAPH_INITIALIZER = 5, HS_ONNX_GRAPH_INPUT = 11,
       HS_ONNX_GRAPH_OUTPUT = 12 };

/* GraphProto.input or .output: a float tensor. */
void hs_onnx_put_value_info(struct hs_buf *graph, unsigned field, const char *name, const struct hs_onnx_dim *dims,
                            size_t dim_count);

enum { HS_ONNX_MODEL_IR_VERSION = 1, HS_ONNX_MODEL_PRODUCER = 2, HS_ONNX_MODEL_GRAPH = 7 };

/* ModelProto.opset_import of the default domain, ModelProto.metadata_props. */
void hs_onnx_put_opset(struct hs_buf *model, int64_t version);
void hs_onnx_put_metadata(struct hs_buf *model, const char *key, const char *value);

#endif
