#include "cli/cmd_config.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/config_write.h"
#include "cli/load_settings.h"
#include "config/render.h"

enum { PAGE_MAX = 8 << 20 };

struct config_call {
    struct hs_invocation *call;
    const struct hs_schema *schema;
    struct hs_text_list words; /* the action, and what follows it */
    const char *input, *output;
    bool list;
};

static int fail(const struct config_call *call, const struct hs_error *err)
{
    (void) call;
    fprintf(stderr, "Error: %s\n", err->message);
    return HS_EXIT_FAILURE;
}

/* Writes what `render` made of the schema or the settings to stdout. */
static int print_page(const struct config_call *call, int r, struct hs_buf *buf)
{
    struct hs_error err;
    if (r == 0)
        fwrite(buf->data, 1, buf->len, stdout);
    hs_buf_finish(buf);
    if (r == 0)
        return HS_EXIT_OK;
    hs_error_set(&err, r, "the page cannot be made: %s", hs_status_name(r));
    return fail(call, &err);
}

static int run_reference(const struct config_call *call)
{
    struct hs_buf buf;
    hs_buf_init(&buf, PAGE_MAX);
    return print_page(call, hs_render_reference(call->schema, &buf), &buf);
}

static int run_example(const struct config_call *call)
{
    struct hs_buf buf;
    hs_buf_init(&buf, PAGE_MAX);
    return print_page(call, hs_render_example(call->schema, &buf), &buf);
}

/* Loads the settings as the service would; prints every problem. HS_EXIT_OK or the exit code. */
static int load(const struct config_call *call, struct hs_settings **ret_settings, struct hs_problems *problems)
{
    return hs_load_settings(call->call, call->schema, NULL, 0, ret_settings, problems);
}

static int run_show(const struct config_call *call)
{
    struct hs_problems problems = { 0 };
    struct hs_settings *settings = NULL;
    int code = load(call, &settings, &problems);
    if (code == HS_EXIT_OK) {
        struct hs_buf buf;
        hs_buf_init(&buf, PAGE_MAX);
        int r = call->list ? hs_settings_write_list(settings, &buf) : hs_settings_write_json(settings, &buf);
        if (r == 0 && !call->list)
            r = hs_buf_append_str(&buf, "\n");
        code = print_page(call, r, &buf);
    }
    hs_settings_destroy(settings);
    hs_problems_finish(&problems);
    return code;
}

static int run_check(const struct config_call *call)
{
    struct hs_problems problems = { 0 };
    struct hs_settings *settings = NULL;
    int code = load(call, &settings, &problems);
    if (code == HS_EXIT_OK)
        printf("The configuration is fine (%zu warning%s).\n", problems.warnings, problems.warnings == 1 ? "" : "s");
    hs_settings_destroy(settings);
    hs_problems_finish(&problems);
    return code;
}

/* ---- render ---- */

/* Finds a section or a setting by its dotted name. */
static const struct hs_node *find_node(const struct hs_node *root, const char *name)
{
    const char *point = strchr(name, '.');
    char section[64];
    if (!point)
        return hs_node_get(root, name);
    hs_str_copy_n(section, sizeof(section), name, (size_t) (point - name));
    return hs_node_get(hs_node_get(root, section), point + 1);
}

/* What a service cannot do without, in a file that is meant to describe all of it. */
static int check_required(const struct hs_schema *schema, const struct hs_node *root, const char *path,
                          struct hs_problems *problems)
{
    int r = 0;
    for (const char *const *name = schema->required; r == 0 && name && *name; name++) {
        bool section = !strchr(*name, '.');
        const struct hs_node *node = find_node(root, *name);
        const char *what = section ? "section" : "setting";
        if (!node || (!section && hs_node_is_null(node)))
            r = hs_problems_add(problems, HS_PROBLEM_ERROR, 0, "%s: the %s %s is missing", path, what, *name);
        else if (section && hs_node_is_null(node))
            r = hs_problems_add(problems, HS_PROBLEM_ERROR, node->line, "%s:%d: the section %s is empty", path,
                                node->line, *name);
    }
    return r;
}

