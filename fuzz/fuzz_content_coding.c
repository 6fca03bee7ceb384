/* The first byte sets the piece size, the second selects the coding. A body must unpack alike in one piece and
 * in several, never beyond its limit; and data packed by zlib must unpack to the original. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "compress.h"
#include "http/content_coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { UNPACKED_MAX = 1 << 20, PIECE_MAX = 16 << 10 };

static int take(void *ctx, const uint8_t *data, size_t len, struct hs_error *err)
{
    if (len == 0 || len > PIECE_MAX)
        abort();
    int r = hs_buf_append(ctx, data, len);
    return r < 0 ? hs_error_set(err, r, "too much") : 0;
}

static int inflate_body(enum hs_coding coding, const uint8_t *data, size_t len, size_t step, struct hs_buf *out)
{
    struct hs_inflater *inflater;
    struct hs_error err = { 0 };
    hs_buf_init(out, UNPACKED_MAX);
    if (hs_inflater_create(coding, &inflater, &err) < 0)
        abort();
    int r = 0;
    for (size_t i = 0; i < len && r == 0; i += step)
        r = hs_inflater_feed(inflater, data + i, len - i < step ? len - i : step, take, out, &err);
    if (r == 0)
        r = hs_inflater_end(inflater, &err);
    if (r < 0 && (err.code != r || !err.message[0]))
        abort();
    hs_inflater_destroy(inflater);
    return r;
}

static void check_round_trip(enum hs_coding coding, const uint8_t *data, size_t len)
{
    struct hs_buf back;
    size_t packed_len;
    uint8_t *packed = compress_bytes(1, coding == HS_CODING_GZIP ? MAX_WBITS + 16 : MAX_WBITS, data, len, &packed_len);
    if (!packed)
        abort();
    if (inflate_body(coding, packed, packed_len, 7, &back) < 0 || back.len != len ||
        (len && memcmp(back.data, data, len) != 0))
        abort();
    /* Without its last byte the packed body is truncated and fails. */
    hs_buf_finish(&back);
    if (inflate_body(coding, packed, packed_len - 1, 1 << 20, &back) == 0)
        abort();
    hs_buf_finish(&back);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hs_buf whole, cut;
    if (len < 2)
        return 0;
    enum hs_coding coding = data[1] & 1 ? HS_CODING_GZIP : HS_CODING_DEFLATE;
    int a = inflate_body(coding, data + 2, len - 2, len, &whole),
        b = inflate_body(coding, data + 2, len - 2, data[0] + 1u, &cut);
    if (a != b || (a == 0 && (whole.len != cut.len || (whole.len && memcmp(whole.data, cut.data, cut.len) != 0))))
        abort();
    hs_buf_finish(&whole);
    hs_buf_finish(&cut);
    check_round_trip(coding, data + 2, len - 2);
    return 0;
}
