#include "../unit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/settings.h"
#include "pose/settings.h"

/* A folder used as XDG_CONFIG_HOME, with hailo-pose/ in it. */
struct place {
    char home[64], variable[100], path[128];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    char folder[100];
    hs_str_copy(place->home, sizeof(place->home), "/tmp/hs-load-XXXXXX");
    if (!place || !mkdtemp(place->home))
        return -1;
    hs_str_format(place->variable, sizeof(place->variable), "XDG_CONFIG_HOME=%s", place->home);
    hs_str_format(folder, sizeof(folder), "%s/hailo-pose", place->home);
    hs_str_format(place->path, sizeof(place->path), "%s/hailo-pose.json", folder);
    *state = place;
    return mkdir(folder, 0755);
}

static int teardown(void **state)
{
    struct place *place = *state;
    char folder[100];
    hs_str_format(folder, sizeof(folder), "%s/hailo-pose", place->home);
    remove(place->path);
    rmdir(folder);
    rmdir(place->home);
    free(place);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    assert_int_equal(hs_file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void default_path(void **state)
{
    (void) state;
    char path[100];
    const char *const none[] = { NULL }, *const empty[] = { "XDG_CONFIG_HOME=", NULL },
                      *const set[] = { "A=b", "XDG_CONFIG_HOME=/cfg", NULL };
    assert_true(hs_config_default_path(&hs_pose_schema, none, path, sizeof(path)));
    assert_string_equal(path, "/etc/xdg/hailo-pose/hailo-pose.json");
    assert_true(hs_config_default_path(&hs_pose_schema, empty, path, sizeof(path)));
    assert_string_equal(path, "/etc/xdg/hailo-pose/hailo-pose.json");
    assert_true(hs_config_default_path(&hs_pose_schema, set, path, sizeof(path)));
    assert_string_equal(path, "/cfg/hailo-pose/hailo-pose.json");
    assert_false(hs_config_default_path(&hs_pose_schema, set, path, 10));
}

/* Users edit the YAML. The program reads it unless a JSON was rendered from it later, and notes the file. */
static void yaml_beside_json(void **state)
{
    struct place *place = *state;
    char yaml[100], found[100];
    const char *const env[] = { place->variable, NULL };
    struct hs_schema schema = hs_pose_schema;
    struct hs_config_request request = { .schema = &schema, .environment = env };
    struct hs_settings *settings = NULL;
    struct hs_problems problems = { 0 };
    struct hs_error err;
    hs_str_format(yaml, sizeof(yaml), "%s/hailo-pose.yaml", place->home);
    schema.yaml_path = yaml;
    assert_true(hs_config_default_path(&schema, env, found, sizeof(found)));
    assert_string_equal(found, place->path);
    write_file(yaml, "server:\n  port: 4001\n");
    assert_true(hs_config_default_path(&schema, env, found, sizeof(found)));
    assert_string_equal(found, yaml);
    assert_int_equal(hs_config_load(&request, &settings, &problems, &err), 0);
    assert_int_equal(((const struct hs_pose_settings *) hs_settings_values(settings))->server.port, 4001);
    assert_int_equal(problems.count, 1);
    assert_int_equal(problems.items[0].level, HS_PROBLEM_NOTE);
    assert_non_null(strstr(problems.items[0].text, "Configuration: "));
    assert_non_null(strstr(problems.items[0].text, "/hailo-pose.yaml"));
    hs_settings_destroy(settings);
    for (time_t yaml_s = 1000; yaml_s <= 3000; yaml_s += 1000) {
        const struct timespec json_times[2] = { { .tv_sec = 2000 }, { .tv_sec = 2000 } };
        const struct timespec yaml_times[2] = { { .tv_sec = yaml_s }, { .tv_sec = yaml_s } };
        write_file(place->path, "{\"server\": {\"port\": 4002}}");
        assert_int_equal(utimensat(AT_FDCWD, place->path, json_times, 0), 0);
        assert_int_equal(utimensat(AT_FDCWD, yaml, yaml_times, 0), 0);
        assert_int_equal(hs_config_load(&request, &settings, &problems, &err), 0);
        assert_int_equal(((const struct hs_pose_settings *) hs_settings_values(settings))->server.port,
                         yaml_s < 2000 ? 4002 : 4001);
        hs_settings_destroy(settings);
    }
    assert_int_equal(problems.warnings, 0);
    assert_non_null(strstr(problems.items[1].text, "/hailo-pose.json"));
    assert_non_null(strstr(problems.items[2].text, "hailo-pose.yaml (newer than "));
    hs_problems_finish(&problems);
    remove(yaml);
}

/* The FIFO has no writer: opening it must not block. */
static void a_fifo_is_refused_at_once(void **state)
{
    struct place *place = *state;
    const char *const env[] = { place->variable, NULL };
    const struct hs_config_request request = { .schema = &hs_pose_schema, .path = place->path, .environment = env };
    struct hs_settings *settings = NULL;
    struct hs_problems problems = { 0 };
    struct hs_error err;
    assert_int_equal(mkfifo(place->path, 0644), 0);
    assert_int_equal(hs_config_load(&request, &settings, &problems, &err), HS_EINVAL);
    assert_non_null(strstr(problems.items[0].text, "hailo-pose.json is not a regular file"));
    hs_problems_finish(&problems);
}

static void paths_become_absolute(void **state)
{
    static const char *const given[][3] = {
        { "model.dir", "models", "/models" },
        { "model.packs_dir", "/packs", NULL },
        { "model.mirror", "https://example.org/models", NULL },
        { "inference.cache_dir", "", NULL },
        { "inference.device", "sim:a/script.yaml", "/a/script.yaml" },
        { "server.tls_certificate", "cert.pem", "/cert.pem" },
        { "server.tls_key", "credential:tls-key", NULL },
    };
    struct place *place = *state;
    const char *const env[] = { place->variable, NULL };
    struct hs_config_request request = { .schema = &hs_pose_schema, .environment = env };
    struct hs_settings *settings = NULL;
    struct hs_problems problems = { 0 };
    struct hs_error err;
    struct hs_config_override overrides[HS_ARRAY_LEN(given)];
    char folder[PATH_MAX], expected[2 * PATH_MAX];
    for (size_t i = 0; i < HS_ARRAY_LEN(given); i++)
        overrides[i] = (struct hs_config_override) { "--set", given[i][0], given[i][1] };
    request.overrides = overrides;
    request.override_count = HS_ARRAY_LEN(given);
    assert_non_null(getcwd(folder, sizeof(folder)));
    assert_int_equal(hs_config_load(&request, &settings, &problems, &err), 0);
    assert_int_equal(hs_settings_make_paths_absolute(settings, folder, &err), 0);
    const struct hs_pose_settings *s = hs_settings_values(settings);
    const char *const values[] = { s->model.dir,           s->model.packs_dir,  s->model.mirror,
                                   s->inference.cache_dir, s->inference.device, s->server.tls_certificate,
                                   s->server.tls_key };
    for (size_t i = 0; i < HS_ARRAY_LEN(given); i++) {
        const char *prefix = i == 4 ? "sim:" : "";
        hs_str_format(expected, sizeof(expected), "%s%s%s", prefix, given[i][2] ? folder : given[i][1],
                      given[i][2] ? given[i][2] : "");
        assert_string_equal(values[i], expected);
    }
    hs_problems_finish(&problems);
    hs_settings_destroy(settings);
}

static int peeked_port, peeked_slots;

static void peek(const struct hs_settings *settings)
{
    const struct hs_pose_settings *s = hs_settings_values(settings);
    peeked_port = s->server.port;
    peeked_slots = s->inference.slots;
}

static void valid_settings_can_be_read_in_spite_of_errors(void **state)
{
    struct place *place = *state;
    const char *const env[] = { place->variable, "HAILO_POSE_INFERENCE_SLOTS=7", NULL };
    const struct hs_config_request request = { .schema = &hs_pose_schema, .environment = env, .peek = peek };
    struct hs_settings *settings = NULL;
    struct hs_problems problems = { 0 };
    struct hs_error err;
    write_file(place->path, "{\"server\": {\"port\": 4003}, \"image\": {\"max_side\": \"wide\"}}");
    assert_int_equal(hs_config_load(&request, &settings, &problems, &err), HS_EINVAL);
    assert_null(settings);
    assert_int_equal(peeked_port, 4003);
    assert_int_equal(peeked_slots, 7);
    hs_problems_finish(&problems);
}

static void precedence(void **state)
{
    struct place *place = *state;
    write_file(place->path, "{\"server\": {\"host\": \"file\", \"port\": 1},"
                            " \"performance\": {\"worker_threads\": 1, \"max_queue_size\": 1}}");
    const char *const env[] = { place->variable, "HAILO_POSE_SERVER_PORT=2", "HAILO_POSE_PERFORMANCE_WORKER_THREADS=2",
                                "HAILO_POSE_PERFORMANCE_MAX_QUEUE_SIZE=2", NULL };
    const struct hs_config_override overrides[] = {
        { "--set", NULL, "performance.worker_threads=3" },
        { "--set", NULL, "performance.max_queue_size=3" },
        { "--queue", "performance.max_queue_size", "4" },
    };
    struct hs_config_request request = {
        .schema = &hs_pose_schema, .environment = env, .overrides = overrides, .override_count = HS_ARRAY_LEN(overrides)
    };
    struct hs_settings *settings = NULL;
    struct hs_problems problems = { 0 };
    struct hs_error err;
    assert_int_equal(hs_config_load(&request, &settings, &problems, &err), 0);
    const struct hs_pose_settings *v = hs_settings_values(settings);
    assert_int_equal(v->server.max_connections, 256); /* the default */
    assert_string_equal(v->server.host, "file");
    assert_int_equal(v->server.port, 2);
    assert_int_equal(v->performance.worker_threads, 3);
    assert_int_equal(v->performance.max_queue_size, 4);
    assert_int_equal(problems.errors + problems.warnings, 0);
    hs_problems_finish(&problems);
    hs_settings_destroy(settings);
}

static void a_missing_default_file_is_a_note(void **state)
{
    struct place *place = *state;
    const char *const env[] = { place->variable, NULL };
    struct hs_config_request request = { .schema = &hs_pose_schema, .environment = env };
    struct hs_settings *settings = NULL;
    struct hs_problems problems = { 0 };
    struct hs_error err;
    assert_int_equal(hs_config_load(&request, &settings, &problems, &err), 0);
    assert_int_equal(problems.count, 1);
    assert_int_equal(problems.items[0].level, HS_PROBLEM_NOTE);
    assert_non_null(strstr(problems.items[0].text, place->path));
    hs_problems_finish(&problems);
    hs_settings_destroy(settings);
}

static void check_failure(const struct hs_config_request *request, size_t errors, const char *words)
{
    struct hs_settings *settings = NULL;
    struct hs_problems problems = { 0 };
    struct hs_error err;
    assert_int_equal(hs_config_load(request, &settings, &problems, &err), HS_EINVAL);
    assert_null(settings);
    assert_int_equal(problems.errors, errors);
    size_t first = 0;
    while (problems.items[first].level == HS_PROBLEM_NOTE)
        first++;
    if (!strstr(problems.items[first].text, words))
        fail_msg("\"%s\" lacks \"%s\"", problems.items[first].text, words);
    hs_problems_finish(&problems);
}

static void unreadable_files_are_errors(void **state)
{
    struct place *place = *state;
    const char *const env[] = { place->variable, NULL };
    struct hs_config_request request = { .schema = &hs_pose_schema,
                                         .environment = env,
                                         .path = "/nonexistent/pose.yaml" };
    check_failure(&request, 1, "cannot read /nonexistent/pose.yaml: No such file");
    request.path = "/tmp";
    check_failure(&request, 1, "/tmp is not a regular file");
    request.path = NULL;
    write_file(place->path, "{\"server\": {\n\"port\": }");
    check_failure(&request, 1, "hailo-pose.json:2: ");
}

static void errors_of_all_sources_come_together(void **state)
{
    struct place *place = *state;
    write_file(place->path, "server:\n  port: -1\n  max_connections: x\n");
    const char *const env[] = { place->variable, "HAILO_POSE_MODEL_KEEP_ALIVE=x", NULL };
    const struct hs_config_override overrides[] = { { "--set", NULL, "pose.keypoint_threshold=2" } };
    struct hs_config_request request = {
        .schema = &hs_pose_schema, .environment = env, .overrides = overrides, .override_count = 1
    };
    check_failure(&request, 4, "hailo-pose.json:2: server.port: -1 is too small (allowed: 0 to 65535)");
}

static struct hs_settings *settings_with(const struct hs_config_override *overrides, size_t count)
{
    struct hs_settings *settings;
    struct hs_problems problems = { 0 };
    struct hs_error err;
    assert_int_equal(hs_settings_create(&hs_pose_schema, &settings, &err), 0);
    for (size_t i = 0; i < count; i++)
        hs_settings_apply_override(settings, &overrides[i], &problems);
    assert_int_equal(problems.errors + problems.warnings, 0);
    hs_problems_finish(&problems);
    return settings;
}

static void fixed_settings_keep_their_value(void **state)
{
    (void) state;
    static const struct hs_config_override before[] = { { "--set", NULL, "server.host=a" } };
    static const struct hs_config_override after[] = {
        { "--set", NULL, "server.host=b" },
        { "--set", NULL, "server.port=1" },
        { "--set", NULL, "inference.input_size=64" },
        { "--set", NULL, "resource_limits.memory_max=1G" },
        { "--set", NULL, "server.cors_origins=http://a" },
        { "--set", NULL, "image.apply_exif=true" },
        { "--set", NULL, "model.keep_alive=7" },
        { "--set", NULL, "inference.max_shapes=2" },
    };
    struct hs_settings *current = settings_with(before, HS_ARRAY_LEN(before));
    struct hs_settings *next = settings_with(after, HS_ARRAY_LEN(after));
    const struct hs_pose_settings *v = hs_settings_values(next);
    struct hs_buf changed, fixed;
    hs_buf_init(&changed, 1000);
    hs_buf_init(&fixed, 1000);
    assert_int_equal(hs_settings_keep_fixed(next, current, &changed, &fixed), 0);
    assert_string_equal(hs_buf_str(&changed), "server.cors_origins, model.keep_alive, image.apply_exif");
    assert_string_equal(hs_buf_str(&fixed),
                        "server.host, server.port, inference.input_size, resource_limits.memory_max");
    hs_settings_destroy(current);
    assert_string_equal(v->server.host, "a");
    assert_int_equal(v->server.port, 11436);
    assert_int_equal(v->inference.input_size[0], 640);
    assert_string_equal(v->server.cors_origins, "http://a");
    assert_true(v->image.apply_exif);
    hs_buf_finish(&changed);
    hs_buf_finish(&fixed);
    hs_settings_destroy(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_path),
        cmocka_unit_test_setup_teardown(yaml_beside_json, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fifo_is_refused_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_become_absolute, setup, teardown),
        cmocka_unit_test(fixed_settings_keep_their_value),
        cmocka_unit_test_setup_teardown(precedence, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_default_file_is_a_note, setup, teardown),
        cmocka_unit_test_setup_teardown(unreadable_files_are_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_of_all_sources_come_together, setup, teardown),
        cmocka_unit_test_setup_teardown(valid_settings_can_be_read_in_spite_of_errors, setup, teardown),
    };
    return HS_RUN_TESTS(tests);
}
