/* One function for each module. Each computes the same as its forward() in Ultralytics' nn/modules
 * or torch.nn. */
#include "convert/pt2onnx_graph.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { MAX_WINDOW = 64, MAX_GROUPS = 1 << 16, MAX_POOLS = 16, MAX_PARTS = 1024 };
enum { MAX_HEADS = 1024, MAX_HEAD_CHANNELS = 1024 };

static const struct hs_pt_edge nothing = { "", 0, 0 };

/* ---- single nodes ---- */

/* Adds a node of this module with one output and returns its name. */
#define ADD(m, type, ...) HS_PT_ADD((m)->graph, type, (m)->path, __VA_ARGS__)

static struct hs_pt_edge unary(const struct hs_pt_module *m, const char *type, struct hs_pt_edge x)
{
    x.name = ADD(m, type, HS_PT_INPUTS({ .name = x.name }));
    return x;
}

/* Both inputs must have the same channels and stride. */
static struct hs_pt_edge binary(const struct hs_pt_module *m, const char *type, struct hs_pt_edge a,
                                struct hs_pt_edge b)
{
    if (a.channels != b.channels || a.stride != b.stride)
        hs_pt_fail(m->graph, m->path,
                   "cannot add %" PRId64 " channels at stride %" PRId64 " to %" PRId64 " at %" PRId64, a.channels,
                   a.stride, b.channels, b.stride);
    a.name = ADD(m, type, HS_PT_INPUTS({ .name = a.name }, { .name = b.name }));
    return a;
}

static struct hs_pt_edge concat(const struct hs_pt_module *m, const struct hs_pt_edge *parts, size_t count)
{
    struct hs_pt_input *inputs = hs_pt_graph_alloc(m->graph, count, sizeof(*inputs));
    if (!inputs)
        return nothing;
    struct hs_pt_edge y = { "", 0, parts[0].stride };
    for (size_t i = 0; i < count; i++) {
        inputs[i].name = parts[i].name;
        y.channels += parts[i].channels;
        if (parts[i].stride != y.stride)
            hs_pt_fail(m->graph, m->path, "cannot concatenate values at stride %" PRId64 " and %" PRId64, y.stride,
                       parts[i].stride);
        if (y.channels > HS_PT_MAX_CHANNELS)
            hs_pt_fail(m->graph, m->path, "too many channels");
    }
    y.name = ADD(m, "Concat", .inputs = inputs, .input_count = count, HS_PT_ATTRIBUTES({ "axis", .value = 1 }));
    return y;
}

static void split(const struct hs_pt_module *m, struct hs_pt_edge x, const int64_t *channels, size_t count,
                  struct hs_pt_edge *ret_parts)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += channels[i];
    if (sum != x.channels)
        hs_pt_fail(m->graph, m->path, "expected %" PRId64 " channels, got %" PRId64, sum, x.channels);
    const struct hs_pt_input sizes = {
        .type = HS_ONNX_ELEM_INT64, .dims = 1, .size = { (int64_t) count }, .elements = channels
    };
    const struct hs_pt_node node = { "Split", m->path, HS_PT_INPUTS({ .name = x.name }, sizes),
                                     HS_PT_ATTRIBUTES({ "axis", .value = 1 }) };
    const char *const *names = hs_pt_graph_add(m->graph, &node, count);
    for (size_t i = 0; i < count; i++)
        ret_parts[i] = (struct hs_pt_edge) { names[i], channels[i], x.stride };
}

/* ---- convolutions ---- */

struct conv {
    int64_t kernel[2], stride[2], padding[2], dilation[2], groups;
    struct hs_pt_array weight;
    double *bias;
    size_t channels, filter; /* outputs, and weights of each output */
};

/* True if a window of this size, moved by `stride`, divides every side that is a multiple of the
 * stride exactly by it. The declared sizes of the network's outputs rely on that. */
static bool window_divides(int64_t kernel, int64_t padding, int64_t dilation, int64_t stride)
{
    /* floor((n * stride + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1 == n */
    int64_t rest = dilation * (kernel - 1) + 1 - 2 * padding;
    return rest >= 1 && rest <= stride;
}

