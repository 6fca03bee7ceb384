#include "convert/pt2onnx_graph.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "constants are written as they lie in memory");

enum { NAME_TABLE_SIZE = 1 << 16, ARENA_MAX = 64 << 20, NODES_MAX = 64 << 20 };
_Static_assert(NAME_TABLE_SIZE > 2 * HS_PT_MAX_NODES, "the table of names never fills");

/* Counts nodes whose name is `base`, or `base` with a number appended. */
struct hs_pt_name_count {
    const char *base;
    unsigned count;
};

void hs_pt_graph_init(struct hs_pt_graph *graph, struct hs_pt_archive *archive, size_t max_bytes, struct hs_error *err)
{
    *graph = (struct hs_pt_graph) { .archive = archive, .err = err };
    hs_arena_init(&graph->arena, ARENA_MAX);
    hs_buf_init(&graph->nodes, NODES_MAX);
    hs_buf_init(&graph->weights, max_bytes);
    hs_buf_init(&graph->last, NODES_MAX);
    graph->names = hs_pt_graph_alloc(graph, NAME_TABLE_SIZE, sizeof(*graph->names));
}

void hs_pt_graph_finish(struct hs_pt_graph *graph)
{
    hs_arena_finish(&graph->arena);
    hs_buf_finish(&graph->nodes);
    hs_buf_finish(&graph->weights);
    hs_buf_finish(&graph->last);
}

void hs_pt_fail_with(struct hs_pt_graph *graph, int code, const char *message)
{
    if (graph->status == 0)
        graph->status = hs_error_set(graph->err, code, "%s", message);
}

void hs_pt_fail(struct hs_pt_graph *graph, const char *path, const char *format, ...)
{
    char text[HS_ERROR_MESSAGE_SIZE];
    if (graph->status < 0)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    graph->status = hs_error_set(graph->err, HS_EMODEL, "%s: %s", path, text);
}

void hs_pt_fail_value(struct hs_pt_graph *graph, const char *path, const char *what,
                      const struct hs_pickle_value *value)
{
    char text[120];
    hs_pickle_describe(value, text, sizeof(text));
    hs_pt_fail(graph, path, "%s %s", what, text);
}

void hs_pt_no_memory(struct hs_pt_graph *graph)
{
    hs_pt_fail_with(graph, HS_ENOMEM, "no memory for the network");
}

int hs_pt_graph_check(struct hs_pt_graph *graph)
{
    const int errors[] = { graph->nodes.error, graph->weights.error, graph->last.error };
    for (size_t i = 0; i < HS_ARRAY_LEN(errors); i++) {
        if (errors[i] == HS_ETOOLARGE)
            hs_pt_fail_with(graph, HS_EMODEL, "the network is too large");
        else if (errors[i] < 0)
            hs_pt_no_memory(graph);
    }
    return graph->status;
}

void *hs_pt_graph_alloc(struct hs_pt_graph *graph, size_t count, size_t size)
{
    size_t total;
    if (graph->status < 0)
        return NULL;
    void *memory = hs_size_mul(count, size, &total) ? hs_arena_alloc(&graph->arena, total > 0 ? total : 1) : NULL;
    if (!memory && graph->arena.full)
        hs_pt_fail_with(graph, HS_EMODEL, "the network is too large");
    else if (!memory)
        hs_pt_no_memory(graph);
    return memory;
}

const char *hs_pt_graph_name(struct hs_pt_graph *graph, const char *format, ...)
{
    va_list args;
    char text[2 * HS_PT_PATH_SIZE];
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0 || (size_t) len >= sizeof(text)) {
        hs_pt_fail_with(graph, HS_EMODEL, "a name is too long");
        return "";
    }
    char *name = hs_pt_graph_alloc(graph, (size_t) len + 1, 1);
    return name ? memcpy(name, text, (size_t) len + 1) : "";
}

/* Returns "path/Type", then "path/Type_1" and so on. Paths contain no '/', so no two nodes get the
 * same name. */
