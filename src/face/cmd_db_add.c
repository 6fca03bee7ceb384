/* Pictures into the gallery from the command line: `db add NAME PICTURE…` and `db import FOLDER`. Each picture that was
 * added stays if it is interrupted, and a second run goes on from there. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/progress.h"
#include "face/cmd_db_add.h"

/* ---- one file ---- */

enum state {
    ADDED,
    PRESENT, /* this very file was added to this identity before */
    REFUSED,
};

struct result {
    enum state state;
    char code[HS_ENROL_CODE_SIZE]; /* of a refusal, the first of them: "no_face", "multiple_faces", "not_a_picture"… */
    char reason[300];
};

static int refuse(struct result *result, const char *code, const char *reason)
{
    result->state = REFUSED;
    hs_str_copy(result->code, sizeof(result->code), code);
    hs_str_copy(result->reason, sizeof(result->reason), reason);
    return 0;
}

static int is_present(const struct hs_face_app *app, const char *name, const char *sha256, bool *ret,
                      struct hs_error *err)
{
    struct hs_gallery_person *person;
    int r = hs_gallery_get(app->gallery, name, false, &person, err);
    *ret = false;
    if (r == HS_ENOTFOUND)
        return 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < person->count && !*ret; i++)
        *ret = person->embeddings[i].source_sha256 && strcmp(person->embeddings[i].source_sha256, sha256) == 0;
    hs_gallery_person_destroy(person);
    return 0;
}

static int enrol(const struct hs_face_app *app, const struct hs_picture_file *file, const char *sha256,
                 enum hs_enrol_gate gate, const struct hs_face_result *found, struct result *result,
                 struct hs_error *err)
{
    struct hs_enrol_verdict verdict;
    struct hs_gallery_added added;
    int r = hs_enrol_check(app, gate, file->name, sha256, found, false, HS_NO_DEADLINE, &verdict, err);
    if (r < 0)
        return r;
    if (verdict.count > 0) {
        char text[sizeof(result->reason)];
        hs_enrol_reasons_text(&verdict, text, sizeof(text));
        return refuse(result, verdict.reasons[0].code, text);
    }
    if (!verdict.face)
        return refuse(result, "no_face", found->count ? "the face cannot be aligned" : "there is no face in it");
    const struct hs_enrol_entry entry = { .name = file->name, .source_sha256 = sha256 };
    return hs_enrol_store(app, &entry, verdict.face, found, &added, err);
}

static int find_and_store(const struct hs_face_app *app, const struct hs_picture_file *file, const char *sha256,
                          enum hs_enrol_gate gate, struct result *result, struct hs_error *err)
{
    const struct hs_face_section *s = &app->settings->face_recognition;
    const struct hs_face_request request = {
        .score_threshold = (float) s->detection_threshold,
        .max_faces = s->max_faces,
        .tiny = s->tiny_faces,
        .embed = true,
    };
    struct hs_face_result found = { 0 };
    uint8_t *data;
    size_t len;
    int r = hs_file_read(file->path, app->pipeline.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_face_find(&app->pipeline, data, len, &request, HS_NO_DEADLINE, NULL, &found, err);
    free(data);
    if (r == 0)
        r = enrol(app, file, sha256, gate, &found, result, err);
    hs_face_result_finish(&found);
    return r;
}

/* Looks at one file and adds it. Fails (and says so in err) only if going on makes no sense: the gallery or a
 * network failed. The file's SHA-256 is kept with the vector. */
static int add_file(const struct hs_face_app *app, const struct hs_picture_file *file, enum hs_enrol_gate gate,
                    struct result *ret_result, struct hs_error *err)
{
    char sha256[65];
    bool present = false;
    struct hs_error why;
    *ret_result = (struct result) { .state = ADDED };
    if (hs_file_sha256(file->path, sha256, &why) < 0)
        return refuse(ret_result, "not_readable", why.message);
    int r = is_present(app, file->name, sha256, &present, &why);
    if (r == 0 && present) {
        ret_result->state = PRESENT;
        return 0;
    }
    if (r == 0)
        r = find_and_store(app, file, sha256, gate, ret_result, &why);
    switch (r) {
    case 0:
        return 0;
    case HS_EDECODE:
    case HS_EUNSUPPORTED:
        return refuse(ret_result, "not_a_picture", why.message);
    case HS_ETOOLARGE:
        return refuse(ret_result, "too_large", why.message);
    case HS_EINVAL:
        return refuse(ret_result, "bad_name", why.message);
    default:
        return hs_error_set(err, r, "%s: %s", file->path, why.message);
    }
}

/* ---- all files ---- */

struct adding {
    struct hs_invocation *call;
    const struct hs_db_add_options *options;
    enum hs_enrol_gate gate;
    struct hs_progress progress;
    size_t added, present, refused;
    json_t *refusals; /* array of {name, file, code, reason} */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void) number;
    interrupted = 1;
}

