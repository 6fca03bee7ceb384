#include "base/json_writer.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* ---- Numbers ---- */

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

/* Writes the digits after the point with the free-format algorithm of Steele and White, in the version of Burger and
 * Dybvig ("Printing Floating-Point Numbers Quickly and Accurately", 1996, fig. 1): it stops as soon as the digits are
 * nearer to this double than to its neighbours. The fraction is rest / 2^shift. Half the gap to the next double is
 * above / 2^shift upwards and below / 2^shift downwards. Because the denominator is a power of two, each digit needs
 * only a shift and a mask. */
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

size_t hs_json_double(double value, char ret_text[32])
{
    double size = fabs(value);
    size_t len = 0;
    /* Outside the fast range. Like Python, uses an exponent below 1e-4 and from 1e16 on. */
    if (!(size < 9007199254740992.0) || (size != 0 && size < 1e-4)) {
        hs_str_from_double(value, ret_text);
        len = strlen(ret_text);
        if (size >= 9007199254740992.0 && size < 1e16)
            len = (size_t) snprintf(ret_text, 32, "%.0f", value);
        if (!strpbrk(ret_text, ".e") && len + 2 < 32) {
            memcpy(ret_text + len, ".0", 3);
            len += 2;
        }
        return len;
    }
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
        /* size = mantissa * 2^(exponent - 53). Two more bits make half and quarter gaps whole numbers. For
         * size >= 1e-4 the shift is at most 13 + 53 + 2 bits, so ten times the value fits 128 bits. */
        unsigned shift = (unsigned) (53 - exponent + 2);
        wide scaled = (wide) mantissa << 2, rest = scaled & (((wide) 1 << shift) - 1);
        bool power = mantissa == UINT64_C(1) << 52;
        len += put_fraction(rest, power ? 1 : 2, 2, shift, mantissa % 2 == 0, ret_text + len);
    }
    ret_text[len] = '\0';
    return len;
}

