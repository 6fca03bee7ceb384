/* The interface of a file format to image.c, one constant table a format, and helpers for all of them. */
#ifndef HS_IMAGE_CODEC_H
#define HS_IMAGE_CODEC_H

#include "image/image.h"
#include "image/resample.h"

struct hs_decode_request {
    const uint8_t *data;
    size_t len;
    struct hs_image_info info; /* from probe */
    const struct hs_image_options *options;
    bool turns;               /* the picture will be turned, which takes two of it at once */
    struct hs_budget *budget; /* the part of options->limits.budget that hs_codec_reserve has charged */
    size_t charged;
    int need_w, need_h;               /* pixels, as stored and not turned; at most the full size */
    const struct hs_image_part *part; /* NULL: the whole picture */
    struct hs_image_part *ret_part;   /* with a part, see hs_image_decode_part */
};

/* Bytes by which a format is known, and their place in the file. */
struct hs_magic {
    size_t at, len;
    const char *bytes;
};

struct hs_codec {
    const char *name;
    bool decodes_parts;
    struct hs_magic magic[2]; /* a file of this format has both; a len of 0 fits any file */

    /* See hs_image_peek_size. */
    bool (*peek)(const uint8_t *data, size_t len, int *ret_width, int *ret_height);

    /* Fills all but ret_info->format. Allocates nothing large. */
    int (*probe)(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err);

    /* Decodes to at least need_w x need_h pixels, with options->exact to these. Checks the size that the library
     * reports again, and calls hs_codec_reserve before it allocates anything large: once, or after hs_codec_unreserve.
     */
    int (*decode)(struct hs_decode_request *request, struct hs_image **ret_image, struct hs_error *err);
};

extern const struct hs_codec hs_codec_jpeg, hs_codec_png, hs_codec_webp, hs_codec_bmp;

bool hs_magic_matches(const struct hs_magic *magic, const uint8_t *data, size_t len);

/* HS_ETOOLARGE if a picture of width x height is past max_side or max_pixels. */
int hs_codec_check_size(const struct hs_image_limits *limits, int64_t width, int64_t height, struct hs_error *err);

/* HS_ETOOLARGE if the pixels of the picture that is made and `more` bytes beside them are past max_memory. Then waits
 * until the budget has room for them. */
int hs_codec_reserve(struct hs_decode_request *request, int width, int height, uint64_t more, struct hs_error *err);

/* Gives the charge back, when nothing is left of what it was for. */
void hs_codec_unreserve(struct hs_decode_request *request);

/* hs_image_create after hs_codec_reserve. */
int hs_codec_create_image(struct hs_decode_request *request, int width, int height, uint64_t more,
                          struct hs_image **ret_image, struct hs_error *err);

/* True if a picture of this size is to be reduced to need_w x need_h while it is decoded: it must not be larger, or
 * is at least twice as large. Never for a part. */
bool hs_codec_reduces(const struct hs_decode_request *request, int width, int height);

/* Takes the rows of a decoded picture from the top down. */
struct hs_codec_rows {
    struct hs_image *image;
    struct hs_reducer *reducer; /* NULL: rows are taken as they are */
    int next;
};

/* hs_codec_reserve for what such rows make of a picture of width x height, and `more` bytes. */
int hs_codec_reserve_rows(struct hs_decode_request *request, int width, int height, uint64_t more,
                          struct hs_error *err);

/* For a picture of width x height, which is reduced if hs_codec_reduces. Caller frees with hs_codec_rows_finish. */
int hs_codec_rows_init(struct hs_codec_rows *rows, const struct hs_decode_request *request, int width, int height,
                       struct hs_error *err);
void hs_codec_rows_finish(struct hs_codec_rows *rows); /* a zeroed one is fine */

/* Hands the finished picture over: caller frees with hs_image_destroy. */
struct hs_image *hs_codec_rows_take(struct hs_codec_rows *rows);

/* Where the next row may be decoded to directly; NULL if it goes through hs_codec_rows_add. */
uint8_t *hs_codec_rows_next(const struct hs_codec_rows *rows);

/* The next row. One that lies at hs_codec_rows_next already is not copied. */
void hs_codec_rows_add(struct hs_codec_rows *rows, const uint8_t *row);

/* Replaces a whole picture by the reduced one if hs_codec_reduces. hs_codec_reduce_memory was reserved beside it. */
int hs_codec_reduce(const struct hs_decode_request *request, struct hs_image **image, struct hs_error *err);
uint64_t hs_codec_reduce_memory(const struct hs_decode_request *request, int width, int height);

/* The orientation 1..8 in an EXIF block: a TIFF structure, after "Exif\0\0" or without it. 1 for anything broken. */
int hs_exif_orientation(const uint8_t *data, size_t len);

/* The same, but 0 if it is not there or broken. */
int hs_exif_find_orientation(const uint8_t *data, size_t len);

/* The name of a format that is known by its first bytes but not read: "GIF", "TIFF", "AVIF" and so on. NULL for other
 * bytes. A constant string. */
const char *hs_sniff_unsupported(const uint8_t *data, size_t len);

static inline uint32_t hs_codec_le16(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8;
}

static inline uint32_t hs_codec_le32(const uint8_t *p)
{
    return hs_codec_le16(p) | hs_codec_le16(p + 2) << 16;
}

static inline uint32_t hs_codec_be16(const uint8_t *p)
{
    return (uint32_t) p[0] << 8 | p[1];
}

static inline uint32_t hs_codec_be32(const uint8_t *p)
{
    return hs_codec_be16(p) << 16 | hs_codec_be16(p + 2);
}

#endif
