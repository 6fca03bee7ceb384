/* The face service's part of `selftest`: runs the drawn face through both models and checks the gallery. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "face/commands.h"
#include "face/face_select.h"
#include "face/gallery_report.h"
#include "gallery/audit.h"
#include "vision/embedding.h"

enum { BUSY_TIMEOUT_MS = 5000 };

/* Eyes, nose and mouth corners of the drawing. The detector's landmarks may be off by a tenth of
 * the head's size. */
static const struct hs_point drawn[HS_FACE_LANDMARKS] = {
    { 222, 122 }, { 258, 122 }, { 240, 140 }, { 226, 158 }, { 254, 158 }
};
static const float tolerance = 12;

/* Minimum cosine similarity of two embeddings of the same picture, from any thread or instance of
 * the network. */
static const float same_cosine = .999f;

/* ---- models ---- */

static float worst_distance(const struct hs_face *face)
{
    float worst = 0;
    for (int i = 0; i < HS_FACE_LANDMARKS; i++)
        worst = fmaxf(worst, hypotf(face->landmarks[i].x - drawn[i].x, face->landmarks[i].y - drawn[i].y));
    return worst;
}

/* Checks that the detector finds exactly the drawn face, with its landmarks in place. */
static void check_detector(struct hs_selftest *test, const struct hs_face_result *result)
{
    const struct hs_face_found *face = hs_face_select(result, HS_FACE_BEST);
    char faces[40];
    if (!face || result->count != 1) {
        hs_selftest_add(test, "detector", false, "the model file may be damaged: run 'models verify'",
                        "%s found where 1 is drawn (%.1f ms)", hs_face_count_faces((int64_t) result->count, faces),
                        result->timings.detect_ms);
    } else if (!face->face.has_landmarks || worst_distance(&face->face) > tolerance) {
        hs_selftest_add(test, "detector", false, "the device computes wrongly, or the model has other landmarks",
                        "a face was found, but its landmarks are not where they are drawn");
    } else {
        hs_selftest_add(test, "detector", true, NULL,
                        "1 face found with score %.2f, its landmarks within %.0f px; inference took %.1f ms",
                        (double) face->face.score, (double) worst_distance(&face->face), result->timings.detect_ms);
    }
}

static float norm_of(const float *vector, int dimension)
{
    double sum = 0;
    for (int i = 0; i < dimension; i++)
        sum += (double) vector[i] * (double) vector[i];
    return (float) sqrt(sum);
}

/* Checks that the embedder returns a vector of length 1, and the same one again. */
static void check_embedder(struct hs_selftest *test, const struct hs_face_result *first,
                           const struct hs_face_result *again)
{
    const struct hs_face_found *a = hs_face_select(first, HS_FACE_BEST), *b = hs_face_select(again, HS_FACE_BEST);
    if (!a || !a->embedding || !b || !b->embedding) {
        hs_selftest_add(test, "embedder", false, "fix the detector first", "no face was found to embed");
        return;
    }
    float norm = norm_of(a->embedding, first->dimension);
    float cosine = hs_embedding_cosine(a->embedding, b->embedding, (size_t) first->dimension);
    bool good = fabsf(norm - 1) < 1e-3f && cosine > same_cosine;
    hs_selftest_add(test, "embedder", good,
                    good ? NULL : "the device computes wrongly, or the model file is damaged: run 'models verify'",
                    "%d numbers of length %.3f, cosine %.4f when embedded twice; inference took %.1f ms",
                    first->dimension, (double) norm, (double) cosine, first->timings.embed_ms);
}

int hs_face_check_picture(struct hs_selftest *test, const void *state, const struct hs_buf *picture,
                          struct hs_error *err)
{
    const struct hs_face_app *app = state;
    const struct hs_face_request request = {
        .score_threshold = HS_FACE_TEST_IMAGE_SCORE,
        .max_faces = 10,
        .embed = true,
    };
    struct hs_face_result looks[2] = { { 0 } };
    char faces[40];
    int r = 0;
    for (size_t i = 0; r == 0 && i < HS_ARRAY_LEN(looks); i++)
        r = hs_face_find(&app->pipeline, picture->data, picture->len, &request, HS_NO_DEADLINE, NULL, &looks[i], err);
    if (r == 0 && hs_model_runner_is_simulated(hs_model_pool_first(app->detector))) {
        hs_selftest_add(test, "picture", true, NULL, "the scripted device found %s",
                        hs_face_count_faces((int64_t) looks[0].count, faces));
    } else if (r == 0) {
        check_detector(test, &looks[0]);
        check_embedder(test, &looks[0], &looks[1]);
    }
    for (size_t i = 0; i < HS_ARRAY_LEN(looks); i++)
        hs_face_result_finish(&looks[i]);
    return r;
}

