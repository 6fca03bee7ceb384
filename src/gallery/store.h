/* Inside the gallery: what its files share. */
#ifndef HS_GALLERY_STORE_H
#define HS_GALLERY_STORE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "gallery/gallery.h"

/* The statements that are prepared once, when the gallery opens. Embeddings of older files, or written by older
 * programs since, name no space: ?9 stands for theirs. */
#define HS_GALLERY_STATEMENTS(X)                                                                                       \
    X(BEGIN_READ, "BEGIN")                                                                                             \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                        \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(FIND_IDENTITY, "SELECT id FROM identities WHERE name = ?1")                                                      \
    X(INSERT_IDENTITY, "INSERT INTO identities (name, metadata) VALUES (?1, ?2)")                                      \
    X(TOUCH_IDENTITY, "UPDATE identities SET updated_at = CURRENT_TIMESTAMP WHERE id = ?1")                            \
    X(SET_METADATA, "UPDATE identities SET metadata = ?2, updated_at = CURRENT_TIMESTAMP WHERE id = ?1")               \
    X(SET_NAME, "UPDATE identities SET name = ?2, updated_at = CURRENT_TIMESTAMP WHERE id = ?1")                       \
    X(DELETE_IDENTITY, "DELETE FROM identities WHERE id = ?1")                                                         \
    X(INSERT_EMBEDDING, "INSERT INTO embeddings (identity_id, embedding, space, model, quality, source_sha256)"        \
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                            \
    X(DELETE_EMBEDDING, "DELETE FROM embeddings WHERE id = ?1")                                                        \
    X(DELETE_EMBEDDINGS_OF, "DELETE FROM embeddings WHERE identity_id = ?1")                                           \
    X(OWNER_OF_EMBEDDING, "SELECT identity_id FROM embeddings WHERE id = ?1")                                          \
    X(MOVE_EMBEDDINGS, "UPDATE embeddings SET identity_id = ?2 WHERE identity_id = ?1")                                \
    X(MOVE_METADATA, "UPDATE identities SET updated_at = CURRENT_TIMESTAMP, metadata = coalesce(metadata,"             \
                     " (SELECT metadata FROM identities WHERE id = ?1)) WHERE id = ?2")                                \
    X(LIST, "SELECT id, name, metadata, coalesce(created_at, ''), coalesce(updated_at, ''),"                           \
            " (SELECT count(*) FROM embeddings e WHERE e.identity_id = i.id)"                                          \
            " FROM identities i WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2")                                 \
    X(GET, "SELECT id, name, metadata, coalesce(created_at, ''), coalesce(updated_at, ''),"                            \
           " (SELECT count(*) FROM embeddings e WHERE e.identity_id = i.id) FROM identities i WHERE name = ?1")        \
    X(EMBEDDINGS_OF,                                                                                                   \
      "SELECT id, embedding, coalesce(space, ?9), model, quality, source_sha256, coalesce(created_at, '')"             \
      " FROM embeddings WHERE identity_id = ?1 ORDER BY id")                                                           \
    X(ALL_EMBEDDINGS, "SELECT e.id, e.identity_id, i.name, coalesce(e.space, ?9), e.embedding"                         \
                      " FROM embeddings e JOIN identities i ON i.id = e.identity_id ORDER BY e.id")                    \
    X(VALUES_OF, "SELECT embedding FROM embeddings WHERE id = ?1")                                                     \
    X(HAS_EMBEDDING,                                                                                                   \
      "SELECT EXISTS (SELECT 1 FROM embeddings e JOIN identities i ON i.id = e.identity_id WHERE i.name = ?1"          \
      " AND e.embedding = ?2 AND coalesce(e.space, ?9) = ?3)")                                                         \
    X(NAME_IS_PART, "SELECT EXISTS (SELECT 1 FROM identities WHERE instr(name, ?1) OR instr(metadata, ?1))")           \
    X(COUNT_IDENTITIES, "SELECT count(*) FROM identities")                                                             \
    X(COUNT_EMBEDDINGS, "SELECT count(*) FROM embeddings")                                                             \
    X(FORGET_REQUESTS, "DELETE FROM requests WHERE created_at <= datetime('now', '-24 hours')"                         \
                       " OR rowid <= (SELECT max(rowid) FROM requests) - ?1")                                          \
    X(REMEMBER_REQUEST, "INSERT INTO requests (key_sha256, body_sha256, identity_id, embedding_id, identity_created,"  \
                        " embedding_dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                         \
    X(RECALL_REQUEST,                                                                                                  \
      "SELECT body_sha256, identity_id, embedding_id, identity_created, embedding_dropped, name FROM requests r"       \
      " JOIN identities i ON i.id = r.identity_id WHERE key_sha256 = ?1"                                               \
      " AND r.created_at > datetime('now', '-24 hours')")                                                              \
    X(MOVE_REQUESTS, "UPDATE requests SET identity_id = ?2 WHERE identity_id = ?1")                                    \
    X(DATA_VERSION, "PRAGMA data_version")

enum hs_gallery_statement {
#define HS_GALLERY_ENUM(name, sql) HS_STMT_##name,
    HS_GALLERY_STATEMENTS(HS_GALLERY_ENUM)
#undef HS_GALLERY_ENUM
        HS_STMT_COUNT
};

struct hs_gallery {
    /* Held by a change from its beginning until nothing of what it erased is left; comes before `lock`. Who holds it
     * alone may look into the file for long while others read. */
    pthread_mutex_t changing;
    pthread_mutex_t lock; /* guards all below; taken by each public function, never while another lock is wanted */
    sqlite3 *db;
    sqlite3_stmt *statements[HS_STMT_COUNT];
    char *path, *backup_dir, *legacy_space, *vfs; /* backup_dir and vfs may be NULL */
    int keep_backups, max_embeddings_per_identity, busy_timeout_ms;
    struct hs_gallery_version version;
    int64_t data_version;       /* SQLite's, when version.foreign was last brought up to date */
    bool rewrite_later;         /* hs_gallery_finish_erasing rewrites the file, and not the change */
    bool erase_pending;         /* the log still holds what was erased, or a page does */
    atomic_bool vacuum_pending; /* pages of the database may; written with the lock held */

    pthread_mutex_t counts_lock; /* guards what follows; comes last */
    struct hs_gallery_counts counts;
    uint64_t counted; /* version.own + version.foreign + 1 when that was counted */
};

/* Takes both locks, for a change. */
void hs_gallery_lock_change(struct hs_gallery *gallery);
void hs_gallery_unlock_change(struct hs_gallery *gallery);

/* With the lock held: */

sqlite3_stmt *hs_gallery_stmt(struct hs_gallery *gallery, enum hs_gallery_statement which);

/* Brings version.foreign up to date. */
int hs_gallery_notice_changes(struct hs_gallery *gallery, struct hs_error *err);

/* Begins a change; and ends it: commits where r is 0, counts it, and empties the log where `erases` or where that is
 * still to be done. */
int hs_gallery_begin(struct hs_gallery *gallery, struct hs_error *err);
int hs_gallery_end(struct hs_gallery *gallery, int r, bool erases, struct hs_error *err);

/* The same for what only reads, and wants to see one moment. */
int hs_gallery_begin_read(struct hs_gallery *gallery, struct hs_error *err);
void hs_gallery_end_read(struct hs_gallery *gallery);

/* HS_ENOTFOUND names it. */
int hs_gallery_find(struct hs_gallery *gallery, const char *name, int64_t *ret_id, struct hs_error *err);

/* Inside a change, with arguments that were checked: what hs_gallery_add does; and whether the identity of that name
 * has this very embedding. */
int hs_gallery_add_inside(struct hs_gallery *gallery, const char *name, const char *metadata,
                          const struct hs_gallery_new_embedding *embedding, struct hs_gallery_added *added,
                          struct hs_error *err);
int hs_gallery_has_inside(struct hs_gallery *gallery, const char *name,
                          const struct hs_gallery_new_embedding *embedding, bool *ret_present, struct hs_error *err);

/* Drops embeddings of an identity until no space has more than may stay; the last one's id in *ret_dropped, else 0. */
int hs_gallery_trim(struct hs_gallery *gallery, int64_t identity_id, int64_t *ret_dropped, struct hs_error *err);

/* Copies what one statement found: at most `max` floats of a blob. The count, or 0 where it is no whole vector. */
size_t hs_gallery_column_floats(sqlite3_stmt *stmt, int column, float *ret_values, size_t max);

/* Moves everything from the log into the database and cuts it to nothing; remembers what could not be done. Rewrites
 * the file where that is pending and not for later. */
void hs_gallery_empty_log(struct hs_gallery *gallery);

/* Without it: */

/* The settings of each connection to a gallery file. */
int hs_gallery_configure(sqlite3 *db, struct hs_error *err);

/* Copies the text of a column (NULL for NULL) into *ret_text; false without memory. Caller frees with free(). */
bool hs_gallery_column_text(sqlite3_stmt *stmt, int column, char **ret_text);

#endif
