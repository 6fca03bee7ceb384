/* Two passes over the graph. The first checks every node: it refuses unknown ones, patches the
 * constants of Reshape nodes in a copy of the file (their length does not change), and records the
 * sizes of Resize nodes. The second pass writes the file again and replaces whole fields of the
 * graph: inputs, outputs, those Resize nodes and their constants. */
#include "convert/onnx_edit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "convert/onnx_info.h"
#include "convert/onnx_wire.h"

enum { MAX_INPUTS = 8, MAX_NODES = 10000, RESIZES = 2 };
enum { NODE_INPUT = 1, NODE_OP_TYPE = 4, NODE_DOMAIN = 7 };
enum { GRAPH_VALUE_INFO = 13 };
static const size_t file_max = (size_t) 1 << 30;
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "constants are read as they lie in the file");
static const char scales_name[] = "doubled_scales";

struct node {
    struct hs_protobuf_span op, domain;
    struct hs_protobuf_span inputs[MAX_INPUTS];
    size_t input_count;
};

struct constant {
    struct hs_protobuf_span raw;
    int64_t values[4];
    size_t count;
};

struct editor {
    enum hs_onnx_edit edit;
    uint8_t *copy; /* of the file */
    size_t len;
    const struct hs_onnx_info *info;
    struct hs_protobuf_span graph;
    struct hs_protobuf_span sizes[RESIZES]; /* names of constants that Resize nodes no longer need */
    size_t resizes, reshapes;
    bool damaged;
    int status;
    struct hs_error *err;
};

/* Keeps the first refusal. */
#define REFUSE(ed, ...)                                                                                                \
    ((ed)->status = (ed)->status < 0 ? (ed)->status : hs_error_set((ed)->err, HS_EMODEL, REFUSED __VA_ARGS__))
#define REFUSED "cannot make the input shape dynamic: "

static struct hs_protobuf_span bytes_of(struct editor *ed, struct hs_protobuf_span in, uint32_t number)
{
    return hs_protobuf_last(in, number, HS_PROTOBUF_BYTES, &ed->damaged).bytes;
}

