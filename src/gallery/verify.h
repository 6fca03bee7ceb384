/* A drill for backups: restores one into a private temporary file and tests it as a gallery in use would be. */
#ifndef HS_GALLERY_VERIFY_H
#define HS_GALLERY_VERIFY_H

#include "gallery/gallery.h"

struct hs_gallery_verified {
    int schema_version;
    int64_t size_bytes;             /* unpacked */
    int64_t identities, embeddings; /* in the backup */
    int64_t live_identities, live_embeddings;
    bool same_change;   /* the backup has the last change of the gallery, so the counts must be equal */
    int64_t sealed;     /* encrypted vectors */
    int64_t unreadable; /* of these, number that cannot be decrypted */
    int64_t invalid;    /* vectors that cannot match, because not finite or not of length 1 */
    int64_t searched;   /* sampled vectors of the most frequent space */
    int64_t found;      /* of these, number that a search in all vectors found again, as the best match */
    double unpack_s, read_s, search_s; /* unpacking with the integrity check; decrypting all vectors; searching */
};

/* Verifies a backup (a path, or a file name in the backup folder). Uses disk space for the unpacked file, beside the
 * gallery, which is deleted in every case. Returns 0 if the backup is good. Otherwise err has the reason, and *ret what
 * was found before: HS_EDECODE: damaged, or one of the checks failed; HS_EKEY: needs another key; errors of
 * hs_gallery_restore. While it unpacks, no other process can open or back up the gallery. */
int hs_gallery_verify_backup(struct hs_gallery *gallery, const char *backup, struct hs_gallery_verified *ret,
                             struct hs_error *err);

#endif
