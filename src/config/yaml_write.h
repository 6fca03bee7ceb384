/* A document as YAML in block style, in the order of its members. */
#ifndef HS_CONFIG_YAML_WRITE_H
#define HS_CONFIG_YAML_WRITE_H

#include <jansson.h>

#include "base/buf.h"

/* Appends it; a text is left without quotes only if every reader takes it for a text. 0, HS_ENOMEM, or HS_ETOOLARGE
 * past the buffer's maximum or 32 levels. */
int hs_yaml_write(const json_t *value, struct hs_buf *buf);

/* A word of a command line as a value: true, false, a whole number, a number, else the text. NULL without
 * memory or for what is not UTF-8. */
json_t *hs_yaml_value(const char *word);

#endif
