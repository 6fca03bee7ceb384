/* `detect`, `embed`, `recognize`, `compare`: process pictures without a server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_build.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/terminal.h"
#include "face/commands.h"
#include "face/response_json.h"
#include "gallery/gallery.h"
#include "service/picture_report.h"
#include "service/response.h"
#include "vision/face_heads.h"

enum {
    IDENTITY_TEXT = 4 * HS_GALLERY_NAME_MAX + 16, /* of an escaped name and its score */
    DETAILS_MAX = 1 << 20,                        /* bytes of the names in a picture */
};

enum command { DETECT, EMBED, RECOGNIZE, COMPARE };

struct pictures {
    struct hs_invocation *call;
    enum command command;
    struct hs_face_app *app;
    struct hs_face_request request;
    struct hs_picture_report report;
    const char *model; /* --model, --max, --conf, --iou and --threshold; NULL or negative: as configured */
    int64_t max;
    double confidence, iou, threshold;
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
static int picture_init(struct picture *picture, const struct pictures *p, size_t index, struct hs_error *err)
{
    struct hs_error why;
    *picture = (struct picture) { .path = p->report.paths.items[index], .index = index };
    int r = hs_picture_read(picture->path, p->app->pipeline.limits.max_bytes, &picture->data, &picture->len, err);
    if (r < 0)
        return r;
    r = hs_face_find(&p->app->pipeline, picture->data, picture->len, &p->request, HS_NO_DEADLINE, NULL,
                     &picture->result, &why);
    return r < 0 ? hs_error_set(err, r, "%s: %s", picture->path, why.message) : 0;
}

static void picture_finish(struct picture *picture)
{
    hs_face_result_finish(&picture->result);
    free(picture->data);
}

static int no_face(const char *path, struct hs_error *err)
{
    return hs_error_set(err, HS_ENOTFOUND, "%s: No face detected", path);
}

/* Prints a response. Takes the reference; NULL: memory was short. */
static int print_answer(struct pictures *p, json_t *response, const char *path, struct hs_error *err)
{
    struct hs_buf out;
    response = hs_picture_report_name(&p->report, response, path);
    hs_buf_init(&out, HS_RESPONSE_MAX);
    int r = response ? hs_json_write(response, HS_JSON_SORTED, &out) : HS_ENOMEM;
    if (r == 0)
        hs_picture_report_print(&p->report, &out);
    hs_buf_finish(&out);
    json_decref(response);
    return r < 0 ? hs_response_failed(r, err) : 0;
}

static void print_line(struct pictures *p, const struct picture *picture, const json_t *response, const char *details,
                       double more_ms)
{
    const struct hs_face_result *result = &picture->result;
    const struct hs_picture_line line = {
        .path = picture->path,
        .width = result->width,
        .height = result->height,
        .count = result->count,
        .found = result->found,
        .details = details,
        .response = response,
        .device = result->device,
        .ms = result->timings.total_ms + more_ms,
    };
    hs_picture_report_line(&p->report, &line);
}

/* ---- drawing ---- */

enum { LABEL_SIZE = HS_GALLERY_NAME_MAX + 16, SHAPES = 1 + HS_FACE_LANDMARKS };

static const uint32_t known_color = 0x7ed957, other_color = 0xf0a033, plain_color = 0x33c3f0;

/* Returns the face's entry in the response; NULL if it has none, because it has no embedding. */
static const json_t *identity_of(const struct hs_face_result *result, size_t face, const json_t *response)
{
    size_t place = 0;
    if (!response || !result->faces[face].embedding)
        return NULL;
    for (size_t i = 0; i < face; i++)
        place += result->faces[i].embedding != NULL;
    return json_array_get(json_object_get(response, "faces"), place);
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

/* Draws the faces over the picture, labelled with the names in `response`, or with their scores if
 * that is NULL. */
static int annotate(const struct hs_face_result *result, const struct hs_image *image, const json_t *response,
                    enum hs_image_format format, struct hs_buf *out, struct hs_error *err)
{
    size_t room = result->count ? result->count : 1, count = 0;
    struct hs_draw_shape *shapes = calloc(room, SHAPES * sizeof(*shapes));
    char(*labels)[LABEL_SIZE] = calloc(room, LABEL_SIZE);
    int r = shapes && labels ? 0 : hs_error_set(err, HS_ENOMEM, "no memory to draw %zu faces", result->count);
    for (size_t i = 0; r == 0 && i < result->count; i++)
        count += add_face(&result->faces[i].face, identity_of(result, i, response), shapes + count, labels[i]);
    if (r == 0)
        r = hs_drawing_encode(image, result->turn, shapes, count, format, out, err);
    free(shapes);
    free(labels);
    return r;
}

/* Decodes the picture again, because the networks received a scaled copy. */
static int draw(const struct pictures *p, const struct picture *picture, const json_t *response, struct hs_error *err)
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
    r = annotate(&picture->result, image, response, p->report.draw.format, &out, err);
    if (r == 0)
        r = hs_drawing_save(&p->report.draw, picture->index, &out, err);
    hs_buf_finish(&out);
    hs_image_destroy(image);
    return r;
}

/* ---- commands ---- */

static int detect(struct pictures *p, const struct picture *picture, struct hs_error *err)
{
    json_t *response = hs_face_detect_json(&picture->result, true);
    int r = 0;
    if (p->report.lines)
        print_line(p, picture, response, "", 0);
    else
        r = print_answer(p, json_incref(response), picture->path, err);
    if (r == 0 && p->report.draw.path)
        r = draw(p, picture, NULL, err);
    json_decref(response);
    return r;
}

static int embed(struct pictures *p, const struct picture *picture, struct hs_error *err)
{
    const struct hs_face_result *result = &picture->result;
    const struct hs_face_found *best = hs_face_best(result);
    if (!best)
        return no_face(picture->path, err);
    json_t *response = hs_face_embed_json(best, result);
    if (!p->report.lines)
        return print_answer(p, response, picture->path, err);
    char details[HS_PACK_NAME_SIZE + 64];
    hs_str_format(details, sizeof(details), ", %d numbers%s, model %s", result->dimension,
                  result->count > 1 ? " of the best" : "", result->model);
    print_line(p, picture, response, details, 0);
    json_decref(response);
    return 0;
}

/* Appends ": Barack Obama (0.74), Unknown". */
static void put_identities(struct hs_buf *out, const json_t *response)
{
    size_t i;
    json_t *face;
    json_array_foreach(json_object_get(response, "faces"), i, face)
    {
        const char *identity = json_string_value(json_object_get(face, "identity"));
        double score = json_number_value(json_object_get(face, "match_score"));
        char name[IDENTITY_TEXT];
        hs_terminal_text(name, sizeof(name), identity ? identity : "");
        hs_buf_printf(out, "%s%s", i ? ", " : ": ", name);
        if (strcmp(name, "Unknown") != 0)
            hs_buf_printf(out, " (%.2f)", score);
    }
}

static int recognize(struct pictures *p, const struct picture *picture, struct hs_error *err)
{
    const struct hs_face_recognize how = hs_face_recognize_default(p->app);
    int64_t at = hs_clock_now_ns();
    json_t *response = hs_face_recognize_json(p->app, &picture->result, &how, err);
    double search_ms = hs_clock_lap_ms(&at);
    int r = 0;
    if (!response)
        return err->code;
    if (p->report.lines) {
        struct hs_buf details;
        hs_buf_init(&details, DETAILS_MAX);
        put_identities(&details, response);
        const char *text = hs_buf_str(&details);
        print_line(p, picture, response, text ? text : "", search_ms);
        hs_buf_finish(&details);
    } else {
        r = print_answer(p, json_incref(response), picture->path, err);
    }
    if (r == 0 && p->report.draw.path)
        r = draw(p, picture, response, err);
    json_decref(response);
    return r;
}

static int print_comparison(struct pictures *p, const struct picture *a, const struct picture *b, json_t *response,
                            struct hs_error *err)
{
    if (!response)
        return hs_response_failed(HS_ENOMEM, err);
    if (!p->report.lines) {
        if (p->report.named)
            response = hs_json_with_member(response, "file2", hs_system_text_json(b->path));
        return print_answer(p, response, a->path, err);
    }
    hs_picture_report_result(&p->report, "%s  cosine %.2f (threshold %.2f)",
                             json_is_true(json_object_get(response, "same")) ? "same person" : "different people",
                             json_number_value(json_object_get(response, "score")),
                             json_number_value(json_object_get(response, "threshold")));
    hs_picture_report_warnings(&p->report, a->path, b->path, response);
    json_decref(response);
    return 0;
}

static int compare(struct pictures *p, const struct picture *a, struct hs_error *err)
{
    struct picture b;
    int r = picture_init(&b, p, 1, err);
    if (r == 0) {
        const struct hs_face_found *one = hs_face_best(&a->result), *two = hs_face_best(&b.result);
        if (one && two)
            r = print_comparison(p, a, &b, hs_face_compare_json(p->app, one, &a->result, two, &b.result), err);
        else
            r = no_face(one ? b.path : a->path, err);
    }
    picture_finish(&b);
    return r;
}

/* An hs_picture_step. */
static int step(void *arg, size_t index, struct hs_error *err)
{
    static int (*const commands[])(struct pictures *p, const struct picture *picture, struct hs_error *err) = {
        [DETECT] = detect,
        [EMBED] = embed,
        [RECOGNIZE] = recognize,
        [COMPARE] = compare,
    };
    struct pictures *p = arg;
    struct picture picture;
    int r = picture_init(&picture, p, index, err);
    if (r == 0)
        r = commands[p->command](p, &picture, err);
    picture_finish(&picture);
    return r;
}

static void set_parameters(struct pictures *p)
{
    p->request = hs_face_app_request(p->app);
    p->request.embed = p->command != DETECT;
    p->request.subject = p->command == EMBED || p->command == COMPARE;
    p->request.large |= p->request.subject;
    if (p->max >= 0)
        p->request.max_faces = (int) p->max;
    if (p->confidence >= 0)
        p->request.score_threshold = (float) p->confidence;
    if (p->iou >= 0)
        p->app->pipeline.iou_threshold = (float) p->iou;
    if (p->threshold >= 0)
        p->app->recognition_threshold = p->threshold;
}

static int run(struct pictures *p)
{
    const struct hs_config_override model = { "--model",
                                              p->command == DETECT ? "face_recognition.detection_model"
                                                                   : "face_recognition.recognition_model",
                                              p->model };
    int code = hs_face_start_with(p->call, p->command == RECOGNIZE, &model, &p->app);
    if (code != HS_EXIT_OK)
        return code;
    set_parameters(p);
    code = hs_picture_report_run(&p->report, p->command == COMPARE ? 1 : p->report.paths.count, step, p);
    if (p->command == EMBED && code == HS_EXIT_OK)
        hs_picture_report_remark(&p->report, "Add --json to print the numbers.");
    if (p->command == RECOGNIZE && code == HS_EXIT_OK && p->app->gallery &&
        hs_gallery_get_counts(p->app->gallery).embeddings == 0)
        hs_picture_report_remark(&p->report, "The gallery %s is empty. Add a person: hailo-face db add NAME PICTURE",
                                 p->app->settings->database.db_file);
    hs_app_destroy(p->app);
    return code;
}

static enum command command_of(const char *name)
{
    static const char *const names[] = { "detect", "embed", "recognize", "compare" };
    for (int i = 0; i < (int) HS_ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum command) i;
    }
    return DETECT;
}

