/* Migrations from each older schema to the current one. */
#include "base/mem.h"
#include "base/str.h"
#include "gallery/gallery_internal.h"

/* The statements of each step, in order, one by one, so that ?1 can be the space of older
 * embeddings (in step 5 the uid). A released step is never changed; new steps are added below. */
static const char *const step_1[] = {
    "CREATE TABLE IF NOT EXISTS identities (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL,"
    " created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
    "CREATE TABLE IF NOT EXISTS embeddings (id INTEGER PRIMARY KEY AUTOINCREMENT, identity_id INTEGER NOT NULL,"
    " embedding BLOB NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,"
    " FOREIGN KEY (identity_id) REFERENCES identities(id) ON DELETE CASCADE)",
    "CREATE INDEX IF NOT EXISTS idx_embeddings_identity ON embeddings(identity_id)",
    /* Names with a NUL cannot be looked up, because strings here end at the first NUL. */
    "UPDATE identities SET name = substr(name, 1, instr(name, char(0)) - 1) || '#' || id WHERE instr(name, char(0))",
    NULL,
};

static const char *const step_2[] = {
    "ALTER TABLE embeddings ADD COLUMN space TEXT",
    "ALTER TABLE embeddings ADD COLUMN model TEXT",
    "ALTER TABLE embeddings ADD COLUMN quality TEXT",
    "ALTER TABLE embeddings ADD COLUMN source_sha256 TEXT",
    "UPDATE embeddings SET space = ?1",
    NULL,
};

static const char *const step_3[] = {
    "ALTER TABLE identities ADD COLUMN metadata TEXT",
    NULL,
};

/* Additions with an idempotency key, so that a retry does not repeat them. Only hashes of the
 * client's data are stored. */
static const char *const step_4[] = {
    "CREATE TABLE IF NOT EXISTS requests (key_sha256 TEXT PRIMARY KEY NOT NULL, body_sha256 TEXT NOT NULL,"
    " identity_id INTEGER NOT NULL, embedding_id INTEGER NOT NULL, identity_created INTEGER NOT NULL,"
    " embedding_dropped INTEGER NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,"
    " FOREIGN KEY (identity_id) REFERENCES identities(id) ON DELETE CASCADE)",
    "CREATE INDEX IF NOT EXISTS idx_requests_identity ON requests(identity_id)",
    "CREATE INDEX IF NOT EXISTS idx_requests_created ON requests(created_at)",
    NULL,
};

/* The number of the last change, the identities that the newest changes touched, and the gallery's uid: ?1. */
static const char *const step_5[] = {
    "CREATE TABLE IF NOT EXISTS gallery (uid TEXT NOT NULL, change INTEGER NOT NULL)",
    "INSERT INTO gallery (uid, change) SELECT ?1, 0 WHERE NOT EXISTS (SELECT 1 FROM gallery)",
    "CREATE TABLE IF NOT EXISTS changes (number INTEGER NOT NULL, identity_id INTEGER NOT NULL,"
    " PRIMARY KEY (number, identity_id)) WITHOUT ROWID",
    NULL,
};

/* The number of the change that added the row, which identifies the backups that contain it. NULL:
 * added by an older program. */
static const char *const step_6[] = {
    "ALTER TABLE identities ADD COLUMN change INTEGER",
    "ALTER TABLE embeddings ADD COLUMN change INTEGER",
    NULL,
};

/* The audit log (audit_log.h), and the time at which an identity expires: NULL: by database.retention, 'never', or a
 * time. */
static const char *const step_7[] = {
    "CREATE TABLE IF NOT EXISTS audit_log (seq INTEGER PRIMARY KEY NOT NULL, entry TEXT NOT NULL, hash BLOB NOT NULL)",
    "ALTER TABLE identities ADD COLUMN expires_at TEXT",
    NULL,
};

/* The data keys of an encrypted gallery (crypt_keys.h). */
static const char *const step_8[] = {
    "CREATE TABLE IF NOT EXISTS keys (slot INTEGER NOT NULL, number INTEGER NOT NULL, key_id TEXT NOT NULL,"
    " wrapped BLOB NOT NULL, PRIMARY KEY (slot, number))",
    "ALTER TABLE gallery ADD COLUMN data_key INTEGER",
    NULL,
};

static const char *const *const steps[] = { step_1, step_2, step_3, step_4, step_5, step_6, step_7, step_8 };
_Static_assert(HS_ARRAY_LEN(steps) == HS_GALLERY_SCHEMA, "one step a version");

