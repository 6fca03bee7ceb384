/* /v1/database/identities/{name}: one identity, and its embeddings. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "face/ask.h"
#include "face/routes_database.h"
#include "http/param.h"

static json_t *embedding_json(const struct hs_gallery_embedding *e)
{
    json_t *quality = e->quality ? json_loads(e->quality, 0, NULL) : NULL;
    return json_pack("{s:I, s:s, s:s*, s:o*, s:s*, s:s, s:I}", "id", (json_int_t) e->id, "space", e->space, "model",
                     e->model, "quality", quality, "source_sha256", e->source_sha256, "created_at", e->created_at,
                     "dimension", (json_int_t) e->dimension);
}

static json_t *embeddings_json(const struct hs_gallery_person *person)
{
    json_t *list = json_array();
    for (size_t i = 0; i < person->count; i++)
        json_array_append_new(list, embedding_json(&person->embeddings[i]));
    return list;
}

static void reply_person(struct hs_http_request *req, const char *name)
{
    struct hs_gallery_person *person = hs_face_get_person(req, name, false);
    if (!person)
        return;
    json_t *answer = hs_face_identity_json(&person->identity);
    json_object_set_new(answer, "embeddings", embeddings_json(person));
    hs_http_reply_json(req, 200, answer);
    hs_gallery_person_destroy(person);
}

void hs_face_get_identity(struct hs_http_request *req)
{
    reply_person(req, hs_http_param(req, 0));
}

void hs_face_delete_identity(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    bool purge;
    if (hs_face_ask_gallery(req, app) && hs_face_ask_query_bool(req, "purge_backups", &purge))
        hs_face_remove_named(req, app, hs_http_param(req, 0), purge);
}

/* ---- changing ---- */

static void change(struct hs_http_request *req, const struct hs_face_app *app, const char *name,
                   const struct hs_gallery_update *update)
{
    struct hs_error err;
    int r = hs_gallery_update(app->gallery, name, update, &err);
    if (r < 0) {
        hs_face_reply_gallery_failure(req, app, name, r, &err);
        return;
    }
    reply_person(req, update->new_name ? update->new_name : name);
}

void hs_face_put_identity(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    struct hs_gallery_update update = { 0 };
    struct hs_error err;
    char *metadata;
    if (!hs_face_ask_gallery(req, app) || !hs_face_ask_body(req))
        return;
    if (hs_param_string(hs_http_body(req), "name", NULL, &update.new_name, &err) < 0) {
        hs_face_reply_failure(req, HS_EINVAL, &err);
        return;
    }
    if (!hs_face_ask_metadata(req, &metadata))
        return;
    update.metadata = metadata;
    if (update.new_name || update.metadata)
        change(req, app, hs_http_param(req, 0), &update);
    else
        hs_http_reply_error(req, HS_EINVAL, NULL, "name or metadata: one of them must be given");
    free(metadata);
}

/* ---- embeddings ---- */

void hs_face_get_embeddings(struct hs_http_request *req)
{
    struct hs_gallery_person *person = hs_face_get_person(req, hs_http_param(req, 0), false);
    if (!person)
        return;
    hs_http_reply_json(req, 200,
                       json_pack("{s:s, s:o, s:I}", "name", person->identity.name, "embeddings",
                                 embeddings_json(person), "count", (json_int_t) person->count));
    hs_gallery_person_destroy(person);
}

/* The embedding of the path, if it is this identity's. */
static const struct hs_gallery_embedding *find_embedding(struct hs_http_request *req,
                                                         const struct hs_gallery_person *person)
{
    const char *text = hs_http_param(req, 1);
    int64_t id = 0;
    if (hs_str_to_int64(text, &id)) {
        for (size_t i = 0; i < person->count; i++)
            if (person->embeddings[i].id == id)
                return &person->embeddings[i];
    }
    hs_http_reply_error(req, HS_ENOTFOUND, NULL, "Embedding '%s' of '%s' not found", text, person->identity.name);
    return NULL;
}

static void add_vector(json_t *answer, const struct hs_gallery_embedding *e)
{
    json_t *list = json_array();
    for (size_t i = 0; i < e->dimension; i++)
        json_array_append_new(list, json_real((double) e->values[i]));
    json_object_set_new(answer, "embedding", list);
}

void hs_face_get_embedding(struct hs_http_request *req)
{
    bool vector;
    if (!hs_face_ask_query_bool(req, "vector", &vector))
        return;
    struct hs_gallery_person *person = hs_face_get_person(req, hs_http_param(req, 0), vector);
    if (!person)
        return;
    const struct hs_gallery_embedding *e = find_embedding(req, person);
    if (e) {
        json_t *answer = embedding_json(e);
        json_object_set_new(answer, "name", json_string(person->identity.name));
        if (vector)
            add_vector(answer, e);
        hs_http_reply_json(req, 200, answer);
    }
    hs_gallery_person_destroy(person);
}

static void remove_embedding(struct hs_http_request *req, const struct hs_gallery_person *person, int64_t id,
                             bool purge)
{
    const struct hs_face_app *app = hs_http_context(req);
    const char *name = person->identity.name;
    struct hs_gallery_erased erased;
    struct hs_error err;
    char message[HS_GALLERY_NAME_MAX + 64];
    int r = hs_gallery_remove_embedding(app->gallery, id, &erased, &err);
    if (r < 0) {
        if (r == HS_ENOTFOUND)
            hs_face_reply_failure(req, r, &err);
        else
            hs_face_reply_gallery_failure(req, app, name, r, &err);
        return;
    }
    hs_str_format(message, sizeof(message), "Embedding %lld of '%s' removed successfully", (long long) id, name);
    json_t *answer = json_pack("{s:s, s:s, s:I, s:I}", "message", message, "name", name, "id", (json_int_t) id,
                               "embedding_count", (json_int_t) person->count - 1);
    hs_face_reply_erased(req, app, answer, &erased, purge);
}

void hs_face_delete_embedding(struct hs_http_request *req)
{
    bool purge;
    if (!hs_face_ask_query_bool(req, "purge_backups", &purge))
        return;
    struct hs_gallery_person *person = hs_face_get_person(req, hs_http_param(req, 0), false);
    if (!person)
        return;
    const struct hs_gallery_embedding *e = find_embedding(req, person);
    if (e)
        remove_embedding(req, person, e->id, purge);
    hs_gallery_person_destroy(person);
}
