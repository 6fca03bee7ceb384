#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/codec.h"
#include "image/letterbox.h"
#include "image/turn.h"

/* In the order of enum hs_image_format. */
static const struct hs_codec *const codecs[] = {&hs_codec_jpeg, &hs_codec_png, &hs_codec_webp, &hs_codec_bmp};

int hs_image_create(int width, int height, struct hs_image **ret_image, struct hs_error *err)
{
    size_t stride, size;
    if (width < 1 || height < 1)
        return hs_error_set(err, HS_EINVAL, "image cannot be %dx%d pixels", width, height);
    struct hs_image *image = NULL;
    if (hs_size_mul((size_t) width, 3, &stride) && hs_size_mul(stride, (size_t) height, &size))
        image = malloc(sizeof(*image));
    if (image) {
        *image = (struct hs_image) {
            .width = width, .height = height, .stride = stride, .orig_width = width, .orig_height = height,
            .orientation = 1, .pixels = malloc(size),
        };
    }
    if (!image || !image->pixels) {
        free(image);
        return hs_error_set(err, HS_ENOMEM, "no memory for an image of %dx%d pixels", width, height);
    }
    *ret_image = image;
    return 0;
}

void hs_image_destroy(struct hs_image *image)
{
    if (!image)
        return;
    free(image->pixels);
    free(image);
}

int hs_image_probe(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err)
{
    if (len == 0)
        return hs_error_set(err, HS_EDECODE, "image is empty");
    for (size_t i = 0; i < HS_ARRAY_LEN(codecs); i++) {
        if (!codecs[i]->match(data, len))
            continue;
        struct hs_image_info info = {.format = (enum hs_image_format) i, .orientation = 1};
        int r = codecs[i]->probe(data, len, &info, err);
        if (r < 0)
            return r;
        if (info.width < 1 || info.height < 1)
            return hs_error_set(err, HS_EDECODE, "%s header says %dx%d pixels", codecs[i]->name, info.width,
                                info.height);
        *ret_info = info;
        return 0;
    }
    const char *name = hs_sniff_unsupported(data, len);
    if (name)
        return hs_error_set(err, HS_EUNSUPPORTED, "image is %s; JPEG, PNG, WebP and BMP are accepted", name);
    return hs_error_set(err, HS_EDECODE, "content is not an image; JPEG, PNG, WebP and BMP are accepted");
}

void hs_image_info_size(const struct hs_image_info *info, bool apply_exif, int *ret_w, int *ret_h)
{
    /* Orientations 5 to 8 exchange rows and columns (EXIF 2.32, 4.6.4 A). */
    bool swap = apply_exif && info->orientation >= 5;
    *ret_w = swap ? info->height : info->width;
    *ret_h = swap ? info->width : info->height;
}

/* How many stored pixels the letterbox of the options will sample, an axis; the full size without a target. */
static void decode_need(const struct hs_image_options *options, struct hs_decode_request *request)
{
    const struct hs_image_info *info = &request->info;
    request->need_w = info->width;
    request->need_h = info->height;
    if (options->target_w < 1 || options->target_h < 1)
        return;
    bool swap = options->apply_exif && info->orientation >= 5;
    struct hs_letterbox box;
    hs_letterbox_plan(info->width, info->height, swap ? options->target_h : options->target_w,
                      swap ? options->target_w : options->target_h, &box);
    request->need_w = box.content_w;
    request->need_h = box.content_h;
}

/* `ret_part` has the whole picture's size if there is no part. */
static int decode(const uint8_t *data, size_t len, const struct hs_image_options *options,
                  const struct hs_image_part *part, struct hs_image **ret_image, struct hs_image_part *ret_part,
                  struct hs_error *err)
{
    const struct hs_image_limits *limits = &options->limits;
    struct hs_decode_request request = { data, len, .limits = limits, .part = part, .ret_part = ret_part };
    struct hs_image_info *info = &request.info;
    if (limits->max_bytes > 0 && len > limits->max_bytes)
        return hs_error_set(err, HS_ETOOLARGE, "image is %zu bytes, at most %zu are accepted", len, limits->max_bytes);
    int r = hs_image_probe(data, len, info, err);
    if (r == 0)
        r = hs_codec_check_size(limits, info->width, info->height, err);
    if (r < 0)
        return r;
    if (part && (part->x < 0 || part->y < 0 || part->width < 1 || part->height < 1 ||
                 part->width > info->width - part->x || part->height > info->height - part->y))
        return hs_error_set(err, HS_EINVAL, "the part does not lie in the picture");
    if (part && (!codecs[info->format]->decodes_parts || (options->apply_exif && info->orientation > 1)))
        return hs_error_set(err, HS_EUNSUPPORTED, "this image can only be decoded as a whole");
    decode_need(options, &request);
    struct hs_image *image;
    *ret_part = (struct hs_image_part) { 0, 0, info->width, info->height };
    r = codecs[info->format]->decode(&request, &image, err);
    if (r < 0)
        return r;
    image->orig_width = ret_part->width;
    image->orig_height = ret_part->height;
    image->orientation = info->orientation;
    *ret_image = image;
    return 0;
}

int hs_image_decode_part(const uint8_t *data, size_t len, const struct hs_image_options *options,
                         const struct hs_image_part *part, struct hs_image **ret_image,
                         struct hs_image_part *ret_part, struct hs_error *err)
{
    struct hs_image_part got;
    int r = decode(data, len, options, part, ret_image, &got, err);
    if (r == 0)
        *ret_part = got;
    return r;
}

int hs_image_decode(const uint8_t *data, size_t len, const struct hs_image_options *options,
                    struct hs_image **ret_image, struct hs_error *err)
{
    struct hs_image_part whole;
    struct hs_image *image;
    int r = decode(data, len, options, NULL, &image, &whole, err);
    if (r < 0)
        return r;
    if (options->apply_exif && image->orientation > 1) {
        /* Turning holds two pictures at once. */
        r = hs_codec_check_memory(&options->limits, (uint64_t) image->stride * (uint64_t) image->height * 2, err);
        if (r == 0)
            r = hs_image_turn(&image, image->orientation, err);
        if (r < 0) {
            hs_image_destroy(image);
            return r;
        }
    }
    *ret_image = image;
    return 0;
}
