/* Writes JSON into a buffer, from single values or from a jansson tree. The buffer's errors are sticky, so that a
 * caller checks hs_buf_error once at the end. Independent of the locale. */
#ifndef HS_BASE_JSON_WRITER_H
#define HS_BASE_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"

/* SPACED: separators ", " and ": ", as Python's json.dumps. SORTED: no spaces. PRETTY: one value per line, indented by
 * two spaces per level, for people. These escape characters outside ASCII; FILE is PRETTY with unescaped UTF-8. The
 * caller orders the members of an object: in SORTED and PRETTY by name. */
enum hs_json_style { HS_JSON_SPACED, HS_JSON_SORTED, HS_JSON_PRETTY, HS_JSON_FILE };

enum { HS_JSON_DEPTH_MAX = 64 };

struct hs_json_writer {
    struct hs_buf *out;
    enum hs_json_style style;
    int depth;       /* open arrays and objects */
    bool first;      /* the innermost of them is still empty */
    bool after_name; /* the next value belongs to a member whose name is written */
};

/* Starts a text that is appended to `out`. Borrows `out`. */
void hs_json_begin(struct hs_json_writer *json, struct hs_buf *out, enum hs_json_style style);

/* Ends a text with a line feed. Returns hs_buf_error: HS_ETOOLARGE past the buffer's maximum or HS_JSON_DEPTH_MAX
 * levels, HS_ENOMEM. */
int hs_json_end(struct hs_json_writer *json);

/* Write the brackets of an array or an object. */
void hs_json_open(struct hs_json_writer *json, char bracket);
void hs_json_close(struct hs_json_writer *json, char bracket);

/* Writes the name of an object's next member; the caller writes its value next. All texts are valid UTF-8. */
void hs_json_key(struct hs_json_writer *json, const char *name);

void hs_json_string(struct hs_json_writer *json, const char *text);
void hs_json_int(struct hs_json_writer *json, int64_t value);
void hs_json_real(struct hs_json_writer *json, double value); /* as hs_json_double; null if it is not finite */
void hs_json_bool(struct hs_json_writer *json, bool value);
void hs_json_null(struct hs_json_writer *json);

/* Writes a tree as a value, members in the order of their insertion (SPACED) or by name. Only reads the tree. */
void hs_json_tree(struct hs_json_writer *json, const json_t *value);

/* Appends a tree as a complete text, members in the order of their insertion (SPACED) or by name. Only reads the tree.
 * Returns as hs_json_end. */
int hs_json_write(const json_t *value, enum hs_json_style style, struct hs_buf *out);

/* Begins a value that the caller appends to the returned buffer. */
struct hs_buf *hs_json_raw(struct hs_json_writer *json);

/* Appends a quoted text; `ascii` escapes characters outside ASCII. */
void hs_json_put_string(struct hs_buf *out, const char *text, size_t len, bool ascii);

/* Writes the shortest text that reads back as the same finite double, as Python's repr: "0.1", "1.0", "1e-05".
 * Returns its length; the text ends with NUL. Much faster than printf for 1e-4 <= |value| < 2^53. */
size_t hs_json_double(double value, char ret_text[32]);

/* Numbers for an answer, without digits that are noise. Each returns the double that hs_json_double writes with the
 * digits in question; not a finite number: returns it unchanged. Only answers are rounded: thresholds, sorting and
 * metrics use the unrounded numbers. */
double hs_json_rounded(double value, int decimals); /* decimals: 0..9 */
double hs_json_score(double value);                 /* a score, similarity, cosine or threshold: 4 decimals */
double hs_json_ms(double value);                    /* milliseconds: 1 decimal */

/* Returns the double whose text is the shortest, at most 9 digits, that reads back as the same float. A value whose
 * size is not from 1e-14 to 10 is returned unchanged; components of a unit vector are in this range, or 0. */
double hs_json_float(float value);

#endif
