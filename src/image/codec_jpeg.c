/* JPEG through libjpeg-turbo. The library reports errors by longjmp, so everything to free afterwards
 * is in one struct that both sides see. Nothing is printed. Large images are scaled in the DCT domain:
 * at 1/2 the inverse transform produces 4 x 4 samples for each block, which is cheaper than decoding
 * all samples, and a better filter. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "base/mem.h"
#include "base/str.h"
#include "image/codec.h"

/* T.81 B.1.1.3 */
enum {
    M_SOF0 = 0xc0,
    M_SOF15 = 0xcf,
    M_DHT = 0xc4,
    M_JPG = 0xc8,
    M_DAC = 0xcc,
    M_RST0 = 0xd0,
    M_SOI = 0xd8,
    M_EOI = 0xd9,
    M_SOS = 0xda,
    M_APP1 = 0xe1,
    M_TEM = 0x01
};

/* A progressive file may have any number of scans, and the decoder walks the whole image for each: a
 * few bytes can cost minutes. Encoders write about 10 scans, the most elaborate scripts about 30. */
enum { MAX_SCANS = 64 };

enum { LINES = 8 }; /* rows read per call */

/* libjpeg's memory for tables and working rows, without coefficients and pixels. */
static const uint64_t fixed_memory = 1 << 20;

struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    size_t len;                        /* bytes of the file to read */
    bool ran_out;                      /* the data ended before the end marker */
    bool stops_early;                  /* len was shortened, because the data after it cannot be decoded */
    size_t read;                       /* multi-scan files: bytes read before the last row of blocks */
    bool broken;                       /* libjpeg cannot continue; status and err hold the error */
    char damage[HS_IMAGE_DAMAGE_SIZE]; /* the first damage found */
    struct hs_codec_rows rows;
    struct hs_decode_request *request;
    JDIMENSION first_row, end_row; /* rows of the scaled image to decode */
    uint8_t *lines;                /* buffer of LINES rows, if rows are converted or reduced */
    int status;
    struct hs_error *err;
};

static bool is_frame_header(int marker)
{
    return marker >= M_SOF0 && marker <= M_SOF15 && marker != M_DHT && marker != M_JPG && marker != M_DAC;
}

/* Returns the next marker at or after *at, or -1 at the end. Skips garbage and fill bytes, as libjpeg
 * does. */
static int next_marker(const uint8_t *data, size_t len, size_t *at)
{
    while (*at + 1 < len) {
        if (data[*at] == 0xff && data[*at + 1] != 0xff && data[*at + 1] != 0) {
            *at += 2;
            return data[*at - 1];
        }
        ++*at;
    }
    return -1;
}

/* Skips segments by their lengths. libjpeg accepts any number of bytes between segments, but ordinary
 * files have none there, and do not have hundreds of segments before the frame. */
static bool peek(const uint8_t *data, size_t len, int *ret_width, int *ret_height)
{
    enum { STEPS_MAX = 1024 };
    size_t at = 2;
    for (int step = 0; step < STEPS_MAX && len - at >= 2; step++) {
        int marker = data[at + 1];
        if (data[at] != 0xff || marker == 0xff || marker == 0) {
            at++;
            continue;
        }
        at += 2;
        if ((marker >= M_RST0 && marker <= M_SOI) || marker == M_TEM)
            continue;
        size_t size = len - at >= 2 ? hs_codec_be16(data + at) : 0;
        if (marker == M_SOS || marker == M_EOI || size < 2 || size > len - at)
            return false;
        if (is_frame_header(marker) && size >= 8) {
            *ret_height = (int) hs_codec_be16(data + at + 3);
            *ret_width = (int) hs_codec_be16(data + at + 5);
            return true;
        }
        at += size;
    }
    return false;
}

static int probe(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err)
{
    bool has_exif = false, has_size = false;
    for (size_t at = 2;;) {
        int marker = next_marker(data, len, &at);
        if (marker == M_SOS || marker == M_EOI || marker < 0)
            break;
        if ((marker >= M_RST0 && marker <= M_SOI) || marker == M_TEM)
            continue;
        size_t size = len - at >= 2 ? hs_codec_be16(data + at) : 0;
        if (size < 2 || size > len - at)
            break;
        if (is_frame_header(marker) && size >= 8 && !has_size) {
            ret_info->height = (int) hs_codec_be16(data + at + 3);
            ret_info->width = (int) hs_codec_be16(data + at + 5);
            has_size = true;
        } else if (marker == M_APP1 && size >= 8 && memcmp(data + at + 2, "Exif\0\0", 6) == 0 && !has_exif) {
            ret_info->orientation = hs_exif_orientation(data + at + 2, size - 2);
            has_exif = true;
        }
        at += size;
    }
    if (!has_size)
        return hs_error_set(err, HS_EDECODE, "JPEG is truncated: it ends before the frame header");
    return 0;
}

