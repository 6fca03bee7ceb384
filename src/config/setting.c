#include "config/setting.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json_writer.h"
#include "base/str.h"

/* ---- rows of a schema ---- */

size_t hs_schema_count(const struct hs_schema *schema)
{
    size_t count = 0;
    for (size_t i = 0; i < schema->group_count; i++)
        count += schema->groups[i].count;
    return count;
}

const struct hs_setting *hs_schema_row(const struct hs_schema *schema, size_t index, size_t *ret_offset)
{
    for (size_t i = 0; i < schema->group_count; i++) {
        const struct hs_setting_group *group = &schema->groups[i];
        if (index < group->count) {
            if (ret_offset)
                *ret_offset = group->offset + group->rows[index].offset;
            return &group->rows[index];
        }
        index -= group->count;
    }
    return NULL;
}

long hs_schema_find(const struct hs_schema *schema, const char *name)
{
    const struct hs_setting *row;
    for (size_t i = 0; (row = hs_schema_row(schema, i, NULL)); i++) {
        if (strcmp(row->name, name) == 0 || (row->former && strcmp(row->former, name) == 0))
            return (long) i;
    }
    return -1;
}

bool hs_schema_has_section(const struct hs_schema *schema, const char *section)
{
    size_t len = strlen(section);
    const struct hs_setting *row;
    for (size_t i = 0; (row = hs_schema_row(schema, i, NULL)); i++) {
        if (strncmp(row->name, section, len) == 0 && row->name[len] == '.')
            return true;
    }
    return false;
}

static const char *after_point(const char *name)
{
    const char *point = strchr(name, '.');
    return point ? point + 1 : name;
}

bool hs_schema_suggest(const struct hs_schema *schema, const char *name, char *dst, size_t size)
{
    bool section = !strchr(name, '.');
    const char *elsewhere = NULL;
    char candidate[128];
    size_t best = hs_str_near(after_point(name));
    bool found = false;
    const struct hs_setting *row;
    for (size_t i = 0; (row = hs_schema_row(schema, i, NULL)); i++) {
        hs_str_copy_n(candidate, sizeof(candidate), row->name, section ? strcspn(row->name, ".") : strlen(row->name));
        if (hs_str_nearer(name, candidate, &best))
            found = hs_str_copy(dst, size, candidate);
        if (!elsewhere && hs_str_equal_nocase(after_point(name), after_point(row->name)))
            elsewhere = row->name;
    }
    return found || (elsewhere && hs_str_copy(dst, size, elsewhere));
}

const char *hs_schema_default(const struct hs_schema *schema, const struct hs_setting *row)
{
    for (size_t i = 0; i < schema->default_count; i++) {
        if (strcmp(schema->defaults[i].name, row->name) == 0)
            return schema->defaults[i].default_val;
    }
    return row->default_val;
}

void hs_schema_variable(const struct hs_schema *schema, const char *name, char ret_name[HS_VARIABLE_SIZE])
{
    hs_str_format(ret_name, HS_VARIABLE_SIZE, "%s_%s", schema->program, name);
    for (char *c = ret_name; *c; c++)
        *c = isalnum((unsigned char) *c) ? (char) toupper((unsigned char) *c) : '_';
}

/* ---- reading ---- */

static int refuse(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return HS_EINVAL;
}

static int check_bounds(const struct hs_setting *row, double value, const char **ret_reason)
{
    if (value < row->min)
        return refuse(ret_reason, "is too small");
    if (value > row->max)
        return refuse(ret_reason, "is too large");
    return 0;
}

static int read_bool(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    (void) row;
    return hs_node_bool(node, dst) ? 0 : refuse(ret_reason, "is not true or false");
}

/* Reads a whole number in the row's bounds, which fit an int. */
static int read_int(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    long long value;
    if (!hs_node_int(node, &value))
        return refuse(ret_reason, "is not a whole number");
    int r = check_bounds(row, (double) value, ret_reason);
    if (r == 0)
        *(int *) dst = (int) value;
    return r;
}

static int read_double(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    double value;
    const char *text = hs_node_text(node);
    if ((row->flags & HS_SETTING_AUTO) && text && hs_str_equal_nocase(text, "auto")) {
        *(double *) dst = -1;
        return 0;
    }
    if (!hs_node_double(node, &value))
        return refuse(ret_reason, "is not a number");
    int r = check_bounds(row, value, ret_reason);
    if (r == 0)
        *(double *) dst = value;
    return r;
}

/* Returns the choice that equals the text or, for a choice such as "sim:SCRIPT", its prefix; NULL if there is none.
 * *ret_known is the number of bytes that matched. */
