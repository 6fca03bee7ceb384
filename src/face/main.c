#include "base/file.h"
#include "base/mem.h"
#include "cli/program.h"
#include "face/commands.h"
#include "face/health.h"

static const struct hs_command commands[] = {
    { "serve", "", "answer over HTTP", hs_cmd_serve },
    { "detect", "PICTURE...", "find faces in pictures, without a server", hs_face_cmd_pictures },
    { "embed", "PICTURE...", "the vector of the best face", hs_face_cmd_pictures },
    { "recognize", "PICTURE...", "whose faces they are", hs_face_cmd_pictures },
    { "compare", "PICTURE PICTURE", "whether the best faces of two pictures are one person's", hs_face_cmd_pictures },
    { "db",
      "list|show|add|rename|merge|remove|backup|backups|restore|check|stats|set-space|export|import [ARGUMENT]...",
      "the gallery: people and their faces, backups, export and import", hs_face_cmd_db },
    { "eval", "--pairs FILE --images DIR", "how well people are told apart, over labelled pairs of pictures",
      hs_face_cmd_eval },
    { "bench", "[PICTURE...]", "measure the stages here, or a server", hs_cmd_bench },
    { "compare-devices", "PICTURE|FOLDER...", "whether two devices find the same faces and make the same vectors",
      hs_face_cmd_compare_devices },
    { "models", "list|pull|verify|import|remove", "model files", hs_cmd_models },
    { "backends", "list|build", "what runs networks; and the Hailo's module, built on its machine", hs_cmd_backends },
    { "config", "render|check|show|reference|example", "settings", hs_cmd_config },
    { "selftest", "", "what this machine has and whether the models run on it", hs_cmd_selftest },
};

/* Number of faces of one picture that are embedded in one batch. On two cores of an AMD EPYC, a
 * face takes 7.4 ms of CPU time alone, 6.2 ms in a batch of 4 and 6.1 ms in a batch of 8, which
 * needs a third more memory and is seldom full. */
enum { EMBEDDER_BATCH = 4 };

static const struct hs_app_model models[HS_FACE_MODELS] = {
    [HS_FACE_DETECTOR] = { .task = HS_TASK_FACE_DETECTION,
                           .name = "face-detection",
                           .label = "detect",
                           .role = "detector",
                           .setting = "face_recognition.detection_model",
                           .batch = 1,
                           .halved = true },
    [HS_FACE_EMBEDDER] = { .task = HS_TASK_FACE_EMBEDDING,
                           .name = "face-embedding",
                           .label = "embed",
                           .role = "embedder",
                           .setting = "face_recognition.recognition_model",
                           .batch = EMBEDDER_BATCH },
};

static bool gallery_exists(const void *settings)
{
    const struct hs_face_settings *s = settings;
    return s->database.enabled && hs_file_exists(s->database.db_file);
}

static const char *gallery_reason(const void *state, char ret_detail[HS_ERROR_MESSAGE_SIZE])
{
    return hs_face_health_gallery_reason(state, ret_detail);
}

/* Formats errors as {"error": text} and JSON without spaces and with sorted members, or, if the
 * settings request it, pretty-printed. */
static void shape(const void *state, struct hs_http_options *ret)
{
    const struct hs_face_app *app = state;
    ret->error_shape = HS_HTTP_ERROR_TEXT;
    ret->json_style = app->settings->older.debug ? HS_JSON_PRETTY : HS_JSON_SORTED;
    ret->json_content_type = "application/json";
    ret->not_found_message = "Endpoint not found";
}

static const struct hs_app app = {
    .program = {
        .name = "hailo-face",
        .summary = "faces in pictures, and whose they are",
        .version = HS_VERSION,
        .schema = &hs_face_schema,
        .app = &app,
        .commands = commands,
        .command_count = HS_ARRAY_LEN(commands),
    },
    .models = models,
    .model_count = HS_FACE_MODELS,
    .strangers_may = "use this service, and read, change and erase the faces that it stores",
    .state_size = sizeof(struct hs_face_app),
    .init = hs_face_app_init,
    .open = hs_face_app_open,
    .found = gallery_exists,
    .begin = hs_face_app_begin,
    .finish = hs_face_app_finish,
    .routes = hs_face_routes,
    .route_count = &hs_face_route_count,
    .not_ready = gallery_reason,
    .metrics = hs_face_put_metrics,
    .shape = shape,
    .bench = &hs_face_bench,
    .check_settings = hs_face_check_gallery,
    .check_picture = hs_face_check_picture,
};

int main(int argc, char **argv)
{
    return hs_program_main(&app.program, argc, argv);
}