static const double powers_of_ten[] = { 1,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

double hs_json_rounded(double value, int decimals)
{
    /* The quotient of two whole numbers is the double nearest to the decimal. Adding 0.0 makes -0.0 positive. */
    return round(value * powers_of_ten[decimals]) / powers_of_ten[decimals] + 0.0;
}

double hs_json_score(double value)
{
    return hs_json_rounded(value, 4);
}

double hs_json_ms(double value)
{
    return hs_json_rounded(value, 1);
}

double hs_json_float(float value)
{
    double exact = (double) value, size = fabs(exact), shortest = exact;
    int decimals = 8;
    /* A power of ten up to 10^22 is a double, so that the quotient is exact to the last bit. Components of a unit
     * vector are in this range, or 0. */
    if (!(size >= 1e-14 && size < 10))
        return exact;
    while (size * powers_of_ten[decimals] < 1e8)
        decimals++;
    /* Nine digits identify every float; most need eight or nine, so begin with nine. */
    for (; decimals > 0; decimals--) {
        double nearest = round(exact * powers_of_ten[decimals]) / powers_of_ten[decimals];
        if ((float) nearest != value)
            break;
        shortest = nearest;
    }
    return shortest;
}

/* ---- Texts ---- */

/* Writes the first character, which must be escaped, and returns its length. */
static size_t put_escaped(struct hs_buf *out, const char *text, size_t len)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = memchr(plain, text[0], sizeof(plain) - 1);
    const unsigned char *s = (const unsigned char *) text;
    size_t n = hs_utf8_sequence(text, len);
    unsigned code = n == 2 ? s[0] & 0x1fu : n == 3 ? s[0] & 0x0fu : n == 4 ? s[0] & 0x07u : s[0];
    for (size_t i = 1; i < n; i++)
        code = code << 6 | (s[i] & 0x3fu);
    if (at)
        hs_buf_append(out, (char[2]) { '\\', letters[at - plain] }, 2);
    else if (code < 0x10000)
        hs_buf_printf(out, "\\u%04x", code);
    else
        hs_buf_printf(out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
    return n ? n : 1;
}

static bool is_plain(char c, bool ascii)
{
    return (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') || (!ascii && (unsigned char) c >= 0x80);
}

void hs_json_put_string(struct hs_buf *out, const char *text, size_t len, bool ascii)
{
    hs_buf_append(out, "\"", 1);
    while (len > 0) {
        size_t n = 0;
        while (n < len && is_plain(text[n], ascii))
            n++;
        if (n > 0)
            hs_buf_append(out, text, n);
        else
            n = put_escaped(out, text, len);
        text += n;
        len -= n;
    }
    hs_buf_append(out, "\"", 1);
}

/* ---- Structure ---- */

static void put_line(struct hs_json_writer *json)
{
    hs_buf_printf(json->out, "\n%*s", 2 * json->depth, "");
}

/* Writes the separator and the line break that precede a value or the name of a member. */
struct hs_buf *hs_json_raw(struct hs_json_writer *json)
{
    if (!json->after_name && json->depth > 0) {
        if (!json->first)
            hs_buf_append(json->out, ", ", json->style == HS_JSON_SPACED ? 2 : 1);
        if (json->style >= HS_JSON_PRETTY)
            put_line(json);
    }
    json->first = json->after_name = false;
    return json->out;
}

void hs_json_open(struct hs_json_writer *json, char bracket)
{
    hs_buf_append(hs_json_raw(json), &bracket, 1);
    if (++json->depth > HS_JSON_DEPTH_MAX && !json->out->error)
        json->out->error = HS_ETOOLARGE;
    json->first = true;
}

void hs_json_close(struct hs_json_writer *json, char bracket)
{
    assert(json->depth > 0 && (!json->after_name || json->out->error)); /* after an error values are skipped */
    json->after_name = false;
    json->depth--;
    if (json->style >= HS_JSON_PRETTY && !json->first)
        put_line(json);
    hs_buf_append(json->out, &bracket, 1);
    json->first = false;
}

void hs_json_begin(struct hs_json_writer *json, struct hs_buf *out, enum hs_json_style style)
{
    *json = (struct hs_json_writer) { .out = out, .style = style, .first = true };
}

int hs_json_end(struct hs_json_writer *json)
{
    assert(json->depth == 0);
    hs_buf_append(json->out, "\n", 1);
    return hs_buf_error(json->out);
}

void hs_json_key(struct hs_json_writer *json, const char *name)
{
    hs_json_string(json, name);
    hs_buf_append(json->out, ": ", json->style == HS_JSON_SORTED ? 1 : 2);
    json->after_name = true;
}

/* ---- Values ---- */

static void put_word(struct hs_json_writer *json, const char *text, size_t len)
{
    hs_buf_append(hs_json_raw(json), text, len);
}

static void put_string(struct hs_json_writer *json, const char *text, size_t len)
{
    hs_json_put_string(hs_json_raw(json), text, len, json->style != HS_JSON_FILE);
}

void hs_json_string(struct hs_json_writer *json, const char *text)
{
    put_string(json, text, strlen(text));
}

void hs_json_int(struct hs_json_writer *json, int64_t value)
{
    char text[24] = "-";
    uint64_t size = value < 0 ? 0 - (uint64_t) value : (uint64_t) value;
    put_word(json, text, (value < 0) + put_uint(size, text + (value < 0)));
}

void hs_json_real(struct hs_json_writer *json, double value)
{
    char text[32];
    if (isfinite(value))
        put_word(json, text, hs_json_double(value, text));
    else
        hs_json_null(json);
}

void hs_json_bool(struct hs_json_writer *json, bool value)
{
    put_word(json, value ? "true" : "false", value ? 4 : 5);
}

void hs_json_null(struct hs_json_writer *json)
{
    put_word(json, "null", 4);
}

/* ---- Trees ---- */

static int compare_members(const void *a, const void *b)
{
    return strcmp(json_object_iter_key(*(void *const *) a), json_object_iter_key(*(void *const *) b));
}

static void put_members(struct hs_json_writer *json, const json_t *value)
{
    /* Iterating only reads; jansson's signature lacks the const. */
    json_t *object = (json_t *) (uintptr_t) value;
    size_t n = 0;
    void **members = calloc(json_object_size(object) + 1, sizeof(*members));
    if (!members) {
        json->out->error = json->out->error ? json->out->error : HS_ENOMEM;
        return;
    }
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        members[n++] = at;
    if (json->style != HS_JSON_SPACED)
        qsort(members, n, sizeof(*members), compare_members);
    for (size_t i = 0; i < n; i++) {
        hs_json_key(json, json_object_iter_key(members[i]));
        hs_json_tree(json, json_object_iter_value(members[i]));
    }
    free(members);
}

void hs_json_tree(struct hs_json_writer *json, const json_t *value)
{
    if (hs_buf_error(json->out))
        return; /* also ends the recursion */
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        hs_json_open(json, '{');
        put_members(json, value);
        hs_json_close(json, '}');
        break;
    case JSON_ARRAY:
        hs_json_open(json, '[');
        for (size_t i = 0; i < json_array_size(value); i++)
            hs_json_tree(json, json_array_get(value, i));
        hs_json_close(json, ']');
        break;
    case JSON_STRING:
        put_string(json, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        hs_json_int(json, json_integer_value(value));
        break;
    case JSON_REAL:
        hs_json_real(json, json_real_value(value));
        break;
    case JSON_NULL:
        hs_json_null(json);
        break;
    default:
        hs_json_bool(json, json_is_true(value));
    }
}

int hs_json_write(const json_t *value, enum hs_json_style style, struct hs_buf *out)
{
    struct hs_json_writer json;
    hs_json_begin(&json, out, style);
    hs_json_tree(&json, value);
    return hs_json_end(&json);
}
