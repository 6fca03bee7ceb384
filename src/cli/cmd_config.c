#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/program.h"
#include "config/render.h"
#include "config/yaml_write.h"

enum { PAGE_MAX = 8 << 20 };

struct config_call {
    struct hs_invocation *call;
    const struct hs_schema *schema;
    const char *input, *output;
    bool list;
    struct hs_buf page; /* the output */
};

static int fail(const struct hs_error *err)
{
    fprintf(stderr, "Error: %s\n", err->message);
    return HS_EXIT_FAILURE;
}

/* Prints the page, or an error if `r` is negative. */
static int print_page(const struct config_call *config, int r)
{
    struct hs_error err;
    if (r < 0) {
        hs_error_set(&err, r, "the page cannot be made: %s", hs_status_name(r));
        return fail(&err);
    }
    fwrite(config->page.data, 1, config->page.len, stdout);
    return HS_EXIT_OK;
}

static int run_page(struct config_call *config)
{
    bool reference = strcmp(config->call->words.items[0], "reference") == 0;
    return print_page(config, reference ? hs_render_reference(config->schema, &config->page)
                                        : hs_render_example(config->schema, &config->page));
}

/* Prints the result of `check` with the file that hs_config_load chose. */
static void print_verdict(const struct config_call *config, size_t warnings)
{
    char path[PATH_MAX];
    const char *file = config->call->config_path, *plural = warnings == 1 ? "" : "s";
    if (!file && hs_config_default_path(config->schema, (const char *const *) environ, path, sizeof(path)))
        file = path;
    if (file && hs_file_exists(file))
        printf("The configuration %s is fine (%zu warning%s).\n", file, warnings, plural);
    else
        printf("There is no configuration file (%s%s%s); the defaults are fine (%zu warning%s).\n", file ? file : "",
               config->schema->yaml_path ? " or " : "", config->schema->yaml_path ? config->schema->yaml_path : "",
               warnings, plural);
}

/* Both actions load the settings as the service does, which prints all problems. */
static int run_show_or_check(struct config_call *config)
{
    struct hs_problems problems = { 0 };
    struct hs_settings *settings = NULL;
    int code = hs_load_settings(config->call, NULL, 0, &settings, &problems), r;
    if (code == HS_EXIT_OK && strcmp(config->call->words.items[0], "check") == 0) {
        print_verdict(config, problems.warnings);
    } else if (code == HS_EXIT_OK && config->list) {
        code = print_page(config, hs_settings_write_list(settings, &config->page));
    } else if (code == HS_EXIT_OK) {
        r = hs_settings_write_json(settings, &config->page);
        code = print_page(config, r == 0 ? hs_buf_append_str(&config->page, "\n") : r);
    }
    hs_settings_destroy(settings);
    hs_problems_finish(&problems);
    return code;
}

/* ---- render ---- */

/* Reports each required setting or section that is missing in a complete file. */
static void check_required(const struct hs_schema *schema, const struct hs_node *root, const char *path,
                           struct hs_problems *problems)
{
    for (const char *const *name = schema->required; name && *name; name++) {
        size_t len = strcspn(*name, ".");
        bool section = !(*name)[len];
        char head[64];
        hs_str_copy_n(head, sizeof(head), *name, len);
        const struct hs_node *node = hs_node_get(root, head);
        const char *what = section ? "section" : "setting";
        if (!section)
            node = hs_node_get(node, *name + len + 1);
        if (!node || (!section && hs_node_is_null(node)))
            hs_problems_add(problems, HS_PROBLEM_ERROR, 0, "%s: the %s %s is missing", path, what, *name);
        else if (section && hs_node_is_null(node))
            hs_problems_add(problems, HS_PROBLEM_ERROR, node->line, "%s:%d: the section %s is empty", path, node->line,
                            *name);
    }
}

/* Checks a document as the service does and prints all problems; with `complete`, settings that the schema requires
 * must be present. Takes the document, also on failure; on success *ret_settings owns it. */
