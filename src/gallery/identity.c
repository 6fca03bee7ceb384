/* Identities and their embeddings: listing, reading, adding, renaming, merging. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "gallery/diversity_prune.h"
#include "gallery/gallery_internal.h"
#include "gallery/name.h"
#include "gallery/validate.h"

/* Maximum number of identities in memory at once. */
enum { PAGE_SIZE = 1000 };

/* Copies a row's time; truncates a text that is not a valid time. */
static void copy_time(sqlite3_stmt *stmt, int column, char ret_time[HS_GALLERY_TIME_SIZE])
{
    const char *text = (const char *) sqlite3_column_text(stmt, column);
    hs_str_copy(ret_time, HS_GALLERY_TIME_SIZE, text ? text : "");
}

/* Copies a text column; NULL stays NULL. Returns false if memory is short. */
static bool column_text(sqlite3_stmt *stmt, int column, char **ret_text)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL) {
        *ret_text = NULL;
        return true;
    }
    const char *text = (const char *) sqlite3_column_text(stmt, column);
    *ret_text = text ? strdup(text) : NULL;
    return *ret_text != NULL;
}

/* Reads a row of LIST or GET. After a failure *identity holds what was read so far; its owner frees it. */
static int read_identity(sqlite3_stmt *stmt, struct hs_gallery_identity *identity, struct hs_error *err)
{
    *identity = (struct hs_gallery_identity) { .id = sqlite3_column_int64(stmt, 0) };
    identity->embedding_count = sqlite3_column_int64(stmt, 5);
    copy_time(stmt, 3, identity->created_at);
    copy_time(stmt, 4, identity->updated_at);
    copy_time(stmt, 6, identity->expires_at);
    if (!column_text(stmt, 1, &identity->name) || !column_text(stmt, 2, &identity->metadata))
        return hs_gallery_no_memory(err);
    return 0;
}

/* Reads at most `limit` identities whose names follow `after`. The caller finishes the *ret_count
 * identities read, also after a failure. */
static int read_page(struct hs_gallery *gallery, const char *after, size_t limit,
                     struct hs_gallery_identity *identities, size_t *ret_count, bool *ret_more, struct hs_error *err)
{
    struct hs_gallery_conn *conn;
    *ret_count = 0;
    *ret_more = false;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_LIST, HS_TEXT(after), HS_NUMBER((int64_t) limit + 1));
    while (r == 0 && !*ret_more && (r = hs_sql_step(stmt, err)) > 0) {
        *ret_more = *ret_count == limit;
        r = *ret_more ? 0 : read_identity(stmt, &identities[(*ret_count)++], err);
    }
    hs_sql_release(stmt);
    hs_gallery_end_read(gallery, conn);
    return r;
}

int hs_gallery_for_each_identity(struct hs_gallery *gallery, const char *after, size_t limit,
                                 int (*each)(void *arg, const struct hs_gallery_identity *identity), void *arg,
                                 bool *ret_more, struct hs_error *err)
{
    size_t page_size = limit < PAGE_SIZE ? limit : PAGE_SIZE, count;
    struct hs_gallery_identity *page = calloc(page_size + 1, sizeof(*page));
    if (!page)
        return hs_gallery_no_memory(err);
    char *last = NULL; /* last name of the previous page */
    bool more = true;
    int r = 0;
    while (r == 0 && more && limit > 0) {
        r = read_page(gallery, last ? last : after, limit < page_size ? limit : page_size, page, &count, &more, err);
        limit -= count;
        for (size_t i = 0; i < count; i++) {
            if (r == 0)
                r = each(arg, &page[i]);
            free(last);
            last = page[i].name;
            free(page[i].metadata);
        }
    }
    free(last);
    free(page);
    if (r == 0 && ret_more)
        *ret_more = more;
    return r;
}

void hs_gallery_person_destroy(struct hs_gallery_person *person)
{
    if (!person)
        return;
    for (size_t i = 0; i < person->count; i++) {
        struct hs_gallery_embedding *e = &person->embeddings[i];
        if (e->values)
            sodium_memzero(e->values, e->dimension * sizeof(float));
        free(e->values);
        free(e->space);
        free(e->model);
        free(e->quality);
        free(e->source_sha256);
    }
    free(person->embeddings);
    free(person->identity.name);
    free(person->identity.metadata);
    free(person);
}