static void read_window(const struct hs_pt_module *m, struct conv *conv)
{
    const struct hs_pickle_value *mode = hs_pt_get(m, "padding_mode");
    if (!hs_pickle_is_text(mode, "zeros"))
        hs_pt_fail_value(m->graph, m->path, "only zero padding is supported, got", mode);
    hs_pt_get_pair(m, "padding", 0, MAX_WINDOW, conv->padding);
    hs_pt_get_pair(m, "kernel_size", 1, MAX_WINDOW, conv->kernel);
    hs_pt_get_pair(m, "stride", 1, MAX_WINDOW, conv->stride);
    hs_pt_get_pair(m, "dilation", 1, MAX_WINDOW, conv->dilation);
    conv->groups = hs_pt_get_int(m, "groups", 1, MAX_GROUPS);
    bool fine = conv->stride[0] == conv->stride[1];
    for (int i = 0; i < 2 && m->graph->status == 0; i++)
        fine = fine && window_divides(conv->kernel[i], conv->padding[i], conv->dilation[i], conv->stride[i]);
    if (!fine)
        hs_pt_fail(m->graph, m->path, "unsupported convolution: it does not divide each side by its stride");
}

static void read_weights(const struct hs_pt_module *m, struct conv *conv)
{
    if (!hs_pt_read_tensor(m, "_parameters", "weight", &conv->weight))
        return;
    const int64_t *size = conv->weight.size;
    if (conv->weight.dims != 4 || conv->weight.count == 0 || size[0] > HS_PT_MAX_CHANNELS ||
        size[1] > HS_PT_MAX_CHANNELS || size[2] != conv->kernel[0] || size[3] != conv->kernel[1]) {
        hs_pt_fail(m->graph, m->path, "the weight has the wrong shape");
        return;
    }
    conv->channels = (size_t) size[0];
    conv->filter = conv->weight.count / conv->channels;
    const struct hs_pickle_value *bias = hs_pickle_get(hs_pickle_attribute(m->value, "_parameters"), "bias");
    bool none = bias && bias->type == HS_PICKLE_NONE;
    conv->bias = none ? calloc(conv->channels, sizeof(*conv->bias))
                      : hs_pt_read_vector(m, "_parameters", "bias", conv->channels);
    if (!conv->bias)
        hs_pt_no_memory(m->graph); /* unless read_vector failed for another reason */
}

static void fold_norm(const struct hs_pt_module *norm, struct conv *conv)
{
    if (!norm || norm->graph->status < 0 || !norm->value || norm->value->type == HS_PICKLE_NONE)
        return;
    double eps = hs_pt_get_real(norm, "eps");
    double *variance = hs_pt_read_vector(norm, "_buffers", "running_var", conv->channels);
    double *weight = hs_pt_read_vector(norm, "_parameters", "weight", conv->channels);
    double *mean = hs_pt_read_vector(norm, "_buffers", "running_mean", conv->channels);
    double *bias = hs_pt_read_vector(norm, "_parameters", "bias", conv->channels);
    /* One statement per step: compilers do not fuse operations across statements, so results are
     * the same on every machine. */
    for (size_t channel = 0; channel < conv->channels && norm->graph->status == 0; channel++) {
        double shifted_variance = variance[channel] + eps;
        double scale = weight[channel] / sqrt(shifted_variance);
        double *filter = conv->weight.data + channel * conv->filter;
        for (size_t i = 0; i < conv->filter; i++)
            filter[i] *= scale;
        double centred = conv->bias[channel] - mean[channel];
        double scaled = centred * scale;
        conv->bias[channel] = scaled + bias[channel];
    }
    free(variance);
    free(weight);
    free(mean);
    free(bias);
}

/* Converts to floats; row `order[i]` goes to place i. NULL and a failure if a number is not finite
 * or memory is exhausted. */
static float *to_floats(const struct hs_pt_module *m, const double *data, size_t rows, size_t row_len,
                        const size_t *order)
{
    float *floats = malloc(rows * row_len * sizeof(*floats));
    bool finite = true;
    if (!floats) {
        hs_pt_no_memory(m->graph);
        return NULL;
    }
    for (size_t row = 0; row < rows; row++) {
        const double *source = data + (order ? order[row] : row) * row_len;
        for (size_t i = 0; i < row_len; i++) {
            double value = source[i];
            finite = finite && fabs(value) <= (double) FLT_MAX;
            floats[row * row_len + i] = finite ? (float) value : 0;
        }
    }
    if (!finite)
        hs_pt_fail(m->graph, m->path, "a weight is not finite after folding the batch norm");
    return floats;
}

