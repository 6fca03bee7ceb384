#include "config/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/render.h"

/* `origins` has one owned text a row; NULL means default. */
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

/* Sets row `index` from a node, or from text where node is NULL. */
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
    return set_value(settings, index, NULL, hs_schema_fallback(settings->schema, row), NULL, ret_reason);
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
        if (settings->values && hs_schema_row(settings->schema, i, NULL)->type == HS_SETTING_TEXT)
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

/* ---- problems in words ---- */

/* A value as its writer would recognise it, cut. */
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
        /* hs_str_quote quotes always; a plain scalar had no quotes. */
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

/* "pose.yaml:3: server.port: 99999 is too large (allowed: 0 to 65535)" */
static int add_bad_value(const struct hs_setting *row, const struct hs_node *node, const char *where, int line,
                         const char *reason, struct hs_problems *problems)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 4096);
    describe(row, node, &buf);
    hs_buf_printf(&buf, " %s (allowed: ", reason);
    int r = hs_setting_write_range(row, &buf);
    const char *text = hs_buf_str(&buf);
    if (r == 0 && text)
        r = hs_problems_add(problems, HS_PROBLEM_ERROR, line, "%s: %s: %s)", where, row->name, text);
    else
        r = HS_ENOMEM;
    hs_buf_finish(&buf);
    return r;
}

/* `what` is "setting" or "section". */
static int add_unknown(const struct hs_settings *settings, const char *what, const char *name, const char *where,
                       int line, enum hs_problem_level level, struct hs_problems *problems)
{
    char quoted[120], meant[128];
    hs_str_quote(quoted, sizeof(quoted), name, strlen(name));
    bool near = hs_schema_suggest(settings->schema, name, meant, sizeof(meant));
    return hs_problems_add(problems, level, line, "%s: there is no %s %s%s%s%s", where, what, quoted,
                           near ? "; did you mean " : "", near ? meant : "", near ? "?" : "");
}

/* Says of a setting without effect what has that effect. */
static int note_unused(const struct hs_setting *row, const char *where, int line, struct hs_problems *problems)
{
    if (!(row->flags & HS_SETTING_UNUSED))
        return 0;
    return hs_problems_add(problems, HS_PROBLEM_NOTE, line, "%s: %s: %s", where, row->name, row->help);
}

/* ---- documents ---- */

/* A file that is being applied. */
struct source {
    const char *name;
    struct hs_problems *problems;
    struct hs_buf where; /* "name:line" of the thing in hand */
};

static const char *place(struct source *source, int line)
{
    hs_buf_clear(&source->where);
    hs_buf_printf(&source->where, "%s:%d", source->name, line);
    const char *text = hs_buf_str(&source->where);
    return text ? text : source->name;
}

static int apply_node(struct hs_settings *settings, size_t index, const struct hs_node *node, struct source *source)
{
    const char *reason = "", *where = place(source, node->line);
    int r = hs_node_is_null(node) ? set_default(settings, index, &reason)
                                  : set_value(settings, index, node, NULL, where, &reason);
    const struct hs_setting *row = hs_schema_row(settings->schema, index, NULL);
    if (r == 0)
        return note_unused(row, where, node->line, source->problems);
    return r == HS_EINVAL ? add_bad_value(row, node, where, node->line, reason, source->problems) : r;
}

static int apply_section(struct hs_settings *settings, const char *section, const struct hs_node *map,
                         struct source *source)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < map->count; i++) {
        char name[128];
        bool fits = hs_str_format(name, sizeof(name), "%s.%s", section, map->keys[i]);
        long index = fits ? hs_schema_find(settings->schema, name) : -1;
        if (index >= 0)
            r = apply_node(settings, (size_t) index, map->items[i], source);
        else
            r = add_unknown(settings, "setting", name, place(source, map->key_lines[i]), map->key_lines[i],
                            HS_PROBLEM_WARNING, source->problems);
    }
    return r;
}

static int apply_root(struct hs_settings *settings, const struct hs_node *root, struct source *source)
{
    if (root->kind != HS_NODE_MAP)
        return hs_problems_add(source->problems, HS_PROBLEM_ERROR, root->line,
                               "%s: sections such as \"server:\" are wanted here", place(source, root->line));
    int r = 0;
    for (size_t i = 0; r == 0 && i < root->count; i++) {
        const struct hs_node *item = root->items[i];
        int line = root->key_lines[i];
        if (!hs_schema_has_section(settings->schema, root->keys[i]))
            r = add_unknown(settings, "section", root->keys[i], place(source, line), line, HS_PROBLEM_WARNING,
                            source->problems);
        else if (item->kind == HS_NODE_MAP)
            r = apply_section(settings, root->keys[i], item, source);
        else if (!hs_node_is_null(item))
            r = hs_problems_add(source->problems, HS_PROBLEM_ERROR, line,
                                "%s: %s is a section: settings with their values are wanted in it",
                                place(source, line), root->keys[i]);
    }
    return r;
}

