/* The scanner understands only the JSON syntax that it needs to find the strings to pass on:
 * nesting, strings, and the keys of the top-level object and of objects in the list. All other
 * bytes go to the JSON parser unchanged, which reports malformed input. */
#include "http/json_body.h"

#include <stdint.h>
#include <string.h>

#include "base/json_read.h"
#include "base/str.h"

enum { TEXT, STRING, KEY, CAPTURE, ESCAPE, UNICODE };

void hs_json_body_init(struct hs_json_body *body, const char *const *names, const char *const *lists,
                       const char *member_name, size_t rest_max, size_t depth_max,
                       const struct hs_json_body_events *events, void *ctx)
{
    *body = (struct hs_json_body) { .names = names,
                                    .lists = lists,
                                    .member_name = member_name,
                                    .events = events,
                                    .ctx = ctx,
                                    .depth_max = depth_max,
                                    .state = TEXT,
                                    .capture.index = SIZE_MAX,
                                    .line = 1,
                                    .column = 1 };
    while (names && names[body->name_count])
        body->name_count++;
    hs_buf_init(&body->rest, rest_max);
}

void hs_json_body_finish(struct hs_json_body *body)
{
    hs_buf_finish(&body->rest);
}

static int invalid(const struct hs_json_body *body, const char *what, struct hs_error *err)
{
    hs_error_set(err, HS_EINVAL, "Invalid JSON: %s (line %zu, column %zu)", what, body->line, body->column);
    if (err)
        err->line = (int) body->line;
    return HS_EINVAL;
}

static int keep(struct hs_json_body *body, char c, struct hs_error *err)
{
    int r = hs_buf_append(&body->rest, &c, 1);
    if (r == HS_ETOOLARGE)
        return hs_error_set(err, r, "The JSON without its pictures is larger than %zu bytes", body->rest.max);
    return r < 0 ? hs_error_set(err, r, "no memory for the JSON") : 0;
}

static bool key_is(const struct hs_json_body *body, const char *name)
{
    return strlen(name) == body->key_len && body->key_len <= sizeof(body->key) &&
           memcmp(name, body->key, body->key_len) == 0;
}

static size_t find_name(const struct hs_json_body *body)
{
    for (size_t i = 0; i < body->name_count; i++) {
        if (key_is(body, body->names[i]))
            return i;
    }
    for (size_t i = 0; body->lists && body->lists[i]; i++) {
        if (key_is(body, body->lists[i]))
            return body->name_count + i;
    }
    return SIZE_MAX;
}

static bool starts_list(const struct hs_json_body *body)
{
    return body->capture.index != SIZE_MAX && body->capture.index >= body->name_count;
}

static int begin_member(struct hs_json_body *body, size_t member, struct hs_error *err)
{
    body->capture.member = member;
    return body->events->member(body->ctx, &body->capture, err);
}

/* Stores one character of a key or a captured string, after escapes are resolved. */
static int put_char(struct hs_json_body *body, unsigned code, struct hs_error *err)
{
    char c = code < 0x80 ? (char) code : '\x80';
    if (body->in_string == CAPTURE)
        return body->events->text(body->ctx, &body->capture, &c, 1, err);
    if (body->in_string == KEY) {
        if (body->key_len < sizeof(body->key))
            body->key[body->key_len] = c;
        body->key_len++;
    }
    return 0;
}

static int string_kind(const struct hs_json_body *body)
{
    bool at_top = body->depth == 1 && body->top_is_object, in_member = body->in_member && body->depth == 3;
    if ((at_top || in_member) && body->expect_key)
        return KEY;
    bool captured = at_top      ? body->capture.index != SIZE_MAX
                    : in_member ? body->member_expected
                                : body->in_list && body->depth == 2;
    return captured ? CAPTURE : STRING;
}

static int open_string(struct hs_json_body *body, struct hs_error *err)
{
    body->state = body->in_string = string_kind(body);
    body->key_len = body->state == KEY ? 0 : body->key_len;
    if (body->state != CAPTURE)
        return 0;
    /* A single string in place of the list counts as a list of one. */
    int r = body->depth == 1 && starts_list(body) ? begin_member(body, 0, err) : 0;
    if (r < 0)
        return r;
    if (body->cut_line != body->line) {
        body->cut_line = body->line;
        body->cut_at = body->rest.len;
        body->cut_len = 0;
    }
    return body->events->begin(body->ctx, &body->capture, err);
}

static int open_container(struct hs_json_body *body, char c, struct hs_error *err)
{
    if (++body->depth > body->depth_max)
        return invalid(body, "nested too deeply", err);
    if (body->depth == 1) {
        body->top_is_object = body->expect_key = c == '{';
    } else if (body->depth == 2 && c == '[' && starts_list(body)) {
        body->in_list = true;
        return begin_member(body, 0, err);
    } else if (body->depth == 3 && body->in_list) {
        body->in_member = body->expect_key = c == '{';
        body->member_expected = false;
    }
    return 0;
}

