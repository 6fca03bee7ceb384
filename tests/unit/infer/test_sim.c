#include "../unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../alloc_fail.h"
#include "backends/sim/blobs.h"
#include "backends/sim/script.h"
#include "backends/sim/sim.h"
#include "backends/sim/state.h"
#include "base/clock.h"
#include "base/mem.h"
#include "sim_script.h"
#include "vision/embedding.h"
#include "vision/face_heads.h"
#include "vision/yolo_pose.h"

enum { PATIENCE_MS = 20000 };

static const struct hs_backend *sim = &hs_backend_sim;

static struct hs_device_options with_script(const char *yaml)
{
    return (struct hs_device_options) { .script = yaml ? sim_script(yaml) : NULL };
}

static struct hs_device *open_with(const struct hs_device_options *options)
{
    struct hs_device *device = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(sim->open(options, &device, &err), 0);
    return device;
}

static struct hs_device *open_sim(const char *yaml)
{
    struct hs_device_options options = with_script(yaml);
    return open_with(&options);
}

static struct hs_model *load_spec(struct hs_device *device, const struct hs_model_spec *spec)
{
    struct hs_model *model = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(sim->load(device, spec, &model, &err), 0);
    return model;
}

static struct hs_model *load_sim(struct hs_device *device, int h, int w, int slots)
{
    return load_spec(device, &(struct hs_model_spec) { .input_h = h, .input_w = w, .slots = slots, .batch = 1 });
}

static struct hs_model *load_finding(struct hs_device *device, enum hs_output_kind output_kind, int side)
{
    return load_spec(device,
                     &(struct hs_model_spec) {
                         .input_h = side, .input_w = side, .slots = 2, .batch = 1, .output_kind = output_kind });
}

static int run(struct hs_model *model, int slot)
{
    struct hs_error err = { 0 };
    int r = sim->submit(model, slot, 1, &err);
    if (r == 0)
        r = sim->wait(model, slot, hs_deadline_in_ms(PATIENCE_MS), &err);
    assert_int_equal(r, err.code);
    return r;
}

static void close_all(struct hs_model *model, struct hs_device *device)
{
    sim->unload(model);
    sim->close(device);
}

/* Paints a grey picture with bright boxes. */
static void paint(uint8_t *rgb, int h, int w, const struct hs_sim_blob *boxes, int count)
{
    memset(rgb, 114, (size_t) h * (size_t) w * 3);
    for (int i = 0; i < count; i++)
        for (int y = boxes[i].y1; y < boxes[i].y2; y++)
            memset(rgb + ((size_t) y * (size_t) w + (size_t) boxes[i].x1) * 3, 240,
                   (size_t) (boxes[i].x2 - boxes[i].x1) * 3);
}

static void read_outputs(struct hs_model *model, int slot, int picture, struct hs_tensor_view *views)
{
    const struct hs_model_info *info = sim->info(model);
    for (int i = 0; i < info->output_count; i++)
        views[i] = hs_tensor_view_of(&info->outputs[i], sim->output(model, slot, picture, i));
}

static void read_people(struct hs_model *model, int slot, int picture, struct hs_pose_list *list)
{
    const struct hs_model_info *info = sim->info(model);
    const struct hs_yolo_pose_spec spec = {
        .classes = 1,
        .keypoints = 17,
        .dims = 3,
        .input_w = info->input_w,
        .input_h = info->input_h,
    };
    const struct hs_yolo_pose_params params = { .score_threshold = 0.3f, .iou_threshold = 0.45f, .max_detections = 20 };
    struct hs_yolo_pose_layout layout;
    struct hs_tensor_view views[HS_MODEL_MAX_OUTPUTS];
    struct hs_error err = { 0 };
    assert_int_equal(hs_yolo_pose_layout_init(info->outputs, info->output_count, &spec, &layout, &err), 0);
    read_outputs(model, slot, picture, views);
    assert_int_equal(hs_yolo_pose_decode(&layout, views, &params, list), 0);
}

static void read_faces(struct hs_model *model, int slot, struct hs_face_list *list)
{
    const struct hs_model_info *info = sim->info(model);
    const struct hs_face_params params = { .score_threshold = 0.3f, .iou_threshold = 0.4f, .max_faces = 20 };
    struct hs_face_layout layout;
    struct hs_tensor_view views[HS_MODEL_MAX_OUTPUTS];
    struct hs_error err = { 0 };
    assert_int_equal(hs_face_layout_init(HS_FACE_SCRFD, info->outputs, info->output_count, info->input_w, info->input_h,
                                         false, &layout, &err),
                     0);
    read_outputs(model, slot, 0, views);
    assert_int_equal(hs_face_decode(&layout, views, &params, list), 0);
}

static void check_box(const struct hs_rect *box, const struct hs_sim_blob *blob, float within)
{
    if (fabsf(box->x1 - (float) blob->x1) > within || fabsf(box->y1 - (float) blob->y1) > within ||
        fabsf(box->x2 - (float) blob->x2) > within || fabsf(box->y2 - (float) blob->y2) > within)
        fail_msg("(%.1f,%.1f,%.1f,%.1f) is not (%d,%d,%d,%d)", (double) box->x1, (double) box->y1, (double) box->x2,
                 (double) box->y2, blob->x1, blob->y1, blob->x2, blob->y2);
}

static const char *const number_types[] = { "outputs: uint8", "outputs: uint16", "outputs: float32" };

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

/* Returns the softmax-expected bin of one side of the box at a cell. */
static float side(const struct hs_tensor_view *box, int y, int x, int which)
{
    float sum = 0, weighted = 0;
    for (int b = 0; b < 16; b++) {
        float e = expf(hs_tensor_get(box, y, x, which * 16 + b));
        sum += e;
        weighted += e * (float) b;
    }
    return weighted / sum;
}

