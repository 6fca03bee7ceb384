/* Decoder for the chunked transfer coding of a request body (RFC 9112, 7.1). It checks extensions
 * and trailer fields, limits their size, and drops them. Pure: reads bytes, allocates nothing and
 * does no I/O. */
#ifndef HS_HTTP_CHUNKED_H
#define HS_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

enum {
    HS_CHUNK_LINE_MAX = 256,           /* chunk size line with its extensions */
    HS_CHUNK_EXTENSIONS_MAX = 4 << 10, /* total for all chunks of a body */
};

/* Initial state: all zeros, except trailer_max. */
struct hs_chunked {
    size_t trailer_max; /* maximum bytes in the trailer section */
    int state;          /* private */
    uint64_t left;      /* bytes left in the current chunk */
    size_t line, extensions, trailer;
};

/* Reads up to the next piece of data: consumes *ret_used bytes, of which the last *ret_len are
 * data. *ret_len is 0 if the input ends, or if the body ends (hs_chunked_is_done). Fails with
 * HS_EINVAL; do not feed more after an error. */
int hs_chunked_feed(struct hs_chunked *chunked, const uint8_t *data, size_t len, size_t *ret_used, size_t *ret_len,
                    struct hs_error *err);

bool hs_chunked_is_done(const struct hs_chunked *chunked);

#endif
