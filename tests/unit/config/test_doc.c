#include "../unit.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/doc.h"

static struct hs_doc *parse(const char *text)
{
    struct hs_doc *doc = NULL;
    struct hs_error err = { 0 };
    if (hs_doc_parse(text, strlen(text), "t", &doc, &err) < 0)
        fail_msg("%s", err.message);
    return doc;
}

/* Checks the code, line and message of a text that must be refused. */
static void refuse(const char *text, size_t len, int code, int line, const char *words)
{
    struct hs_doc *doc = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_doc_parse(text, len, "t", &doc, &err), code);
    assert_null(doc);
    assert_int_equal(err.code, code);
    assert_int_equal(err.line, line);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" lacks \"%s\"", err.message, words);
}

static void refuse_text(const char *text, int code, int line, const char *words)
{
    refuse(text, strlen(text), code, line, words);
}

static void yaml_nodes_have_line_numbers(void **state)
{
    (void) state;
    struct hs_doc *doc =
        parse("# comment\nserver:\n  host: \"0.0.0.0\"   # why\n  port: 11436\n\nsizes:\n- 1\n- two\n");
    const struct hs_node *root = hs_doc_root(doc), *server = hs_node_get(root, "server");
    assert_int_equal(root->kind, HS_NODE_MAP);
    assert_int_equal(root->count, 2);
    assert_int_equal(root->key_lines[0], 2);
    assert_int_equal(root->key_lines[1], 6);
    assert_string_equal(server->keys[1], "port");
    assert_int_equal(hs_node_get(server, "port")->line, 4);
    assert_true(hs_node_get(server, "host")->quoted);
    assert_false(hs_node_get(server, "port")->quoted);
    const struct hs_node *sizes = hs_node_get(root, "sizes");
    assert_int_equal(sizes->kind, HS_NODE_LIST);
    assert_int_equal(sizes->count, 2);
    assert_int_equal(sizes->items[1]->line, 8);
    assert_string_equal(hs_node_text(sizes->items[1]), "two");
    assert_null(hs_node_get(root, "absent"));
    assert_null(hs_node_get(sizes, "server"));
    assert_null(hs_node_get(NULL, "server"));
    assert_null(hs_node_text(sizes));
    hs_doc_destroy(doc);
}

static void json_reads_like_yaml(void **state)
{
    (void) state;
    struct hs_doc *doc = parse("{\n\t\"server\": {\t\"host\"\n : \"0.0.0.0\",\r\n \"port\":11436 },\n"
                               "\t\"e\": [], \"m\": {}, \"n\": null, \"l\": [1.5, true,\n[ \"x\"] ]\n}\n");
    const struct hs_node *root = hs_doc_root(doc), *server = hs_node_get(root, "server");
    assert_int_equal(root->line, 1);
    assert_int_equal(root->key_lines[0], 2);
    assert_int_equal(hs_node_get(server, "host")->line, 3);
    assert_true(hs_node_get(server, "host")->quoted);
    assert_int_equal(hs_node_get(server, "port")->line, 4);
    assert_string_equal(hs_node_text(hs_node_get(server, "port")), "11436");
    assert_int_equal(hs_node_get(root, "e")->count, 0);
    assert_int_equal(hs_node_get(root, "m")->kind, HS_NODE_MAP);
    assert_true(hs_node_is_null(hs_node_get(root, "n")));
    const struct hs_node *list = hs_node_get(root, "l");
    assert_int_equal(list->count, 3);
    assert_int_equal(list->items[2]->line, 6);
    assert_string_equal(hs_node_text(list->items[2]->items[0]), "x");
    hs_doc_destroy(doc);
}

static void json_escapes(void **state)
{
    (void) state;
    struct hs_doc *doc = parse("{\"a\\/b\": \"\\ud83d\\ude00 \\\"\\\\ \\u00e9\\t\"}");
    assert_string_equal(hs_doc_root(doc)->keys[0], "a/b");
    assert_string_equal(hs_node_text(hs_node_get(hs_doc_root(doc), "a/b")), "\xf0\x9f\x98\x80 \"\\ \xc3\xa9\t");
    hs_doc_destroy(doc);

    /* A key longer than libyaml's limit of 1024 bytes. */
    struct hs_buf buf;
    hs_buf_init(&buf, 10000);
    hs_buf_append_str(&buf, "{\"");
    for (int i = 0; i < 3000; i++)
        hs_buf_append_str(&buf, "k");
    hs_buf_append_str(&buf, "\": 1}");
    doc = parse(hs_buf_str(&buf));
    assert_int_equal(strlen(hs_doc_root(doc)->keys[0]), 3000);
    hs_doc_destroy(doc);
    hs_buf_finish(&buf);
}

