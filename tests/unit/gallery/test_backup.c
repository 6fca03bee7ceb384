#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

static void backup(struct fixture *f, char path[PATH_MAX])
{
    assert_int_equal(hs_gallery_backup(f->gallery, path, NULL), 0);
}

static void test_backup_and_restore(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f), *other;
    assert_int_equal(hs_gallery_open(&f->options, &other, NULL, NULL), 0);
    char path[PATH_MAX];
    add(g, "a", 1);
    backup(f, path);
    assert_int_equal(hs_gallery_remove(g, "a", NULL, NULL), 0);
    add(g, "b", 2);
    struct hs_gallery_version before, after;
    assert_int_equal(hs_gallery_get_version(other, &before, NULL), 0);
    assert_int_equal(hs_gallery_restore(g, hs_path_base(path), NULL), 0);
    assert_int_equal(count_of(g, "a"), 1);
    assert_int_equal(count_of(g, "b"), -1);
    assert_int_equal(count_of(other, "a"), 1);
    assert_int_equal(hs_gallery_get_version(other, &after, NULL), 0);
    assert_true(after.change > before.change + 1000);
    /* What was replaced was backed up. */
    struct hs_gallery_backups *list;
    assert_int_equal(hs_gallery_list_backups(g, &list, NULL), 0);
    assert_int_equal(list->count, 2);
    assert_true(list->items[0].size_bytes > 0);
    assert_int_equal(strlen(list->items[0].created_at), 19);
    assert_int_equal(hs_gallery_restore(g, list->items[0].path, NULL), 0);
    hs_gallery_backups_destroy(list);
    assert_int_equal(count_of(g, "b"), 1);
    add(other, "c", 3);
    assert_int_equal(hs_gallery_check(g, NULL), 0);
    hs_gallery_close(other);
}

static void test_keep(void **state)
{
    struct fixture *f = *state;
    f->options.keep_backups = 2;
    fixture_open(f);
    char first[PATH_MAX], second[PATH_MAX], third[PATH_MAX];
    backup(f, first);
    backup(f, second);
    backup(f, third);
    assert_false(hs_file_exists(first));
    assert_true(hs_file_exists(second));
    assert_true(hs_file_exists(third));
}

static void test_no_folder(void **state)
{
    struct fixture *f = *state;
    f->options.backup_dir = NULL;
    struct hs_gallery *g = fixture_open(f);
    struct hs_gallery_backups *list;
    assert_int_equal(hs_gallery_backup(g, NULL, NULL), HS_EUNSUPPORTED);
    assert_int_equal(hs_gallery_list_backups(g, &list, NULL), 0);
    assert_int_equal(list->count, 0);
    hs_gallery_backups_destroy(list);
}

/* Overwrites one byte in the middle of a file, or cuts the file there. */
static void spoil(const char *path, bool cut)
{
    uint8_t *data;
    size_t len;
    assert_int_equal(hs_file_read(path, 1 << 24, &data, &len, NULL), 0);
    data[len / 2] ^= 0xff;
    assert_int_equal(hs_file_write_atomic(path, data, cut ? len / 2 : len, 0600, NULL), 0);
    free(data);
}

static void test_bad_backups(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    char path[PATH_MAX], other[PATH_MAX];
    add(g, "a", 1);
    backup(f, path);
    spoil(path, false);
    assert_int_equal(hs_gallery_restore(g, path, NULL), HS_EDECODE);
    backup(f, path);
    spoil(path, true);
    assert_int_equal(hs_gallery_restore(g, path, NULL), HS_EDECODE);
    hs_path_join(other, sizeof(other), f->dir, "other.db");
    run_sql(other, "CREATE TABLE t (a)");
    assert_int_equal(hs_gallery_restore(g, other, NULL), HS_EDECODE);
    assert_int_equal(hs_gallery_restore(g, "nothing", NULL), HS_ENOTFOUND);
    assert_int_equal(count_of(g, "a"), 1);
    /* An old file is one, too. */
    unlink(other);
    write_first_schema(other);
    assert_int_equal(hs_gallery_restore(g, other, NULL), 0);
    assert_int_equal(count_of(g, "Bob"), 1);
    assert_int_equal(stats_of(g).embeddings, 2);
}

