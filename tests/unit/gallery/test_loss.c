/* Other programs that truncate, replace or delete the files of a gallery. What was acknowledged is not gone without a
 * word, and no log gets into a file that it does not belong to. */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

/* A gallery of one person in another file. */
static void make_other(const struct fixture *f, const char *path)
{
    struct hs_gallery_options options = f->options;
    struct hs_gallery *other;
    options.path = path;
    assert_int_equal(hs_gallery_open(&options, &other, NULL, NULL), 0);
    add(other, "other", 7);
    hs_gallery_close(other);
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
    /* As it is left by a kill: the log must not get into what is restored. */
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
    /* One beside which there is nothing is a new gallery. */
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(unlink(beside(f, ".uid")), 0);
    assert_int_equal(unlink(f->opened.set_aside), 0);
    close(open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    fixture_open(f);
    assert_true(f->opened.created && !f->opened.set_aside[0]);
}

/* With and without a change, or a reader, that notices it. */
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

/* The log lies beside the file itself. A new link to another file takes nothing from it. */
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
    /* The file that the link leads to is replaced. */
    add(fixture_open(f), "c", 3);
    assert_int_equal(rename(other, real), 0);
    fixture_close(f);
    struct hs_gallery *g = fixture_open(f);
    assert_int_equal(count_of(g, "c"), -1);
    assert_int_equal(count_of(g, "other"), 1);
    assert_int_equal(count_set_aside(f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_empty_file_is_restored),
        GALLERY_TEST(test_missing_file_is_restored),
        GALLERY_TEST(test_empty_file_without_backup),
        GALLERY_TEST(test_log_of_replaced_file),
        GALLERY_TEST(test_log_of_link),
    };
    return HS_RUN_TESTS(tests);
}