/* Reads a row of EMBEDDINGS_OF. After a failure *e holds what was read so far. */
static int read_embedding(struct hs_gallery_conn *conn, sqlite3_stmt *stmt, int64_t identity_id, bool with_values,
                          struct hs_gallery_embedding *e, struct hs_error *err)
{
    e->id = sqlite3_column_int64(stmt, 0);
    const void *blob = sqlite3_column_blob(stmt, 1);
    e->dimension = hs_crypt_dimension(blob, (size_t) sqlite3_column_bytes(stmt, 1));
    copy_time(stmt, 6, e->created_at);
    if (!column_text(stmt, 2, &e->space) || !column_text(stmt, 3, &e->model) || !column_text(stmt, 4, &e->quality) ||
        !column_text(stmt, 5, &e->source_sha256))
        return hs_gallery_no_memory(err);
    if (!with_values)
        return 0;
    e->values = calloc(e->dimension ? e->dimension : 1, sizeof(float));
    if (!e->values)
        return hs_gallery_no_memory(err);
    const struct hs_crypt_row row = { e->id, identity_id };
    size_t dimension;
    int r = hs_gallery_read_floats(conn->keys, stmt, 1, row, e->values, e->dimension, &dimension, err);
    return r < 0 ? r : 0;
}

static int read_embeddings(struct hs_gallery_conn *conn, bool with_values, struct hs_gallery_person *person,
                           struct hs_error *err)
{
    size_t room = (size_t) person->identity.embedding_count;
    person->embeddings = calloc(room ? room : 1, sizeof(*person->embeddings));
    if (!person->embeddings)
        return hs_gallery_no_memory(err);
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_EMBEDDINGS_OF, HS_NUMBER(person->identity.id));
    int r = 0;
    while (r == 0 && person->count < room && (r = hs_sql_step(stmt, err)) > 0)
        r = read_embedding(conn, stmt, person->identity.id, with_values, &person->embeddings[person->count++], err);
    hs_sql_release(stmt);
    return r;
}

static int read_person(struct hs_gallery_conn *conn, const char *name, bool with_values,
                       struct hs_gallery_person *person, struct hs_error *err)
{
    char clean[HS_GALLERY_NAME_MAX + 1];
    sqlite3_stmt *stmt = hs_gallery_bind_name(conn, HS_STMT_GET, name, clean, err);
    if (!stmt)
        return HS_ENOMEM;
    int r = hs_sql_step(stmt, err);
    if (r == 0)
        r = hs_error_set(err, HS_ENOTFOUND, "Identity '%s' not found", name);
    else if (r > 0)
        r = read_identity(stmt, &person->identity, err);
    hs_sql_release(stmt);
    return r < 0 ? r : read_embeddings(conn, with_values, person, err);
}

int hs_gallery_get(struct hs_gallery *gallery, const char *name, bool with_values,
                   struct hs_gallery_person **ret_person, struct hs_error *err)
{
    struct hs_gallery_person *person = calloc(1, sizeof(*person));
    if (!person)
        return hs_gallery_no_memory(err);
    struct hs_gallery_conn *conn;
    int r = hs_gallery_begin_read(gallery, &conn, err);
    if (r == 0) {
        r = read_person(conn, name, with_values, person, err);
        hs_gallery_end_read(gallery, conn);
    }
    if (r < 0) {
        hs_gallery_person_destroy(person);
        return r;
    }
    *ret_person = person;
    return 0;
}

int hs_gallery_resolve_name(struct hs_gallery *gallery, const char *name, char ret_name[HS_GALLERY_NAME_MAX + 1],
                            struct hs_error *err)
{
    char clean[HS_GALLERY_NAME_MAX + 1];
    struct hs_gallery_conn *conn;
    int r = hs_gallery_clean_name(name, clean, err);
    if (r == 0)
        r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_FIND_IDENTITY, HS_TEXT(name), HS_TEXT(clean));
    r = hs_sql_step(stmt, err);
    const char *stored = r > 0 ? (const char *) sqlite3_column_text(stmt, 1) : clean;
    if (r > 0 && !stored)
        r = hs_gallery_no_memory(err);
    if (r >= 0)
        hs_str_copy(ret_name, HS_GALLERY_NAME_MAX + 1, stored);
    hs_sql_release(stmt);
    hs_gallery_end_read(gallery, conn);
    return r < 0 ? r : 0;
}

