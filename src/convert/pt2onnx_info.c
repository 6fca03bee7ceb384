#include "convert/pt2onnx_info.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "convert/pt2onnx_module.h"

enum { MAX_BINS = 256, MAX_DIMS_OF_POINT = 3, MAX_TEXT = 1 << 20, MAX_LICENSE = 1000, MAX_SIDE = 1 << 16 };

/* ---- the parts ---- */

static bool is_text_value(const struct hs_pickle_value *value)
{
    return value && value->type == HS_PICKLE_STRING;
}

void hs_pt_find_model(struct hs_pt_graph *graph, struct hs_pt_model *ret_model)
{
    const struct hs_pickle_value *root = hs_pt_archive_root(graph->archive);
    struct hs_pt_model found = {.model = root};
    if (root && root->type == HS_PICKLE_DICT) {
        /* Ultralytics itself prefers the averaged weights. */
        const struct hs_pickle_value *ema = hs_pickle_get(root, "ema");
        found.root = root;
        found.model = hs_pickle_is_true(ema) ? ema : hs_pickle_get(root, "model");
    }
    found.net = hs_pt_child(found.model, "model");
    if (!found.net || found.net->type != HS_PICKLE_RECORD) {
        hs_pt_fail_with(graph, HS_EMODEL, "no Ultralytics model inside (bare weights?)");
        return;
    }
    const struct hs_pt_module net = {graph, found.net, "model"};
    const struct hs_pickle_dict *layers = hs_pt_children(&net);
    if (!layers || layers->len == 0) {
        hs_pt_fail_with(graph, HS_EMODEL, "the model has no layers");
        return;
    }
    found.body = layers->len - 1;
    found.head = layers->entries[found.body].value;
    if (strcmp(hs_pickle_kind_name(found.head), "Pose") != 0 ||
        hs_pickle_is_true(hs_pt_child(found.head, "one2one_cv2"))) {
        char text[120], message[200];
        hs_pickle_describe(found.head, text, sizeof(text));
        hs_str_format(message, sizeof(message), "not a YOLOv8 or YOLO11 pose model: its head is %s", text);
        hs_pt_fail_with(graph, HS_EMODEL, message);
        return;
    }
    *ret_model = found;
}

/* ---- numbers ---- */

/* Whole numbers, each another one. */
static void read_strides(const struct hs_pt_module *head, struct hs_pt2onnx_info *info)
{
    struct hs_pt_graph *graph = head->graph;
    struct hs_pt_array array;
    const struct hs_pickle_value *stride = hs_pt_get(head, "stride");
    if (graph->status == 0)
        graph->status = hs_pt_archive_read_tensor(graph->archive, stride, "stride", &array, graph->err);
    if (graph->status < 0)
        return;
    if (array.dims != 1 || array.count < 1 || array.count > HS_PT2ONNX_MAX_LEVELS)
        hs_pt_fail(graph, "stride", "1 to %d numbers are needed, the file has %zu", HS_PT2ONNX_MAX_LEVELS, array.count);
    for (size_t i = 0; i < array.count && graph->status == 0; i++) {
        double value = array.data[i];
        bool fine = value >= 1 && value <= HS_PT_MAX_STRIDE && value == floor(value);
        for (int k = 0; k < info->levels; k++)
            fine = fine && value != info->strides[k];
        if (fine)
            info->strides[info->levels++] = (int) value;
        else
            hs_pt_fail(graph, "stride", "cannot be %g", value);
    }
    free(array.data);
}

/* A side, or a list of sides. */
static int image_size(const struct hs_pickle_value *arguments)
{
    const struct hs_pickle_value *size = hs_pickle_get(arguments, "imgsz");
    const struct hs_pickle_items *items = hs_pickle_to_items(size);
    int64_t side = 0, largest = 0;
    if (hs_pickle_to_int(size, &side))
        largest = side;
    for (uint32_t i = 0; items && i < items->len; i++)
        if (hs_pickle_to_int(items->data[i], &side) && side > largest)
            largest = side;
    return largest > 0 && largest <= MAX_SIDE ? (int) largest : 0;
}

/* ---- texts ---- */

