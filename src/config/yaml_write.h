/* Writes a document as YAML in block style, in the order of its members. */
#ifndef HS_CONFIG_YAML_WRITE_H
#define HS_CONFIG_YAML_WRITE_H

#include <jansson.h>

#include "base/buf.h"

/* Appends a document. Leaves out the quotes of a text only if every YAML parser reads it as a text. Returns 0,
 * HS_ENOMEM, or HS_ETOOLARGE past the buffer's maximum or 32 levels. */
int hs_yaml_write(const json_t *value, struct hs_buf *buf);

/* Converts a word of a command line to a value: true, false, a whole number, a number, else a text. The caller frees it
 * with json_decref. NULL if out of memory or if the text is not UTF-8. */
json_t *hs_yaml_value(const char *word);

#endif
