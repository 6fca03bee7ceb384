#include "../unit.h"

#include <string.h>

#include "config/settings.h"
#include "face/settings.h"

/* The complete configuration file of the predecessor service, with its defaults. */
static const char legacy[] = "server:\n  host: \"0.0.0.0\"\n  port: 5002\n  debug: true\n"
                             "face_recognition:\n  detection_model: scrfd_10g\n"
                             "  recognition_model: arcface_mobilefacenet\n  embedding_dimension: 512\n"
                             "  recognition_threshold: 0.5\n  max_faces: 10\n  detection_threshold: 0.6\n  device: 0\n"
                             "  batch_size: 1\n  device_timeout_ms: 5000\n"
                             "  database_path: /var/lib/hailo-face/database\n"
                             "database:\n  enabled: true\n  db_file: /var/lib/hailo-face/faces.db\n"
                             "  backup_enabled: true\n  backup_path: /var/lib/hailo-face/backups\n"
                             "  max_embeddings_per_identity: 10\n"
                             "performance:\n  worker_threads: 2\n  max_queue_size: 10\n  request_timeout: 30\n"
                             "  warmup_enabled: false\n  warmup_iterations: 3\n"
                             "resource_limits:\n  memory_max: \"3G\"\n  cpu_quota: \"80%\"\n"
                             "logging:\n  level: INFO\n  format: json\n";

static void older_files_are_read_without_a_warning(void **state)
{
    (void) state;
    struct hs_settings *settings;
    struct hs_doc *doc;
    struct hs_problems problems = { 0 };
    assert_int_equal(hs_settings_create(&hs_face_schema, &settings, NULL), 0);
    assert_int_equal(hs_doc_parse(legacy, sizeof(legacy) - 1, "t.yaml", &doc, NULL), 0);
    hs_settings_apply_doc(settings, doc, "t.yaml", &problems);
    assert_int_equal(problems.errors + problems.warnings, 0);
    /* A setting without effect is reported with the setting that replaces it. */
    bool found = false;
    for (size_t i = 0; i < problems.count; i++)
        found = found || (strstr(problems.items[i].text, "t.yaml:15: face_recognition.database_path") &&
                          strstr(problems.items[i].text, "database.db_file"));
    assert_true(found);
    const struct hs_face_settings *s = hs_settings_values(settings);
    assert_true(s->legacy.debug);
    assert_int_equal(s->server.port, 5002);
    hs_problems_finish(&problems);
    hs_settings_destroy(settings);
}

static void defaults_are_those_of_the_older_service(void **state)
{
    (void) state;
    struct hs_settings *settings;
    assert_int_equal(hs_settings_create(&hs_face_schema, &settings, NULL), 0);
    const struct hs_face_settings *s = hs_settings_values(settings);
    assert_string_equal(s->server.host, "0.0.0.0");
    assert_int_equal(s->server.port, 5002);
    assert_false(s->legacy.debug);
    assert_true(s->face_recognition.recognition_threshold == .5 && s->face_recognition.detection_threshold == .6);
    assert_int_equal(s->face_recognition.max_faces, 10);
    assert_int_equal(s->face_recognition.embedding_dimension, 512);
    assert_true(s->database.enabled && s->database.backup_enabled);
    assert_string_equal(s->database.db_file, "/var/lib/hailo-face/faces.db");
    assert_string_equal(s->database.backup_path, "/var/lib/hailo-face/backups");
    assert_int_equal(s->database.max_embeddings_per_identity, 10);
    assert_true(s->resource_limits.memory_max == (int64_t) 3 << 30 && s->resource_limits.cpu_quota == 80);
    hs_settings_destroy(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(older_files_are_read_without_a_warning),
        cmocka_unit_test(defaults_are_those_of_the_older_service),
    };
    return HS_RUN_TESTS(tests);
}
