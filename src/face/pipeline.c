/* Two networks are asked in turn, each through its engine. The detector sees the picture at about its own input size.
 * Aligned faces are cut from the decoded picture; where it was decoded smaller than a face needs, it is decoded once
 * more, at just the scale that the most demanding face needs. */
#include "face/pipeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "face/detect.h"
#include "image/warp.h"
#include "vision/align.h"
#include "vision/embedding.h"

void hs_face_result_finish(struct hs_face_result *result)
{
    for (size_t i = 0; i < result->count; i++)
        free(result->faces[i].embedding);
    free(result->faces);
    *result = (struct hs_face_result){ 0 };
}

/* One request on its way. */
struct work {
    const struct hs_face_pipeline *pipeline;
    const struct hs_face_request *request;
    const uint8_t *data;
    size_t len;
    int64_t deadline_ns;
    struct hs_cancel *cancel;
    struct hs_image *image;
    struct hs_face_list list;
    struct hs_face_result *result;
};

static double lap(int64_t *at)
{
    int64_t now = hs_clock_now_ns();
    double ms = hs_ns_to_ms(now - *at);
    *at = now;
    return ms;
}

static int decode(struct work *w, int target_w, int target_h, struct hs_error *err)
{
    const struct hs_image_options options = {
        .limits = w->pipeline->limits,
        .target_w = target_w,
        .target_h = target_h,
        .apply_exif = w->pipeline->apply_exif,
    };
    struct hs_image *image;
    struct hs_error why;
    int r = hs_image_decode(w->data, w->len, &options, &image, &why);
    if (r < 0)
        return hs_error_set(err, r, "Failed to decode image: %s", why.message);
    hs_image_destroy(w->image);
    w->image = image;
    return 0;
}

/* Decodes again where the file has more than was decoded and that is wanted: `scale` of the original size. */
static int decode_at_least(struct work *w, double scale, struct hs_error *err)
{
    double have = (double) w->image->width / w->image->orig_width, need = fmin(scale, 1);
    if (have >= need || have >= 1)
        return 0;
    return decode(w, (int) ceil(w->image->orig_width * need), (int) ceil(w->image->orig_height * need), err);
}

/* ---- detection ---- */

/* How well a face lies in the wanted box: 0 where less than half of the smaller one is common to both. */
static float fit(const struct hs_rect *face, const struct hs_rect *box)
{
    struct hs_rect common = {
        fmaxf(face->x1, box->x1),
        fmaxf(face->y1, box->y1),
        fminf(face->x2, box->x2),
        fminf(face->y2, box->y2),
    };
    float smaller = fminf(hs_rect_area(face), hs_rect_area(box));
    return hs_rect_area(&common) * 2 >= smaller ? hs_rect_iou(face, box) : 0;
}

/* Moves the face that lies best in the wanted box to the front; how well that is, 0: none does. */
static float choose_inside(struct work *w)
{
    size_t best = 0;
    float most = 0;
    for (size_t i = 0; i < w->list.count; i++) {
        float found = fit(&w->list.faces[i].box, w->request->inside);
        if (found > most) {
            most = found;
            best = i;
        }
    }
    if (most > 0) {
        struct hs_face face = w->list.faces[best];
        w->list.faces[best] = w->list.faces[0];
        w->list.faces[0] = face;
    }
    return most;
}

/* Below this a face is looked for in the box itself: what is said to be there may be too small, or too large, to be
 * found in the whole picture. */
static const float good_fit = 0.3f;

/* Keeps only the face that lies best in the wanted box. */
static int detect_inside(struct work *w, const struct hs_face_detector *detector, struct hs_error *err)
{
    int r = 0;
    if (choose_inside(w) < good_fit) {
        struct hs_rect part = hs_face_detect_part(w->image, w->request->inside);
        r = decode_at_least(w, hs_face_part_scale(detector, &part), err);
        if (r == 0)
            r = hs_face_detect_inside(detector, w->image, &part, &w->list, err);
    }
    w->list.count = choose_inside(w) > 0;
    return r;
}

