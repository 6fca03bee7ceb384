/* Copies, extracts and moves files into the models folder. */
#ifndef HS_MODELS_FILE_INSTALL_H
#define HS_MODELS_FILE_INSTALL_H

#include <stdint.h>

#include "hs/status.h"

/* Copies a regular file of at most max_bytes to `to` and syncs it. Deletes a copy that fails.
 * HS_ENOTFOUND: `from` does not exist; HS_ETOOLARGE; HS_EIO (also if the disk is full). Any thread. */
int hs_install_copy(const char *from, const char *to, uint64_t max_bytes, struct hs_error *err);

/* Same as hs_install_copy, for the regular file in a zip or tar archive whose name is exactly
 * `member`. Writes nothing else from the archive; names in it are only compared. HS_EMODEL: not an
 * archive, a damaged one, or the member is not a regular file. */
int hs_install_member(const char *archive, const char *member, const char *to, uint64_t max_bytes,
                      struct hs_error *err);

/* Syncs `from` and renames it to `to` (same file system). */
int hs_install_move(const char *from, const char *to, struct hs_error *err);

#endif
