/* Tests the Hailo backend on a double of HailoRT (tests/hailo), through the table that the runner
 * uses. After each test the double has no picture in flight and has counted no violation of
 * HailoRT's rules. */
#include "../entries.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../hailo/double.h"
#include "backends/hailo/status.h"
#include "backends/sim/person.h"
#include "backends/sim/vector.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/registry.h"
#include "infer/runner.h"
#include "sim_script.h"
#include "stripes.h"

enum { PATIENCE_MS = 20000, SIDE = 112, BYTES = SIDE * SIDE * 3 };

#define EMBEDDINGS "\x01HEF\nfinds embeddings\ninput 112 112\n"
#define POSES "\x01HEF\nfinds poses\ninput 320 320\n"

static const struct hs_backend *hailo;
static struct {
    void (*inject)(const char *call, int status, int count);
    void (*release)(void);
    void (*hang_releases)(int ms);
    void (*lose)(void);
    int (*open)(void);
    int (*violations)(char *last, size_t size);
    int (*in_flight)(int *ret_most);
    int (*mapped)(int *ret_ever);
    void (*group)(char *dst, size_t size);
} hailo_double;

/* ---- The double ---- */

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);
    assert_non_null(found);
    return found;
}

/* Only the backend loads the double, which reads the environment at that moment. */
static int find_backend(void **state)
{
    (void) state;
    char path[512];
    struct hs_error err = { 0 };
    const char *folder = getenv("HS_HAILO_DIR");
    assert_non_null(folder);
    setenv("HS_BACKEND_DIR", folder, 1);
    if (hs_registry_find("hailo", &hailo, &err) != 0)
        fail_msg("%s", err.message);
    assert_true(hs_path_join(path, sizeof(path), folder, "libhailort.so.5.1.1"));
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    *(void **) &hailo_double.inject = symbol(library, "hs_hailo_double_fail");
    *(void **) &hailo_double.release = symbol(library, "hs_hailo_double_release");
    *(void **) &hailo_double.hang_releases = symbol(library, "hs_hailo_double_hang_releases");
    *(void **) &hailo_double.lose = symbol(library, "hs_hailo_double_lose");
    *(void **) &hailo_double.open = symbol(library, "hs_hailo_double_open");
    *(void **) &hailo_double.violations = symbol(library, "hs_hailo_double_violations");
    *(void **) &hailo_double.in_flight = symbol(library, "hs_hailo_double_in_flight");
    *(void **) &hailo_double.mapped = symbol(library, "hs_hailo_double_mapped");
    *(void **) &hailo_double.group = symbol(library, "hs_hailo_double_group");
    return 0;
}

static void set_script(const char *yaml)
{
    setenv("HS_HAILO_DOUBLE", sim_script(yaml), 1);
}

static int set_up_script(void **state)
{
    (void) state;
    set_script("latency_ms: 1");
    return 0;
}

static int check_nothing_left(void **state)
{
    (void) state;
    char last[200] = "";
    int most;
    if (hailo_double.violations(last, sizeof(last)) > 0)
        fail_msg("rule broken: %s", last);
    int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS);
    while (hailo_double.in_flight(&most) > 0 && hs_clock_now_ns() < give_up_ns)
        hailo_double.release();
    assert_int_equal(hailo_double.in_flight(&most), 0);
    assert_int_equal(hailo_double.mapped(&most), 0);
    assert_int_equal(hailo_double.open(), 0);
    return 0;
}

/* ---- Pictures ---- */

static bool is_expected(const struct hs_tensor_desc *desc, const void *data, uint64_t seed)
{
    static _Thread_local uint8_t rgb[BYTES];
    uint8_t wanted[HS_SIM_VECTOR_SIZE];
    draw_stripes(rgb, SIDE, seed);
    hs_sim_vector_fill(desc, rgb, SIDE, SIDE, wanted);
    return desc->size_bytes == sizeof(wanted) && memcmp(data, wanted, sizeof(wanted)) == 0;
}

/* ---- One device, one model ---- */

struct fixture {
    struct hs_device *device;
    struct hs_model *model;
    const struct hs_model_info *info;
    struct hs_error err;
};

static int open_device(struct fixture *fixture)
{
    const struct hs_device_options options = { 0 };
    return hailo->open(&options, &fixture->device, &fixture->err);
}

static int load(struct fixture *fixture, const char *hef, int side, int slots, int batch)
{
    const struct hs_model_spec spec = {
        .path = sim_script(hef),
        .input_h = side,
        .input_w = side,
        .slots = slots,
        .batch = batch,
    };
    int r = hailo->load(fixture->device, &spec, &fixture->model, &fixture->err);
    if (r == 0)
        fixture->info = hailo->info(fixture->model);
    return r;
}

static void set_up(struct fixture *fixture, const char *hef, int side, int slots, int batch)
{
    *fixture = (struct fixture) { 0 };
    if (open_device(fixture) != 0 || load(fixture, hef, side, slots, batch) != 0)
        fail_msg("%s", fixture->err.message);
}

static void tear_down(struct fixture *fixture)
{
    hailo->unload(fixture->model);
    hailo->close(fixture->device);
    *fixture = (struct fixture) { 0 };
}

static int submit(struct fixture *fixture, int slot, int count, uint64_t seed)
{
    for (int i = 0; i < count; i++)
        draw_stripes(hailo->input(fixture->model, slot) + (size_t) i * fixture->info->input_stride, SIDE,
                     seed + (uint64_t) i);
    return hailo->submit(fixture->model, slot, count, &fixture->err);
}

static int wait_for(struct fixture *fixture, int slot, int64_t ms)
{
    return hailo->wait(fixture->model, slot, hs_deadline_in_ms(ms), &fixture->err);
}

/* Returns 0, or the code of the failure; -1000: a wrong answer. */
static int run(struct fixture *fixture, int slot, int count, uint64_t seed)
{
    int r = submit(fixture, slot, count, seed);
    if (r == 0)
        r = wait_for(fixture, slot, PATIENCE_MS);
    for (int i = 0; i < count && r == 0; i++)
        if (!is_expected(&fixture->info->outputs[0], hailo->output(fixture->model, slot, i, 0), seed + (uint64_t) i))
            r = -1000;
    return r;
}

static void assert_message(const struct hs_error *err, const char *words)
{
    if (!strstr(err->message, words))
        fail_msg("'%s' does not say '%s'", err->message, words);
}

/* ---- Finding devices ---- */

