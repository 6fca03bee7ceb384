#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/settings.h"
#include "hs/backend.h"
#include "pose/settings.h"

static struct hs_settings *create(void)
{
    struct hs_settings *settings = NULL;
    struct hs_error err;
    if (hs_settings_create(&hs_pose_schema, &settings, &err) < 0)
        fail_msg("%s", err.message);
    return settings;
}

static const struct hs_pose_settings *values(const struct hs_settings *settings)
{
    return hs_settings_values(settings);
}

static void apply(struct hs_settings *settings, const char *text, struct hs_problems *problems)
{
    struct hs_doc *doc = NULL;
    struct hs_error err;
    if (hs_doc_parse(text, strlen(text), "t.yaml", &doc, &err) < 0)
        fail_msg("%s", err.message);
    hs_settings_apply_doc(settings, doc, "t.yaml", problems);
    assert_false(problems->no_memory);
}

static void override(struct hs_settings *settings, const char *option, const char *name, const char *assignment,
                     struct hs_problems *problems)
{
    const struct hs_config_override given = { option, name, assignment };
    hs_settings_apply_override(settings, &given, problems);
    assert_false(problems->no_memory);
}

static const char *origin(const struct hs_settings *settings, const char *name)
{
    return hs_settings_origin(settings, (size_t) hs_schema_find(&hs_pose_schema, name));
}

static void check_problem(const struct hs_problems *problems, size_t index, enum hs_problem_level level, int line,
                          const char *text)
{
    assert_true(index < problems->count);
    assert_string_equal(problems->items[index].text, text);
    assert_int_equal(problems->items[index].level, level);
    assert_int_equal(problems->items[index].line, line);
}

static void defaults_are_those_of_the_contract(void **state)
{
    (void) state;
    struct hs_settings *settings = create();
    const struct hs_pose_settings *v = values(settings);
    assert_string_equal(v->server.host, "0.0.0.0");
    assert_int_equal(v->server.port, 11436);
    assert_string_equal(v->model.name, "auto");
    assert_true(v->model.keep_alive == -1);
    assert_true(v->inference.confidence_threshold == 0.5);
    assert_true(v->inference.iou_threshold == 0.45);
    assert_int_equal(v->inference.max_detections, 10);
    assert_int_equal(v->inference.input_size[0], 640);
    assert_int_equal(v->inference.input_size[1], 640);
    assert_true(v->inference.rectangular);
    assert_string_equal(v->inference.device, "auto");
    assert_int_equal(v->inference.precision, HS_PRECISION_AUTO);
    assert_true(v->pose.keypoint_threshold == 0.3);
    assert_true(v->pose.skeleton_connections);
    assert_false(v->image.apply_exif);
    assert_int_equal(v->logging.level, HS_LOG_INFO);
    assert_int_equal(v->logging.format, HS_LOG_TEXT);
    assert_int_equal(v->resource_limits.memory_max, INT64_C(2) << 30);
    assert_true(v->resource_limits.cpu_quota == 80);
    assert_string_equal(v->model.dir, "");
    assert_string_equal(origin(settings, "server.port"), "default");
    hs_settings_destroy(settings);
    hs_settings_destroy(NULL);
}

static void choices_follow_the_enums(void **state)
{
    (void) state;
    struct hs_settings *settings = create();
    struct hs_problems problems = { 0 };
    apply(settings, "logging: {level: ERROR, format: json}\ninference: {device: sim, precision: f32}\n", &problems);
    assert_int_equal(problems.count, 0);
    assert_int_equal(values(settings)->logging.level, HS_LOG_ERROR);
    assert_int_equal(values(settings)->logging.format, HS_LOG_JSON);
    assert_string_equal(values(settings)->inference.device, "sim");
    assert_int_equal(values(settings)->inference.precision, HS_PRECISION_F32);
    hs_settings_destroy(settings);
}

