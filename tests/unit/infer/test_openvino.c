#include "../unit.h"

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/registry.h"
#include "infer/runner.h"
#include "onnx_bytes.h"

static const struct hs_backend *openvino;
static struct hs_error absent;
static char folder[64];

#define NEED_OPENVINO()                                                                                                \
    do {                                                                                                               \
        if (!openvino) {                                                                                               \
            print_message("skipped: %s\n", absent.message);                                                            \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)

static void write_model(const char *name, struct hs_buf *graph, char path[128])
{
    struct hs_buf model;
    struct hs_error err = { 0 };
    hs_buf_init(&model, 1 << 20);
    onnx_model(&model, graph);
    hs_str_format(path, 128, "%s/%s", folder, name);
    assert_int_equal(hs_file_write_atomic(path, model.data, model.len, 0600, &err), 0);
    hs_buf_finish(&model);
}

/* Input [1, 3, free, free]; outputs "map" = a 1x1 convolution to two channels (R + 2 G + 4 B and R - B), "mean" [1, 3]
 * = the mean of each channel, "rows" [1, 3, width] = the means over the height. */
static void write_free_model(char path[128])
{
    static const int input[] = { 1, 3, 0, 0 }, map[] = { 1, 2, 0, 0 }, mean[] = { 1, 3 }, rows[] = { 1, 3, 0 };
    static const int kernel[] = { 2, 3, 1, 1 }, plane[] = { 2, 3 }, height[] = { 2 };
    static const float weights[] = { 1, 2, 4, 1, 0, -1 };
    struct hs_buf graph;
    hs_buf_init(&graph, 1 << 20);
    onnx_node(&graph, "Conv", "x", "weights", "map", NULL, 0);
    onnx_node(&graph, "ReduceMean", "x", NULL, "mean", plane, 2);
    onnx_node(&graph, "ReduceMean", "x", NULL, "rows", height, 1);
    onnx_constant(&graph, "weights", 1, kernel, 4, weights, sizeof(weights));
    onnx_value(&graph, 11, "x", input, 4);
    onnx_value(&graph, 12, "map", map, 4);
    onnx_value(&graph, 12, "mean", mean, 2);
    onnx_value(&graph, 12, "rows", rows, 3);
    write_model("free.onnx", &graph, path);
}

static void write_reshaped_model(const char *name, const int64_t wanted[2], char path[128])
{
    static const int input[] = { 1, 3, 4, 4 }, flat[] = { 1, 48 }, two[] = { 2 };
    struct hs_buf graph;
    hs_buf_init(&graph, 1 << 20);
    onnx_node(&graph, "Reshape", "x", "shape", "flat", NULL, 0);
    onnx_constant(&graph, "shape", 7, two, 1, wanted, 2 * sizeof(wanted[0]));
    onnx_value(&graph, 11, "x", input, 4);
    onnx_value(&graph, 12, "flat", flat, 2);
    write_model(name, &graph, path);
}

/* Reshapes to [-1, 48]: right for 4 x 4 pixels; for 8 x 8 it becomes a batch of 4 without an error. */
static void write_bound_model(char path[128])
{
    static const int64_t wanted[] = { -1, 48 };
    write_reshaped_model("bound.onnx", wanted, path);
}

/* Reshapes to [1, -1]: all pictures of a batch in one row. */
static void write_flat_model(char path[128])
{
    static const int64_t wanted[] = { 1, -1 };
    write_reshaped_model("flat.onnx", wanted, path);
}

/* Reshapes to [-1, 4] whatever the size, as some face detectors do: a matrix, not a batch. */
static void write_matrix_model(char path[128])
{
    static const int input[] = { 1, 3, 0, 0 }, flat[] = { 0, 4 }, two[] = { 2 };
    static const int64_t shape[] = { -1, 4 };
    struct hs_buf graph;
    hs_buf_init(&graph, 1 << 20);
    onnx_node(&graph, "Reshape", "x", "shape", "flat", NULL, 0);
    onnx_constant(&graph, "shape", 7, two, 1, shape, sizeof(shape));
    onnx_value(&graph, 11, "x", input, 4);
    onnx_value(&graph, 12, "flat", flat, 2);
    write_model("matrix.onnx", &graph, path);
}

static struct hs_device *open_device(const char *cache_dir)
{
    struct hs_device_options options = { .cache_dir = cache_dir, .threads = 2 };
    struct hs_device *device = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(openvino->open(&options, &device, &err), 0);
    return device;
}

static struct hs_model_spec spec_of(const char *path, int h, int w)
{
    return (struct hs_model_spec) {
        .path = path,
        .input_h = h,
        .input_w = w,
        .slots = 2,
        .precision = HS_PRECISION_F32,
        .std = { 1, 1, 1 },
    };
}

static struct hs_model *load(struct hs_device *device, const struct hs_model_spec *spec)
{
    struct hs_model *model = NULL;
    struct hs_error err = { 0 };
    int r = openvino->load(device, spec, &model, &err);
    if (r != 0)
        print_error("%s\n", err.message);
    assert_int_equal(r, 0);
    return model;
}

static void run(struct hs_model *model, int slot)
{
    struct hs_error err = { 0 };
    assert_int_equal(openvino->submit(model, slot, 1, &err), 0);
    assert_int_equal(openvino->wait(model, slot, hs_deadline_in_ms(20000), &err), 0);
}

static void near(float value, float wanted)
{
    if (!(fabsf(value - wanted) < 1e-3f))
        print_error("%g instead of %g\n", (double) value, (double) wanted);
    assert_true(fabsf(value - wanted) < 1e-3f);
}

static void probe_names_processor_and_version(void **state)
{
    (void) state;
    NEED_OPENVINO();
    struct hs_backend_probe probe;
    openvino->probe(NULL, &probe);
    assert_true(probe.available);
    assert_true(hs_str_starts(probe.version, "OpenVINO 20"));
    assert_true(probe.device[0] != '\0');
}

static void bytes_go_in_and_numbers_come_out(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    write_free_model(path);
    struct hs_device *device = open_device(NULL);
    struct hs_model_spec spec = spec_of(path, 2, 3);
    struct hs_model *model = load(device, &spec);
    const struct hs_model_info *info = openvino->info(model);
    assert_int_equal(info->slots, 2);
    assert_int_equal(info->output_count, 3);
    assert_int_equal(info->outputs[0].layout, HS_LAYOUT_NCHW);
    assert_int_equal(info->outputs[0].c, 2);
    assert_int_equal(info->outputs[0].h, 2);
    assert_int_equal(info->outputs[0].w, 3);
    assert_int_equal(info->outputs[0].size_bytes, 2 * 2 * 3 * 4);
    assert_string_equal(info->outputs[0].name, "map");
    assert_int_equal(info->outputs[1].layout, HS_LAYOUT_ROWS);
    assert_int_equal(info->outputs[1].h, 1);
    assert_int_equal(info->outputs[1].w, 3);
    assert_int_equal(info->outputs[2].h, 3);
    assert_int_equal(info->outputs[2].w, 3);
    for (int slot = 0; slot < 2; slot++) {
        uint8_t *input = openvino->input(model, slot);
        assert_int_equal((uintptr_t) input % (uintptr_t) sysconf(_SC_PAGESIZE), 0);
        for (int i = 0; i < 2 * 3 * 3; i++)
            input[i] = (uint8_t) (10 * slot + i); /* pixel p has (3p, 3p + 1, 3p + 2) */
        run(model, slot);
        struct hs_tensor_view map = hs_tensor_view_of(&info->outputs[0], openvino->output(model, slot, 0, 0));
        struct hs_tensor_view mean = hs_tensor_view_of(&info->outputs[1], openvino->output(model, slot, 0, 1));
        struct hs_tensor_view rows = hs_tensor_view_of(&info->outputs[2], openvino->output(model, slot, 0, 2));
        float base = (float) (10 * slot);
        near(hs_tensor_get(&map, 0, 0, 0), 7 * base + 0 + 2 * 1 + 4 * 2);
        near(hs_tensor_get(&map, 1, 2, 0), 7 * base + 15 + 2 * 16 + 4 * 17);
        near(hs_tensor_get(&map, 1, 1, 1), -2);
        near(hs_tensor_get(&mean, 0, 0, 0), base + 7.5f); /* (0 + 3 + … + 15) / 6 */
        near(hs_tensor_get(&mean, 0, 2, 0), base + 9.5f);
        near(hs_tensor_get(&rows, 1, 2, 0), base + (7 + 16) / 2.0f);
    }
    openvino->unload(model);
    openvino->close(device);
}

static void mean_and_std_apply_to_rgb_before_the_bgr_swap(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    write_free_model(path);
    struct hs_device *device = open_device(NULL);
    struct hs_model_spec spec = spec_of(path, 1, 1);
    const float mean[] = { 10, 20, 30 }, std[] = { 2, 4, 5 };
    memcpy(spec.mean, mean, sizeof(mean));
    memcpy(spec.std, std, sizeof(std));
    for (int bgr = 0; bgr < 2; bgr++) {
        spec.bgr = bgr;
        struct hs_model *model = load(device, &spec);
        uint8_t *input = openvino->input(model, 0);
        input[0] = 12; /* (12 - 10) / 2 = 1 */
        input[1] = 28; /* (28 - 20) / 4 = 2 */
        input[2] = 80; /* (80 - 30) / 5 = 10 */
        run(model, 0);
        const float *map = openvino->output(model, 0, 0, 0);
        near(map[0], bgr ? 10 + 2 * 2 + 4 * 1 : 1 + 2 * 2 + 4 * 10);
        near(map[1], bgr ? 9 : -9);
        openvino->unload(model);
    }
    openvino->close(device);
}

static void a_model_bound_to_another_size_is_refused(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    write_bound_model(path);
    struct hs_device *device = open_device(NULL);
    struct hs_model_spec spec = spec_of(path, 4, 4);
    openvino->unload(load(device, &spec));
    spec = spec_of(path, 8, 8);
    struct hs_model *model = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(openvino->load(device, &spec, &model, &err), HS_EMODEL);
    assert_non_null(strstr(err.message, "batch of 4"));
    assert_null(model);
    openvino->close(device);
}

static void a_matrix_needs_no_batch(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    write_matrix_model(path);
    struct hs_device *device = open_device(NULL);
    for (int side = 4; side <= 8; side += 4) {
        struct hs_model_spec spec = spec_of(path, side, side);
        struct hs_model *model = load(device, &spec);
        const struct hs_tensor_desc *rows = &openvino->info(model)->outputs[0];
        assert_int_equal(rows->layout, HS_LAYOUT_ROWS);
        assert_int_equal(rows->h, 3 * side * side / 4);
        assert_int_equal(rows->w, 4);
        assert_int_equal(rows->c, 1);
        openvino->unload(model);
    }
    openvino->close(device);
}

static void invalid_models_are_refused_with_a_reason(void **state)
{
    (void) state;
    NEED_OPENVINO();
    struct hs_device *device = open_device(NULL);
    struct hs_model *model = NULL;
    struct hs_error err = { 0 };
    char path[128], text[] = "this is no model";
    struct hs_model_spec spec = spec_of("/no/such/file.onnx", 32, 32);
    assert_int_equal(openvino->load(device, &spec, &model, &err), HS_EMODEL);
    assert_non_null(strstr(err.message, "/no/such/file.onnx"));
    assert_null(strchr(err.message, '\n'));
    hs_str_format(path, sizeof(path), "%s/text.onnx", folder);
    assert_int_equal(hs_file_write_atomic(path, text, sizeof(text), 0600, &err), 0);
    spec = spec_of(path, 32, 32);
    assert_int_equal(openvino->load(device, &spec, &model, &err), HS_EMODEL);
    assert_non_null(strstr(err.message, "not an ONNX model"));
    spec = spec_of(NULL, 32, 32);
    assert_int_equal(openvino->load(device, &spec, &model, &err), HS_EINVAL);
    write_free_model(path);
    spec = spec_of(path, 0, 32);
    assert_int_equal(openvino->load(device, &spec, &model, &err), HS_EINVAL);
    spec = spec_of(path, 32, 32);
    spec.std[1] = 0;
    assert_int_equal(openvino->load(device, &spec, &model, &err), HS_EINVAL);
    assert_null(model);
    openvino->close(device);
}

/* Models that compile, but do not take one picture or have unsupported outputs. */
static void models_of_another_kind_are_refused(void **state)
{
    (void) state;
    NEED_OPENVINO();
    static const int input[] = { 1, 3, 4, 4 }, plane[] = { 0, 2, 3 }, kernel[] = { 1, 3, 1, 4, 4 },
                     other[] = { 1, 3, 5, 5 };
    static const int64_t wide[] = { 1, 3, 1, 4, 4 };
    static const int five[] = { 5 };
    struct hs_device *device = open_device(NULL);
    static const char *const message[] = {
        "the model has 2 inputs, only one is supported", "the model has 17 outputs, 1 to 16 are supported",
        "has rank 1, only 2 to 4 are supported",         "has rank 5, only 2 to 4 are supported",
        "the model does not support an input of 4x4",
    };
    for (int i = 0; i < 5; i++) {
        struct hs_buf graph;
        char path[128], name[16];
        hs_buf_init(&graph, 1 << 20);
        if (i == 0) {
            onnx_node(&graph, "Add", "x", "z", "y", NULL, 0);
            onnx_value(&graph, 11, "z", input, 4);
            onnx_value(&graph, 12, "y", input, 4);
        } else if (i == 1) {
            for (int k = 0; k <= HS_MODEL_MAX_OUTPUTS; k++) {
                hs_str_format(name, sizeof(name), "y%d", k);
                onnx_node(&graph, k % 2 ? "Relu" : "Abs", k ? "y0" : "x", NULL, name, NULL, 0);
                onnx_value(&graph, 12, name, input, 4);
            }
        } else if (i == 2) {
            onnx_node(&graph, "ReduceMean", "x", NULL, "y", plane, 3);
            onnx_value(&graph, 12, "y", input + 1, 1);
        } else if (i == 3) {
            onnx_node(&graph, "Reshape", "x", "shape", "y", NULL, 0);
            onnx_constant(&graph, "shape", 7, five, 1, wide, sizeof(wide));
            onnx_value(&graph, 12, "y", kernel, 5);
        } else {
            onnx_node(&graph, "Add", "x", "z", "y", NULL, 0);
            static const float numbers[75];
            onnx_constant(&graph, "z", 1, other, 4, numbers, sizeof(numbers));
            onnx_value(&graph, 12, "y", other, 4);
        }
        onnx_value(&graph, 11, "x", i == 4 ? other : input, 4);
        write_model("other.onnx", &graph, path);
        struct hs_model_spec spec = spec_of(path, 4, 4);
        struct hs_model *model = NULL;
        struct hs_error err = { 0 };
        assert_int_equal(openvino->load(device, &spec, &model, &err), HS_EMODEL);
        if (!strstr(err.message, message[i]))
            fail_msg("\"%s\" lacks \"%s\"", err.message, message[i]);
        assert_null(model);
    }
    openvino->close(device);
}

static int count_files(const char *dir)
{
    int count = 0;
    DIR *entries = opendir(dir);
    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries))
        count += entry->d_name[0] != '.';
    closedir(entries);
    return count;
}