static void a_device_is_found(void **state)
{
    (void) state;
    struct hs_backend_probe probe;
    set_script("devices: 2");
    hailo->probe(NULL, &probe);
    assert_true(probe.available);
    assert_int_equal(probe.device_count, 2);
    assert_string_equal(probe.ids[1], "0000:02:00.0");
    assert_string_equal(probe.device, "Hailo 0000:01:00.0");
    assert_string_equal(probe.version, "HailoRT 5.1.1");
    assert_string_equal(probe.reason, "");
    set_script("faults: [{kind: none}]");
    hailo->probe(NULL, &probe);
    assert_false(probe.available);
    assert_int_equal(probe.device_count, 0);
    assert_non_null(strstr(probe.reason, "no Hailo device found"));
    hailo_double.inject("scan", 36, 1);
    hailo->probe(NULL, &probe);
    assert_non_null(strstr(probe.reason, "driver"));
}

static void the_device_is_shared_and_named(void **state)
{
    (void) state;
    struct fixture fixture = { 0 };
    char group[64];
    struct hs_device_options options = { .device_id = "0000:02:00.0" };
    assert_int_equal(hailo->open(&options, &fixture.device, &fixture.err), HS_ENODEVICE);
    assert_message(&fixture.err, "0000:01:00.0");
    assert_int_equal(open_device(&fixture), 0);
    hailo_double.group(group, sizeof(group));
    assert_string_equal(group, "SHARED");
    tear_down(&fixture);
    options = (struct hs_device_options) { .group = "mine" };
    assert_int_equal(hailo->open(&options, &fixture.device, &fixture.err), 0);
    hailo_double.group(group, sizeof(group));
    assert_string_equal(group, "mine");
    tear_down(&fixture);
}

static void health_tells_the_temperature(void **state)
{
    (void) state;
    struct fixture fixture = { 0 };
    struct hs_device_health health;
    set_script("temperature_c: 61\nfaults: [{kind: lost, at_ms: 0, count: 1}]");
    assert_int_equal(open_device(&fixture), HS_ELOST);
    set_script("temperature_c: 61");
    assert_int_equal(open_device(&fixture), 0);
    assert_int_equal(hailo->health(fixture.device, &health, NULL), 0);
    assert_true(health.ok && health.has_temperature);
    assert_float_equal(health.temperature_c, 61, 0.01);
    tear_down(&fixture);
}

static void health_tells_the_firmware(void **state)
{
    (void) state;
    struct fixture fixture = { 0 };
    struct hs_device_health health;
    setenv("HS_HAILO_DOUBLE_FIRMWARE", "5.2.10", 1);
    set_script("temperature_c: 61");
    assert_int_equal(open_device(&fixture), 0);
    assert_int_equal(hailo->health(fixture.device, &health, NULL), 0);
    assert_string_equal(health.firmware, "5.2.10");
    unsetenv("HS_HAILO_DOUBLE_FIRMWARE");
    tear_down(&fixture);
    assert_int_equal(open_device(&fixture), 0);
    assert_int_equal(hailo->health(fixture.device, &health, NULL), 0);
    assert_string_equal(health.firmware, "5.1.1");
    tear_down(&fixture);
}

/* A failed temperature reading does not affect runs; only a broken link does. */
static void a_device_without_a_temperature_goes_on(void **state)
{
    (void) state;
    static const int statuses[] = { 4, 13, 36, 63, 77, 87, 89, 96 };
    struct fixture fixture;
    struct hs_device_health health;
    set_up(&fixture, EMBEDDINGS, SIDE, 1, 1);
    for (size_t i = 0; i < HS_ARRAY_LEN(statuses); i++) {
        hailo_double.inject("temperature", statuses[i], 1);
        assert_int_equal(hailo->health(fixture.device, &health, NULL), 0);
        assert_false(health.ok || health.has_temperature);
        assert_non_null(strstr(health.note, "cannot read the temperature"));
        assert_int_equal(run(&fixture, 0, 1, i), 0);
        assert_int_equal(hailo->health(fixture.device, &health, NULL), 0);
        assert_true(health.ok);
    }
    hailo_double.inject("temperature", 62, 1);
    assert_int_equal(hailo->health(fixture.device, &health, NULL), 0);
    assert_non_null(strstr(health.note, "lost"));
    assert_int_equal(submit(&fixture, 0, 1, 1), HS_ELOST);
    tear_down(&fixture);
}

/* ---- The numbers of a picture ---- */

static const struct hs_tensor_desc *find_output(const struct fixture *fixture, const char *name, int *ret_index)
{
    for (*ret_index = 0; *ret_index < fixture->info->output_count; ++*ret_index)
        if (strcmp(fixture->info->outputs[*ret_index].name, name) == 0)
            return &fixture->info->outputs[*ret_index];
    fail_msg("no output %s", name);
    return NULL;
}

/* Outputs of the network's own types are equal to the rule's; a float32 output agrees in its real values. */
static void compare_tensors(struct fixture *fixture, const char *in_float)
{
    struct hs_tensor_desc wanted[HS_SIM_PERSON_HEADS];
    void *data[HS_SIM_PERSON_HEADS];
    const struct hs_sim_blob blob = { 64, 64, 160, 256 };
    memset(hailo->input(fixture->model, 0), 0, 320 * 320 * 3);
    for (int y = blob.y1; y < blob.y2; y++)
        memset(hailo->input(fixture->model, 0) + (y * 320 + blob.x1) * 3, 255, (size_t) (blob.x2 - blob.x1) * 3);
    assert_int_equal(hailo->submit(fixture->model, 0, 1, &fixture->err), 0);
    assert_int_equal(wait_for(fixture, 0, PATIENCE_MS), 0);
    hs_sim_person_describe(320, 320, HS_DTYPE_U8, wanted);
    for (int i = 0; i < HS_SIM_PERSON_HEADS; i++)
        data[i] = malloc(wanted[i].size_bytes);
    hs_sim_person_fill(wanted, &blob, 1, data);
    for (int i = 0; i < HS_SIM_PERSON_HEADS; i++) {
        int index;
        const struct hs_tensor_desc *desc = find_output(fixture, wanted[i].name, &index);
        struct hs_tensor_view view = hs_tensor_view_of(desc, hailo->output(fixture->model, 0, 0, index)),
                              other = hs_tensor_view_of(&wanted[i], data[i]);
        bool is_float = strcmp(desc->name, in_float) == 0;
        assert_int_equal(desc->dtype, is_float ? HS_DTYPE_F32 : wanted[i].dtype);
        assert_int_equal((uintptr_t) view.data % (uintptr_t) sysconf(_SC_PAGESIZE), 0);
        if (!is_float)
            assert_memory_equal(view.data, data[i], desc->size_bytes);
        /* The middle of the blob, where the rule writes values. */
        int y = 160 * desc->h / 320, x = 112 * desc->w / 320;
        for (int c = 0; c < desc->c && i < 3; c++)
            assert_float_equal(hs_tensor_get(&view, y, x, c), hs_tensor_get(&other, y, x, c), wanted[i].scale);
        free(data[i]);
    }
}

