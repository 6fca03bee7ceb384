#include "../gallery/fixture.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "face/gallery_maintenance.h"
#include "gallery/files.h"
#include "gallery/retention.h"

enum { PATIENCE_MS = 20000 };

static struct hs_face_index *the_index;

/* interval_s below 0: no backups. */
static struct hs_face_maintenance *start(struct fixture *f, double interval_s)
{
    struct hs_face_maintenance *maintenance = NULL;
    assert_int_equal(hs_face_index_create(f->gallery, "test", DIMENSION, 1, &the_index, NULL), 0);
    const struct hs_face_maintenance_options options = {
        .gallery = f->gallery,
        .index = the_index,
        .opened = &f->opened,
        .backups = interval_s >= 0,
        .backup_interval_s = interval_s,
    };
    assert_int_equal(hs_face_maintenance_create(&options, &maintenance, NULL), 0);
    assert_int_equal(hs_face_maintenance_start(maintenance, NULL), 0);
    return maintenance;
}

static void stop(struct hs_face_maintenance *maintenance)
{
    hs_face_maintenance_destroy(maintenance);
    hs_face_index_destroy(the_index);
}

static size_t backups_of(struct fixture *f)
{
    struct hs_gallery_backups *list;
    assert_int_equal(hs_gallery_list_backups(f->gallery, &list, NULL), 0);
    size_t count = list->count;
    hs_gallery_backups_destroy(list);
    return count;
}

static bool wait_for(bool (*is_so)(struct fixture *f, struct hs_face_maintenance *maintenance), struct fixture *f,
                     struct hs_face_maintenance *maintenance)
{
    int64_t deadline = hs_deadline_in_ms(PATIENCE_MS);
    while (!is_so(f, maintenance) && hs_clock_now_ns() < deadline)
        usleep(2000);
    return is_so(f, maintenance);
}

static bool is_read(struct fixture *f, struct hs_face_maintenance *maintenance)
{
    (void) f;
    (void) maintenance;
    return hs_face_index_is_read(the_index);
}

static bool is_backed_up(struct fixture *f, struct hs_face_maintenance *maintenance)
{
    struct hs_face_maintenance_status status;
    (void) f;
    hs_face_maintenance_get_status(maintenance, &status);
    return status.last_backup_at[0] && !status.backup_error[0];
}

static bool has_failed(struct fixture *f, struct hs_face_maintenance *maintenance)
{
    struct hs_face_maintenance_status status;
    (void) f;
    hs_face_maintenance_get_status(maintenance, &status);
    return status.backup_error[0];
}

static bool has_two(struct fixture *f, struct hs_face_maintenance *maintenance)
{
    (void) maintenance;
    return backups_of(f) == 2;
}

static bool is_erased(struct fixture *f, struct hs_face_maintenance *maintenance)
{
    (void) maintenance;
    return !hs_gallery_get_counts(f->gallery).erase_pending;
}

static void open_with(struct fixture *f, unsigned seed)
{
    add(fixture_open(f), "Ann", seed);
    fixture_close(f);
    fixture_open(f);
    assert_false(f->opened.created);
}

static void test_start(void **state)
{
    struct fixture *f = *state;
    open_with(f, 1);
    struct hs_face_maintenance *maintenance = start(f, 0);
    assert_true(wait_for(is_read, f, maintenance));
    assert_true(wait_for(is_backed_up, f, maintenance));
    assert_int_equal(backups_of(f), 1);
    stop(maintenance);
}

/* A backup is made only if the gallery has changed. */
static void test_interval(void **state)
{
    struct fixture *f = *state;
    open_with(f, 1);
    struct hs_face_maintenance *maintenance = start(f, 0.02);
    assert_true(wait_for(is_backed_up, f, maintenance));
    usleep(200000);
    assert_int_equal(backups_of(f), 1);
    add(f->gallery, "Bob", 2);
    assert_true(wait_for(has_two, f, maintenance));
    usleep(200000);
    assert_int_equal(backups_of(f), 2);
    stop(maintenance);
}

/* A new gallery is not backed up until it has content. */
static void test_new(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    struct hs_face_maintenance *maintenance = start(f, 0.02);
    usleep(200000);
    assert_int_equal(backups_of(f), 0);
    add(f->gallery, "Ann", 1);
    assert_true(wait_for(is_backed_up, f, maintenance));
    stop(maintenance);
}

static void test_failure(void **state)
{
    struct fixture *f = *state;
    open_with(f, 1);
    assert_int_equal(hs_file_write_atomic(f->backups, "x", 1, 0600, NULL), 0);
    struct hs_face_maintenance *maintenance = start(f, 0.02);
    assert_true(wait_for(has_failed, f, maintenance));
    unlink(f->backups);
    assert_true(wait_for(is_backed_up, f, maintenance));
    stop(maintenance);
}

