/* Parts of encryption.c for opening and restoring a gallery. */
#ifndef HS_GALLERY_CONVERT_H
#define HS_GALLERY_CONVERT_H

#include "gallery/encryption.h"
#include "gallery/gallery_internal.h"

/* Inside a transaction of db: seals the vectors with the data key `number` (0: stores them plain), of at most `limit`
 * embeddings with ids after *last; advances *last and adds to *done. *ret_seen is the number of embeddings that were
 * read. */
int hs_gallery_convert_some(struct hs_gallery_keys *keys, sqlite3 *db, int64_t number, int64_t *last, int64_t limit,
                            int64_t *ret_seen, struct hs_gallery_converted *done, struct hs_error *err);

/* Encrypts new vectors from now on, with the key of the gallery's source. *ret_added: they were plain before. */
int hs_gallery_begin_encryption(struct hs_gallery *gallery, bool *ret_added, struct hs_error *err);

/* If the configured key is the newest, removes the older ones; *ret_removed is their number. */
int hs_gallery_finish_rotation(struct hs_gallery *gallery, int64_t *ret_removed, struct hs_error *err);

/* Checks that the configured key opens an unpacked backup of the current schema. If the gallery is encrypted and the
 * backup is not, encrypts the backup with the gallery's data key. Called with the change lock held. HS_EKEY. */
int hs_gallery_keep_encryption(struct hs_gallery *gallery, sqlite3 *unpacked, struct hs_error *err);

#endif
