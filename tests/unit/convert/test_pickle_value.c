#include "../unit.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/pickle.h"

static struct hs_arena arena;

static int set_up(void **state)
{
    (void) state;
    hs_arena_init(&arena, 64 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    hs_arena_finish(&arena);
    return 0;
}

static struct hs_pickle_value *make(enum hs_pickle_type type)
{
    struct hs_pickle_value *value = hs_arena_alloc(&arena, sizeof(*value));
    assert_non_null(value);
    value->type = type;
    return value;
}

static struct hs_pickle_value *of_int(int64_t integer)
{
    struct hs_pickle_value *value = make(HS_PICKLE_INT);
    value->integer = integer;
    return value;
}

static struct hs_pickle_value *of_double(double real)
{
    struct hs_pickle_value *value = make(HS_PICKLE_DOUBLE);
    value->real = real;
    return value;
}

static struct hs_pickle_value *of_text(const char *text)
{
    struct hs_pickle_value *value = make(HS_PICKLE_STRING);
    value->text = (struct hs_pickle_text) { text, strlen(text) };
    return value;
}

static struct hs_pickle_value *of_bool(bool boolean)
{
    struct hs_pickle_value *value = make(HS_PICKLE_BOOL);
    value->boolean = boolean;
    return value;
}

static struct hs_pickle_value *of_dict(void)
{
    struct hs_pickle_value *value = make(HS_PICKLE_DICT);
    value->dict = hs_arena_alloc(&arena, sizeof(*value->dict));
    assert_non_null(value->dict);
    return value;
}

static struct hs_pickle_value *of_record(const char *kind)
{
    struct hs_pickle_value *value = make(HS_PICKLE_RECORD);
    value->record = hs_arena_alloc(&arena, sizeof(*value->record));
    assert_non_null(value->record);
    value->record->kind = kind;
    return value;
}

static void set(struct hs_pickle_value *dict, struct hs_pickle_value *key, struct hs_pickle_value *value)
{
    assert_int_equal(hs_pickle_dict_set(&arena, dict->dict, key, value), 0);
}

static void assert_repr(const struct hs_pickle_value *value, const char *expected)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 1000);
    assert_int_equal(hs_pickle_repr(value, &buf), 0);
    assert_string_equal(hs_buf_str(&buf), expected);
    hs_buf_finish(&buf);
}

/* ---- dictionaries ---- */

static void keys_that_are_equal_in_python_are_one(void **state)
{
    (void) state;
    struct hs_pickle_value *dict = of_dict();
    set(dict, of_bool(true), of_int(1));
    set(dict, of_int(1), of_int(2));
    set(dict, of_double(1.0), of_int(3));
    assert_repr(dict, "{True: 3}");
    set(dict, of_double(0.5), of_int(4));
    set(dict, of_double(0.5), of_int(5));
    set(dict, of_double(-0.0), of_int(6));
    set(dict, of_int(0), of_int(7));
    set(dict, make(HS_PICKLE_NONE), of_int(8));
    set(dict, make(HS_PICKLE_NONE), of_int(9));
    assert_repr(dict, "{True: 3, 0.5: 5, -0.0: 7, None: 9}");
}

static void a_text_and_bytes_are_two_keys(void **state)
{
    (void) state;
    struct hs_pickle_value *dict = of_dict(), *bytes = of_text("a");
    bytes->type = HS_PICKLE_BYTES;
    set(dict, of_text("a"), of_int(1));
    set(dict, bytes, of_int(2));
    set(dict, of_text("a"), of_int(3));
    assert_repr(dict, "{'a': 3, b'a': 2}");
}

static void lists_and_dictionaries_are_not_keys(void **state)
{
    (void) state;
    struct hs_pickle_value *dict = of_dict();
    assert_int_equal(hs_pickle_dict_set(&arena, dict->dict, make(HS_PICKLE_LIST), of_int(1)), HS_EINVAL);
    assert_int_equal(hs_pickle_dict_set(&arena, dict->dict, of_dict(), of_int(1)), HS_EINVAL);
    set(dict, make(HS_PICKLE_TUPLE), of_int(1));
    set(dict, of_record("a b"), of_int(2));
    assert_repr(dict, "{(): 1, <a b>: 2}");
}

