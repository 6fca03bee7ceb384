/* Removal that leaves nothing behind. The rows go in one transaction, overwritten; then the log is emptied into the
 * database; then the file is searched for copies that SQLite itself no longer knows of, and rewritten where there are.
 */
#include <stdlib.h>
#include <string.h>

#include "gallery/files.h"
#include "gallery/gallery.h"
#include "gallery/residue.h"
#include "gallery/sql.h"
#include "gallery/store.h"

static int no_memory(struct hs_error *err)
{
    return hs_error_set(err, HS_ENOMEM, "gallery: no memory");
}

/* Remembers the vectors of an identity: all, or the one of that id. */
static int remember_vectors(struct hs_gallery *gallery, int64_t identity_id, int64_t only_id,
                            struct hs_residue *residue, struct hs_error *err)
{
    sqlite3_stmt *stmt = hs_gallery_stmt(gallery, HS_STMT_EMBEDDINGS_OF);
    sqlite3_bind_int64(stmt, 1, identity_id);
    int r;
    while ((r = hs_sql_step(stmt, err)) > 0) {
        if (only_id && sqlite3_column_int64(stmt, 0) != only_id)
            continue;
        const void *blob = sqlite3_column_blob(stmt, 1);
        if (!hs_residue_add(residue, blob, blob ? (size_t) sqlite3_column_bytes(stmt, 1) : 0)) {
            r = no_memory(err);
            break;
        }
    }
    hs_sql_release(stmt);
    return r;
}

/* The name too, unless it is part of a text that stays. Called once the identity is deleted. */
static int remember_name(struct hs_gallery *gallery, const char *name, struct hs_residue *residue, struct hs_error *err)
{
    sqlite3_stmt *stmt = hs_gallery_stmt(gallery, HS_STMT_NAME_IS_PART);
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    int r = hs_sql_step(stmt, err);
    bool stays = r > 0 && sqlite3_column_int(stmt, 0);
    hs_sql_release(stmt);
    if (r < 0 || stays)
        return r < 0 ? r : 0;
    return hs_residue_add(residue, name, strlen(name)) ? 0 : no_memory(err);
}

static int run_with_id(struct hs_gallery *gallery, enum hs_gallery_statement which, int64_t id, struct hs_error *err)
{
    sqlite3_stmt *stmt = hs_gallery_stmt(gallery, which);
    sqlite3_bind_int64(stmt, 1, id);
    return hs_sql_run(stmt, err);
}

static int remove_identity(struct hs_gallery *gallery, const char *name, struct hs_residue *residue,
                           int64_t *ret_embeddings, struct hs_error *err)
{
    int64_t id;
    int r = hs_gallery_find(gallery, name, &id, err);
    if (r == 0)
        r = remember_vectors(gallery, id, 0, residue, err);
    if (r == 0)
        r = run_with_id(gallery, HS_STMT_DELETE_EMBEDDINGS_OF, id, err);
    if (r == 0) {
        *ret_embeddings = sqlite3_changes64(gallery->db);
        r = run_with_id(gallery, HS_STMT_DELETE_IDENTITY, id, err);
    }
    return r < 0 ? r : remember_name(gallery, name, residue, err);
}

static int remove_embedding(struct hs_gallery *gallery, int64_t id, struct hs_residue *residue, int64_t *ret_embeddings,
                            struct hs_error *err)
{
    sqlite3_stmt *stmt = hs_gallery_stmt(gallery, HS_STMT_OWNER_OF_EMBEDDING);
    sqlite3_bind_int64(stmt, 1, id);
    int r = hs_sql_step(stmt, err);
    int64_t identity_id = r > 0 ? sqlite3_column_int64(stmt, 0) : 0;
    hs_sql_release(stmt);
    if (r == 0)
        r = hs_error_set(err, HS_ENOTFOUND, "Embedding %lld not found", (long long) id);
    if (r > 0)
        r = remember_vectors(gallery, identity_id, id, residue, err);
    if (r == 0)
        r = run_with_id(gallery, HS_STMT_DELETE_EMBEDDING, id, err);
    if (r == 0)
        r = run_with_id(gallery, HS_STMT_TOUCH_IDENTITY, identity_id, err);
    *ret_embeddings = 1;
    return r;
}

/* The names of all backups and set-aside files: each is older than the erasure, which is just now. A backup that is
 * being made may have copied what was erased, so its end is waited for. */
static void list_files(struct hs_gallery *gallery, struct hs_gallery_erased *erased)
{
    struct hs_gallery_backups *files;
    int lock = hs_gallery_lock_folder(gallery->path);
    int r = hs_gallery_find_files(gallery->backup_dir, gallery->path, &files, NULL);
    hs_gallery_unlock_folder(lock);
    if (r < 0)
        return;
    erased->files = calloc(files->count + 1, sizeof(*erased->files));
    for (size_t i = 0; erased->files && i < files->count; i++) {
        erased->files[erased->file_count++] = files->items[i].path;
        files->items[i].path = NULL;
    }
    hs_gallery_backups_destroy(files);
}

void hs_gallery_erased_finish(struct hs_gallery_erased *erased)
{
    for (size_t i = 0; i < erased->file_count; i++)
        free(erased->files[i]);
    free(erased->files);
    *erased = (struct hs_gallery_erased) { 0 };
}