/* ---- Opening and loading ---- */

static void open_failures_have_their_status(void **state)
{
    (void) state;
    static const struct {
        const char *fault;
        int code;
        const char *words;
    } cases[] = {
        { "none", HS_ENODEVICE, "seated" },
        { "busy", HS_EINUSE, "another program" },
        { "mismatch", HS_EVERSION, "hailo-h10-all" },
        { "lost", HS_ELOST, "30 seconds" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct fixture fixture = { 0 };
        char script[80];
        hs_str_format(script, sizeof(script), "faults: [{kind: %s, count: 1}]", cases[i].fault);
        set_script(script);
        assert_int_equal(open_device(&fixture), cases[i].code);
        assert_message(&fixture.err, cases[i].words);
        assert_int_equal(open_device(&fixture), 0);
        tear_down(&fixture);
    }
}

/* HailoRT's status, the call that returns it, and the code that it becomes. */
static void each_status_has_its_class_and_remedy(void **state)
{
    (void) state;
    static const struct {
        const char *call;
        int status, code;
        const char *words;
    } cases[] = {
        { "create", 74, HS_EINUSE, "one group" },
        { "create", 97, HS_EINUSE, "try again" },
        { "create", 2, HS_ENODEVICE, "inference.device_id" },
        { "create", 85, HS_EVERSION, "one release" },
        { "create", 36, HS_ELOST, "may open" },
        { "create", 36, HS_ELOST, "cut the power" },
        { "create", 76, HS_EVERSION, "cut the power" },
        { "create", 89, HS_ELOST, "cut the power" },
        { "create", 3, HS_ENOMEM, "inference.slots" },
        { "create", 8, HS_EDEVICE, "restart the service" },
        { "create", 13, HS_EDEVICE, "restart the service" },
        { "create", 4711, HS_EDEVICE, "unknown status, 4711" },
        { "read", 13, HS_EMODEL, "is readable" },
        { "read", 14, HS_EMODEL, "pull it again" },
        { "read", 26, HS_EMODEL, "another version" },
        { "read", 91, HS_EMODEL, "pull it again" },
        { "read", 92, HS_EMODEL, "another version" },
        { "read", 7, HS_EMODEL, "another version" },
        { "read", 93, HS_EMODEL, "Hailo-10H" },
        { "read", 62, HS_ELOST, "reopened automatically" },
        { "read", 62, HS_ELOST, "cut the power" },
        { "read", 6, HS_ETRANSIENT, "try again" },
        { "configure", 71, HS_ENOMEM, "unload" },
        { "configure", 81, HS_ENOMEM, "CMA" },
        { "configure", 77, HS_ELOST, "reopened automatically" },
        { "configure", 4, HS_ETRANSIENT, "in time" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct fixture fixture = { 0 };
        /* Transient failures are retried once. */
        hailo_double.inject(cases[i].call, cases[i].status, cases[i].code == HS_ETRANSIENT ? 2 : 1);
        int r = open_device(&fixture);
        if (r == 0)
            r = load(&fixture, EMBEDDINGS, SIDE, 2, 1);
        assert_int_equal(r, cases[i].code);
        assert_int_equal(fixture.err.code, cases[i].code);
        assert_message(&fixture.err, cases[i].words);
        assert_null(fixture.model);
        assert_null(strchr(fixture.err.message, '\n'));
        tear_down(&fixture);
        set_up(&fixture, EMBEDDINGS, SIDE, 2, 1);
        assert_int_equal(run(&fixture, 0, 1, 1), 0);
        tear_down(&fixture);
    }
}

static void loads_fail_as_scripted(void **state)
{
    (void) state;
    static const struct {
        const char *fault;
        int code;
    } cases[] = { { "bad_model", HS_EMODEL }, { "memory", HS_ENOMEM }, { "load_fail", HS_EDEVICE } };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct fixture fixture = { 0 };
        char script[80];
        hs_str_format(script, sizeof(script), "faults: [{kind: %s, count: 1}]", cases[i].fault);
        set_script(script);
        assert_int_equal(open_device(&fixture), 0);
        assert_int_equal(load(&fixture, EMBEDDINGS, SIDE, 1, 1), cases[i].code);
        assert_int_equal(load(&fixture, EMBEDDINGS, SIDE, 1, 1), 0);
        tear_down(&fixture);
    }
}

/* HailoRT may miss a reply, which then is a timeout. */
static void a_load_that_timed_out_is_retried_once(void **state)
{
    (void) state;
    static const char *const calls[] = { "create", "read", "configure" };
    for (size_t i = 0; i < HS_ARRAY_LEN(calls); i++) {
        struct fixture fixture;
        hailo_double.inject(calls[i], 4, 1);
        set_up(&fixture, POSES, 320, 1, 1);
        compare_tensors(&fixture, "");
        tear_down(&fixture);
        hailo_double.inject(calls[i], 4, 2);
        int r = open_device(&fixture);
        if (r == 0)
            r = load(&fixture, POSES, 320, 1, 1);
        assert_int_equal(r, HS_ETRANSIENT);
        tear_down(&fixture);
    }
}

static void a_slow_load_takes_the_scripted_time(void **state)
{
    (void) state;
    struct fixture fixture;
    set_script("latency_ms: 1\nfaults: [{kind: load_slow, extra_ms: 150}]");
    int64_t start_ns = hs_clock_now_ns();
    set_up(&fixture, EMBEDDINGS, SIDE, 1, 1);
    assert_true(hs_clock_now_ns() - start_ns >= 150 * HS_NS_PER_MS);
    tear_down(&fixture);
}

static void invalid_model_files_are_refused(void **state)
{
    (void) state;
    static const char *const files[] = { "", "\x01", "junk that is long enough", "\x01HEF\nfinds poses\n",
                                         POSES "order sim/box_8 NHCW\n" };
    struct fixture fixture = { 0 };
    assert_int_equal(open_device(&fixture), 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(files); i++)
        assert_int_equal(load(&fixture, files[i], 320, 1, 1), HS_EMODEL);
    assert_int_equal(load(&fixture, POSES, 640, 1, 1), HS_EMODEL);
    assert_message(&fixture.err, "requires pictures of 320x320, not 640x640");
    struct hs_model_spec spec = { .path = "/nonexistent.hef", .input_h = 1, .input_w = 1, .slots = 1 };
    assert_int_equal(hailo->load(fixture.device, &spec, &fixture.model, &fixture.err), HS_EMODEL);
    spec.slots = 0;
    assert_int_equal(hailo->load(fixture.device, &spec, &fixture.model, &fixture.err), HS_EINVAL);
    spec.path = NULL;
    assert_int_equal(hailo->load(fixture.device, &spec, &fixture.model, &fixture.err), HS_EINVAL);
    tear_down(&fixture);
}

/* Gray pictures and pictures with an alpha channel are not supported as input. */
static void inputs_other_than_pictures_are_refused(void **state)
{
    (void) state;
    struct fixture fixture = { 0 };
    assert_int_equal(open_device(&fixture), 0);
    static const char *const counts[] = { "1", "2", "4", "16" };
    for (size_t i = 0; i < HS_ARRAY_LEN(counts); i++) {
        char hef[200];
        hs_str_format(hef, sizeof(hef), POSES "channels %s\n", counts[i]);
        assert_int_equal(load(&fixture, hef, 320, 1, 1), HS_EMODEL);
        assert_message(&fixture.err, "the input is not a picture");
    }
    assert_int_equal(load(&fixture, POSES "channels 3\n", 320, 1, 1), 0);
    tear_down(&fixture);
}

/* The decoders would read another layout than the device writes. */
static void a_frame_of_another_size_than_its_shape_is_refused(void **state)
{
    (void) state;
    struct fixture fixture = { 0 };
    assert_int_equal(open_device(&fixture), 0);
    assert_int_equal(load(&fixture, POSES "padding sim/score_16 8\n", 320, 1, 1), HS_EMODEL);
    assert_message(&fixture.err, "the size of the output does not match its shape: 'sim/score_16'");
    assert_int_equal(load(&fixture, POSES "padding sim/score_16 0\n", 320, 1, 1), 0);
    tear_down(&fixture);
}

/* A network that died with its run is loaded again from its file. The run must
 * fail if the file has changed: other names, sizes or even only scales change the meaning of its
 * numbers. */
static void a_changed_file_is_refused_on_reload(void **state)
{
    (void) state;
    static const char *const others[] = { "\x01HEF\nfinds poses\ninput 112 112\n", EMBEDDINGS "scale 2\n",
                                          EMBEDDINGS "channels 4\n", "\x01HEF\nfinds embeddings\ninput 64 64\n" };
    struct fixture fixture;
    set_script("latency_ms: 1");
    for (size_t i = 0; i <= HS_ARRAY_LEN(others); i++) {
        const char *text = i < HS_ARRAY_LEN(others) ? others[i] : EMBEDDINGS;
        struct hs_model_spec spec = {
            .path = sim_script(EMBEDDINGS), .input_h = SIDE, .input_w = SIDE, .slots = 2, .batch = 1
        };
        fixture = (struct fixture) { 0 };
        assert_int_equal(open_device(&fixture), 0);
        assert_int_equal(hailo->load(fixture.device, &spec, &fixture.model, &fixture.err), 0);
        fixture.info = hailo->info(fixture.model);
        assert_int_equal(run(&fixture, 0, 1, 1), 0);
        int fd = open(spec.path, O_WRONLY | O_TRUNC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
        hailo_double.inject("run", 8, 1);
        assert_int_equal(submit(&fixture, 0, 1, 2), HS_EDEVICE);
        int r = run(&fixture, 1, 1, 3);
        if (i < HS_ARRAY_LEN(others) && (r == 0 || r == -1000))
            fail_msg("file %zu was taken", i);
        if (i < 2)
            assert_message(&fixture.err, "was changed while it was in use");
        if (i == HS_ARRAY_LEN(others))
            assert_int_equal(r, 0); /* the same bytes again */
        tear_down(&fixture);
    }
}

/* ---- Tensors ---- */

static void tensors_keep_their_types(void **state)
{
    (void) state;
    struct fixture fixture;
    set_up(&fixture, POSES, 320, 1, 1);
    compare_tensors(&fixture, "");
    int index;
    assert_int_equal(find_output(&fixture, "sim/keypoints_8", &index)->dtype, HS_DTYPE_U16);
    tear_down(&fixture);
    set_up(&fixture, POSES "reversed\n", 320, 1, 1);
    compare_tensors(&fixture, "");
    tear_down(&fixture);
}

static void outputs_without_a_single_scale_are_float32(void **state)
{
    (void) state;
    struct fixture fixture;
    set_up(&fixture, POSES "invalid sim/box_8\n", 320, 1, 1);
    compare_tensors(&fixture, "sim/box_8");
    tear_down(&fixture);
    set_up(&fixture, POSES "reversed\ninvalid sim/keypoints_8\n", 320, 1, 1);
    compare_tensors(&fixture, "sim/keypoints_8");
    tear_down(&fixture);
}

/* The orders that a compiler may produce: the backend requests FCR and F8CR as NHWC; HailoRT does
 * not convert NHW. */
static void outputs_of_other_orders_are_packed(void **state)
{
    (void) state;
    struct fixture fixture;
    set_up(&fixture, POSES "order sim/box_8 FCR\norder sim/keypoints_16 F8CR\norder sim/score_32 NHW\n", 320, 1, 1);
    compare_tensors(&fixture, "");
    tear_down(&fixture);
    set_up(&fixture, POSES "order sim/box_8 F8CR\ninvalid sim/box_8\n", 320, 1, 1);
    compare_tensors(&fixture, "sim/box_8");
    tear_down(&fixture);
}

static void the_queue_limits_runs_in_flight(void **state)
{
    (void) state;
    struct fixture fixture;
    set_up(&fixture, EMBEDDINGS "queue 5\n", SIDE, 8, 1);
    assert_int_equal(fixture.info->slots, 5);
    tear_down(&fixture);
    set_up(&fixture, EMBEDDINGS "queue 5\n", SIDE, 8, 2);
    assert_int_equal(fixture.info->slots * 10 + fixture.info->batch, 22);
    tear_down(&fixture);
    set_up(&fixture, EMBEDDINGS "queue 5\n", SIDE, 8, 32);
    assert_int_equal(fixture.info->slots * 10 + fixture.info->batch, 15);
    assert_int_equal(run(&fixture, 0, 5, 3), 0);
    assert_int_equal(run(&fixture, 0, 1, 9), 0);
    assert_int_equal(hailo->submit(fixture.model, 0, 6, &fixture.err), HS_EINVAL);
    tear_down(&fixture);
}

/* Each tensor is mapped once while the model is loaded. If the driver refuses, runs still work. */
static void memory_is_mapped_once(void **state)
{
    (void) state;
    struct fixture fixture;
    int before, ever;
    hailo_double.mapped(&before);
    set_up(&fixture, EMBEDDINGS, SIDE, 3, 2);
    assert_int_equal(hailo_double.mapped(&ever), 3 * 2 * 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(run(&fixture, i % 3, 2, (uint64_t) i), 0);
    hailo_double.inject("run", 6, 1);
    assert_int_not_equal(run(&fixture, 0, 1, 7), 0); /* kills the network, which is loaded again */
    assert_int_equal(run(&fixture, 0, 2, 8), 0);
    assert_int_equal(hailo_double.mapped(&ever), 3 * 2 * 2);
    assert_int_equal(ever - before, 3 * 2 * 2);
    tear_down(&fixture);
    assert_int_equal(hailo_double.mapped(&ever), 0);
    hailo_double.inject("map", 7, 5);
    set_up(&fixture, EMBEDDINGS, SIDE, 3, 2);
    assert_int_equal(hailo_double.mapped(&ever), 3 * 2 * 2 - 5);
    assert_int_equal(run(&fixture, 0, 2, 9), 0);
    tear_down(&fixture);
}

/* ---- Runs that fail ---- */

static void runs_fail_as_scripted(void **state)
{
    (void) state;
    struct fixture fixture;
    set_script("latency_ms: 1\nfaults: [{kind: transient, at: 2, count: 1}, {kind: error, at: 3, count: 1}]");
    set_up(&fixture, EMBEDDINGS, SIDE, 1, 1);
    assert_int_equal(run(&fixture, 0, 1, 1), 0);
    assert_int_equal(run(&fixture, 0, 1, 2), HS_ETRANSIENT);
    assert_int_equal(run(&fixture, 0, 1, 3), HS_EDEVICE);
    assert_int_equal(run(&fixture, 0, 1, 4), 0);
    hailo_double.inject("complete", 71, 1);
    assert_int_equal(run(&fixture, 0, 1, 5), HS_ENOMEM);
    hailo_double.inject("ready", 8, 1);
    assert_int_equal(run(&fixture, 0, 1, 6), HS_EDEVICE);
    assert_int_equal(run(&fixture, 0, 1, 7), 0);
    tear_down(&fixture);
}

static void a_full_queue_is_busy(void **state)
{
    (void) state;
    struct fixture fixture;
    set_script("latency_ms: 1\nfaults: [{kind: queue_full, at: 2, count: 1}]");
    set_up(&fixture, EMBEDDINGS, SIDE, 1, 1);
    assert_int_equal(run(&fixture, 0, 1, 1), 0);
    assert_int_equal(run(&fixture, 0, 1, 2), HS_EBUSY);
    assert_int_equal(run(&fixture, 0, 1, 3), 0);
    tear_down(&fixture);
}

static void a_late_run_is_returned(void **state)
{
    (void) state;
    struct fixture fixture;
    set_script("latency_ms: 1\nfaults: [{kind: late, at: 1, count: 1, extra_ms: 100}]");
    set_up(&fixture, EMBEDDINGS, SIDE, 2, 1);
    assert_int_equal(submit(&fixture, 0, 1, 1), 0);
    assert_int_equal(wait_for(&fixture, 0, 5), HS_ETIMEOUT);
    assert_int_equal(run(&fixture, 1, 1, 2), 0); /* other slots still work */
    assert_int_equal(wait_for(&fixture, 0, 0), HS_ETIMEOUT);
    assert_int_equal(wait_for(&fixture, 0, PATIENCE_MS), 0);
    assert_true(is_expected(&fixture.info->outputs[0], hailo->output(fixture.model, 0, 0, 0), 1));
    tear_down(&fixture);
}

static void a_hung_run_keeps_its_slot(void **state)
{
    (void) state;
    struct fixture fixture;
    int most;
    set_script("latency_ms: 1\nfaults: [{kind: hang, at: 1, count: 1}]");
    set_up(&fixture, EMBEDDINGS, SIDE, 2, 1);
    assert_int_equal(submit(&fixture, 0, 1, 1), 0);
    assert_int_equal(wait_for(&fixture, 0, 30), HS_ETIMEOUT);
    assert_int_equal(run(&fixture, 1, 1, 2), 0);
    assert_int_equal(hailo_double.in_flight(&most), 1);
    hailo_double.release();
    assert_int_equal(wait_for(&fixture, 0, PATIENCE_MS), 0);
    tear_down(&fixture);
}

/* The network is then dead; the next run loads it again. */
static void a_network_that_cannot_start_a_run_is_reloaded(void **state)
{
    (void) state;
    struct fixture fixture;
    set_script("latency_ms: 1\nfaults: [{kind: hang, at: 1, count: 1}]");
    set_up(&fixture, EMBEDDINGS, SIDE, 3, 1);
    assert_int_equal(submit(&fixture, 0, 1, 1), 0); /* in flight; aborted together with the network */
    hailo_double.inject("run", 8, 1);
    assert_int_equal(submit(&fixture, 1, 1, 2), HS_EDEVICE);
    assert_int_equal(run(&fixture, 2, 1, 3), 0);
    assert_int_equal(wait_for(&fixture, 0, PATIENCE_MS), HS_ETRANSIENT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(run(&fixture, i, 1, 10 + (uint64_t) i), 0);
    hailo_double.inject("run", 4, 1);
    assert_int_equal(submit(&fixture, 1, 1, 2), HS_ETRANSIENT);
    hailo_double.inject("configure", 8, 1);
    assert_int_equal(submit(&fixture, 1, 1, 2), HS_ELOST);
    assert_message(&fixture.err, "cannot be loaded again");
    assert_int_equal(run(&fixture, 1, 1, 2), 0);
    tear_down(&fixture);
}

/* Two pictures are in flight when the third one cannot be started: the slot stays in use until they
 * are done. */
static void a_batch_fails_if_one_picture_fails(void **state)
{
    (void) state;
    struct fixture fixture;
    set_script("latency_ms: 2");
    set_up(&fixture, EMBEDDINGS, SIDE, 1, 4);
    assert_int_equal(run(&fixture, 0, 4, 1), 0);
    set_script("latency_ms: 2\nfaults: [{kind: lost, at: 3, count: 1}]");
    tear_down(&fixture);
    set_up(&fixture, EMBEDDINGS, SIDE, 1, 4);
    assert_int_equal(run(&fixture, 0, 4, 1), HS_ELOST);
    assert_int_equal(run(&fixture, 0, 4, 1), HS_ELOST);
    tear_down(&fixture);
    set_up(&fixture, EMBEDDINGS, SIDE, 1, 4);
    assert_int_equal(run(&fixture, 0, 3, 1), 0);
    tear_down(&fixture);
}

static void a_lost_device_stays_lost_until_it_is_opened_again(void **state)
{
    (void) state;
    struct fixture fixture;
    struct hs_device_health health;
    set_script("latency_ms: 30\nfaults: [{kind: lost, at: 3, count: 1}]");
    set_up(&fixture, EMBEDDINGS, SIDE, 3, 1);
    assert_int_equal(submit(&fixture, 0, 1, 1), 0);
    assert_int_equal(submit(&fixture, 1, 1, 2), 0);
    assert_int_equal(submit(&fixture, 2, 1, 3), HS_ELOST);
    assert_int_equal(wait_for(&fixture, 0, PATIENCE_MS), HS_ELOST);
    assert_int_equal(wait_for(&fixture, 1, PATIENCE_MS), HS_ELOST);
    assert_int_equal(submit(&fixture, 0, 1, 4), HS_ELOST);
    struct hs_model *other = NULL;
    const struct hs_model_spec spec = { .path = sim_script(EMBEDDINGS), .input_h = SIDE, .input_w = SIDE, .slots = 1 };
    assert_int_equal(hailo->load(fixture.device, &spec, &other, &fixture.err), HS_ELOST);
    assert_int_equal(hailo->health(fixture.device, &health, NULL), 0);
    assert_false(health.ok || health.has_temperature);
    tear_down(&fixture);
    set_up(&fixture, EMBEDDINGS, SIDE, 3, 1);
    assert_int_equal(run(&fixture, 0, 1, 5), 0);
    tear_down(&fixture);
}

/* ---- Losses ---- */

/* HailoRT drops the callback of a run whose outputs it was reading when the link broke. */
static void a_run_without_a_callback_ends_when_the_link_is_lost(void **state)
{
    (void) state;
    struct fixture fixture;
    set_script("latency_ms: 1\nfaults: [{kind: hang}]");
    for (int batch = 1; batch <= 4; batch += 3) {
        set_up(&fixture, EMBEDDINGS, SIDE, 2, batch);
        assert_int_equal(submit(&fixture, 0, batch, 1), 0);
        assert_int_equal(submit(&fixture, 1, batch, 1), 0);
        assert_int_equal(wait_for(&fixture, 0, 0), HS_ETIMEOUT);
        hailo_double.lose();
        assert_int_equal(wait_for(&fixture, 0, PATIENCE_MS), HS_ELOST);
        assert_int_equal(wait_for(&fixture, 1, PATIENCE_MS), HS_ELOST);
        assert_int_equal(submit(&fixture, 0, 1, 1), HS_ELOST);
        tear_down(&fixture);
    }
}

/* If a run cannot be started, its callback is dropped, and submit reports the reason. */
static void a_failed_submit_keeps_its_status(void **state)
{
    (void) state;
    struct fixture fixture;
    set_up(&fixture, EMBEDDINGS, SIDE, 1, 4);
    hailo_double.inject("run", 71, 1);
    assert_int_equal(submit(&fixture, 0, 4, 1), HS_ENOMEM);
    assert_int_equal(run(&fixture, 0, 4, 1), 0);
    tear_down(&fixture);
}

static void lose_once(const char *path)
{
    struct fixture fixture = { 0 };
    const struct hs_model_spec spec = { .path = path, .input_h = SIDE, .input_w = SIDE, .slots = 2, .batch = 1 };
    if (open_device(&fixture) != 0 || hailo->load(fixture.device, &spec, &fixture.model, &fixture.err) != 0)
        fail_msg("%s", fixture.err.message);
    fixture.info = hailo->info(fixture.model);
    assert_int_equal(submit(&fixture, 0, 1, 1), 0);
    assert_int_equal(submit(&fixture, 1, 1, 2), 0);
    hailo_double.lose();
    assert_int_equal(wait_for(&fixture, 0, PATIENCE_MS), HS_ELOST);
    assert_int_equal(wait_for(&fixture, 1, PATIENCE_MS), HS_ELOST);
    tear_down(&fixture);
}

/* A joined thread may be listed for a short time. */
static void expect_threads(int wanted)
{
    int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS);
    while (count_entries("/proc/self/task") > wanted && hs_clock_now_ns() < give_up_ns)
        continue;
    /* The number is lower if a thread of an earlier test ended only now. */
    assert_true(count_entries("/proc/self/task") <= wanted);
}

static void a_thousand_losses_leak_nothing(void **state)
{
    (void) state;
    const char *path = sim_script(EMBEDDINGS);
    int threads = count_entries("/proc/self/task");
    set_script("latency_ms: 1\nfaults: [{kind: hang}]");
    lose_once(path);
    int descriptors = count_descriptors();
    int64_t resident = hs_mem_resident();
    for (int i = 1; i < 1000; i++)
        lose_once(path);
    assert_int_equal(count_descriptors(), descriptors);
    expect_threads(threads);
    /* The slots alone would take 90 MB after a thousand losses. A sanitizer keeps freed memory, and
     * checks for leaks itself; an emulator keeps memory for each thread that ever existed. */
    if (!HS_SANITIZED && !getenv("HS_EMULATED"))
        assert_true(hs_mem_resident() - resident < 16 << 20);
}

/* ---- Releases that hang ---- */

/* Ends hung releases, and checks that the device was open until then. `others` is the number of
 * other open devices. */
static void wait_for_releases(int others)
{
    int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS);
    assert_true(hailo_double.open() > others);
    hailo_double.release();
    while (hailo_double.open() > others && hs_clock_now_ns() < give_up_ns)
        usleep(1000);
    assert_int_equal(hailo_double.open(), others);
}

/* Three models and a device; each of their releases takes minutes. */
static void hung_releases_are_not_waited_for(void **state)
{
    (void) state;
    struct fixture fixtures[3];
    int threads = count_entries("/proc/self/task");
    set_up(&fixtures[0], EMBEDDINGS, SIDE, 2, 1);
    for (int i = 1; i < 3; i++) {
        fixtures[i] = (struct fixture) { .device = fixtures[0].device };
        assert_int_equal(load(&fixtures[i], EMBEDDINGS, SIDE, 2, 1), 0);
    }
    assert_int_equal(run(&fixtures[0], 0, 1, 1), 0);
    hailo_double.hang_releases(10 * PATIENCE_MS);
    int64_t start_ns = hs_clock_now_ns();
    hailo->unload(fixtures[0].model);
    /* The device is reported as lost, so that the runner opens it again. */
    struct hs_device_health health;
    assert_int_equal(submit(&fixtures[1], 0, 1, 1), HS_ELOST);
    assert_int_equal(hailo->health(fixtures[0].device, &health, NULL), 0);
    assert_false(health.ok);
    hailo->unload(fixtures[1].model);
    hailo->unload(fixtures[2].model);
    hailo->close(fixtures[0].device);
    assert_true(hs_clock_now_ns() - start_ns < PATIENCE_MS * HS_NS_PER_MS);
    /* The next open creates another device, independent of this one. */
    set_up(&fixtures[0], EMBEDDINGS, SIDE, 2, 1);
    assert_int_equal(run(&fixtures[0], 0, 1, 1), 0);
    wait_for_releases(1);
    tear_down(&fixtures[0]);
    expect_threads(threads);
}

/* Covers a device without models, a load that fails, and a network that is loaded again. */
static void each_hung_release_is_bounded(void **state)
{
    (void) state;
    struct fixture fixture = { 0 };
    int64_t start_ns = hs_clock_now_ns();
    assert_int_equal(open_device(&fixture), 0);
    hailo_double.hang_releases(10 * PATIENCE_MS);
    tear_down(&fixture);
    wait_for_releases(0);
    assert_int_equal(open_device(&fixture), 0);
    hailo_double.hang_releases(10 * PATIENCE_MS);
    hailo_double.inject("configure", 8, 1);
    assert_int_equal(load(&fixture, EMBEDDINGS, SIDE, 2, 1), HS_EDEVICE);
    tear_down(&fixture);
    wait_for_releases(0);
    set_up(&fixture, EMBEDDINGS, SIDE, 2, 1);
    hailo_double.hang_releases(10 * PATIENCE_MS);
    hailo_double.inject("run", 8, 1);
    assert_int_equal(submit(&fixture, 0, 1, 1), HS_EDEVICE);
    assert_int_equal(run(&fixture, 0, 1, 1), 0); /* the dead network is freed at the same time */
    tear_down(&fixture);
    wait_for_releases(0);
    assert_true(hs_clock_now_ns() - start_ns < 5 * PATIENCE_MS * HS_NS_PER_MS);
}

/* ---- Many at once ---- */

struct worker {
    struct fixture *fixture;
    pthread_t thread;
    int slot, runs, wrong;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct fixture fixture = *w->fixture; /* a copy, for a separate error */
    for (int i = 0; i < w->runs; i++)
        w->wrong += run(&fixture, w->slot, 1, (uint64_t) w->slot << 32 | (uint64_t) i) != 0;
    return NULL;
}

static void a_thousand_pictures_are_not_mixed_up(void **state)
{
    (void) state;
    struct fixture fixture;
    struct worker workers[8];
    int most;
    set_script("latency_ms: {median: 1, p99: 3}");
    set_up(&fixture, EMBEDDINGS "queue 8\n", SIDE, 8, 1);
    assert_int_equal(fixture.info->slots, 8);
    for (int i = 0; i < 8; i++) {
        workers[i] = (struct worker) { .fixture = &fixture, .slot = i, .runs = 130 };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].wrong, 0);
    }
    hailo_double.in_flight(&most);
    assert_true(most >= 8);
    tear_down(&fixture);
}