static void many_keys_keep_their_order(void **state)
{
    (void) state;
    enum { COUNT = 20000 };
    struct hs_pickle_value *dict = of_dict();
    for (int times = 0; times < 2; times++)
        for (int i = 0; i < COUNT; i++) {
            char *key = hs_arena_alloc(&arena, 16);
            snprintf(key, 16, "key %d", i);
            set(dict, of_text(key), of_int(i + times));
            set(dict, of_int(i), of_int(-i));
            set(dict, of_double(i + 0.5), of_int(i));
        }
    assert_int_equal(dict->dict->len, 3 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        char key[32];
        int64_t value;
        snprintf(key, sizeof(key), "key %d", i);
        assert_true(hs_pickle_is_text(dict->dict->entries[3 * i].key, key));
        assert_true(hs_pickle_to_int(hs_pickle_get(dict, key), &value));
        assert_int_equal(value, i + 1);
    }
    assert_null(hs_pickle_get(dict, "key"));
    assert_null(hs_pickle_get(dict, "key 20000"));
}

static void without_memory_a_dictionary_stays_as_it_is(void **state)
{
    (void) state;
    struct hs_arena small;
    struct hs_pickle_dict dict = { 0 };
    hs_arena_init(&small, 256 << 10);
    int r = 0, count = 0;
    while (r == 0) {
        r = hs_pickle_dict_set(&small, &dict, of_int(count), of_int(count));
        count += r == 0;
    }
    assert_int_equal(r, HS_ENOMEM);
    assert_int_equal(dict.len, count);
    assert_int_equal(hs_pickle_dict_set(&small, &dict, of_int(0), of_int(7)), 0);
    assert_int_equal(hs_pickle_dict_set(&small, &dict, of_int(count), of_int(7)), HS_ENOMEM);
    assert_int_equal(dict.len, count);
    hs_arena_finish(&small);
}

/* ---- reading ---- */

static void null_values_have_no_members(void **state)
{
    (void) state;
    int64_t integer;
    double real;
    struct hs_pickle_value *number = of_int(1);
    for (int i = 0; i < 2; i++) {
        const struct hs_pickle_value *value = i ? number : NULL;
        assert_null(hs_pickle_get(value, "a"));
        assert_null(hs_pickle_attribute(value, "a"));
        assert_string_equal(hs_pickle_kind(value), "");
        assert_string_equal(hs_pickle_kind_name(value), "");
        assert_false(hs_pickle_is_text(value, ""));
        assert_null(hs_pickle_to_items(value));
    }
    assert_false(hs_pickle_is_true(NULL));
    assert_false(hs_pickle_to_int(NULL, &integer));
    assert_false(hs_pickle_to_double(NULL, &real));
    assert_null(hs_pickle_get(of_dict(), "a"));
    assert_null(hs_pickle_attribute(of_record("a b"), "a"));
}

static void the_name_of_a_kind_follows_its_module(void **state)
{
    (void) state;
    assert_string_equal(hs_pickle_kind_name(of_record("torch.nn Conv2d")), "Conv2d");
    assert_string_equal(hs_pickle_kind_name(of_record("storage")), "storage");
}

static void numbers_are_converted(void **state)
{
    (void) state;
    int64_t integer = 7;
    double real = 7;
    assert_false(hs_pickle_to_int(of_bool(true), &integer));
    assert_false(hs_pickle_to_int(of_double(1), &integer));
    assert_int_equal(integer, 7);
    assert_false(hs_pickle_to_double(of_bool(true), &real));
    assert_false(hs_pickle_to_double(of_text("1"), &real));
    assert_true(real == 7);
    assert_true(hs_pickle_to_double(of_int(3), &real) && real == 3);
    assert_true(hs_pickle_to_double(of_double(0.5), &real) && real == 0.5);
    assert_true(hs_pickle_to_int(of_int(-3), &integer));
    assert_int_equal(integer, -3);
}

