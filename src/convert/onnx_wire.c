/* Field numbers are those of onnx.proto (ONNX 1.x, Apache-2.0 project onnx/onnx), a proto2 file:
 * set fields are written even if they have the default value, and each repeated number has its own
 * key. */
#include "convert/onnx_wire.h"

#include <string.h>

#include "base/mem.h"

enum { ATTRIBUTE_INT = 2, ATTRIBUTE_STRING = 3, ATTRIBUTE_INTS = 7 }; /* AttributeProto.AttributeType */

/* ---- reading ---- */

static bool read_varint(struct hs_protobuf_span *in, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->len == 0)
            return false;
        uint8_t byte = *in->data++;
        in->len--;
        value |= (uint64_t) (byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take(struct hs_protobuf_span *in, uint64_t count, struct hs_protobuf_span *ret)
{
    if (count > in->len)
        return false;
    *ret = (struct hs_protobuf_span) { in->data, (size_t) count };
    in->data += count;
    in->len -= (size_t) count;
    return true;
}

bool hs_protobuf_next(struct hs_protobuf_span *in, struct hs_protobuf_field *ret, bool *damaged)
{
    uint64_t key, len = 0;
    struct hs_protobuf_span fixed = { 0 };
    const uint8_t *start = in->data;
    if (in->len == 0 || *damaged)
        return false;
    bool fine = read_varint(in, &key) && key >> 3 > 0 && key >> 3 < (UINT64_C(1) << 29);
    if (fine) {
        *ret = (struct hs_protobuf_field) { .number = (uint32_t) (key >> 3), .wire = key & 7 };
        if (ret->wire == HS_PROTOBUF_VARINT)
            fine = read_varint(in, &ret->value);
        else if (ret->wire == HS_PROTOBUF_BYTES)
            fine = read_varint(in, &len) && take(in, len, &ret->bytes);
        else if (ret->wire == HS_PROTOBUF_64 || ret->wire == HS_PROTOBUF_32)
            fine = take(in, ret->wire == HS_PROTOBUF_64 ? 8 : 4, &fixed);
        else
            fine = false;
        for (size_t i = 0; i < fixed.len; i++)
            ret->value |= (uint64_t) fixed.data[i] << (8 * i);
        ret->whole = (struct hs_protobuf_span) { start, (size_t) (in->data - start) };
    }
    *damaged |= !fine;
    return fine;
}

struct hs_protobuf_field hs_protobuf_last(struct hs_protobuf_span in, uint32_t number, uint32_t wire, bool *damaged)
{
    struct hs_protobuf_field field, found = { 0 };
    while (hs_protobuf_next(&in, &field, damaged))
        if (field.number == number && field.wire == wire)
            found = field;
    return found;
}

bool hs_protobuf_is_bytes(const struct hs_protobuf_field *field, uint32_t number)
{
    return field->number == number && field->wire == HS_PROTOBUF_BYTES;
}

/* ---- writing ---- */

void hs_onnx_put_fields(struct hs_buf *out, const struct hs_buf *fields)
{
    out->error = out->error ? out->error : fields->error;
    hs_buf_append(out, fields->data, fields->len);
}

static void put_varint(struct hs_buf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t len = 0;
    do {
        bytes[len++] = (uint8_t) ((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    hs_buf_append(out, bytes, len);
}

void hs_onnx_put_int(struct hs_buf *out, unsigned field, int64_t value)
{
    put_varint(out, (uint64_t) field << 3 | HS_PROTOBUF_VARINT);
    put_varint(out, (uint64_t) value);
}

void hs_onnx_put_head(struct hs_buf *out, unsigned field, size_t len)
{
    put_varint(out, (uint64_t) field << 3 | HS_PROTOBUF_BYTES);
    put_varint(out, len);
}

void hs_onnx_put_bytes(struct hs_buf *out, unsigned field, const void *data, size_t len)
{
    hs_onnx_put_head(out, field, len);
    hs_buf_append(out, data, len);
}

void hs_onnx_put_string(struct hs_buf *out, unsigned field, const char *text)
{
    hs_onnx_put_bytes(out, field, text, strlen(text));
}

void hs_onnx_put_message(struct hs_buf *out, unsigned field, const struct hs_buf *message)
{
    out->error = out->error ? out->error : message->error;
    hs_onnx_put_bytes(out, field, message->data, message->len);
}

/* Starts a message that will be embedded in `out` and therefore has the same limit. */
static struct hs_buf begin(const struct hs_buf *out)
{
    struct hs_buf message;
    hs_buf_init(&message, out->max);
    return message;
}

static void end(struct hs_buf *out, unsigned field, struct hs_buf *message)
{
    hs_onnx_put_message(out, field, message);
    hs_buf_finish(message);
}

/* AttributeProto: name 1, i 3, s 4, ints 8, type 20; it is field 5 of NodeProto. */
void hs_onnx_put_attribute(struct hs_buf *node, const struct hs_onnx_attribute *attribute)
{
    struct hs_buf message = begin(node);
    hs_onnx_put_string(&message, 1, attribute->name);
    if (attribute->text)
        hs_onnx_put_string(&message, 4, attribute->text);
    else if (!attribute->ints)
        hs_onnx_put_int(&message, 3, attribute->value);
    for (size_t i = 0; i < attribute->count; i++)
        hs_onnx_put_int(&message, 8, attribute->ints[i]);
    hs_onnx_put_int(&message, 20,
                    attribute->text   ? ATTRIBUTE_STRING
                    : attribute->ints ? ATTRIBUTE_INTS
                                      : ATTRIBUTE_INT);
    end(node, 5, &message);
}

/* TensorProto: dims 1, data_type 2, name 8, raw_data 9. Copies the elements, which may be many,
 * only once. */
void hs_onnx_put_tensor(struct hs_buf *graph, const char *name, enum hs_onnx_elem type, const int64_t *dims,
                        size_t dim_count, const void *elements)
{
    struct hs_buf head = begin(graph);
    size_t len = type == HS_ONNX_ELEM_INT64 ? 8 : 4, total = 0;
    bool fits = true;
    for (size_t i = 0; i < dim_count; i++) {
        fits = fits && hs_size_mul(len, (size_t) dims[i], &len);
        hs_onnx_put_int(&head, 1, dims[i]);
    }
    hs_onnx_put_int(&head, 2, type);
    hs_onnx_put_string(&head, 8, name);
    hs_onnx_put_head(&head, 9, len);
    fits = fits && hs_size_add(head.len, len, &total);
    if (graph->error == 0)
        graph->error = fits ? head.error : HS_ETOOLARGE;
    hs_onnx_put_head(graph, HS_ONNX_GRAPH_INITIALIZER, total);
    hs_onnx_put_fields(graph, &head);
    hs_buf_append(graph, elements, len);
    hs_buf_finish(&head);
}

/* ValueInfoProto: name 1, type 2. TypeProto: tensor_type 1. TypeProto.Tensor: elem_type 1, shape 2.
 * TensorShapeProto.Dimension: dim_value 1, dim_param 2. */
void hs_onnx_put_value_info(struct hs_buf *graph, unsigned field, const char *name, const struct hs_onnx_dim *dims,
                            size_t dim_count)
{
    struct hs_buf value = begin(graph), type = begin(graph), tensor = begin(graph), shape = begin(graph);
    for (size_t i = 0; i < dim_count; i++) {
        struct hs_buf dim = begin(graph);
        if (dims[i].name)
            hs_onnx_put_string(&dim, 2, dims[i].name);
        else
            hs_onnx_put_int(&dim, 1, dims[i].size);
        end(&shape, 1, &dim);
    }
    hs_onnx_put_int(&tensor, 1, HS_ONNX_ELEM_FLOAT);
    end(&tensor, 2, &shape);
    end(&type, 1, &tensor);
    hs_onnx_put_string(&value, 1, name);
    end(&value, 2, &type);
    end(graph, field, &value);
}

/* OperatorSetIdProto: domain 1 (empty: ONNX itself), version 2. */
void hs_onnx_put_opset(struct hs_buf *model, int64_t version)
{
    struct hs_buf opset = begin(model);
    hs_onnx_put_string(&opset, 1, "");
    hs_onnx_put_int(&opset, 2, version);
    end(model, 8, &opset);
}

/* StringStringEntryProto: key 1, value 2. */
void hs_onnx_put_metadata(struct hs_buf *model, const char *key, const char *value)
{
    struct hs_buf entry = begin(model);
    hs_onnx_put_string(&entry, 1, key);
    hs_onnx_put_string(&entry, 2, value);
    end(model, 14, &entry);
}
