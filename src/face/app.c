#include "face/app.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "face/commands.h"
#include "face/gallery_report.h"
#include "gallery/audit_log.h"
#include "gallery/gallery.h"

int hs_face_app_init(void *state, struct hs_error *err)
{
    struct hs_face_app *app = state;
    app->settings = hs_settings_values(app->core.config);
    app->idempotency = hs_face_idempotency_create();
    if (!app->idempotency)
        return hs_error_set(err, HS_ENOMEM, "no memory for the models");
    int r = hs_app_core_add_model(&app->core, NULL, err);
    if (r == 0)
        r = hs_app_core_add_model(&app->core, hs_face_choose_embedder(app->core.store, app->settings), err);
    if (r < 0)
        return r;
    const struct hs_face_section *s = &app->settings->face_recognition;
    app->detector = hs_app_core_pool(&app->core, HS_FACE_DETECTOR);
    app->embedder = hs_app_core_pool(&app->core, HS_FACE_EMBEDDER);
    const struct hs_pack_embedding *embedding = &hs_model_pool_first(app->embedder)->choice.pack->embedding;
    if (embedding->dimension != s->embedding_dimension)
        return hs_error_set(err, HS_EINVAL, "face_recognition.embedding_dimension is %d, %s gives %d numbers",
                            s->embedding_dimension, hs_model_pool_first(app->embedder)->model, embedding->dimension);
    hs_face_app_revise(app);
    return 0;
}

void hs_face_app_revise(void *state)
{
    struct hs_face_app *app = state;
    app->settings = hs_settings_values(app->core.config);
    const struct hs_face_section *s = &app->settings->face_recognition;
    const struct hs_pack_embedding *embedding = &hs_model_pool_first(app->embedder)->choice.pack->embedding;
    app->recognition_threshold =
        s->recognition_threshold < 0 ? (double) embedding->threshold : s->recognition_threshold;
    if (app->recognition_threshold < (double) embedding->threshold_min)
        hs_log_warning("face_recognition.recognition_threshold %.2f is below %.2f, where %s confuses people",
                       app->recognition_threshold, (double) embedding->threshold_min,
                       hs_model_pool_first(app->embedder)->model);
    app->pipeline = (struct hs_face_pipeline) {
        .detector = app->detector,
        .embedder = app->embedder,
        .limits = hs_app_core_image_limits(&app->core),
        .iou_threshold = (float) s->detection_iou,
        .apply_exif = app->settings->image.apply_exif,
    };
}

int hs_face_app_open(void *state, struct hs_error *err)
{
    struct hs_face_app *app = state;
    const struct hs_database_section *s = &app->settings->database;
    const struct hs_pack_embedding *embedding = &hs_model_pool_first(app->embedder)->choice.pack->embedding;
    struct hs_gallery_opened opened;
    if (!s->enabled)
        return 0;
    int r = hs_face_open_gallery(s, HS_FACE_ERASE_LATER | HS_FACE_ENCRYPT, &app->gallery, &opened, err);
    if (r == 0)
        r = hs_face_index_create(app->gallery, embedding->space, (size_t) embedding->dimension,
                                 (int) sysconf(_SC_NPROCESSORS_ONLN), &app->index, err);
    if (r == 0)
        r = hs_face_gallery_key_create(app->gallery, s->encryption_key, &app->core.reload, &app->gallery_key, err);
    if (r < 0)
        return r;
    const struct hs_face_maintenance_options options = {
        .gallery = app->gallery,
        .index = app->index,
        .opened = &opened,
        .model = hs_model_pool_first(app->embedder)->choice.pack->name,
        .path = s->db_file,
        .dimension = (size_t) embedding->dimension,
        .backups = s->backup_enabled,
        .backup_interval_s = s->backup_interval,
        .retention_s = (int64_t) s->retention,
    };
    return hs_face_maintenance_create(&options, &app->maintenance, err);
}

void hs_face_app_begin(void *state)
{
    struct hs_face_app *app = state;
    struct hs_error err;
    /* If the thread cannot start, the first query reads the gallery; only backups and pending
     * erasures are missing. */
    if (app->maintenance)
        hs_face_maintenance_watch_keys(app->maintenance, app->core.auth);
    if (app->maintenance && hs_face_maintenance_start(app->maintenance, &err) < 0)
        hs_log_error("%s", err.message);
}

void hs_face_app_finish(void *state)
{
    struct hs_face_app *app = state;
    hs_face_maintenance_destroy(app->maintenance);
    hs_face_index_destroy(app->index);
    hs_face_gallery_key_destroy(app->gallery_key);
    hs_gallery_close(app->gallery);
    hs_face_idempotency_destroy(app->idempotency);
}

/* ---- for commands ---- */

