#include "../entries.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static char folder[] = "/tmp/hs-test-file-XXXXXX";

static int make_folder(void **state)
{
    (void) state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void) state;
    char command[PATH_MAX];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void written_files_read_back(void **state)
{
    (void) state;
    struct hs_error err;
    char path[PATH_MAX], hex[65];
    uint8_t *data;
    size_t len;
    assert_true(hs_path_join(path, sizeof(path), folder, "a/b/c"));
    assert_int_equal(hs_dir_make(path, &err), 0);
    assert_int_equal(hs_dir_make(path, &err), 0);
    assert_true(hs_path_join(path, sizeof(path), folder, "a/b/c/abc.txt"));
    assert_int_equal(hs_file_write_atomic(path, "old", 3, 0644, &err), 0);
    assert_int_equal(hs_file_write_atomic(path, "abc", 3, 0600, &err), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(hs_file_read(path, 3, &data, &len, &err), 0);
    assert_int_equal(len, 3);
    assert_string_equal((char *) data, "abc");
    free(data);
    assert_int_equal(hs_file_read(path, 2, &data, &len, &err), HS_ETOOLARGE);
    /* FIPS 180-2, appendix B.1 */
    assert_int_equal(hs_file_sha256(path, hex, &err), 0);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char of_bytes[65];
    hs_sha256("abc", 3, of_bytes);
    assert_string_equal(of_bytes, hex);
    assert_string_equal(hs_path_base(path), "abc.txt");
}

static void failures_name_the_path(void **state)
{
    (void) state;
    struct hs_error err;
    uint8_t *data;
    size_t len;
    char path[PATH_MAX];
    assert_true(hs_path_join(path, sizeof(path), folder, "none"));
    assert_int_equal(hs_file_read(path, 10, &data, &len, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(hs_file_read(folder, 10, &data, &len, &err), HS_EIO);
    assert_true(hs_path_join(path, sizeof(path), folder, "none/file"));
    assert_true(hs_file_write_atomic(path, "x", 1, 0644, &err) < 0);
    assert_true(hs_path_join(path, sizeof(path), folder, "plain"));
    assert_int_equal(hs_file_write_atomic(path, "x", 1, 0644, &err), 0);
    assert_true(hs_path_join(path, sizeof(path), folder, "plain/below"));
    assert_int_equal(hs_dir_make(path, &err), HS_EIO);
}

static void parents_of_paths(void **state)
{
    (void) state;
    static const char *const rows[][2] = { { "a/b", "a" }, { "/a/b/c", "/a/b" }, { "/a", "/" }, { "a", "." } };
    char parent[PATH_MAX];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(hs_path_parent(parent, sizeof(parent), rows[i][0]));
        assert_string_equal(parent, rows[i][1]);
    }
    assert_false(hs_path_parent(parent, 4, "/long/name"));
    assert_int_equal(hs_dir_make_parent("name", NULL), 0);
    assert_int_equal(hs_dir_make_parent("/name", NULL), 0);
}

static void no_descriptor_stays_open(void **state)
{
    (void) state;
    struct hs_error err;
    char path[PATH_MAX], none[PATH_MAX], hex[65];
    uint8_t *data;
    size_t len;
    int before = count_descriptors();
    assert_true(hs_path_join(path, sizeof(path), folder, "open"));
    assert_true(hs_path_join(none, sizeof(none), folder, "none/file"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hs_file_write_atomic(path, "x", 1, 0644, &err), 0);
        assert_true(hs_file_write_atomic(folder, "x", 1, 0644, &err) < 0);
        assert_true(hs_file_write_atomic(none, "x", 1, 0644, &err) < 0);
        assert_int_equal(hs_file_read(path, 9, &data, &len, &err), 0);
        free(data);
        assert_int_equal(hs_file_read(path, 0, &data, &len, &err), HS_ETOOLARGE);
        assert_true(hs_file_read(folder, 9, &data, &len, &err) < 0);
        assert_int_equal(hs_file_sha256(path, hex, &err), 0);
        assert_true(hs_file_sha256(folder, hex, &err) < 0);
        assert_int_equal(count_descriptors(), before);
    }
}

/* Reading a pipe without a writer fails at once. Only regular files are replaced, and no temporary file
 * remains. */
static void only_regular_files_are_read_and_replaced(void **state)
{
    (void) state;
    struct hs_error err;
    char target[PATH_MAX], paths[4][PATH_MAX], hex[65];
    uint8_t *data;
    size_t len;
    struct stat before, after;
    assert_true(hs_path_join(target, sizeof(target), folder, "target"));
    assert_true(hs_path_join(paths[0], PATH_MAX, folder, "pipe"));
    assert_true(hs_path_join(paths[1], PATH_MAX, folder, "link"));
    assert_true(hs_path_join(paths[2], PATH_MAX, folder, "dangling"));
    assert_true(hs_path_join(paths[3], PATH_MAX, folder, "folder"));
    assert_int_equal(hs_file_write_atomic(target, "kept", 4, 0644, &err), 0);
    assert_int_equal(mkfifo(paths[0], 0600), 0);
    assert_int_equal(symlink(target, paths[1]), 0);
    assert_int_equal(symlink("nowhere", paths[2]), 0);
    assert_int_equal(hs_dir_make(paths[3], &err), 0);
    assert_int_equal(hs_file_read(paths[0], 10, &data, &len, &err), HS_EIO);
    assert_int_equal(hs_file_sha256(paths[0], hex, &err), HS_EIO);
    int names = count_entries(folder);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(lstat(paths[i], &before), 0);
        assert_int_equal(hs_file_write_atomic(paths[i], "new", 3, 0600, &err), HS_EIO);
        assert_non_null(strstr(err.message, "not a regular file"));
        assert_int_equal(lstat(paths[i], &after), 0);
        assert_int_equal(after.st_ino, before.st_ino);
    }
    assert_int_equal(hs_file_write_atomic("/dev/null", "new", 3, 0600, &err), HS_EIO);
    struct hs_atomic_file file;
    assert_int_equal(hs_atomic_file_begin(&file, target, &err), 0);
    assert_int_equal(fstat(file.fd, &after), 0);
    assert_int_equal(after.st_mode & 0777, 0600);
    hs_atomic_file_abort(&file);
    assert_int_equal(count_entries(folder), names);
    assert_int_equal(hs_file_read(target, 10, &data, &len, &err), 0);
    assert_string_equal((char *) data, "kept");
    free(data);
}

static void one_lock_at_a_time(void **state)
{
    (void) state;
    int first = open(folder, O_RDONLY | O_DIRECTORY), second = open(folder, O_RDONLY | O_DIRECTORY);
    assert_true(first >= 0 && second >= 0);
    assert_int_equal(hs_file_lock(first, true), 0);
    assert_int_equal(hs_file_lock(second, false), HS_EBUSY);
    close(first);
    assert_int_equal(hs_file_lock(second, false), 0);
    close(second);
    assert_int_equal(hs_file_lock(second, true), HS_EIO);
}

/* More than a pipe's capacity, so that write() returns early. */
static void all_is_written(void **state)
{
    (void) state;
    enum { SIZE = 1 << 20 };
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        static char block[SIZE];
        memset(block, 'x', SIZE);
        close(ends[0]);
        _exit(hs_file_write_all(ends[1], block, SIZE) == 0 ? 0 : 1);
    }
    close(ends[1]);
    char piece[1000];
    size_t total = 0;
    ssize_t n;
    while ((n = read(ends[0], piece, sizeof(piece))) > 0)
        total += (size_t) n;
    close(ends[0]);
    int code = -1;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    assert_int_equal(total, SIZE);
    assert_int_equal(hs_file_write_all(-1, "x", 1), -1);
}

