#include "image/sniff.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

/* Each from the format's own definition; most are also in file(1)'s magic. Longer patterns stand before shorter ones
 * that begin alike. */
static const struct {
    const char *name;
    size_t at, len;
    const char *bytes;
} magics[] = {
    {"GIF", 0, 4, "GIF8"},
    {"TIFF", 0, 4, "II*\0"},
    {"TIFF", 0, 4, "MM\0*"},
    {"TIFF", 0, 4, "II+\0"},
    {"TIFF", 0, 4, "MM\0+"},
    {"AVIF", 4, 7, "ftypavi"},
    {"HEIC", 4, 7, "ftyphei"},
    {"HEIC", 4, 7, "ftyphev"},
    {"HEIF", 4, 8, "ftypmif1"},
    {"HEIF", 4, 8, "ftypmsf1"},
    {"video (MP4)", 4, 4, "ftyp"},
    {"video (Matroska)", 0, 4, "\x1a\x45\xdf\xa3"},
    {"JPEG XL", 0, 12, "\0\0\0\x0cJXL \r\n\x87\n"},
    {"JPEG XL", 0, 2, "\xff\x0a"},
    {"JPEG 2000", 0, 12, "\0\0\0\x0cjP  \r\n\x87\n"},
    {"JPEG 2000", 0, 4, "\xff\x4f\xff\x51"},
    {"PDF", 0, 5, "%PDF-"},
    {"PostScript", 0, 4, "%!PS"},
    {"Photoshop (PSD)", 0, 4, "8BPS"},
    {"OpenEXR", 0, 4, "\x76\x2f\x31\x01"},
    {"DDS", 0, 4, "DDS "},
    {"QOI", 0, 4, "qoif"},
    {"MNG", 0, 8, "\x8aMNG\r\n\x1a\n"},
    {"an icon (ICO)", 0, 4, "\0\0\1\0"},
};

/* Text at the front after a byte-order mark and white space. */
static const uint8_t *text_start(const uint8_t *data, size_t *len)
{
    if (*len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        *len -= 3;
    }
    while (*len > 0 && (*data == ' ' || *data == '\t' || *data == '\r' || *data == '\n')) {
        data++;
        --*len;
    }
    return data;
}

/* SVG begins with its own element, or with an XML declaration, comments and a doctype before it. */
static bool is_svg(const uint8_t *data, size_t len)
{
    if (len > 1024)
        len = 1024;
    data = text_start(data, &len);
    if (len < 5 || (memcmp(data, "<svg", 4) != 0 && memcmp(data, "<?xml", 5) != 0 && memcmp(data, "<!--", 4) != 0))
        return false;
    return memmem(data, len, "<svg", 4) != NULL;
}

/* The magic number "P1" to "P6" of the Netpbm formats and white space. */
static bool is_netpbm(const uint8_t *data, size_t len)
{
    return len >= 3 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6' &&
           (data[2] == '\n' || data[2] == ' ' || data[2] == '\t' || data[2] == '\r');
}

const char *hs_sniff_unsupported(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < HS_ARRAY_LEN(magics); i++) {
        if (len >= magics[i].at + magics[i].len && memcmp(data + magics[i].at, magics[i].bytes, magics[i].len) == 0)
            return magics[i].name;
    }
    if (is_svg(data, len))
        return "SVG";
    return is_netpbm(data, len) ? "Netpbm (PNM)" : NULL;
}
