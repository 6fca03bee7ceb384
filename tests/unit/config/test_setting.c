#include "../unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/setting.h"

/* Reads `text` as the value of a one-line document `v: text`, with quotes and lists as in a file. */
static int read_yaml(const struct hs_setting *row, const char *text, void *dst, const char **ret_reason)
{
    struct hs_buf buf;
    struct hs_doc *doc = NULL;
    hs_buf_init(&buf, 1000);
    assert_int_equal(hs_buf_printf(&buf, "v: %s\n", text), 0);
    assert_int_equal(hs_doc_parse((const char *) buf.data, buf.len, "t", &doc, NULL), 0);
    hs_buf_finish(&buf);
    int r = hs_setting_read(row, hs_node_get(hs_doc_root(doc), "v"), dst, ret_reason);
    hs_doc_destroy(doc);
    return r;
}

static void refuse(const struct hs_setting *row, const char *text, void *dst, const char *words)
{
    const char *reason = NULL;
    if (read_yaml(row, text, dst, &reason) != HS_EINVAL)
        fail_msg("%s was taken", text);
    if (!strstr(reason, words))
        fail_msg("%s: \"%s\" lacks \"%s\"", text, reason, words);
}

static void accept(const struct hs_setting *row, const char *text, void *dst)
{
    const char *reason = "";
    if (read_yaml(row, text, dst, &reason) != 0)
        fail_msg("%s: %s", text, reason);
}

static void check_written(const struct hs_setting *row, const void *src, const char *wanted)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 1000);
    assert_int_equal(hs_setting_write(row, src, &buf), 0);
    assert_string_equal(hs_buf_str(&buf), wanted);
    hs_buf_finish(&buf);
}

static void check_range(const struct hs_setting *row, const char *wanted)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 1000);
    assert_int_equal(hs_setting_write_range(row, &buf), 0);
    assert_string_equal(hs_buf_str(&buf), wanted);
    hs_buf_finish(&buf);
}

static void bools(void **state)
{
    (void) state;
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_BOOL };
    bool value = false;
    accept(&row, "true", &value);
    assert_true(value);
    check_written(&row, &value, "true");
    accept(&row, "Off", &value);
    assert_false(value);
    check_written(&row, &value, "false");
    refuse(&row, "1", &value, "not true or false");
    refuse(&row, "\"true\"", &value, "not true or false");
    refuse(&row, "[true]", &value, "not true or false");
    check_range(&row, "true or false");
}

static void ints(void **state)
{
    (void) state;
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_INT, .min = 0, .max = 65535 };
    int value = -7;
    accept(&row, "0", &value);
    assert_int_equal(value, 0);
    accept(&row, "65535", &value);
    assert_int_equal(value, 65535);
    check_written(&row, &value, "65535");
    refuse(&row, "-1", &value, "too small");
    refuse(&row, "65536", &value, "too large");
    refuse(&row, "4294967296", &value, "too large");
    refuse(&row, "99999999999999999999", &value, "not a whole number");
    refuse(&row, "1.5", &value, "not a whole number");
    refuse(&row, "\"80\"", &value, "not a whole number");
    refuse(&row, "abc", &value, "not a whole number");
    refuse(&row, "{a: 1}", &value, "not a whole number");
    assert_int_equal(value, 65535);
    check_range(&row, "0 to 65535");
}

static void doubles(void **state)
{
    (void) state;
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_DOUBLE, .min = 0, .max = 1 };
    double value = -7;
    accept(&row, "0.45", &value);
    assert_true(value == 0.45);
    check_written(&row, &value, "0.45");
    accept(&row, "1", &value);
    assert_true(value == 1);
    refuse(&row, "1.0000001", &value, "too large");
    refuse(&row, "-0.1", &value, "too small");
    refuse(&row, "nan", &value, "not a number");
    refuse(&row, ".nan", &value, "not a number");
    refuse(&row, "inf", &value, "not a number");
    refuse(&row, "\"0.5\"", &value, "not a number");
    refuse(&row, "0,5", &value, "not a number");
    check_range(&row, "0 to 1");
}

