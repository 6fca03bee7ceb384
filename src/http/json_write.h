/* A jansson tree as JSON text. */
#ifndef HS_HTTP_JSON_WRITE_H
#define HS_HTTP_JSON_WRITE_H

#include <jansson.h>

#include "base/json_writer.h"

/* Appends to out, the members of objects in the order of their insertion (SPACED) or by name. HS_ETOOLARGE past out's
 * maximum or HS_JSON_DEPTH_MAX levels, HS_ENOMEM. The tree is only read. */
int hs_json_write(const json_t *value, enum hs_json_style style, struct hs_buf *out);

#endif
