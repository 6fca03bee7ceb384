/* Text helpers that do not depend on the locale. */
#ifndef HS_BASE_STR_H
#define HS_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies src into dst (size bytes, NUL included); returns false if the text was cut. dst is always terminated. */
bool hs_str_copy(char *dst, size_t size, const char *src);
bool hs_str_copy_n(char *dst, size_t size, const char *src, size_t len);

/* Formats into dst as snprintf; returns false if the text was cut. */
bool hs_str_format(char *dst, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Copies len bytes, which need not end with NUL, and adds a NUL. Caller frees with free(). NULL if out of memory. */
char *hs_str_dup_n(const void *text, size_t len);

bool hs_str_equal_nocase(const char *a, const char *b); /* ASCII letters only */
bool hs_str_starts(const char *text, const char *prefix);
bool hs_str_ends(const char *text, const char *suffix);

/* Parse a number that is the whole text; surrounding ASCII space is allowed. hs_str_to_double accepts the syntax of C's
 * strtod (including nan and inf) with a point as the decimal mark. */
bool hs_str_to_double(const char *text, double *ret);
bool hs_str_to_int64(const char *text, int64_t *ret);

/* Parses true, yes, on, false, no or off, without case: YAML 1.1 without its one-letter forms. */
bool hs_str_to_bool(const char *text, bool *ret);

/* Parses "300", "-1", "5m", "1h", "30s", "250ms" or "1d" as seconds. */
bool hs_str_to_seconds(const char *text, double *ret);

/* Writes the shortest text that reads back as the same double, at most 31 characters and a NUL; whole numbers up to
 * 2^53 have no exponent. */
void hs_str_from_double(double value, char ret_text[32]);

/* Returns the length of the well-formed UTF-8 sequence at text (at most len bytes), or 0 if there is none. */
size_t hs_utf8_sequence(const char *text, size_t len);
bool hs_utf8_valid(const char *text, size_t len);

/* Writes text as a quoted, escaped, printable ASCII string ("a\x1b\"b") cut at `size`; for log lines. */
void hs_str_quote(char *dst, size_t size, const char *text, size_t len);

/* Makes text one line of UTF-8, in place: replaces control characters and bytes that are not UTF-8 with '?'. */
void hs_str_make_line(char *text);

/* Writes "1 face" or "2 faces"; returns dst. */
enum { HS_COUNT_SIZE = 64 };
const char *hs_str_count(char dst[HS_COUNT_SIZE], int64_t count, const char *one, const char *many);

/* For "did you mean": returns true if the Levenshtein distance of `name` and `candidate` is less than *distance, and
 * stores it there. Start with hs_str_near(name), which allows about one error per four letters. Case is ignored, and
 * '-' equals '_'. */
bool hs_str_nearer(const char *name, const char *candidate, size_t *distance);
size_t hs_str_near(const char *name);

/* Returns 0..15, or -1 for any other character. */
int hs_str_hex_digit(char c);

/* Replaces %XX with the byte, in place; an invalid sequence, or one for NUL, stays as it is. */
void hs_str_percent_decode(char *text, bool plus_is_space);

#endif
