/* Detects other programs that truncate or overwrite the open file, or replace or delete the file or
 * its log. SQLite detects none of this: it continues with the content in memory and in its log, and
 * the changes are lost at the next start.
 *
 * Checkpoints, by any process, change the size and modification time of the file; nothing else
 * should. So the file itself, without its log, is inspected only if one of them has changed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "gallery/files.h"

/* https://sqlite.org/walformat.html */
enum { CHECKPOINT_LOCK = 1 };

static const char magic[16] = "SQLite format 3";

static const char *name_of_log(const struct hs_gallery *gallery)
{
    return sqlite3_filename_wal(sqlite3_db_filename(gallery->writer->db, "main"));
}

static bool has_own_log(const struct hs_gallery *gallery)
{
    struct stat st;
    return stat(name_of_log(gallery), &st) == 0 && st.st_dev == gallery->dev && st.st_ino == gallery->log_ino;
}

static bool is_as_seen(const struct hs_gallery *gallery, const struct stat *st)
{
    return st->st_size == gallery->seen_size && st->st_mtim.tv_sec == gallery->seen_time.tv_sec &&
           st->st_mtim.tv_nsec == gallery->seen_time.tv_nsec;
}

static void set_lost(struct hs_gallery *gallery, enum hs_gallery_loss loss)
{
    int none = HS_GALLERY_KEPT;
    if (loss != HS_GALLERY_KEPT)
        atomic_compare_exchange_strong(&gallery->lost, &none, (int) loss);
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
        return "log was deleted or replaced";
    default:
        return "";
    }
}

int hs_gallery_check_file(struct hs_gallery *gallery, struct hs_error *err)
{
    struct stat st;
    if (stat(gallery->path, &st) < 0 ? errno == ENOENT : st.st_dev != gallery->dev || st.st_ino != gallery->ino)
        set_lost(gallery, HS_GALLERY_GONE);
    if (!gallery->lost)
        return 0;
    bool saved = gallery->saved;
    return hs_error_set(err, HS_EIO,
                        "The gallery's %s while it was in use; nothing can be changed until the service is "
                        "restarted. %s%s",
                        hs_gallery_loss_text(gallery->lost),
                        saved ? "All changes are in the backup " : "The last changes may not be in a backup",
                        saved ? gallery->saved_name : "");
}

/* ---- inspecting the file without its log ---- */

/* Writes the path as a URI, with reserved characters escaped. `immutable` reads no log and takes no
 * lock. SQLite opens and closes the file itself, so the locks of this process stay. */
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
        return HS_GALLERY_KEPT; /* out of memory */
    /* SQLite also counts a last page that is incomplete. */
    if ((int64_t) st.st_size < sqlite3_column_int64(stmt, 2) * sqlite3_column_int64(stmt, 3))
        return HS_GALLERY_BROKEN;
    if (strcmp(uid, gallery->uid) != 0 || change < gallery->file_change || change > newest)
        return HS_GALLERY_EXCHANGED;
    *ret_change = change;
    return HS_GALLERY_KEPT;
}

/* Inspects the file. *ret_change is the number of its last change; -1: cannot be read now. */
static enum hs_gallery_loss look(const struct hs_gallery *gallery, int64_t newest, int64_t *ret_change)
{
    static const char query[] = "SELECT uid, change, (SELECT page_count FROM pragma_page_count),"
                                " (SELECT page_size FROM pragma_page_size) FROM gallery";
    char uri[3 * PATH_MAX];
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    enum hs_gallery_loss loss = HS_GALLERY_KEPT;
    if (!write_uri(gallery->path, uri))
        return loss;
    int code = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, gallery->vfs);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, query, -1, &stmt, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        loss = judge_row(gallery, stmt, newest, ret_change);
    else if (hs_sql_is_damage(code))
        loss = HS_GALLERY_BROKEN;
    else if (code == SQLITE_DONE || (code & 0xff) == SQLITE_ERROR) /* no such table */
        loss = HS_GALLERY_EXCHANGED;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return loss;
}

/* After a partial checkpoint the file may be inconsistent without the log. The file is consistent
 * if it holds none of the current log (as after every checkpoint that precedes a log restart) or all of
 * it. An interrupted checkpoint has increased nBackfillAttempted, but not nBackfill. */
static bool is_settled(const struct hs_gallery *gallery)
{
    struct hs_gallery_log log;
    return hs_gallery_read_log(gallery->writer, &log, NULL) == 0 && log.attempted == log.backfilled &&
           (log.backfilled == 0 || log.backfilled == log.frames);
}

/* Inspects the file under the checkpoint lock, so that no other process writes to it. If that is
 * impossible now, the next change tries again. */
