/* One function a module, as its forward() in Ultralytics' nn/modules and torch.nn computes. The first part of a name is
 * that of the attribute in the checkpoint. */
#include "convert/pt2onnx_layers.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "convert/pt2onnx_conv.h"
#include "convert/pt2onnx_module.h"

enum { MAX_POOLS = 16, MAX_PARTS = 1024, MAX_HEADS = 1024, MAX_HEAD_CHANNELS = 1024 };

typedef struct hs_pt_edge (*emit_fn)(struct hs_pt_graph *graph, const struct hs_pickle_value *m, struct hs_pt_edge x,
                                     const char *path);

static const struct hs_pt_edge nothing = {"", 0, 0};

/* ---- single nodes ---- */

static struct hs_pt_edge unary(struct hs_pt_graph *graph, const char *type, struct hs_pt_edge x, const char *path)
{
    x.name = hs_pt_graph_add(graph, &(struct hs_pt_node){type, path, HS_PT_INPUTS(hs_pt_edge_input(x))});
    return x;
}

/* Both inputs must be alike. */
static struct hs_pt_edge binary(struct hs_pt_graph *graph, const char *type, struct hs_pt_edge a, struct hs_pt_edge b,
                                const char *path)
{
    if (a.channels != b.channels || a.stride != b.stride)
        hs_pt_fail(graph, path, "adds %" PRId64 " channels at stride %" PRId64 " to %" PRId64 " at %" PRId64,
                   a.channels, a.stride, b.channels, b.stride);
    a.name = hs_pt_graph_add(
        graph, &(struct hs_pt_node){type, path, HS_PT_INPUTS(hs_pt_edge_input(a), hs_pt_edge_input(b))});
    return a;
}

static struct hs_pt_edge concat(struct hs_pt_graph *graph, const struct hs_pt_edge *parts, size_t count,
                                const char *path)
{
    struct hs_pt_input *inputs = hs_pt_graph_alloc(graph, count, sizeof(*inputs));
    if (!inputs)
        return nothing;
    struct hs_pt_edge y = {"", 0, parts[0].stride};
    for (size_t i = 0; i < count; i++) {
        inputs[i] = hs_pt_edge_input(parts[i]);
        y.channels += parts[i].channels;
        if (parts[i].stride != y.stride)
            hs_pt_fail(graph, path, "joins values at stride %" PRId64 " and %" PRId64, y.stride, parts[i].stride);
        if (y.channels > HS_PT_MAX_CHANNELS)
            hs_pt_fail(graph, path, "too many channels");
    }
    y.name = hs_pt_graph_add(graph, &(struct hs_pt_node){"Concat", path, inputs, count,
                                                         HS_PT_ATTRIBUTES({"axis", .value = 1})});
    return y;
}

static void split(struct hs_pt_graph *graph, struct hs_pt_edge x, const int64_t *channels, size_t count,
                  const char *path, struct hs_pt_edge *ret_parts)
{
    int64_t sum = 0;
    const char *names[HS_PT_MAX_OUTPUTS];
    for (size_t i = 0; i < count; i++)
        sum += channels[i];
    if (sum != x.channels)
        hs_pt_fail(graph, path, "splits %" PRId64 " channels and gets %" PRId64, sum, x.channels);
    hs_pt_graph_add_split(
        graph,
        &(struct hs_pt_node){"Split", path, HS_PT_INPUTS(hs_pt_edge_input(x), hs_pt_ints_input(count, channels)),
                             HS_PT_ATTRIBUTES({"axis", .value = 1})},
        count, names);
    for (size_t i = 0; i < count; i++)
        ret_parts[i] = (struct hs_pt_edge){names[i], channels[i], x.stride};
}

/* ---- convolutions ---- */

static struct hs_pt_edge emit_conv2d(struct hs_pt_graph *graph, const struct hs_pickle_value *m, struct hs_pt_edge x,
                                     const char *path)
{
    return hs_pt_emit_conv(graph, m, NULL, NULL, 0, x, path);
}

static struct hs_pt_edge conv_ordered(struct hs_pt_graph *graph, const struct hs_pickle_value *m, const size_t *order,
                                      size_t order_len, struct hs_pt_edge x, const char *path)
{
    struct hs_pt_edge y =
        hs_pt_emit_conv(graph, hs_pt_child(m, "conv"), hs_pt_child(m, "bn"), order, order_len, x, path);
    const struct hs_pickle_value *act = hs_pt_child(m, "act");
    const char *name = hs_pickle_kind_name(act);
    if (strcmp(name, "Identity") == 0)
        return y;
    if (strcmp(name, "ReLU") == 0)
        return unary(graph, "Relu", y, path);
    if (strcmp(name, "SiLU") == 0)
        return binary(graph, "Mul", y, unary(graph, "Sigmoid", y, path), path);
    hs_pt_fail_value(graph, path, "unknown activation", act);
    return nothing;
}

