/* Field numbers are those of onnx.proto (ONNX 1.x, Apache-2.0 project onnx/onnx), read with
 * convert/onnx_wire.h. Parsing uses views into the file and copies what it keeps, up to a limit. */
#include "convert/onnx_info.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "convert/onnx_wire.h"

enum {
    MAX_DEPTH = 8,              /* of graphs inside nodes */
    MAX_INITIALIZERS = 1 << 18, /* the largest pose models have a few hundred */
    MAX_GRAPH_INPUTS = 1 << 18, /* old files list each weight as an input too */
};
static const size_t file_max = (size_t) 1 << 30;

struct reader {
    struct hs_onnx_info *info;
    uint64_t *weights; /* hashes of the names of initializers, sorted before inputs are read */
    size_t weight_count, weight_capacity;
    bool damaged, no_memory, too_much;
};

/* Names appear in messages, so they must not contain control characters or invalid UTF-8. */
static void copy_name(struct hs_protobuf_span text, char *dst, size_t size)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;
    for (size_t i = 0; i < len; i++)
        dst[i] = text.data[i] < 32 || text.data[i] >= 127 ? '?' : (char) text.data[i];
    dst[len] = '\0';
}

static uint64_t hash_of(struct hs_protobuf_span text)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ text.data[i]) * UINT64_C(1099511628211);
    return hash;
}

enum message { GRAPH, NODE, ATTRIBUTE, TENSOR, SPARSE, FUNCTION };

/* The fields that contain nodes and weights, in GraphProto, NodeProto, AttributeProto,
 * SparseTensorProto and FunctionProto. */
static const struct {
    enum message in;
    uint32_t number;
    enum message is;
} parts[] = {
    { GRAPH, 1, NODE },       { GRAPH, 5, TENSOR },      { GRAPH, 15, SPARSE },     { NODE, 5, ATTRIBUTE },
    { ATTRIBUTE, 5, TENSOR }, { ATTRIBUTE, 10, TENSOR }, { ATTRIBUTE, 22, SPARSE }, { ATTRIBUTE, 23, SPARSE },
    { ATTRIBUTE, 6, GRAPH },  { ATTRIBUTE, 11, GRAPH },  { SPARSE, 1, TENSOR },     { SPARSE, 2, TENSOR },
    { FUNCTION, 7, NODE },
};

/* TensorProto: name 8, external_data 13, data_location 14 (1 = elsewhere). */
static void read_tensor(struct reader *reader, struct hs_protobuf_span in, bool keep_name)
{
    struct hs_protobuf_field field;
    while (hs_protobuf_next(&in, &field, &reader->damaged)) {
        if (field.number == 13 || (field.number == 14 && field.value != 0))
            reader->info->external_data = true;
        if (!keep_name || !hs_protobuf_is_bytes(&field, 8))
            continue;
        if (reader->weight_count == MAX_INITIALIZERS)
            reader->too_much = true;
        else if (!HS_ARRAY_RESERVE(reader->weights, reader->weight_capacity, reader->weight_count + 1))
            reader->no_memory = true;
        else
            reader->weights[reader->weight_count++] = hash_of(field.bytes);
    }
}

/* Counts nodes, detects weights in other files, and records the names of the weights of the
 * outermost graph. */
static void walk(struct reader *reader, enum message message, struct hs_protobuf_span in, int depth, bool keep_names)
{
    struct hs_protobuf_field field;
    reader->too_much |= depth > MAX_DEPTH;
    reader->info->node_count += message == NODE;
    while (depth <= MAX_DEPTH && hs_protobuf_next(&in, &field, &reader->damaged))
        for (size_t i = 0; i < HS_ARRAY_LEN(parts); i++) {
            if (parts[i].in != message || !hs_protobuf_is_bytes(&field, parts[i].number))
                continue;
            bool keep = keep_names && parts[i].is != NODE && !(message == SPARSE && field.number == 2);
            if (parts[i].is == TENSOR)
                read_tensor(reader, field.bytes, keep);
            else
                walk(reader, parts[i].is, field.bytes, depth + (parts[i].is == GRAPH), keep);
        }
}

