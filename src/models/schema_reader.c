#include "models/schema_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

int hs_schema_fail(struct hs_schema *reader, int line, const char *format, ...)
{
    if (reader->status < 0)
        return reader->status;
    char text[HS_ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    reader->status = hs_error_set(reader->err, HS_EINVAL, "%s:%d: %s", reader->name, line, text);
    if (reader->err)
        reader->err->line = line;
    return reader->status;
}

void *hs_schema_alloc(struct hs_schema *reader, size_t count, size_t size)
{
    size_t total;
    void *memory = reader->status == 0 && hs_size_mul(count ? count : 1, size, &total) ? calloc(1, total) : NULL;
    if (!memory && reader->status == 0)
        reader->status = hs_error_set(reader->err, HS_ENOMEM, "out of memory");
    return memory;
}

bool hs_schema_map(struct hs_schema *reader, const struct hs_node *node, const char *what, const char *const *keys)
{
    if (reader->status < 0 || !node)
        return false;
    if (node->kind != HS_NODE_MAP) {
        hs_schema_fail(reader, node->line, "%s must be a map", what);
        return false;
    }
    for (size_t i = 0; i < node->count; i++) {
        const char *const *key = keys;
        while (*key && strcmp(*key, node->keys[i]) != 0)
            key++;
        if (!*key)
            hs_schema_fail(reader, node->key_lines[i], "unknown key `%.60s` in %s", node->keys[i], what);
    }
    return reader->status == 0;
}

const struct hs_node *hs_schema_node(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed)
{
    if (reader->status < 0)
        return NULL;
    const struct hs_node *node = hs_node_get(map, key);
    if (!node && needed)
        hs_schema_fail(reader, map ? map->line : 1, "`%s` is missing", key);
    return node;
}

const char *hs_schema_text(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                           size_t max)
{
    const struct hs_node *node = hs_schema_node(reader, map, key, needed);
    if (!node)
        return NULL;
    const char *text = hs_node_text(node);
    /* Text is printed on terminals and in log lines, so it must not contain control characters. */
    bool printable = text && text[0] && strlen(text) <= max;
    for (const char *c = text; printable && *c; c++)
        printable = (unsigned char) *c >= 32 && *c != 127;
    if (printable)
        return text;
    hs_schema_fail(reader, node->line, "`%s` must be a string of 1 to %zu bytes on one line", key, max);
    return NULL;
}

long long hs_schema_int(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                        long long min, long long max)
{
    const struct hs_node *node = hs_schema_node(reader, map, key, needed);
    long long value;
    if (node && hs_node_int(node, &value) && value >= min && value <= max)
        return value;
    if (node)
        hs_schema_fail(reader, node->line, "`%s` must be a whole number from %lld to %lld", key, min, max);
    return 0;
}

float hs_schema_float(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed, double min,
                      double max)
{
    const struct hs_node *node = hs_schema_node(reader, map, key, needed);
    double value;
    if (node && hs_node_double(node, &value) && value >= min && value <= max) /* not NaN */
        return (float) value;
    if (node)
        hs_schema_fail(reader, node->line, "`%s` must be a number from %g to %g", key, min, max);
    return 0;
}

int hs_schema_word(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                   const char *const *words, int absent)
{
    const struct hs_node *node = hs_schema_node(reader, map, key, needed);
    if (!node)
        return absent;
    const char *text = hs_node_text(node);
    char all[200] = "";
    for (int i = 0; words[i]; i++) {
        size_t used = strlen(all);
        if (text && strcmp(words[i], text) == 0)
            return i;
        hs_str_format(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", words[i]);
    }
    hs_schema_fail(reader, node->line, "`%s` must be one of: %s", key, all);
    return absent;
}

const char *hs_schema_sha256(struct hs_schema *reader, const struct hs_node *map, const char *key)
{
    const struct hs_node *node = hs_schema_node(reader, map, key, false);
    if (!node)
        return NULL;
    const char *text = hs_node_text(node);
    if (text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64)
        return text;
    hs_schema_fail(reader, node->line, "`%s` must be 64 lower-case hexadecimal digits", key);
    return NULL;
}
