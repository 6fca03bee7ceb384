#include "../unit.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "base/str.h"

static void expect_double(double value, const char *want)
{
    char text[32];
    assert_int_equal(hs_json_double(value, text), strlen(want));
    assert_string_equal(text, want);
}

/* The expected values are those of Python's repr. */
static void test_doubles(void **state)
{
    (void) state;
    expect_double(0, "0.0");
    expect_double(-0.0, "-0.0");
    expect_double(1, "1.0");
    expect_double(-2.5, "-2.5");
    expect_double(0.1, "0.1");
    expect_double(0.1 + 0.2, "0.30000000000000004");
    expect_double(1.0 / 3, "0.3333333333333333");
    expect_double(2.0 / 3, "0.6666666666666666");
    expect_double(0.9999999999999999, "0.9999999999999999");
    expect_double(123456.789, "123456.789");
    expect_double(0.0001, "0.0001");
    expect_double(0.00012345, "0.00012345");
    expect_double(0.00001, "1e-05");
    expect_double(1e15, "1000000000000000.0");
    expect_double(2251799813685249.5, "2251799813685249.5");
    expect_double(9007199254740992.0, "9007199254740992.0");
    expect_double(1e16, "1e+16");
    expect_double(1.5e300, "1.5e+300");
    expect_double(DBL_MIN, "2.2250738585072014e-308");
    expect_double(0.5, "0.5");
    expect_double(0.0625, "0.0625");
    expect_double((double) 0.85432100f, "0.8543210029602051");
}

/* Checks that the text parses to the same value, and that no shorter text does. */
static void check_shortest(double value)
{
    char text[32], plain[32];
    double back;
    size_t len = hs_json_double(value, text);
    assert_true(hs_str_to_double(text, &back));
    if (back != value)
        fail_msg("%.17g became %s", value, text);
    hs_str_from_double(value, plain);
    /* Same number of digits as the %g search of hs_str_from_double. */
    size_t digits = 0, wanted = 0;
    bool leading = true;
    for (size_t i = 0; i < len; i++) {
        leading = leading && (text[i] == '0' || text[i] == '.' || text[i] == '-');
        digits += !leading && text[i] != '.';
    }
    leading = true;
    for (size_t i = 0; plain[i] && plain[i] != 'e'; i++) {
        leading = leading && (plain[i] == '0' || plain[i] == '.' || plain[i] == '-');
        wanted += !leading && plain[i] != '.';
    }
    if (digits > wanted && fmod(value, 1) != 0)
        fail_msg("%.17g: %s is longer than %s", value, text, plain);
}

static void test_random_doubles(void **state)
{
    (void) state;
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        double unit = (double) (seed >> 11) / 9007199254740992.0;
        check_shortest(0.0001 + unit);
        check_shortest((double) (float) unit + 0.001);
        check_shortest(unit * 5000);
        check_shortest(-unit * 1e12);
    }
    for (int e = -13; e < 52; e++)
        check_shortest(ldexp(1, e));
    for (int e = -13; e < 50; e++) {
        check_shortest(nextafter(ldexp(1, e), 0));
        check_shortest(nextafter(ldexp(1, e), INFINITY));
    }
}

static void test_rounded(void **state)
{
    (void) state;
    expect_double(hs_json_score(0.123449), "0.1234");
    expect_double(hs_json_score((double) 0.7f), "0.7");
    expect_double(hs_json_score(0.99999), "1.0");
    expect_double(hs_json_score(3.57e-8), "0.0");
    expect_double(hs_json_score(-3.57e-8), "0.0");
    expect_double(hs_json_score(0.00005), "0.0001");
    expect_double(hs_json_score(-0.56299999999999994), "-0.563");
    expect_double(hs_json_ms(1234.5678), "1234.6");
    expect_double(hs_json_ms(0), "0.0");
    expect_double(hs_json_rounded(2.5, 0), "3.0");
    expect_double(hs_json_rounded(0.1234565, 6), "0.123457");
    assert_true(isnan(hs_json_score((double) NAN)));
    assert_true(isinf(hs_json_ms(INFINITY)));
}