/* The cache does not use a model compiled for one number format for another. */
static void the_cache_is_written_once_and_used(void **state)
{
    (void) state;
    NEED_OPENVINO();
    static const enum hs_precision precisions[] = { HS_PRECISION_AUTO, HS_PRECISION_FAST, HS_PRECISION_F32 };
    char path[128], cache[128];
    struct hs_error err = { 0 };
    write_free_model(path);
    hs_str_format(cache, sizeof(cache), "%s/cache", folder);
    assert_int_equal(hs_dir_make(cache, &err), 0);
    for (size_t round = 0; round < HS_ARRAY_LEN(precisions); round++) {
        struct hs_device *device = open_device(cache);
        struct hs_model_spec spec = spec_of(path, 8, 8);
        spec.precision = precisions[round];
        struct hs_model *model = load(device, &spec);
        memset(openvino->input(model, 0), 5, 8 * 8 * 3);
        run(model, 0);
        near(*(const float *) openvino->output(model, 0, 0, 0), 35);
        openvino->unload(model);
        openvino->close(device);
        assert_int_equal(count_files(cache), round == 0 ? 1 : 2);
    }
}

static void acquire(struct hs_runner *runner, int h, int w, struct hs_lease **ret_lease)
{
    const struct hs_slot_request request = {
        .h = h,
        .w = w,
        .count = 1,
        .deadline_ns = hs_deadline_in_ms(20000),
    };
    struct hs_error err = { 0 };
    assert_int_equal(hs_runner_acquire(runner, &request, ret_lease, &err), 0);
}

