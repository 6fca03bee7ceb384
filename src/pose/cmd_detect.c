/* Pictures in, the API's JSON out, without a server. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/json_write.h"
#include "pose/annotate.h"
#include "pose/answer.h"
#include "pose/commands.h"

enum { ANSWER_MAX = 64 << 20 };

struct detect {
    struct hs_invocation *call;
    const struct hs_pose_app *app;
    const char *draw;
    bool draw_into_folder;
    bool lines; /* JSON lines, each with the picture's name */
};

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* DIR/name.jpg for a folder, else the file itself. */
static bool drawn_path(const struct detect *d, const char *picture, char *dst, size_t size)
{
    if (!d->draw_into_folder)
        return hs_str_copy(dst, size, d->draw);
    char name[NAME_MAX + 1];
    const char *base = hs_path_base(picture), *dot = strrchr(base, '.');
    size_t stem = dot && dot > base ? (size_t) (dot - base) : strlen(base);
    return hs_str_format(name, sizeof(name), "%.*s.jpg", (int) stem, base) && hs_path_join(dst, size, d->draw, name);
}

static int write_drawing(const struct detect *d, const char *picture, const struct hs_pose_result *result,
                         struct hs_error *err)
{
    char path[PATH_MAX];
    if (!drawn_path(d, picture, path, sizeof(path)))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", d->draw);
    enum hs_image_format format = hs_str_ends(path, ".png") ? HS_IMAGE_PNG : HS_IMAGE_JPEG;
    struct hs_buf out;
    hs_buf_init(&out, HS_POSE_ANNOTATED_MAX);
    int r = hs_pose_annotate(result, d->app->network.choice.pack, (float) d->app->settings->pose.keypoint_threshold,
                             format, &out, err);
    if (r == 0)
        r = hs_file_write_atomic(path, out.data, out.len, 0644, err);
    hs_buf_finish(&out);
    return r;
}

static int print_answer(const struct detect *d, const char *picture, const struct hs_pose_result *result,
                        struct hs_error *err)
{
    const struct hs_pose_answer_options options = {
        .pack = d->app->network.choice.pack,
        .model = d->app->network.model,
        .keypoint_threshold = (float) d->app->settings->pose.keypoint_threshold,
        .skeleton = d->app->settings->pose.skeleton_connections,
    };
    json_t *answer = hs_pose_answer(result, &options);
    if (answer && d->lines && json_object_set_new(answer, "file", json_string(picture)) < 0) {
        json_decref(answer);
        answer = NULL;
    }
    if (!answer)
        return hs_error_set(err, HS_ENOMEM, "no memory for the answer");
    struct hs_buf out;
    hs_buf_init(&out, ANSWER_MAX);
    int r = hs_json_write(answer, HS_JSON_SPACED, &out);
    json_decref(answer);
    if (r == 0)
        printf("%.*s\n", (int) out.len, (const char *) out.data);
    hs_buf_finish(&out);
    return r < 0 ? hs_error_set(err, r, "the answer could not be written") : 0;
}

static int detect_file(const struct detect *d, const char *picture, struct hs_pose_result *result, struct hs_error *err)
{
    uint8_t *data;
    size_t len;
    struct hs_pose_params params = hs_pose_app_params(d->app);
    params.keep_image = d->draw != NULL;
    int r = hs_file_read(picture, d->app->pipeline.options.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    struct hs_error why;
    r = hs_pose_detect(&d->app->pipeline, data, len, &params, HS_NO_DEADLINE, NULL, result, &why);
    free(data);
    if (r < 0)
        return hs_error_set(err, r, "%s: %s", picture, why.message);
    r = print_answer(d, picture, result, err);
    if (r == 0 && d->draw)
        r = write_drawing(d, picture, result, err);
    return r;
}

static int run(struct detect *d, const struct hs_text_list *pictures)
{
    struct hs_pose_app app;
    int code = hs_pose_start_app(d->call, &app);
    if (code != HS_EXIT_OK)
        return code;
    d->app = &app;
    struct hs_pose_result result;
    hs_pose_result_init(&result);
    for (size_t i = 0; i < pictures->count; i++) {
        struct hs_error err;
        if (detect_file(d, pictures->items[i], &result, &err) < 0)
            code = hs_invocation_fail(d->call, HS_EXIT_FAILURE, "%s", err.message);
    }
    hs_pose_result_finish(&result);
    hs_pose_app_finish(&app);
    return code;
}

int hs_pose_cmd_detect(struct hs_invocation *call)
{
    struct detect d = { .call = call };
    bool json = false;
    const struct hs_option options[] = {
        { .name = "draw", .kind = HS_OPTION_TEXT, .target = &d.draw, .value = "FILE|DIR",
          .help = "also write the picture with people drawn in; a folder takes any number" },
        { .name = "json", .kind = HS_OPTION_FLAG, .target = &json, .help = "print the API's answer (the default)" },
        { .name = "jsonl", .kind = HS_OPTION_FLAG, .target = &d.lines,
          .help = "the same with the picture's name in it, a line a picture" },
    };
    struct hs_text_list pictures = { 0 };
    int code;
    if (hs_invocation_parse(call, options, HS_ARRAY_LEN(options), &pictures, SIZE_MAX, &code)) {
        d.draw_into_folder = d.draw && is_folder(d.draw);
        if (pictures.count == 0)
            code = hs_invocation_fail(call, HS_EXIT_USAGE, "name at least one picture");
        else if (d.draw && pictures.count > 1 && !d.draw_into_folder)
            code = hs_invocation_fail(call, HS_EXIT_USAGE, "--draw must name an existing folder for several pictures");
        else if (json && d.lines)
            code = hs_invocation_fail(call, HS_EXIT_USAGE, "--json and --jsonl exclude each other");
        else
            code = run(&d, &pictures);
    }
    hs_text_list_finish(&pictures);
    return code;
}