int hs_face_cmd_pictures(struct hs_invocation *call)
{
    struct pictures p = {
        .call = call,
        .command = command_of(call->command->name),
        .report = { .one = "face", .many = "faces", .named_by_default = true },
        .max = -1,
        .confidence = -1,
        .iou = -1,
        .threshold = -1,
    };
    const bool lists = p.command == DETECT || p.command == RECOGNIZE;
    const bool matches = p.command == RECOGNIZE || p.command == COMPARE;
    const struct {
        bool wanted;
        struct hs_option option;
    } rows[] = {
        { true, HS_NUMBER("conf", &p.confidence, "SCORE", 0, 1,
                          "minimum score of a face (default: face_recognition.detection_threshold)") },
        { true,
          HS_NUMBER("iou", &p.iou, "IOU", 0, 1,
                    "overlap above which two boxes are the same face (default: face_recognition.detection_iou)") },
        { lists, HS_INT("max", &p.max, "N", 1, HS_FACE_MAX_FACES,
                        "maximum number of faces per picture (default: face_recognition.max_faces)") },
        { matches, HS_NUMBER("threshold", &p.threshold, "COSINE", 0, 1,
                             "cosine above which two faces are one person "
                             "(default: face_recognition.recognition_threshold)") },
        { true, HS_TEXT("model", &p.model, "NAME",
                        p.command == DETECT ? "detection model (default: face_recognition.detection_model)"
                                            : "embedding model (default: face_recognition.recognition_model)") },
        { lists, HS_DRAWING_OPTION(&p.report.draw, "faces") },
    };
    const struct hs_option of_report[] = { HS_PICTURE_REPORT_OPTIONS(&p.report) };
    struct hs_option options[HS_ARRAY_LEN(rows) + HS_ARRAY_LEN(of_report)];
    size_t count = 0;
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++)
        if (rows[i].wanted)
            options[count++] = rows[i].option;
    for (size_t i = 0; i < HS_ARRAY_LEN(of_report); i++)
        options[count++] = of_report[i];
    int code;
    if (!hs_invocation_read(call, options, count, &code))
        return code;
    code = hs_picture_report_init(&p.report, call);
    if (code == HS_EXIT_OK && p.command == COMPARE && p.report.paths.count != 2)
        code = hs_invocation_fail(call, HS_EXIT_USAGE, "%zu pictures match; compare takes two", p.report.paths.count);
    if (code == HS_EXIT_OK)
        code = run(&p);
    hs_picture_report_finish(&p.report);
    return code;
}