static void the_runner_serves_it(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    write_free_model(path);
    struct hs_runner_options options = {
        .backend = openvino,
        .threads = 2,
        .slots = 2,
        .queue_max = 8,
        .keep_alive_s = 0,
    };
    struct hs_model_spec spec = spec_of(path, 32, 32);
    struct hs_runner *runner = NULL;
    struct hs_error err = { 0 };
    spec.free_size = true;
    assert_int_equal(hs_runner_create(&options, &spec, &runner, &err), 0);
    for (int round = 0; round < 3; round++) {
        struct hs_lease *a = NULL, *b = NULL;
        int w = 32 - 8 * round;
        acquire(runner, 16, w, &a);
        acquire(runner, w, 32, &b);
        memset(a->input, 1, (size_t) (16 * w * 3));
        memset(b->input, 2, (size_t) (w * 32 * 3));
        assert_int_equal(hs_runner_run(a, NULL, &err), 0);
        assert_int_equal(hs_runner_run(b, NULL, &err), 0);
        assert_int_equal(a->outputs[0].w, w);
        assert_int_equal(b->outputs[0].h, w);
        near(hs_tensor_get(&a->outputs[0], 15, w - 1, 0), 7);
        near(hs_tensor_get(&b->outputs[0], w - 1, 31, 0), 14);
        hs_runner_release(a);
        hs_runner_release(b);
    }
    hs_runner_destroy(runner);
}

