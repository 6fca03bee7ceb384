/* Database connections, the change lock, and the begin and end of changes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stage.h"
#include "base/str.h"
#include "gallery/gallery_internal.h"
#include "gallery/name.h"

/* Limits the wait for a reader that keeps the log from being emptied, because other threads wait
 * for the change lock. */
enum { EMPTY_LOG_MS = 100 };

int hs_gallery_no_memory(struct hs_error *err)
{
    return hs_error_set(err, HS_ENOMEM, "no memory for the gallery");
}

/* ---- connections ---- */

int hs_gallery_prepare(struct hs_gallery_conn *conn, struct hs_error *err)
{
    static const char *const texts[] = {
#define HS_GALLERY_TEXT(name, sql) sql,
        HS_GALLERY_STATEMENTS(HS_GALLERY_TEXT)
#undef HS_GALLERY_TEXT
    };
    _Static_assert(HS_ARRAY_LEN(texts) == HS_STMT_COUNT, "one text a statement");
    int r = 0;
    for (size_t i = 0; i < HS_STMT_COUNT && r == 0; i++)
        r = hs_sql_prepare(conn->db, texts[i], &conn->statements[i], err);
    return r;
}

int hs_gallery_connect(const struct hs_gallery *gallery, const char *path, bool prepared,
                       struct hs_gallery_conn **ret_conn, bool *ret_damaged, struct hs_error *err)
{
    struct hs_gallery_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return hs_gallery_no_memory(err);
    conn->legacy_space = gallery->legacy_space;
    conn->keys = gallery->keys;
    int64_t auto_vacuum;
    int code;
    int r = hs_sql_open(path, SQLITE_OPEN_READWRITE, gallery->vfs, gallery->busy_timeout_ms, &conn->db, &code, err);
    if (r < 0 && ret_damaged)
        *ret_damaged = hs_sql_is_damage(code);
    if (r == 0 && ret_damaged)
        r = hs_sql_check(conn->db, "PRAGMA quick_check(1)", ret_damaged, err);
    if (r == 0)
        r = hs_sql_configure(conn->db, err);
    if (r == 0)
        r = hs_sql_int(conn->db, "PRAGMA auto_vacuum", &auto_vacuum, err);
    /* If another program created the file with auto_vacuum, it has pointer map pages, which the
     * scrubber must not see. */
    if (r == 0 && auto_vacuum != 0)
        r = hs_sql_exec(conn->db, "PRAGMA auto_vacuum = 0; VACUUM", err);
    if (r == 0)
        r = hs_scrub_attach(&conn->scrub, conn->db, err);
    if (r == 0 && prepared)
        r = hs_gallery_prepare(conn, err);
    if (r < 0) {
        hs_gallery_disconnect(conn);
        return r;
    }
    *ret_conn = conn;
    return 0;
}

void hs_gallery_disconnect(struct hs_gallery_conn *conn)
{
    if (!conn)
        return;
    for (size_t i = 0; i < HS_STMT_COUNT; i++)
        sqlite3_finalize(conn->statements[i]);
    sqlite3_close(conn->db);
    hs_mem_free_wiped(conn, sizeof(*conn)); /* conn->scrub has a copy of a page */
}

int hs_gallery_check_file(struct hs_gallery *gallery, struct hs_error *err)
{
    struct stat st;
    if (stat(gallery->path, &st) < 0 ? errno == ENOENT : st.st_dev != gallery->dev || st.st_ino != gallery->ino)
        gallery->lost = true;
    if (gallery->lost)
        return hs_error_set(
            err, HS_EIO, "The gallery file was deleted or replaced while in use. Restart the service to allow changes");
    return 0;
}

/* The statement is already prepared, so running it does not fail for lack of memory. */
static void roll_back(struct hs_gallery_conn *conn)
{
    if (!sqlite3_get_autocommit(conn->db))
        hs_sql_run(conn->statements[HS_STMT_ROLLBACK], NULL);
}

/* ---- readers ---- */

