#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"

static void expect(json_t *value, enum hs_json_style style, const char *want)
{
    struct hs_buf out;
    hs_buf_init(&out, 4096);
    assert_int_equal(hs_json_write(value, style, &out), 0);
    assert_string_equal(hs_buf_str(&out), want);
    hs_buf_finish(&out);
    json_decref(value);
}

static json_t *sample(void)
{
    return json_pack("{s:[i,f,b,n], s:{s:s}, s:[], s:{}}", "z", -5, 0.5, 1, "a", "k", "v", "empty", "none");
}

static void test_styles(void **state)
{
    (void) state;
    expect(sample(), HS_JSON_SPACED,
           "{\"z\": [-5, 0.5, true, null], \"a\": {\"k\": \"v\"}, \"empty\": [], \"none\": {}}\n");
    expect(sample(), HS_JSON_SORTED, "{\"a\":{\"k\":\"v\"},\"empty\":[],\"none\":{},\"z\":[-5,0.5,true,null]}\n");
    /* Like json.dumps(value, indent=2, sort_keys=True). */
    expect(sample(), HS_JSON_PRETTY,
           "{\n  \"a\": {\n    \"k\": \"v\"\n  },\n  \"empty\": [],\n  \"none\": {},\n"
           "  \"z\": [\n    -5,\n    0.5,\n    true,\n    null\n  ]\n}\n");
    expect(json_integer(INT64_MIN), HS_JSON_SPACED, "-9223372036854775808\n");
    expect(json_integer(INT64_MAX), HS_JSON_SPACED, "9223372036854775807\n");
}

/* Like json.dumps with ensure_ascii. */
static void test_strings(void **state)
{
    (void) state;
    expect(json_string("a\"b\\c/\b\f\n\r\t\x01\x7f"), HS_JSON_SPACED,
           "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u007f\"\n");
    expect(json_string("J\xc3\xb6rg \xe2\x82\xac \xf0\x9f\x98\x80"), HS_JSON_SPACED,
           "\"J\\u00f6rg \\u20ac \\ud83d\\ude00\"\n");
    expect(json_stringn("a\0b", 3), HS_JSON_SPACED, "\"a\\u0000b\"\n");
}

static void test_limits(void **state)
{
    (void) state;
    struct hs_buf out;
    hs_buf_init(&out, 10);
    json_t *value = json_string("longer than ten");
    assert_int_equal(hs_json_write(value, HS_JSON_SPACED, &out), HS_ETOOLARGE);
    hs_buf_finish(&out);
    json_decref(value);
    json_t *deep = json_array();
    for (int i = 0; i < 70; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, deep);
        deep = outer;
    }
    hs_buf_init(&out, 4096);
    assert_int_equal(hs_json_write(deep, HS_JSON_SPACED, &out), HS_ETOOLARGE);
    hs_buf_finish(&out);
    json_decref(deep);
}

/* 100 people with 17 keypoints; prints the time without checking it. */
static void test_speed(void **state)
{
    (void) state;
    json_t *poses = json_array();
    for (int i = 0; i < 1700; i++)
        json_array_append_new(poses, json_pack("{s:s, s:i, s:i, s:f}", "name", "left_shoulder", "x", i, "y", 2 * i,
                                               "confidence", (double) (float) (i / 1777.0)));
    struct hs_buf out;
    hs_buf_init(&out, 1 << 20);
    int64_t start = hs_clock_now_ns();
    assert_int_equal(hs_json_write(poses, HS_JSON_SPACED, &out), 0);
    print_message("1700 keypoints, %zu bytes, in %.2f ms\n", out.len, hs_ns_to_ms(hs_clock_now_ns() - start));
    hs_buf_finish(&out);
    json_decref(poses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_styles),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_speed),
    };
    return HS_RUN_TESTS(tests);
}
