/* `compare-devices`: checks that a device finds the same people as another device. */
#include <math.h>

#include "base/mem.h"
#include "pose/app.h"
#include "service/compare_devices.h"
#include "vision/coco_eval.h"

/* Similarity of keypoints as COCO defines it (OKS); .95 is COCO's strictest threshold. */
static const double least_similarity = .95;
/* Mean part of a person's box that the person covers in COCO. */
static const double filled = .53;

/* Compares all people: with a smaller limit, rounding would decide which ones are cut. */
enum { PEOPLE_MAX = 300 };

struct compare {
    double least_oks, seen; /* least confidence of a compared keypoint */
    struct hs_pose_result found[HS_COMPARE_SIDES];
    struct hs_samples box, points, similarity;
};

/* ---- one picture ---- */

/* Adds the OKS of a person for whom the other side has at least one visible COCO keypoint. */
static int add_similarity(struct compare *compare, const struct hs_keypoint *device, const struct hs_pose *other,
                          const struct hs_keypoint *against, struct hs_error *err)
{
    struct hs_coco_truth truth = { .area = (double) hs_rect_area(&other->box) * filled };
    struct hs_coco_result result = { 0 };
    for (int k = 0; k < HS_COCO_KEYPOINTS; k++) {
        bool seen = (double) against[k].conf >= compare->seen;
        truth.keypoint_count += seen;
        truth.keypoints[3 * k] = (double) against[k].x;
        truth.keypoints[3 * k + 1] = (double) against[k].y;
        truth.keypoints[3 * k + 2] = seen ? 2 : 0;
        result.keypoints[3 * k] = (double) device[k].x;
        result.keypoints[3 * k + 1] = (double) device[k].y;
        result.keypoints[3 * k + 2] = 1;
    }
    if (truth.keypoint_count == 0)
        return 0;
    return hs_samples_add(&compare->similarity, hs_coco_similarity(&truth, &result), err);
}

static int match(void *arg, size_t i, size_t k, struct hs_error *err)
{
    struct compare *compare = arg;
    const struct hs_pose_list *device = &compare->found[HS_COMPARE_DEVICE].people,
                              *against = &compare->found[HS_COMPARE_AGAINST].people;
    const struct hs_keypoint *a = hs_pose_list_keypoints(device, i), *b = hs_pose_list_keypoints(against, k);
    int r = hs_samples_add(&compare->box, hs_compare_box_distance(&device->poses[i].box, &against->poses[k].box), err);
    for (int p = 0; p < against->keypoint_count && r == 0; p++)
        if ((double) b[p].conf >= compare->seen)
            r = hs_samples_add(&compare->points, (double) hypotf(a[p].x - b[p].x, a[p].y - b[p].y), err);
    if (r == 0 && against->keypoint_count == HS_COCO_KEYPOINTS)
        r = add_similarity(compare, a, &against->poses[k], b, err);
    return r;
}

static int run_picture(void *arg, void *const *states, const char *path, struct hs_boxes ret_boxes[HS_COMPARE_SIDES],
                       struct hs_error *err)
{
    struct compare *compare = arg;
    const struct hs_pose_app *against = states[HS_COMPARE_AGAINST];
    compare->seen = against->settings->pose.keypoint_threshold;
    for (int side = 0; side < HS_COMPARE_SIDES; side++) {
        const struct hs_pose_app *app = states[side];
        const struct hs_pose_list *people = &compare->found[side].people;
        struct hs_pose_params params = hs_pose_app_params(app);
        params.max_detections = PEOPLE_MAX;
        int r = hs_pose_app_detect_file(app, path, &params, &compare->found[side], err);
        if (r < 0)
            return r;
        ret_boxes[side] = (struct hs_boxes) {
            .first = people->count ? &people->poses[0].box : NULL,
            .count = people->count,
            .stride = sizeof(struct hs_pose),
        };
    }
    return 0;
}

/* ---- all pictures ---- */

static int report(void *arg, void *const *states, struct hs_compare_report *report, struct hs_error *err)
{
    struct compare *compare = arg;
    const struct hs_pose_app *against = states[HS_COMPARE_AGAINST];
    (void) err;
    hs_compare_report_numbers(report, "box_pixels", "box distance, px", &compare->box);
    hs_compare_report_numbers(report, "keypoint_pixels", "keypoint distance, px", &compare->points);
    hs_compare_report_numbers(report, "oks", "keypoint OKS", &compare->similarity);
    if (hs_model_pool_first(against->pool)->choice.pack->keypoint_count == HS_COCO_KEYPOINTS)
        hs_compare_report_check(report, "oks", "median OKS", hs_samples_summarize(&compare->similarity).median,
                                compare->least_oks);
    return 0;
}

static int run(struct hs_invocation *call)
{
    struct compare compare = { .least_oks = least_similarity };
    const struct hs_option options[] = {
        HS_NUMBER("least-oks", &compare.least_oks, "OKS", 0, 1,
                  "smallest median similarity of the keypoints, as COCO's OKS (default 0.95)"),
    };
    const struct hs_compare_command command = {
        .options = options,
        .option_count = HS_ARRAY_LEN(options),
        .what = "people",
        .one = "person",
        /* Both sides receive the picture in the model's full input shape, the only one that a HEF has. */
        .set = "inference.rectangular=false",
        .run = run_picture,
        .match = match,
        .report = report,
    };
    for (int side = 0; side < HS_COMPARE_SIDES; side++)
        hs_pose_result_init(&compare.found[side]);
    int code = hs_compare_command_run(call, &command, &compare);
    for (int side = 0; side < HS_COMPARE_SIDES; side++)
        hs_pose_result_finish(&compare.found[side]);
    hs_samples_finish(&compare.box);
    hs_samples_finish(&compare.points);
    hs_samples_finish(&compare.similarity);
    return code;
}

static const struct hs_example examples[] = {
    { "compare-devices .deps/samples/*.jpg --models .deps/models --device hailo",
      "Compare a Hailo with the processor" },
    { "compare-devices .deps/samples/bus.jpg --models .deps/models --device sim", "Try the report without a Hailo" },
};

const struct hs_command hs_pose_command_compare_devices = {
    .name = "compare-devices",
    .arguments = "PICTURE|FOLDER…",
    .summary = "Check that two devices find the same people",
    .run = run,
    HS_EXAMPLES(examples),
};
