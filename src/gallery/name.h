/* Identity names: which are valid, and how they are stored. */
#ifndef HS_GALLERY_NAME_H
#define HS_GALLERY_NAME_H

#include <stdbool.h>

#include "gallery/gallery.h"

/* Reserved: the name in a response for a face that matches no identity. No identity may have it, in
 * any case or width. */
#define HS_GALLERY_UNKNOWN "unknown"

/* Normalizes a name to the form that is stored and compared: trims white space and applies Unicode
 * normalization form C. *ret_name is untouched on failure. HS_EINVAL, with a message that names the
 * field and the reason: NULL, not UTF-8, empty, longer than HS_GALLERY_NAME_MAX bytes, "." and ".."
 * (clients remove them from paths, RFC 3986, 5.2.4), control and invisible characters,
 * HS_GALLERY_UNKNOWN. The joiners U+200C and U+200D are allowed only in the contexts of RFC 5892,
 * appendix A.1 and A.2. HS_ENOMEM. */
int hs_gallery_clean_name(const char *name, char ret_name[HS_GALLERY_NAME_MAX + 1], struct hs_error *err);

#endif
