/* Runs two models in turn. The detector receives the picture at about its own input size. Aligned
 * faces are cut from the decoded picture. If that was decoded smaller than a face requires, the
 * picture is decoded again, at the scale of the most demanding face. */
#include "face/pipeline.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stage.h"
#include "base/str.h"
#include "face/detect.h"
#include "face/face_select.h"
#include "image/warp.h"
#include "vision/align.h"
#include "vision/embedding.h"

void hs_face_result_finish(struct hs_face_result *result)
{
    for (size_t i = 0; i < result->count; i++)
        hs_mem_free_wiped(result->faces[i].embedding, (size_t) result->dimension * sizeof(float));
    free(result->faces);
    *result = (struct hs_face_result) { 0 };
}

/* The state of one request. */
struct work {
    const struct hs_face_pipeline *pipeline;
    const struct hs_face_request *request;
    const uint8_t *data;
    size_t len;
    int64_t deadline_ns;
    struct hs_cancel *cancel;
    struct hs_image *image;
    double shift_x, shift_y; /* offset of the image in the picture, if the image is a part of it */
    struct hs_face_list list;
    struct hs_face_result *result;
};

/* Returns the size for the first decoding, 0 for full size. A large picture is decoded for the
 * detector's input. A small picture is decoded in full: faces to embed mostly require it, and it
 * costs little more (1.8 ms at 1280x720 instead of 1.3). This does not depend on `embed`, so that
 * detection finds the same faces in both cases. */
static void first_target(const struct work *w, int *ret_w, int *ret_h)
{
    const struct hs_input_size *input = &hs_model_pool_first(w->pipeline->detector)->input;
    int64_t small = (int64_t) input->w * input->h * 4;
    struct hs_image_info info;
    bool whole = hs_image_probe(w->data, w->len, &info, NULL) == 0 && (int64_t) info.width * info.height <= small;
    *ret_w = whole ? 0 : w->request->tiny ? 2 * input->w : input->w;
    *ret_h = whole ? 0 : w->request->tiny ? 2 * input->h : input->h;
}

static struct hs_image_options options_of(const struct work *w, int target_w, int target_h)
{
    return (struct hs_image_options) {
        .limits = w->pipeline->limits,
        .target_w = target_w,
        .target_h = target_h,
        .apply_exif = w->pipeline->apply_exif,
        .deadline_ns = w->deadline_ns,
        .cancel = w->cancel,
    };
}

/* Replaces the decoded image, which is freed also after a failure: a thread holds at most one picture. */
static int decode(struct work *w, int target_w, int target_h, struct hs_error *err)
{
    const struct hs_image_options options = options_of(w, target_w, target_h);
    struct hs_error why;
    hs_image_destroy(w->image);
    w->image = NULL;
    int r = hs_image_decode(w->data, w->len, &options, &w->image, &why);
    if (r < 0)
        return hs_error_set(err, r, "Failed to decode image: %s", why.message);
    if (!w->result->damage[0])
        hs_str_copy(w->result->damage, sizeof(w->result->damage), w->image->damage);
    w->result->turn = options.apply_exif ? 1 : w->image->orientation;
    return 0;
}

static int decode_first(struct work *w, struct hs_error *err)
{
    int target_w, target_h;
    first_target(w, &target_w, &target_h);
    return decode(w, target_w, target_h, err);
}

/* Returns true if the file has a higher resolution than was decoded and `scale`, 0..1 of the
 * original size, needs it. */
static bool needs_higher_scale(const struct work *w, double scale)
{
    double have = (double) w->image->width / w->image->orig_width;
    return have < scale && have < 1;
}

static int decode_at_least(struct work *w, double scale, struct hs_error *err)
{
    int width = (int) ceil(w->image->orig_width * scale), height = (int) ceil(w->image->orig_height * scale);
    return needs_higher_scale(w, scale) ? decode(w, width, height, err) : 0;
}

/* ---- detection ---- */

/* Returns how well a face fits the requested box: 0 if the overlap is less than half of the smaller one. */
static float fit(const struct hs_rect *face, const struct hs_rect *box)
{
    return hs_rect_overlap(face, box) >= 0.5f ? hs_rect_iou(face, box) : 0;
}

