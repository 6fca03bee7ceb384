#include "../unit.h"

#include <string.h>

#include "base/mem.h"
#include "config/doc.h"
#include "config/render.h"
#include "config/yaml_write.h"

static void check(const char *json, const char *wanted)
{
    struct hs_buf buf;
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    hs_buf_init(&buf, 10000);
    assert_int_equal(hs_yaml_write(value, &buf), 0);
    assert_string_equal(hs_buf_str(&buf), wanted);
    hs_buf_finish(&buf);
    json_decref(value);
}

static void blocks_in_order(void **state)
{
    (void) state;
    check("{\"z\": {\"host\": \"0.0.0.0\", \"port\": 1}, \"a\": [], \"e\": {}}",
          "z:\n  host: \"0.0.0.0\"\n  port: 1\na: []\ne: {}\n");
    check("{\"l\": [1, [2, 3], {\"k\": null}]}", "l:\n  - 1\n  -\n    - 2\n    - 3\n  -\n    k: null\n");
    check("{}", "{}\n");
    check("5", "5\n");
}

static void ambiguous_texts_are_quoted(void **state)
{
    (void) state;
    check("[\"INFO\", \"/var/a-b\", \"yes\", \"Null\", \"80%\", \"5\", \"\", \"a: b\", \"-1\", \".5\", \"no\\n\"]",
          "- INFO\n- /var/a-b\n- \"yes\"\n- \"Null\"\n- \"80%\"\n- \"5\"\n- \"\"\n- \"a: b\"\n- \"-1\"\n- \".5\"\n"
          "- \"no\\n\"\n");
    check("[1.0, 0.45, 1e300, -2, true]", "- 1.0\n- 0.45\n- 1e+300\n- -2\n- true\n");
}

static void reads_back_as_the_same(void **state)
{
    (void) state;
    static const char text[] =
        "a:\n  b: \"007\"\n  c: [1, 2.5, \"x y\", yes, ~]\n\"on\": {d: \"\xc3\xa9 \\\"q\\\"\"}\n";
    struct hs_doc *doc, *again;
    struct hs_buf json, yaml, json_again;
    hs_buf_init(&json, 10000);
    hs_buf_init(&yaml, 10000);
    hs_buf_init(&json_again, 10000);
    assert_int_equal(hs_doc_parse(text, sizeof(text) - 1, "t", &doc, NULL), 0);
    assert_int_equal(hs_render_node_json(hs_doc_root(doc), &json), 0);
    json_t *tree = json_loads(hs_buf_str(&json), 0, NULL);
    assert_int_equal(hs_yaml_write(tree, &yaml), 0);
    assert_int_equal(hs_doc_parse((const char *) yaml.data, yaml.len, "y", &again, NULL), 0);
    assert_int_equal(hs_render_node_json(hs_doc_root(again), &json_again), 0);
    assert_string_equal(hs_buf_str(&json), hs_buf_str(&json_again));
    json_decref(tree);
    hs_doc_destroy(doc);
    hs_doc_destroy(again);
    hs_buf_finish(&json);
    hs_buf_finish(&yaml);
    hs_buf_finish(&json_again);
}

static void words_have_types(void **state)
{
    (void) state;
    static const struct {
        const char *word;
        json_type type;
    } cases[] = {
        { "true", JSON_TRUE },  { "False", JSON_FALSE }, { "5002", JSON_INTEGER }, { "-1", JSON_INTEGER },
        { "0.5", JSON_REAL },   { "1e3", JSON_REAL },    { "yes", JSON_STRING },   { "", JSON_STRING },
        { "nan", JSON_STRING }, { " 5", JSON_STRING },   { "80%", JSON_STRING },   { "0.0.0.0", JSON_STRING },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        json_t *value = hs_yaml_value(cases[i].word);
        if (json_typeof(value) != cases[i].type)
            fail_msg("%s", cases[i].word);
        json_decref(value);
    }
    assert_null(hs_yaml_value("\xff"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_in_order),
        cmocka_unit_test(ambiguous_texts_are_quoted),
        cmocka_unit_test(reads_back_as_the_same),
        cmocka_unit_test(words_have_types),
    };
    return HS_RUN_TESTS(tests);
}