int hs_face_app_record(const struct hs_settings *settings, const char *action, const char *key, struct hs_error *err)
{
    const struct hs_face_settings *s = hs_settings_values(settings);
    struct hs_gallery_opened opened;
    struct hs_gallery *gallery;
    if (!s->database.enabled)
        return hs_error_set(err, HS_ENOTFOUND, "database.enabled is false");
    int r = hs_face_open_gallery(&s->database, HS_FACE_MUST_EXIST, &gallery, &opened, err);
    if (r == 0) {
        r = hs_audit_record(gallery, action, key, 0, err);
        hs_gallery_close(gallery);
    }
    return r;
}

int hs_face_start(const struct hs_invocation *call, bool gallery, struct hs_face_app **ret_app)
{
    return hs_face_start_with(call, gallery, &(struct hs_config_override) { 0 }, ret_app);
}

/* The changes of this thread are those of the user who runs the command, not of the service. */
static void act_as_command(void)
{
    static char name[HS_FACE_CLI_ACTOR_SIZE];
    static const struct hs_audit_actor actor = { .name = name };
    hs_face_cli_actor(name);
    hs_audit_act_as(&actor);
}

int hs_face_start_with(const struct hs_invocation *call, bool gallery, const struct hs_config_override *extra,
                       struct hs_face_app **ret_app)
{
    const struct hs_config_override overrides[] = { *extra, { "this command", "database.enabled", "false" } };
    void *state;
    int code = hs_app_start(call, overrides, gallery ? 1 : 2, gallery ? HS_APP_OPEN : 0, &state);
    if (code != HS_EXIT_OK)
        return code;
    *ret_app = state;
    act_as_command();
    if (!gallery || (*ret_app)->gallery)
        return HS_EXIT_OK;
    hs_app_destroy(state);
    return hs_invocation_fail(call, HS_EXIT_FAILURE, "database.enabled is false");
}

struct hs_face_request hs_face_app_request(const struct hs_face_app *app)
{
    const struct hs_face_section *s = &app->settings->face_recognition;
    return (struct hs_face_request) {
        .score_threshold = (float) s->detection_threshold,
        .max_faces = s->max_faces,
        .tiny = s->tiny_faces,
        .large = s->large_faces,
    };
}

int hs_face_app_find_file(const struct hs_face_app *app, const char *path, const struct hs_face_request *request,
                          struct hs_face_result *result, struct hs_error *err)
{
    struct hs_error why;
    uint8_t *data;
    size_t len;
    *result = (struct hs_face_result) { 0 };
    int r = hs_file_read(path, app->pipeline.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_face_find(&app->pipeline, data, len, request, HS_NO_DEADLINE, NULL, result, &why);
    free(data);
    return r < 0 ? hs_error_set(err, r, "%s: %s", path, why.message) : 0;
}

/* ---- bench: searches the gallery if it exists; does not create one ---- */

enum { ROUND_TIMEOUT_MS = 120000 };

/* The stages of a recognition request, in order; `embed` includes alignment. */
static const char *const stage_names[] = { "decode", "detect", "embed", "search", "total", "round_trip" };

/* Finds two identities per face, the number that a response needs. */
static int search(const struct hs_face_app *app, const struct hs_face_result *result, struct hs_error *err)
{
    struct hs_face_match matches[2];
    size_t count;
    int r = 0;
    for (size_t i = 0; r == 0 && app->index && i < result->count; i++) {
        if (result->faces[i].embedding)
            r = hs_face_index_find(app->index, result->faces[i].embedding, 2, -INFINITY, HS_NO_DEADLINE, matches,
                                   &count, err);
    }
    return r;
}

static int run_round(const void *state, const struct hs_bench_picture *picture, double *ret_ms, struct hs_error *err)
{
    const struct hs_face_app *app = state;
    struct hs_face_request request = hs_face_app_request(app);
    struct hs_face_result result;
    request.embed = true;
    if (picture->built_in)
        request.score_threshold = HS_FACE_TEST_IMAGE_SCORE;
    int r = hs_face_find(&app->pipeline, picture->data, picture->len, &request, hs_deadline_in_ms(ROUND_TIMEOUT_MS),
                         NULL, &result, err);
    int64_t found = hs_clock_now_ns();
    if (r == 0)
        r = search(app, &result, err);
    const struct hs_face_timings *t = &result.timings;
    double search_ms = hs_ns_to_ms(hs_clock_now_ns() - found);
    const double ms[] = { t->decode_ms, t->detect_ms, t->embed_ms, search_ms, t->total_ms + search_ms };
    memcpy(ret_ms, ms, sizeof(ms));
    hs_face_result_finish(&result);
    return r;
}

const struct hs_app_bench hs_face_bench = {
    .route = "/v1/recognize",
    .stages = { stage_names, HS_ARRAY_LEN(stage_names) },
    .round = run_round,
};
