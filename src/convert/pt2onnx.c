/* The output depends only on the checkpoint. Constants, which are nearly all of the file, are
 * collected in one buffer; the fields that precede them in the file are inserted in front at the
 * end, so that a large network is in memory only once. */
#include "convert/pt2onnx.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "convert/pt2onnx_graph.h"

enum { IR_VERSION = 8, OPSET = 17, MAX_FILE = 1 << 30, SMALL_MAX = 64 << 20, PATH_IN_MESSAGES = 200 };
enum { MAX_BINS = 256, MAX_DIMS_OF_POINT = 3, MAX_TEXT = 1 << 20, MAX_SIDE = 1 << 16 };

struct conversion {
    struct hs_pt2onnx_options options;
    struct hs_pt_graph graph;
    /* parts of the checkpoint, borrowed from its archive */
    const struct hs_pickle_value *root;  /* the file's root value; NULL if that is the model itself */
    const struct hs_pickle_value *model; /* ultralytics' PoseModel */
    const struct hs_pickle_value *net;   /* the list of its layers */
    const struct hs_pickle_value *head;  /* the last of them */
    uint32_t body;                       /* number of layers before the head */
    struct hs_pt2onnx_info info;
    struct hs_buf outputs;
    struct hs_pt_edge *layers; /* output of each layer of the body */
    uint32_t layer_count;
};

/* ---- the parts of a checkpoint ---- */

static void find_model(struct conversion *c)
{
    struct hs_pt_graph *graph = &c->graph;
    c->model = hs_pt_archive_root(graph->archive);
    if (c->model && c->model->type == HS_PICKLE_DICT) {
        /* Ultralytics itself prefers the averaged weights. */
        c->root = c->model;
        c->model = hs_pickle_get(c->root, "ema");
        if (!hs_pickle_is_true(c->model))
            c->model = hs_pickle_get(c->root, "model");
    }
    c->net = hs_pt_child(c->model, "model");
    if (!c->net || c->net->type != HS_PICKLE_RECORD) {
        hs_pt_fail_with(graph, HS_EMODEL, "the checkpoint does not contain an Ultralytics model (only weights?)");
        return;
    }
    const struct hs_pt_module net = { graph, c->net, "model" };
    const struct hs_pickle_dict *layers = hs_pt_children(&net);
    if (!layers || layers->len == 0) {
        hs_pt_fail_with(graph, HS_EMODEL, "the model has no layers");
        return;
    }
    c->body = layers->len - 1;
    c->head = layers->entries[c->body].value;
    if (strcmp(hs_pickle_kind_name(c->head), "Pose") != 0 || hs_pickle_is_true(hs_pt_child(c->head, "one2one_cv2")))
        hs_pt_fail_value(graph, "not a YOLOv8 or YOLO11 pose model", "its head is", c->head);
}

/* ---- properties of the checkpoint ---- */

/* Reads the strides, which must be distinct integers. */
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
        hs_pt_fail(graph, "stride", "expected 1 to %d numbers, got %zu", HS_PT2ONNX_MAX_LEVELS, array.count);
    for (size_t i = 0; i < array.count && graph->status == 0; i++) {
        double value = array.data[i];
        bool fine = value >= 1 && value <= HS_PT_MAX_STRIDE && value == floor(value);
        for (int k = 0; k < info->levels; k++)
            fine = fine && value != info->strides[k];
        if (fine)
            info->strides[info->levels++] = (int) value;
        else
            hs_pt_fail(graph, "stride", "unsupported value %g", value);
    }
    free(array.data);
}

/* Returns the side, or the largest of a list of sides; 0 if there is none or it is too large. */
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

