/* The picture check of `selftest`: exactly one person must be found in the drawing. */
#include <math.h>

#include "base/str.h"
#include "pose/app.h"
#include "service/test_image.h"
#include "vision/coco_pose.h"

/* Allowed distance of a keypoint, as a fraction of the picture's height; the drawn limbs are about as thick. */
static const float tolerance = .06f;

/* Returns the largest distance between a keypoint found and the drawn one, as a fraction of the picture's height. */
static float worst_distance(const struct hs_pose_result *result)
{
    const struct hs_keypoint *points = hs_pose_list_keypoints(&result->people, 0);
    float worst = 0;
    for (int i = 0; i < hs_test_image_point_count; i++) {
        const struct hs_test_image_point *drawn = &hs_test_image_points[i];
        float d = hypotf(points[drawn->keypoint].x - drawn->x, points[drawn->keypoint].y - drawn->y);
        worst = d > worst ? d : worst;
    }
    return worst / HS_TEST_IMAGE_H;
}

static void check_result(struct hs_selftest *test, const struct hs_pose_app *app, const struct hs_pose_result *result)
{
    const char *device = result->runner->device;
    double ms = result->timings.inference_ms;
    char people[HS_COUNT_SIZE];
    if (result->people.count != 1) {
        hs_selftest_add(test, "picture", false,
                        "the model file may be damaged or not a pose model: run 'models verify'",
                        "%s found where 1 is drawn (%s, %.1f ms)",
                        hs_str_count(people, (int64_t) result->people.count, "person", "people"), device, ms);
    } else if (hs_model_pool_first(app->pool)->choice.pack->keypoint_count == HS_COCO_KEYPOINTS &&
               worst_distance(result) > tolerance) {
        hs_selftest_add(test, "picture", false, "the device computes wrongly, or the model was not trained on people",
                        "keypoints are up to %.0f %% of the picture's height away from where they are drawn (%s)",
                        (double) (100 * worst_distance(result)), device);
    } else {
        hs_selftest_add(test, "picture", true, NULL, "1 person found with score %.2f; inference took %.1f ms on %s",
                        (double) result->people.poses[0].score, ms, device);
    }
}

int hs_pose_check_picture(struct hs_selftest *test, const void *state, const struct hs_buf *picture,
                          struct hs_error *err)
{
    const struct hs_pose_app *app = state;
    const struct hs_pose_params params = hs_pose_app_params(app);
    struct hs_pose_result result;
    char people[HS_COUNT_SIZE];
    hs_pose_result_init(&result);
    int r = hs_pose_detect(app->pool, picture->data, picture->len, &params, &result, err);
    if (r == 0 && hs_model_runner_is_simulated(hs_model_pool_first(app->pool)))
        hs_selftest_add(test, "picture", true, NULL, "the scripted device found %s",
                        hs_str_count(people, (int64_t) result.people.count, "person", "people"));
    else if (r == 0)
        check_result(test, app, &result);
    hs_pose_result_finish(&result);
    return r;
}
