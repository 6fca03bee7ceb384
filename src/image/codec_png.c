/* PNG through libspng. This file reads the header and the orientation itself, so that probing does not
 * start the decoder. */
#include <stdlib.h>
#include <string.h>

#include <spng.h>

#include "base/mem.h"
#include "image/codec.h"
#include "image/orientation.h"
#include "image/png_memory.h"

/* Limit for unpacked chunks other than pixels. Colour profiles and XMP are the largest in practice,
 * rarely above 1 MB; compressed text that expands to much more is a known attack. */
enum { MAX_CHUNKS = 4 << 20 };

/* PNG specification, 11.2.2: IHDR is the first chunk and has 13 bytes. */
static bool has_header(const uint8_t *data, size_t len)
{
    return len >= 33 && hs_codec_be32(data + 8) == 13 && memcmp(data + 12, "IHDR", 4) == 0;
}

static bool peek(const uint8_t *data, size_t len, int *ret_width, int *ret_height)
{
    if (!has_header(data, len) || hs_codec_be32(data + 16) > INT32_MAX || hs_codec_be32(data + 20) > INT32_MAX)
        return false;
    *ret_width = (int) hs_codec_be32(data + 16);
    *ret_height = (int) hs_codec_be32(data + 20);
    return true;
}

static int probe(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err)
{
    if (!has_header(data, len))
        return hs_error_set(err, HS_EDECODE, "PNG is truncated: incomplete header");
    uint32_t width = hs_codec_be32(data + 16), height = hs_codec_be32(data + 20);
    if (width == 0 || height == 0 || width > INT32_MAX || height > INT32_MAX)
        return hs_error_set(err, HS_EDECODE, "PNG header has an invalid size, %ux%u pixels", width, height);
    ret_info->width = (int) width;
    ret_info->height = (int) height;
    struct hs_png_orientation orientation = { 0 };
    for (size_t at = 33; len - at >= 12;) {
        size_t size = hs_codec_be32(data + at);
        if (size > len - at - 12 || memcmp(data + at + 4, "IEND", 4) == 0)
            break;
        if (memcmp(data + at + 4, "acTL", 4) == 0)
            ret_info->animated = true;
        /* Without the text the image might be turned wrongly, so HS_ENOMEM is fatal. */
        int r = hs_png_orientation_add(&orientation, (const char *) data + at + 4, data + at + 8, size);
        if (r < 0)
            return hs_error_set(err, r, "no memory to read the orientation of a PNG");
        at += size + 12;
    }
    if (orientation.value > 0)
        ret_info->orientation = orientation.value;
    return 0;
}

static int spng_failed(int code, struct hs_error *err)
{
    if (code == SPNG_EMEM || hs_png_out_of_memory())
        return hs_error_set(err, HS_ENOMEM, "no memory to decode a PNG");
    if (code == SPNG_IO_EOF || code == SPNG_EIDAT_TOO_SHORT)
        return hs_error_set(err, HS_EDECODE, "PNG is truncated: its data end before the picture is complete");
    if (code == SPNG_ECHUNK_LIMITS)
        return hs_error_set(err, HS_ETOOLARGE, "PNG has more than %d MB of text and profiles", MAX_CHUNKS >> 20);
    return hs_error_set(err, HS_EDECODE, "PNG cannot be decoded: %s", spng_strerror(code));
}

/* libspng holds two rows of at most 8 bytes per pixel and one converted row. */
static uint64_t own_memory(const struct spng_ihdr *header)
{
    return (uint64_t) header->width * 8 * 3 + MAX_CHUNKS;
}

/* Decodes progressively, so that only one row is held. */
static int decode_rows(spng_ctx *png, struct hs_decode_request *request, const struct spng_ihdr *header,
                       struct hs_image **image, struct hs_error *err)
{
    size_t len = (size_t) header->width * 3;
    struct hs_codec_rows rows;
    uint8_t *row = NULL;
    int r = hs_codec_reserve_rows(request, (int) header->width, (int) header->height, own_memory(header), err);
    if (r < 0)
        return r;
    r = hs_codec_rows_init(&rows, request, (int) header->width, (int) header->height, err);
    if (r == 0 && rows.reducer && !(row = malloc(len)))
        r = hs_error_set(err, HS_ENOMEM, "no memory to decode a PNG");
    if (r == 0 && (r = spng_decode_image(png, NULL, 0, SPNG_FMT_RGB8, SPNG_DECODE_PROGRESSIVE)) != 0)
        r = spng_failed(r, err);
    for (uint32_t y = 0; r == 0 && y < header->height; y++) {
        uint8_t *place = row ? row : hs_codec_rows_next(&rows);
        int code = spng_decode_row(png, place, len);
        if (code != 0 && code != SPNG_EOI)
            r = spng_failed(code, err);
        else
            hs_codec_rows_add(&rows, place);
    }
    if (r == 0)
        *image = hs_codec_rows_take(&rows);
    free(row);
    hs_codec_rows_finish(&rows);
    return r;
}

static int decode_whole(spng_ctx *png, struct hs_decode_request *request, const struct spng_ihdr *header,
                        struct hs_image **image, struct hs_error *err)
{
    int w = (int) header->width, h = (int) header->height;
    int r =
        hs_codec_create_image(request, w, h, own_memory(header) + hs_codec_reduce_memory(request, w, h), image, err);
    if (r < 0)
        return r;
    r = spng_decode_image(png, (*image)->pixels, (*image)->stride * header->height, SPNG_FMT_RGB8, 0);
    return r != 0 ? spng_failed(r, err) : hs_codec_reduce(request, image, err);
}

static int decode_with(spng_ctx *png, struct hs_decode_request *request, struct hs_image **image, struct hs_error *err)
{
    struct spng_ihdr header;
    int r;
    /* A wrong checksum in a critical chunk is an error; an ancillary chunk with one is skipped. */
    if ((r = spng_set_crc_action(png, SPNG_CRC_ERROR, SPNG_CRC_DISCARD)) != 0 ||
        (r = spng_set_chunk_limits(png, MAX_CHUNKS, MAX_CHUNKS)) != 0 ||
        (r = spng_set_png_buffer(png, request->data, request->len)) != 0 || (r = spng_get_ihdr(png, &header)) != 0)
        return spng_failed(r, err);
    r = hs_codec_check_size(&request->options->limits, header.width, header.height, err);
    if (r == 0)
        r = (header.interlace_method ? decode_whole : decode_rows)(png, request, &header, image, err);
    if (r < 0)
        return r;
    /* libspng stops after the last row, before the checksum of its chunk. The remaining chunks are read
     * only for that checksum: once the image is complete, a missing end or a damaged ancillary chunk
     * does no harm. */
    r = spng_decode_chunks(png);
    bool harmless = r == 0 || (r != SPNG_ECHUNK_CRC && r != SPNG_ECHUNK_LIMITS && !hs_png_out_of_memory());
    return harmless ? 0 : spng_failed(r, err);
}

static int decode(struct hs_decode_request *request, struct hs_image **ret_image, struct hs_error *err)
{
    struct hs_image *image = NULL;
    spng_ctx *png = hs_png_context(0);
    if (!png)
        return hs_error_set(err, HS_ENOMEM, "no memory to decode a PNG");
    int r = decode_with(png, request, &image, err);
    spng_ctx_free(png);
    if (r == 0)
        *ret_image = image;
    else
        hs_image_destroy(image);
    return r;
}

const struct hs_codec hs_codec_png = { "PNG", false, { { 0, 8, "\x89PNG\r\n\x1a\n" } }, peek, probe, decode };
