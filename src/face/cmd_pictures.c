/* Pictures in, the API's JSON out, without a server: detect, embed, recognize, compare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "face/commands.h"
#include "face/response_json.h"
#include "gallery/gallery.h"
#include "service/drawing.h"

struct pictures {
    struct hs_invocation *call;
    struct hs_face_app *app;
    struct hs_drawing_target draw; /* of detect and recognize */
};

/* Takes the reference; NULL means that there was no memory. */
static int print(json_t *answer, const char *path, struct hs_error *err)
{
    json_object_set_new(answer, "file", json_string(path));
    return hs_print_json(answer, HS_JSON_SORTED, err);
}

/* ---- drawing ---- */

enum { LABEL_SIZE = HS_GALLERY_NAME_MAX + 16, SHAPES = 1 + HS_FACE_LANDMARKS };

static const uint32_t known_color = 0x7ed957, other_color = 0xf0a033, plain_color = 0x33c3f0;

/* The entry of the face in the answer, which has none for faces without a vector; NULL: it has none. */
static const json_t *identity_of(const struct hs_face_result *result, size_t face, const json_t *answer)
{
    size_t place = 0;
    if (!answer || !result->faces[face].embedding)
        return NULL;
    for (size_t i = 0; i < face; i++)
        place += result->faces[i].embedding != NULL;
    return json_array_get(json_object_get(answer, "faces"), place);
}

static size_t add_face(const struct hs_face *face, const json_t *identity, struct hs_draw_shape *shapes,
                       char label[LABEL_SIZE])
{
    const char *name = json_string_value(json_object_get(identity, "identity"));
    bool known = name && strcmp(name, "Unknown") != 0;
    uint32_t color = !name ? plain_color : known ? known_color : other_color;
    if (known)
        snprintf(label, LABEL_SIZE, "%s  %.2f", name, json_number_value(json_object_get(identity, "match_score")));
    else
        snprintf(label, LABEL_SIZE, "%s%.2f", name ? "?  " : "", (double) face->score);
    size_t count = 0;
    shapes[count++] = (struct hs_draw_shape) {
        .kind = HS_DRAW_RECT,
        .x0 = face->box.x1,
        .y0 = face->box.y1,
        .x1 = face->box.x2,
        .y1 = face->box.y2,
        .color = color,
        .label = label,
    };
    for (int i = 0; face->has_landmarks && i < HS_FACE_LANDMARKS; i++)
        shapes[count++] = (struct hs_draw_shape) {
            .kind = HS_DRAW_CIRCLE,
            .x0 = face->landmarks[i].x,
            .y0 = face->landmarks[i].y,
            .size = 1.5f,
            .color = color,
        };
    return count;
}

/* Draws the faces on a copy of the picture, with the names that the answer gives them; NULL: with their scores. */
static int annotate(const struct hs_face_result *result, const struct hs_image *image, const json_t *answer,
                    enum hs_image_format format, struct hs_buf *out, struct hs_error *err)
{
    size_t room = result->count ? result->count : 1, count = 0;
    struct hs_draw_shape *shapes = calloc(room, SHAPES * sizeof(*shapes));
    char(*labels)[LABEL_SIZE] = calloc(room, LABEL_SIZE);
    int r = shapes && labels ? 0 : hs_error_set(err, HS_ENOMEM, "no memory to draw %zu faces", result->count);
    for (size_t i = 0; r == 0 && i < result->count; i++)
        count += add_face(&result->faces[i].face, identity_of(result, i, answer), shapes + count, labels[i]);
    if (r == 0)
        r = hs_drawing_encode(image, shapes, count, format, out, err);
    free(shapes);
    free(labels);
    return r;
}

/* Reads and decodes the picture again: the networks got it at their own size. */
static int draw(const struct pictures *p, const char *path, const struct hs_face_result *result, const json_t *answer,
                struct hs_error *err)
{
    const struct hs_image_options options = {
        .limits = p->app->pipeline.limits,
        .apply_exif = p->app->pipeline.apply_exif,
    };
    struct hs_image *image;
    struct hs_buf out;
    uint8_t *data;
    size_t len;
    int r = hs_file_read(path, options.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_image_decode(data, len, &options, &image, err);
    free(data);
    if (r < 0)
        return r;
    hs_buf_init(&out, HS_DRAWING_MAX);
    r = annotate(result, image, answer, hs_drawing_format(&p->draw), &out, err);
    if (r == 0)
        r = hs_drawing_save(&p->draw, path, &out, err);
    hs_buf_finish(&out);
    hs_image_destroy(image);
    return r;
}

/* ---- commands ---- */

static int detect(const struct pictures *p, const char *path, const struct hs_face_result *result, struct hs_error *err)
{
    int r = print(hs_face_detect_json(result, true), path, err);
    return r == 0 && p->draw.path ? draw(p, path, result, NULL, err) : r;
}

static int embed(const struct pictures *p, const char *path, const struct hs_face_result *result, struct hs_error *err)
{
    const struct hs_face_found *best = hs_face_best(result);
    (void) p;
    return best ? print(hs_face_embed_json(best, result), path, err)
                : hs_error_set(err, HS_ENOTFOUND, "%s: No face detected", path);
}

static int recognize(const struct pictures *p, const char *path, const struct hs_face_result *result,
                     struct hs_error *err)
{
    const struct hs_face_recognize how = hs_face_recognize_default(p->app);
    json_t *answer = hs_face_recognize_json(p->app, result, &how, err);
    if (!answer)
        return err->code;
    int r = print(json_incref(answer), path, err);
    if (r == 0 && p->draw.path)
        r = draw(p, path, result, answer, err);
    json_decref(answer);
    return r;
}

static int compare(const struct pictures *p, const struct hs_face_request *request, struct hs_error *err)
{
    const char *const *paths = p->call->words.items;
    struct hs_face_result a, b = { 0 };
    int r = hs_face_app_find_file(p->app, paths[0], request, &a, err);
    if (r == 0)
        r = hs_face_app_find_file(p->app, paths[1], request, &b, err);
    if (r == 0) {
        const struct hs_face_found *one = hs_face_best(&a), *two = hs_face_best(&b);
        r = one && two ? print(hs_face_compare_json(p->app, one, &a, two, &b), paths[0], err)
                       : hs_error_set(err, HS_ENOTFOUND, "%s: No face detected", paths[one ? 1 : 0]);
    }
    hs_face_result_finish(&a);
    hs_face_result_finish(&b);
    return r;
}

static int run(struct pictures *p)
{
    const char *name = p->call->command->name;
    bool detects = strcmp(name, "detect") == 0, recognizes = strcmp(name, "recognize") == 0;
    bool compares = strcmp(name, "compare") == 0;
    struct hs_error err;
    int code = hs_face_start(p->call, recognizes, &p->app);
    if (code != HS_EXIT_OK)
        return code;
    struct hs_face_request request = hs_face_app_request(p->app);
    request.embed = !detects;
    request.large |= !detects && !recognizes;
    if (compares && compare(p, &request, &err) < 0)
        code = hs_invocation_fail(p->call, HS_EXIT_FAILURE, "%s", err.message);
    for (size_t i = 0; !compares && i < p->call->words.count; i++) {
        const char *path = p->call->words.items[i];
        struct hs_face_result result;
        int r = hs_face_app_find_file(p->app, path, &request, &result, &err);
        if (r == 0)
            r = (detects ? detect : recognizes ? recognize : embed)(p, path, &result, &err);
        hs_face_result_finish(&result);
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
