/* Graphs with the parts that hs_onnx_edit changes, both as exported and as expected after the edit.
 * The networks of the default weights are checked by hash when they are fetched. */
#include "../unit.h"

#include <stdlib.h>

#include "../alloc_fail.h"
#include "../models/folder.h"
#include "assert_message.h"
#include "base/mem.h"
#include "convert/onnx_edit.h"
#include "convert/onnx_wire.h"

enum { FILE_MAX = 1 << 20 };

/* Contents of a graph; the defaults make one that can be edited. */
struct recipe {
    bool freed, size;
    const char *op;      /* of the first node; NULL: Relu */
    const char *domain;  /* of the first node */
    int64_t reshape[3];  /* all 0: [1, -1, 4] */
    int64_t coarse[4];   /* size of the first Resize; all 0: half of the second */
    int input[4];        /* all 0: [1, 3, 64, 64] */
    int resizes;         /* -1: none; 0: two, if `size` */
    bool shared;         /* another node also uses the size */
    bool floats;         /* the second Reshape has a shape of floats with the same bytes */
    bool packed;         /* the shape's numbers are in int64_data */
    bool weights_listed; /* among the inputs, as in old files */
    const char *weight;  /* name of an additional weight */
    int more_inputs;     /* of the first node */
    int more_nodes;
    bool third;   /* an additional Resize */
    bool no_ends; /* no outputs */
};

static void put_node(struct hs_buf *graph, const char *op, const char *domain, const char *const *inputs, size_t count,
                     const char *output)
{
    struct hs_buf node;
    hs_buf_init(&node, FILE_MAX);
    for (size_t i = 0; i < count; i++)
        hs_onnx_put_string(&node, 1, inputs[i]);
    hs_onnx_put_string(&node, 2, output);
    hs_onnx_put_string(&node, 4, op);
    if (domain)
        hs_onnx_put_string(&node, 7, domain);
    hs_onnx_put_message(graph, HS_ONNX_GRAPH_NODE, &node);
    hs_buf_finish(&node);
}

static void put_resize(struct hs_buf *graph, const struct recipe *recipe, const char *input, const char *size,
                       const char *output)
{
    const char *const before[] = { input, "none", "none", size }, *const after[] = { input, "none", "doubled_scales" };
    put_node(graph, "Resize", NULL, recipe->freed ? after : before, recipe->freed ? 3 : 4, output);
}

static void put_nodes(struct hs_buf *graph, const struct recipe *recipe)
{
    const char *const first[] = { "images", recipe->shared ? "size_1" : "w" };
    const char *inputs[40] = { first[0], first[1] };
    size_t input_count = recipe->shared ? 2 : 1;
    for (int i = 0; i < recipe->more_inputs; i++)
        inputs[input_count++] = "w";
    put_node(graph, recipe->op ? recipe->op : "Relu", recipe->domain, inputs, input_count, "a");
    for (int i = 0; i < recipe->more_nodes; i++)
        put_node(graph, "Relu", NULL, first, 1, "unused");
    if (recipe->size && recipe->resizes == 0) {
        put_resize(graph, recipe, "a", "size_0", "b");
        put_resize(graph, recipe, "b", "size_1", "c");
        if (recipe->third)
            put_resize(graph, recipe, "b", "size_2", "d");
    }
    const char *const shape[] = { "c", "shape" }, *const floats[] = { "c", "floats" };
    put_node(graph, "Reshape", NULL, shape, 2, "rows");
    put_node(graph, "Reshape", NULL, recipe->floats ? floats : shape, 2, "more");
}

static void put_shape(struct hs_buf *graph, const struct recipe *recipe)
{
    int64_t shape[] = { recipe->freed ? 0 : 1, -1, 4 };
    const int64_t dims[] = { 3 }, half_dims[] = { 6 };
    if (recipe->reshape[1])
        memcpy(shape, recipe->reshape, sizeof(shape));
    if (recipe->floats)
        hs_onnx_put_tensor(graph, "floats", HS_ONNX_ELEM_FLOAT, half_dims, 1, shape);
    if (!recipe->packed) {
        hs_onnx_put_tensor(graph, "shape", HS_ONNX_ELEM_INT64, dims, 1, shape);
        return;
    }
    struct hs_buf tensor;
    hs_buf_init(&tensor, FILE_MAX);
    hs_onnx_put_int(&tensor, 2, HS_ONNX_ELEM_INT64);
    hs_onnx_put_bytes(&tensor, 7, "\x01\x04", 2);
    hs_onnx_put_string(&tensor, 8, "shape");
    hs_onnx_put_message(graph, HS_ONNX_GRAPH_INITIALIZER, &tensor);
    hs_buf_finish(&tensor);
}