static void texts(void **state)
{
    (void) state;
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_TEXT, .min = 1, .max = 8 };
    char *value = NULL;
    accept(&row, "0.0.0.0", &value);
    assert_string_equal(value, "0.0.0.0");
    accept(&row, "\"a\\\"b\"", &value);
    check_written(&row, &value, "\"a\\\"b\"");
    accept(&row, "\"5\"", &value);
    assert_string_equal(value, "5");
    refuse(&row, "5", &value, "put it in quotes");
    refuse(&row, "true", &value, "not a string");
    refuse(&row, "[a]", &value, "not a string");
    refuse(&row, "\"\"", &value, "is empty");
    refuse(&row, "ninechars", &value, "too long");
    refuse(&row, "\"a\\nb\"", &value, "control");
    assert_string_equal(value, "5");
    /* Options and variables need no quotes, and may contain any character. */
    const char *reason;
    assert_int_equal(hs_setting_read_text(&row, "true", &value, &reason), 0);
    assert_string_equal(value, "true");
    assert_int_equal(hs_setting_read_text(&row, "\xff", &value, &reason), HS_EINVAL);
    check_range(&row, "a string of 1 to 8 bytes");
    free(value);
}

static const char *item_error_of(const char *item)
{
    return item[0] == 'x' ? "holds something that begins with x" : NULL;
}

static void checked_texts(void **state)
{
    (void) state;
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_TEXT, .max = 12, .item_error = item_error_of };
    char *value = NULL;
    accept(&row, "\"\"", &value); /* the empty text is not checked */
    accept(&row, "abc", &value);
    refuse(&row, "xbc", &value, "begins with x");
    refuse(&row, "\"xxxxxxxxxxxxx\"", &value, "too long");
    assert_string_equal(value, "abc");
    free(value);
}

static void lists(void **state)
{
    (void) state;
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_LIST, .max = 12, .item_error = item_error_of };
    char *value = NULL;
    const char *reason;
    accept(&row, "[]", &value);
    assert_string_equal(value, "");
    check_written(&row, &value, "[]");
    accept(&row, "[a, \"b\\\"c\"]", &value);
    assert_string_equal(value, "a b\"c");
    check_written(&row, &value, "[\"a\", \"b\\\"c\"]");
    accept(&row, "a b,c ,  d", &value);
    check_written(&row, &value, "[\"a\", \"b\", \"c\", \"d\"]");
    accept(&row, "\"\"", &value);
    assert_string_equal(value, "");
    accept(&row, "[123456, 89012]", &value);
    refuse(&row, "[123456, 890123]", &value, "too long");
    refuse(&row, "[a, xb]", &value, "begins with x");
    refuse(&row, "{a: b}", &value, "not a list");
    refuse(&row, "[[a]]", &value, "not a list");
    assert_string_equal(value, "123456 89012");
    assert_int_equal(hs_setting_read_text(&row, "[\"q\", r]", &value, &reason), 0);
    assert_string_equal(value, "q r");
    assert_int_equal(hs_setting_read_text(&row, "", &value, &reason), 0);
    assert_string_equal(value, "");
    check_range(&row, "a list of strings");
    /* An item of 511 bytes, and one of 512. */
    const struct hs_setting wide = { .name = "a.b", .type = HS_SETTING_LIST, .max = 2000, .item_error = item_error_of };
    char item[513] = "";
    memset(item, 'a', 511);
    accept(&wide, item, &value);
    assert_string_equal(value, item);
    item[511] = 'a';
    refuse(&wide, item, &value, "an item that is too long");
    free(value);
}

