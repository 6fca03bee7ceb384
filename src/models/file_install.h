/* Files into the models folder. */
#ifndef HS_MODELS_FILE_INSTALL_H
#define HS_MODELS_FILE_INSTALL_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

/* Gives the next bytes, at most `size`: how many, 0 at the end, or HS_E… with *err set. */
typedef long (*hs_install_read)(void *arg, uint8_t *block, size_t size, struct hs_error *err);

/* Writes what `read` gives to `to`, at most max_bytes, and syncs it. A file that fails is deleted. HS_ETOOLARGE with
 * the message `too_large`, HS_EIO (also: the disk is full), and what `read` returns. */
int hs_install_write(const char *to, uint64_t max_bytes, const char *too_large, hs_install_read read, void *arg,
                     struct hs_error *err);

/* Copies a regular file of at most max_bytes in that way. HS_ENOTFOUND: there is none. */
int hs_install_copy(const char *from, const char *to, uint64_t max_bytes, struct hs_error *err);

/* Syncs `from` and gives it the name `to` (same file system) in one step. */
int hs_install_move(const char *from, const char *to, struct hs_error *err);

#endif
