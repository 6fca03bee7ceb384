#include "config/yaml_write.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/json_writer.h"
#include "base/str.h"

enum { DEPTH_MAX = 32 };

/* Returns true if a text needs no quotes: it starts with a letter or '/', has no special characters of YAML, and YAML
 * does not read it as another type. */
static bool is_plain(const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    bool truth, word = hs_str_to_bool(text, &truth) || hs_str_equal_nocase(text, "null") ||
                       hs_str_equal_nocase(text, "y") || hs_str_equal_nocase(text, "n");
    bool letter = (text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z') || text[0] == '/';
    return letter && !word && text[strspn(text, safe)] == '\0';
}

static void write_text(const char *text, struct hs_buf *buf)
{
    if (is_plain(text))
        hs_buf_append_str(buf, text);
    else
        hs_json_put_string(buf, text, strlen(text), false);
}

/* Writes a value after "key:" or "-", with the separator before it; at depth 0 without a separator. */
static void write_value(const json_t *value, int depth, struct hs_buf *buf)
{
    char number[32];
    bool lines = json_array_size(value) > 0 || json_object_size(value) > 0;
    if (depth > DEPTH_MAX && lines && !buf->error)
        buf->error = HS_ETOOLARGE;
    if (buf->error)
        return;
    if (depth > 0)
        hs_buf_append_str(buf, lines ? "\n" : " ");
    if (json_is_object(value))
        hs_buf_append_str(buf, lines ? "" : "{}");
    else if (json_is_array(value))
        hs_buf_append_str(buf, lines ? "" : "[]");
    else if (json_is_string(value))
        write_text(json_string_value(value), buf);
    else if (json_is_integer(value))
        hs_buf_printf(buf, "%lld", (long long) json_integer_value(value));
    else if (json_is_real(value))
        hs_buf_append(buf, number, hs_json_double(json_real_value(value), number));
    else
        hs_buf_append_str(buf, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
    if (!lines)
        hs_buf_append_str(buf, "\n");
    for (size_t i = 0; i < json_array_size(value); i++) {
        hs_buf_printf(buf, "%*s-", 2 * depth, "");
        write_value(json_array_get(value, i), depth + 1, buf);
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *) (uintptr_t) value, key, member)
    {
        hs_buf_printf(buf, "%*s", 2 * depth, "");
        write_text(key, buf);
        hs_buf_append_str(buf, ":");
        write_value(member, depth + 1, buf);
    }
}

int hs_yaml_write(const json_t *value, struct hs_buf *buf)
{
    write_value(value, 0, buf);
    return hs_buf_error(buf);
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