/* With both locks held. Where the file may be long and a rewriting is for later, others may read while it is searched:
 * that is done by another connection. */
static bool residue_is_left(struct hs_gallery *gallery, const struct hs_residue *residue)
{
    sqlite3 *db = NULL;
    int code;
    if (!gallery->rewrite_later)
        return hs_residue_is_in(residue, gallery->db);
    pthread_mutex_unlock(&gallery->lock);
    bool left = hs_sql_open(gallery->path, SQLITE_OPEN_READWRITE, gallery->vfs, 0, &db, &code, NULL) < 0 ||
                hs_residue_is_in(residue, db);
    sqlite3_close(db);
    pthread_mutex_lock(&gallery->lock);
    return left;
}

/* Removes the identity of that name, or where name is NULL the embedding of that id. */
static int erase(struct hs_gallery *gallery, const char *name, int64_t embedding_id,
                 struct hs_gallery_erased *ret_erased, struct hs_error *err)
{
    struct hs_residue residue = { 0 };
    struct hs_gallery_erased erased = { 0 };
    hs_gallery_lock_change(gallery);
    int r = hs_gallery_begin(gallery, err);
    if (r == 0) {
        r = name ? remove_identity(gallery, name, &residue, &erased.embeddings, err)
                 : remove_embedding(gallery, embedding_id, &residue, &erased.embeddings, err);
        r = hs_gallery_end(gallery, r, true, err);
    }
    if (r == 0) {
        /* While a reader keeps the log from being emptied, nothing can be said about the file: rewrite it later. */
        if (gallery->erase_pending || residue_is_left(gallery, &residue))
            gallery->vacuum_pending = true;
        if (gallery->vacuum_pending && !gallery->erase_pending)
            hs_gallery_empty_log(gallery);
        erased.pending = gallery->erase_pending;
    }
    hs_gallery_unlock_change(gallery);
    if (r == 0 && ret_erased)
        list_files(gallery, &erased);
    hs_residue_finish(&residue);
    if (r == 0 && ret_erased)
        *ret_erased = erased;
    return r;
}

int hs_gallery_remove(struct hs_gallery *gallery, const char *name, struct hs_gallery_erased *ret_erased,
                      struct hs_error *err)
{
    return erase(gallery, name, 0, ret_erased, err);
}

int hs_gallery_remove_embedding(struct hs_gallery *gallery, int64_t embedding_id, struct hs_gallery_erased *ret_erased,
                                struct hs_error *err)
{
    return erase(gallery, NULL, embedding_id, ret_erased, err);
}

/* ---- what was pending ---- */

/* What another connection's commits look like to this one, so that our own rewriting is not taken for a change by
 * others: they would read the whole gallery anew. */
static int data_version(sqlite3 *db, int64_t *ret_version, struct hs_error *err)
{
    return hs_sql_int(db, "PRAGMA data_version", ret_version, err);
}

static int rewrite_by(struct hs_gallery *gallery, sqlite3 *db, struct hs_error *err)
{
    int r = gallery->vacuum_pending ? hs_sql_exec(db, "VACUUM", err) : 0;
    if (r < 0)
        return r;
    int code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return code == SQLITE_OK ? 0 : hs_sql_error(db, code, "the log cannot be emptied", err);
}

/* Nobody but db has changed the file since `before` was read from it, where it still reads the same: then what the
 * gallery's own connection sees is our rewriting alone. In this order, so that a change in between is not missed. */
static void overlook_rewriting(struct hs_gallery *gallery, sqlite3 *db, int64_t before)
{
    int64_t seen, after;
    if (data_version(gallery->db, &seen, NULL) == 0 && data_version(db, &after, NULL) == 0 && after == before)
        gallery->data_version = seen;
}

/* With `changing` held. */
static int finish_erasing(struct hs_gallery *gallery, sqlite3 *db, struct hs_error *err)
{
    int64_t before = 0;
    int r = hs_gallery_configure(db, err);
    if (r == 0)
        r = data_version(db, &before, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&gallery->lock);
    r = hs_gallery_notice_changes(gallery, err);
    pthread_mutex_unlock(&gallery->lock);
    if (r == 0)
        r = rewrite_by(gallery, db, err);
    pthread_mutex_lock(&gallery->lock);
    if (r == 0) {
        gallery->vacuum_pending = false;
        gallery->erase_pending = false;
    }
    overlook_rewriting(gallery, db, before);
    pthread_mutex_unlock(&gallery->lock);
    return r;
}

int hs_gallery_finish_erasing(struct hs_gallery *gallery, struct hs_error *err)
{
    sqlite3 *db = NULL;
    int code, r = 0;
    pthread_mutex_lock(&gallery->changing);
    pthread_mutex_lock(&gallery->lock);
    bool pending = gallery->erase_pending;
    pthread_mutex_unlock(&gallery->lock);
    if (pending)
        r = hs_sql_open(gallery->path, SQLITE_OPEN_READWRITE, gallery->vfs, gallery->busy_timeout_ms, &db, &code, err);
    if (pending && r == 0)
        r = finish_erasing(gallery, db, err);
    sqlite3_close(db);
    pthread_mutex_unlock(&gallery->changing);
    return r;
}
