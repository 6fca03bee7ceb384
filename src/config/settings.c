#include "config/settings.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "config/render.h"

/* `origins` has one owned text per row; NULL means default. */
struct hs_settings {
    const struct hs_schema *schema;
    size_t count;
    unsigned char *values;
    char **origins;
    struct hs_doc *doc;
};

static void *field(const struct hs_settings *settings, size_t index)
{
    size_t offset = 0;
    hs_schema_row(settings->schema, index, &offset);
    return settings->values + offset;
}

static bool is_text(const struct hs_setting *row)
{
    return row->type == HS_SETTING_TEXT || row->type == HS_SETTING_LIST;
}

/* Sets row `index` from a node, or from text if node is NULL. */
static int set_value(struct hs_settings *settings, size_t index, const struct hs_node *node, const char *text,
                     const char *origin, const char **ret_reason)
{
    const struct hs_setting *row = hs_schema_row(settings->schema, index, NULL);
    char *copy = NULL;
    if (origin) {
        copy = strdup(origin);
        if (!copy)
            return HS_ENOMEM;
    }
    void *dst = field(settings, index);
    int r = node ? hs_setting_read(row, node, dst, ret_reason) : hs_setting_read_text(row, text, dst, ret_reason);
    if (r < 0) {
        free(copy);
        return r;
    }
    free(settings->origins[index]);
    settings->origins[index] = copy;
    return 0;
}

static int set_default(struct hs_settings *settings, size_t index, const char **ret_reason)
{
    const struct hs_setting *row = hs_schema_row(settings->schema, index, NULL);
    return set_value(settings, index, NULL, hs_schema_default(settings->schema, row), NULL, ret_reason);
}

int hs_settings_create(const struct hs_schema *schema, struct hs_settings **ret_settings, struct hs_error *err)
{
    struct hs_settings *settings = calloc(1, sizeof(*settings));
    if (!settings)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    settings->schema = schema;
    settings->count = hs_schema_count(schema);
    settings->values = calloc(1, schema->settings_size);
    settings->origins = calloc(settings->count, sizeof(*settings->origins));
    int r = settings->values && settings->origins ? 0 : hs_error_set(err, HS_ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < settings->count; i++) {
        const char *reason = "";
        r = set_default(settings, i, &reason);
        if (r == HS_EINVAL)
            r = hs_error_set(err, HS_EINTERNAL, "the default of %s %s", hs_schema_row(schema, i, NULL)->name, reason);
        else if (r < 0)
            hs_error_set(err, r, "out of memory");
    }
    if (r < 0)
        hs_settings_destroy(settings);
    else
        *ret_settings = settings;
    return r;
}

void hs_settings_destroy(struct hs_settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings->count; i++) {
        const struct hs_setting *row = hs_schema_row(settings->schema, i, NULL);
        if (settings->values && is_text(row))
            free(*(char **) field(settings, i));
        if (settings->origins)
            free(settings->origins[i]);
    }
    free(settings->values);
    free(settings->origins);
    hs_doc_destroy(settings->doc);
    free(settings);
}

const void *hs_settings_values(const struct hs_settings *settings)
{
    return settings->values;
}

const struct hs_schema *hs_settings_schema(const struct hs_settings *settings)
{
    return settings->schema;
}

const char *hs_settings_origin(const struct hs_settings *settings, size_t index)
{
    return settings->origins[index] ? settings->origins[index] : "default";
}

/* ---- problems ---- */

void hs_problems_finish(struct hs_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        free(problems->items[i].text);
    free(problems->items);
    *problems = (struct hs_problems) { 0 };
}

void hs_problems_add(struct hs_problems *problems, enum hs_problem_level level, int line, const char *format, ...)
{
    problems->errors += level == HS_PROBLEM_ERROR;
    problems->warnings += level == HS_PROBLEM_WARNING;
    if (problems->count == HS_PROBLEMS_MAX) {
        problems->dropped++;
        return;
    }
    if (!problems->items)
        problems->items = calloc(HS_PROBLEMS_MAX, sizeof(*problems->items));
    struct hs_problem problem = { .level = level, .line = line };
    va_list args;
    va_start(args, format);
    if (!problems->items || vasprintf(&problem.text, format, args) < 0)
        problems->no_memory = true;
    else
        problems->items[problems->count++] = problem;
    va_end(args);
}

