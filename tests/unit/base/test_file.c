#include "../unit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_files_read_back),
        cmocka_unit_test(failures_name_the_path),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
