/* `eval`: keypoint AP over a COCO annotation file, with the service's pipeline. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/progress.h"
#include "pose/app.h"
#include "pose/coco_json.h"
#include "service/parallel_for.h"

struct found {
    struct hs_coco_result *items;
    size_t count;
};

struct eval {
    const char *coco, *images, *results;
    bool json;
    const struct hs_pose_app *app;
    struct hs_coco_set *set;
    struct found *found; /* one per picture, in the order of the set */
    struct hs_progress progress;
};

/* ---- one picture ---- */

static int to_coco(const struct hs_pose_result *result, int64_t image_id, struct found *ret, struct hs_error *err)
{
    size_t n = result->people.count;
    struct hs_coco_result *items = calloc(n ? n : 1, sizeof(*items));
    if (!items)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu results", n);
    for (size_t i = 0; i < n; i++) {
        const struct hs_keypoint *points = hs_pose_list_keypoints(&result->people, i);
        items[i].image_id = image_id;
        items[i].score = (double) result->people.poses[i].score;
        for (int k = 0; k < HS_COCO_KEYPOINTS; k++) {
            items[i].keypoints[3 * k] = (double) points[k].x;
            items[i].keypoints[3 * k + 1] = (double) points[k].y;
            items[i].keypoints[3 * k + 2] = (double) points[k].conf;
        }
        items[i].area = hs_coco_result_area(items[i].keypoints);
    }
    *ret = (struct found) { items, n };
    return 0;
}

static int detect(void *arg, size_t index, struct hs_error *err)
{
    struct eval *eval = arg;
    const struct hs_coco_image *image = &eval->set->images[index];
    struct hs_pose_params params = hs_pose_app_params(eval->app);
    struct hs_pose_result result;
    char path[PATH_MAX];
    /* The usual parameters of a COCO evaluation: nearly every detection counts, and the evaluation
     * keeps the best 20. */
    params.confidence_threshold = .001f;
    params.iou_threshold = .7f;
    params.max_detections = 300;
    params.apply_exif = false;
    if (!hs_path_join(path, sizeof(path), eval->images, image->file_name))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", image->file_name);
    hs_pose_result_init(&result);
    int r = hs_pose_app_detect_file(eval->app, path, &params, &result, err);
    if (r == 0 && (result.width != image->width || result.height != image->height))
        r = hs_error_set(err, HS_EDECODE, "%s is %dx%d pixels, but %dx%d in the annotations", path, result.width,
                         result.height, image->width, image->height);
    if (r == 0)
        r = to_coco(&result, image->id, &eval->found[index], err);
    hs_pose_result_finish(&result);
    return r;
}

/* ---- all pictures ---- */

/* Joins the detections of all pictures into one list. */
static int join_results(const struct eval *eval, struct hs_coco_result **ret_results, size_t *ret_count,
                        struct hs_error *err)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < eval->set->image_count; i++)
        total += eval->found[i].count;
    struct hs_coco_result *all = calloc(total ? total : 1, sizeof(*all));
    if (!all)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu results", total);
    for (size_t i = 0; i < eval->set->image_count; i++) {
        if (eval->found[i].count)
            memcpy(all + at, eval->found[i].items, eval->found[i].count * sizeof(*all));
        at += eval->found[i].count;
    }
    *ret_results = all;
    *ret_count = total;
    return 0;
}

static void print_metrics(const struct eval *eval, const struct hs_coco_metrics *m, size_t results)
{
    const struct hs_coco_set *set = eval->set;
    char pictures[HS_COUNT_SIZE], people[HS_COUNT_SIZE], found[HS_COUNT_SIZE];
    const struct {
        const char *name;
        double value;
    } rows[] = { { "AP", m->ap },         { "AP50", m->ap50 },   { "AP75", m->ap75 }, { "APM", m->ap_medium },
                 { "APL", m->ap_large },  { "AR", m->ar },       { "AR50", m->ar50 }, { "AR75", m->ar75 },
                 { "ARM", m->ar_medium }, { "ARL", m->ar_large } };
    if (eval->json)
        printf("{\"images\": %zu, \"annotations\": %zu, \"results\": %zu", set->image_count, set->truth_count, results);
    else
        printf("%s, %s, %s\n", hs_str_count(pictures, (int64_t) set->image_count, "picture", "pictures"),
               hs_str_count(people, (int64_t) set->truth_count, "annotated person", "annotated people"),
               hs_str_count(found, (int64_t) results, "detection", "detections"));
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++)
        printf(eval->json ? ", \"%s\": %.6f" : "%-5s %.4f\n", rows[i].name, rows[i].value);
    if (eval->json)
        puts("}");
}

