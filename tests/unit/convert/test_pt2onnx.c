/* The smallest pose network: one convolution and one level of heads, each a 1x1 convolution. The
 * pickle is assembled from pieces; each bad one replaces one piece. tests/service/test_pt2onnx.py
 * tests whole networks. */
#include "../alloc_fail.h"
#include "convert/pt2onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "convert/onnx_info.h"
#include "pickle_bytes.h"
#include "zip_bytes.h"

struct piece {
    const char *data;
    size_t len;
};
#define PIECE(literal) { literal, sizeof(literal) - 1 }

/* An object with attributes; a dictionary of modules. */
#define OBJECT(module, name, attributes) GLOBAL(module, name) ")\x81}(" attributes "ub"
#define MODULES(entries) TEXT("\10", "_modules") "}(" entries "u"

#define NUMBERS "\x40" /* in the only storage */
#define WEIGHT(outputs, inputs)                                                                                        \
    TENSOR("FloatStorage", "0", NUMBERS, "\0", "(K" outputs "K" inputs "K\1K\1t", "(K" inputs "K\1K\1K\1t")
#define CONV(weight, stride, more)                                                                                     \
    OBJECT("torch.nn.modules.conv", "Conv2d",                                                                          \
           TEXT("\13", "_parameters") "}(" TEXT("\6", "weight")                                                        \
               weight TEXT("\4", "bias") "Nu" TEXT("\14", "padding_mode") TEXT("\5", "zeros")                          \
                   TEXT("\7", "padding") "K\0K\0\x86" TEXT("\13", "kernel_size") "K\1K\1\x86" TEXT(                    \
                       "\6", "stride") "K" stride "K" stride                                                           \
                                       "\x86" TEXT("\10", "dilation") "K\1K\1\x86" TEXT("\6", "groups") "K\1" more)
#define LIST(entry) OBJECT("torch.nn.modules.container", "ModuleList", MODULES(TEXT("\1", "0") entry))
#define STRIDES(size) TENSOR("FloatStorage", "1", "\1", "\0", "K" size "\x85", "K\1\x85")

/* The pieces that a test can replace, in the order of the pickle. */
enum part { START, MODEL, LAYER, HEAD, BOX, SCORES, POINTS, SHAPE, STRIDE, SOURCE, LEVELS, NAMES, END, PARTS };

static const struct piece good[PARTS] = {
    [START] = PIECE("\x80\2}(" TEXT("\7", "license") TEXT("\3", "MIT") TEXT("\5", "model")),
    [MODEL] = PIECE(GLOBAL("ultralytics.nn.tasks", "PoseModel") ")\x81}(" TEXT("\10", "_modules") "}(" TEXT(
        "\5", "model") GLOBAL("torch.nn.modules.container", "Sequential") ")\x81}(" TEXT("\10", "_modules") "}("),
    [LAYER] = PIECE(TEXT("\1", "0") CONV(WEIGHT("\4", "\3"), "\2", TEXT("\1", "f") "J\xff\xff\xff\xff")),
    [HEAD] = PIECE(TEXT("\1", "1") GLOBAL("ultralytics.nn.modules.head", "Pose") ")\x81}("),
    [BOX] = PIECE(TEXT("\10", "_modules") "}(" TEXT("\3", "cv2") LIST(CONV(WEIGHT("\10", "\4"), "\1", ""))),
    [SCORES] = PIECE(TEXT("\3", "cv3") LIST(CONV(WEIGHT("\2", "\4"), "\1", ""))),
    [POINTS] = PIECE(TEXT("\3", "cv4") LIST(CONV(WEIGHT("\6", "\4"), "\1", "")) "u"),
    [SHAPE] = PIECE(TEXT("\11", "kpt_shape") "](K\2K\3e"),
    [STRIDE] = PIECE(TEXT("\6", "stride") STRIDES("\1")),
    [SOURCE] = PIECE(TEXT("\1", "f") "](K\0e"),
    [LEVELS] = PIECE(TEXT("\7", "reg_max") "K\2" TEXT("\2", "nc") "K\2"
                                                                  "ub"
                                                                  "uub"
                                                                  "u"),
    [NAMES] =
        PIECE(TEXT("\5", "names") "}(K\1" TEXT("\3", "cat") "u" TEXT("\4", "args") "}(" TEXT("\5", "imgsz") "M\x40\1u"),
    [END] = PIECE("ubu."),
};

