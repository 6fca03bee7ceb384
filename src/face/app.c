#include "face/app.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "face/open_gallery.h"
#include "service/image_limits.h"
#include "vision/align.h"

static int init_network(const struct hs_face_app *app, enum hs_task task, const char *model,
                        struct hs_network *network, struct hs_error *err)
{
    const struct hs_network_options options = {
        .store = app->store,
        .task = task,
        .model = model,
        .inference = &app->settings->inference,
        .keep_alive_s = app->settings->model.keep_alive,
    };
    return hs_network_init(network, &options, err);
}

static int init_networks(struct hs_face_app *app, struct hs_error *err)
{
    const struct hs_face_section *s = &app->settings->face_recognition;
    int r = init_network(app, HS_TASK_FACE_DETECTION, s->detection_model, &app->detector, err);
    if (r == 0)
        r = init_network(app, HS_TASK_FACE_EMBEDDING, s->recognition_model, &app->embedder, err);
    if (r < 0)
        return r;
    const struct hs_pack_embedding *embedding = &app->embedder.choice.pack->embedding;
    if (embedding->dimension != s->embedding_dimension)
        return hs_error_set(err, HS_EINVAL, "face_recognition.embedding_dimension is %d, %s gives %d numbers",
                            s->embedding_dimension, app->embedder.model, embedding->dimension);
    app->recognition_threshold =
        s->recognition_threshold < 0 ? (double) embedding->threshold : s->recognition_threshold;
    if (app->recognition_threshold < (double) embedding->threshold_min)
        hs_log_warning("face_recognition.recognition_threshold %.2f is below %.2f, where %s confuses people",
                       app->recognition_threshold, (double) embedding->threshold_min, app->embedder.model);
    return 0;
}

static void fill_pipeline(struct hs_face_app *app)
{
    const struct hs_face_settings *s = app->settings;
    app->pipeline = (struct hs_face_pipeline) {
        .detector = &app->detector,
        .embedder = &app->embedder,
        .limits = hs_image_limits_of(&s->server, &s->image),
        .iou_threshold = (float) s->face_recognition.detection_iou,
        .apply_exif = s->image.apply_exif,
    };
}

static int open_gallery(struct hs_face_app *app, struct hs_error *err)
{
    const struct hs_database_section *s = &app->settings->database;
    const struct hs_pack_embedding *embedding = &app->embedder.choice.pack->embedding;
    struct hs_gallery_opened opened;
    struct hs_error why;
    if (!s->enabled)
        return 0;
    int r = hs_face_open_gallery(s, &app->gallery, &opened, err);
    if (r < 0)
        return r;
    if (s->backup_enabled && !opened.created && hs_gallery_backup(app->gallery, NULL, &why) < 0)
        hs_log_warning("the gallery could not be backed up: %s", why.message);
    return hs_face_index_create(app->gallery, embedding->space, (size_t) embedding->dimension,
                                (int) sysconf(_SC_NPROCESSORS_ONLN), &app->index, err);
}

int hs_face_app_init_networks(struct hs_face_app *app, struct hs_settings *config, struct hs_error *err)
{
    *app = (struct hs_face_app) {
        .config = config,
        .settings = hs_settings_values(config),
        .started_ns = hs_clock_now_ns(),
    };
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
    fill_pipeline(app);
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
    hs_face_index_destroy(app->index);
    hs_gallery_close(app->gallery);
    hs_network_finish(&app->embedder);
    hs_network_finish(&app->detector);
    hs_store_close(app->store);
    hs_settings_destroy(app->config);
}

void hs_face_app_start_loading(struct hs_face_app *app)
{
    const struct hs_pack_input *input = &app->detector.choice.pack->input;
    const struct hs_engine_shape whole = { input->height, input->width }, aligned = { HS_ALIGN_SIZE, HS_ALIGN_SIZE };
    if (app->settings->model.keep_alive == 0)
        return;
    hs_engine_start_loading(app->detector.engine, &whole, 1);
    hs_engine_start_loading(app->embedder.engine, &aligned, 1);
}
