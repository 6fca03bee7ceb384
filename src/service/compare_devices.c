#include "service/compare_devices.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"
#include "base/str.h"
#include "cli/progress.h"
#include "service/picture_files.h"

/* If the score of a detection is near the threshold, rounding decides which side finds it. */
static const double least_agreement = .9;

enum { OPTIONS_MAX = 8, PROGRESS_FROM = 5 /* pictures */ };

/* Least overlap (IoU) of two boxes that match. */
static const float same_box = .5f;

/* With a fallback, the processor could be compared with itself. */
#define ALONE "device.fallback=none"

static const char *const side_keys[HS_COMPARE_SIDES] = { "device", "against" };

double hs_compare_box_distance(const struct hs_rect *a, const struct hs_rect *b)
{
    float x = fmaxf(fabsf(a->x1 - b->x1), fabsf(a->x2 - b->x2));
    float y = fmaxf(fabsf(a->y1 - b->y1), fabsf(a->y2 - b->y2));
    return (double) fmaxf(x, y);
}

/* ---- the report ---- */

/* Reports the models that a side runs, and its device. */
static void report_side(struct hs_compare_report *report, int side, const struct hs_app_core *core)
{
    json_t *models = json_object();
    for (size_t i = 0; i < core->cache_count; i++) {
        const struct hs_model_runner *runner = hs_model_pool_first(hs_app_core_pool(core, i));
        const char *file = hs_model_runner_is_simulated(runner) ? "no file" : runner->choice.file->name;
        if (i == 0)
            json_object_set_new(models, "device", json_string(runner->device));
        json_object_set_new(models, core->app->models[i].role,
                            json_pack("{s:s, s:s}", "model", runner->choice.pack->name, "file", file));
        if (!report->json)
            printf("%-8s %s: %s, %s\n", side_keys[side], runner->device, runner->choice.pack->name, file);
    }
    json_object_set_new(report->root, side_keys[side], models);
}

/* Nine decimals distinguish the similarity of nearly equal answers from 1. */
static double rounded(double value)
{
    return hs_json_rounded(value, 9);
}

void hs_compare_report_numbers(struct hs_compare_report *report, const char *key, const char *text,
                               struct hs_samples *samples)
{
    struct hs_sample_stats s = hs_samples_summarize(samples);
    json_object_set_new(report->root, key,
                        json_pack("{s:I, s:f, s:f, s:f, s:f}", "count", (json_int_t) s.count, "least", rounded(s.min),
                                  "median", rounded(s.median), "mean", rounded(s.mean), "most", rounded(s.max)));
    if (!report->json)
        printf("%-22s  %8zu  %9.4g  %9.4g  %9.4g  %9.4g\n", text, s.count, s.min, s.median, s.mean, s.max);
}

void hs_compare_report_check(struct hs_compare_report *report, const char *key, const char *text, double value,
                             double least)
{
    bool ok = value >= least;
    report->ok &= ok;
    json_array_append_new(report->checks, json_pack("{s:s, s:f, s:f, s:b}", "name", key, "value", rounded(value),
                                                    "least", rounded(least), "ok", (int) ok));
    if (!report->json)
        printf("%-4s %s: %.4f (at least %.4g)\n", ok ? "ok" : "FAIL", text, value, least);
}

