/* The gallery: identities and their face embeddings in one SQLite file. The search index in memory
 * is built with hs_gallery_for_each and follows later changes, in commit order, with
 * hs_gallery_for_each_since.
 *
 * Several threads may share a struct hs_gallery, and several processes may open the same file.
 * Changes run one at a time; a read never waits for a change. Each change is one transaction: if a
 * call returns 0, the change is on disk; if it returns an error, nothing of it is. A callback must
 * not call into the gallery unless the function allows it. A gallery must not be used across fork.
 *
 * Every call can return HS_EBUSY (another change, in this process or another, took longer than
 * busy_timeout_ms), HS_EIO (disk full, file unreadable or damaged; for changes, also: the file was
 * deleted or replaced while it was open), HS_ENOMEM, HS_EVERSION (the file is from a newer version)
 * and HS_EKEY (the file is encrypted with a key that is not available: see gallery/encryption.h),
 * and the errors named with each call. Messages contain no SQL. `err` may be NULL. Names
 * and texts are UTF-8. Times are UTC, "YYYY-MM-DD HH:MM:SS". */
#ifndef HS_GALLERY_GALLERY_H
#define HS_GALLERY_GALLERY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_gallery;

enum {
    HS_GALLERY_NAME_MAX = 255,       /* bytes of a name; gallery/name.h lists the rules */
    HS_GALLERY_SPACE_MAX = 127,      /* bytes of a space name or a model name */
    HS_GALLERY_DIMENSION_MAX = 4096, /* floats of an embedding; at least 1 */
    HS_GALLERY_METADATA_MAX = 4096,  /* bytes of metadata; also the limit for quality */
    HS_GALLERY_TIME_SIZE = 20,       /* bytes of a time with its NUL */
};

/* The space of embeddings whose model is not known. */
#define HS_GALLERY_NO_SPACE "unknown"

struct hs_gallery_options {
    const char *path;                /* created with mode 0600 if missing; its folder must exist */
    const char *backup_dir;          /* created on first use. NULL: no backups, and no restore */
    int keep_backups;                /* at least 1: the newest this many are kept after each backup */
    int max_embeddings_per_identity; /* per space; at most 1000. 0: no limit */
    int busy_timeout_ms;             /* longest wait of a change for other changes */
    const char *legacy_space;        /* assigned to embeddings without a space; NULL: HS_GALLERY_NO_SPACE */
    const char *key;                 /* source of the encryption key, as of hs_credential_read; NULL or "": none */
    bool encrypt;                    /* with `key`: encrypt new vectors from now on, and finish a rotation to `key` */
    const char *vfs;                 /* name of a registered SQLite VFS; NULL: the default */
    bool must_exist;                 /* fail with HS_ENOTFOUND instead of creating the file */
    bool erase_later;                /* see hs_gallery_finish_erasing */
    bool no_audit;                   /* append no entries to the audit log (audit_log.h) */
    int audit_keep;                  /* the newest this many entries are kept; 0: HS_AUDIT_KEEP */
    const char *actor;               /* of changes without hs_audit_act_as; NULL: "library" */
};

/* The result of hs_gallery_open. A text is empty if its event did not happen. */
struct hs_gallery_opened {
    bool created;                 /* the file did not exist, and no backup was restored */
    int migrated_from;            /* previous schema version; -1 if it was current or the file is new */
    int64_t orphans_erased;       /* embeddings without an identity, left by older programs */
    bool tightened;               /* removed other users' access to the file or its log */
    int64_t tightened_backups;    /* and to so many backups and set-aside files */
    char key_id[17];              /* of the encryption key; "": new vectors are stored plain */
    bool key_added;               /* encryption began with this opening */
    char key_pending[17];         /* a rotation to this key has begun: the next start needs it; "": none */
    int64_t keys_removed;         /* older encryption keys that this opening removed */
    int64_t plain;                /* vectors of an encrypted gallery that are not; counted with options.encrypt only */
    char foreign[160];            /* a harmless schema object that is not ours, such as a trigger */
    char backed_up_to[PATH_MAX];  /* backup of the file from before the migration */
    char set_aside[PATH_MAX];     /* new path of the damaged file */
    char restored_from[PATH_MAX]; /* the backup that replaced it */
};