static void answers_are_one_person_in_the_middle(void **state)
{
    (void) state;
    struct hs_device *device = open_sim("latency_ms: 0");
    struct hs_model *model = load_sim(device, 640, 640, 2);
    const struct hs_model_info *info = sim->info(model);
    struct hs_error err = { 0 };
    assert_int_equal(info->slots, 2);
    assert_int_equal(info->output_count, 9);
    memset(sim->input(model, 0), 7, 640 * 640 * 3);
    assert_int_equal((uintptr_t) sim->input(model, 1) % (uintptr_t) sysconf(_SC_PAGESIZE), 0);
    assert_int_equal(sim->submit(model, 0, 1, &err), 0);
    assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(1000), &err), 0);
    size_t bytes = 0;
    int people = 0;
    for (int i = 0; i < 9; i++) {
        bytes += info->outputs[i].size_bytes;
        assert_int_equal(info->outputs[i].layout, HS_LAYOUT_NHWC);
        if (info->outputs[i].c != 1)
            continue;
        struct hs_tensor_view view = hs_tensor_view_of(&info->outputs[i], sim->output(model, 0, 0, i));
        for (int y = 0; y < view.h; y++)
            for (int x = 0; x < view.w; x++)
                people += hs_tensor_get(&view, y, x, 0) > 0.1f;
    }
    assert_int_equal(bytes, 1402800); /* native bytes of a frame, as published for the HEF */
    assert_int_equal(people, 1);

    /* Cell (10, 10) of the 20 x 20 grid, stride 32: centre 336, sides 3 and 7 cells. */
    struct hs_tensor_view box = hs_tensor_view_of(&info->outputs[6], sim->output(model, 0, 0, 6));
    struct hs_tensor_view score = hs_tensor_view_of(&info->outputs[7], sim->output(model, 0, 0, 7));
    struct hs_tensor_view points = hs_tensor_view_of(&info->outputs[8], sim->output(model, 0, 0, 8));
    assert_int_equal(info->outputs[8].dtype, HS_DTYPE_U16);
    assert_true(fabsf(hs_tensor_get(&score, 10, 10, 0) - 230.0f / 255) < 1e-5f);
    assert_true(fabsf(336 - 32 * side(&box, 10, 10, 0) - 240) < 0.01f);
    assert_true(fabsf(336 - 32 * side(&box, 10, 10, 1) - 112) < 0.01f);
    assert_true(fabsf(336 + 32 * side(&box, 10, 10, 2) - 432) < 0.01f);
    assert_true(fabsf(336 + 32 * side(&box, 10, 10, 3) - 560) < 0.01f);
    /* nose: middle of the width, 0.84 of the half height (224) above the middle */
    float x = (2 * hs_tensor_get(&points, 10, 10, 0) + 10) * 32, y = (2 * hs_tensor_get(&points, 10, 10, 1) + 10) * 32;
    assert_true(fabsf(x - 336) < 0.1f);
    assert_true(fabsf(y - (336 - 0.84f * 224)) < 0.1f);
    assert_true(sigmoid(hs_tensor_get(&points, 10, 10, 2)) > 0.97f);
    sim->unload(model);
    sim->close(device);
}

static void any_input_size_has_its_person(void **state)
{
    (void) state;
    static const int sizes[][2] = { { 1, 1 }, { 32, 32 }, { 384, 640 }, { 640, 384 }, { 100, 37 } };
    struct hs_device *device = open_sim(NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct hs_model *model = load_sim(device, sizes[i][0], sizes[i][1], 1);
        const struct hs_model_info *info = sim->info(model);
        assert_int_equal(run(model, 0), 0);
        struct hs_tensor_view score = hs_tensor_view_of(&info->outputs[7], sim->output(model, 0, 0, 7));
        assert_int_equal(score.h, (sizes[i][0] + 31) / 32);
        assert_true(hs_tensor_get(&score, score.h / 2, score.w / 2, 0) > 0.9f);
        sim->unload(model);
    }
    sim->close(device);
}

/* On a small grid, the box of the person in the middle is smaller. */
static void the_default_person_is_within_the_picture(void **state)
{
    (void) state;
    struct hs_device *device = open_sim("latency_ms: 0");
    for (int w = 1; w <= 8; w++)
        for (int h = 1; h <= 16; h++) {
            struct hs_model *model = load_sim(device, 32 * h, 32 * w, 1);
            assert_int_equal(run(model, 0), 0);
            struct hs_tensor_view box = hs_tensor_view_of(&sim->info(model)->outputs[6], sim->output(model, 0, 0, 6));
            float x = (float) (w / 2) + 0.5f, y = (float) (h / 2) + 0.5f;
            for (int i = 0; i < 4; i++) {
                float room = i == 0 ? x : i == 1 ? y : i == 2 ? (float) w - x : (float) h - y;
                if (side(&box, h / 2, w / 2, i) > room + 0.01f)
                    fail_msg("%d x %d cells: side %d of the box is outside the picture", w, h, i);
            }
            sim->unload(model);
        }
    sim->close(device);
}

/* ---- Answers come from the picture ---- */

static const struct hs_sim_blob boxes[] = {
    { 40, 300, 400, 630 }, { 420, 20, 620, 320 }, { 20, 40, 120, 200 }, { 200, 100, 230, 140 }, { 500, 500, 508, 509 },
};

static void bright_blobs_are_people(void **state)
{
    (void) state;
    for (size_t t = 0; t < HS_ARRAY_LEN(number_types); t++) {
        struct hs_device *device = open_sim(number_types[t]);
        struct hs_model *model = load_sim(device, 640, 640, 1);
        struct hs_pose_list list;
        hs_pose_list_init(&list);
        paint(sim->input(model, 0), 640, 640, boxes, HS_ARRAY_LEN(boxes));
        assert_int_equal(run(model, 0), 0);
        read_people(model, 0, 0, &list);
        assert_int_equal(list.count, HS_ARRAY_LEN(boxes));
        for (size_t i = 0; i < list.count; i++) {
            check_box(&list.poses[i].box, &boxes[i], 0.6f);
            assert_true(fabsf(list.poses[i].score - (float) (230 - 4 * i) / 255) < 0.01f);
        }
        hs_pose_list_finish(&list);
        close_all(model, device);
    }
}

static void bright_blobs_are_faces(void **state)
{
    (void) state;
    for (size_t t = 0; t < HS_ARRAY_LEN(number_types); t++) {
        struct hs_device *device = open_sim(number_types[t]);
        struct hs_model *model = load_finding(device, HS_OUTPUT_FACES, 640);
        struct hs_face_list list;
        hs_face_list_init(&list);
        paint(sim->input(model, 0), 640, 640, boxes, HS_ARRAY_LEN(boxes));
        assert_int_equal(run(model, 0), 0);
        read_faces(model, 0, &list);
        assert_int_equal(list.count, HS_ARRAY_LEN(boxes));
        for (size_t i = 0; i < list.count; i++) {
            const struct hs_face *face = &list.faces[i];
            float width = (float) (boxes[i].x2 - boxes[i].x1), height = (float) (boxes[i].y2 - boxes[i].y1);
            check_box(&face->box, &boxes[i], 0.9f);
            assert_true(face->has_landmarks);
            /* The left eye of the picture at (38.3, 51.7) of 112. */
            assert_true(fabsf(face->landmarks[0].x - (float) boxes[i].x1 - 0.342f * width) < 1.5f);
            assert_true(fabsf(face->landmarks[0].y - (float) boxes[i].y1 - 0.4616f * height) < 1.5f);
        }
        paint(sim->input(model, 0), 640, 640, NULL, 0);
        assert_int_equal(run(model, 0), 0);
        read_faces(model, 0, &list);
        assert_int_equal(list.count, 0);
        hs_face_list_finish(&list);
        close_all(model, device);
    }
}

