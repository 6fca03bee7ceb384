/* The few steps that every use of SQLite here consists of, with its results turned into ours. */
#ifndef HS_GALLERY_SQL_H
#define HS_GALLERY_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"

/* Turns SQLite's code into one of ours. The message is for clients of the service: it has no SQL and no path. `what`
 * says what was being done; NULL: nothing to say. */
int hs_sql_error(int code, const char *what, struct hs_error *err);

/* The file itself is damaged, or is no database. */
bool hs_sql_is_damage(int code);

/* Opens with extended result codes; triggers and views of the file do nothing, and functions in its schema are not run.
 * On failure nothing is left open, and *ret_code is SQLite's. HS_EIO at once for a pipe or a device. */
int hs_sql_open(const char *path, int flags, const char *vfs, int busy_timeout_ms, sqlite3 **ret_db, int *ret_code,
                struct hs_error *err);

/* The settings of each connection to a gallery file that may write. */
int hs_sql_configure(sqlite3 *db, struct hs_error *err);

int hs_sql_exec(sqlite3 *db, const char *sql, struct hs_error *err);
int hs_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt, struct hs_error *err);

/* 1: a row, 0: done (and the statement is reset), negative: failed (and reset). */
int hs_sql_step(sqlite3_stmt *stmt, struct hs_error *err);

/* Steps to the end, then resets; rows are skipped. */
int hs_sql_run(sqlite3_stmt *stmt, struct hs_error *err);

/* Ends the use of a statement: reset, and its bindings forgotten. */
void hs_sql_release(sqlite3_stmt *stmt);

/* The first column of the first row; 0 or "" if there is none. A text that does not fit is cut. */
int hs_sql_int(sqlite3 *db, const char *sql, int64_t *ret_value, struct hs_error *err);
int hs_sql_text(sqlite3 *db, const char *sql, char *ret_text, size_t size, struct hs_error *err);

/* Runs a quick_check or integrity_check. HS_EIO with its first complaint; *ret_damaged (may be NULL) is set if the
 * file is to blame, and not the disk or the memory. */
int hs_sql_check(sqlite3 *db, const char *sql, bool *ret_damaged, struct hs_error *err);

#endif
