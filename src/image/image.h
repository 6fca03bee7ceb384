/* Bytes of a picture -> RGB. The format is recognised by the content, never by a name: JPEG (gray, YCbCr, RGB, CMYK,
 * YCCK, sequential and progressive), PNG, WebP (the first frame of an animation) and uncompressed BMP. Colours come out
 * as Pillow's convert("RGB") gives them: gray and palette expanded, alpha dropped and not blended, 16 bits cut to the
 * high byte.
 *
 * Errors, each with one line that names the reason:
 *   HS_EDECODE       empty, cut, damaged (see below), or no picture at all
 *   HS_EUNSUPPORTED  a known format that is not read (GIF, TIFF, AVIF, BMP with run lengths…), named in the message
 *   HS_ETOOLARGE     past a limit; found from the header, before anything is allocated
 *   HS_ETIMEOUT, HS_ECANCELED  the budget had no room in time
 *   HS_ENOMEM        no memory
 *
 * Damage. A file that is cut is refused: its data end before the picture is complete, and no end marker follows them.
 * So is a file of which no pixel can be decoded. Any other damage of a JPEG (wrong or missing data before an end
 * marker, a lost restart marker, a scan that cannot be read) is decoded as well as it goes, and hs_image.damage names
 * it. PNG and WebP keep checksums or code their pixels in one piece, so nothing that follows a damage can be trusted:
 * they are refused, unless only what follows the last row is missing. A BMP carries nothing by which damage would show,
 * unless it is cut.
 *
 * All functions may be called from any thread. */
#ifndef HS_IMAGE_IMAGE_H
#define HS_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_budget;
struct hs_split_budget;
struct hs_cancel;

enum hs_image_format { HS_IMAGE_JPEG, HS_IMAGE_PNG, HS_IMAGE_WEBP, HS_IMAGE_BMP };

enum { HS_IMAGE_DAMAGE_SIZE = 128 };

enum { HS_IMAGE_SMALL_PIXELS = 4 << 20 }; /* most of a small picture; one with more is large */

/* Row y begins at pixels + y * stride; a pixel is three bytes R, G, B. */
struct hs_image {
    int width, height;
    size_t stride;
    uint8_t *pixels;
    /* The size of the whole picture, in the same turn as width and height. Larger than them after a reduced decode. */
    int orig_width, orig_height;
    int orientation; /* EXIF, 1..8, as the file says; 1 without that. Already applied with apply_exif. */
    char damage[HS_IMAGE_DAMAGE_SIZE]; /* "the JPEG is damaged: …" if a part of the pixels may be wrong, else "" */
    struct hs_budget *budget;          /* gets `charged` bytes back when the picture is destroyed */
    size_t charged;
};

/* The header. width and height are those of the stored pixels, before any turn. */
struct hs_image_info {
    enum hs_image_format format;
    int width, height;
    int orientation; /* EXIF, 1..8 */
    bool animated;
};

/* 0 means no such limit. */
struct hs_image_limits {
    size_t max_bytes;   /* of the file */
    int64_t max_pixels; /* width * height */
    int max_side;       /* the longer side, in pixels */
    size_t max_memory;  /* bytes that decoding takes at its peak: pixels and the codec's own large buffers */
    /* Memory for all pictures together (hs_split_budget_wait): small ones have their own part. NULL: not counted. */
    struct hs_split_budget *budget;
};

#define HS_IMAGE_LIMITS_DEFAULT                                                                                        \
    { .max_bytes = (size_t) 32 << 20, .max_pixels = 64000000, .max_side = 32768, .max_memory = (size_t) 96 << 20 }

struct hs_image_options {
    struct hs_image_limits limits;
    /* The picture will be letterboxed into this many pixels, so it may come reduced, yet never smaller than that
     * letterbox's content (hs_letterbox_plan). Counted after the EXIF turn. 0: full size. */
    int target_w, target_h;
    bool exact;      /* the picture comes as large as that content, unless it is smaller; never larger */
    bool apply_exif; /* turn the picture upright */

    /* For limits.budget. What decoding takes at its peak is charged before it begins; the picture keeps what its pixels
     * take and more_per_pixel bytes for each of them, which its user needs. A thread that has a picture with a charge
     * must destroy it before it decodes the next one, else two could wait for each other. */
    int64_t deadline_ns;
    struct hs_cancel *cancel; /* may be NULL */
    size_t more_per_pixel;
};

/* Reads the header only; allocates at most 400 KiB, for packed text of a PNG. Does not check limits. */
int hs_image_probe(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err);

/* The stored width and height, if they stand in the header at a place that is found at once: allocates nothing and
 * looks at a few kilobytes at most, whatever the file holds. False: this is no picture, or a strange one. Where both
 * succeed, hs_image_probe says the same. */
bool hs_image_peek_size(const uint8_t *data, size_t len, int *ret_width, int *ret_height);

/* The size of a picture, of which decoding may take long. */
bool hs_image_is_large(int width, int height);

/* The size of the whole picture, turned upright or as stored. */
void hs_image_info_size(const struct hs_image_info *info, bool apply_exif, int *ret_w, int *ret_h);

/* `data` is only read during the call. On success the caller owns *ret_image (hs_image_destroy). */
int hs_image_decode(const uint8_t *data, size_t len, const struct hs_image_options *options,
                    struct hs_image **ret_image, struct hs_error *err);

/* A part of a picture, in pixels of the whole. */
struct hs_image_part {
    int x, y, width, height;
};

/* As hs_image_decode, target_w and target_h counting for the whole picture, but only of the part, which lies inside it
 * (NULL: the whole, not turned), and what comes cheapest with it. *ret_part says which part that became; at the right
 * and bottom it may reach beyond the picture by less than 8 pixels, which are made up. The image is a picture of its
 * own, orig_width x orig_height the part's size. HS_EUNSUPPORTED: only the whole can be decoded, because it is no JPEG,
 * or to be turned. */
int hs_image_decode_part(const uint8_t *data, size_t len, const struct hs_image_options *options,
                         const struct hs_image_part *part, struct hs_image **ret_image, struct hs_image_part *ret_part,
                         struct hs_error *err);

/* Turns *image upright as EXIF `orientation` (1..8) says; replaces it by another one if pixels have to move. On failure
 * *image is as before. */
int hs_image_turn(struct hs_image **image, int orientation, struct hs_error *err);

/* A picture of its own, tightly packed, pixels not set; caller frees with hs_image_destroy. */
int hs_image_create(int width, int height, struct hs_image **ret_image, struct hs_error *err);
void hs_image_destroy(struct hs_image *image); /* NULL allowed */

#endif
