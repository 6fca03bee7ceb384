/* The file of API keys. A service reads it; `hailo-… keys` changes it. */
#ifndef HS_AUTH_KEY_FILE_H
#define HS_AUTH_KEY_FILE_H

#include <stdbool.h>

#include "auth/keyring.h"

/* Reads the file that hs_credential_read accepts: an absolute path, or "credential:NAME". HS_ENOTFOUND:
 * there is none; otherwise fails like hs_credential_read and hs_keyring_read, and the message names the
 * source. */
int hs_key_file_read(const char *source, struct hs_keyring *ret, struct hs_error *err);

/* Changes the ring; a failure leaves the file as it is. */
typedef int (*hs_keyring_change)(struct hs_keyring *ring, void *arg, struct hs_error *err);

/* Reads the file at `path`, changes it and replaces it atomically with mode 0600; creates it and its
 * folder if there is none and `create` is set, else HS_ENOTFOUND. Other processes that change it at the
 * same time wait (a lock on "<path>.lock"), so that no change is lost. As root, the file gets the owner
 * of its folder, so that the service can read it. Unlike hs_key_file_read, it accepts a file of another
 * owner or mode. */
int hs_key_file_change(const char *path, bool create, hs_keyring_change change, void *arg, struct hs_error *err);

/* Reads a file as hs_key_file_change does. For lists. */
int hs_key_file_list(const char *path, struct hs_keyring *ret, struct hs_error *err);

#endif
