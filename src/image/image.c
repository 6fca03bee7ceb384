#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/mem.h"
#include "image/codec.h"
#include "image/letterbox.h"
#include "image/turn.h"

enum { TILE = 32 };

/* In the order of enum hs_image_format. */
static const struct hs_codec *const codecs[] = { &hs_codec_jpeg, &hs_codec_png, &hs_codec_webp, &hs_codec_bmp };

int hs_image_create(int width, int height, struct hs_image **ret_image, struct hs_error *err)
{
    size_t stride, size;
    if (width < 1 || height < 1)
        return hs_error_set(err, HS_EINVAL, "invalid image size, %dx%d pixels", width, height);
    struct hs_image *image = NULL;
    if (hs_size_mul((size_t) width, 3, &stride) && hs_size_mul(stride, (size_t) height, &size))
        image = malloc(sizeof(*image));
    if (image) {
        *image = (struct hs_image) {
            .width = width,
            .height = height,
            .stride = stride,
            .orig_width = width,
            .orig_height = height,
            .orientation = 1,
            .pixels = malloc(size),
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
    hs_budget_release(image->budget, image->charged);
    free(image);
}

/* Returns NULL if the format is not supported. */
static const struct hs_codec *find_codec(const uint8_t *data, size_t len, enum hs_image_format *ret_format)
{
    for (size_t i = 0; i < HS_ARRAY_LEN(codecs); i++) {
        if (!hs_magic_matches(&codecs[i]->magic[0], data, len) || !hs_magic_matches(&codecs[i]->magic[1], data, len))
            continue;
        *ret_format = (enum hs_image_format) i;
        return codecs[i];
    }
    return NULL;
}

int hs_image_probe(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err)
{
    if (len == 0)
        return hs_error_set(err, HS_EDECODE, "image is empty");
    struct hs_image_info info = { .orientation = 1 };
    const struct hs_codec *codec = find_codec(data, len, &info.format);
    if (codec) {
        int r = codec->probe(data, len, &info, err);
        if (r < 0)
            return r;
        if (info.width < 1 || info.height < 1)
            return hs_error_set(err, HS_EDECODE, "%s header has an invalid size, %dx%d pixels", codec->name, info.width,
                                info.height);
        *ret_info = info;
        return 0;
    }
    const char *name = hs_sniff_unsupported(data, len);
    if (name)
        return hs_error_set(err, HS_EUNSUPPORTED, "image is %s; JPEG, PNG, WebP and BMP are accepted", name);
    return hs_error_set(err, HS_EDECODE, "content is not an image; JPEG, PNG, WebP and BMP are accepted");
}

bool hs_image_peek_size(const uint8_t *data, size_t len, int *ret_width, int *ret_height)
{
    enum hs_image_format format;
    const struct hs_codec *codec = find_codec(data, len, &format);
    return codec && codec->peek(data, len, ret_width, ret_height);
}

bool hs_image_is_large(int width, int height)
{
    return (int64_t) width * height > HS_IMAGE_SMALL_PIXELS;
}

void hs_image_info_size(const struct hs_image_info *info, bool apply_exif, int *ret_w, int *ret_h)
{
    /* Orientations 5 to 8 exchange rows and columns (EXIF 2.32, 4.6.4 A). */
    bool swap = apply_exif && info->orientation >= 5;
    *ret_w = swap ? info->height : info->width;
    *ret_h = swap ? info->width : info->height;
}

/* Sets need_w and need_h to the content size of the letterbox, or to the full size without a target. */
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
    if (box.content_w < info->width)
        request->need_w = box.content_w;
    if (box.content_h < info->height)
        request->need_h = box.content_h;
}

/* Releases the charge except the part that the user of the image needs. */
static void keep_charge(const struct hs_image_options *options, struct hs_image *image)
{
    size_t keep = image->stride * (size_t) image->height +
                  (size_t) image->width * (size_t) image->height * options->more_per_pixel;
    if (keep >= image->charged)
        return;
    hs_budget_release(image->budget, image->charged - keep);
    image->charged = keep;
}

/* Decodes without the turn and with the full charge. */
static int decode_stored(const uint8_t *data, size_t len, const struct hs_image_options *options,
                         const struct hs_image_part *part, struct hs_image **ret_image, struct hs_image_part *ret_part,
                         struct hs_error *err)
{
    const struct hs_image_limits *limits = &options->limits;
    struct hs_image_part got;
    struct hs_decode_request request = { data, len, .options = options, .part = part, .ret_part = &got };
    struct hs_image_info *info = &request.info;
    if (limits->max_bytes > 0 && len > limits->max_bytes)
        return hs_error_set(err, HS_ETOOLARGE, "image is %zu bytes, at most %zu bytes are accepted", len,
                            limits->max_bytes);
    int r = hs_image_probe(data, len, info, err);
    if (r == 0)
        r = hs_codec_check_size(limits, info->width, info->height, err);
    if (r < 0)
        return r;
    if (part && (part->x < 0 || part->y < 0 || part->width < 1 || part->height < 1 ||
                 part->width > info->width - part->x || part->height > info->height - part->y))
        return hs_error_set(err, HS_EINVAL, "the part is outside the picture");
    if (part && (!codecs[info->format]->decodes_parts || (options->apply_exif && info->orientation > 1)))
        return hs_error_set(err, HS_EUNSUPPORTED, "this image can only be decoded as a whole");
    decode_need(options, &request);
    request.turns = options->apply_exif && info->orientation > 1;
    struct hs_image *image;
    got = (struct hs_image_part) { 0, 0, info->width, info->height };
    r = codecs[info->format]->decode(&request, &image, err);
    if (r < 0) {
        hs_codec_unreserve(&request);
        return r;
    }
    image->budget = request.budget;
    image->charged = request.charged;
    image->orig_width = got.width;
    image->orig_height = got.height;
    image->orientation = info->orientation;
    *ret_part = got;
    *ret_image = image;
    return 0;
}

int hs_image_decode_part(const uint8_t *data, size_t len, const struct hs_image_options *options,
                         const struct hs_image_part *part, struct hs_image **ret_image, struct hs_image_part *ret_part,
                         struct hs_error *err)
{
    int r = decode_stored(data, len, options, part, ret_image, ret_part, err);
    if (r == 0)
        keep_charge(options, *ret_image);
    return r;
}

/* Each EXIF orientation is an optional transposition followed by optional mirrors, so one loop with two
 * strides covers all of them: dst is written in order, and src is walked with one step for each axis of
 * dst. Tiles keep the walk along the source's columns in the cache. */
static void copy_turned(struct hs_image *dst, const uint8_t *src, ptrdiff_t step_x, ptrdiff_t step_y)
{
    for (int ty = 0; ty < dst->height; ty += TILE) {
        int y_end = ty + TILE < dst->height ? ty + TILE : dst->height;
        for (int tx = 0; tx < dst->width; tx += TILE) {
            int x_end = tx + TILE < dst->width ? tx + TILE : dst->width;
            for (int y = ty; y < y_end; y++) {
                uint8_t *out = dst->pixels + (size_t) y * dst->stride + (size_t) tx * 3;
                const uint8_t *in = src + y * step_y + tx * step_x;
                for (int x = tx; x < x_end; x++, out += 3, in += step_x)
                    memcpy(out, in, 3);
            }
        }
    }
}

int hs_image_turn(struct hs_image **image, int orientation, struct hs_error *err)
{
    const struct hs_turn turn = hs_turn_of(orientation);
    if (orientation == 1)
        return 0;
    struct hs_image *src = *image;
    bool swap = orientation >= 5;
    struct hs_image *dst;
    int r = hs_image_create(swap ? src->height : src->width, swap ? src->width : src->height, &dst, err);
    if (r < 0)
        return r;
    dst->orig_width = swap ? src->orig_height : src->orig_width;
    dst->orig_height = swap ? src->orig_width : src->orig_height;
    dst->orientation = src->orientation;
    memcpy(dst->damage, src->damage, sizeof(dst->damage));
    ptrdiff_t column = 3, row = (ptrdiff_t) src->stride;
    const uint8_t *start = src->pixels;
    if (turn.far_column) {
        start += (src->width - 1) * column;
        column = -column;
    }
    if (turn.far_row) {
        start += (src->height - 1) * row;
        row = -row;
    }
    copy_turned(dst, start, swap ? row : column, swap ? column : row);
    dst->budget = src->budget;
    dst->charged = src->charged;
    src->charged = 0;
    hs_image_destroy(src);
    *image = dst;
    return 0;
}

int hs_image_decode(const uint8_t *data, size_t len, const struct hs_image_options *options,
                    struct hs_image **ret_image, struct hs_error *err)
{
    struct hs_image_part whole;
    struct hs_image *image;
    int r = decode_stored(data, len, options, NULL, &image, &whole, err);
    if (r < 0)
        return r;
    r = options->apply_exif ? hs_image_turn(&image, image->orientation, err) : 0;
    if (r < 0) {
        hs_image_destroy(image);
        return r;
    }
    keep_charge(options, image);
    *ret_image = image;
    return 0;
}
