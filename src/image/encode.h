/* RGB pictures -> files in memory. The bytes are appended to *out, which the caller made and frees; HS_ETOOLARGE if
 * they do not fit its maximum (*out then holds a part and is good for nothing). Any thread. */
#ifndef HS_IMAGE_ENCODE_H
#define HS_IMAGE_ENCODE_H

#include "base/buf.h"
#include "image/image.h"

/* quality 1..100 as libjpeg understands it, 4:2:0. HS_EINVAL for a side above 65500 pixels. */
int hs_image_encode_jpeg(const struct hs_image *image, int quality, struct hs_buf *out, struct hs_error *err);

int hs_image_encode_png(const struct hs_image *image, struct hs_buf *out, struct hs_error *err);

#endif