int hs_gallery_schema_of(sqlite3 *db, int *ret_version, struct hs_error *err)
{
    int64_t version, tables;
    int r = hs_sql_int(db, "PRAGMA user_version", &version, err);
    if (r == 0)
        r = hs_sql_int(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'identities'", &tables,
                       err);
    if (r < 0)
        return r;
    if (version < 0 || version > HS_GALLERY_SCHEMA)
        return hs_error_set(
            err, HS_EVERSION,
            "the gallery has schema version %lld, but this program supports only versions up to %d. Update it",
            (long long) version, HS_GALLERY_SCHEMA);
    *ret_version = tables ? (int) version : -1;
    return 0;
}

static int run_statement(sqlite3 *db, const char *sql, const char *value, struct hs_error *err)
{
    sqlite3_stmt *stmt;
    int r = hs_sql_prepare(db, sql, &stmt, err);
    if (r < 0)
        return r;
    if (sqlite3_bind_parameter_count(stmt) > 0 && sqlite3_bind_text(stmt, 1, value, -1, SQLITE_STATIC) != SQLITE_OK)
        r = hs_error_set(err, HS_ENOMEM, "no memory for the gallery");
    if (r == 0)
        r = hs_sql_run(stmt, err);
    sqlite3_finalize(stmt);
    return r;
}

static int run_step(sqlite3 *db, int from, const char *value, struct hs_error *err)
{
    int r = hs_sql_exec(db, "BEGIN IMMEDIATE", err);
    if (r < 0)
        return r;
    /* Another process may have migrated the file before this one got the lock. */
    int64_t now;
    r = hs_sql_int(db, "PRAGMA user_version", &now, err);
    if (r == 0 && now == from) {
        for (const char *const *sql = steps[from]; *sql && r == 0; sql++)
            r = run_statement(db, *sql, value, err);
        char set_version[40];
        hs_str_format(set_version, sizeof(set_version), "PRAGMA user_version = %d", from + 1);
        if (r == 0)
            r = hs_sql_exec(db, set_version, err);
    }
    if (r == 0)
        r = hs_sql_exec(db, "COMMIT", err);
    /* After some errors SQLite ends the transaction itself. */
    if (r != 0 && !sqlite3_get_autocommit(db))
        hs_sql_exec(db, "ROLLBACK", NULL);
    return r;
}

static int erase_orphans(sqlite3 *db, int64_t *ret_orphans, struct hs_error *err)
{
    int64_t count;
    int r = hs_sql_int(db, "SELECT count(*) FROM embeddings WHERE identity_id NOT IN (SELECT id FROM identities)",
                       &count, err);
    if (r < 0 || count == 0)
        return r;
    r = hs_sql_exec(db, "DELETE FROM embeddings WHERE identity_id NOT IN (SELECT id FROM identities)", err);
    if (r == 0)
        *ret_orphans = sqlite3_changes64(db);
    return r;
}

/* ---- schema checks ---- */

#define OUR_TABLES "('identities'), ('embeddings'), ('requests'), ('gallery'), ('changes'), ('audit_log'), ('keys')"

/* Each query returns the name of an object that is not ours, or nothing. Differences in the
 * statement texts do not matter, because older programs formatted them differently; but no version
 * used the words searched for here. */
static const char *const foreign[] = {
    "SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND type <> 'index'"
    " AND NOT (type = 'table' AND name IN (VALUES " OUR_TABLES "))",
    "SELECT type || ' ' || name FROM pragma_table_list WHERE schema = 'main' AND name IN (VALUES " OUR_TABLES ")"
    " AND (type <> 'table' OR strict OR wr <> (name = 'changes'))",
    "SELECT 'index ' || s.name FROM sqlite_schema s WHERE s.type = 'index' AND s.sql IS NOT NULL AND (s.sql LIKE"
    " '%where%' OR (s.name, coalesce((SELECT group_concat(name) FROM pragma_index_xinfo(s.name) WHERE key), ''))"
    " NOT IN (VALUES ('idx_embeddings_identity', 'identity_id'), ('idx_requests_identity', 'identity_id'),"
    " ('idx_requests_created', 'created_at')))",
    "SELECT 'constraint of ' || name FROM sqlite_schema WHERE sql LIKE '%check%(%' OR sql LIKE '%conflict%'"
    " OR sql LIKE '%collate%' OR sql LIKE '%generated%' OR sql LIKE '%as (%'",
    "SELECT 'default of ' || t.column1 FROM (VALUES " OUR_TABLES ") t, pragma_table_xinfo(t.column1)"
    " WHERE dflt_value IS NOT NULL AND upper(dflt_value) <> 'CURRENT_TIMESTAMP'",
};

