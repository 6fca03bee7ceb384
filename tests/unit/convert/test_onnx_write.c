/* Expected bytes were worked out by hand from onnx.proto and the encoding of protocol buffers. */
#include "convert/onnx_wire.h"

#include <string.h>

#include "../unit.h"

static void assert_bytes(struct hs_buf *out, const char *bytes, size_t len)
{
    assert_int_equal(out->error, 0);
    assert_int_equal(out->len, len);
    assert_memory_equal(out->data, bytes, len);
    hs_buf_clear(out);
}
#define ASSERT_BYTES(out, literal) assert_bytes(out, literal, sizeof(literal) - 1)

static void test_numbers(void **state)
{
    (void) state;
    struct hs_buf out;
    hs_buf_init(&out, 100);
    hs_onnx_put_int(&out, 1, 0); /* default values are written too */
    ASSERT_BYTES(&out, "\x08\x00");
    hs_onnx_put_int(&out, 1, 127);
    hs_onnx_put_int(&out, 1, 128);
    hs_onnx_put_int(&out, 20, 300); /* a key of two bytes */
    ASSERT_BYTES(&out, "\x08\x7f\x08\x80\x01\xa0\x01\xac\x02");
    hs_onnx_put_int(&out, 2, -1); /* 64 bits, seven at a time */
    ASSERT_BYTES(&out, "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    hs_onnx_put_int(&out, 2, INT64_MAX);
    ASSERT_BYTES(&out, "\x10\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
    hs_buf_finish(&out);
}

static void test_texts(void **state)
{
    (void) state;
    struct hs_buf out;
    hs_buf_init(&out, 1000);
    hs_onnx_put_string(&out, 3, "ab");
    hs_onnx_put_string(&out, 3, "");
    hs_onnx_put_bytes(&out, 4, "\0\1", 2);
    ASSERT_BYTES(&out, "\x1a\x02"
                       "ab"
                       "\x1a\x00"
                       "\x22\x02\x00\x01");
    char text[201];
    memset(text, 'x', sizeof(text) - 1);
    text[200] = '\0';
    hs_onnx_put_string(&out, 1, text);
    assert_int_equal(out.len, 203);
    assert_memory_equal(out.data, "\x0a\xc8\x01x", 4);
    hs_buf_clear(&out);
    hs_onnx_put_head(&out, 9, 300);
    ASSERT_BYTES(&out, "\x4a\xac\x02");
    hs_buf_finish(&out);
}

static void test_message(void **state)
{
    (void) state;
    struct hs_buf out, inner;
    hs_buf_init(&out, 100);
    hs_buf_init(&inner, 100);
    hs_onnx_put_message(&out, 7, &inner);
    ASSERT_BYTES(&out, "\x3a\x00");
    hs_onnx_put_int(&inner, 1, 5);
    hs_onnx_put_message(&out, 7, &inner);
    ASSERT_BYTES(&out, "\x3a\x02\x08\x05");
    hs_buf_finish(&inner);
    hs_buf_finish(&out);
}

static void test_attributes(void **state)
{
    (void) state;
    struct hs_buf node;
    const int64_t values[] = { 1, 200 };
    hs_buf_init(&node, 100);
    hs_onnx_put_attribute(&node, &(struct hs_onnx_attribute) { "axis", .value = -1 });
    ASSERT_BYTES(&node, "\x2a\x14"
                        "\x0a\x04"
                        "axis"
                        "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                        "\xa0\x01\x02");
    hs_onnx_put_attribute(&node, &(struct hs_onnx_attribute) { "k", .ints = values, .count = 2 });
    ASSERT_BYTES(&node, "\x2a\x0b"
                        "\x0a\x01k"
                        "\x40\x01\x40\xc8\x01"
                        "\xa0\x01\x07");
    hs_onnx_put_attribute(&node, &(struct hs_onnx_attribute) { "mode", .text = "nearest" });
    ASSERT_BYTES(&node, "\x2a\x12"
                        "\x0a\x04mode"
                        "\x22\x07nearest"
                        "\xa0\x01\x03");
    hs_buf_finish(&node);
}

static void test_tensors(void **state)
{
    (void) state;
    struct hs_buf graph;
    const int64_t dims[] = { 2, 1 }, numbers[] = { 3, -1 };
    const float halves[] = { 0.5F, -2 };
    hs_buf_init(&graph, 100);
    hs_onnx_put_tensor(&graph, "w", HS_ONNX_ELEM_FLOAT, dims, 2, halves);
    ASSERT_BYTES(&graph, "\x2a\x13"
                         "\x08\x02\x08\x01"
                         "\x10\x01"
                         "\x42\x01w"
                         "\x4a\x08\0\0\0\x3f\0\0\0\xc0");
    hs_onnx_put_tensor(&graph, "n", HS_ONNX_ELEM_INT64, dims, 1, numbers);
    ASSERT_BYTES(&graph, "\x2a\x19"
                         "\x08\x02"
                         "\x10\x07"
                         "\x42\x01n"
                         "\x4a\x10\3\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    hs_onnx_put_tensor(&graph, "s", HS_ONNX_ELEM_FLOAT, NULL, 0, halves); /* a scalar has no dimensions */
    ASSERT_BYTES(&graph, "\x2a\x0b"
                         "\x10\x01"
                         "\x42\x01s"
                         "\x4a\x04\0\0\0\x3f");
    hs_buf_finish(&graph);
}

static void test_value_info(void **state)
{
    (void) state;
    struct hs_buf graph;
    const struct hs_onnx_dim dims[] = { { "n", 0 }, { NULL, 3 } };
    hs_buf_init(&graph, 100);
    hs_onnx_put_value_info(&graph, HS_ONNX_GRAPH_INPUT, "x", dims, 2);
    ASSERT_BYTES(&graph, "\x5a\x14"
                         "\x0a\x01x"
                         "\x12\x0f"
                         "\x0a\x0d"
                         "\x08\x01"
                         "\x12\x09"
                         "\x0a\x03\x12\x01n"
                         "\x0a\x02\x08\x03");
    hs_onnx_put_value_info(&graph, HS_ONNX_GRAPH_OUTPUT, "y", NULL, 0); /* a shape with no dimensions is valid */
    ASSERT_BYTES(&graph, "\x62\x0b"
                         "\x0a\x01y"
                         "\x12\x06"
                         "\x0a\x04"
                         "\x08\x01"
                         "\x12\x00");
    hs_buf_finish(&graph);
}

static void test_model_fields(void **state)
{
    (void) state;
    struct hs_buf model;
    hs_buf_init(&model, 100);
    hs_onnx_put_opset(&model, 17);
    ASSERT_BYTES(&model, "\x42\x04"
                         "\x0a\x00"
                         "\x10\x11");
    hs_onnx_put_metadata(&model, "task", "pose");
    ASSERT_BYTES(&model, "\x72\x0c"
                         "\x0a\x04task"
                         "\x12\x04pose");
    hs_buf_finish(&model);
}

static void test_the_first_error_is_kept(void **state)
{
    (void) state;
    struct hs_buf out, outer;
    const float numbers[] = { 1, 2, 3 };
    const int64_t dim = 3, huge = (int64_t) (SIZE_MAX / 4);
    hs_buf_init(&out, 8);
    hs_onnx_put_string(&out, 1, "too long for it");
    assert_int_equal(out.error, HS_ETOOLARGE);
    size_t len = out.len;
    hs_onnx_put_int(&out, 1, 1);
    assert_int_equal(out.len, len);
    hs_buf_init(&outer, 100);
    hs_onnx_put_message(&outer, 1, &out); /* the error of a part becomes that of the whole */
    assert_int_equal(outer.error, HS_ETOOLARGE);
    assert_int_equal(outer.len, 0);
    hs_buf_finish(&outer);
    hs_buf_finish(&out);
    hs_buf_init(&out, 16);
    hs_onnx_put_tensor(&out, "w", HS_ONNX_ELEM_FLOAT, &dim, 1, numbers);
    assert_int_equal(out.error, HS_ETOOLARGE);
    hs_buf_finish(&out);
    hs_buf_init(&out, 16);
    hs_onnx_put_tensor(&out, "w", HS_ONNX_ELEM_INT64, &huge, 1, numbers);
    assert_int_equal(out.error, HS_ETOOLARGE);
    hs_buf_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),      cmocka_unit_test(test_texts),
        cmocka_unit_test(test_message),      cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_tensors),      cmocka_unit_test(test_value_info),
        cmocka_unit_test(test_model_fields), cmocka_unit_test(test_the_first_error_is_kept),
    };
    return HS_RUN_TESTS(tests);
}
