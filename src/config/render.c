#include "config/render.h"

#include <string.h>

#include "base/str.h"

/* ---- JSON ---- */

int hs_render_json_string(const char *text, struct hs_buf *buf)
{
    int r = hs_buf_append_str(buf, "\"");
    for (; r == 0 && *text; text++) {
        unsigned char c = (unsigned char) *text;
        size_t plain = strcspn(text, "\"\\\x01\x02\x03\x04\x05\x06\x07\b\t\n\x0b\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15"
                                     "\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f");
        if (plain) {
            r = hs_buf_append(buf, text, plain);
            text += plain - 1;
        } else if (c == '"' || c == '\\') {
            r = hs_buf_printf(buf, "\\%c", c);
        } else if (c == '\n' || c == '\t' || c == '\r') {
            r = hs_buf_append_str(buf, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        } else {
            r = hs_buf_printf(buf, "\\u%04x", c);
        }
    }
    return r < 0 ? r : hs_buf_append_str(buf, "\"");
}

int hs_render_number(double value, struct hs_buf *buf)
{
    char text[32];
    hs_str_from_double(value, text);
    return hs_buf_append_str(buf, text);
}

static int render_scalar(const struct hs_node *node, struct hs_buf *buf)
{
    bool truth;
    long long whole;
    double number;
    if (hs_node_is_null(node))
        return hs_buf_append_str(buf, "null");
    if (hs_node_bool(node, &truth))
        return hs_buf_append_str(buf, truth ? "true" : "false");
    if (hs_node_int(node, &whole))
        return hs_buf_printf(buf, "%lld", whole);
    /* 007 would be read as 7, and what has leading zeros is seldom meant as a number. */
    bool zeros = node->text[0] == '0' && strspn(node->text, "0123456789") == strlen(node->text);
    if (zeros || !hs_node_double(node, &number))
        return hs_render_json_string(node->text, buf);
    size_t before = buf->len;
    int r = hs_render_number(number, buf);
    /* 1.0 stays a number with a point. */
    bool whole_text = r == 0 && !memchr(buf->data + before, '.', buf->len - before) &&
                      !memchr(buf->data + before, 'e', buf->len - before);
    return whole_text ? hs_buf_append_str(buf, ".0") : r;
}

int hs_render_node_json(const struct hs_node *node, int indent, struct hs_buf *buf)
{
    if (node->kind == HS_NODE_SCALAR)
        return render_scalar(node, buf);
    bool map = node->kind == HS_NODE_MAP;
    if (node->count == 0)
        return hs_buf_append_str(buf, map ? "{}" : "[]");
    int r = hs_buf_append_str(buf, map ? "{" : "[");
    for (size_t i = 0; r == 0 && i < node->count; i++) {
        r = hs_buf_printf(buf, "%s\n%*s", i ? "," : "", indent + 2, "");
        if (r == 0 && map)
            r = hs_render_json_string(node->keys[i], buf);
        if (r == 0 && map)
            r = hs_buf_append_str(buf, ": ");
        if (r == 0)
            r = hs_render_node_json(node->items[i], indent + 2, buf);
    }
    return r < 0 ? r : hs_buf_printf(buf, "\n%*s%s", indent, "", map ? "}" : "]");
}

/* ---- pages ---- */

/* Appends `section` with its length in *ret_len; true where row `index` is in another one than the row before. */
static bool new_section(const struct hs_schema *schema, size_t index, int *ret_len)
{
    const char *name = hs_schema_row(schema, index, NULL)->name;
    size_t len = strcspn(name, ".");
    *ret_len = (int) len;
    return index == 0 || strncmp(hs_schema_row(schema, index - 1, NULL)->name, name, len + 1) != 0;
}

/* The default as a file would hold it: texts in quotes, and words that YAML takes for something else. */
static int write_default(const struct hs_schema *schema, const struct hs_setting *row, struct hs_buf *buf)
{
    const char *text = hs_schema_fallback(schema, row);
    bool quoted = row->type == HS_SETTING_TEXT || row->type == HS_SETTING_BYTES || row->type == HS_SETTING_PERCENT ||
                  (row->type == HS_SETTING_CHOICE && hs_str_equal_nocase(text, "off"));
    return quoted ? hs_render_json_string(text, buf) : hs_buf_append_str(buf, text);
}

static int write_facts(const struct hs_schema *schema, const struct hs_setting *row, struct hs_buf *buf)
{
    int r = hs_buf_append_str(buf, "default ");
    if (r == 0)
        r = write_default(schema, row, buf);
    if (r == 0)
        r = hs_buf_append_str(buf, "; allowed: ");
    return r < 0 ? r : hs_setting_write_range(row, buf);
}

static const char *unit_note(const struct hs_setting *row)
{
    return row->flags & HS_SETTING_UNIT ? "; obeyed by the systemd unit" : "";
}

static int help_row(const struct hs_schema *schema, const struct hs_setting *row, struct hs_buf *buf)
{
    int r = hs_buf_printf(buf, "  %s\n      %s%s\n      ", row->name, row->help, unit_note(row));
    if (r == 0)
        r = write_facts(schema, row, buf);
    return r < 0 ? r : hs_buf_append_str(buf, "\n");
}

int hs_render_help(const struct hs_schema *schema, struct hs_buf *buf)
{
    char variable[HS_VARIABLE_SIZE];
    hs_schema_variable(schema, "server.port", variable);
    int r = hs_buf_printf(buf,
                          "Settings, for --set NAME=VALUE, the environment (server.port is %s) and the "
                          "configuration file:\n",
                          variable);
    const struct hs_setting *row;
    for (size_t i = 0; r == 0 && (row = hs_schema_row(schema, i, NULL)); i++)
        r = help_row(schema, row, buf);
    return r;
}

/* Markdown splits a table's row at each '|'. */
static int reference_row(const struct hs_schema *schema, const struct hs_setting *row, struct hs_buf *buf)
{
    char variable[HS_VARIABLE_SIZE];
    hs_schema_variable(schema, row->name, variable);
    int r = hs_buf_printf(buf, "| `%s` | `", row->name);
    if (r == 0)
        r = write_default(schema, row, buf);
    if (r == 0)
        r = hs_buf_append_str(buf, "` | ");
    if (r == 0)
        r = hs_setting_write_range(row, buf);
    if (r == 0)
        r = hs_buf_printf(buf, "%s%s | %s%s | `%s`", row->unit && row->type != HS_SETTING_SECONDS ? " " : "",
                          row->unit && row->type != HS_SETTING_SECONDS ? row->unit : "", row->help, unit_note(row),
                          variable);
    if (r == 0 && row->variable)
        r = hs_buf_printf(buf, ", else `%s`", row->variable);
    return r < 0 ? r : hs_buf_append_str(buf, " |\n");
}

int hs_render_reference(const struct hs_schema *schema, struct hs_buf *buf)
{
    int r = 0, len;
    const struct hs_setting *row;
    for (size_t i = 0; r == 0 && (row = hs_schema_row(schema, i, NULL)); i++) {
        if (new_section(schema, i, &len))
            r = hs_buf_printf(buf,
                              "%s### %.*s\n\n| setting | default | allowed | meaning | environment |\n"
                              "| --- | --- | --- | --- | --- |\n",
                              i ? "\n" : "", len, row->name);
        if (r == 0)
            r = reference_row(schema, row, buf);
    }
    return r;
}

int hs_render_example(const struct hs_schema *schema, struct hs_buf *buf)
{
    int r = hs_buf_printf(buf, "# Settings of %s with their defaults. What is left out keeps its default.\n",
                          schema->program);
    int len;
    const struct hs_setting *row;
    for (size_t i = 0; r == 0 && (row = hs_schema_row(schema, i, NULL)); i++) {
        /* Such a row never opens a section that has others. */
        if (row->flags & HS_SETTING_UNUSED)
            continue;
        if (new_section(schema, i, &len))
            r = hs_buf_printf(buf, "\n%.*s:\n", len, row->name);
        if (r == 0)
            r = hs_buf_printf(buf, "  # %s%s\n  # Allowed: ", row->help, unit_note(row));
        if (r == 0)
            r = hs_setting_write_range(row, buf);
        if (r == 0)
            r = hs_buf_printf(buf, "\n  %s: ", strchr(row->name, '.') + 1);
        if (r == 0)
            r = write_default(schema, row, buf);
        if (r == 0)
            r = hs_buf_append_str(buf, "\n");
    }
    return r;
}
