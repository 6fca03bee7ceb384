/* The chunked transfer coding of a request body (RFC 9112, 7.1). Extensions and trailer fields are checked, bounded and
 * dropped. Pure: reads bytes, allocates nothing and does no I/O. */
#ifndef HS_HTTP_CHUNKED_H
#define HS_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum {
    HS_CHUNK_LINE_MAX = 256,           /* a chunk's size with its extensions */
    HS_CHUNK_EXTENSIONS_MAX = 4 << 10, /* of all chunks of a body together */
};

/* All zeros but for trailer_max is a body that begins. */
struct hs_chunked {
    size_t trailer_max; /* bytes of the trailer section */
    int state;          /* private */
    uint64_t left;      /* of the chunk's data */
    size_t line, extensions, trailer;
};

/* Reads up to the next piece of data: *ret_used bytes were consumed, of which the last *ret_len are data (0: the input
 * has ended, or the body has: hs_chunked_is_done). HS_EINVAL, after which nothing more may be fed. */
int hs_chunked_feed(struct hs_chunked *chunked, const uint8_t *data, size_t len, size_t *ret_used, size_t *ret_len,
                    struct hs_error *err);

bool hs_chunked_is_done(const struct hs_chunked *chunked);

#endif
