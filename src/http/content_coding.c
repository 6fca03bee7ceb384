#include "http/content_coding.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "base/str.h"

enum { PIECE = 16 << 10, FEED_MAX = 1 << 20 };

/* windowBits of inflateInit2: 15, plus 16 for gzip, or negative for deflate without a header. */
enum { ZLIB = MAX_WBITS, GZIP = MAX_WBITS + 16, RAW = -MAX_WBITS };

struct hs_inflater {
    z_stream stream;
    enum hs_coding coding;
    bool started; /* inflateInit2 was called */
    bool ended;   /* the stream, or the gzip member, is complete */
    uint8_t out[PIECE];
};

/* ---- The header ---- */

int hs_coding_read(const char *header, enum hs_coding *ret_coding, struct hs_error *err)
{
    static const struct {
        const char *name;
        enum hs_coding coding;
    } codings[] = {
        { "", HS_CODING_NONE },       { "identity", HS_CODING_NONE },   { "gzip", HS_CODING_GZIP },
        { "x-gzip", HS_CODING_GZIP }, { "deflate", HS_CODING_DEFLATE },
    };
    char name[64];
    const char *text = header ? header + strspn(header, " \t") : "";
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t", text[len - 1]))
        len--;
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
        if (strlen(codings[i].name) == len && strncasecmp(text, codings[i].name, len) == 0) {
            *ret_coding = codings[i].coding;
            return 0;
        }
    }
    hs_str_quote(name, sizeof(name), text, len);
    return hs_error_set(err, HS_EUNSUPPORTED, "Content-Encoding: must be one of gzip, deflate and identity, not %s",
                        name);
}

/* ---- Unpacking ---- */

static const char *coding_name(const struct hs_inflater *inflater)
{
    return inflater->coding == HS_CODING_GZIP ? "gzip" : "deflate";
}

static int damaged(const struct hs_inflater *inflater, const char *what, struct hs_error *err)
{
    return hs_error_set(err, HS_EINVAL, "Content-Encoding: the %s data %s", coding_name(inflater), what);
}

int hs_inflater_create(enum hs_coding coding, struct hs_inflater **ret_inflater, struct hs_error *err)
{
    struct hs_inflater *inflater = calloc(1, sizeof(*inflater));
    if (!inflater)
        return hs_error_set(err, HS_ENOMEM, "no memory for the body");
    inflater->coding = coding;
    *ret_inflater = inflater;
    return 0;
}

void hs_inflater_destroy(struct hs_inflater *inflater)
{
    if (inflater && inflater->started)
        inflateEnd(&inflater->stream);
    free(inflater);
}

/* In a zlib header, the low half of the first byte is 8, the method (RFC 1950, 2.2). Without that
 * header, the same bits would mean a stored block with nonzero padding, which no encoder writes. */
static int start(struct hs_inflater *inflater, uint8_t first, struct hs_error *err)
{
    int bits = inflater->coding == HS_CODING_GZIP ? GZIP : (first & 0xf) == 8 ? ZLIB : RAW;
    if (inflateInit2(&inflater->stream, bits) != Z_OK)
        return hs_error_set(err, HS_ENOMEM, "no memory for the body");
    inflater->started = true;
    return 0;
}

/* Unpacks one piece of the stream's input. */
static int unpack(struct hs_inflater *inflater, hs_inflate_sink sink, void *ctx, struct hs_error *err)
{
    z_stream *stream = &inflater->stream;
    stream->next_out = inflater->out;
    stream->avail_out = PIECE;
    int code = inflate(stream, Z_NO_FLUSH);
    size_t len = PIECE - stream->avail_out;
    inflater->ended = code == Z_STREAM_END;
    /* Pass on the bytes before the damage, so that the first error does not depend on the input's
     * pieces. */
    int r = len > 0 ? sink(ctx, inflater->out, len, err) : 0;
    if (r < 0)
        return r;
    if (code == Z_MEM_ERROR)
        return hs_error_set(err, HS_ENOMEM, "no memory for the body");
    /* Z_BUF_ERROR: zlib needs more input to continue. */
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return damaged(inflater, "is damaged", err);
    return 0;
}

static int feed_some(struct hs_inflater *inflater, const uint8_t *data, size_t len, hs_inflate_sink sink, void *ctx,
                     struct hs_error *err)
{
    z_stream *stream = &inflater->stream;
    stream->next_in = (uint8_t *) (uintptr_t) data; /* zlib only reads it */
    stream->avail_in = (uInt) len;
    do {
        if (inflater->ended && stream->avail_in > 0) {
            if (inflater->coding != HS_CODING_GZIP)
                return damaged(inflater, "goes on after its end", err);
            inflateReset(stream);
        }
        int r = unpack(inflater, sink, ctx, err);
        if (r < 0)
            return r;
        /* If the output piece is full, zlib may hold more output. */
    } while (stream->avail_in > 0 || (stream->avail_out == 0 && !inflater->ended));
    return 0;
}

int hs_inflater_feed(struct hs_inflater *inflater, const uint8_t *data, size_t len, hs_inflate_sink sink, void *ctx,
                     struct hs_error *err)
{
    int r = len > 0 && !inflater->started ? start(inflater, data[0], err) : 0;
    while (r == 0 && len > 0) {
        size_t n = len < FEED_MAX ? len : FEED_MAX; /* so that the length fits zlib's type */
        r = feed_some(inflater, data, n, sink, ctx, err);
        data += n;
        len -= n;
    }
    return r;
}

int hs_inflater_end(const struct hs_inflater *inflater, struct hs_error *err)
{
    return inflater->ended ? 0 : damaged(inflater, "is cut off", err);
}