static _Noreturn void fail(struct decoder *d, int status)
{
    d->status = status;
    longjmp(d->jump, 1);
}

/* Keeps only the first damage, because the others follow from it. */
static void record_damage(struct decoder *d, const char *text)
{
    if (!d->damage[0])
        hs_str_format(d->damage, sizeof(d->damage), "the JPEG is damaged: %s", text);
}

static _Noreturn void fail_broken(struct decoder *d, const char *text)
{
    d->broken = true;
    record_damage(d, text);
    fail(d, hs_error_set(d->err, HS_EDECODE, "JPEG cannot be decoded: %s", text));
}

static bool ends_with_marker(const struct decoder *d)
{
    const uint8_t *data = d->request->data;
    size_t len = d->request->len; /* at least 2: the codec was chosen by the first bytes */
    return data[len - 2] == 0xff && data[len - 1] == M_EOI;
}

/* The data ended too early. If the file nevertheless ends with an end marker, a segment lost some bytes
 * and libjpeg read the marker as part of it. */
static _Noreturn void fail_truncated(struct decoder *d)
{
    if (ends_with_marker(d))
        fail_broken(d, "a part of its data is missing");
    fail(d, hs_error_set(d->err, HS_EDECODE, "JPEG is truncated: its data end before the picture is complete"));
}

static _Noreturn void on_error(j_common_ptr jpeg)
{
    struct decoder *d = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
        fail(d, hs_error_set(d->err, HS_ENOMEM, "no memory to decode a JPEG"));
    if (d->ran_out)
        fail_truncated(d);
    fail_broken(d, text);
}

/* Returns a warning in plain words, or NULL if it does not concern the pixels. */
static const char *damage_text(struct decoder *d, char text[JMSG_LENGTH_MAX])
{
    switch (d->errors.msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_BOGUS_ICC:
        return NULL;
    case JWRN_JPEG_EOF:
        return "the end marker is missing";
    case JWRN_HIT_MARKER:
        return "a part of its data is missing";
    case JWRN_EXTRANEOUS_DATA:
        return "it contains extraneous bytes";
    case JWRN_HUFF_BAD_CODE:
        return "a part of its data is wrong";
    case JWRN_MUST_RESYNC:
        return "a restart marker is missing";
    case JWRN_BOGUS_PROGRESSION:
        return "a scan is missing";
    default:
        d->errors.format_message((j_common_ptr) &d->jpeg, text);
        return text;
    }
}

/* libjpeg passes level -1 for damage that it can recover from, and higher levels for traces. */
static void on_message(j_common_ptr jpeg, int level)
{
    struct decoder *d = jpeg->client_data;
    char buffer[JMSG_LENGTH_MAX];
    if (level >= 0)
        return;
    /* libjpeg has the whole file, so it needs more data only if the end marker is missing. It then
     * continues as if it had read one. */
    if (jpeg->err->msg_code == JWRN_JPEG_EOF) {
        d->ran_out = true;
        if (d->stops_early || ends_with_marker(d))
            return;
    }
    /* The decoder needs bits after the end of the data, so the file is truncated. Without ran_out it
     * has hit a marker instead, which is ordinary damage. */
    if (jpeg->err->msg_code == JWRN_HIT_MARKER && d->ran_out && !d->stops_early)
        fail_truncated(d);
    const char *text = damage_text(d, buffer);
    if (text)
        record_damage(d, text);
}

static void on_output(j_common_ptr jpeg)
{
    (void) jpeg;
}

static void on_progress(j_common_ptr jpeg)
{
    struct decoder *d = jpeg->client_data;
    if (d->jpeg.input_scan_number > MAX_SCANS)
        fail(d, hs_error_set(d->err, HS_ETOOLARGE, "JPEG has more than %d scans", MAX_SCANS));
    if (jpeg_has_multiple_scans(&d->jpeg))
        d->read = d->len - d->jpeg.src->bytes_in_buffer - (d->jpeg.unread_marker ? 2 : 0);
}

static void decoder_init(struct decoder *d)
{
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = on_error;
    d->errors.emit_message = on_message;
    d->errors.output_message = on_output;
    d->jpeg.client_data = d;
    jpeg_create_decompress(&d->jpeg);
    d->progress.progress_monitor = on_progress;
    d->jpeg.progress = &d->progress;
    jpeg_mem_src(&d->jpeg, d->request->data, (unsigned long) d->len);
}

/* Selects the smallest of 1/8, 1/4, 1/2 and 1 whose result is at least the needed size. Only these have
 * SIMD transforms: each scale between two of them is slower than the larger one. JDCT_IFAST and plain
 * upsampling are not faster. */
