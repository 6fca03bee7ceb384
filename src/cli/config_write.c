#include "cli/config_write.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/load_settings.h"
#include "config/render.h"
#include "config/yaml_write.h"

enum { PAGE_MAX = 8 << 20 };

static int parse_defaults(const struct hs_schema *schema, struct hs_doc **ret_doc, struct hs_error *err)
{
    struct hs_buf buf;
    hs_buf_init(&buf, PAGE_MAX);
    int r = hs_render_example(schema, &buf);
    r = r < 0 ? hs_error_set(err, r, "the defaults cannot be written")
              : hs_doc_parse((const char *) buf.data, buf.len, "defaults", ret_doc, err);
    hs_buf_finish(&buf);
    return r;
}

static int load_doc(const struct hs_invocation *call, const struct hs_schema *schema, struct hs_doc **ret_doc,
                    struct hs_error *err)
{
    char path[PATH_MAX];
    if (call->config_path)
        return hs_doc_load(call->config_path, ret_doc, err);
    if (hs_config_default_path(schema, (const char *const *) environ, path, sizeof(path)) && hs_file_exists(path))
        return hs_doc_load(path, ret_doc, err);
    return parse_defaults(schema, ret_doc, err);
}

/* A document as a tree that can be changed. */
static int to_tree(const struct hs_doc *doc, json_t **ret_tree, struct hs_error *err)
{
    struct hs_buf buf;
    hs_buf_init(&buf, PAGE_MAX);
    int r = hs_render_node_json(hs_doc_root(doc), &buf);
    json_t *tree = r == 0 ? json_loadb((const char *) buf.data, buf.len, 0, NULL) : NULL;
    hs_buf_finish(&buf);
    if (!json_is_object(tree)) {
        json_decref(tree);
        return hs_error_set(err, HS_EINVAL, "the configuration holds no sections");
    }
    *ret_tree = tree;
    return 0;
}

/* The section of that name (or one inside it), made where it is missing. NULL: something else has the name. */
static json_t *section_of(json_t *parent, const char *name)
{
    json_t *section = json_object_get(parent, name);
    if (!section || json_is_null(section)) {
        json_object_set_new(parent, name, json_object());
        section = json_object_get(parent, name);
    }
    return json_is_object(section) ? section : NULL;
}

static int change(json_t *tree, const char *assignment, struct hs_error *err)
{
    char name[256];
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment ||
        !hs_str_copy_n(name, sizeof(name), assignment, (size_t) (equals - assignment)))
        return hs_error_set(err, HS_EINVAL, "%.100s is not NAME=VALUE", assignment);
    char *at = name;
    for (char *point; tree && (point = strchr(at, '.')); at = point + 1) {
        *point = '\0';
        tree = section_of(tree, at);
    }
    if (!tree || !at[0] || json_object_set_new(tree, at, hs_yaml_value(equals + 1)) < 0)
        return hs_error_set(err, HS_EINVAL, "%.100s cannot be set", assignment);
    return 0;
}

/* As the service would read it. */
static int check(const struct hs_schema *schema, const struct hs_buf *text, struct hs_error *err)
{
    struct hs_problems problems = { 0 };
    struct hs_settings *settings;
    struct hs_doc *doc;
    int r = hs_doc_parse((const char *) text->data, text->len, "result", &doc, err);
    if (r < 0)
        return r;
    r = hs_settings_create(schema, &settings, err);
    if (r < 0) {
        hs_doc_destroy(doc);
        return r;
    }
    r = hs_settings_apply_doc(settings, doc, "result", &problems);
    hs_print_problems(&problems);
    if (r < 0)
        hs_error_set(err, r, "out of memory");
    else if (problems.errors)
        r = hs_error_set(err, HS_EINVAL, "nothing was written");
    hs_settings_destroy(settings);
    hs_problems_finish(&problems);
    return r;
}

static int write_tree(const struct hs_schema *schema, const json_t *tree, const char *output, struct hs_error *err)
{
    struct hs_buf buf;
    hs_buf_init(&buf, PAGE_MAX);
    int r = hs_yaml_write(tree, &buf);
    if (r < 0)
        hs_error_set(err, r, "%s: cannot be written: %s", output, hs_status_name(r));
    if (r == 0)
        r = check(schema, &buf, err);
    if (r == 0)
        r = hs_dir_make_parent(output, err);
    if (r == 0)
        r = hs_file_write_atomic(output, buf.data, buf.len, 0644, err);
    hs_buf_finish(&buf);
    return r;
}

int hs_config_write(struct hs_invocation *call, const struct hs_schema *schema, const char *output,
                    const char *const *changes, size_t count)
{
    struct hs_error err;
    struct hs_doc *doc = NULL;
    json_t *tree = NULL;
    int r = load_doc(call, schema, &doc, &err);
    if (r == 0)
        r = to_tree(doc, &tree, &err);
    for (size_t i = 0; r == 0 && i < call->sets.count; i++)
        r = change(tree, call->sets.items[i], &err);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = change(tree, changes[i], &err);
    if (r == 0)
        r = write_tree(schema, tree, output, &err);
    if (r < 0)
        fprintf(stderr, "Error: %s\n", err.message);
    json_decref(tree);
    hs_doc_destroy(doc);
    return r < 0 ? HS_EXIT_FAILURE : HS_EXIT_OK;
}