static void truth_values_match_python(void **state)
{
    (void) state;
    struct hs_pickle_value *dict = of_dict(), *list = make(HS_PICKLE_LIST);
    assert_false(hs_pickle_is_true(make(HS_PICKLE_NONE)));
    assert_false(hs_pickle_is_true(of_bool(false)));
    assert_false(hs_pickle_is_true(of_int(0)));
    assert_false(hs_pickle_is_true(of_double(-0.0)));
    assert_false(hs_pickle_is_true(of_text("")));
    assert_false(hs_pickle_is_true(make(HS_PICKLE_TUPLE)));
    assert_false(hs_pickle_is_true(list));
    assert_false(hs_pickle_is_true(dict));
    set(dict, of_int(0), of_int(0));
    assert_int_equal(hs_pickle_items_append(&arena, &list->items, of_int(0)), 0);
    assert_true(hs_pickle_is_true(dict));
    assert_true(hs_pickle_is_true(list));
    assert_true(hs_pickle_is_true(of_bool(true)));
    assert_true(hs_pickle_is_true(of_int(-1)));
    assert_true(hs_pickle_is_true(of_double(NAN)));
    assert_true(hs_pickle_is_true(of_text("0")));
    assert_true(hs_pickle_is_true(of_record("a b")));
    assert_true(hs_pickle_is_true(make(HS_PICKLE_TENSOR)));
}

/* ---- repr ---- */

