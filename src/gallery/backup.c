#include "gallery/backup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "gallery/files.h"
#include "gallery/migrate.h"
#include "gallery/sql.h"

/* Beginnings of the names of files in the making; no backup is called so. */
static const char copy_name[] = ".faces-copy-", packed_name[] = ".faces-packed-";

static int backup_prefix(const struct hs_gallery *gallery, const char *name, char ret_prefix[PATH_MAX],
                         struct hs_error *err)
{
    if (!hs_path_join(ret_prefix, PATH_MAX, gallery->backup_dir, name))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", gallery->backup_dir);
    return 0;
}

static int unpack_prefix(const struct hs_gallery *gallery, char ret_prefix[PATH_MAX], struct hs_error *err)
{
    if (!hs_str_format(ret_prefix, PATH_MAX, "%s.restore-", gallery->path))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", gallery->path);
    return 0;
}

void hs_gallery_clean_up(const struct hs_gallery *gallery)
{
    char prefix[PATH_MAX];
    if (gallery->backup_dir && backup_prefix(gallery, copy_name, prefix, NULL) == 0)
        hs_gallery_delete_leftovers(prefix);
    if (gallery->backup_dir && backup_prefix(gallery, packed_name, prefix, NULL) == 0)
        hs_gallery_delete_leftovers(prefix);
    if (unpack_prefix(gallery, prefix, NULL) == 0)
        hs_gallery_delete_leftovers(prefix);
}

/* All pages of one moment of `from` replace those of `into`, in one transaction of that. */
static int copy_pages(sqlite3 *from, sqlite3 *into, struct hs_error *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(into, "main", from, "main");
    if (!backup)
        return hs_sql_error(into, sqlite3_extended_errcode(into), "backup", err);
    sqlite3_backup_step(backup, -1);
    int code = sqlite3_backup_finish(backup);
    return code == SQLITE_OK ? 0 : hs_sql_error(into, code, "backup", err);
}

/* A connection of its own, so that the gallery's stays free meanwhile. */
static int copy_to(const struct hs_gallery *gallery, const char *path, struct hs_error *err)
{
    sqlite3 *from = NULL, *into = NULL;
    int code;
    int r =
        hs_sql_open(gallery->path, SQLITE_OPEN_READWRITE, gallery->vfs, gallery->busy_timeout_ms, &from, &code, err);
    if (r == 0)
        r = hs_sql_open(path, SQLITE_OPEN_READWRITE, gallery->vfs, 0, &into, &code, err);
    if (r == 0)
        r = copy_pages(from, into, err);
    /* One file by itself, without a log. */
    if (r == 0)
        r = hs_sql_exec(into, "PRAGMA journal_mode = DELETE", err);
    /* What was erased is not to live on in an unused part of a page. */
    if (r == 0 && gallery->vacuum_pending)
        r = hs_sql_exec(into, "PRAGMA temp_store = MEMORY; VACUUM", err);
    if (r == 0)
        r = hs_sql_check(into, "PRAGMA integrity_check(1)", NULL, err);
    sqlite3_close(from);
    sqlite3_close(into);
    return r;
}

static void delete_surplus(const struct hs_gallery *gallery)
{
    struct hs_gallery_backups *files;
    if (hs_gallery_find_files(gallery->backup_dir, gallery->path, &files, NULL) < 0)
        return;
    int kept = 0;
    for (size_t i = 0; i < files->count; i++)
        if (!files->items[i].set_aside && ++kept > gallery->keep_backups)
            hs_gallery_delete_file(&files->items[i], NULL);
    hs_gallery_backups_destroy(files);
}

static int pack(const struct hs_gallery *gallery, const char *copy, char ret_path[PATH_MAX], struct hs_error *err)
{
    char prefix[PATH_MAX], packed[PATH_MAX], base[PATH_MAX], name[40], stamp[HS_GALLERY_STAMP_SIZE];
    int r = backup_prefix(gallery, packed_name, prefix, err);
    if (r == 0)
        r = hs_gallery_temporary(prefix, packed, err);
    if (r < 0)
        return r;
    hs_gallery_stamp(stamp);
    hs_str_format(name, sizeof(name), "faces-%s", stamp);
    r = hs_gallery_compress(copy, packed, err);
    if (r == 0)
        r = backup_prefix(gallery, name, base, err);
    if (r == 0)
        r = hs_gallery_rename_free(packed, base, ".db.gz", ret_path, err);
    if (r < 0)
        unlink(packed);
    return r;
}

