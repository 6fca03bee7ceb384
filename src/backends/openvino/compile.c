/* Compilation takes four steps of OpenVINO, each with separate handles: read, reshape, pre-process,
 * compile. Every step below frees its handles on success and on failure. */
#include "backends/openvino/compile.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/compiled_cache.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

/* Takes the last line with text. OpenVINO's messages have several lines: locations in its source
 * ("Exception from src/…:123:" and "Check '…' failed at …:"), which do not help our users, then the
 * reason. */
static void last_line(char *dst, size_t size, const char *text)
{
    size_t end = strlen(text);
    while (end > 0 && isspace((unsigned char) text[end - 1]))
        end--;
    size_t start = end;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    while (start < end && (isspace((unsigned char) text[start]) || text[start] == '['))
        start++;
    hs_str_copy_n(dst, size, text + start, end - start);
}

int hs_openvino_check(ov_status_e status, int code, struct hs_error *err, const char *doing)
{
    if (status == OK)
        return 0;
    char reason[300] = "";
    const char *message = ov_get_last_err_msg();
    if (message)
        last_line(reason, sizeof(reason), message);
    ov_free(message);
    return hs_error_set(err, code, "%s" HS_DETAIL "%s (%s)", doing, reason[0] ? reason : "no reason given",
                        ov_get_error_info(status));
}

/* Checks the first byte, which must be the tag of one of the fields ir_version, producer_name,
 * graph or opset_import of onnx.proto's ModelProto. Packs hold ONNX, and OpenVINO would try a file
 * of unknown kind with each of its readers (TensorFlow, PaddlePaddle, PyTorch and more), and load
 * all of them. */
static int check_kind(const char *path, struct hs_error *err)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return hs_error_set(err, HS_EMODEL, "cannot read the model %s: %s", path, strerror(errno));
    int first = fgetc(file);
    fclose(file);
    if (first != 0x08 && first != 0x12 && first != 0x3a && first != 0x42)
        return hs_error_set(err, HS_EMODEL, "%s is not an ONNX model", path);
    return 0;
}

/* Requires exactly one input, of rank 4 if the rank is known: only that can hold a picture. */
static int check_input(const ov_model_t *model, struct hs_error *err)
{
    size_t inputs = 0;
    int r =
        hs_openvino_check(ov_model_inputs_size(model, &inputs), HS_EMODEL, err, "cannot read the inputs of the model");
    if (r == 0 && inputs != 1)
        r = hs_error_set(err, HS_EMODEL, "the model has %zu inputs, only one is supported", inputs);
    return r;
}

static int reshape(ov_model_t *model, const struct hs_model_spec *spec, int batch, struct hs_error *err)
{
    const ov_dimension_t any = { -1, -1 }, h = { spec->input_h, spec->input_h }, w = { spec->input_w, spec->input_w };
    const ov_dimension_t dims[4] = { { batch, batch }, { 3, 3 }, spec->free_size ? any : h, spec->free_size ? any : w };
    char doing[100];
    ov_partial_shape_t shape;
    if (spec->free_size)
        hs_str_copy(doing, sizeof(doing), "the model does not support a dynamic input size");
    else
        hs_str_format(doing, sizeof(doing), "the model does not support an input of %dx%d", spec->input_w,
                      spec->input_h);
    int r = hs_openvino_check(ov_partial_shape_create(4, dims, &shape), HS_ENOMEM, err, doing);
    if (r != 0)
        return r;
    r = hs_openvino_check(ov_model_reshape_single_input(model, shape), HS_EMODEL, err, doing);
    ov_partial_shape_free(&shape);
    return r;
}

