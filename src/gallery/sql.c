#include "gallery/sql.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "gallery/scrub.h"

enum { CACHE_KIB = 2048 };

static int status_of(int code)
{
    if (code == SQLITE_IOERR_NOMEM)
        return HS_ENOMEM;
    switch (code & 0xff) {
    case SQLITE_OK:
        return HS_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return HS_EBUSY;
    case SQLITE_NOMEM:
        return HS_ENOMEM;
    case SQLITE_CONSTRAINT:
        return HS_ECONFLICT;
    case SQLITE_TOOBIG:
        return HS_ETOOLARGE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
        return HS_EIO;
    default:
        return HS_EINTERNAL;
    }
}

static const char *message_of(int status, int code)
{
    if ((code & 0xff) == SQLITE_FULL)
        return "cannot write the gallery: the disk is full";
    switch (status) {
    case HS_ENOMEM:
        return "no memory for the gallery";
    case HS_ECONFLICT:
        return "the change conflicts with stored data of the gallery";
    case HS_ETOOLARGE:
        return "the entry is too large for the gallery";
    default:
        return "the gallery file cannot be read or written";
    }
}

int hs_sql_error(int code, const char *what, struct hs_error *err)
{
    int status = status_of(code);
    if (status == HS_EBUSY)
        return hs_error_set(err, status, "The gallery is busy with a change by another process; try again");
    return hs_error_set(err, status, "%s" HS_DETAIL "%s%s%s (SQLite %d)", message_of(status, code), what ? what : "",
                        what ? ": " : "", sqlite3_errstr(code), code);
}

bool hs_sql_is_damage(int code)
{
    return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* ---- memory: SQLite's pages, rows and bound values hold vectors, so freed memory is wiped ---- */

static sqlite3_mem_methods plain;

static void wipe_and_free(void *data)
{
    sodium_memzero(data, (size_t) plain.xSize(data));
    plain.xFree(data);
}

static void *wipe_and_resize(void *data, int size)
{
    void *larger = plain.xMalloc(size);
    if (!larger)
        return NULL;
    int now = plain.xSize(data);
    memcpy(larger, data, (size_t) (now < size ? now : size));
    wipe_and_free(data);
    return larger;
}

/* The default page cache preallocates pages for each connection and never frees them; turn that
 * off, so that all pages are wiped. If the program has used SQLite before, the configuration fails
 * and stays as it was. */
static void configure_memory(void)
{
    sqlite3_mem_methods wiping;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain) != SQLITE_OK)
        return;
    wiping = plain;
    wiping.xFree = wipe_and_free;
    wiping.xRealloc = wipe_and_resize;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &wiping) == SQLITE_OK)
        sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
}

/* A foreign file may name functions in its schema. Never run any of them. */
static void disable_schema_functions(sqlite3 *db)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
}

