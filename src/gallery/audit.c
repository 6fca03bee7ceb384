#include "gallery/audit.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#include "base/str.h"
#include "gallery/gallery_internal.h"
#include "gallery/name.h"
#include "gallery/validate.h"

enum hs_gallery_use hs_gallery_use_of(const struct hs_gallery_entry *entry, const char *space, size_t dimension)
{
    bool same = strcmp(entry->space, space) == 0;
    if (!same && strcmp(entry->space, HS_GALLERY_NO_SPACE) != 0)
        return HS_GALLERY_OTHER_SPACE;
    if (entry->dimension != dimension)
        return HS_GALLERY_OTHER_SIZE;
    if (!entry->values)
        return HS_GALLERY_DAMAGED;
    return same ? HS_GALLERY_USABLE : HS_GALLERY_UNKNOWN_SPACE;
}

/* ---- inspection ---- */

static void list(struct hs_gallery_listed *listed, const char *name, const char *reason)
{
    if (listed->count < HS_GALLERY_LISTED_MAX) {
        hs_str_copy(listed->items[listed->count].name, HS_GALLERY_NAME_MAX + 1, name);
        hs_str_make_line(listed->items[listed->count].name);
        hs_str_copy(listed->items[listed->count].reason, sizeof(listed->items[0].reason), reason);
    }
    listed->count++;
}

static int list_name(sqlite3 *db, const char *name, struct hs_gallery_listed *names, struct hs_error *err)
{
    struct hs_error why = { .message = "" };
    char clean[HS_GALLERY_NAME_MAX + 1], reason[160];
    int r = hs_gallery_clean_name(name, clean, &why);
    if (r == HS_ENOMEM)
        return hs_gallery_no_memory(err);
    if (r < 0) {
        list(names, name, why.message);
        return 0;
    }
    if (strcmp(name, clean) == 0)
        return 0;
    sqlite3_stmt *stmt;
    int64_t taken;
    r = hs_sql_prepare(db, "SELECT count(*) FROM identities WHERE name = ?1", &stmt, err);
    if (r < 0)
        return r;
    sqlite3_bind_text(stmt, 1, clean, -1, SQLITE_STATIC);
    r = hs_gallery_read_number(stmt, &taken, err);
    sqlite3_finalize(stmt);
    hs_str_format(reason, sizeof(reason), taken ? "looks the same as '%s'" : "would be stored as '%s'", clean);
    list(names, name, reason);
    return r < 0 ? r : 0;
}

/* Checks names and metadata. */
static int audit_identities(sqlite3 *db, struct hs_gallery_audit *audit, struct hs_error *err)
{
    static const char with_metadata[] = "SELECT name, " HS_GALLERY_METADATA " FROM identities ORDER BY name";
    static const char without_metadata[] = "SELECT name, NULL FROM identities ORDER BY name";
    sqlite3_stmt *stmt;
    int r = hs_sql_prepare(db, audit->schema_version < 3 ? without_metadata : with_metadata, &stmt, err);
    while (r >= 0 && (r = hs_sql_step(stmt, err)) > 0) {
        bool no_metadata = sqlite3_column_type(stmt, 1) == SQLITE_NULL; /* before conversion to text */
        const char *name = (const char *) sqlite3_column_text(stmt, 0);
        const char *metadata = (const char *) sqlite3_column_text(stmt, 1);
        struct hs_error why = { .message = "" };
        audit->identities++;
        if (!name || (!metadata && !no_metadata)) {
            r = hs_gallery_no_memory(err);
            continue;
        }
        r = list_name(db, name, &audit->names, err);
        int checked = r == 0 ? hs_gallery_check_metadata(metadata, &why) : 0;
        if (checked == HS_ENOMEM)
            r = hs_gallery_no_memory(err);
        else if (checked < 0)
            list(&audit->metadata, name, why.message);
    }
    sqlite3_finalize(stmt);
    return r;
}