/* ---- gallery ---- */

/* Removes the last component of a path, in place. */
static void strip_last_component(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        memcpy(path, ".", 2);
    else
        slash[slash == path] = '\0';
}

/* Checks that the folder, or its nearest existing parent, is writable. */
static bool check_folder(struct hs_selftest *test, const char *name, const char *folder)
{
    char above[PATH_MAX];
    struct stat st;
    hs_str_copy(above, sizeof(above), folder);
    while (!hs_file_exists(above) && strcmp(above, "/") != 0 && strcmp(above, ".") != 0)
        strip_last_component(above);
    if (stat(above, &st) == 0 && S_ISDIR(st.st_mode) && access(above, W_OK | X_OK) == 0)
        return true;
    hs_selftest_add(test, name, false,
                    "create it and give it to the user that runs the service, or run this command as that user",
                    "the folder %s cannot be %s", folder, strcmp(above, folder) == 0 ? "written" : "created");
    return false;
}

/* Faces that cannot match are an error, like a damaged file: the service does not recognise these people. */
static void report_content(struct hs_selftest *test, const char *path, const struct hs_face_gallery_model *model,
                           const struct hs_gallery_audit *found)
{
    char lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE], people[40], faces[40];
    hs_selftest_add(test, "gallery", true, NULL, "%s is intact: %s, %s, schema version %d", path,
                    hs_face_count_people(found->identities, people), hs_face_count_faces(found->embeddings, faces),
                    found->schema_version);
    size_t count = hs_face_report_unusable(&found->usability, model->name, model->dimension, lines);
    for (size_t i = 0; i < count; i++)
        hs_selftest_add(test, "faces", false, "see `hailo-face db check`", "%s", lines[i]);
}

static void check_content(struct hs_selftest *test, const struct hs_face_settings *settings)
{
    const char *path = settings->database.db_file;
    struct hs_face_gallery_model model;
    struct hs_gallery_audit found;
    struct hs_error err;
    /* Without a model the faces cannot be checked; another check reports the missing model. */
    if (hs_face_gallery_model(settings, &model, NULL) < 0)
        model = (struct hs_face_gallery_model) { .name = "any model" };
    if (!hs_file_exists(path))
        hs_selftest_add(test, "gallery", true, NULL, "%s does not exist yet; the first start creates it", path);
    else if (access(path, R_OK | W_OK) < 0)
        hs_selftest_add(test, "gallery", false,
                        "run this command as the user of the service, or give the file to that user", "%s: %s", path,
                        strerror(errno));
    else if (hs_gallery_audit_file(path, settings->database.encryption_key, BUSY_TIMEOUT_MS, model.space,
                                   model.dimension, &found, &err) < 0)
        hs_selftest_add(test, "gallery", false,
                        err.code == HS_EVERSION ? "a newer hailo-face wrote it: use that one"
                        : err.code == HS_EKEY   ? "see \"Encrypt the gallery\" in docs/face.md"
                                                : "start the service, which puts the newest good backup in its place",
                        "%s: %s", path, err.message);
    else
        report_content(test, path, &model, &found);
}

/* Read-only: does not open the gallery, which could repair or migrate it. */
void hs_face_check_gallery(struct hs_selftest *test, const void *settings)
{
    const struct hs_database_section *s = &((const struct hs_face_settings *) settings)->database;
    char folder[PATH_MAX];
    if (!s->enabled) {
        hs_selftest_add(test, "gallery", true, NULL, "not used, because database.enabled is false");
        return;
    }
    hs_str_copy(folder, sizeof(folder), s->db_file);
    strip_last_component(folder);
    bool writable = check_folder(test, "gallery", folder);
    if (s->backup_enabled)
        writable = check_folder(test, "backups", s->backup_path) && writable;
    if (writable)
        check_content(test, settings);
}