/* Returns an idle reader, or NULL if the caller must create one; reader_count already includes it. */
static struct hs_gallery_conn *acquire_reader(struct hs_gallery *gallery)
{
    pthread_mutex_lock(&gallery->readers_lock);
    while (!gallery->idle && gallery->reader_count == HS_GALLERY_READERS)
        pthread_cond_wait(&gallery->reader_is_idle, &gallery->readers_lock);
    struct hs_gallery_conn *conn = gallery->idle;
    if (conn)
        gallery->idle = conn->next;
    else
        gallery->reader_count++;
    pthread_mutex_unlock(&gallery->readers_lock);
    return conn;
}

/* Drops the cached pages of a connection, if something was erased since it last did so. */
static void drop_page_cache(struct hs_gallery *gallery, struct hs_gallery_conn *conn)
{
    unsigned erasures = gallery->erasures;
    if (conn->erasures != erasures)
        sqlite3_db_release_memory(conn->db);
    conn->erasures = erasures;
}

/* Readers in use drop their pages when they are released. */
static void drop_all_page_caches(struct hs_gallery *gallery)
{
    drop_page_cache(gallery, gallery->writer);
    pthread_mutex_lock(&gallery->readers_lock);
    for (struct hs_gallery_conn *conn = gallery->idle; conn; conn = conn->next)
        drop_page_cache(gallery, conn);
    pthread_mutex_unlock(&gallery->readers_lock);
}

/* Releases a reader; NULL: creating it failed. */
static void release_reader(struct hs_gallery *gallery, struct hs_gallery_conn *conn)
{
    pthread_mutex_lock(&gallery->readers_lock);
    if (conn)
        drop_page_cache(gallery, conn);
    if (conn) {
        conn->next = gallery->idle;
        gallery->idle = conn;
    } else {
        gallery->reader_count--;
    }
    pthread_cond_signal(&gallery->reader_is_idle);
    pthread_mutex_unlock(&gallery->readers_lock);
}

int hs_gallery_begin_read(struct hs_gallery *gallery, struct hs_gallery_conn **ret_conn, struct hs_error *err)
{
    struct hs_gallery_conn *conn = acquire_reader(gallery);
    int r = 0;
    if (!conn) {
        r = hs_gallery_connect(gallery, gallery->path, true, &conn, NULL, err);
        if (r == 0)
            r = hs_gallery_check_file(gallery, err);
        if (r < 0) {
            hs_gallery_disconnect(conn);
            conn = NULL;
        }
    }
    if (r == 0)
        r = hs_sql_run(conn->statements[HS_STMT_BEGIN_READ], err);
    if (r < 0) {
        release_reader(gallery, conn);
        return r;
    }
    *ret_conn = conn;
    return 0;
}

void hs_gallery_end_read(struct hs_gallery *gallery, struct hs_gallery_conn *conn)
{
    roll_back(conn);
    release_reader(gallery, conn);
}

/* ---- the change lock ---- */

static int lock_until(struct hs_gallery *gallery, int64_t deadline_ns, struct hs_error *err)
{
    int r = 0;
    pthread_mutex_lock(&gallery->change_lock);
    while (gallery->changing && r == 0)
        r = hs_cond_wait_until(&gallery->change_ends, &gallery->change_lock, deadline_ns);
    bool mine = !gallery->changing;
    gallery->changing = true;
    pthread_mutex_unlock(&gallery->change_lock);
    return mine ? 0 : hs_error_set(err, HS_EBUSY, "The gallery is busy with another change; try again");
}

int hs_gallery_lock_change(struct hs_gallery *gallery, struct hs_error *err)
{
    return lock_until(gallery, hs_deadline_in_ms(gallery->busy_timeout_ms), err);
}

void hs_gallery_unlock_change(struct hs_gallery *gallery)
{
    pthread_mutex_lock(&gallery->change_lock);
    gallery->changing = false;
    pthread_cond_signal(&gallery->change_ends);
    pthread_mutex_unlock(&gallery->change_lock);
}

/* ---- changes ---- */

