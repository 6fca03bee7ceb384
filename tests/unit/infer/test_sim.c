#include "../unit.h"

#include <math.h>
#include <string.h>

#include "backends/sim/script.h"
#include "backends/sim/sim.h"
#include "base/clock.h"

static const struct hs_backend *sim = &hs_backend_sim;

static struct hs_device *open_sim(const char *script)
{
    struct hs_device_options options = { .script = script };
    struct hs_device *device = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(sim->open(&options, &device, &err), 0);
    return device;
}

static struct hs_model *load_sim(struct hs_device *device, int h, int w, int slots)
{
    struct hs_model_spec spec = { .input_h = h, .input_w = w, .slots = slots };
    struct hs_model *model = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(sim->load(device, &spec, &model, &err), 0);
    return model;
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

/* Softmax-expected bin of one side of the box at a cell. */
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
    struct hs_device *device = open_sim("latency_ms=0");
    struct hs_model *model = load_sim(device, 640, 640, 2);
    const struct hs_model_info *info = sim->info(model);
    struct hs_error err = { 0 };
    assert_int_equal(info->slots, 2);
    assert_int_equal(info->output_count, 9);
    memset(sim->input(model, 0), 7, 640 * 640 * 3);
    assert_int_equal((uintptr_t) sim->input(model, 1) % 4096, 0);
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
        struct hs_tensor_view score = hs_tensor_view_of(&info->outputs[7], sim->output(model, 0, 0, 7));
        assert_int_equal(score.h, (sizes[i][0] + 31) / 32);
        assert_true(hs_tensor_get(&score, score.h / 2, score.w / 2, 0) > 0.9f);
        sim->unload(model);
    }
    sim->close(device);
}

static void latency_is_kept_and_a_deadline_before_it_is_a_timeout(void **state)
{
    (void) state;
    struct hs_device *device = open_sim("latency_ms=60");
    struct hs_model *model = load_sim(device, 32, 32, 1);
    struct hs_error err = { 0 };
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(sim->submit(model, 0, 1, &err), 0);
    assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(5), &err), HS_ETIMEOUT);
    assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(5000), &err), 0);
    assert_true(hs_clock_now_ns() - start_ns >= 60 * HS_NS_PER_MS);
    sim->unload(model);
    sim->close(device);
}

static void scripted_outputs_replace_the_heads(void **state)
{
    (void) state;
    struct hs_device *device =
        open_sim("latency_ms=0; output=a:u16:nhwc:2x3x4:0.5:10:12 output=b:f32:rows:1x512x1:1:0:-0.25");
    struct hs_model *model = load_sim(device, 112, 112, 1);
    const struct hs_model_info *info = sim->info(model);
    assert_int_equal(info->output_count, 2);
    assert_string_equal(info->outputs[0].name, "a");
    assert_int_equal(info->outputs[0].size_bytes, 48);
    struct hs_tensor_view a = hs_tensor_view_of(&info->outputs[0], sim->output(model, 0, 0, 0));
    struct hs_tensor_view b = hs_tensor_view_of(&info->outputs[1], sim->output(model, 0, 0, 1));
    assert_true(hs_tensor_get(&a, 1, 2, 3) == 1.0f); /* (12 - 10) * 0.5 */
    assert_true(hs_tensor_get(&b, 0, 511, 0) == -0.25f);
    sim->unload(model);
    sim->close(device);
}

static void failures_come_where_the_script_says(void **state)
{
    (void) state;
    struct hs_device_options options = { .script = "fail=open" };
    struct hs_device *device = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(sim->open(&options, &device, &err), HS_EDEVICE);
    options.script = "absent";
    assert_int_equal(sim->open(&options, &device, &err), HS_ENOTREADY);
    assert_null(device);
    device = open_sim("fail=load");
    struct hs_model_spec spec = { .input_h = 32, .input_w = 32, .slots = 1 };
    struct hs_model *model = NULL;
    assert_int_equal(sim->load(device, &spec, &model, &err), HS_EDEVICE);
    sim->close(device);
    device = open_sim("fail_at=2 latency_ms=0");
    model = load_sim(device, 32, 32, 1);
    static const int expected[] = { 0, HS_EDEVICE, 0 };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sim->submit(model, 0, 1, &err), 0);
        assert_int_equal(sim->wait(model, 0, hs_deadline_in_ms(1000), &err), expected[i]);
    }
    sim->unload(model);
    sim->close(device);
}

static void a_script_that_is_not_understood_is_refused(void **state)
{
    (void) state;
    static const char *const bad[] = {
        "latency", "latency_ms=", "latency_ms=-1", "latency_ms=1e3", "slots=0", "slots=17", "fail=never", "speed=9",
        "output=a", "output=a:u8:nhwc:2x3:1:0:0", "output=a:u8:nhwc:2x3x0:1:0:0", "output=a:u9:nhwc:2x3x1:1:0:0",
        "output=a:u8:hcwn:2x3x1:1:0:0", "output=a:u8:nhwc:2x3x1:1:0:0:0", "output=a:u8:nhwc:2x3x1:1:0:1e9",
        "output=a:u8:nhwc:1000000x1000000x1000000:1:0:0", "@/no/such/script",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct hs_sim_script script;
        struct hs_error err = { 0 };
        assert_true(hs_sim_script_parse(bad[i], &script, &err) < 0);
        assert_true(err.message[0] != '\0');
    }
}

static void probe_says_that_it_is_simulated(void **state)
{
    (void) state;
    struct hs_backend_probe probe;
    sim->probe(&probe);
    assert_true(probe.available);
    assert_non_null(strstr(probe.device, "simulated"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_one_person_in_the_middle),
        cmocka_unit_test(any_input_size_has_its_person),
        cmocka_unit_test(latency_is_kept_and_a_deadline_before_it_is_a_timeout),
        cmocka_unit_test(scripted_outputs_replace_the_heads),
        cmocka_unit_test(failures_come_where_the_script_says),
        cmocka_unit_test(a_script_that_is_not_understood_is_refused),
        cmocka_unit_test(probe_says_that_it_is_simulated),
    };
    return HS_RUN_TESTS(tests);
}