static void yaml_and_json_give_the_same(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "server:\n  host: 127.0.0.1\n  port: 8080\nmodel:\n  name: yolov8s-pose\n  keep_alive: 5m\n"
        "inference:\n  input_size:\n  - 320\n  - 256\npose:\n  skeleton_connections: no\n"
        "resource_limits:\n  memory_max: 512M\n  cpu_quota: 50%\n",
        "{\"server\": {\"host\": \"127.0.0.1\", \"port\": 8080}, \"model\": {\"name\": \"yolov8s-pose\", "
        "\"keep_alive\": 300}, \"inference\": {\"input_size\": [320, 256]},\n\"pose\": {\"skeleton_connections\": "
        "false}, \"resource_limits\": {\"memory_max\": \"512M\", \"cpu_quota\": \"50%\"}}",
    };
    char *rendered[2];
    for (int i = 0; i < 2; i++) {
        struct hs_settings *settings = create();
        struct hs_problems problems = { 0 };
        apply(settings, texts[i], &problems);
        assert_int_equal(problems.count, 0);
        const struct hs_pose_settings *v = values(settings);
        assert_string_equal(v->server.host, "127.0.0.1");
        assert_int_equal(v->server.port, 8080);
        assert_string_equal(v->model.name, "yolov8s-pose");
        assert_true(v->model.keep_alive == 300);
        assert_int_equal(v->inference.input_size[0], 320);
        assert_int_equal(v->inference.input_size[1], 256);
        assert_false(v->pose.skeleton_connections);
        assert_int_equal(v->resource_limits.memory_max, 512 << 20);
        assert_true(v->resource_limits.cpu_quota == 50);
        struct hs_buf buf;
        size_t len;
        hs_buf_init(&buf, 100000);
        assert_int_equal(hs_settings_write_json(settings, &buf), 0);
        assert_non_null(hs_buf_str(&buf));
        rendered[i] = (char *) hs_buf_take(&buf, &len);
        hs_settings_destroy(settings);
    }
    assert_string_equal(rendered[0], rendered[1]);
    free(rendered[0]);
    free(rendered[1]);
}

static void null_and_empty_sections_are_defaults(void **state)
{
    (void) state;
    struct hs_settings *settings = create();
    struct hs_problems problems = { 0 };
    apply(settings, "server:\nmodel:\n  name:\n  keep_alive: null\ninference: {}\npose: ~\n", &problems);
    assert_int_equal(problems.count, 0);
    assert_int_equal(values(settings)->server.port, 11436);
    assert_string_equal(values(settings)->model.name, "auto");
    assert_string_equal(origin(settings, "model.name"), "default");
    hs_settings_destroy(settings);
}