/* ---- adding ---- */

/* Inside a change: drops embeddings of an identity until no space exceeds the limit. *ret_dropped
 * is the id of the last one dropped, or 0. */
static int enforce_limit(struct hs_gallery *gallery, int64_t identity_id, int64_t *ret_dropped, struct hs_error *err)
{
    if (gallery->max_embeddings_per_identity == 0)
        return 0;
    struct hs_prune kept;
    hs_prune_init(&kept, (size_t) gallery->max_embeddings_per_identity);
    float values[HS_GALLERY_DIMENSION_MAX];
    sqlite3_stmt *stmt = HS_GALLERY_BIND(gallery->writer, HS_STMT_EMBEDDINGS_OF, HS_NUMBER(identity_id));
    int r;
    while ((r = hs_sql_step(stmt, err)) > 0) {
        const struct hs_crypt_row row = { sqlite3_column_int64(stmt, 0), identity_id };
        size_t dimension;
        int read =
            hs_gallery_read_floats(gallery->keys, stmt, 1, row, values, HS_GALLERY_DIMENSION_MAX, &dimension, err);
        if (read < 0) {
            r = read;
            break;
        }
        const char *space = (const char *) sqlite3_column_text(stmt, 2);
        bool no_quality = sqlite3_column_type(stmt, 4) == SQLITE_NULL; /* before conversion to text */
        const char *quality = (const char *) sqlite3_column_text(stmt, 4);
        double score;
        if (read == 0 || !hs_gallery_is_unit_vector(values, dimension))
            dimension = 0;
        if (!space || (!quality && !no_quality) || hs_gallery_quality_score(quality, &score) < 0 ||
            hs_prune_add(&kept, row.id, space, values, dimension, score) < 0) {
            r = hs_gallery_no_memory(err);
            break;
        }
    }
    hs_sql_release(stmt);
    sodium_memzero(values, sizeof(values));
    for (size_t i = 0; i < kept.dropped_count && r == 0; i++) {
        r = HS_GALLERY_RUN(gallery, HS_STMT_DELETE_EMBEDDING, err, HS_NUMBER(kept.dropped[i]));
        *ret_dropped = kept.dropped[i];
    }
    hs_prune_finish(&kept);
    return r;
}

/* A sealed vector is bound to its id, which exists only after the insertion; until then the row holds zeros. */
static int insert_embedding(struct hs_gallery *gallery, int64_t identity_id,
                            const struct hs_gallery_new_embedding *embedding, int64_t *ret_id, struct hs_error *err)
{
    size_t size = embedding->dimension * sizeof(float);
    bool sealed = gallery->data_key != 0;
    int r = HS_GALLERY_RUN(gallery, HS_STMT_INSERT_EMBEDDING, err, HS_NUMBER(identity_id),
                           sealed ? HS_BYTES(NULL, HS_CRYPT_OVERHEAD + size) : HS_BYTES(embedding->values, size),
                           HS_TEXT(embedding->space), HS_TEXT(embedding->model), HS_TEXT(embedding->quality),
                           HS_TEXT(embedding->source_sha256), HS_NUMBER(gallery->change + 1),
                           HS_TEXT(embedding->created_at));
    *ret_id = sqlite3_last_insert_rowid(gallery->writer->db);
    const struct hs_crypt_row row = { *ret_id, identity_id };
    return r < 0 || !sealed ? r : hs_gallery_store_vector(gallery, row, embedding->values, embedding->dimension, err);
}