/* The state of the log, read from its index (sqlite.org/walformat.html). SQLite rebuilds the index,
 * with counters from 0, if a process was killed while writing it. */
struct log_state {
    uint32_t commits; /* iChange: the number of commits by any process, counted as long as one connection is open */
    uint32_t frames;  /* mxFrame */
};

static int read_log_state(sqlite3 *db, struct log_state *ret_state, struct hs_error *err)
{
    enum { REGION_SIZE = 32768, COMMITS_AT = 8 / sizeof(uint32_t), FRAMES_AT = 16 / sizeof(uint32_t) };
    sqlite3_file *file = NULL, *log = NULL;
    void volatile *index = NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    int code = SQLITE_IOERR;
    /* SQLite unmaps the index only together with a log that it opened itself. */
    bool has_log = log && log->pMethods;
    if (has_log && file && file->pMethods && file->pMethods->iVersion >= 2)
        code = file->pMethods->xShmMap(file, 0, REGION_SIZE, 0, &index);
    if (!index)
        return hs_sql_error(code == SQLITE_OK ? SQLITE_IOERR : code, "cannot read the log index", err);
    const volatile uint32_t *words = index;
    ret_state->commits = __atomic_load_n(words + COMMITS_AT, __ATOMIC_ACQUIRE);
    ret_state->frames = __atomic_load_n(words + FRAMES_AT, __ATOMIC_ACQUIRE);
    return 0;
}

int hs_gallery_read_version(struct hs_gallery *gallery, struct hs_gallery_conn *conn,
                            struct hs_gallery_version *ret_version, struct hs_error *err)
{
    struct log_state before, after;
    int64_t change;
    pthread_mutex_lock(&gallery->version_lock);
    uint32_t first_uncounted = gallery->first_uncounted;
    pthread_mutex_unlock(&gallery->version_lock);
    int r = read_log_state(conn->db, &before, err);
    if (r == 0)
        r = hs_gallery_read_number(conn->statements[HS_STMT_GET_CHANGE], &change, err);
    if (r >= 0)
        r = read_log_state(conn->db, &after, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&gallery->version_lock);
    bool known = before.commits == after.commits && first_uncounted == gallery->first_uncounted;
    gallery->rewritten_seen |= known && after.commits == gallery->rewritten;
    pthread_mutex_unlock(&gallery->version_lock);
    uint32_t resets = after.commits - (uint32_t) change - first_uncounted;
    *ret_version = (struct hs_gallery_version) { change, resets, before.frames };
    return known;
}

/* Inside a transaction of the writer. A restore increases the change number so far that `resets` decreases. */
static int read_change_in_txn(struct hs_gallery *gallery, struct hs_error *err)
{
    struct hs_gallery_version version;
    int r = hs_gallery_read_version(gallery, gallery->writer, &version, err);
    if (r <= 0)
        return r < 0 ? r : hs_error_set(err, HS_EBUSY, "the gallery changed while it was locked; try again");
    if ((int32_t) (version.resets - gallery->resets) > 0)
        gallery->suspect = true;
    gallery->resets = version.resets;
    gallery->change = version.change;
    r = hs_gallery_read_number(gallery->writer->statements[HS_STMT_GET_DATA_KEY], &gallery->data_key, err);
    if (r >= 0 && gallery->data_key)
        r = hs_gallery_keys_need(gallery->keys, gallery->writer->db, gallery->data_key, err);
    return r < 0 ? r : 0;
}

/* Invalid requests and lock timeouts do not indicate a problem with the file. */
static void record_outcome(struct hs_gallery *gallery, int r)
{
    if (r == 0 || r == HS_EIO)
        gallery->failing = r == HS_EIO;
}