static int check_doc(const struct config_call *config, struct hs_doc *doc, const char *name, bool complete,
                     struct hs_settings **ret_settings, struct hs_error *err)
{
    struct hs_problems problems = { 0 };
    struct hs_settings *settings;
    int r = hs_settings_create(config->schema, &settings, err);
    if (r < 0) {
        hs_doc_destroy(doc);
        return r;
    }
    hs_settings_apply_doc(settings, doc, name, &problems);
    if (complete)
        check_required(config->schema, hs_doc_root(doc), name, &problems);
    hs_print_problems(&problems);
    if (problems.no_memory)
        r = hs_error_set(err, HS_ENOMEM, "out of memory");
    else if (problems.errors)
        r = hs_error_set(err, HS_EINVAL, "%s: %zu error%s, nothing was written", name, problems.errors,
                         problems.errors == 1 ? "" : "s");
    hs_problems_finish(&problems);
    if (r == 0)
        *ret_settings = settings;
    else
        hs_settings_destroy(settings);
    return r;
}

static int write_page(const struct config_call *config, const char *path, struct hs_error *err)
{
    int r = hs_dir_make_parent(path, err);
    return r == 0 ? hs_file_write_atomic(path, config->page.data, config->page.len, 0644, err) : r;
}

/* `render --input FILE --output FILE`: writes a complete file as JSON. */
static int render_json(struct config_call *config, struct hs_error *err)
{
    struct hs_settings *settings;
    struct hs_doc *doc;
    int r = hs_doc_load(config->input, &doc, err);
    if (r == 0)
        r = check_doc(config, doc, config->input, true, &settings, err);
    if (r < 0)
        return r;
    r = hs_render_node_json(hs_doc_root(doc), &config->page);
    if (r == 0)
        r = hs_buf_append_str(&config->page, "\n");
    r = r < 0 ? hs_error_set(err, r, "%s: cannot be rendered: %s", config->output, hs_status_name(r))
              : write_page(config, config->output, err);
    hs_settings_destroy(settings);
    return r;
}

/* Loads the file of --config, else the standard file, else the built-in defaults, as a tree that can be changed. The
 * caller frees *ret_tree with json_decref. */
static int load_tree(struct config_call *config, json_t **ret_tree, struct hs_error *err)
{
    char path[PATH_MAX];
    const char *file = config->call->config_path;
    struct hs_doc *doc;
    int r;
    if (!file && hs_config_default_path(config->schema, (const char *const *) environ, path, sizeof(path)) &&
        hs_file_exists(path))
        file = path;
    if (file)
        r = hs_doc_load(file, &doc, err);
    else if ((r = hs_render_example(config->schema, &config->page)) < 0)
        hs_error_set(err, r, "the defaults cannot be written");
    else
        r = hs_doc_parse((const char *) config->page.data, config->page.len, "defaults", &doc, err);
    if (r < 0)
        return r;
    config->page.len = 0;
    r = hs_render_node_json(hs_doc_root(doc), &config->page);
    json_t *tree = NULL;
    if (r == 0)
        r = hs_json_read((const char *) config->page.data, config->page.len, 0, &tree, NULL);
    config->page.len = 0;
    hs_doc_destroy(doc);
    if (r == HS_ENOMEM || r == HS_ETOOLARGE)
        return hs_error_set(err, r, "the configuration cannot be read: %s", hs_status_name(r));
    if (!json_is_object(tree)) {
        json_decref(tree);
        return hs_error_set(err, HS_EINVAL, "the configuration holds no sections");
    }
    *ret_tree = tree;
    return 0;
}

