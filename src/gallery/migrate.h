/* The steps from each older schema to the present one. PRAGMA user_version has the number: 0 is the file of the first
 * programs, two tables without a number. */
#ifndef HS_GALLERY_MIGRATE_H
#define HS_GALLERY_MIGRATE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "hs/status.h"

enum { HS_GALLERY_SCHEMA = 5 };

/* *ret_version is -1 for a file without our tables. HS_EVERSION: newer than this program knows. */
int hs_gallery_schema_of(sqlite3 *db, int *ret_version, struct hs_error *err);

/* Takes the file to the present schema, each step in a transaction of its own. Embeddings without an identity are
 * erased and counted; those that name no space get legacy_space. A file without a uid gets this one. */
int hs_gallery_migrate(sqlite3 *db, const char *legacy_space, const char *uid, int64_t *ret_orphans,
                       struct hs_error *err);

/* HS_EDECODE: a file of the present schema has triggers, views, checks, tables or columns that are not ours. */
int hs_gallery_check_schema(sqlite3 *db, struct hs_error *err);

#endif
