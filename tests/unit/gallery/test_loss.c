/* Other programs that truncate, overwrite or delete the files of a gallery while it is open. No change that was
 * acknowledged may be gone afterwards without a word. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

/* As cp does it: the same inode. */
static void overwrite(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(hs_file_write_all(fd, data, len), 0);
    close(fd);
}

static void read_file(const char *path, uint8_t **ret_data, size_t *ret_len)
{
    assert_int_equal(hs_file_read(path, 1 << 24, ret_data, ret_len, NULL), 0);
}

static const char *beside(const struct fixture *f, const char *end)
{
    static char path[PATH_MAX];
    hs_str_format(path, sizeof(path), "%s%s", f->path, end);
    return path;
}

/* A change fails and says why, and so it stays. */
static void assert_lost(struct fixture *f, enum hs_gallery_loss loss)
{
    struct hs_error err;
    struct hs_gallery *g = f->gallery;
    assert_int_equal(hs_gallery_rename(g, "a", "z", &err), HS_EIO);
    assert_non_null(strstr(err.message, hs_gallery_loss_text(loss)));
    assert_non_null(strstr(err.message, "until the service is restarted"));
    assert_int_equal(hs_gallery_get_counts(g).lost, loss);
    assert_int_equal(try_add(g, "late", 99, NULL), HS_EIO);
    assert_int_equal(hs_gallery_remove(g, "a", NULL, NULL), HS_EIO);
    assert_true(hs_gallery_backup(g, NULL, NULL) < 0);
    assert_int_equal(hs_gallery_check_use(g, false, &err), HS_EIO);
}

static struct hs_gallery *open_with(struct fixture *f, bool in_file)
{
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    add(g, "b", 2);
    if (in_file) {
        fixture_close(f);
        g = fixture_open(f);
    }
    return g;
}

/* What is at the path when the gallery opens again has both, and is whole. */
static void assert_whole(struct fixture *f, int64_t embeddings)
{
    fixture_close(f);
    struct hs_gallery *g = fixture_open(f);
    assert_int_equal(hs_gallery_check(g, NULL), 0);
    assert_int_equal(count_of(g, "a"), 1);
    assert_int_equal(count_of(g, "b"), 1);
    assert_int_equal(stats_of(g).embeddings, embeddings);
    add(g, "next", 50);
    assert_int_equal(hs_gallery_get_counts(g).lost, HS_GALLERY_KEPT);
}

/* After the file itself has lost something: all is there, or a backup took its place, and that is told. */
static void assert_saved_or_restored(struct fixture *f, int64_t embeddings)
{
    bool saved = hs_gallery_get_counts(f->gallery).saved;
    fixture_close(f);
    struct hs_gallery *g = fixture_open(f);
    assert_int_equal(hs_gallery_check(g, NULL), 0);
    assert_int_equal(count_of(g, "a"), 1);
    assert_int_equal(count_of(g, "b"), 1);
    if (stats_of(g).embeddings != embeddings)
        assert_true(!saved && f->opened.set_aside[0] && f->opened.restored_from[0]);
    add(g, "next", 50);
}

static void test_truncated(void **state)
{
    struct fixture *f = *state;
    for (off_t size = 0; size < 100000; size += size % 4096 ? 3996 : 100) {
        struct hs_error err;
        struct hs_gallery *g = open_with(f, size % 3 == 0);
        assert_int_equal(hs_gallery_backup(g, NULL, NULL), 0);
        add(g, "c", 3);
        struct stat st;
        assert_int_equal(stat(f->path, &st), 0);
        if (size >= st.st_size)
            break;
        assert_int_equal(truncate(f->path, size), 0);
        assert_lost(f, HS_GALLERY_BROKEN);
        hs_gallery_check_use(g, false, &err);
        assert_non_null(
            strstr(err.message, hs_gallery_get_counts(g).saved ? "is there then" : "newest good backup takes its"));
        assert_saved_or_restored(f, 3);
        for (const char *const *name = (const char *const[]) { "a", "b", "c", "next", NULL }; *name; name++)
            hs_gallery_remove(f->gallery, *name, NULL, NULL);
        fixture_close(f);
    }
}