/* ---- With the runner ---- */

#define RUN_TIMEOUT_NS (100 * HS_NS_PER_MS)

static struct hs_runner *create_runner(int slots, int batch, int64_t run_timeout_ns)
{
    const struct hs_runner_options options = {
        .backend = hailo,
        .slots = slots,
        .batch = batch,
        .queue_max = 64,
        .keep_alive_s = -1,
        .retry_max_ns = 100 * HS_NS_PER_MS,
        .run_timeout_ns = run_timeout_ns,
        .failures_max = 2,
    };
    const struct hs_model_spec spec = {
        .path = sim_script(EMBEDDINGS), .output_kind = HS_OUTPUT_EMBEDDINGS, .input_h = SIDE, .input_w = SIDE
    };
    struct hs_runner *runner = NULL;
    assert_int_equal(hs_runner_create(&options, &spec, &runner, NULL), 0);
    return runner;
}

static int ask(struct hs_runner *runner, uint64_t seed)
{
    const struct hs_slot_request request = {
        .h = SIDE,
        .w = SIDE,
        .count = 1,
        .deadline_ns = hs_deadline_in_ms(PATIENCE_MS),
    };
    struct hs_lease *lease;
    int r = hs_runner_acquire(runner, &request, &lease, NULL);
    if (r != 0)
        return r;
    draw_stripes(lease->input, SIDE, seed);
    r = hs_runner_run(lease, NULL, NULL);
    if (r == 0 && !is_expected(&lease->descs[0], lease->outputs[0].data, seed))
        r = -1000;
    hs_runner_release(lease);
    return r;
}

