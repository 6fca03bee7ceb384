/* Encodes RGB images to files in memory. The functions append to *out, which the caller owns. They fail
 * with HS_ETOOLARGE if the data exceed the maximum of *out, which then holds an incomplete file. Any
 * thread. */
#ifndef HS_IMAGE_ENCODE_H
#define HS_IMAGE_ENCODE_H

#include "base/buf.h"
#include "image/image.h"

/* An image whose rows are produced during encoding. */
struct hs_image_rows {
    int width, height;
    /* Writes `count` rows, starting with row `first`, to `rows`; a row has width * 3 bytes. Called in
     * row order. */
    int (*read)(void *ctx, int first, int count, uint8_t *rows, struct hs_error *err);
    void *ctx;
};

/* Encode to JPEG (4:2:0 subsampling, libjpeg's quality 1..100) and to PNG. Errors of rows->read are
 * passed on. The JPEG encoder fails with HS_EINVAL if a side exceeds 65500 pixels. */
int hs_image_rows_encode_jpeg(const struct hs_image_rows *rows, int quality, struct hs_buf *out, struct hs_error *err);
int hs_image_rows_encode_png(const struct hs_image_rows *rows, struct hs_buf *out, struct hs_error *err);

/* Same for an image in memory. */
int hs_image_encode_jpeg(const struct hs_image *image, int quality, struct hs_buf *out, struct hs_error *err);
int hs_image_encode_png(const struct hs_image *image, struct hs_buf *out, struct hs_error *err);

#endif
