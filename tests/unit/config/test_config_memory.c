/* Configurations read, checked and written with each allocation failing, including those of the
 * JSON library. */
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "alloc_fail.h"
#include "base/mem.h"
#include "config/render.h"
#include "config/settings.h"
#include "config/yaml_write.h"
#include "models/folder.h"
#include "pose/settings.h"

/* YAML does not allow the tab, so this text can only be read as JSON. */
static const char json_text[] =
    "{\"server\": {\"port\":\t4001, \"host\": \"a\\u00e9\", \"cors_origins\": [\"http://a\"]},\n"
    " \"image\": {\"other\": [1, {\"deep\": null}]}, \"none\": {}}\n";
static const char yaml_text[] = "server:\n  port: 4001\n  host: \"a\\u00e9\"\n  cors_origins: [http://a]\n"
                                "image:\n  other:\n  - 1\n  - deep: null\nnone: {}\n";
static const char wrong_text[] = "server:\n  port: [a, [b], {c: d}, \"e\", f]\nimage: 5\n";

struct load {
    const char *path, *text;
    struct hs_problems problems;
};

static int load(struct load *l, struct hs_settings **ret_settings)
{
    static const char *const environment[] = { "HAILO_POSE_IMAGE_MAX_SIDE=4000", "HAILO_POSE_NO=1", NULL };
    static const struct hs_config_override overrides[] = {
        { "--set", NULL, "model.name=x" },
        { "--models", "model.dir", "relative" },
    };
    struct hs_error err;
    const struct hs_config_request request = { .schema = &hs_pose_schema,
                                               .path = l->path,
                                               .environment = environment,
                                               .overrides = overrides,
                                               .override_count = HS_ARRAY_LEN(overrides) };
    l->problems = (struct hs_problems) { 0 };
    int r = hs_config_load(&request, ret_settings, &l->problems, &err);
    if (r == HS_ENOMEM)
        assert_non_null(strstr(err.message, "out of memory"));
    return r;
}

static int load_and_write(void *arg)
{
    struct load *l = arg;
    struct hs_settings *settings = NULL;
    struct hs_buf json, list;
    hs_buf_init(&json, 1 << 20);
    hs_buf_init(&list, 1 << 20);
    int r = load(l, &settings);
    if (r == 0)
        r = hs_settings_make_paths_absolute(settings, "/srv", NULL);
    if (r == 0)
        r = hs_settings_write_json(settings, &json);
    if (r == 0)
        r = hs_settings_write_list(settings, &list);
    const char *text = r == 0 ? hs_buf_str(&json) : NULL, *lines = r == 0 ? hs_buf_str(&list) : NULL;
    if (r == 0 && (!text || !lines))
        r = HS_ENOMEM;
    if (r == 0) {
        const struct hs_pose_settings *v = hs_settings_values(settings);
        assert_int_equal(v->server.port, 4001);
        assert_string_equal(v->server.host, "a\xc3\xa9");
        assert_string_equal(v->server.cors_origins, "http://a");
        assert_int_equal(v->image.max_side, 4000);
        assert_string_equal(v->model.name, "x");
        assert_true(v->model.dir[0] == '/' && hs_str_ends(v->model.dir, "/relative"));
        assert_int_equal(l->problems.warnings, 3); /* image.other, none, HAILO_POSE_NO */
        assert_int_equal(l->problems.count, 4);    /* and the note of the file that was read */
        assert_int_equal(l->problems.errors, 0);
        assert_non_null(strstr(text, "\"port\": 4001"));
        assert_non_null(strstr(text, "\"deep\": null"));
        assert_non_null(strstr(text, "\"none\": {}"));
        assert_non_null(strstr(lines, "HAILO_POSE_IMAGE_MAX_SIDE"));
    }
    hs_buf_finish(&json);
    hs_buf_finish(&list);
    hs_settings_destroy(settings);
    hs_problems_finish(&l->problems);
    return r;
}

/* Loads two errors; both are reported unless memory runs out. */
static int load_wrong(void *arg)
{
    struct load *l = arg;
    struct hs_settings *settings = NULL;
    int r = load(l, &settings);
    assert_null(settings);
    if (r == HS_EINVAL) {
        assert_int_equal(l->problems.errors, 2);
        assert_int_equal(l->problems.items[1].line, 2);
        assert_non_null(strstr(l->problems.items[1].text, "server.port: [a, […], a section, \"e\", …] "));
        assert_non_null(strstr(l->problems.items[2].text, "image is a section"));
        r = 0;
    }
    hs_problems_finish(&l->problems);
    return r;
}

