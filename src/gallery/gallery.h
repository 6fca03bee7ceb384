/* The gallery: identities and their embeddings in one SQLite file. The search index in memory is built from it
 * (hs_gallery_for_each) and follows its changes in the order of their commits (hs_gallery_for_each_since).
 *
 * Several threads may use a struct hs_gallery, and several processes may have one file open. Changes run one at a time;
 * reading never waits for a change. Every change is one transaction: when a call returns 0 it is on disk, when it
 * returns an error nothing of it is. Callbacks must not call into the gallery. Not across fork.
 *
 * Errors of all calls: HS_EBUSY (a change, here or in another process, took longer than busy_timeout_ms), HS_EIO (disk
 * full, not readable, damaged; for changes also: the file was deleted or replaced while it was open), HS_ENOMEM,
 * HS_EVERSION (a file from a newer version), and those named beside each call. Messages have no SQL.
 * `err` may be NULL. Names and texts are UTF-8. Times are UTC, "YYYY-MM-DD HH:MM:SS". */
#ifndef HS_GALLERY_GALLERY_H
#define HS_GALLERY_GALLERY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

struct hs_gallery;

enum {
    HS_GALLERY_NAME_MAX = 255,       /* bytes of a name; see gallery/name.h for what may be one */
    HS_GALLERY_SPACE_MAX = 127,      /* bytes of the name of a space or of a model */
    HS_GALLERY_DIMENSION_MAX = 4096, /* floats of an embedding; at least 1 */
    HS_GALLERY_METADATA_MAX = 4096,  /* bytes of metadata, and of quality */
    HS_GALLERY_TIME_SIZE = 20,       /* a time and its NUL */
};

/* The space of embeddings of which it is not known what made them. */
#define HS_GALLERY_NO_SPACE "unknown"

struct hs_gallery_options {
    const char *path;                /* made, with mode 0600, if it does not exist; its folder must */
    const char *backup_dir;          /* made when first needed. NULL: no backups, and so none to restore from */
    int keep_backups;                /* 1 or more: after each backup, older ones than the newest that many go */
    int max_embeddings_per_identity; /* in each space; at most 1000. 0: no limit */
    int busy_timeout_ms;             /* how long a change waits for other changes */
    const char *legacy_space;        /* of embeddings from files that name none; NULL: HS_GALLERY_NO_SPACE */
    const char *vfs;                 /* name of a registered SQLite VFS; NULL: the default */
    bool must_exist;                 /* no file is made: HS_ENOTFOUND */
    bool erase_later;                /* see hs_gallery_finish_erasing */
};

/* The result of opening. A text is empty if nothing of the kind happened. */
struct hs_gallery_opened {
    bool created;                 /* there was no file, and no backup was restored */
    int migrated_from;            /* schema version before; -1 if it was the present one or the file is new */
    int64_t orphans_erased;       /* embeddings of no identity, left behind by older programs */
    bool tightened;               /* others could read the file, and now they cannot */
    char foreign[160];            /* something in the file that is not ours, and that does nothing: a trigger, say */
    char backed_up_to[PATH_MAX];  /* the file as it was before the migration */
    char set_aside[PATH_MAX];     /* where the damaged file is now */
    char restored_from[PATH_MAX]; /* the backup that took its place */
};

/* Opens the file, and makes one if there is none; root gives it to the owner of the folder. HS_EIO: also if it is not a
 * regular file. Checks it (quick_check), backs it up and migrates it if it is of an older version. A damaged file
 * is renamed to "<path>.corrupt-<time>" and the newest good backup takes its place; if there is none, a new empty
 * file does. *ret_opened (may be NULL) says so. The options' texts are copied.
 * Caller frees *ret_gallery with hs_gallery_close. HS_EINVAL: options. */
int hs_gallery_open(const struct hs_gallery_options *options, struct hs_gallery **ret_gallery,
                    struct hs_gallery_opened *ret_opened, struct hs_error *err);

/* NULL allowed. No other thread may still use it. */
void hs_gallery_close(struct hs_gallery *gallery);

/* ---- adding ---- */

