/* An EXIF block: an orientation 1..8, with or without "Exif\0\0" before it. */
#include <stdlib.h>
#include <string.h>

#include "image/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char prefix[6] = "Exif\0";
    int orientation = hs_exif_orientation(data, len);
    if (orientation < 1 || orientation > 8)
        abort();
    uint8_t *longer = malloc(sizeof(prefix) + len);
    if (longer && (len < sizeof(prefix) || memcmp(data, prefix, sizeof(prefix)) != 0)) {
        memcpy(longer, prefix, sizeof(prefix));
        memcpy(longer + sizeof(prefix), data, len);
        if (hs_exif_orientation(longer, sizeof(prefix) + len) != orientation)
            abort();
    }
    free(longer);
    return 0;
}
