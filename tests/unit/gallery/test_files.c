/* New files, and compressed copies: each error is returned, and no new file is left half made. */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../call_fail.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/files.h"

static void expect(int r, const struct hs_error *err, int code, const char *text)
{
    if (r != code || (code < 0 && (err->code != code || !strstr(err->message, text))))
        fail_msg("gave %d \"%s\", not %d \"%s\"", r, r < 0 ? err->message : "", code, text);
}

/* `name` in the fixture's folder; two results are valid at a time. */
static const char *path_of(const struct fixture *f, const char *name)
{
    static char paths[2][PATH_MAX];
    static int turn;
    turn = !turn;
    assert_true(hs_path_join(paths[turn], sizeof(paths[0]), f->dir, name));
    return paths[turn];
}

static void test_new_files(void **state)
{
    struct fixture *f = *state;
    struct hs_error err = { 0 };
    struct stat st;
    char temporary[PATH_MAX];
    assert_int_equal(hs_gallery_make_file(path_of(f, "new"), &err), 0);
    assert_int_equal(stat(path_of(f, "new"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 0);
    expect(hs_gallery_make_file(path_of(f, "new"), &err), &err, HS_EIO, "File exists");
    expect(hs_gallery_make_file(path_of(f, "none/new"), &err), &err, HS_ENOTFOUND, "none/new");
    hs_str_copy(temporary, sizeof(temporary), path_of(f, "none/XXXXXX"));
    expect(hs_gallery_make_temp_file(temporary, &err), &err, HS_ENOTFOUND, "none/");
}

/* Files that root creates in a user's folder belong to that user, who could not open them otherwise. */
static void test_new_files_of_root(void **state)
{
    struct fixture *f = *state;
    struct hs_error err = { 0 };
    struct stat st;
    char temporary[PATH_MAX];
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(f->dir, 65534, 65534), 0);
    assert_int_equal(hs_gallery_make_file(path_of(f, "new"), &err), 0);
    assert_int_equal(stat(path_of(f, "new"), &st), 0);
    assert_int_equal(st.st_uid, 65534);
    hs_str_copy(temporary, sizeof(temporary), path_of(f, "XXXXXX"));
    assert_int_equal(hs_gallery_make_temp_file(temporary, &err), 0);
    assert_int_equal(stat(temporary, &st), 0);
    assert_int_equal(st.st_uid, 65534);
    hs_call_fail_arm("fchown", 1, EPERM);
    expect(hs_gallery_make_file(path_of(f, "other"), &err), &err, HS_EIO, "other: Operation not permitted");
    assert_true(hs_call_fail_disarm());
    assert_false(hs_file_exists(path_of(f, "other")));
}

/* Writes a backup of a gallery with one embedding. Returns its path, and its content for the caller to free. */
static void make_backup(struct fixture *f, char ret_path[PATH_MAX], uint8_t **ret_data, size_t *ret_len)
{
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, ret_path, NULL), 0);
    assert_int_equal(hs_file_read(ret_path, 1 << 20, ret_data, ret_len, NULL), 0);
}

static void test_unpacking_fails(void **state)
{
    struct fixture *f = *state;
    struct hs_error err = { 0 };
    char backup[PATH_MAX];
    uint8_t *data;
    size_t len;
    static const struct {
        const char *call;
        int error;
        const char *text;
    } failures[] = {
        { "write", ENOSPC, "out: No space left on device" },
        { "fsync", EIO, "out: Input/output error" },
    };
    make_backup(f, backup, &data, &len);
    expect(hs_gallery_uncompress(backup, path_of(f, "out"), &err), &err, HS_ENOTFOUND, "out");
    assert_int_equal(hs_gallery_make_file(path_of(f, "out"), &err), 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(failures); i++) {
        hs_call_fail_arm(failures[i].call, 1, failures[i].error);
        int r = hs_gallery_uncompress(backup, path_of(f, "out"), &err);
        assert_true(hs_call_fail_disarm());
        expect(r, &err, HS_EIO, failures[i].text);
    }
    assert_int_equal(hs_gallery_uncompress(backup, path_of(f, "out"), &err), 0);
    assert_int_equal(query_sql(path_of(f, "out"), "SELECT count(*) FROM embeddings"), 1);
    /* Content that is not a backup, or only a part of one. */
    static const struct {
        const char *text;
        size_t part;
    } contents[] = { { "is empty", 0 }, { "is not a gallery or a gallery backup", 1 }, { "bad", 2 } };
    for (size_t i = 0; i < HS_ARRAY_LEN(contents); i++) {
        const void *bytes = contents[i].part == 2 ? (const void *) data : "some other text";
        size_t size = contents[i].part == 2 ? len - 9 : contents[i].part ? 15 : 0;
        assert_int_equal(hs_file_write_atomic(path_of(f, "bad"), bytes, size, 0600, NULL), 0);
        expect(hs_gallery_uncompress(path_of(f, "bad"), path_of(f, "out"), &err), &err, HS_EDECODE, contents[i].text);
    }
    free(data);
}

