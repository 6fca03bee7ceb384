#include "../unit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "convert/model_shape.h"

static struct hs_label_list parse(const char *text)
{
    struct hs_label_list list = { 0 };
    struct hs_error err = { 0 };
    assert_int_equal(hs_label_list_parse(text, 100, &list, &err), 0);
    return list;
}

static void dicts_and_lists(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "{0: 'person', 1: \"dog's\"}",          "['person', \"dog's\"]",           "{0:'person',1:\"dog's\"}",
        " { 0 : 'person' ,\n 1 : 'dog\\'s' } ", "[ 'p\\x65rson', 'dog\\u0027s' ]",
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(texts); i++) {
        struct hs_label_list list = parse(texts[i]);
        assert_int_equal(list.count, 2);
        assert_string_equal(list.labels[0], "person");
        assert_string_equal(list.labels[1], "dog's");
        hs_label_list_finish(&list);
        assert_int_equal(list.count, 0);
        hs_label_list_finish(&list);
    }
}

static void escapes(void **state)
{
    (void) state;
    struct hs_label_list list =
        parse("['a\\\\b\\n\\t\\r\\'\\\"', 'no\\xa0break', '\\u3000', '\\U000e0001', 'h\xc3\xbchn', '']");
    assert_string_equal(list.labels[0], "a\\b\n\t\r'\"");
    assert_string_equal(list.labels[1], "no\xc2\xa0"
                                        "break");
    assert_string_equal(list.labels[2], "\xe3\x80\x80");
    assert_string_equal(list.labels[3], "\xf3\xa0\x80\x81");
    assert_string_equal(list.labels[4], "h\xc3\xbchn");
    assert_string_equal(list.labels[5], "");
    hs_label_list_finish(&list);
}

static void other_text_is_rejected(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "",
        " ",
        "person",
        "{}",
        "[]",
        "[",
        "{",
        "['a'",
        "['a",
        "['a\\",
        "['a\\x",
        "['a\\x4",
        "['a\\q']",
        "['a\\x00']",
        "['a\\ud800']",
        "['a\\U00110000']",
        "['a'] x",
        "['a' 'b']",
        "['a',]",
        "[,'a']",
        "['a'}",
        "{0: 'a', 2: 'b'}",
        "{1: 'a'}",
        "{'0': 'a'}",
        "{0 'a'}",
        "{0: a}",
        "{0: 'a', 0: 'b'}",
        "{-1: 'a'}",
        "[1, 2]",
        "[aba]",
        "{0: aba}",
        "{0: ['a']}",
        "__import__('os')",
        "{99999999999999999999: 'a'}",
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(texts); i++) {
        struct hs_label_list list = { 0 };
        struct hs_error err = { 0 };
        int status = hs_label_list_parse(texts[i], 100, &list, &err);
        if (status != HS_EMODEL)
            print_message("taken: %s\n", texts[i]);
        assert_int_equal(status, HS_EMODEL);
        assert_null(list.labels);
        assert_non_null(strstr(err.message, "class names"));
    }
}

static void bounds(void **state)
{
    (void) state;
    struct hs_label_list list = { 0 };
    struct hs_error err = { 0 };
    assert_int_equal(hs_label_list_parse("['a', 'b']", 2, &list, &err), 0);
    hs_label_list_finish(&list);
    assert_int_equal(hs_label_list_parse("['a', 'b', 'c']", 2, &list, &err), HS_EMODEL);
    char text[1100];
    snprintf(text, sizeof(text), "['%01005d']", 0);
    assert_int_equal(hs_label_list_parse(text, 2, &list, &err), HS_EMODEL);
}

static void keypoint_names(void **state)
{
    (void) state;
    static const char *const fine[] = { "{0: ['a', \"b\"]}", " { 0 : [ 'a' , 'b' ] , 1:['a','b'] } ",
                                        "{0: {0: 'a', 1: 'b'}}" },
                             *const odd[] = { "",
                                              "{}",
                                              "[]",
                                              "['a', 'b']",
                                              "{0: 'a'}",
                                              "{1: ['a']}",
                                              "{0: []}",
                                              "{0: ['a'], 1: ['b']}",
                                              "{0: ['a'], 1: ['a', 'b']}",
                                              "{0: ['a']",
                                              "{0: ['a']} x",
                                              "{0: [['a']]}",
                                              "{0: ['a', 'b', 'c', 'd']}",
                                              "{0: [a]}",
                                              "{0: [aba]}",
                                              "{0: ['a'] 1: ['a']}",
                                              "{0: ['a'], 0: ['a']}",
                                              "{0: ['a'], }" };
    struct hs_label_list list = { 0 };
    struct hs_error err = { 0 };
    for (size_t i = 0; i < HS_ARRAY_LEN(fine); i++) {
        assert_int_equal(hs_keypoint_names_parse(fine[i], 3, &list, &err), 0);
        assert_int_equal(list.count, 2);
        assert_string_equal(list.labels[0], "a");
        assert_string_equal(list.labels[1], "b");
        hs_label_list_finish(&list);
    }
    for (size_t i = 0; i < HS_ARRAY_LEN(odd); i++) {
        if (hs_keypoint_names_parse(odd[i], 3, &list, &err) != HS_EMODEL)
            fail_msg("taken: %s", odd[i]);
        assert_null(list.labels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dicts_and_lists), cmocka_unit_test(escapes),        cmocka_unit_test(other_text_is_rejected),
        cmocka_unit_test(bounds),          cmocka_unit_test(keypoint_names),
    };
    return HS_RUN_TESTS(tests);
}