/* A network compiled for all sizes computes the same numbers as one compiled for this size. */
static void free_sizes_do_not_change_outputs(void **state)
{
    (void) state;
    NEED_OPENVINO();
    static const struct hs_input_size sizes[] = { { 16, 16 }, { 4, 16 }, { 16, 12 } };
    char path[128];
    struct hs_error err = { 0 };
    write_free_model(path);
    struct hs_device *device = open_device(NULL);
    struct hs_model_spec spec = spec_of(path, 16, 16);
    spec.free_size = true;
    spec.sizes = sizes;
    spec.size_count = 3;
    struct hs_model *any = load(device, &spec);
    for (int i = 0; i < 3; i++) {
        struct hs_model_spec one = spec_of(path, sizes[i].h, sizes[i].w);
        struct hs_model *fixed = load(device, &one);
        size_t bytes = (size_t) (sizes[i].h * sizes[i].w * 3);
        for (size_t k = 0; k < bytes; k++)
            openvino->input(any, 1)[k] = openvino->input(fixed, 0)[k] = (uint8_t) (k * 37 + k / 7);
        assert_int_equal(openvino->resize(any, 1, sizes[i].h, sizes[i].w, &err), 0);
        run(any, 1);
        run(fixed, 0);
        const struct hs_model_info *info = openvino->info(fixed);
        for (int k = 0; k < info->output_count; k++) {
            assert_int_equal(openvino->outputs(any, 1)[k].size_bytes, info->outputs[k].size_bytes);
            assert_memory_equal(openvino->output(any, 1, 0, k), openvino->output(fixed, 0, 0, k),
                                info->outputs[k].size_bytes);
        }
        openvino->unload(fixed);
    }
    assert_int_equal(openvino->resize(any, 0, 17, 16, &err), HS_EINVAL);
    openvino->unload(any);
    openvino->close(device);
}

