#include "../unit.h"

#include "folder.h"
#include "models/file_install.h"

static void copies(void **state)
{
    struct hs_error err = { 0 };
    folder_write(*state, "a", "model", 5);
    folder_write(*state, "b", "longer than that", 16);
    assert_int_equal(hs_install_copy(folder_path(*state, "a"), folder_path(*state, "b"), 5, &err), 0);
    assert_true(folder_holds(*state, "b", "model", 5));
    folder_write(*state, "empty", "", 0);
    assert_int_equal(hs_install_copy(folder_path(*state, "empty"), folder_path(*state, "b"), 0, &err), 0);
    assert_true(folder_holds(*state, "b", "", 0));
}

static void a_failed_copy_is_deleted(void **state)
{
    struct hs_error err = { 0 };
    folder_write(*state, "a", "model", 5);
    assert_int_equal(hs_install_copy(folder_path(*state, "a"), folder_path(*state, "b"), 4, &err), HS_ETOOLARGE);
    assert_false(folder_has(*state, "b"));
}

static void only_regular_files(void **state)
{
    struct hs_error err = { 0 };
    const char *to = folder_path(*state, "to");
    assert_int_equal(mkfifo(folder_path(*state, "fifo"), 0600), 0);
    assert_int_equal(hs_install_copy(folder_path(*state, "fifo"), to, 10, &err), HS_EIO); /* without blocking */
    assert_non_null(strstr(err.message, "is not a regular file"));
    assert_int_equal(hs_install_copy(*state, to, 10, &err), HS_EIO);
    assert_int_equal(hs_install_copy("/dev/zero", to, 10, &err), HS_EIO);
    assert_int_equal(hs_install_copy(folder_path(*state, "absent"), to, 10, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "absent"));
    assert_false(folder_has(*state, "to"));
}

static void a_link_is_read_but_not_written_through(void **state)
{
    struct hs_error err = { 0 };
    folder_write(*state, "a", "model", 5);
    folder_write(*state, "other", "mine", 4);
    assert_int_equal(symlink("a", folder_path(*state, "link")), 0);
    assert_int_equal(symlink("other", folder_path(*state, "trap")), 0);
    assert_int_equal(hs_install_copy(folder_path(*state, "link"), folder_path(*state, "b"), 10, &err), 0);
    assert_true(folder_holds(*state, "b", "model", 5));
    assert_int_equal(hs_install_copy(folder_path(*state, "a"), folder_path(*state, "trap"), 10, &err), HS_EIO);
    assert_true(folder_holds(*state, "other", "mine", 4));
}

static void moves(void **state)
{
    struct hs_error err = { 0 };
    folder_write(*state, "a", "model", 5);
    folder_write(*state, "b", "old", 3);
    assert_int_equal(hs_install_move(folder_path(*state, "a"), folder_path(*state, "b"), &err), 0);
    assert_false(folder_has(*state, "a"));
    assert_true(folder_holds(*state, "b", "model", 5));
    assert_int_equal(hs_install_move(folder_path(*state, "a"), folder_path(*state, "b"), &err), HS_EIO);
    assert_non_null(strstr(err.message, "/b"));
    assert_true(folder_holds(*state, "b", "model", 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(copies),
        FOLDER_TEST(a_failed_copy_is_deleted),
        FOLDER_TEST(only_regular_files),
        FOLDER_TEST(a_link_is_read_but_not_written_through),
        FOLDER_TEST(moves),
    };
    return HS_RUN_TESTS(tests);
}