struct fixture {
    char folder[64], output[96];
    struct zip_bytes zip;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    if (!fixture)
        return -1;
    hs_str_copy(fixture->folder, sizeof(fixture->folder), "/tmp/hs-pt2onnx-XXXXXX");
    if (!mkdtemp(fixture->folder))
        return -1;
    hs_path_join(fixture->output, sizeof(fixture->output), fixture->folder, "out.onnx");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    unlink(fixture->output);
    rmdir(fixture->folder);
    free(fixture);
    return 0;
}

/* Returns the path of a checkpoint of the good pieces, one of them replaced by `other`. */
static const char *checkpoint(struct fixture *fixture, enum part part, struct piece other)
{
    float numbers[64], stride = 2;
    uint8_t pickle[ZIP_MAX_BYTES];
    size_t len = 0;
    for (size_t i = 0; i < PARTS; i++) {
        struct piece piece = i == part ? other : good[i];
        assert_true(piece.len <= sizeof(pickle) - len);
        memcpy(pickle + len, piece.data, piece.len);
        len += piece.len;
    }
    for (size_t i = 0; i < HS_ARRAY_LEN(numbers); i++)
        numbers[i] = (float) i / 8;
    fixture->zip = (struct zip_bytes) { .len = 0 };
    zip_add(&fixture->zip, "net/data.pkl", pickle, len);
    zip_add(&fixture->zip, "net/data/0", numbers, sizeof(numbers));
    zip_add(&fixture->zip, "net/data/1", &stride, sizeof(stride));
    zip_end(&fixture->zip, "");
    return zip_path(fixture->zip.data, fixture->zip.len);
}

static void assert_value(const struct hs_onnx_value *value, const char *name, int rank, int64_t channels)
{
    assert_string_equal(value->name, name);
    assert_int_equal(value->elem_type, HS_ONNX_FLOAT);
    assert_int_equal(value->rank, rank);
    assert_int_equal(value->dims[0], -1);
    assert_int_equal(value->dims[1], channels);
    for (int i = 2; i < rank; i++)
        assert_int_equal(value->dims[i], -1);
}

static void test_outputs(void **state)
{
    struct fixture *fixture = *state;
    struct hs_onnx_info *onnx;
    struct hs_error err;
    const char *path = checkpoint(fixture, START, good[START]);
    assert_int_equal(hs_pt2onnx_convert(path, fixture->output, NULL, NULL, &err), 0);
    assert_int_equal(hs_onnx_info_load(fixture->output, &onnx, &err), 0);
    assert_int_equal(onnx->ir_version, 8);
    assert_int_equal(onnx->opset, 17);
    assert_int_equal(onnx->node_count, 4);
    assert_int_equal(onnx->input_count, 1);
    assert_int_equal(onnx->output_count, 3);
    assert_value(&onnx->inputs[0], "images", 4, 3);
    assert_value(&onnx->outputs[0], "box_2", 4, 8);
    assert_value(&onnx->outputs[1], "cls_2", 4, 2);
    assert_value(&onnx->outputs[2], "kpt_2", 4, 6);
    hs_onnx_info_destroy(onnx);
}