int hs_gallery_backup_locked(const struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err)
{
    if (!gallery->backup_dir)
        return hs_error_set(err, HS_EUNSUPPORTED, "gallery: there is no backup folder");
    char prefix[PATH_MAX], copy[PATH_MAX], path[PATH_MAX];
    int r = hs_dir_make(gallery->backup_dir, err);
    if (r == 0)
        r = backup_prefix(gallery, copy_name, prefix, err);
    if (r == 0)
        r = hs_gallery_temporary(prefix, copy, err);
    if (r < 0)
        return r;
    r = copy_to(gallery, copy, err);
    if (r == 0)
        r = pack(gallery, copy, path, err);
    hs_gallery_delete_database(copy);
    if (r < 0)
        return r;
    delete_surplus(gallery);
    if (ret_path)
        hs_str_copy(ret_path, PATH_MAX, path);
    return 0;
}

int hs_gallery_backup(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err)
{
    /* Paths and settings do not change while the gallery is open, so its own lock is not needed. */
    int lock = hs_gallery_lock_folder(gallery->path);
    int r = hs_gallery_backup_locked(gallery, ret_path, err);
    hs_gallery_unlock_folder(lock);
    return r;
}

int hs_gallery_list_backups(struct hs_gallery *gallery, struct hs_gallery_backups **ret_backups, struct hs_error *err)
{
    return hs_gallery_find_files(gallery->backup_dir, gallery->path, ret_backups, err);
}

/* A good database of ours; what SQLite says about any other is that the backup is bad. */
static int check_unpacked(const struct hs_gallery *gallery, const char *path, const char *backup, struct hs_error *err)
{
    sqlite3 *db = NULL;
    int code, version = 0;
    bool damaged = false;
    int r = hs_sql_open(path, SQLITE_OPEN_READWRITE, gallery->vfs, 0, &db, &code, err);
    if (r == 0)
        r = hs_sql_check(db, "PRAGMA integrity_check(1)", &damaged, err);
    if (r == 0)
        r = hs_gallery_schema_of(db, &version, err);
    sqlite3_close(db);
    if (damaged || (r == 0 && version < 0))
        r = hs_error_set(err, HS_EDECODE, "%s: no good backup", backup);
    return r;
}

int hs_gallery_unpack(const struct hs_gallery *gallery, const char *backup, char ret_path[PATH_MAX],
                      struct hs_error *err)
{
    char prefix[PATH_MAX];
    int r = unpack_prefix(gallery, prefix, err);
    if (r == 0)
        r = hs_gallery_temporary(prefix, ret_path, err);
    if (r < 0)
        return r;
    r = hs_gallery_uncompress(backup, ret_path, err);
    if (r == 0)
        r = check_unpacked(gallery, ret_path, backup, err);
    if (r < 0)
        hs_gallery_delete_database(ret_path);
    return r;
}

int hs_gallery_restore_newest(const struct hs_gallery *gallery, char ret_backup[PATH_MAX], struct hs_error *err)
{
    struct hs_gallery_backups *files;
    int r = hs_gallery_find_files(gallery->backup_dir, gallery->path, &files, err);
    if (r < 0)
        return r;
    r = HS_ENOTFOUND;
    for (size_t i = 0; i < files->count && (r == HS_ENOTFOUND || r == HS_EDECODE); i++) {
        char unpacked[PATH_MAX];
        if (files->items[i].set_aside)
            continue;
        r = hs_gallery_unpack(gallery, files->items[i].path, unpacked, err);
        if (r == 0 && rename(unpacked, gallery->path) < 0) {
            r = hs_error_set(err, HS_EIO, "%s: %s", gallery->path, strerror(errno));
            hs_gallery_delete_database(unpacked);
        }
        if (r == 0)
            hs_str_copy(ret_backup, PATH_MAX, files->items[i].path);
    }
    hs_gallery_backups_destroy(files);
    if (r == 0)
        hs_gallery_sync_folder(gallery->path);
    return r == HS_EDECODE ? HS_ENOTFOUND : r;
}

/* Brings an unpacked database to the present schema and to the page size of the gallery, which cannot change. */
static int prepare(const struct hs_gallery *gallery, sqlite3 *db, struct hs_error *err)
{
    int64_t have, wanted, orphans;
    int r = hs_gallery_migrate(db, gallery->legacy_space, &orphans, err);
    if (r == 0)
        r = hs_sql_int(db, "PRAGMA page_size", &have, err);
    if (r == 0)
        r = hs_sql_int(gallery->db, "PRAGMA page_size", &wanted, err);
    if (r < 0 || have == wanted)
        return r;
    char sql[64];
    hs_str_format(sql, sizeof(sql), "PRAGMA page_size = %lld; VACUUM", (long long) wanted);
    return hs_sql_exec(db, sql, err);
}