int hs_gallery_add_in_txn(struct hs_gallery *gallery, const char *name, const char *metadata,
                          const struct hs_gallery_new_embedding *embedding, struct hs_gallery_added *added,
                          struct hs_error *err)
{
    char clean[HS_GALLERY_NAME_MAX + 1];
    int r = hs_gallery_clean_name(name, clean, err);
    if (r == 0)
        r = hs_gallery_find(gallery, name, &added->identity_id, err);
    if (r == HS_ENOTFOUND) {
        added->identity_created = true;
        r = HS_GALLERY_RUN(gallery, HS_STMT_INSERT_IDENTITY, err, HS_TEXT(clean), HS_TEXT(metadata),
                           HS_NUMBER(gallery->change + 1));
        added->identity_id = sqlite3_last_insert_rowid(gallery->writer->db);
    } else if (r == 0 && metadata) {
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_METADATA, err, HS_NUMBER(added->identity_id), HS_TEXT(metadata));
    } else if (r == 0) {
        r = HS_GALLERY_RUN(gallery, HS_STMT_TOUCH_IDENTITY, err, HS_NUMBER(added->identity_id));
    }
    if (r == 0)
        r = hs_gallery_touch(gallery, added->identity_id, err);
    if (r == 0)
        r = insert_embedding(gallery, added->identity_id, embedding, &added->embedding_id, err);
    return r < 0 ? r : enforce_limit(gallery, added->identity_id, &added->embedding_dropped, err);
}

/* Compares the vectors here and not in SQL, because stored ones may be sealed. */
static int find_equal(struct hs_gallery *gallery, int64_t identity_id, const struct hs_gallery_new_embedding *embedding,
                      bool *ret_present, struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    sqlite3_stmt *stmt = HS_GALLERY_BIND(gallery->writer, HS_STMT_EMBEDDINGS_OF, HS_NUMBER(identity_id));
    int r = 0;
    while (!*ret_present && r >= 0 && (r = hs_sql_step(stmt, err)) > 0) {
        const struct hs_crypt_row row = { sqlite3_column_int64(stmt, 0), identity_id };
        const char *space = (const char *) sqlite3_column_text(stmt, 2);
        size_t dimension;
        if (!space)
            r = hs_gallery_no_memory(err);
        else if (strcmp(space, embedding->space) == 0)
            r = hs_gallery_read_floats(gallery->keys, stmt, 1, row, values, HS_GALLERY_DIMENSION_MAX, &dimension, err);
        else
            continue;
        *ret_present = r > 0 && dimension == embedding->dimension &&
                       memcmp(values, embedding->values, dimension * sizeof(float)) == 0;
    }
    hs_sql_release(stmt);
    sodium_memzero(values, sizeof(values));
    return r < 0 ? r : 0;
}

int hs_gallery_has_in_txn(struct hs_gallery *gallery, const char *name,
                          const struct hs_gallery_new_embedding *embedding, bool *ret_present, struct hs_error *err)
{
    int64_t id;
    *ret_present = false;
    int r = hs_gallery_find(gallery, name, &id, err);
    if (r == 0)
        r = find_equal(gallery, id, embedding, ret_present, err);
    return r == HS_ENOTFOUND ? 0 : r;
}

/* NULL: unchanged. */
static void draft_expiry(struct hs_gallery *gallery, const char *expires_at)
{
    if (expires_at)
        hs_audit_text(gallery, "expires_at", expires_at[0] ? expires_at : "default");
}

static void draft_added(struct hs_gallery *gallery, const struct hs_gallery_added *added, bool metadata,
                        const char *expires_at)
{
    hs_audit_draft(gallery, added->identity_created ? "add_identity" : "add");
    hs_audit_number(gallery, "identity", added->identity_id);
    hs_audit_number(gallery, "embedding", added->embedding_id);
    if (added->embedding_dropped)
        hs_audit_number(gallery, "embedding_dropped", added->embedding_dropped);
    if (metadata)
        hs_audit_number(gallery, "metadata", 1);
    draft_expiry(gallery, expires_at);
}

/* Inside a change: stores the request with its result. */
static int store_request(struct hs_gallery *gallery, const struct hs_gallery_request *request,
                         const struct hs_gallery_added *added, struct hs_error *err)
{
    int r = HS_GALLERY_RUN(gallery, HS_STMT_DELETE_REQUESTS, err, HS_NUMBER(HS_GALLERY_REQUESTS_MAX - 1));
    if (r < 0)
        return r;
    return HS_GALLERY_RUN(gallery, HS_STMT_INSERT_REQUEST, err, HS_TEXT(request->key_sha256),
                          HS_TEXT(request->body_sha256), HS_NUMBER(added->identity_id), HS_NUMBER(added->embedding_id),
                          HS_NUMBER(added->identity_created), HS_NUMBER(added->embedding_dropped));
}

