/* Fetches a file from PyPI with pip, using pip's own configuration (index, proxy). */
#ifndef HS_MODELS_PIP_CLIENT_H
#define HS_MODELS_PIP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "hs/status.h"
#include "models/pack.h"

struct hs_pip_options {
    const char *dir; /* an empty folder owned by the caller */
    uint64_t max_bytes;
    int stall_s;              /* pip drops a connection on which nothing arrives for this long */
    int64_t deadline_ns;      /* for the whole call */
    struct hs_cancel *cancel; /* NULL: cannot be cancelled */
};

/* Downloads the source's archive into options->dir and returns its path. Runs no code of the
 * package, not even a build backend. Does not check the hash. HS_ENOTFOUND: pip is not installed
 * (the message names the package that provides it), or the package has no such file; HS_EIO: pip
 * failed (with its last line of output) or missed the deadline; HS_ECANCELED. No child process
 * remains after the call. Blocks. */
int hs_pip_get(const struct hs_source *source, const struct hs_pip_options *options, char *ret_path, size_t size,
               struct hs_error *err);

#endif