static void a_face_that_fills_the_picture_is_found(void **state)
{
    (void) state;
    static const struct hs_sim_blob whole = { 0, 0, 640, 640 };
    struct hs_device *device = open_sim(NULL);
    struct hs_model *model = load_finding(device, HS_OUTPUT_FACES, 640);
    struct hs_face_list list;
    hs_face_list_init(&list);
    paint(sim->input(model, 0), 640, 640, &whole, 1);
    assert_int_equal(run(model, 0), 0);
    read_faces(model, 0, &list);
    assert_int_equal(list.count, 1);
    check_box(&list.faces[0].box, &whole, 1);
    hs_face_list_finish(&list);
    close_all(model, device);
}

static void check_blob(const struct hs_sim_blob *blob, int x1, int y1, int x2, int y2)
{
    assert_int_equal(blob->x1, x1);
    assert_int_equal(blob->y1, y1);
    assert_int_equal(blob->x2, x2);
    assert_int_equal(blob->y2, y2);
}

static void areas_are_joined_and_small_ones_ignored(void **state)
{
    (void) state;
    enum { SIDE = 128 };
    static uint8_t rgb[SIDE * SIDE * 3];
    struct hs_sim_blob found[HS_SIM_MAX_BLOBS];
    paint(rgb, SIDE, SIDE, NULL, 0);
    assert_int_equal(hs_sim_blobs_find(rgb, SIDE, SIDE, found), 0);
    /* A frame with a hole, and an island in the hole: one blob. */
    const struct hs_sim_blob frame[] = {
        { 8, 8, 100, 16 }, { 8, 92, 100, 100 }, { 8, 8, 16, 100 }, { 92, 8, 100, 100 }, { 50, 50, 58, 58 },
    };
    paint(rgb, SIDE, SIDE, frame, 5);
    assert_int_equal(hs_sim_blobs_find(rgb, SIDE, SIDE, found), 1);
    check_blob(&found[0], 8, 8, 100, 100);
    /* Cells that touch at a corner are one blob; three pixels are too few for a blob. */
    const struct hs_sim_blob few[] = { { 6, 6, 8, 8 }, { 8, 8, 10, 10 }, { 60, 60, 63, 61 } };
    paint(rgb, SIDE, SIDE, few, 3);
    assert_int_equal(hs_sim_blobs_find(rgb, SIDE, SIDE, found), 1);
    check_blob(&found[0], 6, 6, 10, 10);
    /* The pixels of all cells of a blob count. */
    const struct hs_sim_blob pieces[] = { { 6, 7, 8, 8 }, { 8, 8, 9, 9 }, { 16, 15, 17, 16 }, { 15, 16, 16, 17 } };
    paint(rgb, SIDE, SIDE, pieces, 2);
    assert_int_equal(hs_sim_blobs_find(rgb, SIDE, SIDE, found), 0);
    paint(rgb, SIDE, SIDE, pieces, 4);
    assert_int_equal(hs_sim_blobs_find(rgb, SIDE, SIDE, found), 1);
    check_blob(&found[0], 6, 7, 17, 17);
    /* A blob that touches an edge of another blob's box from inside is part of that blob. */
    const struct hs_sim_blob corners[][3] = {
        { { 8, 8, 100, 16 }, { 8, 8, 16, 100 }, { 80, 60, 100, 70 } },
        { { 8, 8, 100, 16 }, { 8, 8, 16, 100 }, { 60, 80, 70, 100 } },
        { { 8, 92, 100, 100 }, { 92, 8, 100, 100 }, { 8, 20, 20, 30 } },
        { { 8, 92, 100, 100 }, { 92, 8, 100, 100 }, { 20, 8, 30, 20 } },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(corners); i++) {
        paint(rgb, SIDE, SIDE, corners[i], 3);
        assert_int_equal(hs_sim_blobs_find(rgb, SIDE, SIDE, found), 1);
        check_blob(&found[0], 8, 8, 100, 100);
    }
    /* Only the eight largest of many blobs are kept. */
    struct hs_sim_blob many[12];
    for (int i = 0; i < 12; i++)
        many[i] = (struct hs_sim_blob) { 32 * (i % 4), 32 * (i / 4), 32 * (i % 4) + 3 + i, 32 * (i / 4) + 4 };
    paint(rgb, SIDE, SIDE, many, 12);
    assert_int_equal(hs_sim_blobs_find(rgb, SIDE, SIDE, found), HS_SIM_MAX_BLOBS);
    for (int i = 0; i < HS_SIM_MAX_BLOBS; i++)
        assert_memory_equal(&found[i], &many[11 - i], sizeof(found[0]));
    /* A picture of one pixel. */
    memset(rgb, 255, 3);
    assert_int_equal(hs_sim_blobs_find(rgb, 1, 1, found), 0);
}

/* Paints a bright face with dark squares at the set bits of a pattern of 4 x 4. */
static void paint_face(uint8_t *rgb, unsigned bits)
{
    enum { SIDE = 112 };
    memset(rgb, 250, SIDE * SIDE * 3);
    for (int y = 16; y < 96; y++)
        for (int x = 16; x < 96; x++)
            if (bits >> ((y - 16) / 20 * 4 + (x - 16) / 20) & 1)
                memset(rgb + (y * SIDE + x) * 3, 20, 3);
}

static void embed(struct hs_model *model, int slot, float *ret_vector)
{
    struct hs_tensor_view view;
    assert_int_equal(run(model, slot), 0);
    read_outputs(model, slot, 0, &view);
    assert_int_equal(view.h * view.w * view.c, 512);
    for (int i = 0; i < 512; i++)
        ret_vector[i] = hs_tensor_at(&view, i);
    assert_int_equal(hs_embedding_normalize(ret_vector, 512, NULL), 0);
}