/* What only the file had cannot be saved: the newest backup takes its place, also after a kill. */
static void test_truncated_and_restored(void **state)
{
    struct fixture *f = *state;
    for (int told = 0; told < 2; told++) {
        struct hs_gallery *g = open_with(f, false);
        for (unsigned i = 0; i < 3000; i++)
            add(g, "many", 100 + i);
        assert_int_equal(hs_gallery_backup(g, NULL, NULL), 0);
        fixture_close(f);
        g = fixture_open(f);
        assert_int_equal(truncate(f->path, 0), 0);
        if (told)
            assert_lost(f, HS_GALLERY_BROKEN);
        assert_true(!told || !hs_gallery_get_counts(g).saved);
        fixture_close(f);
        g = fixture_open(f);
        assert_true(f->opened.set_aside[0] && f->opened.restored_from[0] && !f->opened.created);
        assert_int_equal(count_of(g, "a"), 1);
        assert_int_equal(count_of(g, "many"), 3000);
        for (const char *const *name = (const char *const[]) { "a", "b", "many", NULL }; *name; name++)
            assert_int_equal(hs_gallery_remove(g, *name, NULL, NULL), 0);
        fixture_close(f);
    }
}

static void test_empty_without_a_backup(void **state)
{
    struct fixture *f = *state;
    f->options.backup_dir = NULL;
    open_with(f, true);
    fixture_close(f);
    overwrite(f->path, "", 0);
    int fd = open(beside(f, "-wal"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(hs_file_write_all(fd, "log", 3), 0);
    close(fd);
    fixture_open(f);
    assert_true(f->opened.set_aside[0] && !f->opened.restored_from[0]);
    assert_true(hs_file_exists(f->opened.set_aside));
    fixture_close(f);
    /* An empty file beside which there is nothing is a new gallery. */
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(unlink(f->opened.set_aside), 0);
    fd = open(f->path, O_WRONLY | O_CREAT, 0600);
    close(fd);
    fixture_open(f);
    assert_true(f->opened.created && !f->opened.set_aside[0]);
}

static void test_overwritten_with_no_database(void **state)
{
    struct fixture *f = *state;
    char noise[30000];
    assert_int_equal(hs_gallery_backup(open_with(f, false), NULL, NULL), 0);
    memset(noise, 'x', sizeof(noise));
    overwrite(f->path, noise, sizeof(noise));
    assert_lost(f, HS_GALLERY_BROKEN);
    assert_saved_or_restored(f, 2);
}

/* The file is then what the other program wanted; nothing of the log comes into it. */
static void test_overwritten_with_a_database(void **state)
{
    struct fixture *f = *state;
    uint8_t *older, *other;
    size_t older_len, other_len;
    char path[PATH_MAX];
    struct hs_gallery *elsewhere;
    hs_str_format(path, sizeof(path), "%s/other.db", f->dir);
    struct hs_gallery_options options = f->options;
    options.path = path;
    assert_int_equal(hs_gallery_open(&options, &elsewhere, NULL, NULL), 0);
    add(elsewhere, "other", 7);
    hs_gallery_close(elsewhere);
    read_file(path, &other, &other_len);
    open_with(f, false);
    fixture_close(f);
    read_file(f->path, &older, &older_len);
    for (int i = 0; i < 4; i++) {
        bool told = i % 2, is_older = i / 2;
        overwrite(f->path, older, older_len);
        struct hs_gallery *g = fixture_open(f);
        add(g, "new", 3);
        assert_int_equal(hs_gallery_remove(g, "b", NULL, NULL), 0); /* a checkpoint */
        add(g, "newer", 4);
        overwrite(f->path, is_older ? older : other, is_older ? older_len : other_len);
        if (told)
            assert_lost(f, HS_GALLERY_EXCHANGED);
        fixture_close(f);
        g = fixture_open(f);
        assert_int_equal(hs_gallery_check(g, NULL), 0);
        assert_int_equal(f->opened.set_aside[0], 0);
        assert_int_equal(stats_of(g).identities, is_older ? 2 : 1);
        assert_int_equal(count_of(g, is_older ? "b" : "other"), 1);
        struct hs_gallery_backups *files;
        assert_int_equal(hs_gallery_list_backups(g, &files, NULL), 0);
        assert_true(files->count > 0 && files->items[files->count - 1].set_aside); /* the log */
        hs_gallery_backups_destroy(files);
        fixture_close(f);
    }
    free(older);
    free(other);
}

static void test_log_deleted_replaced_or_truncated(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        struct hs_gallery *g = fixture_open(f);
        if (i == 0) {
            add(g, "a", 1);
            add(g, "b", 2);
        }
        char name[16];
        hs_str_format(name, sizeof(name), "n%d", i);
        add(g, name, 10 + (unsigned) i);
        if (i < 2)
            assert_int_equal(unlink(beside(f, "-wal")), 0);
        if (i == 1)
            close(open(beside(f, "-wal"), O_WRONLY | O_CREAT, 0600));
        if (i == 2)
            assert_int_equal(truncate(beside(f, "-wal"), 100), 0);
        assert_lost(f, HS_GALLERY_LOG_GONE);
        assert_true(hs_gallery_get_counts(g).saved);
        assert_whole(f, 3 + i);
        assert_int_equal(hs_gallery_remove(f->gallery, "next", NULL, NULL), 0);
        fixture_close(f);
    }
}

/* Closing notices it, too. */
static void test_no_change_in_between(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            open_with(f, false);
        else
            fixture_open(f);
        assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
        assert_int_equal(truncate(i == 0 ? f->path : beside(f, "-wal"), 0), 0);
        assert_saved_or_restored(f, 2);
        assert_int_equal(hs_gallery_remove(f->gallery, "next", NULL, NULL), 0);
        fixture_close(f);
    }
}

