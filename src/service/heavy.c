#include "service/heavy.h"

#include "http/request.h"
#include "image/image.h"

enum { TOGETHER_MAX = 2 }; /* pictures; a face comparison has as many */

bool hs_heavy_pictures(struct hs_http_request *req)
{
    const struct hs_body *body = hs_http_body(req);
    const uint8_t *data;
    size_t len, count = 0;
    for (size_t i = 0; body && hs_body_peek(body, i, &data, &len); i++) {
        int width, height;
        if (len == 0)
            continue;
        if (++count > TOGETHER_MAX || !hs_image_peek_size(data, len, &width, &height) ||
            hs_image_is_large(width, height))
            return true;
    }
    return false;
}

bool hs_heavy_always(struct hs_http_request *req)
{
    (void) req;
    return true;
}
