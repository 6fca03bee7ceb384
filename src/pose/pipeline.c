#include "pose/pipeline.h"

#include <stdlib.h>

#include "base/clock.h"
#include "image/letterbox.h"
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

void hs_pose_input_size(const struct hs_pose_pipeline *pipeline, const struct hs_network *network, int *ret_w,
                        int *ret_h)
{
    const struct hs_pack_input *input = &network->choice.pack->input;
    *ret_w = input->stride ? pipeline->input_w : input->width;
    *ret_h = input->stride ? pipeline->input_h : input->height;
}

/* The network input for a picture of this size. */
static void choose_shape(const struct hs_pose_pipeline *pipeline, const struct hs_network *network,
                         const struct hs_image *image, struct hs_engine_shape *ret_shape)
{
    int stride = network->choice.pack->input.stride, w, h;
    hs_pose_input_size(pipeline, network, &w, &h);
    const struct hs_engine_shape whole = { h, w };
    /* A rectangle is the picture's own shape; where the configuration asks for one itself, that one stands. */
    if (pipeline->rectangular && w == h && stride > 0)
        hs_letterbox_rect(image->orig_width, image->orig_height, w, hs_letterbox_step(stride, w), HS_LETTERBOX_BORDER,
                          &w, &h);
    hs_engine_choose_shape(network->engine, h, w, whole, ret_shape);
}

/* Milliseconds since *at, which moves to now. */
static double lap(int64_t *at)
{
    int64_t now = hs_clock_now_ns();
    double ms = hs_ns_to_ms(now - *at);
    *at = now;
    return ms;
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
        .max_detections = params->max_detections,
    };
    r = hs_yolo_pose_decode(&layout, lease->outputs, &decode, people);
    if (r < 0)
        return hs_error_set(err, r, "no memory for the detections");
    const struct hs_transform to_picture = hs_letterbox_transform(box);
    hs_pose_list_map(people, &to_picture);
    return 0;
}

/* A picture on its way through a network. */
struct work {
    const struct hs_pose_pipeline *pipeline;
    const struct hs_image *image;
    const struct hs_pose_params *params;
    int64_t deadline_ns;
    struct hs_cancel *cancel;
    struct hs_pose_result *result;
};

static int run(struct work *w, const struct hs_network *network, const struct hs_letterbox *box,
               struct hs_lease *lease, struct hs_error *err)
{
    struct hs_pose_timings *t = &w->result->timings;
    struct hs_engine_timings ran;
    int64_t at = hs_clock_now_ns();
    int r = hs_letterbox_apply(box, w->image, lease->input);
    if (r < 0)
        return hs_error_set(err, r, "no memory to scale the picture");
    t->preprocess_ms = lap(&at);
    r = hs_engine_run(lease, &ran, err);
    if (r < 0)
        return r;
    t->inference_ms = hs_ns_to_ms(ran.inference_ns);
    lap(&at);
    r = decode_outputs(&network->choice, lease, box, w->params, &w->result->people, err);
    t->postprocess_ms = lap(&at);
    return r;
}

/* An hs_fleet_attempt. */
static int detect_on(void *arg, const struct hs_network *network, struct hs_error *err)
{
    struct work *w = arg;
    struct hs_engine_shape shape;
    struct hs_letterbox box;
    struct hs_lease *lease;
    choose_shape(w->pipeline, network, w->image, &shape);
    hs_letterbox_plan(w->image->orig_width, w->image->orig_height, shape.w, shape.h, &box);
    int64_t at = hs_clock_now_ns();
    const struct hs_engine_wish wish = {
        .h = shape.h,
        .w = shape.w,
        .count = 1,
        .priority = w->params->priority,
        .deadline_ns = w->deadline_ns,
        .cancel = w->cancel,
    };
    int r = hs_engine_acquire_some(network->engine, &wish, &lease, err);
    if (r < 0)
        return r;
    w->result->timings.queue_ms = lap(&at);
    r = run(w, network, &box, lease, err);
    hs_engine_release(lease);
    return r;
}

int hs_pose_detect_image(const struct hs_pose_pipeline *pipeline, struct hs_fleet *fleet, const struct hs_image *image,
                         const struct hs_pose_params *params, int64_t deadline_ns, struct hs_cancel *cancel,
                         struct hs_pose_result *result, struct hs_error *err)
{
    struct work w = {
        .pipeline = pipeline, .image = image, .params = params, .deadline_ns = deadline_ns, .cancel = cancel,
        .result = result,
    };
    int64_t start = hs_clock_now_ns();
    int r = hs_fleet_run(fleet, detect_on, &w, deadline_ns, cancel, &result->network, err);
    if (r < 0)
        return r;
    result->timings.total_ms = result->timings.decode_ms + hs_ns_to_ms(hs_clock_now_ns() - start);
    result->degraded = hs_fleet_is_standby(fleet, result->network);
    result->width = image->orig_width;
    result->height = image->orig_height;
    return 0;
}

int hs_pose_detect(const struct hs_pose_pipeline *pipeline, struct hs_fleet *fleet, const uint8_t *data, size_t len,
                   const struct hs_pose_params *params, int64_t deadline_ns, struct hs_cancel *cancel,
                   struct hs_pose_result *result, struct hs_error *err)
{
    int64_t at = hs_clock_now_ns();
    int input_w, input_h;
    hs_image_destroy(result->image);
    result->image = NULL;
    if (hs_cancel_is_set(cancel))
        return hs_error_set(err, HS_ECANCELED, "the client has left");
    hs_pose_input_size(pipeline, hs_fleet_first(fleet), &input_w, &input_h);
    struct hs_image_options decode = {
        .limits = pipeline->limits,
        .target_w = params->keep_image ? 0 : input_w,
        .target_h = params->keep_image ? 0 : input_h,
        .apply_exif = params->apply_exif,
    };
    struct hs_image *image;
    struct hs_error why;
    int r = hs_image_decode(data, len, &decode, &image, &why);
    if (r < 0)
        return hs_error_set(err, r, "Failed to decode image: %s", why.message);
    result->timings.decode_ms = lap(&at);
    r = hs_pose_detect_image(pipeline, fleet, image, params, deadline_ns, cancel, result, err);
    if (r == 0 && params->keep_image)
        result->image = image;
    else
        hs_image_destroy(image);
    return r;
}