/* Opens the file, or creates it; if root creates it, the folder's owner becomes its owner. Runs
 * quick_check; backs up and migrates a file with an older schema. A new gallery is encrypted if
 * options->key is set; a file that needs another key is left as it is: HS_EKEY. A damaged file is renamed to
 * "<path>.corrupt-<time>" and replaced by the newest good backup, or by a new empty file if no
 * backup exists. *ret_opened (may be NULL) reports all of this. Copies the texts in options.
 * Caller frees *ret_gallery with hs_gallery_close. HS_EINVAL: invalid options. HS_EIO: also if the
 * file is not a regular file. */
int hs_gallery_open(const struct hs_gallery_options *options, struct hs_gallery **ret_gallery,
                    struct hs_gallery_opened *ret_opened, struct hs_error *err);

/* Returns the random id of the gallery, 16 hexadecimal digits; it stays the same for the life of the gallery. */
const char *hs_gallery_uid(const struct hs_gallery *gallery);

/* Closes the gallery; NULL is allowed. No other thread may still use it. */
void hs_gallery_close(struct hs_gallery *gallery);

/* ---- adding ---- */

/* An embedding to store. hs_gallery_add only reads it during the call. */
struct hs_gallery_new_embedding {
    const float *values; /* finite, of length 1 (within 1e-3) */
    size_t dimension;
    const char *space;         /* embeddings of different spaces cannot be compared */
    const char *model;         /* name of the model; NULL: not known */
    const char *quality;       /* JSON object of numbers; "score" (0..1) is the overall quality. NULL: not known */
    const char *source_sha256; /* of the picture, 64 hexadecimal digits; NULL: not known */
    const char *created_at;    /* a time; NULL: now */
};

struct hs_gallery_added {
    int64_t identity_id, embedding_id;
    bool identity_created;
    int64_t embedding_dropped; /* id of the embedding dropped because the identity was full; 0: none */
};

/* Identifies a request, so that a retry does not repeat it. The gallery remembers the newest
 * HS_GALLERY_REQUESTS_MAX requests for 24 hours, each as long as its identity exists; a request
 * follows its identity through a merge or a rename. */
enum { HS_GALLERY_REQUESTS_MAX = 10000 };
struct hs_gallery_request {
    const char *key_sha256, *body_sha256; /* 64 hexadecimal digits */
};

/* Adds an embedding to the identity `name`, and creates the identity if needed. `metadata` (a JSON
 * object) replaces the identity's metadata; NULL leaves it unchanged. An identity keeps at most
 * max_embeddings_per_identity in each space, and keeps the most diverse ones: of the most similar
 * pair it drops the one with lower quality, or else the older one; this may be the new embedding
 * itself. Stores `request` (NULL: none) in the same transaction.
 *
 * Like every function here that takes an existing name, it looks up the exact name first, then the
 * normalized form (hs_gallery_clean_name). Identities that older programs stored under other names
 * keep them.
 *
 * HS_EINVAL: request, name, metadata or embedding; HS_ECONFLICT: the request was already done. */
int hs_gallery_add(struct hs_gallery *gallery, const struct hs_gallery_request *request, const char *name,
                   const char *metadata, const struct hs_gallery_new_embedding *embedding,
                   struct hs_gallery_added *ret_added, struct hs_error *err);

/* The same, and sets the identity's expires_at: a time, "never", or "" for the general retention (retention.h); NULL:
 * unchanged. HS_EINVAL: also expires_at. */
int hs_gallery_add_until(struct hs_gallery *gallery, const struct hs_gallery_request *request, const char *name,
                         const char *metadata, const char *expires_at, const struct hs_gallery_new_embedding *embedding,
                         struct hs_gallery_added *ret_added, struct hs_error *err);

