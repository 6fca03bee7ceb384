#include "../unit.h"

#include <stdlib.h>

#include "assert_message.h"
#include "base/mem.h"
#include "base/str.h"
#include "convert/model_shape.h"
#include "face_onnx.h"

static int read_shape(struct hs_buf *model, struct hs_model_shape *shape, struct hs_error *err)
{
    struct hs_onnx_info *info = NULL;
    enum hs_decode decode;
    *err = (struct hs_error) { 0 };
    assert_int_equal(hs_onnx_info_parse(model->data, model->len, &info, err), 0);
    hs_buf_finish(model);
    assert_true(hs_face_shape_match(info, &decode));
    int r = hs_face_shape_read(info, decode, shape, err);
    hs_onnx_info_destroy(info);
    return r;
}

static struct hs_model_shape served(struct hs_buf *model, int input)
{
    struct hs_model_shape shape = { .input = input };
    struct hs_error err;
    if (read_shape(model, &shape, &err) < 0)
        fail_msg("%s", err.message);
    return shape;
}

static void refused(struct hs_buf *model, int input, const char *reason)
{
    struct hs_model_shape shape = { .input = input };
    struct hs_error err;
    assert_int_equal(read_shape(model, &shape, &err), HS_EMODEL);
    assert_message(err.message, reason);
    assert_int_equal(shape.width, 0);
}

static void scrfd(void **state)
{
    (void) state;
    struct hs_buf model;
    for (int i = 0; i < 8; i++) {
        bool fixed = i & 1, points = i & 2, batch = i & 4;
        face_onnx_scrfd(&model, fixed ? 320 : 0, fixed ? 320 : 640, points, batch);
        struct hs_model_shape shape = served(&model, 0);
        assert_int_equal(shape.task, HS_TASK_FACE_DETECTION);
        assert_int_equal(shape.decode, HS_DECODE_SCRFD);
        assert_true(shape.points == points);
        assert_int_equal(shape.width, fixed ? 320 : 640);
        assert_int_equal(shape.height, shape.width);
        assert_int_equal(shape.stride, fixed ? 0 : 32);
        assert_true(shape.mean[0] == 127.5f && shape.std[2] == 128 && !shape.bgr);
    }
    face_onnx_scrfd(&model, 0, 640, true, false); /* the row counts recorded at export do not limit the size */
    assert_int_equal(served(&model, 416).width, 416);
}

static void wrong_scrfd(void **state)
{
    (void) state;
    struct hs_buf model;
    face_onnx_scrfd(&model, 320, 640, true, true);
    refused(&model, 0, "the largest outputs have 12800 rows; two anchors per cell need 3200");
    face_onnx_scrfd(&model, 320, 320, true, true);
    refused(&model, 640, "fixed to 320 x 320");
    face_onnx_scrfd(&model, 100, 96, true, true);
    refused(&model, 0, "multiples of 32");
    face_onnx_scrfd(&model, 0, 640, true, true);
    refused(&model, 100, "multiples of 32");
    const int input[] = { 1, 3, 64, 64 }, batch[] = { 2, 3, 64, 64 }, gray[] = { 1, 1, 64, 64 };
    const int rows[] = { 128, 1, 32, 1, 16, 1, 128, 4, 32, 4, 8, 4 };
    face_onnx(&model, input, rows, 2, 6);
    refused(&model, 0, "N/4 and N/16 rows");
    const int fine[] = { 128, 1, 32, 1, 8, 1, 128, 4, 32, 4, 8, 4 };
    face_onnx(&model, batch, fine, 2, 6);
    refused(&model, 0, "fixed to batches of 2");
    face_onnx(&model, gray, fine, 2, 6);
    refused(&model, 0, "[batch, 3, height, width]");
    const int eleven[] = { 128, 1, 32, 1, 8, 1, 128, 4, 32, 4, 8, 4, 128, 10, 32, 10, 8, 11 };
    face_onnx(&model, input, eleven, 2, 9);
    refused(&model, 0, "with landmarks, 10 numbers per row");
}

static void retinaface(void **state)
{
    (void) state;
    struct hs_buf model;
    face_onnx_retinaface(&model, 0, 0);
    struct hs_model_shape shape = served(&model, 1280);
    assert_int_equal(shape.task, HS_TASK_FACE_DETECTION);
    assert_int_equal(shape.decode, HS_DECODE_RETINAFACE);
    assert_true(shape.bgr && shape.points);
    assert_true(shape.mean[0] == 123 && shape.mean[2] == 104 && shape.std[1] == 1); /* in the order R, G, B */
    assert_int_equal(shape.width, 1280);
    face_onnx_retinaface(&model, 640, 16800);
    assert_int_equal(served(&model, 0).stride, 0);
    face_onnx_retinaface(&model, 640, 25200);
    refused(&model, 0, "25200 rows; the priors of RetinaFace (MobileNet) need 16800");
}

