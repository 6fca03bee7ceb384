/* Reads the nodes of a document strictly: every key is known, required keys are present, each value
 * has the right type and is within bounds. The first error is kept and later calls do nothing, so a
 * caller checks `status` once at the end. */
#ifndef HS_MODELS_SCHEMA_READER_H
#define HS_MODELS_SCHEMA_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "config/doc.h"
#include "hs/status.h"

struct hs_schema {
    const char *name;     /* document name, for messages */
    struct hs_error *err; /* may be NULL */
    int status;           /* 0, or the HS_E… of the first error */
};

/* Reports "name:line: …" with HS_EINVAL unless an earlier call failed. Returns the status. */
int hs_schema_fail(struct hs_schema *reader, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Returns zeroed memory for `count` elements, or NULL after a failure; sets HS_ENOMEM if out of
 * memory. Caller frees with free(). */
void *hs_schema_alloc(struct hs_schema *reader, size_t count, size_t size);

/* `node` must be a map that has only these keys (a NULL-terminated list). */
bool hs_schema_map(struct hs_schema *reader, const struct hs_node *node, const char *what, const char *const *keys);
#define HS_SCHEMA_MAP(reader, node, what, ...)                                                                         \
    hs_schema_map(reader, node, what, (const char *const[]) { __VA_ARGS__, NULL })

/* Returns the value of a key, or NULL if it is absent. An absent key is an error if `needed`. */
const struct hs_node *hs_schema_node(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed);

/* Returns text of 1..max bytes without control characters, or NULL if it is absent or wrong. The
 * document owns the text. */
const char *hs_schema_text(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                           size_t max);

/* Return 0 if the key is absent or its value is wrong. */
long long hs_schema_int(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                        long long min, long long max);
float hs_schema_float(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed, double min,
                      double max);

/* Returns the index of the value in `words` (a NULL-terminated list), or `absent` if the key is
 * absent. */
int hs_schema_word(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                   const char *const *words, int absent);

/* Returns 64 lower-case hexadecimal digits, or NULL. */
const char *hs_schema_sha256(struct hs_schema *reader, const struct hs_node *map, const char *key);

#endif
