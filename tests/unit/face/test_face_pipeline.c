/* Finds the faces in a picture with detector and embedder, also with each allocation failing. */
#include "../unit.h"

#include <math.h>
#include <string.h>

#include "../alloc_fail.h"
#include "../infer/sim_pool.h"
#include "backends/sim/vector.h"
#include "base/buf.h"
#include "base/mem.h"
#include "face/pipeline.h"
#include "image/encode.h"

enum { INPUT = 160, WIDTH = 640, HEIGHT = 480, FACES = 3 };

static const struct hs_pack_file detector_file = { .decode = HS_DECODE_SCRFD, .scores = HS_SCORES_PROBABILITIES };
static const struct hs_pack detector_pack = { .name = "detector", .task = HS_TASK_FACE_DETECTION };
static const struct hs_pack embedder_pack = {
    .name = "embedder",
    .task = HS_TASK_FACE_EMBEDDING,
    .embedding = { .space = "made", .dimension = HS_SIM_VECTOR_SIZE, .threshold = 0.25f },
};

/* Faces in the picture; the first is the largest, and has the highest score. */
static const struct hs_rect places[FACES] = {
    { 64, 64, 320, 400 },
    { 400, 64, 560, 256 },
    { 400, 320, 496, 432 },
};

struct fixture {
    struct sim_pool detector, embedder;
    struct hs_buf picture;
    struct hs_face_pipeline pipeline;
    struct hs_face_request request;
    size_t count;      /* expected number */
    int wanted[FACES]; /* indices into `places` */
    bool vectors[FACES];
    float first[HS_SIM_VECTOR_SIZE]; /* vector of the first face with an embedding, once known */
    bool known;
};

/* Draws bright faces with darker marks, so that they differ. */
static void make_picture(struct hs_buf *out, bool png)
{
    struct hs_image *image;
    assert_int_equal(hs_image_create(WIDTH, HEIGHT, &image, NULL), 0);
    memset(image->pixels, 60, image->stride * HEIGHT);
    for (int i = 0; i < FACES; i++)
        for (int y = (int) places[i].y1; y < (int) places[i].y2; y++)
            for (int x = (int) places[i].x1; x < (int) places[i].x2; x++)
                memset(image->pixels + (size_t) y * image->stride + (size_t) x * 3,
                       (x / 24 + y / 24 * i) % 2 ? 255 : 225, 3);
    hs_buf_init(out, 1 << 21);
    assert_int_equal(png ? hs_image_encode_png(image, out, NULL) : hs_image_encode_jpeg(image, 98, out, NULL), 0);
    hs_image_destroy(image);
}

static void set_up(struct fixture *s, bool png)
{
    *s = (struct fixture) { .count = FACES, .wanted = { 0, 1, 2 } };
    make_picture(&s->picture, png);
    sim_pool_init(&s->detector, &detector_pack, &detector_file, HS_OUTPUT_FACES, INPUT, "latency_ms: 0");
    sim_pool_init(&s->embedder, &embedder_pack, NULL, HS_OUTPUT_EMBEDDINGS, 112,
                  "latency_ms: 0.1\nbatch_ms: {1: 0.1, 2: 0.1}");
    s->pipeline = (struct hs_face_pipeline) {
        .detector = &s->detector.pool,
        .embedder = &s->embedder.pool,
        .limits = HS_IMAGE_LIMITS_DEFAULT,
        .iou_threshold = 0.4f,
    };
    s->request = (struct hs_face_request) { .score_threshold = 0.3f, .max_faces = 10 };
}

static void tear_down(struct fixture *s)
{
    sim_pool_finish(&s->detector);
    sim_pool_finish(&s->embedder);
    hs_buf_finish(&s->picture);
}

static void embed_all(struct fixture *s, bool all)
{
    for (int i = 0; i < FACES; i++)
        s->vectors[i] = all;
    s->request.embed = all;
}

