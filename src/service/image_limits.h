/* The bounds on pictures that the settings give. */
#ifndef HS_SERVICE_IMAGE_LIMITS_H
#define HS_SERVICE_IMAGE_LIMITS_H

#include "config/common.h"
#include "image/image.h"

static inline struct hs_image_limits hs_image_limits_of(const struct hs_server_settings *server,
                                                        const struct hs_image_settings *image)
{
    return (struct hs_image_limits) {
        .max_bytes = (size_t) server->max_body_mb << 20,
        .max_pixels = (int64_t) (image->max_megapixels * 1e6),
        .max_side = image->max_side,
        .max_memory = (size_t) image->max_memory,
    };
}

#endif
