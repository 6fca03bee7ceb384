/* Encodes an image made of the input's bytes, with its size in the first two. PNG restores it exactly, JPEG
 * with the same size. */
#include <stdlib.h>
#include <string.h>

#include "image/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct hs_image *decode(const struct hs_buf *file, const struct hs_image *expected)
{
    const struct hs_image_options options = { .limits = HS_IMAGE_LIMITS_DEFAULT };
    struct hs_image *image;
    if (hs_image_decode(file->data, file->len, &options, &image, NULL) < 0 || image->width != expected->width ||
        image->height != expected->height || image->orientation != 1)
        abort();
    return image;
}

static void check(const struct hs_image *image, int quality)
{
    struct hs_buf file;
    hs_buf_init(&file, 1 << 20);
    if (hs_image_encode_png(image, &file, NULL) < 0)
        abort();
    struct hs_image *again = decode(&file, image);
    for (int y = 0; y < image->height; y++)
        if (memcmp(image->pixels + (size_t) y * image->stride, again->pixels + (size_t) y * again->stride,
                   (size_t) image->width * 3) != 0)
            abort();
    hs_image_destroy(again);
    hs_buf_finish(&file);
    if (hs_image_encode_jpeg(image, quality, &file, NULL) < 0)
        abort();
    hs_image_destroy(decode(&file, image));
    hs_buf_finish(&file);

    /* A file that exceeds the buffer's limit is an error, at any byte. */
    hs_buf_init(&file, (size_t) quality * 8);
    if (hs_image_encode_png(image, &file, NULL) < 0)
        hs_buf_finish(&file);
    if (hs_image_encode_jpeg(image, quality, &file, NULL) < 0 && file.len > file.max)
        abort();
    hs_buf_finish(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hs_image *image;
    if (len < 4 || hs_image_create(1 + data[0] % 80, 1 + data[1] % 80, &image, NULL) < 0)
        return 0;
    for (size_t y = 0; y < (size_t) image->height; y++)
        for (size_t i = 0; i < (size_t) image->width * 3; i++)
            image->pixels[y * image->stride + i] = data[3 + (y * (size_t) image->width * 3 + i) % (len - 3)];
    check(image, 1 + data[2] % 100);
    hs_image_destroy(image);
    return 0;
}
