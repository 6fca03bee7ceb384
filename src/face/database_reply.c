#include "face/database_reply.h"

#include <limits.h>

#include "base/log.h"
#include "base/str.h"
#include "face/request_params.h"
#include "gallery/validate.h"

/* Metadata of older files may be nested deeper than an answer can be; it is left out then. */
json_t *hs_face_identity_json(const struct hs_gallery_identity *identity)
{
    bool sound = identity->metadata && hs_gallery_check_metadata(identity->metadata, NULL) == 0;
    return json_pack("{s:s, s:I, s:s, s:o*}", "name", identity->name, "embedding_count",
                     (json_int_t) identity->embedding_count, "created_at", identity->created_at, "metadata",
                     sound ? json_loads(identity->metadata, 0, NULL) : NULL);
}

void hs_face_reply_gallery_failure(struct hs_http_request *req, const struct hs_face_app *app, const char *name,
                                   int code, const struct hs_error *err)
{
    if (hs_gallery_get_counts(app->gallery).lost)
        hs_log_error("%s", err->message);
    if (code == HS_ENOTFOUND)
        hs_http_reply_error(req, HS_ENOTFOUND, NULL, "Identity '%s' not found", name);
    else
        hs_face_reply_failure(req, code, err);
}

struct hs_gallery_person *hs_face_get_person(struct hs_http_request *req, const char *name, bool with_values)
{
    const struct hs_face_app *app = hs_http_context(req);
    struct hs_gallery_person *person;
    struct hs_error err;
    if (!hs_face_ask_gallery(req, app))
        return NULL;
    int r = hs_gallery_get(app->gallery, name, with_values, &person, &err);
    if (r == 0)
        return person;
    hs_face_reply_gallery_failure(req, app, name, r, &err);
    return NULL;
}

/* ---- removal ---- */

static void add_path(json_t *list, const char *path)
{
    json_array_append_new(list, json_string(path));
}

/* Older backups still hold what was erased: the answer names them, or says that they went. A purge that fails does not
 * take back the removal, so it is told beside it. */
static void add_purged(const struct hs_face_app *app, json_t *answer)
{
    struct hs_gallery_backups *purged;
    struct hs_error err;
    char backup[PATH_MAX];
    json_t *list = json_array();
    if (hs_gallery_purge_all(app->gallery, backup, &purged, &err) < 0) {
        json_object_set_new(answer, "purge_error", json_string(err.message));
    } else {
        for (size_t i = 0; i < purged->count; i++)
            add_path(list, purged->items[i].path);
        hs_gallery_backups_destroy(purged);
        json_object_set_new(answer, "erasure_pending", json_false());
        json_object_set_new(answer, "older_backups", json_array());
        if (backup[0])
            json_object_set_new(answer, "backup", json_string(backup));
    }
    json_object_set_new(answer, "purged_backups", list);
}

void hs_face_reply_erased(struct hs_http_request *req, const struct hs_face_app *app, json_t *answer,
                          struct hs_gallery_erased *erased, bool purge)
{
    json_t *files = json_array();
    for (size_t i = 0; i < erased->file_count; i++)
        add_path(files, erased->files[i]);
    json_object_set_new(answer, "embeddings_erased", json_integer((json_int_t) erased->embeddings));
    json_object_set_new(answer, "erasure_pending", json_boolean(erased->pending));
    json_object_set_new(answer, "older_backups", files);
    hs_gallery_erased_finish(erased);
    if (purge)
        add_purged(app, answer);
    hs_face_maintenance_erased(app->maintenance);
    hs_http_reply_json(req, 200, answer);
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
    hs_str_format(message, sizeof(message), "Identity '%s' removed successfully", name);
    hs_face_reply_erased(req, app, json_pack("{s:s, s:s}", "message", message, "name", name), &erased, purge);
}
