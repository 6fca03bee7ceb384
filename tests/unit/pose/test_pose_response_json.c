/* Tests the exact text of an answer with rounded numbers, and drawings, for a model with three keypoints. */
#include "../unit.h"

#include <string.h>

#include "../alloc_fail.h"
#include "base/mem.h"
#include "base/str.h"
#include "pose/annotate.h"
#include "pose/response_json.h"
#include "vision/coco_pose.h"

static const char *classes[] = { "cat", "dog" };
static const char *keypoints[] = { "nose", "back", "tail" };
static int edges[][2] = { { 0, 1 }, { 1, 2 } };

struct fixture {
    struct hs_pack pack;
    struct hs_model_runner runner;
    struct hs_pose_settings settings;
    struct hs_pose_app app;
    struct hs_pose poses[2];
    struct hs_keypoint points[2 * 3];
    struct hs_pose_result result;
    float threshold;
    const json_t *more;
    char whole[4096]; /* the answer, "" until known */
};

static void set_up(struct fixture *s)
{
    memset(s, 0, sizeof(*s));
    s->pack = (struct hs_pack) {
        .class_count = 1,
        .classes = classes,
        .keypoint_count = 3,
        .keypoint_dims = 3,
        .keypoints = keypoints,
        .edge_count = 2,
        .edges = edges,
    };
    s->runner = (struct hs_model_runner) { .choice = { .pack = &s->pack }, .model = "made", .device = "sim" };
    s->settings.pose.skeleton_connections = true;
    s->app.settings = &s->settings;
    s->poses[0] = (struct hs_pose) { .box = { 10.5f, 20, 60.9f, 70 }, .score = 0.75004f, .class_id = 1 };
    s->poses[1] = (struct hs_pose) { .box = { -3, 70, 120, 90 }, .score = 0.5f };
    static const struct hs_keypoint points[] = { { 12, 22, 0.5f }, { 30.9f, 40, 0.25f }, { 55, 66, 0.74996f },
                                                 { -2, 70, 0.5f }, { 99.5f, 85, 0.5f },  { 3, 4, 0.125f } };
    memcpy(s->points, points, sizeof(points));
    s->result = (struct hs_pose_result) {
        .people = { .count = 2, .keypoint_count = 3, .poses = s->poses, .keypoints = s->points },
        .found = 2,
        .width = 100,
        .height = 80,
        .turn = 1,
        .timings = { 1.2344, 2.0005, 3, 4.9996, 5.5, 100.25 },
        .runner = &s->runner,
    };
    s->threshold = 0.25f;
}

static int write_answer(const struct fixture *s, struct hs_buf *out)
{
    return hs_pose_response_write(&s->app, &s->result, s->threshold, s->more, out);
}

static void check(const struct fixture *s, const char *text)
{
    struct hs_buf out;
    hs_buf_init(&out, 1 << 16);
    assert_int_equal(write_answer(s, &out), 0);
    assert_int_equal(out.data[--out.len], '\n');
    assert_string_equal(hs_buf_str(&out), text);
    hs_buf_finish(&out);
}

#define KEYPOINTS_1                                                                                                    \
    "\"keypoints\": [{\"name\": \"nose\", \"x\": 12, \"y\": 22, \"confidence\": 0.5}, "                                \
    "{\"name\": \"back\", \"x\": 30, \"y\": 40, \"confidence\": 0.25}, "                                               \
    "{\"name\": \"tail\", \"x\": 55, \"y\": 66, \"confidence\": 0.75}]"
#define KEYPOINTS_2                                                                                                    \
    "\"keypoints\": [{\"name\": \"nose\", \"x\": 0, \"y\": 70, \"confidence\": 0.5}, "                                 \
    "{\"name\": \"back\", \"x\": 99, \"y\": 79, \"confidence\": 0.5}, "                                                \
    "{\"name\": \"tail\", \"x\": 3, \"y\": 4, \"confidence\": 0.125}]"
#define EDGE_1 "{\"from\": \"nose\", \"to\": \"back\", \"from_index\": 0, \"to_index\": 1}"
#define EDGE_2 "{\"from\": \"back\", \"to\": \"tail\", \"from_index\": 1, \"to_index\": 2}"
#define PERSON_1                                                                                                       \
    "{\"person_id\": 0, \"bbox\": {\"x\": 10, \"y\": 20, \"width\": 50, \"height\": 50}, \"bbox_confidence\": "        \
    "0.75, " KEYPOINTS_1
#define PERSON_2                                                                                                       \
    "{\"person_id\": 1, \"bbox\": {\"x\": 0, \"y\": 70, \"width\": 99, \"height\": 9}, \"bbox_confidence\": "          \
    "0.5, " KEYPOINTS_2
#define SIZE "\"inference_time_ms\": 4, \"image_size\": {\"width\": 100, \"height\": 80}, "
#define TIMINGS                                                                                                        \
    "\"timings_ms\": {\"decode\": 1.2, \"preprocess\": 2.0, \"queue\": 3.0, \"inference\": 5.0, "                      \
    "\"postprocess\": 5.5, \"total\": 100.3}"

