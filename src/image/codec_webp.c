/* WebP through libwebp: simple files, extended ones, and the first frame of animations. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "image/codec.h"

static int webp_failed(VP8StatusCode code, struct hs_error *err)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
    case VP8_STATUS_USER_ABORT: /* no memory to scale or convert rows */
        return hs_error_set(err, HS_ENOMEM, "no memory to decode a WebP");
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return hs_error_set(err, HS_EDECODE, "WebP is truncated: its data end before the picture is complete");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return hs_error_set(err, HS_EDECODE, "WebP cannot be decoded: it uses an unknown feature");
    default:
        return hs_error_set(err, HS_EDECODE, "WebP cannot be decoded: its data are corrupt");
    }
}

/* Reads the size from the first chunk (WebP container specification; RFC 6386, 9.1; WebP lossless
 * bitstream specification, 3). WebPGetFeatures may walk any number of chunks. */
static bool peek(const uint8_t *data, size_t len, int *ret_width, int *ret_height)
{
    enum { CHUNK = 12, BODY = 20 };
    if (len < BODY + 5)
        return false;
    const uint8_t *body = data + BODY;
    bool longer = len >= BODY + 10;
    if (memcmp(data + CHUNK, "VP8X", 4) == 0 && longer) {
        *ret_width = 1 + (int) (hs_codec_le32(body + 4) & 0xffffff);
        *ret_height = 1 + (int) (hs_codec_le32(body + 6) >> 8);
    } else if (memcmp(data + CHUNK, "VP8L", 4) == 0) {
        uint32_t bits = hs_codec_le32(body + 1);
        *ret_width = 1 + (int) (bits & 0x3fff);
        *ret_height = 1 + (int) (bits >> 14 & 0x3fff);
    } else if (memcmp(data + CHUNK, "VP8 ", 4) == 0 && longer) {
        *ret_width = (int) (hs_codec_le16(body + 6) & 0x3fff);
        *ret_height = (int) (hs_codec_le16(body + 8) & 0x3fff);
    } else {
        return false;
    }
    return true;
}

static int probe(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err)
{
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(data, len, &features);
    if (code != VP8_STATUS_OK)
        return webp_failed(code, err);
    ret_info->width = features.width;
    ret_info->height = features.height;
    ret_info->animated = features.has_animation;
    /* WebP container specification: a chunk is a four-letter name, a size, and data padded to even
     * length. */
    for (size_t at = 12; len - at >= 8;) {
        size_t size = hs_codec_le32(data + at + 4);
        if (size > len - at - 8)
            break;
        if (memcmp(data + at, "EXIF", 4) == 0) {
            ret_info->orientation = hs_exif_orientation(data + at + 8, size);
            break;
        }
        at += 8 + size;
        if (size % 2 == 1 && at < len)
            at++;
    }
    return 0;
}

/* Returns the memory to decode a frame, without the output pixels: lossless frames are held as 32-bit
 * pixels (plus a few rows during reading), alpha as a plane. */
static uint64_t frame_memory(const WebPBitstreamFeatures *features)
{
    uint64_t w = (uint64_t) features->width, h = (uint64_t) features->height;
    bool lossless = features->format != 1;
    uint64_t held = w * h * (lossless ? 4 : features->has_alpha ? 2 : 0);
    return held + w * 64 * 4 + (1 << 20);
}

/* Decodes one bare frame to RGB rows at `pixels`. out_w and out_h are the frame's size unless `scale`
 * is set. */
static int decode_frame(const uint8_t *data, size_t len, bool scale, int out_w, int out_h, uint8_t *pixels,
                        size_t stride, struct hs_error *err)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return hs_error_set(err, HS_EINTERNAL,
                            "the version of libwebp differs from the one this program was built with");
    config.options.use_scaling = scale;
    config.options.scaled_width = out_w;
    config.options.scaled_height = out_h;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = pixels;
    config.output.u.RGBA.stride = (int) stride;
    config.output.u.RGBA.size = stride * (size_t) (out_h - 1) + (size_t) out_w * 3;
    VP8StatusCode code = WebPDecode(data, len, &config);
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK ? 0 : webp_failed(code, err);
}

/* Decodes the first frame of an animation, which may be smaller than the canvas. The rest of the canvas
 * is transparent black, and black once alpha is dropped. */
static int decode_first_frame(const WebPIterator *frame, struct hs_image *image, struct hs_error *err)
{
    WebPBitstreamFeatures features;
    const WebPData *bytes = &frame->fragment;
    if (frame->x_offset < 0 || frame->y_offset < 0 || frame->width < 1 || frame->height < 1 ||
        frame->width > image->width - frame->x_offset || frame->height > image->height - frame->y_offset)
        return hs_error_set(err, HS_EDECODE, "WebP cannot be decoded: a frame is outside the picture");
    VP8StatusCode code = WebPGetFeatures(bytes->bytes, bytes->size, &features);
    if (code != VP8_STATUS_OK)
        return webp_failed(code, err);
    if (features.width != frame->width || features.height != frame->height)
        return hs_error_set(err, HS_EDECODE, "WebP cannot be decoded: the size of a frame differs from its header");
    memset(image->pixels, 0, image->stride * (size_t) image->height);
    uint8_t *at = image->pixels + (size_t) frame->y_offset * image->stride + (size_t) frame->x_offset * 3;
    return decode_frame(bytes->bytes, bytes->size, false, frame->width, frame->height, at, image->stride, err);
}

static int decode_animation(const uint8_t *data, size_t len, struct hs_image *image, struct hs_error *err)
{
    WebPDemuxState state;
    WebPDemuxer *demuxer = WebPDemuxPartial(&(WebPData) { data, len }, &state);
    WebPIterator frame;
    int r;
    if (!demuxer)
        return hs_error_set(err, HS_EDECODE, "WebP cannot be decoded: invalid chunks");
    if (state != WEBP_DEMUX_DONE) {
        r = webp_failed(VP8_STATUS_NOT_ENOUGH_DATA, err);
    } else if (!WebPDemuxGetFrame(demuxer, 1, &frame)) {
        r = hs_error_set(err, HS_EDECODE, "WebP cannot be decoded: it has no frame");
    } else {
        r = decode_first_frame(&frame, image, err);
        WebPDemuxReleaseIterator(&frame);
    }
    WebPDemuxDelete(demuxer);
    return r;
}

static int decode(struct hs_decode_request *request, struct hs_image **ret_image, struct hs_error *err)
{
    const struct hs_image_info *info = &request->info;
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(request->data, request->len, &features);
    if (code != VP8_STATUS_OK)
        return webp_failed(code, err);
    /* libwebp's own scaler averages areas. */
    bool scale = !info->animated && hs_codec_reduces(request, info->width, info->height);
    int w = scale ? request->need_w : info->width, h = scale ? request->need_h : info->height;
    struct hs_image *image;
    uint64_t reduced = info->animated ? hs_codec_reduce_memory(request, w, h) : 0;
    int r = hs_codec_create_image(request, w, h, frame_memory(&features) + reduced, &image, err);
    if (r < 0)
        return r;
    r = info->animated ? decode_animation(request->data, request->len, image, err)
                       : decode_frame(request->data, request->len, scale, w, h, image->pixels, image->stride, err);
    if (r == 0 && info->animated)
        r = hs_codec_reduce(request, &image, err);
    if (r < 0) {
        hs_image_destroy(image);
        return r;
    }
    *ret_image = image;
    return 0;
}

const struct hs_codec hs_codec_webp = { "WebP", false, { { 0, 4, "RIFF" }, { 8, 4, "WEBP" } }, peek, probe, decode };
