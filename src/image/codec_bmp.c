/* BMP, read here: Windows headers of any length from 40 bytes and the OS/2 core header; 1, 4, 8, 16, 24 and 32 bits,
 * bit fields, RLE4 and RLE8, rows from the bottom up or from the top down. Names of fields follow Microsoft's
 * BITMAPINFOHEADER. */
#include <stdlib.h>
#include <string.h>

#include "image/codec.h"

enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40, MIN_FILE = FILE_HEADER + CORE_HEADER };
enum { BI_RGB, BI_RLE8, BI_RLE4, BI_BITFIELDS, BI_JPEG, BI_PNG, BI_ALPHABITFIELDS };

struct bmp {
    const uint8_t *data;
    size_t len;
    int width, height;
    bool top_down;
    unsigned bits, compression;
    size_t pixels_at;
    uint32_t masks[3];        /* of R, G, B in 16 and 32 bits */
    uint8_t palette[256][3];  /* R, G, B; what the file does not give is black */
};

static bool match(const uint8_t *data, size_t len)
{
    return len >= 2 && data[0] == 'B' && data[1] == 'M';
}

static int read_size(struct bmp *bmp, size_t header, struct hs_error *err)
{
    const uint8_t *p = bmp->data + FILE_HEADER;
    if (header == CORE_HEADER) {
        bmp->width = (int) hs_codec_le16(p + 4);
        bmp->height = (int) hs_codec_le16(p + 6);
        bmp->bits = hs_codec_le16(p + 10);
        return 0;
    }
    int64_t width = (int32_t) hs_codec_le32(p + 4), height = (int32_t) hs_codec_le32(p + 8);
    bmp->top_down = height < 0;
    height = height < 0 ? -height : height;
    if (width < 1 || height < 1 || height > INT32_MAX)
        return hs_error_set(err, HS_EDECODE, "BMP header says %lldx%lld pixels", (long long) width, (long long) height);
    bmp->width = (int) width;
    bmp->height = (int) height;
    bmp->bits = hs_codec_le16(p + 14);
    bmp->compression = hs_codec_le32(p + 16);
    return 0;
}

static bool bits_fit_compression(const struct bmp *bmp)
{
    switch (bmp->compression) {
    case BI_RGB:
        return bmp->bits == 1 || bmp->bits == 4 || bmp->bits == 8 || bmp->bits == 16 || bmp->bits == 24 ||
               bmp->bits == 32;
    case BI_RLE8:
        return bmp->bits == 8 && !bmp->top_down;
    case BI_RLE4:
        return bmp->bits == 4 && !bmp->top_down;
    case BI_BITFIELDS:
    case BI_ALPHABITFIELDS:
        return bmp->bits == 16 || bmp->bits == 32;
    default:
        return false;
    }
}

/* The masks stand right after the first 40 bytes, inside a longer header or behind a short one. */
static int read_masks(struct bmp *bmp, size_t header, size_t *table_at, struct hs_error *err)
{
    static const uint32_t masks15[3] = {0x7c00, 0x03e0, 0x001f}, masks32[3] = {0xff0000, 0x00ff00, 0x0000ff};
    memcpy(bmp->masks, bmp->bits == 16 ? masks15 : masks32, sizeof(bmp->masks));
    if (bmp->compression != BI_BITFIELDS && bmp->compression != BI_ALPHABITFIELDS)
        return 0;
    size_t at = FILE_HEADER + INFO_HEADER;
    if (bmp->len < at + 12)
        return hs_error_set(err, HS_EDECODE, "BMP ends inside its header");
    for (int i = 0; i < 3; i++)
        bmp->masks[i] = hs_codec_le32(bmp->data + at + (size_t) i * 4);
    if (header == INFO_HEADER)
        *table_at += bmp->compression == BI_BITFIELDS ? 12 : 16;
    return 0;
}

/* The palette fills what lies between the header and the pixels, at most the entries that the bits can name. */
static void read_palette(struct bmp *bmp, size_t header, size_t table_at)
{
    size_t entry = header == CORE_HEADER ? 3 : 4;
    size_t count = (size_t) 1 << bmp->bits;
    if (header >= INFO_HEADER) {
        uint32_t used = hs_codec_le32(bmp->data + FILE_HEADER + 32);
        if (used > 0 && used < count)
            count = used;
    }
    size_t end = bmp->pixels_at < bmp->len ? bmp->pixels_at : bmp->len;
    for (size_t i = 0, at = table_at; i < count && at <= end && end - at >= entry; i++, at += entry) {
        bmp->palette[i][0] = bmp->data[at + 2];
        bmp->palette[i][1] = bmp->data[at + 1];
        bmp->palette[i][2] = bmp->data[at];
    }
}