struct asker {
    struct hs_runner *runner;
    pthread_t thread;
    uint64_t seed;
    int right, wrong, result;
};

static void *ask_once(void *arg)
{
    struct asker *a = arg;
    a->result = ask(a->runner, a->seed);
    return NULL;
}

static void wait_until_ready(struct hs_runner *runner)
{
    struct hs_runner_status status;
    int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS);
    do
        hs_runner_get_status(runner, &status);
    while (status.state != HS_RUNNER_READY && hs_clock_now_ns() < give_up_ns);
    assert_int_equal(status.state, HS_RUNNER_READY);
}

static void the_runner_recovers_a_device(void **state)
{
    (void) state;
    static const struct {
        const char *fault;
        int first; /* error of the request that meets the fault */
    } cases[] = {
        { "{kind: lost, at: 2, count: 3}", HS_ELOST },    { "{kind: busy, at: 1, count: 2}", HS_EINUSE },
        { "{kind: none, count: 3}", HS_ENODEVICE },       { "{kind: mismatch, at: 1, count: 2}", HS_ENOTREADY },
        { "{kind: memory, at: 1, count: 2}", HS_ENOMEM },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        char script[100];
        hs_str_format(script, sizeof(script), "latency_ms: 1\nfaults: [%s]", cases[i].fault);
        set_script(script);
        struct hs_runner *runner = create_runner(4, 1, RUN_TIMEOUT_NS);
        int r = ask(runner, 1);
        if (r == 0)
            r = ask(runner, 2);
        assert_int_equal(r, cases[i].first);
        wait_until_ready(runner);
        for (uint64_t k = 0; k < 10; k++)
            assert_int_equal(ask(runner, k), 0);
        hs_runner_destroy(runner);
    }
}

