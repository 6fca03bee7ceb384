/* Files into the models folder. */
#ifndef HS_MODELS_FILE_INSTALL_H
#define HS_MODELS_FILE_INSTALL_H

#include <stdint.h>

#include "hs/status.h"

/* Copies a regular file of at most max_bytes to `to` and syncs it; a copy that fails is deleted. HS_ENOTFOUND: there is
 * none; HS_ETOOLARGE; HS_EIO (also: the disk is full). Any thread. */
int hs_install_copy(const char *from, const char *to, uint64_t max_bytes, struct hs_error *err);

/* The same for the regular file that a zip or tar archive calls exactly `member`. Nothing else of the archive is
 * written, and its names are only compared. HS_EMODEL: no archive, a damaged one, or no regular file. */
int hs_install_member(const char *archive, const char *member, const char *to, uint64_t max_bytes,
                      struct hs_error *err);

/* Syncs `from` and gives it the name `to` (same file system) in one step. */
int hs_install_move(const char *from, const char *to, struct hs_error *err);

#endif
