#include "http/json_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { DEPTH_MAX = 64 };

__extension__ typedef unsigned __int128 wide;

static size_t put_uint(uint64_t value, char *dst)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char) ('0' + value % 10);
    while (value /= 10);
    for (size_t i = 0; i < n; i++)
        dst[i] = digits[n - 1 - i];
    return n;
}

/* The digits after the point, by the free-format algorithm of Steele and White as given by Burger and Dybvig ("Printing
 * Floating-Point Numbers Quickly and Accurately", 1996, fig. 1): stop as soon as what was written lies nearer to this
 * double than to its neighbours. The fraction is rest / 2^shift, and half a gap to the neighbours is above / 2^shift
 * upwards, below / 2^shift downwards; with a power of two as the denominator a digit is a shift and a mask. */
static size_t put_fraction(wide rest, wide below, wide above, unsigned shift, bool even, char *dst)
{
    wide one = (wide) 1 << shift, mask = one - 1;
    size_t n = 0;
    for (;;) {
        rest *= 10;
        below *= 10;
        above *= 10;
        unsigned digit = (unsigned) (rest >> shift);
        rest &= mask;
        bool low = even ? rest <= below : rest < below;
        bool high = even ? rest + above >= one : rest + above > one;
        if (!low && !high) {
            dst[n++] = (char) ('0' + digit);
            continue;
        }
        bool up = high && (!low || 2 * rest >= one);
        dst[n++] = (char) ('0' + digit + up);
        return n;
    }
}

/* What Python writes where it uses an exponent, or for numbers outside the fast range. */
static size_t slow_double(double value, char ret_text[32])
{
    hs_str_from_double(value, ret_text);
    size_t len = strlen(ret_text);
    char *exponent = strchr(ret_text, 'e');
    if (exponent && fabs(value) >= 1e-4 && fabs(value) < 1e16)
        len = (size_t) snprintf(ret_text, 32, "%.0f", value);
    if (!strpbrk(ret_text, ".e") && len + 2 < 32) {
        memcpy(ret_text + len, ".0", 3);
        len += 2;
    }
    return len;
}

size_t hs_json_double(double value, char ret_text[32])
{
    double size = fabs(value);
    if (!(size < 9007199254740992.0) || (size != 0 && size < 1e-4))
        return slow_double(value, ret_text);
    size_t len = 0;
    if (signbit(value))
        ret_text[len++] = '-';
    uint64_t whole = (uint64_t) size;
    len += put_uint(whole, ret_text + len);
    ret_text[len++] = '.';
    if (size == (double) whole) {
        ret_text[len++] = '0';
    } else {
        int exponent;
        uint64_t mantissa = (uint64_t) ldexp(frexp(size, &exponent), 53);
        /* size = mantissa * 2^(exponent - 53); two more bits, so that half and quarter gaps are whole numbers. With
         * size >= 1e-4 the shift is at most 13 + 53 + 2 bits, so ten times as much fits easily. */
        unsigned shift = (unsigned) (53 - exponent + 2);
        wide scaled = (wide) mantissa << 2, rest = scaled & (((wide) 1 << shift) - 1);
        bool power = mantissa == UINT64_C(1) << 52;
        len += put_fraction(rest, power ? 1 : 2, 2, shift, mantissa % 2 == 0, ret_text + len);
    }
    ret_text[len] = '\0';
    return len;
}

/* ---- Trees ---- */

static int put_code(struct hs_buf *out, unsigned code)
{
    if (code < 0x10000)
        return hs_buf_printf(out, "\\u%04x", code);
    unsigned above = code - 0x10000;
    return hs_buf_printf(out, "\\u%04x\\u%04x", 0xd800 + (above >> 10), 0xdc00 + (above & 0x3ff));
}

/* jansson only holds valid UTF-8. */
static unsigned read_code(const unsigned char *s, size_t n)
{
    unsigned code = n == 2 ? s[0] & 0x1fu : n == 3 ? s[0] & 0x0fu : s[0] & 0x07u;
    for (size_t i = 1; i < n; i++)
        code = code << 6 | (s[i] & 0x3fu);
    return code;
}

static int put_escaped(struct hs_buf *out, const char *text, size_t len, size_t *ret_used)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = memchr(plain, text[0], sizeof(plain) - 1);
    *ret_used = 1;
    if (at) {
        char escape[2] = { '\\', letters[at - plain] };
        return hs_buf_append(out, escape, 2);
    }
    size_t n = hs_utf8_sequence(text, len);
    if (n <= 1)
        return put_code(out, (unsigned char) text[0]);
    *ret_used = n;
    return put_code(out, read_code((const unsigned char *) text, n));
}

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static int put_string(struct hs_buf *out, const char *text, size_t len)
{
    int r = hs_buf_append(out, "\"", 1);
    while (r == 0 && len > 0) {
        size_t n = 0;
        while (n < len && is_plain(text[n]))
            n++;
        if (n > 0)
            r = hs_buf_append(out, text, n);
        else
            r = put_escaped(out, text, len, &n);
        text += n;
        len -= n;
    }
    return r < 0 ? r : hs_buf_append(out, "\"", 1);
}