static struct hs_pt_edge add_node(const struct hs_pt_module *m, const struct conv *conv, const size_t *order,
                                  struct hs_pt_edge x)
{
    float *weight = to_floats(m, conv->weight.data, conv->channels, conv->filter, order);
    float *bias = to_floats(m, conv->bias, conv->channels, 1, order);
    const int64_t *size = conv->weight.size, *padding = conv->padding;
    const int64_t pads[] = { padding[0], padding[1], padding[0], padding[1] };
    struct hs_pt_edge y = { "", size[0], x.stride * conv->stride[0] };
    if (m->graph->status == 0)
        y.name = ADD(
            m, "Conv",
            HS_PT_INPUTS({ .name = x.name },
                         { .type = HS_ONNX_ELEM_FLOAT,
                           .dims = 4,
                           .size = { size[0], size[1], size[2], size[3] },
                           .elements = weight },
                         { .type = HS_ONNX_ELEM_FLOAT, .dims = 1, .size = { size[0] }, .elements = bias }),
            HS_PT_ATTRIBUTES({ "dilations", .ints = conv->dilation, .count = 2 }, { "group", .value = conv->groups },
                             { "kernel_shape", .ints = conv->kernel, .count = 2 }, { "pads", .ints = pads, .count = 4 },
                             { "strides", .ints = conv->stride, .count = 2 }));
    free(weight);
    free(bias);
    return y;
}

/* torch's Conv2d. Folds in the batch norm `norm` that follows it (NULL, or without a value: none).
 * If `order` is not NULL, reorders the output channels by it; `order_len` must be their number. */
static struct hs_pt_edge plain_conv(const struct hs_pt_module *m, const struct hs_pt_module *norm, const size_t *order,
                                    size_t order_len, struct hs_pt_edge x)
{
    struct conv conv = { 0 };
    struct hs_pt_edge y = { "", 0, 0 };
    if (strcmp(hs_pickle_kind_name(m->value), "Conv2d") != 0)
        hs_pt_fail_value(m->graph, m->path, "expected a convolution, got", m->value);
    read_window(m, &conv);
    if (m->graph->status == 0)
        read_weights(m, &conv);
    int64_t wanted = m->graph->status == 0 ? conv.weight.size[1] * conv.groups : x.channels;
    if (wanted != x.channels)
        hs_pt_fail(m->graph, m->path, "expected %" PRId64 " channels, got %" PRId64, wanted, x.channels);
    else if (conv.weight.size[0] % conv.groups != 0)
        hs_pt_fail(m->graph, m->path, "%" PRId64 " channels are not divisible into %" PRId64 " groups",
                   conv.weight.size[0], conv.groups);
    else if (x.stride * conv.stride[0] > HS_PT_MAX_STRIDE)
        hs_pt_fail(m->graph, m->path, "the feature map becomes too small");
    if (order && order_len != conv.channels)
        hs_pt_fail(m->graph, m->path, "produces %zu channels, expected %zu", conv.channels, order_len);
    fold_norm(norm, &conv);
    if (m->graph->status == 0)
        y = add_node(m, &conv, order, x);
    free(conv.weight.data);
    free(conv.bias);
    return y;
}

static struct hs_pt_edge emit_conv2d(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    return plain_conv(m, NULL, NULL, 0, x);
}

static struct hs_pt_edge conv_ordered(const struct hs_pt_module *m, const size_t *order, size_t order_len,
                                      struct hs_pt_edge x)
{
    struct hs_pt_module conv = *m, norm = *m;
    conv.value = hs_pt_child(m->value, "conv");
    norm.value = hs_pt_child(m->value, "bn");
    const struct hs_pickle_value *act = hs_pt_child(m->value, "act");
    const char *name = hs_pickle_kind_name(act);
    x = plain_conv(&conv, &norm, order, order_len, x);
    if (strcmp(name, "Identity") == 0)
        return x;
    if (strcmp(name, "ReLU") == 0)
        return unary(m, "Relu", x);
    if (strcmp(name, "SiLU") == 0)
        return binary(m, "Mul", x, unary(m, "Sigmoid", x));
    hs_pt_fail_value(m->graph, m->path, "unknown activation", act);
    return nothing;
}

static struct hs_pt_edge emit_conv(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    return conv_ordered(m, NULL, 0, x);
}

/* ---- blocks ---- */

static struct hs_pt_edge emit_sequential(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    char name[64];
    const struct hs_pickle_dict *modules = hs_pt_children(m);
    for (uint32_t i = 0; modules && i < modules->len && m->graph->status == 0; i++)
        if (hs_pt_child_name(m, modules, i, name))
            x = hs_pt_emit_part(m, name, x);
    return x;
}

