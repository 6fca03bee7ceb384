/* Other programs that delete, truncate or overwrite the file or its log while it is open. SQLite notices none of that.
 * It goes on with what it has in memory and in its log, and a change that was acknowledged is gone at the next start.
 *
 * The size and the time of the file change with checkpoints only. If they did, the file without its log must still say
 * that it is this gallery, not older than before and not newer than the log. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "gallery/files.h"

/* https://sqlite.org/walformat.html */
enum { LOG_HEADER = 32, FRAME_HEADER = 24, CHECKPOINT_LOCK = 1 };

static bool stat_log(const struct hs_gallery *gallery, struct stat *ret)
{
    char path[PATH_MAX];
    return hs_str_format(path, sizeof(path), "%s-wal", gallery->path) && stat(path, ret) == 0;
}

static bool is_same_time(const struct stat *st, const struct timespec *time)
{
    return st->st_mtim.tv_sec == time->tv_sec && st->st_mtim.tv_nsec == time->tv_nsec;
}

static bool is_as_seen(struct hs_gallery *gallery, const struct stat *st)
{
    pthread_mutex_lock(&gallery->version_lock);
    bool same = st->st_size == gallery->seen_size && is_same_time(st, &gallery->seen_time);
    pthread_mutex_unlock(&gallery->version_lock);
    return same;
}

static void note_seen(struct hs_gallery *gallery, const struct stat *st)
{
    pthread_mutex_lock(&gallery->version_lock);
    gallery->seen_size = st->st_size;
    gallery->seen_time = st->st_mtim;
    pthread_mutex_unlock(&gallery->version_lock);
}

static bool is_touched(struct hs_gallery *gallery)
{
    struct stat st, log;
    return stat(gallery->path, &st) < 0 || st.st_ino != gallery->ino || !is_as_seen(gallery, &st) ||
           !stat_log(gallery, &log) || log.st_ino != gallery->log_ino;
}

const char *hs_gallery_loss_text(enum hs_gallery_loss loss)
{
    switch (loss) {
    case HS_GALLERY_GONE:
        return "file was deleted or replaced";
    case HS_GALLERY_BROKEN:
        return "file was truncated or overwritten";
    case HS_GALLERY_EXCHANGED:
        return "file was overwritten with another database";
    case HS_GALLERY_LOG_GONE:
        return "log was deleted, replaced or truncated";
    default:
        return "";
    }
}

/* Of the next start. */
static const char *outcome(const struct hs_gallery *gallery)
{
    if (gallery->saved)
        return ". All that it held was saved and is there then";
    switch (gallery->lost) {
    case HS_GALLERY_BROKEN:
        return ". The newest good backup takes its place then";
    case HS_GALLERY_EXCHANGED:
        return ". The file is used as it is now then";
    case HS_GALLERY_LOG_GONE:
        return ". The last changes could not be saved: look whether a backup has them";
    default:
        return "";
    }
}

int hs_gallery_check_file(struct hs_gallery *gallery, struct hs_error *err)
{
    struct stat st;
    bool absent = stat(gallery->path, &st) < 0;
    int none = HS_GALLERY_KEPT;
    if (absent ? errno == ENOENT || errno == ENOTDIR : st.st_dev != gallery->dev || st.st_ino != gallery->ino)
        atomic_compare_exchange_strong(&gallery->lost, &none, HS_GALLERY_GONE);
    if (gallery->lost)
        return hs_error_set(err, HS_EIO,
                            "The gallery's %s while it was in use; nothing can be changed until the service is "
                            "restarted%s",
                            hs_gallery_loss_text(gallery->lost), outcome(gallery));
    return 0;
}

/* ---- the file by itself ---- */

/* As a URI, whose own characters are escaped. `immutable` reads no log and takes no lock; SQLite itself opens and
 * closes the file, so locks of this process stay. */