static bool spans_equal(struct hs_protobuf_span a, struct hs_protobuf_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool is_text(struct hs_protobuf_span span, const char *text)
{
    return spans_equal(span, (struct hs_protobuf_span) { (const uint8_t *) text, strlen(text) });
}

static struct node read_node(struct editor *ed, struct hs_protobuf_span in)
{
    struct node node = { .op = bytes_of(ed, in, NODE_OP_TYPE), .domain = bytes_of(ed, in, NODE_DOMAIN) };
    struct hs_protobuf_field field;
    while (hs_protobuf_next(&in, &field, &ed->damaged)) {
        if (!hs_protobuf_is_bytes(&field, NODE_INPUT))
            continue;
        if (node.input_count == MAX_INPUTS)
            REFUSE(ed, "a node has more than %d inputs", MAX_INPUTS);
        else
            node.inputs[node.input_count++] = field.bytes;
    }
    return node;
}

enum { TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 }; /* TensorProto */

static bool find_tensor(struct editor *ed, struct hs_protobuf_span name, struct hs_protobuf_span *ret)
{
    struct hs_protobuf_span in = ed->graph;
    struct hs_protobuf_field field;
    while (name.len > 0 && hs_protobuf_next(&in, &field, &ed->damaged)) {
        *ret = field.bytes;
        if (hs_protobuf_is_bytes(&field, HS_ONNX_GRAPH_INITIALIZER) &&
            spans_equal(bytes_of(ed, field.bytes, TENSOR_NAME), name))
            return true;
    }
    return false;
}

/* Reads two to four 64-bit integers from raw_data. */
static bool read_constant(struct editor *ed, struct hs_protobuf_span name, struct constant *ret)
{
    struct hs_protobuf_span in;
    if (!find_tensor(ed, name, &in))
        return false;
    ret->raw = bytes_of(ed, in, TENSOR_RAW);
    ret->count = ret->raw.len / 8;
    if (hs_protobuf_last(in, TENSOR_TYPE, HS_PROTOBUF_VARINT, &ed->damaged).value != HS_ONNX_ELEM_INT64 ||
        ret->raw.len % 8 || ret->count < 2 || ret->count > HS_ARRAY_LEN(ret->values))
        return false;
    memcpy(ret->values, ret->raw.data, ret->raw.len);
    return true;
}

static bool known_operator(const struct node *node)
{
    static const char *const known[] = { "Add",     "AveragePool", "BatchNormalization",
                                         "Concat",  "Conv",        "LeakyRelu",
                                         "MaxPool", "Mul",         "PRelu",
                                         "Relu",    "Reshape",     "Resize",
                                         "Sigmoid", "Transpose" };
    for (size_t i = 0; i < HS_ARRAY_LEN(known); i++)
        if (is_text(node->op, known[i]))
            return node->domain.len == 0;
    return false;
}

/* Several nodes may share one constant; then the number is already 0. */
static void make_reshape_dynamic(struct editor *ed, const struct node *node)
{
    struct constant shape;
    bool fine = node->input_count == 2 && read_constant(ed, node->inputs[1], &shape) &&
                (shape.values[0] == 1 || shape.values[0] == 0) && shape.values[1] == -1;
    for (size_t i = 2; fine && i < shape.count; i++)
        fine = shape.values[i] > 0;
    if (!fine) {
        REFUSE(ed, "the shape of a Reshape node is not the constant [1, -1, …]");
        return;
    }
    /* The bytes are in our own copy of the file. */
    memset(ed->copy + (shape.raw.data - ed->copy), 0, 8);
    ed->reshapes++;
}

static size_t count_uses(struct editor *ed, struct hs_protobuf_span name)
{
    struct hs_protobuf_span in = ed->graph;
    struct hs_protobuf_field field;
    size_t uses = 0;
    while (hs_protobuf_next(&in, &field, &ed->damaged)) {
        struct hs_protobuf_span node = field.bytes;
        struct hs_protobuf_field part;
        while (hs_protobuf_is_bytes(&field, HS_ONNX_GRAPH_NODE) && hs_protobuf_next(&node, &part, &ed->damaged))
            uses += hs_protobuf_is_bytes(&part, NODE_INPUT) && spans_equal(part.bytes, name);
    }
    return uses;
}

/* The two Resize nodes of a feature pyramid enlarge 1/32 of the input to 1/16, and 1/16 to 1/8. */
static void make_resize_dynamic(struct editor *ed, const struct node *node)
{
    const int64_t *input = ed->info->inputs[0].dims, stride = ed->resizes == 0 ? 16 : 8;
    struct constant size;
    if (ed->resizes == RESIZES)
        REFUSE(ed, "the model has more than %d Resize nodes", RESIZES);
    else if (node->input_count != 4 || !read_constant(ed, node->inputs[3], &size) || size.count != 4 ||
             size.values[0] != 1 || input[2] % stride || input[3] % stride || size.values[2] != input[2] / stride ||
             size.values[3] != input[3] / stride)
        REFUSE(ed, "the output of a Resize node is not 1/%" PRId64 " of the input", stride);
    else if (count_uses(ed, node->inputs[3]) != 1)
        REFUSE(ed, "a Resize node shares its size with another node");
    else
        ed->sizes[ed->resizes++] = node->inputs[3];
}

static void check_nodes(struct editor *ed)
{
    const struct hs_protobuf_span scales = { (const uint8_t *) scales_name, strlen(scales_name) };
    struct hs_protobuf_span in = ed->graph, other;
    struct hs_protobuf_field field;
    size_t count = 0;
    while (ed->status == 0 && hs_protobuf_next(&in, &field, &ed->damaged)) {
        if (!hs_protobuf_is_bytes(&field, HS_ONNX_GRAPH_NODE))
            continue;
        struct node node = read_node(ed, field.bytes);
        bool resize = is_text(node.op, "Resize");
        if (++count > MAX_NODES)
            REFUSE(ed, "the model has more than %d nodes", MAX_NODES);
        else if (!known_operator(&node) || (resize && ed->edit != HS_ONNX_DYNAMIC_SIZE))
            REFUSE(ed, "the model has an operator that may depend on the size");
        else if (resize)
            make_resize_dynamic(ed, &node);
        else if (is_text(node.op, "Reshape"))
            make_reshape_dynamic(ed, &node);
    }
    if (ed->reshapes == 0 || (ed->edit == HS_ONNX_DYNAMIC_SIZE && ed->resizes != RESIZES))
        REFUSE(ed, "unexpected number of nodes: %zu Reshape, %zu Resize", ed->reshapes, ed->resizes);
    if (find_tensor(ed, scales, &other))
        REFUSE(ed, "it is already dynamic");
}

/* Checks that the model takes one picture and that its outputs are [1, …]. */
static void check_io(struct editor *ed)
{
    const struct hs_onnx_info *info = ed->info;
    const struct hs_onnx_value *input = &info->inputs[0];
    if (info->external_data)
        REFUSE(ed, "the weights are stored in other files");
    else if (info->input_count != 1 || input->rank != 4 || input->elem_type != HS_ONNX_FLOAT || input->dims[0] != 1 ||
             input->dims[1] != 3 || input->dims[2] < 1 || input->dims[3] < 1)
        REFUSE(ed, "the input is not [1, 3, height, width] with fixed sizes");
    else if (info->output_count == 0)
        REFUSE(ed, "the model has no output");
    for (size_t i = 0; i < info->output_count; i++) {
        const struct hs_onnx_value *output = &info->outputs[i];
        bool fine = output->elem_type == HS_ONNX_FLOAT && output->rank >= 2 && output->dims[0] == 1;
        for (int k = 1; fine && k < output->rank; k++)
            fine = output->dims[k] > 0;
        if (!fine)
            REFUSE(ed, "output %zu is not [1, …] with fixed sizes", i);
    }
}

/* ValueInfoProto: name 1. The name differs from that in `info` if it was truncated, or if the field
 * is a weight, which old files also list as an input. */
static void put_value(struct editor *ed, struct hs_buf *out, const struct hs_protobuf_field *field, size_t index)
{
    const struct hs_onnx_info *info = ed->info;
    bool input = field->number == HS_ONNX_GRAPH_INPUT, size = ed->edit == HS_ONNX_DYNAMIC_SIZE;
    const struct hs_onnx_value *value = NULL;
    struct hs_onnx_dim dims[HS_ONNX_MAX_DIMS];
    char rows[32];
    if (index < (input ? info->input_count : info->output_count))
        value = (input ? info->inputs : info->outputs) + index;
    if (!value || !is_text(bytes_of(ed, field->bytes, 1), value->name)) {
        REFUSE(ed, "unsupported name of an input or output");
        return;
    }
    for (int i = 0; i < value->rank; i++)
        dims[i] = (struct hs_onnx_dim) { NULL, value->dims[i] };
    hs_str_format(rows, sizeof(rows), "rows_%zu", index);
    dims[0].name = "batch";
    if (size && input) {
        dims[2].name = "height";
        dims[3].name = "width";
    } else if (size) {
        dims[1].name = rows;
    }
    hs_onnx_put_value_info(out, field->number, value->name, dims, (size_t) value->rank);
}

/* Writes a Resize node with scales instead of input 2 and without input 3. Copies any other node. */
static void put_node(struct editor *ed, struct hs_buf *out, const struct hs_protobuf_field *field)
{
    struct node node = read_node(ed, field->bytes);
    if (!is_text(node.op, "Resize")) {
        hs_buf_append(out, field->whole.data, field->whole.len);
        return;
    }
    struct hs_buf message;
    struct hs_protobuf_span in = field->bytes;
    struct hs_protobuf_field part;
    size_t index = 0;
    hs_buf_init(&message, out->max);
    while (hs_protobuf_next(&in, &part, &ed->damaged)) {
        size_t input = hs_protobuf_is_bytes(&part, NODE_INPUT) ? index++ : 0;
        if (input == 2)
            hs_onnx_put_string(&message, NODE_INPUT, scales_name);
        else if (input != 3)
            hs_buf_append(&message, part.whole.data, part.whole.len);
    }
    hs_onnx_put_message(out, HS_ONNX_GRAPH_NODE, &message);
    hs_buf_finish(&message);
}

static void put_graph(struct editor *ed, struct hs_buf *out)
{
    static const float scales[] = { 1, 1, 2, 2 };
    struct hs_protobuf_span in = ed->graph;
    struct hs_protobuf_field field;
    size_t inputs = 0, outputs = 0;
    while (hs_protobuf_next(&in, &field, &ed->damaged)) {
        bool bytes = field.wire == HS_PROTOBUF_BYTES, drop = bytes && field.number == GRAPH_VALUE_INFO;
        if (bytes && field.number == HS_ONNX_GRAPH_INITIALIZER) {
            struct hs_protobuf_span name = bytes_of(ed, field.bytes, TENSOR_NAME);
            for (size_t i = 0; i < ed->resizes; i++)
                drop = drop || spans_equal(ed->sizes[i], name);
        }
        if (bytes && field.number == HS_ONNX_GRAPH_NODE)
            put_node(ed, out, &field);
        else if (bytes && field.number == HS_ONNX_GRAPH_INPUT)
            put_value(ed, out, &field, inputs++);
        else if (bytes && field.number == HS_ONNX_GRAPH_OUTPUT)
            put_value(ed, out, &field, outputs++);
        else if (!drop)
            hs_buf_append(out, field.whole.data, field.whole.len);
    }
    if (ed->edit == HS_ONNX_DYNAMIC_SIZE)
        hs_onnx_put_tensor(out, scales_name, HS_ONNX_ELEM_FLOAT, (const int64_t[]) { 4 }, 1, scales);
}

/* Appends the model with the new graph to `out`. */
static int write_model(struct editor *ed, struct hs_buf *out)
{
    struct hs_protobuf_span in = { ed->copy, ed->len };
    struct hs_protobuf_field field;
    struct hs_buf graph;
    size_t before = out->len;
    hs_buf_init(&graph, out->max);
    put_graph(ed, &graph);
    while (hs_protobuf_next(&in, &field, &ed->damaged)) {
        if (hs_protobuf_is_bytes(&field, HS_ONNX_MODEL_GRAPH))
            hs_onnx_put_message(out, HS_ONNX_MODEL_GRAPH, &graph);
        else
            hs_buf_append(out, field.whole.data, field.whole.len);
    }
    int error = hs_buf_error(out);
    if (ed->status == 0 && ed->damaged)
        ed->status = hs_error_set(ed->err, HS_EMODEL, "the ONNX file is damaged");
    else if (ed->status == 0 && error < 0)
        ed->status =
            hs_error_set(ed->err, error, error == HS_ETOOLARGE ? "the converted model is too large" : "out of memory");
    if (ed->status < 0)
        out->len = before;
    hs_buf_finish(&graph);
    return ed->status;
}

int hs_onnx_edit(enum hs_onnx_edit edit, const uint8_t *data, size_t len, struct hs_buf *out, struct hs_error *err)
{
    struct hs_onnx_info *info;
    int r = hs_onnx_info_parse(data, len, &info, err);
    if (r < 0)
        return r;
    struct editor ed = { .edit = edit, .copy = malloc(len), .len = len, .info = info, .err = err };
    if (ed.copy) {
        memcpy(ed.copy, data, len);
        /* hs_onnx_info_parse has checked that there is exactly one graph. */
        ed.graph = bytes_of(&ed, (struct hs_protobuf_span) { ed.copy, len }, HS_ONNX_MODEL_GRAPH);
        check_io(&ed);
        if (ed.status == 0)
            check_nodes(&ed);
        r = ed.status < 0 ? ed.status : write_model(&ed, out);
    } else {
        r = hs_error_set(err, HS_ENOMEM, "out of memory");
    }
    free(ed.copy);
    hs_onnx_info_destroy(info);
    return r;
}

int hs_onnx_edit_file(enum hs_onnx_edit edit, const char *from, const char *to, struct hs_error *err)
{
    uint8_t *data;
    size_t len;
    struct hs_buf out;
    int r = hs_file_read(from, file_max, &data, &len, err);
    if (r < 0)
        return r;
    hs_buf_init(&out, file_max);
    r = hs_onnx_edit(edit, data, len, &out, err);
    if (r == 0)
        r = hs_file_write_atomic(to, out.data, out.len, 0644, err);
    hs_buf_finish(&out);
    free(data);
    return r;
}
