/* Pictures that the tests of src/image make for themselves, and the few lines that all of them repeat. */
#ifndef HS_TESTS_IMAGE_PICTURES_H
#define HS_TESTS_IMAGE_PICTURES_H

#include "../unit.h"

#include "base/buf.h"
#include "image/image.h"

/* Full size, no turning, the default limits. */
struct hs_image_options options_plain(void);

/* Smooth in both axes: R rises with x, G with y, B with both. */
struct hs_image *make_gradient(int width, int height);

/* A picture of the given bytes, 3 a pixel. */
struct hs_image *make_pixels(int width, int height, const uint8_t *rgb);

/* Decodes with the plain options; fails the test where that fails. */
struct hs_image *decode_ok(const void *data, size_t len);

/* Decodes so, and compares size and pixels. */
void decode_gives(const void *data, size_t len, int width, int height, const void *rgb);

/* A copy whose end is that of readable memory: one byte read past it ends the test. */
uint8_t *guarded_copy(const void *data, size_t len);
void guarded_free(uint8_t *copy, size_t len);

/* Decodes a guarded copy with `options` (NULL: plain), which must fail with `code` and a one-line message that contains
 * `text`. */
void decode_fails(const void *data, size_t len, const struct hs_image_options *options, int code, const char *text);

const uint8_t *pixel_at(const struct hs_image *image, int x, int y);

/* The largest and the mean difference of two pictures of one size. */
void compare_images(const struct hs_image *a, const struct hs_image *b, int *ret_max, double *ret_mean);

/* A buffer for up to 16 MB. */
struct hs_buf make_buf(void);
void put_le(struct hs_buf *buf, uint32_t value, int bytes);
void put_be(struct hs_buf *buf, uint32_t value, int bytes);

#endif