static void flow_yaml_other_than_json_is_read(void **state)
{
    (void) state;
    struct hs_doc *doc = parse("\xef\xbb\xbf{a: 1, 'b': [x, y,],}\n");
    assert_string_equal(hs_node_text(hs_node_get(hs_doc_root(doc), "a")), "1");
    assert_int_equal(hs_node_get(hs_doc_root(doc), "b")->count, 2);
    hs_doc_destroy(doc);
}

static void an_empty_document_is_an_empty_map(void **state)
{
    (void) state;
    const char *const texts[] = { "", "\n", "# only a comment\n", "---\n", "---\n...\n", "null", "~\n" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct hs_doc *doc = parse(texts[i]);
        assert_int_equal(hs_doc_root(doc)->kind, HS_NODE_MAP);
        assert_int_equal(hs_doc_root(doc)->count, 0);
        hs_doc_destroy(doc);
    }
    struct hs_doc *doc;
    assert_int_equal(hs_doc_parse(NULL, 0, "t", &doc, NULL), 0);
    hs_doc_destroy(doc);
    hs_doc_destroy(NULL);
}

static void scalars(void **state)
{
    (void) state;
    struct hs_doc *doc = parse("i: 42\nneg: -1\nplus: +7\nq: \"42\"\noct: 010\nhex: 0x10\nf: 0.45\ne: 1e3\nnan: .nan\n"
                               "inf: inf\nbig: 99999999999999999999\nhuge: 1e999\nt: Yes\nfa: OFF\nqt: \"true\"\n"
                               "n: ~\nempty:\nqn: \"\"\n");
    const struct hs_node *root = hs_doc_root(doc);
    long long i = 5;
    double d = 5;
    bool b = false;
    assert_true(hs_node_int(hs_node_get(root, "i"), &i) && i == 42);
    assert_true(hs_node_int(hs_node_get(root, "neg"), &i) && i == -1);
    assert_true(hs_node_int(hs_node_get(root, "plus"), &i) && i == 7);
    const char *const no_ints[] = { "q", "oct", "hex", "f", "e", "big", "t", "n", "empty", "absent" };
    for (size_t k = 0; k < sizeof(no_ints) / sizeof(no_ints[0]); k++)
        assert_false(hs_node_int(hs_node_get(root, no_ints[k]), &i));
    assert_int_equal(i, 7);
    assert_true(hs_node_double(hs_node_get(root, "f"), &d) && d == 0.45);
    assert_true(hs_node_double(hs_node_get(root, "e"), &d) && d == 1000);
    assert_true(hs_node_double(hs_node_get(root, "i"), &d) && d == 42);
    const char *const no_doubles[] = { "q", "hex", "nan", "inf", "huge", "t", "empty", "absent" };
    for (size_t k = 0; k < sizeof(no_doubles) / sizeof(no_doubles[0]); k++)
        assert_false(hs_node_double(hs_node_get(root, no_doubles[k]), &d));
    assert_true(hs_node_bool(hs_node_get(root, "t"), &b) && b);
    assert_true(hs_node_bool(hs_node_get(root, "fa"), &b) && !b);
    assert_false(hs_node_bool(hs_node_get(root, "qt"), &b));
    assert_false(hs_node_bool(hs_node_get(root, "i"), &b));
    assert_true(hs_node_is_null(hs_node_get(root, "n")));
    assert_true(hs_node_is_null(hs_node_get(root, "empty")));
    assert_false(hs_node_is_null(hs_node_get(root, "qn")));
    assert_null(hs_node_text(hs_node_get(root, "empty")));
    assert_string_equal(hs_node_text(hs_node_get(root, "qn")), "");
    hs_doc_destroy(doc);
}

static void numbers_do_not_depend_on_the_locale(void **state)
{
    (void) state;
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8")) {
        print_message("skipped: no locale with a decimal comma is installed\n");
        skip();
    }
    struct hs_doc *doc = parse("{\"f\": 0.45}");
    double d = 0;
    bool read = hs_node_double(hs_node_get(hs_doc_root(doc), "f"), &d);
    setlocale(LC_ALL, "C");
    hs_doc_destroy(doc);
    assert_true(read);
    assert_true(d == 0.45);
}

