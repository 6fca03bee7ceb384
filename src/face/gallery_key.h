/* Applies a changed database.encryption_key to a service that runs. */
#ifndef HS_FACE_GALLERY_KEY_H
#define HS_FACE_GALLERY_KEY_H

#include "gallery/gallery.h"
#include "service/reload.h"

struct hs_face_gallery_key;

/* Registers the part of a reload. Borrows `gallery`; copies `source`, the one in use. Caller frees *ret_key with
 * hs_face_gallery_key_destroy, after the last reload. HS_ENOMEM.
 *
 * A reload is refused if the new key does not open the gallery. If the source is the same and cannot be read any more,
 * the reload continues with a warning, because the keys in memory stay valid. */
int hs_face_gallery_key_create(struct hs_gallery *gallery, const char *source, struct hs_reload *reload,
                               struct hs_face_gallery_key **ret_key, struct hs_error *err);
void hs_face_gallery_key_destroy(struct hs_face_gallery_key *key); /* NULL allowed */

#endif
