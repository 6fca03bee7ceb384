#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

static void test_remove(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    add(g, "a", 2);
    add(g, "b", 3);
    assert_true(folder_has(f, 1));
    struct hs_gallery_erased erased;
    assert_int_equal(hs_gallery_remove(g, "a", &erased, NULL), 0);
    assert_int_equal(erased.embeddings, 2);
    assert_false(erased.pending);
    assert_int_equal(erased.file_count, 0);
    hs_gallery_erased_finish(&erased);
    assert_false(folder_has(f, 1));
    assert_false(folder_has(f, 2));
    assert_true(folder_has(f, 3));
    assert_int_equal(hs_gallery_remove(g, "a", &erased, NULL), HS_ENOTFOUND);
}

static void test_remove_embedding(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    int64_t id = add(g, "a", 1).embedding_id;
    add(g, "a", 2);
    assert_int_equal(hs_gallery_remove_embedding(g, id, NULL, NULL), 0);
    assert_false(folder_has(f, 1));
    assert_true(folder_has(f, 2));
    assert_int_equal(count_of(g, "a"), 1);
    assert_int_equal(hs_gallery_remove_embedding(g, id, NULL, NULL), HS_ENOTFOUND);
}

static void test_dropped_embedding_is_erased(void **state)
{
    struct fixture *f = *state;
    f->options.max_embeddings_per_identity = 1;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    add(g, "a", 2);
    assert_int_equal(folder_has(f, 1) + folder_has(f, 2), 1);
}

/* Pages split and merge, so rows move. */
static void test_many_erasures(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    enum { MANY = 120 };
    for (unsigned i = 0; i < MANY; i++) {
        char name[32];
        hs_str_format(name, sizeof(name), "%u", i * 7919 % MANY);
        add(g, name, 1000 + i);
        if (i % 3 != 2)
            continue;
        hs_str_format(name, sizeof(name), "%u", (i - 1) * 7919 % MANY);
        assert_int_equal(hs_gallery_remove(g, name, NULL, NULL), 0);
        assert_false(folder_has(f, 1000 + i - 1));
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(folder_has(f, 1000 + i), i % 3 != 1);
}

/* Old copies that SQLite does not know are found and erased. */
static void test_foreign_copies_are_erased(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "a", 1);
    fixture_copy_file(f, 1);
    assert_int_equal(hs_gallery_remove(f->gallery, "a", NULL, NULL), 0);
    assert_false(folder_has(f, 1));
}

/* With erase_later the file is rewritten later; the index need not be rebuilt after that. */
static void test_foreign_copies_are_erased_later(void **state)
{
    struct fixture *f = *state;
    f->options.erase_later = true;
    add(fixture_open(f), "a", 1);
    add(f->gallery, "b", 2);
    fixture_copy_file(f, 1);
    struct hs_gallery_erased erased;
    struct hs_gallery_version before, after;
    char path[PATH_MAX];
    assert_int_equal(hs_gallery_remove(f->gallery, "a", &erased, NULL), 0);
    assert_true(erased.pending);
    hs_gallery_erased_finish(&erased);
    assert_true(hs_gallery_get_counts(f->gallery).erase_pending);
    assert_true(folder_has(f, 1));
    /* A backup does not contain the data, and another change does not clear the pending state. */
    assert_int_equal(hs_gallery_backup(f->gallery, path, NULL), 0);
    add(f->gallery, "c", 3);
    assert_true(hs_gallery_get_counts(f->gallery).erase_pending);
    assert_int_equal(hs_gallery_get_version(f->gallery, &before, NULL), 0);
    assert_int_equal(hs_gallery_finish_erasing(f->gallery, NULL), 0);
    assert_false(hs_gallery_get_counts(f->gallery).erase_pending);
    assert_false(folder_has(f, 1));
    assert_true(folder_has(f, 2));
    assert_int_equal(hs_gallery_get_version(f->gallery, &after, NULL), 0);
    assert_int_equal(after.change, before.change);
    assert_int_equal(after.resets, before.resets);
    assert_int_equal(hs_gallery_restore(f->gallery, path, NULL), 0);
    assert_false(folder_has(f, 1));
    assert_int_equal(hs_gallery_finish_erasing(f->gallery, NULL), 0);
}