static void put_weights(struct hs_buf *graph, const struct recipe *recipe)
{
    static const int64_t fine[] = { 1, 8, 8, 8 }, four[] = { 4 }, two[] = { 2 };
    static const float numbers[] = { 1, 2 };
    int64_t coarse[] = { 1, 8, 4, 4 };
    if (recipe->coarse[0])
        memcpy(coarse, recipe->coarse, sizeof(coarse));
    if (recipe->size && !recipe->freed) {
        hs_onnx_put_tensor(graph, "size_0", HS_ONNX_ELEM_INT64, four, 1, coarse);
        hs_onnx_put_tensor(graph, "size_1", HS_ONNX_ELEM_INT64, four, 1, fine);
    }
    put_shape(graph, recipe);
    hs_onnx_put_tensor(graph, recipe->weight ? recipe->weight : "w", HS_ONNX_ELEM_FLOAT, two, 1, numbers);
}

static void put_ends(struct hs_buf *graph, const struct recipe *recipe)
{
    const int *in = recipe->input;
    bool free_batch = recipe->freed, free_size = recipe->freed && recipe->size;
    struct hs_onnx_dim image[] = { { NULL, 1 }, { NULL, 3 }, { NULL, 64 }, { NULL, 64 } };
    struct hs_onnx_dim rows[] = { { NULL, 1 }, { NULL, 64 }, { NULL, 4 } };
    for (int i = 0; in[0] && i < 4; i++)
        image[i] = (struct hs_onnx_dim) { in[i] ? NULL : "free", in[i] };
    image[0].name = rows[0].name = free_batch ? "batch" : NULL;
    image[2].name = free_size ? "height" : image[2].name;
    image[3].name = free_size ? "width" : image[3].name;
    hs_onnx_put_value_info(graph, HS_ONNX_GRAPH_INPUT, "images", image, 4);
    if (recipe->weights_listed)
        hs_onnx_put_value_info(graph, HS_ONNX_GRAPH_INPUT, "w", rows, 1);
    if (recipe->no_ends)
        return;
    rows[1].name = free_size ? "rows_0" : NULL;
    hs_onnx_put_value_info(graph, HS_ONNX_GRAPH_OUTPUT, "rows", rows, 3);
    rows[1].name = free_size ? "rows_1" : NULL;
    hs_onnx_put_value_info(graph, HS_ONNX_GRAPH_OUTPUT, "more", rows, 3);
    if (!recipe->freed)
        hs_onnx_put_value_info(graph, 13, "a", image, 4);
}

static void build(const struct recipe *recipe, struct hs_buf *model)
{
    static const float scales[] = { 1, 1, 2, 2 };
    static const int64_t four[] = { 4 };
    struct hs_buf graph;
    hs_buf_init(model, FILE_MAX);
    hs_buf_init(&graph, FILE_MAX);
    put_nodes(&graph, recipe);
    hs_onnx_put_string(&graph, HS_ONNX_GRAPH_NAME, "g");
    put_weights(&graph, recipe);
    put_ends(&graph, recipe);
    if (recipe->freed && recipe->size)
        hs_onnx_put_tensor(&graph, "doubled_scales", HS_ONNX_ELEM_FLOAT, four, 1, scales);
    hs_onnx_put_int(model, HS_ONNX_MODEL_IR_VERSION, 7);
    hs_onnx_put_string(model, HS_ONNX_MODEL_PRODUCER, "test");
    hs_onnx_put_message(model, HS_ONNX_MODEL_GRAPH, &graph);
    hs_onnx_put_opset(model, 11);
    hs_onnx_put_int(model, 100, 5); /* unknown fields are kept */
    assert_int_equal(model->error, 0);
    hs_buf_finish(&graph);
}

/* Uses a copy of exactly `len` bytes, so that a sanitizer detects reads past the end. */
static int edit(enum hs_onnx_edit how, const struct hs_buf *model, size_t len, struct hs_buf *out, struct hs_error *err)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, model->data, len);
    hs_buf_init(out, FILE_MAX);
    *err = (struct hs_error) { 0 };
    int status = hs_onnx_edit(how, copy, len, out, err);
    if (len)
        assert_memory_equal(copy, model->data, len);
    free(copy);
    return status;
}