static void equal_faces_have_equal_vectors_and_others_have_not(void **state)
{
    (void) state;
    static const unsigned patterns[] = { 0x0000, 0x5a5a, 0x00ff, 0x3333, 0x9696 };
    for (size_t t = 0; t < HS_ARRAY_LEN(number_types); t++) {
        struct hs_device *device = open_sim(number_types[t]);
        struct hs_model *model = load_finding(device, HS_OUTPUT_EMBEDDINGS, 112);
        float vectors[HS_ARRAY_LEN(patterns)][512], again[512];
        for (size_t i = 0; i < HS_ARRAY_LEN(patterns); i++) {
            paint_face(sim->input(model, 0), patterns[i]);
            embed(model, 0, vectors[i]);
            paint_face(sim->input(model, 1), patterns[i]);
            embed(model, 1, again);
            assert_true(hs_embedding_cosine(vectors[i], again, 512) > 0.9999f);
            for (size_t k = 0; k < i; k++)
                assert_true(hs_embedding_cosine(vectors[i], vectors[k], 512) < 0.4f);
        }
        /* A slightly darker face with a little noise is still the same face. */
        uint8_t *rgb = sim->input(model, 0);
        paint_face(rgb, patterns[1]);
        for (int i = 0; i < 112 * 112 * 3; i++)
            rgb[i] = (uint8_t) (rgb[i] * 9 / 10 + i * 7919 % 16);
        embed(model, 0, again);
        assert_true(hs_embedding_cosine(vectors[1], again, 512) > 0.99f);
        close_all(model, device);
    }
}

static void every_slot_has_its_own_answer(void **state)
{
    (void) state;
    struct hs_device *device = open_sim("latency_ms: 1");
    struct hs_model *model = load_sim(device, 320, 320, 8);
    struct hs_error err = { 0 };
    for (int i = 0; i < 8; i++) {
        const struct hs_sim_blob box = { 10 * i, 20, 10 * i + 64, 160 };
        paint(sim->input(model, i), 320, 320, &box, 1);
        assert_int_equal(sim->submit(model, i, 1, &err), 0);
    }
    for (int i = 7; i >= 0; i--) {
        const struct hs_sim_blob box = { 10 * i, 20, 10 * i + 64, 160 };
        struct hs_pose_list list;
        hs_pose_list_init(&list);
        assert_int_equal(sim->wait(model, i, HS_NO_DEADLINE, &err), 0);
        read_people(model, i, 0, &list);
        assert_int_equal(list.count, 1);
        check_box(&list.poses[0].box, &box, 0.6f);
        hs_pose_list_finish(&list);
    }
    close_all(model, device);
}

/* ---- Time ---- */

static void latency_is_kept_and_a_deadline_before_it_is_a_timeout(void **state)
{
    (void) state;
    struct hs_device *device = open_sim("latency_ms: 60");
    struct hs_model *model = load_sim(device, 32, 32, 1);
    struct hs_error err = { 0 };
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(sim->submit(model, 0, 1, &err), 0);
    assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(5), &err), HS_ETIMEOUT);
    assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    assert_true(hs_clock_now_ns() - start_ns >= 60 * HS_NS_PER_MS);
    close_all(model, device);
}

/* Submits one run to each of these models in turn. Checks that no run ends before its time in
 * `ends`, in milliseconds from the start; later ends are allowed. */
static void check_ends(struct hs_model *const models[], int count, const double *ends)
{
    struct hs_error err = { 0 };
    int64_t start_ns = hs_clock_now_ns();
    for (int i = 0; i < count; i++)
        assert_int_equal(sim->submit(models[i], i, 1, &err), 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(sim->wait(models[i], i, HS_NO_DEADLINE, &err), 0);
        assert_true(hs_ns_to_ms(hs_clock_now_ns() - start_ns) >= ends[i]);
    }
}

static void a_device_runs_one_submission_at_a_time(void **state)
{
    (void) state;
    struct hs_device_options options = with_script("{latency_ms: 20, devices: 2}");
    struct hs_device *first = open_with(&options), *again = open_with(&options);
    options.device_id = "sim1";
    struct hs_device *second = open_with(&options);
    struct hs_model *a = load_sim(first, 32, 32, 4), *b = load_sim(again, 64, 64, 4), *c = load_sim(second, 32, 32, 4);
    check_ends((struct hs_model *[]) { a, a, b, a }, 4, (const double[]) { 20, 40, 60, 80 });
    /* Another device has a separate timeline: these runs end before the deadline that three runs in
     * a row would miss. */
    struct hs_error err = { 0 };
    for (int i = 0; i < 8; i++)
        assert_int_equal(sim->submit(i % 2 ? a : c, i / 2, 1, &err), 0);
    int64_t start_ns = hs_clock_now_ns();
    for (int i = 0; i < 8; i++)
        assert_int_equal(sim->wait(i % 2 ? a : c, i / 2, HS_NO_DEADLINE, &err), 0);
    double took_ms = hs_ns_to_ms(hs_clock_now_ns() - start_ns);
    assert_true(took_ms >= 70 && took_ms < 155);
    sim->unload(a);
    sim->unload(b);
    sim->unload(c);
    sim->close(first);
    sim->close(again);
    sim->close(second);
}

static void batches_follow_the_script(void **state)
{
    (void) state;
    const struct hs_model_spec spec = { .input_h = 320, .input_w = 320, .slots = 2, .batch = 4 };
    struct hs_device *device = open_sim("latency_ms: 0");
    struct hs_model *model = load_spec(device, &spec);
    assert_int_equal(sim->info(model)->batch, 1);
    close_all(model, device);
    device = open_sim("batch_ms: {1: 10, 3: 30, 8: 100}");
    model = load_spec(device, &spec);
    const struct hs_model_info *info = sim->info(model);
    struct hs_error err = { 0 };
    assert_int_equal(info->batch, 4);
    assert_true(info->input_stride >= 320 * 320 * 3);
    assert_int_equal(sim->submit(model, 0, 5, &err), HS_EINVAL);
    assert_int_equal(sim->submit(model, 0, 0, &err), HS_EINVAL);
    for (int i = 0; i < 4; i++) {
        const struct hs_sim_blob box = { 50 * i, 20, 50 * i + 64, 160 };
        paint(sim->input(model, 1) + (size_t) i * info->input_stride, 320, 320, &box, 1);
    }
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(sim->submit(model, 1, 4, &err), 0);
    assert_int_equal(sim->wait(model, 1, HS_NO_DEADLINE, &err), 0);
    assert_true(hs_ns_to_ms(hs_clock_now_ns() - start_ns) >= 44); /* interpolated between 30 and 100 */
    for (int i = 0; i < 4; i++) {
        const struct hs_sim_blob box = { 50 * i, 20, 50 * i + 64, 160 };
        struct hs_pose_list list;
        hs_pose_list_init(&list);
        read_people(model, 1, i, &list);
        assert_int_equal(list.count, 1);
        check_box(&list.poses[0].box, &box, 0.6f);
        hs_pose_list_finish(&list);
    }
    close_all(model, device);
}

