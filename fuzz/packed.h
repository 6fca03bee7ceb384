/* Compresses bytes with zlib: packed bodies for the fuzz targets and the unit tests. */
#ifndef HS_FUZZ_PACKED_H
#define HS_FUZZ_PACKED_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <zlib.h>

/* Packs `data`; `bits` selects the format (deflateInit2). Returns NULL if zlib fails. Caller frees with free(). */
static inline uint8_t *pack_bytes(int level, int bits, const void *data, size_t len, size_t *ret_len)
{
    z_stream stream = { 0 };
    if (deflateInit2(&stream, level, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    uLong room = deflateBound(&stream, (uLong) len);
    uint8_t *packed = malloc(room);
    stream.next_in = (uint8_t *) (uintptr_t) data;
    stream.avail_in = (uInt) len;
    stream.next_out = packed;
    stream.avail_out = (uInt) room;
    if (packed && deflate(&stream, Z_FINISH) != Z_STREAM_END) {
        free(packed);
        packed = NULL;
    }
    *ret_len = stream.total_out;
    deflateEnd(&stream);
    return packed;
}

#endif
