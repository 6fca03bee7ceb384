#include "face/routes_database.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "face/database_reply.h"
#include "face/request_params.h"
#include "http/param.h"
#include "vision/embedding.h"

void hs_face_post_remove(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    struct hs_error err;
    const char *name;
    bool purge;
    if (!hs_face_ask_gallery(req, app) || !hs_face_ask_name(req, &name))
        return;
    if (hs_param_bool(hs_http_body(req), "purge_backups", false, &purge, &err) < 0)
        hs_face_reply_failure(req, HS_EINVAL, &err);
    else
        hs_face_remove_named(req, app, name, purge);
}

/* ---- verify ---- */

/* The best of the identity's vectors that can be compared; false if it has none. */
static bool best_score(const struct hs_face_app *app, const struct hs_gallery_person *person, const float *vector,
                       double *ret_score)
{
    const struct hs_pack_embedding *space = &hs_model_pool_first(app->embedder)->choice.pack->embedding;
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
    double score = 0;
    struct hs_gallery_person *person = hs_face_get_person(req, name, true);
    if (!person)
        return;
    bool any = best_score(app, person, found->embedding, &score);
    hs_http_reply_json(req, 200,
                       json_pack("{s:s, s:b, s:f, s:f, s:o}", "name", name, "verified",
                                 any && score > app->recognition_threshold, "score", score, "threshold",
                                 app->recognition_threshold, "bbox", hs_face_ask_bbox(req, found, result)));
    hs_gallery_person_destroy(person);
}

void hs_face_post_verify(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_wish wish = { .image = "image", .boxed = true, .embed = true, .gallery = true };
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

static int list_identity(void *arg, const struct hs_gallery_identity *identity)
{
    return json_array_append_new(arg, hs_face_identity_json(identity)) < 0 ? HS_ENOMEM : 0;
}

void hs_face_get_list(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const char *limit_text = hs_http_query(req, "limit"), *cursor = hs_http_query(req, "cursor");
    struct hs_error err = { .message = "no memory for the list" };
    int64_t limit = INT64_MAX;
    bool more;
    if (!hs_face_ask_gallery(req, app))
        return;
    if (limit_text && (!hs_str_to_int64(limit_text, &limit) || limit < 1)) {
        hs_http_reply_error(req, HS_EINVAL, "limit", "limit: must be a whole number above 0");
        return;
    }
    json_t *identities = json_array();
    int r = hs_gallery_for_each_identity(app->gallery, cursor && cursor[0] ? cursor : NULL, (size_t) limit,
                                         list_identity, identities, &more, &err);
    if (r < 0) {
        json_decref(identities);
        hs_face_reply_failure(req, r, &err);
        return;
    }
    size_t count = json_array_size(identities);
    const char *next =
        more && count > 0 ? json_string_value(json_object_get(json_array_get(identities, count - 1), "name")) : NULL;
    hs_http_reply_json(
        req, 200,
        json_pack("{s:O, s:I, s:s*}", "identities", identities, "count", (json_int_t) count, "next_cursor", next));
    json_decref(identities);
}
