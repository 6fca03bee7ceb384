#include "pose/eval_run.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "service/each.h"

enum { PICTURE_MAX = 256 << 20 };

struct found {
    struct hs_coco_result *items;
    size_t count;
};

struct eval {
    const struct hs_pose_app *app;
    const struct hs_coco_set *set;
    const struct hs_eval_options *options;
    struct found *found; /* one a picture */
};

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

static int detect(struct eval *eval, size_t index, struct hs_pose_result *result, struct hs_error *err)
{
    const struct hs_coco_image *image = &eval->set->images[index];
    char path[PATH_MAX];
    uint8_t *data;
    size_t len;
    struct hs_error why;
    if (!hs_path_join(path, sizeof(path), eval->options->images_dir, image->file_name))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", image->file_name);
    int r = hs_file_read(path, PICTURE_MAX, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_pose_detect(&eval->app->pipeline, eval->app->pool, data, len, &eval->options->params, HS_NO_DEADLINE, NULL,
                       result, &why);
    free(data);
    if (r < 0)
        return hs_error_set(err, r, "%s: %s", path, why.message);
    if (result->width != image->width || result->height != image->height)
        return hs_error_set(err, HS_EDECODE, "%s: %dx%d pixels, the annotations say %dx%d", path, result->width,
                            result->height, image->width, image->height);
    return to_coco(result, image->id, &eval->found[index], err);
}

static int detect_one(void *arg, size_t index, struct hs_error *err)
{
    struct hs_pose_result result;
    hs_pose_result_init(&result);
    int r = detect(arg, index, &result, err);
    hs_pose_result_finish(&result);
    return r;
}

static void tell(void *arg, size_t done, size_t total)
{
    const struct eval *eval = arg;
    if (eval->options->progress)
        eval->options->progress(eval->options->arg, done, total);
}

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

int hs_eval_run(const struct hs_pose_app *app, const struct hs_coco_set *set, const struct hs_eval_options *options,
                struct hs_coco_result **ret_results, size_t *ret_count, struct hs_error *err)
{
    if (hs_model_pool_first(app->pool)->choice.pack->keypoint_count != HS_COCO_KEYPOINTS)
        return hs_error_set(err, HS_EMODEL, "%s has %zu keypoints; COCO's evaluation is defined for its %d",
                            hs_model_pool_first(app->pool)->choice.pack->name,
                            hs_model_pool_first(app->pool)->choice.pack->keypoint_count, HS_COCO_KEYPOINTS);
    struct eval eval = {
        .app = app,
        .set = set,
        .options = options,
        .found = calloc(set->image_count ? set->image_count : 1, sizeof(struct found)),
    };
    if (!eval.found)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu pictures", set->image_count);
    const struct hs_each pictures = {
        .count = set->image_count, .threads = options->threads, .run = detect_one, .progress = tell, .arg = &eval,
    };
    int r = hs_each_run(&pictures, err);
    if (r == 0)
        r = join_results(&eval, ret_results, ret_count, err);
    for (size_t i = 0; i < set->image_count; i++)
        free(eval.found[i].items);
    free(eval.found);
    return r;
}
