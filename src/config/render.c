#include "config/render.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "config/common.h"

/* ---- JSON ---- */

void hs_render_node(struct hs_json_writer *json, const struct hs_node *node)
{
    bool truth, map = node->kind == HS_NODE_MAP;
    long long whole;
    double number;
    if (node->kind != HS_NODE_SCALAR) {
        hs_json_open(json, map ? '{' : '[');
        for (size_t i = 0; i < node->count; i++) {
            if (map)
                hs_json_key(json, node->keys[i]);
            hs_render_node(json, node->items[i]);
        }
        hs_json_close(json, map ? '}' : ']');
        return;
    }
    /* Digits with a leading zero, such as 007, are rarely meant as a number, so they stay a text. */
    bool zeros = node->text[0] == '0' && strspn(node->text, "0123456789") == strlen(node->text);
    if (hs_node_is_null(node))
        hs_json_null(json);
    else if (hs_node_bool(node, &truth))
        hs_json_bool(json, truth);
    else if (hs_node_int(node, &whole))
        hs_json_int(json, whole);
    else if (!zeros && hs_node_double(node, &number))
        hs_json_real(json, number);
    else
        hs_json_string(json, node->text);
}

int hs_render_node_json(const struct hs_node *node, struct hs_buf *buf)
{
    struct hs_json_writer json;
    hs_json_begin(&json, buf, HS_JSON_FILE);
    hs_render_node(&json, node);
    return hs_buf_error(buf);
}

/* ---- pages ---- */

/* Returns true if the row is the first one or the previous row is in another section. *ret_len is the length of the
 * section in the row's name. */
static bool new_section(const struct hs_schema *schema, size_t index, int *ret_len)
{
    const char *name = hs_schema_row(schema, index, NULL)->name;
    size_t len = strcspn(name, ".");
    *ret_len = (int) len;
    return index == 0 || strncmp(hs_schema_row(schema, index - 1, NULL)->name, name, len + 1) != 0;
}

/* Writes the default as in a file. Quotes texts, and words that YAML reads as another type. */
static void write_default(const struct hs_schema *schema, const struct hs_setting *row, struct hs_buf *buf)
{
    const char *text = hs_schema_default(schema, row);
    bool quoted = row->type == HS_SETTING_TEXT || row->type == HS_SETTING_BYTES || row->type == HS_SETTING_PERCENT ||
                  (row->type == HS_SETTING_CHOICE && hs_str_equal_nocase(text, "off"));
    if (quoted)
        hs_json_put_string(buf, text, strlen(text), false);
    else
        hs_buf_append_str(buf, text);
}

static const char *unit_note(const struct hs_setting *row)
{
    if (row->flags & HS_SETTING_UNIT)
        return "; in effect if the unit has the drop-in that `config render --drop-in` writes";
    return row->flags & HS_SETTING_RELOAD ? " (reload)" : "";
}

int hs_render_reference(const struct hs_schema *schema, struct hs_buf *buf)
{
    const struct hs_setting *row;
    for (size_t i = 0; (row = hs_schema_row(schema, i, NULL)); i++) {
        char variable[HS_VARIABLE_SIZE];
        int len;
        if (new_section(schema, i, &len))
            hs_buf_printf(buf,
                          "%s### %.*s\n\n| setting | default | allowed | meaning | environment |\n"
                          "| --- | --- | --- | --- | --- |\n",
                          i ? "\n" : "", len, row->name);
        hs_buf_printf(buf, "| `%s` | `", row->name);
        write_default(schema, row, buf);
        hs_buf_append_str(buf, "` | ");
        hs_setting_write_range(row, buf);
        if (row->unit && row->type != HS_SETTING_SECONDS)
            hs_buf_printf(buf, " %s", row->unit);
        hs_schema_variable(schema, row->name, variable);
        hs_buf_printf(buf, " | %s%s | `%s`", row->help, unit_note(row), variable);
        if (row->variable)
            hs_buf_printf(buf, ", else `%s`", row->variable);
        hs_buf_append_str(buf, " |\n");
    }
    return hs_buf_error(buf);
}

int hs_render_example(const struct hs_schema *schema, struct hs_buf *buf)
{
    const struct hs_setting *row;
    hs_buf_printf(buf, "# Settings of %s with their defaults. A setting that is left out keeps its default.\n",
                  schema->program);
    for (size_t i = 0; (row = hs_schema_row(schema, i, NULL)); i++) {
        int len;
        /* An unused row is never the first of a section with other rows. */
        if (row->flags & HS_SETTING_UNUSED)
            continue;
        if (new_section(schema, i, &len))
            hs_buf_printf(buf, "\n%.*s:\n", len, row->name);
        hs_buf_printf(buf, "  # %s%s\n  # Allowed: ", row->help, unit_note(row));
        hs_setting_write_range(row, buf);
        hs_buf_printf(buf, "\n  %s: ", strchr(row->name, '.') + 1);
        write_default(schema, row, buf);
        hs_buf_append_str(buf, "\n");
    }
    return hs_buf_error(buf);
}

int hs_render_drop_in(const struct hs_settings *settings, struct hs_buf *buf)
{
    const struct hs_common_settings *common = hs_settings_values(settings);
    const struct hs_resource_settings *limits = &common->resource_limits;
    const char *program = hs_settings_schema(settings)->program;
    hs_buf_printf(
        buf,
        "# Written by \"%s config render --drop-in\" from resource_limits of the configuration, and replaced by "
        "its next run.\n# 100%% of CPUQuota is one processor.\n[Service]\n",
        program);
    if (limits->memory_max == INT64_MAX)
        hs_buf_append_str(buf, "MemoryMax=infinity\n");
    else
        hs_buf_printf(buf, "MemoryMax=%" PRId64 "\n", limits->memory_max);
    hs_buf_printf(buf, "CPUQuota=%g%%\n", limits->cpu_quota);
    return hs_buf_error(buf);
}
