/* Uncompressed BMP: Windows headers of at least 40 bytes and the OS/2 core header; palettes of 1, 4 and
 * 8 bits; 24 bits; 32 bits in the usual channel order; bottom-up or top-down rows. Field names follow
 * Microsoft's BITMAPINFOHEADER. */
#include <stdlib.h>
#include <string.h>

#include "image/codec.h"

enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40, MASKS = FILE_HEADER + INFO_HEADER };
enum { BI_RGB = 0, BI_BITFIELDS = 3, BI_ALPHABITFIELDS = 6 };

struct bmp {
    int width, height;
    bool top_down;
    unsigned bits;
    size_t header, table_at, pixels_at;
};

/* Bit fields are supported only with the masks of the plain 32-bit format. */
static bool has_usual_masks(const uint8_t *data, size_t len)
{
    static const uint8_t usual[12] = { 0, 0, 0xff, 0, 0, 0xff, 0, 0, 0xff, 0, 0, 0 };
    return len >= MASKS + sizeof(usual) && memcmp(data + MASKS, usual, sizeof(usual)) == 0;
}

static int parse(const uint8_t *data, size_t len, struct bmp *bmp, struct hs_error *err)
{
    *bmp = (struct bmp) { .header = len >= FILE_HEADER + CORE_HEADER ? hs_codec_le32(data + FILE_HEADER) : 0 };
    if (len < FILE_HEADER + CORE_HEADER || bmp->header > len - FILE_HEADER)
        return hs_error_set(err, HS_EDECODE, "BMP is truncated: incomplete header");
    if (bmp->header != CORE_HEADER && bmp->header < INFO_HEADER)
        return hs_error_set(err, HS_EDECODE, "BMP has an unknown header of %zu bytes", bmp->header);
    const uint8_t *p = data + FILE_HEADER;
    bool core = bmp->header == CORE_HEADER;
    int64_t width = core ? (int64_t) hs_codec_le16(p + 4) : (int32_t) hs_codec_le32(p + 4);
    int64_t height = core ? (int64_t) hs_codec_le16(p + 6) : (int32_t) hs_codec_le32(p + 8);
    uint32_t compression = core ? BI_RGB : hs_codec_le32(p + 16);
    bmp->bits = hs_codec_le16(p + (core ? 10 : 14));
    bmp->table_at = FILE_HEADER + bmp->header;
    bmp->pixels_at = hs_codec_le32(data + 10);
    bmp->top_down = height < 0;
    height = height < 0 ? -height : height;
    if (width < 1 || height < 1 || height > INT32_MAX)
        return hs_error_set(err, HS_EDECODE, "BMP header has an invalid size, %lldx%lld pixels", (long long) width,
                            (long long) height);
    bmp->width = (int) width;
    bmp->height = (int) height;
    bool fields = compression == BI_BITFIELDS || compression == BI_ALPHABITFIELDS;
    bool palette = bmp->bits == 1 || bmp->bits == 4 || bmp->bits == 8;
    if ((compression == BI_RGB && (palette || bmp->bits == 24 || bmp->bits == 32)) ||
        (fields && bmp->bits == 32 && has_usual_masks(data, len)))
        return 0;
    return hs_error_set(err, HS_EUNSUPPORTED,
                        "BMP with %u bits a pixel and compression %u is not supported; send it uncompressed with 24 "
                        "bits",
                        bmp->bits, (unsigned) compression);
}

static bool peek(const uint8_t *data, size_t len, int *ret_width, int *ret_height)
{
    struct bmp bmp;
    struct hs_error ignored;
    if (parse(data, len, &bmp, &ignored) < 0)
        return false;
    *ret_width = bmp.width;
    *ret_height = bmp.height;
    return true;
}

static int probe(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err)
{
    struct bmp bmp;
    int r = parse(data, len, &bmp, err);
    if (r < 0)
        return r;
    ret_info->width = bmp.width;
    ret_info->height = bmp.height;
    return 0;
}

