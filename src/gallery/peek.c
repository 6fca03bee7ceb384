#include "gallery/peek.h"

#include <stddef.h>

#include "gallery/migrate.h"
#include "gallery/sql.h"

static int look(sqlite3 *db, struct hs_gallery_peeked *found, struct hs_error *err)
{
    int r = hs_sql_check(db, "PRAGMA integrity_check(1)", NULL, err);
    if (r == 0)
        r = hs_gallery_schema_of(db, &found->schema_version, err);
    if (r < 0 || found->schema_version < 0)
        return r;
    r = hs_sql_int(db, "SELECT count(*) FROM identities", &found->identities, err);
    return r < 0 ? r : hs_sql_int(db, "SELECT count(*) FROM embeddings", &found->embeddings, err);
}

int hs_gallery_peek(const char *path, int busy_timeout_ms, struct hs_gallery_peeked *ret_found,
                    struct hs_error *err)
{
    struct hs_gallery_peeked found = { 0 };
    sqlite3 *db;
    int code;
    int r = hs_sql_open(path, SQLITE_OPEN_READONLY, NULL, busy_timeout_ms, &db, &code, err);
    if (r < 0)
        return r;
    r = look(db, &found, err);
    sqlite3_close(db);
    if (r == 0)
        *ret_found = found;
    return r;
}

void hs_gallery_main_space(const char *path, int busy_timeout_ms, char ret_space[HS_GALLERY_SPACE_MAX + 1])
{
    static const char query[] = "SELECT space FROM embeddings WHERE typeof(space) = 'text'"
                                " GROUP BY space ORDER BY count(*) DESC, space LIMIT 1";
    sqlite3 *db;
    int code;
    ret_space[0] = '\0';
    if (hs_sql_open(path, SQLITE_OPEN_READONLY, NULL, busy_timeout_ms, &db, &code, NULL) < 0)
        return;
    /* Files of the first programs have no such column. */
    hs_sql_text(db, query, ret_space, HS_GALLERY_SPACE_MAX + 1, NULL);
    sqlite3_close(db);
}
