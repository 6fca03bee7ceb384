/* /v1/database/identities/{name}: one identity, and its embeddings. */
#include <stdlib.h>
#include <string.h>

#include "base/json_build.h"
#include "base/json_writer.h"
#include "base/str.h"
#include "face/request_params.h"
#include "face/route_docs.h"
#include "face/routes_database.h"
#include "gallery/name.h"
#include "gallery/validate.h"
#include "http/param.h"
#include "service/request_options.h"

/* Rounds the numbers of a stored quality; the gallery keeps all digits, because it compares them. Returns a new
 * reference, or NULL. */
static json_t *quality_json(const char *text)
{
    json_t *quality = json_loads(text, 0, NULL), *value;
    const char *name;
    json_object_foreach(quality, name, value)
    {
        if (json_is_real(value))
            json_real_set(value, hs_json_score(json_real_value(value)));
    }
    return quality;
}

static json_t *embedding_json(const struct hs_gallery_embedding *e)
{
    bool sound = e->quality && hs_gallery_check_quality(e->quality, NULL) == 0;
    return json_pack("{s:I, s:o, s:o*, s:o*, s:o*, s:o, s:I}", "id", (json_int_t) e->id, "space",
                     hs_face_text_json(e->space), "model", hs_face_text_json(e->model), "quality",
                     sound ? quality_json(e->quality) : NULL, "source_sha256", hs_face_text_json(e->source_sha256),
                     "created_at", hs_face_text_json(e->created_at), "dimension", (json_int_t) e->dimension);
}

static json_t *embeddings_json(const struct hs_gallery_person *person)
{
    json_t *list = json_array();
    for (size_t i = 0; i < person->count; i++)
        list = hs_json_with_item(list, embedding_json(&person->embeddings[i]));
    return list;
}

json_t *hs_face_person_json(const struct hs_gallery_person *person)
{
    return hs_json_with_member(hs_face_identity_json(&person->identity), "embeddings", embeddings_json(person));
}

/* Returns the identity's id, or 0. */
static int64_t reply_person(struct hs_http_request *req, const char *name)
{
    struct hs_gallery_person *person = hs_face_get_person(req, name, false);
    if (!person)
        return 0;
    int64_t id = person->identity.id;
    hs_http_reply_json(req, 200, hs_request_add_warnings(req, hs_face_person_json(person)));
    hs_gallery_person_destroy(person);
    return id;
}

void hs_face_get_identity(struct hs_http_request *req)
{
    reply_person(req, hs_http_param(req, 0));
}

static void delete_identity(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    bool purge;
    if (hs_face_require_gallery(req, app) && hs_face_read_query_bool(req, &hs_face_field_purge_backups, &purge) &&
        hs_face_read_purge(req, purge))
        hs_face_remove_named(req, app, hs_http_param(req, 0), purge);
}

void hs_face_delete_identity(struct hs_http_request *req)
{
    hs_face_as_client(req, delete_identity);
}

static const char *change_text(const struct hs_gallery_update *update)
{
    if (update->new_name)
        return update->metadata ? "Renamed an identity and changed its metadata" : "Renamed an identity";
    return update->metadata ? "Changed the metadata of an identity" : "Changed the time of expiry of an identity";
}

static void put_identity(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const char *name = hs_http_param(req, 0);
    struct hs_gallery_update update = { 0 };
    struct hs_error err;
    char *metadata, new_name[HS_GALLERY_NAME_MAX + 1], expires_at[HS_GALLERY_TIME_SIZE];
    bool has_expiry = false;
    if (!hs_face_require_gallery(req, app) || !hs_face_require_body(req))
        return;
    int r = hs_field_string(hs_http_body(req), &hs_face_field_name, NULL, &update.new_name, &err);
    if (r == 0 && update.new_name)
        r = hs_gallery_clean_name(update.new_name, new_name, &err);
    if (r == 0)
        r = hs_face_read_expiry(hs_http_body(req), expires_at, &has_expiry, &err);
    if (r < 0) {
        hs_face_reply_failure(req, r, &err);
        return;
    }
    if (!hs_face_read_metadata(req, &metadata))
        return;
    if (!update.new_name && !metadata && !has_expiry) {
        hs_http_reply_error(req, HS_EINVAL, NULL, "name, metadata or expires_at: at least one is required");
        return;
    }
    update.metadata = metadata;
    update.expires_at = has_expiry ? expires_at : NULL;
    r = hs_gallery_update(app->gallery, name, &update, &err);
    /* The new name may look like a path, which hs_error_public would cut, and its caller log. */
    if (r == HS_ECONFLICT && !strstr(err.message, HS_DETAIL))
        hs_http_reply_error(req, r, NULL, "%s", err.message);
    else if (r < 0)
        hs_face_reply_gallery_failure(req, app, name, r, &err);
    else
        hs_face_log_change(req, reply_person(req, update.new_name ? new_name : name), 0, change_text(&update));
    free(metadata);
}

