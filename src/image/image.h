/* Decodes image files in memory to RGB. The format is detected by content, never by file name: JPEG
 * (gray, YCbCr, RGB, CMYK, YCCK, sequential and progressive), PNG, WebP (the first frame of an
 * animation) and uncompressed BMP. Colours match Pillow's convert("RGB"): gray and palette images are
 * expanded, alpha is dropped without blending, and 16-bit samples keep their high byte.
 *
 * Errors, each with a one-line reason:
 *   HS_EDECODE       empty, truncated, damaged (see below), or not an image
 *   HS_EUNSUPPORTED  a known format that is not supported (GIF, TIFF, AVIF, run-length BMP…); the message names it
 *   HS_ETOOLARGE     exceeds a limit; found in the header, before anything is allocated
 *   HS_ETIMEOUT, HS_ECANCELED  the budget had no room in time
 *   HS_ENOMEM        out of memory
 *
 * Damaged files: a truncated file is refused. Its data end before the image is complete, and no end
 * marker follows. A file without a single decodable pixel is refused too. Any other damage of a JPEG
 * (wrong or missing data before an end marker, a lost restart marker, an unreadable scan) is decoded as
 * far as possible, and hs_image.damage describes it. PNG and WebP have checksums or code their pixels
 * in one piece, so data after a damaged place cannot be trusted: such files are refused, unless only
 * data after the last row are missing. BMP has no redundancy, so only truncation can be detected.
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

enum { HS_IMAGE_SMALL_PIXELS = 4 << 20 }; /* images with more pixels are large (hs_image_is_large) */

/* Row y begins at pixels + y * stride; a pixel is three bytes R, G, B. */
struct hs_image {
    int width, height;
    size_t stride;
    uint8_t *pixels;
    /* Size of the whole image, turned like width and height. Larger than these after a reduced decode. */
    int orig_width, orig_height;
    int orientation; /* EXIF orientation of the file, 1..8; 1 if missing. Already applied if apply_exif is set. */
    char damage[HS_IMAGE_DAMAGE_SIZE]; /* "the JPEG is damaged: …" if some pixels may be wrong, else "" */
    struct hs_budget *budget;          /* receives `charged` bytes back in hs_image_destroy */
    size_t charged;
};

/* Contents of the header. width and height are those of the stored pixels, before any turn. */
struct hs_image_info {
    enum hs_image_format format;
    int width, height;
    int orientation; /* EXIF, 1..8 */
    bool animated;
};

/* 0 disables a limit. */
struct hs_image_limits {
    size_t max_bytes;   /* of the file */
    int64_t max_pixels; /* width * height */
    int max_side;       /* the longer side, in pixels */
    size_t max_memory;  /* bytes at the peak of decoding: pixels and the large buffers of the codec */
    /* Memory budget that all images share, with a separate part for small ones (hs_split_budget_wait).
     * NULL: not counted. */
    struct hs_split_budget *budget;
};

#define HS_IMAGE_LIMITS_DEFAULT                                                                                        \
    { .max_bytes = (size_t) 32 << 20, .max_pixels = 64000000, .max_side = 32768, .max_memory = (size_t) 96 << 20 }

struct hs_image_options {
    struct hs_image_limits limits;
    /* Size of the letterbox that the image is decoded for. The decoder may reduce the image, but never
     * below the letterbox content (hs_letterbox_plan). Applies after the EXIF turn. 0: full size. */
    int target_w, target_h;
    bool exact;      /* reduces exactly to the size of that content; never enlarges */
    bool apply_exif; /* turns the image upright */

    /* For limits.budget. The peak of decoding is charged before it begins. The image then keeps the
     * charge for its pixels, plus more_per_pixel bytes for each pixel, which its user needs. A thread
     * must destroy an image with a charge before it decodes the next one; otherwise two such threads
     * can deadlock. */
    int64_t deadline_ns;
    struct hs_cancel *cancel; /* may be NULL */
    size_t more_per_pixel;
};

/* Reads only the header. Allocates at most 400 KiB, for compressed text in a PNG. Does not check
 * limits. */
int hs_image_probe(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err);

/* Reads the stored width and height from a header at a usual place: allocates nothing and reads a few
 * kilobytes at most, whatever the file holds. Returns false if the data are not an image or have an
 * unusual structure. If hs_image_probe succeeds too, both return the same size. */
bool hs_image_peek_size(const uint8_t *data, size_t len, int *ret_width, int *ret_height);

/* Returns true if an image has more than HS_IMAGE_SMALL_PIXELS pixels, so decoding may take long. */
bool hs_image_is_large(int width, int height);

/* Returns the size of the whole image: upright with apply_exif, else as stored. */
void hs_image_info_size(const struct hs_image_info *info, bool apply_exif, int *ret_w, int *ret_h);

/* Decodes an image. Reads `data` only during the call. Caller frees *ret_image with hs_image_destroy. */
int hs_image_decode(const uint8_t *data, size_t len, const struct hs_image_options *options,
                    struct hs_image **ret_image, struct hs_error *err);

/* A rectangle in pixels of the whole image. */
struct hs_image_part {
    int x, y, width, height;
};

/* Same as hs_image_decode, but decodes only `part`, which lies inside the image, and neighbouring
 * pixels that come at no extra cost. NULL decodes the whole image, not turned. target_w and target_h
 * still apply to the whole image. *ret_part receives the decoded rectangle; at the right and the bottom
 * it may exceed the image by less than 8 pixels of made-up content. orig_width x orig_height of the
 * result is the size of that rectangle. Fails with HS_EUNSUPPORTED if a part cannot be decoded, because
 * the file is not a JPEG or must be turned. */
int hs_image_decode_part(const uint8_t *data, size_t len, const struct hs_image_options *options,
                         const struct hs_image_part *part, struct hs_image **ret_image, struct hs_image_part *ret_part,
                         struct hs_error *err);

/* Turns *image upright by the EXIF `orientation` (1..8). Replaces *image if pixels have to move. On
 * failure *image is unchanged. */
int hs_image_turn(struct hs_image **image, int orientation, struct hs_error *err);

/* Allocates an image with tightly packed rows and undefined pixels. Caller frees with hs_image_destroy. */
int hs_image_create(int width, int height, struct hs_image **ret_image, struct hs_error *err);
void hs_image_destroy(struct hs_image *image); /* NULL allowed */

#endif
