/* Embeddings: adding one, and which of too many stay. */
#include "base/str.h"
#include "gallery/diversity_prune.h"
#include "gallery/gallery.h"
#include "gallery/gallery_internal.h"
#include "gallery/sql.h"
#include "gallery/validate.h"

static int insert_identity(struct hs_gallery *gallery, const char *name, const char *metadata, int64_t *ret_id,
                           struct hs_error *err)
{
    sqlite3_stmt *stmt = gallery->writer->statements[HS_STMT_INSERT_IDENTITY];
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, metadata, -1, SQLITE_STATIC);
    int r = hs_sql_run(stmt, err);
    if (r == 0)
        *ret_id = sqlite3_last_insert_rowid(gallery->writer->db);
    return r;
}

static int touch_identity(struct hs_gallery *gallery, int64_t id, const char *metadata, struct hs_error *err)
{
    sqlite3_stmt *stmt = gallery->writer->statements[metadata ? HS_STMT_SET_METADATA : HS_STMT_TOUCH_IDENTITY];
    sqlite3_bind_int64(stmt, 1, id);
    if (metadata)
        sqlite3_bind_text(stmt, 2, metadata, -1, SQLITE_STATIC);
    return hs_sql_run(stmt, err);
}

static int insert_embedding(struct hs_gallery *gallery, int64_t identity_id,
                            const struct hs_gallery_new_embedding *embedding, int64_t *ret_id, struct hs_error *err)
{
    sqlite3_stmt *stmt = gallery->writer->statements[HS_STMT_INSERT_EMBEDDING];
    sqlite3_bind_int64(stmt, 1, identity_id);
    sqlite3_bind_blob64(stmt, 2, embedding->values, embedding->dimension * sizeof(float), SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, embedding->space, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 4, embedding->model, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 5, embedding->quality, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 6, embedding->source_sha256, -1, SQLITE_STATIC);
    int r = hs_sql_run(stmt, err);
    if (r == 0)
        *ret_id = sqlite3_last_insert_rowid(gallery->writer->db);
    return r;
}

int hs_gallery_add_inside(struct hs_gallery *gallery, const char *name, const char *metadata,
                          const struct hs_gallery_new_embedding *embedding, struct hs_gallery_added *added,
                          struct hs_error *err)
{
    int r = hs_gallery_find(gallery, name, &added->identity_id, err);
    if (r == HS_ENOTFOUND) {
        added->identity_created = true;
        r = insert_identity(gallery, name, metadata, &added->identity_id, err);
    } else if (r == 0) {
        r = touch_identity(gallery, added->identity_id, metadata, err);
    }
    if (r == 0)
        r = hs_gallery_touch(gallery, added->identity_id, err);
    if (r == 0)
        r = insert_embedding(gallery, added->identity_id, embedding, &added->embedding_id, err);
    if (r == 0)
        r = hs_gallery_trim(gallery, added->identity_id, &added->embedding_dropped, err);
    return r;
}

int hs_gallery_has_inside(struct hs_gallery *gallery, const char *name,
                          const struct hs_gallery_new_embedding *embedding, bool *ret_present, struct hs_error *err)
{
    sqlite3_stmt *stmt = gallery->writer->statements[HS_STMT_HAS_EMBEDDING];
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 2, embedding->values, embedding->dimension * sizeof(float), SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, embedding->space, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 9, gallery->legacy_space, -1, SQLITE_STATIC);
    int r = hs_sql_step(stmt, err);
    bool present = r > 0 && sqlite3_column_int(stmt, 0);
    hs_sql_release(stmt);
    if (r < 0)
        return r;
    *ret_present = present;
    return 0;
}

/* Inside a change. */
static int remember(struct hs_gallery *gallery, const struct hs_gallery_request *request,
                    const struct hs_gallery_added *added, struct hs_error *err)
{
    int r = hs_gallery_run_with_id(gallery, HS_STMT_FORGET_REQUESTS, HS_GALLERY_REQUESTS_MAX - 1, err);
    if (r < 0)
        return r;
    sqlite3_stmt *stmt = gallery->writer->statements[HS_STMT_REMEMBER_REQUEST];
    sqlite3_bind_text(stmt, 1, request->key_sha256, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, request->body_sha256, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 3, added->identity_id);
    sqlite3_bind_int64(stmt, 4, added->embedding_id);
    sqlite3_bind_int(stmt, 5, added->identity_created);
    sqlite3_bind_int64(stmt, 6, added->embedding_dropped);
    return hs_sql_run(stmt, err);
}

