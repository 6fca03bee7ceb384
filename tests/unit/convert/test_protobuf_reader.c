#include "../unit.h"

#include <string.h>

#include "convert/onnx_wire.h"

static struct hs_protobuf_span span(const void *data, size_t len)
{
    return (struct hs_protobuf_span) { data, len };
}

static void every_kind_of_field(void **state)
{
    (void) state;
    static const uint8_t data[] = { 0x08, 0x96, 0x01, 0x11, 1,    0, 0, 0, 0, 0,    0,    0x80,
                                    0x1a, 2,    'h',  'i',  0x25, 4, 3, 2, 1, 0xa0, 0x06, 1 };
    struct hs_protobuf_span in = span(data, sizeof(data));
    struct hs_protobuf_field field;
    bool damaged = false;
    assert_true(hs_protobuf_next(&in, &field, &damaged));
    assert_true(field.number == 1 && field.wire == HS_PROTOBUF_VARINT && field.value == 150);
    assert_true(field.whole.data == data && field.whole.len == 3);
    assert_true(hs_protobuf_next(&in, &field, &damaged));
    assert_true(field.number == 2 && field.wire == HS_PROTOBUF_64 && field.value == UINT64_C(0x8000000000000001));
    assert_true(hs_protobuf_next(&in, &field, &damaged));
    assert_true(hs_protobuf_is_bytes(&field, 3) && !hs_protobuf_is_bytes(&field, 2));
    assert_true(field.bytes.len == 2 && memcmp(field.bytes.data, "hi", 2) == 0 && field.whole.len == 4);
    assert_true(hs_protobuf_next(&in, &field, &damaged));
    assert_true(field.number == 4 && field.wire == HS_PROTOBUF_32 && field.value == 0x01020304);
    assert_true(hs_protobuf_next(&in, &field, &damaged));
    assert_true(field.number == 100 && field.value == 1 && field.bytes.len == 0);
    assert_false(hs_protobuf_next(&in, &field, &damaged));
    assert_false(damaged);
}

static void damaged_bytes(void **state)
{
    (void) state;
    static const struct {
        uint8_t bytes[12];
        size_t len;
    } bad[] = {
        { { 0x08 }, 1 },                                                           /* no value */
        { { 0x08, 0x80 }, 2 },                                                     /* a truncated varint */
        { { 0x11, 1, 2, 3 }, 4 },                                                  /* 8 bytes are required */
        { { 0x1a, 3, 'h', 'i' }, 4 },                                              /* a length past the end */
        { { 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f }, 7 },                       /* far past it */
        { { 0x0b }, 1 },                                                           /* groups are not supported */
        { { 0x00, 0x00 }, 2 },                                                     /* field numbers start at 1 */
        { { 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 11 }, /* more than 64 bits */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct hs_protobuf_span in = span(bad[i].bytes, bad[i].len);
        struct hs_protobuf_field field;
        bool damaged = false;
        assert_false(hs_protobuf_next(&in, &field, &damaged));
        assert_true(damaged);
        in = span("\x08\x01", 2);
        assert_false(hs_protobuf_next(&in, &field, &damaged)); /* nothing more is read */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_field),
        cmocka_unit_test(damaged_bytes),
    };
    return HS_RUN_TESTS(tests);
}