static int audit_embeddings(sqlite3 *db, struct hs_gallery_keys *keys, const char *space, size_t dimension,
                            struct hs_gallery_audit *audit, struct hs_error *err)
{
    static const char query[] = "SELECT i.id, i.name, %s, e.embedding, e.id FROM embeddings e JOIN identities i"
                                " ON i.id = e.identity_id ORDER BY i.name, e.id";
    char sql[sizeof(query) + 64];
    float values[HS_GALLERY_DIMENSION_MAX];
    int64_t last_id = 0, usable = 0;
    char last_name[HS_GALLERY_NAME_MAX + 1] = "";
    sqlite3_stmt *stmt;
    hs_str_format(sql, sizeof(sql), query,
                  audit->schema_version < 2 ? "'" HS_GALLERY_NO_SPACE "'"
                                            : "coalesce(e.space, '" HS_GALLERY_NO_SPACE "')");
    int r = hs_sql_prepare(db, sql, &stmt, err);
    while (r >= 0 && (r = hs_sql_step(stmt, err)) > 0) {
        struct hs_gallery_entry entry = {
            .identity_id = sqlite3_column_int64(stmt, 0),
            .name = (const char *) sqlite3_column_text(stmt, 1),
            .space = (const char *) sqlite3_column_text(stmt, 2),
        };
        bool sealed = hs_crypt_is_sealed(sqlite3_column_blob(stmt, 3), (size_t) sqlite3_column_bytes(stmt, 3), NULL);
        const struct hs_crypt_row row = { sqlite3_column_int64(stmt, 4), entry.identity_id };
        int read = hs_gallery_read_floats(keys, stmt, 3, row, values, HS_GALLERY_DIMENSION_MAX, &entry.dimension, err);
        *(sealed ? &audit->sealed : &audit->plain) += 1;
        entry.values = read > 0 && hs_gallery_is_unit_vector(values, entry.dimension) ? values : NULL;
        if (read < 0) {
            r = read;
            continue;
        }
        if (!entry.name || !entry.space) {
            r = hs_gallery_no_memory(err);
            continue;
        }
        if (audit->embeddings > 0 && entry.identity_id != last_id && usable == 0)
            list(&audit->without, last_name, "");
        if (audit->embeddings++ == 0 || entry.identity_id != last_id)
            usable = 0;
        last_id = entry.identity_id;
        hs_str_copy(last_name, sizeof(last_name), entry.name);
        enum hs_gallery_use use = hs_gallery_use_of(&entry, space, dimension);
        audit->usability.embeddings[use]++;
        usable += use == HS_GALLERY_USABLE;
    }
    sqlite3_finalize(stmt);
    sodium_memzero(values, sizeof(values));
    if (r == 0 && audit->embeddings > 0 && usable == 0)
        list(&audit->without, last_name, "");
    audit->usability.identities_without = audit->without.count;
    return r;
}

static int audit_db(sqlite3 *db, struct hs_gallery_keys *keys, const char *space, size_t dimension,
                    struct hs_gallery_audit *audit, struct hs_error *err)
{
    int r = audit_identities(db, audit, err);
    return r < 0 || !space ? r : audit_embeddings(db, keys, space, dimension, audit, err);
}

int hs_gallery_audit(struct hs_gallery *gallery, const char *space, size_t dimension,
                     struct hs_gallery_audit *ret_audit, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    *ret_audit = (struct hs_gallery_audit) { .schema_version = HS_GALLERY_SCHEMA };
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    r = audit_db(conn->db, conn->keys, space, dimension, ret_audit, err);
    hs_gallery_end_read(gallery, conn);
    return r;
}

int hs_gallery_audit_file(const char *path, const char *key, int busy_timeout_ms, const char *space, size_t dimension,
                          struct hs_gallery_audit *ret_audit, struct hs_error *err)
{
    sqlite3 *db = NULL;
    struct hs_gallery_keys *keys;
    int code;
    *ret_audit = (struct hs_gallery_audit) { .schema_version = -1 };
    int r = hs_gallery_keys_create(key, &keys, err);
    if (r < 0)
        return r;
    r = hs_sql_open(path, SQLITE_OPEN_READONLY, NULL, busy_timeout_ms, &db, &code, err);
    if (r == 0)
        r = hs_sql_check(db, "PRAGMA integrity_check(1)", NULL, err);
    if (r == 0)
        r = hs_gallery_schema_of(db, &ret_audit->schema_version, err);
    if (r == 0 && ret_audit->schema_version >= 0)
        r = hs_gallery_keys_load(keys, db, err);
    if (r == 0 && ret_audit->schema_version >= 0)
        r = audit_db(db, keys, space, dimension, ret_audit, err);
    sqlite3_close(db);
    hs_gallery_keys_destroy(keys);
    return r;
}

