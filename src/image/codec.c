#include "image/codec.h"

#include <string.h>

#include "base/budget.h"
#include "base/mem.h"

int hs_codec_check_size(const struct hs_image_limits *limits, int64_t width, int64_t height, struct hs_error *err)
{
    if (limits->max_pixels > 0 && width > limits->max_pixels / height)
        return hs_error_set(err, HS_ETOOLARGE, "image is %lldx%lld pixels, at most %g megapixels are accepted",
                            (long long) width, (long long) height, (double) limits->max_pixels / 1e6);
    if (limits->max_side > 0 && (width > limits->max_side || height > limits->max_side))
        return hs_error_set(err, HS_ETOOLARGE, "image is %lldx%lld pixels, at most %d per side are accepted",
                            (long long) width, (long long) height, limits->max_side);
    return 0;
}

static int check_memory(const struct hs_image_limits *limits, uint64_t bytes, struct hs_error *err)
{
    if (limits->max_memory > 0 && bytes > limits->max_memory)
        return hs_error_set(err, HS_ETOOLARGE, "image needs %.0f MB of memory to decode, at most %.0f MB are accepted",
                            (double) bytes / 1e6, (double) limits->max_memory / 1e6);
    return 0;
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

int hs_codec_reserve(struct hs_decode_request *request, int width, int height, uint64_t more, struct hs_error *err)
{
    const struct hs_image_options *options = request->options;
    uint64_t count = (uint64_t) width * (uint64_t) height, pixels = count * 3;
    uint64_t decoding = max_of(pixels + more, request->turns ? pixels * 2 : 0);
    int r = check_memory(&options->limits, decoding, err);
    if (r < 0)
        return r;
    uint64_t bytes = max_of(decoding, pixels + count * options->more_per_pixel);
    bool small = !hs_image_is_large(request->info.width, request->info.height);
    r = hs_split_budget_wait(options->limits.budget, small, bytes < SIZE_MAX ? (size_t) bytes : SIZE_MAX,
                             options->deadline_ns, options->cancel, &request->budget, &request->charged);
    if (r == HS_ECANCELED)
        return hs_error_set(err, r, "the client disconnected");
    if (r == HS_ETIMEOUT)
        return hs_error_set(err, r, "the request timed out while it waited for image memory");
    return r < 0 ? hs_error_set(err, r, "no memory to decode an image") : 0;
}

void hs_codec_unreserve(struct hs_decode_request *request)
{
    hs_budget_release(request->budget, request->charged);
    request->charged = 0;
}

int hs_codec_create_image(struct hs_decode_request *request, int width, int height, uint64_t more,
                          struct hs_image **ret_image, struct hs_error *err)
{
    int r = hs_codec_reserve(request, width, height, more, err);
    return r < 0 ? r : hs_image_create(width, height, ret_image, err);
}

/* ---- reduced pictures ---- */

bool hs_codec_reduces(const struct hs_decode_request *request, int width, int height)
{
    int w = request->need_w, h = request->need_h, least = request->options->exact ? 1 : 2;
    return !request->part && (w < width || h < height) && width / least >= w && height / least >= h;
}

int hs_codec_reserve_rows(struct hs_decode_request *request, int width, int height, uint64_t more, struct hs_error *err)
{
    int w = request->need_w, h = request->need_h;
    if (!hs_codec_reduces(request, width, height))
        return hs_codec_reserve(request, width, height, more, err);
    return hs_codec_reserve(request, w, h, more + hs_reducer_memory(width, w, h), err);
}

int hs_codec_rows_init(struct hs_codec_rows *rows, const struct hs_decode_request *request, int width, int height,
                       struct hs_error *err)
{
    bool reduces = hs_codec_reduces(request, width, height);
    *rows = (struct hs_codec_rows) { 0 };
    int r = hs_image_create(reduces ? request->need_w : width, reduces ? request->need_h : height, &rows->image, err);
    if (r == 0 && reduces)
        r = hs_reducer_create(width, height, rows->image, &rows->reducer, err);
    return r;
}

void hs_codec_rows_finish(struct hs_codec_rows *rows)
{
    hs_reducer_destroy(rows->reducer);
    hs_image_destroy(rows->image);
    *rows = (struct hs_codec_rows) { 0 };
}

struct hs_image *hs_codec_rows_take(struct hs_codec_rows *rows)
{
    struct hs_image *image = rows->image;
    rows->image = NULL;
    return image;
}

uint8_t *hs_codec_rows_next(const struct hs_codec_rows *rows)
{
    return rows->reducer ? NULL : rows->image->pixels + (size_t) rows->next * rows->image->stride;
}

void hs_codec_rows_add(struct hs_codec_rows *rows, const uint8_t *row)
{
    uint8_t *place = hs_codec_rows_next(rows);
    if (rows->reducer)
        hs_reducer_add(rows->reducer, row);
    else if (row != place)
        memcpy(place, row, rows->image->stride);
    rows->next++;
}

uint64_t hs_codec_reduce_memory(const struct hs_decode_request *request, int width, int height)
{
    int w = request->need_w, h = request->need_h;
    if (!hs_codec_reduces(request, width, height))
        return 0;
    return (uint64_t) w * (uint64_t) h * 3 + hs_reducer_memory(width, w, h);
}

int hs_codec_reduce(const struct hs_decode_request *request, struct hs_image **image, struct hs_error *err)
{
    struct hs_image *whole = *image, *reduced;
    if (!hs_codec_reduces(request, whole->width, whole->height))
        return 0;
    int r = hs_image_create(request->need_w, request->need_h, &reduced, err);
    if (r < 0)
        return r;
    r = hs_resample(whole, reduced->width, reduced->height, reduced->pixels, reduced->stride);
    if (r < 0) {
        hs_image_destroy(reduced);
        return hs_error_set(err, r, "no memory to reduce an image");
    }
    hs_image_destroy(whole);
    *image = reduced;
    return 0;
}

/* EXIF 2.32, 4.6.4: tag 0x0112 in IFD0, one SHORT. Some writers use LONG. */
enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_SIZE = 12 };

