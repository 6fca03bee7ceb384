/* Compresses bytes with zlib: compressed bodies for the fuzz targets and the unit tests. */
#ifndef HS_FUZZ_COMPRESS_H
#define HS_FUZZ_COMPRESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <zlib.h>

/* Compresses `data`; `bits` selects the format (deflateInit2). Returns NULL if zlib fails. Caller frees with free(). */
static inline uint8_t *compress_bytes(int level, int bits, const void *data, size_t len, size_t *ret_len)
{
    z_stream stream = { 0 };
    if (deflateInit2(&stream, level, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    uLong room = deflateBound(&stream, (uLong) len);
    uint8_t *compressed = malloc(room);
    stream.next_in = (uint8_t *) (uintptr_t) data;
    stream.avail_in = (uInt) len;
    stream.next_out = compressed;
    stream.avail_out = (uInt) room;
    if (compressed && deflate(&stream, Z_FINISH) != Z_STREAM_END) {
        free(compressed);
        compressed = NULL;
    }
    *ret_len = stream.total_out;
    deflateEnd(&stream);
    return compressed;
}

#endif
