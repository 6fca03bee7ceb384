#include "face/routes_database.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_build.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/str.h"
#include "face/request_params.h"
#include "face/route_docs.h"
#include "gallery/audit_log.h"
#include "gallery/validate.h"
#include "http/param.h"
#include "service/request_options.h"
#include "service/response_warnings.h"
#include "vision/embedding.h"

enum { LIGHT_LIST_MAX = 1000, PAGE_DEFAULT = 100 }; /* identities */

json_t *hs_face_text_json(const char *text)
{
    json_t *json = text ? json_string(text) : NULL;
    char *line = text && !json ? strdup(text) : NULL;
    if (line) {
        hs_str_make_line(line);
        json = json_string(line);
    }
    free(line);
    return json;
}

json_t *hs_face_identity_json(const struct hs_gallery_identity *identity)
{
    struct hs_error why = { .message = "" };
    bool sound = hs_gallery_check_metadata(identity->metadata, &why) == 0;
    return json_pack("{s:o, s:I, s:s, s:s*, s:o*, s:o*}", "name", hs_face_text_json(identity->name), "embedding_count",
                     (json_int_t) identity->embedding_count, "created_at", identity->created_at, "expires_at",
                     identity->expires_at[0] ? identity->expires_at : NULL, "metadata",
                     sound && identity->metadata ? json_loads(identity->metadata, 0, NULL) : NULL, "metadata_error",
                     sound ? NULL : hs_face_text_json(why.message));
}

void hs_face_reply_gallery_failure(struct hs_http_request *req, const struct hs_face_app *app, const char *name,
                                   int code, const struct hs_error *err)
{
    if (code == HS_ENOTFOUND) { /* the message has the name, so it is not logged */
        hs_http_reply_error(req, HS_ENOTFOUND, NULL, "Identity '%s' not found", name);
        return;
    }
    if (hs_gallery_get_counts(app->gallery).lost)
        hs_log_error("%s", err->message);
    hs_face_reply_failure(req, code, err);
}

void hs_face_as_client(struct hs_http_request *req, hs_http_handler handle)
{
    const struct hs_audit_actor actor = { .name = hs_http_actor(req),
                                          .client = hs_http_client(req),
                                          .request_id = hs_http_id(req) };
    hs_audit_act_as(&actor);
    handle(req);
    hs_audit_act_as(NULL);
}

void hs_face_log_change(const struct hs_http_request *req, int64_t identity_id, int64_t embedding_id,
                        const char *message)
{
    struct hs_log_field fields[5];
    struct hs_audit_head head;
    char hash[HS_AUDIT_HEX_SIZE];
    size_t count = 0;
    if (identity_id)
        fields[count++] = (struct hs_log_field) HS_LOG_FIELD_INTEGER("identity_id", identity_id);
    if (embedding_id)
        fields[count++] = (struct hs_log_field) HS_LOG_FIELD_INTEGER("embedding_id", embedding_id);
    fields[count++] = (struct hs_log_field) HS_LOG_FIELD_STRING("request_id", hs_http_id(req));
    /* The log of the service is a witness of the audit log in another place. */
    if (hs_audit_last(&head)) {
        hs_audit_to_hex(head.hash, hash);
        fields[count++] = (struct hs_log_field) HS_LOG_FIELD_INTEGER("audit_seq", head.seq);
        fields[count++] = (struct hs_log_field) HS_LOG_FIELD_STRING("audit_hash", hash);
    }
    hs_log_fields(HS_LOG_INFO, fields, count, "%s", message);
}

struct hs_gallery_person *hs_face_get_person(struct hs_http_request *req, const char *name, bool with_values)
{
    const struct hs_face_app *app = hs_http_context(req);
    struct hs_gallery_person *person;
    struct hs_error err;
    if (!hs_face_require_gallery(req, app))
        return NULL;
    int r = hs_gallery_get(app->gallery, name, with_values, &person, &err);
    if (r == 0)
        return person;
    hs_face_reply_gallery_failure(req, app, name, r, &err);
    return NULL;
}

/* ---- removal ---- */

/* Older backups still contain the erased data, so the response lists those files, or those that
 * were purged. If the purge fails, the removal stays, and the response has the error in addition.
 * Takes `response` and returns it. */
