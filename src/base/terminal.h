/* Text for a terminal. Names of files and people come from others: their control characters, marks of text direction
 * and bytes that are not UTF-8 become C escapes, so that they cannot control the terminal. */
#ifndef HS_BASE_TERMINAL_H
#define HS_BASE_TERMINAL_H

#include <stddef.h>

void hs_terminal_text(char *dst, size_t size, const char *text); /* cut at `size`, never inside a character or escape */

/* Returns a copy, which the caller frees with free(); NULL if out of memory. */
char *hs_terminal_copy(const char *text);

/* Returns the number of columns that the first `len` bytes of UTF-8 text take: 2 for a wide character. */
int hs_terminal_width(const char *text, size_t len);

/* Sequences that change the style of the text after them. */
#define HS_TERMINAL_BOLD "\x1b[1m"
#define HS_TERMINAL_RED "\x1b[31m"
#define HS_TERMINAL_GREEN "\x1b[32m"
#define HS_TERMINAL_NORMAL "\x1b[0m"

#endif
