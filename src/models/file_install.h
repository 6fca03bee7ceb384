/* Files into the models folder. */
#ifndef HS_MODELS_FILE_INSTALL_H
#define HS_MODELS_FILE_INSTALL_H

#include <stdint.h>

#include "hs/status.h"

/* Copies a regular file of at most max_bytes and syncs it. A copy that fails is deleted. HS_ETOOLARGE, HS_EIO (also:
 * the disk is full), HS_ENOTFOUND. */
int hs_install_copy(const char *from, const char *to, uint64_t max_bytes, struct hs_error *err);

/* Syncs `from` and gives it the name `to` (same file system) in one step. */
int hs_install_move(const char *from, const char *to, struct hs_error *err);

#endif
