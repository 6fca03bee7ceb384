/* Text of strangers (names of files and people) for a terminal: control characters, marks of text direction and bytes
 * that are not UTF-8 become C escapes, so that the text cannot control the terminal. */
#ifndef HS_BASE_TERMINAL_H
#define HS_BASE_TERMINAL_H

#include <stddef.h>

void hs_terminal_text(char *dst, size_t size, const char *text); /* cut at `size`, never inside a character or escape */

/* Returns a copy, which the caller frees with free(); NULL if out of memory. */
char *hs_terminal_copy(const char *text);

#endif
