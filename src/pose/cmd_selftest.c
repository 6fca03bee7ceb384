/* What this machine has, whether the model runs on it, and what to do where something is missing. */
#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pose/commands.h"
#include "service/figure.h"
#include "service/hailo.h"
#include "service/selftest.h"
#include "vision/coco_pose.h"

/* The figure's own points are this far off at most, in fractions of its height; its limbs are about as thick. */
static const float tolerance = .06f;

/* How far the found points are from where they were drawn, in fractions of the figure's height. */
static float worst_distance(const struct hs_pose_result *result)
{
    const struct hs_keypoint *points = hs_pose_list_keypoints(&result->people, 0);
    float worst = 0;
    for (int i = 0; i < hs_figure_point_count; i++) {
        const struct hs_figure_point *drawn = &hs_figure_points[i];
        float d = hypotf(points[drawn->keypoint].x - drawn->x, points[drawn->keypoint].y - drawn->y);
        worst = d > worst ? d : worst;
    }
    return worst / HS_FIGURE_H;
}

static void judge_picture(struct hs_selftest *test, const struct hs_pose_app *app, const struct hs_pose_result *result)
{
    const char *device = result->runner->device;
    double ms = result->timings.inference_ms;
    if (result->people.count != 1) {
        hs_selftest_add(test, "picture", false,
                        "the model file may be damaged or not a pose model: run 'models verify'",
                        "%zu people found where one is drawn (%s, %.1f ms)", result->people.count, device, ms);
    } else if (hs_model_pool_first(app->pool)->choice.pack->keypoint_count == HS_COCO_KEYPOINTS &&
               worst_distance(result) > tolerance) {
        hs_selftest_add(test, "picture", false, "the device computes wrongly, or the model was not trained on people",
                        "keypoints are up to %.0f %% of the picture's height away from where they are drawn (%s)",
                        (double) (100 * worst_distance(result)), device);
    } else {
        hs_selftest_add(test, "picture", true, NULL, "one person found with score %.2f, network %.1f ms on %s",
                        (double) result->people.poses[0].score, ms, device);
    }
}

static void check_picture(struct hs_selftest *test, const struct hs_pose_app *app)
{
    struct hs_error err;
    struct hs_image *image;
    struct hs_pose_result result;
    struct hs_pose_params params = hs_pose_app_params(app);
    if (hs_figure_draw(&image, &err) < 0) {
        hs_selftest_add(test, "picture", false, "free some memory", "%s", err.message);
        return;
    }
    hs_pose_result_init(&result);
    if (hs_pose_detect_image(&app->pipeline, app->pool, image, &params, HS_NO_DEADLINE, NULL, &result, &err) < 0)
        hs_selftest_add(test, "picture", false, "see the message; the log of the device's driver may say more", "%s",
                        err.message);
    else if (hs_model_runner_is_simulated(hs_model_pool_first(app->pool)))
        hs_selftest_add(test, "picture", true, NULL, "the scripted device answered with %zu people",
                        result.people.count);
    else
        judge_picture(test, app, &result);
    hs_pose_result_finish(&result);
    hs_image_destroy(image);
}

static void check_hailo(struct hs_selftest *test, const struct hs_pose_settings *s)
{
    static const enum hs_task tasks[] = { HS_TASK_POSE };
    const struct hs_hailo_settings hailo = {
        .inference = &s->inference, .policy = &s->device, .model = &s->model, .service = hs_pose_schema.program,
        .tasks = tasks, .task_count = HS_ARRAY_LEN(tasks),
    };
    hs_hailo_selftest(test, &hailo);
}

static void check_app(struct hs_selftest *test, struct hs_settings *settings)
{
    check_hailo(test, hs_settings_values(settings));
    struct hs_pose_app app;
    struct hs_error err;
    int64_t start = hs_clock_now_ns();
    if (hs_pose_app_init(&app, settings, &err) < 0) {
        hs_selftest_add(test, "models", false,
                        "'models pull' brings the default model, 'models list' shows all of them", "%s", err.message);
        return;
    }
    hs_selftest_add(test, "models", true, NULL, "%s in %s, hash verified", hs_model_pool_first(app.pool)->choice.pack->name,
                    hs_store_dir(app.store));
    if (hs_pose_app_load(&app, &err) < 0) {
        hs_selftest_add(test, "device", false,
                        "choose another with --set inference.device=…, or mend what the message names", "%s",
                        err.message);
    } else {
        hs_selftest_add_device(test, hs_model_pool_first(app.pool)->runner, "model",
                               hs_ns_to_ms(hs_clock_now_ns() - start) / 1000);
        check_picture(test, &app);
    }
    hs_pose_app_finish(&app);
}

static int load(const struct hs_invocation *call, struct hs_settings **ret_settings)
{
    return hs_pose_load_settings(call, NULL, 0, ret_settings);
}

int hs_pose_cmd_selftest(struct hs_invocation *call)
{
    static const struct hs_selftest_command command = { .load = load, .check = check_app };
    return hs_selftest_command_run(call, &command);
}
