#include "face/gallery_report.h"

#include <string.h>

#include "backends/sim/vector.h"
#include "base/log.h"
#include "base/str.h"
#include "gallery/gallery.h"
#include "models/store.h"
#include "service/app.h"
#include "service/model_pool.h"
#include "service/model_runner.h"

enum { BUSY_TIMEOUT_MS = 5000 };

/* ---- the model ---- */

static struct hs_model_options options_of(const struct hs_store *store, const struct hs_face_settings *settings)
{
    return (struct hs_model_options) { .store = store, .settings = (const struct hs_common_settings *) settings };
}

const char *hs_face_choose_embedder(const struct hs_store *store, const struct hs_face_settings *settings)
{
    const char *wanted = settings->face_recognition.recognition_model;
    const struct hs_model_options options = options_of(store, settings);
    const char *backend = hs_model_runner_backend_name(settings->inference.device);
    char space[HS_GALLERY_SPACE_MAX + 1];
    if (strcmp(wanted, "auto") != 0 || !settings->database.enabled || strcmp(backend, "sim") == 0)
        return wanted;
    hs_gallery_main_space(settings->database.db_file, BUSY_TIMEOUT_MS, space);
    for (size_t i = 0; space[0] && i < hs_store_count(store); i++) {
        const struct hs_pack *pack = hs_store_pack(store, i);
        if (pack->task == HS_TASK_FACE_EMBEDDING && strcmp(pack->embedding.space, space) == 0 &&
            hs_model_pool_is_installed(&options, pack))
            return pack->name;
    }
    if (space[0])
        hs_log_warning("the stored faces have the embedding space %s, but no installed model has it, so they cannot "
                       "match. Pull that model, or enrol again",
                       space);
    return wanted;
}

static int open_store(const struct hs_face_settings *settings, struct hs_store **ret_store, struct hs_error *err)
{
    const struct hs_store_options options = {
        .service = "hailo-face",
        .models_dir = hs_null_if_empty(settings->model.dir),
        .packs_dir = hs_null_if_empty(settings->model.packs_dir),
    };
    return hs_store_open(&options, ret_store, err);
}

static bool is_simulated(const struct hs_face_settings *settings)
{
    return strcmp(hs_model_runner_backend_name(settings->inference.device), "sim") == 0;
}

/* Embeddings of the simulated device have their own space, for any model (service/model_runner.c). */
static void describe(const struct hs_face_settings *settings, const struct hs_pack *pack,
                     struct hs_face_gallery_model *ret_model)
{
    bool simulated = is_simulated(settings);
    hs_str_copy(ret_model->name, sizeof(ret_model->name), pack->name);
    hs_str_copy(ret_model->space, sizeof(ret_model->space), simulated ? "sim" : pack->embedding.space);
    ret_model->dimension = simulated ? HS_SIM_VECTOR_SIZE : (size_t) pack->embedding.dimension;
}

int hs_face_gallery_model(const struct hs_face_settings *settings, struct hs_face_gallery_model *ret_model,
                          struct hs_error *err)
{
    struct hs_store *store;
    struct hs_model_choice choice;
    char version[HS_RUNTIME_SIZE];
    const char *backend = hs_model_runner_backend_name(settings->inference.device);
    int r = open_store(settings, &store, err);
    if (r < 0)
        return r;
    const char *wanted = hs_face_choose_embedder(store, settings);
    const struct hs_model_options options = options_of(store, settings);
    r = hs_store_choose(store, HS_TASK_FACE_EMBEDDING, wanted, backend, hs_model_runner_runtime(backend, version),
                        &choice, err);
    if (r < 0 && hs_model_pool_may_use_processor(&options))
        r = hs_store_choose(store, HS_TASK_FACE_EMBEDDING, wanted, "openvino",
                            hs_model_runner_runtime("openvino", version), &choice, err);
    if (r == 0)
        describe(settings, choice.pack, ret_model);
    hs_store_close(store);
    return r;
}

