/* Two readers build the same tree. If jansson accepts the text as strict JSON, a small reader in this file parses it,
 * because libyaml 0.2.5 rejects JSON's surrogate escapes ("\ud83d\ude00"), keys longer than 1024 bytes and a line break
 * before the colon, and because jansson does not keep line numbers. All other text is YAML, read from libyaml's
 * events. */
#include "config/doc.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/str.h"

enum { DOC_MAX_BYTES = 1 << 20, DOC_MAX_DEPTH = 32, DOC_MAX_NODES = 20000 };

struct hs_doc {
    struct hs_node *root;
};

/* The JSON reader uses `at` and `line`, the YAML reader uses `yaml`. `lines` is an upper bound of line numbers. `nodes`
 * also counts keys. */
struct reader {
    const char *name;
    struct hs_error *err;
    size_t nodes;
    yaml_parser_t yaml;
    const char *at, *end;
    int line, lines;
};

static void node_destroy(struct hs_node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->count; i++) {
        if (node->keys)
            free((char *) node->keys[i]);
        node_destroy(node->items[i]);
    }
    free(node->keys);
    free(node->key_lines);
    free(node->items);
    free((char *) node->text);
    free(node);
}

static int fail(struct reader *reader, int code, int line, const char *message)
{
    hs_error_set(reader->err, code, "%s:%d: %s", reader->name, line, message);
    if (reader->err)
        reader->err->line = line;
    return code;
}

static int no_memory(struct reader *reader)
{
    return hs_error_set(reader->err, HS_ENOMEM, "%s: out of memory", reader->name);
}

/* Copies `len` bytes as a C string; a NUL among them is an error. */
static int copy_text(struct reader *reader, const char *text, size_t len, int line, const char **ret_text)
{
    if (memchr(text, '\0', len))
        return fail(reader, HS_EINVAL, line, "a NUL character is not allowed");
    char *copy = malloc(len + 1);
    if (!copy)
        return no_memory(reader);
    memcpy(copy, text, len);
    copy[len] = '\0';
    *ret_text = copy;
    return 0;
}

static int count_node(struct reader *reader, int line)
{
    if (++reader->nodes > DOC_MAX_NODES)
        return fail(reader, HS_ETOOLARGE, line, "too many values (at most 20000 keys, values and lists)");
    return 0;
}

static int node_create(struct reader *reader, enum hs_node_kind kind, int line, int depth, struct hs_node **ret_node)
{
    if (depth > DOC_MAX_DEPTH)
        return fail(reader, HS_ETOOLARGE, line, "nested too deeply (at most 32 levels)");
    int r = count_node(reader, line);
    if (r < 0)
        return r;
    struct hs_node *node = calloc(1, sizeof(*node));
    if (!node)
        return no_memory(reader);
    node->kind = kind;
    node->line = line;
    *ret_node = node;
    return 0;
}

/* Adds an element, in a map with its key; *ret_item is the place for its value's node. */
static int add_element(struct reader *reader, struct hs_node *node, const char *key, size_t key_len, int key_line,
                       struct hs_node ***ret_item)
{
    bool map = node->kind == HS_NODE_MAP;
    const char *copy = NULL;
    int r = map ? count_node(reader, key_line) : 0;
    if (map && r == 0)
        r = copy_text(reader, key, key_len, key_line, &copy);
    for (size_t i = 0; map && r == 0 && i < node->count; i++) {
        if (strcmp(node->keys[i], copy) == 0) {
            char quoted[80], message[160];
            hs_str_quote(quoted, sizeof(quoted), copy, key_len);
            hs_str_format(message, sizeof(message), "duplicate key %s (first on line %d)", quoted, node->key_lines[i]);
            r = fail(reader, HS_EINVAL, key_line, message);
        }
    }
    size_t items = node->capacity, keys = items, lines = items, need = node->count + 1;
    bool room = HS_ARRAY_RESERVE(node->items, items, need);
    if (map)
        room = room && HS_ARRAY_RESERVE(node->keys, keys, need) && HS_ARRAY_RESERVE(node->key_lines, lines, need);
    if (r == 0 && !room)
        r = no_memory(reader);
    if (r < 0) {
        free((char *) copy);
        return r;
    }
    node->capacity = items;
    if (map) {
        node->keys[node->count] = copy;
        node->key_lines[node->count] = key_line;
    }
    *ret_item = &node->items[node->count++];
    **ret_item = NULL;
    return 0;
}

/* ---- JSON: the text is known to be well-formed ---- */

