/* Two networks are asked in turn, each through its engine. The detector sees the picture at about its own input size.
 * Aligned faces are cut from the decoded picture; where it was decoded smaller than a face needs, it is decoded once
 * more, at just the scale that the most demanding face needs. */
#include "face/pipeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "image/letterbox.h"
#include "image/warp.h"
#include "vision/align.h"
#include "vision/embedding.h"
#include "vision/retinaface.h"
#include "vision/scrfd.h"

void hs_face_result_finish(struct hs_face_result *result)
{
    for (size_t i = 0; i < result->count; i++)
        free(result->faces[i].embedding);
    free(result->faces);
    *result = (struct hs_face_result) { 0 };
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
        .limits = w->pipeline->limits, .target_w = target_w, .target_h = target_h,
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

/* ---- detection ---- */

static int decode_outputs(struct work *w, const struct hs_lease *lease, const struct hs_letterbox *box,
                          struct hs_error *err)
{
    const struct hs_pack_file *file = w->pipeline->detector->choice.file;
    bool logits = file->scores == HS_SCORES_LOGITS, scrfd = file->decode == HS_DECODE_SCRFD;
    const struct hs_face_params params = {
        .score_threshold = w->request->score_threshold,
        .iou_threshold = w->pipeline->iou_threshold,
        .max_faces = w->request->inside ? HS_FACE_MAX_FACES : w->request->max_faces,
    };
    struct hs_face_layout layout;
    int r = (scrfd ? hs_scrfd_layout_init : hs_retinaface_layout_init)(lease->descs, lease->output_count, box->in_w,
                                                                       box->in_h, logits, &layout, err);
    if (r < 0)
        return r;
    r = (scrfd ? hs_scrfd_decode : hs_retinaface_decode)(&layout, lease->outputs, &params, &w->list);
    if (r < 0)
        return hs_error_set(err, r, "no memory for the faces");
    const struct hs_transform to_picture = {
        .scale_x = box->scale_x, .scale_y = box->scale_y, .pad_x = (float) box->pad_left,
        .pad_y = (float) box->pad_top, .width = (float) box->orig_w, .height = (float) box->orig_h,
    };
    hs_face_list_map(&w->list, &to_picture);
    return 0;
}

/* The picture at half the size that would fit, so that a face which fills it gets a border. */
static void halve(struct hs_letterbox *box)
{
    box->content_w = box->content_w > 1 ? box->content_w / 2 : 1;
    box->content_h = box->content_h > 1 ? box->content_h / 2 : 1;
    box->pad_left = (box->in_w - box->content_w) / 2;
    box->pad_top = (box->in_h - box->content_h) / 2;
    box->scale_x = (float) ((double) box->content_w / box->orig_w);
    box->scale_y = (float) ((double) box->content_h / box->orig_h);
}

static int detect_once(struct work *w, bool with_border, struct hs_error *err)
{
    const struct hs_network *detector = w->pipeline->detector;
    const struct hs_pack_input *input = &detector->choice.pack->input;
    int in_w = input->width, in_h = input->height;
    if (input->stride > 0 && in_w == in_h)
        hs_letterbox_rect(w->image->orig_width, w->image->orig_height, in_w, hs_letterbox_step(input->stride, in_w),
                          &in_w, &in_h);
    const struct hs_engine_shape whole = { input->height, input->width };
    struct hs_engine_shape shape;
    hs_engine_choose_shape(detector->engine, in_h, in_w, whole, &shape);
    struct hs_letterbox box;
    hs_letterbox_plan(w->image->orig_width, w->image->orig_height, shape.w, shape.h, &box);
    if (with_border)
        halve(&box);
    struct hs_lease *lease;
    int r = hs_engine_acquire(detector->engine, shape.h, shape.w, w->deadline_ns, w->cancel, &lease, err);
    if (r < 0)
        return r;
    r = hs_letterbox_apply(&box, w->image, lease->input);
    if (r < 0)
        hs_error_set(err, r, "no memory to scale the picture");
    if (r == 0)
        r = hs_engine_run(lease, NULL, err);
    if (r == 0)
        r = decode_outputs(w, lease, &box, err);
    hs_engine_release(lease);
    return r;
}

/* SCRFD does not see faces that fill the picture: where it finds none, it is shown a smaller one. */
static int detect(struct work *w, struct hs_error *err)
{
    int r = detect_once(w, false, err);
    return r == 0 && w->list.count == 0 ? detect_once(w, true, err) : r;
}

/* Keeps only the face that overlaps the wanted box best. */
static void keep_inside(struct work *w)
{
    size_t best = 0;
    float most = 0;
    for (size_t i = 0; i < w->list.count; i++) {
        float overlap = hs_rect_iou(&w->list.faces[i].box, w->request->inside);
        if (overlap > most) {
            most = overlap;
            best = i;
        }
    }
    if (most > 0)
        w->list.faces[0] = w->list.faces[best];
    w->list.count = most > 0;
}

/* ---- embedding ---- */

/* Decodes again where a face would have to be enlarged though the file has more. */
static int sharpen(struct work *w, const struct hs_alignment *alignments, struct hs_error *err)
{
    double need = 0, have = (double) w->image->width / w->image->orig_width;
    for (size_t i = 0; i < w->list.count; i++)
        need = fmax(need, fmin(alignments[i].scale, 1));
    if (have >= need || have >= 1)
        return 0;
    return decode(w, (int) ceil(w->image->orig_width * need), (int) ceil(w->image->orig_height * need), err);
}

static int run_embedder(struct work *w, const uint8_t *aligned, float *ret_vector, struct hs_error *err)
{
    const struct hs_network *embedder = w->pipeline->embedder;
    struct hs_lease *lease;
    int r = hs_engine_acquire(embedder->engine, HS_ALIGN_SIZE, HS_ALIGN_SIZE, w->deadline_ns, w->cancel, &lease, err);
    if (r < 0)
        return r;
    memcpy(lease->input, aligned, HS_ALIGN_SIZE * HS_ALIGN_SIZE * 3);
    r = hs_engine_run(lease, NULL, err);
    const struct hs_tensor_view *view = &lease->outputs[0];
    int dimension = w->result->dimension;
    if (r == 0 && (lease->output_count != 1 || view->h * view->w * view->c != dimension))
        r = hs_error_set(err, HS_EMODEL, "%s does not give vectors of %d numbers", embedder->choice.pack->name,
                         dimension);
    for (int i = 0; r == 0 && i < dimension; i++)
        ret_vector[i] = hs_tensor_at(view, i);
    hs_engine_release(lease);
    return r == 0 ? hs_embedding_normalize(ret_vector, (size_t) dimension, NULL) : r;
}

static int embed(struct work *w, const struct hs_alignment *alignment, struct hs_face_found *found,
                 struct hs_error *err)
{
    uint8_t *aligned = malloc(HS_ALIGN_SIZE * HS_ALIGN_SIZE * 3);
    found->embedding = malloc((size_t) w->result->dimension * sizeof(float));
    int r = aligned && found->embedding ? 0 : hs_error_set(err, HS_ENOMEM, "no memory for a face");
    if (r == 0)
        r = hs_warp_similarity(w->image, alignment->matrix, HS_ALIGN_SIZE, HS_ALIGN_SIZE, aligned, err);
    if (r == 0) {
        found->has_quality = hs_face_quality_measure(&found->face, aligned, &found->quality);
        r = run_embedder(w, aligned, found->embedding, err);
    }
    free(aligned);
    return r;
}

/* A face without usable landmarks stays without a vector. */
static int embed_all(struct work *w, struct hs_error *err)
{
    struct hs_alignment *alignments = calloc(w->list.count, sizeof(*alignments));
    if (!alignments)
        return hs_error_set(err, HS_ENOMEM, "no memory for %zu faces", w->list.count);
    for (size_t i = 0; i < w->list.count; i++) {
        const struct hs_face *face = &w->list.faces[i];
        if (!face->has_landmarks || hs_align_face(face->landmarks, &alignments[i], NULL) < 0)
            alignments[i].scale = 0;
    }
    int r = sharpen(w, alignments, err);
    for (size_t i = 0; r == 0 && i < w->list.count; i++) {
        if (alignments[i].scale > 0)
            r = embed(w, &alignments[i], &w->result->faces[i], err);
    }
    free(alignments);
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
        .pipeline = pipeline, .request = request, .data = data, .len = len, .deadline_ns = deadline_ns,
        .cancel = cancel, .result = result,
    };
    const struct hs_pack_input *input = &pipeline->detector->choice.pack->input;
    int64_t start = hs_clock_now_ns(), at = start;
    *result = (struct hs_face_result) { .dimension = pipeline->embedder->choice.pack->embedding.dimension };
    hs_face_list_init(&w.list);
    int r = decode(&w, input->width, input->height, err);
    result->timings.decode_ms = lap(&at);
    if (r == 0)
        r = detect(&w, err);
    if (r == 0 && request->inside)
        keep_inside(&w);
    result->timings.detect_ms = lap(&at);
    if (r == 0)
        r = take_faces(&w, err);
    result->timings.embed_ms = lap(&at);
    result->timings.total_ms = hs_ns_to_ms(at - start);
    hs_face_list_finish(&w.list);
    hs_image_destroy(w.image);
    return r;
}