/* Appends a value as in the file, cut, for messages. Hides secrets. */
static void describe(const struct hs_setting *row, const struct hs_node *node, struct hs_buf *buf)
{
    char quoted[80];
    if (row->flags & HS_SETTING_SECRET) {
        hs_buf_append_str(buf, "the value");
    } else if (node->kind == HS_NODE_MAP) {
        hs_buf_append_str(buf, "a section");
    } else if (node->kind == HS_NODE_SCALAR) {
        hs_str_quote(quoted, sizeof(quoted), node->text, strlen(node->text));
        size_t len = strlen(quoted);
        /* hs_str_quote always adds quotes; they are removed for a scalar without quotes. */
        hs_buf_append(buf, node->quoted ? quoted : quoted + 1, node->quoted ? len : len - 2);
    } else {
        hs_buf_append_str(buf, "[");
        for (size_t i = 0; i < node->count && i < 4; i++) {
            hs_buf_append_str(buf, i ? ", " : "");
            if (node->items[i]->kind == HS_NODE_LIST)
                hs_buf_append_str(buf, "[…]");
            else
                describe(row, node->items[i], buf);
        }
        hs_buf_append_str(buf, node->count > 4 ? ", …]" : "]");
    }
}

/* Adds "pose.yaml:3: server.port: 99999 is too large (allowed: 0 to 65535)". */
static void add_bad_value(const struct hs_setting *row, const struct hs_node *node, const char *where, int line,
                          const char *reason, struct hs_problems *problems)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 4096);
    describe(row, node, &buf);
    hs_buf_printf(&buf, " %s (allowed: ", reason);
    hs_setting_write_range(row, &buf);
    const char *text = hs_buf_str(&buf);
    if (hs_buf_error(&buf) || !text)
        problems->no_memory = true;
    else
        hs_problems_add(problems, HS_PROBLEM_ERROR, line, "%s: %s: %s)", where, row->name, text);
    hs_buf_finish(&buf);
}

/* `what` is "setting" or "section". */
static void add_unknown(const struct hs_settings *settings, const char *what, const char *name, const char *where,
                        int line, enum hs_problem_level level, struct hs_problems *problems)
{
    char quoted[120], meant[128];
    hs_str_quote(quoted, sizeof(quoted), name, strlen(name));
    bool near = hs_schema_suggest(settings->schema, name, meant, sizeof(meant));
    hs_problems_add(problems, level, line, "%s: unknown %s %s%s%s%s", where, what, quoted,
                    near ? "; did you mean " : "", near ? meant : "", near ? "?" : "");
}

/* ---- sources ---- */

/* Sets row `index` from a node, or from text if node is NULL. */
static void apply(struct hs_settings *settings, size_t index, const struct hs_node *node, const char *text,
                  const char *origin, struct hs_problems *problems)
{
    const struct hs_setting *row = hs_schema_row(settings->schema, index, NULL);
    const struct hs_node scalar = { .kind = HS_NODE_SCALAR, .text = text, .quoted = true };
    const char *reason = "";
    int line = node ? node->line : 0;
    bool empty = node ? hs_node_is_null(node) : !*text && row->type != HS_SETTING_TEXT && row->type != HS_SETTING_LIST;
    int r = empty ? set_default(settings, index, &reason) : set_value(settings, index, node, text, origin, &reason);
    if (r == HS_EINVAL)
        add_bad_value(row, node ? node : &scalar, origin, line, reason, problems);
    else if (r < 0)
        problems->no_memory = true;
    else if (row->flags & HS_SETTING_UNUSED)
        hs_problems_add(problems, HS_PROBLEM_NOTE, line, "%s: %s: %s", origin, row->name, row->help);
}

/* `name`: the name in the file, the option or the variable. */
static void warn_about_former(const struct hs_settings *settings, size_t index, const char *name, const char *origin,
                              int line, struct hs_problems *problems)
{
    const struct hs_setting *row = hs_schema_row(settings->schema, index, NULL);
    if (strcmp(name, row->name) != 0)
        hs_problems_add(problems, HS_PROBLEM_WARNING, line, "%s: %s was renamed; use %s", origin, name, row->name);
}