/* Returns the first dimension of an output; 0 if the model leaves it open. */
static int64_t first_dimension(const ov_model_t *model, size_t index)
{
    ov_output_const_port_t *port = NULL;
    ov_partial_shape_t shape = { 0 };
    int64_t size = 0;
    if (ov_model_const_output_by_index(model, index, &port) == OK && ov_port_get_partial_shape(port, &shape) == OK) {
        if (shape.rank.min == shape.rank.max && shape.rank.min > 0 && shape.dims[0].min == shape.dims[0].max)
            size = shape.dims[0].min;
        ov_partial_shape_free(&shape);
    }
    ov_output_const_port_free(port);
    return size;
}

/* Refuses a model that turns another input size into a batch. A graph with constants for its old
 * size may accept another size without an error and return a larger batch, over which the picture's
 * values are spread. This is detected by a first dimension that was 1 before. */
static int reshape_safely(ov_model_t *model, const struct hs_model_spec *spec, struct hs_error *err)
{
    int64_t before[HS_MODEL_MAX_OUTPUTS] = { 0 };
    size_t outputs = 0;
    int r = hs_openvino_check(ov_model_outputs_size(model, &outputs), HS_EMODEL, err,
                              "cannot read the outputs of the model");
    outputs = outputs < HS_MODEL_MAX_OUTPUTS ? outputs : HS_MODEL_MAX_OUTPUTS;
    for (size_t i = 0; r == 0 && i < outputs; i++)
        before[i] = first_dimension(model, i);
    if (r == 0)
        r = reshape(model, spec, 1, err);
    for (size_t i = 0; r == 0 && i < outputs; i++) {
        int64_t after = before[i] == 1 ? first_dimension(model, i) : 1;
        if (after != 1)
            r = hs_error_set(err, HS_EMODEL,
                             "output %zu has a batch of %lld instead of 1: the model is fixed to another input size", i,
                             (long long) after);
    }
    return r;
}

/* Returns false if a dimension is unknown. The caller frees the shape with ov_shape_free. */
static bool output_shape(const ov_model_t *model, size_t index, ov_shape_t *ret_shape)
{
    ov_output_const_port_t *port = NULL;
    bool known =
        ov_model_const_output_by_index(model, index, &port) == OK && ov_const_port_get_shape(port, ret_shape) == OK;
    ov_output_const_port_free(port);
    return known;
}

static bool is_batch_of(const ov_shape_t *one, const ov_shape_t *many, int batch)
{
    bool same = one->rank == many->rank && one->rank > 1 && one->dims[0] == 1 && many->dims[0] == batch;
    for (int64_t i = 1; same && i < one->rank; i++)
        same = one->dims[i] == many->dims[i];
    return same;
}

/* Reshapes a model from one picture to a batch. Returns false if an output does not become a batch
 * of its old shape; a graph that holds its old batch as a constant spreads the pictures over
 * another dimension. */
static bool reshape_batch(ov_model_t *model, const struct hs_model_spec *spec, int batch)
{
    ov_shape_t one[HS_MODEL_MAX_OUTPUTS] = { 0 };
    size_t outputs = 0;
    bool free_batch = ov_model_outputs_size(model, &outputs) == OK && outputs <= HS_MODEL_MAX_OUTPUTS;
    for (size_t i = 0; free_batch && i < outputs; i++)
        free_batch = output_shape(model, i, &one[i]);
    free_batch = free_batch && reshape(model, spec, batch, NULL) == 0;
    for (size_t i = 0; i < outputs && i < HS_MODEL_MAX_OUTPUTS; i++) {
        ov_shape_t many = { 0 };
        free_batch = free_batch && output_shape(model, i, &many) && is_batch_of(&one[i], &many, batch);
        ov_shape_free(&many);
        ov_shape_free(&one[i]);
    }
    return free_batch;
}

/* OpenVINO runs the steps in the order in which they are added here, and adds the change of layout
 * itself, at the end. mean and std are in the order R, G, B, so the channels are swapped after
 * them. */