static const char *find_text_choice(const struct hs_setting *row, const char *text, size_t *ret_known)
{
    for (size_t i = 0; row->choices[i]; i++) {
        const char *colon = strchr(row->choices[i], ':');
        size_t known = colon ? (size_t) (colon - row->choices[i]) + 1 : strlen(row->choices[i]);
        bool fits = colon ? strlen(text) > known : strlen(text) == known;
        if (fits && strncasecmp(text, row->choices[i], known) == 0) {
            *ret_known = known;
            return row->choices[i];
        }
    }
    return NULL;
}

static int read_text(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    const char *text = hs_node_text(node);
    bool truth;
    double number;
    if (!text || hs_node_bool(node, &truth))
        return refuse(ret_reason, "is not a string");
    if (hs_node_double(node, &number))
        return refuse(ret_reason, "is a number, but must be a string (put it in quotes)");
    size_t len = strlen(text);
    if (!hs_utf8_valid(text, len))
        return refuse(ret_reason, "is not UTF-8");
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char) text[i] < 0x20 || text[i] == 0x7f)
            return refuse(ret_reason, "contains control characters");
    }
    if ((double) len < row->min)
        return refuse(ret_reason, len == 0 ? "is empty" : "is too short");
    if ((double) len > row->max)
        return refuse(ret_reason, "is too long");
    size_t known = 0;
    const char *choice = row->choices ? find_text_choice(row, text, &known) : text;
    if (!choice)
        return refuse(ret_reason, "is not an allowed value");
    const char *text_error = row->item_error && len > 0 ? row->item_error(text) : NULL;
    if (text_error)
        return refuse(ret_reason, text_error);
    char *copy = strdup(text);
    if (!copy)
        return HS_ENOMEM;
    memcpy(copy, choice, known);
    free(*(char **) dst);
    *(char **) dst = copy;
    return 0;
}

static int read_choice(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    const char *text = hs_node_text(node);
    bool truth;
    /* In a file that was rendered as JSON, YAML's off and on have become false and true. */
    if (hs_node_bool(node, &truth) && (strcmp(text, "false") == 0 || strcmp(text, "true") == 0))
        text = truth ? "on" : "off";
    for (int i = 0; text && row->choices[i]; i++) {
        if (hs_str_equal_nocase(text, row->choices[i])) {
            *(int *) dst = i;
            return 0;
        }
    }
    return refuse(ret_reason, "is not an allowed value");
}

/* Reads a list of two numbers, "640x480" or "640". */
static int read_size(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    const char *text = hs_node_text(node), *cross = text ? strchr(text, 'x') : NULL;
    char width[16];
    int64_t sides[2];
    long long w, h;
    bool read = node->kind == HS_NODE_LIST && node->count == 2 && hs_node_int(node->items[0], &w) &&
                hs_node_int(node->items[1], &h);
    if (read) {
        sides[0] = w;
        sides[1] = h;
    } else {
        read = text && strspn(text, "0123456789x") == strlen(text) &&
               hs_str_copy_n(width, sizeof(width), text, cross ? (size_t) (cross - text) : strlen(text)) &&
               hs_str_to_int64(width, &sides[0]) && hs_str_to_int64(cross ? cross + 1 : width, &sides[1]);
    }
    if (!read)
        return refuse(ret_reason, "is not a list of two whole numbers");
    for (int i = 0; i < 2; i++) {
        int r = check_bounds(row, (double) sides[i], ret_reason);
        if (r < 0)
            return r;
        if (sides[i] % row->multiple)
            return refuse(ret_reason, "is not a multiple of the step");
    }
    memcpy(dst, (int[2]) { (int) sides[0], (int) sides[1] }, sizeof(int[2]));
    return 0;
}

static int read_seconds(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    const char *text = hs_node_text(node);
    double value;
    /* The character set excludes nan, inf and hexadecimal floats. */
    if (!text || strspn(text, "0123456789+-.eE smhd") != strlen(text) || !hs_str_to_seconds(text, &value))
        return refuse(ret_reason, "is not a duration");
    bool unlimited = value == -1 && (row->flags & HS_SETTING_UNLIMITED);
    int r = unlimited ? 0 : check_bounds(row, value, ret_reason);
    if (r == 0)
        *(double *) dst = value;
    return r;
}

static const char byte_units[] = "KMGT";

