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

/* The network input for a picture of this size. */
static void choose_input(const struct hs_pose_pipeline_options *o, int width, int height, int *ret_w, int *ret_h)
{
    *ret_w = o->input_w;
    *ret_h = o->input_h;
    /* A rectangle is the picture's own shape; where the configuration asks for one itself, that one stands. */
    if (o->rectangular && o->input_w == o->input_h && o->pack->input.stride > 0)
        hs_letterbox_rect(width, height, o->input_w, hs_letterbox_step(o->pack->input.stride, o->input_w), ret_w,
                          ret_h);
}

/* Milliseconds since *at, which moves to now. */
static double lap(int64_t *at)
{
    int64_t now = hs_clock_now_ns();
    double ms = hs_ns_to_ms(now - *at);
    *at = now;
    return ms;
}

static int decode_outputs(const struct hs_pose_pipeline_options *o, const struct hs_lease *lease,
                          const struct hs_letterbox *box, const struct hs_pose_params *params,
                          struct hs_pose_list *people, struct hs_error *err)
{
    const struct hs_yolo_pose_spec spec = {
        .classes = (int) o->pack->class_count,
        .keypoints = (int) o->pack->keypoint_count,
        .dims = o->pack->keypoint_dims,
        .score_logits = o->file->scores == HS_SCORES_LOGITS,
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
    const struct hs_transform to_picture = {
        .scale_x = box->scale_x,
        .scale_y = box->scale_y,
        .pad_x = (float) box->pad_left,
        .pad_y = (float) box->pad_top,
        .width = (float) box->orig_w,
        .height = (float) box->orig_h,
    };
    hs_pose_list_map(people, &to_picture);
    return 0;
}

int hs_pose_detect_image(const struct hs_pose_pipeline *pipeline, const struct hs_image *image,
                         const struct hs_pose_params *params, int64_t deadline_ns, struct hs_cancel *cancel,
                         struct hs_pose_result *result, struct hs_error *err)
{
    const struct hs_pose_pipeline_options *o = &pipeline->options;
    struct hs_pose_timings *t = &result->timings;
    int64_t at = hs_clock_now_ns(), start = at;
    int in_w, in_h;
    choose_input(o, image->orig_width, image->orig_height, &in_w, &in_h);
    const struct hs_engine_shape whole = { o->input_h, o->input_w };
    struct hs_engine_shape shape;
    hs_engine_choose_shape(o->engine, in_h, in_w, whole, &shape);
    struct hs_letterbox box;
    hs_letterbox_plan(image->orig_width, image->orig_height, shape.w, shape.h, &box);

    struct hs_lease *lease;
    int r = hs_engine_acquire(o->engine, shape.h, shape.w, deadline_ns, cancel, &lease, err);
    if (r < 0)
        return r;
    t->queue_ms = lap(&at);
    r = hs_letterbox_apply(&box, image, lease->input);
    if (r < 0) {
        hs_error_set(err, r, "no memory to scale the picture");
        goto out;
    }
    t->preprocess_ms = lap(&at);
    struct hs_engine_timings ran;
    r = hs_engine_run(lease, &ran, err);
    if (r < 0)
        goto out;
    t->inference_ms = hs_ns_to_ms(ran.inference_ns);
    lap(&at);
    r = decode_outputs(o, lease, &box, params, &result->people, err);
    if (r < 0)
        goto out;
    t->postprocess_ms = lap(&at);
    t->total_ms = t->decode_ms + hs_ns_to_ms(at - start);
    result->width = image->orig_width;
    result->height = image->orig_height;
    result->device = o->device;
out:
    hs_engine_release(lease);
    return r;
}

int hs_pose_detect(const struct hs_pose_pipeline *pipeline, const uint8_t *data, size_t len,
                   const struct hs_pose_params *params, int64_t deadline_ns, struct hs_cancel *cancel,
                   struct hs_pose_result *result, struct hs_error *err)
{
    const struct hs_pose_pipeline_options *o = &pipeline->options;
    int64_t at = hs_clock_now_ns();
    hs_image_destroy(result->image);
    result->image = NULL;
    if (hs_cancel_is_set(cancel))
        return hs_error_set(err, HS_ECANCELED, "the client has left");
    struct hs_image_options decode = {
        .limits = o->limits,
        .target_w = params->keep_image ? 0 : o->input_w,
        .target_h = params->keep_image ? 0 : o->input_h,
        .apply_exif = params->apply_exif,
    };
    struct hs_image *image;
    struct hs_error why;
    int r = hs_image_decode(data, len, &decode, &image, &why);
    if (r < 0)
        return hs_error_set(err, r, "Failed to decode image: %s", why.message);
    result->timings.decode_ms = lap(&at);
    r = hs_pose_detect_image(pipeline, image, params, deadline_ns, cancel, result, err);
    if (r == 0 && params->keep_image)
        result->image = image;
    else
        hs_image_destroy(image);
    return r;
}