static void skip_space(struct reader *reader)
{
    for (; reader->at < reader->end && strchr(" \t\r\n", *reader->at); reader->at++) {
        if (*reader->at == '\n' || (*reader->at == '\r' && reader->at[1] != '\n'))
            reader->line++;
    }
}

/* Reads a string that starts with a quote. jansson decodes the escapes. NULL if out of memory. */
static json_t *read_string(struct reader *reader)
{
    const char *start = reader->at++;
    while (*reader->at != '"')
        reader->at += *reader->at == '\\' ? 2 : 1;
    reader->at++;
    return json_loadb(start, (size_t) (reader->at - start), JSON_DECODE_ANY, NULL);
}

static int read_scalar(struct reader *reader, struct hs_node *node)
{
    const char *text = reader->at;
    size_t len = 0;
    json_t *string = NULL;
    node->quoted = *text == '"';
    if (node->quoted) {
        string = read_string(reader);
        text = json_string_value(string);
        len = json_string_length(string);
    } else {
        while (reader->at < reader->end && !strchr(" \t\r\n,]}", *reader->at))
            reader->at++;
        len = (size_t) (reader->at - text);
    }
    int r = text ? copy_text(reader, text, len, reader->line, &node->text) : no_memory(reader);
    json_decref(string);
    return r;
}

static int read_value(struct reader *reader, int depth, struct hs_node **ret_node);

static int read_elements(struct reader *reader, struct hs_node *node, int depth)
{
    reader->at++; /* the bracket */
    for (;;) {
        skip_space(reader);
        char c = *reader->at;
        if (c == ']' || c == '}' || c == ',')
            reader->at++;
        if (c == ']' || c == '}')
            return 0;
        skip_space(reader);
        int line = reader->line;
        json_t *key = node->kind == HS_NODE_MAP ? read_string(reader) : NULL;
        if (node->kind == HS_NODE_MAP && !key)
            return no_memory(reader);
        struct hs_node **item;
        int r = add_element(reader, node, json_string_value(key), json_string_length(key), line, &item);
        json_decref(key);
        if (r < 0)
            return r;
        skip_space(reader);
        reader->at += *reader->at == ':';
        r = read_value(reader, depth + 1, item);
        if (r < 0)
            return r;
    }
}

static int read_value(struct reader *reader, int depth, struct hs_node **ret_node)
{
    skip_space(reader);
    enum hs_node_kind kind = *reader->at == '{' ? HS_NODE_MAP : *reader->at == '[' ? HS_NODE_LIST : HS_NODE_SCALAR;
    struct hs_node *node;
    int r = node_create(reader, kind, reader->line, depth, &node);
    if (r < 0)
        return r;
    r = kind == HS_NODE_SCALAR ? read_scalar(reader, node) : read_elements(reader, node, depth);
    if (r < 0)
        node_destroy(node);
    else
        *ret_node = node;
    return r;
}

/* Returns true if a text that is neither valid JSON nor valid YAML resembles JSON. Then jansson's message is the more
 * useful one. */
static bool looks_like_json(const struct reader *reader)
{
    const char *at = reader->at;
    for (int braces = 0; at < reader->end; at++) {
        if (!strchr(" \t\r\n", *at) && (braces++ || *at != '{'))
            return braces == 2 && *at == '"';
    }
    return false;
}

/* ---- YAML ---- */

static int yaml_next(struct reader *reader, yaml_event_t *event)
{
    if (yaml_parser_parse(&reader->yaml, event))
        return 0;
    const yaml_parser_t *yaml = &reader->yaml;
    if (yaml->error == YAML_MEMORY_ERROR)
        return no_memory(reader);
    /* libyaml reports characters that are not UTF-8 by offset only. At the end of a text without a final line break its
     * line is one too high. */
    int line = (int) (yaml->error == YAML_READER_ERROR ? yaml->mark.line : yaml->problem_mark.line) + 1;
    line = line < reader->lines ? line : reader->lines;
    char message[200];
    hs_str_format(message, sizeof(message), "invalid YAML%s%s%s%s", yaml->problem ? ": " : "",
                  yaml->problem ? yaml->problem : "", yaml->context ? ", " : "", yaml->context ? yaml->context : "");
    return fail(reader, HS_EINVAL, line, message);
}

static int event_line(const yaml_event_t *event)
{
    return (int) event->start_mark.line + 1;
}

