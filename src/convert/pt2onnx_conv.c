#include "convert/pt2onnx_conv.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/pt2onnx_module.h"

enum { MAX_WINDOW = 64, MAX_GROUPS = 1 << 16 };

struct conv {
    int64_t kernel[2], stride[2], padding[2], dilation[2], groups;
    struct hs_pt_array weight;
    double *bias;
    size_t channels, filter; /* outputs, and numbers that each of them has in weight */
};

bool hs_pt_window_divides(int64_t kernel, int64_t padding, int64_t dilation, int64_t stride)
{
    /* floor((n * stride + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1 == n */
    int64_t rest = dilation * (kernel - 1) + 1 - 2 * padding;
    return rest >= 1 && rest <= stride;
}

static void read_window(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                        struct conv *conv)
{
    const struct hs_pickle_value *mode = hs_pt_get(graph, module, path, "padding_mode");
    if (!hs_pickle_is_text(mode, "zeros"))
        hs_pt_fail_value(graph, path, "padding of another kind than zeros is not supported:", mode);
    hs_pt_get_pair(graph, module, path, "padding", 0, MAX_WINDOW, conv->padding);
    hs_pt_get_pair(graph, module, path, "kernel_size", 1, MAX_WINDOW, conv->kernel);
    hs_pt_get_pair(graph, module, path, "stride", 1, MAX_WINDOW, conv->stride);
    hs_pt_get_pair(graph, module, path, "dilation", 1, MAX_WINDOW, conv->dilation);
    conv->groups = hs_pt_get_int(graph, module, path, "groups", 1, MAX_GROUPS);
    if (graph->status < 0)
        return;
    bool fine = conv->stride[0] == conv->stride[1];
    for (int i = 0; i < 2; i++)
        fine = fine && hs_pt_window_divides(conv->kernel[i], conv->padding[i], conv->dilation[i], conv->stride[i]);
    if (!fine)
        hs_pt_fail(graph, path, "a convolution must divide each side by its stride, this one does not");
}

static void read_weights(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                         struct conv *conv)
{
    if (!hs_pt_read_tensor(graph, module, "_parameters", "weight", path, &conv->weight))
        return;
    const int64_t *size = conv->weight.size;
    if (conv->weight.dims != 4 || conv->weight.count == 0 || size[0] > HS_PT_MAX_CHANNELS ||
        size[1] > HS_PT_MAX_CHANNELS || size[2] != conv->kernel[0] || size[3] != conv->kernel[1]) {
        hs_pt_fail(graph, path, "the weight has the wrong shape");
        return;
    }
    conv->channels = (size_t) size[0];
    conv->filter = conv->weight.count / conv->channels;
    const struct hs_pickle_value *bias = hs_pickle_get(hs_pickle_attribute(module, "_parameters"), "bias");
    if (bias && bias->type == HS_PICKLE_NONE) {
        conv->bias = calloc(conv->channels, sizeof(*conv->bias));
        if (!conv->bias)
            hs_pt_fail_with(graph, HS_ENOMEM, "no memory for the network");
    } else
        conv->bias = hs_pt_read_vector(graph, module, "_parameters", "bias", path, conv->channels);
}

static void check_channels(struct hs_pt_graph *graph, const struct conv *conv, struct hs_pt_edge x, const char *path)
{
    if (graph->status < 0)
        return;
    int64_t wanted = conv->weight.size[1] * conv->groups;
    if (wanted != x.channels)
        hs_pt_fail(graph, path, "takes %" PRId64 " channels and gets %" PRId64, wanted, x.channels);
    else if (conv->weight.size[0] % conv->groups != 0)
        hs_pt_fail(graph, path, "%" PRId64 " channels do not divide into %" PRId64 " groups", conv->weight.size[0],
                   conv->groups);
    else if (x.stride * conv->stride[0] > HS_PT_MAX_STRIDE)
        hs_pt_fail(graph, path, "the picture becomes too small");
}

/* One statement a step: a compiler may not fuse a product and a sum across them, so that results are the same on every
 * machine. */
static void fold(struct conv *conv, double eps, const double *mean, const double *variance, const double *weight,
                 const double *bias)
{
    for (size_t channel = 0; channel < conv->channels; channel++) {
        double shifted_variance = variance[channel] + eps;
        double scale = weight[channel] / sqrt(shifted_variance);
        double *filter = conv->weight.data + channel * conv->filter;
        for (size_t i = 0; i < conv->filter; i++)
            filter[i] *= scale;
        double centred = conv->bias[channel] - mean[channel];
        double scaled = centred * scale;
        conv->bias[channel] = scaled + bias[channel];
    }
}