static struct hs_pt_edge emit_bottleneck(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    struct hs_pt_edge y = hs_pt_emit_part(m, "cv1", x);
    y = hs_pt_emit_part(m, "cv2", y);
    return hs_pickle_is_true(hs_pt_get(m, "add")) ? binary(m, "Add", x, y) : y;
}

/* Also C3k2, whose inner blocks differ. */
static struct hs_pt_edge emit_c2f(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    char name[64];
    struct hs_pt_module list;
    struct hs_pt_edge y = hs_pt_emit_part(m, "cv1", x);
    int64_t half = hs_pt_get_int(m, "c", 1, HS_PT_MAX_CHANNELS);
    const struct hs_pickle_dict *modules = hs_pt_enter(m, "m", &list) ? hs_pt_children(&list) : NULL;
    if (!modules || modules->len > MAX_PARTS) {
        hs_pt_fail(m->graph, m->path, "too many modules");
        return nothing;
    }
    struct hs_pt_edge *parts = hs_pt_graph_alloc(m->graph, 2 + (size_t) modules->len, sizeof(*parts));
    if (!parts)
        return nothing;
    split(m, y, (int64_t[]) { half, half }, 2, parts);
    for (uint32_t i = 0; i < modules->len && m->graph->status == 0; i++)
        if (hs_pt_child_name(&list, modules, i, name))
            parts[i + 2] = hs_pt_emit_part(&list, name, parts[i + 1]);
    return hs_pt_emit_part(m, "cv2", concat(m, parts, 2 + (size_t) modules->len));
}

/* Also C3k. */
static struct hs_pt_edge emit_c3(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    struct hs_pt_edge parts[2];
    parts[0] = hs_pt_emit_part(m, "cv1", x);
    parts[0] = hs_pt_emit_part(m, "m", parts[0]);
    parts[1] = hs_pt_emit_part(m, "cv2", x);
    return hs_pt_emit_part(m, "cv3", concat(m, parts, 2));
}

static struct hs_pt_edge emit_max_pool(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    int64_t kernel = hs_pt_get_int(m, "kernel_size", 1, 64);
    int64_t stride = hs_pt_get_int(m, "stride", 1, 64);
    int64_t padding = hs_pt_get_int(m, "padding", 0, 64), dilation = 1;
    /* These attributes change the result; older checkpoints do not have them. */
    const struct hs_pickle_value *spread = hs_pickle_attribute(m->value, "dilation");
    bool plain = (!spread || (hs_pickle_to_int(spread, &dilation) && dilation == 1)) &&
                 !hs_pickle_is_true(hs_pickle_attribute(m->value, "ceil_mode"));
    if (!plain || padding >= kernel || !window_divides(kernel, padding, 1, stride) ||
        x.stride * stride > HS_PT_MAX_STRIDE)
        hs_pt_fail(m->graph, m->path, "unsupported pooling");
    x.stride *= stride;
    x.name = ADD(m, "MaxPool", HS_PT_INPUTS({ .name = x.name }),
                 HS_PT_ATTRIBUTES({ "kernel_shape", .ints = (int64_t[]) { kernel, kernel }, .count = 2 },
                                  { "pads", .ints = (int64_t[]) { padding, padding, padding, padding }, .count = 4 },
                                  { "strides", .ints = (int64_t[]) { stride, stride }, .count = 2 }));
    return x;
}

static struct hs_pt_edge emit_sppf(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    struct hs_pt_edge parts[1 + MAX_POOLS];
    int64_t pools = hs_pickle_attribute(m->value, "n") ? hs_pt_get_int(m, "n", 0, MAX_POOLS) : 3;
    parts[0] = hs_pt_emit_part(m, "cv1", x);
    for (int64_t i = 0; i < pools; i++)
        parts[i + 1] = hs_pt_emit_part(m, "m", parts[i]);
    struct hs_pt_edge y = hs_pt_emit_part(m, "cv2", concat(m, parts, 1 + (size_t) pools));
    return hs_pickle_is_true(hs_pickle_attribute(m->value, "add")) ? binary(m, "Add", y, x) : y;
}

/* ---- attention ---- */

/* The checkpoint stores q, k and v of each head side by side. In the order all q, all k, all v, a
 * split by channel keeps v as a feature map, which the positional convolution needs, and no size
 * has to be known in advance. */