int hs_gallery_begin(struct hs_gallery *gallery, struct hs_error *err)
{
    int64_t deadline_ns = hs_deadline_in_ms(gallery->busy_timeout_ms), start_ns = hs_clock_now_ns();
    int r = lock_until(gallery, deadline_ns, err);
    if (r < 0)
        return r;
    struct hs_gallery_conn *conn = gallery->writer;
    gallery->change_began_ns = start_ns;
    int64_t left_ns = deadline_ns - hs_clock_now_ns();
    roll_back(conn); /* needed if the rollback at the end of the last change failed */
    r = hs_gallery_check_file(gallery, err);
    if (r == 0) {
        sqlite3_busy_timeout(conn->db, left_ns > 0 ? (int) (left_ns / HS_NS_PER_MS) : 0);
        r = hs_sql_run(conn->statements[HS_STMT_BEGIN], err);
        sqlite3_busy_timeout(conn->db, gallery->busy_timeout_ms);
    }
    if (r == 0)
        r = read_change_in_txn(gallery, err);
    gallery->logged = false;
    hs_audit_draft(gallery, "change");
    gallery->audit_next.seq = 0;
    if (r < 0) {
        record_outcome(gallery, r);
        roll_back(conn);
        hs_gallery_unlock_change(gallery);
    }
    return r;
}

int hs_gallery_touch(struct hs_gallery *gallery, int64_t identity_id, struct hs_error *err)
{
    gallery->logged = true;
    return HS_GALLERY_RUN(gallery, HS_STMT_LOG_CHANGE, err, HS_NUMBER(gallery->change + 1), HS_NUMBER(identity_id));
}

/* Numbers the change, so that indexes follow the order of commits. */
int hs_gallery_end(struct hs_gallery *gallery, int r, bool erases, struct hs_error *err)
{
    int64_t change = gallery->change + 1;
    if (r == 0 && gallery->logged)
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_CHANGE, err, HS_NUMBER(change));
    if (r == 0 && gallery->logged)
        r = HS_GALLERY_RUN(gallery, HS_STMT_DELETE_CHANGES, err, HS_NUMBER(change - HS_GALLERY_CHANGES_MAX));
    if (r == 0 && gallery->logged)
        r = hs_audit_append(gallery, err);
    if (r == 0)
        r = hs_sql_run(gallery->writer->statements[HS_STMT_COMMIT], err);
    record_outcome(gallery, r);
    if (r < 0) {
        roll_back(gallery->writer);
    } else {
        gallery->change += gallery->logged;
        hs_audit_committed(gallery);
        gallery->erasures += erases;
        if (erases || gallery->erase_pending)
            hs_gallery_empty_log(gallery, false, NULL);
        drop_all_page_caches(gallery);
    }
    hs_stage_record(HS_STAGE_DATABASE, hs_clock_now_ns() - gallery->change_began_ns);
    hs_gallery_unlock_change(gallery);
    return r;
}

static int checkpoint(struct hs_gallery *gallery, struct hs_error *err)
{
    sqlite3 *db = gallery->writer->db;
    sqlite3_busy_timeout(db, gallery->busy_timeout_ms < EMPTY_LOG_MS ? gallery->busy_timeout_ms : EMPTY_LOG_MS);
    int code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db, gallery->busy_timeout_ms);
    return code == SQLITE_OK ? 0 : hs_sql_error(code, "cannot empty the log", err);
}

/* A rewrite leaves the content unchanged, so its commit does not count as a reset. It does count if
 * another commit happened meanwhile, or if a version with this commit count was already returned:
 * that version must not appear again with different content. */
static int rewrite(struct hs_gallery *gallery, struct hs_error *err)
{
    struct log_state before, after;
    int r = read_log_state(gallery->writer->db, &before, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&gallery->version_lock);
    gallery->rewritten = before.commits + 1;
    gallery->rewritten_seen = false;
    pthread_mutex_unlock(&gallery->version_lock);
    r = hs_sql_exec(gallery->writer->db, "VACUUM", err);
    if (r == 0)
        r = read_log_state(gallery->writer->db, &after, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&gallery->version_lock);
    if (after.commits == gallery->rewritten && !gallery->rewritten_seen)
        gallery->first_uncounted++;
    pthread_mutex_unlock(&gallery->version_lock);
    return 0;
}

