/* JSON text from a jansson tree, quickly, with doubles in the shortest form that reads back the same. */
#ifndef HS_HTTP_JSON_WRITE_H
#define HS_HTTP_JSON_WRITE_H

#include <jansson.h>

#include "base/buf.h"

/* SPACED: ", " and ": " between things, members as they were put in; what Python's json.dumps writes.
 * SORTED: no spaces, members sorted by name, a line feed at the end. PRETTY: the same with a line for each value, two
 * spaces a level, for people. All escape what is not ASCII. */
enum hs_json_style { HS_JSON_SPACED, HS_JSON_SORTED, HS_JSON_PRETTY };

/* Appends to out. HS_ETOOLARGE past out's maximum or 64 levels, HS_ENOMEM. The tree is only read. */
int hs_json_write(const json_t *value, enum hs_json_style style, struct hs_buf *out);

/* The shortest text of a finite double that reads back the same, as Python's repr: "0.1", "1.0", "1e-05".
 * Returns its length; the text ends with NUL. Much faster than printf for 1e-4 <= |value| < 2^53. */
size_t hs_json_double(double value, char ret_text[32]);

#endif