static int detect(struct work *w, struct hs_error *err)
{
    const struct hs_face_request *request = w->request;
    const struct hs_face_detector detector = {
        .network = w->pipeline->detector,
        .score_threshold = request->score_threshold,
        .iou_threshold = w->pipeline->iou_threshold,
        .deadline_ns = w->deadline_ns,
        .cancel = w->cancel,
    };
    int r = hs_face_detect_whole(&detector, w->image, &w->list, err);
    if (r == 0 && request->tiny) {
        r = decode_at_least(w, hs_face_tiny_scale(&detector, w->image->orig_width, w->image->orig_height), err);
        if (r == 0)
            r = hs_face_detect_tiny(&detector, w->image, &w->list, err);
    }
    if (r == 0 && request->inside)
        r = detect_inside(w, &detector, err);
    if (w->list.count > (size_t) request->max_faces)
        w->list.count = (size_t) request->max_faces;
    return r;
}

/* ---- embedding ---- */

/* A face that can be embedded: its place in the result, and where it lies. */
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
        return hs_error_set(err, HS_EMODEL, "%s does not give vectors of %d numbers",
                            w->pipeline->embedder->choice.pack->name, dimension);
    found->embedding = malloc((size_t) dimension * sizeof(float));
    if (!found->embedding)
        return hs_error_set(err, HS_ENOMEM, "no memory for a vector");
    for (int i = 0; i < dimension; i++)
        found->embedding[i] = hs_tensor_at(&views[0], i);
    return hs_embedding_normalize(found->embedding, (size_t) dimension, NULL);
}

static int align(struct work *w, struct subject *subject, uint8_t *aligned, struct hs_error *err)
{
    struct hs_face_found *found = subject->found;
    int r = hs_warp_similarity(w->image, subject->alignment.matrix, HS_ALIGN_SIZE, HS_ALIGN_SIZE, aligned, err);
    if (r == 0)
        found->has_quality = hs_face_quality_measure(&found->face, aligned, &found->quality);
    return r;
}

/* As many of the subjects as the embedder takes at a time. */
static int embed_some(struct work *w, struct subject *subjects, size_t count, size_t *ret_done, struct hs_error *err)
{
    const struct hs_engine_wish wish = {
        .h = HS_ALIGN_SIZE,
        .w = HS_ALIGN_SIZE,
        .count = (int) count,
        .deadline_ns = w->deadline_ns,
        .cancel = w->cancel,
    };
    struct hs_lease *lease;
    int r = hs_engine_acquire_some(w->pipeline->embedder->engine, &wish, &lease, err);
    if (r < 0)
        return r;
    for (int i = 0; r == 0 && i < lease->pictures; i++)
        r = align(w, &subjects[i], lease->input + (size_t) i * lease->input_stride, err);
    if (r == 0)
        r = hs_engine_run(lease, NULL, err);
    for (int i = 0; r == 0 && i < lease->pictures; i++)
        r = read_vector(w, lease, i, subjects[i].found, err);
    *ret_done = (size_t) lease->pictures;
    hs_engine_release(lease);
    return r;
}

/* A face without usable landmarks stays without a vector. The picture is decoded again where a face would have to be
 * enlarged though the file has more. */
static int embed_all(struct work *w, struct hs_error *err)
{
    struct subject *subjects = calloc(w->list.count, sizeof(*subjects));
    size_t count = 0, done = 0;
    double need = 0;
    if (!subjects)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu faces", w->list.count);
    for (size_t i = 0; i < w->list.count; i++) {
        struct subject *subject = &subjects[count];
        const struct hs_face *face = &w->list.faces[i];
        if (!face->has_landmarks || hs_align_face(face->landmarks, &subject->alignment, NULL) < 0)
            continue;
        subject->found = &w->result->faces[i];
        need = fmax(need, subject->alignment.scale);
        count++;
    }
    int r = count > 0 ? decode_at_least(w, need, err) : 0;
    for (size_t at = 0; r == 0 && at < count; at += done)
        r = embed_some(w, subjects + at, count - at, &done, err);
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
    return w->request->embed ? embed_all(w, err) : 0;
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
    const struct hs_pack_input *input = &pipeline->detector->choice.pack->input;
    int64_t start = hs_clock_now_ns(), at = start;
    *result = (struct hs_face_result){ .dimension = pipeline->embedder->choice.pack->embedding.dimension };
    hs_face_list_init(&w.list);
    int r = decode(&w, input->width, input->height, err);
    result->timings.decode_ms = lap(&at);
    if (r == 0)
        r = detect(&w, err);
    result->timings.detect_ms = lap(&at);
    if (r == 0)
        r = take_faces(&w, err);
    result->timings.embed_ms = lap(&at);
    result->timings.total_ms = hs_ns_to_ms(at - start);
    hs_face_list_finish(&w.list);
    hs_image_destroy(w.image);
    return r;
}