/* The first SIGINT or SIGTERM ends it after the picture in hand, a second one at once. */
static void watch_signals(void)
{
    const struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int) SA_RESETHAND | SA_RESTART };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void tell_refusal(struct adding *adding, const struct hs_picture_file *file,
                         const struct result *result)
{
    adding->refused++;
    json_array_append_new(adding->refusals, json_pack("{s:s, s:s, s:s, s:s}", "name", file->name, "file", file->path,
                                                      "code", result->code, "reason", result->reason));
    if (adding->options->json)
        return;
    hs_progress_clear(&adding->progress);
    /* The gate's reasons begin with their codes. */
    bool named = hs_str_starts(result->reason, result->code);
    printf("refused %s for %s: %s%s%s\n", file->path, file->name, named ? "" : result->code, named ? "" : ": ",
           result->reason);
    fflush(stdout);
}

static int add_all(struct adding *adding, const struct hs_face_app *app, const struct hs_picture_files *files,
                   struct hs_error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < files->count && !interrupted; i++) {
        struct result result;
        r = add_file(app, &files->items[i], adding->gate, &result, err);
        if (r < 0)
            break;
        adding->added += result.state == ADDED;
        adding->present += result.state == PRESENT;
        if (result.state == REFUSED)
            tell_refusal(adding, &files->items[i], &result);
        hs_progress_show(&adding->progress, "pictures", i + 1, files->count);
    }
    hs_progress_clear(&adding->progress);
    return r;
}

static int report(const struct adding *adding, size_t total, struct hs_error *err)
{
    size_t left = total - adding->added - adding->present - adding->refused;
    if (adding->options->json)
        return hs_print_json(json_pack("{s:I, s:I, s:O, s:I, s:b}", "added", (json_int_t) adding->added, "present",
                                       (json_int_t) adding->present, "refused", adding->refusals, "left",
                                       (json_int_t) left, "interrupted", (int) (interrupted != 0)),
                             HS_JSON_SPACED, err);
    printf("%zu added, %zu were there, %zu refused", adding->added, adding->present, adding->refused);
    if (left)
        printf(", %zu not looked at: run it again to go on", left);
    putchar('\n');
    return 0;
}

static int run(struct adding *adding, const struct hs_picture_files *files)
{
    struct hs_face_app *app;
    struct hs_error err, why;
    int code = hs_face_start(adding->call, true, &app);
    if (code != HS_EXIT_OK)
        return code;
    watch_signals();
    if (!adding->options->gate)
        adding->gate = (enum hs_enrol_gate) app->settings->database.enrolment;
    int r = add_all(adding, app, files, &err);
    /* Vectors that were dropped for new ones. */
    if (r == 0)
        r = hs_gallery_finish_erasing(app->gallery, &err);
    if (r < 0)
        code = hs_invocation_fail(adding->call, HS_EXIT_FAILURE, "%s", err.message);
    if (report(adding, files->count, &why) < 0)
        code = hs_invocation_fail(adding->call, HS_EXIT_FAILURE, "%s", why.message);
    hs_app_destroy(app);
    return adding->refused || interrupted ? HS_EXIT_FAILURE : code;
}

static bool read_gate(const char *word, enum hs_enrol_gate *ret_gate)
{
    for (int i = 0; word && hs_enrol_gates[i]; i++) {
        if (strcmp(word, hs_enrol_gates[i]) == 0) {
            *ret_gate = (enum hs_enrol_gate) i;
            return true;
        }
    }
    return !word;
}

int hs_face_db_add(struct hs_invocation *call, const struct hs_picture_files *files,
                   const struct hs_db_add_options *options)
{
    struct adding adding = { .call = call, .options = options };
    if (!read_gate(options->gate, &adding.gate))
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--gate is off, standard or strict");
    adding.refusals = json_array();
    hs_progress_init(&adding.progress, true);
    int code = files->count ? run(&adding, files)
                            : hs_invocation_fail(call, HS_EXIT_FAILURE, "there are no pictures in that folder");
    json_decref(adding.refusals);
    return code;
}
