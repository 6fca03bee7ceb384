#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "../models/folder.h"
#include "convert/onnx_info.h"
#include "pose_onnx.h"

/* Uses a copy of exactly `len` bytes, so that a sanitizer detects reads past the end. */
static int parse(const struct hs_buf *model, size_t len, struct hs_onnx_info **ret_info, struct hs_error *err)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, model->data, len);
    int r = hs_onnx_info_parse(copy, len, ret_info, err);
    free(copy);
    return r;
}

static struct hs_onnx_info *read_model(struct hs_buf *model)
{
    struct hs_onnx_info *info = NULL;
    struct hs_error err = { 0 };
    if (parse(model, model->len, &info, &err) < 0)
        fail_msg("%s", err.message);
    hs_buf_finish(model);
    return info;
}

static void inputs_outputs_metadata(void **state)
{
    (void) state;
    struct hs_buf model;
    pose_onnx_decoded(&model, 640, 56, 8400);
    onnx_text(&model, 2, "a\tproducer");
    pose_onnx_prop(&model, "task", "pose");
    pose_onnx_prop(&model, "kpt_shape", "[17, 3]");
    struct hs_onnx_info *info = read_model(&model);
    assert_int_equal(info->ir_version, 8);
    assert_int_equal(info->opset, 13);
    assert_string_equal(info->producer, "a?producer");
    assert_false(info->external_data);
    assert_int_equal(info->node_count, 1);
    assert_int_equal(info->input_count, 1);
    assert_string_equal(info->inputs[0].name, "images");
    assert_int_equal(info->inputs[0].elem_type, HS_ONNX_FLOAT);
    assert_int_equal(info->inputs[0].rank, 4);
    assert_int_equal(info->inputs[0].dims[3], 640);
    assert_int_equal(info->output_count, 1);
    assert_int_equal(info->outputs[0].dims[1], 56);
    assert_string_equal(hs_onnx_info_prop(info, "task"), "pose");
    assert_string_equal(hs_onnx_info_prop(info, "kpt_shape"), "[17, 3]");
    assert_null(hs_onnx_info_prop(info, "names"));
    hs_onnx_info_destroy(info);
    hs_onnx_info_destroy(NULL);
}

static void free_dimensions(void **state)
{
    (void) state;
    struct hs_buf model;
    pose_onnx_raw(&model, 64, 1, 51);
    struct hs_onnx_info *info = read_model(&model);
    assert_int_equal(info->inputs[0].dims[0], -1);
    assert_int_equal(info->inputs[0].dims[1], 3);
    assert_int_equal(info->output_count, 9);
    assert_int_equal(info->outputs[8].dims[1], 51);
    hs_onnx_info_destroy(info);
}

/* Old files also list each weight among the inputs. */
static void weights_are_not_inputs(void **state)
{
    (void) state;
    struct hs_buf model, graph;
    const int dims[] = { 2 };
    const float data[] = { 1, 2 };
    hs_buf_init(&model, POSE_ONNX_MAX);
    hs_buf_init(&graph, POSE_ONNX_MAX);
    onnx_value(&graph, 11, "w", dims, 1);
    onnx_value(&graph, 11, "x", dims, 1);
    onnx_constant(&graph, "w", 1, dims, 1, data, sizeof(data));
    onnx_value(&graph, 12, "y", dims, 1);
    onnx_model(&model, &graph);
    struct hs_onnx_info *info = read_model(&model);
    assert_int_equal(info->input_count, 1);
    assert_string_equal(info->inputs[0].name, "x");
    hs_onnx_info_destroy(info);
}

/* Builds a model whose graph has an additional field. */
static bool external_with(unsigned field, struct hs_buf *message)
{
    struct hs_buf model, graph;
    hs_buf_init(&model, POSE_ONNX_MAX);
    hs_buf_init(&graph, POSE_ONNX_MAX);
    onnx_message(&graph, field, message);
    onnx_model(&model, &graph);
    struct hs_onnx_info *info = read_model(&model);
    bool external = info->external_data;
    hs_onnx_info_destroy(info);
    return external;
}

static void start_external(struct hs_buf *tensor, bool by_location)
{
    hs_buf_init(tensor, 4096);
    onnx_text(tensor, 8, "w");
    if (by_location)
        onnx_int(tensor, 14, 1);
    else
        onnx_text(tensor, 13, "");
}

/* External tensors are detected anywhere: initializers, sparse ones, attributes, graphs in
 * attributes. */