static void numbers_are_written_as_python_writes_them(void **state)
{
    (void) state;
    static const struct {
        double value;
        const char *text;
    } samples[] = {
        { 0, "0.0" },
        { -0.0, "-0.0" },
        { 1, "1.0" },
        { -1.5, "-1.5" },
        { 0.1, "0.1" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 1e15, "1000000000000000.0" },
        { 1e16, "1e+16" },
        { 123456789012345678.0, "1.2345678901234568e+17" },
        { 1e22, "1e+22" },
        { 1e-4, "0.0001" },
        { 0.00001, "1e-05" },
        { 0.00012345, "0.00012345" },
        { 100, "100.0" },
        { 1.0 / 3, "0.3333333333333333" },
        { -2.5e-7, "-2.5e-07" },
        { DBL_MAX, "1.7976931348623157e+308" },
        { 5e-324, "5e-324" },
        { NAN, "nan" },
        { INFINITY, "inf" },
        { -INFINITY, "-inf" },
        { 12345.678, "12345.678" },
        { 9007199254740993.0, "9007199254740992.0" },
        { 9999999999999998.0, "9999999999999998.0" },
        { 0.5, "0.5" },
        { 0.01, "0.01" },
        { -0.05, "-0.05" },
        { 0.001, "0.001" },
        { 0.0005, "0.0005" },
        { 20, "20.0" },
        { 1e9, "1000000000.0" },
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        assert_repr(of_double(samples[i].value), samples[i].text);
    assert_repr(of_int(INT64_MIN), "-9223372036854775808");
    assert_repr(of_bool(true), "True");
    assert_repr(of_bool(false), "False");
    assert_repr(make(HS_PICKLE_NONE), "None");
}

static void texts_are_quoted_as_python_quotes_them(void **state)
{
    (void) state;
    assert_repr(of_text("plain"), "'plain'");
    assert_repr(of_text("it's"), "\"it's\"");
    assert_repr(of_text("\"it\""), "'\"it\"'");
    assert_repr(of_text("'\""), "'\\'\"'");
    assert_repr(of_text("a\\b\n\r\t\x01\x7f"), "'a\\\\b\\n\\r\\t\\x01\\x7f'");
    assert_repr(of_text("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"), "'\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80'");
    assert_repr(of_text("\xc2\x85\xc2\xa0\xe2\x80\xa8\xef\xbb\xbf"), "'\\x85\\xa0\\u2028\\ufeff'");
    assert_repr(of_text("\xf3\xa0\x80\x81"), "'\\U000e0001'");
    struct hs_pickle_value *bytes = of_text("a'\xc3\xa4\n");
    bytes->type = HS_PICKLE_BYTES;
    assert_repr(bytes, "b\"a'\\xc3\\xa4\\n\"");
}

static void containers_are_written_as_python_writes_them(void **state)
{
    (void) state;
    struct hs_pickle_value *tuple = make(HS_PICKLE_TUPLE), *list = make(HS_PICKLE_LIST), *dict = of_dict();
    assert_repr(tuple, "()");
    assert_repr(list, "[]");
    assert_repr(dict, "{}");
    hs_pickle_items_append(&arena, &tuple->items, of_int(1));
    assert_repr(tuple, "(1,)");
    hs_pickle_items_append(&arena, &tuple->items, of_int(2));
    hs_pickle_items_append(&arena, &list->items, tuple);
    hs_pickle_items_append(&arena, &list->items, of_record("os system"));
    set(dict, of_text("a"), list);
    set(dict, tuple, make(HS_PICKLE_TENSOR));
    assert_repr(dict, "{'a': [(1, 2), <os system>], (1, 2): <tensor>}");
}

static void repr_has_bounds(void **state)
{
    (void) state;
    struct hs_pickle_value *list = make(HS_PICKLE_LIST);
    struct hs_buf buf;
    hs_pickle_items_append(&arena, &list->items, list);
    hs_buf_init(&buf, 1000);
    assert_int_equal(hs_pickle_repr(list, &buf), HS_EINVAL);
    hs_buf_finish(&buf);
    hs_buf_init(&buf, 5);
    assert_int_equal(hs_pickle_repr(of_text("abc"), &buf), 0);
    hs_buf_finish(&buf);
    assert_int_equal(hs_pickle_repr(of_text("abcd"), &buf), HS_ETOOLARGE);
    hs_buf_finish(&buf);
    /* the size doubles at each level */
    for (int i = 0; i < 14; i++) {
        struct hs_pickle_value *outer = make(HS_PICKLE_LIST);
        for (int times = 0; times < 2; times++)
            hs_pickle_items_append(&arena, &outer->items, i ? list : of_int(1));
        list = outer;
    }
    hs_buf_init(&buf, 10000);
    assert_int_equal(hs_pickle_repr(list, &buf), HS_ETOOLARGE);
    hs_buf_finish(&buf);
}

static void a_description_is_one_line_and_cut(void **state)
{
    (void) state;
    char text[12];
    hs_pickle_describe(NULL, text, sizeof(text));
    assert_string_equal(text, "nothing");
    hs_pickle_describe(of_text("a\nb"), text, sizeof(text));
    assert_string_equal(text, "'a\\nb'");
    hs_pickle_describe(of_text("much too long"), text, sizeof(text));
    assert_true(strlen(text) < sizeof(text));
    assert_memory_equal(text, "'much", 5);
    hs_pickle_describe(of_record("a.module.with.a.long.name Class"), text, sizeof(text));
    assert_true(strlen(text) < sizeof(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_that_are_equal_in_python_are_one),
        cmocka_unit_test(a_text_and_bytes_are_two_keys),
        cmocka_unit_test(lists_and_dictionaries_are_not_keys),
        cmocka_unit_test(many_keys_keep_their_order),
        cmocka_unit_test(without_memory_a_dictionary_stays_as_it_is),
        cmocka_unit_test(null_values_have_no_members),
        cmocka_unit_test(the_name_of_a_kind_follows_its_module),
        cmocka_unit_test(numbers_are_converted),
        cmocka_unit_test(truth_values_match_python),
        cmocka_unit_test(numbers_are_written_as_python_writes_them),
        cmocka_unit_test(texts_are_quoted_as_python_quotes_them),
        cmocka_unit_test(containers_are_written_as_python_writes_them),
        cmocka_unit_test(repr_has_bounds),
        cmocka_unit_test(a_description_is_one_line_and_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