static void test_loading(void **state)
{
    struct load l = { .path = folder_path(*state, "pose.conf") };
    static const char *const texts[] = { json_text, yaml_text, wrong_text };
    for (size_t i = 0; i < HS_ARRAY_LEN(texts); i++) {
        folder_write(*state, "pose.conf", texts[i], strlen(texts[i]));
        assert_true(hs_fail_each_allocation(texts[i] == wrong_text ? load_wrong : load_and_write, &l) > 80);
    }
}

static int render_pages(void *arg)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 1 << 20);
    int r = arg ? hs_render_example(&hs_pose_schema, &buf) : hs_render_reference(&hs_pose_schema, &buf);
    if (r == 0)
        assert_true(buf.len > 5000);
    hs_buf_finish(&buf);
    return r;
}

static int write_yaml(void *arg)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 1 << 20);
    int r = hs_yaml_write(arg, &buf);
    if (r == 0 && !hs_buf_str(&buf))
        r = HS_ENOMEM;
    if (r == 0) {
        static const char wanted[] = "a: \"yes\"\nb:\n  - 1\n  -\n    c: text\n";
        assert_string_equal((const char *) buf.data, wanted);
        assert_int_equal(buf.len, strlen(wanted));
    }
    hs_buf_finish(&buf);
    return r;
}

static int read_words(void *arg)
{
    static const char *const words[] = { "true", "no", "5", "0.5", "text" };
    int r = 0;
    (void) arg;
    for (size_t i = 0; i < HS_ARRAY_LEN(words) && r == 0; i++) {
        json_t *value = hs_yaml_value(words[i]);
        r = value ? 0 : HS_ENOMEM;
        json_decref(value);
    }
    return r;
}

static int render_node(void *arg)
{
    struct hs_doc *doc;
    struct hs_buf buf;
    hs_buf_init(&buf, 4096);
    int r = hs_doc_parse(arg, strlen(arg), "t", &doc, NULL);
    if (r < 0)
        return r;
    r = hs_render_node_json(hs_doc_root(doc), &buf);
    if (r == 0)
        assert_int_equal(buf.data[0], '{');
    hs_buf_finish(&buf);
    hs_doc_destroy(doc);
    return r;
}

static void test_writing(void **state)
{
    json_t *value = json_pack("{s:s, s:[i, {s:s}]}", "a", "yes", "b", 1, "c", "text");
    (void) state;
    for (int example = 0; example < 2; example++)
        assert_true(hs_fail_each_allocation(render_pages, example ? (void *) json_text : NULL) > 3);
    assert_true(hs_fail_each_allocation(write_yaml, value) > 0);
    assert_true(hs_fail_each_allocation(read_words, NULL) >= 3);
    assert_true(hs_fail_each_allocation(render_node, (void *) json_text) > 10);
    assert_true(hs_fail_each_allocation(render_node, (void *) yaml_text) > 10);
    json_decref(value);
}

static const char *no_item_error(const char *item)
{
    (void) item;
    return NULL;
}

static int check_setting(void *arg)
{
    const struct hs_setting *row = arg;
    char *value = strdup("before");
    const char *reason = NULL;
    if (!value)
        return HS_ENOMEM;
    int r = hs_setting_read_text(row, "a b", &value, &reason);
    assert_string_equal(value, r < 0 ? "before" : "a b");
    free(value);
    return r;
}

/* A value that cannot be read leaves the previous one. */
static void test_settings(void **state)
{
    static const struct hs_setting rows[] = {
        { .name = "s.text", .type = HS_SETTING_TEXT, .max = 3 },
        { .name = "s.list", .type = HS_SETTING_LIST, .max = 3, .item_error = no_item_error },
    };
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++)
        assert_true(hs_fail_each_allocation(check_setting, (void *) (uintptr_t) &rows[i]) >= 2);
}

/* Limits of a document, exactly and exceeded by one. */
static void test_bounds(void **state)
{
    struct hs_doc *doc = NULL;
    struct hs_error err;
    char *text = malloc(20 << 14);
    size_t len = 0;
    (void) state;
    /* One map, and a key and a value for each line. */
    for (int i = 0; i < 9999; i++)
        len += (size_t) snprintf(text + len, 32, "k%d: 1\n", i);
    assert_int_equal(hs_doc_parse(text, len, "t", &doc, &err), 0);
    assert_int_equal(hs_doc_root(doc)->count, 9999);
    hs_doc_destroy(doc);
    len += (size_t) snprintf(text + len, 32, "l: []\n");
    assert_int_equal(hs_doc_parse(text, len, "t", &doc, &err), HS_ETOOLARGE);
    assert_int_equal(err.line, 10000);
    assert_non_null(strstr(err.message, "t:10000: too many values"));
    free(text);
}

int main(void)
{
    hs_alloc_watch_leaks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loading),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
