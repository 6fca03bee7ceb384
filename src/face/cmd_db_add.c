/* Pictures into the gallery from the command line: `db add NAME PICTURE…` and `db import FOLDER`. Each picture that was
 * added stays if it is interrupted, and a second run goes on from there. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/progress.h"
#include "face/cmd_db_add.h"

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
                         const struct hs_face_add_result *result)
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
        struct hs_face_add_result result;
        r = hs_face_add_file(app, &files->items[i], adding->gate, &result, err);
        if (r < 0)
            break;
        adding->added += result.state == HS_FACE_ADDED;
        adding->present += result.state == HS_FACE_PRESENT;
        if (result.state == HS_FACE_REFUSED)
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
