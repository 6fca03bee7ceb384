/* The orientation of a picture as texts in a PNG tell it: programs that do not write the chunk eXIf put EXIF or XMP
 * into text chunks. Any thread. */
#ifndef HS_IMAGE_ORIENTATION_H
#define HS_IMAGE_ORIENTATION_H

#include <stddef.h>
#include <stdint.h>

/* tiff:Orientation of an XMP packet, as an attribute or an element: 1..8; 0 if there is none. */
int hs_xmp_orientation(const char *text, size_t len);

/* The same of a profile that ImageMagick wrote as text: an empty line, a name, the number of bytes, and these in
 * hexadecimal. They are EXIF or, in an APP1, perhaps XMP. HS_ENOMEM. */
int hs_raw_profile_orientation(const char *text, size_t len);

/* By what is trusted more: an EXIF chunk before text. */
enum hs_orientation_source { HS_ORIENTATION_NONE, HS_ORIENTATION_XMP, HS_ORIENTATION_PROFILE, HS_ORIENTATION_EXIF };

/* What the chunks of a PNG said so far. */
struct hs_png_orientation {
    int value; /* 1..8; 0: nothing yet */
    enum hs_orientation_source source;
    unsigned seen; /* kinds of text; of each only the first one counts */
};

/* The next chunk: its four letters and its data. Unpacks at most 256 KiB of a text. HS_ENOMEM: there
 * was no memory for that, so the orientation may be another one. */
int hs_png_orientation_add(struct hs_png_orientation *orientation, const char *type, const uint8_t *data, size_t len);

#endif