static int read_bytes(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    static const char message[] = "is not a size in bytes";
    const char *text = hs_node_text(node);
    if (text && hs_str_equal_nocase(text, "infinity")) {
        if (!isinf(row->max))
            return refuse(ret_reason, "is too large");
        *(int64_t *) dst = INT64_MAX;
        return 0;
    }
    size_t digits = text ? strspn(text, "0123456789") : 0;
    char number[20];
    int64_t value;
    if (digits == 0 || !hs_str_copy_n(number, sizeof(number), text, digits) || !hs_str_to_int64(number, &value))
        return refuse(ret_reason, message);
    if (text[digits]) {
        const char *unit = strchr(byte_units, toupper((unsigned char) text[digits]));
        if (!unit || text[digits + 1])
            return refuse(ret_reason, message);
        for (const char *at = byte_units; at <= unit; at++) {
            if (__builtin_mul_overflow(value, INT64_C(1024), &value))
                return refuse(ret_reason, "is too large");
        }
    }
    int r = check_bounds(row, (double) value, ret_reason);
    if (r == 0)
        *(int64_t *) dst = value;
    return r;
}

static int read_percent(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    const char *text = hs_node_text(node);
    char number[32];
    size_t len = text ? strlen(text) : 0;
    if (len < 2 || text[len - 1] != '%' || !hs_str_copy_n(number, sizeof(number), text, len - 1))
        return refuse(ret_reason, "is not a percentage");
    struct hs_node plain = { .kind = HS_NODE_SCALAR, .text = number };
    return read_double(row, &plain, dst, ret_reason);
}

/* Appends the items of one text. */
static int add_items(const struct hs_setting *row, const char *text, struct hs_buf *list, const char **ret_reason)
{
    char item[512];
    for (const char *at = text; *(at += strspn(at, " \t,"));) {
        size_t len = strcspn(at, " \t,");
        if (!hs_str_copy_n(item, sizeof(item), at, len))
            return refuse(ret_reason, "contains an item that is too long");
        const char *item_error = row->item_error(item);
        if (item_error)
            return refuse(ret_reason, item_error);
        int r = hs_buf_printf(list, "%s%s", list->len ? " " : "", item);
        if (r < 0)
            return r == HS_ETOOLARGE ? refuse(ret_reason, "is too long") : r;
        at += len;
    }
    return 0;
}

static int read_list(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    struct hs_buf list;
    size_t count = node->kind == HS_NODE_LIST ? node->count : 1;
    int r = node->kind == HS_NODE_MAP ? refuse(ret_reason, "is not a list of strings") : 0;
    hs_buf_init(&list, (size_t) row->max);
    for (size_t i = 0; i < count && r == 0; i++) {
        const char *text = hs_node_text(node->kind == HS_NODE_LIST ? node->items[i] : node);
        r = text ? add_items(row, text, &list, ret_reason) : refuse(ret_reason, "is not a list of strings");
    }
    char *copy = r == 0 ? hs_str_dup_n(list.data, list.len) : NULL;
    hs_buf_finish(&list);
    if (!copy)
        return r < 0 ? r : HS_ENOMEM;
    free(*(char **) dst);
    *(char **) dst = copy;
    return 0;
}

int hs_setting_read(const struct hs_setting *row, const struct hs_node *node, void *dst, const char **ret_reason)
{
    static int (*const readers[])(const struct hs_setting *, const struct hs_node *, void *, const char **) = {
        [HS_SETTING_BOOL] = read_bool,       [HS_SETTING_INT] = read_int,       [HS_SETTING_DOUBLE] = read_double,
        [HS_SETTING_TEXT] = read_text,       [HS_SETTING_CHOICE] = read_choice, [HS_SETTING_SIZE] = read_size,
        [HS_SETTING_SECONDS] = read_seconds, [HS_SETTING_BYTES] = read_bytes,   [HS_SETTING_PERCENT] = read_percent,
        [HS_SETTING_LIST] = read_list,
    };
    return readers[row->type](row, node, dst, ret_reason);
}

int hs_setting_read_text(const struct hs_setting *row, const char *text, void *dst, const char **ret_reason)
{
    struct hs_node scalar = { .kind = HS_NODE_SCALAR,
                              .text = text,
                              .quoted = row->type == HS_SETTING_TEXT || row->type == HS_SETTING_LIST };
    if ((row->type != HS_SETTING_SIZE && row->type != HS_SETTING_LIST) || text[0] != '[')
        return hs_setting_read(row, &scalar, dst, ret_reason);
    struct hs_doc *doc;
    int r = hs_doc_parse(text, strlen(text), row->name, &doc, NULL);
    if (r == HS_ENOMEM)
        return r;
    if (r < 0)
        return refuse(ret_reason, "is not a valid list");
    r = hs_setting_read(row, hs_doc_root(doc), dst, ret_reason);
    hs_doc_destroy(doc);
    return r;
}

/* ---- writing ---- */