/* Reads all fields except the names and source_sha256. */
static void read_info(struct conversion *c)
{
    struct hs_pt_graph *graph = &c->graph;
    struct hs_pt2onnx_info *info = &c->info;
    const struct hs_pt_module head = { graph, c->head, "head" };
    int64_t shape[2] = { 1, 2 };
    info->bins = (int) hs_pt_get_int(&head, "reg_max", 1, MAX_BINS);
    info->classes = (int) hs_pt_get_int(&head, "nc", 1, HS_PT2ONNX_MAX_CLASSES);
    if (hs_pt_get_pair(&head, "kpt_shape", 1, HS_PT2ONNX_MAX_POINTS, shape) &&
        (shape[1] < 2 || shape[1] > MAX_DIMS_OF_POINT))
        hs_pt_fail(graph, "head", "`kpt_shape` must have 2 or 3 numbers per keypoint, not %d", (int) shape[1]);
    info->keypoints = (int) shape[0];
    info->keypoint_dims = (int) shape[1];
    read_strides(&head, info);
    info->image_size = image_size(hs_pickle_get(c->root, "train_args"));
    if (info->image_size == 0)
        info->image_size = image_size(hs_pickle_attribute(c->model, "args"));
    const struct hs_pickle_value *license = hs_pickle_get(c->root, "license");
    if (!license || license->type == HS_PICKLE_NONE)
        hs_str_copy(info->license, sizeof(info->license), "None");
    else if (license->type != HS_PICKLE_STRING || memchr(license->text.data, '\0', license->text.len) ||
             !hs_str_copy_n(info->license, sizeof(info->license), license->text.data, license->text.len))
        hs_pt_fail_value(graph, "license", "unsupported value:", license);
}

/* ---- the body ---- */

/* Layers refer to their inputs by list index, as in Python: -1 is the previous layer. */
static struct hs_pt_edge source(struct conversion *c, const struct hs_pickle_value *index, const char *path)
{
    int64_t at;
    if (hs_pickle_to_int(index, &at) && at >= -(int64_t) c->layer_count && at < (int64_t) c->layer_count)
        return c->layers[at < 0 ? at + c->layer_count : at];
    hs_pt_fail_value(&c->graph, path, "unknown input layer", index);
    return (struct hs_pt_edge) { "", 0, 0 };
}

static struct hs_pt_edge emit_layer(struct conversion *c, const struct hs_pt_module *net, const char *name)
{
    struct hs_pt_graph *graph = &c->graph;
    struct hs_pt_module layer;
    hs_pt_enter(net, name, &layer);
    const struct hs_pickle_value *from = hs_pt_get(&layer, "f");
    const struct hs_pickle_items *list = hs_pickle_to_items(from);
    if (!list)
        return hs_pt_emit_part(
            net, name, c->layer_count > 0 ? source(c, from, layer.path) : (struct hs_pt_edge) { "images", 3, 1 });
    struct hs_pt_edge *inputs = hs_pt_graph_alloc(graph, list->len, sizeof(*inputs));
    for (uint32_t i = 0; inputs && i < list->len && graph->status == 0; i++)
        inputs[i] = source(c, list->data[i], layer.path);
    return hs_pt_emit_list(&layer, inputs, list->len);
}

static void emit_body(struct conversion *c)
{
    struct hs_pt_graph *graph = &c->graph;
    const struct hs_pt_module net = { graph, c->net, "model" };
    const struct hs_pickle_dict *layers = hs_pt_children(&net);
    c->layers = hs_pt_graph_alloc(graph, c->body, sizeof(*c->layers));
    for (uint32_t i = 0; layers && c->layers && i < c->body && graph->status == 0; i++) {
        char name[64], number[16];
        hs_str_format(number, sizeof(number), "%" PRIu32, i);
        if (!hs_pt_child_name(&net, layers, i, name))
            return;
        if (strcmp(name, number) != 0)
            hs_pt_fail(graph, "model", "layer %s has the name %s", number, name);
        c->layers[i] = emit_layer(c, &net, name);
        c->layer_count = i + 1;
    }
}

/* ---- decoding ---- */

/* The raw heads of one stride. The decoding nodes compute shapes at run time, so that the graph
 * accepts any input size. Nodes are created in the order of evaluation; each macro adds one and
 * returns the name of its output. */
struct head {
    struct hs_pt_graph *graph;
    const char *box, *scores, *keypoints; /* names of values; the scores are logits */
    int64_t stride, bins, points, dims;
    const char *path; /* of the nodes that decode them */
};

#define ADD(d, type, ...) HS_PT_ADD((d)->graph, type, (d)->path, __VA_ARGS__)
#define VALUE(text) { .name = text }