/* A removal with nothing to rewrite is not pending. */
static void test_erase_later_without_copies(void **state)
{
    struct fixture *f = *state;
    f->options.erase_later = true;
    struct hs_gallery_erased erased;
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_remove(f->gallery, "a", &erased, NULL), 0);
    assert_false(erased.pending);
    hs_gallery_erased_finish(&erased);
    assert_false(folder_has(f, 1));
    /* Closing the gallery completes a pending erasure. */
    add(f->gallery, "b", 2);
    fixture_copy_file(f, 2);
    assert_int_equal(hs_gallery_remove(f->gallery, "b", &erased, NULL), 0);
    assert_true(erased.pending);
    hs_gallery_erased_finish(&erased);
    fixture_close(f);
    assert_false(folder_has(f, 2));
}

/* A change by another process during the rewrite is detected. */
static void test_foreign_change_before_rewriting(void **state)
{
    struct fixture *f = *state;
    f->options.erase_later = true;
    struct hs_gallery_version before, after;
    add(fixture_open(f), "a", 1);
    fixture_copy_file(f, 1);
    assert_int_equal(hs_gallery_remove(f->gallery, "a", NULL, NULL), 0);
    assert_int_equal(hs_gallery_get_version(f->gallery, &before, NULL), 0);
    run_sql(f->path, "INSERT INTO identities (name) VALUES ('other')");
    assert_int_equal(hs_gallery_finish_erasing(f->gallery, NULL), 0);
    assert_int_equal(hs_gallery_get_version(f->gallery, &after, NULL), 0);
    assert_true(after.resets > before.resets);
    assert_int_equal(hs_gallery_get_counts(f->gallery).identities, 1);
}

/* One file that cannot be deleted does not keep the others, which hold the person, too. */
static void test_purge_of_some(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_backups *purged;
    struct hs_error err;
    char backups[2][PATH_MAX], fresh[PATH_MAX];
    add(fixture_open(f), "Ann", 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hs_gallery_backup(f->gallery, backups[i], NULL), 0);
    assert_int_equal(unlink(backups[1]), 0);
    assert_int_equal(mkdir(backups[1], 0700), 0);
    assert_int_equal(hs_gallery_purge_all(f->gallery, fresh, &purged, &err), HS_EIO);
    assert_non_null(strstr(err.message, backups[1]));
    assert_false(hs_file_exists(backups[0]));
    assert_int_equal(rmdir(backups[1]), 0);
    assert_int_equal(hs_gallery_purge_all(f->gallery, fresh, &purged, NULL), 0);
    assert_int_equal(purged->count, 1);
    hs_gallery_backups_destroy(purged);
}

static void test_purge_all(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    struct hs_gallery_backups *purged, *left;
    char old[PATH_MAX], fresh[PATH_MAX];
    add(g, "a", 1);
    add(g, "b", 2);
    assert_int_equal(hs_gallery_purge_all(g, fresh, &purged, NULL), 0);
    assert_string_equal(fresh, "");
    assert_int_equal(purged->count, 0);
    hs_gallery_backups_destroy(purged);
    assert_int_equal(hs_gallery_backup(g, old, NULL), 0);
    assert_int_equal(hs_gallery_remove(g, "a", NULL, NULL), 0);
    assert_int_equal(hs_gallery_purge_all(g, fresh, &purged, NULL), 0);
    assert_int_equal(purged->count, 1);
    assert_string_equal(purged->items[0].path, old);
    hs_gallery_backups_destroy(purged);
    assert_false(hs_file_exists(old));
    assert_int_equal(hs_gallery_list_backups(g, &left, NULL), 0);
    assert_int_equal(left->count, 1);
    assert_string_equal(left->items[0].path, fresh);
    hs_gallery_backups_destroy(left);
    assert_int_equal(hs_gallery_restore(g, fresh, NULL), 0);
    assert_int_equal(count_of(g, "a"), -1);
    assert_int_equal(count_of(g, "b"), 1);
}