static bool write_uri(const char *path, char ret_uri[3 * PATH_MAX])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    size_t len = 0, room = 3 * PATH_MAX;
    bool fits = hs_str_copy(ret_uri, room, path[0] == '/' ? "file://" : "file:");
    for (const char *p = path; fits && *p; p++) {
        len = strlen(ret_uri);
        fits = hs_str_format(ret_uri + len, room - len, strchr(plain, *p) ? "%c" : "%%%02X", (unsigned char) *p);
    }
    len = strlen(ret_uri);
    return fits && hs_str_copy(ret_uri + len, room - len, "?immutable=1");
}

static enum hs_gallery_loss judge_row(const struct hs_gallery *gallery, sqlite3_stmt *stmt, int64_t newest,
                                      int64_t *ret_change)
{
    const char *uid = (const char *) sqlite3_column_text(stmt, 0);
    int64_t change = sqlite3_column_int64(stmt, 1);
    struct stat st;
    if (!uid || stat(gallery->path, &st) < 0)
        return HS_GALLERY_KEPT; /* no memory */
    /* SQLite counts the last page, too, if only a part of it is there. */
    if ((int64_t) st.st_size < sqlite3_column_int64(stmt, 2) * gallery->page_size)
        return HS_GALLERY_BROKEN;
    if (strcmp(uid, gallery->uid) != 0 || change < gallery->file_change || change > newest)
        return HS_GALLERY_EXCHANGED;
    *ret_change = change;
    return HS_GALLERY_KEPT;
}

/* Looks at the file without its log. *ret_change: the last change that it has; -1: that could not be read now. */
static enum hs_gallery_loss look(const struct hs_gallery *gallery, int64_t newest, int64_t *ret_change)
{
    static const char query[] = "SELECT uid, change, (SELECT page_count FROM pragma_page_count) FROM gallery";
    char uri[3 * PATH_MAX];
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    enum hs_gallery_loss loss = HS_GALLERY_KEPT;
    *ret_change = -1;
    if (!write_uri(gallery->path, uri))
        return loss;
    int code = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, gallery->vfs);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, query, -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        loss = judge_row(gallery, stmt, newest, ret_change);
    else if (code == SQLITE_DONE || hs_sql_is_damage(code) || (code & 0xff) == SQLITE_ERROR) /* no such table */
        loss = HS_GALLERY_BROKEN;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return loss;
}