static void test_metadata(void **state)
{
    struct fixture *fixture = *state;
    struct hs_onnx_info *onnx;
    struct hs_error err;
    char sha256[65];
    const struct hs_pt2onnx_options options = { .sigmoid = true };
    const char *path = checkpoint(fixture, START, good[START]);
    assert_int_equal(hs_pt2onnx_convert(path, fixture->output, &options, NULL, &err), 0);
    assert_int_equal(hs_file_sha256(path, sha256, &err), 0);
    assert_int_equal(hs_onnx_info_load(fixture->output, &onnx, &err), 0);
    assert_int_equal(onnx->node_count, 5);
    assert_int_equal(onnx->prop_count, 7);
    assert_string_equal(hs_onnx_info_prop(onnx, "task"), "pose");
    assert_string_equal(hs_onnx_info_prop(onnx, "names"), "{1: 'cat'}");
    assert_string_equal(hs_onnx_info_prop(onnx, "kpt_shape"), "[2, 3]");
    assert_string_equal(hs_onnx_info_prop(onnx, "stride"), "[2]");
    assert_string_equal(hs_onnx_info_prop(onnx, "scores"), "probabilities");
    assert_string_equal(hs_onnx_info_prop(onnx, "license"), "MIT");
    assert_string_equal(hs_onnx_info_prop(onnx, "source_sha256"), sha256);
    hs_onnx_info_destroy(onnx);
}

static void test_decoded(void **state)
{
    struct fixture *fixture = *state;
    struct hs_onnx_info *onnx;
    struct hs_error err;
    const struct hs_pt2onnx_options options = { .decoded = true };
    const char *path = checkpoint(fixture, START, good[START]);
    assert_int_equal(hs_pt2onnx_convert(path, fixture->output, &options, NULL, &err), 0);
    assert_int_equal(hs_onnx_info_load(fixture->output, &onnx, &err), 0);
    assert_int_equal(onnx->output_count, 4);
    assert_value(&onnx->outputs[3], "output0", 3, 4 + 2 + 6);
    hs_onnx_info_destroy(onnx);
}

static void test_info(void **state)
{
    struct fixture *fixture = *state;
    struct hs_pt2onnx_info info;
    struct hs_error err;
    char sha256[65];
    const char *path = checkpoint(fixture, START, good[START]);
    assert_int_equal(hs_pt2onnx_convert(path, fixture->output, NULL, &info, &err), 0);
    assert_int_equal(hs_file_sha256(path, sha256, &err), 0);
    assert_int_equal(info.classes, 2);
    assert_int_equal(info.keypoints, 2);
    assert_int_equal(info.keypoint_dims, 3);
    assert_int_equal(info.bins, 2);
    assert_int_equal(info.levels, 1);
    assert_int_equal(info.strides[0], 2);
    assert_int_equal(info.image_size, 320);
    assert_string_equal(info.license, "MIT");
    assert_string_equal(info.source_sha256, sha256);
}