static void arcface(void **state)
{
    (void) state;
    struct hs_buf model;
    face_onnx_arcface(&model, 0, 112, 512);
    struct hs_model_shape shape = served(&model, 0);
    assert_int_equal(shape.task, HS_TASK_FACE_EMBEDDING);
    assert_int_equal(shape.decode, HS_DECODE_ARCFACE);
    assert_int_equal(shape.dimension, 512);
    assert_int_equal(shape.width, 112);
    assert_int_equal(shape.stride, 0);
    assert_true(shape.mean[0] == 127.5f && shape.std[0] == 127.5f && !shape.bgr);
    face_onnx_arcface(&model, 1, 112, 128);
    assert_int_equal(served(&model, 0).dimension, 128);
    face_onnx_arcface(&model, 0, 160, 512);
    refused(&model, 0, "must be [batch, 3, 112, 112]");
    face_onnx_arcface(&model, 0, 112, 10);
    refused(&model, 0, "the embedding has 10 numbers");
    face_onnx_arcface(&model, 0, 112, 202);
    refused(&model, 0, "in multiples of 32");
    face_onnx_arcface(&model, 4, 112, 512);
    refused(&model, 0, "fixed to batches of 4");
    static const struct {
        int numbers;
        const char *reason; /* NULL: served */
    } bounds[] = { { 64, NULL },
                   { 32, "64 to 4096, in multiples of 32" },
                   { HS_MODEL_MAX_EMBEDDING, NULL },
                   { HS_MODEL_MAX_EMBEDDING + 32, "the embedding has 4128 numbers" },
                   { 96, NULL } };
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        face_onnx_arcface(&model, 0, 112, bounds[i].numbers);
        if (bounds[i].reason)
            refused(&model, 0, bounds[i].reason);
        else
            assert_int_equal(served(&model, 0).dimension, bounds[i].numbers);
    }
}

/* Five-point outputs without rows, in a file that otherwise looks like SCRFD. */
static void outputs_of_one_dimension(void **state)
{
    (void) state;
    static const int widths[] = { 1, 4, 10 }, input[] = { 1, 3, 64, 64 };
    struct hs_buf model, graph;
    hs_buf_init(&model, POSE_ONNX_MAX);
    hs_buf_init(&graph, POSE_ONNX_MAX);
    onnx_value(&graph, 11, "input.1", input, 4);
    for (int i = 0; i < 9; i++) {
        const int rows[] = { 128, 32, 8 }, dims[] = { rows[i % 3], widths[i / 3] };
        onnx_value(&graph, 12, "output", i < 6 ? dims : &dims[1], i < 6 ? 2 : 1);
    }
    onnx_model(&model, &graph);
    refused(&model, 0, "an SCRFD model must have three outputs");
}

/* Other models are left to hs_pose_shape_read. */
static void not_a_face_model(void **state)
{
    (void) state;
    const int input[] = { 1, 3, 64, 64 }, classes[] = { 1, 84, 84 }, four[] = { 84, 4, 84, 4, 84, 4 };
    for (int i = 0; i < 4; i++) {
        struct hs_onnx_info *info;
        struct hs_buf model;
        enum hs_decode decode;
        if (i == 0)
            pose_onnx_decoded(&model, 640, 56, 8400);
        else if (i == 1)
            pose_onnx_raw(&model, 64, 1, 51);
        else
            face_onnx(&model, input, i == 2 ? classes : four, i == 2 ? 3 : 2, i == 2 ? 1 : 3);
        assert_int_equal(hs_onnx_info_parse(model.data, model.len, &info, NULL), 0);
        assert_false(hs_face_shape_match(info, &decode));
        hs_onnx_info_destroy(info);
        hs_buf_finish(&model);
    }
}

/* Published models, if a local collection is available. */
static void real_files(void **state)
{
    (void) state;
    static const struct {
        const char *file;
        enum hs_decode decode;
        int width, stride;
    } rows[] = {
        { "det_500m.onnx", HS_DECODE_SCRFD, 640, 32 },
        { "scrfd_2.5g_kps.onnx", HS_DECODE_SCRFD, 640, 0 },
        { "extras/scrfd_2.5g_bnkps_320.onnx", HS_DECODE_SCRFD, 320, 0 },
        { "extras/scrfd_1g.onnx", HS_DECODE_SCRFD, 640, 32 },
        { "retinaface_mobilenet0.25.onnx", HS_DECODE_RETINAFACE, 640, 32 },
        { "w600k_mbf.onnx", HS_DECODE_ARCFACE, 112, 0 },
    };
    const char *folder = getenv("HS_MODEL_COLLECTION");
    if (!folder || !folder[0])
        skip(); /* HS_MODEL_COLLECTION is not set to a folder */
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        char path[4096];
        struct hs_onnx_info *info;
        struct hs_model_shape shape = { 0 };
        struct hs_error err = { 0 };
        enum hs_decode decode;
        assert_true(hs_str_format(path, sizeof(path), "%s/%s", folder, rows[i].file));
        if (hs_onnx_info_load(path, &info, &err) < 0)
            fail_msg("%s", err.message);
        assert_true(hs_face_shape_match(info, &decode) && decode == rows[i].decode);
        if (hs_face_shape_read(info, decode, &shape, &err) < 0)
            fail_msg("%s: %s", path, err.message);
        assert_int_equal(shape.width, rows[i].width);
        assert_int_equal(shape.stride, rows[i].stride);
        hs_onnx_info_destroy(info);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scrfd),      cmocka_unit_test(wrong_scrfd), cmocka_unit_test(outputs_of_one_dimension),
        cmocka_unit_test(retinaface), cmocka_unit_test(arcface),     cmocka_unit_test(not_a_face_model),
        cmocka_unit_test(real_files),
    };
    return HS_RUN_TESTS(tests);
}
