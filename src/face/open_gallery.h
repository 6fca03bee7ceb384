/* The gallery as the settings name it. */
#ifndef HS_FACE_OPEN_GALLERY_H
#define HS_FACE_OPEN_GALLERY_H

#include "face/settings.h"
#include "gallery/gallery.h"

/* Makes the folder where it is missing, opens the gallery, and says in the log what was migrated or repaired. Caller
 * closes *ret_gallery with hs_gallery_close. */
int hs_face_open_gallery(const struct hs_database_section *settings, struct hs_gallery **ret_gallery,
                         struct hs_gallery_opened *ret_opened, struct hs_error *err);

/* The same for the service, which leaves the rewriting after an erasure to its upkeep (face/upkeep.h). */
int hs_face_open_gallery_to_serve(const struct hs_database_section *settings, struct hs_gallery **ret_gallery,
                                  struct hs_gallery_opened *ret_opened, struct hs_error *err);

#endif