#define UNARY(d, type, a) ADD(d, type, HS_PT_INPUTS(VALUE(a)))
#define BINARY(d, type, a, b) ADD(d, type, HS_PT_INPUTS(VALUE(a), VALUE(b)))
#define BY_NUMBER(d, type, a, number) ADD(d, type, HS_PT_INPUTS(VALUE(a), HS_PT_REAL(number)))
#define RESHAPE(d, a, ...) ADD(d, "Reshape", HS_PT_INPUTS(VALUE(a), HS_PT_INTS(__VA_ARGS__)))
#define CONCAT(d, along, ...) ADD(d, "Concat", HS_PT_INPUTS(__VA_ARGS__), HS_PT_ATTRIBUTES({ "axis", .value = along }))

static void split_in_two(const struct head *d, const char *a, int64_t first, int64_t second, int64_t axis,
                         const char *ret_parts[2])
{
    const struct hs_pt_node node = { "Split", d->path, HS_PT_INPUTS(VALUE(a), HS_PT_INTS(first, second)),
                                     HS_PT_ATTRIBUTES({ "axis", .value = axis }) };
    memcpy(ret_parts, hs_pt_graph_add(d->graph, &node, 2), 2 * sizeof(ret_parts[0]));
}

/* 0.5, 1.5, 2.5, … along one side of the grid. */
static const char *centres(const struct head *d, int64_t axis)
{
    const char *n = ADD(d, "Shape", HS_PT_INPUTS(VALUE(d->box)),
                        HS_PT_ATTRIBUTES({ "end", .value = axis + 1 }, { "start", .value = axis }));
    n = UNARY(d, "Squeeze", n);
    n = ADD(d, "Cast", HS_PT_INPUTS(VALUE(n)), HS_PT_ATTRIBUTES({ "to", .value = HS_ONNX_ELEM_FLOAT }));
    n = BY_NUMBER(d, "Add", n, .5);
    return ADD(d, "Range", HS_PT_INPUTS(HS_PT_REAL(.5), VALUE(n), HS_PT_REAL(1)));
}

/* The centre of each cell, [1, 2, cells]: x, y in cells. */
static const char *cell_centres(const struct head *d)
{
    const char *grid = ADD(d, "Shape", HS_PT_INPUTS(VALUE(d->box)), HS_PT_ATTRIBUTES({ "start", .value = 2 }));
    const char *x = BINARY(d, "Expand", centres(d, 3), grid);
    const char *column = RESHAPE(d, centres(d, 2), -1, 1);
    const char *y = BINARY(d, "Expand", column, grid);
    x = RESHAPE(d, x, 1, 1, -1);
    y = RESHAPE(d, y, 1, 1, -1);
    return CONCAT(d, 1, VALUE(x), VALUE(y));
}

/* The expected distance over 0, 1, 2 … under the softmax of each side: [batch, 4, cells], in cells. */
static const char *sides(const struct head *d)
{
    int64_t bins = d->bins;
    const char *spread = RESHAPE(d, d->box, 0, 4, bins, -1);
    spread = ADD(d, "Softmax", HS_PT_INPUTS(VALUE(spread)), HS_PT_ATTRIBUTES({ "axis", .value = 2 }));
    float *distances = hs_pt_graph_alloc(d->graph, (size_t) bins, sizeof(*distances));
    for (int64_t i = 0; distances && i < bins; i++)
        distances[i] = (float) i;
    const struct hs_pt_input weights = {
        .type = HS_ONNX_ELEM_FLOAT, .dims = 4, .size = { 1, 1, bins, 1 }, .elements = distances
    };
    spread = ADD(d, "Mul", HS_PT_INPUTS(VALUE(spread), weights));
    return ADD(d, "ReduceSum", HS_PT_INPUTS(VALUE(spread), HS_PT_INTS(2)),
               HS_PT_ATTRIBUTES({ "keepdims", .value = 0 }));
}

/* cx, cy, w, h in cells. */
static const char *boxes(const struct head *d, const char *centre)
{
    const char *parts[2];
    split_in_two(d, sides(d), 2, 2, 1, parts);
    const char *a = BINARY(d, "Sub", centre, parts[0]);
    const char *b = BINARY(d, "Add", centre, parts[1]);
    const char *sum = BINARY(d, "Add", a, b);
    const char *middle = BY_NUMBER(d, "Mul", sum, .5);
    const char *size = BINARY(d, "Sub", b, a);
    return CONCAT(d, 1, VALUE(middle), VALUE(size));
}

