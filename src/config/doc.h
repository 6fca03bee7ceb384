/* Parses YAML or JSON into a tree that keeps line numbers. Used for configuration files and model packs. YAML is 1.1 as
 * in libyaml; anchors, aliases, tags and repeated keys are errors. Depth, node count and size are limited. */
#ifndef HS_CONFIG_DOC_H
#define HS_CONFIG_DOC_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"

enum hs_node_kind { HS_NODE_SCALAR, HS_NODE_LIST, HS_NODE_MAP };

/* A scalar has a text; `quoted` distinguishes "5" from 5. A map has keys[i] -> items[i] in the order of the file. */
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

/* Parses a text or a file. `name` names the text in messages (a path). The text is only read during the call. An empty
 * text becomes an empty map. err->line is set for syntax errors. Caller frees with hs_doc_destroy. Any thread. */
int hs_doc_parse(const char *text, size_t len, const char *name, struct hs_doc **ret_doc, struct hs_error *err);
int hs_doc_load(const char *path, struct hs_doc **ret_doc, struct hs_error *err);
void hs_doc_destroy(struct hs_doc *doc); /* NULL allowed */

/* Returns the root node. The caller borrows it and all nodes below it from the document. */
const struct hs_node *hs_doc_root(const struct hs_doc *doc);

/* Returns the value of a key. NULL if node is NULL, is not a map, or does not have the key. */
const struct hs_node *hs_node_get(const struct hs_node *node, const char *key);

/* Return true and set *ret if node is a scalar of that type. hs_node_text returns the text, borrowed; NULL if node is
 * not a scalar or is null. */
const char *hs_node_text(const struct hs_node *node);
bool hs_node_is_null(const struct hs_node *node); /* unquoted empty, ~, null */
bool hs_node_bool(const struct hs_node *node, bool *ret);
bool hs_node_int(const struct hs_node *node, long long *ret);
bool hs_node_double(const struct hs_node *node, double *ret);

#endif
