/* Other programs truncate, replace or delete the files of a gallery. Acknowledged changes are never
 * lost silently, and no log is replayed into a foreign file. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

static const char *beside(const struct fixture *f, const char *end)
{
    static char path[PATH_MAX];
    hs_str_format(path, sizeof(path), "%s%s", f->path, end);
    return path;
}

static size_t count_set_aside(struct fixture *f)
{
    struct hs_gallery_backups *files;
    size_t count = 0;
    assert_int_equal(hs_gallery_list_backups(f->gallery, &files, NULL), 0);
    for (size_t i = 0; i < files->count; i++)
        count += files->items[i].set_aside;
    hs_gallery_backups_destroy(files);
    return count;
}

/* Creates a gallery with one person in another file. */
static void make_other(const struct fixture *f, const char *path)
{
    struct hs_gallery_options options = f->options;
    struct hs_gallery *other;
    options.path = path;
    assert_int_equal(hs_gallery_open(&options, &other, NULL, NULL), 0);
    add(other, "other", 7);
    hs_gallery_close(other);
    char uid[PATH_MAX];
    hs_str_format(uid, sizeof(uid), "%s.uid", path);
    assert_int_equal(unlink(uid), 0);
}

static void test_empty_file_is_restored(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
    fixture_close(f);
    assert_int_equal(truncate(f->path, 0), 0);
    struct hs_gallery *g = fixture_open(f);
    assert_true(f->opened.set_aside[0] && f->opened.restored_from[0] && !f->opened.created);
    assert_int_equal(count_of(g, "a"), 1);
}

