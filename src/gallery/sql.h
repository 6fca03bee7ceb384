/* Helpers for SQLite that convert its result codes into ours. */
#ifndef HS_GALLERY_SQL_H
#define HS_GALLERY_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

/* Converts an SQLite code into an HS_E code. Clients of the service see the message, so it contains
 * no SQL and no path. `what` names the failed operation; NULL: omitted. */
int hs_sql_error(int code, const char *what, struct hs_error *err);

/* Returns true if the code means that the file is damaged or is not a database. */
bool hs_sql_is_damage(int code);

/* Opens a database with extended result codes. Disables triggers and views of the file, and
 * functions in its schema. On failure nothing stays open, and *ret_code is SQLite's code. HS_EIO
 * without waiting if the path is a pipe or a device. */
int hs_sql_open(const char *path, int flags, const char *vfs, int busy_timeout_ms, sqlite3 **ret_db, int *ret_code,
                struct hs_error *err);

/* Applies the settings of every connection that may write to a gallery file. */
int hs_sql_configure(sqlite3 *db, struct hs_error *err);

int hs_sql_exec(sqlite3 *db, const char *sql, struct hs_error *err);
int hs_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt, struct hs_error *err);

/* Returns 1 for a row; 0 at the end and a negative code on failure, both with the statement reset. */
int hs_sql_step(sqlite3_stmt *stmt, struct hs_error *err);

/* Steps to the end and skips rows; then resets the statement. */
int hs_sql_run(sqlite3_stmt *stmt, struct hs_error *err);

/* Resets a statement and clears its bindings. */
void hs_sql_release(sqlite3_stmt *stmt);

/* Reads the first column of the first row; 0 or "" for an empty result. Truncates a text that does not fit. */
int hs_sql_int(sqlite3 *db, const char *sql, int64_t *ret_value, struct hs_error *err);
int hs_sql_text(sqlite3 *db, const char *sql, char *ret_text, size_t size, struct hs_error *err);

/* Runs a quick_check or integrity_check. HS_EIO with the first problem found; *ret_damaged (may be
 * NULL) is set if the cause is the file, not the disk or the memory. */
int hs_sql_check(sqlite3 *db, const char *sql, bool *ret_damaged, struct hs_error *err);

#endif