static void check_result(struct fixture *s, const struct hs_face_result *result)
{
    assert_int_equal(result->count, s->count);
    assert_true(result->width == WIDTH && result->height == HEIGHT && result->turn == 1 && !result->degraded);
    assert_string_equal(result->space, "made");
    assert_string_equal(result->model, "embedder");
    assert_string_equal(result->damage, "");
    assert_true(result->dimension == HS_SIM_VECTOR_SIZE && result->threshold == 0.25f);
    for (size_t i = 0; i < result->count; i++) {
        const struct hs_face_found *found = &result->faces[i];
        assert_true(hs_rect_iou(&found->face.box, &places[s->wanted[i]]) > 0.8f);
        assert_int_equal(found->embedding != NULL, s->vectors[i]);
        assert_int_equal(found->has_quality, s->vectors[i]);
        double length = 0;
        for (int k = 0; found->embedding && k < result->dimension; k++)
            length += (double) (found->embedding[k] * found->embedding[k]);
        assert_true(!found->embedding || fabs(length - 1) < 1e-5);
    }
    if (s->count == 0 || !s->vectors[0])
        return;
    if (s->known)
        assert_memory_equal(s->first, result->faces[0].embedding, sizeof(s->first));
    memcpy(s->first, result->faces[0].embedding, sizeof(s->first));
    s->known = true;
}

static int find(struct fixture *s, struct hs_face_result *result, struct hs_error *err)
{
    return hs_face_find(&s->pipeline, s->picture.data, s->picture.len, &s->request, HS_NO_DEADLINE, NULL, result, err);
}

static int find_faces(void *arg)
{
    struct fixture *s = arg;
    struct hs_face_result result;
    struct hs_error err = { 0 };
    int r = find(s, &result, &err);
    assert_int_equal(r, err.code);
    if (r == 0)
        check_result(s, &result);
    hs_face_result_finish(&result);
    return r;
}

static void faces_are_found_or_the_picture_is_refused(void **state)
{
    (void) state;
    static const struct hs_rect inside = { 390, 300, 500, 440 }, small = { 430, 350, 470, 390 };
    struct fixture s;
    for (int png = 0; png < 2; png++) {
        for (int embed = 0; embed < 2; embed++) {
            set_up(&s, png);
            embed_all(&s, embed);
            assert_true(hs_fail_each_allocation(find_faces, &s) > 6);
            s.request.tiny = s.request.large = true;
            s.known = false;
            assert_true(hs_fail_each_allocation(find_faces, &s) > 6);
            tear_down(&s);
            /* Selects one face by a box around it, and one by a box that is searched by itself. */
            set_up(&s, png);
            embed_all(&s, embed);
            s.count = 1;
            s.wanted[0] = 2;
            s.request.inside = &inside;
            assert_true(hs_fail_each_allocation(find_faces, &s) > 6);
            s.request.inside = &small;
            s.known = false;
            struct hs_face_result result;
            assert_int_equal(find(&s, &result, NULL), 0);
            assert_true(result.count == 1 && hs_rect_overlap(&result.faces[0].face.box, &small) > 0.5f);
            hs_face_result_finish(&result);
            tear_down(&s);
        }
    }
}

/* Only the subject of the picture has an embedding; the others are listed without, and max_faces
 * has no effect. */
static void the_subject_is_embedded(void **state)
{
    (void) state;
    struct fixture s;
    set_up(&s, false);
    s.request.embed = s.request.subject = true;
    s.request.max_faces = 1;
    s.vectors[0] = true;
    assert_true(hs_fail_each_allocation(find_faces, &s) > 6);
    tear_down(&s);
}