static void automatic_numbers(void **state)
{
    (void) state;
    const struct hs_setting row = {
        .name = "a.b", .type = HS_SETTING_DOUBLE, .flags = HS_SETTING_AUTO, .min = 0, .max = 1
    };
    double value = 0;
    accept(&row, "auto", &value);
    assert_true(value == -1);
    check_written(&row, &value, "\"auto\"");
    accept(&row, "0", &value);
    assert_true(value == 0);
    check_written(&row, &value, "0");
    refuse(&row, "-1", &value, "too small");
    refuse(&row, "automatic", &value, "not a number");
    const struct hs_setting plain = { .name = "a.b", .type = HS_SETTING_DOUBLE, .min = 0, .max = 1 };
    refuse(&plain, "auto", &value, "not a number");
}

static void choices(void **state)
{
    (void) state;
    static const char *const names[] = { "auto", "cpu", "sim", NULL };
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_CHOICE, .choices = names };
    int value = -1;
    accept(&row, "CPU", &value);
    assert_int_equal(value, 1);
    check_written(&row, &value, "\"cpu\"");
    accept(&row, "\"sim\"", &value);
    assert_int_equal(value, 2);
    refuse(&row, "gpu", &value, "not an allowed value");
    refuse(&row, "1", &value, "not an allowed value");
    refuse(&row, "[cpu]", &value, "not an allowed value");
    check_range(&row, "auto, cpu or sim");
}

static void texts_with_choices(void **state)
{
    (void) state;
    static const char *const names[] = { "auto", "sim", "sim:SCRIPT", NULL };
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_TEXT, .min = 1, .max = 12, .choices = names };
    char *value = NULL;
    accept(&row, "AUTO", &value);
    assert_string_equal(value, "auto");
    accept(&row, "Sim", &value);
    assert_string_equal(value, "sim");
    accept(&row, "SIM:A/b.yaml", &value);
    assert_string_equal(value, "sim:A/b.yaml");
    refuse(&row, "\"sim:\"", &value, "not an allowed value");
    refuse(&row, "simulator", &value, "not an allowed value");
    refuse(&row, "auto:a", &value, "not an allowed value");
    refuse(&row, "sim:0123456789", &value, "too long");
    assert_string_equal(value, "sim:A/b.yaml");
    check_range(&row, "auto, sim or sim:SCRIPT");
    free(value);
}

static void sizes(void **state)
{
    (void) state;
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_SIZE, .min = 32, .max = 1280, .multiple = 32 };
    int value[2] = { 1, 2 };
    accept(&row, "[640, 384]", value);
    assert_int_equal(value[0], 640);
    assert_int_equal(value[1], 384);
    check_written(&row, value, "[640, 384]");
    accept(&row, "320", value);
    assert_int_equal(value[1], 320);
    accept(&row, "1280x32", value);
    assert_int_equal(value[0], 1280);
    assert_int_equal(value[1], 32);
    refuse(&row, "[640, 641]", value, "step");
    refuse(&row, "[640, 0]", value, "too small");
    refuse(&row, "[640, 1312]", value, "too large");
    refuse(&row, "[640]", value, "two whole numbers");
    refuse(&row, "[640, 640, 3]", value, "two whole numbers");
    refuse(&row, "[640, a]", value, "two whole numbers");
    refuse(&row, "[[640], 640]", value, "two whole numbers");
    refuse(&row, "640x", value, "two whole numbers");
    refuse(&row, "x640", value, "two whole numbers");
    refuse(&row, "64x64x64", value, "two whole numbers");
    refuse(&row, "{w: 640}", value, "two whole numbers");
    const char *reason;
    assert_int_equal(hs_setting_read_text(&row, "[64, 96]", value, &reason), 0);
    assert_int_equal(value[1], 96);
    assert_int_equal(hs_setting_read_text(&row, "[64", value, &reason), HS_EINVAL);
    check_range(&row, "[width, height], each 32 to 1280 in steps of 32");
}

