/* RGB pictures -> files in memory. The bytes are appended to *out, which the caller made and frees; HS_ETOOLARGE if
 * they do not fit its maximum (*out then holds a part and is good for nothing). Any thread. */
#ifndef HS_IMAGE_ENCODE_H
#define HS_IMAGE_ENCODE_H

#include "base/buf.h"
#include "image/image.h"

/* A picture that is made while it is encoded. */
struct hs_image_rows {
    int width, height;
    /* Writes `count` rows from `first` on to `rows`, width * 3 bytes each. Called for rows in their order. */
    int (*read)(void *ctx, int first, int count, uint8_t *rows, struct hs_error *err);
    void *ctx;
};

/* quality 1..100 as libjpeg understands it, 4:2:0. HS_EINVAL for a side above 65500 pixels. Errors of rows->read are
 * passed on. */
int hs_image_rows_encode_jpeg(const struct hs_image_rows *rows, int quality, struct hs_buf *out, struct hs_error *err);
int hs_image_rows_encode_png(const struct hs_image_rows *rows, struct hs_buf *out, struct hs_error *err);

/* The same of a picture in memory. */
int hs_image_encode_jpeg(const struct hs_image *image, int quality, struct hs_buf *out, struct hs_error *err);
int hs_image_encode_png(const struct hs_image *image, struct hs_buf *out, struct hs_error *err);

#endif
