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
    const char *input, *output, *drop_in;
    bool list, json;
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

static int do_reference(void *arg)
{
    struct config_call *config = arg;
    return print_page(config, hs_render_reference(config->schema, &config->page));
}

static int do_example(void *arg)
{
    struct config_call *config = arg;
    return print_page(config, hs_render_example(config->schema, &config->page));
}

/* Prints the result of `check` with the file that hs_config_load chose. */
static void print_check_result(const struct config_call *config, size_t warnings)
{
    char path[PATH_MAX], count[40] = "";
    const char *file = config->call->config_path;
    if (!file && hs_config_default_path(config->schema, (const char *const *) environ, path, sizeof(path)))
        file = path;
    if (warnings)
        hs_str_format(count, sizeof(count), ", with %zu warning%s", warnings, warnings == 1 ? "" : "s");
    if (file && hs_file_exists(file))
        printf("%s is valid%s\n", file, count);
    else
        printf("No configuration file (%s%s%s); the defaults are used%s\n", file ? file : "",
               config->schema->yaml_path ? " or " : "", config->schema->yaml_path ? config->schema->yaml_path : "",
               count);
}

/* Loads the settings as the service does, which prints all problems. */
static int do_check(void *arg)
{
    struct config_call *config = arg;
    struct hs_problems problems = { 0 };
    struct hs_settings *settings = NULL;
    int code = hs_load_settings(config->call, NULL, 0, &settings, &problems);
    if (code == HS_EXIT_OK && !config->call->quiet)
        print_check_result(config, problems.warnings);
    hs_settings_destroy(settings);
    hs_problems_finish(&problems);
    return code;
}

static int do_show(void *arg)
{
    struct config_call *config = arg;
    struct hs_problems problems = { 0 };
    struct hs_settings *settings = NULL;
    if (config->list && config->json)
        return hs_invocation_fail(config->call, HS_EXIT_USAGE, "--list and --json exclude each other");
    int code = hs_load_settings(config->call, NULL, 0, &settings, &problems), r;
    if (code == HS_EXIT_OK && config->list) {
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
    size_t before = problems.errors;
    if (complete)
        check_required(config->schema, hs_doc_root(doc), name, &problems);
    bool missing = problems.errors > before && before == 0 && config->schema->yaml_path;
    hs_print_problems(&problems);
    if (problems.no_memory)
        r = hs_error_set(err, HS_ENOMEM, "out of memory");
    else if (problems.errors)
        r = hs_error_set(err, HS_EINVAL, "%s: %zu error%s, nothing was written%s", name, problems.errors,
                         problems.errors == 1 ? "" : "s",
                         missing ? "; to use the file without the missing parts, do not render it: the service reads "
                                   "it directly"
                                 : "");
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
    const struct hs_text_list *sets = &config->call->sets, *operands = &config->call->operands;
    const char *output = operands->items[0];
    struct hs_settings *settings = NULL;
    struct hs_doc *doc;
    json_t *tree = NULL;
    int r = load_tree(config, &tree, err);
    for (size_t i = 0; r == 0 && i < sets->count; i++)
        r = change(tree, sets->items[i], err);
    for (size_t i = 1; r == 0 && i < operands->count; i++)
        r = change(tree, operands->items[i], err);
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

/* `render --drop-in FILE`: writes the limits in effect for the service. With --input, those of that file. */
static int render_drop_in(struct config_call *config)
{
    struct hs_invocation call = *config->call;
    struct hs_problems problems = { 0 };
    struct hs_settings *settings;
    struct hs_error err;
    if (config->input)
        call.config_path = config->input;
    int code = hs_load_settings(&call, NULL, 0, &settings, &problems);
    hs_problems_finish(&problems);
    if (code != HS_EXIT_OK)
        return code;
    hs_buf_clear(&config->page);
    int r = hs_render_drop_in(settings, &config->page);
    r = r < 0 ? hs_error_set(&err, r, "%s: cannot be written: %s", config->drop_in, hs_status_name(r))
              : write_page(config, config->drop_in, &err);
    hs_settings_destroy(settings);
    return r < 0 ? fail(&err) : HS_EXIT_OK;
}

static int do_render(void *arg)
{
    struct config_call *config = arg;
    const struct hs_invocation *call = config->call;
    struct hs_error err;
    int r = 0;
    if (!config->input != !config->output)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--%s is missing", config->input ? "output" : "input");
    if (config->input)
        r = render_json(config, &err);
    else if (call->operands.count > 0)
        r = render_yaml(config, &err);
    if (r < 0)
        return fail(&err);
    return config->drop_in ? render_drop_in(config) : HS_EXIT_OK;
}

static int run(struct hs_invocation *call)
{
    struct config_call config = { .call = call, .schema = call->program->schema };
    const struct hs_option options[] = {
        HS_TEXT_OF("render", "input", &config.input, "FILE", "configuration to read, YAML or JSON"),
        HS_TEXT_OF("render", "output", &config.output, "FILE", "JSON file to write; its folder is created"),
        HS_TEXT_OF("render", "drop-in", &config.drop_in, "FILE",
                   "drop-in of the systemd unit to write: /etc/systemd/system/NAME.service.d/50-resource-limits.conf"),
        HS_FLAG_OF("show", "list", &config.list, "print one setting per line, with the source of its value"),
        HS_FLAG_OF("show", "json", &config.json, "print JSON (the default)"),
    };
    int code;
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    hs_buf_init(&config.page, PAGE_MAX);
    code = call->action->run(&config);
    hs_buf_finish(&config.page);
    return code;
}

static const struct hs_action actions[] = {
    { "show", "", "Print the settings in effect", do_show },
    { "check", "", "Check the configuration file and report all errors", do_check },
    { "render", "FILE [KEY=VALUE…]", "Write a YAML file with the current configuration and these changes", do_render },
    { "render", "--drop-in FILE", "Write resource_limits as a drop-in of the systemd unit", do_render },
    { "render", "--input FILE --output FILE", "Check a complete configuration and write it as JSON", do_render },
    { "example", "", "Print a configuration file with all settings and defaults", do_example },
    { "reference", "", "Print the documentation of all settings", do_reference },
};
static const struct hs_example examples[] = {
    { "config show --list", "List all settings, and where each value comes from" },
    { "config check", "Check the configuration file" },
    { "config show --set server.port=8080", "Try a change" },
};

const struct hs_command hs_command_config = {
    .name = "config",
    .summary = "Show, check and write the settings",
    .run = run,
    HS_ACTIONS(actions),
    HS_EXAMPLES(examples),
};