static void refused_texts(void **state)
{
    (void) state;
    refuse_text("a: 1\nb: &x 2\n", HS_EUNSUPPORTED, 2, "anchors");
    refuse_text("a: 1\nb: *x\n", HS_EUNSUPPORTED, 2, "aliases");
    refuse_text("a: !!str 1\n", HS_EUNSUPPORTED, 1, "tags");
    refuse_text("a: !!python/object/apply:os.system [x]\n", HS_EUNSUPPORTED, 1, "tags");
    refuse_text("&a b: 1\n", HS_EUNSUPPORTED, 1, "anchors");
    refuse_text("a: &x {b: 1}\n", HS_EUNSUPPORTED, 1, "anchors");
    refuse_text("? [a]\n: 1\n", HS_EUNSUPPORTED, 1, "key");
    refuse_text("a: 1\n---\nb: 2\n", HS_EUNSUPPORTED, 2, "one YAML document");
    refuse_text("a: 1\nb: 2\na: 3\n", HS_EINVAL, 3, "duplicate key \"a\" (first on line 1)");
    refuse_text("{\"s\": {\n\"a\": 1,\n\"a\": 2}}", HS_EINVAL, 3, "duplicate key \"a\" (first on line 2)");
    refuse_text("a:\n\t- 1\n", HS_EINVAL, 2, "t:2: ");
    refuse_text("a: [1, 2\nb: 3\n", HS_EINVAL, 2,
                "t:2: invalid YAML: did not find expected ',' or ']', while parsing a flow sequence");
    refuse_text("{\"a\": 1,\n \"b\": \"x}", HS_EINVAL, 2, "");
    refuse_text("a: \"\\0\"\n", HS_EINVAL, 1, "NUL");
    refuse("a: \"x\0\"", 7, HS_EINVAL, 1, "");
    refuse_text("a: \xff\xfe\n", HS_EINVAL, 1, "t:1: invalid YAML: invalid leading UTF-8 octet");
    refuse_text("{\"a\": \"\xed\xa0\x80\"}", HS_EINVAL, 1, "");
}

static void bounds(void **state)
{
    (void) state;
    struct hs_buf buf;
    hs_buf_init(&buf, 4u << 20);
    for (int json = 0; json < 2; json++) {
        /* 31 lists in one map reach the limit of 32 levels below the root; one more is refused. */
        for (int depth = 32; depth <= 33; depth++) {
            buf.len = 0;
            for (int i = 0; i < depth; i++)
                hs_buf_append_str(&buf, "[");
            hs_buf_append_str(&buf, json ? "1" : "a b");
            for (int i = 0; i < depth; i++)
                hs_buf_append_str(&buf, "]");
            if (depth == 32)
                hs_doc_destroy(parse(hs_buf_str(&buf)));
            else
                refuse((const char *) buf.data, buf.len, HS_ETOOLARGE, 1, "32 levels");
        }
        buf.len = 0;
        hs_buf_append_str(&buf, "[");
        for (int i = 0; i < 20000; i++)
            hs_buf_append_str(&buf, json ? "1," : "a,");
        hs_buf_append_str(&buf, "1]");
        refuse((const char *) buf.data, buf.len, HS_ETOOLARGE, 1, "20000");
    }
    buf.len = 0;
    for (int i = 0; i < 100000; i++)
        hs_buf_append_str(&buf, "[");
    struct hs_doc *doc;
    assert_true(hs_doc_parse((const char *) buf.data, buf.len, "t", &doc, NULL) < 0);
    buf.len = 0;
    for (int i = 0; i < (1 << 20) + 1; i++)
        hs_buf_append_str(&buf, "\n");
    refuse((const char *) buf.data, buf.len, HS_ETOOLARGE, 0, "the limit is 1048576");
    hs_doc_destroy(parse("a: 1"));
    hs_buf_finish(&buf);
}

static void load_reads_a_file(void **state)
{
    (void) state;
    struct hs_doc *doc;
    struct hs_error err;
    assert_int_equal(hs_doc_load("/nonexistent/x.yaml", &doc, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "/nonexistent/x.yaml"));
    assert_int_equal(hs_doc_load("/", &doc, &err), HS_EIO);

    char path[] = "/tmp/hs-doc-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    fputs("a: 1\nb: [\n", file);
    fclose(file);
    assert_int_equal(hs_doc_load(path, &doc, &err), HS_EINVAL);
    assert_true(strncmp(err.message, path, strlen(path)) == 0);
    file = fopen(path, "w");
    fputs("a: 1\n", file);
    fclose(file);
    assert_int_equal(hs_doc_load(path, &doc, &err), 0);
    assert_int_equal(hs_doc_root(doc)->count, 1);
    hs_doc_destroy(doc);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_nodes_have_line_numbers),
        cmocka_unit_test(json_reads_like_yaml),
        cmocka_unit_test(json_escapes),
        cmocka_unit_test(flow_yaml_other_than_json_is_read),
        cmocka_unit_test(an_empty_document_is_an_empty_map),
        cmocka_unit_test(scalars),
        cmocka_unit_test(numbers_do_not_depend_on_the_locale),
        cmocka_unit_test(refused_texts),
        cmocka_unit_test(bounds),
        cmocka_unit_test(load_reads_a_file),
    };
    return HS_RUN_TESTS(tests);
}
