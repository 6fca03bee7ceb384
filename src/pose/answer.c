#include "pose/answer.h"

#include <math.h>

/* Sets key to value and takes the reference; remembers in *ok that something failed. */
static void put(json_t *object, const char *key, json_t *value, bool *ok)
{
    if (json_object_set_new(object, key, value) < 0)
        *ok = false;
}

static void push(json_t *array, json_t *value, bool *ok)
{
    if (json_array_append_new(array, value) < 0)
        *ok = false;
}

static json_t *bbox_json(const struct hs_rect *box, int width, int height, bool *ok)
{
    int x1 = hs_pixel(box->x1, width), y1 = hs_pixel(box->y1, height);
    json_t *bbox = json_object();
    put(bbox, "x", json_integer(x1), ok);
    put(bbox, "y", json_integer(y1), ok);
    put(bbox, "width", json_integer(hs_pixel(box->x2, width) - x1), ok);
    put(bbox, "height", json_integer(hs_pixel(box->y2, height) - y1), ok);
    return bbox;
}

static json_t *keypoints_json(const struct hs_pose_result *result, size_t i, const struct hs_pack *pack, bool *ok)
{
    const struct hs_keypoint *points = hs_pose_list_keypoints(&result->people, i);
    json_t *array = json_array();
    for (size_t k = 0; k < pack->keypoint_count; k++) {
        json_t *point = json_object();
        put(point, "name", json_string(pack->keypoints[k]), ok);
        put(point, "x", json_integer(hs_pixel(points[k].x, result->width)), ok);
        put(point, "y", json_integer(hs_pixel(points[k].y, result->height)), ok);
        put(point, "confidence", json_real((double) points[k].conf), ok);
        push(array, point, ok);
    }
    return array;
}

static json_t *skeleton_json(const struct hs_keypoint *points, const struct hs_pose_answer_options *options, bool *ok)
{
    const struct hs_pack *pack = options->pack;
    json_t *array = json_array();
    for (size_t e = 0; e < pack->edge_count; e++) {
        int from = pack->edges[e][0], to = pack->edges[e][1];
        if (points[from].conf < options->keypoint_threshold || points[to].conf < options->keypoint_threshold)
            continue;
        json_t *edge = json_object();
        put(edge, "from", json_string(pack->keypoints[from]), ok);
        put(edge, "to", json_string(pack->keypoints[to]), ok);
        put(edge, "from_index", json_integer(from), ok);
        put(edge, "to_index", json_integer(to), ok);
        push(array, edge, ok);
    }
    return array;
}

static json_t *pose_json(const struct hs_pose_result *result, size_t i, const struct hs_pose_answer_options *options,
                         bool *ok)
{
    const struct hs_pose *pose = &result->people.poses[i];
    json_t *object = json_object();
    put(object, "person_id", json_integer((json_int_t) i), ok);
    put(object, "bbox", bbox_json(&pose->box, result->width, result->height, ok), ok);
    put(object, "bbox_confidence", json_real((double) pose->score), ok);
    put(object, "keypoints", keypoints_json(result, i, options->pack, ok), ok);
    if (options->skeleton)
        put(object, "skeleton", skeleton_json(hs_pose_list_keypoints(&result->people, i), options, ok), ok);
    if (options->pack->class_count > 1)
        put(object, "class", json_string(options->pack->classes[pose->class_id]), ok);
    return object;
}

/* Microseconds are as fine as these numbers mean anything. */
static json_t *milliseconds(double ms)
{
    return json_real(round(ms * 1000) / 1000);
}

static json_t *timings_json(const struct hs_pose_timings *t, bool *ok)
{
    json_t *object = json_object();
    put(object, "decode", milliseconds(t->decode_ms), ok);
    put(object, "preprocess", milliseconds(t->preprocess_ms), ok);
    put(object, "queue", milliseconds(t->queue_ms), ok);
    put(object, "inference", milliseconds(t->inference_ms), ok);
    put(object, "postprocess", milliseconds(t->postprocess_ms), ok);
    put(object, "total", milliseconds(t->total_ms), ok);
    return object;
}

json_t *hs_pose_answer(const struct hs_pose_result *result, const struct hs_pose_answer_options *options)
{
    bool ok = true;
    json_t *poses = json_array();
    for (size_t i = 0; i < result->people.count; i++)
        push(poses, pose_json(result, i, options, &ok), &ok);
    json_t *answer = json_object();
    put(answer, "poses", poses, &ok);
    put(answer, "count", json_integer((json_int_t) result->people.count), &ok);
    put(answer, "inference_time_ms", json_integer((json_int_t) result->timings.inference_ms), &ok);
    json_t *size = json_object();
    put(size, "width", json_integer(result->width), &ok);
    put(size, "height", json_integer(result->height), &ok);
    put(answer, "image_size", size, &ok);
    put(answer, "model", json_string(options->model), &ok);
    put(answer, "device", json_string(result->runner->device), &ok);
    if (result->degraded)
        put(answer, "degraded", json_true(), &ok);
    put(answer, "timings_ms", timings_json(&result->timings, &ok), &ok);
    if (!ok) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}