static struct hs_pt_edge emit_conv(struct hs_pt_graph *graph, const struct hs_pickle_value *m, struct hs_pt_edge x,
                                   const char *path)
{
    return conv_ordered(graph, m, NULL, 0, x, path);
}

/* ---- blocks ---- */

static struct hs_pt_edge emit_sequential(struct hs_pt_graph *graph, const struct hs_pickle_value *m,
                                         struct hs_pt_edge x, const char *path)
{
    char name[64];
    const struct hs_pickle_dict *modules = hs_pt_children(graph, m, path);
    for (uint32_t i = 0; modules && i < modules->len && graph->status == 0; i++)
        if (hs_pt_entry_name(graph, modules, i, path, name))
            x = hs_pt_emit_part(graph, m, name, x, path);
    return x;
}

static struct hs_pt_edge emit_bottleneck(struct hs_pt_graph *graph, const struct hs_pickle_value *m,
                                         struct hs_pt_edge x, const char *path)
{
    struct hs_pt_edge y = hs_pt_emit_part(graph, m, "cv1", x, path);
    y = hs_pt_emit_part(graph, m, "cv2", y, path);
    return hs_pt_get_true(graph, m, path, "add") ? binary(graph, "Add", x, y, path) : y;
}

/* C3k2 too, whose inner blocks differ. */
static struct hs_pt_edge emit_c2f(struct hs_pt_graph *graph, const struct hs_pickle_value *m, struct hs_pt_edge x,
                                  const char *path)
{
    char inner[HS_PT_PATH_SIZE], name[64];
    struct hs_pt_edge y = hs_pt_emit_part(graph, m, "cv1", x, path);
    int64_t half = hs_pt_get_int(graph, m, path, "c", 1, HS_PT_MAX_CHANNELS);
    const struct hs_pickle_value *list = hs_pt_child(m, "m");
    const struct hs_pickle_dict *modules = hs_pt_children(graph, list, path);
    if (!modules || modules->len > MAX_PARTS || !hs_pt_join(graph, path, "m", inner)) {
        hs_pt_fail(graph, path, "too many modules");
        return nothing;
    }
    struct hs_pt_edge *parts = hs_pt_graph_alloc(graph, 2 + (size_t) modules->len, sizeof(*parts));
    if (!parts)
        return nothing;
    split(graph, y, (int64_t[]){half, half}, 2, path, parts);
    for (uint32_t i = 0; i < modules->len && graph->status == 0; i++)
        if (hs_pt_entry_name(graph, modules, i, inner, name))
            parts[i + 2] = hs_pt_emit_part(graph, list, name, parts[i + 1], inner);
    y = concat(graph, parts, 2 + (size_t) modules->len, path);
    return hs_pt_emit_part(graph, m, "cv2", y, path);
}

/* C3k too. */
static struct hs_pt_edge emit_c3(struct hs_pt_graph *graph, const struct hs_pickle_value *m, struct hs_pt_edge x,
                                 const char *path)
{
    struct hs_pt_edge parts[2];
    parts[0] = hs_pt_emit_part(graph, m, "cv1", x, path);
    parts[0] = hs_pt_emit_part(graph, m, "m", parts[0], path);
    parts[1] = hs_pt_emit_part(graph, m, "cv2", x, path);
    return hs_pt_emit_part(graph, m, "cv3", concat(graph, parts, 2, path), path);
}

/* Attributes that change the result and that older checkpoints do not have. */
static bool is_plain_pool(const struct hs_pickle_value *m)
{
    int64_t dilation = 1;
    const struct hs_pickle_value *value = hs_pickle_attribute(m, "dilation");
    return (!value || (hs_pickle_to_int(value, &dilation) && dilation == 1)) &&
           !hs_pickle_is_true(hs_pickle_attribute(m, "ceil_mode"));
}

