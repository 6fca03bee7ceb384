/* Secrets from files: keys, passwords, and what systemd passes with LoadCredential=. */
#ifndef HS_BASE_CREDENTIAL_H
#define HS_BASE_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "hs/status.h"

/* Returns NULL if `source` has one of the two forms below, else the reason why it has not ("is not an absolute path or
 * credential:NAME"). Reads nothing. For the checks of settings. */
const char *hs_credential_error(const char *source);

/* Reads a secret of at most `max` bytes. `source` is an absolute path, or "credential:NAME" for the file
 * $CREDENTIALS_DIRECTORY/NAME (https://systemd.io/CREDENTIALS). Removes one line feed from the end.
 *
 * A path is refused if other users may read or change the file: its owner must be root or the user of this process, and
 * its mode 0600 or less; a file of root may also be readable by its group (0640). systemd protects its credentials by
 * the mode of their folder, which is checked instead: no other user may enter it.
 *
 * Initialises *ret, whose memory is overwritten when it is freed. Caller frees with hs_buf_finish, on success only.
 * Messages name the source, never its content. HS_EINVAL: the form of `source`; HS_ENOTFOUND; HS_EFORBIDDEN: the mode
 * or the owner; HS_ETOOLARGE; HS_EIO; HS_ENOMEM. Any thread. */
int hs_credential_read(const char *source, size_t max, struct hs_buf *ret, struct hs_error *err);

#endif
