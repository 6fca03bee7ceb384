/* Everything is computed from the shapes at run time, so that the graph stays open to any size of picture. The nodes
 * are made in the order of evaluation; each helper makes one and gives the name of its output. */
#include "convert/pt2onnx_decode.h"

struct decoder {
    struct hs_pt_graph *graph;
    const char *path;
    const struct hs_pt_head *head;
};

#define ADD(d, type, ...) HS_PT_ADD((d)->graph, type, (d)->path, __VA_ARGS__)
#define VALUE(text) {.name = text}

static const char *unary(const struct decoder *d, const char *type, const char *a)
{
    return ADD(d, type, HS_PT_INPUTS(VALUE(a)));
}

static const char *binary(const struct decoder *d, const char *type, const char *a, const char *b)
{
    return ADD(d, type, HS_PT_INPUTS(VALUE(a), VALUE(b)));
}

/* Multiplication, addition … with a number. */
static const char *by_number(const struct decoder *d, const char *type, const char *a, double number)
{
    return ADD(d, type, HS_PT_INPUTS(VALUE(a), hs_pt_real_input(number)));
}

static const char *reshape(const struct decoder *d, const char *a, size_t count, const int64_t *shape)
{
    return ADD(d, "Reshape", HS_PT_INPUTS(VALUE(a), hs_pt_ints_input(count, shape)));
}
#define RESHAPE(d, a, ...) \
    reshape(d, a, HS_ARRAY_LEN(((const int64_t[]){__VA_ARGS__})), (const int64_t[]){__VA_ARGS__})

#define CONCAT(d, along, ...) \
    ADD(d, "Concat", HS_PT_INPUTS(__VA_ARGS__), HS_PT_ATTRIBUTES({"axis", .value = along}))

static void split_in_two(const struct decoder *d, const char *a, int64_t first, int64_t second, int64_t axis,
                         const char *ret_parts[2])
{
    const struct hs_pt_node node = {
        "Split", d->path, HS_PT_INPUTS(VALUE(a), hs_pt_ints_input(2, (int64_t[]){first, second})),
        HS_PT_ATTRIBUTES({"axis", .value = axis})};
    hs_pt_graph_add_split(d->graph, &node, 2, ret_parts);
}

/* 0.5, 1.5, 2.5, … along one side of the grid. */
static const char *centres(const struct decoder *d, int64_t axis)
{
    const char *n = ADD(d, "Shape", HS_PT_INPUTS(VALUE(d->head->box)),
                        HS_PT_ATTRIBUTES({"end", .value = axis + 1}, {"start", .value = axis}));
    n = unary(d, "Squeeze", n);
    n = ADD(d, "Cast", HS_PT_INPUTS(VALUE(n)), HS_PT_ATTRIBUTES({"to", .value = HS_ONNX_ELEM_FLOAT}));
    n = by_number(d, "Add", n, .5);
    return ADD(d, "Range", HS_PT_INPUTS(hs_pt_real_input(.5), VALUE(n), hs_pt_real_input(1)));
}

/* The centre of each cell, [1, 2, cells]: x, y in cells. */
static const char *cell_centres(const struct decoder *d)
{
    const char *grid = ADD(d, "Shape", HS_PT_INPUTS(VALUE(d->head->box)), HS_PT_ATTRIBUTES({"start", .value = 2}));
    const char *x = binary(d, "Expand", centres(d, 3), grid);
    const char *column = RESHAPE(d, centres(d, 2), -1, 1);
    const char *y = binary(d, "Expand", column, grid);
    x = RESHAPE(d, x, 1, 1, -1);
    y = RESHAPE(d, y, 1, 1, -1);
    return CONCAT(d, 1, VALUE(x), VALUE(y));
}

/* The mean of the distances 0, 1, 2 … under each side's softmax: [batch, 4, cells], in cells. */
static const char *sides(const struct decoder *d)
{
    int64_t bins = d->head->bins;
    const char *spread = RESHAPE(d, d->head->box, 0, 4, bins, -1);
    spread = ADD(d, "Softmax", HS_PT_INPUTS(VALUE(spread)), HS_PT_ATTRIBUTES({"axis", .value = 2}));
    float *distances = hs_pt_graph_alloc(d->graph, (size_t) bins, sizeof(*distances));
    for (int64_t i = 0; distances && i < bins; i++)
        distances[i] = (float) i;
    const struct hs_pt_input weights = {.type = HS_ONNX_ELEM_FLOAT, .dims = 4, .size = {1, 1, bins, 1},
                                        .elements = distances};
    spread = ADD(d, "Mul", HS_PT_INPUTS(VALUE(spread), weights));
    return ADD(d, "ReduceSum", HS_PT_INPUTS(VALUE(spread), hs_pt_ints_input(1, (int64_t[]){2})),
               HS_PT_ATTRIBUTES({"keepdims", .value = 0}));
}

/* cx, cy, w, h in cells. */
static const char *boxes(const struct decoder *d, const char *centre)
{
    const char *parts[2];
    split_in_two(d, sides(d), 2, 2, 1, parts);
    const char *a = binary(d, "Sub", centre, parts[0]);
    const char *b = binary(d, "Add", centre, parts[1]);
    const char *sum = binary(d, "Add", a, b);
    const char *middle = by_number(d, "Mul", sum, .5);
    const char *size = binary(d, "Sub", b, a);
    return CONCAT(d, 1, VALUE(middle), VALUE(size));
}

/* [batch, points, dims, cells] in pixels. */
static const char *keypoints(const struct decoder *d, const char *centre)
{
    const struct hs_pt_head *head = d->head;
    const char *parts[2] = {RESHAPE(d, head->keypoints, 0, head->points, head->dims, -1), NULL};
    if (head->dims == 3)
        split_in_two(d, parts[0], 2, 1, 2, parts);
    const char *xy = by_number(d, "Mul", parts[0], 2);
    const char *corner = by_number(d, "Sub", centre, .5);
    xy = binary(d, "Add", xy, corner);
    xy = by_number(d, "Mul", xy, (double) head->stride);
    if (head->dims != 3)
        return CONCAT(d, 2, VALUE(xy));
    const char *visible = unary(d, "Sigmoid", parts[1]);
    return CONCAT(d, 2, VALUE(xy), VALUE(visible));
}

const char *hs_pt_emit_decode(struct hs_pt_graph *graph, const struct hs_pt_head *head)
{
    const struct decoder d = {graph, hs_pt_graph_name(graph, "decode_%d", (int) head->stride), head};
    const char *centre = cell_centres(&d);
    const char *box = boxes(&d, centre);
    const char *points = keypoints(&d, centre);
    const char *scores = unary(&d, "Sigmoid", RESHAPE(&d, head->scores, 0, 0, -1));
    box = by_number(&d, "Mul", box, (double) head->stride);
    points = RESHAPE(&d, points, 0, head->points * head->dims, -1);
    return CONCAT(&d, 1, VALUE(box), VALUE(scores), VALUE(points));
}
