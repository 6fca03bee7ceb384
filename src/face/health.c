#include "face/health.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/metrics.h"
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

/* Writes the families that have a single value. */
static void put_gauges(const struct hs_face_app *app, struct hs_metrics_writer *writer)
{
    struct hs_gallery_counts counts = hs_gallery_get_counts(app->gallery);
    struct hs_gallery_usability usability = hs_face_index_usability(app->index);
    struct hs_face_maintenance_status status;
    hs_face_maintenance_get_status(app->maintenance, &status);
    const struct {
        struct hs_metric metric;
        double value;
        bool absent;
    } rows[] = {
        { { "hailo_gallery_identities", "People in the gallery.", HS_METRIC_GAUGE, false },
          (double) counts.identities,
          false },
        { { "hailo_gallery_identities_unusable", "People in the gallery without a face that can match.",
            HS_METRIC_GAUGE, false },
          (double) usability.identities_without,
          false },
        { { "hailo_gallery_failing", "1 if the gallery cannot be read, or changes fail.", HS_METRIC_GAUGE, false },
          strcmp(state_of(app, &status, &counts, &usability), "failed") == 0,
          false },
        { { "hailo_gallery_encrypted", "1 if new face vectors are encrypted.", HS_METRIC_GAUGE, false },
          status.opened.key_id[0] != '\0',
          false },
        { { "hailo_gallery_file_size_bytes", "Size of the gallery's file.", HS_METRIC_GAUGE, false },
          (double) counts.size_bytes,
          false },
        { { "hailo_gallery_disk_size_bytes", "Size of the file system that holds the gallery.", HS_METRIC_GAUGE,
            false },
          (double) status.disk_bytes,
          status.disk_bytes == 0 },
        { { "hailo_gallery_disk_free_bytes", "Free bytes of that file system, as measured every 30 seconds.",
            HS_METRIC_GAUGE, false },
          (double) status.disk_free_bytes,
          status.disk_bytes == 0 },
        { { "hailo_gallery_backup_timestamp_seconds", "Time of the newest backup.", HS_METRIC_GAUGE, false },
          (double) status.last_backup_s,
          status.last_backup_s == 0 },
        { { "hailo_gallery_backup_success_timestamp_seconds",
            "Time at which a backup last succeeded, or was not needed.", HS_METRIC_GAUGE, false },
          (double) status.backed_up_s,
          status.backed_up_s == 0 },
        { { "hailo_gallery_backup_interval_seconds", "Time between backups; 0: only at the start.", HS_METRIC_GAUGE,
            false },
          app->settings ? app->settings->database.backup_interval : 0,
          !app->settings || !app->settings->database.backup_enabled },
        { { "hailo_gallery_backup_failures_total", "Backups that failed.", HS_METRIC_COUNTER, true },
          (double) status.backup_failures,
          false },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        if (!rows[i].absent)
            hs_metrics_put_single(writer, &rows[i].metric, rows[i].value);
    }
}

void hs_face_put_metrics(const void *state, struct hs_metrics_writer *writer)
{
    static const struct hs_metric embeddings = { "hailo_gallery_embeddings", "Stored faces by usability.",
                                                 HS_METRIC_GAUGE, false };
    const struct hs_face_app *app = state;
    if (!app->gallery)
        return;
    put_gauges(app, writer);
    hs_metrics_put_counters(writer, &hs_face_expiries);
    struct hs_gallery_usability usability = hs_face_index_usability(app->index);
    hs_metrics_begin(writer, &embeddings);
    for (int use = 0; use < HS_GALLERY_USES; use++)
        hs_metrics_put(writer, &(struct hs_metric_label) { "use", use_names[use] }, 1,
                       (double) usability.embeddings[use]);
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