/* Applies "a.b=value"; creates missing sections. */
static int change(json_t *tree, const char *assignment, struct hs_error *err)
{
    char name[256];
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment ||
        !hs_str_copy_n(name, sizeof(name), assignment, (size_t) (equals - assignment)))
        return hs_error_set(err, HS_EINVAL, "%.100s is not NAME=VALUE", assignment);
    if (!hs_utf8_valid(assignment, strlen(assignment)))
        return hs_error_set(err, HS_EINVAL, "%.100s is not UTF-8", assignment);
    char *at = name;
    for (char *point; json_is_object(tree) && (point = strchr(at, '.')); at = point + 1) {
        *point = '\0';
        json_t *section = json_object_get(tree, at);
        if ((!section || json_is_null(section)) && json_object_set_new(tree, at, json_object()) < 0)
            return hs_error_set(err, HS_ENOMEM, "out of memory");
        tree = json_object_get(tree, at);
    }
    if (!json_is_object(tree) || !at[0])
        return hs_error_set(err, HS_EINVAL, "%.100s cannot be set", assignment);
    if (json_object_set_new(tree, at, hs_yaml_value(equals + 1)) < 0)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    return 0;
}

/* `render OUTPUT [NAME=VALUE...]`: writes the configuration with --set and these changes as YAML, in the same order. */
static int render_yaml(struct config_call *config, struct hs_error *err)
{
    const struct hs_text_list *sets = &config->call->sets, *words = &config->call->words;
    const char *output = words->items[1];
    struct hs_settings *settings = NULL;
    struct hs_doc *doc;
    json_t *tree = NULL;
    int r = load_tree(config, &tree, err);
    for (size_t i = 0; r == 0 && i < sets->count; i++)
        r = change(tree, sets->items[i], err);
    for (size_t i = 2; r == 0 && i < words->count; i++)
        r = change(tree, words->items[i], err);
    if (r == 0 && (r = hs_yaml_write(tree, &config->page)) < 0)
        hs_error_set(err, r, "%s: cannot be written: %s", output, hs_status_name(r));
    if (r == 0)
        r = hs_doc_parse((const char *) config->page.data, config->page.len, "result", &doc, err);
    if (r == 0)
        r = check_doc(config, doc, "result", false, &settings, err);
    if (r == 0)
        r = write_page(config, output, err);
    hs_settings_destroy(settings);
    json_decref(tree);
    return r;
}

static int run_render(struct config_call *config)
{
    struct hs_error err;
    int r;
    if (!config->input && !config->output && config->call->words.count > 1)
        r = render_yaml(config, &err);
    else if (config->input && config->output)
        r = render_json(config, &err);
    else
        return hs_invocation_fail(config->call, HS_EXIT_USAGE,
                                  "render: --input FILE and --output FILE are both wanted; or OUTPUT [NAME=VALUE]...");
    return r < 0 ? fail(&err) : HS_EXIT_OK;
}

int hs_cmd_config(struct hs_invocation *call)
{
    static const struct {
        const char *name;
        int (*run)(struct config_call *config);
    } actions[] = { { "render", run_render },
                    { "check", run_show_or_check },
                    { "show", run_show_or_check },
                    { "reference", run_page },
                    { "example", run_page } };
    struct config_call config = { .call = call, .schema = call->program->schema };
    const struct hs_option options[] = {
        HS_TEXT("input", &config.input, "FILE", "render: the configuration to read, YAML or JSON"),
        HS_TEXT("output", &config.output, "FILE", "render: the JSON file to write; its folder is made"),
        HS_FLAG("list", &config.list, "show: a line a setting, with where each value comes from"),
    };
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), SIZE_MAX, &code))
        return code;
    const char *action = call->words.count ? call->words.items[0] : "";
    bool alone = call->words.count <= 1 || (strcmp(action, "render") == 0 && !config.input && !config.output);
    size_t i = 0;
    while (i < HS_ARRAY_LEN(actions) && strcmp(actions[i].name, action) != 0)
        i++;
    if (!alone || i == HS_ARRAY_LEN(actions))
        return hs_invocation_usage(call);
    hs_buf_init(&config.page, PAGE_MAX);
    code = actions[i].run(&config);
    hs_buf_finish(&config.page);
    return code;
}