static struct hs_sim_state *state_of(const char *yaml)
{
    struct hs_sim_state *sim_state;
    struct hs_error err = { 0 };
    assert_int_equal(hs_sim_state_find(sim_script(yaml), &sim_state, &err), 0);
    return sim_state;
}

static int compare_times(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static void latency_is_log_normal_and_repeatable(void **state)
{
    (void) state;
    enum { DRAWS = 20000 };
    static const char yaml[] = "latency_ms: {median: 6, p99: 9}\nseed: 5";
    struct hs_sim_state *sim_state = state_of(yaml), *same = state_of(yaml),
                        *other = state_of("latency_ms: {median: 6, "
                                          "p99: 9}\nseed: 6");
    static int64_t times[DRAWS];
    bool differs = false;
    for (int i = 0; i < DRAWS; i++) {
        times[i] = hs_sim_draw_latency_ns(sim_state, 0, 1);
        assert_int_equal(times[i], hs_sim_draw_latency_ns(same, 0, 1));
        differs |= times[i] != hs_sim_draw_latency_ns(other, 0, 1);
    }
    assert_true(differs);
    qsort(times, DRAWS, sizeof(times[0]), compare_times);
    assert_true(fabs(hs_ns_to_ms(times[DRAWS / 2]) - 6) < 0.1);
    assert_true(fabs(hs_ns_to_ms(times[DRAWS / 100 * 99]) - 9) < 0.3);
    sim_state = state_of("batch_ms: {1: 6, 2: 10, 4: 18}");
    static const double expected[] = { 6, 10, 14, 18, 18 };
    for (int i = 0; i < 5; i++)
        assert_true(fabs(hs_ns_to_ms(hs_sim_draw_latency_ns(sim_state, 0, i + 1)) - expected[i]) < 1e-3);
}

static void loads_take_the_scripted_time(void **state)
{
    (void) state;
    int64_t start_ns = hs_clock_now_ns();
    struct hs_device *device = open_sim("load_ms: 30\nfaults: [{kind: load_slow, at: 2, count: 1, extra_ms: 50}]");
    struct hs_model *a = load_sim(device, 32, 32, 1);
    assert_true(hs_ns_to_ms(hs_clock_now_ns() - start_ns) >= 30);
    start_ns = hs_clock_now_ns();
    struct hs_model *b = load_sim(device, 32, 32, 1);
    assert_true(hs_ns_to_ms(hs_clock_now_ns() - start_ns) >= 80);
    sim->unload(a);
    close_all(b, device);
}

/* ---- Faults ---- */

static void runs_fail_as_scripted(void **state)
{
    (void) state;
    struct hs_device *device = open_sim("latency_ms: 0\nfaults:\n"
                                        "- {kind: error, at: 2, count: 1}\n"
                                        "- {kind: transient, at: 4, count: 2}\n"
                                        "- {kind: queue_full, at: 7, count: 1}\n");
    struct hs_model *model = load_sim(device, 32, 32, 1);
    static const int expected[] = { 0, HS_EDEVICE, 0, HS_ETRANSIENT, HS_ETRANSIENT, 0, HS_EBUSY, 0, 0 };
    for (size_t i = 0; i < HS_ARRAY_LEN(expected); i++)
        assert_int_equal(run(model, 0), expected[i]);
    close_all(model, device);
}

static void opens_and_loads_fail_as_scripted(void **state)
{
    (void) state;
    static const struct {
        const char *kind;
        int code;
        bool opens_too;
    } cases[] = {
        { "none", HS_ENODEVICE, true },    { "busy", HS_EINUSE, true },    { "mismatch", HS_EVERSION, true },
        { "bad_model", HS_EMODEL, false }, { "memory", HS_ENOMEM, false }, { "load_fail", HS_EDEVICE, false },
    };
    const struct hs_model_spec spec = { .input_h = 32, .input_w = 32, .slots = 1 };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        char yaml[100];
        snprintf(yaml, sizeof(yaml), "faults: [{kind: %s, count: 1}]", cases[i].kind);
        struct hs_device_options options = with_script(yaml);
        struct hs_device *device = NULL;
        struct hs_model *model = NULL;
        struct hs_error err = { 0 };
        if (cases[i].opens_too) {
            assert_int_equal(sim->open(&options, &device, &err), cases[i].code);
            assert_int_equal(err.code, cases[i].code);
            assert_null(device);
        }
        assert_int_equal(sim->open(&options, &device, &err), 0);
        if (!cases[i].opens_too)
            assert_int_equal(sim->load(device, &spec, &model, &err), cases[i].code);
        assert_null(model);
        assert_int_equal(sim->load(device, &spec, &model, &err), 0);
        close_all(model, device);
    }
    /* Opens and loads are counted together. */
    struct hs_device *device = open_sim("faults: [{kind: busy, at: 2, count: 1}]");
    struct hs_model *model = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(sim->load(device, &spec, &model, &err), HS_EINUSE);
    assert_int_equal(sim->load(device, &spec, &model, &err), 0);
    close_all(model, device);
}

static void a_late_run_ends_after_the_deadline(void **state)
{
    (void) state;
    struct hs_device *device = open_sim("latency_ms: 1\nfaults: [{kind: late, at: 1, count: 1, extra_ms: 40}]");
    struct hs_model *model = load_sim(device, 32, 32, 2);
    struct hs_error err = { 0 };
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(sim->submit(model, 0, 1, &err), 0);
    assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(20), &err), HS_ETIMEOUT);
    assert_int_equal(run(model, 1), 0); /* it does not block other slots */
    assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(1), &err), HS_ETIMEOUT);
    assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    assert_true(hs_ns_to_ms(hs_clock_now_ns() - start_ns) >= 60);
    close_all(model, device);
}

