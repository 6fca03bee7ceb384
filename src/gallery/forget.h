/* Forgets a person, and proves it. */
#ifndef HS_GALLERY_FORGET_H
#define HS_GALLERY_FORGET_H

#include <jansson.h>
#include <stdbool.h>

#include "gallery/gallery.h"

/* Erases an identity as hs_gallery_remove does, with the action "forget" in the audit log, and all backups and
 * set-aside files as hs_gallery_purge_all does. Then searches the database, its log, the index of the log, every file
 * beside the gallery whose name begins with its own, and every file of the backup folder for the bytes of the vectors
 * (as they were stored, and as numbers), the name and the metadata. The search reads backups decompressed.
 *
 * *ret_proof is a JSON document (docs/privacy.md describes it) without the name: its `person` is the SHA-256 of a
 * random salt and the name, so that only a reader who knows the name can check whom the proof is about. Caller frees it
 * with json_decref. *ret_clean is true if the deletion was complete and the search found nothing.
 *
 * HS_ENOTFOUND, and the errors of hs_gallery_remove: nothing was erased. A failure after the erasure is recorded in the
 * proof instead. HS_ENOMEM can also mean that there is no memory for the proof. */
int hs_gallery_forget(struct hs_gallery *gallery, const char *name, json_t **ret_proof, bool *ret_clean,
                      struct hs_error *err);

#endif
