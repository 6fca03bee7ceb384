#include "pose/pipeline.h"

#include "base/clock.h"
#include "base/stage.h"
#include "base/str.h"
#include "image/letterbox.h"
#include "service/drawing.h"
#include "vision/yolo_pose.h"

void hs_pose_result_init(struct hs_pose_result *result)
{
    *result = (struct hs_pose_result) { 0 };
    hs_pose_list_init(&result->people);
}

void hs_pose_result_finish(struct hs_pose_result *result)
{
    hs_pose_list_finish(&result->people);
    hs_image_destroy(result->image);
    result->image = NULL;
}

static int decode_outputs(const struct hs_model_choice *model, const struct hs_lease *lease,
                          const struct hs_letterbox *box, const struct hs_pose_params *params,
                          struct hs_pose_list *people, struct hs_error *err)
{
    const struct hs_yolo_pose_spec spec = {
        .classes = (int) model->pack->class_count,
        .keypoints = (int) model->pack->keypoint_count,
        .dims = model->pack->keypoint_dims,
        .score_logits = model->file->scores == HS_SCORES_LOGITS,
        .input_w = box->in_w,
        .input_h = box->in_h,
    };
    struct hs_yolo_pose_layout layout;
    int r = hs_yolo_pose_layout_init(lease->descs, lease->output_count, &spec, &layout, err);
    if (r < 0)
        return r;
    const struct hs_yolo_pose_params decode = {
        .score_threshold = params->confidence_threshold,
        .iou_threshold = params->iou_threshold,
        .max_detections = HS_YOLO_POSE_MAX_DETECTIONS, /* to count all of them */
    };
    r = hs_yolo_pose_decode(&layout, lease->outputs, &decode, people);
    if (r < 0)
        return hs_error_set(err, r, "no memory for the detections");
    const struct hs_transform to_picture = hs_letterbox_transform(box);
    hs_pose_list_map(people, &to_picture);
    return 0;
}

/* A picture being processed by a network. */
struct work {
    const struct hs_image *image;
    const struct hs_pose_params *params;
    struct hs_pose_result *result;
};

static int run(struct work *w, const struct hs_model_runner *runner, const struct hs_letterbox *box,
               struct hs_lease *lease, struct hs_error *err)
{
    struct hs_pose_timings *t = &w->result->timings;
    struct hs_runner_timings ran;
    int64_t at = hs_clock_now_ns();
    int r = hs_letterbox_apply(box, w->image, lease->input);
    if (r < 0)
        return hs_error_set(err, r, "no memory to scale the picture");
    t->preprocess_ms = hs_stage_lap_ms(HS_STAGE_PREPROCESS, &at);
    r = hs_runner_run(lease, &ran, err);
    if (r < 0)
        return r;
    t->inference_ms = hs_ns_to_ms(ran.inference_ns);
    hs_clock_lap_ms(&at);
    r = decode_outputs(&runner->choice, lease, box, w->params, &w->result->people, err);
    w->result->found = w->result->people.count;
    if (w->result->people.count > (size_t) w->params->max_detections)
        w->result->people.count = (size_t) w->params->max_detections;
    t->postprocess_ms = hs_stage_lap_ms(HS_STAGE_POSTPROCESS, &at);
    return r;
}

/* An hs_model_attempt. */
static int detect_on(void *arg, const struct hs_model_runner *runner, struct hs_error *err)
{
    struct work *w = arg;
    const struct hs_image *image = w->image;
    struct hs_input_size size = hs_model_runner_input_size(runner, image->orig_width, image->orig_height);
    const struct hs_slot_request request = {
        .h = size.h,
        .w = size.w,
        .count = 1,
        .priority = w->params->priority,
        .deadline_ns = w->params->deadline_ns,
        .cancel = w->params->cancel,
    };
    struct hs_letterbox box;
    struct hs_lease *lease;
    hs_letterbox_plan(image->orig_width, image->orig_height, size.w, size.h, &box);
    int64_t at = hs_clock_now_ns();
    int r = hs_runner_acquire(runner->runner, &request, &lease, err);
    if (r < 0)
        return r;
    w->result->timings.queue_ms = hs_clock_lap_ms(&at);
    r = run(w, runner, &box, lease, err);
    hs_runner_release(lease);
    return r;
}

/* Decodes the picture for the network, or for drawing if `drawn` is set. */
static int decode(const uint8_t *data, size_t len, const struct hs_pose_params *params, int target_w, int target_h,
                  bool drawn, struct hs_image **ret_image, struct hs_error *err)
{
    const struct hs_image_options options = {
        .limits = params->limits,
        .target_w = target_w,
        .target_h = target_h,
        .exact = drawn,
        .apply_exif = params->apply_exif,
        .deadline_ns = params->deadline_ns,
        .cancel = params->cancel,
        .more_per_pixel = params->keep_image ? HS_DRAWING_MORE_PER_PIXEL : 0,
    };
    struct hs_error why;
    int r = hs_image_decode(data, len, &options, ret_image, &why);
    return r < 0 ? hs_error_set(err, r, "Failed to decode image: %s", why.message) : 0;
}

/* Returns true if the picture was decoded at full size and needs no reduction for drawing. */
static bool should_draw(const struct hs_image *image, int side)
{
    return image->width == image->orig_width && (side == 0 || (image->width <= side && image->height <= side));
}

int hs_pose_detect(struct hs_model_pool *pool, const uint8_t *data, size_t len, const struct hs_pose_params *params,
                   struct hs_pose_result *result, struct hs_error *err)
{
    int64_t start = hs_clock_now_ns();
    struct hs_image *image;
    hs_image_destroy(result->image);
    result->image = NULL;
    if (hs_cancel_is_set(params->cancel))
        return hs_error_set(err, HS_ECANCELED, "the client disconnected");
    const struct hs_input_size *input = &hs_model_pool_first(pool)->input;
    int r = decode(data, len, params, input->w, input->h, false, &image, err);
    if (r < 0)
        return r;
    int64_t at = start;
    result->timings.decode_ms = hs_stage_lap_ms(HS_STAGE_DECODE, &at);
    result->width = image->orig_width;
    result->height = image->orig_height;
    result->turn = params->apply_exif ? 1 : image->orientation;
    hs_str_copy(result->damage, sizeof(result->damage), image->damage);
    struct work w = { image, params, result };
    r = hs_model_pool_run(pool, detect_on, &w, params->deadline_ns, params->cancel, &result->runner, err);
    result->timings.total_ms = hs_ns_to_ms(hs_clock_now_ns() - start);
    if (r == 0) {
        result->degraded = hs_model_pool_is_fallback(pool, result->runner);
        if (params->keep_image && should_draw(image, params->keep_side)) {
            result->image = image;
            return 0;
        }
    }
    hs_image_destroy(image);
    /* The network input must not depend on keep_image, so the picture is decoded again for drawing. */
    if (r == 0 && params->keep_image)
        r = decode(data, len, params, params->keep_side, params->keep_side, true, &result->image, err);
    return r;
}