static void a_hung_run_never_ends_and_others_go_on(void **state)
{
    (void) state;
    struct hs_device *device = open_sim("latency_ms: 1\nfaults: [{kind: hang, at: 1, count: 1}]");
    struct hs_model *model = load_sim(device, 32, 32, 2);
    struct hs_error err = { 0 };
    assert_int_equal(sim->submit(model, 0, 1, &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(10), &err), HS_ETIMEOUT);
        assert_int_equal(run(model, 1), 0);
    }
    close_all(model, device);
}

static void a_lost_device_fails_all_runs(void **state)
{
    (void) state;
    struct hs_device_options options = with_script("latency_ms: 0\nfaults: [{kind: lost, at: 3, for_ms: 60}]");
    struct hs_device *device = open_with(&options), *second = NULL;
    struct hs_model *model = load_sim(device, 32, 32, 2), *other = NULL;
    const struct hs_model_spec spec = { .input_h = 32, .input_w = 32, .slots = 1 };
    struct hs_backend_probe probe;
    struct hs_error err = { 0 };
    assert_int_equal(run(model, 0), 0);
    assert_int_equal(sim->submit(model, 1, 1, &err), 0);
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(run(model, 0), HS_ELOST);
    assert_int_equal(sim->wait(model, 1, HS_NO_DEADLINE, &err), HS_ELOST); /* it was in flight */
    assert_int_equal(sim->load(device, &spec, &other, &err), HS_ELOST);
    assert_int_equal(sim->open(&options, &second, &err), HS_ELOST);
    sim->probe(&options, &probe);
    assert_false(probe.available);
    assert_true(probe.reason[0] != '\0');
    struct hs_device_health health;
    assert_int_equal(sim->health(device, &health, &err), 0);
    assert_false(health.ok);
    while (hs_clock_now_ns() - start_ns < 60 * HS_NS_PER_MS)
        sim->probe(&options, &probe);
    sim->probe(&options, &probe);
    assert_true(probe.available);
    /* The device is back, but devices and models opened before the loss stay dead. */
    assert_int_equal(run(model, 0), HS_ELOST);
    assert_int_equal(sim->load(device, &spec, &other, &err), HS_ELOST);
    close_all(model, device);
    device = open_with(&options);
    model = load_sim(device, 32, 32, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(run(model, 0), 0);
    close_all(model, device);
}

static void a_timed_loss_ends_waits(void **state)
{
    (void) state;
    struct hs_device *device = open_sim("latency_ms: 10000\nfaults: [{kind: lost, at_ms: 50, count: 1}]");
    struct hs_model *model = load_sim(device, 32, 32, 1);
    struct hs_error err = { 0 };
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(sim->submit(model, 0, 1, &err), 0);
    assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(8000), &err), HS_ELOST);
    assert_true(hs_ns_to_ms(hs_clock_now_ns() - start_ns) < 5000);
    close_all(model, device);
}

static void faults_can_apply_to_one_device(void **state)
{
    (void) state;
    struct hs_device_options options = with_script("{latency_ms: 0, devices: 2, temperature_c: 55, "
                                                   "faults: [{kind: error, device: 1}, {kind: none, at: 3}]}");
    struct hs_device *devices[2];
    struct hs_error err = { 0 };
    for (int i = 0; i < 2; i++) {
        options.device_id = i == 0 ? "sim0" : "sim1";
        devices[i] = open_with(&options);
        struct hs_model *model = load_sim(devices[i], 32, 32, 1);
        assert_int_equal(run(model, 0), i == 0 ? 0 : HS_EDEVICE);
        struct hs_device_health health;
        assert_int_equal(sim->health(devices[i], &health, &err), 0);
        assert_true(health.ok && health.has_temperature && health.temperature_c == 55);
        sim->unload(model);
    }
    sim->close(devices[0]);
    sim->close(devices[1]);
    struct hs_device *device = NULL;
    assert_int_equal(sim->open(&options, &device, &err), HS_ENODEVICE);
    options.device_id = "sim2";
    assert_int_equal(sim->open(&options, &device, &err), HS_ENODEVICE);
    assert_non_null(strstr(err.message, "sim2"));
}

static void probe_says_that_it_is_simulated(void **state)
{
    (void) state;
    struct hs_backend_probe probe;
    sim->probe(NULL, &probe);
    assert_true(probe.available);
    assert_int_equal(probe.device_count, 1);
    assert_string_equal(probe.ids[0], "sim0");
    assert_non_null(strstr(probe.device, "simulated"));
    struct hs_device_options options = with_script("devices: 3");
    sim->probe(&options, &probe);
    assert_int_equal(probe.device_count, 3);
    assert_string_equal(probe.ids[2], "sim2");
    options.script = "/no/such/script";
    sim->probe(&options, &probe);
    assert_false(probe.available);
    assert_non_null(strstr(probe.reason, "/no/such/script"));
}

/* ---- Scripts ---- */