/* Rejects anchors, aliases and tags, because with them a small text can expand to a large or unexpected one. */
static int yaml_refuse_extras(struct reader *reader, const yaml_event_t *event)
{
    bool scalar = event->type == YAML_SCALAR_EVENT, list = event->type == YAML_SEQUENCE_START_EVENT;
    bool map = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *anchor = scalar ? event->data.scalar.anchor
                                : list ? event->data.sequence_start.anchor
                                : map  ? event->data.mapping_start.anchor
                                       : NULL;
    const yaml_char_t *tag = scalar ? event->data.scalar.tag
                             : list ? event->data.sequence_start.tag
                             : map  ? event->data.mapping_start.tag
                                    : NULL;
    if (event->type == YAML_ALIAS_EVENT)
        return fail(reader, HS_EUNSUPPORTED, event_line(event), "aliases (*name) are not supported");
    if (anchor)
        return fail(reader, HS_EUNSUPPORTED, event_line(event), "anchors (&name) are not supported");
    if (tag)
        return fail(reader, HS_EUNSUPPORTED, event_line(event), "tags (!name) are not supported");
    return 0;
}

static int yaml_elements(struct reader *reader, struct hs_node *node, int depth);

/* Reads the value that starts with *event. Takes the event. */
static int yaml_value(struct reader *reader, yaml_event_t *event, int depth, struct hs_node **ret_node)
{
    enum hs_node_kind kind = event->type == YAML_MAPPING_START_EVENT    ? HS_NODE_MAP
                             : event->type == YAML_SEQUENCE_START_EVENT ? HS_NODE_LIST
                                                                        : HS_NODE_SCALAR;
    struct hs_node *node = NULL;
    int r = yaml_refuse_extras(reader, event);
    if (r == 0)
        r = node_create(reader, kind, event_line(event), depth, &node);
    if (r == 0 && kind == HS_NODE_SCALAR) {
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        r = copy_text(reader, (const char *) event->data.scalar.value, event->data.scalar.length, event_line(event),
                      &node->text);
    }
    yaml_event_delete(event);
    if (r == 0 && kind != HS_NODE_SCALAR)
        r = yaml_elements(reader, node, depth);
    if (r < 0)
        node_destroy(node);
    else
        *ret_node = node;
    return r;
}

static int yaml_elements(struct reader *reader, struct hs_node *node, int depth)
{
    for (;;) {
        yaml_event_t event;
        struct hs_node **item;
        const char *key = NULL;
        size_t key_len = 0;
        int r = yaml_next(reader, &event);
        if (r < 0)
            return r;
        if (event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return 0;
        }
        if (node->kind == HS_NODE_MAP) {
            r = yaml_refuse_extras(reader, &event);
            if (r == 0 && event.type != YAML_SCALAR_EVENT)
                r = fail(reader, HS_EUNSUPPORTED, event_line(&event), "a key must be a scalar");
            if (r == 0) {
                key = (const char *) event.data.scalar.value;
                key_len = event.data.scalar.length;
            }
        }
        if (r == 0)
            r = add_element(reader, node, key, key_len, event_line(&event), &item);
        if (r < 0 || node->kind == HS_NODE_MAP)
            yaml_event_delete(&event);
        if (r == 0 && node->kind == HS_NODE_MAP)
            r = yaml_next(reader, &event);
        if (r == 0)
            r = yaml_value(reader, &event, depth + 1, item);
        if (r < 0)
            return r;
    }
}

