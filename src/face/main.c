#include "base/file.h"
#include "base/mem.h"
#include "cli/program.h"
#include "face/commands.h"
#include "face/health.h"
#include "service/openapi.h"
#include "service/route_docs.h"

static const struct hs_example detect_examples[] = {
    { "detect .deps/samples/bus.jpg --models .deps/models", "Find the faces in a picture" },
    { "detect .deps/samples/bus.jpg --models .deps/models --draw faces.jpg", "Draw them into a copy of the picture" },
    { "detect .deps/samples/*.jpg --models .deps/models --jsonl", "Print one line of JSON for each of many pictures" },
};
static const struct hs_example embed_examples[] = {
    { "embed .deps/samples/obama.jpg --models .deps/models", "Compute the embedding of a face" },
};
static const struct hs_example recognize_examples[] = {
    { "recognize .deps/samples/obama2.jpg --models .deps/models --set database.db_file=.deps/gallery/faces.db",
      "Name the people in a picture (see `db add`)" },
};
static const struct hs_example compare_examples[] = {
    { "compare .deps/samples/obama.jpg .deps/samples/obama2.jpg --models .deps/models", "Compare two faces" },
};

static const struct hs_command detect = {
    .name = "detect",
    .arguments = "PICTURE|FOLDER…",
    .summary = "Find faces in pictures",
    .run = hs_face_cmd_pictures,
    HS_EXAMPLES(detect_examples),
};
static const struct hs_command embed = {
    .name = "embed",
    .arguments = "PICTURE|FOLDER…",
    .summary = "Compute the embedding of the best face of each picture",
    .run = hs_face_cmd_pictures,
    HS_EXAMPLES(embed_examples),
};
static const struct hs_command recognize = {
    .name = "recognize",
    .arguments = "PICTURE|FOLDER…",
    .summary = "Name the people in pictures",
    .run = hs_face_cmd_pictures,
    HS_EXAMPLES(recognize_examples),
};
static const struct hs_command compare = {
    .name = "compare",
    .arguments = "PICTURE PICTURE",
    .summary = "Check if two pictures show the same person",
    .run = hs_face_cmd_pictures,
    HS_EXAMPLES(compare_examples),
};

static const struct hs_command *const commands[] = {
    &hs_command_serve,
    &detect,
    &embed,
    &recognize,
    &compare,
    &hs_face_command_db,
    &hs_face_command_eval,
    &hs_command_bench,
    &hs_face_command_compare_devices,
    &hs_command_models,
    &hs_command_keys,
    &hs_command_backends,
    &hs_command_config,
    &hs_command_openapi,
    &hs_command_selftest,
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
                           .half_size = true },
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
static void configure_http(const void *state, struct hs_http_options *ret)
{
    const struct hs_face_app *app = state;
    ret->error_shape = HS_HTTP_ERROR_TEXT;
    ret->json_style = app->settings->legacy.debug ? HS_JSON_PRETTY : HS_JSON_SORTED;
    ret->json_content_type = "application/json";
    ret->not_found_message = "Endpoint not found";
}

static const struct hs_app app = {
    .program = {
        .name = "hailo-face",
        .summary = "Find faces in pictures and recognise people",
        .version = HS_VERSION,
        .schema = &hs_face_schema,
        .app = &app,
        .commands = commands,
        .command_count = HS_ARRAY_LEN(commands),
    },
    .models = models,
    .model_count = HS_FACE_MODELS,
    .exposure_warning = "use this service, and read, change and erase the faces that it stores",
    .state_size = sizeof(struct hs_face_app),
    .init = hs_face_app_init,
    .revise = hs_face_app_revise,
    .open = hs_face_app_open,
    .exists = gallery_exists,
    .begin = hs_face_app_begin,
    .finish = hs_face_app_finish,
    .record = hs_face_app_record,
    .routes = hs_face_routes,
    .route_count = &hs_face_route_count,
    .error_object = &hs_object_error_text,
    .not_ready = gallery_reason,
    .metrics = hs_face_put_metrics,
    .configure_http = configure_http,
    .bench = &hs_face_bench,
    .check_settings = hs_face_check_gallery,
    .check_picture = hs_face_check_picture,
};

int main(int argc, char **argv)
{
    return hs_program_main(&app.program, argc, argv);
}
