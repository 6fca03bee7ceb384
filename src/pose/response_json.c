/* Writes JSON directly. A tree would take ten times as much memory as the text. */
#include "pose/response_json.h"

#include "base/json_writer.h"
#include "service/response_warnings.h"

static void put_string(struct hs_json_writer *json, const char *name, const char *value)
{
    hs_json_key(json, name);
    hs_json_string(json, value);
}

static void put_int(struct hs_json_writer *json, const char *name, int64_t value)
{
    hs_json_key(json, name);
    hs_json_int(json, value);
}

static void put_true(struct hs_json_writer *json, const char *name)
{
    hs_json_key(json, name);
    hs_json_bool(json, true);
}

static void put_score(struct hs_json_writer *json, const char *name, float value)
{
    hs_json_key(json, name);
    hs_json_real(json, hs_json_score((double) value));
}

static void put_ms(struct hs_json_writer *json, const char *name, double value)
{
    hs_json_key(json, name);
    hs_json_real(json, hs_json_ms(value));
}

static void open_member(struct hs_json_writer *json, const char *name, char bracket)
{
    hs_json_key(json, name);
    hs_json_open(json, bracket);
}

static void put_bbox(struct hs_json_writer *json, const struct hs_rect *box, int width, int height)
{
    int x1 = hs_pixel(box->x1, width), y1 = hs_pixel(box->y1, height);
    open_member(json, "bbox", '{');
    put_int(json, "x", x1);
    put_int(json, "y", y1);
    put_int(json, "width", hs_pixel(box->x2, width) - x1);
    put_int(json, "height", hs_pixel(box->y2, height) - y1);
    hs_json_close(json, '}');
}

static void put_keypoints(struct hs_json_writer *json, const struct hs_keypoint *points,
                          const struct hs_pose_result *result, const struct hs_pack *pack)
{
    open_member(json, "keypoints", '[');
    for (size_t k = 0; k < pack->keypoint_count; k++) {
        hs_json_open(json, '{');
        put_string(json, "name", pack->keypoints[k]);
        put_int(json, "x", hs_pixel(points[k].x, result->width));
        put_int(json, "y", hs_pixel(points[k].y, result->height));
        put_score(json, "confidence", points[k].conf);
        hs_json_close(json, '}');
    }
    hs_json_close(json, ']');
}

static void put_skeleton(struct hs_json_writer *json, const struct hs_keypoint *points, const struct hs_pack *pack,
                         float threshold)
{
    open_member(json, "skeleton", '[');
    for (size_t e = 0; e < pack->edge_count; e++) {
        int from = pack->edges[e][0], to = pack->edges[e][1];
        if (points[from].conf < threshold || points[to].conf < threshold)
            continue;
        hs_json_open(json, '{');
        put_string(json, "from", pack->keypoints[from]);
        put_string(json, "to", pack->keypoints[to]);
        put_int(json, "from_index", from);
        put_int(json, "to_index", to);
        hs_json_close(json, '}');
    }
    hs_json_close(json, ']');
}

static void put_person(struct hs_json_writer *json, const struct hs_pose_app *app, const struct hs_pose_result *result,
                       size_t i, float threshold)
{
    const struct hs_pack *pack = result->runner->choice.pack;
    const struct hs_pose *pose = &result->people.poses[i];
    const struct hs_keypoint *points = hs_pose_list_keypoints(&result->people, i);
    hs_json_open(json, '{');
    put_int(json, "person_id", (int64_t) i);
    put_bbox(json, &pose->box, result->width, result->height);
    put_score(json, "bbox_confidence", pose->score);
    put_keypoints(json, points, result, pack);
    if (app->settings->pose.skeleton_connections)
        put_skeleton(json, points, pack, threshold);
    if (pack->class_count > 1)
        put_string(json, "class", pack->classes[pose->class_id]);
    hs_json_close(json, '}');
}

static void put_timings(struct hs_json_writer *json, const struct hs_pose_timings *t)
{
    open_member(json, "timings_ms", '{');
    put_ms(json, "decode", t->decode_ms);
    put_ms(json, "preprocess", t->preprocess_ms);
    put_ms(json, "queue", t->queue_ms);
    put_ms(json, "inference", t->inference_ms);
    put_ms(json, "postprocess", t->postprocess_ms);
    put_ms(json, "total", t->total_ms);
    hs_json_close(json, '}');
}

/* Returns a copy of `more` with a warning for a damaged picture. Returns a new reference; NULL if memory runs out. */
static json_t *members_with_warning(const struct hs_pose_result *result, const json_t *more)
{
    json_t *own = more ? json_deep_copy(more) : json_object();
    return hs_response_warn_damage(own, "image", result->damage);
}

int hs_pose_response_write(const struct hs_pose_app *app, const struct hs_pose_result *result, float keypoint_threshold,
                           const json_t *more, struct hs_buf *out)
{
    struct hs_json_writer json;
    const char *name;
    json_t *own = members_with_warning(result, more), *value;
    if (!own)
        return HS_ENOMEM;
    hs_json_begin(&json, out, HS_JSON_SPACED);
    hs_json_open(&json, '{');
    open_member(&json, "poses", '[');
    for (size_t i = 0; i < result->people.count && hs_buf_error(out) == 0; i++)
        put_person(&json, app, result, i, keypoint_threshold);
    hs_json_close(&json, ']');
    put_int(&json, "count", (int64_t) result->people.count);
    put_int(&json, "inference_time_ms", (int64_t) result->timings.inference_ms);
    open_member(&json, "image_size", '{');
    put_int(&json, "width", result->width);
    put_int(&json, "height", result->height);
    hs_json_close(&json, '}');
    put_string(&json, "model", result->runner->model);
    put_string(&json, "device", result->runner->device);
    if (result->found > result->people.count) {
        put_true(&json, "truncated");
        put_int(&json, "found", (int64_t) result->found);
    }
    if (result->degraded)
        put_true(&json, "degraded");
    put_timings(&json, &result->timings);
    json_object_foreach(own, name, value)
    {
        hs_json_key(&json, name);
        hs_json_tree(&json, value);
    }
    json_decref(own);
    hs_json_close(&json, '}');
    return hs_json_end(&json);
}