static void absolute_paths(void **state)
{
    (void) state;
    char path[PATH_MAX], here[PATH_MAX], expected[PATH_MAX];
    assert_non_null(getcwd(here, sizeof(here)));
    assert_true(hs_path_absolute(path, sizeof(path), "/a/b"));
    assert_string_equal(path, "/a/b");
    assert_false(hs_path_absolute(path, 4, "/a/b"));
    assert_true(hs_path_absolute(path, sizeof(path), "a/b"));
    snprintf(expected, sizeof(expected), "%.4000s/a/b", here);
    assert_string_equal(path, expected);
    assert_int_equal(chdir("/"), 0);
    assert_true(hs_path_absolute(path, sizeof(path), "a"));
    assert_string_equal(path, "/a");
    /* A relative path fails in a deleted folder. */
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("gone", 0755), 0);
    assert_int_equal(chdir("gone"), 0);
    assert_int_equal(rmdir("../gone"), 0);
    assert_false(hs_path_absolute(path, sizeof(path), "a"));
    assert_int_equal(chdir(here), 0);
}

static void paths_of_the_program(void **state)
{
    static const char *const names[] = { "x/y", "../x/y", "../../x/y" };
    (void) state;
    char path[PATH_MAX], folder_of_it[PATH_MAX], expected[PATH_MAX + 8];
    ssize_t len = readlink("/proc/self/exe", folder_of_it, sizeof(folder_of_it) - 1);
    assert_true(len > 0);
    folder_of_it[len] = '\0';
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        *strrchr(folder_of_it, '/') = '\0';
        snprintf(expected, sizeof(expected), "%s/x/y", folder_of_it);
        assert_true(hs_path_of_program(path, sizeof(path), names[i]));
        assert_string_equal(path, expected);
    }
    assert_false(hs_path_of_program(path, 3, "x"));
}

/* The FIFO has no writer. */
static void reading_does_not_wait_for_a_fifo(void **state)
{
    (void) state;
    char path[PATH_MAX];
    struct hs_error err;
    uint8_t *data;
    size_t len;
    assert_true(hs_path_join(path, sizeof(path), folder, "fifo"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(hs_file_read(path, 100, &data, &len, &err), HS_EIO);
    assert_non_null(strstr(err.message, "not a regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_files_read_back),
        cmocka_unit_test(failures_name_the_path),
        cmocka_unit_test(parents_of_paths),
        cmocka_unit_test(no_descriptor_stays_open),
        cmocka_unit_test(one_lock_at_a_time),
        cmocka_unit_test(all_is_written),
        cmocka_unit_test(absolute_paths),
        cmocka_unit_test(paths_of_the_program),
        cmocka_unit_test(reading_does_not_wait_for_a_fifo),
        cmocka_unit_test(only_regular_files_are_read_and_replaced),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