/* Each loss hits a run that would hang; there are more losses than slots or copies. The runs in
 * between prove that the device has recovered. */
static void the_runner_recovers_from_every_loss(void **state)
{
    (void) state;
    enum { LOSSES = 14 };
    char script[64 + LOSSES * 40] = "latency_ms: 1\nfaults:\n";
    int most;
    for (int i = 0; i < LOSSES; i++)
        hs_str_format(script + strlen(script), 40, "  - {kind: hang, at: %d, count: 1}\n", 2 * i + 1);
    set_script(script);
    struct hs_runner *runner = create_runner(2, 1, PATIENCE_MS * HS_NS_PER_MS);
    for (int i = 0; i < LOSSES; i++) {
        struct asker asker = { .runner = runner, .seed = 1 };
        int64_t give_up_ns = hs_deadline_in_ms(PATIENCE_MS);
        assert_int_equal(pthread_create(&asker.thread, NULL, ask_once, &asker), 0);
        while (hailo_double.in_flight(&most) == 0 && hs_clock_now_ns() < give_up_ns)
            continue;
        hailo_double.lose();
        pthread_join(asker.thread, NULL);
        assert_int_equal(asker.result, HS_ELOST);
        wait_until_ready(runner);
    }
    assert_int_equal(ask(runner, 1), 0);
    hs_runner_destroy(runner);
}

