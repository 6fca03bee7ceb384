#include "../gallery/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/metrics.h"
#include "face/health.h"

static void set_up(struct fixture *f, struct hs_face_app *app)
{
    *app = (struct hs_face_app) { .gallery = f->gallery };
    assert_int_equal(hs_face_index_create(f->gallery, "test", DIMENSION, 1, &app->index, NULL), 0);
    const struct hs_face_maintenance_options options = { .gallery = f->gallery,
                                                         .index = app->index,
                                                         .opened = &f->opened };
    assert_int_equal(hs_face_maintenance_create(&options, &app->maintenance, NULL), 0);
}

static void tear_down(struct hs_face_app *app)
{
    hs_face_maintenance_destroy(app->maintenance);
    hs_face_index_destroy(app->index);
}

static void check_state(const struct hs_face_app *app, const char *state, const char *reason)
{
    char detail[HS_ERROR_MESSAGE_SIZE];
    json_t *health = hs_face_health_database(app);
    assert_string_equal(json_string_value(json_object_get(health, "state")), state);
    json_decref(health);
    const char *got = hs_face_health_gallery_reason(app, detail);
    if (reason)
        assert_string_equal(got, reason);
    else
        assert_null(got);
}

static void test_loading(void **state)
{
    struct fixture *f = *state;
    struct hs_face_app app;
    add(fixture_open(f), "Ann", 1);
    set_up(f, &app);
    check_state(&app, "loading", "gallery_loading");
    assert_int_equal(hs_face_index_refresh(app.index, HS_NO_DEADLINE, NULL), 0);
    check_state(&app, "ok", NULL);
    json_t *health = hs_face_health_database(&app);
    assert_int_equal(json_integer_value(json_object_get(health, "identities")), 1);
    assert_int_equal(json_integer_value(json_object_get(health, "embeddings")), 1);
    assert_true(json_is_null(json_object_get(health, "last_backup_at")));
    json_decref(health);
    tear_down(&app);
}

static void test_damaged(void **state)
{
    struct fixture *f = *state;
    struct hs_face_app app;
    const char text[] = "no gallery at all, and longer than a header would be: one hundred bytes are enough for that";
    assert_int_equal(hs_file_write_atomic(f->path, text, sizeof(text), 0600, NULL), 0);
    fixture_open(f);
    set_up(f, &app);
    assert_int_equal(hs_face_index_refresh(app.index, HS_NO_DEADLINE, NULL), 0);
    check_state(&app, "emptied", NULL);
    tear_down(&app);
}

/* A failed read is reported, and a later successful one clears it. */
static void test_failed(void **state)
{
    struct fixture *f = *state;
    struct hs_face_app app;
    add(fixture_open(f), "Ann", 1);
    set_up(f, &app);
    run_sql(f->path, "ALTER TABLE embeddings RENAME TO gone");
    assert_int_equal(hs_face_maintenance_start(app.maintenance, NULL), 0);
    char detail[HS_ERROR_MESSAGE_SIZE] = "";
    int64_t deadline = hs_deadline_in_ms(20000);
    while (!detail[0] && hs_clock_now_ns() < deadline) {
        usleep(2000);
        hs_face_health_gallery_reason(&app, detail);
    }
    check_state(&app, "failed", "gallery_failed");
    run_sql(f->path, "ALTER TABLE gone RENAME TO embeddings");
    assert_int_equal(hs_face_index_refresh(app.index, HS_NO_DEADLINE, NULL), 0);
    check_state(&app, "ok", NULL);
    tear_down(&app);
}

