#include "image/encode.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>
#include <spng.h>

/* libjpeg's errors arrive by longjmp; its output goes straight into the caller's buffer, a piece at a time. */
struct jpeg_encoder {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jmp_buf jump;
    JOCTET piece[8192];
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
    return hs_error_set(err, status, "encoded image is larger than its buffer may become");
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

/* libjpeg would print. */
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

static void encode_picture(struct jpeg_encoder *e, const struct hs_image *image, int quality)
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
    jpeg->image_width = (JDIMENSION) image->width;
    jpeg->image_height = (JDIMENSION) image->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        /* libjpeg takes rows that it does not write as not const. */
        JSAMPROW row = image->pixels + (size_t) jpeg->next_scanline * image->stride;
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

int hs_image_encode_jpeg(const struct hs_image *image, int quality, struct hs_buf *out, struct hs_error *err)
{
    struct jpeg_encoder *e = calloc(1, sizeof(*e));
    if (!e)
        return hs_error_set(err, HS_ENOMEM, "no memory to encode an image");
    e->out = out;
    e->err = err;
    if (setjmp(e->jump) == 0)
        encode_picture(e, image, quality);
    int status = e->status;
    jpeg_destroy_compress(&e->jpeg);
    free(e);
    return status;
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

int hs_image_encode_png(const struct hs_image *image, struct hs_buf *out, struct hs_error *err)
{
    struct png_writer writer = { .out = out };
    struct spng_ihdr header = { .width = (uint32_t) image->width,
                                .height = (uint32_t) image->height,
                                .bit_depth = 8,
                                .color_type = SPNG_COLOR_TYPE_TRUECOLOR };
    spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
    if (!png)
        return hs_error_set(err, HS_ENOMEM, "no memory to encode an image");
    /* Level 1 and one filter: photographs hardly get smaller with more, and take three times as long. */
    int r = spng_set_option(png, SPNG_IMG_COMPRESSION_LEVEL, 1);
    if (r == 0)
        r = spng_set_option(png, SPNG_FILTER_CHOICE, SPNG_FILTER_CHOICE_SUB);
    if (r == 0)
        r = spng_set_png_stream(png, write_png, &writer);
    if (r == 0)
        r = spng_set_ihdr(png, &header);
    if (r == 0)
        r = spng_encode_image(png, NULL, 0, SPNG_FMT_PNG, SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE);
    for (int y = 0; r == 0 && y < image->height; y++)
        r = spng_encode_row(png, image->pixels + (size_t) y * image->stride, (size_t) image->width * 3);
    spng_ctx_free(png);
    if (r == 0 || r == SPNG_EOI)
        return 0;
    if (writer.status < 0)
        return buffer_failed(writer.status, err);
    return hs_error_set(err, r == SPNG_EMEM ? HS_ENOMEM : HS_EINTERNAL, "PNG cannot be encoded" HS_DETAIL "%s",
                        spng_strerror(r));
}