/* An embedding to be stored. Everything is only read during the call. */
struct hs_gallery_new_embedding {
    const float *values; /* finite, of length 1 (within 1e-3) */
    size_t dimension;
    const char *space;         /* embeddings of different spaces cannot be compared */
    const char *model;         /* what made it; NULL: not known */
    const char *quality;       /* JSON object of numbers; "score" (0..1) is the overall one. NULL: not known */
    const char *source_sha256; /* of the picture, 64 hexadecimal digits; NULL: not known */
    const char *created_at;    /* a time; NULL: now */
};

struct hs_gallery_added {
    int64_t identity_id, embedding_id;
    bool identity_created;
    int64_t embedding_dropped; /* id of the one that went because the identity was full; 0: none */
};

/* Names a request, so that the same one is not done twice. Kept for 24 hours, of the newest HS_GALLERY_REQUESTS_MAX, as
 * long as its identity is there; of a merge or a rename it follows the identity. */
enum { HS_GALLERY_REQUESTS_MAX = 10000 };
struct hs_gallery_request {
    const char *key_sha256, *body_sha256; /* 64 hexadecimal digits */
};

/* A name is looked for as it is, then in the form in which it would be stored (hs_gallery_clean_name); so are all other
 * names that are asked for. Identities that older programs made under other names keep them.
 *
 * Adds an embedding to the identity of that name, which is made if there is none. `metadata` (a JSON object) replaces
 * what the identity has; NULL leaves it. An identity has at most max_embeddings_per_identity in each space, and keeps
 * those that are most different: of the most similar pair the one of lower quality goes, then the older one; that may
 * be the new one itself. `request` (NULL: none) is remembered in the same transaction.
 * HS_EINVAL: request, name, metadata or embedding; HS_ECONFLICT: that request was done already. */
int hs_gallery_add(struct hs_gallery *gallery, const struct hs_gallery_request *request, const char *name,
                   const char *metadata, const struct hs_gallery_new_embedding *embedding,
                   struct hs_gallery_added *ret_added, struct hs_error *err);

/* The name of the identity that hs_gallery_add would add to, or make. HS_EINVAL: name. */
int hs_gallery_resolve_name(struct hs_gallery *gallery, const char *name, char ret_name[HS_GALLERY_NAME_MAX + 1],
                            struct hs_error *err);

struct hs_gallery_recalled {
    char body_sha256[65];
    char name[HS_GALLERY_NAME_MAX + 1]; /* of the identity now */
    struct hs_gallery_added added;
};

/* What the request of that key did. HS_ENOTFOUND: none is remembered. */
int hs_gallery_recall(struct hs_gallery *gallery, const char *key_sha256, struct hs_gallery_recalled *ret_recalled,
                      struct hs_error *err);

/* ---- reading ---- */

struct hs_gallery_identity {
    int64_t id;
    char *name;
    char *metadata; /* JSON object; NULL: none */
    int64_t embedding_count;
    char created_at[HS_GALLERY_TIME_SIZE], updated_at[HS_GALLERY_TIME_SIZE];
};

/* Calls `each` for at most `limit` identities whose names follow `after` (NULL: from the first), in the byte order of
 * the names. It may call into the gallery; identities that change meanwhile may be as before or as after. A result
 * other than 0 ends the walk, which returns it. *ret_more (may be NULL): others follow. */
int hs_gallery_for_each_identity(struct hs_gallery *gallery, const char *after, size_t limit,
                                 int (*each)(void *arg, const struct hs_gallery_identity *identity), void *arg,
                                 bool *ret_more, struct hs_error *err);

struct hs_gallery_embedding {
    int64_t id;
    size_t dimension;
    float *values; /* NULL unless asked for */
    char *space;
    char *model, *quality, *source_sha256; /* NULL: not known */
    char created_at[HS_GALLERY_TIME_SIZE];
};

struct hs_gallery_person {
    struct hs_gallery_identity identity;
    struct hs_gallery_embedding *embeddings; /* oldest first */
    size_t count;
};

/* One identity with its embeddings. Caller frees *ret_person with hs_gallery_person_destroy. HS_ENOTFOUND. */
int hs_gallery_get(struct hs_gallery *gallery, const char *name, bool with_values,
                   struct hs_gallery_person **ret_person, struct hs_error *err);
void hs_gallery_person_destroy(struct hs_gallery_person *person);

