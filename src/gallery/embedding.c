/* Embeddings: adding one, and which of too many stay. */
#include "base/str.h"
#include "gallery/diversity_prune.h"
#include "gallery/gallery.h"
#include "gallery/gallery_internal.h"
#include "gallery/validate.h"

int hs_gallery_add_inside(struct hs_gallery *gallery, const char *name, const char *metadata,
                          const struct hs_gallery_new_embedding *embedding, struct hs_gallery_added *added,
                          struct hs_error *err)
{
    int r = hs_gallery_find(gallery, name, &added->identity_id, err);
    if (r == HS_ENOTFOUND) {
        added->identity_created = true;
        r = HS_GALLERY_RUN(gallery, HS_STMT_INSERT_IDENTITY, err, HS_TEXT(name), HS_TEXT(metadata));
        added->identity_id = sqlite3_last_insert_rowid(gallery->writer->db);
    } else if (r == 0 && metadata) {
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_METADATA, err, HS_NUMBER(added->identity_id), HS_TEXT(metadata));
    } else if (r == 0) {
        r = HS_GALLERY_RUN(gallery, HS_STMT_TOUCH_IDENTITY, err, HS_NUMBER(added->identity_id));
    }
    if (r == 0)
        r = hs_gallery_touch(gallery, added->identity_id, err);
    if (r == 0)
        r = HS_GALLERY_RUN(gallery, HS_STMT_INSERT_EMBEDDING, err, HS_NUMBER(added->identity_id),
                           HS_FLOATS(embedding->values, embedding->dimension), HS_TEXT(embedding->space),
                           HS_TEXT(embedding->model), HS_TEXT(embedding->quality), HS_TEXT(embedding->source_sha256));
    if (r < 0)
        return r;
    added->embedding_id = sqlite3_last_insert_rowid(gallery->writer->db);
    return hs_gallery_trim(gallery, added->identity_id, &added->embedding_dropped, err);
}

int hs_gallery_has_inside(struct hs_gallery *gallery, const char *name,
                          const struct hs_gallery_new_embedding *embedding, bool *ret_present, struct hs_error *err)
{
    int64_t present;
    sqlite3_stmt *stmt =
        HS_GALLERY_BIND(gallery->writer, HS_STMT_HAS_EMBEDDING, HS_TEXT(name),
                        HS_FLOATS(embedding->values, embedding->dimension), HS_TEXT(embedding->space));
    int r = hs_gallery_read_number(stmt, &present, err);
    if (r < 0)
        return r;
    *ret_present = present;
    return 0;
}

/* Inside a change. */
static int remember(struct hs_gallery *gallery, const struct hs_gallery_request *request,
                    const struct hs_gallery_added *added, struct hs_error *err)
{
    int r = HS_GALLERY_RUN(gallery, HS_STMT_FORGET_REQUESTS, err, HS_NUMBER(HS_GALLERY_REQUESTS_MAX - 1));
    if (r < 0)
        return r;
    return HS_GALLERY_RUN(gallery, HS_STMT_REMEMBER_REQUEST, err, HS_TEXT(request->key_sha256),
                          HS_TEXT(request->body_sha256), HS_NUMBER(added->identity_id), HS_NUMBER(added->embedding_id),
                          HS_NUMBER(added->identity_created), HS_NUMBER(added->embedding_dropped));
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
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_RECALL_REQUEST, HS_TEXT(key_sha256));
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
    sqlite3_stmt *stmt = HS_GALLERY_BIND(gallery->writer, HS_STMT_EMBEDDINGS_OF, HS_NUMBER(identity_id));
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
        r = HS_GALLERY_RUN(gallery, HS_STMT_DELETE_EMBEDDING, err, HS_NUMBER(kept.dropped[i]));
        *ret_dropped = kept.dropped[i];
    }
    hs_prune_finish(&kept);
    return r;
}