/* Reads a stream of at most one document to its end. Without a document, *ret_node is untouched. */
static int yaml_read(struct reader *reader, struct hs_node **ret_node)
{
    if (!yaml_parser_initialize(&reader->yaml))
        return no_memory(reader);
    yaml_parser_set_encoding(&reader->yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader->yaml, (const unsigned char *) reader->at,
                                 (size_t) (reader->end - reader->at));
    yaml_event_t event;
    int documents = 0, r = 0;
    for (yaml_event_type_t type = YAML_NO_EVENT; r == 0 && type != YAML_STREAM_END_EVENT;) {
        r = yaml_next(reader, &event);
        if (r < 0)
            break;
        type = event.type;
        int line = event_line(&event);
        if (type == YAML_STREAM_START_EVENT || type == YAML_STREAM_END_EVENT || type == YAML_DOCUMENT_START_EVENT ||
            type == YAML_DOCUMENT_END_EVENT)
            yaml_event_delete(&event);
        else
            r = yaml_value(reader, &event, 0, ret_node);
        if (r == 0 && type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            r = fail(reader, HS_EUNSUPPORTED, line,
                     "a file must contain only one YAML document, and a second one starts here");
    }
    yaml_parser_delete(&reader->yaml);
    return r;
}

/* ---- both ---- */

int hs_doc_parse(const char *text, size_t len, const char *name, struct hs_doc **ret_doc, struct hs_error *err)
{
    if (len > DOC_MAX_BYTES)
        return hs_error_set(err, HS_ETOOLARGE, "%s is too large: %zu bytes, the limit is %d", name, len, DOC_MAX_BYTES);
    struct reader reader = { .name = name, .err = err, .at = len ? text : "", .line = 1 };
    reader.end = reader.at + len;
    reader.lines = 1;
    for (const char *at = reader.at; at < reader.end; at++)
        reader.lines += *at == '\n' || *at == '\r';
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        reader.at += 3; /* skip a byte order mark, which jansson does not accept */
    struct hs_doc *doc = calloc(1, sizeof(*doc));
    if (!doc)
        return no_memory(&reader);
    json_error_t json_error;
    json_t *tree = NULL;
    int r = hs_json_read(reader.at, (size_t) (reader.end - reader.at), 0, &tree, &json_error);
    bool json = r == 0;
    json_decref(tree);
    if (r == HS_ENOMEM)
        no_memory(&reader);
    else
        r = json ? read_value(&reader, 0, &doc->root) : yaml_read(&reader, &doc->root);
    if (r == HS_EINVAL && !json && looks_like_json(&reader)) {
        /* The message may quote text with line breaks; it must be one line. */
        for (char *c = json_error.text; *c; c++)
            *c = (unsigned char) *c < 0x20 ? ' ' : *c;
        r = fail(&reader, HS_EINVAL, json_error.line > 0 ? json_error.line : 1, json_error.text);
    }
    /* A file that is empty or contains only `null` becomes an empty map. */
    if (r == 0 && (!doc->root || hs_node_is_null(doc->root))) {
        node_destroy(doc->root);
        doc->root = NULL;
        r = node_create(&reader, HS_NODE_MAP, 1, 0, &doc->root);
    }
    if (r < 0)
        hs_doc_destroy(doc);
    else
        *ret_doc = doc;
    return r;
}

int hs_doc_load(const char *path, struct hs_doc **ret_doc, struct hs_error *err)
{
    uint8_t *data;
    size_t len;
    int r = hs_file_read(path, DOC_MAX_BYTES, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_doc_parse((const char *) data, len, path, ret_doc, err);
    free(data);
    return r;
}

void hs_doc_destroy(struct hs_doc *doc)
{
    if (!doc)
        return;
    node_destroy(doc->root);
    free(doc);
}

const struct hs_node *hs_doc_root(const struct hs_doc *doc)
{
    return doc->root;
}

const struct hs_node *hs_node_get(const struct hs_node *node, const char *key)
{
    if (!node || node->kind != HS_NODE_MAP)
        return NULL;
    for (size_t i = 0; i < node->count; i++) {
        if (strcmp(node->keys[i], key) == 0)
            return node->items[i];
    }
    return NULL;
}

bool hs_node_is_null(const struct hs_node *node)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
    if (!node || node->kind != HS_NODE_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; i < HS_ARRAY_LEN(nulls); i++) {
        if (strcmp(node->text, nulls[i]) == 0)
            return true;
    }
    return false;
}

const char *hs_node_text(const struct hs_node *node)
{
    return node && node->kind == HS_NODE_SCALAR && !hs_node_is_null(node) ? node->text : NULL;
}

/* Returns the text of an unquoted scalar, or NULL. */
static const char *plain_text(const struct hs_node *node)
{
    return node && node->kind == HS_NODE_SCALAR && !node->quoted ? node->text : NULL;
}

bool hs_node_bool(const struct hs_node *node, bool *ret)
{
    const char *text = plain_text(node);
    return text && hs_str_to_bool(text, ret);
}

bool hs_node_int(const struct hs_node *node, long long *ret)
{
    const char *text = plain_text(node);
    if (!text)
        return false;
    const char *digits = text + (*text == '-' || *text == '+');
    /* 010 is 8 in YAML 1.1, but most people mean 10, so it is not accepted as a number. */
    int64_t value;
    if ((digits[0] == '0' && digits[1] != '\0') || strspn(digits, "0123456789") != strlen(digits) ||
        !hs_str_to_int64(text, &value))
        return false;
    *ret = value;
    return true;
}

bool hs_node_double(const struct hs_node *node, double *ret)
{
    const char *text = plain_text(node);
    double value;
    /* The character set excludes nan, inf and hexadecimal floats. */
    if (!text || strspn(text, "0123456789+-.eE") != strlen(text) || !hs_str_to_double(text, &value) || !isfinite(value))
        return false;
    *ret = value;
    return true;
}
