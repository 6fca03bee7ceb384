/* Numbers, durations, percent escapes, UTF-8 and quoting: a written value reads back as the same, and the
 * number readers agree on texts that several of them accept. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "base/str.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void check_double(double value)
{
    char text[32], json[32];
    double back;
    if (!isfinite(value))
        return;
    hs_str_from_double(value, text);
    if (!hs_str_to_double(text, &back) || !same(back, value))
        abort();
    size_t len = hs_json_double(value, json);
    if (len != strlen(json) || !hs_str_to_double(json, &back) || !same(back, value) || !strpbrk(json, ".e"))
        abort();
}

static void check_numbers(const char *text)
{
    int64_t whole;
    double number, seconds;
    bool is_number = hs_str_to_double(text, &number), is_seconds = hs_str_to_seconds(text, &seconds);
    if (hs_str_to_int64(text, &whole)) {
        char again[32];
        int64_t back;
        hs_str_format(again, sizeof(again), " %lld ", (long long) whole);
        /* strtod may read hexadecimal, while strtoll stops at the x; such a text is not an integer. */
        if (!is_number || !hs_str_to_int64(again, &back) || back != whole || fabs(number - (double) whole) > 1024)
            abort();
    }
    if (is_number) {
        check_double(number);
        if (is_seconds != !isnan(number) || (is_seconds && !same(seconds, number)))
            abort();
    }
    if (is_seconds && isnan(seconds))
        abort();
}

static void check_percent(const char *text, bool plus_is_space)
{
    size_t len = strlen(text);
    char *decoded = strdup(text), *encoded = malloc(3 * len + 1);
    if (decoded && encoded) {
        hs_str_percent_decode(decoded, plus_is_space);
        if (strlen(decoded) > len)
            abort();
        char *out = encoded;
        for (const char *p = decoded; *p; p++) {
            *out++ = '%';
            snprintf(out, 3, "%02x", (unsigned char) *p);
            out += 2;
        }
        *out = '\0';
        hs_str_percent_decode(encoded, plus_is_space);
        if (strcmp(encoded, decoded) != 0)
            abort();
    }
    free(decoded);
    free(encoded);
}

static void check_quote(const char *text, size_t len)
{
    for (size_t size = 0; size < 24; size++) {
        char *dst = malloc(size ? size : 1);
        if (!dst)
            return;
        hs_str_quote(dst, size, text, len);
        for (size_t i = 0; size && dst[i]; i++)
            if (dst[i] < 32 || dst[i] > 126)
                abort();
        if (size >= 3 && (dst[0] != '"' || dst[strlen(dst) - 1] != '"'))
            abort();
        free(dst);
    }
}

static void check_utf8(const char *text, size_t len)
{
    bool valid = hs_utf8_valid(text, len);
    json_t *string = json_stringn(text, len);
    if (valid != (string != NULL))
        abort();
    json_decref(string);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    double value;
    if (len > 4096)
        return 0;
    if (len >= sizeof(value)) {
        memcpy(&value, data, sizeof(value));
        check_double(value);
    }
    check_quote((const char *) data, len);
    check_utf8((const char *) data, len);
    char *text = hs_fuzz_text(data, len);
    if (text) {
        check_numbers(text);
        check_percent(text, false);
        check_percent(text, true);
    }
    free(text);
    return 0;
}
