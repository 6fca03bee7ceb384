/* Backups and restores of the database. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "gallery/convert.h"
#include "gallery/files.h"

/* An unpacked backup is named "<path of the database>.restore-…". */
#define UNPACKED ".restore-"

/* Deletes leftovers of interrupted calls: the files of a folder whose names begin with `prefix` and
 * contain `part`. */
static void delete_leftovers(const char *folder, const char *prefix, const char *part)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (hs_str_starts(entry->d_name, prefix) && strstr(entry->d_name, part))
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

/* Deletes only this gallery's files: other galleries may be making backups in the same folder. */
void hs_gallery_clean_up(const struct hs_gallery *gallery)
{
    char folder[PATH_MAX], part[NAME_MAX + 16];
    hs_str_format(part, sizeof(part), "-%s.db.gz.", gallery->uid);
    if (gallery->backup_dir)
        delete_leftovers(gallery->backup_dir, ".faces-", part);
    if (hs_path_parent(folder, sizeof(folder), gallery->path) &&
        hs_str_format(part, sizeof(part), "%s" UNPACKED, hs_path_base(gallery->path)))
        delete_leftovers(folder, part, "");
}

/* Begins to copy one database into another; no other connection can change the target until end_copy. */
static int begin_copy(sqlite3 *from, sqlite3 *into, sqlite3_backup **ret_copy, struct hs_error *err)
{
    sqlite3_backup *copy = sqlite3_backup_init(into, "main", from, "main");
    if (!copy)
        return hs_sql_error(sqlite3_extended_errcode(into), "backup", err);
    int code = sqlite3_backup_step(copy, 0);
    if (code != SQLITE_OK && code != SQLITE_DONE) {
        sqlite3_backup_finish(copy);
        return hs_sql_error(code, "backup", err);
    }
    *ret_copy = copy;
    return 0;
}

/* If r is 0, replaces all pages by those of one snapshot, in one transaction; otherwise copies
 * nothing. Returns r or the error. */
static int end_copy(sqlite3_backup *copy, int r, struct hs_error *err)
{
    /* Only sqlite3_backup_step reports a lock held by another connection, so keep its result. */
    int step = r == 0 ? sqlite3_backup_step(copy, -1) : SQLITE_DONE, code = sqlite3_backup_finish(copy);
    if (r < 0)
        return r;
    if (code == SQLITE_OK && step != SQLITE_DONE)
        code = step == SQLITE_OK ? SQLITE_BUSY : step;
    return code == SQLITE_OK ? 0 : hs_sql_error(code, "backup", err);
}

/* Uses a separate connection, so that copying does not occupy a reader of the gallery. *ret_change
 * is the number of the last change in the copy; -1 if its schema is older. */
static int copy_to(struct hs_gallery *gallery, const char *path, int64_t *ret_change, struct hs_error *err)
{
    struct hs_gallery_conn *from = NULL, *into = NULL;
    sqlite3_backup *copy;
    int version;
    int r = hs_gallery_make_file(path, err);
    if (r == 0)
        r = hs_gallery_connect(gallery, gallery->path, false, &from, NULL, err);
    if (r == 0)
        r = hs_gallery_check_file(gallery, err);
    if (r == 0)
        r = hs_gallery_connect(gallery, path, false, &into, NULL, err);
    if (r == 0)
        r = begin_copy(from->db, into->db, &copy, err);
    if (r == 0)
        r = end_copy(copy, 0, err);
    /* A single file, without a log. */
    if (r == 0)
        r = hs_sql_exec(into->db, "PRAGMA journal_mode = DELETE", err);
    if (r == 0)
        r = hs_sql_check(into->db, "PRAGMA integrity_check(1)", NULL, err);
    if (r == 0)
        r = hs_gallery_schema_of(into->db, &version, err);
    *ret_change = -1;
    if (r == 0 && version == HS_GALLERY_SCHEMA)
        r = hs_sql_int(into->db, "SELECT change FROM gallery", ret_change, err);
    hs_gallery_disconnect(from);
    hs_gallery_disconnect(into);
    return r;
}

/* Deletes numbered backups beyond keep_backups. Backups without a number stay: an older program of
 * another gallery may have made them. */