int hs_settings_apply_doc(struct hs_settings *settings, struct hs_doc *doc, const char *name,
                          struct hs_problems *problems)
{
    struct source source = { .name = name, .problems = problems };
    hs_buf_init(&source.where, 8192);
    hs_doc_destroy(settings->doc);
    settings->doc = doc;
    int r = apply_root(settings, hs_doc_root(doc), &source);
    hs_buf_finish(&source.where);
    return r;
}

/* ---- environment and options ---- */

static int apply_text(struct hs_settings *settings, size_t index, const char *text, const char *origin,
                      struct hs_problems *problems)
{
    const struct hs_setting *row = hs_schema_row(settings->schema, index, NULL);
    const char *reason = "";
    int r = *text || row->type == HS_SETTING_TEXT ? set_value(settings, index, NULL, text, origin, &reason)
                                                  : set_default(settings, index, &reason);
    if (r == 0)
        return note_unused(row, origin, 0, problems);
    if (r != HS_EINVAL)
        return r;
    const struct hs_node scalar = { .kind = HS_NODE_SCALAR, .text = text, .quoted = true };
    return add_bad_value(row, &scalar, origin, 0, reason, problems);
}

/* The value of NAME, or NULL where it is absent or empty. */
static const char *variable_value(const char *const *environment, const char *name)
{
    size_t len = strlen(name);
    for (; *environment; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return (*environment)[len + 1] ? *environment + len + 1 : NULL;
    }
    return NULL;
}

/* The setting that a variable with the program's prefix belongs to, or -1. */
static long find_variable(const struct hs_schema *schema, const char *variable, size_t len)
{
    const struct hs_setting *row;
    for (size_t i = 0; (row = hs_schema_row(schema, i, NULL)); i++) {
        char name[HS_VARIABLE_SIZE];
        hs_schema_variable(schema, row->name, name);
        if (strlen(name) == len && memcmp(name, variable, len) == 0)
            return (long) i;
    }
    return -1;
}

static int warn_of_strangers(const struct hs_settings *settings, const char *const *environment,
                             struct hs_problems *problems)
{
    char prefix[HS_VARIABLE_SIZE];
    hs_schema_variable(settings->schema, "", prefix);
    int r = 0;
    for (; r == 0 && *environment; environment++) {
        size_t len = strcspn(*environment, "=");
        if (!hs_str_starts(*environment, prefix) || find_variable(settings->schema, *environment, len) >= 0)
            continue;
        char quoted[120];
        hs_str_quote(quoted, sizeof(quoted), *environment, len);
        r = hs_problems_add(problems, HS_PROBLEM_WARNING, 0, "environment: no setting belongs to the variable %s",
                            quoted);
    }
    return r;
}

int hs_settings_apply_environment(struct hs_settings *settings, const char *const *environment,
                                  struct hs_problems *problems)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < settings->count; i++) {
        const struct hs_setting *row = hs_schema_row(settings->schema, i, NULL);
        char name[HS_VARIABLE_SIZE];
        hs_schema_variable(settings->schema, row->name, name);
        const char *variable = name, *value = variable_value(environment, name);
        if (!value && row->variable) {
            variable = row->variable;
            value = variable_value(environment, variable);
        }
        if (value)
            r = apply_text(settings, i, value, variable, problems);
    }
    return r < 0 ? r : warn_of_strangers(settings, environment, problems);
}

int hs_settings_apply_value(struct hs_settings *settings, const char *name, const char *value, const char *origin,
                            struct hs_problems *problems)
{
    long index = hs_schema_find(settings->schema, name);
    if (index < 0)
        return add_unknown(settings, "setting", name, origin, 0, HS_PROBLEM_ERROR, problems);
    return apply_text(settings, (size_t) index, value, origin, problems);
}