/* Faces that cannot match are counted by reason, in the response and in the metrics. */
static void test_counts(void **state)
{
    struct fixture *f = *state;
    struct hs_face_app app;
    struct hs_buf out;
    for (unsigned i = 1; i <= 6; i++)
        add(i == 1 ? fixture_open(f) : f->gallery, i < 3 ? "Ann" : i < 6 ? "Bob" : "Cid", i);
    run_sql(f->path, "UPDATE embeddings SET space = 'x' WHERE id = 1; UPDATE embeddings SET space = NULL WHERE id = 3;"
                     " UPDATE embeddings SET embedding = x'00000000' WHERE id = 4;"
                     " UPDATE embeddings SET embedding = zeroblob(length(embedding)) WHERE id = 5");
    fixture_close(f);
    fixture_open(f);
    set_up(f, &app);
    assert_int_equal(hs_face_index_refresh(app.index, HS_NO_DEADLINE, NULL), 0);
    check_state(&app, "degraded", NULL);
    json_t *health = hs_face_health_database(&app);
    char *text = json_dumps(json_object_get(health, "unusable"), JSON_COMPACT);
    assert_string_equal(text, "{\"embeddings\":4,\"identities\":1,\"other_space\":1,\"other_size\":1,\"damaged\":1,"
                              "\"unknown_space\":1}");
    free(text);
    assert_null(json_object_get(health, "error"));
    assert_null(json_object_get(health, "migrated_from"));
    assert_true(json_is_false(json_object_get(health, "erasure_pending")));
    json_decref(health);
    hs_buf_init(&out, 8192);
    hs_face_put_metrics(&app, &(struct hs_metrics_writer) { .out = &out });
    assert_non_null(strstr(hs_buf_str(&out), "# HELP hailo_gallery_identities People in the gallery.\n"
                                             "# TYPE hailo_gallery_identities gauge\nhailo_gallery_identities 3\n"));
    assert_non_null(strstr(hs_buf_str(&out), "\nhailo_gallery_identities_unusable 1\n"));
    assert_non_null(strstr(hs_buf_str(&out), "\nhailo_gallery_failing 0\n"));
    assert_null(strstr(hs_buf_str(&out), "hailo_gallery_backup_timestamp_seconds"));
    assert_non_null(strstr(hs_buf_str(&out), "# HELP hailo_gallery_embeddings Stored faces by usability.\n"
                                             "# TYPE hailo_gallery_embeddings gauge\n"
                                             "hailo_gallery_embeddings{use=\"other_space\"} 1\n"
                                             "hailo_gallery_embeddings{use=\"other_size\"} 1\n"
                                             "hailo_gallery_embeddings{use=\"damaged\"} 1\n"
                                             "hailo_gallery_embeddings{use=\"unknown_space\"} 1\n"
                                             "hailo_gallery_embeddings{use=\"usable\"} 2\n"));
    hs_buf_finish(&out);
    tear_down(&app);
}

/* A migrated file is reported with its previous schema, a lost file with what does not work. */
static void test_opened(void **state)
{
    struct fixture *f = *state;
    struct hs_face_app app;
    char detail[HS_ERROR_MESSAGE_SIZE];
    write_first_schema(f->path);
    fixture_open(f);
    set_up(f, &app);
    assert_int_equal(hs_face_index_refresh(app.index, HS_NO_DEADLINE, NULL), 0);
    json_t *health = hs_face_health_database(&app);
    assert_true(json_is_integer(json_object_get(health, "migrated_from")));
    json_decref(health);
    struct hs_buf out;
    hs_buf_init(&out, 4096);
    hs_face_put_metrics(&(struct hs_face_app) { 0 }, &(struct hs_metrics_writer) { .out = &out });
    assert_int_equal(out.len, 0);
    hs_buf_finish(&out);
    unlink(f->path);
    assert_int_equal(try_add(f->gallery, "Eve", 9, NULL), HS_EIO);
    check_state(&app, "failed", "gallery_failed");
    hs_face_health_gallery_reason(&app, detail);
    assert_non_null(strstr(detail, "; restart the service to allow changes"));
    health = hs_face_health_database(&app);
    assert_string_equal(json_string_value(json_object_get(health, "error")), detail);
    json_decref(health);
    tear_down(&app);
}

static void test_without_a_gallery(void **state)
{
    (void) state;
    const struct hs_face_app app = { 0 };
    char detail[HS_ERROR_MESSAGE_SIZE];
    assert_null(hs_face_health_database(&app));
    assert_null(hs_face_health_gallery_reason(&app, detail));
}

/* ---- health does not wait ---- */

static atomic_bool holds, let_go;

static int hold_entry(void *arg, const struct hs_gallery_entry *entry)
{
    (void) arg;
    (void) entry;
    holds = true;
    while (!let_go)
        usleep(1000);
    return 0;
}

static void *hold(void *arg)
{
    hs_gallery_for_each(arg, hold_entry, NULL, NULL, NULL);
    return NULL;
}

static void test_in_use(void **state)
{
    struct fixture *f = *state;
    struct hs_face_app app;
    pthread_t holder;
    add(fixture_open(f), "Ann", 1);
    set_up(f, &app);
    json_decref(hs_face_health_database(&app)); /* counts once, so that the last count exists */
    pthread_create(&holder, NULL, hold, f->gallery);
    while (!holds)
        usleep(1000);
    json_t *health = hs_face_health_database(&app);
    assert_int_equal(json_integer_value(json_object_get(health, "embeddings")), 1);
    json_decref(health);
    let_go = true;
    pthread_join(holder, NULL);
    tear_down(&app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_loading), GALLERY_TEST(test_damaged),
        GALLERY_TEST(test_failed),  cmocka_unit_test(test_without_a_gallery),
        GALLERY_TEST(test_in_use),  GALLERY_TEST(test_counts),
        GALLERY_TEST(test_opened),
    };
    return HS_RUN_TESTS(tests);
}
