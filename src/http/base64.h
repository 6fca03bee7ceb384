/* Base64 decoded as it arrives, as leniently as Python's b64decode: characters outside the alphabet are skipped. Unlike
 * there, '-' and '_' (RFC 4648 §5) mean '+' and '/'. A text that starts with "data:" is read from after its first
 * comma. */
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
    int state;
    bool non_ascii; /* a character that is not ASCII was seen */
};

void hs_base64_init(struct hs_base64 *decoder);

/* Room that `out` of hs_base64_feed must have for len characters. */
#define HS_BASE64_ROOM(len) ((len) / 4 * 3 + 8)

/* Decodes the next characters and returns the number of bytes written to out. */
size_t hs_base64_feed(struct hs_base64 *decoder, const char *text, size_t len, uint8_t *out);

/* HS_EINVAL "Invalid base64: …" if the text ended inside a group, had no comma after "data:", was not ASCII, or was
 * just "data". */
int hs_base64_end(const struct hs_base64 *decoder, struct hs_error *err);

#endif