static void test_missing_file_is_restored(void **state)
{
    struct fixture *f = *state;
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
    fixture_close(f);
    assert_int_equal(unlink(f->path), 0);
    /* A killed process leaves its log behind. The log must not be replayed into the restored file. */
    int fd = open(beside(f, "-wal"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(hs_file_write_all(fd, "log", 3), 0);
    close(fd);
    struct hs_gallery *g = fixture_open(f);
    assert_true(!f->opened.set_aside[0] && f->opened.restored_from[0] && !f->opened.created);
    assert_int_equal(count_of(g, "a"), 1);
    assert_int_equal(count_set_aside(f), 1);
}

static void test_empty_file_without_backup(void **state)
{
    struct fixture *f = *state;
    f->options.backup_dir = NULL;
    add(fixture_open(f), "a", 1);
    fixture_close(f);
    assert_int_equal(truncate(f->path, 0), 0);
    fixture_open(f);
    assert_true(f->opened.set_aside[0] && !f->opened.restored_from[0] && f->opened.created);
    fixture_close(f);
    /* Without any file beside it, an empty file is a new gallery. */
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(unlink(beside(f, ".uid")), 0);
    assert_int_equal(unlink(f->opened.set_aside), 0);
    close(open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    fixture_open(f);
    assert_true(f->opened.created && !f->opened.set_aside[0]);
}

/* With and without a change or a reader that detects it. */
static void test_log_of_replaced_file(void **state)
{
    struct fixture *f = *state;
    char other[PATH_MAX];
    hs_str_format(other, sizeof(other), "%s.other", f->path);
    for (int i = 0; i < 3; i++) {
        struct hs_gallery *g = fixture_open(f);
        add(g, "a", 1);
        make_other(f, other);
        assert_int_equal(rename(other, f->path), 0);
        if (i == 1)
            assert_int_equal(try_add(g, "b", 2, NULL), HS_EIO);
        if (i == 2)
            assert_true(hs_gallery_backup(g, NULL, NULL) < 0);
        fixture_close(f);
        g = fixture_open(f);
        assert_false(f->opened.set_aside[0]);
        assert_int_equal(count_of(g, "a"), -1);
        assert_int_equal(count_of(g, "other"), 1);
        assert_int_equal(hs_gallery_check(g, NULL), 0);
        assert_int_equal(count_set_aside(f), i + 1);
        fixture_close(f);
    }
}

/* The log lies beside the real file. Redirecting the link to another file leaves the log in place. */
static void test_log_of_link(void **state)
{
    struct fixture *f = *state;
    char real[PATH_MAX], other[PATH_MAX];
    hs_str_format(real, sizeof(real), "%s.real", f->path);
    hs_str_format(other, sizeof(other), "%s.other", f->path);
    assert_int_equal(symlink(real, f->path), 0);
    close(open(real, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    add(fixture_open(f), "a", 1);
    make_other(f, other);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(symlink(other, f->path), 0);
    assert_int_equal(try_add(f->gallery, "b", 2, NULL), HS_EIO);
    fixture_close(f);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(symlink(real, f->path), 0);
    assert_int_equal(count_of(fixture_open(f), "a"), 1);
    fixture_close(f);
    /* Replaces the file that the link leads to. */
    add(fixture_open(f), "c", 3);
    assert_int_equal(rename(other, real), 0);
    fixture_close(f);
    struct hs_gallery *g = fixture_open(f);
    assert_int_equal(count_of(g, "c"), -1);
    assert_int_equal(count_of(g, "other"), 1);
    assert_int_equal(count_set_aside(f), 1);
}

/* ---- changes while the gallery is open ---- */

/* Overwrites in place, like cp: the inode stays the same. */
static void overwrite(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(hs_file_write_all(fd, data, len), 0);
    close(fd);
}

enum harm { TRUNCATE_ALL, TRUNCATE_MOST, GARBAGE, COPY_OVER, MOVE_OVER, DELETE_LOG, REPLACE_LOG, HARMS };

static enum hs_gallery_loss do_harm(const struct fixture *f, enum harm harm)
{
    char other[PATH_MAX], noise[30000];
    uint8_t *data;
    size_t len;
    hs_str_format(other, sizeof(other), "%s.other", f->path);
    switch (harm) {
    case TRUNCATE_ALL:
    case TRUNCATE_MOST:
        assert_int_equal(truncate(f->path, harm == TRUNCATE_ALL ? 0 : 4096), 0);
        return HS_GALLERY_BROKEN;
    case GARBAGE:
        memset(noise, 'x', sizeof(noise));
        overwrite(f->path, noise, sizeof(noise));
        return HS_GALLERY_BROKEN;
    case COPY_OVER:
        assert_int_equal(hs_file_read(other, 1 << 24, &data, &len, NULL), 0);
        overwrite(f->path, data, len);
        free(data);
        return HS_GALLERY_EXCHANGED;
    case MOVE_OVER:
        assert_int_equal(rename(other, f->path), 0);
        return HS_GALLERY_GONE;
    default:
        assert_int_equal(unlink(beside(f, "-wal")), 0);
        if (harm == REPLACE_LOG)
            close(open(beside(f, "-wal"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        return HS_GALLERY_LOG_GONE;
    }
}

static void assert_lost(struct fixture *f, enum hs_gallery_loss loss)
{
    struct hs_error err;
    assert_int_equal(try_add(f->gallery, "late", 99, NULL), HS_EIO);
    assert_int_equal(hs_gallery_get_counts(f->gallery).lost, loss);
    assert_int_equal(hs_gallery_rename(f->gallery, "a", "z", &err), HS_EIO);
    assert_non_null(strstr(err.message, hs_gallery_loss_text(loss)));
    assert_int_equal(hs_gallery_remove(f->gallery, "a", NULL, NULL), HS_EIO);
    assert_true(hs_gallery_backup(f->gallery, NULL, NULL) < 0);
    assert_int_equal(hs_gallery_check_use(f->gallery, &err), HS_EIO);
}

/* Opening checks the file, so a small one is completely in memory afterwards. */
static void open_with_one(struct fixture *f)
{
    add(fixture_open(f), "a", 1);
    fixture_close(f);
    fixture_open(f);
}

static void use_and_lose(struct fixture *f, enum harm harm, bool checkpointed)
{
    open_with_one(f);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
    add(f->gallery, "b", 2);
    add(f->gallery, "x", 4);
    if (checkpointed)
        assert_int_equal(hs_gallery_remove(f->gallery, "x", NULL, NULL), 0);
    add(f->gallery, "c", 3);
    assert_lost(f, do_harm(f, harm));
}

/* Runs use_and_lose in a child process and kills it. */
static void use_lose_and_die(struct fixture *f, enum harm harm, bool checkpointed)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        use_and_lose(f, harm, checkpointed);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Finds a backup of the lost gallery: use_and_lose made the first, and saving the lost gallery made
 * the second. */
static void find_backup(const struct fixture *f, int number, char ret_path[PATH_MAX])
{
    DIR *dir = opendir(f->backups);
    struct dirent *entry;
    char prefix[32];
    hs_str_format(prefix, sizeof(prefix), "faces-%06d-", number);
    ret_path[0] = '\0';
    while ((entry = readdir(dir)))
        if (hs_str_starts(entry->d_name, prefix))
            hs_path_join(ret_path, PATH_MAX, f->backups, entry->d_name);
    closedir(dir);
    assert_true(ret_path[0]);
}

/* After a restart all acknowledged changes exist. If another gallery is at the path, they exist
 * after restoring the backup named in the message. */
static void test_each_loss(void **state)
{
    (void) state;
    for (int i = 0; i < 4 * HARMS; i++) {
        void *own;
        assert_int_equal(fixture_setup(&own), 0);
        struct fixture *f = own;
        enum harm harm = i / 4;
        bool killed = i % 2, replaced = harm == COPY_OVER || harm == MOVE_OVER;
        char other[PATH_MAX];
        hs_str_format(other, sizeof(other), "%s.other", f->path);
        make_other(f, other);
        if (killed)
            use_lose_and_die(f, harm, i / 2 % 2);
        else
            use_and_lose(f, harm, i / 2 % 2);
        if (!killed)
            fixture_close(f);
        struct hs_gallery *g = fixture_open(f);
        /* An erasure drops the pages in memory. Content that was only in the file is then lost, and
         * the backup is restored. */
        bool in_part = i / 2 % 2 && harm <= COPY_OVER;
        if (replaced) {
            char found[PATH_MAX];
            assert_int_equal(count_of(g, "other"), 1);
            assert_int_equal(count_of(g, "a"), -1);
            assert_int_equal(hs_gallery_check(g, NULL), 0);
            assert_int_equal(count_set_aside(f), 1);
            find_backup(f, in_part ? 1 : 2, found);
            assert_int_equal(hs_gallery_restore(g, found, NULL), 0);
        }
        assert_int_equal(count_of(g, "a"), 1);
        assert_int_equal(count_of(g, "b"), in_part ? -1 : 1);
        assert_int_equal(count_of(g, "c"), in_part ? -1 : 1);
        assert_true(!in_part || replaced || f->opened.restored_from[0]);
        assert_int_equal(count_of(g, "late"), -1);
        assert_int_equal(hs_gallery_check(g, NULL), 0);
        add(g, "next", 50);
        assert_int_equal(hs_gallery_get_counts(g).lost, HS_GALLERY_KEPT);
        fixture_teardown(&own);
    }
}

/* Closing the gallery detects the loss, too. */
static void test_no_change_in_between(void **state)
{
    struct fixture *f = *state;
    open_with_one(f);
    add(f->gallery, "b", 2);
    assert_int_equal(truncate(f->path, 0), 0);
    fixture_close(f);
    assert_int_equal(count_of(fixture_open(f), "b"), 1);
    assert_int_equal(count_of(f->gallery, "a"), 1);
}

/* Saving fails while the disk is full, and succeeds later. */
static void test_saved_later(void **state)
{
    struct fixture *f = *state;
    open_with_one(f);
    add(f->gallery, "b", 2);
    do_harm(f, TRUNCATE_ALL);
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 8192;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int r = try_add(f->gallery, "late", 9, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(r, HS_EIO);
    struct hs_gallery_backups *files;
    assert_int_equal(hs_gallery_list_backups(f->gallery, &files, NULL), 0);
    assert_int_equal(files->count, 0);
    hs_gallery_backups_destroy(files);
    fixture_close(f);
    assert_int_equal(count_of(fixture_open(f), "a"), 1);
    assert_true(f->opened.restored_from[0]);
}

/* A reader keeps a part of the log out of the file: page 1 may already count pages that are not yet written. */
static void test_partial_checkpoint_is_no_loss(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    sqlite3 *reader;
    for (unsigned i = 0; i < 600; i++) {
        add(g, "many", i);
        if (i % 6 == 2) {
            assert_int_equal(sqlite3_open(f->path, &reader), SQLITE_OK);
            assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM identities", NULL, NULL, NULL),
                             SQLITE_OK);
        }
        if (i % 6 > 2)
            run_sql(f->path, "PRAGMA wal_checkpoint(PASSIVE)");
        if (i % 6 == 5) {
            assert_int_equal(sqlite3_close(reader), SQLITE_OK);
            run_sql(f->path, "PRAGMA wal_checkpoint(TRUNCATE)");
        }
    }
    assert_int_equal(hs_gallery_get_counts(g).lost, HS_GALLERY_KEPT);
    assert_int_equal(hs_gallery_check(g, NULL), 0);
}

/* Normal use of the file by others is not a loss, either: changes through SQLite, checkpoints, touch, chmod. */
static void test_others_are_no_loss(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f), *other;
    assert_int_equal(hs_gallery_open(&f->options, &other, NULL, NULL), 0);
    for (unsigned i = 0; i < 40; i++) {
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
    assert_int_equal(chmod(f->path, 0600), 0);
    assert_int_equal(hs_gallery_backup(g, NULL, NULL), 0);
    assert_int_equal(hs_gallery_get_counts(g).lost, HS_GALLERY_KEPT);
    assert_int_equal(hs_gallery_get_counts(other).lost, HS_GALLERY_KEPT);
    hs_gallery_close(other);
}

/* File names may contain characters that are special in a URI. */
static void test_strange_path(void **state)
{
    struct fixture *f = *state;
    hs_str_format(f->path, sizeof(f->path), "%s/a %%41?#'.db", f->dir);
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_remove(f->gallery, "a", NULL, NULL), 0);
    add(f->gallery, "b", 1);
    assert_lost(f, do_harm(f, TRUNCATE_MOST));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_empty_file_is_restored),
        GALLERY_TEST(test_missing_file_is_restored),
        GALLERY_TEST(test_empty_file_without_backup),
        GALLERY_TEST(test_log_of_replaced_file),
        GALLERY_TEST(test_log_of_link),
        cmocka_unit_test(test_each_loss),
        GALLERY_TEST(test_no_change_in_between),
        GALLERY_TEST(test_saved_later),
        GALLERY_TEST(test_partial_checkpoint_is_no_loss),
        GALLERY_TEST(test_others_are_no_loss),
        GALLERY_TEST(test_strange_path),
    };
    return HS_RUN_TESTS(tests);
}
