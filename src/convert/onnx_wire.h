/* ONNX's wire format, which is that of protocol buffers: a varint key (field number << 3 | wire
 * type), then a varint, 8 bytes, a length and that many bytes, or 4 bytes. Field numbers are those
 * of onnx.proto. */
#ifndef HS_CONVERT_ONNX_WIRE_H
#define HS_CONVERT_ONNX_WIRE_H

#include <stdbool.h>

#include "base/buf.h"

/* Reading. All results are views into the caller's bytes. Any thread. */
enum { HS_PROTOBUF_VARINT = 0, HS_PROTOBUF_64 = 1, HS_PROTOBUF_BYTES = 2, HS_PROTOBUF_32 = 5 };

struct hs_protobuf_span {
    const uint8_t *data;
    size_t len;
};

struct hs_protobuf_field {
    uint32_t number, wire;
    uint64_t value;                /* wire types 0, 1, 5 */
    struct hs_protobuf_span bytes; /* wire type 2 */
    struct hs_protobuf_span whole; /* the field with its key */
};

/* Removes the next field from the front of *in and returns it. Returns false at the end, and also
 * if the bytes are not valid protobuf; then it sets *damaged, and all later calls return false. */
bool hs_protobuf_next(struct hs_protobuf_span *in, struct hs_protobuf_field *ret, bool *damaged);

/* Returns the last field with that number and wire type, or zeros. */
struct hs_protobuf_field hs_protobuf_last(struct hs_protobuf_span in, uint32_t number, uint32_t wire, bool *damaged);

/* True if the field has this number and wire type HS_PROTOBUF_BYTES. */
bool hs_protobuf_is_bytes(const struct hs_protobuf_field *field, uint32_t number);

/* Writing. The output equals that of Python's onnx and protobuf byte for byte (fields by number,
 * repeated numbers not packed). The buffer keeps the first error, see base/buf.h. */

/* TensorProto.DataType */
enum hs_onnx_elem { HS_ONNX_ELEM_FLOAT = 1, HS_ONNX_ELEM_INT64 = 7 };

/* A dimension has a name or, if `name` is NULL, a size. */
struct hs_onnx_dim {
    const char *name;
    int64_t size;
};

void hs_onnx_put_int(struct hs_buf *out, unsigned field, int64_t value);
void hs_onnx_put_bytes(struct hs_buf *out, unsigned field, const void *data, size_t len);
void hs_onnx_put_string(struct hs_buf *out, unsigned field, const char *text);
void hs_onnx_put_message(struct hs_buf *out, unsigned field, const struct hs_buf *message);
/* Appends the fields in another buffer, or takes over its error. */
void hs_onnx_put_fields(struct hs_buf *out, const struct hs_buf *fields);
/* Appends only the key and length of a field of `len` bytes; the caller appends the bytes. */
void hs_onnx_put_head(struct hs_buf *out, unsigned field, size_t len);

/* A string if `text` is set, `count` integers if `ints` is set, else one integer. */
struct hs_onnx_attribute {
    const char *name, *text;
    const int64_t *ints;
    size_t count;
    int64_t value;
};

/* NodeProto.attribute */
void hs_onnx_put_attribute(struct hs_buf *node, const struct hs_onnx_attribute *attribute);

/* Appends a GraphProto.initializer of little-endian elements; their number is the product of dims. */
void hs_onnx_put_tensor(struct hs_buf *graph, const char *name, enum hs_onnx_elem type, const int64_t *dims,
                        size_t dim_count, const void *elements);

enum {
    HS_ONNX_GRAPH_NODE = 1,
    HS_ONNX_GRAPH_NAME = 2,
    HS_ONNX_GRAPH_INITIALIZER = 5,
    HS_ONNX_GRAPH_INPUT = 11,
    HS_ONNX_GRAPH_OUTPUT = 12
};

/* Appends a GraphProto.input or .output that is a float tensor. */
void hs_onnx_put_value_info(struct hs_buf *graph, unsigned field, const char *name, const struct hs_onnx_dim *dims,
                            size_t dim_count);

enum { HS_ONNX_MODEL_IR_VERSION = 1, HS_ONNX_MODEL_PRODUCER = 2, HS_ONNX_MODEL_GRAPH = 7 };

/* Append a ModelProto.opset_import of the default domain, and a ModelProto.metadata_props entry. */
void hs_onnx_put_opset(struct hs_buf *model, int64_t version);
void hs_onnx_put_metadata(struct hs_buf *model, const char *key, const char *value);

#endif