static const char *unique_name(struct hs_pt_graph *graph, const struct hs_pt_node *node)
{
    const char *base = hs_pt_graph_name(graph, "%s/%s", node->path, node->type);
    if (graph->status < 0)
        return "";
    uint32_t at = UINT32_C(2166136261); /* FNV-1a */
    for (const char *c = base; *c; c++)
        at = (at ^ (uint8_t) *c) * UINT32_C(16777619);
    at %= NAME_TABLE_SIZE;
    while (graph->names[at].base && strcmp(graph->names[at].base, base) != 0)
        at = (at + 1) % NAME_TABLE_SIZE;
    graph->names[at].base = base;
    unsigned before = graph->names[at].count++;
    return before > 0 ? hs_pt_graph_name(graph, "%s_%u", base, before) : base;
}

/* NodeProto: input 1, output 2, name 3, op_type 4, attribute 5. */
const char *const *hs_pt_graph_add(struct hs_pt_graph *graph, const struct hs_pt_node *node, size_t outputs)
{
    struct hs_buf *last = &graph->last;
    if (graph->status == 0 && ++graph->node_count > HS_PT_MAX_NODES)
        hs_pt_fail_with(graph, HS_EMODEL, "the network is too large");
    const char *name = unique_name(graph, node);
    hs_buf_clear(last);
    for (size_t i = 0; i < node->input_count && graph->status == 0; i++) {
        const struct hs_pt_input *input = &node->inputs[i];
        const char *input_name = input->name ? input->name : hs_pt_graph_name(graph, "%s.%zu", name, i);
        const void *inside = input->type == HS_ONNX_ELEM_INT64 ? (const void *) input->ints : input->reals;
        if (!input->name)
            hs_onnx_put_tensor(&graph->weights, input_name, input->type, input->size, input->dims,
                               input->elements ? input->elements : inside);
        hs_onnx_put_string(last, 1, input_name);
    }
    graph->last_output_at = last->len;
    graph->last_output_count = outputs;
    for (size_t i = 0; i < outputs; i++) {
        graph->last_outputs[i] = outputs == 1 ? name : hs_pt_graph_name(graph, "%s:%zu", name, i);
        hs_onnx_put_string(last, 2, graph->last_outputs[i]);
    }
    graph->last_rest_at = last->len;
    hs_onnx_put_string(last, 3, name);
    hs_onnx_put_string(last, 4, node->type);
    for (size_t i = 0; i < node->attribute_count; i++)
        hs_onnx_put_attribute(last, &node->attributes[i]);
    graph->last_at = graph->nodes.len;
    if (hs_pt_graph_check(graph) == 0)
        hs_onnx_put_message(&graph->nodes, HS_ONNX_GRAPH_NODE, last);
    hs_pt_graph_check(graph);
    return graph->last_outputs;
}

void hs_pt_graph_rename_last(struct hs_pt_graph *graph, const char *now, const char *name)
{
    struct hs_buf *last = &graph->last, renamed;
    if (graph->status < 0)
        return;
    if (graph->last_output_count != 1 || strcmp(graph->last_outputs[0], now) != 0) {
        hs_pt_fail(graph, name, "a branch of the head is empty");
        return;
    }
    hs_buf_init(&renamed, NODES_MAX);
    hs_buf_append(&renamed, last->data, graph->last_output_at);
    hs_onnx_put_string(&renamed, 2, name);
    hs_buf_append(&renamed, last->data + graph->last_rest_at, last->len - graph->last_rest_at);
    graph->nodes.len = graph->last_at;
    hs_onnx_put_message(&graph->nodes, HS_ONNX_GRAPH_NODE, &renamed);
    hs_buf_finish(&renamed);
    graph->last_output_count = 0;
    hs_pt_graph_check(graph);
}

/* ---- modules ---- */

const struct hs_pickle_value *hs_pt_child(const struct hs_pickle_value *module, const char *name)
{
    return hs_pickle_get(hs_pickle_attribute(module, "_modules"), name);
}

/* Writes "path.name", or fails. */
static bool join(const struct hs_pt_module *m, const char *name, char dst[HS_PT_PATH_SIZE])
{
    if (!hs_str_format(dst, HS_PT_PATH_SIZE, "%s.%s", m->path, name))
        hs_pt_fail(m->graph, m->path, "modules are nested too deeply");
    return m->graph->status == 0;
}