static struct hs_pt_edge emit_max_pool(struct hs_pt_graph *graph, const struct hs_pickle_value *m, struct hs_pt_edge x,
                                       const char *path)
{
    int64_t kernel = hs_pt_get_int(graph, m, path, "kernel_size", 1, 64);
    int64_t stride = hs_pt_get_int(graph, m, path, "stride", 1, 64);
    int64_t padding = hs_pt_get_int(graph, m, path, "padding", 0, 64);
    if (!is_plain_pool(m) || padding >= kernel || !hs_pt_window_divides(kernel, padding, 1, stride) ||
        x.stride * stride > HS_PT_MAX_STRIDE)
        hs_pt_fail(graph, path, "pooling of this kind is not supported");
    x.stride *= stride;
    x.name = hs_pt_graph_add(
        graph, &(struct hs_pt_node){
                   "MaxPool", path, HS_PT_INPUTS(hs_pt_edge_input(x)),
                   HS_PT_ATTRIBUTES({"kernel_shape", .ints = (int64_t[]){kernel, kernel}, .count = 2},
                                    {"pads", .ints = (int64_t[]){padding, padding, padding, padding}, .count = 4},
                                    {"strides", .ints = (int64_t[]){stride, stride}, .count = 2})});
    return x;
}

static struct hs_pt_edge emit_sppf(struct hs_pt_graph *graph, const struct hs_pickle_value *m, struct hs_pt_edge x,
                                   const char *path)
{
    struct hs_pt_edge parts[1 + MAX_POOLS];
    int64_t pools = hs_pickle_attribute(m, "n") ? hs_pt_get_int(graph, m, path, "n", 0, MAX_POOLS) : 3;
    parts[0] = hs_pt_emit_part(graph, m, "cv1", x, path);
    for (int64_t i = 0; i < pools; i++)
        parts[i + 1] = hs_pt_emit_part(graph, m, "m", parts[i], path);
    struct hs_pt_edge y = concat(graph, parts, 1 + (size_t) pools, path);
    y = hs_pt_emit_part(graph, m, "cv2", y, path);
    return hs_pickle_is_true(hs_pickle_attribute(m, "add")) ? binary(graph, "Add", y, x, path) : y;
}

/* ---- attention ---- */

struct attention {
    int64_t heads, key, value; /* channels of one head */
    double scale;
};

static struct hs_pt_edge reshape(struct hs_pt_graph *graph, struct hs_pt_edge x, struct hs_pt_input shape,
                                 const char *path)
{
    x.name =
        hs_pt_graph_add(graph, &(struct hs_pt_node){"Reshape", path, HS_PT_INPUTS(hs_pt_edge_input(x), shape)});
    return x;
}

/* [batch, heads * channels, h, w] as [batch, heads, channels, cells]. */
static struct hs_pt_edge by_head(struct hs_pt_graph *graph, struct hs_pt_edge x, int64_t heads, int64_t channels,
                                 const char *path)
{
    return reshape(graph, x, hs_pt_ints_input(4, (int64_t[]){0, heads, channels, -1}), path);
}

static struct hs_pt_edge transpose(struct hs_pt_graph *graph, struct hs_pt_edge x, const char *path)
{
    x.name = hs_pt_graph_add(
        graph, &(struct hs_pt_node){"Transpose", path, HS_PT_INPUTS(hs_pt_edge_input(x)),
                                    HS_PT_ATTRIBUTES({"perm", .ints = (int64_t[]){0, 1, 3, 2}, .count = 4})});
    return x;
}

static struct hs_pt_edge mat_mul(struct hs_pt_graph *graph, struct hs_pt_edge a, struct hs_pt_edge b, const char *path)
{
    a.name = hs_pt_graph_add(
        graph, &(struct hs_pt_node){"MatMul", path, HS_PT_INPUTS(hs_pt_edge_input(a), hs_pt_edge_input(b))});
    return a;
}

/* The checkpoint has q, k, v of one head side by side. With all q first, then all k, then all v, a split by channel
 * leaves v a picture, which the positional convolution needs, and no size must be known beforehand. */
static struct hs_pt_edge query_key_value(struct hs_pt_graph *graph, const struct hs_pickle_value *m,
                                         const struct attention *a, struct hs_pt_edge x, const char *path)
{
    char inner[HS_PT_PATH_SIZE];
    const size_t sizes[] = {(size_t) a->key, (size_t) a->key, (size_t) a->value};
    size_t heads = (size_t) a->heads, head = sizes[0] + sizes[1] + sizes[2], first = 0, at = 0;
    size_t *order = hs_pt_graph_alloc(graph, heads * head, sizeof(*order));
    if (!order || !hs_pt_join(graph, path, "qkv", inner))
        return nothing;
    for (size_t group = 0; group < 3; group++) {
        for (size_t row = 0; row < heads; row++)
            for (size_t i = 0; i < sizes[group]; i++)
                order[at++] = row * head + first + i;
        first += sizes[group];
    }
    return conv_ordered(graph, hs_pt_child(m, "qkv"), order, at, x, inner);
}