static json_t *with_purged(const struct hs_http_request *req, const struct hs_face_app *app, json_t *response)
{
    struct hs_gallery_backups *purged;
    struct hs_error err;
    char backup[PATH_MAX], text[HS_ERROR_MESSAGE_SIZE];
    json_t *list = json_array();
    if (hs_gallery_purge_all(app->gallery, backup, &purged, &err) < 0) {
        hs_error_public(err.message, text);
        response = hs_json_with_member(response, "purge_error", json_string(text));
        hs_log_warning("backup purge failed: %s", err.message);
    } else {
        for (size_t i = 0; i < purged->count; i++)
            list = hs_json_with_item(list, json_string(hs_path_base(purged->items[i].path)));
        hs_str_format(text, sizeof(text), "Deleted %zu backup%s", purged->count, purged->count == 1 ? "" : "s");
        hs_face_log_change(req, 0, 0, text);
        hs_gallery_backups_destroy(purged);
        response = hs_json_with_member(response, "erasure_pending", json_false());
        response = hs_json_with_member(response, "older_backups", json_array());
        if (backup[0])
            response = hs_json_with_member(response, "backup", json_string(hs_path_base(backup)));
    }
    return hs_json_with_member(response, "purged_backups", list);
}

void hs_face_reply_erased(struct hs_http_request *req, const struct hs_face_app *app, json_t *response,
                          struct hs_gallery_erased *erased, bool purge)
{
    json_t *files = json_array();
    for (size_t i = 0; i < erased->file_count; i++)
        files = hs_json_with_item(files, json_string(hs_path_base(erased->files[i])));
    response = hs_json_with_member(response, "embeddings_erased", json_integer((json_int_t) erased->embeddings));
    response = hs_json_with_member(response, "erasure_pending", json_boolean(erased->pending));
    response = hs_json_with_member(response, "older_backups", files);
    hs_gallery_erased_finish(erased);
    if (purge)
        response = with_purged(req, app, response);
    hs_face_maintenance_erased(app->maintenance);
    hs_http_reply_json(req, 200, hs_request_add_warnings(req, response));
}

void hs_face_remove_named(struct hs_http_request *req, const struct hs_face_app *app, const char *name, bool purge)
{
    struct hs_gallery_erased erased;
    struct hs_error err;
    char message[HS_GALLERY_NAME_MAX + 64];
    int r = hs_gallery_remove(app->gallery, name, &erased, &err);
    if (r < 0) {
        hs_face_reply_gallery_failure(req, app, name, r, &err);
        return;
    }
    hs_str_format(message, sizeof(message), "Removed an identity with %lld face%s", (long long) erased.embeddings,
                  erased.embeddings == 1 ? "" : "s");
    hs_face_log_change(req, erased.identity_id, 0, message);
    hs_str_format(message, sizeof(message), "Identity '%s' removed successfully", name);
    hs_face_reply_erased(req, app, json_pack("{s:s, s:s}", "message", message, "name", name), &erased, purge);
}

bool hs_face_is_purge(struct hs_http_request *req)
{
    const struct hs_body *body = hs_http_body(req);
    const char *text = hs_http_peek_query(req, "purge_backups");
    bool purge = false;
    if (body && hs_field_bool(body, &hs_face_field_purge_backups, false, &purge, NULL) == 0 && purge)
        return true;
    return text && hs_param_read_bool(text, &purge) && purge;
}

static void post_remove(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    struct hs_error err;
    const char *name;
    bool purge, by_query;
    if (!hs_face_require_gallery(req, app) || !hs_face_require_name(req, &name) ||
        !hs_face_read_query_bool(req, &hs_face_field_purge_backups, &by_query))
        return;
    /* Also accept the query parameter, as the DELETE routes do, so that a misplaced one is not
     * ignored during an erasure. */
    if (hs_field_bool(hs_http_body(req), &hs_face_field_purge_backups, false, &purge, &err) < 0)
        hs_face_reply_failure(req, HS_EINVAL, &err);
    else if (hs_face_read_purge(req, purge || by_query))
        hs_face_remove_named(req, app, name, purge || by_query);
}

void hs_face_post_remove(struct hs_http_request *req)
{
    hs_face_as_client(req, post_remove);
}

/* ---- verify ---- */

/* Returns the best score of the identity's comparable embeddings; false if it has none. */
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
    json_t *response =
        json_pack("{s:s, s:b, s:f, s:f, s:o}", "name", name, "verified", any && score > app->recognition_threshold,
                  "score", hs_json_score(score), "threshold", hs_json_score(app->recognition_threshold), "bbox",
                  hs_face_response_bbox(req, found, result));
    response = hs_response_warn_damage(response, "image", result->damage);
    hs_http_reply_json(req, 200, hs_request_add_warnings(req, response));
    hs_gallery_person_destroy(person);
}

