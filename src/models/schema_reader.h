/* Reads the nodes of a document strictly: every key known, every needed one there, every value of the right type and
 * within bounds. The first complaint wins; later calls do nothing, so a caller asks once at the end. */
#ifndef HS_MODELS_SCHEMA_READER_H
#define HS_MODELS_SCHEMA_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "config/doc.h"
#include "hs/status.h"

struct hs_schema {
    const char *name;     /* of the text, for messages */
    struct hs_error *err; /* may be NULL */
    int status;           /* 0, or the HS_E… of the first complaint */
};

/* Complains "name:line: …" with HS_EINVAL unless something was wrong before. Returns the status. */
int hs_schema_fail(struct hs_schema *reader, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Zeroed memory for `count` elements; NULL after a failure, which HS_ENOMEM is too. Caller frees with free(). */
void *hs_schema_alloc(struct hs_schema *reader, size_t count, size_t size);

/* node must be a map with no keys but these (a list that ends with NULL). */
bool hs_schema_map(struct hs_schema *reader, const struct hs_node *node, const char *what, const char *const *keys);
#define HS_SCHEMA_MAP(reader, node, what, ...)                                                                         \
    hs_schema_map(reader, node, what, (const char *const[]) { __VA_ARGS__, NULL })

/* The value of a key. Needed ones that are missing are complained about; others give NULL. */
const struct hs_node *hs_schema_node(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed);

/* Text of 1..max bytes without control characters; NULL if it is absent or wrong. Borrowed from the document. */
const char *hs_schema_text(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                           size_t max);

/* 0 if the key is absent or its value wrong. */
long long hs_schema_int(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                        long long min, long long max);
float hs_schema_float(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed, double min,
                      double max);

/* The number of the word in `words` (a list that ends with NULL); `absent` if the key is not there. */
int hs_schema_word(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                   const char *const *words, int absent);

/* 64 lower-case hexadecimal digits, or NULL. */
const char *hs_schema_sha256(struct hs_schema *reader, const struct hs_node *map, const char *key);

#endif