static void all_problems_at_once(void **state)
{
    (void) state;
    struct hs_settings *settings = create();
    struct hs_problems problems = { 0 };
    apply(settings,
          "server:\n"                          /* 1 */
          "  host: 5\n"                        /* 2 */
          "  port: 99999\n"                    /* 3 */
          "  prot: 80\n"                       /* 4 */
          "inference:\n"                       /* 5 */
          "  input_size: [640, 641]\n"         /* 6 */
          "  confidence_threshold: \"high\"\n" /* 7 */
          "  device: gpu\n"                    /* 8 */
          "  max_detections: 12\n"             /* 9 */
          "pose: [1]\n"                        /* 10 */
          "loging:\n"                          /* 11 */
          "  level: INFO\n"                    /* 12 */
          "model:\n"                           /* 13 */
          "  max_side: {a: 1}\n"               /* 14 */
          "  name: {a: 1}\n",                  /* 15 */
          &problems);
    assert_int_equal(problems.errors, 7);
    assert_int_equal(problems.warnings, 3);
    assert_int_equal(problems.count, 10);
    check_problem(&problems, 0, HS_PROBLEM_ERROR, 2,
                  "t.yaml:2: server.host: 5 is a number, but must be a string "
                  "(put it in quotes) (allowed: a string of 1 to 255 bytes)");
    check_problem(&problems, 1, HS_PROBLEM_ERROR, 3, "t.yaml:3: server.port: 99999 is too large (allowed: 0 to 65535)");
    check_problem(&problems, 2, HS_PROBLEM_WARNING, 4,
                  "t.yaml:4: unknown setting \"server.prot\"; did you mean server.port?");
    check_problem(&problems, 3, HS_PROBLEM_ERROR, 6,
                  "t.yaml:6: inference.input_size: [640, 641] is not a multiple of the step "
                  "(allowed: [width, height], each 32 to 1280 in steps of 32)");
    check_problem(&problems, 4, HS_PROBLEM_ERROR, 7,
                  "t.yaml:7: inference.confidence_threshold: \"high\" is not a number (allowed: 0 to 1)");
    check_problem(&problems, 5, HS_PROBLEM_ERROR, 8,
                  "t.yaml:8: inference.device: gpu is not an allowed value "
                  "(allowed: auto, cpu, hailo, sim or sim:SCRIPT)");
    check_problem(&problems, 6, HS_PROBLEM_ERROR, 10,
                  "t.yaml:10: pose is a section and must contain settings with their values");
    check_problem(&problems, 7, HS_PROBLEM_WARNING, 11, "t.yaml:11: unknown section \"loging\"; did you mean logging?");
    check_problem(&problems, 8, HS_PROBLEM_WARNING, 14,
                  "t.yaml:14: unknown setting \"model.max_side\"; did you mean image.max_side?");
    check_problem(&problems, 9, HS_PROBLEM_ERROR, 15,
                  "t.yaml:15: model.name: a section is not a string (allowed: a string of 1 to 255 bytes)");
    /* Wrong values are unchanged, right ones are set. */
    assert_int_equal(values(settings)->server.port, 11436);
    assert_int_equal(values(settings)->inference.max_detections, 12);
    hs_problems_finish(&problems);
    assert_int_equal(problems.count, 0);
    hs_settings_destroy(settings);
}

static void many_problems_are_counted(void **state)
{
    (void) state;
    struct hs_settings *settings = create();
    struct hs_problems problems = { 0 };
    struct hs_buf buf;
    hs_buf_init(&buf, 100000);
    hs_buf_append_str(&buf, "server:\n");
    for (int i = 0; i < 150; i++)
        hs_buf_printf(&buf, "  nothing_like_it_%d: 1\n", i);
    apply(settings, hs_buf_str(&buf), &problems);
    assert_int_equal(problems.count, HS_PROBLEMS_MAX);
    assert_int_equal(problems.dropped, 50);
    assert_int_equal(problems.warnings, 150);
    assert_string_equal(problems.items[0].text, "t.yaml:2: unknown setting \"server.nothing_like_it_0\"");
    hs_buf_finish(&buf);
    hs_problems_finish(&problems);
    hs_settings_destroy(settings);
}

static void a_list_at_the_root_is_an_error(void **state)
{
    (void) state;
    struct hs_settings *settings = create();
    struct hs_problems problems = { 0 };
    apply(settings, "\n- a\n", &problems);
    assert_int_equal(problems.errors, 1);
    assert_int_equal(problems.items[0].line, 2);
    hs_problems_finish(&problems);
    hs_settings_destroy(settings);
}

static void environment(void **state)
{
    (void) state;
    struct hs_settings *settings = create();
    struct hs_problems problems = { 0 };
    const char *const env[] = { "PATH=/bin",
                                "HAILO_POSE_SERVER_PORT=8080",
                                "HAILO_POSE_MODEL_NAME=true",
                                "HAILO_POSE_INFERENCE_INPUT_SIZE=[320, 640]",
                                "HAILO_POSE_SERVER_HOST=",
                                "HS_MODELS_DIR=/m",
                                "HAILO_POSE_MODEL_KEEP_ALIVE=soon",
                                "HAILO_POSE_SEVER_PORT=1",
                                "HAILO_POSE",
                                "HAILO_POSER_X=1",
                                NULL };
    hs_settings_apply_environment(settings, env, &problems);
    const struct hs_pose_settings *v = values(settings);
    assert_int_equal(v->server.port, 8080);
    assert_string_equal(v->model.name, "true");
    assert_int_equal(v->inference.input_size[1], 640);
    assert_string_equal(v->server.host, "0.0.0.0");
    assert_string_equal(v->model.dir, "/m");
    assert_string_equal(origin(settings, "server.port"), "HAILO_POSE_SERVER_PORT");
    assert_string_equal(origin(settings, "model.dir"), "HS_MODELS_DIR");
    assert_int_equal(problems.count, 2);
    assert_non_null(strstr(problems.items[0].text,
                           "HAILO_POSE_MODEL_KEEP_ALIVE: model.keep_alive: \"soon\" is not a duration (allowed: "));
    check_problem(&problems, 1, HS_PROBLEM_WARNING, 0, "environment: unknown variable \"HAILO_POSE_SEVER_PORT\"");
    hs_problems_finish(&problems);

    const char *const both[] = { "HS_MODELS_DIR=/weak", "HAILO_POSE_MODEL_DIR=/strong", NULL };
    hs_settings_apply_environment(settings, both, &problems);
    assert_string_equal(v->model.dir, "/strong");
    hs_settings_destroy(settings);
}