static void the_runner_does_not_reuse_hung_slots(void **state)
{
    (void) state;
    set_script("latency_ms: 1\nfaults: [{kind: hang, at: 2, count: 2}]");
    struct hs_runner *runner = create_runner(4, 1, RUN_TIMEOUT_NS);
    assert_int_equal(ask(runner, 1), 0);
    assert_int_equal(ask(runner, 2), HS_ELOST);
    assert_int_equal(ask(runner, 3), HS_ELOST);
    wait_until_ready(runner);
    assert_int_equal(ask(runner, 4), 0);
    hailo_double.release(); /* the slots are returned at last, so the model is unloaded and the device closed */
    hs_runner_destroy(runner);
}

static void *ask_often(void *arg)
{
    struct asker *a = arg;
    for (uint64_t i = 0; i < 60; i++) {
        int r = ask(a->runner, a->seed + i);
        a->right += r == 0;
        a->wrong += r == -1000;
    }
    return NULL;
}

static void batches_and_faults_mix_up_no_results(void **state)
{
    (void) state;
    set_script("latency_ms: 1\nfaults:\n  - {kind: lost, at: 100, count: 2}\n  - {kind: error, at: 200, count: 3}\n"
               "  - {kind: late, at: 300, count: 3, extra_ms: 150}\n  - {kind: queue_full, at: 320, count: 2}\n");
    struct hs_runner *runner = create_runner(2, 4, RUN_TIMEOUT_NS);
    struct asker askers[10];
    for (size_t i = 0; i < HS_ARRAY_LEN(askers); i++) {
        askers[i] = (struct asker) { .runner = runner, .seed = (uint64_t) i << 32 };
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_often, &askers[i]), 0);
    }
    int right = 0;
    for (size_t i = 0; i < HS_ARRAY_LEN(askers); i++) {
        pthread_join(askers[i].thread, NULL);
        assert_int_equal(askers[i].wrong, 0);
        right += askers[i].right;
    }
    assert_true(right > 0);
    wait_until_ready(runner);
    int r = 1;
    for (int i = 0; i < 50 && r != 0; i++)
        r = ask(runner, 7);
    assert_int_equal(r, 0);
    hs_runner_destroy(runner);
}