static int parse(const uint8_t *data, size_t len, struct bmp *bmp, struct hs_error *err)
{
    *bmp = (struct bmp) {.data = data, .len = len};
    if (len < MIN_FILE)
        return hs_error_set(err, HS_EDECODE, "BMP ends inside its header");
    bmp->pixels_at = hs_codec_le32(data + 10);
    size_t header = hs_codec_le32(data + FILE_HEADER);
    if (header != CORE_HEADER && header < INFO_HEADER)
        return hs_error_set(err, HS_EDECODE, "BMP has a header of %zu bytes, which is none that we know", header);
    if (header > len - FILE_HEADER)
        return hs_error_set(err, HS_EDECODE, "BMP ends inside its header");
    int r = read_size(bmp, header, err);
    if (r < 0)
        return r;
    if (bmp->compression == BI_JPEG || bmp->compression == BI_PNG)
        return hs_error_set(err, HS_EUNSUPPORTED, "image is %s wrapped in BMP; send it bare",
                            bmp->compression == BI_JPEG ? "JPEG" : "PNG");
    if (!bits_fit_compression(bmp))
        return hs_error_set(err, HS_EDECODE, "BMP header says %u bits a pixel with compression %u", bmp->bits,
                            bmp->compression);
    size_t table_at = FILE_HEADER + header;
    r = read_masks(bmp, header, &table_at, err);
    if (r == 0 && bmp->bits <= 8)
        read_palette(bmp, header, table_at);
    return r;
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

static uint8_t *row_at(const struct bmp *bmp, struct hs_image *image, int y)
{
    return image->pixels + (size_t) (bmp->top_down ? y : bmp->height - 1 - y) * image->stride;
}

static void convert_indexed(const struct bmp *bmp, const uint8_t *src, uint8_t *dst)
{
    unsigned per_byte = 8 / bmp->bits, mask = (1u << bmp->bits) - 1;
    for (unsigned x = 0; x < (unsigned) bmp->width; x++, dst += 3) {
        unsigned shift = (per_byte - 1 - x % per_byte) * bmp->bits;
        memcpy(dst, bmp->palette[src[x / per_byte] >> shift & mask], 3);
    }
}

static void convert_bgr24(const struct bmp *bmp, const uint8_t *src, uint8_t *dst)
{
    for (int x = 0; x < bmp->width; x++, src += 3, dst += 3) {
        dst[0] = src[2];
        dst[1] = src[1];
        dst[2] = src[0];
    }
}

/* A field of n bits becomes value * 255 / (2^n - 1), cut, as Pillow does for its 15 and 16 bit modes. */
static void convert_masked(const struct bmp *bmp, const uint8_t *src, uint8_t *dst)
{
    unsigned bytes = bmp->bits / 8;
    int shifts[3];
    uint64_t tops[3];
    for (int c = 0; c < 3; c++) {
        shifts[c] = bmp->masks[c] ? __builtin_ctz(bmp->masks[c]) : 0;
        tops[c] = bmp->masks[c] ? bmp->masks[c] >> shifts[c] : 1;
    }
    for (int x = 0; x < bmp->width; x++, src += bytes, dst += 3) {
        uint32_t pixel = bytes == 2 ? hs_codec_le16(src) : hs_codec_le32(src);
        for (int c = 0; c < 3; c++) {
            uint64_t value = (pixel & bmp->masks[c]) >> shifts[c];
            dst[c] = (uint8_t) (tops[c] == 255 ? value : value * 255 / tops[c]);
        }
    }
}

static int truncated(struct hs_error *err)
{
    return hs_error_set(err, HS_EDECODE, "BMP is cut: its data end before the picture is complete");
}

/* Rows of BI_RGB and bit fields end on a multiple of four bytes. */
static size_t row_bytes(const struct bmp *bmp)
{
    return ((size_t) bmp->width * bmp->bits + 31) / 32 * 4;
}

static int read_plain(const struct bmp *bmp, struct hs_image *image, struct hs_error *err)
{
    size_t row = row_bytes(bmp), used = ((size_t) bmp->width * bmp->bits + 7) / 8;
    /* The last row's padding may be missing. */
    if (bmp->pixels_at > bmp->len || (bmp->len - bmp->pixels_at) < row * (size_t) (bmp->height - 1) + used)
        return truncated(err);
    const uint8_t *src = bmp->data + bmp->pixels_at;
    for (int y = 0; y < bmp->height; y++, src += row) {
        uint8_t *dst = row_at(bmp, image, y);
        if (bmp->bits <= 8)
            convert_indexed(bmp, src, dst);
        else if (bmp->bits == 24)
            convert_bgr24(bmp, src, dst);
        else
            convert_masked(bmp, src, dst);
    }
    return 0;
}

/* Where the run-length decoder is. */
struct cursor {
    const uint8_t *at, *end;
    int x, y;
};

static void put(const struct bmp *bmp, struct hs_image *image, struct cursor *cursor, unsigned index)
{
    if (cursor->x < bmp->width && cursor->y < bmp->height)
        memcpy(row_at(bmp, image, cursor->y) + (size_t) cursor->x * 3, bmp->palette[index], 3);
    cursor->x++;
}

/* `count` pixels whose indices stand in the data, padded to an even number of bytes. */
static bool rle_literal(const struct bmp *bmp, struct hs_image *image, struct cursor *cursor, unsigned count)
{
    size_t bytes = bmp->bits == 8 ? count : (count + 1) / 2;
    if ((size_t) (cursor->end - cursor->at) < bytes)
        return false;
    for (unsigned i = 0; i < count; i++)
        put(bmp, image, cursor,
            bmp->bits == 8 ? cursor->at[i] : i % 2 == 0 ? cursor->at[i / 2] >> 4 : cursor->at[i / 2] & 15);
    cursor->at += bytes;
    if (bytes % 2 == 1 && cursor->at < cursor->end)
        cursor->at++;
    return true;
}

static void rle_run(const struct bmp *bmp, struct hs_image *image, struct cursor *cursor, unsigned count,
                    unsigned value)
{
    for (unsigned i = 0; i < count; i++)
        put(bmp, image, cursor, bmp->bits == 8 ? value : i % 2 == 0 ? value >> 4 : value & 15);
}

/* Pairs of bytes: a count and a value, or 0 and an escape: 0 end of row, 1 end of picture, 2 a step right and up, 3 and
 * more literal pixels. What is stepped over keeps colour 0. */
static int read_rle(const struct bmp *bmp, struct hs_image *image, struct hs_error *err)
{
    struct cursor cursor = {.end = bmp->data + bmp->len};
    if (bmp->pixels_at > bmp->len)
        return truncated(err);
    cursor.at = bmp->data + bmp->pixels_at;
    for (uint8_t *p = image->pixels, *end = p + image->stride * (size_t) image->height; p < end; p += 3)
        memcpy(p, bmp->palette[0], 3);
    while (cursor.y < bmp->height) {
        if (cursor.end - cursor.at < 2)
            break;
        unsigned count = cursor.at[0], value = cursor.at[1];
        cursor.at += 2;
        if (count > 0) {
            rle_run(bmp, image, &cursor, count, value);
        } else if (value == 0) {
            cursor.x = 0;
            cursor.y++;
        } else if (value == 1) {
            return 0;
        } else if (value == 2) {
            if (cursor.end - cursor.at < 2)
                break;
            cursor.x += cursor.at[0];
            cursor.y += cursor.at[1];
            cursor.at += 2;
        } else if (!rle_literal(bmp, image, &cursor, value)) {
            break;
        }
        /* A row may not be longer than the picture: this also keeps x from overflowing. */
        if (cursor.x > bmp->width + 255)
            return hs_error_set(err, HS_EDECODE, "BMP cannot be decoded: a row is longer than the picture is wide");
    }
    return cursor.y >= bmp->height || (cursor.y == bmp->height - 1 && cursor.x >= bmp->width) ? 0 : truncated(err);
}

static int decode(const uint8_t *data, size_t len, const struct hs_image_info *info,
                  const struct hs_image_limits *limits, int need_w, int need_h, struct hs_image **ret_image,
                  struct hs_error *err)
{
    (void) info, (void) need_w, (void) need_h;
    struct bmp bmp;
    int r = parse(data, len, &bmp, err);
    if (r < 0)
        return r;
    bool rle = bmp.compression == BI_RLE8 || bmp.compression == BI_RLE4;
    /* Before memory is taken: uncompressed rows have to be there. */
    if (!rle && (bmp.pixels_at > len || (len - bmp.pixels_at) / row_bytes(&bmp) < (size_t) bmp.height - 1))
        return truncated(err);
    r = hs_codec_check_memory(limits, (uint64_t) bmp.width * (uint64_t) bmp.height * 3, err);
    if (r < 0)
        return r;
    struct hs_image *image;
    r = hs_image_create(bmp.width, bmp.height, &image, err);
    if (r < 0)
        return r;
    r = rle ? read_rle(&bmp, image, err) : read_plain(&bmp, image, err);
    if (r < 0) {
        hs_image_destroy(image);
        return r;
    }
    *ret_image = image;
    return 0;
}

const struct hs_codec hs_codec_bmp = {"BMP", match, probe, decode, NULL};
