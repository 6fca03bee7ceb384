/* Reads embeddings for the index, and counts and checks the content. */
#include "gallery/gallery.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "gallery/gallery_internal.h"
#include "gallery/validate.h"

enum { VERSION_TRIES = 1000 }; /* a try fails only if a commit falls into its few microseconds */

/* Blobs are little-endian float32. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "embeddings are stored as they lie in memory");

/* Runs ALL_EMBEDDINGS or CHANGED_EMBEDDINGS and calls `each` for the rows. */
static int walk(struct hs_gallery_conn *conn, enum hs_gallery_statement which, int64_t since, hs_gallery_each each,
                void *arg, struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, which, HS_NUMBER(since));
    int r, stopped = 0;
    while (!stopped && (r = hs_sql_step(stmt, err)) > 0) {
        struct hs_gallery_entry entry = {
            .id = sqlite3_column_int64(stmt, 0),
            .identity_id = sqlite3_column_int64(stmt, 1),
            .name = (const char *) sqlite3_column_text(stmt, 2),
            .space = (const char *) sqlite3_column_text(stmt, 3),
        };
        const struct hs_crypt_row row = { entry.id, entry.identity_id };
        int read =
            hs_gallery_read_floats(conn->keys, stmt, 4, row, values, HS_GALLERY_DIMENSION_MAX, &entry.dimension, err);
        entry.values = read > 0 && hs_gallery_is_unit_vector(values, entry.dimension) ? values : NULL;
        if (read < 0)
            stopped = read;
        else if (!entry.name || !entry.space || sqlite3_errcode(conn->db) == SQLITE_NOMEM)
            stopped = hs_gallery_no_memory(err);
        else
            stopped = each(arg, &entry);
    }
    hs_sql_release(stmt);
    sodium_memzero(values, sizeof(values));
    return stopped ? stopped : r;
}

/* Begins a read transaction and determines its version. */
static int begin_version(struct hs_gallery *gallery, struct hs_gallery_conn **ret_conn,
                         struct hs_gallery_version *ret_version, struct hs_error *err)
{
    int r = 0;
    for (int tries = 0; r == 0 && tries < VERSION_TRIES; tries++) {
        r = hs_gallery_begin_read(gallery, ret_conn, err);
        if (r < 0)
            return r;
        r = hs_gallery_read_version(gallery, *ret_conn, ret_version, err);
        if (r <= 0)
            hs_gallery_end_read(gallery, *ret_conn);
    }
    if (r == 0)
        r = hs_error_set(err, HS_EBUSY, "the gallery changed during every attempt to read it; try again");
    return r < 0 ? r : 0;
}

int hs_gallery_get_version(struct hs_gallery *gallery, struct hs_gallery_version *ret_version, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    int r = begin_version(gallery, &conn, ret_version, err);
    if (r == 0)
        hs_gallery_end_read(gallery, conn);
    return r;
}

int hs_gallery_for_each(struct hs_gallery *gallery, hs_gallery_each each, void *arg,
                        struct hs_gallery_version *ret_version, struct hs_error *err)
{
    return hs_gallery_for_each_since(gallery, NULL, NULL, each, arg, ret_version, err);
}

/* Checks that all changes after `since` are recorded, and that they are few enough: after an
 * import, for example, reading everything is faster. */
static int check_log(struct hs_gallery_conn *conn, int64_t since, int64_t now, struct hs_error *err)
{
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_COUNT_CHANGES, HS_NUMBER(since));
    int r = hs_sql_step(stmt, err);
    bool known = r > 0 && sqlite3_column_int64(stmt, 0) == now - since &&
                 sqlite3_column_int64(stmt, 1) <= 2 * HS_GALLERY_CHANGES_MAX;
    hs_sql_release(stmt);
    if (r < 0)
        return r;
    return known ? 0 : hs_error_set(err, HS_ENOTFOUND, "the gallery no longer has the changes since that version");
}

int hs_gallery_for_each_since(struct hs_gallery *gallery, const struct hs_gallery_version *since,
                              hs_gallery_touched touched, hs_gallery_each each, void *arg,
                              struct hs_gallery_version *ret_version, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    struct hs_gallery_version version;
    int r = begin_version(gallery, &conn, &version, err);
    if (r < 0)
        return r;
    if (since && hs_gallery_is_reset(since, &version))
        r = hs_error_set(err, HS_ENOTFOUND, "another program changed the gallery");
    if (since && r == 0)
        r = check_log(conn, since->change, version.change, err);
    if (since && r == 0) {
        sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_CHANGED_IDENTITIES, HS_NUMBER(since->change));
        while ((r = hs_sql_step(stmt, err)) > 0)
            touched(arg, sqlite3_column_int64(stmt, 0));
        hs_sql_release(stmt);
    }
    if (r == 0)
        r = walk(conn, since ? HS_STMT_CHANGED_EMBEDDINGS : HS_STMT_ALL_EMBEDDINGS, since ? since->change : 0, each,
                 arg, err);
    hs_gallery_end_read(gallery, conn);
    if (r == 0 && ret_version)
        *ret_version = version;
    return r;
}