int hs_gallery_add(struct hs_gallery *gallery, const struct hs_gallery_request *request, const char *name,
                   const char *metadata, const struct hs_gallery_new_embedding *embedding,
                   struct hs_gallery_added *ret_added, struct hs_error *err)
{
    int r = hs_gallery_check_name(name, err);
    if (r == 0 && request)
        r = hs_gallery_check_sha256("key_sha256", request->key_sha256, err);
    if (r == 0 && request)
        r = hs_gallery_check_sha256("body_sha256", request->body_sha256, err);
    if (r == 0)
        r = hs_gallery_check_metadata(metadata, err);
    if (r == 0)
        r = hs_gallery_check_embedding(embedding, err);
    if (r < 0)
        return r;
    struct hs_gallery_added added = { 0 };
    r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    r = hs_gallery_add_inside(gallery, name, metadata, embedding, &added, err);
    if (r == 0 && request)
        r = remember(gallery, request, &added, err);
    r = hs_gallery_end(gallery, r, added.embedding_dropped != 0, err);
    if (r == 0 && ret_added)
        *ret_added = added;
    return r;
}

static void read_request(sqlite3_stmt *stmt, struct hs_gallery_recalled *ret)
{
    const char *body = (const char *) sqlite3_column_text(stmt, 0), *name = (const char *) sqlite3_column_text(stmt, 5);
    hs_str_copy(ret->body_sha256, sizeof(ret->body_sha256), body ? body : "");
    hs_str_copy(ret->name, sizeof(ret->name), name ? name : "");
    ret->added = (struct hs_gallery_added) {
        .identity_id = sqlite3_column_int64(stmt, 1),
        .embedding_id = sqlite3_column_int64(stmt, 2),
        .identity_created = sqlite3_column_int(stmt, 3) != 0,
        .embedding_dropped = sqlite3_column_int64(stmt, 4),
    };
}

int hs_gallery_recall(struct hs_gallery *gallery, const char *key_sha256, struct hs_gallery_recalled *ret_recalled,
                      struct hs_error *err)
{
    int r = hs_gallery_check_sha256("key_sha256", key_sha256, err);
    if (r < 0)
        return r;
    struct hs_gallery_conn *conn;
    r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    sqlite3_stmt *stmt = conn->statements[HS_STMT_RECALL_REQUEST];
    sqlite3_bind_text(stmt, 1, key_sha256, -1, SQLITE_STATIC);
    r = hs_sql_step(stmt, err);
    if (r > 0)
        read_request(stmt, ret_recalled);
    hs_sql_release(stmt);
    hs_gallery_end_read(gallery, conn);
    if (r < 0)
        return r;
    return r > 0 ? 0 : hs_error_set(err, HS_ENOTFOUND, "no such request is remembered");
}

int hs_gallery_trim(struct hs_gallery *gallery, int64_t identity_id, int64_t *ret_dropped, struct hs_error *err)
{
    if (gallery->max_embeddings_per_identity == 0)
        return 0;
    struct hs_prune kept;
    hs_prune_init(&kept, (size_t) gallery->max_embeddings_per_identity);
    float values[HS_GALLERY_DIMENSION_MAX];
    sqlite3_stmt *stmt = gallery->writer->statements[HS_STMT_EMBEDDINGS_OF];
    sqlite3_bind_int64(stmt, 1, identity_id);
    sqlite3_bind_text(stmt, 9, gallery->legacy_space, -1, SQLITE_STATIC);
    int r;
    while ((r = hs_sql_step(stmt, err)) > 0) {
        size_t dimension = hs_gallery_column_floats(stmt, 1, values, HS_GALLERY_DIMENSION_MAX);
        const char *space = (const char *) sqlite3_column_text(stmt, 2);
        const char *quality = (const char *) sqlite3_column_text(stmt, 4);
        if (!hs_gallery_is_unit_vector(values, dimension))
            dimension = 0;
        if (!space || hs_prune_add(&kept, sqlite3_column_int64(stmt, 0), space, values, dimension,
                                   hs_gallery_quality_score(quality)) < 0) {
            r = hs_gallery_no_memory(err);
            break;
        }
    }
    hs_sql_release(stmt);
    for (size_t i = 0; i < kept.dropped_count && r == 0; i++) {
        r = hs_gallery_run_with_id(gallery, HS_STMT_DELETE_EMBEDDING, kept.dropped[i], err);
        *ret_dropped = kept.dropped[i];
    }
    hs_prune_finish(&kept);
    return r;
}