/* The text of a float reads back as the same float, and %g with fewer digits does not. */
static void check_float(float value)
{
    char text[32], shortest[32];
    double back, wanted;
    int digits = 0;
    do {
        snprintf(shortest, sizeof(shortest), "%.*g", ++digits, (double) value);
        assert_true(hs_str_to_double(shortest, &wanted));
    } while ((float) wanted != value);
    hs_json_double(wanted, shortest);
    hs_json_double(hs_json_float(value), text);
    assert_true(hs_str_to_double(text, &back));
    if ((float) back != value || strlen(text) > strlen(shortest))
        fail_msg("%.9g became %s, not %s", (double) value, text, shortest);
}

static void test_floats(void **state)
{
    (void) state;
    expect_double(hs_json_float(0.1f), "0.1");
    expect_double(hs_json_float(-0.85432100f), "-0.854321");
    expect_double(hs_json_float(1.0f / 3), "0.33333334");
    expect_double(hs_json_float(0), "0.0");
    expect_double(hs_json_float(1), "1.0");
    expect_double(hs_json_float(3.5762787e-08f), "3.576279e-08");
    assert_true(hs_json_float(1e-30f) == (double) 1e-30f);
    assert_true(hs_json_float(123456.7f) == (double) 123456.7f);
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 100000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        double unit = (double) (seed >> 11) / 9007199254740992.0;
        check_float((float) (unit - 0.5));
        check_float((float) (1e-9 + unit * unit * unit * 0.1));
    }
    for (int e = -40; e < 3; e++) {
        check_float((float) ldexp(1, e));
        check_float(nextafterf((float) ldexp(1, e), 0));
        check_float(nextafterf((float) ldexp(1, e), 1));
    }
}

static void write_sample(struct hs_json_writer *json)
{
    hs_json_open(json, '{');
    hs_json_key(json, "a");
    hs_json_open(json, '[');
    hs_json_int(json, -5);
    hs_json_real(json, 0.5);
    hs_json_bool(json, true);
    hs_json_bool(json, false);
    hs_json_null(json);
    hs_json_real(json, INFINITY);
    hs_json_open(json, '[');
    hs_json_close(json, ']');
    hs_json_close(json, ']');
    hs_json_key(json, "b\"");
    hs_json_open(json, '{');
    hs_json_key(json, "k");
    hs_json_string(json, "v");
    hs_json_close(json, '}');
    hs_json_key(json, "c");
    hs_json_open(json, '{');
    hs_json_close(json, '}');
    hs_json_close(json, '}');
}

static void test_styles(void **state)
{
    (void) state;
    static const char *const want[] = {
        [HS_JSON_SPACED] = "{\"a\": [-5, 0.5, true, false, null, null, []], \"b\\\"\": {\"k\": \"v\"}, \"c\": {}}\n",
        [HS_JSON_SORTED] = "{\"a\":[-5,0.5,true,false,null,null,[]],\"b\\\"\":{\"k\":\"v\"},\"c\":{}}\n",
        [HS_JSON_PRETTY] = "{\n  \"a\": [\n    -5,\n    0.5,\n    true,\n    false,\n    null,\n    null,\n"
                           "    []\n  ],\n"
                           "  \"b\\\"\": {\n    \"k\": \"v\"\n  },\n  \"c\": {}\n}\n",
    };
    for (int style = HS_JSON_SPACED; style <= HS_JSON_PRETTY; style++) {
        struct hs_json_writer json;
        struct hs_buf out;
        hs_buf_init(&out, 4096);
        hs_json_begin(&json, &out, (enum hs_json_style) style);
        write_sample(&json);
        assert_int_equal(hs_json_end(&json), 0);
        assert_string_equal(hs_buf_str(&out), want[style]);
        hs_buf_finish(&out);
    }
}

/* A long text may be sent in pieces, because the writer does not read its earlier output. */
static void test_pieces(void **state)
{
    (void) state;
    struct hs_json_writer json;
    struct hs_buf out;
    char all[64] = "";
    hs_buf_init(&out, 16);
    hs_json_begin(&json, &out, HS_JSON_SPACED);
    hs_json_open(&json, '[');
    for (int i = 0; i < 3; i++) {
        hs_json_int(&json, i);
        hs_str_copy(all + strlen(all), sizeof(all) - strlen(all), hs_buf_str(&out));
        hs_buf_clear(&out);
    }
    hs_json_close(&json, ']');
    assert_int_equal(hs_json_end(&json), 0);
    hs_str_copy(all + strlen(all), sizeof(all) - strlen(all), hs_buf_str(&out));
    assert_string_equal(all, "[0, 1, 2]\n");
    hs_buf_finish(&out);
}