static void assignments(void **state)
{
    (void) state;
    struct hs_settings *settings = create();
    struct hs_problems problems = { 0 };
    override(settings, "--set", NULL, "server.port=1", &problems);
    override(settings, "--set", NULL, "server.port=", &problems);
    assert_int_equal(values(settings)->server.port, 11436);
    override(settings, "--set", NULL, "model.mirror=http://h/?a=b", &problems);
    assert_string_equal(values(settings)->model.mirror, "http://h/?a=b");
    override(settings, "--set", NULL, "model.mirror=", &problems);
    assert_string_equal(values(settings)->model.mirror, "");
    override(settings, "--port", "server.port", "0", &problems);
    assert_string_equal(origin(settings, "server.port"), "--port");
    assert_int_equal(problems.count, 0);
    override(settings, "--set", NULL, "server.prt=1", &problems);
    override(settings, "--set", NULL, "server.port", &problems);
    override(settings, "--set", NULL, "=1", &problems);
    override(settings, "--port", "server.port", "x", &problems);
    assert_int_equal(problems.errors, 4);
    check_problem(&problems, 0, HS_PROBLEM_ERROR, 0,
                  "--set: unknown setting \"server.prt\"; did you mean server.port?");
    check_problem(&problems, 1, HS_PROBLEM_ERROR, 0, "--set: \"server.port\" is not NAME=VALUE");
    check_problem(&problems, 3, HS_PROBLEM_ERROR, 0,
                  "--port: server.port: \"x\" is not a whole number (allowed: 0 to 65535)");
    hs_problems_finish(&problems);
    hs_settings_destroy(settings);
}

static void former_names_are_accepted_with_a_warning(void **state)
{
    (void) state;
    const char *const env[] = { "HAILO_POSE_SERVER_MAX_ANSWER_MEMORY=3M", NULL }, *const both[] = {
        "HAILO_POSE_SERVER_MAX_ANSWER_MEMORY=3M", "HAILO_POSE_SERVER_MAX_RESPONSE_MEMORY=4M", NULL
    };
    struct hs_problems problems = { 0 };
    struct hs_settings *settings = create();
    apply(settings, "server:\n  max_answer_memory: 2M\n", &problems);
    assert_int_equal(values(settings)->server.max_response_memory, 2 << 20);
    check_problem(&problems, 0, HS_PROBLEM_WARNING, 2,
                  "t.yaml:2: server.max_answer_memory was renamed; use server.max_response_memory");
    apply(settings, "server:\n  max_response_memory: 7M\n  max_answer_memory: 2M\n", &problems);
    assert_int_equal(values(settings)->server.max_response_memory, 7 << 20);
    hs_problems_finish(&problems);
    apply(settings, "server:\n  max_answer_memory: 2M\n", &problems);
    hs_settings_apply_environment(settings, env, &problems);
    assert_int_equal(values(settings)->server.max_response_memory, 3 << 20);
    check_problem(&problems, 1, HS_PROBLEM_WARNING, 0,
                  "environment: HAILO_POSE_SERVER_MAX_ANSWER_MEMORY was renamed; use "
                  "HAILO_POSE_SERVER_MAX_RESPONSE_MEMORY");
    hs_settings_apply_environment(settings, both, &problems);
    assert_int_equal(values(settings)->server.max_response_memory, 4 << 20);
    assert_int_equal(problems.count, 2);
    override(settings, "--set", NULL, "server.max_answer_memory=5M", &problems);
    assert_int_equal(values(settings)->server.max_response_memory, 5 << 20);
    check_problem(&problems, 2, HS_PROBLEM_WARNING, 0,
                  "--set: server.max_answer_memory was renamed; use server.max_response_memory");
    struct hs_buf json;
    hs_buf_init(&json, 1 << 20);
    assert_int_equal(hs_settings_write_json(settings, &json), 0);
    assert_non_null(strstr(hs_buf_str(&json), "max_response_memory"));
    assert_null(strstr(hs_buf_str(&json), "max_answer_memory"));
    hs_buf_finish(&json);
    hs_problems_finish(&problems);
    hs_settings_destroy(settings);
}