static const struct {
    enum part part;
    struct piece other;
    const char *message;
} bad[] = {
    { HEAD, PIECE(TEXT("\1", "1") GLOBAL("ultralytics.nn.modules.head", "Detect") ")\x81}("),
      "not a YOLOv8 or YOLO11 pose model: its head is <ultralytics.nn.modules.head Detect>" },
    { LAYER, PIECE(TEXT("\1", "0") OBJECT("torch.nn", "Linear", TEXT("\1", "f") "J\xff\xff\xff\xff")),
      "model.0: unknown module <torch.nn Linear>" },
    { LAYER, PIECE(TEXT("\1", "0") OBJECT("os", "Conv2d", TEXT("\1", "f") "J\xff\xff\xff\xff")),
      "model.0: unknown module <os Conv2d>" },
    { LAYER, PIECE(TEXT("\1", "7") CONV(WEIGHT("\4", "\3"), "\2", TEXT("\1", "f") "J\xff\xff\xff\xff")),
      "model: layer 0 has the name 7" },
    { LAYER, PIECE(TEXT("\1", "0") CONV(WEIGHT("\4", "\4"), "\2", TEXT("\1", "f") "J\xff\xff\xff\xff")),
      "model.0: expected 4 channels, got 3" },
    { LAYER, PIECE(TEXT("\1", "0") CONV(GLOBAL("posix", "system"), "\2", TEXT("\1", "f") "J\xff\xff\xff\xff")),
      "model.0.weight: expected a tensor, got <posix system>" },
    { LAYER, PIECE(TEXT("\1", "0") CONV(WEIGHT("\4", "\3"), "\0", TEXT("\1", "f") "J\xff\xff\xff\xff")),
      "model.0: `stride` has the unsupported value (0, 0)" },
    { LAYER, PIECE(TEXT("\1", "0") CONV(WEIGHT("\4", "\3"), "\2", "")), "model.0: `f` is missing" },
    { LAYER,
      PIECE(TEXT("\1", "0")
                CONV(WEIGHT("\4", "\1"), "\2", TEXT("\6", "groups") "K\3" TEXT("\1", "f") "J\xff\xff\xff\xff")),
      "model.0: 4 channels are not divisible into 3 groups" },
    { LAYER,
      PIECE(TEXT("\1", "0")
                CONV(WEIGHT("\4", "\3"), "\2",
                     TEXT("\14", "padding_mode") TEXT("\7", "reflect") TEXT("\1", "f") "J\xff\xff\xff\xff")),
      "model.0: only zero padding is supported, got 'reflect'" },
    { BOX, PIECE(TEXT("\10", "_modules") "}(" TEXT("\3", "cv2") LIST(CONV(WEIGHT("\7", "\4"), "\1", ""))),
      "model.1.cv2: produces 7 channels at stride 2, expected 8 at stride 2" },
    { SCORES, PIECE(TEXT("\3", "cv3") LIST(CONV(WEIGHT("\2", "\4"), "\3", ""))),
      "model.1.cv3: produces 2 channels at stride 6, expected 2 at stride 2" },
    { POINTS, PIECE(TEXT("\3", "cv4") LIST(OBJECT("torch.nn", "Sequential", MODULES(""))) "u"),
      "model.1.cv4: produces 4" },
    { POINTS, PIECE("u"), "model.1.cv4.0: unknown module nothing" },
    { SHAPE, PIECE(TEXT("\11", "kpt_shape") "](K\2K\4e"),
      "head: `kpt_shape` must have 2 or 3 numbers per keypoint, not 4" },
    { SHAPE, PIECE(TEXT("\11", "kpt_shape") "](K\2e"), "head: `kpt_shape` has the unsupported value [2]" },
    { SHAPE, PIECE(""), "head: `kpt_shape` is missing" },
    { STRIDE, PIECE(""), "head: `stride` is missing" },
    { STRIDE, PIECE(TEXT("\6", "stride") "K\2"), "stride: expected a tensor, got 2" },
    { STRIDE, PIECE(TEXT("\6", "stride") STRIDES("\2")), "stride" },
    { SOURCE, PIECE(TEXT("\1", "f") "](K\1e"), "head: unknown input layer 1" },
    { SOURCE, PIECE(TEXT("\1", "f") "K\0"), "head: expected one input layer per stride, got 0" },
    { NAMES, PIECE(""), "model: `names` is missing" },
    { END, PIECE("ubu"), "unexpected end" },
};

static void test_bad_ones(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < HS_ARRAY_LEN(bad); i++) {
        struct hs_error err = { 0 };
        struct hs_pt2onnx_info info;
        const struct hs_pt2onnx_options options = { .decoded = true };
        const char *path = checkpoint(fixture, bad[i].part, bad[i].other);
        assert_int_equal(hs_pt2onnx_convert(path, fixture->output, &options, &info, &err), HS_EMODEL);
        assert_int_equal(err.code, HS_EMODEL);
        if (!hs_str_starts(err.message, path) || !strstr(err.message, bad[i].message))
            fail_msg("expected \"%s\", got \"%s\"", bad[i].message, err.message);
        assert_false(hs_file_exists(fixture->output));
    }
}

static void test_bare_weights(void **state)
{
    struct fixture *fixture = *state;
    static const char pickle[] = "\x80\2}(" TEXT("\23", "model.0.conv.weight") WEIGHT("\4", "\3") "u.";
    struct hs_error err;
    zip_add(&fixture->zip, "net/data.pkl", pickle, sizeof(pickle) - 1);
    zip_end(&fixture->zip, "");
    const char *path = zip_path(fixture->zip.data, fixture->zip.len);
    assert_int_equal(hs_pt2onnx_convert(path, fixture->output, NULL, NULL, &err), HS_EMODEL);
    assert_non_null(strstr(err.message, "the checkpoint does not contain an Ultralytics model (only weights?)"));
    assert_int_equal(hs_pt2onnx_convert(path, fixture->output, NULL, NULL, NULL), HS_EMODEL);
}

