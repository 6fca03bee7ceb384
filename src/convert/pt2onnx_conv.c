#include "convert/pt2onnx_conv.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static void read_window(const struct hs_pt_module *m, struct conv *conv)
{
    const struct hs_pickle_value *mode = hs_pt_get(m, "padding_mode");
    if (!hs_pickle_is_text(mode, "zeros"))
        hs_pt_fail_value(m->graph, m->path, "padding of another kind than zeros is not supported:", mode);
    hs_pt_get_pair(m, "padding", 0, MAX_WINDOW, conv->padding);
    hs_pt_get_pair(m, "kernel_size", 1, MAX_WINDOW, conv->kernel);
    hs_pt_get_pair(m, "stride", 1, MAX_WINDOW, conv->stride);
    hs_pt_get_pair(m, "dilation", 1, MAX_WINDOW, conv->dilation);
    conv->groups = hs_pt_get_int(m, "groups", 1, MAX_GROUPS);
    bool fine = conv->stride[0] == conv->stride[1];
    for (int i = 0; i < 2 && m->graph->status == 0; i++)
        fine = fine && hs_pt_window_divides(conv->kernel[i], conv->padding[i], conv->dilation[i], conv->stride[i]);
    if (!fine)
        hs_pt_fail(m->graph, m->path, "a convolution must divide each side by its stride, this one does not");
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
        hs_pt_no_memory(m->graph); /* unless read_vector has failed for another reason */
}

static void check_channels(const struct hs_pt_module *m, const struct conv *conv, struct hs_pt_edge x)
{
    if (m->graph->status < 0)
        return;
    int64_t wanted = conv->weight.size[1] * conv->groups;
    if (wanted != x.channels)
        hs_pt_fail(m->graph, m->path, "takes %" PRId64 " channels and gets %" PRId64, wanted, x.channels);
    else if (conv->weight.size[0] % conv->groups != 0)
        hs_pt_fail(m->graph, m->path, "%" PRId64 " channels do not divide into %" PRId64 " groups",
                   conv->weight.size[0], conv->groups);
    else if (x.stride * conv->stride[0] > HS_PT_MAX_STRIDE)
        hs_pt_fail(m->graph, m->path, "the picture becomes too small");
}

static void fold_norm(const struct hs_pt_module *norm, struct conv *conv)
{
    if (norm->graph->status < 0 || !norm->value || norm->value->type == HS_PICKLE_NONE)
        return;
    double eps = hs_pt_get_real(norm, "eps");
    double *variance = hs_pt_read_vector(norm, "_buffers", "running_var", conv->channels);
    double *weight = hs_pt_read_vector(norm, "_parameters", "weight", conv->channels);
    double *mean = hs_pt_read_vector(norm, "_buffers", "running_mean", conv->channels);
    double *bias = hs_pt_read_vector(norm, "_parameters", "bias", conv->channels);
    /* One statement a step: a compiler may not fuse a product and a sum across them, so that results are the same on
     * every machine. */
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

/* As floats, row `order[i]` in place i. NULL and a failure if one is not finite, or without memory. */
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
        hs_pt_fail(m->graph, m->path, "a weight that is not finite once the batch norm is part of it");
    return floats;
}

static struct hs_pt_edge add_node(const struct hs_pt_module *m, const struct conv *conv, const size_t *order,
                                  struct hs_pt_edge x)
{
    float *weight = to_floats(m, conv->weight.data, conv->channels, conv->filter, order);
    float *bias = to_floats(m, conv->bias, conv->channels, 1, order);
    const int64_t *size = conv->weight.size, *padding = conv->padding;
    const int64_t pads[] = {padding[0], padding[1], padding[0], padding[1]};
    struct hs_pt_edge y = {"", size[0], x.stride * conv->stride[0]};
    if (m->graph->status == 0)
        y.name = HS_PT_ADD(m->graph, "Conv", m->path,
            HS_PT_INPUTS({.name = x.name},
                         {.type = HS_ONNX_ELEM_FLOAT, .dims = 4, .size = {size[0], size[1], size[2], size[3]},
                          .elements = weight},
                         {.type = HS_ONNX_ELEM_FLOAT, .dims = 1, .size = {size[0]}, .elements = bias}),
            HS_PT_ATTRIBUTES({"dilations", .ints = conv->dilation, .count = 2}, {"group", .value = conv->groups},
                             {"kernel_shape", .ints = conv->kernel, .count = 2}, {"pads", .ints = pads, .count = 4},
                             {"strides", .ints = conv->stride, .count = 2}));
    free(weight);
    free(bias);
    return y;
}

struct hs_pt_edge hs_pt_emit_conv(const struct hs_pt_module *m, const struct hs_pt_module *norm, const size_t *order,
                                  size_t order_len, struct hs_pt_edge x)
{
    struct conv conv = {0};
    struct hs_pt_edge y = {"", 0, 0};
    if (strcmp(hs_pickle_kind_name(m->value), "Conv2d") != 0)
        hs_pt_fail_value(m->graph, m->path, "a convolution is needed, the file has", m->value);
    read_window(m, &conv);
    if (m->graph->status == 0)
        read_weights(m, &conv);
    check_channels(m, &conv, x);
    if (m->graph->status == 0 && order && order_len != conv.channels)
        hs_pt_fail(m->graph, m->path, "gives %zu channels, %zu are needed", conv.channels, order_len);
    fold_norm(norm, &conv);
    if (m->graph->status == 0)
        y = add_node(m, &conv, order, x);
    free(conv.weight.data);
    free(conv.bias);
    return y;
}
