/* Pictures in, the API's JSON out, without a server: detect, embed, recognize, compare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "face/answer.h"
#include "face/commands.h"
#include "http/json_write.h"

enum { ANSWER_MAX = 64 << 20 };

struct look {
    struct hs_invocation *call;
    struct hs_face_app app;
    struct hs_text_list pictures;
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

static int detect(struct look *look, const char *path, struct hs_error *err)
{
    struct hs_face_result result;
    int r = find(look, path, false, &result, err);
    if (r == 0)
        r = print(hs_face_answer_detect(&result, true), path, err);
    hs_face_result_finish(&result);
    return r;
}

static int embed(struct look *look, const char *path, struct hs_error *err)
{
    struct hs_face_result result;
    int r = find(look, path, true, &result, err);
    const struct hs_face_found *best = r == 0 ? hs_face_best(&result) : NULL;
    if (r == 0)
        r = best ? print(hs_face_answer_embed(&look->app, best, &result), path, err)
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
    if (r == 0)
        r = answer ? print(answer, path, err) : err->code;
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
    const bool gallery = strcmp(look->call->command->name, "recognize") == 0;
    const struct hs_config_override without[] = { { "this command", "database.enabled", "false" } };
    struct hs_settings *settings;
    struct hs_error err;
    int code = hs_face_load_settings(look->call, without, gallery ? 0 : 1, &settings);
    if (code != HS_EXIT_OK)
        return code;
    if (hs_face_app_init(&look->app, settings, &err) < 0)
        return hs_invocation_fail(look->call, HS_EXIT_FAILURE, "%s", err.message);
    if (gallery && !look->app.gallery)
        code = hs_invocation_fail(look->call, HS_EXIT_FAILURE, "database.enabled is false");
    else
        code = run(look);
    hs_face_app_finish(&look->app);
    return code;
}

int hs_face_cmd_look(struct hs_invocation *call)
{
    struct look look = { .call = call };
    bool pair = strcmp(call->command->name, "compare") == 0;
    int code;
    if (hs_invocation_parse(call, NULL, 0, &look.pictures, pair ? 2 : SIZE_MAX, &code)) {
        if (look.pictures.count < (pair ? 2 : 1))
            code = hs_invocation_fail(call, HS_EXIT_USAGE, pair ? "name two pictures" : "name at least one picture");
        else
            code = start(&look);
    }
    hs_text_list_finish(&look.pictures);
    return code;
}
