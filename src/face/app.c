#include "face/app.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "face/gallery_setup.h"
#include "gallery/peek.h"
#include "service/image_limits.h"
#include "vision/align.h"

/* Faces of one picture that are embedded at a time. On two cores of an AMD EPYC a face costs the processor 7.4 ms
 * alone, 6.2 in a batch of 4 and 6.1 in one of 8, which takes a third more memory and seldom fills. */
enum { HS_FACE_BATCH = 4 };
enum { BUSY_TIMEOUT_MS = 5000 };

static int init_network(struct hs_face_app *app, enum hs_task task, const char *model,
                        struct hs_fleets **ret_fleets, struct hs_error *err)
{
    const struct hs_network_options options = {
        .store = app->store,
        .task = task,
        .model = model,
        .inference = &app->settings->inference,
        .policy = &app->settings->device,
        .performance = &app->settings->performance,
        .refused = app->refused,
        .batch = task == HS_TASK_FACE_EMBEDDING ? HS_FACE_BATCH : 1,
        .keep_alive_s = app->settings->model.keep_alive,
    };
    return hs_fleets_create(&options, app->settings->model.max_memory, ret_fleets, err);
}

/* With `auto`, a gallery that has vectors decides: those of another embedding space would not be found any more. */
static const char *choose_embedder(const struct hs_face_app *app)
{
    const struct hs_face_settings *s = app->settings;
    const char *wanted = s->face_recognition.recognition_model;
    const char *backend = hs_network_backend_name(s->inference.device);
    char space[HS_GALLERY_SPACE_MAX + 1], version[HS_RUNTIME_SIZE];
    const char *runtime = hs_network_runtime(backend, version);
    if (strcmp(wanted, "auto") != 0 || !s->database.enabled || strcmp(backend, "sim") == 0)
        return wanted;
    hs_gallery_main_space(s->database.db_file, BUSY_TIMEOUT_MS, space);
    for (size_t i = 0; space[0] && i < hs_store_count(app->store); i++) {
        const struct hs_pack *pack = hs_store_pack(app->store, i);
        struct hs_model_choice choice;
        if (pack->task == HS_TASK_FACE_EMBEDDING && strcmp(pack->embedding.space, space) == 0 &&
            hs_store_choose(app->store, pack->task, pack->name, backend, runtime, &choice, NULL) == 0 &&
            hs_store_has(app->store, choice.file))
            return pack->name;
    }
    if (space[0])
        hs_log_warning("the gallery's vectors are of the space %s, whose model is not here: they will not be found",
                       space);
    return wanted;
}

static int init_networks(struct hs_face_app *app, struct hs_error *err)
{
    const struct hs_face_section *s = &app->settings->face_recognition;
    int r = init_network(app, HS_TASK_FACE_DETECTION, s->detection_model, &app->detectors, err);
    if (r == 0)
        r = init_network(app, HS_TASK_FACE_EMBEDDING, choose_embedder(app), &app->embedders, err);
    if (r < 0)
        return r;
    app->detector = hs_fleets_default(app->detectors);
    app->embedder = hs_fleets_default(app->embedders);
    const struct hs_pack_embedding *embedding = &hs_fleet_first(app->embedder)->choice.pack->embedding;
    if (embedding->dimension != s->embedding_dimension)
        return hs_error_set(err, HS_EINVAL, "face_recognition.embedding_dimension is %d, %s gives %d numbers",
                            s->embedding_dimension, hs_fleet_first(app->embedder)->model, embedding->dimension);
    app->recognition_threshold =
        s->recognition_threshold < 0 ? (double) embedding->threshold : s->recognition_threshold;
    if (app->recognition_threshold < (double) embedding->threshold_min)
        hs_log_warning("face_recognition.recognition_threshold %.2f is below %.2f, where %s confuses people",
                       app->recognition_threshold, (double) embedding->threshold_min,
                       hs_fleet_first(app->embedder)->model);
    return 0;
}

static void fill(struct hs_face_app *app)
{
    const struct hs_face_settings *s = app->settings;
    app->pipeline = (struct hs_face_pipeline) {
        .detector = app->detector,
        .embedder = app->embedder,
        .limits = hs_image_limits_of(&s->server, &s->image),
        .iou_threshold = (float) s->face_recognition.detection_iou,
        .apply_exif = s->image.apply_exif,
    };
    app->models = (struct hs_models_api) {
        .store = app->store,
        .created_s = hs_clock_wall_s(),
        .parts = { { .fleets = app->detectors, .task = HS_TASK_FACE_DETECTION, .name = "face-detection" },
                   { .fleets = app->embedders, .task = HS_TASK_FACE_EMBEDDING, .name = "face-embedding" } },
        .part_count = 2,
    };
}

static int open_gallery(struct hs_face_app *app, struct hs_error *err)
{
    const struct hs_database_section *s = &app->settings->database;
    const struct hs_pack_embedding *embedding = &hs_fleet_first(app->embedder)->choice.pack->embedding;
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

int hs_face_app_init_networks(struct hs_face_app *app, struct hs_settings *config, struct hs_error *err)
{
    *app = (struct hs_face_app) {
        .config = config,
        .settings = hs_settings_values(config),
        .started_ns = hs_clock_now_ns(),
    };
    hs_face_idempotency_init(&app->idempotency);
    const struct hs_store_options store = {
        .service = hs_face_schema.program,
        .models_dir = hs_given(app->settings->model.dir),
        .packs_dir = hs_given(app->settings->model.packs_dir),
    };
    int r = hs_store_open(&store, &app->store, err);
    if (r == 0)
        r = init_networks(app, err);
    if (r < 0) {
        hs_face_app_finish(app);
        return r;
    }
    fill(app);
    return 0;
}

int hs_face_app_init(struct hs_face_app *app, struct hs_settings *config, struct hs_error *err)
{
    int r = hs_face_app_init_networks(app, config, err);
    if (r < 0)
        return r;
    r = open_gallery(app, err);
    if (r < 0)
        hs_face_app_finish(app);
    return r;
}

void hs_face_app_finish(struct hs_face_app *app)
{
    hs_face_maintenance_destroy(app->maintenance);
    hs_face_index_destroy(app->index);
    hs_gallery_close(app->gallery);
    hs_fleets_destroy(app->embedders);
    hs_fleets_destroy(app->detectors);
    hs_store_close(app->store);
    hs_settings_destroy(app->config);
    hs_face_idempotency_finish(&app->idempotency);
}

void hs_face_app_start_loading(struct hs_face_app *app)
{
    const struct hs_pack_input *input = &hs_fleet_first(app->detector)->choice.pack->input;
    struct hs_error err;
    /* Without the thread the first query reads the gallery, and nothing else is lost but backups. */
    if (app->maintenance && hs_face_maintenance_start(app->maintenance, &err) < 0)
        hs_log_error("%s", err.message);
    if (app->settings->model.keep_alive == 0)
        return;
    hs_fleet_start_loading(app->detector, input->height, input->width);
    hs_fleet_start_loading(app->embedder, HS_ALIGN_SIZE, HS_ALIGN_SIZE);
}