static void json_keeps_what_is_unknown_and_reads_back(void **state)
{
    (void) state;
    struct hs_settings *settings = create(), *again = create();
    struct hs_problems problems = { 0 }, none = { 0 };
    apply(settings,
          "server: {port: 1, mine: [1, 2.50, {x: null}]}\ncameras:\n  door: \"a\\n\\u0001\"\n  on: yes\n"
          "model: {name: 'q\"uote', keep_alive: 2h}\n",
          &problems);
    assert_int_equal(problems.errors, 0);
    assert_int_equal(problems.warnings, 2);
    struct hs_buf first, second;
    hs_buf_init(&first, 100000);
    hs_buf_init(&second, 100000);
    assert_int_equal(hs_settings_write_json(settings, &first), 0);
    const char *text = hs_buf_str(&first);
    assert_non_null(
        strstr(text, "    \"mine\": [\n      1,\n      2.5,\n      {\n        \"x\": null\n      }\n    ]"));
    assert_non_null(strstr(text, "  \"cameras\": {\n    \"door\": \"a\\n\\u0001\",\n    \"on\": true\n  }"));
    assert_non_null(strstr(text, "    \"name\": \"q\\\"uote\",\n    \"keep_alive\": 7200,"));
    apply(again, text, &none);
    assert_int_equal(none.errors, 0);
    assert_int_equal(hs_settings_write_json(again, &second), 0);
    assert_string_equal(hs_buf_str(&second), text);
    assert_string_equal(values(again)->model.name, "q\"uote");
    hs_problems_finish(&problems);
    hs_problems_finish(&none);
    hs_buf_finish(&first);
    hs_buf_finish(&second);
    hs_settings_destroy(settings);
    hs_settings_destroy(again);
}

static void list_shows_the_origin(void **state)
{
    (void) state;
    struct hs_settings *settings = create();
    struct hs_problems problems = { 0 };
    apply(settings, "server:\n  port: 5\n", &problems);
    struct hs_buf buf;
    hs_buf_init(&buf, 100000);
    assert_int_equal(hs_settings_write_list(settings, &buf), 0);
    assert_non_null(strstr(hs_buf_str(&buf), "server.port = 5"));
    assert_non_null(strstr(hs_buf_str(&buf), "# t.yaml:2\n"));
    assert_non_null(strstr(hs_buf_str(&buf), "server.host = \"0.0.0.0\""));
    assert_non_null(strstr(hs_buf_str(&buf), "# default\n"));
    hs_buf_finish(&buf);
    hs_settings_destroy(settings);
}