/* Returns the name of the identity that hs_gallery_add would add to or create. HS_EINVAL: invalid name. */
int hs_gallery_resolve_name(struct hs_gallery *gallery, const char *name, char ret_name[HS_GALLERY_NAME_MAX + 1],
                            struct hs_error *err);

struct hs_gallery_found_request {
    char body_sha256[65];
    char name[HS_GALLERY_NAME_MAX + 1]; /* the identity's current name */
    struct hs_gallery_added added;
};

/* Returns the result of the request with that key. HS_ENOTFOUND: no such request is remembered. */
int hs_gallery_find_request(struct hs_gallery *gallery, const char *key_sha256,
                            struct hs_gallery_found_request *ret_found, struct hs_error *err);

/* ---- reading ---- */

struct hs_gallery_identity {
    int64_t id;
    char *name;
    char *metadata; /* JSON object; NULL: none */
    int64_t embedding_count;
    char created_at[HS_GALLERY_TIME_SIZE], updated_at[HS_GALLERY_TIME_SIZE];
    char expires_at[HS_GALLERY_TIME_SIZE]; /* a time, or "never"; "": by the general retention (retention.h) */
};

/* Calls `each` for at most `limit` identities whose names follow `after` (NULL: from the first), in
 * byte order of the names. `each` may call into the gallery. An identity that changes during the
 * walk may appear in its old or its new state. Stops and returns the result of `each` if that is
 * not 0. Sets *ret_more (may be NULL) if more identities follow. */
int hs_gallery_for_each_identity(struct hs_gallery *gallery, const char *after, size_t limit,
                                 int (*each)(void *arg, const struct hs_gallery_identity *identity), void *arg,
                                 bool *ret_more, struct hs_error *err);

struct hs_gallery_embedding {
    int64_t id;
    size_t dimension;
    float *values; /* NULL unless requested; zeros: the stored vector was changed and cannot be decrypted */
    char *space;
    char *model, *quality, *source_sha256; /* NULL: not known */
    char created_at[HS_GALLERY_TIME_SIZE];
};

struct hs_gallery_person {
    struct hs_gallery_identity identity;
    struct hs_gallery_embedding *embeddings; /* oldest first */
    size_t count;
};

/* Reads one identity with its embeddings. Caller frees *ret_person with hs_gallery_person_destroy.
 * HS_ENOTFOUND. */
int hs_gallery_get(struct hs_gallery *gallery, const char *name, bool with_values,
                   struct hs_gallery_person **ret_person, struct hs_error *err);
void hs_gallery_person_destroy(struct hs_gallery_person *person);

/* One embedding as passed to hs_gallery_each; valid during the callback. */
struct hs_gallery_entry {
    int64_t id, identity_id;
    const char *name, *space;
    const float *values; /* NULL: not comparable, because not finite or not of length 1 */
    size_t dimension;    /* 0: the stored size is not a whole number of floats, or too large */
};

/* Copies an embedding of exactly `dimension` floats. HS_ENOTFOUND: no embedding has this id, or its
 * dimension differs. */
int hs_gallery_read_vector(struct hs_gallery *gallery, int64_t embedding_id, float *ret_values, size_t dimension,
                           struct hs_error *err);

/* The state of the file. Equal versions have equal content. */
struct hs_gallery_version {
    int64_t change;  /* number of the last change in the file */
    uint32_t resets; /* differs after changes without a number (by another program) or a restore */
    uint32_t frames; /* frames in the log */
};

/* Returns true if the content may have changed from `version` to `later` although no change was
 * counted: another program made changes without a number, or the log grew without a commit (SQLite
 * recovered the commit of a killed process). */
static inline bool hs_gallery_is_reset(const struct hs_gallery_version *version, const struct hs_gallery_version *later)
{
    return later->resets != version->resets || (later->change == version->change && later->frames > version->frames);
}

