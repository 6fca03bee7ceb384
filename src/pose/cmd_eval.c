/* Keypoint AP over a COCO annotations file. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/progress.h"
#include "pose/commands.h"
#include "pose/eval_run.h"

/* What COCO evaluations of these networks use: nearly everything counts, the evaluation itself cuts to 20 a picture. */
static const struct hs_pose_params params = {
    .confidence_threshold = .001f, .iou_threshold = .7f, .max_detections = 300,
};

struct eval_call {
    const char *coco, *images, *results;
    bool json;
};

static void show_progress(void *arg, size_t done, size_t total)
{
    hs_progress_show(arg, "pictures", done, total);
}

static void print_metrics(const struct hs_coco_metrics *m, const struct hs_coco_set *set, size_t results, bool json)
{
    const struct {
        const char *name;
        double value;
    } rows[] = { { "AP", m->ap },    { "AP50", m->ap50 }, { "AP75", m->ap75 },  { "APM", m->ap_medium },
                 { "APL", m->ap_large }, { "AR", m->ar }, { "AR50", m->ar50 }, { "AR75", m->ar75 },
                 { "ARM", m->ar_medium }, { "ARL", m->ar_large } };
    if (json)
        printf("{\"images\": %zu, \"annotations\": %zu, \"results\": %zu", set->image_count, set->truth_count, results);
    else
        printf("%zu pictures, %zu annotated people, %zu results\n", set->image_count, set->truth_count, results);
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++)
        printf(json ? ", \"%s\": %.6f" : "%-5s %.4f\n", rows[i].name, rows[i].value);
    if (json)
        puts("}");
}

static int evaluate(const struct hs_pose_app *app, const struct hs_coco_set *set, const struct eval_call *eval,
                    struct hs_error *err)
{
    struct hs_model_pool_status status;
    hs_model_pool_get_status(app->pool, &status);
    struct hs_progress progress;
    hs_progress_init(&progress);
    progress.counts = true;
    const struct hs_eval_options options = {
        .images_dir = eval->images,
        .params = params,
        .threads = status.slots,
        .progress = show_progress,
        .arg = &progress,
    };
    struct hs_coco_result *results = NULL;
    size_t count = 0;
    int r = hs_eval_run(app, set, &options, &results, &count, err);
    hs_progress_clear(&progress);
    if (r == 0 && eval->results)
        r = hs_coco_results_save(eval->results, set->category_id, results, count, err);
    int64_t *ids = r == 0 ? calloc(set->image_count ? set->image_count : 1, sizeof(*ids)) : NULL;
    if (r == 0 && !ids)
        r = hs_error_set(err, HS_ENOMEM, "no memory for %zu pictures", set->image_count);
    struct hs_coco_metrics metrics;
    for (size_t i = 0; r == 0 && i < set->image_count; i++)
        ids[i] = set->images[i].id;
    if (r == 0)
        r = hs_coco_evaluate(ids, set->image_count, set->truths, set->truth_count, results, count, &metrics, err);
    if (r == 0)
        print_metrics(&metrics, set, count, eval->json);
    free(ids);
    free(results);
    return r;
}

int hs_pose_cmd_eval(struct hs_invocation *call)
{
    struct eval_call eval = { 0 };
    const struct hs_option options[] = {
        { .name = "coco", .kind = HS_OPTION_TEXT, .target = &eval.coco, .value = "FILE",
          .help = "annotations in COCO's keypoint format; required" },
        { .name = "images", .kind = HS_OPTION_TEXT, .target = &eval.images, .value = "DIR",
          .help = "the folder of their pictures; required" },
        { .name = "results", .kind = HS_OPTION_TEXT, .target = &eval.results, .value = "FILE",
          .help = "also write what was found, as a COCO results file" },
        { .name = "json", .kind = HS_OPTION_FLAG, .target = &eval.json, .help = "print JSON" },
    };
    struct hs_text_list none = { 0 };
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), &none, 0, &code))
        return code;
    if (!eval.coco || !eval.images)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--coco and --images are required");
    struct hs_error err;
    struct hs_coco_set *set;
    if (hs_coco_set_load(eval.coco, &set, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    struct hs_pose_app app;
    code = hs_pose_start_app(call, &app);
    if (code == HS_EXIT_OK) {
        if (evaluate(&app, set, &eval, &err) < 0)
            code = hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
        hs_pose_app_finish(&app);
    }
    hs_coco_set_destroy(set);
    return code;
}
