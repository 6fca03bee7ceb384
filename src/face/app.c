#include "face/app.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "gallery/gallery.h"
#include "service/image_limits.h"

enum { BUSY_TIMEOUT_MS = 5000 };

/* With `auto`, a gallery that has vectors decides: those of another embedding space would not be found any more. */
static const char *choose_embedder(const struct hs_face_app *app)
{
    const struct hs_face_settings *s = app->settings;
    const char *wanted = s->face_recognition.recognition_model;
    const char *backend = hs_model_runner_backend_name(s->inference.device);
    char space[HS_GALLERY_SPACE_MAX + 1], version[HS_RUNTIME_SIZE];
    const char *runtime = hs_model_runner_runtime(backend, version);
    if (strcmp(wanted, "auto") != 0 || !s->database.enabled || strcmp(backend, "sim") == 0)
        return wanted;
    hs_gallery_main_space(s->database.db_file, BUSY_TIMEOUT_MS, space);
    for (size_t i = 0; space[0] && i < hs_store_count(app->core.store); i++) {
        const struct hs_pack *pack = hs_store_pack(app->core.store, i);
        struct hs_model_choice choice;
        if (pack->task == HS_TASK_FACE_EMBEDDING && strcmp(pack->embedding.space, space) == 0 &&
            hs_store_choose(app->core.store, pack->task, pack->name, backend, runtime, &choice, NULL) == 0 &&
            hs_store_has(app->core.store, choice.file))
            return pack->name;
    }
    if (space[0])
        hs_log_warning("the gallery's vectors are of the space %s, whose model is not here: they will not be found",
                       space);
    return wanted;
}

int hs_face_app_init(void *state, struct hs_error *err)
{
    struct hs_face_app *app = state;
    app->settings = hs_settings_values(app->core.config);
    hs_face_idempotency_init(&app->idempotency);
    int r = hs_app_core_add_model(&app->core, NULL, err);
    if (r == 0)
        r = hs_app_core_add_model(&app->core, choose_embedder(app), err);
    if (r < 0)
        return r;
    const struct hs_face_section *s = &app->settings->face_recognition;
    app->detectors = app->core.models.parts[HS_FACE_DETECTOR].cache;
    app->embedders = app->core.models.parts[HS_FACE_EMBEDDER].cache;
    app->detector = hs_model_cache_default(app->detectors);
    app->embedder = hs_model_cache_default(app->embedders);
    const struct hs_pack_embedding *embedding = &hs_model_pool_first(app->embedder)->choice.pack->embedding;
    if (embedding->dimension != s->embedding_dimension)
        return hs_error_set(err, HS_EINVAL, "face_recognition.embedding_dimension is %d, %s gives %d numbers",
                            s->embedding_dimension, hs_model_pool_first(app->embedder)->model, embedding->dimension);
    app->recognition_threshold =
        s->recognition_threshold < 0 ? (double) embedding->threshold : s->recognition_threshold;
    if (app->recognition_threshold < (double) embedding->threshold_min)
        hs_log_warning("face_recognition.recognition_threshold %.2f is below %.2f, where %s confuses people",
                       app->recognition_threshold, (double) embedding->threshold_min,
                       hs_model_pool_first(app->embedder)->model);
    app->pipeline = (struct hs_face_pipeline) {
        .detector = app->detector,
        .embedder = app->embedder,
        .limits = hs_image_limits_of(&app->settings->server, &app->settings->image),
        .iou_threshold = (float) s->detection_iou,
        .apply_exif = app->settings->image.apply_exif,
    };
    return 0;
}

int hs_face_app_open(void *state, struct hs_error *err)
{
    struct hs_face_app *app = state;
    const struct hs_database_section *s = &app->settings->database;
    const struct hs_pack_embedding *embedding = &hs_model_pool_first(app->embedder)->choice.pack->embedding;
    struct hs_gallery_opened opened;
    if (!s->enabled)
        return 0;
    int r = hs_face_open_gallery(s, true, &app->gallery, &opened, err);
    if (r == 0)
        r = hs_face_index_create(app->gallery, embedding->space, (size_t) embedding->dimension,
                                 (int) sysconf(_SC_NPROCESSORS_ONLN), &app->index, err);
    if (r < 0)
        return r;
    const struct hs_face_maintenance_options options = {
        .gallery = app->gallery,
        .index = app->index,
        .opened = &opened,
        .backups = s->backup_enabled,
        .backup_interval_s = s->backup_interval,
    };
    return hs_face_maintenance_create(&options, &app->maintenance, err);
}

void hs_face_app_begin(void *state)
{
    struct hs_face_app *app = state;
    struct hs_error err;
    /* Without the thread the first query reads the gallery, and nothing else is lost but backups. */
    if (app->maintenance && hs_face_maintenance_start(app->maintenance, &err) < 0)
        hs_log_error("%s", err.message);
}

void hs_face_app_finish(void *state)
{
    struct hs_face_app *app = state;
    hs_face_maintenance_destroy(app->maintenance);
    hs_face_index_destroy(app->index);
    hs_gallery_close(app->gallery);
    hs_face_idempotency_finish(&app->idempotency);
}