int hs_sql_open(const char *path, int flags, const char *vfs, int busy_timeout_ms, sqlite3 **ret_db, int *ret_code,
                struct hs_error *err)
{
    static pthread_once_t memory_is_set_up = PTHREAD_ONCE_INIT;
    sqlite3 *db = NULL;
    struct stat st;
    pthread_once(&memory_is_set_up, configure_memory);
    *ret_code = SQLITE_CANTOPEN;
    /* SQLite would block until the other end of a pipe is opened. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return hs_error_set(err, HS_EIO, "%s is not a regular file", hs_path_base(path));
    int code = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOMUTEX, vfs);
    *ret_code = code;
    if (code != SQLITE_OK) {
        int r = hs_sql_error(code, hs_path_base(path), err);
        sqlite3_close(db);
        return r;
    }
    disable_schema_functions(db);
    sqlite3_busy_timeout(db, busy_timeout_ms);
    *ret_db = db;
    return 0;
}

int hs_sql_configure(sqlite3 *db, struct hs_error *err)
{
    char sql[300];
    hs_str_format(sql, sizeof(sql),
                  "PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA synchronous = FULL;"
                  "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
                  "PRAGMA cache_size = -%d; PRAGMA max_page_count = %d",
                  CACHE_KIB, HS_SCRUB_PAGES_MAX);
    return hs_sql_exec(db, sql, err);
}

int hs_sql_exec(sqlite3 *db, const char *sql, struct hs_error *err)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : hs_sql_error(code, NULL, err);
}

int hs_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt, struct hs_error *err)
{
    int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL);
    return code == SQLITE_OK ? 0 : hs_sql_error(code, NULL, err);
}

int hs_sql_step(sqlite3_stmt *stmt, struct hs_error *err)
{
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        return 1;
    int r = code == SQLITE_DONE ? 0 : hs_sql_error(code, NULL, err);
    sqlite3_reset(stmt);
    return r;
}

int hs_sql_run(sqlite3_stmt *stmt, struct hs_error *err)
{
    int r;
    do
        r = hs_sql_step(stmt, err);
    while (r > 0);
    hs_sql_release(stmt);
    return r;
}

void hs_sql_release(sqlite3_stmt *stmt)
{
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
}

/* Steps to the first row, as hs_sql_step does. The caller always finalizes *ret_stmt. */
static int step_first(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt, struct hs_error *err)
{
    *ret_stmt = NULL;
    int r = hs_sql_prepare(db, sql, ret_stmt, err);
    return r < 0 ? r : hs_sql_step(*ret_stmt, err);
}

int hs_sql_int(sqlite3 *db, const char *sql, int64_t *ret_value, struct hs_error *err)
{
    sqlite3_stmt *stmt;
    int r = step_first(db, sql, &stmt, err);
    if (r >= 0)
        *ret_value = r > 0 ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_finalize(stmt);
    return r < 0 ? r : 0;
}

int hs_sql_text(sqlite3 *db, const char *sql, char *ret_text, size_t size, struct hs_error *err)
{
    sqlite3_stmt *stmt;
    int r = step_first(db, sql, &stmt, err);
    const char *text = r > 0 ? (const char *) sqlite3_column_text(stmt, 0) : NULL;
    if (r > 0 && !text && sqlite3_errcode(db) == SQLITE_NOMEM)
        r = hs_error_set(err, HS_ENOMEM, "no memory for the gallery");
    if (r >= 0)
        hs_str_copy(ret_text, size, text ? text : "");
    sqlite3_finalize(stmt);
    return r < 0 ? r : 0;
}

/* An unreadable page is reported as a problem, too, with SQLite's code at the end: "error code=522". */
static bool is_damage_report(const char *text)
{
    const char *mark = "error code=";
    const char *found = strstr(text, mark);
    int64_t code;
    return !found || !hs_str_to_int64(found + strlen(mark), &code) || hs_sql_is_damage((int) code);
}

int hs_sql_check(sqlite3 *db, const char *sql, bool *ret_damaged, struct hs_error *err)
{
    bool damaged = false;
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), r = 0;
    if (code == SQLITE_OK)
        code = sqlite3_step(stmt);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        r = hs_sql_error(code, "check", err);
        /* The statement is valid, so SQLITE_ERROR means an invalid file format or schema. */
        damaged = hs_sql_is_damage(code) || (code & 0xff) == SQLITE_ERROR;
    } else if (code == SQLITE_ROW) {
        const char *text = (const char *) sqlite3_column_text(stmt, 0);
        if (!text)
            r = hs_error_set(err, HS_ENOMEM, "no memory for the gallery");
        else if (strcmp(text, "ok") != 0) {
            r = hs_error_set(err, HS_EIO, "the gallery file is damaged" HS_DETAIL "%s", text);
            damaged = is_damage_report(text);
        }
    }
    sqlite3_finalize(stmt);
    if (ret_damaged)
        *ret_damaged = damaged;
    return r;
}