void hs_face_put_identity(struct hs_http_request *req)
{
    hs_face_as_client(req, put_identity);
}

/* ---- embeddings ---- */

void hs_face_get_embeddings(struct hs_http_request *req)
{
    struct hs_gallery_person *person = hs_face_get_person(req, hs_http_param(req, 0), false);
    if (!person)
        return;
    json_t *response = json_pack("{s:o, s:o, s:I}", "name", hs_face_text_json(person->identity.name), "embeddings",
                                 embeddings_json(person), "count", (json_int_t) person->count);
    hs_http_reply_json(req, 200, hs_request_add_warnings(req, response));
    hs_gallery_person_destroy(person);
}

/* Finds the embedding in the path, and its identity, which the caller frees. Returns NULL after
 * sending an error response. */
static const struct hs_gallery_embedding *require_embedding(struct hs_http_request *req, bool with_values,
                                                            struct hs_gallery_person **ret_person)
{
    const char *text = hs_http_param(req, 1);
    struct hs_gallery_person *person = hs_face_get_person(req, hs_http_param(req, 0), with_values);
    int64_t id;
    bool valid = hs_str_to_int64(text, &id);
    *ret_person = person;
    for (size_t i = 0; person && valid && i < person->count; i++)
        if (person->embeddings[i].id == id)
            return &person->embeddings[i];
    if (person)
        hs_http_reply_error(req, HS_ENOTFOUND, NULL, "Embedding '%s' of '%s' not found", text, person->identity.name);
    return NULL;
}

void hs_face_get_embedding(struct hs_http_request *req)
{
    struct hs_gallery_person *person;
    bool vector;
    if (!hs_face_read_query_bool(req, &hs_face_query_vector, &vector))
        return;
    const struct hs_gallery_embedding *e = require_embedding(req, vector, &person);
    if (e) {
        json_t *response = embedding_json(e);
        response = hs_json_with_member(response, "name", hs_face_text_json(person->identity.name));
        if (vector)
            response = hs_json_with_member(response, "embedding", hs_face_vector_json(e->values, e->dimension));
        hs_face_reply_embedding(req, hs_request_add_warnings(req, response));
    }
    hs_gallery_person_destroy(person);
}

static void remove_embedding(struct hs_http_request *req, const char *name, int64_t id, int64_t left, bool purge)
{
    const struct hs_face_app *app = hs_http_context(req);
    struct hs_gallery_erased erased;
    struct hs_error err;
    char message[HS_GALLERY_NAME_MAX + 64];
    int r = hs_gallery_remove_embedding(app->gallery, id, &erased, &err);
    if (r == HS_ENOTFOUND) {
        hs_face_reply_failure(req, r, &err);
    } else if (r < 0) {
        hs_face_reply_gallery_failure(req, app, name, r, &err);
    } else {
        hs_face_log_change(req, erased.identity_id, id, "Removed a face of an identity");
        hs_str_format(message, sizeof(message), "Embedding %lld of '%s' removed successfully", (long long) id, name);
        json_t *response = json_pack("{s:s, s:s, s:I, s:I}", "message", message, "name", name, "id", (json_int_t) id,
                                     "embedding_count", (json_int_t) left);
        hs_face_reply_erased(req, app, response, &erased, purge);
    }
}

static void delete_embedding(struct hs_http_request *req)
{
    struct hs_gallery_person *person;
    bool purge;
    if (!hs_face_read_query_bool(req, &hs_face_field_purge_backups, &purge) || !hs_face_read_purge(req, purge))
        return;
    const struct hs_gallery_embedding *e = require_embedding(req, false, &person);
    if (e)
        remove_embedding(req, person->identity.name, e->id, (int64_t) person->count - 1, purge);
    hs_gallery_person_destroy(person);
}

void hs_face_delete_embedding(struct hs_http_request *req)
{
    hs_face_as_client(req, delete_embedding);
}