static void damage(struct fixture *f)
{
    uint8_t *data;
    size_t len;
    fixture_close(f);
    assert_int_equal(hs_file_read(f->path, 1 << 24, &data, &len, NULL), 0);
    for (size_t i = 4096; i < len; i += 3)
        data[i] ^= 0x5a;
    assert_int_equal(hs_file_write_atomic(f->path, data, len, 0600, NULL), 0);
    free(data);
}

static void test_damaged_file(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    char good[PATH_MAX], bad[PATH_MAX];
    add(g, "a", 1);
    backup(f, good);
    add(g, "b", 2);
    backup(f, bad);
    spoil(bad, true);
    damage(f);
    g = fixture_open(f);
    assert_true(hs_file_exists(f->opened.set_aside));
    assert_string_equal(f->opened.restored_from, good);
    assert_false(f->opened.created);
    assert_int_equal(count_of(g, "a"), 1);
    assert_int_equal(count_of(g, "b"), -1);
    /* It is named as something that may hold erased data. */
    struct hs_gallery_erased erased;
    assert_int_equal(hs_gallery_remove(g, "a", &erased, NULL), 0);
    assert_int_equal(erased.file_count, 3);
    hs_gallery_erased_finish(&erased);
}

static void test_damaged_without_backup(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "a", 1);
    damage(f);
    struct hs_gallery *g = fixture_open(f);
    assert_true(hs_file_exists(f->opened.set_aside));
    assert_string_equal(f->opened.restored_from, "");
    assert_true(f->opened.created);
    assert_int_equal(stats_of(g).identities, 0);
    fixture_close(f);
    assert_int_equal(hs_file_write_atomic(f->path, "no database at all, but long enough to look at", 46, 0600, NULL),
                     0);
    fixture_open(f);
    assert_true(hs_file_exists(f->opened.set_aside));
}

/* Whichever byte is flipped: it opens, and what it then shows is whole. */
static void test_flipped_bytes(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    backup(f, (char[PATH_MAX]){ 0 });
    fixture_close(f);
    uint8_t *data;
    size_t len;
    assert_int_equal(hs_file_read(f->path, 1 << 24, &data, &len, NULL), 0);
    for (size_t i = 0; i < len; i += i < 200 ? 1 : 509) {
        data[i] ^= 0xff;
        assert_int_equal(hs_file_write_atomic(f->path, data, len, 0600, NULL), 0);
        data[i] ^= 0xff;
        struct hs_error err = { 0 };
        int r = hs_gallery_open(&f->options, &g, &f->opened, &err);
        if (r < 0) {
            /* The version number is part of the file, and so may seem to be of the future. */
            if (r != HS_EVERSION)
                print_error("byte %zu: %s\n", i, err.message);
            assert_int_equal(r, HS_EVERSION);
            continue;
        }
        assert_int_equal(hs_gallery_check(g, &err), 0);
        hs_gallery_close(g);
        unlink(f->opened.set_aside);
    }
    free(data);
}

/* Whole pages, but a column that is not ours. */
static void test_foreign_tables(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "a", 1);
    backup(f, (char[PATH_MAX]){ 0 });
    fixture_close(f);
    run_sql(f->path, "ALTER TABLE embeddings RENAME COLUMN space TO spice");
    fixture_open(f);
    assert_true(hs_file_exists(f->opened.set_aside));
    assert_true(f->opened.restored_from[0]);
    assert_int_equal(count_of(f->gallery, "a"), 1);
}

static void test_leftovers_go(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];
    hs_path_join(path, sizeof(path), f->dir, "faces.db.restore-123456-journal");
    assert_int_equal(hs_file_write_atomic(path, "x", 1, 0600, NULL), 0);
    fixture_open(f);
    assert_false(hs_file_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_backup_and_restore), GALLERY_TEST(test_keep),
        GALLERY_TEST(test_no_folder),          GALLERY_TEST(test_bad_backups),
        GALLERY_TEST(test_damaged_file),       GALLERY_TEST(test_damaged_without_backup),
        GALLERY_TEST(test_flipped_bytes),      GALLERY_TEST(test_foreign_tables),
        GALLERY_TEST(test_leftovers_go),
    };
    return HS_RUN_TESTS(tests);
}