static uint32_t read16(const uint8_t *p, bool big)
{
    return big ? hs_codec_be16(p) : hs_codec_le16(p);
}

static uint32_t read32(const uint8_t *p, bool big)
{
    return big ? hs_codec_be32(p) : hs_codec_le32(p);
}

int hs_exif_find_orientation(const uint8_t *data, size_t len)
{
    if (len >= 6 && memcmp(data, "Exif\0\0", 6) == 0) {
        data += 6;
        len -= 6;
    }
    if (len < 8 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return 0;
    bool big = data[0] == 'M';
    size_t at = read32(data + 4, big);
    if (at > len || len - at < 2)
        return 0;
    uint32_t count = read16(data + at, big);
    at += 2;
    for (uint32_t i = 0; i < count && len - at >= ENTRY_SIZE; i++, at += ENTRY_SIZE) {
        const uint8_t *entry = data + at;
        if (read16(entry, big) != TAG_ORIENTATION)
            continue;
        uint32_t type = read16(entry + 2, big);
        uint32_t value = type == TYPE_SHORT ? read16(entry + 8, big) : type == TYPE_LONG ? read32(entry + 8, big) : 0;
        return value >= 1 && value <= 8 ? (int) value : 0;
    }
    return 0;
}

int hs_exif_orientation(const uint8_t *data, size_t len)
{
    int value = hs_exif_find_orientation(data, len);
    return value ? value : 1;
}

bool hs_magic_matches(const struct hs_magic *magic, const uint8_t *data, size_t len)
{
    if (magic->len == 0)
        return true;
    return len >= magic->at + magic->len && memcmp(data + magic->at, magic->bytes, magic->len) == 0;
}

/* From each format's own definition; most are also in file(1)'s magic. A longer pattern precedes
 * shorter ones that share its beginning. */
static const struct {
    const char *name;
    struct hs_magic magic;
} magics[] = {
    { "GIF", { 0, 4, "GIF8" } },
    { "TIFF", { 0, 4, "II*\0" } },
    { "TIFF", { 0, 4, "MM\0*" } },
    { "TIFF", { 0, 4, "II+\0" } },
    { "TIFF", { 0, 4, "MM\0+" } },
    { "AVIF", { 4, 7, "ftypavi" } },
    { "HEIC", { 4, 7, "ftyphei" } },
    { "HEIC", { 4, 7, "ftyphev" } },
    { "HEIF", { 4, 8, "ftypmif1" } },
    { "HEIF", { 4, 8, "ftypmsf1" } },
    { "video (MP4)", { 4, 4, "ftyp" } },
    { "video (Matroska)", { 0, 4, "\x1a\x45\xdf\xa3" } },
    { "JPEG XL", { 0, 12, "\0\0\0\x0cJXL \r\n\x87\n" } },
    { "JPEG XL", { 0, 2, "\xff\x0a" } },
    { "JPEG 2000", { 0, 12, "\0\0\0\x0cjP  \r\n\x87\n" } },
    { "JPEG 2000", { 0, 4, "\xff\x4f\xff\x51" } },
    { "PDF", { 0, 5, "%PDF-" } },
    { "PostScript", { 0, 4, "%!PS" } },
    { "Photoshop (PSD)", { 0, 4, "8BPS" } },
    { "OpenEXR", { 0, 4, "\x76\x2f\x31\x01" } },
    { "DDS", { 0, 4, "DDS " } },
    { "QOI", { 0, 4, "qoif" } },
    { "MNG", { 0, 8, "\x8aMNG\r\n\x1a\n" } },
    { "an icon (ICO)", { 0, 4, "\0\0\1\0" } },
};

/* Skips a byte-order mark and white space. SVG then begins with its own element, or with an XML
 * declaration or a comment before it. */
static bool is_svg(const uint8_t *data, size_t len)
{
    const uint8_t *end = data + (len > 1024 ? 1024 : len);
    if (end - data >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
        data += 3;
    while (data < end && (*data == ' ' || *data == '\t' || *data == '\r' || *data == '\n'))
        data++;
    size_t rest = (size_t) (end - data);
    if (rest < 5 || (memcmp(data, "<svg", 4) != 0 && memcmp(data, "<?xml", 5) != 0 && memcmp(data, "<!--", 4) != 0))
        return false;
    return memmem(data, rest, "<svg", 4) != NULL;
}

/* A Netpbm file begins with "P1" to "P6" and white space. */
static bool is_netpbm(const uint8_t *data, size_t len)
{
    return len >= 3 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6' &&
           (data[2] == '\n' || data[2] == ' ' || data[2] == '\t' || data[2] == '\r');
}

const char *hs_sniff_unsupported(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < HS_ARRAY_LEN(magics); i++)
        if (hs_magic_matches(&magics[i].magic, data, len))
            return magics[i].name;
    if (is_svg(data, len))
        return "SVG";
    return is_netpbm(data, len) ? "Netpbm (PNM)" : NULL;
}