static void seconds(void **state)
{
    (void) state;
    const struct hs_setting row = {
        .name = "a.b", .type = HS_SETTING_SECONDS, .flags = HS_SETTING_UNLIMITED, .min = 0, .max = 86400
    };
    const struct hs_setting strict = { .name = "a.b", .type = HS_SETTING_SECONDS, .min = 0.1, .max = 60 };
    double value = 7;
    accept(&row, "-1", &value);
    assert_true(value == -1);
    check_written(&row, &value, "-1");
    accept(&row, "0", &value);
    assert_true(value == 0);
    accept(&row, "5m", &value);
    assert_true(value == 300);
    check_written(&row, &value, "300");
    accept(&row, "\"1h\"", &value);
    assert_true(value == 3600);
    accept(&row, "250ms", &value);
    assert_true(value == 0.25);
    accept(&row, "1d", &value);
    assert_true(value == 86400);
    refuse(&row, "-2", &value, "too small");
    refuse(&row, "2d", &value, "too large");
    refuse(&row, "5 minutes", &value, "not a duration");
    refuse(&row, "inf", &value, "not a duration");
    refuse(&row, "0x10", &value, "not a duration");
    refuse(&row, "[5]", &value, "not a duration");
    refuse(&strict, "-1", &value, "too small");
    refuse(&strict, "0", &value, "too small");
    check_range(&row, "0 to 86400 seconds, also \"250ms\", \"30s\", \"5m\", \"1h\"; -1: no limit");
    check_range(&strict, "0.1 to 60 seconds, also \"250ms\", \"30s\", \"5m\", \"1h\"");
}

static void bytes(void **state)
{
    (void) state;
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_BYTES, .min = 1 << 20, .max = INFINITY };
    const struct hs_setting bounded = { .name = "a.b", .type = HS_SETTING_BYTES, .min = 1024, .max = 1 << 30 };
    int64_t value = 7;
    accept(&row, "2G", &value);
    assert_int_equal(value, INT64_C(2) << 30);
    check_written(&row, &value, "\"2G\"");
    accept(&row, "1536m", &value);
    assert_int_equal(value, INT64_C(1536) << 20);
    check_written(&row, &value, "\"1536M\"");
    accept(&row, "1048577", &value);
    check_written(&row, &value, "\"1048577\"");
    accept(&row, "\"infinity\"", &value);
    assert_int_equal(value, INT64_MAX);
    check_written(&row, &value, "\"infinity\"");
    accept(&bounded, "1G", &value);
    refuse(&bounded, "infinity", &value, "too large");
    refuse(&bounded, "2G", &value, "too large");
    refuse(&bounded, "1", &value, "too small");
    refuse(&row, "99999999T", &value, "too large");
    refuse(&row, "2GB", &value, "not a size");
    refuse(&row, "1.5G", &value, "not a size");
    refuse(&row, "-1", &value, "not a size");
    refuse(&row, "G", &value, "not a size");
    refuse(&row, "[2G]", &value, "not a size");
    refuse(&row, "99999999999999999999", &value, "not a size");
    check_range(&row, "1M to infinity");
    check_range(&bounded, "1K to 1G");
}

static void percents(void **state)
{
    (void) state;
    const struct hs_setting row = { .name = "a.b", .type = HS_SETTING_PERCENT, .min = 1, .max = 400 };
    double value = 7;
    accept(&row, "80%", &value);
    assert_true(value == 80);
    check_written(&row, &value, "\"80%\"");
    accept(&row, "\"12.5%\"", &value);
    assert_true(value == 12.5);
    refuse(&row, "80", &value, "not a percentage");
    refuse(&row, "\"%\"", &value, "not a percentage");
    refuse(&row, "a%", &value, "not a number");
    refuse(&row, "401%", &value, "too large");
    check_range(&row, "1% to 400%");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bools),
        cmocka_unit_test(ints),
        cmocka_unit_test(doubles),
        cmocka_unit_test(texts),
        cmocka_unit_test(choices),
        cmocka_unit_test(sizes),
        cmocka_unit_test(seconds),
        cmocka_unit_test(bytes),
        cmocka_unit_test(percents),
        cmocka_unit_test(texts_with_choices),
        cmocka_unit_test(checked_texts),
        cmocka_unit_test(lists),
        cmocka_unit_test(automatic_numbers),
    };
    return HS_RUN_TESTS(tests);
}