/* Applies one section of a document. `file` names the document in messages. */
static void apply_section(struct hs_settings *settings, const char *section, const struct hs_node *map,
                          const char *file, struct hs_problems *problems)
{
    for (size_t i = 0; i < map->count; i++) {
        char name[128], where[PATH_MAX + 16];
        bool fits = hs_str_format(name, sizeof(name), "%s.%s", section, map->keys[i]);
        long index = fits ? hs_schema_find(settings->schema, name) : -1;
        int line = index >= 0 ? map->items[i]->line : map->key_lines[i];
        hs_str_format(where, sizeof(where), "%s:%d", file, line);
        const struct hs_setting *row = index >= 0 ? hs_schema_row(settings->schema, (size_t) index, NULL) : NULL;
        if (row) {
            warn_about_former(settings, (size_t) index, name, where, line, problems);
            /* The new name has priority if the section has both. */
            if (strcmp(name, row->name) == 0 || !hs_node_get(map, strchr(row->name, '.') + 1))
                apply(settings, (size_t) index, map->items[i], NULL, where, problems);
        } else {
            add_unknown(settings, "setting", name, where, line, HS_PROBLEM_WARNING, problems);
        }
    }
}

void hs_settings_apply_doc(struct hs_settings *settings, struct hs_doc *doc, const char *name,
                           struct hs_problems *problems)
{
    const struct hs_node *root = hs_doc_root(doc);
    hs_doc_destroy(settings->doc);
    settings->doc = doc;
    if (root->kind != HS_NODE_MAP)
        hs_problems_add(problems, HS_PROBLEM_ERROR, root->line, "%s:%d: expected sections such as \"server:\"", name,
                        root->line);
    for (size_t i = 0; root->kind == HS_NODE_MAP && i < root->count; i++) {
        const struct hs_node *item = root->items[i];
        const char *section = root->keys[i];
        int line = root->key_lines[i];
        char where[PATH_MAX + 16];
        hs_str_format(where, sizeof(where), "%s:%d", name, line);
        if (!hs_schema_has_section(settings->schema, section))
            add_unknown(settings, "section", section, where, line, HS_PROBLEM_WARNING, problems);
        else if (item->kind == HS_NODE_MAP)
            apply_section(settings, section, item, name, problems);
        else if (!hs_node_is_null(item))
            hs_problems_add(problems, HS_PROBLEM_ERROR, line,
                            "%s: %s is a section and must contain settings with their values", where, section);
    }
}

/* Returns the value of a variable, or NULL if it is absent or empty. */
static const char *variable_value(const char *const *environment, const char *name)
{
    size_t len = strlen(name);
    for (; *environment; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return (*environment)[len + 1] ? *environment + len + 1 : NULL;
    }
    return NULL;
}

/* Returns true if a variable with the program's prefix belongs to a setting. */
static bool is_known(const struct hs_schema *schema, const char *variable, size_t len)
{
    const struct hs_setting *row;
    for (size_t i = 0; (row = hs_schema_row(schema, i, NULL)); i++) {
        char name[HS_VARIABLE_SIZE];
        hs_schema_variable(schema, row->name, name);
        if (strlen(name) == len && memcmp(name, variable, len) == 0)
            return true;
        hs_schema_variable(schema, row->former ? row->former : "", name);
        if (row->former && strlen(name) == len && memcmp(name, variable, len) == 0)
            return true;
    }
    return false;
}