static void external_data_is_found(void **state)
{
    (void) state;
    for (int by_location = 0; by_location < 2; by_location++) {
        struct hs_buf tensor, sparse, attribute, node, graph;
        struct hs_buf *all[] = { &sparse, &attribute, &node, &graph };
        for (int i = 0; i < 4; i++)
            hs_buf_init(all[i], 4096);
        start_external(&tensor, by_location);
        assert_true(external_with(5, &tensor));
        start_external(&tensor, by_location);
        onnx_message(&sparse, 1, &tensor);
        assert_true(external_with(15, &sparse));
        start_external(&tensor, by_location);
        onnx_message(&attribute, 5, &tensor);
        onnx_message(&node, 5, &attribute);
        assert_true(external_with(1, &node));
        start_external(&tensor, by_location);
        onnx_message(&graph, 5, &tensor);
        onnx_message(&attribute, 6, &graph);
        onnx_message(&node, 5, &attribute);
        assert_true(external_with(1, &node));
        start_external(&tensor, by_location);
        onnx_message(&sparse, 2, &tensor);
        onnx_message(&attribute, 22, &sparse);
        onnx_message(&node, 5, &attribute);
        assert_true(external_with(1, &node));
    }
    struct hs_buf tensor;
    hs_buf_init(&tensor, 4096);
    onnx_int(&tensor, 14, 0);
    assert_false(external_with(5, &tensor));
}

static void nested_graphs_are_limited(void **state)
{
    (void) state;
    struct hs_buf graph, attribute, node, model;
    struct hs_onnx_info *info = NULL;
    struct hs_error err = { 0 };
    hs_buf_init(&graph, POSE_ONNX_MAX);
    hs_buf_init(&attribute, POSE_ONNX_MAX);
    hs_buf_init(&node, POSE_ONNX_MAX);
    hs_buf_init(&model, POSE_ONNX_MAX);
    for (int i = 0; i < 50; i++) {
        onnx_message(&attribute, 6, &graph);
        onnx_message(&node, 5, &attribute);
        onnx_message(&graph, 1, &node);
    }
    onnx_model(&model, &graph);
    assert_int_equal(parse(&model, model.len, &info, &err), HS_EMODEL);
    hs_buf_finish(&model);
}

/* Appends a node that holds `depth` graphs inside each other, the innermost with a weight in another file. */
static void append_nested_node(struct hs_buf *message, unsigned field, int depth)
{
    struct hs_buf tensor, attribute, node, graph;
    hs_buf_init(&attribute, 4096);
    hs_buf_init(&node, 4096);
    hs_buf_init(&graph, 4096);
    start_external(&tensor, true);
    onnx_message(&attribute, 5, &tensor);
    onnx_message(&node, 5, &attribute);
    for (int i = 0; i < depth; i++) {
        onnx_message(&graph, 1, &node);
        onnx_message(&attribute, 6, &graph);
        onnx_message(&node, 5, &attribute);
    }
    onnx_message(message, field, &node);
}

/* A function's body counts as a graph inside the model's graph, which has at most eight levels inside. */
static void function_bodies_are_read(void **state)
{
    (void) state;
    for (int depth = 0; depth <= 9; depth++)
        for (int in_function = 0; in_function < 2; in_function++) {
            struct hs_buf model, graph, function;
            struct hs_onnx_info *info = NULL;
            struct hs_error err = { 0 };
            hs_buf_init(&model, 4096);
            hs_buf_init(&graph, 4096);
            hs_buf_init(&function, 4096);
            if (!in_function)
                append_nested_node(&graph, 1, depth);
            onnx_model(&model, &graph);
            if (in_function) {
                append_nested_node(&function, 7, depth);
                onnx_message(&model, 25, &function);
            }
            int r = parse(&model, model.len, &info, &err);
            hs_buf_finish(&model);
            if (r != (depth + in_function <= 8 ? 0 : HS_EMODEL))
                fail_msg("%d graphs inside each other gave %d: %s", depth, r, err.message);
            if (r < 0)
                continue;
            assert_true(info->external_data);
            assert_int_equal(info->node_count, depth + 1);
            hs_onnx_info_destroy(info);
        }
}

/* A model truncated at any length is refused or parsed as a shorter one; no read goes past the end. */
static void truncated_files(void **state)
{
    (void) state;
    struct hs_buf model;
    pose_onnx_decoded(&model, 640, 56, 8400);
    pose_onnx_prop(&model, "names", "{0: 'person'}");
    for (size_t len = 0; len < model.len; len++) {
        struct hs_onnx_info *info = NULL;
        struct hs_error err = { 0 };
        int r = parse(&model, len, &info, &err);
        assert_true(r == 0 || (r == HS_EMODEL && !info && err.message[0]));
        hs_onnx_info_destroy(info);
    }
    hs_buf_finish(&model);
}

