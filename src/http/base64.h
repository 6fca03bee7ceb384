/* Incremental base64 decoder, as lenient as Python's b64decode: it skips characters outside the
 * alphabet. Unlike b64decode, it also accepts '-' and '_' (RFC 4648 §5) for '+' and '/', and
 * optional padding, because encoders of that alphabet omit it. If the text starts with "data:", in
 * any case and after blanks and line breaks, decoding starts after the first comma. */
#ifndef HS_HTTP_BASE64_H
#define HS_HTTP_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_base64 {
    uint32_t bits;   /* bits of the unfinished group */
    unsigned have;   /* characters in that group: 0..3 */
    unsigned pads;   /* '=' seen since the last of those characters */
    unsigned prefix; /* characters of "data:" matched so far, at the start of the text */
    char start[5];   /* the matched characters, as written */
    int state;
    bool non_ascii; /* set if the text has a character that is not ASCII */
};

void hs_base64_init(struct hs_base64 *decoder);

/* Size that `out` of hs_base64_feed needs for len characters. */
#define HS_BASE64_ROOM(len) ((len) / 4 * 3 + 8)

/* Decodes the next characters and returns the number of bytes written to out. */
size_t hs_base64_feed(struct hs_base64 *decoder, const char *text, size_t len, uint8_t *out);

enum { HS_BASE64_END_ROOM = 3 };

/* Ends the text and writes the remaining bytes, up to HS_BASE64_END_ROOM. Fails with HS_EINVAL
 * "Invalid base64: …" if one character remains, the padding is incomplete, "data:" has no comma, or
 * a character is not ASCII. */
int hs_base64_end(struct hs_base64 *decoder, uint8_t *out, size_t *ret_len, struct hs_error *err);

#endif