static struct hs_pt_edge query_key_value(const struct hs_pt_module *m, size_t heads, const size_t sizes[3],
                                         struct hs_pt_edge x)
{
    struct hs_pt_module qkv;
    size_t head = sizes[0] + sizes[1] + sizes[2], first = 0, at = 0;
    size_t *order = hs_pt_graph_alloc(m->graph, heads * head, sizeof(*order));
    if (!order || !hs_pt_enter(m, "qkv", &qkv))
        return nothing;
    for (size_t group = 0; group < 3; group++) {
        for (size_t row = 0; row < heads; row++)
            for (size_t i = 0; i < sizes[group]; i++)
                order[at++] = row * head + first + i;
        first += sizes[group];
    }
    return conv_ordered(&qkv, order, at, x);
}

/* Reshapes [batch, heads * channels, h, w] to [batch, heads, channels, cells]. */
static struct hs_pt_edge by_head(const struct hs_pt_module *m, struct hs_pt_edge x, int64_t heads)
{
    x.name = ADD(m, "Reshape", HS_PT_INPUTS({ .name = x.name }, HS_PT_INTS(0, heads, x.channels / heads, -1)));
    return x;
}

static struct hs_pt_edge transpose(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    x.name = ADD(m, "Transpose", HS_PT_INPUTS({ .name = x.name }),
                 HS_PT_ATTRIBUTES({ "perm", .ints = (int64_t[]) { 0, 1, 3, 2 }, .count = 4 }));
    return x;
}

static struct hs_pt_edge mat_mul(const struct hs_pt_module *m, struct hs_pt_edge a, struct hs_pt_edge b)
{
    a.name = ADD(m, "MatMul", HS_PT_INPUTS({ .name = a.name }, { .name = b.name }));
    return a;
}

static struct hs_pt_edge emit_attention(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    struct hs_pt_edge qkv[3] = { nothing, nothing, nothing };
    int64_t heads = hs_pt_get_int(m, "num_heads", 1, MAX_HEADS);
    int64_t key = hs_pt_get_int(m, "key_dim", 1, MAX_HEAD_CHANNELS);
    int64_t value = hs_pt_get_int(m, "head_dim", 1, MAX_HEAD_CHANNELS);
    double scale = hs_pt_get_real(m, "scale");
    x = query_key_value(m, (size_t) heads, (size_t[]) { (size_t) key, (size_t) key, (size_t) value }, x);
    split(m, x, (int64_t[]) { heads * key, heads * key, heads * value }, 3, qkv);
    struct hs_pt_edge position = hs_pt_emit_part(m, "pe", qkv[2]);
    struct hs_pt_edge shape = unary(m, "Shape", qkv[2]);
    /* Scaled dot products. The result has v's channels and cells. */
    struct hs_pt_edge q = by_head(m, qkv[0], heads), k = by_head(m, qkv[1], heads), v = by_head(m, qkv[2], heads);
    q.name = ADD(m, "Mul", HS_PT_INPUTS({ .name = q.name }, HS_PT_REAL(scale)));
    struct hs_pt_edge weight = mat_mul(m, transpose(m, q), k);
    weight.name = ADD(m, "Softmax", HS_PT_INPUTS({ .name = weight.name }), HS_PT_ATTRIBUTES({ "axis", .value = -1 }));
    struct hs_pt_edge y = mat_mul(m, v, transpose(m, weight));
    y.name = ADD(m, "Reshape", HS_PT_INPUTS({ .name = y.name }, { .name = shape.name }));
    return hs_pt_emit_part(m, "proj", binary(m, "Add", y, position));
}

static struct hs_pt_edge emit_psa_block(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    const char *const names[] = { "attn", "ffn" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        struct hs_pt_edge y = hs_pt_emit_part(m, names[i], x);
        x = hs_pickle_is_true(hs_pt_get(m, "add")) ? binary(m, "Add", x, y) : y;
    }
    return x;
}

static struct hs_pt_edge emit_c2psa(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    struct hs_pt_edge parts[2] = { nothing, nothing };
    x = hs_pt_emit_part(m, "cv1", x);
    int64_t half = hs_pt_get_int(m, "c", 1, HS_PT_MAX_CHANNELS);
    split(m, x, (int64_t[]) { half, half }, 2, parts);
    parts[1] = hs_pt_emit_part(m, "m", parts[1]);
    return hs_pt_emit_part(m, "cv2", concat(m, parts, 2));
}