/* TensorShapeProto: dim 1 { dim_value 1, dim_param 2 }. */
static void read_shape(struct reader *reader, struct hs_protobuf_span in, struct hs_onnx_value *value)
{
    struct hs_protobuf_field field;
    value->rank = 0;
    while (hs_protobuf_next(&in, &field, &reader->damaged)) {
        if (!hs_protobuf_is_bytes(&field, 1))
            continue;
        if (value->rank == HS_ONNX_MAX_DIMS) {
            reader->too_much = true;
            return;
        }
        uint64_t size = hs_protobuf_last(field.bytes, 1, HS_PROTOBUF_VARINT, &reader->damaged).value;
        value->dims[value->rank++] = size > 0 && size <= INT32_MAX ? (int64_t) size : -1;
    }
}

/* ValueInfoProto: name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 } }. Reads every field,
 * even one that a later field replaces, to detect damage anywhere. */
static void read_value(struct reader *reader, struct hs_protobuf_span in, struct hs_onnx_value *value,
                       uint64_t *ret_hash)
{
    struct hs_protobuf_field field, part, inner;
    *value = (struct hs_onnx_value) { .rank = -1 };
    while (hs_protobuf_next(&in, &field, &reader->damaged)) {
        if (hs_protobuf_is_bytes(&field, 1)) {
            copy_name(field.bytes, value->name, sizeof(value->name));
            *ret_hash = hash_of(field.bytes);
        }
        struct hs_protobuf_span type = field.bytes;
        while (hs_protobuf_is_bytes(&field, 2) && hs_protobuf_next(&type, &part, &reader->damaged)) {
            struct hs_protobuf_span tensor = part.bytes;
            while (hs_protobuf_is_bytes(&part, 1) && hs_protobuf_next(&tensor, &inner, &reader->damaged)) {
                if (inner.number == 1 && inner.wire == HS_PROTOBUF_VARINT)
                    value->elem_type = inner.value < 1000 ? (int) inner.value : 0;
                if (hs_protobuf_is_bytes(&inner, 2))
                    read_shape(reader, inner.bytes, value);
            }
        }
    }
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

/* GraphProto: input 11, output 12. Requires the names of the weights, so it runs after walk. */
static void read_graph_io(struct reader *reader, struct hs_protobuf_span in)
{
    struct hs_onnx_info *info = reader->info;
    struct hs_protobuf_field field;
    size_t seen = 0;
    if (reader->weight_count)
        qsort(reader->weights, reader->weight_count, sizeof(reader->weights[0]), compare_hashes);
    while (hs_protobuf_next(&in, &field, &reader->damaged)) {
        bool input = hs_protobuf_is_bytes(&field, 11);
        if (!input && !hs_protobuf_is_bytes(&field, 12))
            continue;
        struct hs_onnx_value value;
        uint64_t hash = 0;
        read_value(reader, field.bytes, &value, &hash);
        if (input && reader->weight_count &&
            bsearch(&hash, reader->weights, reader->weight_count, sizeof(hash), compare_hashes))
            continue;
        size_t *count = input ? &info->input_count : &info->output_count;
        if (*count == HS_ONNX_MAX_VALUES || ++seen > MAX_GRAPH_INPUTS) {
            reader->too_much = true;
            return;
        }
        (input ? info->inputs : info->outputs)[(*count)++] = value;
    }
}

static char *copy_text(struct reader *reader, struct hs_protobuf_span text)
{
    bool fits = text.len <= HS_ONNX_MAX_TEXT;
    char *copy = fits ? hs_str_dup_n(text.data, text.len) : NULL;
    reader->too_much |= !fits;
    reader->no_memory |= fits && !copy;
    return copy;
}

/* ModelProto: ir_version 1, producer_name 2, graph 7, opset_import 8, metadata_props 14, functions
 * 25. OperatorSetIdProto: domain 1, version 2. StringStringEntryProto: key 1, value 2. Returns the
 * number of graphs. */
static int read_model(struct reader *reader, struct hs_protobuf_span in, struct hs_protobuf_span *ret_graph)
{
    struct hs_onnx_info *info = reader->info;
    struct hs_protobuf_field field;
    bool *damaged = &reader->damaged;
    int graphs = 0;
    while (hs_protobuf_next(&in, &field, damaged)) {
        if (field.number == 1 && field.wire == HS_PROTOBUF_VARINT)
            info->ir_version = field.value < 1000 ? (int64_t) field.value : 0;
        if (hs_protobuf_is_bytes(&field, 2))
            copy_name(field.bytes, info->producer, sizeof(info->producer));
        if (hs_protobuf_is_bytes(&field, 7)) {
            *ret_graph = field.bytes;
            graphs++;
        }
        if (hs_protobuf_is_bytes(&field, 8)) {
            uint64_t version = hs_protobuf_last(field.bytes, 2, HS_PROTOBUF_VARINT, damaged).value;
            if (hs_protobuf_last(field.bytes, 1, HS_PROTOBUF_BYTES, damaged).bytes.len == 0 && version < 1000)
                info->opset = (int64_t) version;
        }
        if (hs_protobuf_is_bytes(&field, 14) && info->prop_count == HS_ONNX_MAX_PROPS) {
            reader->too_much = true;
        } else if (hs_protobuf_is_bytes(&field, 14)) {
            struct hs_onnx_prop *prop = &info->props[info->prop_count++];
            prop->key = copy_text(reader, hs_protobuf_last(field.bytes, 1, HS_PROTOBUF_BYTES, damaged).bytes);
            prop->value = copy_text(reader, hs_protobuf_last(field.bytes, 2, HS_PROTOBUF_BYTES, damaged).bytes);
        }
        if (hs_protobuf_is_bytes(&field, 25))
            walk(reader, FUNCTION, field.bytes, 1, false);
    }
    return graphs;
}

int hs_onnx_info_parse(const uint8_t *data, size_t len, struct hs_onnx_info **ret_info, struct hs_error *err)
{
    struct reader reader = { .info = calloc(1, sizeof(*reader.info)) };
    struct hs_protobuf_span graph = { 0 };
    if (!reader.info)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    int graphs = read_model(&reader, (struct hs_protobuf_span) { data, len }, &graph);
    if (graphs == 1) {
        walk(&reader, GRAPH, graph, 0, true);
        read_graph_io(&reader, graph);
    }
    free(reader.weights);
    int r = 0;
    if (reader.no_memory)
        r = hs_error_set(err, HS_ENOMEM, "out of memory");
    else if (reader.damaged)
        r = hs_error_set(err, HS_EMODEL, "the file is not an ONNX model, or it is damaged");
    else if (reader.too_much)
        r = hs_error_set(err, HS_EMODEL, "the ONNX model is too complex");
    else if (graphs != 1 || reader.info->ir_version == 0)
        r = hs_error_set(err, HS_EMODEL, "the file is not an ONNX model");
    if (r < 0) {
        hs_onnx_info_destroy(reader.info);
        return r;
    }
    *ret_info = reader.info;
    return 0;
}

int hs_onnx_info_load(const char *path, struct hs_onnx_info **ret_info, struct hs_error *err)
{
    uint8_t *data;
    size_t len;
    int r = hs_file_read(path, file_max, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_onnx_info_parse(data, len, ret_info, err);
    free(data);
    return r;
}

void hs_onnx_info_destroy(struct hs_onnx_info *info)
{
    if (!info)
        return;
    for (size_t i = 0; i < info->prop_count; i++) {
        free(info->props[i].key);
        free(info->props[i].value);
    }
    free(info);
}

const char *hs_onnx_info_prop(const struct hs_onnx_info *info, const char *key)
{
    for (size_t i = 0; i < info->prop_count; i++)
        if (strcmp(info->props[i].key, key) == 0)
            return info->props[i].value;
    return NULL;
}
