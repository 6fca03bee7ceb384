#include "face/health.h"

#include <inttypes.h>

#include "base/file.h"
#include "base/str.h"

static const char file_gone[] = "the gallery file was deleted or replaced; restart the service to allow changes";

static const char changes_fail[] = "the last change was not saved: the gallery file is damaged, or its disk is full or "
                                   "read-only; see the log";

static const char *state_of(const struct hs_face_app *app, const struct hs_face_maintenance_status *status,
                            const struct hs_gallery_counts *counts, const struct hs_gallery_usability *usability)
{
    if (counts->lost || counts->failing)
        return "failed";
    if (!hs_face_index_is_read(app->index))
        return status->read_error[0] ? "failed" : "loading";
    if (status->opened.set_aside[0])
        return status->opened.restored_from[0] ? "restored" : "emptied";
    return status->backup_error[0] || usability->identities_without > 0 ? "degraded" : "ok";
}

static const char *const use_names[HS_GALLERY_USES] = {
    [HS_GALLERY_OTHER_SPACE] = "other_space", [HS_GALLERY_OTHER_SIZE] = "other_size",
    [HS_GALLERY_DAMAGED] = "damaged",         [HS_GALLERY_UNKNOWN_SPACE] = "unknown_space",
    [HS_GALLERY_USABLE] = "usable",
};

/* Returns the number of faces that cannot match, by reason, and of people who have only such faces;
 * NULL if there are none. */
static json_t *unusable_json(const struct hs_gallery_usability *usability)
{
    if (hs_gallery_unusable(usability) == 0)
        return NULL;
    json_t *json = json_pack("{s:I, s:I}", "embeddings", (json_int_t) hs_gallery_unusable(usability), "identities",
                             (json_int_t) usability->identities_without);
    for (int use = 0; use < HS_GALLERY_USABLE; use++)
        if (usability->embeddings[use] > 0)
            json_object_set_new(json, use_names[use], json_integer((json_int_t) usability->embeddings[use]));
    return json;
}

void hs_face_put_metrics(const void *state, struct hs_buf *out)
{
    const struct hs_face_app *app = state;
    if (!app->gallery)
        return;
    struct hs_gallery_counts counts = hs_gallery_get_counts(app->gallery);
    struct hs_gallery_usability usability = hs_face_index_usability(app->index);
    hs_buf_printf(out,
                  "# HELP hailo_gallery_identities People in the gallery.\n"
                  "# TYPE hailo_gallery_identities gauge\nhailo_gallery_identities %" PRId64 "\n",
                  counts.identities);
    hs_buf_printf(out,
                  "# HELP hailo_gallery_identities_unusable People in the gallery without a face that can match.\n"
                  "# TYPE hailo_gallery_identities_unusable gauge\nhailo_gallery_identities_unusable %" PRId64 "\n",
                  usability.identities_without);
    hs_buf_append_str(out, "# HELP hailo_gallery_embeddings Stored faces by usability.\n"
                           "# TYPE hailo_gallery_embeddings gauge\n");
    for (int use = 0; use < HS_GALLERY_USES; use++)
        hs_buf_printf(out, "hailo_gallery_embeddings{use=\"%s\"} %" PRId64 "\n", use_names[use],
                      usability.embeddings[use]);
}

json_t *hs_face_health_database(const struct hs_face_app *app)
{
    struct hs_face_maintenance_status status;
    char text[HS_ERROR_MESSAGE_SIZE];
    if (!app->gallery)
        return NULL;
    hs_face_maintenance_get_status(app->maintenance, &status);
    const struct hs_gallery_opened *opened = &status.opened;
    struct hs_gallery_counts counts = hs_gallery_get_counts(app->gallery);
    struct hs_gallery_usability usability = hs_face_index_usability(app->index);
    json_t *response = json_pack("{s:s, s:I, s:I, s:b, s:s?}", "state", state_of(app, &status, &counts, &usability),
                                 "identities", (json_int_t) counts.identities, "embeddings",
                                 (json_int_t) counts.embeddings, "erasure_pending", (int) counts.erase_pending,
                                 "last_backup_at", status.last_backup_at[0] ? status.last_backup_at : NULL);
    /* Reports file names instead of paths, because clients that may read /health need not see the
     * layout of the disk. */
    const struct {
        const char *key, *text;
    } texts[] = {
        { "last_backup_error", status.backup_error },
        { "error", counts.lost                         ? file_gone
                   : counts.failing                    ? changes_fail
                   : hs_face_index_is_read(app->index) ? ""
                                                       : status.read_error },
        { "set_aside", hs_path_base(opened->set_aside) },
        { "restored_from", hs_path_base(opened->restored_from) },
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].text[0]) {
            hs_error_public(texts[i].text, text);
            json_object_set_new(response, texts[i].key, json_string(text));
        }
    json_t *unusable = unusable_json(&usability);
    if (unusable)
        json_object_set_new(response, "unusable", unusable);
    if (opened->migrated_from >= 0)
        json_object_set_new(response, "migrated_from", json_integer(opened->migrated_from));
    return response;
}

const char *hs_face_health_gallery_reason(const struct hs_face_app *app, char ret_detail[HS_ERROR_MESSAGE_SIZE])
{
    struct hs_face_maintenance_status status;
    ret_detail[0] = '\0';
    if (!app->gallery)
        return NULL;
    if (hs_gallery_get_counts(app->gallery).lost) {
        hs_str_copy(ret_detail, HS_ERROR_MESSAGE_SIZE, file_gone);
        return "gallery_failed";
    }
    if (hs_face_index_is_read(app->index))
        return NULL;
    hs_face_maintenance_get_status(app->maintenance, &status);
    hs_str_copy(ret_detail, HS_ERROR_MESSAGE_SIZE, status.read_error);
    return status.read_error[0] ? "gallery_failed" : "gallery_loading";
}