static struct attention read_attention(struct hs_pt_graph *graph, const struct hs_pickle_value *m, const char *path)
{
    struct attention a;
    a.heads = hs_pt_get_int(graph, m, path, "num_heads", 1, MAX_HEADS);
    a.key = hs_pt_get_int(graph, m, path, "key_dim", 1, MAX_HEAD_CHANNELS);
    a.value = hs_pt_get_int(graph, m, path, "head_dim", 1, MAX_HEAD_CHANNELS);
    a.scale = hs_pt_get_real(graph, m, path, "scale");
    return a;
}

static struct hs_pt_edge attend(struct hs_pt_graph *graph, const struct attention *a, const struct hs_pt_edge qkv[3],
                                const char *path)
{
    struct hs_pt_edge q = by_head(graph, qkv[0], a->heads, a->key, path);
    struct hs_pt_edge k = by_head(graph, qkv[1], a->heads, a->key, path);
    struct hs_pt_edge v = by_head(graph, qkv[2], a->heads, a->value, path);
    q.name = hs_pt_graph_add(graph, &(struct hs_pt_node){"Mul", path, HS_PT_INPUTS(hs_pt_edge_input(q),
                                                                                   hs_pt_real_input(a->scale))});
    q = transpose(graph, q, path);
    struct hs_pt_edge weight = mat_mul(graph, q, k, path);
    weight.name = hs_pt_graph_add(graph, &(struct hs_pt_node){"Softmax", path, HS_PT_INPUTS(hs_pt_edge_input(weight)),
                                                              HS_PT_ATTRIBUTES({"axis", .value = -1})});
    return mat_mul(graph, v, transpose(graph, weight, path), path);
}

static struct hs_pt_edge emit_attention(struct hs_pt_graph *graph, const struct hs_pickle_value *m,
                                        struct hs_pt_edge x, const char *path)
{
    struct hs_pt_edge qkv[3] = {nothing, nothing, nothing};
    struct attention a = read_attention(graph, m, path);
    struct hs_pt_edge all = query_key_value(graph, m, &a, x, path);
    split(graph, all, (int64_t[]){a.heads * a.key, a.heads * a.key, a.heads * a.value}, 3, path, qkv);
    struct hs_pt_edge position = hs_pt_emit_part(graph, m, "pe", qkv[2], path);
    struct hs_pt_edge shape = unary(graph, "Shape", qkv[2], path);
    struct hs_pt_edge y = attend(graph, &a, qkv, path); /* has v's channels and cells */
    y = reshape(graph, y, hs_pt_edge_input(shape), path);
    y = binary(graph, "Add", y, position, path);
    return hs_pt_emit_part(graph, m, "proj", y, path);
}

static struct hs_pt_edge emit_psa_block(struct hs_pt_graph *graph, const struct hs_pickle_value *m,
                                        struct hs_pt_edge x, const char *path)
{
    const char *const names[] = {"attn", "ffn"};
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        struct hs_pt_edge y = hs_pt_emit_part(graph, m, names[i], x, path);
        x = hs_pt_get_true(graph, m, path, "add") ? binary(graph, "Add", x, y, path) : y;
    }
    return x;
}

static struct hs_pt_edge emit_c2psa(struct hs_pt_graph *graph, const struct hs_pickle_value *m, struct hs_pt_edge x,
                                    const char *path)
{
    struct hs_pt_edge parts[2] = {nothing, nothing};
    x = hs_pt_emit_part(graph, m, "cv1", x, path);
    int64_t half = hs_pt_get_int(graph, m, path, "c", 1, HS_PT_MAX_CHANNELS);
    split(graph, x, (int64_t[]){half, half}, 2, path, parts);
    parts[1] = hs_pt_emit_part(graph, m, "m", parts[1], path);
    return hs_pt_emit_part(graph, m, "cv2", concat(graph, parts, 2, path), path);
}

/* ---- between blocks ---- */

