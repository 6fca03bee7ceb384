/* Pictures in, the API's JSON out, without a server: detect, embed, recognize, compare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "face/annotate.h"
#include "face/answer.h"
#include "face/commands.h"
#include "http/json_write.h"
#include "service/drawing.h"

enum { ANSWER_MAX = 64 << 20 };

struct look {
    struct hs_invocation *call;
    struct hs_face_app app;
    struct hs_text_list pictures;
    struct hs_drawing_target draw; /* of detect and recognize */
};

static int find(struct look *look, const char *path, bool embed, struct hs_face_result *ret, struct hs_error *err)
{
    const struct hs_face_section *s = &look->app.settings->face_recognition;
    const struct hs_face_request request = {
        .score_threshold = (float) s->detection_threshold, .max_faces = s->max_faces, .embed = embed,
        .tiny = s->tiny_faces,
    };
    uint8_t *data;
    size_t len;
    struct hs_error why;
    *ret = (struct hs_face_result) { 0 };
    int r = hs_file_read(path, look->app.pipeline.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_face_find(&look->app.pipeline, data, len, &request, HS_NO_DEADLINE, NULL, ret, &why);
    free(data);
    return r < 0 ? hs_error_set(err, r, "%s: %s", path, why.message) : 0;
}

/* Takes the reference; NULL means that there was no memory. */
static int print(json_t *answer, const char *picture, struct hs_error *err)
{
    struct hs_buf out;
    hs_buf_init(&out, ANSWER_MAX);
    int r = answer ? json_object_set_new(answer, "file", json_string(picture)) : -1;
    r = r == 0 ? hs_json_write(answer, HS_JSON_SORTED, &out) : HS_ENOMEM;
    if (r == 0)
        fwrite(out.data, 1, out.len, stdout);
    hs_buf_finish(&out);
    json_decref(answer);
    return r < 0 ? hs_error_set(err, r, "%s: the answer could not be written", picture) : 0;
}

/* The whole picture once more: the networks saw it at their own size. */
static int decode(const struct look *look, const char *path, struct hs_image **ret_image, struct hs_error *err)
{
    const struct hs_image_options options = {
        .limits = look->app.pipeline.limits, .apply_exif = look->app.pipeline.apply_exif,
    };
    uint8_t *data;
    size_t len;
    int r = hs_file_read(path, options.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_image_decode(data, len, &options, ret_image, err);
    free(data);
    return r;
}

static int draw(const struct look *look, const char *path, const struct hs_face_result *result, const json_t *answer,
                struct hs_error *err)
{
    struct hs_image *image;
    int r = decode(look, path, &image, err);
    if (r < 0)
        return r;
    struct hs_buf out;
    hs_buf_init(&out, HS_DRAWING_MAX);
    r = hs_face_annotate(result, image, answer, hs_drawing_format(&look->draw), &out, err);
    if (r == 0)
        r = hs_drawing_save(&look->draw, path, &out, err);
    hs_buf_finish(&out);
    hs_image_destroy(image);
    return r;
}

static int detect(struct look *look, const char *path, struct hs_error *err)
{
    struct hs_face_result result;
    int r = find(look, path, false, &result, err);
    if (r == 0)
        r = print(hs_face_answer_detect(&result, true), path, err);
    if (r == 0 && look->draw.path)
        r = draw(look, path, &result, NULL, err);
    hs_face_result_finish(&result);
    return r;
}

static int embed(struct look *look, const char *path, struct hs_error *err)
{
    struct hs_face_result result;
    int r = find(look, path, true, &result, err);
    const struct hs_face_found *best = r == 0 ? hs_face_best(&result) : NULL;
    if (r == 0)
        r = best ? print(hs_face_answer_embed(best, &result), path, err)
                 : hs_error_set(err, HS_ENOTFOUND, "%s: No face detected", path);
    hs_face_result_finish(&result);
    return r;
}

static int recognize(struct look *look, const char *path, struct hs_error *err)
{
    const struct hs_face_recognize how = hs_face_recognize_default(&look->app);
    struct hs_face_result result;
    int r = find(look, path, true, &result, err);
    json_t *answer = r == 0 ? hs_face_answer_recognize(&look->app, &result, &how, err) : NULL;
    if (r == 0 && !answer)
        r = err->code;
    if (r == 0 && look->draw.path)
        r = draw(look, path, &result, answer, err);
    if (r == 0)
        r = print(json_incref(answer), path, err);
    json_decref(answer);
    hs_face_result_finish(&result);
    return r;
}

static int each(struct look *look, int (*look_at)(struct look *, const char *, struct hs_error *))
{
    int code = HS_EXIT_OK;
    for (size_t i = 0; i < look->pictures.count; i++) {
        struct hs_error err;
        if (look_at(look, look->pictures.items[i], &err) < 0)
            code = hs_invocation_fail(look->call, HS_EXIT_FAILURE, "%s", err.message);
    }
    return code;
}

static int compare(struct look *look)
{
    struct hs_face_result a, b = { 0 };
    struct hs_error err;
    const char *first = look->pictures.items[0], *second = look->pictures.items[1];
    int r = find(look, first, true, &a, &err);
    if (r == 0)
        r = find(look, second, true, &b, &err);
    if (r == 0) {
        const struct hs_face_found *one = hs_face_best(&a), *two = hs_face_best(&b);
        r = one && two ? print(hs_face_answer_compare(&look->app, one, &a, two, &b), first, &err)
                       : hs_error_set(&err, HS_ENOTFOUND, "%s: No face detected", one ? second : first);
    }
    hs_face_result_finish(&a);
    hs_face_result_finish(&b);
    return r < 0 ? hs_invocation_fail(look->call, HS_EXIT_FAILURE, "%s", err.message) : HS_EXIT_OK;
}

static int run(struct look *look)
{
    const char *name = look->call->command->name;
    if (strcmp(name, "detect") == 0)
        return each(look, detect);
    if (strcmp(name, "embed") == 0)
        return each(look, embed);
    return strcmp(name, "recognize") == 0 ? each(look, recognize) : compare(look);
}

/* Only recognize needs the gallery. */
static int start(struct look *look)
{
    int code = hs_face_start_app(look->call, strcmp(look->call->command->name, "recognize") == 0, &look->app);
    if (code != HS_EXIT_OK)
        return code;
    code = run(look);
    hs_face_app_finish(&look->app);
    return code;
}

int hs_face_cmd_look(struct hs_invocation *call)
{
    struct look look = { .call = call };
    const char *name = call->command->name;
    bool pair = strcmp(name, "compare") == 0, draws = strcmp(name, "detect") == 0 || strcmp(name, "recognize") == 0;
    const struct hs_option options[] = {
        hs_drawing_option(&look.draw, "also write the picture with faces drawn in; a folder takes any number"),
    };
    int code;
    if (hs_invocation_parse(call, options, draws, &look.pictures, pair ? 2 : SIZE_MAX, &code)) {
        if (!hs_drawing_target_settle(&look.draw, look.pictures.count))
            code = hs_invocation_fail(call, HS_EXIT_USAGE, "--draw must name an existing folder for several pictures");
        else if (look.pictures.count < (pair ? 2 : 1))
            code = hs_invocation_fail(call, HS_EXIT_USAGE, pair ? "name two pictures" : "name at least one picture");
        else
            code = start(&look);
    }
    hs_text_list_finish(&look.pictures);
    return code;
}
