/* Pages written from a schema, and documents written as JSON. All append to *buf and return 0, HS_ENOMEM or, past
 * its maximum, HS_ETOOLARGE. */
#ifndef HS_CONFIG_RENDER_H
#define HS_CONFIG_RENDER_H

#include "base/buf.h"
#include "config/doc.h"
#include "config/setting.h"

/* A quoted JSON string; UTF-8 stays as it is. `text` is valid UTF-8. */
int hs_render_json_string(const char *text, struct hs_buf *buf);

/* The shortest text that reads back as the same number, whole numbers without an exponent. */
int hs_render_number(double value, struct hs_buf *buf);

/* A node as JSON with two more spaces a level, from `indent` on; numbers, true, false and null of YAML become those of
 * JSON. No line break at the end. */
int hs_render_node_json(const struct hs_node *node, int indent, struct hs_buf *buf);

/* The settings part of --help. */
int hs_render_help(const struct hs_schema *schema, struct hs_buf *buf);

/* The reference in Markdown: a table for each section. */
int hs_render_reference(const struct hs_schema *schema, struct hs_buf *buf);

/* A YAML file with every setting at its default and its help as a comment. */
int hs_render_example(const struct hs_schema *schema, struct hs_buf *buf);

#endif