static void becomes(enum hs_onnx_edit how, struct recipe recipe)
{
    struct hs_buf before, after;
    struct hs_buf out;
    struct hs_error err;
    build(&recipe, &before);
    recipe.freed = true;
    build(&recipe, &after);
    if (edit(how, &before, before.len, &out, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(out.len, after.len);
    assert_memory_equal(out.data, after.data, out.len);
    hs_buf_finish(&out);
    hs_buf_finish(&before);
    hs_buf_finish(&after);
}

static void refuses(enum hs_onnx_edit how, struct recipe recipe, const char *reason)
{
    struct hs_buf model;
    struct hs_buf out;
    struct hs_error err;
    build(&recipe, &model);
    assert_int_equal(edit(how, &model, model.len, &out, &err), HS_EMODEL);
    assert_message(err.message, reason);
    assert_int_equal(out.len, 0);
    hs_buf_finish(&out);
    hs_buf_finish(&model);
}

static void the_batch_becomes_dynamic(void **state)
{
    (void) state;
    becomes(HS_ONNX_DYNAMIC_BATCH, (struct recipe) { 0 });
    becomes(HS_ONNX_DYNAMIC_BATCH, (struct recipe) { .op = "PRelu" });
    becomes(HS_ONNX_DYNAMIC_BATCH, (struct recipe) { .more_inputs = 7 }); /* the maximum, with the first input */
    becomes(HS_ONNX_DYNAMIC_BATCH, (struct recipe) { .more_nodes = 9997 });
}

static void the_size_becomes_dynamic(void **state)
{
    (void) state;
    becomes(HS_ONNX_DYNAMIC_SIZE, (struct recipe) { .size = true });
}

static void other_graphs_are_refused(void **state)
{
    (void) state;
    const enum hs_onnx_edit batch = HS_ONNX_DYNAMIC_BATCH, size = HS_ONNX_DYNAMIC_SIZE;
    refuses(batch, (struct recipe) { .op = "Gemm" }, "an operator that may depend");
    refuses(batch, (struct recipe) { .domain = "com.example" }, "an operator that may depend");
    refuses(batch, (struct recipe) { .size = true }, "an operator that may depend");
    refuses(batch, (struct recipe) { .reshape = { 2, -1, 4 } }, "is not the constant");
    refuses(batch, (struct recipe) { .reshape = { 1, 16, 4 } }, "is not the constant");
    refuses(batch, (struct recipe) { .reshape = { 1, -1, -1 } }, "is not the constant");
    refuses(batch, (struct recipe) { .packed = true }, "is not the constant");
    refuses(batch, (struct recipe) { .floats = true }, "is not the constant");
    refuses(batch, (struct recipe) { .input = { 2, 3, 64, 64 } }, "the input is not");
    refuses(batch, (struct recipe) { .input = { 1, 1, 64, 64 } }, "the input is not");
    refuses(batch, (struct recipe) { .input = { 1, 3, 0, 64 } }, "the input is not");
    refuses(batch, (struct recipe) { .weights_listed = true }, "unsupported name of an input");
    refuses(size, (struct recipe) { 0 }, "2 Reshape, 0 Resize");
    refuses(size, (struct recipe) { .size = true, .coarse = { 1, 8, 2, 4 } },
            "the output of a Resize node is not 1/16");
    refuses(size, (struct recipe) { .size = true, .coarse = { 2, 8, 4, 4 } },
            "the output of a Resize node is not 1/16");
    refuses(size, (struct recipe) { .size = true, .input = { 1, 3, 64, 128 } },
            "the output of a Resize node is not 1/16");
    refuses(size, (struct recipe) { .size = true, .shared = true }, "shares its size");
    refuses(size, (struct recipe) { .size = true, .weight = "doubled_scales" }, "already dynamic");
    refuses(size, (struct recipe) { .size = true, .third = true }, "more than 2 Resize");
    refuses(batch, (struct recipe) { .more_inputs = 8 }, "a node has more than 8 inputs");
    refuses(batch, (struct recipe) { .more_nodes = 9998 }, "the model has more than 10000 nodes");
    refuses(batch, (struct recipe) { .no_ends = true }, "the model has no output");
}

static void a_dynamic_file_is_not_edited_again(void **state)
{
    (void) state;
    refuses(HS_ONNX_DYNAMIC_BATCH, (struct recipe) { .freed = true }, "the input is not");
    refuses(HS_ONNX_DYNAMIC_SIZE, (struct recipe) { .freed = true, .size = true }, "the input is not");
}

static void truncated_files_and_a_small_buffer(void **state)
{
    (void) state;
    const struct recipe recipe = { .size = true };
    struct hs_buf model;
    struct hs_buf out;
    struct hs_error err;
    build(&recipe, &model);
    size_t without_end = model.len - 3; /* the unknown field at the end, and the operator set before it, may be
                                           missing */
    for (size_t len = 0; len < model.len; len++) {
        int status = edit(HS_ONNX_DYNAMIC_SIZE, &model, len, &out, &err);
        assert_true(status == HS_EMODEL || len == without_end || len == without_end - 6);
        hs_buf_finish(&out);
    }
    hs_buf_init(&out, 100);
    assert_int_equal(hs_onnx_edit(HS_ONNX_DYNAMIC_SIZE, model.data, model.len, &out, &err), HS_ETOOLARGE);
    hs_buf_finish(&out);
    hs_buf_finish(&model);
}

static void from_file_to_file(void **state)
{
    const struct recipe recipe = { 0 }, freed = { .freed = true };
    struct hs_buf before, after;
    struct hs_error err = { 0 };
    char from[PATH_MAX];
    build(&recipe, &before);
    build(&freed, &after);
    folder_write(*state, "a.onnx", (const char *) before.data, before.len);
    hs_str_copy(from, sizeof(from), folder_path(*state, "a.onnx"));
    assert_int_equal(hs_onnx_edit_file(HS_ONNX_DYNAMIC_BATCH, from, folder_path(*state, "b.onnx"), &err), 0);
    assert_true(folder_holds(*state, "b.onnx", (const char *) after.data, after.len));
    assert_int_equal(hs_onnx_edit_file(HS_ONNX_DYNAMIC_SIZE, from, folder_path(*state, "c.onnx"), &err), HS_EMODEL);
    assert_false(folder_has(*state, "c.onnx"));
    assert_int_equal(hs_onnx_edit_file(HS_ONNX_DYNAMIC_SIZE, "/nowhere", from, &err), HS_ENOTFOUND);
    hs_buf_finish(&before);
    hs_buf_finish(&after);
}

struct editing {
    enum hs_onnx_edit how;
    struct hs_buf before, after;
    const char *from, *to;
};

static int edit_without_memory(void *arg)
{
    const struct editing *editing = arg;
    struct hs_buf out;
    struct hs_error err = { 0 };
    hs_buf_init(&out, FILE_MAX);
    int r = hs_onnx_edit(editing->how, editing->before.data, editing->before.len, &out, &err);
    assert_int_equal(r, err.code);
    if (r < 0) {
        assert_message(err.message, "out of memory");
        assert_int_equal(out.len, 0);
    } else {
        assert_int_equal(out.len, editing->after.len);
        assert_memory_equal(out.data, editing->after.data, out.len);
    }
    hs_buf_finish(&out);
    return r;
}

static int edit_file_without_memory(void *arg)
{
    const struct editing *editing = arg;
    struct hs_error err = { 0 };
    unlink(editing->to);
    int r = hs_onnx_edit_file(editing->how, editing->from, editing->to, &err);
    assert_int_equal(r, err.code);
    assert_int_equal(hs_file_exists(editing->to), r == 0);
    return r;
}

static void each_allocation_may_fail(void **state)
{
    for (int size = 0; size < 2; size++) {
        struct recipe recipe = { .size = size };
        struct editing editing = { .how = size ? HS_ONNX_DYNAMIC_SIZE : HS_ONNX_DYNAMIC_BATCH };
        char from[PATH_MAX], to[PATH_MAX];
        build(&recipe, &editing.before);
        recipe.freed = true;
        build(&recipe, &editing.after);
        assert_true(hs_fail_each_allocation(edit_without_memory, &editing) >= 5);
        hs_str_copy(from, sizeof(from), folder_path(*state, "from"));
        hs_str_copy(to, sizeof(to), folder_path(*state, "to"));
        folder_write(*state, "from", editing.before.data, editing.before.len);
        editing.from = from;
        editing.to = to;
        assert_true(hs_fail_each_allocation(edit_file_without_memory, &editing) >= 6);
        assert_true(folder_holds(*state, "to", editing.after.data, editing.after.len));
        hs_buf_finish(&editing.before);
        hs_buf_finish(&editing.after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_batch_becomes_dynamic),
        cmocka_unit_test(the_size_becomes_dynamic),
        cmocka_unit_test(other_graphs_are_refused),
        cmocka_unit_test(a_dynamic_file_is_not_edited_again),
        cmocka_unit_test(truncated_files_and_a_small_buffer),
        FOLDER_TEST(from_file_to_file),
        FOLDER_TEST(each_allocation_may_fail),
    };
    return HS_RUN_TESTS(tests);
}