/* [batch, points, dims, cells] in pixels. */
static const char *keypoints(const struct head *d, const char *centre)
{
    const char *parts[2] = { RESHAPE(d, d->keypoints, 0, d->points, d->dims, -1), NULL };
    if (d->dims == 3)
        split_in_two(d, parts[0], 2, 1, 2, parts);
    const char *xy = BY_NUMBER(d, "Mul", parts[0], 2);
    const char *corner = BY_NUMBER(d, "Sub", centre, .5);
    xy = BINARY(d, "Add", xy, corner);
    xy = BY_NUMBER(d, "Mul", xy, (double) d->stride);
    if (d->dims != 3)
        return CONCAT(d, 2, VALUE(xy));
    const char *visible = UNARY(d, "Sigmoid", parts[1]);
    return CONCAT(d, 2, VALUE(xy), VALUE(visible));
}

/* Decodes one stride as in Ultralytics' export: cx cy w h, class probabilities and keypoints of
 * each cell. Returns the name of a value [batch, 4 + classes + points * dims, cells]. */
static const char *decode(const struct head *d)
{
    const char *centre = cell_centres(d);
    const char *box = boxes(d, centre);
    const char *points = keypoints(d, centre);
    const char *scores = UNARY(d, "Sigmoid", RESHAPE(d, d->scores, 0, 0, -1));
    box = BY_NUMBER(d, "Mul", box, (double) d->stride);
    points = RESHAPE(d, points, 0, d->points * d->dims, -1);
    return CONCAT(d, 1, VALUE(box), VALUE(scores), VALUE(points));
}

/* ---- the heads ---- */

static void put_output(struct conversion *c, const char *name, int64_t channels, const char *height, const char *width)
{
    const struct hs_onnx_dim dims[] = { { "batch", 0 }, { NULL, channels }, { height, 0 }, { width, 0 } };
    hs_onnx_put_value_info(&c->outputs, HS_ONNX_GRAPH_OUTPUT, name, dims, width ? 4 : 3);
}

/* Emits one branch at one level; `kind` is its output's name without the stride. Returns the name
 * of the branch's value. For scores these are always the logits, even if the output has
 * probabilities. */
static const char *emit_branch(struct conversion *c, const char *kind, const char *branch, int64_t channels, int level,
                               struct hs_pt_edge x)
{
    struct hs_pt_graph *graph = &c->graph;
    struct hs_pt_module head = { graph, c->head, "" }, list;
    char number[16];
    int stride = c->info.strides[level];
    hs_str_format(head.path, sizeof(head.path), "model.%" PRIu32, c->body);
    hs_str_format(number, sizeof(number), "%d", level);
    unsigned before = graph->node_count;
    if (!hs_pt_enter(&head, branch, &list))
        return "";
    struct hs_pt_edge y = hs_pt_emit_part(&list, number, x);
    if (y.channels != channels || y.stride != stride || graph->node_count == before)
        hs_pt_fail(graph, list.path,
                   "produces %" PRId64 " channels at stride %" PRId64 ", expected %" PRId64 " at stride %d", y.channels,
                   y.stride, channels, stride);
    const char *output = hs_pt_graph_name(graph, "%s_%d", kind, stride), *last = y.name;
    bool probabilities = c->options.sigmoid && strcmp(kind, "cls") == 0;
    if (probabilities)
        last = HS_PT_ADD(graph, "Sigmoid", head.path, HS_PT_INPUTS({ .name = y.name }));
    hs_pt_graph_rename_last(graph, last, output);
    put_output(c, output, channels, hs_pt_graph_name(graph, "height_%d", stride),
               hs_pt_graph_name(graph, "width_%d", stride));
    return probabilities ? y.name : output;
}

