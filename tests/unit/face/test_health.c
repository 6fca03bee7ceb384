#include "../gallery/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
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

/* A reading that failed is told, and a later one that works ends it. */
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

static void test_without_a_gallery(void **state)
{
    (void) state;
    const struct hs_face_app app = { 0 };
    char detail[HS_ERROR_MESSAGE_SIZE];
    assert_null(hs_face_health_database(&app));
    assert_null(hs_face_health_gallery_reason(&app, detail));
}

/* ---- nothing waits ---- */

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
    json_decref(hs_face_health_database(&app)); /* counted once */
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
        GALLERY_TEST(test_in_use),
    };
    return HS_RUN_TESTS(tests);
}