static void test_the_index_of_the_log_deleted(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = open_with(f, false);
    assert_int_equal(unlink(beside(f, "-shm")), 0);
    add(g, "c", 3);
    assert_whole(f, 3);
}

/* What others do to a file in its use is no loss: reading, changes through SQLite, checkpoints, touch, chmod. */
static void test_not_lost(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = open_with(f, true), *other;
    assert_int_equal(hs_gallery_open(&f->options, &other, NULL, NULL), 0);
    for (unsigned i = 0; i < 20; i++) {
        add(i % 2 ? g : other, "c", 10 + i);
        if (i % 5 == 0)
            assert_int_equal(utimensat(AT_FDCWD, f->path, NULL, 0), 0);
        if (i % 3 == 0)
            run_sql(f->path, "PRAGMA wal_checkpoint(TRUNCATE)");
        if (i % 4 == 0)
            run_sql(f->path, "VACUUM");
        if (i % 7 == 0)
            assert_int_equal(hs_gallery_remove(i % 2 ? g : other, "c", NULL, NULL), 0);
        assert_int_equal(chmod(f->path, i % 2 ? 0400 : 0600), 0);
    }
    assert_int_equal(hs_gallery_backup(g, NULL, NULL), 0);
    assert_int_equal(hs_gallery_get_counts(g).lost, HS_GALLERY_KEPT);
    assert_int_equal(hs_gallery_get_counts(other).lost, HS_GALLERY_KEPT);
    assert_int_equal(chmod(f->path, 0600), 0);
    hs_gallery_close(other);
}

static size_t count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* SQLite keeps a descriptor open as long as closing it would drop a lock of the process, and uses it again. */
static void test_looking_takes_no_descriptors(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = open_with(f, false);
    size_t before = count_descriptors();
    for (unsigned i = 0; i < 50; i++) {
        add(g, "c", 3);
        assert_int_equal(hs_gallery_remove(g, "c", NULL, NULL), 0); /* a checkpoint */
    }
    assert_true(count_descriptors() <= before + 1);
}

/* The names of files need not be harmless in a URI. */
static void test_a_strange_path(void **state)
{
    struct fixture *f = *state;
    hs_str_format(f->path, sizeof(f->path), "%s/a %%41?#'.db", f->dir);
    assert_int_equal(hs_gallery_backup(open_with(f, false), NULL, NULL), 0);
    assert_int_equal(truncate(f->path, 0), 0);
    assert_lost(f, HS_GALLERY_BROKEN);
    assert_saved_or_restored(f, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_truncated),
        GALLERY_TEST(test_truncated_and_restored),
        GALLERY_TEST(test_empty_without_a_backup),
        GALLERY_TEST(test_overwritten_with_no_database),
        GALLERY_TEST(test_overwritten_with_a_database),
        GALLERY_TEST(test_log_deleted_replaced_or_truncated),
        GALLERY_TEST(test_no_change_in_between),
        GALLERY_TEST(test_the_index_of_the_log_deleted),
        GALLERY_TEST(test_not_lost),
        GALLERY_TEST(test_looking_takes_no_descriptors),
        GALLERY_TEST(test_a_strange_path),
    };
    return HS_RUN_TESTS(tests);
}