static void fold_norm(struct hs_pt_graph *graph, const struct hs_pickle_value *norm, const char *path,
                      struct conv *conv)
{
    if (graph->status < 0 || !norm || norm->type == HS_PICKLE_NONE)
        return;
    double eps = hs_pt_get_real(graph, norm, path, "eps");
    double *variance = hs_pt_read_vector(graph, norm, "_buffers", "running_var", path, conv->channels);
    double *weight = hs_pt_read_vector(graph, norm, "_parameters", "weight", path, conv->channels);
    double *mean = hs_pt_read_vector(graph, norm, "_buffers", "running_mean", path, conv->channels);
    double *bias = hs_pt_read_vector(graph, norm, "_parameters", "bias", path, conv->channels);
    if (graph->status == 0)
        fold(conv, eps, mean, variance, weight, bias);
    free(variance);
    free(weight);
    free(mean);
    free(bias);
}

/* As floats, row `order[i]` in place i. NULL and a failure where one is not finite, or without memory. */
static float *to_floats(struct hs_pt_graph *graph, const double *data, size_t rows, size_t row_len, const size_t *order,
                        const char *path)
{
    float *floats = malloc(rows * row_len * sizeof(*floats));
    bool finite = true;
    if (!floats) {
        hs_pt_fail_with(graph, HS_ENOMEM, "no memory for the network");
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
        hs_pt_fail(graph, path, "a weight that is not finite once the batch norm is part of it");
    return floats;
}

static struct hs_pt_edge add_node(struct hs_pt_graph *graph, const struct conv *conv, const size_t *order,
                                  struct hs_pt_edge x, const char *path)
{
    float *weight = to_floats(graph, conv->weight.data, conv->channels, conv->filter, order, path);
    float *bias = to_floats(graph, conv->bias, conv->channels, 1, order, path);
    struct hs_pt_input weight_input = {.type = HS_ONNX_ELEM_FLOAT, .dims = 4, .elements = weight};
    memcpy(weight_input.size, conv->weight.size, sizeof(weight_input.size));
    struct hs_pt_input bias_input = {
        .type = HS_ONNX_ELEM_FLOAT, .dims = 1, .size = {conv->weight.size[0]}, .elements = bias};
    int64_t pads[] = {conv->padding[0], conv->padding[1], conv->padding[0], conv->padding[1]};
    struct hs_pt_edge y = {"", conv->weight.size[0], x.stride * conv->stride[0]};
    if (graph->status == 0)
        y.name = hs_pt_graph_add(graph, &(struct hs_pt_node){
            "Conv", path, HS_PT_INPUTS(hs_pt_edge_input(x), weight_input, bias_input),
            HS_PT_ATTRIBUTES({"dilations", .ints = conv->dilation, .count = 2}, {"group", .value = conv->groups},
                             {"kernel_shape", .ints = conv->kernel, .count = 2}, {"pads", .ints = pads, .count = 4},
                             {"strides", .ints = conv->stride, .count = 2})});
    free(weight);
    free(bias);
    return y;
}

struct hs_pt_edge hs_pt_emit_conv(struct hs_pt_graph *graph, const struct hs_pickle_value *module,
                                  const struct hs_pickle_value *norm, const size_t *order, size_t order_len,
                                  struct hs_pt_edge x, const char *path)
{
    struct conv conv = {0};
    struct hs_pt_edge y = {"", 0, 0};
    if (strcmp(hs_pickle_kind_name(module), "Conv2d") != 0)
        hs_pt_fail_value(graph, path, "a convolution is needed, the file has", module);
    read_window(graph, module, path, &conv);
    if (graph->status == 0)
        read_weights(graph, module, path, &conv);
    check_channels(graph, &conv, x, path);
    if (graph->status == 0 && order && order_len != conv.channels)
        hs_pt_fail(graph, path, "gives %zu channels, %zu are needed", conv.channels, order_len);
    fold_norm(graph, norm, path, &conv);
    if (graph->status == 0)
        y = add_node(graph, &conv, order, x, path);
    free(conv.weight.data);
    free(conv.bias);
    return y;
}