static int feed_text(struct hs_json_body *body, char c, struct hs_error *err)
{
    bool member = body->depth == 3 && body->in_member;
    switch (c) {
    case '{':
    case '[':
        return open_container(body, c, err);
    case '}':
    case ']':
        body->depth -= body->depth > 0;
        body->in_member &= body->depth >= 3;
        body->in_list &= body->depth >= 2;
        if (body->depth < 3)
            body->expect_key = false;
        return 0;
    case ',':
        if (body->depth == 2 && body->in_list)
            return begin_member(body, body->capture.member + 1, err);
        if (body->depth == 1) {
            body->expect_key = body->top_is_object;
            body->capture.index = SIZE_MAX;
        } else if (member) {
            body->expect_key = true;
            body->member_expected = false;
        }
        return 0;
    case ':':
        if (body->depth == 1 || member)
            body->expect_key = false;
        return 0;
    case '"':
        return open_string(body, err);
    default:
        return 0;
    }
}

/* Parses an escape after its backslash: one character, or 'u' and four digits. */
static int feed_escape(struct hs_json_body *body, char c, struct hs_error *err)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (body->state == UNICODE) {
        int digit = hs_str_hex_digit(c);
        if (digit < 0)
            return invalid(body, "a \\u escape needs four hexadecimal digits", err);
        body->unicode = body->unicode << 4 | (unsigned) digit;
        if (++body->unicode_digits < 4)
            return 0;
        body->state = body->in_string;
        return put_char(body, body->unicode, err);
    }
    bool plain = body->in_string == STRING;
    if (c == 'u' && !plain) {
        body->state = UNICODE;
        body->unicode = body->unicode_digits = 0;
        return 0;
    }
    body->state = body->in_string;
    const char *at = memchr(names, c, sizeof(names) - 1);
    if (!at && !plain)
        return invalid(body, "unknown escape in a string", err);
    return plain ? 0 : put_char(body, (unsigned char) values[at - names], err);
}

/* Parses a byte inside a string, or a run of plain bytes. */
static int feed_string(struct hs_json_body *body, const char *data, size_t len, size_t *ret_used, struct hs_error *err)
{
    unsigned char c = (unsigned char) *data;
    if (c == '\\') {
        body->state = ESCAPE;
        return 0;
    }
    if (c == '"') {
        if (body->in_string == KEY && body->depth == 3)
            body->member_expected = key_is(body, body->member_name);
        else if (body->in_string == KEY)
            body->capture.index = find_name(body);
        else if (body->in_string == CAPTURE && body->depth == 1)
            body->capture.index = SIZE_MAX;
        body->state = TEXT;
        return 0;
    }
    if (body->state != CAPTURE)
        return put_char(body, c, err);
    if (c < 0x20)
        return invalid(body, "control character in a string", err);
    size_t n = 0;
    while (n < len && (unsigned char) data[n] >= 0x20 && (unsigned char) data[n] < 0x80 && data[n] != '"' &&
           data[n] != '\\')
        n++;
    *ret_used = n ? n : 1;
    /* A non-ASCII character must be valid UTF-8; the JSON parser checks it. */
    int r = n ? 0 : keep(body, *data, err);
    return r < 0 ? r : body->events->text(body->ctx, &body->capture, data, *ret_used, err);
}

int hs_json_body_feed(struct hs_json_body *body, const char *data, size_t len, struct hs_error *err)
{
    while (len > 0) {
        bool closing = body->state == CAPTURE && *data == '"';
        bool captured = body->state != TEXT && body->in_string == CAPTURE && !closing;
        size_t used = 1;
        int r = captured ? 0 : keep(body, *data, err);
        if (r == 0)
            r = body->state == TEXT     ? feed_text(body, *data, err)
                : body->state >= ESCAPE ? feed_escape(body, *data, err)
                                        : feed_string(body, data, len, &used, err);
        if (r < 0)
            return r;
        if (captured)
            body->cut_len += used;
        body->column += used;
        if (*data == '\n') {
            body->line++;
            body->column = 1;
        }
        data += used;
        len -= used;
    }
    return 0;
}

int hs_json_body_end(struct hs_json_body *body, json_t **ret_value, struct hs_error *err)
{
    size_t spaces = 0;
    while (spaces < body->rest.len && memchr(" \t\r\n", body->rest.data[spaces], 4))
        spaces++;
    if (spaces == body->rest.len)
        return hs_error_set(err, HS_EINVAL, "Invalid JSON: the body is empty");
    json_error_t detail;
    int r = hs_json_read((const char *) body->rest.data, body->rest.len, JSON_DECODE_ANY, ret_value, &detail);
    if (r == HS_ENOMEM)
        return hs_error_set(err, r, "no memory for the JSON");
    if (r < 0) {
        if (json_error_code(&detail) == json_error_null_character ||
            json_error_code(&detail) == json_error_null_byte_in_key)
            hs_str_copy(detail.text, sizeof(detail.text), "a string contains the character U+0000");
        /* The message quotes the input near the error; make it one line of printable text. */
        for (char *c = detail.text; *c; c++)
            *c = *c < 0x20 || *c > 0x7e ? '?' : *c;
        /* Count the column in the client's text, including removed strings. */
        size_t column = detail.column > 0 ? (size_t) detail.column : 1;
        if ((size_t) detail.line == body->cut_line && (size_t) detail.position > body->cut_at)
            column += body->cut_len;
        hs_error_set(err, HS_EINVAL, "Invalid JSON: %s (line %d, column %zu)", detail.text, detail.line, column);
        if (err)
            err->line = detail.line;
    }
    return r;
}