static ov_status_e add_input(const ov_preprocess_prepostprocessor_t *processor, const struct hs_model_spec *spec)
{
    ov_preprocess_input_info_t *info = NULL;
    ov_preprocess_input_tensor_info_t *tensor = NULL;
    ov_preprocess_input_model_info_t *model = NULL;
    ov_preprocess_preprocess_steps_t *steps = NULL;
    ov_layout_t *nhwc = NULL, *nchw = NULL;
    ov_status_e s = ov_preprocess_prepostprocessor_get_input_info(processor, &info);
    if (s == OK)
        s = ov_preprocess_input_info_get_tensor_info(info, &tensor);
    if (s == OK)
        s = ov_preprocess_input_info_get_model_info(info, &model);
    if (s == OK)
        s = ov_layout_create("NHWC", &nhwc);
    if (s == OK)
        s = ov_layout_create("NCHW", &nchw);
    if (s == OK)
        s = ov_preprocess_input_tensor_info_set_element_type(tensor, U8);
    if (s == OK)
        s = ov_preprocess_input_tensor_info_set_layout(tensor, nhwc);
    if (s == OK)
        s = ov_preprocess_input_model_info_set_layout(model, nchw);
    if (s == OK)
        s = ov_preprocess_input_info_get_preprocess_steps(info, &steps);
    if (s == OK)
        s = ov_preprocess_preprocess_steps_convert_element_type(steps, F32);
    if (s == OK && (spec->mean[0] != 0 || spec->mean[1] != 0 || spec->mean[2] != 0))
        s = ov_preprocess_preprocess_steps_mean_multi_channels(steps, spec->mean, 3);
    if (s == OK)
        s = ov_preprocess_preprocess_steps_scale_multi_channels(steps, spec->std, 3);
    if (s == OK && spec->bgr)
        s = ov_preprocess_preprocess_steps_reverse_channels(steps);
    ov_preprocess_preprocess_steps_free(steps);
    ov_layout_free(nchw);
    ov_layout_free(nhwc);
    ov_preprocess_input_model_info_free(model);
    ov_preprocess_input_tensor_info_free(tensor);
    ov_preprocess_input_info_free(info);
    return s;
}

/* Decoders read float, whatever the number type of the file (half precision exports exist). */
static ov_status_e add_output(const ov_preprocess_prepostprocessor_t *processor, size_t index)
{
    ov_preprocess_output_info_t *info = NULL;
    ov_preprocess_output_tensor_info_t *tensor = NULL;
    ov_status_e s = ov_preprocess_prepostprocessor_get_output_info_by_index(processor, index, &info);
    if (s == OK)
        s = ov_preprocess_output_info_get_tensor_info(info, &tensor);
    if (s == OK)
        s = ov_preprocess_output_set_element_type(tensor, F32);
    ov_preprocess_output_tensor_info_free(tensor);
    ov_preprocess_output_info_free(info);
    return s;
}

static int preprocess(const ov_model_t *model, const struct hs_model_spec *spec, ov_model_t **ret_built,
                      struct hs_error *err)
{
    ov_preprocess_prepostprocessor_t *processor = NULL;
    size_t outputs = 0;
    ov_status_e s = ov_preprocess_prepostprocessor_create(model, &processor);
    if (s == OK)
        s = add_input(processor, spec);
    if (s == OK)
        s = ov_model_outputs_size(model, &outputs);
    for (size_t i = 0; i < outputs && s == OK; i++)
        s = add_output(processor, i);
    if (s == OK)
        s = ov_preprocess_prepostprocessor_build(processor, ret_built);
    int r = hs_openvino_check(s, HS_EMODEL, err, "the model does not support RGB pictures");
    ov_preprocess_prepostprocessor_free(processor);
    return r;
}

/* Returns true if the model must run in float32. By default OpenVINO uses the processor's native
 * short format. On x86-64 that is bf16, whose 8 bits of mantissa cost yolo11n-pose a hundredth of
 * keypoint AP. On ARM it is f16, of 11 bits, but sums are f16 too, and a wrist lies five pixels
 * from its float32 position. */