static void people_are_listed(void **state)
{
    (void) state;
    struct fixture s;
    set_up(&s);
    check(&s, "{\"poses\": [" PERSON_1 ", \"skeleton\": [" EDGE_1 ", " EDGE_2 "]}, " PERSON_2 ", \"skeleton\": [" EDGE_1
              "]}], \"count\": 2, " SIZE "\"model\": \"made\", \"device\": \"sim\", " TIMINGS "}");
    /* An edge is listed if both ends reach the threshold. */
    s.threshold = 0.26f;
    check(&s, "{\"poses\": [" PERSON_1 ", \"skeleton\": []}, " PERSON_2 ", \"skeleton\": [" EDGE_1
              "]}], \"count\": 2, " SIZE "\"model\": \"made\", \"device\": \"sim\", " TIMINGS "}");
    s.settings.pose.skeleton_connections = false;
    s.pack.class_count = 2;
    s.result.found = 7;
    s.result.degraded = true;
    check(&s,
          "{\"poses\": [" PERSON_1 ", \"class\": \"dog\"}, " PERSON_2 ", \"class\": \"cat\"}], \"count\": 2, " SIZE
          "\"model\": \"made\", \"device\": \"sim\", \"truncated\": true, \"found\": 7, \"degraded\": true, " TIMINGS
          "}");
}

static void more_is_added_at_the_end(void **state)
{
    (void) state;
    struct fixture s;
    set_up(&s);
    s.result.people.count = s.result.found = 0;
#define NOBODY "{\"poses\": [], \"count\": 0, " SIZE "\"model\": \"made\", \"device\": \"sim\", " TIMINGS
    check(&s, NOBODY "}");
    json_t *more = json_pack("{s:s, s:[s]}", "id", "x", "warnings", "first");
    s.more = more;
    check(&s, NOBODY ", \"id\": \"x\", \"warnings\": [\"first\"]}");
    hs_str_copy(s.result.damage, sizeof(s.result.damage), "half of it");
#define DAMAGE "{\"code\": \"image_damaged\", \"message\": \"image: half of it\", \"field\": \"image\"}"
    check(&s, NOBODY ", \"id\": \"x\", \"warnings\": [\"first\", " DAMAGE "]}");
    s.more = NULL;
    check(&s, NOBODY ", \"warnings\": [" DAMAGE "]}");
    /* The argument is unchanged. */
    assert_int_equal(json_array_size(json_object_get(more, "warnings")), 1);
    json_decref(more);
}

/* The text fits exactly, and exceeds the buffer's maximum by one byte. */
static void a_response_that_does_not_fit_is_rejected(void **state)
{
    (void) state;
    struct fixture s;
    struct hs_buf out;
    set_up(&s);
    hs_buf_init(&out, 1 << 16);
    assert_int_equal(write_answer(&s, &out), 0);
    size_t len = out.len;
    hs_buf_finish(&out);
    for (size_t less = 0; less < 2; less++) {
        hs_buf_init(&out, len - less);
        assert_int_equal(write_answer(&s, &out), less ? HS_ETOOLARGE : 0);
        hs_buf_finish(&out);
    }
}

static int write_whole(void *arg)
{
    struct fixture *s = arg;
    struct hs_buf out;
    hs_buf_init(&out, 1 << 16);
    int r = write_answer(s, &out);
    if (r == 0 && s->whole[0])
        assert_string_equal(hs_buf_str(&out), s->whole);
    else if (r == 0)
        assert_true(hs_str_copy(s->whole, sizeof(s->whole), hs_buf_str(&out)));
    hs_buf_finish(&out);
    return r;
}

static void a_response_is_complete_or_absent(void **state)
{
    (void) state;
    static struct fixture s;
    set_up(&s);
    json_t *more = json_pack("{s:s, s:[s]}", "id", "x", "warnings", "first");
    s.more = more;
    hs_str_copy(s.result.damage, sizeof(s.result.damage), "half of it");
    assert_int_equal(write_whole(&s), 0);
    json_set_alloc_funcs(malloc, free); /* use malloc of this test, which counts allocations */
    assert_true(hs_fail_each_allocation(write_whole, &s) > 5);
    json_decref(more);
}

/* ---- drawings ---- */

enum { SIDE = 200, HALF = SIDE / 2 };

static const uint32_t colors[] = { 0x33c3f0, 0xf0a033, 0x7ed957, 0xe05780, 0xb388ff, 0xffd54f, 0x4db6ac, 0xff8a65 };

/* Draws the result over black, encodes it as PNG and decodes that. */
static struct hs_image *drawn(struct hs_pose_result *result, float threshold)
{
    struct hs_buf out;
    const struct hs_image_options options = { .limits = HS_IMAGE_LIMITS_DEFAULT };
    struct hs_image *image, *back;
    assert_int_equal(hs_image_create(SIDE, SIDE, &image, NULL), 0);
    memset(image->pixels, 0, image->stride * SIDE);
    result->image = image;
    hs_buf_init(&out, 1 << 20);
    assert_int_equal(hs_pose_annotate(result, threshold, HS_IMAGE_PNG, &out, NULL), 0);
    assert_int_equal(hs_image_decode(out.data, out.len, &options, &back, NULL), 0);
    hs_buf_finish(&out);
    hs_image_destroy(image);
    result->image = NULL;
    return back;
}