int hs_gallery_check_objects(sqlite3 *db, struct hs_error *err)
{
    char found[120] = "";
    int r = 0;
    for (size_t i = 0; r == 0 && !found[0] && i < HS_ARRAY_LEN(foreign); i++)
        r = hs_sql_text(db, foreign[i], found, sizeof(found), err);
    hs_str_make_line(found);
    return r == 0 && found[0] ? hs_error_set(err, HS_EDECODE, "the gallery file contains an unexpected %s", found) : r;
}

int hs_gallery_check_schema(sqlite3 *db, struct hs_error *err)
{
    static const char our_columns[] =
        "SELECT group_concat(columns, ';') = 'id,name,created_at,updated_at,metadata,change,expires_at;"
        "id,identity_id,embedding,created_at,space,model,quality,source_sha256,change;"
        "key_sha256,body_sha256,identity_id,embedding_id,identity_created,embedding_dropped,created_at;"
        "uid,change,data_key;number,identity_id;seq,entry,hash;slot,number,key_id,wrapped'"
        " FROM (SELECT (SELECT group_concat(name) FROM pragma_table_xinfo(t.column1)) AS columns"
        " FROM (VALUES " OUR_TABLES ") t)";
    int64_t same;
    int r = hs_gallery_check_objects(db, err);
    if (r == 0)
        r = hs_sql_int(db, our_columns, &same, err);
    return r == 0 && !same ? hs_error_set(err, HS_EDECODE, "the gallery tables have unexpected columns") : r;
}

/* ---- names ---- */

/* A name that is not UTF-8 cannot be looked up: invalid bytes become '?', and the id makes the name unique. */
static int normalize_name(sqlite3 *db, int64_t id, const char *text, int len, struct hs_error *err)
{
    char name[HS_GALLERY_NAME_MAX + 1], normalized[HS_GALLERY_NAME_MAX + 32], sql[80];
    sqlite3_stmt *update;
    hs_str_copy_n(name, sizeof(name), text, (size_t) len);
    hs_str_make_line(name);
    hs_str_format(normalized, sizeof(normalized), "%s#%lld", name, (long long) id);
    hs_str_format(sql, sizeof(sql), "UPDATE identities SET name = ?1 WHERE id = %lld", (long long) id);
    int r = hs_sql_prepare(db, sql, &update, err);
    if (r < 0)
        return r;
    sqlite3_bind_text(update, 1, normalized, -1, SQLITE_STATIC);
    r = hs_sql_run(update, err);
    sqlite3_finalize(update);
    return r;
}

static int normalize_names(sqlite3 *db, struct hs_error *err)
{
    sqlite3_stmt *stmt;
    int r = hs_sql_prepare(db, "SELECT id, name FROM identities WHERE name GLOB '*[^ -~]*'", &stmt, err);
    while (r >= 0 && (r = hs_sql_step(stmt, err)) > 0) {
        const char *name = (const char *) sqlite3_column_text(stmt, 1);
        int len = sqlite3_column_bytes(stmt, 1);
        if (!name)
            r = hs_gallery_no_memory(err);
        else if (!hs_utf8_valid(name, (size_t) len))
            r = normalize_name(db, sqlite3_column_int64(stmt, 0), name, len, err);
    }
    sqlite3_finalize(stmt);
    return r;
}

int hs_gallery_migrate(sqlite3 *db, const char *legacy_space, const char *uid, int64_t *ret_orphans,
                       struct hs_error *err)
{
    int version, from;
    int r = hs_gallery_schema_of(db, &version, err);
    if (r < 0)
        return r;
    from = version;
    int64_t orphans = 0;
    /* Before the schema changes, so that the next call repeats it after a failure. */
    if (from >= 0 && from < HS_GALLERY_SCHEMA)
        r = normalize_names(db, err);
    for (version = version < 0 ? 0 : version; version < HS_GALLERY_SCHEMA && r == 0; version++)
        r = run_step(db, version, version == 4 ? uid : legacy_space, err);
    if (r == 0)
        r = erase_orphans(db, &orphans, err);
    /* Older programs deleted without overwriting, so also clear what they left in free pages. */
    if (r == 0 && (orphans > 0 || (from >= 0 && from < HS_GALLERY_SCHEMA)))
        r = hs_sql_exec(db, "VACUUM", err);
    if (r == 0)
        *ret_orphans = orphans;
    return r;
}