static bool is_f32(const struct hs_model_spec *spec)
{
    return spec->precision != HS_PRECISION_FAST;
}

/* `cache` may be NULL: no cache. */
static int compile(const struct hs_openvino_target *target, const ov_model_t *model, const struct hs_model_spec *spec,
                   const char *cache, ov_compiled_model_t **ret_compiled, struct hs_error *err)
{
    char streams_text[16], threads_text[16];
    ov_property_t properties[6];
    size_t count = 0;
    hs_str_format(streams_text, sizeof(streams_text), "%d", target->streams);
    hs_str_format(threads_text, sizeof(threads_text), "%d", target->threads);
    properties[count++] = (ov_property_t) { ov_property_key_num_streams, streams_text };
    properties[count++] = (ov_property_t) { ov_property_key_inference_num_threads, threads_text };
    /* Without pinning, one stream of two threads ran on one core (50 ms instead of 28 when measured). */
    properties[count++] =
        (ov_property_t) { ov_property_key_hint_enable_cpu_pinning, spec->free_threads ? "NO" : "YES" };
    if (is_f32(spec))
        properties[count++] = (ov_property_t) { ov_property_key_hint_inference_precision, "f32" };
    if (cache)
        properties[count++] = (ov_property_t) { ov_property_key_cache_dir, cache };
    return hs_openvino_check(ov_core_compile_model_props(target->core, model, "CPU", count, properties, ret_compiled),
                             HS_EMODEL, err, "cannot compile the model for this processor");
}

/* Returns NULL without a usable cache; the model is then always compiled, which takes longer. */
static struct hs_compiled_entry *open_cache(const struct hs_openvino_target *target, const struct hs_model_spec *spec,
                                            int batch)
{
    char settings[400], line[PATH_MAX + 200];
    const struct hs_compiled_key key = { target->cache_dir, spec->path, target->runtime, settings };
    struct hs_compiled_entry *entry = NULL;
    bool damaged = false;
    hs_str_format(settings, sizeof(settings), "%dx%d %d %d %d %d %d %d %g,%g,%g %g,%g,%g %d", spec->input_w,
                  spec->input_h, spec->free_size, batch, target->streams, target->threads, is_f32(spec),
                  spec->free_threads, (double) spec->mean[0], (double) spec->mean[1], (double) spec->mean[2],
                  (double) spec->std[0], (double) spec->std[1], (double) spec->std[2], spec->bgr);
    if (!target->cache_dir || hs_compiled_open(&key, &entry, &damaged, NULL) < 0)
        return NULL;
    if (damaged && target->on_warning &&
        hs_str_format(line, sizeof(line), "%s: the compiled model is damaged; compiling %s again",
                      hs_compiled_dir(entry), hs_path_base(spec->path)))
        target->on_warning(target->on_warning_arg, line);
    return entry;
}

/* Reads the model and reshapes it to one picture of the requested size. */
static int read_model(ov_core_t *core, const struct hs_model_spec *spec, ov_model_t **ret_model, struct hs_error *err)
{
    ov_model_t *model = NULL;
    char doing[300];
    hs_str_format(doing, sizeof(doing), "cannot read the model %s", spec->path);
    int r = hs_openvino_check(ov_core_read_model(core, spec->path, NULL, &model), HS_EMODEL, err, doing);
    if (r == 0)
        r = check_input(model, err);
    if (r == 0)
        r = reshape_safely(model, spec, err);
    if (r == 0)
        *ret_model = model;
    else
        ov_model_free(model);
    return r;
}