static uint32_t color_at(const struct hs_image *image, int x, int y)
{
    const uint8_t *p = image->pixels + (size_t) y * image->stride + (size_t) x * 3;
    return (uint32_t) p[0] << 16 | (uint32_t) p[1] << 8 | p[2];
}

static void check_color(const struct hs_image *image, int x, int y, uint32_t color)
{
    if (color_at(image, x, y) != color)
        fail_msg("%d,%d is #%06x, not #%06x", x, y, (unsigned) color_at(image, x, y), (unsigned) color);
}

/* Points and lines from the threshold on are drawn, each person in a different colour. */
static void people_are_drawn(void **state)
{
    (void) state;
    struct fixture s;
    struct hs_pose poses[10];
    struct hs_keypoint points[10 * 3];
    set_up(&s);
    for (int i = 0; i < 10; i++) {
        float y = (float) (10 + 18 * i);
        poses[i] = (struct hs_pose) { .box = { 10, y, 190, y + 14 }, .score = 0.5f };
        points[3 * i] = (struct hs_keypoint) { 120, y + 7, 0.5f };
        points[3 * i + 1] = (struct hs_keypoint) { 145, y + 7, 0.5f };
        points[3 * i + 2] = (struct hs_keypoint) { 175, y + 7, 0.4f };
    }
    s.result.people = (struct hs_pose_list) { .count = 10, .keypoint_count = 3, .poses = poses, .keypoints = points };
    struct hs_image *image = drawn(&s.result, 0.5f);
    for (int i = 0; i < 10; i++) {
        int y = 10 + 18 * i + 7;
        check_color(image, 120, y, colors[i % 8]);
        check_color(image, 132, y, colors[i % 8]);
        check_color(image, 145, y, colors[i % 8]);
        check_color(image, 190, y, colors[i % 8]);
        check_color(image, 160, y, 0);
        check_color(image, 175, y, 0);
    }
    hs_image_destroy(image);
    image = drawn(&s.result, 0.4f);
    check_color(image, 160, 17, colors[0]);
    check_color(image, 175, 17, colors[0]);
    hs_image_destroy(image);
    s.result.people.count = 0;
    image = drawn(&s.result, 0);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            check_color(image, x, y, 0);
    hs_image_destroy(image);
}

/* A COCO person has COCO's colours; a person of a model with other counts has one colour. */
static void people_of_coco_have_its_colours(void **state)
{
    (void) state;
    struct fixture s;
    int coco_edges[HS_COCO_EDGES][2];
    struct hs_keypoint points[HS_COCO_KEYPOINTS];
    set_up(&s);
    for (int i = 0; i < HS_COCO_EDGES; i++) {
        coco_edges[i][0] = hs_coco_edges[i].from;
        coco_edges[i][1] = hs_coco_edges[i].to;
    }
    for (int i = 0; i < HS_COCO_KEYPOINTS; i++)
        points[i] = (struct hs_keypoint) { 100, 100, 0 };
    /* Only the two ends of the first edge reach the threshold. */
    const struct hs_coco_edge *edge = &hs_coco_edges[0];
    points[edge->from] = (struct hs_keypoint) { 50, 100, 1 };
    points[edge->to] = (struct hs_keypoint) { 150, 100, 1 };
    s.poses[0].box = (struct hs_rect) { 2, 2, 198, 198 };
    s.pack.keypoint_count = HS_COCO_KEYPOINTS;
    s.pack.edge_count = HS_COCO_EDGES;
    s.pack.edges = coco_edges;
    s.result.people = (struct hs_pose_list) {
        .count = 1, .keypoint_count = HS_COCO_KEYPOINTS, .poses = s.poses, .keypoints = points
    };
    const uint8_t *from = hs_coco_keypoint_rgb[edge->from], *line = edge->rgb;
    uint32_t from_color = (uint32_t) from[0] << 16 | (uint32_t) from[1] << 8 | from[2];
    uint32_t line_color = (uint32_t) line[0] << 16 | (uint32_t) line[1] << 8 | line[2];
    struct hs_image *image = drawn(&s.result, 0.5f);
    check_color(image, 50, 100, from_color);
    check_color(image, HALF, 100, line_color);
    hs_image_destroy(image);
    s.pack.edge_count--;
    image = drawn(&s.result, 0.5f);
    check_color(image, 50, 100, colors[0]);
    check_color(image, HALF, 100, colors[0]);
    hs_image_destroy(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_are_listed),
        cmocka_unit_test(more_is_added_at_the_end),
        cmocka_unit_test(a_response_that_does_not_fit_is_rejected),
        cmocka_unit_test(people_are_drawn),
        cmocka_unit_test(people_of_coco_have_its_colours),
        cmocka_unit_test(a_response_is_complete_or_absent),
    };
    return HS_RUN_TESTS(tests);
}
