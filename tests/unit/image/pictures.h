/* Image builders and helpers shared by the tests of src/image. */
#ifndef HS_TESTS_IMAGE_PICTURES_H
#define HS_TESTS_IMAGE_PICTURES_H

#include "../unit.h"

#include "base/buf.h"
#include "image/image.h"

/* Returns options for full size, no turn and the default limits. */
struct hs_image_options options_plain(void);

/* Returns a smooth image: R rises with x, G with y, B with both. */
struct hs_image *make_gradient(int width, int height);

/* Returns an image of the given bytes, 3 per pixel. */
struct hs_image *make_pixels(int width, int height, const uint8_t *rgb);

/* Decodes with the plain options; the test fails if decoding fails. */
struct hs_image *decode_ok(const void *data, size_t len);

/* Decodes with the plain options and compares size and pixels. */
void decode_gives(const void *data, size_t len, int width, int height, const void *rgb);

/* Returns a copy that ends at the end of readable memory: reading one byte past it crashes the test. */
uint8_t *guarded_copy(const void *data, size_t len);
void guarded_free(uint8_t *copy, size_t len);

/* Decodes a guarded copy with `options` (NULL: plain). Decoding must fail with `code` and a one-line message
 * that contains `text`. */
void decode_fails(const void *data, size_t len, const struct hs_image_options *options, int code, const char *text);

const uint8_t *pixel_at(const struct hs_image *image, int x, int y);

/* Computes the largest and the mean difference of two images of equal size. */
void compare_images(const struct hs_image *a, const struct hs_image *b, int *ret_max, double *ret_mean);

/* Returns a buffer for up to 16 MB. */
struct hs_buf make_buf(void);
void put_le(struct hs_buf *buf, uint32_t value, int bytes);
void put_be(struct hs_buf *buf, uint32_t value, int bytes);

#endif