/* Fills picture i of a batch with 10 i + 1, 10 i + 2, 10 i + 3 in each pixel. */
static void fill_batch(uint8_t *input, size_t stride, int from, int count, int pixels)
{
    for (int i = 0; i < count; i++)
        for (int k = 0; k < pixels * 3; k++)
            input[(size_t) i * stride + (size_t) k] = (uint8_t) (10 * (from + i) + k % 3 + 1);
}

/* Checks the outputs map, mean and rows of picture i. */
static void check_picture(const struct hs_tensor_view *views, int i)
{
    float base = (float) (10 * i);
    near(hs_tensor_get(&views[0], 1, 2, 0), 7 * base + 1 + 2 * 2 + 4 * 3);
    near(hs_tensor_get(&views[0], 0, 0, 1), -2);
    near(hs_tensor_get(&views[1], 0, 2, 0), base + 3);
    near(hs_tensor_get(&views[2], 1, 2, 0), base + 2);
}

static void check_output(struct hs_model *model, int slot, int place, int i)
{
    struct hs_tensor_view views[3];
    for (int k = 0; k < 3; k++)
        views[k] = hs_tensor_view_of(&openvino->info(model)->outputs[k], openvino->output(model, slot, place, k));
    check_picture(views, i);
}

static void a_batch_keeps_its_order(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    write_free_model(path);
    struct hs_device *device = open_device(NULL);
    struct hs_model_spec spec = spec_of(path, 2, 3);
    struct hs_error err = { 0 };
    spec.batch = 4;
    struct hs_model *model = load(device, &spec);
    const struct hs_model_info *info = openvino->info(model);
    assert_int_equal(info->batch, 4);
    assert_int_equal(info->input_stride, 2 * 3 * 3);
    assert_int_equal(info->outputs[0].size_bytes, 2 * 2 * 3 * 4); /* of a single picture */
    assert_int_equal(info->outputs[1].h, 1);
    for (int count = 4; count >= 3; count--) {
        fill_batch(openvino->input(model, 1), info->input_stride, count, count, 2 * 3);
        assert_int_equal(openvino->submit(model, 1, count, &err), 0);
        assert_int_equal(openvino->wait(model, 1, hs_deadline_in_ms(20000), &err), 0);
        for (int i = 0; i < count; i++)
            check_output(model, 1, i, count + i);
    }
    openvino->unload(model);
    openvino->close(device);
}