/* ---- A missing library ---- */

static void a_module_without_its_library_has_a_one_line_error(void **state)
{
    (void) state;
    char from[512], folder[] = "/tmp/hailo-module-XXXXXX", to[512];
    uint8_t *data;
    size_t len;
    const struct hs_backend *backend = NULL;
    struct hs_error err = { 0 };
    assert_true(hs_path_join(from, sizeof(from), getenv("HS_HAILO_DIR"), "hs_backend_hailo.so"));
    assert_non_null(mkdtemp(folder));
    assert_true(hs_path_join(to, sizeof(to), folder, "hs_backend_hailo-apart.so"));
    assert_int_equal(hs_file_read(from, 1 << 26, &data, &len, &err), 0);
    /* The module refers to the library by its file name, which is replaced here by that of a
     * version that is not installed. */
    for (char *at = memmem(data, len, "libhailort.so.5.1.1", 19); at; at = memmem(data, len, "libhailort.so.5.1.1", 19))
        at[18] = '7';
    assert_int_equal(hs_file_write_atomic(to, data, len, 0700, &err), 0);
    free(data);
    setenv("HS_BACKEND_DIR", folder, 1);
    assert_int_equal(hs_registry_find("hailo-apart", &backend, &err), HS_EDEVICE);
    assert_message(&err, "libhailort.so.5.1.7 is not installed");
    assert_null(strchr(err.message, '\n'));
    unlink(to);
    rmdir(folder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_script, check_nothing_left)
    const struct CMUnitTest tests[] = {
        TEST(a_device_is_found),
        TEST(the_device_is_shared_and_named),
        TEST(health_tells_the_temperature),
        TEST(health_tells_the_firmware),
        TEST(a_device_without_a_temperature_goes_on),
        TEST(open_failures_have_their_status),
        TEST(each_status_has_its_class_and_remedy),
        TEST(loads_fail_as_scripted),
        TEST(a_load_that_timed_out_is_retried_once),
        TEST(a_slow_load_takes_the_scripted_time),
        TEST(invalid_model_files_are_refused),
        TEST(inputs_other_than_pictures_are_refused),
        TEST(a_frame_of_another_size_than_its_shape_is_refused),
        TEST(a_changed_file_is_refused_on_reload),
        TEST(tensors_keep_their_types),
        TEST(outputs_without_a_single_scale_are_float32),
        TEST(outputs_of_other_orders_are_packed),
        TEST(the_queue_limits_runs_in_flight),
        TEST(memory_is_mapped_once),
        TEST(runs_fail_as_scripted),
        TEST(a_full_queue_is_busy),
        TEST(a_late_run_is_returned),
        TEST(a_hung_run_keeps_its_slot),
        TEST(a_network_that_cannot_start_a_run_is_reloaded),
        TEST(a_batch_fails_if_one_picture_fails),
        TEST(a_lost_device_stays_lost_until_it_is_opened_again),
        TEST(a_run_without_a_callback_ends_when_the_link_is_lost),
        TEST(a_failed_submit_keeps_its_status),
        TEST(a_thousand_losses_leak_nothing),
        TEST(hung_releases_are_not_waited_for),
        TEST(each_hung_release_is_bounded),
        TEST(a_thousand_pictures_are_not_mixed_up),
        TEST(the_runner_recovers_a_device),
        TEST(the_runner_recovers_from_every_loss),
        TEST(the_runner_does_not_reuse_hung_slots),
        TEST(batches_and_faults_mix_up_no_results),
        TEST(a_module_without_its_library_has_a_one_line_error),
    };
    return cmocka_run_group_tests(tests, find_backend, NULL);
}