int hs_face_model_of_space(const struct hs_face_settings *settings, const char *name,
                           struct hs_face_gallery_model *ret_model, struct hs_error *err)
{
    struct hs_store *store;
    char known[HS_ERROR_MESSAGE_SIZE] = "";
    int r = open_store(settings, &store, err);
    if (r < 0)
        return r;
    const struct hs_pack *found = NULL;
    for (size_t i = 0; i < hs_store_count(store); i++) {
        const struct hs_pack *pack = hs_store_pack(store, i);
        if (pack->task != HS_TASK_FACE_EMBEDDING)
            continue;
        bool same = strcmp(pack->name, name) == 0 || (!found && strcmp(pack->embedding.space, name) == 0);
        found = same ? pack : found;
        size_t len = strlen(known);
        hs_str_format(known + len, sizeof(known) - len, "%s%s", len ? ", " : "", pack->name);
    }
    if (found)
        describe(settings, found, ret_model);
    else
        r = hs_error_set(err, HS_ENOTFOUND, "'%s' is not an embedding model or an embedding space; the models are %s",
                         name, known);
    hs_store_close(store);
    return r;
}

/* ---- report lines ---- */

const char *hs_face_count_faces(int64_t count, char ret_text[40])
{
    hs_str_format(ret_text, 40, "%lld face%s", (long long) count, count == 1 ? "" : "s");
    return ret_text;
}

const char *hs_face_count_people(int64_t count, char ret_text[40])
{
    hs_str_format(ret_text, 40, "%lld %s", (long long) count, count == 1 ? "person" : "people");
    return ret_text;
}

size_t hs_face_report_unusable(const struct hs_gallery_usability *usability, const char *model, size_t dimension,
                               char ret_lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE])
{
    const long long all =
        (long long) hs_gallery_unusable(usability) + (long long) usability->embeddings[HS_GALLERY_USABLE];
    char size[160], other[160];
    hs_str_format(other, sizeof(other),
                  "made by a model other than %s and cannot match. Enrol again, or select that model", model);
    hs_str_format(size, sizeof(size),
                  "stored with a vector length other than the %zu of %s and cannot match. Enrol again", dimension,
                  model);
    const char *const texts[HS_GALLERY_USABLE] = {
        [HS_GALLERY_OTHER_SPACE] = other,
        [HS_GALLERY_OTHER_SIZE] = size,
        [HS_GALLERY_DAMAGED] = "damaged (not finite or not of unit length) and cannot match. Enrol again",
        [HS_GALLERY_UNKNOWN_SPACE] = "made by an unknown model and cannot match. Enrol again, or name the model with "
                                     "`hailo-face db set-space NAME`",
    };
    size_t count = 0;
    for (int use = HS_GALLERY_USABLE; use-- > 0;) {
        long long some = (long long) usability->embeddings[use];
        if (some > 0)
            hs_str_format(ret_lines[count++], HS_FACE_REPORT_LINE_SIZE, "%lld of %lld stored face%s %s %s", some, all,
                          all == 1 ? "" : "s", some == 1 ? "was" : "were", texts[use]);
    }
    char people[40];
    if (usability->identities_without > 0)
        hs_str_format(ret_lines[count++], HS_FACE_REPORT_LINE_SIZE,
                      "%s cannot be recognised at all. Run `hailo-face db check` for the names",
                      hs_face_count_people(usability->identities_without, people));
    return count;
}

size_t hs_face_report_records(const struct hs_gallery_audit *audit,
                              char ret_lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE])
{
    size_t count = 0;
    char people[40];
    if (audit->names.count > 0)
        hs_str_format(ret_lines[count++], HS_FACE_REPORT_LINE_SIZE,
                      "%s with an invalid name. Run `hailo-face db check` for the names",
                      hs_face_count_people(audit->names.count, people));
    if (audit->metadata.count > 0)
        hs_str_format(ret_lines[count++], HS_FACE_REPORT_LINE_SIZE,
                      "%s with invalid metadata, which is not shown. Run `hailo-face db check` for the names",
                      hs_face_count_people(audit->metadata.count, people));
    return count;
}