/* A backup that ends before the number of its change has none, even if a whole one was read before. */
static void test_change_of_a_backup(void **state)
{
    struct fixture *f = *state;
    char backup[PATH_MAX], cut[PATH_MAX];
    uint8_t *data;
    size_t len, number = 10 + strlen("hailo-services-gallery change ");
    make_backup(f, backup, &data, &len);
    hs_str_copy(cut, sizeof(cut), path_of(f, "cut"));
    assert_true(number < len);
    for (size_t part = 0; part <= number; part++) {
        assert_int_equal(hs_file_write_atomic(cut, data, part, 0600, NULL), 0);
        int64_t whole = hs_gallery_backup_change(backup), change = hs_gallery_backup_change(cut);
        assert_true(whole > 0);
        if (change != -1)
            fail_msg("%zu bytes of a backup have change %lld", part, (long long) change);
    }
    assert_int_equal(hs_gallery_backup_change(path_of(f, "none")), -1);
    free(data);
}

/* Only files with a time in their name are backups or set-aside galleries, which a purge deletes. */
static void test_names_of_backups(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        bool listed;
    } files[] = {
        { "backups/faces-20260102-030405.db.gz", true },      { "backups/faces-20260102-030406-2.db.gz", true },
        { "backups/faces-20260102x030407.db.gz", false },     { "backups/faces-2026010a-030408.db.gz", false },
        { "backups/faces-20260102-03040-.db.gz", false },     { "backups/faces-20260102-030409.db", false },
        { "backups/faces-20260102-030410-.db.gz", false },    { "backups/other-20260102-030411.db.gz", false },
        { "backups/faces-copy-before-upgrade.db.gz", false }, { "faces.db.corrupt-20260102-030412", true },
        { "faces.db.corrupt-20260102-030413-1", true },       { "faces.db.corrupt-20260102_030414", false },
        { "faces.db.corrupt-2026-01-02-0304", false },        { "faces.db.corrupt-20260102-030415.x", false },
    };
    struct hs_gallery_backups *list;
    size_t listed = 0;
    fixture_open(f);
    assert_int_equal(mkdir(f->backups, 0700), 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(files); i++) {
        assert_int_equal(hs_file_write_atomic(path_of(f, files[i].name), "x", 1, 0600, NULL), 0);
        listed += files[i].listed;
    }
    assert_int_equal(hs_gallery_list_backups(f->gallery, &list, NULL), 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(files); i++) {
        bool found = false;
        for (size_t k = 0; k < list->count; k++)
            found |= strcmp(list->items[k].path, path_of(f, files[i].name)) == 0;
        if (found != files[i].listed)
            fail_msg("%s is %s", files[i].name, found ? "listed" : "not listed");
    }
    assert_int_equal(list->count, listed);
    hs_gallery_backups_destroy(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_new_files),          GALLERY_TEST(test_new_files_of_root), GALLERY_TEST(test_unpacking_fails),
        GALLERY_TEST(test_change_of_a_backup), GALLERY_TEST(test_names_of_backups),
    };
    return HS_RUN_TESTS(tests);
}
