#include "pose/response_json.h"

#include <math.h>

/* Appends and takes the item; if that fails or there is none, the array is freed and NULL is returned. */
static json_t *append(json_t *array, json_t *item)
{
    if (json_array_append_new(array, item) == 0)
        return array;
    json_decref(array);
    return NULL;
}

/* The same for a member of an object. */
static json_t *set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) == 0)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *bbox_json(const struct hs_rect *box, int width, int height)
{
    int x1 = hs_pixel(box->x1, width), y1 = hs_pixel(box->y1, height);
    return json_pack("{s:i, s:i, s:i, s:i}", "x", x1, "y", y1, "width", hs_pixel(box->x2, width) - x1, "height",
                     hs_pixel(box->y2, height) - y1);
}

static json_t *keypoints_json(const struct hs_pose_result *result, size_t person, const struct hs_pack *pack)
{
    const struct hs_keypoint *points = hs_pose_list_keypoints(&result->people, person);
    json_t *array = json_array();
    for (size_t k = 0; array && k < pack->keypoint_count; k++)
        array = append(array, json_pack("{s:s, s:i, s:i, s:f}", "name", pack->keypoints[k], "x",
                                        hs_pixel(points[k].x, result->width), "y",
                                        hs_pixel(points[k].y, result->height), "confidence", (double) points[k].conf));
    return array;
}

static json_t *skeleton_json(const struct hs_keypoint *points, const struct hs_pack *pack, float threshold)
{
    json_t *array = json_array();
    for (size_t e = 0; array && e < pack->edge_count; e++) {
        int from = pack->edges[e][0], to = pack->edges[e][1];
        if (points[from].conf >= threshold && points[to].conf >= threshold)
            array = append(array, json_pack("{s:s, s:s, s:i, s:i}", "from", pack->keypoints[from], "to",
                                            pack->keypoints[to], "from_index", from, "to_index", to));
    }
    return array;
}

/* Microseconds are as fine as these numbers mean anything. */
static double micro(double ms)
{
    return round(ms * 1000) / 1000;
}

json_t *hs_pose_response_json(const struct hs_pose_app *app, const struct hs_pose_result *result,
                              float keypoint_threshold)
{
    const struct hs_pack *pack = result->runner->choice.pack;
    const struct hs_pose_timings *t = &result->timings;
    json_t *poses = json_array();
    for (size_t i = 0; poses && i < result->people.count; i++) {
        const struct hs_pose *pose = &result->people.poses[i];
        json_t *person = json_pack("{s:I, s:o, s:f, s:o}", "person_id", (json_int_t) i, "bbox",
                                   bbox_json(&pose->box, result->width, result->height), "bbox_confidence",
                                   (double) pose->score, "keypoints", keypoints_json(result, i, pack));
        if (person && app->settings->pose.skeleton_connections)
            person = set(person, "skeleton",
                         skeleton_json(hs_pose_list_keypoints(&result->people, i), pack, keypoint_threshold));
        if (person && pack->class_count > 1)
            person = set(person, "class", json_string(pack->classes[pose->class_id]));
        poses = append(poses, person);
    }
    json_t *answer =
        json_pack("{s:o, s:I, s:I, s:{s:i, s:i}, s:s, s:s}", "poses", poses, "count", (json_int_t) result->people.count,
                  "inference_time_ms", (json_int_t) t->inference_ms, "image_size", "width", result->width, "height",
                  result->height, "model", result->runner->model, "device", result->runner->device);
    if (answer && result->found > result->people.count) {
        answer = set(answer, "truncated", json_true());
        answer = answer ? set(answer, "found", json_integer((json_int_t) result->found)) : NULL;
    }
    if (answer && result->degraded)
        answer = set(answer, "degraded", json_true());
    if (answer)
        answer =
            set(answer, "timings_ms",
                json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "decode", micro(t->decode_ms), "preprocess",
                          micro(t->preprocess_ms), "queue", micro(t->queue_ms), "inference", micro(t->inference_ms),
                          "postprocess", micro(t->postprocess_ms), "total", micro(t->total_ms)));
    return answer;
}