void hs_settings_apply_environment(struct hs_settings *settings, const char *const *environment,
                                   struct hs_problems *problems)
{
    char name[HS_VARIABLE_SIZE], former[HS_VARIABLE_SIZE], quoted[120];
    for (size_t i = 0; i < settings->count; i++) {
        const struct hs_setting *row = hs_schema_row(settings->schema, i, NULL);
        hs_schema_variable(settings->schema, row->name, name);
        const char *variable = name, *value = variable_value(environment, name);
        if (!value && row->variable) {
            variable = row->variable;
            value = variable_value(environment, variable);
        }
        if (!value && row->former) {
            hs_schema_variable(settings->schema, row->former, former);
            variable = former;
            value = variable_value(environment, former);
            if (value)
                hs_problems_add(problems, HS_PROBLEM_WARNING, 0, "environment: %s was renamed; use %s", former, name);
        }
        if (value)
            apply(settings, i, NULL, value, variable, problems);
    }
    hs_schema_variable(settings->schema, "", name);
    for (; *environment; environment++) {
        size_t len = strcspn(*environment, "=");
        if (!hs_str_starts(*environment, name) || is_known(settings->schema, *environment, len))
            continue;
        hs_str_quote(quoted, sizeof(quoted), *environment, len);
        hs_problems_add(problems, HS_PROBLEM_WARNING, 0, "environment: unknown variable %s", quoted);
    }
}

void hs_settings_apply_override(struct hs_settings *settings, const struct hs_config_override *override,
                                struct hs_problems *problems)
{
    const char *name = override->name, *value = override->assignment, *equals = strchr(value, '=');
    char left[128], quoted[120];
    if (!name && (!equals || equals == value)) {
        hs_str_quote(quoted, sizeof(quoted), value, strlen(value));
        hs_problems_add(problems, HS_PROBLEM_ERROR, 0, "%s: %s is not NAME=VALUE", override->option, quoted);
        return;
    }
    if (!name) {
        hs_str_copy_n(left, sizeof(left), value, (size_t) (equals - value));
        name = left;
        value = equals + 1;
    }
    long index = hs_schema_find(settings->schema, name);
    if (index >= 0) {
        warn_about_former(settings, (size_t) index, name, override->option, 0, problems);
        apply(settings, (size_t) index, NULL, value, override->option, problems);
    } else {
        add_unknown(settings, "setting", name, override->option, 0, HS_PROBLEM_ERROR, problems);
    }
}

/* Returns the relative path in a setting's value: the part after the colon of "sim:SCRIPT", else the whole value. NULL
 * if that part is empty, an absolute path, an address with "://" or the name of a credential. */
static const char *relative_path(const struct hs_setting *row, const char *text)
{
    const char *colon = strchr(text, ':');
    const char *path = row->choices ? (colon ? colon + 1 : "") : text;
    bool other = strstr(path, "://") || hs_str_starts(path, "credential:");
    return path[0] && path[0] != '/' && !other ? path : NULL;
}

int hs_settings_make_paths_absolute(struct hs_settings *settings, const char *folder, struct hs_error *err)
{
    for (size_t i = 0; i < settings->count; i++) {
        const struct hs_setting *row = hs_schema_row(settings->schema, i, NULL);
        char **text = field(settings, i), absolute[2 * PATH_MAX];
        const char *path = row->flags & HS_SETTING_PATH ? relative_path(row, *text) : NULL;
        if (!path)
            continue;
        size_t before = (size_t) (path - *text);
        memcpy(absolute, *text, before);
        if (!folder[0] || !hs_path_join(absolute + before, PATH_MAX, folder, path))
            return hs_error_set(err, HS_EINVAL,
                                "%s: cannot make %s absolute: the current folder was deleted, or the path is too long",
                                row->name, path);
        char *copy = strdup(absolute);
        if (!copy)
            return hs_error_set(err, HS_ENOMEM, "out of memory");
        free(*text);
        *text = copy;
    }
    return 0;
}

/* ---- reloading ---- */

static size_t value_size(enum hs_setting_type type)
{
    switch (type) {
    case HS_SETTING_BOOL:
        return sizeof(bool);
    case HS_SETTING_INT:
    case HS_SETTING_CHOICE:
        return sizeof(int);
    case HS_SETTING_SIZE:
        return sizeof(int[2]);
    case HS_SETTING_BYTES:
        return sizeof(int64_t);
    case HS_SETTING_TEXT:
    case HS_SETTING_LIST:
        return sizeof(char *);
    case HS_SETTING_DOUBLE:
    case HS_SETTING_SECONDS:
    case HS_SETTING_PERCENT:
        break;
    }
    return sizeof(double);
}

