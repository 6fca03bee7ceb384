/* A YAML or JSON text as a tree whose nodes know their lines. Configuration files and model packs are read with it.
 * YAML 1.1 as libyaml reads it (JSON is read by the same parser); anchors, aliases and tags are refused, a repeated
 * key is an error. Depth, node count and size are bounded. */
#ifndef HS_CONFIG_DOC_H
#define HS_CONFIG_DOC_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"

enum hs_node_kind { HS_NODE_SCALAR, HS_NODE_LIST, HS_NODE_MAP };

/* A scalar is its text; `quoted` tells "5" from 5. A map has keys[i] -> items[i] in the order of the file. */
struct hs_node {
    enum hs_node_kind kind;
    int line; /* 1-based */
    const char *text;
    bool quoted;
    size_t count, capacity;
    const char **keys;
    int *key_lines;
    struct hs_node **items;
};

struct hs_doc;

/* `name` is what messages call the text (a path). The text is only read during the call. An empty text gives an empty
 * map. err->line is set for syntax errors. Caller frees with hs_doc_destroy. Any thread. */
int hs_doc_parse(const char *text, size_t len, const char *name, struct hs_doc **ret_doc, struct hs_error *err);
int hs_doc_load(const char *path, struct hs_doc **ret_doc, struct hs_error *err);
void hs_doc_destroy(struct hs_doc *doc); /* NULL allowed */

/* Borrowed from the document, as is all that it leads to. */
const struct hs_node *hs_doc_root(const struct hs_doc *doc);

/* NULL if node is NULL, not a map, or has no such key. */
const struct hs_node *hs_node_get(const struct hs_node *node, const char *key);

/* True, and *ret set, if node is a scalar of that type. hs_node_text gives NULL if node is not a scalar or is null. */
const char *hs_node_text(const struct hs_node *node);
bool hs_node_is_null(const struct hs_node *node); /* unquoted empty, ~, null */
bool hs_node_bool(const struct hs_node *node, bool *ret);
bool hs_node_int(const struct hs_node *node, long long *ret);
bool hs_node_double(const struct hs_node *node, double *ret);

#endif
