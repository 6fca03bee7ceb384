/* Declarations shared by the gallery's source files.
 *
 * One connection writes, guarded by the change lock: a mutex among the threads of this process,
 * BEGIN IMMEDIATE among processes. Up to HS_GALLERY_READERS other connections read, each in its own
 * transaction; the log (WAL) lets them read while a change waits or runs. */
#ifndef HS_GALLERY_GALLERY_INTERNAL_H
#define HS_GALLERY_GALLERY_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "gallery/audit_log.h"
#include "gallery/crypt_keys.h"
#include "gallery/gallery.h"
#include "gallery/scrub.h"
#include "gallery/sql.h"

/* Reads one character more than HS_GALLERY_METADATA_MAX, enough to detect oversized metadata, which
 * only another program can have written. */
#define HS_GALLERY_METADATA "substr(metadata, 1, 4097)"

#define HS_AUDIT_INSERT "INSERT INTO audit_log (seq, entry, hash) VALUES (?1, ?2, ?3)"

/* The statements prepared when the gallery opens. Older programs write embeddings without a space;
 * ?9 is the space used for them. */
#define HS_GALLERY_STATEMENTS(X)                                                                                       \
    X(BEGIN_READ, "BEGIN")                                                                                             \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(FIND_IDENTITY, "SELECT id, name FROM identities WHERE name IN (?1, ?2) ORDER BY name = ?1 DESC LIMIT 1")         \
    X(INSERT_IDENTITY, "INSERT INTO identities (name, metadata, change) VALUES (?1, ?2, ?3)")                          \
    X(SET_TIMES, "UPDATE identities SET created_at = coalesce(?2, created_at),"                                        \
                 " updated_at = coalesce(?3, updated_at) WHERE id = ?1")                                               \
    X(OLDEST_CHANGE, "SELECT CASE WHEN count(*) = count(change) THEN min(change) END FROM"                             \
                     " (SELECT change FROM identities WHERE id = ?1"                                                   \
                     " UNION ALL SELECT change FROM embeddings WHERE identity_id = ?1)")                               \
    X(CHANGE_OF_EMBEDDING, "SELECT change FROM embeddings WHERE id = ?1")                                              \
    X(TOUCH_IDENTITY, "UPDATE identities SET updated_at = CURRENT_TIMESTAMP WHERE id = ?1")                            \
    X(SET_METADATA, "UPDATE identities SET metadata = ?2, updated_at = CURRENT_TIMESTAMP WHERE id = ?1")               \
    X(SET_NAME, "UPDATE identities SET name = ?2, updated_at = CURRENT_TIMESTAMP WHERE id = ?1")                       \
    X(DELETE_IDENTITY, "DELETE FROM identities WHERE id = ?1")                                                         \
    X(INSERT_EMBEDDING, "INSERT INTO embeddings (identity_id, embedding, space, model, quality, source_sha256,"        \
                        " change, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?8, CURRENT_TIMESTAMP))")   \
    X(DELETE_EMBEDDING, "DELETE FROM embeddings WHERE id = ?1")                                                        \
    X(DELETE_EMBEDDINGS_OF, "DELETE FROM embeddings WHERE identity_id = ?1")                                           \
    X(OWNER_OF_EMBEDDING, "SELECT identity_id FROM embeddings WHERE id = ?1")                                          \
    X(SET_VECTOR, "UPDATE embeddings SET embedding = ?2 WHERE id = ?1")                                                \
    X(MOVE_EMBEDDINGS, "UPDATE embeddings SET identity_id = ?2 WHERE identity_id = ?1")                                \
    X(MOVE_METADATA, "UPDATE identities SET updated_at = CURRENT_TIMESTAMP, metadata = coalesce(metadata,"             \
                     " (SELECT metadata FROM identities WHERE id = ?1)) WHERE id = ?2")                                \
    X(LIST, "SELECT id, name, " HS_GALLERY_METADATA ", coalesce(created_at, ''), coalesce(updated_at, ''),"            \
            " (SELECT count(*) FROM embeddings e WHERE e.identity_id = i.id), coalesce(expires_at, '')"                \
            " FROM identities i WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2")                                 \
    X(GET, "SELECT id, name, " HS_GALLERY_METADATA ", coalesce(created_at, ''), coalesce(updated_at, ''),"             \
           " (SELECT count(*) FROM embeddings e WHERE e.identity_id = i.id), coalesce(expires_at, '')"                 \
           " FROM identities i WHERE name IN (?1, ?2) ORDER BY name = ?1 DESC LIMIT 1")                                \
    X(EMBEDDINGS_OF,                                                                                                   \
      "SELECT id, embedding, coalesce(space, ?9), model, quality, source_sha256, coalesce(created_at, '')"             \
      " FROM embeddings WHERE identity_id = ?1 ORDER BY id")                                                           \
    X(ALL_EMBEDDINGS, "SELECT e.id, e.identity_id, i.name, coalesce(e.space, ?9), e.embedding"                         \
                      " FROM embeddings e JOIN identities i ON i.id = e.identity_id ORDER BY e.id")                    \
    X(CHANGED_EMBEDDINGS, "SELECT e.id, e.identity_id, i.name, coalesce(e.space, ?9), e.embedding"                     \
                          " FROM embeddings e JOIN identities i ON i.id = e.identity_id"                               \
                          " WHERE e.identity_id IN (SELECT identity_id FROM changes WHERE number > ?1) ORDER BY e.id") \
    X(CHANGED_IDENTITIES, "SELECT DISTINCT identity_id FROM changes WHERE number > ?1")                                \
    X(COUNT_CHANGES, "SELECT count(DISTINCT number), count(*) FROM changes WHERE number > ?1")                         \
    X(LOG_CHANGE, "INSERT OR IGNORE INTO changes (number, identity_id) VALUES (?1, ?2)")                               \
    X(DELETE_CHANGES, "DELETE FROM changes WHERE number <= ?1")                                                        \
    X(GET_CHANGE, "SELECT change FROM gallery")                                                                        \
    X(SET_CHANGE, "UPDATE gallery SET change = ?1")                                                                    \
    X(GET_DATA_KEY, "SELECT coalesce(data_key, 0) FROM gallery")                                                       \
    X(VALUES_OF, "SELECT embedding, identity_id FROM embeddings WHERE id = ?1")                                        \
    X(DELETE_REQUESTS, "DELETE FROM requests WHERE created_at <= datetime('now', '-24 hours')"                         \
                       " OR rowid <= (SELECT max(rowid) FROM requests) - ?1")                                          \
    X(INSERT_REQUEST, "INSERT INTO requests (key_sha256, body_sha256, identity_id, embedding_id, identity_created,"    \
                      " embedding_dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                           \
    X(GET_REQUEST,                                                                                                     \
      "SELECT body_sha256, identity_id, embedding_id, identity_created, embedding_dropped, name FROM requests r"       \
      " JOIN identities i ON i.id = r.identity_id WHERE key_sha256 = ?1"                                               \
      " AND r.created_at > datetime('now', '-24 hours')")                                                              \
    X(MOVE_REQUESTS, "UPDATE requests SET identity_id = ?2 WHERE identity_id = ?1")                                    \
    X(SET_EXPIRY, "UPDATE identities SET expires_at = nullif(?2, ''), updated_at = CURRENT_TIMESTAMP WHERE id = ?1")   \
    X(MERGE_EXPIRY,                                                                                                    \
      "UPDATE identities SET expires_at = nullif(min(coalesce(expires_at, 'd'), coalesce((SELECT expires_at"           \
      " FROM identities WHERE id = ?1), 'd')), 'd') WHERE id = ?2")                                                    \
    X(HAS_EXPIRY, "SELECT EXISTS (SELECT 1 FROM identities WHERE expires_at IS NOT NULL)")                             \
    X(EXPIRED, "SELECT id FROM identities i WHERE id BETWEEN ?3 AND ?4 AND CASE WHEN expires_at IS NULL THEN ?2 <> ''" \
               " AND coalesce((SELECT max(created_at) FROM embeddings e WHERE e.identity_id = i.id), created_at)"      \
               " BETWEEN '0' AND ?2 ELSE expires_at BETWEEN '0' AND ?1 END")                                           \
    X(AUDIT_INSERT, HS_AUDIT_INSERT)                                                                                   \
    X(AUDIT_HEAD, "SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1")                                         \
    X(AUDIT_ENTRY, "SELECT seq, hash FROM audit_log WHERE seq = ?1")                                                   \
    X(AUDIT_UNTIL, "SELECT seq, hash FROM audit_log WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1")                        \
    X(AUDIT_FIRST, "SELECT min(seq) FROM audit_log")                                                                   \
    X(AUDIT_DELETE, "DELETE FROM audit_log WHERE seq <= ?1")                                                           \
    X(AUDIT_ENTRIES, "SELECT seq, entry, hash FROM audit_log WHERE seq > ?1 ORDER BY seq")                             \
    X(AUDIT_CHECKPOINT, "SELECT entry FROM audit_log WHERE entry LIKE '%\"action\":\"checkpoint\"%'"                   \
                        " ORDER BY seq DESC LIMIT 1")

enum hs_gallery_statement {
#define HS_GALLERY_ENUM(name, sql) HS_STMT_##name,
    HS_GALLERY_STATEMENTS(HS_GALLERY_ENUM)
#undef HS_GALLERY_ENUM
        HS_STMT_COUNT
};

enum {
    HS_GALLERY_READERS = 8,
    HS_GALLERY_CHANGES_MAX = 1000, /* changes recorded in the file for hs_gallery_for_each_since */
    HS_GALLERY_UID_SIZE = 17,      /* 16 hexadecimal digits and NUL */
    /* A restore increases the change number by this much. No other process can make so many changes without noticing
     * the restore. */
    HS_GALLERY_RESTORE_CHANGES = 1 << 20,
};

struct hs_gallery_conn {
    sqlite3 *db;
    const char *legacy_space; /* both borrowed from the gallery */
    struct hs_gallery_keys *keys;
    sqlite3_stmt *statements[HS_STMT_COUNT];
    struct hs_gallery_conn *next; /* next idle reader */
    unsigned erasures;            /* the gallery's count when this connection last dropped its cached pages */
    struct hs_scrub scrub;
};

/* The entry of the audit log that the current change will append. */
struct hs_audit_member {
    const char *name;
    bool is_text;
    int64_t number;
    char text[HS_AUDIT_HEX_SIZE];
};

struct hs_audit_draft {
    const char *action; /* NULL: the change has no entry */
    struct hs_audit_member members[8];
    size_t count;
};

struct hs_gallery {
    /* Constant while the gallery is open. */
    char *path, *backup_dir, *legacy_space, *vfs; /* backup_dir and vfs may be NULL */
    int keep_backups, max_embeddings_per_identity, busy_timeout_ms;
    bool erase_later;
    bool audit;
    int audit_keep; /* number of entries */
    char *actor;
    struct hs_gallery_keys *keys;  /* thread-safe */
    char uid[HS_GALLERY_UID_SIZE]; /* unique id of the gallery, also stored in the file; set when opening */
    dev_t dev;                     /* of the file */
    ino_t ino;

    /* The change lock. `changing` is true while a thread holds it; that thread owns the fields up
     * to readers_lock. Lock order: the folder's lock (files.h), the change lock, readers_lock. */
    pthread_mutex_t change_lock;
    pthread_cond_t change_ends;
    bool changing;
    struct hs_gallery_conn *writer;
    uint32_t resets;         /* read together with `change` */
    int64_t change;          /* number of the last change in the file */
    int64_t data_key;        /* number of the data key for new vectors; 0: they are plain */
    bool logged;             /* the current change has touched something */
    int64_t change_began_ns; /* of the current change, before its lock */
    struct hs_audit_draft draft;
    struct hs_audit_head audit_seen, audit_next; /* the newest known entry; the one to be committed, or number 0 */
    bool suspect; /* another program may have left old content in unused parts of the file */

    pthread_mutex_t readers_lock; /* guards the fields up to reader_count */
    pthread_cond_t reader_is_idle;
    struct hs_gallery_conn *idle;
    int reader_count;

    pthread_mutex_t version_lock; /* guards the fields up to rewritten_seen */
    uint32_t first_uncounted;     /* commits minus changes when the gallery opened */
    uint32_t rewritten;           /* commit count after the last rewrite of the file, if this process made it */
    bool rewritten_seen;          /* a version with this commit count was returned */

    atomic_uint erasures;      /* changes that erased something; a reader with an older count may cache erased pages */
    atomic_bool erase_pending; /* the log or an unused part of the file still holds erased content */
    atomic_bool lost;          /* the file was deleted or replaced */
    atomic_bool failing;       /* the last change failed because the file or its disk is unusable */

    pthread_mutex_t counts_lock; /* guards the fields below */
    struct hs_gallery_counts counts;
    struct hs_gallery_version counted; /* version at the time of the count */
};

/* ---- connections ---- */

/* Opens a connection, applies its settings, attaches the scrubber and, if `prepared`, prepares all
 * statements. *ret_damaged is set if a damaged file caused the failure. Caller frees with
 * hs_gallery_disconnect. */
int hs_gallery_connect(const struct hs_gallery *gallery, const char *path, bool prepared,
                       struct hs_gallery_conn **ret_conn, bool *ret_damaged, struct hs_error *err);
int hs_gallery_prepare(struct hs_gallery_conn *conn, struct hs_error *err);
void hs_gallery_disconnect(struct hs_gallery_conn *conn); /* NULL allowed */

/* Returns HS_EIO if the file at the path was deleted or replaced, and sets `lost`. Any thread. */
int hs_gallery_check_file(struct hs_gallery *gallery, struct hs_error *err);

/* Begins a read transaction on a snapshot of the file. May wait for a free reader, never for a change. */
int hs_gallery_begin_read(struct hs_gallery *gallery, struct hs_gallery_conn **ret_conn, struct hs_error *err);
void hs_gallery_end_read(struct hs_gallery *gallery, struct hs_gallery_conn *conn);

/* ---- changes ---- */

/* Acquires the change lock; waits at most busy_timeout_ms (HS_EBUSY). */
int hs_gallery_lock_change(struct hs_gallery *gallery, struct hs_error *err);
void hs_gallery_unlock_change(struct hs_gallery *gallery);

/* Acquires the change lock and begins a transaction of the writer. On failure, neither is held.
 * HS_EBUSY: another process is writing; HS_EIO: the file was deleted or replaced. */
int hs_gallery_begin(struct hs_gallery *gallery, struct hs_error *err);

/* Inside a change: records that this identity changed, for search indexes. HS_GALLERY_NO_IDENTITY: none did, but the
 * change commits something, and therefore needs a number. */
enum { HS_GALLERY_NO_IDENTITY = 0 };
int hs_gallery_touch(struct hs_gallery *gallery, int64_t identity_id, struct hs_error *err);

/* Ends a change: appends its entry to the audit log and commits if r is 0, otherwise rolls back. Empties the log if
 * `erases` is set or an erasure is pending. Releases the change lock. Returns r, or the error of the commit. */
int hs_gallery_end(struct hs_gallery *gallery, int r, bool erases, struct hs_error *err);

/* ---- the audit log: see audit_log.h ---- */

/* Inside a change: begins its entry, and adds members. A text has at most HS_AUDIT_HEX_SIZE - 1 bytes. A change
 * without a draft gets an entry with the action "change". */
void hs_audit_draft(struct hs_gallery *gallery, const char *action);
void hs_audit_number(struct hs_gallery *gallery, const char *name, int64_t value);
void hs_audit_text(struct hs_gallery *gallery, const char *name, const char *text);

/* For hs_gallery_end: appends the entry; after the commit, stores the head. */
int hs_audit_append(struct hs_gallery *gallery, struct hs_error *err);
void hs_audit_committed(struct hs_gallery *gallery);

/* While opening: compares the log with the head beside the file. Appends an entry if it does not fit, and
 * gallery->draft if it has an action. If a backup has replaced a damaged file, which was renamed to `damaged` ("":
 * none), first appends the entries of that file that continue the chain of the backup. */
int hs_audit_open(struct hs_gallery *gallery, const char *damaged, struct hs_error *err);

/* For a restore: replaces the log in the database `into` by that of the gallery, which `from` reads, and appends an
 * entry for the restore. `change` is the number of the change. The caller then calls hs_audit_committed. */
int hs_audit_carry(struct hs_gallery *gallery, struct hs_gallery_conn *from, sqlite3 *into, int64_t change,
                   struct hs_error *err);

/* ---- changes, continued ---- */

/* Reads the version of the current transaction, which must not have read anything else before.
 * Returns 1 on success, and 0 if a commit happened meanwhile, so that the version is ambiguous;
 * then begin a new transaction. */
int hs_gallery_read_version(struct hs_gallery *gallery, struct hs_gallery_conn *conn,
                            struct hs_gallery_version *ret_version, struct hs_error *err);

/* With the change lock held: checkpoints the log, truncates it to zero bytes, and rewrites the file
 * if its unused parts hold old content. Returns the error; on failure erase_pending stays set.
 * Waits only briefly for readers (HS_EBUSY). With erase_later, inspects the file only if
 * `thoroughly`, because that is slow. */
int hs_gallery_empty_log(struct hs_gallery *gallery, bool thoroughly, struct hs_error *err);

/* Inside a change, with all arguments checked except the name: hs_gallery_add_in_txn does the work
 * of hs_gallery_add; hs_gallery_has_in_txn checks if the identity `name` already has an identical
 * embedding. */
int hs_gallery_add_in_txn(struct hs_gallery *gallery, const char *name, const char *metadata,
                          const struct hs_gallery_new_embedding *embedding, struct hs_gallery_added *added,
                          struct hs_error *err);
int hs_gallery_has_in_txn(struct hs_gallery *gallery, const char *name,
                          const struct hs_gallery_new_embedding *embedding, bool *ret_present, struct hs_error *err);

/* hs_gallery_remove, with another action in the audit log. */
int hs_gallery_remove_as(struct hs_gallery *gallery, const char *action, const char *name,
                         struct hs_gallery_erased *ret_erased, struct hs_error *err);

/* Erases the identity if its time is over (STMT_EXPIRED), as hs_gallery_remove does, else HS_ENOTFOUND. */
struct hs_gallery_due {
    char now[HS_GALLERY_TIME_SIZE];
    char since[HS_GALLERY_TIME_SIZE]; /* an identity without a time of its own needs a newer embedding; "": none */
};
int hs_gallery_erase_due(struct hs_gallery *gallery, const struct hs_gallery_due *due, int64_t id,
                         struct hs_gallery_erased *ret_erased, struct hs_error *err);

/* Inside a change: finds the identity with exactly this name, or else with the normalized name.
 * HS_ENOTFOUND; the message contains the name. */
int hs_gallery_find(struct hs_gallery *gallery, const char *name, int64_t *ret_id, struct hs_error *err);

/* Binds FIND_IDENTITY or GET to the exact name and its normalized form (NULL if the name is
 * invalid). `clean` must stay valid until the statement is released. Returns NULL if memory is
 * short. */
sqlite3_stmt *hs_gallery_bind_name(struct hs_gallery_conn *conn, enum hs_gallery_statement which, const char *name,
                                   char clean[HS_GALLERY_NAME_MAX + 1], struct hs_error *err);

/* ---- statements ---- */

/* The value of a parameter. Texts (may be NULL) and bytes are borrowed until the statement is released. */
struct hs_gallery_value {
    enum { HS_VALUE_NUMBER, HS_VALUE_TEXT, HS_VALUE_BYTES } kind;
    int64_t number;
    const void *data; /* NULL in HS_VALUE_BYTES: zeros */
    size_t size;
};
#define HS_NUMBER(n) ((struct hs_gallery_value) { .kind = HS_VALUE_NUMBER, .number = (n) })
#define HS_TEXT(text) ((struct hs_gallery_value) { .kind = HS_VALUE_TEXT, .data = (text) })
#define HS_BYTES(data_, n) ((struct hs_gallery_value) { .kind = HS_VALUE_BYTES, .data = (data_), .size = (n) })
#define HS_GALLERY_VALUES(...)                                                                                         \
    (const struct hs_gallery_value[]){ __VA_ARGS__ },                                                                  \
        sizeof((const struct hs_gallery_value[]) { __VA_ARGS__ }) / sizeof(struct hs_gallery_value)

/* Binds the parameters ?1, ?2, … and ?9. The caller steps the statement and releases it. */
#define HS_GALLERY_BIND(conn, which, ...) hs_gallery_bind(conn, which, HS_GALLERY_VALUES(__VA_ARGS__))
sqlite3_stmt *hs_gallery_bind(struct hs_gallery_conn *conn, enum hs_gallery_statement which,
                              const struct hs_gallery_value *values, size_t count);

/* Inside a change: runs a statement that returns no rows. */
#define HS_GALLERY_RUN(gallery, which, err, ...) hs_sql_run(HS_GALLERY_BIND((gallery)->writer, which, __VA_ARGS__), err)

/* Reads the first column of the first row and releases the statement. Returns 1, or 0 with *ret 0
 * if the result is empty. */
int hs_gallery_read_number(sqlite3_stmt *stmt, int64_t *ret, struct hs_error *err);

/* Inside a change: stores the vector of an existing embedding, sealed if the gallery is encrypted. */
int hs_gallery_store_vector(struct hs_gallery *gallery, struct hs_crypt_row row, const float *values, size_t dimension,
                            struct hs_error *err);

/* ---- schema: PRAGMA user_version is its number; 0 is the two-table file of the first programs ---- */

enum { HS_GALLERY_SCHEMA = 8 };

/* Reads the schema version; -1 for a file without our tables. HS_EVERSION: newer than this program supports. */
int hs_gallery_schema_of(sqlite3 *db, int *ret_version, struct hs_error *err);

/* Migrates the file to the current schema, one transaction per step. Erases and counts embeddings
 * without an identity; assigns legacy_space to embeddings without a space; assigns `uid` to a file
 * without one. */
int hs_gallery_migrate(sqlite3 *db, const char *legacy_space, const char *uid, int64_t *ret_orphans,
                       struct hs_error *err);

/* hs_gallery_check_objects returns HS_EDECODE if a file of any schema has triggers, views, virtual
 * tables, indexes, constraints or tables that are not ours; the message names the first.
 * hs_gallery_check_schema also requires the columns of the current schema. */
int hs_gallery_check_objects(sqlite3 *db, struct hs_error *err);
int hs_gallery_check_schema(sqlite3 *db, struct hs_error *err);

int hs_gallery_no_memory(struct hs_error *err); /* returns HS_ENOMEM */

#endif
