/* The models folder and the packs that describe its files. A file is used only after its hash was
 * compared with the pack's or, if the pack has none, with the hash recorded by the first fetch. */
#ifndef HS_MODELS_STORE_H
#define HS_MODELS_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"
#include "models/pack.h"

struct hs_store;

struct hs_store_options {
    const char *service;    /* "hailo-pose": selects /var/lib/<service>/models and names the program in messages;
                               required */
    const char *models_dir; /* NULL: HS_MODELS_DIR, else the default folders, see hs_store_dir */
    const char *packs_dir;  /* NULL: HS_PACKS_DIR, else the installed or the source tree's folder of packs */
};

enum hs_file_state {
    HS_FILE_MISSING,    /* never fetched */
    HS_FILE_VERIFIED,   /* has the expected hash */
    HS_FILE_BAD,        /* has another hash or size */
    HS_FILE_UNRECORDED, /* present, but neither the pack nor a record has its hash */
};

/* Reads all packs: imported ones in <models>/packs, then the shipped ones. If both have a name, the
 * shipped pack is used. Creates nothing. Fails if a shipped pack cannot be read; skips an imported
 * pack that cannot be read, and hs_store_warning reports it. Caller frees with hs_store_close. */
int hs_store_open(const struct hs_store_options *options, struct hs_store **ret_store, struct hs_error *err);
void hs_store_close(struct hs_store *store); /* NULL allowed */

/* Returns the models folder: options.models_dir, else HS_MODELS_DIR, else /var/lib/<service>/models
 * if it exists or /var/lib/<service> is writable, else $XDG_DATA_HOME/hailo-services/models, else
 * ~/.local/share/hailo-services/models. It may not exist yet. */
const char *hs_store_dir(const struct hs_store *store);
const char *hs_store_warning(const struct hs_store *store); /* NULL: all packs could be read */

/* Any thread may call the reading functions below once the store is open. The store owns the packs. */
size_t hs_store_count(const struct hs_store *store);
const struct hs_pack *hs_store_pack(const struct hs_store *store, size_t index);
const struct hs_pack *hs_store_find(const struct hs_store *store, const char *name); /* NULL: no such pack */

/* A model selected by hs_store_choose: the pack, and the file of it that fits the machine. */
struct hs_model_choice {
    const struct hs_pack *pack;
    const struct hs_pack_file *file;
};

/* Resolves a configured model name to a pack and a file. `auto` (or NULL, or "") selects the best
 * pack for the task that `backend` can run. Installed packs come before those that would have to be
 * fetched; among each, the task's preferences (the table in store.c) come first, then any other pack
 * that was not imported. HS_ENOTFOUND: no such pack, or it has no file for this backend; the
 * message lists the available names. `runtime` as in hs_pack_find_file. The simulated backend
 * ("sim") accepts every pack and needs none of its files. */
int hs_store_choose(const struct hs_store *store, enum hs_task task, const char *name, const char *backend,
                    const char *runtime, struct hs_model_choice *ret_choice, struct hs_error *err);

/* Selects the pack that `auto` resolves to if no pack is installed: the one to fetch first. */
int hs_store_choose_default(const struct hs_store *store, enum hs_task task, const char *backend, const char *runtime,
                            struct hs_model_choice *ret_choice, struct hs_error *err);

/* True if the file exists with the pack's size. Does not check its hash. */
bool hs_store_has(const struct hs_store *store, const struct hs_pack_file *file);

/* Hashes the whole file and compares. ret_hex (may be NULL) receives the hash found, "" if the file
 * is missing. */
int hs_store_check(const struct hs_store *store, const struct hs_pack_file *file, enum hs_file_state *ret_state,
                   char ret_hex[65], struct hs_error *err);

/* Verifies a file and returns its path for loading. Caller frees *ret_path with free().
 * HS_ENOTFOUND: not fetched yet (the message names the command to run); HS_EMODEL: its hash is
 * wrong or not recorded. */
int hs_store_verified_path(const struct hs_store *store, const struct hs_model_choice *choice, char **ret_path,
                           struct hs_error *err);

/* Deletes the pack's files with their records, and the pack itself if it was imported (the store
 * destroys it; it must not be used afterwards). *ret_removed counts model files. No other thread
 * may read the store during the call. */
int hs_store_remove(struct hs_store *store, const struct hs_pack *pack, int *ret_removed, struct hs_error *err);

/* The functions below are for fetch and import. Writes the path of a name in the models folder;
 * false if it does not fit. */
bool hs_store_path(const struct hs_store *store, const char *name, char *dst, size_t size);

/* Records the hash of a file whose pack has none, in `<name>.sha256`, in sha256sum's format. */
int hs_store_record(const struct hs_store *store, const char *name, const char hex[65], struct hs_error *err);

/* Returns the hash that a file must have: the pack's, else the recorded one. HS_ENOTFOUND: neither
 * exists. */
int hs_store_expected(const struct hs_store *store, const struct hs_pack_file *file, char ret_hex[65],
                      struct hs_error *err);

/* Writes the path of the work folder for `name`: `.<name>.fetch` in the models folder.
 * hs_store_clear_work deletes the folder and its contents. */
bool hs_store_work_path(const struct hs_store *store, const char *name, char *dst, size_t size);
void hs_store_clear_work(const struct hs_store *store, const char *name);

/* Takes the lock `.<name>.lock` in the models folder (created if missing), so that two programs
 * never write one file at once. If another program holds it, waits if `wait` is set, else returns
 * HS_EBUSY. Returns a descriptor for hs_store_unlock. */
int hs_store_lock(const struct hs_store *store, const char *name, bool wait, int *ret_fd, struct hs_error *err);
void hs_store_unlock(const struct hs_store *store, const char *name, int fd); /* deletes the lock file */

#endif
