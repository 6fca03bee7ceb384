#include "base/str.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool hs_str_copy_n(char *dst, size_t size, const char *src, size_t len)
{
    size_t n = len < size ? len : size - 1;
    memcpy(dst, src, n);
    dst[n] = '\0';
    return n == len;
}

bool hs_str_copy(char *dst, size_t size, const char *src)
{
    return hs_str_copy_n(dst, size, src, strlen(src));
}

bool hs_str_format(char *dst, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(dst, size, format, args);
    va_end(args);
    return len >= 0 && (size_t) len < size;
}

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char) (c + 32) : c;
}

char *hs_str_dup_n(const void *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

bool hs_str_equal_nocase(const char *a, const char *b)
{
    for (; *a && lower((unsigned char) *a) == lower((unsigned char) *b); a++, b++)
        ;
    return lower((unsigned char) *a) == lower((unsigned char) *b);
}

bool hs_str_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool hs_str_ends(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool only_space(const char *text)
{
    while (is_space(*text))
        text++;
    return *text == '\0';
}

/* The "C" locale, created once and kept, because the program's locale may use a decimal comma. */
static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
}

static double c_strtod(const char *text, char **ret_end)
{
    pthread_once(&c_locale_once, make_c_locale);
    if (c_locale == (locale_t) 0)
        return strtod(text, ret_end);
    locale_t before = uselocale(c_locale);
    double value = strtod(text, ret_end);
    uselocale(before);
    return value;
}

bool hs_str_to_double(const char *text, double *ret)
{
    char *end;
    double value = c_strtod(text, &end);
    if (end == text || !only_space(end))
        return false;
    *ret = value;
    return true;
}

bool hs_str_to_int64(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || errno == ERANGE || !only_space(end))
        return false;
    *ret = value;
    return true;
}

bool hs_str_to_bool(const char *text, bool *ret)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
    for (size_t i = 0; i < HS_ARRAY_LEN(words); i++) {
        if (hs_str_equal_nocase(text, words[i])) {
            *ret = i % 2;
            return true;
        }
    }
    return false;
}

bool hs_str_to_seconds(const char *text, double *ret)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = { { "", 1 }, { "ms", 1e-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
    char *end;
    double value = c_strtod(text, &end);
    if (end == text || value != value)
        return false;
    while (is_space(*end))
        end++;
    for (size_t i = 0; i < HS_ARRAY_LEN(units); i++) {
        size_t n = strlen(units[i].unit);
        if (strncmp(end, units[i].unit, n) == 0 && only_space(end + n)) {
            *ret = value * units[i].seconds;
            return true;
        }
    }
    return false;
}

void hs_str_from_double(double value, char ret_text[32])
{
    /* Every whole number up to 2^53 is a double. */
    if (value >= -9007199254740992.0 && value <= 9007199254740992.0 && value == (double) (int64_t) value) {
        snprintf(ret_text, 32, "%.0f", value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(ret_text, 32, "%.*g", digits, value);
        /* A locale may use a decimal comma; JSON and YAML require a point. */
        char *comma = strchr(ret_text, ',');
        if (comma)
            *comma = '.';
        double back;
        if (hs_str_to_double(ret_text, &back) && back == value)
            return;
    }
}

size_t hs_utf8_sequence(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *) text;
    if (len == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    /* Overlong forms, surrogates and code points past U+10FFFF (Unicode 15, table 3-7). */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

bool hs_utf8_valid(const char *text, size_t len)
{
    while (len > 0) {
        size_t n = hs_utf8_sequence(text, len);
        if (n == 0)
            return false;
        text += n;
        len -= n;
    }
    return true;
}

void hs_str_quote(char *dst, size_t size, const char *text, size_t len)
{
    size_t at = 0;
    if (size < 3) {
        if (size)
            dst[0] = '\0';
        return;
    }
    dst[at++] = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) text[i];
        size_t need = c == '"' || c == '\\' ? 2 : c >= 0x20 && c < 0x7f ? 1 : 4;
        if (at + need + 2 > size)
            break;
        if (need == 4) {
            snprintf(dst + at, 5, "\\x%02x", c);
        } else {
            if (need == 2)
                dst[at] = '\\';
            dst[at + need - 1] = (char) c;
        }
        at += need;
    }
    dst[at++] = '"';
    dst[at] = '\0';
}

void hs_str_make_line(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t n = hs_utf8_sequence(text, left);
        if (n == 0 || (unsigned char) *text < 0x20 || *text == 0x7f) {
            *text = '?';
            n = 1;
        }
        text += n;
        left -= n;
    }
}

int hs_str_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = (char) (c | 32);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

void hs_str_percent_decode(char *text, bool plus_is_space)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        int high = *p == '%' ? hs_str_hex_digit(p[1]) : -1;
        int low = high >= 0 ? hs_str_hex_digit(p[2]) : -1;
        if (low >= 0 && (high | low) != 0) {
            *out++ = (char) (high << 4 | low);
            p += 2;
        } else {
            *out++ = plus_is_space && *p == '+' ? ' ' : *p;
        }
    }
    *out = '\0';
}

const char *hs_str_count(char dst[HS_COUNT_SIZE], int64_t count, const char *one, const char *many)
{
    hs_str_format(dst, HS_COUNT_SIZE, "%lld %s", (long long) count, count == 1 ? one : many);
    return dst;
}

enum { EDIT_MAX = 64 };

/* Returns EDIT_MAX if a text is that long. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), row[EDIT_MAX + 1];
    if (n >= EDIT_MAX || m >= EDIT_MAX)
        return EDIT_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            char x[2] = { a[i - 1] == '-' ? '_' : a[i - 1], 0 }, y[2] = { b[j - 1] == '-' ? '_' : b[j - 1], 0 };
            size_t change = diagonal + !hs_str_equal_nocase(x, y);
            size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < other ? change : other;
        }
    }
    return row[m];
}

bool hs_str_nearer(const char *name, const char *candidate, size_t *distance)
{
    size_t found = edit_distance(name, candidate);
    if (found >= *distance)
        return false;
    *distance = found;
    return true;
}

size_t hs_str_near(const char *name)
{
    return strlen(name) / 4 + 2;
}
