/* Interface between image.c and the decoders: one constant table for each file format, and shared
 * helpers. */
#ifndef HS_IMAGE_CODEC_H
#define HS_IMAGE_CODEC_H

#include "image/image.h"
#include "image/resample.h"

struct hs_decode_request {
    const uint8_t *data;
    size_t len;
    struct hs_image_info info; /* from probe */
    const struct hs_image_options *options;
    bool turns;               /* the image will be turned, which needs memory for two images */
    struct hs_budget *budget; /* of options->limits.budget: the part that hs_codec_reserve charged */
    size_t charged;
    int need_w, need_h;               /* pixels, as stored, before the turn; at most the full size */
    const struct hs_image_part *part; /* NULL: the whole image */
    struct hs_image_part *ret_part;   /* set if `part` is set; see hs_image_decode_part */
};

/* Signature bytes of a format and their offset in the file. */
struct hs_magic {
    size_t at, len;
    const char *bytes;
};

struct hs_codec {
    const char *name;
    bool decodes_parts;
    struct hs_magic magic[2]; /* both must match; an entry with len 0 matches any file */

    /* See hs_image_peek_size. */
    bool (*peek)(const uint8_t *data, size_t len, int *ret_width, int *ret_height);

    /* Fills *ret_info except its format. Makes no large allocation. */
    int (*probe)(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err);

    /* Decodes to at least need_w x need_h pixels, or to exactly that size with options->exact. Checks
     * the size that the library reports against the limits again. Calls hs_codec_reserve before any
     * large allocation: once, or again after hs_codec_unreserve. */
    int (*decode)(struct hs_decode_request *request, struct hs_image **ret_image, struct hs_error *err);
};

extern const struct hs_codec hs_codec_jpeg, hs_codec_png, hs_codec_webp, hs_codec_bmp;

bool hs_magic_matches(const struct hs_magic *magic, const uint8_t *data, size_t len);

/* Fails with HS_ETOOLARGE if width x height exceeds max_side or max_pixels. */
int hs_codec_check_size(const struct hs_image_limits *limits, int64_t width, int64_t height, struct hs_error *err);

/* Fails with HS_ETOOLARGE if the pixels of the decoded image plus `more` bytes exceed max_memory.
 * Otherwise waits until the budget has room for them. */
int hs_codec_reserve(struct hs_decode_request *request, int width, int height, uint64_t more, struct hs_error *err);

/* Returns the charge to the budget. Call it after everything that was charged is freed. */
void hs_codec_unreserve(struct hs_decode_request *request);

/* Calls hs_codec_reserve, then hs_image_create. */
int hs_codec_create_image(struct hs_decode_request *request, int width, int height, uint64_t more,
                          struct hs_image **ret_image, struct hs_error *err);

/* Returns true if an image of width x height is reduced to need_w x need_h during decoding: with
 * options->exact if it is larger, else if it is at least twice as large on each axis. Returns false for
 * a part. */
bool hs_codec_reduces(const struct hs_decode_request *request, int width, int height);

/* Receives the rows of a decoded image from top to bottom. */
struct hs_codec_rows {
    struct hs_image *image;
    struct hs_reducer *reducer; /* NULL: rows are copied unchanged */
    int next;
};

/* Calls hs_codec_reserve for the image that the rows of a width x height image produce, for the reducer
 * if there is one, and for `more` bytes. */
int hs_codec_reserve_rows(struct hs_decode_request *request, int width, int height, uint64_t more,
                          struct hs_error *err);

/* Prepares *rows for an image of width x height, with a reducer if hs_codec_reduces. Caller frees with
 * hs_codec_rows_finish, also after a failure. */
int hs_codec_rows_init(struct hs_codec_rows *rows, const struct hs_decode_request *request, int width, int height,
                       struct hs_error *err);
void hs_codec_rows_finish(struct hs_codec_rows *rows); /* accepts a zeroed struct */

/* Returns the finished image and drops it from *rows. Caller frees with hs_image_destroy. */
struct hs_image *hs_codec_rows_take(struct hs_codec_rows *rows);

/* Returns the address to which the next row may be decoded directly, or NULL if rows must go through a
 * buffer of the caller. */
uint8_t *hs_codec_rows_next(const struct hs_codec_rows *rows);

/* Adds the next row. A row that already lies at hs_codec_rows_next is not copied. */
void hs_codec_rows_add(struct hs_codec_rows *rows, const uint8_t *row);

/* Replaces a whole image by the reduced one if hs_codec_reduces. The caller has reserved
 * hs_codec_reduce_memory bytes for it. */
int hs_codec_reduce(const struct hs_decode_request *request, struct hs_image **image, struct hs_error *err);
uint64_t hs_codec_reduce_memory(const struct hs_decode_request *request, int width, int height);

/* Returns the orientation 1..8 from an EXIF block (a TIFF structure, with or without "Exif\0\0" before
 * it), or 1 if it is missing or damaged. */
int hs_exif_orientation(const uint8_t *data, size_t len);

/* Same as hs_exif_orientation, but returns 0 if the orientation is missing or damaged. */
int hs_exif_find_orientation(const uint8_t *data, size_t len);

/* Returns the name of a format that is recognised but not supported, "GIF", "TIFF", "AVIF" and so on,
 * or NULL for other bytes. The string is constant. */
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
