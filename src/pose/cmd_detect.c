/* `detect`: runs pictures without a server. */
#include <stdlib.h>

#include "base/mem.h"
#include "pose/annotate.h"
#include "pose/app.h"
#include "pose/response_json.h"
#include "service/picture_report.h"
#include "service/response.h"
#include "service/response_warnings.h"
#include "vision/yolo_pose.h"

struct detect {
    struct hs_invocation *call;
    const struct hs_pose_app *app;
    struct hs_pose_params params;
    struct hs_pose_result result;
    struct hs_picture_report report;
    const char *model; /* --model, --max, --conf and --iou; NULL or negative: as configured */
    int64_t max;
    double confidence, iou;
};

static int write_drawing(const struct detect *d, size_t index, struct hs_error *err)
{
    struct hs_buf out;
    hs_buf_init(&out, HS_DRAWING_MAX);
    int r = hs_pose_annotate(&d->result, (float) d->app->settings->pose.keypoint_threshold, d->report.draw.format, &out,
                             err);
    if (r == 0)
        r = hs_drawing_save(&d->report.draw, index, &out, err);
    hs_buf_finish(&out);
    return r;
}

static int print_answer(struct detect *d, const char *picture, struct hs_error *err)
{
    const float threshold = (float) d->app->settings->pose.keypoint_threshold;
    json_t *more = hs_picture_report_name(&d->report, json_object(), picture);
    struct hs_buf out;
    hs_buf_init(&out, HS_RESPONSE_MAX);
    int r = more ? hs_pose_response_write(d->app, &d->result, threshold, more, &out) : HS_ENOMEM;
    if (r == 0)
        hs_picture_report_print(&d->report, &out);
    hs_buf_finish(&out);
    json_decref(more);
    return r < 0 ? hs_response_failed(r, err) : 0;
}

static void print_line(struct detect *d, const char *picture)
{
    const struct hs_pose_result *result = &d->result;
    json_t *warnings = hs_response_warn_damage(json_object(), "image", result->damage);
    const struct hs_picture_line line = {
        .path = picture,
        .width = result->width,
        .height = result->height,
        .count = result->people.count,
        .found = result->found,
        .details = "",
        .response = warnings,
        .device = result->runner->device,
        .ms = result->timings.total_ms,
    };
    hs_picture_report_line(&d->report, &line);
    json_decref(warnings);
}

static int detect_picture(void *arg, size_t index, struct hs_error *err)
{
    struct detect *d = arg;
    const char *picture = d->report.paths.items[index];
    struct hs_error why;
    uint8_t *data;
    size_t len;
    int r = hs_picture_read(picture, d->params.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_pose_detect(d->app->pool, data, len, &d->params, &d->result, &why);
    free(data);
    if (r < 0)
        return hs_error_set(err, r, "%s: %s", picture, why.message);
    if (d->report.lines)
        print_line(d, picture);
    else
        r = print_answer(d, picture, err);
    return r == 0 && d->report.draw.path ? write_drawing(d, index, err) : r;
}

static int run(struct detect *d)
{
    const struct hs_config_override model = { "--model", "model.name", d->model };
    void *state;
    int code = hs_app_start(d->call, &model, d->model ? 1 : 0, HS_APP_LOAD, &state);
    if (code != HS_EXIT_OK)
        return code;
    d->app = state;
    d->params = hs_pose_app_params(d->app);
    d->params.keep_image = d->report.draw.path != NULL;
    if (d->max >= 0)
        d->params.max_detections = (int) d->max;
    if (d->confidence >= 0)
        d->params.confidence_threshold = (float) d->confidence;
    if (d->iou >= 0)
        d->params.iou_threshold = (float) d->iou;
    hs_pose_result_init(&d->result);
    code = hs_picture_report_run(&d->report, d->report.paths.count, detect_picture, d);
    hs_pose_result_finish(&d->result);
    hs_app_destroy(state);
    return code;
}

int hs_pose_cmd_detect(struct hs_invocation *call)
{
    struct detect d = {
        .call = call,
        .report = { .one = "person", .many = "people" },
        .max = -1,
        .confidence = -1,
        .iou = -1,
    };
    const struct hs_option options[] = {
        HS_NUMBER("conf", &d.confidence, "SCORE", 0, 1,
                  "minimum score of a person (default: inference.confidence_threshold)"),
        HS_NUMBER("iou", &d.iou, "IOU", 0, 1,
                  "overlap above which two boxes are the same person (default: inference.iou_threshold)"),
        HS_INT("max", &d.max, "N", 0, HS_YOLO_POSE_MAX_DETECTIONS,
               "maximum number of people per picture (default: inference.max_detections)"),
        HS_TEXT("model", &d.model, "NAME", "pose model (default: model.name)"),
        HS_DRAWING_OPTION(&d.report.draw, "people"),
        HS_PICTURE_REPORT_OPTIONS(&d.report),
    };
    int code;
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    code = hs_picture_report_init(&d.report, call);
    if (code == HS_EXIT_OK)
        code = run(&d);
    hs_picture_report_finish(&d.report);
    return code;
}
