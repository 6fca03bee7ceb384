/* What this machine has, whether the model runs on it, and what to do where something is missing. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/json_write.h"
#include "infer/registry.h"
#include "pose/commands.h"
#include "pose/figure.h"
#include "vision/coco_pose.h"

enum { ENTRIES_MAX = 16, LINE = 512 };

/* The figure's own points are this far off at most, in fractions of its height; its limbs are about as thick. */
static const float tolerance = .06f;

struct report {
    bool json, ok;
    json_t *checks; /* array of {name, ok, detail, mend} */
};

/* `mend` is what would help; NULL where all is well. */
static void add(struct report *report, const char *name, bool ok, const char *mend, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static void add(struct report *report, const char *name, bool ok, const char *mend, const char *format, ...)
{
    char detail[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    if (!ok)
        report->ok = false;
    json_array_append_new(report->checks, json_pack("{s:s, s:b, s:s, s:s?}", "name", name, "ok", (int) ok, "detail",
                                                    detail, "mend", mend));
    if (report->json)
        return;
    printf("%-4s %-9s %s\n", ok ? "ok" : "FAIL", name, detail);
    if (mend)
        printf("     %-9s %s\n", "", mend);
}

static void check_machine(struct report *report)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE), cores = sysconf(_SC_NPROCESSORS_ONLN);
    add(report, "machine", true, NULL, "%ld cores, %ld MiB of memory", cores, (long) ((double) pages * page / 1048576));
}

static void check_backends(struct report *report)
{
    struct hs_registry_entry entries[ENTRIES_MAX];
    size_t count = hs_registry_list(entries, ENTRIES_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct hs_registry_entry *e = &entries[i];
        if (e->usable && e->probe.available)
            add(report, "backend", true, NULL, "%s: %s, %s", e->name, e->probe.device, e->probe.version);
        else
            add(report, "backend", true, NULL, "%s cannot be used: %s", e->name,
                e->usable ? e->probe.reason : e->error.message);
    }
}

/* How far the found points are from where they were drawn, in fractions of the figure's height. */
static float worst_distance(const struct hs_pose_result *result)
{
    const struct hs_keypoint *points = hs_pose_list_keypoints(&result->people, 0);
    float worst = 0;
    for (int i = 0; i < hs_pose_figure_point_count; i++) {
        const struct hs_pose_figure_point *drawn = &hs_pose_figure_points[i];
        float d = hypotf(points[drawn->keypoint].x - drawn->x, points[drawn->keypoint].y - drawn->y);
        worst = d > worst ? d : worst;
    }
    return worst / HS_POSE_FIGURE_H;
}

static void judge_picture(struct report *report, const struct hs_pose_app *app, const struct hs_pose_result *result)
{
    const char *device = result->device;
    double ms = result->timings.inference_ms;
    if (result->people.count != 1) {
        add(report, "picture", false, "the model file may be damaged or not a pose model: run 'models verify'",
            "%zu people found where one is drawn (%s, %.1f ms)", result->people.count, device, ms);
    } else if (app->network.choice.pack->keypoint_count == HS_COCO_KEYPOINTS && worst_distance(result) > tolerance) {
        add(report, "picture", false, "the device computes wrongly, or the model was not trained on people",
            "keypoints are up to %.0f %% of the picture's height away from where they are drawn (%s)",
            (double) (100 * worst_distance(result)), device);
    } else {
        add(report, "picture", true, NULL, "one person found with score %.2f, network %.1f ms on %s",
            (double) result->people.poses[0].score, ms, device);
    }
}

static void check_picture(struct report *report, const struct hs_pose_app *app)
{
    struct hs_error err;
    struct hs_image *image;
    struct hs_pose_result result;
    struct hs_pose_params params = hs_pose_app_params(app);
    if (hs_pose_figure_draw(&image, &err) < 0) {
        add(report, "picture", false, "free some memory", "%s", err.message);
        return;
    }
    hs_pose_result_init(&result);
    if (hs_pose_detect_image(&app->pipeline, image, &params, HS_NO_DEADLINE, NULL, &result, &err) < 0)
        add(report, "picture", false, "see the message; the log of the device's driver may say more", "%s",
            err.message);
    else if (app->network.simulated)
        add(report, "picture", true, NULL, "the scripted device answered with %zu people", result.people.count);
    else
        judge_picture(report, app, &result);
    hs_pose_result_finish(&result);
    hs_image_destroy(image);
}

static void check_app(struct report *report, struct hs_settings *settings)
{
    struct hs_pose_app app;
    struct hs_error err;
    int64_t start = hs_clock_now_ns();
    if (hs_pose_app_init(&app, settings, &err) < 0) {
        add(report, "models", false, "'models pull' brings the default model, 'models list' shows all of them", "%s",
            err.message);
        return;
    }
    add(report, "models", true, NULL, "%s in %s, hash verified", app.network.choice.pack->name,
        hs_store_dir(app.store));
    if (hs_pose_app_load(&app, &err) < 0) {
        add(report, "device", false, "choose another with --set inference.device=…, or mend what the message names",
            "%s", err.message);
    } else {
        struct hs_engine_status status;
        hs_engine_get_status(app.network.engine, &status);
        add(report, "device", true, NULL, "%s: %s, %s; model ready after %.2f s", status.backend, status.device,
            status.version, hs_ns_to_ms(hs_clock_now_ns() - start) / 1000);
        check_picture(report, &app);
    }
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    add(report, "memory", true, NULL, "%ld MiB at most so far", use.ru_maxrss / 1024);
    hs_pose_app_finish(&app);
}

static int print_report(struct report *report)
{
    if (!report->json) {
        puts(report->ok ? "all is well" : "something is wrong; see above");
        return 0;
    }
    json_t *all = json_pack("{s:b, s:O}", "ok", (int) report->ok, "checks", report->checks);
    struct hs_buf out;
    hs_buf_init(&out, 1 << 20);
    int r = all ? hs_json_write(all, HS_JSON_SPACED, &out) : HS_ENOMEM;
    if (r == 0)
        printf("%.*s\n", (int) out.len, (const char *) out.data);
    hs_buf_finish(&out);
    json_decref(all);
    return r;
}

int hs_pose_cmd_selftest(struct hs_invocation *call)
{
    struct report report = { .ok = true };
    const struct hs_option options[] = {
        { .name = "json", .kind = HS_OPTION_FLAG, .target = &report.json, .help = "print JSON" },
    };
    struct hs_text_list none = { 0 };
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), &none, 0, &code))
        return code;
    struct hs_settings *settings;
    code = hs_pose_load_settings(call, NULL, 0, &settings);
    if (code != HS_EXIT_OK)
        return code;
    report.checks = json_array();
    check_machine(&report);
    check_backends(&report);
    check_app(&report, settings);
    int r = print_report(&report);
    json_decref(report.checks);
    return r == 0 && report.ok ? HS_EXIT_OK : HS_EXIT_FAILURE;
}
