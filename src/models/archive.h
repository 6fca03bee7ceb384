/* Takes one file out of a zip or tar archive. */
#ifndef HS_MODELS_ARCHIVE_H
#define HS_MODELS_ARCHIVE_H

#include <stdint.h>

#include "hs/status.h"

/* Writes the regular file that the archive calls exactly `member` to `path` (replaced if it exists), at most
 * max_bytes. Nothing else of the archive is written, and its names are only compared. HS_ENOTFOUND: no such member;
 * HS_EMODEL: no archive, a damaged one, or the member is no regular file; HS_ETOOLARGE; HS_EIO. Any thread. */
int hs_archive_take(const char *archive, const char *member, const char *path, uint64_t max_bytes,
                    struct hs_error *err);

#endif
