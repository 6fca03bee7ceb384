/* Runs a picture through the pipeline to the answer, also with each allocation failing. */
#include "../unit.h"

#include <string.h>

#include "../alloc_fail.h"
#include "../infer/sim_pool.h"
#include "base/buf.h"
#include "base/mem.h"
#include "image/encode.h"
#include "pose/annotate.h"
#include "pose/pipeline.h"
#include "vision/coco_pose.h"

enum { SIDE = 64, WIDTH = 256, HEIGHT = 192 };

/* 17 keypoints without names; these tests do not print them. */
static int edges[HS_COCO_EDGES][2];
static const struct hs_pack_file file = { .decode = HS_DECODE_YOLO_POSE_RAW, .scores = HS_SCORES_PROBABILITIES };
static const struct hs_pack pack = {
    .name = "made",
    .class_count = 1,
    .keypoint_count = HS_COCO_KEYPOINTS,
    .keypoint_dims = 3,
    .edge_count = HS_COCO_EDGES,
    .edges = edges,
};

struct fixture {
    struct sim_pool sim;
    struct hs_buf picture;
    struct hs_pose_params params;
    enum hs_image_format drawn;
    size_t drawn_len; /* 0 until known */
};

/* Draws two white people, the left one larger. */
static void make_picture(struct hs_buf *out, bool png)
{
    struct hs_image *image;
    assert_int_equal(hs_image_create(WIDTH, HEIGHT, &image, NULL), 0);
    memset(image->pixels, 60, image->stride * HEIGHT);
    for (int y = 32; y < 160; y++) {
        memset(image->pixels + (size_t) y * image->stride + 32 * 3, 255, 64 * 3);
        if (y < 128)
            memset(image->pixels + (size_t) y * image->stride + 176 * 3, 255, 48 * 3);
    }
    hs_buf_init(out, 1 << 20);
    assert_int_equal(png ? hs_image_encode_png(image, out, NULL) : hs_image_encode_jpeg(image, 95, out, NULL), 0);
    hs_image_destroy(image);
}

static void set_up(struct fixture *s, bool png)
{
    for (int i = 0; i < HS_COCO_EDGES; i++) {
        edges[i][0] = hs_coco_edges[i].from;
        edges[i][1] = hs_coco_edges[i].to;
    }
    make_picture(&s->picture, png);
    sim_pool_init(&s->sim, &pack, &file, HS_OUTPUT_POSES, SIDE, "latency_ms: 0");
    s->params = (struct hs_pose_params) {
        .limits = HS_IMAGE_LIMITS_DEFAULT,
        .confidence_threshold = 0.3f,
        .iou_threshold = 0.5f,
        .max_detections = 10,
        .keep_image = true,
        .deadline_ns = HS_NO_DEADLINE,
    };
    s->drawn = png ? HS_IMAGE_PNG : HS_IMAGE_JPEG;
    s->drawn_len = 0;
}

static void tear_down(struct fixture *s)
{
    sim_pool_finish(&s->sim);
    hs_buf_finish(&s->picture);
}

static void check_people(const struct hs_pose_result *result)
{
    const struct hs_rect *left = &result->people.poses[0].box;
    assert_int_equal(result->people.count, 2);
    assert_int_equal(result->found, 2);
    assert_true(left->x1 > 20 && left->x1 < 44 && left->x2 > 84 && left->x2 < 108);
    assert_true(left->y1 > 20 && left->y1 < 44 && left->y2 > 148 && left->y2 < 172);
    assert_true(result->width == WIDTH && result->height == HEIGHT && result->turn == 1);
    assert_string_equal(result->damage, "");
    assert_false(result->degraded);
    assert_non_null(result->runner);
}

static int detect_and_draw(void *arg)
{
    struct fixture *s = arg;
    struct hs_pose_result result;
    struct hs_error err = { 0 };
    hs_pose_result_init(&result);
    int r = hs_pose_detect(&s->sim.pool, s->picture.data, s->picture.len, &s->params, &result, &err);
    assert_int_equal(r, err.code);
    if (r == 0) {
        struct hs_buf drawn;
        check_people(&result);
        assert_int_equal(result.image->orig_width, WIDTH);
        hs_buf_init(&drawn, 1 << 20);
        r = hs_pose_annotate(&result, 0.3f, s->drawn, &drawn, &err);
        assert_int_equal(r, err.code);
        assert_true(r < 0 || s->drawn_len == 0 || s->drawn_len == drawn.len);
        s->drawn_len = r == 0 ? drawn.len : s->drawn_len;
        hs_buf_finish(&drawn);
    }
    hs_pose_result_finish(&result);
    return r;
}