static void known_faces_skip_the_detector(void **state)
{
    (void) state;
    struct fixture s;
    struct hs_face_result known;
    set_up(&s, false);
    assert_int_equal(find(&s, &known, NULL), 0);
    known.found = 9;
    struct hs_runner_status before, after;
    hs_runner_get_status(s.detector.runner.runner, &before);
    s.request.known = &known;
    embed_all(&s, true);
    assert_true(hs_fail_each_allocation(find_faces, &s) > 4);
    hs_runner_get_status(s.detector.runner.runner, &after);
    assert_int_equal(before.runs, after.runs);
    struct hs_face_result result;
    assert_int_equal(find(&s, &result, NULL), 0);
    assert_int_equal(result.found, 9);
    hs_face_result_finish(&result);
    hs_face_result_finish(&known);
    tear_down(&s);
}

static void limits_hold(void **state)
{
    (void) state;
    static const struct {
        int max;
        float score;
        size_t count, found;
    } cases[] = { { 3, 0.3f, 3, 3 }, { 2, 0.3f, 2, 3 }, { 1, 0.3f, 1, 3 }, { 10, 0.999f, 0, 0 } };
    struct fixture s;
    set_up(&s, false);
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_face_result result;
        s.request.max_faces = cases[i].max;
        s.request.score_threshold = cases[i].score;
        assert_int_equal(find(&s, &result, NULL), 0);
        assert_int_equal(result.count, cases[i].count);
        assert_int_equal(result.found, cases[i].found);
        assert_int_equal(result.first_index, 0);
        assert_string_equal(result.device, "sim");
        hs_face_result_finish(&result);
    }
    /* first_index reports which face the box selected. */
    static const struct hs_rect second = { 400, 64, 560, 256 };
    struct hs_face_result result;
    s.request.score_threshold = 0.3f;
    s.request.inside = &second;
    assert_int_equal(find(&s, &result, NULL), 0);
    assert_true(result.count == 1 && result.found == 3 && result.first_index == 1);
    hs_face_result_finish(&result);
    tear_down(&s);
}

static void paint(struct hs_image *image, int x, int y, int side)
{
    for (int row = y; row < y + side; row++)
        memset(image->pixels + (size_t) row * image->stride + (size_t) x * 3, 255, (size_t) side * 3);
}

/* The second pass has four tiles, which overlap in columns 252 to 388 and rows 172 to 308 of the
 * picture. A face cut by the edge of a tile is taken from the neighbouring tile; one in the middle
 * is not listed four times. */
static void tiny_faces_are_found_once_each(void **state)
{
    (void) state;
    enum { TINY = 8 };
    static const int at[][2] = { { 98, 98 },  { 538, 98 },  { 98, 398 }, { 538, 398 }, { 318, 238 },
                                 { 383, 98 }, { 249, 398 }, { 98, 303 }, { 538, 168 } };
    struct fixture s;
    struct hs_image *image;
    struct hs_face_result result;
    set_up(&s, true);
    assert_int_equal(hs_image_create(WIDTH, HEIGHT, &image, NULL), 0);
    memset(image->pixels, 60, image->stride * HEIGHT);
    for (size_t i = 0; i < HS_ARRAY_LEN(at); i++)
        paint(image, at[i][0], at[i][1], TINY);
    hs_buf_finish(&s.picture);
    hs_buf_init(&s.picture, 1 << 21);
    assert_int_equal(hs_image_encode_png(image, &s.picture, NULL), 0);
    hs_image_destroy(image);
    assert_int_equal(find(&s, &result, NULL), 0);
    assert_int_equal(result.count, 0);
    hs_face_result_finish(&result);
    s.request.tiny = true;
    assert_int_equal(find(&s, &result, NULL), 0);
    assert_int_equal(result.count, HS_ARRAY_LEN(at));
    for (size_t i = 0; i < HS_ARRAY_LEN(at); i++) {
        const struct hs_rect place = { (float) at[i][0], (float) at[i][1], (float) at[i][0] + TINY,
                                       (float) at[i][1] + TINY };
        size_t found = 0;
        for (size_t k = 0; k < result.count; k++)
            found += hs_rect_overlap(&result.faces[k].face.box, &place) > 0.5f;
        if (found != 1)
            fail_msg("%d,%d: %zu faces", at[i][0], at[i][1], found);
    }
    hs_face_result_finish(&result);
    tear_down(&s);
}

