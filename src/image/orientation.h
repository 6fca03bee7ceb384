/* Orientation from PNG text chunks: programs that do not write the eXIf chunk store EXIF or XMP as
 * text. Any thread. */
#ifndef HS_IMAGE_ORIENTATION_H
#define HS_IMAGE_ORIENTATION_H

#include <stddef.h>
#include <stdint.h>

/* Returns tiff:Orientation of an XMP packet, given as an attribute or an element: 1..8, or 0 if
 * missing. */
int hs_xmp_orientation(const char *text, size_t len);

/* Same for a raw profile as ImageMagick writes it: an empty line, a name, the number of bytes, and the
 * bytes in hexadecimal. They hold EXIF or an APP1 segment, which may hold XMP. Fails with HS_ENOMEM. */
int hs_raw_profile_orientation(const char *text, size_t len);

/* Ordered by priority: an EXIF chunk overrides text. */
enum hs_orientation_source { HS_ORIENTATION_NONE, HS_ORIENTATION_XMP, HS_ORIENTATION_PROFILE, HS_ORIENTATION_EXIF };

/* Orientation collected from the PNG chunks read so far. */
struct hs_png_orientation {
    int value; /* 1..8; 0: none found */
    enum hs_orientation_source source;
    unsigned seen; /* bit mask of text kinds; only the first text of each kind counts */
};

/* Reads the next chunk: its four-letter type and its data. Unpacks at most 256 KiB of text. Fails with
 * HS_ENOMEM if it cannot allocate memory to unpack it; then the orientation may be wrong. */
int hs_png_orientation_add(struct hs_png_orientation *orientation, const char *type, const uint8_t *data, size_t len);

#endif