int hs_gallery_read_vector(struct hs_gallery *gallery, int64_t embedding_id, float *ret_values, size_t dimension,
                           struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    struct hs_gallery_conn *conn;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_VALUES_OF, HS_NUMBER(embedding_id));
    r = hs_sql_step(stmt, err);
    size_t count = 0;
    if (r > 0) {
        const struct hs_crypt_row row = { embedding_id, sqlite3_column_int64(stmt, 1) };
        r = hs_gallery_read_floats(conn->keys, stmt, 0, row, values, HS_GALLERY_DIMENSION_MAX, &count, err);
    }
    hs_sql_release(stmt);
    hs_gallery_end_read(gallery, conn);
    bool found = r > 0 && count == dimension;
    if (found)
        memcpy(ret_values, values, dimension * sizeof(float));
    sodium_memzero(values, count * sizeof(float));
    if (r >= 0 && !found)
        return hs_error_set(err, HS_ENOTFOUND, "embedding %lld is not in the gallery", (long long) embedding_id);
    return r < 0 ? r : 0;
}

static int count_rows(sqlite3 *db, int64_t *ret_identities, int64_t *ret_embeddings, struct hs_error *err)
{
    int r = hs_sql_int(db, "SELECT count(*) FROM identities", ret_identities, err);
    return r < 0 ? r : hs_sql_int(db, "SELECT count(*) FROM embeddings", ret_embeddings, err);
}

struct hs_gallery_counts hs_gallery_get_counts(struct hs_gallery *gallery)
{
    struct hs_gallery_conn *conn;
    struct hs_gallery_version version;
    pthread_mutex_lock(&gallery->counts_lock);
    if (begin_version(gallery, &conn, &version, NULL) == 0) {
        struct hs_gallery_counts *counts = &gallery->counts;
        bool fresh = gallery->counted.change == version.change && !hs_gallery_is_reset(&gallery->counted, &version);
        if (!fresh && count_rows(conn->db, &counts->identities, &counts->embeddings, NULL) == 0)
            gallery->counted = version;
        hs_gallery_end_read(gallery, conn);
    }
    struct hs_gallery_counts counts = gallery->counts;
    pthread_mutex_unlock(&gallery->counts_lock);
    counts.erase_pending = gallery->erase_pending;
    counts.lost = gallery->lost;
    counts.failing = gallery->failing;
    struct stat st;
    counts.size_bytes = stat(gallery->path, &st) == 0 ? (int64_t) st.st_size : 0;
    return counts;
}

int hs_gallery_check(struct hs_gallery *gallery, struct hs_error *err)
{
    int64_t orphans = 0;
    struct hs_gallery_conn *conn;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    r = hs_sql_check(conn->db, "PRAGMA integrity_check(1)", NULL, err);
    if (r == 0)
        r = hs_sql_int(conn->db, "SELECT count(*) FROM pragma_foreign_key_check", &orphans, err);
    hs_gallery_end_read(gallery, conn);
    if (r == 0 && orphans > 0)
        r = hs_error_set(err, HS_EIO, "%lld %s to no identity", (long long) orphans,
                         orphans == 1 ? "embedding belongs" : "embeddings belong");
    return r;
}

/* ---- inspecting a file ---- */

void hs_gallery_main_space(const char *path, int busy_timeout_ms, char ret_space[HS_GALLERY_SPACE_MAX + 1])
{
    static const char query[] = "SELECT space FROM embeddings WHERE typeof(space) = 'text'"
                                " AND space <> '" HS_GALLERY_NO_SPACE "'"
                                " GROUP BY space ORDER BY count(*) DESC, space LIMIT 1";
    sqlite3 *db;
    int code;
    ret_space[0] = '\0';
    if (hs_sql_open(path, SQLITE_OPEN_READONLY, NULL, busy_timeout_ms, &db, &code, NULL) < 0)
        return;
    /* The oldest schema has no such column; then the result is "". */
    hs_sql_text(db, query, ret_space, HS_GALLERY_SPACE_MAX + 1, NULL);
    sqlite3_close(db);
}