/* The same while nobody can write to the file. */
static enum hs_gallery_loss look_locked(const struct hs_gallery *gallery, int64_t newest, int64_t *ret_change)
{
    sqlite3_file *file = NULL;
    *ret_change = -1;
    sqlite3_file_control(gallery->writer->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (!file || !file->pMethods || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmLock(file, CHECKPOINT_LOCK, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) != SQLITE_OK)
        return HS_GALLERY_KEPT; /* another process is writing; the next change looks again */
    enum hs_gallery_loss loss = look(gallery, newest, ret_change);
    file->pMethods->xShmLock(file, CHECKPOINT_LOCK, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    return loss;
}

/* ---- what is looked at ---- */

void hs_gallery_watch(struct hs_gallery *gallery)
{
    struct stat st, log;
    if (stat(gallery->path, &st) < 0 || !stat_log(gallery, &log) ||
        hs_sql_int(gallery->writer->db, "PRAGMA page_size", &gallery->page_size, NULL) < 0)
        return;
    /* Another process may keep all of it in the log. */
    gallery->watched =
        look_locked(gallery, INT64_MAX, &gallery->file_change) == HS_GALLERY_KEPT && gallery->file_change >= 0;
    gallery->log_ino = log.st_ino;
    note_seen(gallery, &st);
}

static bool log_is_gone(const struct hs_gallery *gallery, bool inside)
{
    struct stat st;
    uint32_t frames;
    if (!stat_log(gallery, &st) || st.st_ino != gallery->log_ino)
        return true;
    if (!inside || hs_gallery_count_frames(gallery->writer, &frames, NULL) < 0 || frames == 0)
        return false;
    return (int64_t) st.st_size < LOG_HEADER + (int64_t) frames * (FRAME_HEADER + gallery->page_size);
}

int hs_gallery_verify(struct hs_gallery *gallery, bool inside, struct hs_error *err)
{
    struct stat st;
    int64_t change;
    int r = hs_gallery_check_file(gallery, err), none = HS_GALLERY_KEPT;
    if (r < 0 || !gallery->watched)
        return r;
    enum hs_gallery_loss loss = HS_GALLERY_KEPT;
    if (stat(gallery->path, &st) == 0 && !is_as_seen(gallery, &st)) {
        loss = look_locked(gallery, inside ? gallery->change : INT64_MAX, &change);
        if (loss == HS_GALLERY_KEPT && change >= 0) {
            gallery->file_change = change;
            note_seen(gallery, &st);
        }
    }
    if (loss == HS_GALLERY_KEPT && log_is_gone(gallery, inside))
        loss = HS_GALLERY_LOG_GONE;
    if (loss == HS_GALLERY_KEPT)
        return 0;
    atomic_compare_exchange_strong(&gallery->lost, &none, (int) loss);
    return hs_gallery_check_file(gallery, err);
}

/* ---- saving ---- */

/* All that the connection has, in memory, in its log and in the file, if that is whole and not older than it was. */
static int copy_whole(struct hs_gallery *gallery, char ret_path[PATH_MAX])
{
    int64_t change;
    if (!hs_str_format(ret_path, PATH_MAX, "%s" HS_GALLERY_UNPACKED "XXXXXX", gallery->path))
        return HS_EINVAL;
    int r = hs_gallery_temporary(ret_path, NULL);
    if (r < 0)
        return r;
    r = hs_gallery_copy(gallery, gallery->writer->db, ret_path, &change, NULL);
    if (r == 0 && change < gallery->change)
        r = HS_EDECODE;
    if (r < 0)
        hs_gallery_delete_database(ret_path);
    return r;
}

/* Of a file that is not ours any more the log goes aside: SQLite would write it into that file. */
static void save_locked(struct hs_gallery *gallery)
{
    char whole[PATH_MAX], aside[PATH_MAX];
    if (gallery->lost == HS_GALLERY_EXCHANGED) {
        hs_gallery_set_log_aside(gallery, aside, NULL);
        return;
    }
    if (copy_whole(gallery, whole) < 0)
        return;
    int r = gallery->lost == HS_GALLERY_BROKEN ? hs_gallery_set_aside(gallery, aside, NULL) : 0;
    if (r == 0 && gallery->lost == HS_GALLERY_LOG_GONE)
        hs_gallery_delete_log(gallery->path);
    if (r == 0 && rename(whole, gallery->path) == 0) {
        hs_gallery_sync_folder(gallery->path);
        gallery->saved = true;
    } else {
        hs_gallery_delete_database(whole);
    }
}

void hs_gallery_save(struct hs_gallery *gallery)
{
    int lock;
    if (!gallery->lost || gallery->lost == HS_GALLERY_GONE || gallery->save_tried ||
        hs_gallery_lock_folder(gallery->path, &lock, NULL) < 0)
        return;
    if (hs_gallery_lock_change(gallery, NULL) == 0) {
        if (!gallery->save_tried)
            save_locked(gallery);
        gallery->save_tried = true;
        hs_gallery_unlock_change(gallery);
    }
    hs_gallery_unlock_folder(lock);
}

int hs_gallery_check_use(struct hs_gallery *gallery, bool failed, struct hs_error *err)
{
    if (gallery->watched && !gallery->lost && (failed || is_touched(gallery))) {
        int r = hs_gallery_begin(gallery, err);
        if (r == 0)
            hs_gallery_end(gallery, HS_ECANCELED, false, NULL); /* rolls back */
    }
    hs_gallery_save(gallery);
    return hs_gallery_check_file(gallery, err);
}
