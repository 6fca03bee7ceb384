#include "config/yaml_write.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "config/render.h"

enum { DEPTH_MAX = 32 };

/* Letters first, and nothing that means something in YAML; the words that are no texts are left out. */
static bool is_plain(const char *text)
{
    static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "null", "y", "n" };
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    for (size_t i = 0; i < HS_ARRAY_LEN(words); i++) {
        if (hs_str_equal_nocase(text, words[i]))
            return false;
    }
    bool letter = (text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z') || text[0] == '/';
    return letter && text[strspn(text, safe)] == '\0';
}

static int write_text(const char *text, struct hs_buf *buf)
{
    return is_plain(text) ? hs_buf_append_str(buf, text) : hs_render_json_string(text, buf);
}

/* 1.0 stays a number with a point. */
static int write_real(double value, struct hs_buf *buf)
{
    char text[32];
    hs_str_from_double(value, text);
    return hs_buf_printf(buf, "%s%s", text, strpbrk(text, ".en") ? "" : ".0");
}

static int write_scalar(const json_t *value, struct hs_buf *buf)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return write_text(json_string_value(value), buf);
    case JSON_INTEGER:
        return hs_buf_printf(buf, "%lld", (long long) json_integer_value(value));
    case JSON_REAL:
        return write_real(json_real_value(value), buf);
    case JSON_TRUE:
        return hs_buf_append_str(buf, "true");
    case JSON_FALSE:
        return hs_buf_append_str(buf, "false");
    default:
        return hs_buf_append_str(buf, "null");
    }
}

static bool has_lines(const json_t *value)
{
    return json_array_size(value) > 0 || json_object_size(value) > 0;
}

/* What follows "key:" or "-", with the line break before or after it. */
static int write_value(const json_t *value, int depth, struct hs_buf *buf);

static int write_lines(const json_t *value, int depth, struct hs_buf *buf)
{
    int r = depth > DEPTH_MAX ? HS_ETOOLARGE : 0;
    for (size_t i = 0; r == 0 && i < json_array_size(value); i++) {
        r = hs_buf_printf(buf, "%*s-", 2 * depth, "");
        if (r == 0)
            r = write_value(json_array_get(value, i), depth + 1, buf);
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *) (uintptr_t) value, key, member)
    {
        if (r == 0)
            r = hs_buf_printf(buf, "%*s", 2 * depth, "");
        if (r == 0)
            r = write_text(key, buf);
        if (r == 0)
            r = hs_buf_append_str(buf, ":");
        if (r == 0)
            r = write_value(member, depth + 1, buf);
    }
    return r;
}

static int write_value(const json_t *value, int depth, struct hs_buf *buf)
{
    int r = hs_buf_append_str(buf, has_lines(value) ? "\n" : " ");
    if (r < 0)
        return r;
    if (has_lines(value))
        return write_lines(value, depth, buf);
    r = json_is_object(value)  ? hs_buf_append_str(buf, "{}")
        : json_is_array(value) ? hs_buf_append_str(buf, "[]")
                               : write_scalar(value, buf);
    return r < 0 ? r : hs_buf_append_str(buf, "\n");
}

int hs_yaml_write(const json_t *value, struct hs_buf *buf)
{
    if (has_lines(value))
        return write_lines(value, 0, buf);
    int r = json_is_object(value)  ? hs_buf_append_str(buf, "{}")
            : json_is_array(value) ? hs_buf_append_str(buf, "[]")
                                   : write_scalar(value, buf);
    return r < 0 ? r : hs_buf_append_str(buf, "\n");
}

json_t *hs_yaml_value(const char *word)
{
    int64_t whole;
    double number;
    bool digits = word[0] && !isspace((unsigned char) word[0]) && !isspace((unsigned char) word[strlen(word) - 1]);
    if (hs_str_equal_nocase(word, "true") || hs_str_equal_nocase(word, "false"))
        return json_boolean(word[0] == 't' || word[0] == 'T');
    if (digits && hs_str_to_int64(word, &whole))
        return json_integer(whole);
    if (digits && hs_str_to_double(word, &number) && isfinite(number))
        return json_real(number);
    return json_string(word);
}
