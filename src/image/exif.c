#include "image/exif.h"

#include <stdbool.h>
#include <string.h>

#include "image/codec.h"

/* EXIF 2.32, 4.6.4: tag 0x0112 in IFD0, one SHORT. Some writers use LONG. */
enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_SIZE = 12 };

static uint32_t read16(const uint8_t *p, bool big)
{
    return big ? hs_codec_be16(p) : hs_codec_le16(p);
}

static uint32_t read32(const uint8_t *p, bool big)
{
    return big ? hs_codec_be32(p) : hs_codec_le32(p);
}

int hs_exif_orientation(const uint8_t *data, size_t len)
{
    if (len >= 6 && memcmp(data, "Exif\0\0", 6) == 0) {
        data += 6;
        len -= 6;
    }
    if (len < 8 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return 1;
    bool big = data[0] == 'M';
    size_t at = read32(data + 4, big);
    if (at > len || len - at < 2)
        return 1;
    uint32_t count = read16(data + at, big);
    at += 2;
    for (uint32_t i = 0; i < count && len - at >= ENTRY_SIZE; i++, at += ENTRY_SIZE) {
        const uint8_t *entry = data + at;
        if (read16(entry, big) != TAG_ORIENTATION)
            continue;
        uint32_t type = read16(entry + 2, big);
        uint32_t value = type == TYPE_SHORT ? read16(entry + 8, big) : type == TYPE_LONG ? read32(entry + 8, big) : 0;
        return value >= 1 && value <= 8 ? (int) value : 1;
    }
    return 1;
}