int hs_gallery_add(struct hs_gallery *gallery, const struct hs_gallery_request *request, const char *name,
                   const char *metadata, const struct hs_gallery_new_embedding *embedding,
                   struct hs_gallery_added *ret_added, struct hs_error *err)
{
    return hs_gallery_add_until(gallery, request, name, metadata, NULL, embedding, ret_added, err);
}

int hs_gallery_add_until(struct hs_gallery *gallery, const struct hs_gallery_request *request, const char *name,
                         const char *metadata, const char *expires_at, const struct hs_gallery_new_embedding *embedding,
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
        r = hs_gallery_check_expiry(expires_at, err);
    if (r == 0)
        r = hs_gallery_check_embedding(embedding, err);
    if (r < 0)
        return r;
    struct hs_gallery_added added = { 0 };
    r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    r = hs_gallery_add_in_txn(gallery, name, metadata, embedding, &added, err);
    if (r == 0 && expires_at)
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_EXPIRY, err, HS_NUMBER(added.identity_id), HS_TEXT(expires_at));
    if (r == 0 && request)
        r = store_request(gallery, request, &added, err);
    draft_added(gallery, &added, metadata, expires_at);
    r = hs_gallery_end(gallery, r, added.embedding_dropped != 0, err);
    if (r == 0 && ret_added)
        *ret_added = added;
    return r;
}

static void read_request(sqlite3_stmt *stmt, struct hs_gallery_found_request *ret)
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

int hs_gallery_find_request(struct hs_gallery *gallery, const char *key_sha256,
                            struct hs_gallery_found_request *ret_found, struct hs_error *err)
{
    int r = hs_gallery_check_sha256("key_sha256", key_sha256, err);
    if (r < 0)
        return r;
    struct hs_gallery_conn *conn;
    r = hs_gallery_begin_read(gallery, &conn, err);
    if (r < 0)
        return r;
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_GET_REQUEST, HS_TEXT(key_sha256));
    r = hs_sql_step(stmt, err);
    if (r > 0)
        read_request(stmt, ret_found);
    hs_sql_release(stmt);
    hs_gallery_end_read(gallery, conn);
    if (r < 0)
        return r;
    return r > 0 ? 0 : hs_error_set(err, HS_ENOTFOUND, "no stored request has this key");
}

/* ---- changing ---- */

static int update_in_txn(struct hs_gallery *gallery, const char *name, const char *new_name,
                         const struct hs_gallery_update *update, struct hs_error *err)
{
    int64_t id;
    int r = hs_gallery_find(gallery, name, &id, err);
    if (r == 0 && update->metadata)
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_METADATA, err, HS_NUMBER(id),
                           HS_TEXT(update->metadata[0] ? update->metadata : NULL));
    if (r == 0 && new_name) {
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_NAME, err, HS_NUMBER(id), HS_TEXT(new_name));
        if (r == HS_ECONFLICT)
            hs_error_set(err, r, "Identity '%s' already exists", new_name);
    }
    if (r == 0 && update->expires_at)
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_EXPIRY, err, HS_NUMBER(id), HS_TEXT(update->expires_at));
    if (r < 0)
        return r;
    hs_audit_draft(gallery, new_name ? "rename" : update->metadata ? "set_metadata" : "set_expiry");
    hs_audit_number(gallery, "identity", id);
    if (new_name && update->metadata)
        hs_audit_number(gallery, "metadata", 1);
    draft_expiry(gallery, update->expires_at);
    return hs_gallery_touch(gallery, id, err);
}