/* Called for each embedding. Any result other than 0 stops the walk, which returns that result. */
typedef int (*hs_gallery_each)(void *arg, const struct hs_gallery_entry *entry);
typedef void (*hs_gallery_touched)(void *arg, int64_t identity_id);

/* Calls `each` for all embeddings, ordered by id, in one snapshot; *ret_version (may be NULL) is
 * its version. */
int hs_gallery_for_each(struct hs_gallery *gallery, hs_gallery_each each, void *arg,
                        struct hs_gallery_version *ret_version, struct hs_error *err);

/* Reports the changes from `since` to *ret_version: calls `touched` for each identity that was
 * changed, removed or created after `since`, then `each` for all current embeddings of these
 * identities. HS_ENOTFOUND: the file no longer records all of these changes; neither callback was
 * called. */
int hs_gallery_for_each_since(struct hs_gallery *gallery, const struct hs_gallery_version *since,
                              hs_gallery_touched touched, hs_gallery_each each, void *arg,
                              struct hs_gallery_version *ret_version, struct hs_error *err);

/* Reads the current version. Cheap enough to call before each search; does not wait for changes. */
int hs_gallery_get_version(struct hs_gallery *gallery, struct hs_gallery_version *ret_version, struct hs_error *err);

struct hs_gallery_counts {
    int64_t identities, embeddings;
    int64_t size_bytes; /* of the database file */
    bool erase_pending; /* something that was erased is not yet gone from the file */
    bool lost;          /* the file was deleted or replaced while it was open: changes fail */
    bool failing;       /* the last change failed because the file or its disk cannot be used */
};

/* Returns the counts. Never waits for a change: a count that cannot be read now keeps its last value. */
struct hs_gallery_counts hs_gallery_get_counts(struct hs_gallery *gallery);

/* Runs SQLite's full integrity check and checks the foreign keys. HS_EIO with the first problem in
 * err. Slow. */
int hs_gallery_check(struct hs_gallery *gallery, struct hs_error *err);

/* ---- changing ---- */

/* Renames an identity. HS_ENOTFOUND; HS_EINVAL: invalid new_name; HS_ECONFLICT: new_name is taken. */
int hs_gallery_rename(struct hs_gallery *gallery, const char *name, const char *new_name, struct hs_error *err);

/* Changes name, metadata and time of expiry in one transaction. A NULL field leaves its value
 * unchanged. Errors as for hs_gallery_rename; also HS_EINVAL: invalid metadata or expires_at. */
struct hs_gallery_update {
    const char *new_name;
    const char *metadata;   /* a JSON object; "" removes the metadata */
    const char *expires_at; /* as for hs_gallery_add_until */
};
int hs_gallery_update(struct hs_gallery *gallery, const char *name, const struct hs_gallery_update *update,
                      struct hs_error *err);

/* Moves the embeddings of `from` to `into`, within the limit described at hs_gallery_add, and
 * removes `from`. If `into` has no metadata, it gets that of `from`. It gets the earlier expires_at
 * of both; the general retention counts as later than any time, and earlier than "never". HS_ENOTFOUND; HS_EINVAL: both
 * names are the same identity. */
int hs_gallery_merge(struct hs_gallery *gallery, const char *from, const char *into, struct hs_error *err);

/* ---- erasing ---- */

struct hs_gallery_erased {
    int64_t identity_id; /* whose data was removed */
    int64_t embeddings;  /* number removed */
    /* The erased data may still be in the log, because a backup or another process was reading or
     * the disk failed, or in copies that another program left in the file. The next change, the
     * next opening, hs_gallery_finish_erasing or hs_gallery_close erases it. */
    bool pending;
    /* Files that hold or may hold the data: backups made after the data was added, backups that do
     * not record their change number, and damaged files that were set aside. hs_gallery_purge_all
     * deletes them. */
    char **files;
    size_t file_count;
    bool files_unknown; /* the list may be incomplete: a folder could not be read, or memory was short */
};