static void expect_text(const char *text, size_t len, const char *want)
{
    struct hs_json_writer json;
    struct hs_buf out;
    hs_buf_init(&out, 4096);
    hs_json_begin(&json, &out, HS_JSON_SPACED);
    hs_json_put_string(hs_json_raw(&json), text, len, true);
    assert_int_equal(hs_json_end(&json), 0);
    assert_string_equal(hs_buf_str(&out), want);
    hs_buf_finish(&out);
}

/* Like json.dumps with ensure_ascii. */
static void test_texts(void **state)
{
    (void) state;
    expect_text("", 0, "\"\"\n");
    expect_text("a\"b\\c/\b\f\n\r\t\x01\x7f", 13, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u007f\"\n");
    expect_text("J\xc3\xb6 \xe2\x82\xac \xf0\x9f\x98\x80", 12, "\"J\\u00f6 \\u20ac \\ud83d\\ude00\"\n");
    expect_text("a\0b", 3, "\"a\\u0000b\"\n");
}

static void test_integers(void **state)
{
    (void) state;
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {
        { 0, "0\n" }, { 10, "10\n" }, { INT64_MIN, "-9223372036854775808\n" }, { INT64_MAX, "9223372036854775807\n" }
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hs_json_writer json;
        struct hs_buf out;
        hs_buf_init(&out, 64);
        hs_json_begin(&json, &out, HS_JSON_SPACED);
        hs_json_int(&json, rows[i].value);
        assert_int_equal(hs_json_end(&json), 0);
        assert_string_equal(hs_buf_str(&out), rows[i].text);
        hs_buf_finish(&out);
    }
}

static void test_bounds(void **state)
{
    (void) state;
    struct hs_json_writer json;
    struct hs_buf out;
    hs_buf_init(&out, 20);
    hs_json_begin(&json, &out, HS_JSON_SPACED);
    write_sample(&json);
    assert_int_equal(hs_json_end(&json), HS_ETOOLARGE);
    hs_buf_finish(&out);
    for (int depth = HS_JSON_DEPTH_MAX; depth <= HS_JSON_DEPTH_MAX + 1; depth++) {
        hs_buf_init(&out, 4096);
        hs_json_begin(&json, &out, HS_JSON_SPACED);
        for (int i = 0; i < depth; i++)
            hs_json_open(&json, '[');
        for (int i = 0; i < depth; i++)
            hs_json_close(&json, ']');
        assert_int_equal(hs_json_end(&json), depth > HS_JSON_DEPTH_MAX ? HS_ETOOLARGE : 0);
        hs_buf_finish(&out);
    }
}

/* Ends the buffer at every position: at a name, at a value, between them. */
static void test_every_bound(void **state)
{
    (void) state;
    json_t *tree = json_pack("{s:[{s:s,s:{s:i}},b],s:{s:[i,i]}}", "list", "name", "value", "more", "deep", 1, 1,
                             "other", "two", 1, 2);
    const enum hs_json_style styles[] = { HS_JSON_SPACED, HS_JSON_SORTED, HS_JSON_PRETTY };
    assert_non_null(tree);
    for (size_t i = 0; i < 3; i++) {
        struct hs_buf whole, out;
        hs_buf_init(&whole, 4096);
        assert_int_equal(hs_json_write(tree, styles[i], &whole), 0);
        for (size_t max = 0; max < whole.len; max++) {
            hs_buf_init(&out, max);
            assert_int_equal(hs_json_write(tree, styles[i], &out), HS_ETOOLARGE);
            hs_buf_finish(&out);
        }
        hs_buf_finish(&whole);
    }
    json_decref(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles),     cmocka_unit_test(test_random_doubles), cmocka_unit_test(test_rounded),
        cmocka_unit_test(test_floats),      cmocka_unit_test(test_styles),         cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_texts),       cmocka_unit_test(test_integers),       cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_every_bound),
    };
    return HS_RUN_TESTS(tests);
}
