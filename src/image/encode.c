#include "image/encode.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>
#include <spng.h>

#include "base/mem.h"
#include "image/png_memory.h"

/* Rows read at a time; libjpeg compresses lines of blocks of up to 16 rows. */
enum { BAND = 64 };

/* Rows read ahead. */
struct band {
    const struct hs_image_rows *rows;
    uint8_t *pixels;
    int first, count;
};

static int band_init(struct band *band, const struct hs_image_rows *rows, struct hs_error *err)
{
    size_t size;
    *band = (struct band) { .rows = rows };
    if (hs_size_mul((size_t) rows->width * 3, rows->height < BAND ? (size_t) rows->height : BAND, &size))
        band->pixels = malloc(size);
    return band->pixels ? 0 : hs_error_set(err, HS_ENOMEM, "no memory to encode an image");
}

/* Returns row y, reading the next band if needed. y must not decrease between calls. */
static int band_row(struct band *band, int y, uint8_t **ret_row, struct hs_error *err)
{
    int width = band->rows->width, rest = band->rows->height - y;
    if (y >= band->first + band->count) {
        band->first = y;
        band->count = rest < BAND ? rest : BAND;
        int r = band->rows->read(band->rows->ctx, y, band->count, band->pixels, err);
        if (r < 0)
            return r;
    }
    *ret_row = band->pixels + (size_t) (y - band->first) * (size_t) width * 3;
    return 0;
}

static int read_image(void *ctx, int first, int count, uint8_t *rows, struct hs_error *err)
{
    const struct hs_image *image = ctx;
    size_t size = (size_t) image->width * 3;
    (void) err;
    for (int i = 0; i < count; i++)
        memcpy(rows + (size_t) i * size, image->pixels + (size_t) (first + i) * image->stride, size);
    return 0;
}

static struct hs_image_rows rows_of(const struct hs_image *image)
{
    return (struct hs_image_rows) { image->width, image->height, read_image, (void *) image };
}

/* libjpeg reports errors by longjmp. Its output is appended to the caller's buffer in pieces. */
struct jpeg_encoder {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jmp_buf jump;
    JOCTET piece[8192];
    struct band band;
    struct hs_buf *out;
    int status;
    struct hs_error *err;
};

static _Noreturn void fail(struct jpeg_encoder *e, int status)
{
    e->status = status;
    longjmp(e->jump, 1);
}

static int buffer_failed(int status, struct hs_error *err)
{
    if (status == HS_ENOMEM)
        return hs_error_set(err, status, "no memory to encode an image");
    return hs_error_set(err, status, "the encoded image exceeds the size limit");
}

static _Noreturn void on_error(j_common_ptr jpeg)
{
    struct jpeg_encoder *e = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    bool memory = jpeg->err->msg_code == JERR_OUT_OF_MEMORY;
    bool size = jpeg->err->msg_code == JERR_IMAGE_TOO_BIG;
    fail(e, hs_error_set(e->err,
                         memory ? HS_ENOMEM
                         : size ? HS_EINVAL
                                : HS_EINTERNAL,
                         "JPEG cannot be encoded: %s", text));
}

/* Without this, libjpeg prints messages. */
static void on_output(j_common_ptr jpeg)
{
    (void) jpeg;
}

static void flush_piece(struct jpeg_encoder *e, size_t len)
{
    int r = hs_buf_append(e->out, e->piece, len);
    if (r < 0)
        fail(e, buffer_failed(r, e->err));
    e->destination.next_output_byte = e->piece;
    e->destination.free_in_buffer = sizeof(e->piece);
}

static void destination_init(j_compress_ptr jpeg)
{
    flush_piece(jpeg->client_data, 0);
}

static boolean destination_full(j_compress_ptr jpeg)
{
    struct jpeg_encoder *e = jpeg->client_data;
    flush_piece(e, sizeof(e->piece));
    return TRUE;
}

static void destination_end(j_compress_ptr jpeg)
{
    struct jpeg_encoder *e = jpeg->client_data;
    flush_piece(e, sizeof(e->piece) - e->destination.free_in_buffer);
}