/* The smallest batch: full with two pictures. */
static void a_batch_of_two(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    write_free_model(path);
    struct hs_device *device = open_device(NULL);
    struct hs_model_spec spec = spec_of(path, 2, 3);
    struct hs_error err = { 0 };
    spec.batch = 2;
    struct hs_model *model = load(device, &spec);
    const struct hs_model_info *info = openvino->info(model);
    assert_int_equal(info->batch, 2);
    static const int counts[] = { 2, 1, 2, 2, 1 };
    for (size_t round = 0; round < HS_ARRAY_LEN(counts); round++) {
        fill_batch(openvino->input(model, 0), info->input_stride, (int) round, counts[round], 2 * 3);
        assert_int_equal(openvino->submit(model, 0, counts[round], &err), 0);
        assert_int_equal(openvino->wait(model, 0, hs_deadline_in_ms(20000), &err), 0);
        const uint8_t *first = openvino->output(model, 0, 0, 0);
        for (int i = 0; i < counts[round]; i++) {
            check_output(model, 0, i, (int) round + i);
            /* A full batch is one run, with one tensor for all pictures. */
            assert_ptr_equal(openvino->output(model, 0, i, 0), first + (size_t) i * info->outputs[0].size_bytes);
        }
    }
    /* A submission has at least one picture, and at most as many as a slot holds. */
    static const int odd[] = { 0, -1, 3, 1000 };
    for (size_t i = 0; i < HS_ARRAY_LEN(odd); i++)
        assert_int_equal(openvino->submit(model, 0, odd[i], &err), HS_EINVAL);
    openvino->unload(model);
    static const struct {
        int batch, slots;
    } bounds[] = { { -1, 1 }, { HS_MODEL_MAX_BATCH + 1, 1 }, { 1, -1 }, { 1, HS_MODEL_MAX_SLOTS + 1 } };
    for (size_t i = 0; i < HS_ARRAY_LEN(bounds); i++) {
        spec.batch = bounds[i].batch;
        spec.slots = bounds[i].slots;
        assert_int_equal(openvino->load(device, &spec, &model, &err), HS_EINVAL);
        assert_non_null(strstr(err.message, "out of bounds"));
    }
    spec.batch = HS_MODEL_MAX_BATCH;
    spec.slots = 1;
    model = load(device, &spec);
    assert_int_equal(openvino->info(model)->batch, HS_MODEL_MAX_BATCH);
    openvino->unload(model);
    openvino->close(device);
}

/* The means in half precision, like the outputs of an export with `half`. */
static void half_precision_outputs_are_converted_to_float(void **state)
{
    (void) state;
    NEED_OPENVINO();
    static const int input[] = { 1, 3, 4, 4 }, plane[] = { 2, 3 }, mean[] = { 1, 3 };
    char path[128];
    struct hs_buf graph, node, attribute;
    hs_buf_init(&graph, 1 << 16);
    hs_buf_init(&node, 4096);
    hs_buf_init(&attribute, 4096);
    onnx_node(&graph, "ReduceMean", "x", NULL, "wide", plane, 2);
    onnx_text(&node, 1, "wide");
    onnx_text(&node, 2, "mean");
    onnx_text(&node, 4, "Cast");
    onnx_text(&attribute, 1, "to");
    onnx_int(&attribute, 3, 10); /* FLOAT16 */
    onnx_int(&attribute, 20, 2); /* INT */
    onnx_message(&node, 5, &attribute);
    onnx_message(&graph, 1, &node);
    onnx_value(&graph, 11, "x", input, 4);
    onnx_value_of(&graph, 12, "mean", 10, mean, 2);
    write_model("half.onnx", &graph, path);
    struct hs_device *device = open_device(NULL);
    struct hs_model_spec spec = spec_of(path, 4, 4);
    struct hs_model *model = load(device, &spec);
    const struct hs_tensor_desc *desc = &openvino->info(model)->outputs[0];
    assert_int_equal(desc->dtype, HS_DTYPE_F32);
    assert_int_equal(desc->size_bytes, 3 * sizeof(float));
    uint8_t *pixels = openvino->input(model, 0);
    for (int i = 0; i < 4 * 4 * 3; i++)
        pixels[i] = (uint8_t) (10 * (i % 3) + 5);
    run(model, 0);
    const float *found = openvino->output(model, 0, 0, 0);
    for (int i = 0; i < 3; i++)
        near(found[i], (float) (10 * i + 5));
    openvino->unload(model);
    openvino->close(device);
}