/* Removes an identity, or one embedding, so that no byte of its vectors, name or metadata remains
 * in the database, its log or its free pages. Copies kept by the file system or the disk are out of
 * reach. ret_erased may be NULL; otherwise the caller frees its content with
 * hs_gallery_erased_finish. ret_erased->files includes a backup in progress, under its final name.
 * HS_ENOTFOUND. */
int hs_gallery_remove(struct hs_gallery *gallery, const char *name, struct hs_gallery_erased *ret_erased,
                      struct hs_error *err);
int hs_gallery_remove_embedding(struct hs_gallery *gallery, int64_t embedding_id, struct hs_gallery_erased *ret_erased,
                                struct hs_error *err);
void hs_gallery_erased_finish(struct hs_gallery_erased *erased);

/* Completes a pending erasure. With options.erase_later a removal neither waits for readers nor
 * searches the file for copies that another program may have left, but sets `pending`; then call
 * this function from a background thread. Sometimes it rewrites the file; other threads can read
 * meanwhile. HS_EBUSY: a reader is active; try again. */
int hs_gallery_finish_erasing(struct hs_gallery *gallery, struct hs_error *err);

/* ---- backups ---- */

struct hs_gallery_backup {
    char *path;
    char created_at[HS_GALLERY_TIME_SIZE]; /* by the clock of that time */
    int64_t number;                        /* greater in newer backups; 0: made by an older program */
    int64_t size_bytes;
    bool set_aside; /* a damaged database instead of a backup */
};

struct hs_gallery_backups {
    struct hs_gallery_backup *items; /* newest first, regardless of the clock; damaged files last */
    size_t count;
};

/* Writes backup_dir/faces-NNNNNN-YYYYMMDD-HHMMSS-<id>.db.gz: copies one snapshot, checks and
 * compresses it, and renames it into place. The number follows that of the newest backup. The id is
 * the gallery's uid, so several galleries may share a folder. Backups of older programs, without
 * number and id, count as this gallery's unless the folder also has backups of another gallery.
 * Other threads and processes may read and write meanwhile. ret_path may be NULL. HS_EUNSUPPORTED:
 * no backup folder is configured. */
int hs_gallery_backup(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err);

/* Lists backups and set-aside files. Caller frees *ret_backups with hs_gallery_backups_destroy. */
int hs_gallery_list_backups(struct hs_gallery *gallery, struct hs_gallery_backups **ret_backups, struct hs_error *err);
void hs_gallery_backups_destroy(struct hs_gallery_backups *backups);

/* Replaces all content with that of a backup (a path, or a file name in the backup folder), after
 * unpacking and checking it. Backs up the current content first; no other change can run in
 * between. If the gallery is encrypted and the backup is not, its vectors are encrypted before they
 * are stored. HS_ENOTFOUND; HS_EDECODE: the backup is damaged or its tables are not ours; HS_EKEY:
 * the backup needs another key. */
int hs_gallery_restore(struct hs_gallery *gallery, const char *backup, struct hs_error *err);

/* Deletes all backups and set-aside files, because they may hold data erased later. If any of them
 * is a backup, makes a new backup first, so that one always exists; *ret_backup names it ("" if
 * none was made). Completes a pending erasure first. On success *ret_purged lists the deleted
 * files; caller frees it with hs_gallery_backups_destroy. On failure all files that could be
 * deleted are, unless the new backup or the erasure failed. */
int hs_gallery_purge_all(struct hs_gallery *gallery, char ret_backup[PATH_MAX], struct hs_gallery_backups **ret_purged,
                         struct hs_error *err);

/* ---- read-only inspection of a file: does not migrate, repair or create it; see also audit.h ---- */

/* Finds the space with the most embeddings in the file, ignoring HS_GALLERY_NO_SPACE. *ret_space is
 * "" if the file does not exist, no embedding has a space, or the file cannot be read. Performs no
 * other checks. */
void hs_gallery_main_space(const char *path, int busy_timeout_ms, char ret_space[HS_GALLERY_SPACE_MAX + 1]);

#endif
