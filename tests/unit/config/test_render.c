#include "../unit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "config/render.h"
#include "config/settings.h"
#include "face/settings.h"
#include "pose/settings.h"

static void check_json(const char *yaml, const char *wanted)
{
    struct hs_doc *doc = NULL;
    struct hs_buf buf;
    hs_buf_init(&buf, 10000);
    assert_int_equal(hs_doc_parse(yaml, strlen(yaml), "t", &doc, NULL), 0);
    assert_int_equal(hs_render_node_json(hs_doc_root(doc), &buf), 0);
    assert_string_equal(hs_buf_str(&buf), wanted);
    hs_buf_finish(&buf);
    hs_doc_destroy(doc);
}

/* The expected texts are the output of Python's json.dumps(yaml.safe_load(text), indent=2), with
 * two exceptions: `zip`, which YAML 1.1 reads as an octal number, and letters beyond ASCII, which
 * are kept. */
static void documents_as_json(void **state)
{
    (void) state;
    check_json("", "{}");
    check_json("a: {}\nb: []\nc:\n", "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": null\n}");
    check_json("server:\n  host: \"0.0.0.0\"\n  port: 11436\nl: [640, 640]\n",
               "{\n  \"server\": {\n    \"host\": \"0.0.0.0\",\n    \"port\": 11436\n  },\n"
               "  \"l\": [\n    640,\n    640\n  ]\n}");
    check_json("a: 0.50\nb: 1.0\nc: \"5\"\nd: yes\ne: 2G\nf: -1\n",
               "{\n  \"a\": 0.5,\n  \"b\": 1.0,\n  \"c\": \"5\",\n  \"d\": true,\n  \"e\": \"2G\",\n  \"f\": -1\n}");
    check_json("zip: 010\nword: \"\\\"\\\\\\n\\x01\xc3\xa9\"\n",
               "{\n  \"zip\": \"010\",\n  \"word\": \"\\\"\\\\\\n\\u0001\xc3\xa9\"\n}");
}

static bool is_name(char c)
{
    return isalnum((unsigned char) c) || c == '_' || c == '.';
}

/* True if `word` occurs in text without a letter, digit, '_' or '.' on either side. */
static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
        if ((at == text || !is_name(at[-1])) && !is_name(at[len]))
            return true;
    }
    return false;
}

static char *page(int (*render)(const struct hs_schema *, struct hs_buf *))
{
    struct hs_buf buf;
    size_t len;
    hs_buf_init(&buf, 1 << 20);
    assert_int_equal(render(&hs_pose_schema, &buf), 0);
    assert_non_null(hs_buf_str(&buf));
    return (char *) hs_buf_take(&buf, &len);
}

static void every_row_is_on_every_page(void **state)
{
    (void) state;
    char *reference = page(hs_render_reference), *example = page(hs_render_example);
    const struct hs_setting *row;
    size_t rows = 0, lines = 0;
    for (; (row = hs_schema_row(&hs_pose_schema, rows, NULL)); rows++) {
        char variable[HS_VARIABLE_SIZE], cell[200];
        hs_schema_variable(&hs_pose_schema, row->name, variable);
        hs_str_format(cell, sizeof(cell), "| `%s` |", row->name);
        if (!strstr(reference, cell) || !has_word(reference, variable) || !strstr(reference, row->help))
            fail_msg("%s is not in the reference", row->name);
        hs_str_format(cell, sizeof(cell), "\n  %s: ", strchr(row->name, '.') + 1);
        if (!(row->flags & HS_SETTING_UNUSED) && !strstr(example, cell))
            fail_msg("%s is not in the example", row->name);
    }
    assert_int_equal(rows, 23 + 7 + 16 + 7 + 5 + 3 + 5 + 2 + 2 + 2 + 2);
    for (const char *at = strstr(reference, "\n| `"); at; at = strstr(at + 1, "\n| `"))
        lines++;
    assert_int_equal(lines, rows);
    free(reference);
    free(example);
}

