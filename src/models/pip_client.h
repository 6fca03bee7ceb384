/* Fetches a file of PyPI with pip, whose configuration (index, proxy) holds. */
#ifndef HS_MODELS_PIP_CLIENT_H
#define HS_MODELS_PIP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "hs/status.h"
#include "models/pack.h"

struct hs_pip_options {
    const char *dir; /* an empty folder of ours */
    uint64_t max_bytes;
    int stall_s;              /* pip gives a connection up if nothing arrives for so long */
    int64_t deadline_ns;      /* of all */
    struct hs_cancel *cancel; /* NULL: cannot be cancelled */
};

/* Puts the source's archive into options->dir and gives its path. Nothing of the package is run: no build backend. Its
 * hash is not compared. HS_ENOTFOUND: pip is not installed (the message says which package has it), or the package has
 * no such file; HS_EIO: pip failed (with its last line) or did not end by the deadline; HS_ECANCELED. When it returns,
 * no process is left. Blocks. */
int hs_pip_get(const struct hs_source *source, const struct hs_pip_options *options, char *ret_path, size_t size,
               struct hs_error *err);

#endif