static bool is_equal(const struct hs_setting *row, const void *a, const void *b)
{
    return is_text(row) ? strcmp(*(char *const *) a, *(char *const *) b) == 0 : !memcmp(a, b, value_size(row->type));
}

static int copy_value(const struct hs_setting *row, void *dst, const void *src)
{
    if (!is_text(row)) {
        memcpy(dst, src, value_size(row->type));
        return 0;
    }
    char *copy = strdup(*(char *const *) src);
    if (!copy)
        return HS_ENOMEM;
    free(*(char **) dst);
    *(char **) dst = copy;
    return 0;
}

int hs_settings_keep_fixed(struct hs_settings *next, const struct hs_settings *current, struct hs_buf *ret_changed,
                           struct hs_buf *ret_fixed)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < next->count; i++) {
        const struct hs_setting *row = hs_schema_row(next->schema, i, NULL);
        if (row->flags & HS_SETTING_UNUSED || is_equal(row, field(next, i), field(current, i)))
            continue;
        bool changes = row->flags & HS_SETTING_RELOAD;
        struct hs_buf *list = changes ? ret_changed : ret_fixed;
        r = hs_buf_printf(list, "%s%s", list->len ? ", " : "", row->name);
        if (r == 0 && !changes)
            r = copy_value(row, field(next, i), field(current, i));
    }
    return r;
}

/* ---- loading ---- */

static bool standard_path(const struct hs_schema *schema, const char *const *environment, char *dst, size_t size)
{
    const char *home = variable_value(environment, "XDG_CONFIG_HOME");
    if (schema->path)
        return hs_str_copy(dst, size, schema->path);
    return hs_str_format(dst, size, "%s/%s/%s.json", home ? home : "/etc/xdg", schema->program, schema->program);
}

/* Returns true if `a` exists, and `b` does not or is not newer. */
static bool is_latest(const char *a, const char *b)
{
    struct stat first, second;
    if (stat(a, &first) < 0)
        return false;
    if (stat(b, &second) < 0)
        return true;
    return first.st_mtim.tv_sec != second.st_mtim.tv_sec ? first.st_mtim.tv_sec > second.st_mtim.tv_sec
                                                         : first.st_mtim.tv_nsec >= second.st_mtim.tv_nsec;
}

bool hs_config_default_path(const struct hs_schema *schema, const char *const *environment, char *dst, size_t size)
{
    if (!standard_path(schema, environment, dst, size))
        return false;
    if (schema->yaml_path && is_latest(schema->yaml_path, dst))
        return hs_str_copy(dst, size, schema->yaml_path);
    return true;
}

/* Notes which file was read, because the standard file is one of two. */
static void note_file(const struct hs_config_request *request, const char *path, struct hs_problems *problems)
{
    const char *yaml = request->path ? NULL : request->schema->yaml_path;
    char json[PATH_MAX];
    bool older = yaml && strcmp(path, yaml) == 0 &&
                 standard_path(request->schema, request->environment, json, sizeof(json)) && hs_file_exists(json);
    if (older)
        hs_problems_add(problems, HS_PROBLEM_NOTE, 0, "Configuration: %s (newer than %s, which is not read)", path,
                        json);
    else
        hs_problems_add(problems, HS_PROBLEM_NOTE, 0, "Configuration: %s", path);
}