static void test_files(void **state)
{
    struct fixture *fixture = *state;
    struct hs_error err;
    char missing[96];
    hs_str_format(missing, sizeof(missing), "%s/missing/x", fixture->folder);
    assert_int_equal(hs_pt2onnx_convert(missing, fixture->output, NULL, NULL, &err), HS_ENOTFOUND);
    assert_true(hs_str_starts(err.message, missing));
    const char *path = checkpoint(fixture, START, good[START]);
    assert_true(hs_pt2onnx_convert(path, missing, NULL, NULL, &err) < 0);
    assert_non_null(strstr(err.message, "cannot write "));
    assert_non_null(strstr(err.message, missing));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

struct converting {
    struct fixture *fixture;
    const char *path;
    struct hs_pt2onnx_options options;
    const uint8_t *wanted; /* NULL: only the result matters */
    size_t len;
};

static int convert_without_memory(void *arg)
{
    const struct converting *converting = arg;
    const char *output = converting->fixture->output;
    struct hs_pt2onnx_info info;
    struct hs_error err = { 0 };
    unlink(output);
    int r = hs_pt2onnx_convert(converting->path, output, &converting->options, &info, &err);
    assert_int_equal(r, err.code);
    if (r < 0) {
        assert_false(hs_file_exists(output));
        if (!strstr(err.message, "memory"))
            fail_msg("\"%s\" does not speak of memory", err.message);
        return r;
    }
    assert_int_equal(info.classes, 2);
    static uint8_t found[1 << 16];
    FILE *file = fopen(output, "rb");
    assert_non_null(file);
    size_t len = fread(found, 1, sizeof(found), file);
    fclose(file);
    assert_int_equal(len, converting->len);
    assert_memory_equal(found, converting->wanted, len);
    return 0;
}

#define X41 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* The same checkpoint always gives the same bytes, or an error. The keypoints' names take 256
 * bytes, a whole piece of memory, so that the bytes after them need another piece. */
static void test_memory(void **state)
{
    static const struct piece names =
        PIECE(TEXT("\5", "names") "}(K\0" TEXT("\3", "cat") "K\1" TEXT("\3", "dog") "u" TEXT(
            "\11", "kpt_names") "}(K\0](" TEXT("\xf7",
                                               "x" X41 X41 X41 X41 X41
                                                   X41) "eu" TEXT("\4", "args") "}(" TEXT("\5", "imgsz") "M\x40\1u");
    struct converting converting = { .fixture = *state };
    converting.path = checkpoint(*state, NAMES, names);
    for (int decoded = 0; decoded < 2; decoded++) {
        struct hs_onnx_info *onnx;
        struct hs_error err;
        uint8_t *wanted;
        converting.options = (struct hs_pt2onnx_options) { .decoded = decoded, .sigmoid = decoded };
        if (hs_pt2onnx_convert(converting.path, converting.fixture->output, &converting.options, NULL, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(hs_onnx_info_load(converting.fixture->output, &onnx, &err), 0);
        assert_string_equal(hs_onnx_info_prop(onnx, "kpt_names"), "{0: ['x" X41 X41 X41 X41 X41 X41 "']}");
        hs_onnx_info_destroy(onnx);
        assert_int_equal(hs_file_read(converting.fixture->output, 1 << 16, &wanted, &converting.len, NULL), 0);
        converting.wanted = wanted;
        assert_true(hs_fail_each_allocation(convert_without_memory, &converting) >= 20);
        free(wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_outputs),  TEST(test_metadata),     TEST(test_decoded), TEST(test_info),
        TEST(test_bad_ones), TEST(test_bare_weights), TEST(test_files),   TEST(test_memory),
    };
    return HS_RUN_TESTS(tests);
}