static char *copy_text(struct hs_pt_graph *graph, const char *data, size_t len)
{
    char *copy = graph->status == 0 ? malloc(len + 1) : NULL;
    if (!copy) {
        hs_pt_no_memory(graph);
        return NULL;
    }
    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

static char *read_license(struct hs_pt_graph *graph, const struct hs_pt_model *model)
{
    const struct hs_pickle_value *license = hs_pickle_get(model->root, "license");
    if (!license || license->type == HS_PICKLE_NONE)
        return copy_text(graph, "None", 4);
    if (!is_text_value(license) || license->text.len > MAX_LICENSE ||
        memchr(license->text.data, '\0', license->text.len)) {
        hs_pt_fail_value(graph, "license", "cannot be", license);
        return NULL;
    }
    return copy_text(graph, license->text.data, license->text.len);
}

static const struct hs_pickle_value *names_of(struct hs_pt_graph *graph, const struct hs_pt_model *model)
{
    const struct hs_pt_module module = {graph, model->model, "model"};
    const struct hs_pickle_value *names = hs_pt_get(&module, "names");
    if (names && names->type != HS_PICKLE_DICT && !hs_pickle_to_items(names))
        hs_pt_fail_value(graph, "names", "a list of names is needed, the file has", names);
    return names;
}

const char *hs_pt_names_text(struct hs_pt_graph *graph, const struct hs_pt_model *model)
{
    struct hs_buf buf;
    const struct hs_pickle_value *names = names_of(graph, model);
    if (graph->status < 0)
        return NULL;
    hs_buf_init(&buf, MAX_TEXT);
    int r = hs_pickle_repr(names, &buf);
    char *text = r == 0 ? hs_pt_graph_alloc(graph, buf.len + 1, 1) : NULL;
    if (text)
        memcpy(text, buf.data, buf.len);
    else if (r == HS_ENOMEM)
        hs_pt_fail_with(graph, HS_ENOMEM, "no memory for the names");
    else
        hs_pt_fail(graph, "names", "too many, or too long");
    hs_buf_finish(&buf);
    return text;
}

static void set_name(struct hs_pt_graph *graph, struct hs_pt2onnx_info *info, int64_t at,
                     const struct hs_pickle_value *name)
{
    if (at < 0 || at >= info->classes || !is_text_value(name) || name->text.len == 0 ||
        memchr(name->text.data, '\0', name->text.len) || info->class_names[at])
        return;
    info->class_names[at] = copy_text(graph, name->text.data, name->text.len);
}

static void read_names(struct hs_pt_graph *graph, const struct hs_pt_model *model, struct hs_pt2onnx_info *info)
{
    const struct hs_pickle_value *names = names_of(graph, model);
    if (graph->status < 0)
        return;
    info->class_names = calloc((size_t) info->classes, sizeof(*info->class_names));
    if (!info->class_names) {
        hs_pt_fail_with(graph, HS_ENOMEM, "no memory for the names");
        return;
    }
    const struct hs_pickle_items *items = hs_pickle_to_items(names);
    int64_t number;
    for (uint32_t i = 0; items && i < items->len; i++)
        set_name(graph, info, i, items->data[i]);
    for (uint32_t i = 0; !items && i < names->dict->len; i++)
        if (hs_pickle_to_int(names->dict->entries[i].key, &number))
            set_name(graph, info, number, names->dict->entries[i].value);
    for (int i = 0; i < info->classes; i++) {
        char text[16];
        hs_str_format(text, sizeof(text), "%d", i);
        if (!info->class_names[i])
            info->class_names[i] = copy_text(graph, text, strlen(text));
    }
}

void hs_pt_read_info(struct hs_pt_graph *graph, const struct hs_pt_model *model, struct hs_pt2onnx_info *ret_info)
{
    const struct hs_pt_module head = {graph, model->head, "head"};
    int64_t shape[2] = {1, 2};
    ret_info->bins = (int) hs_pt_get_int(&head, "reg_max", 1, MAX_BINS);
    ret_info->classes = (int) hs_pt_get_int(&head, "nc", 1, HS_PT2ONNX_MAX_CLASSES);
    if (hs_pt_get_pair(&head, "kpt_shape", 1, HS_PT2ONNX_MAX_POINTS, shape) &&
        (shape[1] < 2 || shape[1] > MAX_DIMS_OF_POINT))
        hs_pt_fail(graph, "head", "`kpt_shape` needs 2 or 3 numbers a point, not %d", (int) shape[1]);
    ret_info->keypoints = (int) shape[0];
    ret_info->keypoint_dims = (int) shape[1];
    read_strides(&head, ret_info);
    ret_info->image_size = image_size(hs_pickle_get(model->root, "train_args"));
    if (ret_info->image_size == 0)
        ret_info->image_size = image_size(hs_pickle_attribute(model->model, "args"));
    ret_info->license = read_license(graph, model);
    read_names(graph, model, ret_info);
}

void hs_pt2onnx_info_finish(struct hs_pt2onnx_info *info)
{
    for (int i = 0; info->class_names && i < info->classes; i++)
        free(info->class_names[i]);
    free(info->class_names);
    free(info->license);
    *info = (struct hs_pt2onnx_info){0};
}