static void delete_surplus(const struct hs_gallery *gallery)
{
    struct hs_gallery_backups *files;
    if (hs_gallery_find_files(gallery, false, &files, NULL) < 0)
        return;
    for (size_t i = (size_t) gallery->keep_backups; i < files->count; i++)
        if (files->items[i].number > 0)
            hs_gallery_delete_file(&files->items[i], NULL);
    hs_gallery_backups_destroy(files);
}

static int write_backup(struct hs_gallery *gallery, const char *copy, const char *packed, const char *path,
                        struct hs_error *err)
{
    int64_t change;
    int r = copy_to(gallery, copy, &change, err);
    if (r == 0)
        r = hs_gallery_make_file(packed, err);
    if (r == 0)
        r = hs_gallery_compress(copy, packed, change, err);
    if (r == 0 && rename(packed, path) < 0)
        r = hs_error_set(err, HS_EIO, "cannot write %s: %s", path, strerror(errno));
    if (r == 0)
        hs_gallery_sync_folder(path);
    unlink(packed);
    hs_gallery_delete_database(copy);
    return r;
}

static int make_folder(const char *path, struct hs_error *err)
{
    bool there = hs_file_exists(path);
    int r = hs_dir_make(path, err), fd = r == 0 && !there ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0 && hs_file_give_to_owner(fd, path) < 0)
        r = hs_gallery_file_error(path, err);
    if (fd >= 0)
        close(fd);
    return r;
}

int hs_gallery_backup_locked(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err)
{
    if (!gallery->backup_dir)
        return hs_error_set(err, HS_EUNSUPPORTED, "the gallery has no backup folder; set database.backup_path");
    char name[HS_GALLERY_BACKUP_NAME_SIZE], path[PATH_MAX], copy[PATH_MAX], packed[PATH_MAX];
    int r = make_folder(gallery->backup_dir, err);
    if (r == 0)
        r = hs_gallery_next_backup(gallery, name, err);
    if (r < 0)
        return r;
    if (!hs_path_join(path, sizeof(path), gallery->backup_dir, name) ||
        !hs_str_format(copy, sizeof(copy), "%s/.%s.copy", gallery->backup_dir, name) ||
        !hs_str_format(packed, sizeof(packed), "%s/.%s.part", gallery->backup_dir, name))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", gallery->backup_dir);
    hs_gallery_clean_up(gallery);
    r = write_backup(gallery, copy, packed, path, err);
    if (r < 0)
        return r;
    delete_surplus(gallery);
    if (ret_path)
        hs_str_copy(ret_path, PATH_MAX, path);
    return 0;
}

int hs_gallery_backup(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err)
{
    int lock, r = hs_gallery_lock_folder(gallery->path, &lock, err);
    if (r < 0)
        return r;
    r = hs_gallery_backup_locked(gallery, ret_path, err);
    hs_gallery_unlock_folder(lock);
    return r;
}

int hs_gallery_list_backups(struct hs_gallery *gallery, struct hs_gallery_backups **ret_backups, struct hs_error *err)
{
    return hs_gallery_find_files(gallery, false, ret_backups, err);
}

/* Checks that an unpacked backup is an intact database of ours; otherwise HS_EDECODE. */
static int check_unpacked(const struct hs_gallery *gallery, const char *path, const char *backup, struct hs_error *err)
{
    sqlite3 *db = NULL;
    int code, version = 0;
    bool damaged = false;
    struct hs_error why = { .message = "" };
    int r = hs_sql_open(path, SQLITE_OPEN_READWRITE, gallery->vfs, 0, &db, &code, &why);
    if (r == 0)
        r = hs_sql_check(db, "PRAGMA integrity_check(1)", &damaged, &why);
    if (r == 0)
        r = hs_gallery_check_objects(db, &why);
    if (r == 0)
        r = hs_gallery_schema_of(db, &version, &why);
    if (r == 0 && version == HS_GALLERY_SCHEMA)
        r = hs_gallery_check_schema(db, &why);
    if (r == 0)
        r = hs_gallery_keys_load(gallery->keys, db, &why);
    sqlite3_close(db);
    if (r == 0 && version < 0)
        r = hs_error_set(&why, HS_EDECODE, "it has no table of identities");
    if (r < 0)
        r = hs_error_set(err, damaged ? HS_EDECODE : r, "%s is not a usable backup: %s", backup, why.message);
    return r;
}