/* ---- embeddings of an unknown space ---- */

/* Scales a vector to length 1; returns false if its length is 0 or it is not finite. */
static bool scale(float *values, size_t dimension, bool *ret_scaled)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double) values[i] * (double) values[i];
    double length = sqrt(sum);
    if (!isfinite(length) || length < 1e-6)
        return false;
    *ret_scaled = !hs_gallery_is_unit_vector(values, dimension);
    for (size_t i = 0; *ret_scaled && i < dimension; i++)
        values[i] = (float) ((double) values[i] / length);
    return true;
}

struct assignment {
    struct hs_gallery *gallery;
    const char *space, *model;
    size_t dimension;
    sqlite3_stmt *update; /* of space and model */
    int64_t last_identity;
    struct hs_gallery_assigned done;
};

/* Processes a row of the embeddings of unknown space; rows are ordered by identity. */
static int assign(struct assignment *a, sqlite3_stmt *row, struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    const struct hs_crypt_row at = { sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1) };
    size_t dimension;
    int read = hs_gallery_read_floats(a->gallery->keys, row, 2, at, values, HS_GALLERY_DIMENSION_MAX, &dimension, err);
    if (read < 0)
        return read;
    bool scaled, fits = dimension == a->dimension;
    if (!fits || read == 0 || !scale(values, dimension, &scaled)) {
        *(fits ? &a->done.damaged : &a->done.other_size) += 1;
        return 0;
    }
    sqlite3_bind_int64(a->update, 1, at.id);
    sqlite3_bind_text(a->update, 2, a->space, -1, SQLITE_STATIC);
    sqlite3_bind_text(a->update, 3, a->model, -1, SQLITE_STATIC);
    int r = hs_sql_run(a->update, err);
    if (r == 0 && scaled)
        r = hs_gallery_store_vector(a->gallery, at, values, dimension, err);
    sodium_memzero(values, sizeof(values));
    if (r == 0 && (a->done.identities == 0 || at.identity_id != a->last_identity)) {
        a->done.identities++;
        a->last_identity = at.identity_id;
        r = hs_gallery_touch(a->gallery, at.identity_id, err);
    }
    a->done.embeddings++;
    a->done.scaled += scaled;
    return r;
}

static int assign_all(struct assignment *a, struct hs_error *err)
{
    static const char query[] = "SELECT id, identity_id, embedding FROM embeddings"
                                " WHERE coalesce(space, '" HS_GALLERY_NO_SPACE "') = '" HS_GALLERY_NO_SPACE "'"
                                " ORDER BY identity_id, id";
    static const char update[] = "UPDATE embeddings SET space = ?2, model = coalesce(model, ?3) WHERE id = ?1";
    sqlite3 *db = a->gallery->writer->db;
    sqlite3_stmt *rows = NULL;
    int r = hs_sql_prepare(db, update, &a->update, err);
    if (r == 0)
        r = hs_sql_prepare(db, query, &rows, err);
    while (r >= 0 && (r = hs_sql_step(rows, err)) > 0)
        r = assign(a, rows, err);
    sqlite3_finalize(rows);
    sqlite3_finalize(a->update);
    return r;
}

int hs_gallery_set_space(struct hs_gallery *gallery, const char *space, const char *model, size_t dimension,
                         struct hs_gallery_assigned *ret_assigned, struct hs_error *err)
{
    struct assignment a = { .gallery = gallery, .space = space, .model = model, .dimension = dimension };
    int r = hs_gallery_check_space(space, model, err);
    if (r == 0 && strcmp(space, HS_GALLERY_NO_SPACE) == 0)
        r = hs_error_set(err, HS_EINVAL, "space: '%s' is reserved for unknown models", space);
    if (r == 0)
        r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    /* Updated vectors leave old copies in the file, as erased ones do. */
    r = assign_all(&a, err);
    hs_audit_draft(gallery, "set_space");
    hs_audit_number(gallery, "identities", a.done.identities);
    hs_audit_number(gallery, "embeddings", a.done.embeddings);
    r = hs_gallery_end(gallery, r, true, err);
    if (r == 0)
        *ret_assigned = a.done;
    return r;
}