static void passes_match_the_request(void **state)
{
    (void) state;
    static const struct hs_rect face = { 400, 64, 560, 256 }, small = { 430, 350, 470, 390 };
    static const struct {
        bool empty, tiny, large;
        const struct hs_rect *inside;
        unsigned runs;
    } cases[] = {
        { false, false, false, NULL, 1 },  { false, false, true, NULL, 2 },    { false, true, false, NULL, 5 },
        { false, true, true, NULL, 6 },    { true, false, false, NULL, 2 },    { true, false, true, NULL, 2 },
        { false, false, false, &face, 1 }, { false, false, false, &small, 2 },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct fixture s;
        struct hs_face_result result;
        struct hs_runner_status status;
        set_up(&s, false);
        if (cases[i].empty) {
            struct hs_image *image;
            assert_int_equal(hs_image_create(WIDTH, HEIGHT, &image, NULL), 0);
            memset(image->pixels, 60, image->stride * HEIGHT);
            hs_buf_finish(&s.picture);
            hs_buf_init(&s.picture, 1 << 21);
            assert_int_equal(hs_image_encode_jpeg(image, 95, &s.picture, NULL), 0);
            hs_image_destroy(image);
        }
        s.request.tiny = cases[i].tiny;
        s.request.large = cases[i].large;
        s.request.inside = cases[i].inside;
        assert_int_equal(find(&s, &result, NULL), 0);
        hs_face_result_finish(&result);
        hs_runner_get_status(s.detector.runner.runner, &status);
        assert_int_equal(status.runs, cases[i].runs);
        tear_down(&s);
    }
}

static void invalid_requests_are_rejected(void **state)
{
    (void) state;
    struct fixture s;
    struct hs_face_result result;
    struct hs_error err;
    set_up(&s, false);
    s.request.embed = true;
    s.picture.len = 20;
    assert_int_equal(find(&s, &result, &err), HS_EDECODE);
    assert_true(strncmp(err.message, "Failed to decode image: ", 24) == 0);
    hs_face_result_finish(&result);
    hs_buf_finish(&s.picture);
    make_picture(&s.picture, false);
    s.pipeline.limits.max_side = WIDTH - 1;
    assert_int_equal(find(&s, &result, &err), HS_ETOOLARGE);
    hs_face_result_finish(&result);
    s.pipeline.limits.max_side = WIDTH;
    assert_int_equal(
        hs_face_find(&s.pipeline, s.picture.data, s.picture.len, &s.request, hs_clock_now_ns(), NULL, &result, &err),
        HS_ETIMEOUT);
    hs_face_result_finish(&result);
    /* An embedder whose vectors have another length than its pack specifies, and a detector of
     * another network. */
    static struct hs_pack other;
    other = embedder_pack;
    other.embedding.dimension = HS_SIM_VECTOR_SIZE - 1;
    s.embedder.runner.choice.pack = &other;
    assert_int_equal(find(&s, &result, &err), HS_EMODEL);
    assert_non_null(strstr(err.message, "embedder does not output vectors of "));
    hs_face_result_finish(&result);
    s.embedder.runner.choice.pack = &embedder_pack;
    static const struct hs_pack_file retinaface = { .decode = HS_DECODE_RETINAFACE };
    s.detector.runner.choice.file = &retinaface;
    assert_int_equal(find(&s, &result, &err), HS_EMODEL);
    assert_null(result.faces);
    hs_face_result_finish(&result);
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faces_are_found_or_the_picture_is_refused),
        cmocka_unit_test(the_subject_is_embedded),
        cmocka_unit_test(known_faces_skip_the_detector),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(tiny_faces_are_found_once_each),
        cmocka_unit_test(passes_match_the_request),
        cmocka_unit_test(invalid_requests_are_rejected),
    };
    return HS_RUN_TESTS(tests);
}
