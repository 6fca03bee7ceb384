/* Python's repr() of the values that a pickle holds. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "convert/pickle_value.h"

enum { MAX_DEPTH = 16 };

static int repr(const struct hs_pickle_value *value, struct hs_buf *buf, int depth);

static uint32_t code_point(const char *text, size_t len)
{
    const uint8_t *b = (const uint8_t *) text;
    switch (len) {
    case 1:
        return b[0];
    case 2:
        return (uint32_t) (b[0] & 0x1f) << 6 | (b[1] & 0x3f);
    case 3:
        return (uint32_t) (b[0] & 0x0f) << 12 | (uint32_t) (b[1] & 0x3f) << 6 | (b[2] & 0x3f);
    default:
        return (uint32_t) (b[0] & 0x07) << 18 | (uint32_t) (b[1] & 0x3f) << 12 | (uint32_t) (b[2] & 0x3f) << 6 |
               (b[3] & 0x3f);
    }
}

/* The separators, formats, controls and private places of Unicode; code points that are not assigned yet count as
 * printable here, in which we differ from Python. */
static bool is_printable(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        { 0, 0x1f }, { 0x7f, 0xa0 }, { 0xad, 0xad }, { 0x600, 0x605 }, { 0x61c, 0x61c }, { 0x6dd, 0x6dd },
        { 0x70f, 0x70f }, { 0x1680, 0x1680 }, { 0x180e, 0x180e }, { 0x2000, 0x200f }, { 0x2028, 0x202f },
        { 0x205f, 0x206f }, { 0x3000, 0x3000 }, { 0xe000, 0xf8ff }, { 0xfeff, 0xfeff }, { 0xfff0, 0xfffb },
        { 0xfffe, 0xffff }, { 0xe0000, 0x10ffff },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(hidden); i++)
        if (c >= hidden[i].first && c <= hidden[i].last)
            return false;
    return true;
}

static int repr_character(const char *text, size_t len, char quote, struct hs_buf *buf)
{
    uint32_t c = code_point(text, len);
    if (c == (uint32_t) quote || c == '\\')
        return hs_buf_printf(buf, "\\%c", (char) c);
    if (c == '\n' || c == '\r' || c == '\t')
        return hs_buf_append_str(buf, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    if (is_printable(c))
        return hs_buf_append(buf, text, len);
    if (c <= 0xff)
        return hs_buf_printf(buf, "\\x%02" PRIx32, c);
    return hs_buf_printf(buf, c <= 0xffff ? "\\u%04" PRIx32 : "\\U%08" PRIx32, c);
}

static bool has(const struct hs_pickle_text *text, char c)
{
    return text->len && memchr(text->data, c, text->len);
}

static int repr_text(const struct hs_pickle_text *text, bool bytes, struct hs_buf *buf)
{
    char quote = has(text, '\'') && !has(text, '"') ? '"' : '\'';
    int r = hs_buf_printf(buf, "%s%c", bytes ? "b" : "", quote);
    for (size_t i = 0; i < text->len && r == 0;) {
        size_t len = bytes ? 0 : hs_utf8_sequence(text->data + i, text->len - i);
        uint8_t byte = (uint8_t) text->data[i];
        if (len == 0 && byte > 0x7f)
            r = hs_buf_printf(buf, "\\x%02x", byte);
        else
            r = repr_character(text->data + i, len ? len : 1, quote, buf);
        i += len ? len : 1;
    }
    return r < 0 ? r : hs_buf_printf(buf, "%c", quote);
}

/* Python shows every float with a point or an exponent, and writes as many digits as read back the same. */
static int repr_double(double value, struct hs_buf *buf)
{
    char text[32];
    if (!isfinite(value))
        return hs_buf_append_str(buf, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    int digits = 1;
    double back;
    do
        snprintf(text, sizeof(text), "%.*e", digits - 1, value);
    while (digits++ < 17 && (!hs_str_to_double(text, &back) || back != value));
    char *exponent = strchr(text, 'e');
    int power = 0;
    for (const char *c = exponent + 2; *c; c++)
        power = power * 10 + (*c - '0');
    if (exponent[1] == '-')
        power = -power;
    if (power < -4 || power >= 16)
        return hs_buf_append_str(buf, text);
    const char *point = memchr(text, '.', (size_t) (exponent - text));
    int decimals = (point ? (int) (exponent - point) - 1 : 0) - power;
    return hs_buf_printf(buf, "%.*f", decimals < 1 ? 1 : decimals, value);
}

static int repr_items(const struct hs_pickle_items *items, bool tuple, struct hs_buf *buf, int depth)
{
    int r = hs_buf_append_str(buf, tuple ? "(" : "[");
    for (uint32_t i = 0; i < items->len && r == 0; i++) {
        if (i)
            r = hs_buf_append_str(buf, ", ");
        if (r == 0)
            r = repr(items->data[i], buf, depth);
    }
    return r < 0 ? r : hs_buf_append_str(buf, !tuple ? "]" : items->len == 1 ? ",)" : ")");
}

static int repr_dict(const struct hs_pickle_dict *dict, struct hs_buf *buf, int depth)
{
    int r = hs_buf_append_str(buf, "{");
    for (uint32_t i = 0; i < dict->len && r == 0; i++) {
        if (i)
            r = hs_buf_append_str(buf, ", ");
        if (r == 0)
            r = repr(dict->entries[i].key, buf, depth);
        if (r == 0)
            r = hs_buf_append_str(buf, ": ");
        if (r == 0)
            r = repr(dict->entries[i].value, buf, depth);
    }
    return r < 0 ? r : hs_buf_append_str(buf, "}");
}

static int repr(const struct hs_pickle_value *value, struct hs_buf *buf, int depth)
{
    if (depth >= MAX_DEPTH)
        return HS_EINVAL;
    switch (value->type) {
    case HS_PICKLE_NONE:
        return hs_buf_append_str(buf, "None");
    case HS_PICKLE_BOOL:
        return hs_buf_append_str(buf, value->boolean ? "True" : "False");
    case HS_PICKLE_INT:
        return hs_buf_printf(buf, "%" PRId64, value->integer);
    case HS_PICKLE_DOUBLE:
        return repr_double(value->real, buf);
    case HS_PICKLE_STRING:
    case HS_PICKLE_BYTES:
        return repr_text(&value->text, value->type == HS_PICKLE_BYTES, buf);
    case HS_PICKLE_TUPLE:
    case HS_PICKLE_LIST:
        return repr_items(&value->items, value->type == HS_PICKLE_TUPLE, buf, depth + 1);
    case HS_PICKLE_DICT:
        return repr_dict(value->dict, buf, depth + 1);
    case HS_PICKLE_TENSOR:
        return hs_buf_append_str(buf, "<tensor>");
    case HS_PICKLE_RECORD:
        return hs_buf_printf(buf, "<%s>", value->record->kind);
    }
    return HS_EINVAL;
}

int hs_pickle_repr(const struct hs_pickle_value *value, struct hs_buf *buf)
{
    return repr(value, buf, 0);
}

void hs_pickle_describe(const struct hs_pickle_value *value, char *dst, size_t size)
{
    if (!value) {
        hs_str_copy(dst, size, "nothing");
        return;
    }
    struct hs_buf buf;
    hs_buf_init(&buf, size - 1);
    hs_pickle_repr(value, &buf);
    const char *text = hs_buf_str(&buf);
    hs_str_copy(dst, size, text ? text : "");
    hs_buf_finish(&buf);
}
