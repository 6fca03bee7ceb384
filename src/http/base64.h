/* Base64 decoded as it arrives, as leniently as Python's b64decode: characters outside the alphabet are skipped. Unlike
 * there, '-' and '_' (RFC 4648 §5) mean '+' and '/', and the padding may be left out, as encoders of that alphabet do.
 * A text that starts with "data:", in any case and after blanks and line breaks, is read from after its first comma. */
#ifndef HS_HTTP_BASE64_H
#define HS_HTTP_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_base64 {
    uint32_t bits;   /* of the unfinished group */
    unsigned have;   /* its characters: 0..3 */
    unsigned pads;   /* '=' seen since the last of them */
    unsigned prefix; /* characters of "data:" matched so far, while at the start */
    char start[5];   /* as they were written */
    int state;
    bool non_ascii; /* a character that is not ASCII was seen */
};

void hs_base64_init(struct hs_base64 *decoder);

/* Room that `out` of hs_base64_feed must have for len characters. */
#define HS_BASE64_ROOM(len) ((len) / 4 * 3 + 8)

/* Decodes the next characters and returns the number of bytes written to out. */
size_t hs_base64_feed(struct hs_base64 *decoder, const char *text, size_t len, uint8_t *out);

enum { HS_BASE64_END_ROOM = 3 };

/* The text is complete: writes the bytes that are left, up to HS_BASE64_END_ROOM. HS_EINVAL "Invalid base64: …" if one
 * character is left over, the padding was begun and not completed, "data:" has no comma, or a character is not ASCII.
 */
int hs_base64_end(struct hs_base64 *decoder, uint8_t *out, size_t *ret_len, struct hs_error *err);

#endif