void hs_compare_report_note(struct hs_compare_report *report, const char *key, const char *format, ...)
{
    char text[HS_ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_object_set_new(report->root, key, json_string(text));
    if (!report->json)
        puts(text);
}

/* ---- the command ---- */

struct compare {
    struct hs_invocation *call;
    const struct hs_compare_command *command;
    void *arg;
    const char *against;
    bool json;
    double least_agreement;
    struct hs_picture_files files;
    void *states[HS_COMPARE_SIDES];
    size_t pictures, both, only[HS_COMPARE_SIDES]; /* found by both sides, and by one side only */
    size_t failed;                                 /* pictures that could not be read */
};

static void report_counts(const struct compare *compare, struct hs_compare_report *report)
{
    size_t both = compare->both, device = compare->only[HS_COMPARE_DEVICE], against = compare->only[HS_COMPARE_AGAINST];
    size_t all = both + device + against;
    char pictures[HS_COUNT_SIZE];
    json_object_update_new(report->root,
                           json_pack("{s:I, s:I, s:I, s:I, s:I}", "pictures", (json_int_t) compare->pictures, "failed",
                                     (json_int_t) compare->failed, "both", (json_int_t) both, "only_device",
                                     (json_int_t) device, "only_against", (json_int_t) against));
    if (!report->json)
        printf("%s: %zu %s found by both devices, %zu only by the first, %zu only by the second\n",
               hs_str_count(pictures, (int64_t) compare->pictures, "picture", "pictures"), both,
               both == 1 ? compare->command->one : compare->command->what, device, against);
    hs_compare_report_check(report, "agreement", "share of detections found by both",
                            all ? (double) both / (double) all : 0, compare->least_agreement);
}

static int print_report(struct compare *compare)
{
    struct hs_compare_report report = {
        .json = compare->json, .ok = compare->failed == 0, .root = json_object(), .checks = json_array()
    };
    struct hs_error err;
    for (int side = 0; side < HS_COMPARE_SIDES; side++)
        report_side(&report, side, compare->states[side]);
    if (!report.json)
        printf("\n%-22s  %8s  %9s  %9s  %9s  %9s\n", "DIFFERENCE", "COUNT", "LEAST", "MEDIAN", "MEAN", "MOST");
    int r = compare->command->report(compare->arg, compare->states, &report, &err);
    report_counts(compare, &report);
    json_object_set_new(report.root, "checks", report.checks);
    json_object_set_new(report.root, "ok", json_boolean(report.ok));
    if (r == 0 && compare->json)
        r = hs_print_json(json_incref(report.root), HS_JSON_SPACED, &err);
    else if (r == 0)
        puts(report.ok ? "The devices agree" : "The devices do not agree");
    json_decref(report.root);
    if (r < 0)
        return hs_invocation_fail(compare->call, HS_EXIT_FAILURE, "%s", err.message);
    return report.ok ? HS_EXIT_OK : HS_EXIT_FAILURE;
}

static int run_picture(struct compare *compare, const char *path, struct hs_error *err)
{
    struct hs_boxes boxes[HS_COMPARE_SIDES];
    int r = compare->command->run(compare->arg, compare->states, path, boxes, err);
    if (r < 0)
        return r;
    const struct hs_boxes *device = &boxes[HS_COMPARE_DEVICE], *against = &boxes[HS_COMPARE_AGAINST];
    size_t *of = calloc(device->count + 1, sizeof(*of));
    unsigned char *taken = calloc(against->count + 1, 1);
    if (of && taken) {
        size_t both = hs_iou_match(device, against, same_box, of, taken);
        compare->pictures++;
        compare->both += both;
        compare->only[HS_COMPARE_DEVICE] += device->count - both;
        compare->only[HS_COMPARE_AGAINST] += against->count - both;
    } else {
        r = hs_error_set(err, HS_ENOMEM, "no memory for %zu boxes", device->count);
    }
    for (size_t i = 0; r == 0 && i < device->count; i++)
        if (of[i] != HS_IOU_MATCH_NONE)
            r = compare->command->match(compare->arg, i, of[i], err);
    free(taken);
    free(of);
    return r;
}

static void run_pictures(struct compare *compare)
{
    struct hs_progress progress;
    hs_progress_init(&progress, true);
    progress.quiet = compare->call->quiet || compare->files.count < PROGRESS_FROM;
    for (size_t i = 0; i < compare->files.count; i++) {
        struct hs_error err;
        if (run_picture(compare, compare->files.items[i].path, &err) < 0) {
            compare->failed++;
            hs_progress_clear(&progress);
            hs_invocation_fail(compare->call, HS_EXIT_FAILURE, "%s", err.message);
        }
        hs_progress_show(&progress, "pictures", i + 1, compare->files.count);
    }
    hs_progress_clear(&progress);
}

static int open_side(struct compare *compare, int side)
{
    const struct hs_app *app = compare->call->program->app;
    const struct hs_text_list *given = &compare->call->sets;
    struct hs_invocation call = *compare->call;
    char models[HS_APP_MODELS_MAX][256];
    bool fits = true;
    call.sets = (struct hs_text_list) { 0 };
    for (size_t i = 0; i < given->count; i++)
        fits = fits && hs_text_list_add(&call.sets, given->items[i]);
    fits = fits && hs_text_list_add(&call.sets, ALONE) && hs_text_list_add(&call.sets, compare->command->set);
    if (side == HS_COMPARE_AGAINST)
        call.device = compare->against;
    for (size_t i = 0; side == HS_COMPARE_AGAINST && i < app->model_count; i++) {
        const struct hs_model_pool *first = hs_app_core_pool(compare->states[HS_COMPARE_DEVICE], i);
        fits = fits &&
               hs_str_format(models[i], sizeof(models[i]), "%s=%s", app->models[i].setting,
                             hs_model_pool_first(first)->choice.pack->name) &&
               hs_text_list_add(&call.sets, models[i]);
    }
    int code = fits ? hs_app_start(&call, NULL, 0, HS_APP_LOAD, &compare->states[side])
                    : hs_invocation_fail(&call, HS_EXIT_FAILURE, "no memory");
    hs_text_list_finish(&call.sets);
    return code;
}

/* Returns true if both sides run the network on the same device, which would make the comparison meaningless. */
static bool is_same_device(const struct compare *compare)
{
    const struct hs_app_core *device = compare->states[HS_COMPARE_DEVICE];
    const struct hs_app_core *against = compare->states[HS_COMPARE_AGAINST];
    const char *a = device->common->inference.device, *b = against->common->inference.device;
    const char *script_a = hs_model_runner_script(a), *script_b = hs_model_runner_script(b);
    return strcmp(hs_model_runner_backend_name(a), hs_model_runner_backend_name(b)) == 0 &&
           strcmp(script_a ? script_a : "", script_b ? script_b : "") == 0;
}

static int run(struct compare *compare)
{
    int code = HS_EXIT_OK;
    for (int side = 0; side < HS_COMPARE_SIDES && code == HS_EXIT_OK; side++)
        code = open_side(compare, side);
    if (code == HS_EXIT_OK && is_same_device(compare)) {
        const struct hs_app_core *core = compare->states[HS_COMPARE_DEVICE];
        code = hs_invocation_fail(compare->call, HS_EXIT_USAGE,
                                  "--device and --against select the same device, %s; select two different devices",
                                  hs_model_pool_first(hs_app_core_pool(core, 0))->device);
    }
    if (code == HS_EXIT_OK) {
        run_pictures(compare);
        code = print_report(compare);
    }
    for (int side = HS_COMPARE_SIDES - 1; side >= 0; side--)
        hs_app_destroy(compare->states[side]);
    return code;
}

int hs_compare_command_run(struct hs_invocation *call, const struct hs_compare_command *command, void *arg)
{
    struct compare compare = {
        .call = call, .command = command, .arg = arg, .against = "cpu", .least_agreement = least_agreement
    };
    struct hs_option options[OPTIONS_MAX] = {
        HS_TEXT("against", &compare.against, "auto|cpu|hailo|sim", "device to compare --device with (default: cpu)"),
        HS_NUMBER("least-agreement", &compare.least_agreement, "PART", 0, 1,
                  "smallest part of all detections that both devices must share (default 0.9)"),
        HS_FLAG("json", &compare.json, "print JSON"),
    };
    const size_t shared = 3;
    struct hs_error err;
    int code, r = 0;
    assert(shared + command->option_count <= OPTIONS_MAX);
    memcpy(options + shared, command->options, command->option_count * sizeof(*options));
    if (!hs_invocation_read(call, options, shared + command->option_count, &code))
        return code;
    for (size_t i = 0; r == 0 && i < call->operands.count; i++)
        r = hs_picture_files_add(&compare.files, "", call->operands.items[i], &err);
    if (r < 0)
        code = hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    else if (compare.files.count == 0)
        code = hs_invocation_fail(call, HS_EXIT_USAGE, "%s: no JPEG, PNG, WebP or BMP in it", call->operands.items[0]);
    else
        code = run(&compare);
    hs_picture_files_finish(&compare.files);
    return code;
}