int hs_config_load(const struct hs_config_request *request, struct hs_settings **ret_settings,
                   struct hs_problems *problems, struct hs_error *err)
{
    struct hs_settings *settings;
    struct hs_doc *doc;
    struct hs_error why;
    char standard[PATH_MAX];
    int r = hs_settings_create(request->schema, &settings, err);
    if (r < 0)
        return r;
    const char *path = request->path ? request->path : standard;
    bool fits =
        request->path || hs_config_default_path(request->schema, request->environment, standard, sizeof(standard));
    r = fits ? hs_doc_load(path, &doc, &why) : hs_error_set(&why, HS_EINVAL, "XDG_CONFIG_HOME is too long");
    if (r == 0) {
        note_file(request, path, problems);
        hs_settings_apply_doc(settings, doc, path, problems);
    } else if (r == HS_ENOMEM) {
        problems->no_memory = true;
    } else if (r == HS_ENOTFOUND && !request->path) {
        hs_problems_add(problems, HS_PROBLEM_NOTE, 0, "No configuration file (%s%s%s); using defaults", path,
                        request->schema->yaml_path ? " or " : "",
                        request->schema->yaml_path ? request->schema->yaml_path : "");
    } else {
        hs_problems_add(problems, HS_PROBLEM_ERROR, why.line, "%s", why.message);
    }
    r = 0;
    hs_settings_apply_environment(settings, request->environment, problems);
    size_t before = problems->errors;
    for (size_t i = 0; i < request->override_count; i++)
        hs_settings_apply_override(settings, &request->overrides[i], problems);
    problems->usage_errors += problems->errors - before;
    if (request->peek)
        request->peek(settings);
    if (problems->no_memory)
        r = hs_error_set(err, HS_ENOMEM, "out of memory");
    else if (problems->errors)
        r = hs_error_set(err, HS_EINVAL, "the configuration has %zu error%s", problems->errors,
                         problems->errors == 1 ? "" : "s");
    if (r < 0)
        hs_settings_destroy(settings);
    else
        *ret_settings = settings;
    return r;
}

/* ---- writing ---- */

/* Writes all settings of a section, then the section's unknown keys from the file. */
static void write_section(const struct hs_settings *settings, const char *section, struct hs_json_writer *json)
{
    size_t len = strlen(section);
    hs_json_key(json, section);
    hs_json_open(json, '{');
    for (size_t i = 0; i < settings->count; i++) {
        const struct hs_setting *row = hs_schema_row(settings->schema, i, NULL);
        if (strncmp(row->name, section, len) != 0 || row->name[len] != '.')
            continue;
        hs_json_key(json, row->name + len + 1);
        hs_setting_write(row, field(settings, i), hs_json_raw(json));
    }
    const struct hs_node *map = settings->doc ? hs_node_get(hs_doc_root(settings->doc), section) : NULL;
    for (size_t i = 0; map && map->kind == HS_NODE_MAP && i < map->count; i++) {
        char name[128];
        if (hs_str_format(name, sizeof(name), "%s.%s", section, map->keys[i]) &&
            hs_schema_find(settings->schema, name) >= 0)
            continue;
        hs_json_key(json, map->keys[i]);
        hs_render_node(json, map->items[i]);
    }
    hs_json_close(json, '}');
}

int hs_settings_write_json(const struct hs_settings *settings, struct hs_buf *buf)
{
    struct hs_json_writer json;
    hs_json_begin(&json, buf, HS_JSON_FILE);
    hs_json_open(&json, '{');
    for (size_t i = 0; i < settings->count; i++) {
        const char *name = hs_schema_row(settings->schema, i, NULL)->name;
        size_t len = strcspn(name, "."), first = 0;
        while (strncmp(hs_schema_row(settings->schema, first, NULL)->name, name, len + 1) != 0)
            first++;
        char section[64];
        hs_str_copy_n(section, sizeof(section), name, len);
        if (first == i)
            write_section(settings, section, &json);
    }
    const struct hs_node *root = settings->doc ? hs_doc_root(settings->doc) : NULL;
    for (size_t i = 0; root && root->kind == HS_NODE_MAP && i < root->count; i++) {
        if (hs_schema_has_section(settings->schema, root->keys[i]))
            continue;
        hs_json_key(&json, root->keys[i]);
        hs_render_node(&json, root->items[i]);
    }
    hs_json_close(&json, '}');
    return hs_json_end(&json);
}

int hs_settings_write_list(const struct hs_settings *settings, struct hs_buf *buf)
{
    for (size_t i = 0; i < settings->count; i++) {
        const struct hs_setting *row = hs_schema_row(settings->schema, i, NULL);
        size_t before = buf->len;
        hs_buf_printf(buf, "%s = ", row->name);
        if (row->flags & HS_SETTING_SECRET)
            hs_buf_append_str(buf, "***");
        else
            hs_setting_write(row, field(settings, i), buf);
        size_t width = buf->len - before;
        hs_buf_printf(buf, "%*s  # %s\n", width < 48 ? (int) (48 - width) : 0, "", hs_settings_origin(settings, i));
    }
    return hs_buf_error(buf);
}