static void a_picture_is_detected_or_rejected(void **state)
{
    (void) state;
    struct fixture s;
    for (int png = 0; png < 2; png++) {
        for (int side = 0; side <= 100; side += 100) {
            set_up(&s, png);
            s.params.keep_side = side;
            assert_true(hs_fail_each_allocation(detect_and_draw, &s) > 10);
            tear_down(&s);
        }
    }
}

/* Detections beyond max_detections are counted, and a kept picture has the requested size. */
static void parameters_are_applied(void **state)
{
    (void) state;
    static const struct {
        int max, side;
        float confidence;
        size_t count, found;
        int width; /* width of the kept picture */
    } cases[] = {
        { 10, 0, 0.3f, 2, 2, WIDTH }, { 1, 0, 0.3f, 1, 2, WIDTH }, { 0, 0, 0.3f, 0, 2, WIDTH },
        { 2, 256, 0.3f, 2, 2, 256 },  { 2, 255, 0.3f, 2, 2, 255 }, { 2, 64, 0.3f, 2, 2, 64 },
        { 10, 0, 1, 0, 0, WIDTH },
    };
    struct fixture s;
    for (int png = 0; png < 2; png++) {
        set_up(&s, png);
        for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
            struct hs_pose_result result;
            hs_pose_result_init(&result);
            s.params.max_detections = cases[i].max;
            s.params.keep_side = cases[i].side;
            s.params.confidence_threshold = cases[i].confidence;
            s.params.keep_image = true;
            assert_int_equal(hs_pose_detect(&s.sim.pool, s.picture.data, s.picture.len, &s.params, &result, NULL), 0);
            assert_int_equal(result.people.count, cases[i].count);
            assert_int_equal(result.found, cases[i].found);
            assert_int_equal(result.image->width, cases[i].width);
            /* The result is reused, without a picture. */
            s.params.keep_image = false;
            assert_int_equal(hs_pose_detect(&s.sim.pool, s.picture.data, s.picture.len, &s.params, &result, NULL), 0);
            assert_null(result.image);
            hs_pose_result_finish(&result);
        }
        tear_down(&s);
    }
}

static void invalid_requests_are_rejected(void **state)
{
    (void) state;
    struct fixture s;
    struct hs_pose_result result;
    struct hs_error err;
    struct hs_cancel cancel;
    set_up(&s, false);
    hs_pose_result_init(&result);
    assert_int_equal(hs_pose_detect(&s.sim.pool, s.picture.data, 20, &s.params, &result, &err), HS_EDECODE);
    assert_true(strncmp(err.message, "Failed to decode image: ", 24) == 0);
    s.params.limits.max_pixels = WIDTH * HEIGHT - 1;
    assert_int_equal(hs_pose_detect(&s.sim.pool, s.picture.data, s.picture.len, &s.params, &result, &err),
                     HS_ETOOLARGE);
    s.params.limits.max_pixels = WIDTH * HEIGHT;
    s.params.deadline_ns = hs_clock_now_ns();
    assert_int_equal(hs_pose_detect(&s.sim.pool, s.picture.data, s.picture.len, &s.params, &result, &err), HS_ETIMEOUT);
    s.params.deadline_ns = HS_NO_DEADLINE;
    hs_cancel_init(&cancel);
    s.params.cancel = &cancel;
    assert_int_equal(hs_pose_detect(&s.sim.pool, s.picture.data, s.picture.len, &s.params, &result, &err), 0);
    hs_cancel_trigger(&cancel);
    assert_int_equal(hs_pose_detect(&s.sim.pool, s.picture.data, s.picture.len, &s.params, &result, &err),
                     HS_ECANCELED);
    assert_string_equal(err.message, "the client disconnected");
    assert_null(result.image);
    hs_cancel_finish(&cancel);
    hs_pose_result_finish(&result);
    tear_down(&s);
}

/* A model whose outputs differ from those in its pack. */
static void other_outputs_are_refused(void **state)
{
    (void) state;
    static struct hs_pack other;
    struct fixture s;
    struct hs_pose_result result;
    struct hs_error err;
    set_up(&s, true);
    other = pack;
    other.keypoint_count = 5;
    s.sim.runner.choice.pack = &other;
    hs_pose_result_init(&result);
    assert_int_equal(hs_pose_detect(&s.sim.pool, s.picture.data, s.picture.len, &s.params, &result, &err), HS_EMODEL);
    assert_null(result.image);
    hs_pose_result_finish(&result);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_is_detected_or_rejected),
        cmocka_unit_test(parameters_are_applied),
        cmocka_unit_test(invalid_requests_are_rejected),
        cmocka_unit_test(other_outputs_are_refused),
    };
    return HS_RUN_TESTS(tests);
}