/* Reads the file as the service would and adds all that is wrong. The document is borrowed from *ret_settings. */
static int read_input(const struct config_call *call, const char *path, struct hs_settings **ret_settings,
                      const struct hs_node **ret_root, struct hs_problems *problems, struct hs_error *err)
{
    struct hs_doc *doc;
    struct hs_settings *settings;
    int r = hs_doc_load(path, &doc, err);
    if (r < 0)
        return r;
    r = hs_settings_create(call->schema, &settings, err);
    if (r < 0) {
        hs_doc_destroy(doc);
        return r;
    }
    const struct hs_node *root = hs_doc_root(doc);
    r = hs_settings_apply_doc(settings, doc, path, problems);
    if (r == 0)
        r = check_required(call->schema, root, path, problems);
    if (r < 0) {
        hs_settings_destroy(settings);
        return hs_error_set(err, r, "out of memory");
    }
    *ret_settings = settings;
    *ret_root = root;
    return 0;
}

static int write_output(const struct hs_node *root, const char *path, struct hs_error *err)
{
    struct hs_buf buf;
    hs_buf_init(&buf, PAGE_MAX);
    int r = hs_render_node_json(root, &buf);
    if (r == 0)
        r = hs_buf_append_str(&buf, "\n");
    if (r < 0)
        hs_error_set(err, r, "%s: cannot be rendered: %s", path, hs_status_name(r));
    if (r == 0)
        r = hs_dir_make_parent(path, err);
    if (r == 0)
        r = hs_file_write_atomic(path, buf.data, buf.len, 0644, err);
    hs_buf_finish(&buf);
    return r;
}

static int run_render(const struct config_call *call)
{
    const char *input = call->input, *output = call->output;
    if (!input && !output && call->words.count > 1)
        return hs_config_write(call->call, call->schema, call->words.items[1], call->words.items + 2,
                               call->words.count - 2);
    if (!input || !output)
        return hs_invocation_fail(call->call, HS_EXIT_USAGE,
                                  "--input FILE and --output FILE are both wanted; or OUTPUT [NAME=VALUE]...");
    struct hs_problems problems = { 0 };
    struct hs_settings *settings = NULL;
    const struct hs_node *root = NULL;
    struct hs_error err;
    int r = read_input(call, input, &settings, &root, &problems, &err);
    hs_print_problems(&problems);
    if (r == 0 && problems.errors)
        r = hs_error_set(&err, HS_EINVAL, "%s: %zu error%s, nothing was written", input, problems.errors,
                         problems.errors == 1 ? "" : "s");
    if (r == 0)
        r = write_output(root, output, &err);
    hs_settings_destroy(settings);
    hs_problems_finish(&problems);
    return r < 0 ? fail(call, &err) : HS_EXIT_OK;
}

int hs_cmd_config_run(struct hs_invocation *invocation, const struct hs_schema *schema)
{
    static const struct {
        const char *name;
        int (*run)(const struct config_call *call);
    } actions[] = { { "render", run_render }, { "check", run_check }, { "show", run_show },
                    { "reference", run_reference }, { "example", run_example } };
    struct config_call call = { .call = invocation, .schema = schema };
    const struct hs_option options[] = {
        { .name = "input", .kind = HS_OPTION_TEXT, .target = &call.input, .value = "FILE",
          .help = "render: the configuration to read, YAML or JSON" },
        { .name = "output", .kind = HS_OPTION_TEXT, .target = &call.output, .value = "FILE",
          .help = "render: the JSON file to write; its folder is made" },
        { .name = "list", .kind = HS_OPTION_FLAG, .target = &call.list,
          .help = "show: a line a setting, with where each value comes from" },
    };
    int code;
    if (!hs_invocation_parse(invocation, options, HS_ARRAY_LEN(options), &call.words, SIZE_MAX, &code)) {
        hs_text_list_finish(&call.words);
        return code;
    }
    const char *action = call.words.count ? call.words.items[0] : "";
    bool alone = call.words.count <= 1 || (strcmp(action, "render") == 0 && !call.input && !call.output);
    code = -1;
    for (size_t i = 0; alone && i < HS_ARRAY_LEN(actions) && code < 0; i++) {
        if (strcmp(actions[i].name, action) == 0)
            code = actions[i].run(&call);
    }
    hs_text_list_finish(&call.words);
    if (code < 0)
        return hs_invocation_fail(invocation, HS_EXIT_USAGE, "say one of render, check, show, reference, example");
    return code;
}