static void test_erasing(void **state)
{
    struct fixture *f = *state;
    f->options.erase_later = true;
    open_with(f, 1);
    fixture_copy_file(f, 1);
    /* Disables backups, because the first one might still contain her. */
    struct hs_face_maintenance *maintenance = start(f, -1);
    assert_int_equal(hs_gallery_remove(f->gallery, "Ann", NULL, NULL), 0);
    hs_face_maintenance_erased(maintenance);
    assert_true(wait_for(is_erased, f, maintenance));
    assert_false(folder_has(f, 1));
    stop(maintenance);
    hs_face_maintenance_erased(NULL);
}

/* An object whose thread was never started can be destroyed, too. */
static void test_not_started(void **state)
{
    struct fixture *f = *state;
    struct hs_face_maintenance *maintenance = NULL;
    const struct hs_face_maintenance_options options = { .gallery = fixture_open(f), .opened = &f->opened };
    assert_int_equal(hs_face_maintenance_create(&options, &maintenance, NULL), 0);
    hs_face_maintenance_destroy(maintenance);
    hs_face_maintenance_destroy(NULL);
}

/* Damaged files that were set aside do not count as backups, even if they are newer; listing them
 * terminates. */
static void test_set_aside_file_is_not_a_backup(void **state)
{
    struct fixture *f = *state;
    struct hs_face_maintenance_status status;
    char path[PATH_MAX], year[5];
    time_t now = time(NULL);
    struct tm tm;
    add(fixture_open(f), "Ann", 1);
    for (int i = 1; i <= 3; i++) {
        hs_str_format(path, sizeof(path), "%s.corrupt-2999010%d-000000", f->path, i);
        assert_int_equal(hs_file_write_atomic(path, "x", 1, 0600, NULL), 0);
    }
    struct hs_face_maintenance *maintenance = start(f, -1);
    assert_true(wait_for(is_read, f, maintenance));
    hs_face_maintenance_get_status(maintenance, &status);
    assert_string_equal(status.last_backup_at, "");
    stop(maintenance);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
    assert_int_equal(backups_of(f), 4);
    maintenance = start(f, -1);
    assert_true(wait_for(is_backed_up, f, maintenance));
    hs_face_maintenance_get_status(maintenance, &status);
    strftime(year, sizeof(year), "%Y", gmtime_r(&now, &tm));
    assert_memory_equal(status.last_backup_at, year, 4);
    stop(maintenance);
}

/* A purge makes a backup in addition to those of the thread. */
static void test_backup_of_a_purge(void **state)
{
    struct fixture *f = *state;
    struct hs_face_maintenance_status status;
    add(fixture_open(f), "Ann", 1);
    struct hs_face_maintenance *maintenance = start(f, -1);
    assert_true(wait_for(is_read, f, maintenance));
    hs_face_maintenance_get_status(maintenance, &status);
    assert_string_equal(status.last_backup_at, "");
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
    hs_face_maintenance_erased(maintenance);
    assert_true(wait_for(is_backed_up, f, maintenance));
    stop(maintenance);
}

static bool purge_is_due(struct fixture *f, struct hs_face_maintenance *maintenance)
{
    (void) maintenance;
    return hs_retention_is_purge_due(f->gallery) && count_of(f->gallery, "Ann") == -1;
}

static bool is_purged(struct fixture *f, struct hs_face_maintenance *maintenance)
{
    (void) maintenance;
    return !hs_retention_is_purge_due(f->gallery);
}

/* An expiry whose purge of the backups fails, or is killed before it, is purged by the next one, in which no person
 * expires. Other programs cannot hold the folder for long, but the thread cannot purge meanwhile. */
static void test_interrupted_purge(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX], backup[PATH_MAX];
    int lock;
    add(fixture_open(f), "Ann", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    assert_int_equal(
        hs_gallery_update(f->gallery, "Ann", &(struct hs_gallery_update) { .expires_at = "2020-01-01 00:00:00" }, NULL),
        0);
    assert_int_equal(hs_gallery_lock_folder(f->path, &lock, NULL), 0);
    struct hs_face_maintenance *maintenance = start(f, -1);
    assert_true(wait_for(purge_is_due, f, maintenance)); /* a kill would leave this state */
    assert_true(hs_file_exists(backup));
    hs_gallery_unlock_folder(lock);
    assert_true(wait_for(is_purged, f, maintenance));
    assert_false(hs_file_exists(backup));
    stop(maintenance);
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    hs_str_format(path, sizeof(path), "%s.purge", f->path);
    assert_int_equal(hs_file_write_atomic(path, "", 0, 0600, NULL), 0);
    maintenance = start(f, -1);
    assert_true(wait_for(is_purged, f, maintenance));
    assert_false(hs_file_exists(backup));
    assert_int_equal(backups_of(f), 1);
    stop(maintenance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_start),
        GALLERY_TEST(test_interval),
        GALLERY_TEST(test_new),
        GALLERY_TEST(test_failure),
        GALLERY_TEST(test_erasing),
        GALLERY_TEST(test_not_started),
        GALLERY_TEST(test_set_aside_file_is_not_a_backup),
        GALLERY_TEST(test_backup_of_a_purge),
        GALLERY_TEST(test_interrupted_purge),
    };
    return HS_RUN_TESTS(tests);
}