static void invalid_scripts_are_refused(void **state)
{
    (void) state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "latency_ms: 5\nspeed: 9", "s.yaml:2: \"speed\" is an unknown key" },
        { "load_ms: 1\nload_ms: 2", "s.yaml:2: \"load_ms\" is a duplicate key" },
        { "latency_ms: fast", "s.yaml:1: \"latency_ms\" must be a number from 0 to 3600000" },
        { "latency_ms: -1", "s.yaml:1: \"latency_ms\" must be" },
        { "latency_ms: nan", "s.yaml:1: \"latency_ms\" must be" },
        { "latency_ms: {median: 5}", "must have a median above 0 and a p99" },
        { "latency_ms: {median: 5, p99: 4}", "must have a median above 0 and a p99" },
        { "latency_ms: {mean: 5}", "\"mean\" is an unknown key" },
        { "batch_ms: 5", "\"batch_ms\" must be a map" },
        { "batch_ms: {2: 5}", "must have an entry for 1 picture" },
        { "batch_ms: {1: 5, 33: 9}", "must be a whole number from 1 to 32" },
        { "devices: 0", "\"devices\" must be a whole number from 1 to 16" },
        { "slots: 17", "\"slots\" must be" },
        { "outputs: int8", "must be uint8, uint16 or float32" },
        { "faults: none", "\"faults\" must be a list" },
        { "faults:\n- {kind: lost}\n- {kind: slow}", "s.yaml:3: \"kind\" is an unknown kind of fault" },
        { "faults: [{at: 3}]", "has a fault without a kind" },
        { "faults: [{kind: lost, at: 0}]", "\"at\" must be" },
        { "faults: [{kind: lost, at: 1, at_ms: 1}]", "both at and at_ms" },
        { "faults: [{kind: lost, extra_ms: 1}]", "has extra_ms in a fault that does not delay anything" },
        { "faults: [{kind: lost, where: here}]", "\"where\" is an unknown key" },
        { "[]", "must be a map" },
        { "a: 1\n---\nb: 1", "is an unknown key" },
        { "load_ms: 1\n---\nload_ms: 1", "must be a single YAML document" },
        { "load_ms: [", "s.yaml:" },
        { "batch_ms: {1: 5, 1: 6}", "\"batch_ms\" has a duplicate number of pictures" },
        { "batch_ms: {}", "must have an entry for 1 picture" },
        { "batch_ms: {0: 5}", "must be a whole number from 1 to 32" },
        { "? [a]\n: 1", "s.yaml:1: \"the script\" has a key that is not a string" },
        { "latency_ms: 3600000.1", "from 0 to 3600000" },
        { "latency_ms: {median: 0, p99: 0}", "must have a median above 0" },
        { "load_ms: -0.1", "from 0 to 3600000" },
        { "leak_kb: 65537", "from 0 to 65536" },
        { "devices: 17", "from 1 to 16" },
        { "slots: 0", "from 1 to 16" },
        { "slots: 1.5", "must be a whole number" },
        { "seed: 2147483648", "from 0 to 2147483647" },
        { "seed: -1", "from 0 to 2147483647" },
        { "temperature_c: 201", "from -100 to 200" },
        { "temperature_c: [1]", "from -100 to 200" },
        { "outputs: [uint8]", "must be uint8, uint16 or float32" },
        { "faults: [{kind: late, at_ms: -1}]", "\"at_ms\" must be" },
        { "faults: [{kind: late, count: 0}]", "\"count\" must be" },
        { "faults: [{kind: late, for_ms: -1}]", "\"for_ms\" must be" },
        { "faults: [{kind: late, extra_ms: -1}]", "\"extra_ms\" must be" },
        { "faults: [{kind: late, device: 16}]", "from 0 to 15" },
        { "faults: [{kind: load_slow, at: 2147483648}]", "\"at\" must be" },
        { "faults: [{kind: load_fail, extra_ms: 1}]", "has extra_ms in a fault that does not delay anything" },
        { "faults: [3]", "must be a map of keys and values" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(bad); i++) {
        struct hs_sim_script script;
        struct hs_error err = { 0 };
        assert_int_equal(hs_sim_script_parse(bad[i].text, strlen(bad[i].text), "s.yaml", &script, &err), HS_EINVAL);
        if (!strstr(err.message, bad[i].message) || err.line < 1)
            fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].text, err.message, bad[i].message);
    }
    struct hs_device_options options = { .script = "/no/such/script" };
    struct hs_device *device = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(sim->open(&options, &device, &err), HS_ENOTFOUND);
    assert_int_equal(hs_sim_check_script(sim_script("speed: 9"), &err), HS_EINVAL);
    assert_int_equal(hs_sim_check_script(NULL, &err), 0);
}

static void missing_keys_have_defaults(void **state)
{
    (void) state;
    static const char *const empty[] = { "", "# nothing\n", "{}", "---\n" };
    for (size_t i = 0; i < HS_ARRAY_LEN(empty); i++) {
        struct hs_sim_script script;
        struct hs_error err = { 0 };
        assert_int_equal(hs_sim_script_parse(empty[i], strlen(empty[i]), "s", &script, &err), 0);
        assert_true(script.latency_ms == 6 && script.p99_ms == 6 && script.load_ms == 0);
        assert_int_equal(script.devices, 1);
        assert_int_equal(script.slots, HS_MODEL_MAX_SLOTS);
        assert_int_equal(script.outputs, HS_DTYPE_U8);
        assert_int_equal(script.fault_count + script.batch_count + script.has_temperature, 0);
    }
}

/* Values at their bounds. */
static void all_keys_are_read(void **state)
{
    (void) state;
    static const char text[] = "latency_ms: {median: 3, p99: 3600000}\nload_ms: 3600000\nleak_kb: 65536\n"
                               "devices: 16\nslots: 1\nseed: 2147483647\ntemperature_c: -100\noutputs: float32\n"
                               "batch_ms: {32: 8, 1: 5, 4: 6}\nfaults:\n"
                               "- {kind: late, at: 1, count: 1, device: 15}\n"
                               "- {kind: load_slow, at_ms: 0, for_ms: 0}\n"
                               "- {kind: load_slow, extra_ms: 0}\n";
    struct hs_sim_script s;
    struct hs_error err = { 0 };
    assert_int_equal(hs_sim_script_parse(text, sizeof(text) - 1, "s", &s, &err), 0);
    assert_true(s.latency_ms == 3 && s.p99_ms == 3600000 && s.load_ms == 3600000);
    assert_true(s.leak_kb == 65536 && s.devices == 16 && s.slots == 1 && s.seed == 2147483647);
    assert_true(s.has_temperature && s.temperature_c == -100 && s.outputs == HS_DTYPE_F32);
    static const struct hs_sim_batch batches[] = { { 1, 5 }, { 4, 6 }, { 32, 8 } };
    assert_int_equal(s.batch_count, 3);
    for (int i = 0; i < 3; i++)
        assert_true(s.batches[i].pictures == batches[i].pictures && s.batches[i].ms == batches[i].ms);
    const struct hs_sim_fault *late = &s.faults[0], *slow = &s.faults[1], *fast = &s.faults[2];
    assert_int_equal(s.fault_count, 3);
    assert_true(late->kind == HS_SIM_LATE && late->at == 1 && late->count == 1 && late->device == 15);
    assert_true(late->extra_ms == 50 && late->for_ms == -1 && late->at_ms == -1);
    assert_true(slow->kind == HS_SIM_LOAD_SLOW && slow->at == 0 && slow->count == 0 && slow->device == -1);
    assert_true(slow->extra_ms == 2000 && slow->for_ms == 0 && slow->at_ms == 0);
    assert_true(fast->extra_ms == 0 && fast->at_ms == 0);
    /* The batch entry for one picture sets its latency, unless latency_ms is given. */
    assert_int_equal(hs_sim_script_parse("batch_ms: {1: 5}", 16, "s", &s, &err), 0);
    assert_true(s.latency_ms == 5 && s.p99_ms == 5);
    assert_int_equal(hs_sim_script_parse("batch_ms: {1: 5}\nlatency_ms: 2", 30, "s", &s, &err), 0);
    assert_true(s.latency_ms == 2 && s.p99_ms == 2);
}