static void choose_scale(struct jpeg_decompress_struct *jpeg, int need_w, int need_h)
{
    jpeg->scale_num = 1;
    for (jpeg->scale_denom = 8; jpeg->scale_denom > 1; jpeg->scale_denom /= 2) {
        uint64_t denom = jpeg->scale_denom;
        if ((jpeg->image_width + denom - 1) / denom >= (uint64_t) need_w &&
            (jpeg->image_height + denom - 1) / denom >= (uint64_t) need_h)
            return;
    }
}

/* libjpeg keeps all coefficients of a multi-scan file (64 numbers of 16 bits per block) until the last
 * scan. */
static uint64_t coefficient_bytes(struct jpeg_decompress_struct *jpeg)
{
    uint64_t total = 0;
    if (!jpeg_has_multiple_scans(jpeg))
        return 0;
    for (int i = 0; i < jpeg->num_components; i++) {
        const jpeg_component_info *c = &jpeg->comp_info[i];
        uint64_t across = (c->width_in_blocks + (uint64_t) c->h_samp_factor - 1) / (uint64_t) c->h_samp_factor;
        uint64_t down = (c->height_in_blocks + (uint64_t) c->v_samp_factor - 1) / (uint64_t) c->v_samp_factor;
        total += across * (uint64_t) c->h_samp_factor * down * (uint64_t) c->v_samp_factor * sizeof(JBLOCK);
    }
    return total;
}

static void choose_output(struct decoder *d)
{
    switch (d->jpeg.jpeg_color_space) {
    case JCS_GRAYSCALE:
    case JCS_YCbCr:
    case JCS_RGB:
        d->jpeg.out_color_space = JCS_RGB;
        break;
    case JCS_CMYK:
    case JCS_YCCK:
        d->jpeg.out_color_space = JCS_CMYK;
        break;
    default:
        fail(d, hs_error_set(d->err, HS_EDECODE, "JPEG has %d colour components; 1, 3 or 4 are supported",
                             d->jpeg.num_components));
    }
}

/* In place. Same as Pillow (libImaging/Convert.c, cmyk2rgb) after the inversion that Pillow assumes:
 * with inverted values c, m, y, k, red is k - k * (255 - c) / 255, rounded. */
static void cmyk_to_rgb(const uint8_t *src, uint8_t *dst, int width)
{
    for (int x = 0; x < width; x++, src += 4, dst += 3) {
        for (int c = 0; c < 3; c++) {
            int ink = (255 - src[c]) * src[3] + 128;
            int rest = src[3] - ((ink + (ink >> 8)) >> 8);
            dst[c] = (uint8_t) (rest > 0 ? rest : 0);
        }
    }
}

static void read_rows(struct decoder *d)
{
    bool cmyk = d->jpeg.out_color_space == JCS_CMYK;
    size_t width = d->jpeg.output_width, stride = width * (cmyk ? 4 : 3);
    if (d->first_row > 0)
        jpeg_skip_scanlines(&d->jpeg, d->first_row);
    while (d->jpeg.output_scanline < d->end_row) {
        /* One call may return fewer rows. */
        JSAMPROW rows[LINES];
        JDIMENSION count = d->end_row - d->jpeg.output_scanline;
        if (count > LINES)
            count = LINES;
        uint8_t *out = d->lines ? d->lines : hs_codec_rows_next(&d->rows);
        for (JDIMENSION i = 0; i < count; i++)
            rows[i] = out + i * stride;
        count = jpeg_read_scanlines(&d->jpeg, rows, count);
        for (JDIMENSION i = 0; i < count; i++) {
            if (cmyk)
                cmyk_to_rgb(rows[i], rows[i], (int) width);
            hs_codec_rows_add(&d->rows, rows[i]);
        }
    }
}

/* Upper bound of the size before cropping: the part plus one row of blocks (4 blocks of 8 samples) on
 * each side. */
static void max_part_size(const struct decoder *d, int *width, int *height)
{
    int denom = (int) d->jpeg.scale_denom, more = 2 * 4 * DCTSIZE + 2;
    int w = d->request->part->width / denom + more, h = d->request->part->height / denom + more;
    *width = w < *width ? w : *width;
    *height = h < *height ? h : *height;
}

/* Crops the output to the part: columns at block borders, rows exactly. Call after
 * jpeg_start_decompress. */