static int replace_content(struct hs_gallery *gallery, const char *unpacked, struct hs_error *err)
{
    sqlite3 *db = NULL;
    int code;
    int r = hs_sql_open(unpacked, SQLITE_OPEN_READWRITE, gallery->vfs, 0, &db, &code, err);
    if (r == 0)
        r = prepare(gallery, db, err);
    if (r == 0 && gallery->backup_dir)
        r = hs_gallery_backup_locked(gallery, NULL, err);
    if (r == 0)
        r = copy_pages(db, gallery->db, err);
    sqlite3_close(db);
    if (r < 0)
        return r;
    gallery->version.own++;
    gallery->version.foreign++;
    hs_gallery_empty_log(gallery);
    return 0;
}

int hs_gallery_restore(struct hs_gallery *gallery, const char *backup, struct hs_error *err)
{
    char path[PATH_MAX], unpacked[PATH_MAX];
    bool inside = gallery->backup_dir && !strchr(backup, '/');
    if (!(inside ? hs_path_join(path, sizeof(path), gallery->backup_dir, backup)
                 : hs_str_copy(path, sizeof(path), backup)))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", backup);
    hs_gallery_lock_change(gallery);
    int lock = hs_gallery_lock_folder(gallery->path);
    int r = hs_gallery_unpack(gallery, path, unpacked, err);
    if (r == 0) {
        r = replace_content(gallery, unpacked, err);
        hs_gallery_delete_database(unpacked);
    }
    hs_gallery_unlock_folder(lock);
    hs_gallery_unlock_change(gallery);
    return r;
}

static void time_text(int64_t at_s, char ret_time[HS_GALLERY_TIME_SIZE])
{
    time_t at = (time_t) at_s;
    struct tm tm;
    if (!gmtime_r(&at, &tm) || strftime(ret_time, HS_GALLERY_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        hs_str_copy(ret_time, HS_GALLERY_TIME_SIZE, at_s < 0 ? "" : "9999-99-99");
}

int hs_gallery_purge(struct hs_gallery *gallery, int64_t older_than_s, size_t *ret_count, struct hs_error *err)
{
    char limit[HS_GALLERY_TIME_SIZE];
    time_text(older_than_s, limit);
    int lock = hs_gallery_lock_folder(gallery->path);
    struct hs_gallery_backups *files;
    int r = hs_gallery_find_files(gallery->backup_dir, gallery->path, &files, err);
    size_t count = 0;
    for (size_t i = 0; r == 0 && i < files->count; i++) {
        if (strcmp(files->items[i].created_at, limit) >= 0)
            continue;
        r = hs_gallery_delete_file(&files->items[i], err);
        count += r == 0;
    }
    if (r == 0 && ret_count)
        *ret_count = count;
    if (r == 0)
        hs_gallery_backups_destroy(files);
    hs_gallery_unlock_folder(lock);
    return r;
}

static bool has_backup(const struct hs_gallery_backups *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (!files->items[i].set_aside)
            return true;
    return false;
}

int hs_gallery_purge_all(struct hs_gallery *gallery, char ret_backup[PATH_MAX], struct hs_gallery_backups **ret_purged,
                         struct hs_error *err)
{
    char backup[PATH_MAX] = "";
    struct hs_gallery_backups *files = NULL;
    int r = hs_gallery_finish_erasing(gallery, err);
    if (r < 0)
        return r;
    /* A backup that was begun before an erasure is finished when the folder's lock is ours, and then it is found. */
    int lock = hs_gallery_lock_folder(gallery->path);
    r = hs_gallery_find_files(gallery->backup_dir, gallery->path, &files, err);
    if (r == 0 && has_backup(files))
        r = hs_gallery_backup_locked(gallery, backup, err);
    for (size_t i = 0; r == 0 && i < files->count; i++)
        r = hs_gallery_delete_file(&files->items[i], err);
    hs_gallery_unlock_folder(lock);
    if (r < 0) {
        hs_gallery_backups_destroy(files);
        return r;
    }
    hs_str_copy(ret_backup, PATH_MAX, backup);
    *ret_purged = files;
    return 0;
}
