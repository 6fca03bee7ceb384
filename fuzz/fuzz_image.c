/* Image files from clients, passed to all functions that read them: probe, whole, reduced and partial decode,
 * turn, letterbox. */
#include <stdlib.h>

#include "base/budget.h"
#include "base/clock.h"
#include "image/letterbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void decode(const uint8_t *data, size_t len, const struct hs_image_options *options)
{
    static uint8_t input[96 * 64 * 3];
    struct hs_image *image;
    struct hs_image_info info;
    struct hs_letterbox box;
    struct hs_error err;
    int w, h, r = hs_image_decode(data, len, options, &image, &err);
    if (r < 0) {
        if (err.code != r || !err.message[0])
            abort();
        return;
    }
    /* If decoding succeeds, probing succeeds too and returns the same size. */
    if (hs_image_probe(data, len, &info, &err) < 0)
        abort();
    hs_image_info_size(&info, options->apply_exif, &w, &h);
    if (w != image->orig_width || h != image->orig_height || image->orientation < 1 || image->orientation > 8)
        abort();
    if ((int64_t) w * h > options->limits.max_pixels || image->width > w || image->height > h)
        abort();
    hs_letterbox_plan(w, h, 96, 64, &box);
    if (options->target_w &&
        ((image->width < box.content_w && image->width < w) || (image->height < box.content_h && image->height < h)))
        abort();
    if (options->exact && (image->width > box.content_w || image->height > box.content_h))
        abort();
    hs_letterbox_apply(&box, image, input);
    hs_image_destroy(image);
}

/* Decodes the middle of the image, at the scale of the options. */
static void decode_part(const uint8_t *data, size_t len, const struct hs_image_options *options)
{
    struct hs_image_info info;
    struct hs_image_part got;
    struct hs_image *image;
    struct hs_error err;
    if (hs_image_probe(data, len, &info, &err) < 0)
        return;
    const struct hs_image_part part = {
        info.width / 3,
        info.height / 3,
        info.width / 4 + 1,
        info.height / 4 + 1,
    };
    int r = hs_image_decode_part(data, len, options, &part, &image, &got, &err);
    if (r < 0) {
        if (err.code != r || !err.message[0])
            abort();
        return;
    }
    if (got.x > part.x || got.y > part.y || got.x + got.width < part.x + part.width ||
        got.y + got.height < part.y + part.height || image->orig_width != got.width)
        abort();
    unsigned sum = 0;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width * 3; x++)
            sum += image->pixels[(size_t) y * image->stride + (size_t) x];
    if (sum > 255u * 3 * (1u << 18))
        abort();
    hs_image_destroy(image);
}

/* hs_image_peek_size never contradicts hs_image_probe. */
static void peek(const uint8_t *data, size_t len)
{
    struct hs_image_info info;
    int width, height;
    if (hs_image_peek_size(data, len, &width, &height) && hs_image_probe(data, len, &info, NULL) == 0 &&
        (info.width != width || info.height != height))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    peek(data, len);
    struct hs_split_budget budget;
    struct hs_image_options options = {
        .limits = { .max_bytes = 1 << 20, .max_pixels = 1 << 18, .max_side = 4096, .max_memory = 16 << 20 },
    };
    hs_split_budget_init(&budget, 1 << 20);
    decode(data, len, &options);
    decode_part(data, len, &options);
    options.target_w = 96;
    options.target_h = 64;
    decode_part(data, len, &options);
    options.apply_exif = true;
    decode(data, len, &options);
    options.exact = true;
    options.limits.budget = &budget;
    options.deadline_ns = HS_NO_DEADLINE;
    decode(data, len, &options);
    if (hs_split_budget_used(&budget) > 0)
        abort();
    hs_split_budget_finish(&budget);
    return 0;
}