static void crop(struct decoder *d)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    const struct hs_image_part *part = d->request->part;
    JDIMENSION denom = jpeg->scale_denom, x = (JDIMENSION) part->x / denom;
    JDIMENSION width = ((JDIMENSION) (part->x + part->width) + denom - 1) / denom - x;
    d->first_row = (JDIMENSION) part->y / denom;
    d->end_row = ((JDIMENSION) (part->y + part->height) + denom - 1) / denom;
    if (d->end_row > jpeg->output_height)
        d->end_row = jpeg->output_height;
    if (width < jpeg->output_width)
        jpeg_crop_scanline(jpeg, &x, &width);
    else
        x = 0;
    *d->request->ret_part = (struct hs_image_part) {
        (int) (x * denom),
        (int) (d->first_row * denom),
        (int) (jpeg->output_width * denom),
        (int) ((d->end_row - d->first_row) * denom),
    };
}

/* Returns true if all components and all bits of their coefficients arrived. */
static bool is_complete(struct jpeg_decompress_struct *jpeg)
{
    for (int c = 0; c < jpeg->num_components; c++) {
        if (!jpeg->comp_info[c].quant_table) /* set by the component's first scan */
            return false;
        for (int k = 0; jpeg->coef_bits && k < DCTSIZE2; k++)
            if (jpeg->coef_bits[c][k] != 0)
                return false;
    }
    return true;
}

/* Runs after setjmp; leaves through fail() on any error. */
static void decode_picture(struct decoder *d)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    struct hs_decode_request *request = d->request;
    int r;
    jpeg_read_header(jpeg, TRUE);
    r = hs_codec_check_size(&request->options->limits, jpeg->image_width, jpeg->image_height, d->err);
    if (r < 0)
        fail(d, r);
    choose_output(d);
    choose_scale(jpeg, request->need_w, request->need_h);
    jpeg_calc_output_dimensions(jpeg);
    /* Working rows: at most 16 lines of blocks of up to 4 components, twice; and the lines buffer. */
    uint64_t rows = (uint64_t) jpeg->image_width * 4 * (32 + LINES);
    int width = (int) jpeg->output_width, height = (int) jpeg->output_height;
    if (request->part)
        max_part_size(d, &width, &height);
    r = hs_codec_reserve_rows(request, width, height, coefficient_bytes(jpeg) + rows + fixed_memory, d->err);
    if (r < 0)
        fail(d, r);
    jpeg_start_decompress(jpeg);
    d->end_row = jpeg->output_height;
    if (d->request->part)
        crop(d);
    r = hs_codec_rows_init(&d->rows, request, (int) jpeg->output_width, (int) (d->end_row - d->first_row), d->err);
    if (r < 0)
        fail(d, r);
    if (d->rows.reducer || jpeg->out_color_space == JCS_CMYK) {
        d->lines = malloc((size_t) jpeg->output_width * 4 * LINES);
        if (!d->lines)
            fail(d, hs_error_set(d->err, HS_ENOMEM, "no memory to decode a JPEG"));
    }
    read_rows(d);
    /* Missing scans leave no trace in the rows, and arithmetic decoding reads zeros after the end by
     * design. */
    if (d->ran_out && !d->stops_early && (jpeg->arith_code || !is_complete(jpeg)))
        fail_truncated(d);
    hs_str_copy(d->rows.image->damage, sizeof(d->rows.image->damage), d->damage);
}

/* Decodes the first d->len bytes. On failure frees all memory and returns the charge. */
static int attempt(struct decoder *d)
{
    if (setjmp(d->jump) == 0) {
        decoder_init(d);
        decode_picture(d);
    }
    jpeg_destroy_decompress(&d->jpeg);
    free(d->lines);
    d->lines = NULL;
    if (d->status < 0) {
        hs_codec_rows_finish(&d->rows);
        hs_codec_unreserve(d->request);
    }
    return d->status;
}

/* If libjpeg fails after some of several scans, decodes only the scans before the failure. */
static int attempt_scans(struct decoder *d)
{
    const uint8_t *data = d->request->data;
    size_t end = d->read;
    int marker;
    do {
        marker = next_marker(data, d->request->len, &end);
    } while (marker >= M_RST0 && marker < M_SOI);
    if (marker < 0)
        return d->status;
    d->len = end - 2;
    d->stops_early = true;
    d->broken = false;
    d->status = 0;
    d->first_row = d->end_row = 0;
    return attempt(d);
}

static int decode(struct hs_decode_request *request, struct hs_image **ret_image, struct hs_error *err)
{
    struct decoder *d = calloc(1, sizeof(*d));
    if (!d)
        return hs_error_set(err, HS_ENOMEM, "no memory to decode a JPEG");
    d->err = err;
    d->request = request;
    d->len = request->len;
    int r = attempt(d);
    if (r < 0 && d->broken && d->read > 0)
        r = attempt_scans(d);
    if (r == 0)
        *ret_image = hs_codec_rows_take(&d->rows);
    hs_codec_rows_finish(&d->rows);
    free(d);
    return r;
}

const struct hs_codec hs_codec_jpeg = { "JPEG", true, { { 0, 2, "\xff\xd8" } }, peek, probe, decode };
