/* Python's repr() of the values that a pickle holds. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "convert/pickle_value.h"

enum { MAX_DEPTH = 16 };

static uint32_t code_point(const char *text, size_t len)
{
    static const uint8_t first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 }; /* bits of the first byte that count */
    uint32_t c = (uint8_t) text[0] & first[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (text[i] & 0x3f);
    return c;
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

static void put_character(struct hs_buf *buf, const char *text, size_t len, char quote)
{
    uint32_t c = code_point(text, len);
    if (c == (uint32_t) quote || c == '\\')
        hs_buf_printf(buf, "\\%c", (char) c);
    else if (c == '\n' || c == '\r' || c == '\t')
        hs_buf_append_str(buf, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    else if (is_printable(c))
        hs_buf_append(buf, text, len);
    else
        hs_buf_printf(buf, c <= 0xff ? "\\x%02" PRIx32 : c <= 0xffff ? "\\u%04" PRIx32 : "\\U%08" PRIx32, c);
}

static bool has(const struct hs_pickle_text *text, char c)
{
    return text->len && memchr(text->data, c, text->len);
}

static void put_text(struct hs_buf *buf, const struct hs_pickle_text *text, bool bytes)
{
    char quote = has(text, '\'') && !has(text, '"') ? '"' : '\'';
    size_t len;
    hs_buf_printf(buf, "%s%c", bytes ? "b" : "", quote);
    for (size_t i = 0; i < text->len && hs_buf_error(buf) == 0; i += len) {
        size_t sequence = bytes ? 0 : hs_utf8_sequence(text->data + i, text->len - i);
        uint8_t byte = (uint8_t) text->data[i];
        len = sequence ? sequence : 1;
        if (sequence == 0 && byte > 0x7f)
            hs_buf_printf(buf, "\\x%02x", byte);
        else
            put_character(buf, text->data + i, len, quote);
    }
    hs_buf_printf(buf, "%c", quote);
}

/* Python shows every float with a point or an exponent, and writes as many digits as read back the same. */
static void put_double(struct hs_buf *buf, double value)
{
    char text[32];
    if (!isfinite(value)) {
        hs_buf_append_str(buf, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    int digits = 1;
    double back;
    do
        snprintf(text, sizeof(text), "%.*e", digits - 1, value);
    while (digits++ < 17 && (!hs_str_to_double(text, &back) || back != value));
    const char *exponent = strchr(text, 'e'), *point = strchr(text, '.');
    int power = (int) strtol(exponent + 1, NULL, 10), decimals = (point ? (int) (exponent - point) - 1 : 0) - power;
    if (power < -4 || power >= 16)
        hs_buf_append_str(buf, text);
    else
        hs_buf_printf(buf, "%.*f", decimals < 1 ? 1 : decimals, value);
}

static void put(struct hs_buf *buf, const struct hs_pickle_value *value, int depth)
{
    bool tuple = value->type == HS_PICKLE_TUPLE;
    if (depth >= MAX_DEPTH && hs_buf_error(buf) == 0)
        buf->error = HS_EINVAL;
    if (hs_buf_error(buf) < 0)
        return;
    switch (value->type) {
    case HS_PICKLE_NONE:
        hs_buf_append_str(buf, "None");
        break;
    case HS_PICKLE_BOOL:
        hs_buf_append_str(buf, value->boolean ? "True" : "False");
        break;
    case HS_PICKLE_INT:
        hs_buf_printf(buf, "%" PRId64, value->integer);
        break;
    case HS_PICKLE_DOUBLE:
        put_double(buf, value->real);
        break;
    case HS_PICKLE_STRING:
    case HS_PICKLE_BYTES:
        put_text(buf, &value->text, value->type == HS_PICKLE_BYTES);
        break;
    case HS_PICKLE_TUPLE:
    case HS_PICKLE_LIST:
        hs_buf_append_str(buf, tuple ? "(" : "[");
        for (uint32_t i = 0; i < value->items.len && hs_buf_error(buf) == 0; i++) {
            hs_buf_append_str(buf, i ? ", " : "");
            put(buf, value->items.data[i], depth + 1);
        }
        hs_buf_append_str(buf, !tuple ? "]" : value->items.len == 1 ? ",)" : ")");
        break;
    case HS_PICKLE_DICT:
        hs_buf_append_str(buf, "{");
        for (uint32_t i = 0; i < value->dict->len && hs_buf_error(buf) == 0; i++) {
            hs_buf_append_str(buf, i ? ", " : "");
            put(buf, value->dict->entries[i].key, depth + 1);
            hs_buf_append_str(buf, ": ");
            put(buf, value->dict->entries[i].value, depth + 1);
        }
        hs_buf_append_str(buf, "}");
        break;
    case HS_PICKLE_TENSOR:
        hs_buf_append_str(buf, "<tensor>");
        break;
    case HS_PICKLE_RECORD:
        hs_buf_printf(buf, "<%s>", value->record->kind);
        break;
    }
}

int hs_pickle_repr(const struct hs_pickle_value *value, struct hs_buf *buf)
{
    put(buf, value, 0);
    return hs_buf_error(buf);
}

void hs_pickle_describe(const struct hs_pickle_value *value, char *dst, size_t size)
{
    struct hs_buf buf;
    hs_buf_init(&buf, size - 1);
    if (value)
        hs_pickle_repr(value, &buf);
    else
        hs_buf_append_str(&buf, "nothing");
    const char *text = hs_buf_str(&buf);
    hs_str_copy(dst, size, text ? text : "");
    hs_buf_finish(&buf);
}
