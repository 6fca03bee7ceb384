/* The input as text, for parsers that take text. */
#ifndef HS_FUZZ_TEXT_H
#define HS_FUZZ_TEXT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A terminated copy; it ends at the first NUL byte of the data as far as C is concerned. NULL without memory. Caller
 * frees. (strndup would do, but sanitizers that check strings strictly want its source to be terminated.) */
static inline char *hs_fuzz_text(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    if (text) {
        memcpy(text, data, len);
        text[len] = '\0';
    }
    return text;
}

#endif
