/* One file over http(s) into a `.part` file that a later call goes on from. */
#ifndef HS_MODELS_DOWNLOAD_H
#define HS_MODELS_DOWNLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "hs/status.h"
#include "models/fetch.h"

struct hs_download {
    const char *url;
    const char *part;   /* where the bytes go; `<part>.from` beside it says where they came from */
    const char *sha256; /* what they must be; NULL: not known, then the sender must at least state the length */
    uint64_t max_bytes;
    bool mirror;                            /* the user named this address: plain http is fine, redirects to it too */
    const struct hs_fetch_options *options; /* times, cancelling and progress */
    /* All of these may be NULL. `authorization` is a whole header, which redirects to other hosts do not get; without
     * a proxy the environment's is used, without a ca_file the system's authorities. */
    const char *authorization, *proxy, *no_proxy, *ca_file;
};

/* On success the part file is complete, synced, and its SHA-256 (in ret_hex) is the wanted one. A cut connection is
 * taken up again while bytes keep coming, a stalled or slow one given up (options->stall_s, slow_s); a server without
 * ranges, changed content or a wrong hash after resuming start the file again from zero, once. On HS_EIO and
 * HS_ECANCELED the part file stays for the next call; wrong bytes (HS_EMODEL) and too many (HS_ETOOLARGE) are deleted.
 * Needs the lock on the part file. */
int hs_download(const struct hs_download *job, char ret_hex[65], struct hs_error *err);

#endif
