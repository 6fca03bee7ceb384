/* Writes ONNX messages as protocol buffers, byte for byte as Python's onnx and protobuf do (fields by number, repeated
 * numbers not packed). Field numbers are those of onnx.proto. */
#ifndef HS_CONVERT_ONNX_WRITE_H
#define HS_CONVERT_ONNX_WRITE_H

#include "base/buf.h"

/* A buffer whose first failure (HS_ENOMEM, HS_ETOOLARGE) stays in `status`; later writes do nothing. */
struct hs_onnx_out {
    struct hs_buf buf;
    int status;
};

/* TensorProto.DataType */
enum hs_onnx_elem { HS_ONNX_ELEM_FLOAT = 1, HS_ONNX_ELEM_INT64 = 7 };

/* A dimension has a name or, where that is NULL, a size. */
struct hs_onnx_dim {
    const char *name;
    int64_t size;
};

void hs_onnx_out_init(struct hs_onnx_out *out, size_t max);
void hs_onnx_out_finish(struct hs_onnx_out *out);

void hs_onnx_put_int(struct hs_onnx_out *out, unsigned field, int64_t value);
void hs_onnx_put_bytes(struct hs_onnx_out *out, unsigned field, const void *data, size_t len);
void hs_onnx_put_string(struct hs_onnx_out *out, unsigned field, const char *text);
void hs_onnx_put_message(struct hs_onnx_out *out, unsigned field, const struct hs_onnx_out *message);
/* Bytes that are whole fields already; put_out: those of another buffer, and its failure. */
void hs_onnx_put_raw(struct hs_onnx_out *out, const void *data, size_t len);
void hs_onnx_put_out(struct hs_onnx_out *out, const struct hs_onnx_out *fields);
/* Only the head of a field of `len` bytes; the caller appends them. */
void hs_onnx_put_head(struct hs_onnx_out *out, unsigned field, size_t len);

/* NodeProto.attribute */
void hs_onnx_put_attribute_int(struct hs_onnx_out *node, const char *name, int64_t value);
void hs_onnx_put_attribute_ints(struct hs_onnx_out *node, const char *name, const int64_t *values, size_t count);
void hs_onnx_put_attribute_string(struct hs_onnx_out *node, const char *name, const char *value);

/* GraphProto.initializer of `count` little-endian elements (count is the product of dims). */
void hs_onnx_put_tensor(struct hs_onnx_out *graph, const char *name, enum hs_onnx_elem type, const int64_t *dims,
                        size_t dim_count, const void *elements, size_t count);

enum { HS_ONNX_GRAPH_NODE = 1, HS_ONNX_GRAPH_NAME = 2, HS_ONNX_GRAPH_INITIALIZER = 5, HS_ONNX_GRAPH_INPUT = 11,
       HS_ONNX_GRAPH_OUTPUT = 12 };

/* GraphProto.input or .output: a float tensor. */
void hs_onnx_put_value_info(struct hs_onnx_out *graph, unsigned field, const char *name, const struct hs_onnx_dim *dims,
                            size_t dim_count);

enum { HS_ONNX_MODEL_IR_VERSION = 1, HS_ONNX_MODEL_PRODUCER = 2, HS_ONNX_MODEL_GRAPH = 7 };

/* ModelProto.opset_import of the default domain, ModelProto.metadata_props. */
void hs_onnx_put_opset(struct hs_onnx_out *model, int64_t version);
void hs_onnx_put_metadata(struct hs_onnx_out *model, const char *key, const char *value);

#endif
