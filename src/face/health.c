#include "face/health.h"

#include "base/file.h"
#include "base/str.h"

static const char file_gone[] = "the gallery's file was deleted or replaced; changes fail until a restart";

static const char *state_of(const struct hs_face_app *app, const struct hs_face_maintenance_status *status, bool lost)
{
    if (lost)
        return "failed";
    if (!hs_face_index_is_read(app->index))
        return status->read_error[0] ? "failed" : "loading";
    if (status->opened.set_aside[0])
        return status->opened.restored_from[0] ? "restored" : "emptied";
    return status->backup_error[0] ? "degraded" : "ok";
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
    json_t *answer = json_pack("{s:s, s:I, s:I, s:b, s:s?}", "state", state_of(app, &status, counts.lost), "identities",
                               (json_int_t) counts.identities, "embeddings", (json_int_t) counts.embeddings,
                               "erasure_pending", (int) counts.erase_pending, "last_backup_at",
                               status.last_backup_at[0] ? status.last_backup_at : NULL);
    /* Names, not paths: who may ask for the health need not know how the disk is laid out. */
    const struct {
        const char *key, *text;
    } texts[] = {
        { "last_backup_error", status.backup_error },
        { "error", counts.lost                         ? file_gone
                   : hs_face_index_is_read(app->index) ? ""
                                                       : status.read_error },
        { "set_aside", hs_path_base(opened->set_aside) },
        { "restored_from", hs_path_base(opened->restored_from) },
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].text[0]) {
            hs_error_public(texts[i].text, text);
            json_object_set_new(answer, texts[i].key, json_string(text));
        }
    if (opened->migrated_from >= 0)
        json_object_set_new(answer, "migrated_from", json_integer(opened->migrated_from));
    return answer;
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
