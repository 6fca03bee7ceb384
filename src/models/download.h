/* Downloads one file over http(s) into a `.part` file, which a later call can resume. */
#ifndef HS_MODELS_DOWNLOAD_H
#define HS_MODELS_DOWNLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "hs/status.h"
#include "models/fetch.h"

struct hs_download {
    const char *url;
    const char *part;   /* file that receives the bytes; `<part>.from` beside it records their origin */
    const char *sha256; /* expected hash; NULL: not known, then the server must at least state the length */
    uint64_t max_bytes;
    bool mirror;                            /* the user configured this address: plain http is allowed, also in
                                               redirects */
    const struct hs_fetch_options *options; /* timeouts, cancellation and progress */
    /* All of these may be NULL. `authorization` is a whole header; it is not sent to other hosts
     * after a redirect. Without `proxy`, the environment's proxy is used; without `ca_file`, the
     * system's authorities. */
    const char *authorization, *proxy, *no_proxy, *ca_file;
};

/* Downloads job->url. On success the part file is complete and synced, its SHA-256 (in ret_hex)
 * equals job->sha256 if that is set. Resumes after a cut connection as long as bytes keep arriving;
 * fails if the transfer stalls or is slow (options->stall_s, slow_s). Starts again from zero, once,
 * if the server does not support ranges, if the content has changed, or if the hash is wrong after
 * resuming. HS_EIO and HS_ECANCELED keep the part file for the next call; HS_EMODEL (wrong bytes)
 * and HS_ETOOLARGE delete it. The caller holds the lock on the part file. */
int hs_download(const struct hs_download *job, char ret_hex[65], struct hs_error *err);

#endif
