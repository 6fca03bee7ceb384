/* Names of identities: what may be one, and which bytes it is stored as. */
#ifndef HS_GALLERY_NAME_H
#define HS_GALLERY_NAME_H

#include <stdbool.h>

#include "gallery/gallery.h"

/* The answer for a face that nobody matches, so no identity may have this name, in any case or width. */
#define HS_GALLERY_NOBODY "unknown"

/* Turns a name into the form that is stored and compared: white space at its ends cut off, Unicode normalization form
 * C. *ret_name is untouched on failure. HS_EINVAL, with a message that names the field and the reason: NULL, not UTF-8,
 * empty, longer than HS_GALLERY_NAME_MAX bytes, "." and ".." (clients remove them from paths, RFC 3986, 5.2.4), control
 * and invisible characters, HS_GALLERY_NOBODY. The joiners U+200C and U+200D are allowed where RFC 5892, appendix A.1
 * and A.2, allows them: in scripts that need them. HS_ENOMEM. */
int hs_gallery_clean_name(const char *name, char ret_name[HS_GALLERY_NAME_MAX + 1], struct hs_error *err);

#endif