static enum hs_gallery_loss look_locked(const struct hs_gallery *gallery, int64_t newest, int64_t *ret_change)
{
    sqlite3_file *file = NULL;
    char head[sizeof(magic)];
    *ret_change = -1;
    sqlite3_file_control(gallery->writer->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (!file || !file->pMethods || file->pMethods->iVersion < 2)
        return HS_GALLERY_KEPT;
    int code = file->pMethods->xRead(file, head, sizeof(head), 0);
    if (code == SQLITE_IOERR_SHORT_READ || (code == SQLITE_OK && memcmp(head, magic, sizeof(magic)) != 0))
        return HS_GALLERY_BROKEN;
    if (file->pMethods->xShmLock(file, CHECKPOINT_LOCK, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) != SQLITE_OK)
        return HS_GALLERY_KEPT;
    enum hs_gallery_loss loss = is_settled(gallery) ? look(gallery, newest, ret_change) : HS_GALLERY_KEPT;
    file->pMethods->xShmLock(file, CHECKPOINT_LOCK, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    return loss;
}

void hs_gallery_watch(struct hs_gallery *gallery)
{
    struct stat st;
    gallery->log_ino = stat(name_of_log(gallery), &st) == 0 ? st.st_ino : 0;
    gallery->file_change = -1;
    /* Any other result is not a loss yet: the content may still be only in the log, kept by another process. */
    if (stat(gallery->path, &st) < 0 || look_locked(gallery, INT64_MAX, &gallery->file_change) != HS_GALLERY_KEPT ||
        gallery->file_change < 0)
        return;
    gallery->seen_size = st.st_size;
    gallery->seen_time = st.st_mtim;
}

int hs_gallery_verify(struct hs_gallery *gallery, bool inside, struct hs_error *err)
{
    struct stat st;
    int64_t change;
    if (gallery->file_change < 0)
        hs_gallery_watch(gallery);
    if (gallery->file_change < 0)
        return 0;
    if (stat(gallery->path, &st) == 0 && !is_as_seen(gallery, &st)) {
        enum hs_gallery_loss loss = look_locked(gallery, inside ? gallery->change : INT64_MAX, &change);
        set_lost(gallery, loss);
        if (loss == HS_GALLERY_KEPT && change >= 0) {
            gallery->file_change = change;
            gallery->seen_size = st.st_size;
            gallery->seen_time = st.st_mtim;
        }
    }
    if (!has_own_log(gallery))
        set_lost(gallery, HS_GALLERY_LOG_GONE);
    return hs_gallery_check_file(gallery, err);
}

/* ---- saving ---- */

static int refuse_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    (void) file, (void) data, (void) len, (void) at;
    return SQLITE_IOERR_CORRUPTFS;
}

/* Pages of a foreign gallery would pass all checks, so read nothing more from the file. Memory and
 * the log hold only our content. */
static void stop_reading_file(struct hs_gallery *gallery)
{
    sqlite3_file *file = NULL;
    sqlite3_file_control(gallery->writer->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (!file || !file->pMethods || file->pMethods->xRead == refuse_read)
        return;
    gallery->unread_file = *file->pMethods;
    gallery->unread_file.xRead = refuse_read;
    file->pMethods = &gallery->unread_file;
}

/* If another program has opened a file that replaced ours, it has used our log for that file. */
static bool can_save(const struct hs_gallery *gallery)
{
    return gallery->lost != HS_GALLERY_GONE || has_own_log(gallery) || !hs_file_exists(gallery->path);
}

static void save_locked(struct hs_gallery *gallery)
{
    char path[PATH_MAX];
    struct stat st;
    int r = can_save(gallery) ? 0 : HS_EDECODE;
    if (gallery->lost == HS_GALLERY_BROKEN || gallery->lost == HS_GALLERY_EXCHANGED)
        stop_reading_file(gallery);
    if (r == 0)
        r = hs_gallery_backup_locked(gallery, gallery->writer->db, path, NULL);
    if (r == 0) {
        hs_str_copy(gallery->saved_name, sizeof(gallery->saved_name), hs_path_base(path));
        gallery->saved = true;
    }
    gallery->save_is_over = r == 0 || r == HS_EDECODE;
    /* The file is still ours, and SQLite still has the deleted log open. */
    if (gallery->lost == HS_GALLERY_LOG_GONE && (stat(name_of_log(gallery), &st) < 0 || st.st_size == 0))
        sqlite3_wal_checkpoint_v2(gallery->writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    hs_gallery_leave_log(gallery);
}

void hs_gallery_save(struct hs_gallery *gallery)
{
    enum { PAUSE_MS = 500 };
    int lock;
    if (!gallery->lost || gallery->save_is_over || hs_gallery_lock_folder(gallery->path, &lock, NULL) < 0)
        return;
    if (hs_gallery_lock_change(gallery, NULL) == 0) {
        if (!gallery->save_is_over && hs_clock_now_ns() >= gallery->next_save_ns)
            save_locked(gallery);
        gallery->next_save_ns = hs_deadline_in_ms(PAUSE_MS);
        hs_gallery_unlock_change(gallery);
    }
    hs_gallery_unlock_folder(lock);
}

int hs_gallery_check_use(struct hs_gallery *gallery, struct hs_error *err)
{
    if (hs_gallery_check_file(gallery, NULL) == 0 && hs_gallery_lock_change(gallery, NULL) == 0) {
        hs_gallery_verify(gallery, false, NULL);
        hs_gallery_unlock_change(gallery);
    }
    hs_gallery_save(gallery);
    return hs_gallery_check_file(gallery, err);
}