static void emit_heads(struct conversion *c)
{
    struct hs_pt_graph *graph = &c->graph;
    const struct hs_pt2onnx_info *info = &c->info;
    struct hs_pt_input cells[HS_PT2ONNX_MAX_LEVELS] = { { 0 } };
    const struct hs_pt_module module = { graph, c->head, "head" };
    const struct hs_pickle_value *from = hs_pt_get(&module, "f");
    const struct hs_pickle_items *list = hs_pickle_to_items(from);
    int64_t numbers = (int64_t) info->keypoints * info->keypoint_dims;
    if (!list || list->len != (uint32_t) info->levels)
        hs_pt_fail_value(graph, "head", "expected one input layer per stride, got", from);
    for (int level = 0; level < info->levels && graph->status == 0; level++) {
        struct hs_pt_edge x = source(c, list->data[level], "head");
        struct head head = { .graph = graph,
                             .stride = info->strides[level],
                             .bins = info->bins,
                             .points = info->keypoints,
                             .dims = info->keypoint_dims,
                             .path = hs_pt_graph_name(graph, "decode_%d", info->strides[level]) };
        head.box = emit_branch(c, "box", "cv2", 4 * head.bins, level, x);
        head.scores = emit_branch(c, "cls", "cv3", info->classes, level, x);
        head.keypoints = emit_branch(c, "kpt", "cv4", numbers, level, x);
        if (c->options.decoded)
            cells[level].name = decode(&head);
    }
    if (!c->options.decoded || graph->status < 0)
        return;
    const char *last = HS_PT_ADD(graph, "Concat", "decode", .inputs = cells, .input_count = (size_t) info->levels,
                                 HS_PT_ATTRIBUTES({ "axis", .value = 2 }));
    hs_pt_graph_rename_last(graph, last, "output0");
    put_output(c, "output0", 4 + info->classes + numbers, "cells", NULL);
}

/* ---- the file ---- */

/* Writes the keypoint names, which newer checkpoints have. They are optional, so names that cannot
 * be written are omitted. */
static void put_keypoint_names(struct conversion *c, struct hs_buf *model)
{
    const struct hs_pickle_value *names = hs_pickle_attribute(c->model, "kpt_names");
    struct hs_buf text;
    if (c->graph.status < 0 || !names || names->type != HS_PICKLE_DICT)
        return;
    hs_buf_init(&text, MAX_TEXT);
    int r = hs_pickle_repr(names, &text);
    if (r == HS_ENOMEM || !hs_buf_str(&text))
        hs_pt_fail_with(&c->graph, HS_ENOMEM, "no memory for the names");
    else if (r == 0)
        hs_onnx_put_metadata(model, "kpt_names", hs_buf_str(&text));
    hs_buf_finish(&text);
}

static void put_metadata(struct conversion *c, struct hs_buf *model)
{
    struct hs_pt_graph *graph = &c->graph;
    const struct hs_pt2onnx_info *info = &c->info;
    const struct hs_pt_module module = { graph, c->model, "model" };
    const struct hs_pickle_value *names = hs_pt_get(&module, "names");
    struct hs_buf text; /* the names in Python's repr() format */
    char shape[64], strides[16 * HS_PT2ONNX_MAX_LEVELS] = "[";
    hs_buf_init(&text, MAX_TEXT);
    hs_str_format(shape, sizeof(shape), "[%d, %d]", info->keypoints, info->keypoint_dims);
    for (int i = 0; i < info->levels; i++) {
        size_t len = strlen(strides);
        hs_str_format(strides + len, sizeof(strides) - len, i + 1 < info->levels ? "%d, " : "%d]", info->strides[i]);
    }
    if (names && names->type != HS_PICKLE_DICT && !hs_pickle_to_items(names))
        hs_pt_fail_value(graph, "names", "expected a list of names, got", names);
    int r = graph->status == 0 ? hs_pickle_repr(names, &text) : 0;
    if (r == HS_ENOMEM || !hs_buf_str(&text))
        hs_pt_fail_with(graph, HS_ENOMEM, "no memory for the names");
    else if (r < 0)
        hs_pt_fail(graph, "names", "too many names, or a name is too long");
    hs_onnx_put_metadata(model, "task", "pose");
    if (graph->status == 0)
        hs_onnx_put_metadata(model, "names", hs_buf_str(&text));
    hs_buf_finish(&text);
    put_keypoint_names(c, model);
    hs_onnx_put_metadata(model, "kpt_shape", shape);
    hs_onnx_put_metadata(model, "stride", strides);
    hs_onnx_put_metadata(model, "scores", c->options.sigmoid ? "probabilities" : "logits");
    hs_onnx_put_metadata(model, "license", info->license);
    hs_onnx_put_metadata(model, "source_sha256", info->source_sha256);
}