static void test_reader_holds_log(void **state)
{
    struct fixture *f = *state;
    f->options.busy_timeout_ms = 50;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    sqlite3 *reader;
    assert_int_equal(sqlite3_open(f->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM identities", NULL, NULL, NULL), SQLITE_OK);
    struct hs_gallery_erased erased;
    assert_int_equal(hs_gallery_remove(g, "a", &erased, NULL), 0);
    assert_true(erased.pending);
    hs_gallery_erased_finish(&erased);
    assert_int_equal(count_of(g, "a"), -1);
    assert_true(folder_has(f, 1));
    sqlite3_close(reader);
    add(g, "b", 2);
    assert_false(folder_has(f, 1));
}

static atomic_bool finished;

static void *finish(void *arg)
{
    struct fixture *f = arg;
    assert_int_equal(hs_gallery_finish_erasing(f->gallery, NULL), 0);
    finished = true;
    return NULL;
}

/* A change does not wait for a reader that keeps the log from being emptied. */
static void test_change_while_erasing(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    sqlite3 *reader;
    f->options.erase_later = true;
    add(fixture_open(f), "a", 1);
    assert_int_equal(sqlite3_open(f->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM identities", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(hs_gallery_remove(f->gallery, "a", NULL, NULL), 0);
    finished = false;
    pthread_create(&thread, NULL, finish, f);
    for (unsigned i = 0; i < 5; i++) {
        usleep(20000);
        add(f->gallery, "b", 2 + i);
    }
    assert_false(finished);
    sqlite3_close(reader);
    pthread_join(thread, NULL);
    assert_false(folder_has(f, 1));
}

static void test_backups_are_named(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    char path[PATH_MAX];
    assert_int_equal(hs_gallery_backup(g, path, NULL), 0);
    struct hs_gallery_erased erased;
    assert_int_equal(hs_gallery_remove(g, "a", &erased, NULL), 0);
    assert_int_equal(erased.file_count, 1);
    assert_string_equal(erased.files[0], path);
    hs_gallery_erased_finish(&erased);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* A backup in progress may have copied the data just erased. The backup is listed without waiting until it
 * is complete. */
static void test_unfinished_backup_is_named(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    char path[PATH_MAX], copy[PATH_MAX];
    assert_int_equal(hs_gallery_backup(g, path, NULL), 0);
    hs_str_format(copy, sizeof(copy), "%s/.%s.copy", f->backups, hs_path_base(path));
    assert_int_equal(rename(path, copy), 0);
    int lock = open(f->dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(lock, LOCK_EX), 0); /* the process that makes the backup holds this lock */
    struct hs_gallery_erased erased;
    assert_int_equal(hs_gallery_remove(g, "a", &erased, NULL), 0);
    assert_int_equal(erased.file_count, 1);
    assert_string_equal(erased.files[0], path);
    hs_gallery_erased_finish(&erased);
    close(lock);
    /* The next backup, and a purge, delete the files of an interrupted backup. */
    assert_int_equal(hs_gallery_backup(g, path, NULL), 0);
    assert_false(hs_file_exists(copy));
    struct hs_gallery_backups *purged;
    assert_int_equal(rename(path, copy), 0);
    assert_int_equal(hs_gallery_purge_all(g, path, &purged, NULL), 0);
    hs_gallery_backups_destroy(purged);
    assert_false(hs_file_exists(copy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_remove),
        GALLERY_TEST(test_remove_embedding),
        GALLERY_TEST(test_dropped_embedding_is_erased),
        GALLERY_TEST(test_many_erasures),
        GALLERY_TEST(test_foreign_copies_are_erased),
        GALLERY_TEST(test_foreign_copies_are_erased_later),
        GALLERY_TEST(test_erase_later_without_copies),
        GALLERY_TEST(test_foreign_change_before_rewriting),
        GALLERY_TEST(test_purge_of_some),
        GALLERY_TEST(test_purge_all),
        GALLERY_TEST(test_reader_holds_log),
        GALLERY_TEST(test_change_while_erasing),
        GALLERY_TEST(test_backups_are_named),
        GALLERY_TEST(test_unfinished_backup_is_named),
    };
    return HS_RUN_TESTS(tests);
}