int hs_settings_apply_assignment(struct hs_settings *settings, const char *assignment, const char *origin,
                                 struct hs_problems *problems)
{
    const char *equals = strchr(assignment, '=');
    char name[128];
    if (!equals || equals == assignment) {
        char quoted[120];
        hs_str_quote(quoted, sizeof(quoted), assignment, strlen(assignment));
        return hs_problems_add(problems, HS_PROBLEM_ERROR, 0, "%s: %s is not NAME=VALUE", origin, quoted);
    }
    hs_str_copy_n(name, sizeof(name), assignment, (size_t) (equals - assignment));
    return hs_settings_apply_value(settings, name, equals + 1, origin, problems);
}

/* ---- writing ---- */

static size_t section_length(const char *name)
{
    return strcspn(name, ".");
}

/* True where row `index` is the first of its section. */
static bool opens_section(const struct hs_settings *settings, size_t index)
{
    const char *name = hs_schema_row(settings->schema, index, NULL)->name;
    size_t len = section_length(name) + 1;
    for (size_t i = 0; i < index; i++) {
        if (strncmp(hs_schema_row(settings->schema, i, NULL)->name, name, len) == 0)
            return false;
    }
    return true;
}

/* Starts a member: comma, line break, indent, key. */
static int write_key(const char *key, int indent, bool *first, struct hs_buf *buf)
{
    int r = hs_buf_printf(buf, "%s\n%*s", *first ? "" : ",", indent, "");
    *first = false;
    if (r == 0)
        r = hs_render_json_string(key, buf);
    return r < 0 ? r : hs_buf_append_str(buf, ": ");
}

/* The settings of the section that row `start` opens, then what else the file had in it. */
static int write_section(const struct hs_settings *settings, size_t start, const char *section, struct hs_buf *buf)
{
    size_t len = strlen(section) + 1;
    bool first = true;
    int r = hs_buf_append_str(buf, "{");
    for (size_t i = start; r == 0 && i < settings->count; i++) {
        const struct hs_setting *row = hs_schema_row(settings->schema, i, NULL);
        if (section_length(row->name) + 1 != len || strncmp(row->name, section, len - 1) != 0)
            continue;
        r = write_key(row->name + len, 4, &first, buf);
        if (r == 0)
            r = hs_setting_write(row, field(settings, i), buf);
    }
    const struct hs_node *map = settings->doc ? hs_node_get(hs_doc_root(settings->doc), section) : NULL;
    for (size_t i = 0; r == 0 && map && map->kind == HS_NODE_MAP && i < map->count; i++) {
        char name[128];
        if (hs_str_format(name, sizeof(name), "%s.%s", section, map->keys[i]) &&
            hs_schema_find(settings->schema, name) >= 0)
            continue;
        r = write_key(map->keys[i], 4, &first, buf);
        if (r == 0)
            r = hs_render_node_json(map->items[i], 4, buf);
    }
    return r < 0 ? r : hs_buf_append_str(buf, "\n  }");
}

int hs_settings_write_json(const struct hs_settings *settings, struct hs_buf *buf)
{
    bool first = true;
    int r = hs_buf_append_str(buf, "{");
    for (size_t i = 0; r == 0 && i < settings->count; i++) {
        const char *name = hs_schema_row(settings->schema, i, NULL)->name;
        char section[64];
        if (!opens_section(settings, i))
            continue;
        hs_str_copy_n(section, sizeof(section), name, section_length(name));
        r = write_key(section, 2, &first, buf);
        if (r == 0)
            r = write_section(settings, i, section, buf);
    }
    const struct hs_node *root = settings->doc ? hs_doc_root(settings->doc) : NULL;
    for (size_t i = 0; r == 0 && root && root->kind == HS_NODE_MAP && i < root->count; i++) {
        if (hs_schema_has_section(settings->schema, root->keys[i]))
            continue;
        r = write_key(root->keys[i], 2, &first, buf);
        if (r == 0)
            r = hs_render_node_json(root->items[i], 2, buf);
    }
    return r < 0 ? r : hs_buf_append_str(buf, "\n}\n");
}

int hs_settings_write_list(const struct hs_settings *settings, struct hs_buf *buf)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < settings->count; i++) {
        const struct hs_setting *row = hs_schema_row(settings->schema, i, NULL);
        size_t before = buf->len;
        r = hs_buf_printf(buf, "%s = ", row->name);
        if (r == 0)
            r = row->flags & HS_SETTING_SECRET ? hs_buf_append_str(buf, "***")
                                               : hs_setting_write(row, field(settings, i), buf);
        size_t width = buf->len - before;
        if (r == 0)
            r = hs_buf_printf(buf, "%*s  # %s\n", width < 48 ? (int) (48 - width) : 0, "",
                              hs_settings_origin(settings, i));
    }
    return r;
}