/* ---- between blocks ---- */

static struct hs_pt_edge emit_upsample(const struct hs_pt_module *m, struct hs_pt_edge x)
{
    const struct hs_pickle_value *size = hs_pt_get(m, "size");
    double factor = hs_pt_get_real(m, "scale_factor");
    if (!hs_pickle_is_text(hs_pt_get(m, "mode"), "nearest") || !size || size->type != HS_PICKLE_NONE ||
        !(factor >= 1 && factor <= HS_PT_MAX_STRIDE) || factor != (double) (int64_t) factor)
        hs_pt_fail(m->graph, m->path, "only nearest upsampling by a whole factor is supported");
    else if (x.stride % (int64_t) factor != 0)
        hs_pt_fail(m->graph, m->path, "cannot upsample by %.0f at stride %" PRId64, factor, x.stride);
    else
        x.stride /= (int64_t) factor;
    struct hs_pt_input scales = {
        .type = HS_ONNX_ELEM_FLOAT, .dims = 1, .size = { 4 }, .reals = { 1, 1, (float) factor, (float) factor }
    };
    x.name = ADD(m, "Resize", HS_PT_INPUTS({ .name = x.name }, { .name = "" }, scales),
                 HS_PT_ATTRIBUTES({ "coordinate_transformation_mode", .text = "asymmetric" },
                                  { "mode", .text = "nearest" }, { "nearest_mode", .text = "floor" }));
    return x;
}

/* ---- dispatch by module class ---- */

typedef struct hs_pt_edge (*emit_fn)(const struct hs_pt_module *m, struct hs_pt_edge x);

static bool is_from(const struct hs_pickle_value *module, const char *name)
{
    const char *kind = hs_pickle_kind(module);
    return (hs_str_starts(kind, "ultralytics.nn") || hs_str_starts(kind, "torch.nn")) &&
           strcmp(hs_pickle_kind_name(module), name) == 0;
}

static emit_fn find_rule(const struct hs_pickle_value *module)
{
    static const struct {
        const char *name;
        emit_fn emit;
    } rules[] = {
        { "Conv", emit_conv },
        { "DWConv", emit_conv },
        { "Conv2d", emit_conv2d },
        { "Sequential", emit_sequential },
        { "Bottleneck", emit_bottleneck },
        { "C2f", emit_c2f },
        { "C3k2", emit_c2f },
        { "C3", emit_c3 },
        { "C3k", emit_c3 },
        { "MaxPool2d", emit_max_pool },
        { "SPPF", emit_sppf },
        { "Attention", emit_attention },
        { "PSABlock", emit_psa_block },
        { "C2PSA", emit_c2psa },
        { "Upsample", emit_upsample },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(rules); i++)
        if (is_from(module, rules[i].name))
            return rules[i].emit;
    return NULL;
}

struct hs_pt_edge hs_pt_emit_part(const struct hs_pt_module *parent, const char *name, struct hs_pt_edge x)
{
    struct hs_pt_graph *graph = parent->graph;
    struct hs_pt_module m;
    if (!hs_pt_enter(parent, name, &m))
        return nothing;
    emit_fn emit = find_rule(m.value);
    if (graph->depth >= HS_PT_MAX_DEPTH)
        hs_pt_fail(graph, m.path, "modules are nested too deeply");
    else if (++graph->steps > HS_PT_MAX_STEPS)
        hs_pt_fail_with(graph, HS_EMODEL, "the network is too large");
    else if (is_from(m.value, "Concat"))
        hs_pt_fail(graph, m.path, "expected a list of inputs, got one");
    else if (!emit)
        hs_pt_fail_value(graph, m.path, "unknown module", m.value);
    if (graph->status < 0)
        return nothing;
    graph->depth++;
    x = emit(&m, x);
    graph->depth--;
    return x;
}

struct hs_pt_edge hs_pt_emit_list(const struct hs_pt_module *m, const struct hs_pt_edge *x, size_t count)
{
    if (!is_from(m->value, "Concat"))
        hs_pt_fail_value(m->graph, m->path, "only Concat supports a list of inputs, not", m->value);
    else if (count == 0 || count > MAX_PARTS)
        hs_pt_fail(m->graph, m->path, "cannot concatenate %zu values", count);
    hs_pt_get_int(m, "d", 1, 1);
    return m->graph->status == 0 ? concat(m, x, count) : nothing;
}