static struct hs_pt_edge emit_upsample(struct hs_pt_graph *graph, const struct hs_pickle_value *m, struct hs_pt_edge x,
                                       const char *path)
{
    const struct hs_pickle_value *size = hs_pt_get(graph, m, path, "size");
    double factor = hs_pt_get_real(graph, m, path, "scale_factor");
    if (!hs_pickle_is_text(hs_pt_get(graph, m, path, "mode"), "nearest") || !size || size->type != HS_PICKLE_NONE ||
        !(factor >= 1 && factor <= HS_PT_MAX_STRIDE) || factor != (double) (int64_t) factor)
        hs_pt_fail(graph, path, "only upsampling by a whole factor, mode nearest, is supported");
    else if (x.stride % (int64_t) factor != 0)
        hs_pt_fail(graph, path, "upsamples by %.0f at stride %" PRId64, factor, x.stride);
    else
        x.stride /= (int64_t) factor;
    struct hs_pt_input scales = {.type = HS_ONNX_ELEM_FLOAT, .dims = 1, .size = {4},
                                 .reals = {1, 1, (float) factor, (float) factor}};
    x.name = hs_pt_graph_add(
        graph, &(struct hs_pt_node){"Resize", path, HS_PT_INPUTS(hs_pt_edge_input(x), hs_pt_name_input(""), scales),
                                    HS_PT_ATTRIBUTES({"coordinate_transformation_mode", .text = "asymmetric"},
                                                     {"mode", .text = "nearest"}, {"nearest_mode", .text = "floor"})});
    return x;
}

static const struct {
    const char *name;
    emit_fn emit;
} rules[] = {
    {"Conv", emit_conv},
    {"DWConv", emit_conv},
    {"Conv2d", emit_conv2d},
    {"Sequential", emit_sequential},
    {"Bottleneck", emit_bottleneck},
    {"C2f", emit_c2f},
    {"C3k2", emit_c2f},
    {"C3", emit_c3},
    {"C3k", emit_c3},
    {"MaxPool2d", emit_max_pool},
    {"SPPF", emit_sppf},
    {"Attention", emit_attention},
    {"PSABlock", emit_psa_block},
    {"C2PSA", emit_c2psa},
    {"Upsample", emit_upsample},
};

/* ---- finding the rule ---- */

static bool is_from(const struct hs_pickle_value *m, const char *name)
{
    const char *kind = hs_pickle_kind(m);
    return (hs_str_starts(kind, "ultralytics.nn") || hs_str_starts(kind, "torch.nn")) &&
           strcmp(hs_pickle_kind_name(m), name) == 0;
}

static emit_fn find_rule(const struct hs_pickle_value *m)
{
    for (size_t i = 0; i < HS_ARRAY_LEN(rules); i++)
        if (is_from(m, rules[i].name))
            return rules[i].emit;
    return NULL;
}

struct hs_pt_edge hs_pt_emit_part(struct hs_pt_graph *graph, const struct hs_pickle_value *parent, const char *name,
                                  struct hs_pt_edge x, const char *path)
{
    char inner[HS_PT_PATH_SIZE];
    const struct hs_pickle_value *m = hs_pt_child(parent, name);
    emit_fn emit = find_rule(m);
    if (graph->status < 0 || !hs_pt_join(graph, path, name, inner))
        return nothing;
    if (graph->depth >= HS_PT_MAX_DEPTH)
        hs_pt_fail(graph, inner, "modules inside one another too deeply");
    else if (++graph->steps > HS_PT_MAX_STEPS)
        hs_pt_fail_with(graph, HS_EMODEL, "the network is too large");
    else if (is_from(m, "Concat"))
        hs_pt_fail(graph, inner, "joins a list, and gets one value");
    else if (!emit)
        hs_pt_fail_value(graph, inner, "unknown module", m);
    if (graph->status < 0)
        return nothing;
    graph->depth++;
    x = emit(graph, m, x, inner);
    graph->depth--;
    return x;
}

struct hs_pt_edge hs_pt_emit_list_part(struct hs_pt_graph *graph, const struct hs_pickle_value *parent,
                                       const char *name, const struct hs_pt_edge *x, size_t count, const char *path)
{
    char inner[HS_PT_PATH_SIZE];
    const struct hs_pickle_value *m = hs_pt_child(parent, name);
    if (graph->status < 0 || !hs_pt_join(graph, path, name, inner))
        return nothing;
    if (!is_from(m, "Concat"))
        hs_pt_fail_value(graph, inner, "only Concat reads a list, and this is", m);
    else if (count == 0 || count > MAX_PARTS)
        hs_pt_fail(graph, inner, "cannot join %zu values", count);
    hs_pt_get_int(graph, m, inner, "d", 1, 1);
    return graph->status == 0 ? concat(graph, x, count, inner) : nothing;
}
