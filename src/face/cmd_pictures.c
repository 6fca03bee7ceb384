/* Pictures in, the API's JSON out, without a server: detect, embed, recognize, compare. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "face/annotate.h"
#include "face/answer.h"
#include "face/commands.h"
#include "service/drawing.h"

struct pictures {
    struct hs_invocation *call;
    struct hs_face_app *app;
    struct hs_drawing_target draw; /* of detect and recognize */
};

/* A picture, and what was found in it. */
struct picture {
    const char *path;
    uint8_t *data;
    size_t len;
    struct hs_face_result result;
};

/* The caller frees it with finish, also after a failure. */
static int find(const struct hs_face_app *app, const char *path, bool embed, struct picture *ret, struct hs_error *err)
{
    const struct hs_face_section *s = &app->settings->face_recognition;
    const struct hs_face_request request = {
        .score_threshold = (float) s->detection_threshold, .max_faces = s->max_faces, .embed = embed,
        .tiny = s->tiny_faces,
    };
    struct hs_error why;
    *ret = (struct picture) { .path = path };
    int r = hs_file_read(path, app->pipeline.limits.max_bytes, &ret->data, &ret->len, err);
    if (r < 0)
        return r;
    r = hs_face_find(&app->pipeline, ret->data, ret->len, &request, HS_NO_DEADLINE, NULL, &ret->result, &why);
    return r < 0 ? hs_error_set(err, r, "%s: %s", path, why.message) : 0;
}

static void finish(struct picture *picture)
{
    hs_face_result_finish(&picture->result);
    free(picture->data);
}

/* Takes the reference; NULL means that there was no memory. */
static int print(json_t *answer, const char *path, struct hs_error *err)
{
    json_object_set_new(answer, "file", json_string(path));
    return hs_print_json(answer, HS_JSON_SORTED, err);
}

/* Decodes the picture again: the networks got it at their own size. */
static int draw(const struct pictures *p, const struct picture *picture, const json_t *answer, struct hs_error *err)
{
    const struct hs_image_options options = {
        .limits = p->app->pipeline.limits, .apply_exif = p->app->pipeline.apply_exif,
    };
    struct hs_image *image;
    struct hs_buf out;
    int r = hs_image_decode(picture->data, picture->len, &options, &image, err);
    if (r < 0)
        return r;
    hs_buf_init(&out, HS_DRAWING_MAX);
    r = hs_face_annotate(&picture->result, image, answer, hs_drawing_format(&p->draw), &out, err);
    if (r == 0)
        r = hs_drawing_save(&p->draw, picture->path, &out, err);
    hs_buf_finish(&out);
    hs_image_destroy(image);
    return r;
}

static int detect(const struct pictures *p, struct picture *picture, struct hs_error *err)
{
    int r = print(hs_face_answer_detect(&picture->result, true), picture->path, err);
    return r == 0 && p->draw.path ? draw(p, picture, NULL, err) : r;
}

static int embed(const struct pictures *p, struct picture *picture, struct hs_error *err)
{
    const struct hs_face_found *best = hs_face_best(&picture->result);
    (void) p;
    return best ? print(hs_face_answer_embed(best, &picture->result), picture->path, err)
                : hs_error_set(err, HS_ENOTFOUND, "%s: No face detected", picture->path);
}

static int recognize(const struct pictures *p, struct picture *picture, struct hs_error *err)
{
    const struct hs_face_recognize how = hs_face_recognize_default(p->app);
    json_t *answer = hs_face_answer_recognize(p->app, &picture->result, &how, err);
    if (!answer)
        return err->code;
    int r = print(json_incref(answer), picture->path, err);
    if (r == 0 && p->draw.path)
        r = draw(p, picture, answer, err);
    json_decref(answer);
    return r;
}

static int compare(const struct pictures *p, struct hs_error *err)
{
    struct picture a, b = { 0 };
    int r = find(p->app, p->call->words.items[0], true, &a, err);
    if (r == 0)
        r = find(p->app, p->call->words.items[1], true, &b, err);
    if (r == 0) {
        const struct hs_face_found *one = hs_face_best(&a.result), *two = hs_face_best(&b.result);
        r = one && two ? print(hs_face_answer_compare(p->app, one, &a.result, two, &b.result), a.path, err)
                       : hs_error_set(err, HS_ENOTFOUND, "%s: No face detected", one ? b.path : a.path);
    }
    finish(&a);
    finish(&b);
    return r;
}

static int run(struct pictures *p)
{
    const char *name = p->call->command->name;
    bool detects = strcmp(name, "detect") == 0, recognizes = strcmp(name, "recognize") == 0;
    struct hs_error err;
    int code = hs_face_start(p->call, recognizes, &p->app);
    if (code != HS_EXIT_OK)
        return code;
    if (strcmp(name, "compare") == 0 && compare(p, &err) < 0)
        code = hs_invocation_fail(p->call, HS_EXIT_FAILURE, "%s", err.message);
    for (size_t i = 0; strcmp(name, "compare") != 0 && i < p->call->words.count; i++) {
        struct picture picture;
        int r = find(p->app, p->call->words.items[i], !detects, &picture, &err);
        if (r == 0)
            r = detects ? detect(p, &picture, &err) : recognizes ? recognize(p, &picture, &err)
                                                                 : embed(p, &picture, &err);
        finish(&picture);
        if (r < 0)
            code = hs_invocation_fail(p->call, HS_EXIT_FAILURE, "%s", err.message);
    }
    hs_app_destroy(p->app);
    return code;
}

int hs_face_cmd_pictures(struct hs_invocation *call)
{
    struct pictures p = { .call = call };
    const char *name = call->command->name;
    bool pair = strcmp(name, "compare") == 0, draws = strcmp(name, "detect") == 0 || strcmp(name, "recognize") == 0;
    const struct hs_option options[] = {
        hs_drawing_option(&p.draw, "also write the picture with faces drawn in; a folder takes any number"),
    };
    int code;
    if (!hs_invocation_parse(call, options, draws, pair ? 2 : SIZE_MAX, &code))
        return code;
    if (!hs_drawing_target_settle(&p.draw, call->words.count))
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--draw must name an existing folder for several pictures");
    if (call->words.count < (pair ? 2 : 1))
        return hs_invocation_fail(call, HS_EXIT_USAGE, pair ? "name two pictures" : "name at least one picture");
    return run(&p);
}
