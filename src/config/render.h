/* Writes pages from a schema, and documents as JSON. All functions append to their buffer. */
#ifndef HS_CONFIG_RENDER_H
#define HS_CONFIG_RENDER_H

#include "base/json_writer.h"
#include "config/doc.h"
#include "config/setting.h"
#include "config/settings.h"

/* Writes a node as JSON; numbers, true, false and null of YAML become those of JSON. */
void hs_render_node(struct hs_json_writer *json, const struct hs_node *node);

/* The functions below return hs_buf_error. */

/* Writes a node in the style HS_JSON_FILE, without a line feed at the end. */
int hs_render_node_json(const struct hs_node *node, struct hs_buf *buf);

/* Writes the reference page in Markdown, one table per section. */
int hs_render_reference(const struct hs_schema *schema, struct hs_buf *buf);

/* Writes a YAML file with every setting at its default and its help as a comment. */
int hs_render_example(const struct hs_schema *schema, struct hs_buf *buf);

/* Writes resource_limits as a drop-in of the program's systemd unit (systemd.unit(5)). The program's settings begin
 * with the common ones. */
int hs_render_drop_in(const struct hs_settings *settings, struct hs_buf *buf);

#endif