/* OpenVINO counts in whole milliseconds. A wait must not end before its deadline while the picture
 * is unfinished. */
static void a_wait_does_not_end_early(void **state)
{
    (void) state;
    NEED_OPENVINO();
    enum { LARGE = 2048, ROUNDS = 10 };
    char path[128];
    write_free_model(path);
    struct hs_device *device = open_device(NULL);
    struct hs_model_spec spec = spec_of(path, LARGE, LARGE);
    struct hs_error err = { 0 };
    int late = 0;
    struct hs_model *model = load(device, &spec);
    memset(openvino->input(model, 0), 1, (size_t) LARGE * LARGE * 3);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(openvino->submit(model, 0, 1, &err), 0);
        int64_t deadline_ns = hs_clock_now_ns() + (15 + i) * HS_NS_PER_MS / 10;
        if (openvino->wait(model, 0, deadline_ns, &err) == HS_ETIMEOUT) {
            late++;
            assert_true(hs_clock_now_ns() >= deadline_ns);
        }
        assert_int_equal(openvino->wait(model, 0, hs_deadline_in_ms(60000), &err), 0);
    }
    assert_true(late > 0); /* such a picture takes tens of milliseconds */
    openvino->unload(model);
    openvino->close(device);
}

/* OpenVINO's messages begin with locations in its source; only the reason must remain. */
static void error_messages_have_one_line(void **state)
{
    (void) state;
    NEED_OPENVINO();
    static const int input[] = { 1, 3, 4, 4 };
    char path[128];
    struct hs_buf graph;
    hs_buf_init(&graph, 1 << 16);
    onnx_node(&graph, "NoSuchOperator", "x", NULL, "y", NULL, 0);
    onnx_value(&graph, 11, "x", input, 4);
    onnx_value(&graph, 12, "y", input, 4);
    write_model("unknown.onnx", &graph, path);
    struct hs_device *device = open_device(NULL);
    struct hs_model_spec spec = spec_of(path, 4, 4);
    struct hs_model *model = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(openvino->load(device, &spec, &model, &err), HS_EMODEL);
    char beginning[200];
    hs_str_format(beginning, sizeof(beginning), "cannot read the model %s" HS_DETAIL, path);
    assert_true(hs_str_starts(err.message, beginning));
    const char *reason = err.message + strlen(beginning);
    assert_non_null(strstr(reason, "NoSuchOperator"));
    assert_null(strchr(reason, '\n'));
    assert_null(strstr(reason, "Exception from"));
    assert_null(strstr(reason, "no reason given"));
    assert_false(reason[0] == ' ' || reason[0] == '[' || reason[0] == '\0');
    openvino->close(device);
}

/* A graph with [-1, 48] supports any batch at its original size; one with [1, -1] accepts a batch,
 * but spreads its pictures over a row. */
static void a_batch_needs_a_free_graph(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    struct hs_device *device = open_device(NULL);
    write_bound_model(path);
    struct hs_model_spec spec = spec_of(path, 4, 4);
    spec.batch = 2;
    struct hs_model *model = load(device, &spec);
    assert_int_equal(openvino->info(model)->batch, 2);
    openvino->unload(model);
    write_flat_model(path);
    model = load(device, &spec);
    assert_int_equal(openvino->info(model)->batch, 1);
    assert_int_equal(openvino->info(model)->outputs[0].w, 48);
    memset(openvino->input(model, 0), 3, 4 * 4 * 3);
    run(model, 0);
    near(((const float *) openvino->output(model, 0, 0, 0))[47], 3);
    openvino->unload(model);
    write_matrix_model(path);
    model = load(device, &spec);
    assert_int_equal(openvino->info(model)->batch, 1);
    openvino->unload(model);
    openvino->close(device);
}