/* Returns the best fit of any face in the requested box, and its index; 0: none fits. */
static float best_inside(const struct work *w, size_t *ret_index)
{
    float most = 0;
    *ret_index = 0;
    for (size_t i = 0; i < w->list.count; i++) {
        float found = fit(&w->list.faces[i].box, w->request->inside);
        if (found > most) {
            most = found;
            *ret_index = i;
        }
    }
    return most;
}

/* Below this fit the box itself is searched, because its face may be too small or too large to be
 * found in the whole picture. */
static const float good_fit = 0.3f;

/* Keeps only the face that fits the requested box best. */
static int detect_inside(struct work *w, const struct hs_face_detector *detector, struct hs_error *err)
{
    size_t index;
    int r = 0;
    if (best_inside(w, &index) < good_fit) {
        struct hs_rect part = hs_face_detect_part(detector, w->image, w->request->inside);
        r = decode_at_least(w, hs_face_part_scale(detector, &part), err);
        if (r == 0)
            r = hs_face_detect_inside(detector, w->image, &part, &w->list, err);
    }
    bool any = best_inside(w, &index) > 0;
    w->result->found = w->list.count;
    w->result->first_index = index;
    if (any)
        w->list.faces[0] = w->list.faces[index];
    w->list.count = any;
    return r;
}

/* An hs_model_attempt. Detects with one runner. */
static int detect_on(void *arg, const struct hs_model_runner *runner, struct hs_error *err)
{
    struct work *w = arg;
    const struct hs_face_request *request = w->request;
    const struct hs_face_detector detector = {
        .runner = runner,
        .score_threshold = request->score_threshold,
        .iou_threshold = w->pipeline->iou_threshold,
        .priority = request->priority,
        .deadline_ns = w->deadline_ns,
        .cancel = w->cancel,
    };
    w->list.count = 0;
    int r = w->image ? 0 : decode_first(w, err); /* a previous attempt may have freed it */
    if (r == 0)
        r = hs_face_detect_whole(&detector, w->image, request->large, &w->list, err);
    if (r == 0 && request->tiny) {
        r = decode_at_least(w, hs_face_tile_scale(&detector, w->image->orig_width, w->image->orig_height), err);
        if (r == 0)
            r = hs_face_detect_tiles(&detector, w->image, &w->list, err);
    }
    w->result->found = w->list.count;
    if (r == 0 && request->inside)
        r = detect_inside(w, &detector, err);
    if (!request->subject && w->list.count > (size_t) request->max_faces)
        w->list.count = (size_t) request->max_faces;
    return r;
}

static void record_device(struct work *w, struct hs_model_pool *pool, const struct hs_model_runner *runner)
{
    w->result->device = runner->device;
    w->result->degraded |= hs_model_pool_is_fallback(pool, runner);
}

static int detect(struct work *w, struct hs_error *err)
{
    const struct hs_model_runner *runner;
    int r = hs_model_pool_run(w->pipeline->detector, detect_on, w, w->deadline_ns, w->cancel, &runner, err);
    if (r == 0)
        record_device(w, w->pipeline->detector, runner);
    return r;
}

static int use_known_faces(struct work *w, struct hs_error *err)
{
    const struct hs_face_result *known = w->request->known;
    if (hs_face_list_reserve(&w->list, known->count) < 0)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu faces", known->count);
    for (size_t i = 0; i < known->count; i++)
        w->list.faces[w->list.count++] = known->faces[i].face;
    w->result->found = known->found;
    return 0;
}

/* ---- embedding ---- */

/* Margin around the part, for filters that read a little beyond the pixels they produce. */
enum { MARGIN = 16 };

/* A face that can be embedded: its entry in the result, and its alignment. */
struct subject {
    struct hs_face_found *found;
    struct hs_alignment alignment;
};

static int read_vector(struct work *w, const struct hs_lease *lease, int picture, struct hs_face_found *found,
                       struct hs_error *err)
{
    struct hs_tensor_view views[HS_MODEL_MAX_OUTPUTS];
    int dimension = w->result->dimension;
    hs_lease_outputs(lease, picture, views);
    if (lease->output_count != 1 || views[0].h * views[0].w * views[0].c != dimension)
        return hs_error_set(err, HS_EMODEL, "%s does not output vectors of %d numbers",
                            hs_model_pool_first(w->pipeline->embedder)->choice.pack->name, dimension);
    hs_mem_free_wiped(found->embedding, (size_t) dimension * sizeof(float)); /* from a previous attempt */
    found->embedding = malloc((size_t) dimension * sizeof(float));
    if (!found->embedding)
        return hs_error_set(err, HS_ENOMEM, "no memory for a vector");
    for (int i = 0; i < dimension; i++)
        found->embedding[i] = hs_tensor_at(&views[0], i);
    return hs_embedding_normalize(found->embedding, (size_t) dimension, NULL);
}