/* The palette lies between the header and the pixels and has at most 2^bits entries. Missing entries
 * are black. */
static void read_palette(const struct bmp *bmp, const uint8_t *data, size_t len, uint8_t palette[256][3])
{
    size_t entry = bmp->header == CORE_HEADER ? 3 : 4, count = (size_t) 1 << bmp->bits;
    uint32_t used = bmp->header == CORE_HEADER ? 0 : hs_codec_le32(data + FILE_HEADER + 32);
    if (used > 0 && used < count)
        count = used;
    size_t end = bmp->pixels_at < len ? bmp->pixels_at : len;
    for (size_t i = 0, at = bmp->table_at; i < count && at <= end && end - at >= entry; i++, at += entry)
        for (int c = 0; c < 3; c++)
            palette[i][c] = data[at + 2 - (size_t) c];
}

static void convert_indexed(const struct bmp *bmp, const uint8_t palette[256][3], const uint8_t *src, uint8_t *dst)
{
    unsigned per_byte = 8 / bmp->bits, mask = (1u << bmp->bits) - 1;
    for (unsigned x = 0; x < (unsigned) bmp->width; x++, dst += 3) {
        unsigned shift = (per_byte - 1 - x % per_byte) * bmp->bits;
        memcpy(dst, palette[src[x / per_byte] >> shift & mask], 3);
    }
}

static void convert_bgr(const struct bmp *bmp, const uint8_t *src, uint8_t *dst)
{
    size_t step = bmp->bits / 8;
    for (int x = 0; x < bmp->width; x++, src += step, dst += 3) {
        dst[0] = src[2];
        dst[1] = src[1];
        dst[2] = src[0];
    }
}

static int decode(struct hs_decode_request *request, struct hs_image **ret_image, struct hs_error *err)
{
    struct bmp bmp;
    int r = parse(request->data, request->len, &bmp, err);
    if (r < 0)
        return r;
    /* Rows are padded to a multiple of four bytes; the padding of the last row may be missing. */
    size_t row = ((size_t) bmp.width * bmp.bits + 31) / 32 * 4, used = ((size_t) bmp.width * bmp.bits + 7) / 8;
    size_t rest = request->len > bmp.pixels_at ? request->len - bmp.pixels_at : 0;
    if (rest < used || (rest - used) / row < (size_t) bmp.height - 1)
        return hs_error_set(err, HS_EDECODE, "BMP is truncated: its data end before the picture is complete");
    struct hs_codec_rows rows;
    uint8_t *own = NULL;
    r = hs_codec_reserve_rows(request, bmp.width, bmp.height, (uint64_t) bmp.width * 3, err);
    if (r < 0)
        return r;
    r = hs_codec_rows_init(&rows, request, bmp.width, bmp.height, err);
    if (r == 0 && rows.reducer && !(own = malloc((size_t) bmp.width * 3)))
        r = hs_error_set(err, HS_ENOMEM, "no memory to decode a BMP");
    if (r < 0) {
        hs_codec_rows_finish(&rows);
        return r;
    }
    uint8_t palette[256][3] = { 0 };
    if (bmp.bits <= 8)
        read_palette(&bmp, request->data, request->len, palette);
    for (int y = 0; y < bmp.height; y++) {
        const uint8_t *src = request->data + bmp.pixels_at + row * (size_t) (bmp.top_down ? y : bmp.height - 1 - y);
        uint8_t *dst = own ? own : hs_codec_rows_next(&rows);
        if (bmp.bits <= 8)
            convert_indexed(&bmp, (const uint8_t(*)[3]) palette, src, dst);
        else
            convert_bgr(&bmp, src, dst);
        hs_codec_rows_add(&rows, dst);
    }
    *ret_image = hs_codec_rows_take(&rows);
    free(own);
    hs_codec_rows_finish(&rows);
    return 0;
}

const struct hs_codec hs_codec_bmp = { "BMP", false, { { 0, 2, "BM" } }, peek, probe, decode };