int hs_openvino_compile(const struct hs_openvino_target *target, const struct hs_model_spec *spec, int batch,
                        ov_compiled_model_t **ret_compiled, struct hs_error *err)
{
    ov_model_t *model = NULL, *built = NULL;
    int r = check_kind(spec->path, err);
    if (r == 0)
        r = read_model(target->core, spec, &model, err);
    if (r == 0 && batch > 1 && !reshape_batch(model, spec, batch))
        r = hs_error_set(err, HS_EUNSUPPORTED, "the model does not support batches");
    if (r == 0)
        r = preprocess(model, spec, &built, err);
    if (r == 0) {
        struct hs_compiled_entry *entry = open_cache(target, spec, batch);
        r = compile(target, built, spec, entry ? hs_compiled_dir(entry) : NULL, ret_compiled, err);
        hs_compiled_close(entry, r == 0);
    }
    ov_model_free(built);
    ov_model_free(model);
    return r;
}

int hs_openvino_output_names(const ov_compiled_model_t *compiled, struct hs_model_info *info, struct hs_error *err)
{
    size_t outputs = 0;
    int r = hs_openvino_check(ov_compiled_model_outputs_size(compiled, &outputs), HS_EMODEL, err,
                              "cannot read the outputs of the model");
    if (r == 0 && (outputs < 1 || outputs > HS_MODEL_MAX_OUTPUTS))
        r = hs_error_set(err, HS_EMODEL, "the model has %zu outputs, 1 to %d are supported", outputs,
                         HS_MODEL_MAX_OUTPUTS);
    for (size_t i = 0; i < outputs && r == 0; i++) {
        ov_output_const_port_t *port = NULL;
        char *name = NULL;
        info->outputs[i] = (struct hs_tensor_desc) { .dtype = HS_DTYPE_F32, .scale = 1 };
        r = hs_openvino_check(ov_compiled_model_output_by_index(compiled, i, &port), HS_EMODEL, err,
                              "cannot read an output of the model");
        /* An output may have no name; its name is then empty here too. */
        if (r == 0 && ov_port_get_any_name(port, &name) == OK && name)
            hs_str_copy(info->outputs[i].name, sizeof(info->outputs[i].name), name);
        ov_free(name);
        ov_output_const_port_free(port);
    }
    info->output_count = (int) outputs;
    return r;
}

/* Rank 4 is 1 x C x H x W, rank 3 a matrix 1 x rows x columns. Rank 2 is one row after a batch of
 * 1, or a matrix without a batch (some face detectors). Both have the same description, and
 * hs_openvino_compile has refused a batch that comes only from the input's size. */
int hs_openvino_describe(const ov_shape_t *shape, int batch, struct hs_tensor_desc *desc, struct hs_error *err)
{
    size_t elements = 1;
    if (shape->rank < 2 || shape->rank > 4)
        return hs_error_set(err, HS_EMODEL, "output '%s' has rank %lld, only 2 to 4 are supported", desc->name,
                            (long long) shape->rank);
    if (shape->rank > 2 && shape->dims[0] != batch)
        return hs_error_set(err, HS_EMODEL,
                            "output '%s' has a batch of %lld instead of %d: the model is fixed to another input size",
                            desc->name, (long long) shape->dims[0], batch);
    for (int64_t i = batch > 1; i < shape->rank; i++) {
        int64_t dim = shape->dims[i];
        if (dim < 1 || dim > INT_MAX || !hs_size_mul(elements, (size_t) dim, &elements))
            return hs_error_set(err, HS_EMODEL, "output '%s' has an invalid size", desc->name);
    }
    desc->layout = shape->rank == 4 ? HS_LAYOUT_NCHW : HS_LAYOUT_ROWS;
    desc->c = shape->rank == 4 ? (int) shape->dims[1] : 1;
    desc->h = shape->rank == 2 && batch > 1 ? 1 : (int) shape->dims[shape->rank - 2];
    desc->w = (int) shape->dims[shape->rank - 1];
    if (!hs_size_mul(elements, sizeof(float), &desc->size_bytes))
        return hs_error_set(err, HS_EMODEL, "output '%s' has an invalid size", desc->name);
    return 0;
}