int hs_gallery_unpack(const struct hs_gallery *gallery, const char *backup, char ret_path[PATH_MAX],
                      struct hs_error *err)
{
    if (!hs_str_format(ret_path, PATH_MAX, "%s" UNPACKED "XXXXXX", gallery->path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", gallery->path);
    int r = hs_gallery_make_temp_file(ret_path, err);
    if (r < 0)
        return r;
    r = hs_gallery_uncompress(backup, ret_path, err);
    if (r == 0)
        r = check_unpacked(gallery, ret_path, backup, err);
    if (r < 0)
        hs_gallery_delete_database(ret_path);
    return r;
}

int hs_gallery_unpack_newest(struct hs_gallery *gallery, char ret_unpacked[PATH_MAX], char ret_backup[PATH_MAX],
                             struct hs_error *err)
{
    struct hs_gallery_backups *files;
    hs_gallery_find_uid(gallery, gallery->path);
    int r = hs_gallery_find_files(gallery, false, &files, err);
    if (r < 0)
        return r;
    r = HS_ENOTFOUND;
    for (size_t i = 0; i < files->count && (r == HS_ENOTFOUND || r == HS_EDECODE); i++) {
        if (files->items[i].set_aside)
            continue;
        r = hs_gallery_unpack(gallery, files->items[i].path, ret_unpacked, err);
        r = r == HS_ETOOLARGE ? HS_EDECODE : r;
        if (r == 0)
            hs_str_copy(ret_backup, PATH_MAX, files->items[i].path);
    }
    hs_gallery_backups_destroy(files);
    return r == HS_EDECODE ? HS_ENOTFOUND : r;
}

/* Prepares an unpacked database for the restore: migrates it to the current schema, sets the
 * gallery's page size (which cannot change), its uid, and a change number that no index has seen. */
static int prepare(struct hs_gallery *gallery, sqlite3 *db, int64_t change, struct hs_error *err)
{
    int64_t have, wanted, orphans, same = 0;
    char sql[240];
    int r = hs_gallery_migrate(db, gallery->legacy_space, gallery->uid, &orphans, err);
    if (r == 0)
        r = hs_gallery_check_schema(db, err);
    if (r == 0)
        r = hs_gallery_keep_encryption(gallery, db, err);
    hs_str_format(sql, sizeof(sql), "SELECT count(*) FROM gallery WHERE uid = '%s'", gallery->uid);
    if (r == 0)
        r = hs_sql_int(db, sql, &same, err);
    if (r == 0)
        r = hs_sql_int(db, "PRAGMA page_size", &have, err);
    if (r == 0)
        r = hs_sql_int(gallery->writer->db, "PRAGMA page_size", &wanted, err);
    if (r < 0)
        return r;
    /* Change numbers of another gallery are meaningless here. */
    hs_str_format(sql, sizeof(sql), "DELETE FROM changes; UPDATE gallery SET uid = '%s', change = %lld%s", gallery->uid,
                  (long long) change,
                  same ? "" : "; UPDATE identities SET change = NULL; UPDATE embeddings SET change = NULL");
    r = hs_sql_exec(db, sql, err);
    if (r < 0 || have == wanted)
        return r;
    hs_str_format(sql, sizeof(sql), "PRAGMA page_size = %lld; VACUUM", (long long) wanted);
    return hs_sql_exec(db, sql, err);
}

/* No other process can append to the gallery's log while its replacement has begun. Ends the copy on failure. */
static int carry_log(struct hs_gallery *gallery, sqlite3 *into, sqlite3_backup *copy, int64_t change,
                     struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r == 0) {
        r = hs_audit_carry(gallery, conn, into, change, err);
        hs_gallery_end_read(gallery, conn);
    }
    if (r < 0)
        sqlite3_backup_finish(copy);
    return r;
}

/* The copy begins before the backup is made, so no other process can change anything between backup
 * and replacement. */
static int replace_content(struct hs_gallery *gallery, const char *unpacked, struct hs_error *err)
{
    struct hs_gallery_conn *from = NULL;
    sqlite3_backup *copy;
    int64_t change;
    int r = hs_sql_int(gallery->writer->db, "SELECT change FROM gallery", &change, err);
    if (r == 0)
        r = hs_gallery_connect(gallery, unpacked, false, &from, NULL, err);
    if (r == 0)
        r = prepare(gallery, from->db, change + HS_GALLERY_RESTORE_CHANGES, err);
    if (r == 0)
        r = begin_copy(from->db, gallery->writer->db, &copy, err);
    if (r == 0)
        r = carry_log(gallery, from->db, copy, change + HS_GALLERY_RESTORE_CHANGES, err);
    if (r == 0)
        r = end_copy(copy, gallery->backup_dir ? hs_gallery_backup_locked(gallery, NULL, err) : 0, err);
    hs_gallery_disconnect(from);
    if (r == 0) {
        hs_audit_committed(gallery);
        hs_gallery_empty_log(gallery, false, NULL);
    }
    return r;
}

int hs_gallery_path_of_backup(const struct hs_gallery *gallery, const char *backup, char ret_path[PATH_MAX],
                              struct hs_error *err)
{
    bool inside = gallery->backup_dir && !strchr(backup, '/');
    bool fits = inside ? hs_path_join(ret_path, PATH_MAX, gallery->backup_dir, backup)
                       : hs_str_copy(ret_path, PATH_MAX, backup);
    return fits ? 0 : hs_error_set(err, HS_EINVAL, "the path is too long: %s", backup);
}

int hs_gallery_restore(struct hs_gallery *gallery, const char *backup, struct hs_error *err)
{
    char path[PATH_MAX], unpacked[PATH_MAX];
    int lock, r = hs_gallery_path_of_backup(gallery, backup, path, err);
    if (r == 0)
        r = hs_gallery_lock_folder(gallery->path, &lock, err);
    if (r < 0)
        return r;
    r = hs_gallery_lock_change(gallery, err);
    if (r == 0) {
        r = hs_gallery_check_file(gallery, err);
        if (r == 0)
            r = hs_gallery_unpack(gallery, path, unpacked, err);
        if (r == 0) {
            r = replace_content(gallery, unpacked, err);
            hs_gallery_delete_database(unpacked);
        }
        hs_gallery_unlock_change(gallery);
    }
    hs_gallery_unlock_folder(lock);
    return r;
}

/* ---- purging ---- */

static bool has_backup(const struct hs_gallery_backups *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (!files->items[i].set_aside)
            return true;
    return false;
}

static int log_purge(struct hs_gallery *gallery, size_t count, struct hs_error *err)
{
    int r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    hs_audit_draft(gallery, "purge_backups");
    hs_audit_number(gallery, "files", (int64_t) count);
    return hs_gallery_end(gallery, hs_gallery_touch(gallery, HS_GALLERY_NO_IDENTITY, err), false, err);
}

/* A file that cannot be deleted does not keep the others. Returns the first error. */
static int delete_all(const struct hs_gallery_backups *files, struct hs_error *err)
{
    int r = 0;
    for (size_t i = 0; i < files->count; i++) {
        int deleted = hs_gallery_delete_file(&files->items[i], r == 0 ? err : NULL);
        r = r == 0 ? deleted : r;
    }
    return r;
}

int hs_gallery_purge_all(struct hs_gallery *gallery, char ret_backup[PATH_MAX], struct hs_gallery_backups **ret_purged,
                         struct hs_error *err)
{
    char backup[PATH_MAX] = "";
    struct hs_gallery_backups *files = NULL;
    /* A backup that began before the erasure is complete once this thread holds the folder's lock,
     * so the list includes it. */
    int lock, r = hs_gallery_lock_folder(gallery->path, &lock, err);
    if (r < 0)
        return r;
    hs_gallery_clean_up(gallery);
    r = hs_gallery_finish_erasing(gallery, err);
    if (r == 0)
        r = hs_gallery_find_files(gallery, false, &files, err);
    if (r == 0 && has_backup(files))
        r = hs_gallery_backup_locked(gallery, backup, err);
    /* Before the files are gone, so that a crash leaves no deletion without an entry. */
    if (r == 0 && files->count > 0)
        r = log_purge(gallery, files->count, err);
    if (r == 0)
        r = delete_all(files, err);
    if (r == 0)
        hs_gallery_cancel_purge(gallery);
    hs_gallery_unlock_folder(lock);
    if (r < 0) {
        hs_gallery_backups_destroy(files);
        return r;
    }
    hs_str_copy(ret_backup, PATH_MAX, backup);
    *ret_purged = files;
    return 0;
}