static struct hs_runner *batch_runner(const char *path, int h, int w)
{
    struct hs_runner_options options = {
        .backend = openvino,
        .threads = 2,
        .slots = 2,
        .batch = 4,
        .queue_max = 8,
        .keep_alive_s = -1,
    };
    struct hs_model_spec spec = spec_of(path, h, w);
    struct hs_runner *runner = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_runner_create(&options, &spec, &runner, &err), 0);
    return runner;
}

/* Runs `count` pictures, numbered from 0; returns the largest batch that was used. */
static int run_some(struct hs_runner *runner, int count, int h, int w)
{
    int most = 0;
    for (int done = 0; done < count;) {
        struct hs_lease *lease = NULL;
        struct hs_error err = { 0 };
        const struct hs_slot_request request = {
            .h = h,
            .w = w,
            .count = count - done,
            .deadline_ns = hs_deadline_in_ms(20000),
        };
        assert_int_equal(hs_runner_acquire(runner, &request, &lease, &err), 0);
        assert_in_range(lease->pictures, 1, count - done);
        fill_batch(lease->input, lease->input_stride, done, lease->pictures, h * w);
        assert_int_equal(hs_runner_run(lease, NULL, &err), 0);
        for (int i = 0; i < lease->pictures && lease->output_count == 3; i++) {
            struct hs_tensor_view views[HS_MODEL_MAX_OUTPUTS];
            hs_lease_outputs(lease, i, views);
            check_picture(views, done + i);
        }
        done += lease->pictures;
        most = lease->pictures > most ? lease->pictures : most;
        hs_runner_release(lease);
    }
    return most;
}

static void the_runner_makes_batches(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    struct hs_runner_status status;
    write_free_model(path);
    struct hs_runner *runner = batch_runner(path, 2, 3);
    assert_int_equal(run_some(runner, 10, 2, 3), 4);
    hs_runner_get_status(runner, &status);
    assert_int_equal(status.pictures, 10);
    assert_int_equal(status.runs, 3); /* batches of 4, 4 and 2 */
    assert_int_equal(status.loads, 1);
    assert_int_equal(run_some(runner, 3, 2, 3), 3);
    hs_runner_destroy(runner);
}

static void the_runner_works_without_batch_support(void **state)
{
    (void) state;
    NEED_OPENVINO();
    char path[128];
    struct hs_runner_status status;
    write_flat_model(path);
    struct hs_runner *runner = batch_runner(path, 4, 4);
    for (int round = 0; round < 3; round++)
        assert_int_equal(run_some(runner, 5, 4, 4), 1);
    hs_runner_get_status(runner, &status);
    assert_int_equal(status.loads, 1);
    assert_int_equal(status.error.code, 0);
    hs_runner_destroy(runner);
}

static int set_up(void **state)
{
    (void) state;
    char modules[512];
    const char *build = getenv("HS_BUILD_DIR");
    if (build && !getenv("HS_BACKEND_DIR") && hs_path_join(modules, sizeof(modules), build, "src/backends"))
        setenv("HS_BACKEND_DIR", modules, 1);
    /* Without this variable a sanitizer aborts the program, because of the way in which TBB opens a
     * library. */
    setenv("TBB_ENABLE_SANITIZERS", "1", 0);
    hs_registry_find("cpu", &openvino, &absent);
    hs_str_copy(folder, sizeof(folder), "/tmp/hs-openvino-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void) state;
    return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_names_processor_and_version),
        cmocka_unit_test(bytes_go_in_and_numbers_come_out),
        cmocka_unit_test(mean_and_std_apply_to_rgb_before_the_bgr_swap),
        cmocka_unit_test(a_model_bound_to_another_size_is_refused),
        cmocka_unit_test(a_matrix_needs_no_batch),
        cmocka_unit_test(invalid_models_are_refused_with_a_reason),
        cmocka_unit_test(models_of_another_kind_are_refused),
        cmocka_unit_test(the_cache_is_written_once_and_used),
        cmocka_unit_test(the_runner_serves_it),
        cmocka_unit_test(free_sizes_do_not_change_outputs),
        cmocka_unit_test(a_batch_keeps_its_order),
        cmocka_unit_test(a_batch_of_two),
        cmocka_unit_test(half_precision_outputs_are_converted_to_float),
        cmocka_unit_test(a_wait_does_not_end_early),
        cmocka_unit_test(error_messages_have_one_line),
        cmocka_unit_test(a_batch_needs_a_free_graph),
        cmocka_unit_test(the_runner_makes_batches),
        cmocka_unit_test(the_runner_works_without_batch_support),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