static int put_value(struct hs_buf *out, const json_t *value, enum hs_json_style style, int depth);

static int put_line(struct hs_buf *out, int depth)
{
    return hs_buf_printf(out, "\n%*s", 2 * depth, "");
}

/* What stands before a value of an array or object at `depth`. */
static int put_comma(struct hs_buf *out, enum hs_json_style style, int depth, bool first)
{
    int r = first ? 0 : hs_buf_append(out, ", ", style == HS_JSON_SPACED ? 2 : 1);
    return r == 0 && style == HS_JSON_PRETTY ? put_line(out, depth + 1) : r;
}

/* Ends an array or object. */
static int put_end(struct hs_buf *out, enum hs_json_style style, int depth, bool empty, const char *bracket)
{
    int r = style == HS_JSON_PRETTY && !empty ? put_line(out, depth) : 0;
    return r < 0 ? r : hs_buf_append(out, bracket, 1);
}

static int put_array(struct hs_buf *out, const json_t *array, enum hs_json_style style, int depth)
{
    int r = hs_buf_append(out, "[", 1);
    for (size_t i = 0; r == 0 && i < json_array_size(array); i++) {
        r = put_comma(out, style, depth, i == 0);
        if (r == 0)
            r = put_value(out, json_array_get(array, i), style, depth + 1);
    }
    return r < 0 ? r : put_end(out, style, depth, json_array_size(array) == 0, "]");
}

static int put_member(struct hs_buf *out, const char *key, const json_t *value, enum hs_json_style style, int depth,
                      bool first)
{
    int r = put_comma(out, style, depth, first);
    if (r == 0)
        r = put_string(out, key, strlen(key));
    if (r == 0)
        r = hs_buf_append(out, ": ", style == HS_JSON_SORTED ? 1 : 2);
    return r < 0 ? r : put_value(out, value, style, depth + 1);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static int put_sorted(struct hs_buf *out, json_t *object, enum hs_json_style style, int depth)
{
    size_t count = json_object_size(object), n = 0;
    if (count == 0)
        return 0;
    const char **keys = calloc(count, sizeof(*keys));
    if (!keys)
        return HS_ENOMEM;
    for (void *at = json_object_iter(object); at && n < count; at = json_object_iter_next(object, at))
        keys[n++] = json_object_iter_key(at);
    qsort(keys, n, sizeof(*keys), compare_keys);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = put_member(out, keys[i], json_object_get(object, keys[i]), style, depth, i == 0);
    free(keys);
    return r;
}

static int put_object(struct hs_buf *out, const json_t *value, enum hs_json_style style, int depth)
{
    /* Iterating only reads; jansson's signature lacks the const. */
    json_t *object = (json_t *) (uintptr_t) value;
    int r = hs_buf_append(out, "{", 1);
    if (r == 0 && style != HS_JSON_SPACED) {
        r = put_sorted(out, object, style, depth);
    } else {
        bool first = true;
        for (void *at = json_object_iter(object); r == 0 && at; at = json_object_iter_next(object, at)) {
            r = put_member(out, json_object_iter_key(at), json_object_iter_value(at), style, depth, first);
            first = false;
        }
    }
    return r < 0 ? r : put_end(out, style, depth, json_object_size(object) == 0, "}");
}

static int put_integer(struct hs_buf *out, json_int_t value)
{
    char text[24];
    size_t len = 0;
    uint64_t size = (uint64_t) value;
    if (value < 0) {
        text[len++] = '-';
        size = 0 - size;
    }
    len += put_uint(size, text + len);
    return hs_buf_append(out, text, len);
}

static int put_value(struct hs_buf *out, const json_t *value, enum hs_json_style style, int depth)
{
    char number[32];
    if (depth > DEPTH_MAX)
        return HS_ETOOLARGE;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(out, value, style, depth);
    case JSON_ARRAY:
        return put_array(out, value, style, depth);
    case JSON_STRING:
        return put_string(out, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return put_integer(out, json_integer_value(value));
    case JSON_REAL:
        return hs_buf_append(out, number, hs_json_double(json_real_value(value), number));
    case JSON_TRUE:
        return hs_buf_append(out, "true", 4);
    case JSON_FALSE:
        return hs_buf_append(out, "false", 5);
    default:
        return hs_buf_append(out, "null", 4);
    }
}

int hs_json_write(const json_t *value, enum hs_json_style style, struct hs_buf *out)
{
    int r = put_value(out, value, style, 0);
    return r == 0 && style != HS_JSON_SPACED ? hs_buf_append(out, "\n", 1) : r;
}
