/* The folder that holds model files, and the packs that say what they are. Nothing in it is used before its hash was
 * compared with the pack's, or, if the pack has none, with the one recorded at the first pull. */
#ifndef HS_MODELS_STORE_H
#define HS_MODELS_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "hs/status.h"
#include "models/pack.h"

struct hs_store;

struct hs_store_options {
    const char *service;    /* "hailo-pose": names /var/lib/<service>/models, and what to run in messages; required */
    const char *models_dir; /* NULL: HS_MODELS_DIR, else the usual places, see hs_store_dir */
    const char *packs_dir;  /* NULL: HS_PACKS_DIR, else the installed or the source tree's folder of packs */
};

enum hs_file_state {
    HS_FILE_MISSING,    /* never pulled */
    HS_FILE_VERIFIED,   /* its hash is the right one */
    HS_FILE_BAD,        /* its hash or size is another */
    HS_FILE_UNRECORDED, /* there, but neither the pack nor a record says what its hash should be */
};

/* Reads all packs: imported ones in <models>/packs, then the shipped ones; a name met twice counts once, the shipped
 * pack wins. Creates nothing. A shipped pack that cannot be read is an error; an imported one that cannot be read is
 * left out and named by hs_store_complaint. Caller frees with hs_store_close. */
int hs_store_open(const struct hs_store_options *options, struct hs_store **ret_store, struct hs_error *err);
void hs_store_close(struct hs_store *store); /* NULL allowed */

/* The models folder: options.models_dir, else HS_MODELS_DIR, else /var/lib/<service>/models if that exists or
 * /var/lib/<service> is ours to write in, else $XDG_DATA_HOME/hailo-services/models, else
 * ~/.local/share/hailo-services/models. It may not exist yet. */
const char *hs_store_dir(const struct hs_store *store);
const char *hs_store_complaint(const struct hs_store *store); /* NULL: all packs could be read */

/* Everything that is read below is safe from any thread once the store is open. Packs are borrowed from the store. */
size_t hs_store_count(const struct hs_store *store);
const struct hs_pack *hs_store_pack(const struct hs_store *store, size_t index);
const struct hs_pack *hs_store_find(const struct hs_store *store, const char *name); /* NULL: no such pack */

/* A model in hand: what it is, and which of its files fits the machine. */
struct hs_model_choice {
    const struct hs_pack *pack;
    const struct hs_pack_file *file;
};

/* Turns a configured model name into a pack and file. `auto` (or NULL, or "") gives the best pack for the task that
 * `backend` runs, an installed one before one that would have to be pulled: the task's favourites (the table in
 * store.c) first, then any other that was not imported. HS_ENOTFOUND: no such pack, or it has no file for this backend;
 * the message says which names there are. `runtime` as in hs_pack_find_file. The simulated device ("sim") runs every
 * pack, and needs none of its files. */
int hs_store_choose(const struct hs_store *store, enum hs_task task, const char *name, const char *backend,
                    const char *runtime, struct hs_model_choice *ret_choice, struct hs_error *err);

/* The pack that `auto` would mean on a machine that has none yet: what to bring to it. */
int hs_store_choose_default(const struct hs_store *store, enum hs_task task, const char *backend, const char *runtime,
                            struct hs_model_choice *ret_choice, struct hs_error *err);

/* True if the file is there with the size that the pack gives; its hash is not looked at. */
bool hs_store_has(const struct hs_store *store, const struct hs_pack_file *file);

/* Reads the whole file and compares hashes. ret_hex (may be NULL) gets the hash found, "" if the file is missing. */
int hs_store_check(const struct hs_store *store, const struct hs_pack_file *file, enum hs_file_state *ret_state,
                   char ret_hex[65], struct hs_error *err);

/* The path of a file that has just been verified, for loading. Caller frees *ret_path with free(). HS_ENOTFOUND: not
 * pulled yet (the message names the command that does it); HS_EMODEL: its hash is wrong or nowhere recorded. */
int hs_store_verified_path(const struct hs_store *store, const struct hs_model_choice *choice, char **ret_path,
                           struct hs_error *err);

/* Deletes the pack's files with what belongs to them, and the pack itself if it was imported (the store forgets it,
 * and it must not be used any more). *ret_removed counts model files. Not while other threads read the store. */
int hs_store_remove(struct hs_store *store, const struct hs_pack *pack, int *ret_removed, struct hs_error *err);

/* For fetch and import. The path of a name in the models folder; false if it does not fit. */
bool hs_store_path(const struct hs_store *store, const char *name, char *dst, size_t size);

/* Records the hash of a file whose pack has none, in `<name>.sha256` as sha256sum writes it. */
int hs_store_record(const struct hs_store *store, const char *name, const char hex[65], struct hs_error *err);

/* The hash that a file must have: the pack's, else the recorded one. HS_ENOTFOUND: neither. */
int hs_store_expected(const struct hs_store *store, const struct hs_pack_file *file, char ret_hex[65],
                      struct hs_error *err);

/* Where `name` is made: `.<name>.fetch` in the models folder. hs_store_clear_work deletes what was left there. */
bool hs_store_work_path(const struct hs_store *store, const char *name, char *dst, size_t size);
void hs_store_clear_work(const struct hs_store *store, const char *name);

/* Takes the lock `.<name>.lock` in the models folder (made if missing), so that two programs never write one file at
 * once. With `wait` it waits for the other one, else that is HS_EBUSY. Gives a descriptor for hs_store_unlock. */
int hs_store_lock(const struct hs_store *store, const char *name, bool wait, int *ret_fd, struct hs_error *err);
void hs_store_unlock(const struct hs_store *store, const char *name, int fd); /* deletes the lock's file */

#endif