/* One embedding as hs_gallery_for_each shows it; valid during the callback. */
struct hs_gallery_entry {
    int64_t id, identity_id;
    const char *name, *space;
    const float *values; /* NULL: they cannot be compared, because they are not finite or not of length 1 */
    size_t dimension;    /* 0: not a whole number of values, or too many */
};

/* The vector of an embedding, of exactly `dimension` numbers. HS_ENOTFOUND: there is no such embedding, or its vector
 * is of another size. */
int hs_gallery_read_vector(struct hs_gallery *gallery, int64_t embedding_id, float *ret_values, size_t dimension,
                           struct hs_error *err);

/* The state of the file: equal versions have equal content. */
struct hs_gallery_version {
    int64_t change;  /* number of the last change; the file has it */
    uint32_t resets; /* another value: there were changes without a number (by another program), or a restore */
    uint32_t frames; /* of the log */
};

/* The content of `later` may differ from that of `version`, although no change was counted in between: there were
 * changes without a number, or the log grew without a commit (SQLite found one of a process that was killed). */
static inline bool hs_gallery_is_reset(const struct hs_gallery_version *version, const struct hs_gallery_version *later)
{
    return later->resets != version->resets || (later->change == version->change && later->frames > version->frames);
}

/* Called for every embedding. A result other than 0 ends the walk, which returns it. */
typedef int (*hs_gallery_each)(void *arg, const struct hs_gallery_entry *entry);
typedef void (*hs_gallery_touched)(void *arg, int64_t identity_id);

/* Calls `each` for every embedding, by id, of one moment: that of *ret_version (may be NULL). */
int hs_gallery_for_each(struct hs_gallery *gallery, hs_gallery_each each, void *arg,
                        struct hs_gallery_version *ret_version, struct hs_error *err);

/* Leads from `since` to *ret_version: calls `touched` for every identity that was changed, removed or made after
 * `since`, then `each` for all embeddings that these have now. HS_ENOTFOUND: the changes are not all known any more,
 * and nothing was called. */
int hs_gallery_for_each_since(struct hs_gallery *gallery, const struct hs_gallery_version *since,
                              hs_gallery_touched touched, hs_gallery_each each, void *arg,
                              struct hs_gallery_version *ret_version, struct hs_error *err);

/* Cheap, and does not wait for changes: may be asked before each search. */
int hs_gallery_get_version(struct hs_gallery *gallery, struct hs_gallery_version *ret_version, struct hs_error *err);

struct hs_gallery_counts {
    int64_t identities, embeddings;
    int64_t size_bytes; /* of the database file */
    bool erase_pending; /* something that was erased is not yet gone from the file */
    bool lost;          /* the file was deleted or replaced while it was open: changes fail */
    bool failing;       /* the last change failed because the file or its disk cannot be used */
};

/* Never waits for a change. What cannot be counted now is as it was last counted. */
struct hs_gallery_counts hs_gallery_get_counts(struct hs_gallery *gallery);

/* SQLite's full integrity check and the foreign keys. HS_EIO with the first problem in err. Takes long. */
int hs_gallery_check(struct hs_gallery *gallery, struct hs_error *err);

/* ---- changing ---- */

/* HS_ENOTFOUND, HS_EINVAL: new name, HS_ECONFLICT: it is taken. */
int hs_gallery_rename(struct hs_gallery *gallery, const char *name, const char *new_name, struct hs_error *err);

/* Name and metadata at once, in one transaction: what is NULL stays. Errors as of rename; HS_EINVAL: metadata. */
struct hs_gallery_update {
    const char *new_name;
    const char *metadata; /* a JSON object; "" removes what is there */
};
int hs_gallery_update(struct hs_gallery *gallery, const char *name, const struct hs_gallery_update *update,
                      struct hs_error *err);

/* Moves the embeddings of `from` to `into` (as many as may stay: see hs_gallery_add) and removes `from`. `into` keeps
 * its metadata, or gets that of `from` if it has none. HS_ENOTFOUND, HS_EINVAL: both are the same. */
int hs_gallery_merge(struct hs_gallery *gallery, const char *from, const char *into, struct hs_error *err);

/* ---- erasing ---- */