/* The suggestion for an unknown name, or none if it is too uncertain. */
static void suggestions(void **state)
{
    static const struct {
        const char *name, *meant; /* NULL: no suggestion */
    } rows[] = {
        { "server.prot", "server.port" },
        { "sever.port", "server.port" },
        { "SERVER.PORT", "server.port" },
        { "server.pxyt", "server.port" }, /* two typing errors in four letters */
        { "server.wxyt", NULL },
        { "server.p", NULL },
        { "image.port", "server.port" },
        { "image.confidence_threshold", "inference.confidence_threshold" },
        { "inference.confidence-threshold", "inference.confidence_threshold" },
        { "inference.iou-treshold", "inference.iou_threshold" },
        { "sever", "server" },
        { "zzz", NULL },
    };
    char meant[128], name[80];
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        bool found = hs_schema_suggest(&hs_pose_schema, rows[i].name, meant, sizeof(meant));
        if (found != (rows[i].meant != NULL) || (found && strcmp(meant, rows[i].meant) != 0))
            fail_msg("%s: %s", rows[i].name, found ? meant : "nothing");
    }
    assert_false(hs_schema_suggest(&hs_pose_schema, "server.prot", meant, 5));
    memset(name, 'a', sizeof(name));
    name[79] = '\0';
    assert_false(hs_schema_suggest(&hs_pose_schema, name, meant, sizeof(meant)));
}

static void secrets_are_hidden(void **state)
{
    (void) state;
    struct section {
        char *key;
        int digits;
    };
    static const struct hs_setting rows[] = {
        { .name = "auth.key",
          .type = HS_SETTING_TEXT,
          .flags = HS_SETTING_SECRET,
          .offset = offsetof(struct section, key),
          .max = 8,
          .default_val = "",
          .help = "h" },
        { .name = "auth.digits",
          .type = HS_SETTING_INT,
          .flags = HS_SETTING_SECRET,
          .offset = offsetof(struct section, digits),
          .max = 9,
          .default_val = "0",
          .help = "h" },
    };
    static const struct hs_setting_group group = { rows, 2, 0 };
    static const struct hs_schema schema = {
        .program = "p", .settings_size = sizeof(struct section), .groups = &group, .group_count = 1
    };
    struct hs_settings *settings;
    struct hs_problems problems = { 0 };
    struct hs_buf buf;
    hs_buf_init(&buf, 10000);
    assert_int_equal(hs_settings_create(&schema, &settings, NULL), 0);
    apply(settings, "auth: {key: open, digits: 12345}\n", &problems);
    assert_int_equal(problems.errors, 1);
    assert_null(strstr(problems.items[0].text, "12345"));
    assert_int_equal(hs_settings_write_list(settings, &buf), 0);
    assert_null(strstr(hs_buf_str(&buf), "open"));
    hs_problems_finish(&problems);
    hs_buf_finish(&buf);
    hs_settings_destroy(settings);
}

static void an_invalid_default_is_an_internal_error(void **state)
{
    (void) state;
    static const struct hs_setting rows[] = {
        { .name = "a.b", .type = HS_SETTING_INT, .min = 1, .max = 9, .default_val = "10", .help = "h" },
    };
    static const struct hs_setting_group group = { rows, 1, 0 };
    static const struct hs_schema schema = {
        .program = "p", .settings_size = sizeof(int), .groups = &group, .group_count = 1
    };
    struct hs_settings *settings;
    struct hs_error err;
    assert_int_equal(hs_settings_create(&schema, &settings, &err), HS_EINTERNAL);
    assert_string_equal(err.message, "the default of a.b is too large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_contract),
        cmocka_unit_test(choices_follow_the_enums),
        cmocka_unit_test(yaml_and_json_give_the_same),
        cmocka_unit_test(null_and_empty_sections_are_defaults),
        cmocka_unit_test(all_problems_at_once),
        cmocka_unit_test(many_problems_are_counted),
        cmocka_unit_test(a_list_at_the_root_is_an_error),
        cmocka_unit_test(environment),
        cmocka_unit_test(assignments),
        cmocka_unit_test(former_names_are_accepted_with_a_warning),
        cmocka_unit_test(json_keeps_what_is_unknown_and_reads_back),
        cmocka_unit_test(list_shows_the_origin),
        cmocka_unit_test(suggestions),
        cmocka_unit_test(secrets_are_hidden),
        cmocka_unit_test(an_invalid_default_is_an_internal_error),
    };
    return HS_RUN_TESTS(tests);
}
