/* What a file format gives to image.c: one constant table a format, and what all of them share. */
#ifndef HS_IMAGE_CODEC_H
#define HS_IMAGE_CODEC_H

#include "image/image.h"

struct hs_codec {
    const char *name;

    /* Do the first bytes say that it is this format? len may be anything. */
    bool (*match)(const uint8_t *data, size_t len);

    /* Fills all but ret_info->format. Allocates nothing. */
    int (*probe)(const uint8_t *data, size_t len, struct hs_image_info *ret_info, struct hs_error *err);

    /* `info` is what probe gave. Decodes to at least need_w x need_h pixels (as stored, not turned), or to the full
     * size where that is smaller. Checks the size that the library reports once more, and the memory it will take,
     * before anything large is allocated. */
    int (*decode)(const uint8_t *data, size_t len, const struct hs_image_info *info,
                  const struct hs_image_limits *limits, int need_w, int need_h, struct hs_image **ret_image,
                  struct hs_error *err);

    /* The same of a part, see hs_image_decode_part; NULL where the format has no way to skip the rest. */
    int (*decode_part)(const uint8_t *data, size_t len, const struct hs_image_limits *limits, int need_w, int need_h,
                       const struct hs_image_part *part, struct hs_image **ret_image, struct hs_image_part *ret_part,
                       struct hs_error *err);
};

extern const struct hs_codec hs_codec_jpeg, hs_codec_png, hs_codec_webp, hs_codec_bmp;

/* HS_ETOOLARGE where a picture of width x height is past max_side or max_pixels. */
int hs_codec_check_size(const struct hs_image_limits *limits, int64_t width, int64_t height, struct hs_error *err);

/* HS_ETOOLARGE where `bytes` are past max_memory. */
int hs_codec_check_memory(const struct hs_image_limits *limits, uint64_t bytes, struct hs_error *err);

static inline uint32_t hs_codec_le16(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8;
}

static inline uint32_t hs_codec_le32(const uint8_t *p)
{
    return hs_codec_le16(p) | hs_codec_le16(p + 2) << 16;
}

static inline uint32_t hs_codec_be16(const uint8_t *p)
{
    return (uint32_t) p[0] << 8 | p[1];
}

static inline uint32_t hs_codec_be32(const uint8_t *p)
{
    return hs_codec_be16(p) << 16 | hs_codec_be16(p + 2);
}

#endif