struct hs_gallery_erased {
    int64_t embeddings; /* how many went */
    /* The log still holds the data, because a backup or another process is reading, or the disk failed; or another
     * program may have left copies in the file. The next change, the next opening, hs_gallery_finish_erasing or
     * hs_gallery_close erases it. */
    bool pending;
    /* Files that hold the data, or may: backups that were made after it came, or that do not say when they were made,
     * and damaged files set aside. hs_gallery_purge_all deletes them. */
    char **files;
    size_t file_count;
};

/* Removes an identity, or one embedding, so that no byte of the vectors, the name or the metadata is left in the
 * database, its log or its free pages. (What the file system or the disk keeps below the file is out of reach.)
 * ret_erased may be NULL; else the caller frees the content with hs_gallery_erased_finish. A backup that is being made
 * is among its files, by the name that it will have. HS_ENOTFOUND. */
int hs_gallery_remove(struct hs_gallery *gallery, const char *name, struct hs_gallery_erased *ret_erased,
                      struct hs_error *err);
int hs_gallery_remove_embedding(struct hs_gallery *gallery, int64_t embedding_id, struct hs_gallery_erased *ret_erased,
                                struct hs_error *err);
void hs_gallery_erased_finish(struct hs_gallery_erased *erased);

/* Does what an erasure left pending. With options.erase_later a removal does not wait for readers, and does not look
 * through the file for what another program may have left, but says `pending`; this is to be called then, from a thread
 * that has time. Rarely it rewrites the file; others may read meanwhile. HS_EBUSY: a reader is active; try again. */
int hs_gallery_finish_erasing(struct hs_gallery *gallery, struct hs_error *err);

/* ---- backups ---- */

struct hs_gallery_backup {
    char *path;
    char created_at[HS_GALLERY_TIME_SIZE]; /* as the clock was */
    int64_t number;                        /* newer backups have greater ones; 0: made before backups had numbers */
    int64_t size_bytes;
    bool set_aside; /* a damaged database, not a backup */
};

struct hs_gallery_backups {
    struct hs_gallery_backup *items; /* newest first, whatever the clock says; damaged files last */
    size_t count;
};

/* Writes backup_dir/faces-NNNNNN-YYYYMMDD-HHMMSS-<id>.db.gz: a copy of one moment, checked, compressed, renamed into
 * place. The number follows that of the newest backup, and the id is the gallery's: galleries may share a folder.
 * Backups without number and id, of older programs, count as this gallery's unless another one's are in the folder.
 * Others may read and write meanwhile. ret_path may be NULL. HS_EUNSUPPORTED: there is no backup folder. */
int hs_gallery_backup(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err);

/* Caller frees *ret_backups with hs_gallery_backups_destroy. */
int hs_gallery_list_backups(struct hs_gallery *gallery, struct hs_gallery_backups **ret_backups, struct hs_error *err);
void hs_gallery_backups_destroy(struct hs_gallery_backups *backups);

/* Replaces all content by that of a backup (a path, or a name in the backup folder), once it has been unpacked and
 * checked. What was there is backed up first, and nobody can change it meanwhile. HS_ENOTFOUND, HS_EDECODE: no good
 * backup, or its tables are not ours. */
int hs_gallery_restore(struct hs_gallery *gallery, const char *backup, struct hs_error *err);

/* Deletes all backups and set-aside files, which may hold what was erased since. If there are backups among them, a
 * new one is made before, so that there is always one: *ret_backup ("" if none was made) names it. What an erasure
 * left pending is done first. On success the caller frees *ret_purged, what went, with hs_gallery_backups_destroy;
 * if it fails, some of the files may be gone. */
int hs_gallery_purge_all(struct hs_gallery *gallery, char ret_backup[PATH_MAX], struct hs_gallery_backups **ret_purged,
                         struct hs_error *err);

/* ---- a look at a file that changes nothing: not migrated, not repaired, not made; see also survey.h ---- */

/* The embedding space that most embeddings of the file are in, HS_GALLERY_NO_SPACE left out; "" if there is no file,
 * none has one, or it cannot be told. Looks at nothing else. */
void hs_gallery_main_space(const char *path, int busy_timeout_ms, char ret_space[HS_GALLERY_SPACE_MAX + 1]);

#endif