static void write_number(double value, struct hs_buf *buf)
{
    char text[32];
    hs_str_from_double(value, text);
    hs_buf_append_str(buf, text);
}

/* Writes a size in the largest unit that results in a whole number. */
static void write_bytes(int64_t value, struct hs_buf *buf)
{
    size_t unit = 0;
    if (value == INT64_MAX) {
        hs_buf_append_str(buf, "infinity");
        return;
    }
    while (unit < sizeof(byte_units) - 1 && value && value % 1024 == 0) {
        value /= 1024;
        unit++;
    }
    hs_buf_printf(buf, "%lld%.1s", (long long) value, unit ? byte_units + unit - 1 : "");
}

static int write_list(const char *list, struct hs_buf *buf)
{
    hs_buf_append_str(buf, "[");
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, " ");
        hs_buf_append_str(buf, at == list ? "" : ", ");
        hs_json_put_string(buf, at, len, false);
        at += len + (at[len] == ' ');
    }
    return hs_buf_append_str(buf, "]");
}

int hs_setting_write(const struct hs_setting *row, const void *src, struct hs_buf *buf)
{
    const int *ints = src;
    const char *text;
    switch (row->type) {
    case HS_SETTING_BOOL:
        return hs_buf_append_str(buf, *(const bool *) src ? "true" : "false");
    case HS_SETTING_INT:
        return hs_buf_printf(buf, "%d", *ints);
    case HS_SETTING_DOUBLE:
    case HS_SETTING_SECONDS:
        if ((row->flags & HS_SETTING_AUTO) && *(const double *) src < row->min)
            return hs_buf_append_str(buf, "\"auto\"");
        write_number(*(const double *) src, buf);
        break;
    case HS_SETTING_TEXT:
    case HS_SETTING_CHOICE:
        text = row->type == HS_SETTING_TEXT ? *(char *const *) src : row->choices[*ints];
        hs_json_put_string(buf, text, strlen(text), false);
        break;
    case HS_SETTING_SIZE:
        return hs_buf_printf(buf, "[%d, %d]", ints[0], ints[1]);
    case HS_SETTING_BYTES:
        hs_buf_append_str(buf, "\"");
        write_bytes(*(const int64_t *) src, buf);
        return hs_buf_append_str(buf, "\"");
    case HS_SETTING_PERCENT:
        hs_buf_append_str(buf, "\"");
        write_number(*(const double *) src, buf);
        return hs_buf_append_str(buf, "%\"");
    case HS_SETTING_LIST:
        return write_list(*(char *const *) src, buf);
    }
    return hs_buf_error(buf);
}

/* Writes a bound in the format of the setting's values. */
static void write_bound(const struct hs_setting *row, double bound, struct hs_buf *buf)
{
    if (row->type == HS_SETTING_BYTES)
        write_bytes(isinf(bound) ? INT64_MAX : (int64_t) bound, buf);
    else
        write_number(bound, buf);
    if (row->type == HS_SETTING_PERCENT)
        hs_buf_append_str(buf, "%");
}

int hs_setting_write_range(const struct hs_setting *row, struct hs_buf *buf)
{
    for (size_t i = 0; row->choices && row->choices[i]; i++)
        hs_buf_printf(buf, "%s%s", i == 0 ? "" : row->choices[i + 1] ? ", " : " or ", row->choices[i]);
    if (row->choices)
        return hs_buf_error(buf);
    if (row->type == HS_SETTING_BOOL)
        return hs_buf_append_str(buf, "true or false");
    if (row->type == HS_SETTING_LIST)
        return hs_buf_append_str(buf, "a list of strings");
    if (row->type == HS_SETTING_TEXT)
        hs_buf_append_str(buf, "a string of ");
    if (row->type == HS_SETTING_SIZE)
        hs_buf_append_str(buf, "[width, height], each ");
    write_bound(row, row->min, buf);
    hs_buf_append_str(buf, " to ");
    write_bound(row, row->max, buf);
    if (row->type == HS_SETTING_TEXT)
        hs_buf_append_str(buf, " bytes");
    if (row->type == HS_SETTING_SIZE)
        hs_buf_printf(buf, " in steps of %d", row->multiple);
    if (row->type == HS_SETTING_SECONDS)
        hs_buf_append_str(buf, " seconds, also \"250ms\", \"30s\", \"5m\", \"1h\"");
    if (row->flags & HS_SETTING_UNLIMITED)
        hs_buf_append_str(buf, "; -1: no limit");
    if (row->flags & HS_SETTING_AUTO)
        hs_buf_append_str(buf, ", or auto");
    return hs_buf_error(buf);
}