/* Returns the part of the picture that the aligned faces need: the corners of the aligned squares,
 * and a margin. */
static struct hs_image_part subjects_part(const struct work *w, const struct subject *subjects, size_t count)
{
    double x1 = w->image->orig_width, y1 = w->image->orig_height, x2 = 0, y2 = 0;
    for (size_t i = 0; i < count * 4; i++) {
        const double *m = subjects[i / 4].alignment.inverse, u = i % 2 * HS_ALIGN_SIZE, v = i / 2 % 2 * HS_ALIGN_SIZE;
        double x = m[0] * u + m[1] * v + m[2], y = m[3] * u + m[4] * v + m[5];
        x1 = fmin(x1, x);
        y1 = fmin(y1, y);
        x2 = fmax(x2, x);
        y2 = fmax(y2, y);
    }
    int left = (int) fmax(x1 - MARGIN, 0), top = (int) fmax(y1 - MARGIN, 0);
    return (struct hs_image_part) {
        left,
        top,
        (int) fmin(x2 + MARGIN, w->image->orig_width) - left,
        (int) fmin(y2 + MARGIN, w->image->orig_height) - top,
    };
}

/* If needed, decodes the subjects again, at the scale of the most demanding one: of a large JPEG
 * only the part that contains them. */
static int redecode_subjects(struct work *w, const struct subject *subjects, size_t count, struct hs_error *err)
{
    double scale = 0;
    for (size_t i = 0; i < count; i++)
        scale = fmax(scale, fmin(subjects[i].alignment.scale, 1));
    if (count == 0 || !needs_higher_scale(w, scale))
        return 0;
    const struct hs_image_options options =
        options_of(w, (int) ceil(w->image->orig_width * scale), (int) ceil(w->image->orig_height * scale));
    struct hs_image_part wanted = subjects_part(w, subjects, count), got;
    hs_image_destroy(w->image); /* a thread holds at most one picture */
    w->image = NULL;
    if (wanted.width < 1 || wanted.height < 1 ||
        hs_image_decode_part(w->data, w->len, &options, &wanted, &w->image, &got, NULL) < 0)
        return decode(w, options.target_w, options.target_h, err);
    w->shift_x = got.x;
    w->shift_y = got.y;
    return 0;
}

static int align(struct work *w, struct subject *subject, uint8_t *aligned, struct hs_error *err)
{
    struct hs_face_found *found = subject->found;
    const double *m = subject->alignment.matrix;
    const double shifted[6] = {
        m[0], m[1], m[2] + m[0] * w->shift_x + m[1] * w->shift_y,
        m[3], m[4], m[5] + m[3] * w->shift_x + m[4] * w->shift_y,
    };
    int r = hs_warp_similarity(w->image, shifted, HS_ALIGN_SIZE, HS_ALIGN_SIZE, aligned, err);
    if (r == 0)
        found->has_quality = hs_face_quality_measure(&found->face, aligned, &found->quality);
    return r;
}

/* The faces to embed, and the progress. */
struct subjects {
    struct work *work;
    struct subject *next;
    size_t left, done; /* done: by the last run */
};

/* An hs_model_attempt. Embeds as many of the subjects as the embedder takes in one batch. */
static int embed_on(void *arg, const struct hs_model_runner *runner, struct hs_error *err)
{
    struct subjects *s = arg;
    struct work *w = s->work;
    const struct hs_slot_request request = {
        .h = HS_ALIGN_SIZE,
        .w = HS_ALIGN_SIZE,
        .count = (int) s->left,
        .priority = w->request->priority,
        .deadline_ns = w->deadline_ns,
        .cancel = w->cancel,
    };
    struct hs_lease *lease;
    int r = hs_runner_acquire(runner->runner, &request, &lease, err);
    if (r < 0)
        return r;
    for (int i = 0; r == 0 && i < lease->pictures; i++)
        r = align(w, &s->next[i], lease->input + (size_t) i * lease->input_stride, err);
    if (r == 0)
        r = hs_runner_run(lease, NULL, err);
    for (int i = 0; r == 0 && i < lease->pictures; i++)
        r = read_vector(w, lease, i, s->next[i].found, err);
    s->done = (size_t) lease->pictures;
    hs_runner_release(lease);
    return r;
}