static void not_a_model(void **state)
{
    (void) state;
    static const char *const texts[] = { "",
                                         "PK\x03\x04",
                                         "hello, this is text",
                                         "\x08\x08",
                                         "\xff\xff\xff\xff\xff\xff",
                                         "\x3a\xff\xff\xff\xff\x0f",
                                         "\x3a\x00\x3a\x00" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct hs_onnx_info *info = NULL;
        struct hs_error err = { 0 };
        assert_int_equal(hs_onnx_info_parse((const uint8_t *) texts[i], strlen(texts[i]), &info, &err), HS_EMODEL);
        assert_null(info);
    }
}

/* A type is checked even if a later one replaces it. */
static void damage_in_a_field_given_twice(void **state)
{
    (void) state;
    for (int damaged = 0; damaged < 2; damaged++) {
        const int dims[] = { 1, 2 };
        struct hs_onnx_info *info;
        struct hs_error err = { 0 };
        struct hs_buf model, graph, value;
        hs_buf_init(&model, 4096);
        hs_buf_init(&graph, 4096);
        hs_buf_init(&value, 4096);
        onnx_bytes(&value, 2, damaged ? "\x0a\x05" : "\x0a\x00", 2); /* tensor_type of 5 bytes, or empty */
        onnx_bytes(&value, 2, "\x0a\x02\x08\x01", 4);
        onnx_message(&graph, 11, &value);
        onnx_value(&graph, 12, "y", dims, 2);
        onnx_model(&model, &graph);
        int r = hs_onnx_info_parse(model.data, model.len, &info, &err);
        assert_int_equal(r, damaged ? HS_EMODEL : 0);
        if (r == 0)
            hs_onnx_info_destroy(info);
        hs_buf_finish(&model);
    }
}

static void limits_are_enforced(void **state)
{
    (void) state;
    struct hs_buf model, graph;
    struct hs_onnx_info *info = NULL;
    struct hs_error err = { 0 };
    const int dims[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    hs_buf_init(&model, POSE_ONNX_MAX);
    hs_buf_init(&graph, POSE_ONNX_MAX);
    onnx_value(&graph, 11, "x", dims, 9);
    onnx_model(&model, &graph);
    assert_int_equal(parse(&model, model.len, &info, &err), HS_EMODEL);
    hs_buf_finish(&model);
    pose_onnx_decoded(&model, 64, 56, 84);
    for (int i = 0; i <= HS_ONNX_MAX_PROPS; i++)
        pose_onnx_prop(&model, "a", "b");
    assert_int_equal(parse(&model, model.len, &info, &err), HS_EMODEL);
    assert_non_null(strstr(err.message, "too complex"));
    hs_buf_finish(&model);
    for (int i = 0; i <= HS_ONNX_MAX_VALUES; i++)
        onnx_value(&graph, 12, "y", dims, 3);
    onnx_model(&model, &graph);
    assert_int_equal(parse(&model, model.len, &info, &err), HS_EMODEL);
    hs_buf_finish(&model);
}

static void from_a_file(void **state)
{
    struct hs_buf model;
    struct hs_onnx_info *info = NULL;
    struct hs_error err = { 0 };
    pose_onnx_decoded(&model, 64, 56, 84);
    folder_write(*state, "a.onnx", model.data, model.len);
    hs_buf_finish(&model);
    assert_int_equal(hs_onnx_info_load(folder_path(*state, "a.onnx"), &info, &err), 0);
    hs_onnx_info_destroy(info);
    assert_int_equal(hs_onnx_info_load(folder_path(*state, "b.onnx"), &info, &err), HS_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_outputs_metadata),
        cmocka_unit_test(free_dimensions),
        cmocka_unit_test(weights_are_not_inputs),
        cmocka_unit_test(external_data_is_found),
        cmocka_unit_test(nested_graphs_are_limited),
        cmocka_unit_test(function_bodies_are_read),
        cmocka_unit_test(truncated_files),
        cmocka_unit_test(not_a_model),
        cmocka_unit_test(damage_in_a_field_given_twice),
        cmocka_unit_test(limits_are_enforced),
        FOLDER_TEST(from_a_file),
    };
    return HS_RUN_TESTS(tests);
}
