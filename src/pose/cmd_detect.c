/* Pictures in, the API's JSON out, without a server. */
#include <stdio.h>

#include "base/mem.h"
#include "pose/annotate.h"
#include "pose/app.h"
#include "pose/response_json.h"
#include "service/answer.h"
#include "service/drawing.h"

struct detect {
    struct hs_invocation *call;
    const struct hs_pose_app *app;
    struct hs_drawing_target draw;
    bool lines; /* JSON lines, each with the picture's name */
};

static int write_drawing(const struct detect *d, const char *picture, const struct hs_pose_result *result,
                         struct hs_error *err)
{
    struct hs_buf out;
    hs_buf_init(&out, HS_DRAWING_MAX);
    int r = hs_pose_annotate(result, (float) d->app->settings->pose.keypoint_threshold, hs_drawing_format(&d->draw),
                             &out, err);
    if (r == 0)
        r = hs_drawing_save(&d->draw, picture, &out, err);
    hs_buf_finish(&out);
    return r;
}

static int print_answer(const struct detect *d, const char *picture, const struct hs_pose_result *result,
                        struct hs_error *err)
{
    json_t *more = d->lines ? json_pack("{s:s}", "file", picture) : NULL;
    struct hs_buf out;
    hs_buf_init(&out, HS_ANSWER_MAX);
    int r = hs_pose_response_write(d->app, result, (float) d->app->settings->pose.keypoint_threshold, more, &out);
    if (r == 0)
        printf("%.*s\n", (int) out.len, (const char *) out.data);
    hs_buf_finish(&out);
    json_decref(more);
    return r < 0 ? hs_answer_failed(r, err) : 0;
}

static int detect_file(const struct detect *d, const char *picture, struct hs_pose_result *result, struct hs_error *err)
{
    struct hs_pose_params params = hs_pose_app_params(d->app);
    params.keep_image = d->draw.path != NULL;
    int r = hs_pose_app_detect_file(d->app, picture, &params, result, err);
    if (r == 0)
        r = print_answer(d, picture, result, err);
    if (r == 0 && d->draw.path)
        r = write_drawing(d, picture, result, err);
    return r;
}

static int run(struct detect *d)
{
    const struct hs_text_list *pictures = &d->call->words;
    void *state;
    struct hs_pose_result result;
    int code = hs_app_start(d->call, NULL, 0, HS_APP_LOAD, &state);
    if (code != HS_EXIT_OK)
        return code;
    d->app = state;
    hs_pose_result_init(&result);
    for (size_t i = 0; i < pictures->count; i++) {
        struct hs_error err;
        if (detect_file(d, pictures->items[i], &result, &err) < 0)
            code = hs_invocation_fail(d->call, HS_EXIT_FAILURE, "%s", err.message);
    }
    hs_pose_result_finish(&result);
    hs_app_destroy(state);
    return code;
}

int hs_pose_cmd_detect(struct hs_invocation *call)
{
    struct detect d = { .call = call };
    bool json = false;
    const struct hs_option options[] = {
        hs_drawing_option(&d.draw, "also write the picture with people drawn in; a folder takes any number"),
        HS_FLAG("json", &json, "print the API's answer (the default)"),
        HS_FLAG("jsonl", &d.lines, "the same with the picture's name in it, a line a picture"),
    };
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), SIZE_MAX, &code))
        return code;
    if (call->words.count == 0)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "name at least one picture");
    if (!hs_drawing_target_settle(&d.draw, call->words.count))
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--draw must name an existing folder for several pictures");
    if (json && d.lines)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--json and --jsonl exclude each other");
    return run(&d);
}
