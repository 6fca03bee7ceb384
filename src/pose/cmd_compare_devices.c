/* Whether a device finds the same people as another one. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "pose/commands.h"
#include "service/compare_devices.h"
#include "vision/coco_eval.h"

/* Similarity of keypoints as COCO has it: .95 is its strictest demand. */
static const double least_similarity = .95;
/* Of a person's box, the part that COCO's persons fill on the average. */
static const double filled = .53;

/* All that are there: which of them are the first few is decided by digits that rounding changes. */
enum { PEOPLE_MAX = 300 };

struct compare {
    struct hs_pose_app apps[HS_COMPARE_SIDES];
    int opened;
    double least_oks;
    struct hs_pose_result found[HS_COMPARE_SIDES];
    struct hs_series box, points, similarity;
};

/* Both see the picture in the same shape, as the whole input of the model, which is all that a HEF has. */
static int start(void *arg, int side, struct hs_invocation *call)
{
    struct compare *compare = arg;
    char model[HS_PACK_NAME_SIZE + sizeof("model.name=")] = "";
    if (side == HS_COMPARE_AGAINST) {
        const struct hs_model_runner *first = hs_model_pool_first(compare->apps[HS_COMPARE_DEVICE].pool);
        hs_str_format(model, sizeof(model), "model.name=%s", first->choice.pack->name);
    }
    if (!hs_text_list_add(&call->sets, "inference.rectangular=false") ||
        (model[0] && !hs_text_list_add(&call->sets, model)))
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory");
    int code = hs_pose_start_app(call, &compare->apps[side]);
    compare->opened += code == HS_EXIT_OK;
    return code;
}

/* ---- one picture ---- */

