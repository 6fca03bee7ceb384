/* A look at a gallery's file that changes nothing: not migrated, not repaired, not made. */
#ifndef HS_GALLERY_INSPECT_H
#define HS_GALLERY_INSPECT_H

#include <stdint.h>

#include "hs/status.h"

struct hs_gallery_inspected {
    int schema_version; /* -1: the file has no gallery in it */
    int64_t identities, embeddings;
};

/* Opens the file for reading, while others may use it, and runs SQLite's full integrity check. HS_EIO: it is damaged,
 * or cannot be read; HS_EVERSION: it is from a newer version. */
int hs_gallery_inspect(const char *path, int busy_timeout_ms, struct hs_gallery_inspected *ret_found,
                       struct hs_error *err);

#endif
