/* Identities: listing, reading, renaming, merging. */
#include <stdlib.h>

#include "gallery/gallery.h"
#include "gallery/gallery_internal.h"
#include "gallery/validate.h"

#include "base/mem.h"
#include "base/str.h"

/* Identities that are in memory at once. */
enum { PAGE_SIZE = 1000 };

/* A time of a row; text that is no time of ours is cut. */
static void copy_time(sqlite3_stmt *stmt, int column, char ret_time[HS_GALLERY_TIME_SIZE])
{
    const char *text = (const char *) sqlite3_column_text(stmt, column);
    hs_str_copy(ret_time, HS_GALLERY_TIME_SIZE, text ? text : "");
}

/* A row of LIST or GET. What was read before a failure is in *identity, for its owner to free. */
static int read_identity(sqlite3_stmt *stmt, struct hs_gallery_identity *identity, struct hs_error *err)
{
    identity->id = sqlite3_column_int64(stmt, 0);
    identity->embedding_count = sqlite3_column_int64(stmt, 5);
    copy_time(stmt, 3, identity->created_at);
    copy_time(stmt, 4, identity->updated_at);
    if (!hs_gallery_column_text(stmt, 1, &identity->name) || !hs_gallery_column_text(stmt, 2, &identity->metadata))
        return hs_gallery_no_memory(err);
    return 0;
}

/* Reads at most `limit` identities whose names follow `after`. The caller finishes the *ret_count of them that there
 * are, also after a failure. */
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
    char *last = NULL; /* of the pages so far */
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

/* A row of EMBEDDINGS_OF; what was read before a failure is in *e. */
static int read_embedding(sqlite3_stmt *stmt, bool with_values, struct hs_gallery_embedding *e, struct hs_error *err)
{
    e->id = sqlite3_column_int64(stmt, 0);
    e->dimension = (size_t) sqlite3_column_bytes(stmt, 1) / sizeof(float);
    copy_time(stmt, 6, e->created_at);
    if (!hs_gallery_column_text(stmt, 2, &e->space) || !hs_gallery_column_text(stmt, 3, &e->model) ||
        !hs_gallery_column_text(stmt, 4, &e->quality) || !hs_gallery_column_text(stmt, 5, &e->source_sha256))
        return hs_gallery_no_memory(err);
    if (!with_values)
        return 0;
    e->values = calloc(e->dimension ? e->dimension : 1, sizeof(float));
    if (!e->values)
        return hs_gallery_no_memory(err);
    hs_gallery_column_floats(stmt, 1, e->values, e->dimension);
    return 0;
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
        r = read_embedding(stmt, with_values, &person->embeddings[person->count++], err);
    hs_sql_release(stmt);
    return r;
}

static int read_person(struct hs_gallery_conn *conn, const char *name, bool with_values,
                       struct hs_gallery_person *person, struct hs_error *err)
{
    sqlite3_stmt *stmt = HS_GALLERY_BIND(conn, HS_STMT_GET, HS_TEXT(name));
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

static int update_inside(struct hs_gallery *gallery, const char *name, const struct hs_gallery_update *update,
                         struct hs_error *err)
{
    int64_t id;
    int r = hs_gallery_find(gallery, name, &id, err);
    if (r == 0 && update->metadata)
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_METADATA, err, HS_NUMBER(id),
                           HS_TEXT(update->metadata[0] ? update->metadata : NULL));
    if (r == 0 && update->new_name) {
        r = HS_GALLERY_RUN(gallery, HS_STMT_SET_NAME, err, HS_NUMBER(id), HS_TEXT(update->new_name));
        if (r == HS_ECONFLICT)
            hs_error_set(err, r, "Identity '%s' exists already", update->new_name);
    }
    return r < 0 ? r : hs_gallery_touch(gallery, id, err);
}

int hs_gallery_update(struct hs_gallery *gallery, const char *name, const struct hs_gallery_update *update,
                      struct hs_error *err)
{
    int r = update->new_name ? hs_gallery_check_name(update->new_name, err) : 0;
    if (r == 0 && update->metadata && update->metadata[0])
        r = hs_gallery_check_metadata(update->metadata, err);
    if (r == 0)
        r = hs_gallery_begin(gallery, err);
    return r < 0 ? r : hs_gallery_end(gallery, update_inside(gallery, name, update, err), false, err);
}

int hs_gallery_rename(struct hs_gallery *gallery, const char *name, const char *new_name, struct hs_error *err)
{
    return hs_gallery_update(gallery, name, &(struct hs_gallery_update) { .new_name = new_name }, err);
}

static int merge_inside(struct hs_gallery *gallery, const char *from, const char *into, int64_t *ret_dropped,
                        struct hs_error *err)
{
    static const enum hs_gallery_statement moves[] = { HS_STMT_MOVE_EMBEDDINGS, HS_STMT_MOVE_METADATA,
                                                       HS_STMT_MOVE_REQUESTS };
    int64_t from_id, into_id;
    int r = hs_gallery_find(gallery, from, &from_id, err);
    if (r == 0)
        r = hs_gallery_find(gallery, into, &into_id, err);
    if (r == 0 && from_id == into_id)
        r = hs_error_set(err, HS_EINVAL, "an identity cannot be merged into itself");
    for (size_t i = 0; r == 0 && i < HS_ARRAY_LEN(moves); i++)
        r = HS_GALLERY_RUN(gallery, moves[i], err, HS_NUMBER(from_id), HS_NUMBER(into_id));
    if (r == 0)
        r = HS_GALLERY_RUN(gallery, HS_STMT_DELETE_IDENTITY, err, HS_NUMBER(from_id));
    if (r == 0)
        r = hs_gallery_touch(gallery, from_id, err);
    if (r == 0)
        r = hs_gallery_touch(gallery, into_id, err);
    return r < 0 ? r : hs_gallery_trim(gallery, into_id, ret_dropped, err);
}

int hs_gallery_merge(struct hs_gallery *gallery, const char *from, const char *into, struct hs_error *err)
{
    int64_t dropped = 0;
    int r = hs_gallery_begin(gallery, err);
    if (r < 0)
        return r;
    r = merge_inside(gallery, from, into, &dropped, err);
    return hs_gallery_end(gallery, r, dropped != 0, err);
}