static int detect(struct compare *compare, int side, const char *path, struct hs_error *err)
{
    const struct hs_pose_app *app = &compare->apps[side];
    struct hs_pose_params params = hs_pose_app_params(app);
    uint8_t *data;
    size_t len;
    params.max_detections = PEOPLE_MAX;
    int r = hs_file_read(path, app->pipeline.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_pose_detect(&app->pipeline, app->pool, data, len, &params, HS_NO_DEADLINE, NULL, &compare->found[side],
                       err);
    free(data);
    return r;
}

/* Of people with COCO's points, of whom the other side sees some. */
static int add_similarity(struct compare *compare, const struct hs_keypoint *device, const struct hs_pose *other,
                          const struct hs_keypoint *against, struct hs_error *err)
{
    struct hs_coco_truth truth = { .area = (double) hs_rect_area(&other->box) * filled };
    struct hs_coco_result result = { 0 };
    for (int k = 0; k < HS_COCO_KEYPOINTS; k++) {
        bool seen = (double) against[k].conf >= compare->apps[HS_COMPARE_AGAINST].settings->pose.keypoint_threshold;
        truth.keypoint_count += seen;
        truth.keypoints[3 * k] = (double) against[k].x;
        truth.keypoints[3 * k + 1] = (double) against[k].y;
        truth.keypoints[3 * k + 2] = seen ? 2 : 0;
        result.keypoints[3 * k] = (double) device[k].x;
        result.keypoints[3 * k + 1] = (double) device[k].y;
        result.keypoints[3 * k + 2] = 1;
    }
    return truth.keypoint_count > 0 ? hs_series_add(&compare->similarity, hs_coco_similarity(&truth, &result), err) : 0;
}

static int add_person(struct compare *compare, size_t i, size_t k, struct hs_error *err)
{
    const struct hs_pose_list *device = &compare->found[HS_COMPARE_DEVICE].people,
                              *against = &compare->found[HS_COMPARE_AGAINST].people;
    const struct hs_keypoint *a = hs_pose_list_keypoints(device, i), *b = hs_pose_list_keypoints(against, k);
    double seen = compare->apps[HS_COMPARE_AGAINST].settings->pose.keypoint_threshold;
    int r = hs_series_add(&compare->box, hs_compare_box_distance(&device->poses[i].box, &against->poses[k].box),
                          err);
    for (int p = 0; p < against->keypoint_count && r == 0; p++)
        if ((double) b[p].conf >= seen)
            r = hs_series_add(&compare->points, (double) hypotf(a[p].x - b[p].x, a[p].y - b[p].y), err);
    if (r == 0 && against->keypoint_count == HS_COCO_KEYPOINTS)
        r = add_similarity(compare, a, &against->poses[k], b, err);
    return r;
}

static struct hs_boxes boxes_of(const struct hs_pose_list *people)
{
    return (struct hs_boxes) {
        .first = people->count ? &people->poses[0].box : NULL,
        .count = people->count,
        .stride = sizeof(struct hs_pose),
    };
}

static int match(struct compare *compare, struct hs_compare_counts *counts, struct hs_error *err)
{
    struct hs_boxes device = boxes_of(&compare->found[HS_COMPARE_DEVICE].people),
                    against = boxes_of(&compare->found[HS_COMPARE_AGAINST].people);
    size_t *of = NULL;
    int r = hs_compare_match(&device, &against, counts, &of, err);
    for (size_t i = 0; r == 0 && i < device.count; i++)
        if (of[i] != HS_IOU_MATCH_NONE)
            r = add_person(compare, i, of[i], err);
    free(of);
    return r;
}

static int look(void *arg, const char *path, struct hs_compare_counts *counts, struct hs_error *err)
{
    struct compare *compare = arg;
    int r = 0;
    for (int side = 0; side < HS_COMPARE_SIDES && r == 0; side++)
        r = detect(compare, side, path, err);
    return r == 0 ? match(compare, counts, err) : r;
}

/* ---- all of them ---- */

static int report(void *arg, struct hs_compare_report *report, struct hs_error *err)
{
    struct compare *compare = arg;
    (void) err;
    for (int side = 0; side < HS_COMPARE_SIDES; side++)
        hs_compare_report_side(report, side, "pose", hs_model_pool_first(compare->apps[side].pool));
    hs_compare_report_numbers(report, "box_pixels", "boxes, pixels", &compare->box);
    hs_compare_report_numbers(report, "keypoint_pixels", "keypoints, pixels", &compare->points);
    hs_compare_report_numbers(report, "oks", "keypoints, OKS", &compare->similarity);
    if (hs_model_pool_first(compare->apps[HS_COMPARE_AGAINST].pool)->choice.pack->keypoint_count == HS_COCO_KEYPOINTS)
        hs_compare_report_check(report, "oks", "median OKS", hs_series_summarize(&compare->similarity).median,
                                compare->least_oks);
    return 0;
}

int hs_pose_cmd_compare_devices(struct hs_invocation *call)
{
    struct compare compare = { .least_oks = least_similarity };
    const struct hs_option options[] = {
        { .name = "least-oks", .kind = HS_OPTION_NUMBER, .target = &compare.least_oks, .value = "OKS", .min = 0,
          .max = 1, .help = "median similarity (COCO's OKS) of the keypoints; 0.95 where nothing is said" },
    };
    const struct hs_compare_command command = {
        .options = options, .option_count = HS_ARRAY_LEN(options), .what = "people", .open = start, .look = look,
        .report = report,
    };
    for (int side = 0; side < HS_COMPARE_SIDES; side++)
        hs_pose_result_init(&compare.found[side]);
    int code = hs_compare_command_run(call, &command, &compare);
    for (int side = 0; side < HS_COMPARE_SIDES; side++)
        hs_pose_result_finish(&compare.found[side]);
    while (compare.opened > 0)
        hs_pose_app_finish(&compare.apps[--compare.opened]);
    hs_series_finish(&compare.box);
    hs_series_finish(&compare.points);
    hs_series_finish(&compare.similarity);
    return code;
}
