#include "face/routes_database.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "face/ask.h"
#include "vision/embedding.h"

/* ---- add ---- */

static int store(const struct hs_face_app *app, const char *name, const struct hs_face_found *found,
                 const struct hs_face_result *result, struct hs_error *err)
{
    const struct hs_pack *pack = app->embedder.choice.pack;
    json_t *quality = hs_face_quality_json(found);
    /* What the gallery goes by where an identity has more vectors than may stay. */
    if (json_is_object(quality))
        json_object_set_new(quality, "score", json_real((double) (found->face.score * found->quality.sharpness)));
    char *text = json_is_object(quality) ? json_dumps(quality, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const struct hs_gallery_new_embedding embedding = {
        .values = found->embedding,
        .dimension = (size_t) result->dimension,
        .space = pack->embedding.space,
        .model = pack->name,
        .quality = text,
    };
    struct hs_gallery_added added;
    int r = hs_gallery_add(app->gallery, name, NULL, &embedding, &added, err);
    if (r == 0)
        hs_face_index_added(app->index, name, &added, found->embedding);
    json_decref(quality);
    free(text);
    return r;
}

static void reply_named(struct hs_http_request *req, const char *format, const char *name)
{
    char message[HS_GALLERY_NAME_MAX + 64];
    hs_str_format(message, sizeof(message), "Identity '%s' %s successfully", name, format);
    hs_http_reply_json(req, 200, json_pack("{s:s, s:s}", "message", message, "name", name));
}

void hs_face_post_add(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_wish wish = { .image = "image", .boxed = true, .embed = true };
    struct hs_face_result result;
    struct hs_error err;
    const char *name;
    if (!hs_face_ask_gallery(req, app) || !hs_face_ask_name(req, &name))
        return;
    const struct hs_face_found *found = NULL;
    if (hs_face_ask_faces(req, app, &wish, &result))
        found = hs_face_ask_best(req, &result);
    if (found) {
        int r = store(app, name, found, &result, &err);
        if (r < 0)
            hs_face_reply_failure(req, r, &err);
        else
            reply_named(req, "added", name);
    }
    hs_face_result_finish(&result);
}

/* ---- remove ---- */

static void reply_not_found(struct hs_http_request *req, const char *name)
{
    hs_http_reply_error(req, HS_ENOTFOUND, NULL, "Identity '%s' not found", name);
}

static json_t *files_json(const struct hs_gallery_erased *erased)
{
    json_t *files = json_array();
    for (size_t i = 0; i < erased->file_count; i++)
        json_array_append_new(files, json_string(erased->files[i]));
    return files;
}

/* Older backups still hold what was erased: the answer names them. */
static void remove_named(struct hs_http_request *req, const struct hs_face_app *app, const char *name)
{
    struct hs_gallery_erased erased;
    struct hs_error err;
    char message[HS_GALLERY_NAME_MAX + 64];
    int r = hs_gallery_remove(app->gallery, name, &erased, &err);
    if (r == HS_ENOTFOUND || r == HS_EINVAL) {
        reply_not_found(req, name);
        return;
    }
    hs_face_index_removed(app->index, name);
    if (r < 0) {
        hs_face_reply_failure(req, r, &err);
        return;
    }
    hs_str_format(message, sizeof(message), "Identity '%s' removed successfully", name);
    hs_http_reply_json(req, 200,
                       json_pack("{s:s, s:s, s:I, s:b, s:o}", "message", message, "name", name, "embeddings_erased",
                                 (json_int_t) erased.embeddings, "erasure_pending", (int) erased.pending,
                                 "older_backups", files_json(&erased)));
    hs_gallery_erased_finish(&erased);
}

void hs_face_post_remove(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const char *name;
    if (hs_face_ask_gallery(req, app) && hs_face_ask_name(req, &name))
        remove_named(req, app, name);
}

void hs_face_delete_identity(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    if (hs_face_ask_gallery(req, app))
        remove_named(req, app, hs_http_param(req, 0));
}

/* ---- verify ---- */

/* The best of the identity's vectors that can be compared; false where it has none. */
static bool best_score(const struct hs_face_app *app, const struct hs_gallery_person *person, const float *vector,
                       double *ret_score)
{
    const struct hs_pack_embedding *space = &app->embedder.choice.pack->embedding;
    bool any = false;
    for (size_t i = 0; i < person->count; i++) {
        const struct hs_gallery_embedding *e = &person->embeddings[i];
        if (e->dimension != (size_t) space->dimension || strcmp(e->space, space->space) != 0)
            continue;
        double score = (double) hs_embedding_cosine(vector, e->values, e->dimension);
        if (!any || score > *ret_score)
            *ret_score = score;
        any = true;
    }
    return any;
}

static void reply_verified(struct hs_http_request *req, const struct hs_face_app *app, const char *name,
                           const struct hs_face_found *found, const struct hs_face_result *result)
{
    struct hs_gallery_person *person;
    struct hs_error err;
    double score = 0;
    int r = hs_gallery_get(app->gallery, name, true, &person, &err);
    if (r == HS_ENOTFOUND || r == HS_EINVAL) {
        reply_not_found(req, name);
        return;
    }
    if (r < 0) {
        hs_face_reply_failure(req, r, &err);
        return;
    }
    bool any = best_score(app, person, found->embedding, &score);
    hs_http_reply_json(req, 200,
                       json_pack("{s:s, s:b, s:f, s:f, s:o}", "name", name, "verified",
                                 any && score > app->recognition_threshold, "score", score, "threshold",
                                 app->recognition_threshold, "bbox", hs_face_bbox_json(&found->face.box, result)));
    hs_gallery_person_destroy(person);
}

void hs_face_post_verify(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_wish wish = { .image = "image", .boxed = true, .embed = true };
    struct hs_face_result result;
    const char *name;
    if (!hs_face_ask_gallery(req, app) || !hs_face_ask_name(req, &name))
        return;
    const struct hs_face_found *found = NULL;
    if (hs_face_ask_faces(req, app, &wish, &result))
        found = hs_face_ask_best(req, &result);
    if (found)
        reply_verified(req, app, name, found, &result);
    hs_face_result_finish(&result);
}

/* ---- list ---- */

static json_t *identity_json(const struct hs_gallery_identity *identity)
{
    json_t *metadata = identity->metadata ? json_loads(identity->metadata, 0, NULL) : NULL;
    return json_pack("{s:s, s:I, s:s, s:o*}", "name", identity->name, "embedding_count",
                     (json_int_t) identity->embedding_count, "created_at", identity->created_at, "metadata", metadata);
}

/* All identities, page by page; with `limit` only so many, and the cursor of the next page. */
static int list_all(const struct hs_face_app *app, const char *after, size_t limit, json_t *identities, bool *ret_more,
                    struct hs_error *err)
{
    char *last = NULL;
    int r = 0;
    *ret_more = true;
    while (r == 0 && *ret_more && json_array_size(identities) < limit) {
        size_t left = limit - json_array_size(identities);
        struct hs_gallery_page *page;
        r = hs_gallery_list(app->gallery, last ? last : after, left < HS_GALLERY_PAGE_MAX ? left : HS_GALLERY_PAGE_MAX,
                            &page, err);
        if (r < 0)
            break;
        for (size_t i = 0; i < page->count; i++)
            json_array_append_new(identities, identity_json(&page->identities[i]));
        *ret_more = page->more;
        if (page->count > 0) {
            free(last);
            last = strdup(page->identities[page->count - 1].name);
            if (!last)
                r = hs_error_set(err, HS_ENOMEM, "no memory for the list");
        }
        hs_gallery_page_destroy(page);
    }
    free(last);
    return r;
}

void hs_face_get_list(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const char *limit_text = hs_http_query(req, "limit"), *cursor = hs_http_query(req, "cursor");
    struct hs_error err;
    int64_t limit = INT64_MAX;
    bool more;
    if (!hs_face_ask_gallery(req, app))
        return;
    if (limit_text && (!hs_str_to_int64(limit_text, &limit) || limit < 1)) {
        hs_http_reply_error(req, HS_EINVAL, "limit", "limit: must be a whole number above 0");
        return;
    }
    json_t *identities = json_array();
    int r = list_all(app, cursor && cursor[0] ? cursor : NULL, (size_t) limit, identities, &more, &err);
    if (r < 0) {
        json_decref(identities);
        hs_face_reply_failure(req, r, &err);
        return;
    }
    size_t count = json_array_size(identities);
    const char *next = more && count > 0
                           ? json_string_value(json_object_get(json_array_get(identities, count - 1), "name"))
                           : NULL;
    hs_http_reply_json(req, 200, json_pack("{s:O, s:I, s:s*}", "identities", identities, "count", (json_int_t) count,
                                           "next_cursor", next));
    json_decref(identities);
}

static json_t *embedding_json(const struct hs_gallery_embedding *e)
{
    json_t *quality = e->quality ? json_loads(e->quality, 0, NULL) : NULL;
    return json_pack("{s:I, s:s, s:s*, s:o*, s:s, s:I}", "id", (json_int_t) e->id, "space", e->space, "model", e->model,
                     "quality", quality, "created_at", e->created_at, "dimension", (json_int_t) e->dimension);
}

void hs_face_get_identity(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const char *name = hs_http_param(req, 0);
    struct hs_gallery_person *person;
    struct hs_error err;
    if (!hs_face_ask_gallery(req, app))
        return;
    int r = hs_gallery_get(app->gallery, name, false, &person, &err);
    if (r == HS_ENOTFOUND || r == HS_EINVAL) {
        reply_not_found(req, name);
    } else if (r < 0) {
        hs_face_reply_failure(req, r, &err);
    } else {
        json_t *embeddings = json_array();
        for (size_t i = 0; i < person->count; i++)
            json_array_append_new(embeddings, embedding_json(&person->embeddings[i]));
        json_t *answer = identity_json(&person->identity);
        json_object_set_new(answer, "embeddings", embeddings);
        hs_http_reply_json(req, 200, answer);
        hs_gallery_person_destroy(person);
    }
}
