/* A look at a gallery's file that changes nothing: not migrated, not repaired, not made. */
#ifndef HS_GALLERY_PEEK_H
#define HS_GALLERY_PEEK_H

#include <stdint.h>

#include "gallery/gallery.h"
#include "hs/status.h"

struct hs_gallery_peeked {
    int schema_version; /* -1: the file has no gallery in it */
    int64_t identities, embeddings;
};

/* Opens the file for reading, while others may use it, and runs SQLite's full integrity check. HS_EIO: it is damaged,
 * or cannot be read; HS_EVERSION: it is from a newer version. */
int hs_gallery_peek(const char *path, int busy_timeout_ms, struct hs_gallery_peeked *ret_found,
                    struct hs_error *err);

/* The embedding space that most embeddings of the file are in; "" if there is no file, none has one, or it cannot be
 * told. Looks at nothing else. */
void hs_gallery_main_space(const char *path, int busy_timeout_ms, char ret_space[HS_GALLERY_SPACE_MAX + 1]);

#endif