static void scripts_out_of_bounds_are_refused(void **state)
{
    (void) state;
    static char text[HS_SIM_SCRIPT_MAX_BYTES + 1];
    struct hs_sim_script script;
    struct hs_error err = { 0 };
    for (int count = HS_SIM_MAX_FAULTS; count <= HS_SIM_MAX_FAULTS + 1; count++) {
        size_t len = (size_t) snprintf(text, sizeof(text), "faults:\n");
        for (int i = 0; i < count; i++)
            len += (size_t) snprintf(text + len, sizeof(text) - len, "- {kind: late}\n");
        bool fits = count == HS_SIM_MAX_FAULTS;
        assert_int_equal(hs_sim_script_parse(text, len, "s", &script, &err), fits ? 0 : HS_EINVAL);
        assert_true(!fits || script.fault_count == HS_SIM_MAX_FAULTS);
    }
    assert_string_equal(err.message, "s:66: \"faults\" has too many faults");
    memset(text, '#', sizeof(text));
    script.slots = 0;
    assert_int_equal(hs_sim_script_parse(text, sizeof(text), "s", &script, &err), HS_EINVAL);
    assert_string_equal(err.message, "s is too large: the limit is 65536 bytes");
    assert_int_equal(script.slots, 0);
    assert_int_equal(hs_sim_script_parse(text, sizeof(text) - 1, "s", &script, &err), 0);
}

/* ---- Memory ---- */

static int open_and_close(void *arg)
{
    struct hs_device_options options = with_script("latency_ms: 0");
    struct hs_device *device = NULL;
    (void) arg;
    int r = sim->open(&options, &device, NULL);
    assert_int_equal(device != NULL, r == 0);
    sim->close(device);
    return r;
}

static void a_device_without_memory_is_an_error(void **state)
{
    (void) state;
    assert_true(hs_fail_each_allocation(open_and_close, NULL) >= 1);
}

/* ---- Bounds of calls ---- */

static void sizes_out_of_bounds_are_refused(void **state)
{
    (void) state;
    static const struct {
        int h, w, result;
    } loads[] = {
        { 0, 8, HS_EINVAL },    { 8, 0, HS_EINVAL }, { 1, 1, 0 },    { 8193, 8, HS_EINVAL },
        { 8, 8193, HS_EINVAL }, { 8192, 8, 0 },      { 8, 8192, 0 }, { -1, -1, HS_EINVAL },
    };
    struct hs_device *device = open_sim("latency_ms: 0\nbatch_ms: {1: 0.1, 2: 0.1}");
    struct hs_error err = { 0 };
    for (size_t i = 0; i < HS_ARRAY_LEN(loads); i++) {
        const struct hs_model_spec spec = {
            .input_h = loads[i].h, .input_w = loads[i].w, .slots = 1, .output_kind = HS_OUTPUT_EMBEDDINGS
        };
        struct hs_model *model = NULL;
        assert_int_equal(sim->load(device, &spec, &model, &err), loads[i].result);
        assert_int_equal(model != NULL, loads[i].result == 0);
        sim->unload(model);
    }
    assert_string_equal(err.message, "input size -1x-1 out of bounds");
    static const struct {
        int h, w, result;
    } sizes[] = {
        { 0, 32, HS_EINVAL },  { 32, 0, HS_EINVAL },  { 1, 1, 0 },   { 96, 64, 0 },
        { 97, 64, HS_EINVAL }, { 96, 65, HS_EINVAL }, { 64, 32, 0 },
    };
    struct hs_model *model = load_spec(
        device, &(struct hs_model_spec) { .input_h = 96, .input_w = 64, .slots = 1, .batch = 3, .free_size = true });
    assert_int_equal(sim->info(model)->batch, 2); /* the script has no larger batch */
    for (size_t i = 0; i < HS_ARRAY_LEN(sizes); i++)
        assert_int_equal(sim->resize(model, 0, sizes[i].h, sizes[i].w, &err), sizes[i].result);
    assert_string_equal(err.message, "input size 65x96 out of bounds");
    assert_int_equal(sim->outputs(model, 0)[0].h, 8);
    assert_int_equal(sim->outputs(model, 0)[0].w, 4);
    for (int count = 0; count <= 3; count++) {
        int r = sim->submit(model, 0, count, &err);
        assert_int_equal(r, count == 1 || count == 2 ? 0 : HS_EINVAL);
        if (r == 0)
            assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(PATIENCE_MS), &err), 0);
    }
    assert_string_equal(err.message, "a slot of this model holds 1 to 2 pictures");
    close_all(model, device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_one_person_in_the_middle),
        cmocka_unit_test(any_input_size_has_its_person),
        cmocka_unit_test(the_default_person_is_within_the_picture),
        cmocka_unit_test(bright_blobs_are_people),
        cmocka_unit_test(bright_blobs_are_faces),
        cmocka_unit_test(a_face_that_fills_the_picture_is_found),
        cmocka_unit_test(areas_are_joined_and_small_ones_ignored),
        cmocka_unit_test(equal_faces_have_equal_vectors_and_others_have_not),
        cmocka_unit_test(every_slot_has_its_own_answer),
        cmocka_unit_test(latency_is_kept_and_a_deadline_before_it_is_a_timeout),
        cmocka_unit_test(a_device_runs_one_submission_at_a_time),
        cmocka_unit_test(batches_follow_the_script),
        cmocka_unit_test(latency_is_log_normal_and_repeatable),
        cmocka_unit_test(loads_take_the_scripted_time),
        cmocka_unit_test(runs_fail_as_scripted),
        cmocka_unit_test(opens_and_loads_fail_as_scripted),
        cmocka_unit_test(a_late_run_ends_after_the_deadline),
        cmocka_unit_test(a_hung_run_never_ends_and_others_go_on),
        cmocka_unit_test(a_lost_device_fails_all_runs),
        cmocka_unit_test(a_timed_loss_ends_waits),
        cmocka_unit_test(faults_can_apply_to_one_device),
        cmocka_unit_test(probe_says_that_it_is_simulated),
        cmocka_unit_test(invalid_scripts_are_refused),
        cmocka_unit_test(missing_keys_have_defaults),
        cmocka_unit_test(all_keys_are_read),
        cmocka_unit_test(scripts_out_of_bounds_are_refused),
        cmocka_unit_test(a_device_without_memory_is_an_error),
        cmocka_unit_test(sizes_out_of_bounds_are_refused),
    };
    return HS_RUN_TESTS(tests);
}
