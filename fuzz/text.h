/* The input as a string, for parsers of text. */
#ifndef HS_FUZZ_TEXT_H
#define HS_FUZZ_TEXT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Returns a terminated copy; as a C string it ends at the first NUL byte of the data. Returns NULL if out of
 * memory. Caller frees with free(). (Not strndup, because strict string checks of sanitizers require a
 * terminated source.) */
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