int hs_gallery_update(struct hs_gallery *gallery, const char *name, const struct hs_gallery_update *update,
                      struct hs_error *err)
{
    char clean[HS_GALLERY_NAME_MAX + 1];
    const char *new_name = update->new_name ? clean : NULL;
    int r = new_name ? hs_gallery_clean_name(update->new_name, clean, err) : 0;
    if (r == 0 && update->metadata && update->metadata[0])
        r = hs_gallery_check_metadata(update->metadata, err);
    if (r == 0)
        r = hs_gallery_check_expiry(update->expires_at, err);
    if (r == 0)
        r = hs_gallery_begin(gallery, err);
    return r < 0 ? r : hs_gallery_end(gallery, update_in_txn(gallery, name, new_name, update, err), false, err);
}

int hs_gallery_rename(struct hs_gallery *gallery, const char *name, const char *new_name, struct hs_error *err)
{
    return hs_gallery_update(gallery, name, &(struct hs_gallery_update) { .new_name = new_name }, err);
}

/* Sealed vectors are bound to their identity, so they are sealed again for the identity that they move to. One that
 * cannot be opened stays as it is. */
static int reseal(struct hs_gallery *gallery, int64_t from_id, int64_t into_id, struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    sqlite3_stmt *stmt = HS_GALLERY_BIND(gallery->writer, HS_STMT_EMBEDDINGS_OF, HS_NUMBER(from_id));
    int r;
    while ((r = hs_sql_step(stmt, err)) > 0) {
        const struct hs_crypt_row row = { sqlite3_column_int64(stmt, 0), from_id };
        const void *blob = sqlite3_column_blob(stmt, 1);
        size_t dimension;
        if (!hs_crypt_is_sealed(blob, (size_t) sqlite3_column_bytes(stmt, 1), NULL))
            continue;
        r = hs_gallery_read_floats(gallery->keys, stmt, 1, row, values, HS_GALLERY_DIMENSION_MAX, &dimension, err);
        if (r > 0)
            r = hs_gallery_store_vector(gallery, (struct hs_crypt_row) { row.id, into_id }, values, dimension, err);
        if (r < 0)
            break;
    }
    hs_sql_release(stmt);
    sodium_memzero(values, sizeof(values));
    return r;
}

static int merge_in_txn(struct hs_gallery *gallery, const char *from, const char *into, int64_t *ret_dropped,
                        struct hs_error *err)
{
    static const enum hs_gallery_statement moves[] = { HS_STMT_MOVE_EMBEDDINGS, HS_STMT_MOVE_METADATA,
                                                       HS_STMT_MOVE_REQUESTS, HS_STMT_MERGE_EXPIRY };
    int64_t from_id, into_id;
    int r = hs_gallery_find(gallery, from, &from_id, err);
    if (r == 0)
        r = hs_gallery_find(gallery, into, &into_id, err);
    if (r == 0 && from_id == into_id)
        r = hs_error_set(err, HS_EINVAL, "an identity cannot be merged into itself");
    if (r == 0)
        r = reseal(gallery, from_id, into_id, err);
    hs_audit_draft(gallery, "merge");
    for (size_t i = 0; r == 0 && i < HS_ARRAY_LEN(moves); i++) {
        r = HS_GALLERY_RUN(gallery, moves[i], err, HS_NUMBER(from_id), HS_NUMBER(into_id));
        if (r == 0 && moves[i] == HS_STMT_MOVE_EMBEDDINGS)
            hs_audit_number(gallery, "embeddings", sqlite3_changes64(gallery->writer->db));
    }
    if (r == 0) {
        hs_audit_number(gallery, "identity", from_id);
        hs_audit_number(gallery, "into", into_id);
    }
    if (r == 0)
        r = HS_GALLERY_RUN(gallery, HS_STMT_DELETE_IDENTITY, err, HS_NUMBER(from_id));
    if (r == 0)
        r = hs_gallery_touch(gallery, from_id, err);
    if (r == 0)
        r = hs_gallery_touch(gallery, into_id, err);
    return r < 0 ? r : enforce_limit(gallery, into_id, ret_dropped, err);
}

int hs_gallery_merge(struct hs_gallery *gallery, const char *from, const char *into, struct hs_error *err)
{
    int64_t dropped = 0;
    int r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    r = merge_in_txn(gallery, from, into, &dropped, err);
    return hs_gallery_end(gallery, r, dropped != 0, err);
}
