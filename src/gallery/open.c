/* Opening: what is looked at first, and what is done about a damaged or an old file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/backup.h"
#include "gallery/files.h"
#include "gallery/gallery.h"
#include "gallery/migrate.h"
#include "gallery/sql.h"
#include "gallery/store.h"

enum { MOST_EMBEDDINGS = 1000, CACHE_KIB = 8192 };

static int check_options(const struct hs_gallery_options *options, struct hs_error *err)
{
    if (!options->path || !*options->path)
        return hs_error_set(err, HS_EINVAL, "gallery: no path");
    if (options->backup_dir && options->keep_backups < 1)
        return hs_error_set(err, HS_EINVAL, "gallery: keep_backups must be at least 1");
    if (options->max_embeddings_per_identity < 0 || options->max_embeddings_per_identity > MOST_EMBEDDINGS)
        return hs_error_set(err, HS_EINVAL, "gallery: max_embeddings_per_identity must be 0 to %d", MOST_EMBEDDINGS);
    if (options->busy_timeout_ms < 0)
        return hs_error_set(err, HS_EINVAL, "gallery: busy_timeout_ms must not be negative");
    return 0;
}

static bool copy_text(char **ret_text, const char *text)
{
    *ret_text = text ? strdup(text) : NULL;
    return *ret_text || !text;
}

static int create(const struct hs_gallery_options *options, struct hs_gallery **ret_gallery, struct hs_error *err)
{
    struct hs_gallery *gallery = calloc(1, sizeof(*gallery));
    if (!gallery)
        return hs_error_set(err, HS_ENOMEM, "gallery: no memory");
    pthread_mutex_init(&gallery->changing, NULL);
    pthread_mutex_init(&gallery->lock, NULL);
    pthread_mutex_init(&gallery->counts_lock, NULL);
    gallery->rewrite_later = options->rewrite_later;
    gallery->keep_backups = options->keep_backups;
    gallery->max_embeddings_per_identity = options->max_embeddings_per_identity;
    gallery->busy_timeout_ms = options->busy_timeout_ms;
    if (!copy_text(&gallery->path, options->path) || !copy_text(&gallery->backup_dir, options->backup_dir) ||
        !copy_text(&gallery->legacy_space, options->legacy_space ? options->legacy_space : "unknown") ||
        !copy_text(&gallery->vfs, options->vfs)) {
        hs_gallery_close(gallery);
        return hs_error_set(err, HS_ENOMEM, "gallery: no memory");
    }
    *ret_gallery = gallery;
    return 0;
}

static void close_database(struct hs_gallery *gallery)
{
    for (size_t i = 0; i < HS_STMT_COUNT; i++) {
        sqlite3_finalize(gallery->statements[i]);
        gallery->statements[i] = NULL;
    }
    sqlite3_close(gallery->db);
    gallery->db = NULL;
}

void hs_gallery_close(struct hs_gallery *gallery)
{
    if (!gallery)
        return;
    gallery->rewrite_later = false;
    if (gallery->erase_pending)
        hs_gallery_empty_log(gallery);
    close_database(gallery);
    pthread_mutex_destroy(&gallery->counts_lock);
    pthread_mutex_destroy(&gallery->lock);
    pthread_mutex_destroy(&gallery->changing);
    free(gallery->path);
    free(gallery->backup_dir);
    free(gallery->legacy_space);
    free(gallery->vfs);
    free(gallery);
}

int hs_gallery_configure(sqlite3 *db, struct hs_error *err)
{
    char sql[256];
    hs_str_format(sql, sizeof(sql),
                  "PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA synchronous = FULL;"
                  "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                  "PRAGMA cache_size = -%d",
                  CACHE_KIB);
    return hs_sql_exec(db, sql, err);
}

/* Opens the file and looks whether it is whole. A file that others have open must not be opened and closed by hand
 * (POSIX locks of the whole process would go), so only a new one is. */
