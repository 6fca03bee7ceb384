/* The gallery as the settings name it. */
#ifndef HS_FACE_GALLERY_SETUP_H
#define HS_FACE_GALLERY_SETUP_H

#include "face/settings.h"
#include "gallery/gallery.h"

/* Makes the folder if it is missing, opens the gallery, and logs what was migrated or repaired. With erase_later the
 * rest of an erasure is left to face/gallery_maintenance.h. Caller closes *ret_gallery with hs_gallery_close. */
int hs_face_open_gallery(const struct hs_database_section *settings, bool erase_later, struct hs_gallery **ret_gallery,
                         struct hs_gallery_opened *ret_opened, struct hs_error *err);

#endif