static void encode_picture(struct jpeg_encoder *e, const struct hs_image_rows *rows, int quality)
{
    struct jpeg_compress_struct *jpeg = &e->jpeg;
    jpeg->err = jpeg_std_error(&e->errors);
    e->errors.error_exit = on_error;
    e->errors.output_message = on_output;
    jpeg->client_data = e;
    jpeg_create_compress(jpeg);
    e->destination.init_destination = destination_init;
    e->destination.empty_output_buffer = destination_full;
    e->destination.term_destination = destination_end;
    jpeg->dest = &e->destination;
    jpeg->image_width = (JDIMENSION) rows->width;
    jpeg->image_height = (JDIMENSION) rows->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row;
        int r = band_row(&e->band, (int) jpeg->next_scanline, &row, e->err);
        if (r < 0)
            fail(e, r);
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

int hs_image_rows_encode_jpeg(const struct hs_image_rows *rows, int quality, struct hs_buf *out, struct hs_error *err)
{
    struct jpeg_encoder *e = calloc(1, sizeof(*e));
    if (!e)
        return hs_error_set(err, HS_ENOMEM, "no memory to encode an image");
    e->out = out;
    e->err = err;
    e->status = band_init(&e->band, rows, err);
    if (e->status == 0 && setjmp(e->jump) == 0)
        encode_picture(e, rows, quality);
    int r = e->status;
    jpeg_destroy_compress(&e->jpeg);
    free(e->band.pixels);
    free(e);
    return r;
}

int hs_image_encode_jpeg(const struct hs_image *image, int quality, struct hs_buf *out, struct hs_error *err)
{
    const struct hs_image_rows rows = rows_of(image);
    return hs_image_rows_encode_jpeg(&rows, quality, out, err);
}

struct png_writer {
    struct hs_buf *out;
    int status;
};

static int write_png(spng_ctx *png, void *user, void *data, size_t len)
{
    (void) png;
    struct png_writer *writer = user;
    writer->status = hs_buf_append(writer->out, data, len);
    return writer->status < 0 ? SPNG_IO_ERROR : 0;
}

static int encode_rows(spng_ctx *png, const struct hs_image_rows *rows, struct band *band, int *ret_spng,
                       struct hs_error *err)
{
    uint8_t *row;
    for (int y = 0; y < rows->height; y++) {
        int r = band_row(band, y, &row, err);
        if (r < 0)
            return r;
        *ret_spng = spng_encode_row(png, row, (size_t) rows->width * 3);
        if (*ret_spng != 0)
            return 0;
    }
    return 0;
}

int hs_image_rows_encode_png(const struct hs_image_rows *rows, struct hs_buf *out, struct hs_error *err)
{
    struct png_writer writer = { .out = out };
    struct spng_ihdr header = { .width = (uint32_t) rows->width,
                                .height = (uint32_t) rows->height,
                                .bit_depth = 8,
                                .color_type = SPNG_COLOR_TYPE_TRUECOLOR };
    struct band band;
    int r = band_init(&band, rows, err), spng = 0;
    if (r < 0)
        return r;
    spng_ctx *png = hs_png_context(SPNG_CTX_ENCODER);
    /* Level 1 and one filter: more effort takes three times as long and hardly shrinks photographs. */
    if (!png)
        r = hs_error_set(err, HS_ENOMEM, "no memory to encode an image");
    else if ((spng = spng_set_option(png, SPNG_IMG_COMPRESSION_LEVEL, 1)) == 0 &&
             (spng = spng_set_option(png, SPNG_FILTER_CHOICE, SPNG_FILTER_CHOICE_SUB)) == 0 &&
             (spng = spng_set_png_stream(png, write_png, &writer)) == 0 && (spng = spng_set_ihdr(png, &header)) == 0 &&
             (spng = spng_encode_image(png, NULL, 0, SPNG_FMT_PNG, SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE)) ==
                 0)
        r = encode_rows(png, rows, &band, &spng, err);
    spng_ctx_free(png);
    free(band.pixels);
    if (r < 0 || spng == 0 || spng == SPNG_EOI)
        return r;
    if (writer.status < 0)
        return buffer_failed(writer.status, err);
    if (spng == SPNG_EMEM || hs_png_out_of_memory())
        return hs_error_set(err, HS_ENOMEM, "no memory to encode an image");
    return hs_error_set(err, HS_EINTERNAL, "PNG cannot be encoded" HS_DETAIL "%s", spng_strerror(spng));
}

int hs_image_encode_png(const struct hs_image *image, struct hs_buf *out, struct hs_error *err)
{
    const struct hs_image_rows rows = rows_of(image);
    return hs_image_rows_encode_png(&rows, out, err);
}
