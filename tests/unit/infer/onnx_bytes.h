/* Writes the few protobuf messages of a tiny ONNX file by hand, so that tests need no other tool.
 * Field numbers: onnx.proto3 of ONNX IR version 8. */
#ifndef HS_TESTS_ONNX_BYTES_H
#define HS_TESTS_ONNX_BYTES_H

#include <stdint.h>
#include <string.h>

#include "base/buf.h"

static inline void onnx_varint(struct hs_buf *out, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t) (value & 0x7f) | (value > 0x7f ? 0x80 : 0);
        hs_buf_append(out, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void onnx_int(struct hs_buf *out, unsigned field, uint64_t value)
{
    onnx_varint(out, field << 3);
    onnx_varint(out, value);
}

static inline void onnx_bytes(struct hs_buf *out, unsigned field, const void *data, size_t len)
{
    onnx_varint(out, field << 3 | 2);
    onnx_varint(out, len);
    hs_buf_append(out, data, len);
}

static inline void onnx_text(struct hs_buf *out, unsigned field, const char *text)
{
    onnx_bytes(out, field, text, strlen(text));
}

/* Appends a finished message as a field and empties it. */
static inline void onnx_message(struct hs_buf *out, unsigned field, struct hs_buf *message)
{
    onnx_bytes(out, field, message->data ? message->data : (const uint8_t *) "", message->len);
    hs_buf_finish(message);
}

/* Appends a tensor's name, type (1 FLOAT, 10 FLOAT16) and shape; a dimension of 0 is free. */
static inline void onnx_value_of(struct hs_buf *graph, unsigned field, const char *name, int element, const int *dims,
                                 int rank)
{
    struct hs_buf value, type, tensor, shape, dim;
    struct hs_buf *all[] = { &value, &type, &tensor, &shape, &dim };
    for (int i = 0; i < 5; i++)
        hs_buf_init(all[i], 4096);
    for (int i = 0; i < rank; i++) {
        char free_name[] = { 'd', (char) ('0' + i), '\0' };
        if (dims[i] > 0)
            onnx_int(&dim, 1, (uint64_t) dims[i]);
        else
            onnx_text(&dim, 2, free_name);
        onnx_message(&shape, 1, &dim);
    }
    onnx_int(&tensor, 1, (uint64_t) element);
    onnx_message(&tensor, 2, &shape);
    onnx_message(&type, 1, &tensor);
    onnx_text(&value, 1, name);
    onnx_message(&value, 2, &type);
    onnx_message(graph, field, &value);
}

static inline void onnx_value(struct hs_buf *graph, unsigned field, const char *name, const int *dims, int rank)
{
    onnx_value_of(graph, field, name, 1, dims, rank);
}

/* Appends a constant. type: 1 FLOAT, 7 INT64. */
static inline void onnx_constant(struct hs_buf *graph, const char *name, int type, const int *dims, int rank,
                                 const void *data, size_t bytes)
{
    struct hs_buf tensor;
    hs_buf_init(&tensor, 65536);
    for (int i = 0; i < rank; i++)
        onnx_int(&tensor, 1, (uint64_t) dims[i]);
    onnx_int(&tensor, 2, (uint64_t) type);
    onnx_text(&tensor, 8, name);
    onnx_bytes(&tensor, 9, data, bytes);
    onnx_message(graph, 5, &tensor);
}

/* Appends a node. `second` may be NULL. If count > 0, `axes` becomes the ints attribute "axes",
 * with keepdims = 0. */
static inline void onnx_node(struct hs_buf *graph, const char *op, const char *first, const char *second,
                             const char *output, const int *axes, int count)
{
    struct hs_buf node, attribute;
    hs_buf_init(&node, 4096);
    hs_buf_init(&attribute, 4096);
    onnx_text(&node, 1, first);
    if (second)
        onnx_text(&node, 1, second);
    onnx_text(&node, 2, output);
    onnx_text(&node, 3, output);
    onnx_text(&node, 4, op);
    if (count > 0) {
        onnx_text(&attribute, 1, "axes");
        for (int i = 0; i < count; i++)
            onnx_int(&attribute, 8, (uint64_t) axes[i]);
        onnx_int(&attribute, 20, 7); /* INTS */
        onnx_message(&node, 5, &attribute);
        onnx_text(&attribute, 1, "keepdims");
        onnx_int(&attribute, 3, 0);
        onnx_int(&attribute, 20, 2); /* INT */
        onnx_message(&node, 5, &attribute);
    }
    onnx_message(graph, 1, &node);
}

/* Wraps the graph into a model of operator set 13, and empties the graph. */
static inline void onnx_model(struct hs_buf *model, struct hs_buf *graph)
{
    struct hs_buf opset;
    hs_buf_init(&opset, 64);
    onnx_text(graph, 2, "test");
    onnx_int(model, 1, 8);
    onnx_int(&opset, 2, 13);
    onnx_message(model, 8, &opset);
    onnx_message(model, 7, graph);
}

#endif
