/* `detect`, `embed`, `recognize`, `compare`: read pictures and print the API's JSON, without a server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "face/commands.h"
#include "face/response_json.h"
#include "gallery/gallery.h"
#include "service/drawing.h"
#include "service/picture_files.h"
#include "vision/face_heads.h"

struct pictures {
    struct hs_invocation *call;
    struct hs_face_app *app;
    struct hs_drawing_target draw; /* for detect and recognize */
    struct hs_picture_answers answers;
    int64_t max; /* --max and --conf of detect and recognize; negative: as configured */
    double confidence;
};

/* A picture and the faces found in it. */
struct picture {
    const char *path;
    size_t index;
    uint8_t *data;
    size_t len;
    struct hs_face_result result;
};

/* Finds the faces in a picture. The caller frees the content with picture_finish, also after a failure. */
static int picture_init(struct picture *picture, const struct pictures *p, size_t index,
                        const struct hs_face_request *request, struct hs_error *err)
{
    struct hs_error why;
    *picture = (struct picture) { .path = p->call->words.items[index], .index = index };
    int r = hs_picture_read(picture->path, p->app->pipeline.limits.max_bytes, &picture->data, &picture->len, err);
    if (r < 0)
        return r;
    r = hs_face_find(&p->app->pipeline, picture->data, picture->len, request, HS_NO_DEADLINE, NULL, &picture->result,
                     &why);
    return r < 0 ? hs_error_set(err, r, "%s: %s", picture->path, why.message) : 0;
}

static void picture_finish(struct picture *picture)
{
    hs_face_result_finish(&picture->result);
    free(picture->data);
}

/* Prints a response. Takes `answer`; NULL: memory was short. */
static int print(const struct pictures *p, json_t *answer, const struct picture *picture, struct hs_error *err)
{
    return hs_picture_answers_print(&p->answers, answer, picture->path, HS_JSON_SORTED, err);
}

/* ---- drawing ---- */

enum { LABEL_SIZE = HS_GALLERY_NAME_MAX + 16, SHAPES = 1 + HS_FACE_LANDMARKS };

static const uint32_t known_color = 0x7ed957, other_color = 0xf0a033, plain_color = 0x33c3f0;

/* Returns the face's entry in the response; NULL if it has none, because it has no embedding. */
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
    shapes[count++] = hs_drawing_frame(&face->box, color, label);
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

/* Draws the faces over the picture, labelled with the names in `answer`, or with their scores if
 * that is NULL. */
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
        r = hs_drawing_encode(image, result->turn, shapes, count, format, out, err);
    free(shapes);
    free(labels);
    return r;
}

/* Decodes the picture again, because the networks received a scaled copy. */
static int draw(const struct pictures *p, const struct picture *picture, const json_t *answer, struct hs_error *err)
{
    const struct hs_image_options options = {
        .limits = p->app->pipeline.limits,
        .apply_exif = p->app->pipeline.apply_exif,
        .deadline_ns = HS_NO_DEADLINE,
    };
    struct hs_image *image;
    struct hs_buf out;
    int r = hs_image_decode(picture->data, picture->len, &options, &image, err);
    if (r < 0)
        return r;
    hs_buf_init(&out, HS_DRAWING_MAX);
    r = annotate(&picture->result, image, answer, p->draw.format, &out, err);
    if (r == 0)
        r = hs_drawing_save(&p->draw, picture->index, &out, err);
    hs_buf_finish(&out);
    hs_image_destroy(image);
    return r;
}

/* ---- commands ---- */

static int detect(const struct pictures *p, const struct picture *picture, struct hs_error *err)
{
    int r = print(p, hs_face_detect_json(&picture->result, true), picture, err);
    return r == 0 && p->draw.path ? draw(p, picture, NULL, err) : r;
}