static int embed(struct work *w, struct subject *subjects, size_t count, struct hs_error *err)
{
    struct subjects s = { .work = w, .next = subjects, .left = count };
    int r = 0;
    while (r == 0 && s.left > 0) {
        const struct hs_model_runner *runner;
        r = hs_model_pool_run(w->pipeline->embedder, embed_on, &s, w->deadline_ns, w->cancel, &runner, err);
        if (r == 0)
            record_device(w, w->pipeline->embedder, runner);
        s.next += s.done;
        s.left -= s.done;
    }
    return r;
}

/* Returns false if the landmarks are not usable. */
static bool find_alignment(const struct hs_face *face, struct hs_alignment *ret_alignment)
{
    return face->has_landmarks && hs_align_face(face->landmarks, ret_alignment, NULL) == 0;
}

static bool is_alignable(const struct hs_face_found *found)
{
    struct hs_alignment alignment;
    return find_alignment(&found->face, &alignment);
}

/* A face without usable landmarks has no embedding. */
static int embed_faces(struct work *w, struct hs_error *err)
{
    bool all = !w->request->subject;
    const struct hs_face_found *only = all ? NULL : hs_face_find_best(w->result, is_alignable);
    struct subject *subjects = calloc(w->list.count, sizeof(*subjects));
    size_t count = 0;
    if (!subjects)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu faces", w->list.count);
    for (size_t i = 0; i < w->list.count; i++) {
        struct hs_face_found *found = &w->result->faces[i];
        if ((all || found == only) && find_alignment(&found->face, &subjects[count].alignment))
            subjects[count++].found = found;
    }
    int r = redecode_subjects(w, subjects, count, err);
    if (r == 0)
        r = embed(w, subjects, count, err);
    free(subjects);
    return r;
}

static int take_faces(struct work *w, struct hs_error *err)
{
    struct hs_face_result *result = w->result;
    result->width = w->image->orig_width;
    result->height = w->image->orig_height;
    if (w->list.count == 0)
        return 0;
    result->faces = calloc(w->list.count, sizeof(*result->faces));
    if (!result->faces)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu faces", w->list.count);
    result->count = w->list.count;
    for (size_t i = 0; i < w->list.count; i++)
        result->faces[i].face = w->list.faces[i];
    return w->request->embed ? embed_faces(w, err) : 0;
}

int hs_face_find(const struct hs_face_pipeline *pipeline, const uint8_t *data, size_t len,
                 const struct hs_face_request *request, int64_t deadline_ns, struct hs_cancel *cancel,
                 struct hs_face_result *result, struct hs_error *err)
{
    struct work w = {
        .pipeline = pipeline,
        .request = request,
        .data = data,
        .len = len,
        .deadline_ns = deadline_ns,
        .cancel = cancel,
        .result = result,
    };
    int64_t start = hs_clock_now_ns(), at = start;
    const struct hs_pack *pack = hs_model_pool_first(pipeline->embedder)->choice.pack;
    *result = (struct hs_face_result) {
        .dimension = pack->embedding.dimension,
        .threshold = pack->embedding.threshold,
    };
    hs_str_copy(result->space, sizeof(result->space), pack->embedding.space);
    hs_str_copy(result->model, sizeof(result->model), pack->name);
    hs_face_list_init(&w.list);
    int r = decode_first(&w, err);
    result->timings.decode_ms = hs_stage_lap_ms(HS_STAGE_DECODE, &at);
    if (r == 0)
        r = request->known ? use_known_faces(&w, err) : detect(&w, err);
    result->timings.detect_ms = hs_clock_lap_ms(&at);
    if (r == 0)
        r = take_faces(&w, err);
    result->timings.embed_ms =
        request->embed && result->count > 0 ? hs_stage_lap_ms(HS_STAGE_EMBED, &at) : hs_clock_lap_ms(&at);
    result->timings.total_ms = hs_ns_to_ms(at - start);
    hs_face_list_finish(&w.list);
    hs_image_destroy(w.image);
    return r;
}