int hs_gallery_empty_log(struct hs_gallery *gallery, bool thoroughly, struct hs_error *err)
{
    gallery->erase_pending = true;
    int r = checkpoint(gallery, err);
    if (r == 0 && gallery->suspect && (thoroughly || !gallery->erase_later)) {
        if (hs_scrub_is_needed(gallery->writer->db)) {
            r = rewrite(gallery, err);
            if (r == 0)
                r = checkpoint(gallery, err);
        }
        gallery->suspect = r < 0;
    }
    gallery->erase_pending = r < 0 || gallery->suspect;
    return r;
}

sqlite3_stmt *hs_gallery_bind_name(struct hs_gallery_conn *conn, enum hs_gallery_statement which, const char *name,
                                   char clean[HS_GALLERY_NAME_MAX + 1], struct hs_error *err)
{
    int r = hs_gallery_clean_name(name, clean, NULL);
    if (r == HS_ENOMEM) {
        hs_gallery_no_memory(err);
        return NULL;
    }
    return HS_GALLERY_BIND(conn, which, HS_TEXT(name), HS_TEXT(r == 0 ? clean : NULL));
}

int hs_gallery_find(struct hs_gallery *gallery, const char *name, int64_t *ret_id, struct hs_error *err)
{
    char clean[HS_GALLERY_NAME_MAX + 1];
    sqlite3_stmt *stmt = hs_gallery_bind_name(gallery->writer, HS_STMT_FIND_IDENTITY, name, clean, err);
    if (!stmt)
        return HS_ENOMEM;
    int r = hs_gallery_read_number(stmt, ret_id, err);
    if (r == 0)
        return hs_error_set(err, HS_ENOTFOUND, "Identity '%s' not found", name);
    return r < 0 ? r : 0;
}

/* ---- statements ---- */

sqlite3_stmt *hs_gallery_bind(struct hs_gallery_conn *conn, enum hs_gallery_statement which,
                              const struct hs_gallery_value *values, size_t count)
{
    sqlite3_stmt *stmt = conn->statements[which];
    for (size_t i = 0; i < count; i++) {
        int at = (int) i + 1;
        if (values[i].kind == HS_VALUE_NUMBER)
            sqlite3_bind_int64(stmt, at, values[i].number);
        else if (values[i].kind == HS_VALUE_TEXT)
            sqlite3_bind_text(stmt, at, values[i].data, -1, SQLITE_STATIC);
        else if (values[i].data)
            sqlite3_bind_blob64(stmt, at, values[i].data, values[i].size, SQLITE_STATIC);
        else
            sqlite3_bind_zeroblob64(stmt, at, values[i].size);
    }
    if (sqlite3_bind_parameter_count(stmt) == 9)
        sqlite3_bind_text(stmt, 9, conn->legacy_space, -1, SQLITE_STATIC);
    return stmt;
}

int hs_gallery_read_number(sqlite3_stmt *stmt, int64_t *ret, struct hs_error *err)
{
    int r = hs_sql_step(stmt, err);
    if (r >= 0)
        *ret = r > 0 ? sqlite3_column_int64(stmt, 0) : 0;
    hs_sql_release(stmt);
    return r;
}

int hs_gallery_store_vector(struct hs_gallery *gallery, struct hs_crypt_row row, const float *values, size_t dimension,
                            struct hs_error *err)
{
    uint8_t sealed[HS_CRYPT_OVERHEAD + HS_GALLERY_DIMENSION_MAX * sizeof(float)];
    if (!gallery->data_key)
        return HS_GALLERY_RUN(gallery, HS_STMT_SET_VECTOR, err, HS_NUMBER(row.id),
                              HS_BYTES(values, dimension * sizeof(float)));
    int r = hs_gallery_seal(gallery->keys, gallery->data_key, row, values, dimension, sealed, err);
    if (r == 0)
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_VECTOR, err, HS_NUMBER(row.id),
                           HS_BYTES(sealed, HS_CRYPT_OVERHEAD + dimension * sizeof(float)));
    return r;
}