/* Builds the whole file around the constants, in their buffer. */
static void build_file(struct conversion *c)
{
    const struct hs_onnx_dim dims[] = { { "batch", 0 }, { NULL, 3 }, { "height", 0 }, { "width", 0 } };
    struct hs_pt_graph *graph = &c->graph;
    struct hs_buf *whole = &graph->weights, front, back;
    if (hs_pt_graph_check(graph) < 0)
        return;
    hs_buf_init(&front, MAX_FILE);
    hs_buf_init(&back, SMALL_MAX);
    hs_onnx_put_string(&graph->nodes, HS_ONNX_GRAPH_NAME, "yolo-pose");
    hs_onnx_put_value_info(&back, HS_ONNX_GRAPH_INPUT, "images", dims, 4);
    hs_onnx_put_fields(&back, &c->outputs);
    hs_onnx_put_int(&front, HS_ONNX_MODEL_IR_VERSION, IR_VERSION);
    hs_onnx_put_string(&front, HS_ONNX_MODEL_PRODUCER, "pt2onnx");
    hs_onnx_put_head(&front, HS_ONNX_MODEL_GRAPH, graph->nodes.len + whole->len + back.len);
    hs_onnx_put_fields(&front, &graph->nodes);
    hs_onnx_put_opset(&back, OPSET);
    put_metadata(c, &back);
    whole->error = whole->error ? whole->error : front.error;
    if (hs_buf_reserve(whole, front.len + back.len) == 0) {
        memmove(whole->data + front.len, whole->data, whole->len);
        memcpy(whole->data, front.data, front.len);
        whole->len += front.len;
        hs_onnx_put_fields(whole, &back);
    }
    hs_pt_graph_check(graph);
    hs_buf_finish(&front);
    hs_buf_finish(&back);
}

static int convert(struct conversion *c, const char *pt_path, struct hs_error *err)
{
    struct hs_pt_archive *archive = NULL;
    int r = hs_pt_archive_open(pt_path, &archive, err);
    if (r < 0)
        return r;
    /* Constants at most double in size, and the graph is small. A network that is much larger than
     * its checkpoint shares weights between layers to cause that. */
    uint64_t max = hs_pt_archive_file_size(archive) * 8 + (16 << 20);
    hs_pt_graph_init(&c->graph, archive, max < MAX_FILE ? (size_t) max : MAX_FILE, err);
    hs_buf_init(&c->outputs, SMALL_MAX);
    find_model(c);
    read_info(c);
    emit_body(c);
    emit_heads(c);
    if (c->graph.status == 0)
        c->graph.status = hs_file_sha256(pt_path, c->info.source_sha256, err);
    if (c->graph.status == 0)
        build_file(c);
    hs_pt_archive_close(archive);
    return c->graph.status;
}

int hs_pt2onnx_convert(const char *pt_path, const char *onnx_path, const struct hs_pt2onnx_options *options,
                       struct hs_pt2onnx_info *ret_info, struct hs_error *err)
{
    struct conversion c = { .options = options ? *options : (struct hs_pt2onnx_options) { false, false } };
    struct hs_error reason = { 0 };
    const char *name = strlen(pt_path) <= PATH_IN_MESSAGES ? pt_path : hs_path_base(pt_path);
    int r = convert(&c, pt_path, &reason);
    if (r == 0)
        r = hs_file_write_atomic(onnx_path, c.graph.weights.data, c.graph.weights.len, 0644, err);
    else if (hs_str_starts(reason.message, name)) /* reading it failed, and that message names the file itself */
        hs_error_set(err, r, "%s", reason.message);
    else
        hs_error_set(err, r, "%.*s: %s", PATH_IN_MESSAGES, name, reason.message);
    hs_pt_graph_finish(&c.graph);
    hs_buf_finish(&c.outputs);
    if (r == 0 && ret_info)
        *ret_info = c.info;
    return r;
}