void hs_face_post_verify(struct hs_http_request *req)
{
    const struct hs_face_app *app = hs_http_context(req);
    const struct hs_face_param_spec param_spec = {
        .image = "image", .with_bbox = true, .embed = true, .gallery = true
    };
    struct hs_face_result result;
    const char *name;
    if (!hs_face_require_gallery(req, app) || !hs_face_require_name(req, &name))
        return;
    const struct hs_face_found *found = NULL;
    if (hs_face_run_request(req, app, &param_spec, &result))
        found = hs_face_require_best(req, &result);
    if (found)
        reply_verified(req, app, name, found, &result);
    hs_face_result_finish(&result);
}

/* ---- list ---- */

static int list_identity(void *arg, const struct hs_gallery_identity *identity)
{
    return json_array_append_new(arg, hs_face_identity_json(identity)) < 0 ? HS_ENOMEM : 0;
}

/* Names must ascend, so that a client which follows the cursor terminates, even if a name cannot be
 * represented exactly. */
static const char *next_cursor(const json_t *identities, const char *cursor)
{
    size_t count = json_array_size(identities);
    const char *last =
        count > 0 ? json_string_value(json_object_get(json_array_get(identities, count - 1), "name")) : NULL;
    return last && (!cursor || strcmp(last, cursor) > 0) ? last : NULL;
}

bool hs_face_is_full_list(struct hs_http_request *req)
{
    const char *text = hs_http_peek_query(req, "limit");
    int64_t limit;
    return !text || !hs_str_to_int64(text, &limit) || limit > LIGHT_LIST_MAX;
}

/* A list of identities: `fill` appends one to a JSON array. */
struct list {
    const struct hs_field *limit; /* its row in the query */
    int64_t fallback;             /* without it */
    int (*fill)(void *arg, const struct hs_gallery_identity *identity);
};

/* Returns the response for a list; NULL after an error response. */
static json_t *list_json(struct hs_http_request *req, const struct hs_face_app *app, const struct list *list)
{
    const char *cursor = hs_http_query(req, hs_face_query_cursor.name);
    struct hs_error err = { .message = "no memory for the list" };
    int64_t limit;
    bool more;
    int r = hs_query_int(req, list->limit, list->fallback, &limit, &err);
    if (r < 0) {
        hs_http_reply_error(req, r, list->limit->name, "%s", err.message);
        return NULL;
    }
    json_t *identities = json_array();
    r = hs_gallery_for_each_identity(app->gallery, cursor && cursor[0] ? cursor : NULL, (size_t) limit, list->fill,
                                     identities, &more, &err);
    if (r < 0) {
        json_decref(identities);
        hs_face_reply_failure(req, r, &err);
        return NULL;
    }
    const char *next = more ? next_cursor(identities, cursor) : NULL;
    json_t *response =
        json_pack("{s:O, s:I}", "identities", identities, "count", (json_int_t) json_array_size(identities));
    /* Without the cursor a client would take the list for complete. */
    if (next)
        response = hs_json_with_member(response, "next_cursor", json_string(next));
    json_decref(identities);
    if (!response)
        hs_http_reply_error(req, HS_ENOMEM, NULL, "no memory for the list");
    return response;
}

void hs_face_get_list(struct hs_http_request *req)
{
    const struct list list = { &hs_face_query_limit, INT64_MAX, list_identity };
    const struct hs_face_app *app = hs_http_context(req);
    json_t *response = hs_face_require_gallery(req, app) ? list_json(req, app, &list) : NULL;
    if (response)
        hs_http_reply_json(req, 200, hs_request_add_warnings(req, response));
}

static int list_with_update(void *arg, const struct hs_gallery_identity *identity)
{
    json_t *json =
        hs_json_with_member(hs_face_identity_json(identity), "updated_at", hs_face_text_json(identity->updated_at));
    return json_array_append_new(arg, json) < 0 ? HS_ENOMEM : 0;
}

void hs_face_get_identities(struct hs_http_request *req)
{
    const struct list list = { &hs_face_query_page, PAGE_DEFAULT, list_with_update };
    const struct hs_face_app *app = hs_http_context(req);
    json_t *response = hs_face_require_gallery(req, app) ? list_json(req, app, &list) : NULL;
    if (!response)
        return;
    response = hs_json_with_member(response, "total",
                                   json_integer((json_int_t) hs_gallery_get_counts(app->gallery).identities));
    hs_http_reply_json(req, 200, hs_request_add_warnings(req, response));
}