static int connect(struct hs_gallery *gallery, bool *ret_damaged, struct hs_error *err)
{
    int fd = open(gallery->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        return hs_error_set(err, HS_EIO, "%s: %s", gallery->path, strerror(errno));
    if (fd >= 0)
        close(fd);
    int code;
    int r = hs_sql_open(gallery->path, SQLITE_OPEN_READWRITE, gallery->vfs, gallery->busy_timeout_ms, &gallery->db,
                        &code, err);
    if (r < 0) {
        *ret_damaged = hs_sql_is_damage(code);
        return r;
    }
    r = hs_sql_check(gallery->db, "PRAGMA quick_check(1)", ret_damaged, err);
    return r < 0 ? r : hs_gallery_configure(gallery->db, err);
}

static int migrate(struct hs_gallery *gallery, struct hs_gallery_opened *opened, struct hs_error *err)
{
    int version;
    int r = hs_gallery_schema_of(gallery->db, &version, err);
    if (r < 0)
        return r;
    bool old = version >= 0 && version < HS_GALLERY_SCHEMA;
    if (old && gallery->backup_dir)
        r = hs_gallery_backup_locked(gallery, opened->backed_up_to, err);
    if (r == 0)
        r = hs_gallery_migrate(gallery->db, gallery->legacy_space, &opened->orphans_erased, err);
    opened->created = version < 0;
    opened->migrated_from = old ? version : -1;
    return r;
}

static int use_log(sqlite3 *db, struct hs_error *err)
{
    sqlite3_stmt *stmt;
    int r = hs_sql_prepare(db, "PRAGMA journal_mode = WAL", &stmt, err);
    if (r < 0)
        return r;
    r = hs_sql_step(stmt, err);
    const char *mode = r > 0 ? (const char *) sqlite3_column_text(stmt, 0) : NULL;
    if (r >= 0)
        r = mode && strcmp(mode, "wal") == 0 ? 0 : hs_error_set(err, HS_EIO, "gallery: this folder takes no log");
    sqlite3_finalize(stmt);
    return r;
}

static int prepare_statements(struct hs_gallery *gallery, struct hs_error *err)
{
    static const char *const texts[] = {
#define HS_GALLERY_TEXT(name, sql) sql,
        HS_GALLERY_STATEMENTS(HS_GALLERY_TEXT)
#undef HS_GALLERY_TEXT
    };
    _Static_assert(HS_ARRAY_LEN(texts) == HS_STMT_COUNT, "one text a statement");
    int r = 0;
    for (size_t i = 0; i < HS_STMT_COUNT && r == 0; i++)
        r = hs_sql_prepare(gallery->db, texts[i], &gallery->statements[i], err);
    return r;
}

/* A file of the present version whose tables are not ours is damaged, though every page of it may be well. */
static int open_whole(struct hs_gallery *gallery, struct hs_gallery_opened *opened, bool *ret_damaged,
                      struct hs_error *err)
{
    int r = migrate(gallery, opened, err);
    if (r == 0)
        r = use_log(gallery->db, err);
    if (r == 0) {
        r = prepare_statements(gallery, err);
        *ret_damaged = r == HS_EINTERNAL;
    }
    if (r == 0)
        r = hs_gallery_notice_changes(gallery, err);
    if (r < 0)
        return r;
    gallery->version = (struct hs_gallery_version) { 0 };
    hs_gallery_empty_log(gallery); /* of what was erased just before a crash */
    return 0;
}

/* Renames the damaged file and its log, so that they can still be looked into. */
static int set_aside(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err)
{
    char base[PATH_MAX], log[PATH_MAX], log_aside[PATH_MAX], index[PATH_MAX], stamp[HS_GALLERY_STAMP_SIZE];
    hs_gallery_stamp(stamp);
    if (!hs_str_format(base, sizeof(base), "%s.corrupt-%s", gallery->path, stamp) ||
        !hs_str_format(log, sizeof(log), "%s-wal", gallery->path) ||
        !hs_str_format(index, sizeof(index), "%s-shm", gallery->path))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", gallery->path);
    int r = hs_gallery_rename_free(gallery->path, base, "", ret_path, err);
    if (r < 0)
        return r;
    unlink(index);
    if (hs_str_format(log_aside, sizeof(log_aside), "%s-wal", ret_path) && rename(log, log_aside) < 0)
        unlink(log);
    return 0;
}

static int open_locked(struct hs_gallery *gallery, struct hs_gallery_opened *opened, struct hs_error *err)
{
    bool damaged = false;
    hs_gallery_clean_up(gallery);
    int r = connect(gallery, &damaged, err);
    if (r == 0)
        r = open_whole(gallery, opened, &damaged, err);
    if (r < 0 && damaged) {
        close_database(gallery);
        r = set_aside(gallery, opened->set_aside, err);
        if (r == 0)
            r = hs_gallery_restore_newest(gallery, opened->restored_from, err);
        if (r == 0 || r == HS_ENOTFOUND)
            r = connect(gallery, &damaged, err);
        if (r == 0)
            r = open_whole(gallery, opened, &damaged, err);
    }
    return r;
}

int hs_gallery_open(const struct hs_gallery_options *options, struct hs_gallery **ret_gallery,
                    struct hs_gallery_opened *ret_opened, struct hs_error *err)
{
    struct hs_gallery *gallery = NULL;
    int r = check_options(options, err);
    if (r == 0)
        r = create(options, &gallery, err);
    if (r < 0)
        return r;
    struct hs_gallery_opened opened = { .migrated_from = -1 };
    int lock = hs_gallery_lock_folder(gallery->path);
    r = open_locked(gallery, &opened, err);
    hs_gallery_unlock_folder(lock);
    if (r < 0) {
        gallery->erase_pending = false;
        hs_gallery_close(gallery);
        return r;
    }
    if (ret_opened)
        *ret_opened = opened;
    *ret_gallery = gallery;
    return 0;
}