static int evaluate(struct eval *eval, struct hs_error *err)
{
    const struct hs_coco_set *set = eval->set;
    const struct hs_model_runner *runner = hs_model_pool_first(eval->app->pool);
    if (runner->choice.pack->keypoint_count != HS_COCO_KEYPOINTS)
        return hs_error_set(err, HS_EMODEL, "%s has %zu keypoints; COCO's evaluation is defined for its %d",
                            runner->choice.pack->name, runner->choice.pack->keypoint_count, HS_COCO_KEYPOINTS);
    struct hs_model_pool_status status;
    hs_model_pool_get_status(eval->app->pool, &status);
    const struct hs_parallel_for loop = {
        .count = set->image_count,
        .threads = status.slots,
        .run = detect,
        .arg = eval,
        .progress = &eval->progress,
    };
    struct hs_coco_metrics metrics;
    struct hs_coco_result *results = NULL;
    size_t count = 0;
    int64_t *ids = calloc(set->image_count, sizeof(*ids));
    int r = 0;
    eval->found = calloc(set->image_count, sizeof(*eval->found));
    if (!ids || !eval->found)
        r = hs_error_set(err, HS_ENOMEM, "no memory for %zu pictures", set->image_count);
    for (size_t i = 0; r == 0 && i < set->image_count; i++)
        ids[i] = set->images[i].id;
    if (r == 0)
        r = hs_parallel_for(&loop, err);
    if (r == 0)
        r = join_results(eval, &results, &count, err);
    if (r == 0 && eval->results)
        r = hs_coco_results_save(eval->results, set->category_id, results, count, err);
    if (r == 0)
        r = hs_coco_evaluate(ids, set->image_count, set->truths, set->truth_count, results, count, &metrics, err);
    if (r == 0)
        print_metrics(eval, &metrics, count);
    for (size_t i = 0; eval->found && i < set->image_count; i++)
        free(eval->found[i].items);
    free(eval->found);
    free(results);
    free(ids);
    return r;
}

static int run(struct hs_invocation *call)
{
    struct eval eval = { 0 };
    const struct hs_option options[] = {
        HS_TEXT("coco", &eval.coco, "FILE", "annotations in COCO's keypoint format"),
        HS_TEXT("images", &eval.images, "DIR", "folder of their pictures"),
        HS_TEXT("results", &eval.results, "FILE", "also write the detections, as a COCO results file"),
        HS_FLAG("json", &eval.json, "print JSON"),
    };
    struct hs_error err;
    void *state;
    int code;
    hs_progress_init(&eval.progress, true);
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    eval.progress.quiet = call->quiet;
    if (hs_coco_set_load(eval.coco, &eval.set, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    code = hs_app_start(call, NULL, 0, HS_APP_LOAD, &state);
    if (code == HS_EXIT_OK) {
        eval.app = state;
        if (evaluate(&eval, &err) < 0)
            code = hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
        hs_app_destroy(state);
    }
    hs_coco_set_destroy(eval.set);
    return code;
}

static const struct hs_example examples[] = {
    { "eval --coco person_keypoints_val2017.json --images val2017", "Measure the accuracy on COCO's validation set" },
};

const struct hs_command hs_pose_command_eval = {
    .name = "eval",
    .arguments = "--coco FILE --images DIR",
    .summary = "Measure the accuracy of keypoints on annotated pictures",
    .run = run,
    HS_EXAMPLES(examples),
};
