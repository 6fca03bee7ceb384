/* `detect`: runs pictures without a server and prints the API's JSON. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pose/annotate.h"
#include "pose/app.h"
#include "pose/response_json.h"
#include "service/answer.h"
#include "service/drawing.h"
#include "service/picture_files.h"
#include "vision/yolo_pose.h"

struct detect {
    struct hs_invocation *call;
    const struct hs_pose_app *app;
    struct hs_drawing_target draw;
    struct hs_picture_answers answers;
    int64_t max; /* --max and --conf; negative: as configured */
    double confidence;
};

static int write_drawing(const struct detect *d, size_t index, const struct hs_pose_result *result,
                         struct hs_error *err)
{
    struct hs_buf out;
    hs_buf_init(&out, HS_DRAWING_MAX);
    int r = hs_pose_annotate(result, (float) d->app->settings->pose.keypoint_threshold, d->draw.format, &out, err);
    if (r == 0)
        r = hs_drawing_save(&d->draw, index, &out, err);
    hs_buf_finish(&out);
    return r;
}

static int print_answer(const struct detect *d, const char *picture, const struct hs_pose_result *result,
                        struct hs_error *err)
{
    json_t *more = hs_picture_answers_name(&d->answers, json_object(), picture);
    struct hs_buf out;
    hs_buf_init(&out, HS_ANSWER_MAX);
    int r = more ? hs_pose_response_write(d->app, result, (float) d->app->settings->pose.keypoint_threshold, more, &out)
                 : HS_ENOMEM;
    if (r == 0)
        printf("%.*s", (int) out.len, (const char *) out.data);
    hs_buf_finish(&out);
    json_decref(more);
    return r < 0 ? hs_answer_failed(r, err) : 0;
}

static int detect_picture(const struct detect *d, size_t index, struct hs_pose_result *result, struct hs_error *err)
{
    const char *picture = d->call->words.items[index];
    struct hs_pose_params params = hs_pose_app_params(d->app);
    struct hs_error why;
    uint8_t *data;
    size_t len;
    params.keep_image = d->draw.path != NULL;
    if (d->max >= 0)
        params.max_detections = (int) d->max;
    if (d->confidence >= 0)
        params.confidence_threshold = (float) d->confidence;
    int r = hs_picture_read(picture, params.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_pose_detect(d->app->pool, data, len, &params, result, &why);
    free(data);
    if (r < 0)
        return hs_error_set(err, r, "%s: %s", picture, why.message);
    r = print_answer(d, picture, result, err);
    return r == 0 && d->draw.path ? write_drawing(d, index, result, err) : r;
}

static int run(struct detect *d)
{
    void *state;
    struct hs_pose_result result;
    int code = hs_app_start(d->call, NULL, 0, HS_APP_LOAD, &state);
    if (code != HS_EXIT_OK)
        return code;
    d->app = state;
    hs_pose_result_init(&result);
    for (size_t i = 0; i < d->call->words.count; i++) {
        struct hs_error err;
        if (detect_picture(d, i, &result, &err) < 0)
            code = hs_invocation_fail(d->call, HS_EXIT_FAILURE, "%s", err.message);
    }
    hs_pose_result_finish(&result);
    hs_app_destroy(state);
    return code;
}

int hs_pose_cmd_detect(struct hs_invocation *call)
{
    struct detect d = { .call = call, .max = -1, .confidence = -1 };
    const struct hs_option options[] = {
        HS_DRAWING_OPTION(&d.draw, "people"),
        HS_PICTURE_ANSWERS_OPTIONS(&d.answers),
        HS_INT("max", &d.max, "N", 0, HS_YOLO_POSE_MAX_DETECTIONS,
               "most people of a picture; wins over inference.max_detections"),
        HS_NUMBER("conf", &d.confidence, "SCORE", 0, 1,
                  "least score of a person; wins over inference.confidence_threshold"),
    };
    struct hs_error err;
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), SIZE_MAX, &code))
        return code;
    if (call->words.count == 0)
        return hs_invocation_usage(call);
    if (!hs_picture_answers_settle(&d.answers, call, false, &code))
        return code;
    if (hs_drawing_target_settle(&d.draw, &call->words, &err) == 0)
        code = run(&d);
    else
        code = hs_invocation_fail(call, HS_EXIT_USAGE, "%s", err.message);
    hs_drawing_target_finish(&d.draw);
    return code;
}