bool hs_pt_enter(const struct hs_pt_module *m, const char *name, struct hs_pt_module *ret_module)
{
    ret_module->graph = m->graph;
    ret_module->value = hs_pt_child(m->value, name);
    return join(m, name, ret_module->path);
}

const struct hs_pickle_dict *hs_pt_children(const struct hs_pt_module *m)
{
    const struct hs_pickle_value *modules = hs_pickle_attribute(m->value, "_modules");
    if (modules && modules->type == HS_PICKLE_DICT)
        return modules->dict;
    hs_pt_fail_value(m->graph, m->path, "expected a list of modules, got", modules ? modules : m->value);
    return NULL;
}

bool hs_pt_child_name(const struct hs_pt_module *m, const struct hs_pickle_dict *children, uint32_t i, char dst[64])
{
    const struct hs_pickle_value *key = children->entries[i].key;
    if (key->type == HS_PICKLE_STRING && key->text.len > 0 && hs_str_copy_n(dst, 64, key->text.data, key->text.len) &&
        strspn(dst, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == key->text.len)
        return true;
    hs_pt_fail_value(m->graph, m->path, "invalid module name:", key);
    return false;
}

const struct hs_pickle_value *hs_pt_get(const struct hs_pt_module *m, const char *name)
{
    const struct hs_pickle_value *value = hs_pickle_attribute(m->value, name);
    if (!value)
        hs_pt_fail(m->graph, m->path, "`%s` is missing", name);
    return value;
}

static void fail_attribute(const struct hs_pt_module *m, const char *name, const struct hs_pickle_value *value)
{
    char text[120];
    hs_pickle_describe(value, text, sizeof(text));
    hs_pt_fail(m->graph, m->path, "`%s` has the unsupported value %s", name, text);
}

static bool in_range(const struct hs_pickle_value *value, int64_t min, int64_t max, int64_t *ret)
{
    return hs_pickle_to_int(value, ret) && *ret >= min && *ret <= max;
}

int64_t hs_pt_get_int(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max)
{
    int64_t number;
    const struct hs_pickle_value *value = hs_pt_get(m, name);
    if (in_range(value, min, max, &number))
        return number;
    fail_attribute(m, name, value);
    return min;
}

double hs_pt_get_real(const struct hs_pt_module *m, const char *name)
{
    double number;
    const struct hs_pickle_value *value = hs_pt_get(m, name);
    if (hs_pickle_to_double(value, &number) && isfinite(number) && fabs(number) < 1e30)
        return number;
    fail_attribute(m, name, value);
    return 0;
}

bool hs_pt_get_pair(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max, int64_t ret[2])
{
    const struct hs_pickle_value *value = hs_pt_get(m, name);
    const struct hs_pickle_items *items = hs_pickle_to_items(value);
    if (items && items->len == 2 && in_range(items->data[0], min, max, &ret[0]) &&
        in_range(items->data[1], min, max, &ret[1]))
        return true;
    fail_attribute(m, name, value);
    return false;
}

bool hs_pt_read_tensor(const struct hs_pt_module *m, const char *group, const char *name, struct hs_pt_array *ret_array)
{
    char what[HS_PT_PATH_SIZE];
    const struct hs_pickle_value *tensor = hs_pickle_get(hs_pickle_attribute(m->value, group), name);
    if (!join(m, name, what))
        return false;
    if (!tensor)
        hs_pt_fail(m->graph, m->path, "`%s` is missing", name);
    else
        m->graph->status = hs_pt_archive_read_tensor(m->graph->archive, tensor, what, ret_array, m->graph->err);
    return m->graph->status == 0;
}

double *hs_pt_read_vector(const struct hs_pt_module *m, const char *group, const char *name, size_t count)
{
    struct hs_pt_array array;
    if (!hs_pt_read_tensor(m, group, name, &array))
        return NULL;
    if (array.dims == 1 && array.count == count)
        return array.data;
    hs_pt_fail(m->graph, m->path, "`%s` has %zu numbers in %d dimensions, expected %zu in one", name, array.count,
               array.dims, count);
    free(array.data);
    return NULL;
}