static int embed(const struct pictures *p, const struct picture *picture, struct hs_error *err)
{
    const struct hs_face_found *best = hs_face_best(&picture->result);
    return best ? print(p, hs_face_embed_json(best, &picture->result), picture, err)
                : hs_error_set(err, HS_ENOTFOUND, "%s: No face detected", picture->path);
}

static int recognize(const struct pictures *p, const struct picture *picture, struct hs_error *err)
{
    const struct hs_face_recognize how = hs_face_recognize_default(p->app);
    json_t *answer = hs_face_recognize_json(p->app, &picture->result, &how, err);
    if (!answer)
        return err->code;
    int r = print(p, json_incref(answer), picture, err);
    if (r == 0 && p->draw.path)
        r = draw(p, picture, answer, err);
    json_decref(answer);
    return r;
}

static int compare(const struct pictures *p, const struct hs_face_request *request, struct hs_error *err)
{
    struct picture a, b = { .path = NULL };
    int r = picture_init(&a, p, 0, request, err);
    if (r == 0)
        r = picture_init(&b, p, 1, request, err);
    if (r == 0) {
        const struct hs_face_found *one = hs_face_best(&a.result), *two = hs_face_best(&b.result);
        json_t *answer = one && two ? hs_face_compare_json(p->app, one, &a.result, two, &b.result) : NULL;
        if (answer && p->answers.named)
            json_object_set_new(answer, "file2", json_string(b.path));
        r = one && two ? print(p, answer, &a, err)
                       : hs_error_set(err, HS_ENOTFOUND, "%s: No face detected", one ? b.path : a.path);
    }
    picture_finish(&a);
    picture_finish(&b);
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
    request.subject = !detects && !recognizes;
    request.large |= request.subject;
    if (p->max >= 0)
        request.max_faces = (int) p->max;
    if (p->confidence >= 0)
        request.score_threshold = (float) p->confidence;
    if (compares && compare(p, &request, &err) < 0)
        code = hs_invocation_fail(p->call, HS_EXIT_FAILURE, "%s", err.message);
    for (size_t i = 0; !compares && i < p->call->words.count; i++) {
        struct picture picture;
        int r = picture_init(&picture, p, i, &request, &err);
        if (r == 0)
            r = (detects ? detect : recognizes ? recognize : embed)(p, &picture, &err);
        picture_finish(&picture);
        if (r < 0)
            code = hs_invocation_fail(p->call, HS_EXIT_FAILURE, "%s", err.message);
    }
    hs_app_destroy(p->app);
    return code;
}

int hs_face_cmd_pictures(struct hs_invocation *call)
{
    struct pictures p = { .call = call, .max = -1, .confidence = -1 };
    const char *name = call->command->name;
    bool pair = strcmp(name, "compare") == 0, lists = strcmp(name, "detect") == 0 || strcmp(name, "recognize") == 0;
    enum { OF_LISTS = 3 };
    const struct hs_option options[] = {
        HS_PICTURE_ANSWERS_OPTIONS(&p.answers),
        /* Options of detect and recognize only; they must come last. */
        HS_DRAWING_OPTION(&p.draw, "faces"),
        HS_INT("max", &p.max, "N", 1, HS_FACE_MAX_FACES,
               "most faces of a picture; wins over face_recognition.max_faces"),
        HS_NUMBER("conf", &p.confidence, "SCORE", 0, 1,
                  "least score of a face; wins over face_recognition.detection_threshold"),
    };
    struct hs_error err;
    int code;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options) - (lists ? 0 : OF_LISTS), pair ? 2 : SIZE_MAX, &code))
        return code;
    if (call->words.count < (pair ? 2 : 1))
        return hs_invocation_usage(call);
    if (!hs_picture_answers_settle(&p.answers, call, true, &code))
        return code;
    if (hs_drawing_target_settle(&p.draw, &call->words, &err) == 0)
        code = run(&p);
    else
        code = hs_invocation_fail(call, HS_EXIT_USAGE, "%s", err.message);
    hs_drawing_target_finish(&p.draw);
    return code;
}
