#include "../unit.h"

#include "archives.h"
#include "base/mem.h"
#include "folder.h"
#include "models/file_install.h"

static const struct archive_member members[] = {
    { "package/readme.txt", "read me", NULL },
    { "package/model.pt", "the weights", NULL },
    { "../outside", "gotcha", NULL },
    { "package/link", NULL, "/etc/hostname" },
    { "package/empty", "", NULL },
};

static int take(const char *folder, const char *archive, const char *member, uint64_t max, struct hs_error *err)
{
    return hs_install_member(folder_path(folder, archive), member, folder_path(folder, "out"), max, err);
}

static void from_zip_and_tar(void **state)
{
    for (int zip = 0; zip < 2; zip++) {
        struct hs_error err = { 0 };
        archive_make(folder_path(*state, "a"), zip, members, HS_ARRAY_LEN(members));
        folder_write(*state, "out", "something longer than the member", 32);
        assert_int_equal(take(*state, "a", "package/model.pt", 11, &err), 0);
        assert_true(folder_holds(*state, "out", "the weights", 11));
        assert_int_equal(take(*state, "a", "package/empty", 11, &err), 0);
        assert_true(folder_holds(*state, "out", "", 0));
        assert_int_equal(take(*state, "a", "../outside", 11, &err), 0); /* written to our path, not to the member's */
        assert_true(folder_holds(*state, "out", "gotcha", 6));
        assert_false(folder_has(*state, "../outside"));
    }
}

static void missing_members(void **state)
{
    for (int zip = 0; zip < 2; zip++) {
        struct hs_error err = { 0 };
        archive_make(folder_path(*state, "a"), zip, members, HS_ARRAY_LEN(members));
        assert_int_equal(take(*state, "a", "model.pt", 100, &err), HS_ENOTFOUND);
        assert_non_null(strstr(err.message, "model.pt"));
        assert_int_equal(take(*state, "a", "package", 100, &err), HS_ENOTFOUND);
        assert_false(folder_has(*state, "out"));
    }
}

static void limits_and_links(void **state)
{
    for (int zip = 0; zip < 2; zip++) {
        struct hs_error err = { 0 };
        archive_make(folder_path(*state, "a"), zip, members, HS_ARRAY_LEN(members));
        assert_int_equal(take(*state, "a", "package/model.pt", 10, &err), HS_ETOOLARGE);
        assert_int_equal(take(*state, "a", "package/link", 100, &err), HS_EMODEL);
        assert_false(folder_has(*state, "out"));
    }
}

static void not_an_archive(void **state)
{
    struct hs_error err = { 0 };
    folder_write(*state, "text", "this is no archive at all", 25);
    folder_write(*state, "nothing", "", 0);
    assert_int_equal(take(*state, "text", "a", 100, &err), HS_EMODEL);
    assert_true(take(*state, "nothing", "a", 100, &err) < 0);
    assert_int_equal(take(*state, "absent", "a", 100, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "absent"));
    assert_true(hs_install_member(*state, "a", folder_path(*state, "out"), 100, &err) < 0);
    assert_false(folder_has(*state, "out"));
}

/* Truncates the archive at every length: each is an error and leaves no partial member. */
static void damaged(void **state)
{
    for (int zip = 0; zip < 2; zip++) {
        uint8_t *whole;
        size_t len;
        archive_make(folder_path(*state, "a"), zip, members, HS_ARRAY_LEN(members));
        assert_int_equal(hs_file_read(folder_path(*state, "a"), 1 << 20, &whole, &len, NULL), 0);
        for (size_t cut = 0; cut < len; cut += 5) {
            struct hs_error err = { 0 };
            folder_write(*state, "cut", whole, cut);
            int r = take(*state, "cut", "package/model.pt", 100, &err);
            assert_true(r == 0 ? folder_holds(*state, "out", "the weights", 11) : !folder_has(*state, "out"));
            unlink(folder_path(*state, "out"));
        }
        free(whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(from_zip_and_tar), FOLDER_TEST(missing_members), FOLDER_TEST(limits_and_links),
        FOLDER_TEST(not_an_archive),   FOLDER_TEST(damaged),
    };
    return HS_RUN_TESTS(tests);
}