static void rows_are_well_formed(void **state)
{
    (void) state;
    const struct hs_setting *row;
    for (size_t i = 0; (row = hs_schema_row(&hs_pose_schema, i, NULL)); i++) {
        const char *point = strchr(row->name, '.');
        assert_non_null(point);
        assert_null(strchr(point + 1, '.'));
        assert_true(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_.") == strlen(row->name));
        assert_int_equal(hs_schema_find(&hs_pose_schema, row->name), (long) i); /* names are unique */
        assert_true(row->help && !hs_str_ends(row->help, ".") && !strchr(row->help, '|'));
        assert_true(row->min <= row->max);
        assert_true(row->type == HS_SETTING_TEXT || (row->type == HS_SETTING_CHOICE) == (row->choices != NULL));
        assert_true((row->type == HS_SETTING_SIZE) == (row->multiple != 0));
        /* Variables are unique. */
        for (size_t k = 0; k < i; k++) {
            char a[HS_VARIABLE_SIZE], b[HS_VARIABLE_SIZE];
            hs_schema_variable(&hs_pose_schema, row->name, a);
            hs_schema_variable(&hs_pose_schema, hs_schema_row(&hs_pose_schema, k, NULL)->name, b);
            assert_string_not_equal(a, b);
        }
    }
    for (size_t i = 0; i < hs_pose_schema.default_count; i++)
        assert_true(hs_schema_find(&hs_pose_schema, hs_pose_schema.defaults[i].name) >= 0);
}

static void variables_follow_one_rule(void **state)
{
    (void) state;
    char variable[HS_VARIABLE_SIZE];
    hs_schema_variable(&hs_pose_schema, "server.max_body_mb", variable);
    assert_string_equal(variable, "HAILO_POSE_SERVER_MAX_BODY_MB");
}

static void the_example_is_the_defaults(void **state)
{
    (void) state;
    char *example = page(hs_render_example);
    struct hs_doc *doc = NULL;
    struct hs_settings *settings = NULL, *plain = NULL;
    struct hs_problems problems = { 0 };
    struct hs_error err;
    if (hs_doc_parse(example, strlen(example), "example", &doc, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(hs_settings_create(&hs_pose_schema, &settings, &err), 0);
    assert_int_equal(hs_settings_create(&hs_pose_schema, &plain, &err), 0);
    hs_settings_apply_doc(settings, doc, "example", &problems);
    if (problems.count)
        fail_msg("%s", problems.items[0].text);
    assert_non_null(strstr(example, "\n  port: 11436\n  # ")); /* each on its own line */
    assert_non_null(strstr(example, "\n\nmodel:\n  # "));
    struct hs_buf a, b;
    hs_buf_init(&a, 100000);
    hs_buf_init(&b, 100000);
    assert_int_equal(hs_settings_write_json(settings, &a), 0);
    assert_int_equal(hs_settings_write_json(plain, &b), 0);
    assert_string_equal(hs_buf_str(&a), hs_buf_str(&b));
    /* Every setting comes from the example, none from the default. */
    for (size_t i = 0; i < hs_schema_count(&hs_pose_schema); i++)
        assert_true(hs_str_starts(hs_settings_origin(settings, i), "example:") ||
                    hs_schema_row(&hs_pose_schema, i, NULL)->flags & HS_SETTING_UNUSED);
    hs_buf_finish(&a);
    hs_buf_finish(&b);
    hs_settings_destroy(settings);
    hs_settings_destroy(plain);
    free(example);
}

static void check_page(const char *source, const char *page_name, const struct hs_schema *schema)
{
    static const char end[] = "<!-- end -->";
    char path[4096], begin[80];
    uint8_t *data;
    size_t len;
    struct hs_error err;
    struct hs_buf reference;
    assert_true(hs_path_join(path, sizeof(path), source, page_name));
    assert_true(hs_str_format(begin, sizeof(begin), "<!-- %s config reference -->\n", schema->program));
    if (hs_file_read(path, 1 << 20, &data, &len, &err) < 0)
        fail_msg("%s", err.message);
    char *block = strstr((char *) data, begin);
    char *last = block ? strstr(block, end) : NULL;
    assert_non_null(last);
    *last = '\0';
    hs_buf_init(&reference, 1 << 20);
    assert_int_equal(hs_render_reference(schema, &reference), 0);
    if (strcmp(block + strlen(begin), hs_buf_str(&reference)) != 0)
        fail_msg("%s differs from `%s config reference`", path, schema->program);
    hs_buf_finish(&reference);
    free(data);
}

static void the_pages_in_docs_are_up_to_date(void **state)
{
    (void) state;
    const char *source = getenv("HS_SOURCE_DIR");
    if (!source) {
        print_message("skipped: HS_SOURCE_DIR is not set\n");
        skip();
    }
    check_page(source, "docs/configuration.md", &hs_pose_schema);
    check_page(source, "docs/configuration-face.md", &hs_face_schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_as_json),           cmocka_unit_test(every_row_is_on_every_page),
        cmocka_unit_test(rows_are_well_formed),        cmocka_unit_test(variables_follow_one_rule),
        cmocka_unit_test(the_example_is_the_defaults), cmocka_unit_test(the_pages_in_docs_are_up_to_date),
    };
    return HS_RUN_TESTS(tests);
}
