/* The tests play the runtime: they write a blob where a runtime would. */
#include "../unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../models/folder.h"
#include "base/compiled_cache.h"
#include "base/mem.h"

enum { BLOB_SIZE = 100000 };

static struct hs_error err;

static const char *cache_of(const char *folder)
{
    static char path[PATH_MAX]; /* a copy, because folder_path reuses its buffers */
    hs_str_copy(path, sizeof(path), folder_path(folder, "cache"));
    assert_int_equal(hs_dir_make(path, NULL), 0);
    return path;
}

static int open_with(const char *folder, const char *model, const char *runtime, const char *settings,
                     struct hs_compiled_entry **ret_entry, bool *ret_damaged)
{
    const struct hs_compiled_key key = { cache_of(folder), folder_path(folder, model), runtime, settings };
    *ret_entry = NULL;
    *ret_damaged = false;
    return hs_compiled_open(&key, ret_entry, ret_damaged, &err);
}

/* Finds the one blob of a folder; returns false if there is none. */
static bool find_blob(const char *dir, char *ret_path, size_t size)
{
    DIR *folder = opendir(dir);
    bool found = false;
    for (struct dirent *entry; folder && !found && (entry = readdir(folder));)
        found = hs_str_ends(entry->d_name, ".blob") && hs_path_join(ret_path, size, dir, entry->d_name);
    if (folder)
        closedir(folder);
    return found;
}

/* Acts as a runtime: uses the existing blob, or writes one. Returns true if a blob existed;
 * *ret_damaged is that of hs_compiled_open, and `ret_blob` is the path of the blob. */
static bool use(const char *folder, const char *model, const char *runtime, const char *settings, bool *ret_damaged,
                char ret_blob[PATH_MAX])
{
    struct hs_compiled_entry *entry;
    char data[BLOB_SIZE];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char) (i * 7 + i / 251);
    assert_int_equal(open_with(folder, model, runtime, settings, &entry, ret_damaged), 0);
    bool there = find_blob(hs_compiled_dir(entry), ret_blob, PATH_MAX);
    if (!there) {
        assert_true(hs_path_join(ret_blob, PATH_MAX, hs_compiled_dir(entry), "123.blob"));
        assert_int_equal(hs_file_write_atomic(ret_blob, data, sizeof(data), 0640, NULL), 0);
    }
    hs_compiled_close(entry, true);
    return there;
}

static int make(void **state)
{
    int r = folder_make(state);
    if (r == 0) {
        folder_write(*state, "a.onnx", "model a", 7);
        folder_write(*state, "b.onnx", "model b", 7);
    }
    return r;
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make, folder_remove)

static int entries_in(const char *cache)
{
    DIR *folder = opendir(cache);
    int count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

static void an_entry_is_written_once_and_reused(void **state)
{
    char blob[PATH_MAX], again[PATH_MAX];
    bool damaged;
    struct hs_compiled_stats sum;
    assert_false(use(*state, "a.onnx", "r", "s", &damaged, blob));
    assert_false(damaged);
    for (int i = 0; i < 3; i++) {
        assert_true(use(*state, "a.onnx", "r", "s", &damaged, again));
        assert_false(damaged);
        assert_string_equal(blob, again);
    }
    assert_false(use(*state, "a.onnx", "r", "other", &damaged, again));
    assert_string_not_equal(blob, again);
    assert_false(use(*state, "b.onnx", "r", "s", &damaged, again));
    hs_compiled_stats(cache_of(*state), "a.onnx", true, &sum);
    assert_int_equal(sum.entries, 2);
    assert_int_equal(sum.damaged, 0);
    assert_in_range(sum.bytes, 2 * BLOB_SIZE, 2 * BLOB_SIZE + 1000);
    hs_compiled_stats(cache_of(*state), "onnx", true, &sum);
    assert_int_equal(sum.entries, 0);
}

enum damage { NOISE, CUT, EMPTY, ZEROS, FLIP_FIRST, FLIP_MIDDLE, FLIP_LAST, LONGER, NO_SUM, BAD_SUM, NO_BLOB, DAMAGES };

static void damage(const char *blob, enum damage kind)
{
    char sum[PATH_MAX], noise[BLOB_SIZE / 4], byte;
    const off_t places[] = { [FLIP_FIRST] = 0, [FLIP_MIDDLE] = BLOB_SIZE / 2, [FLIP_LAST] = BLOB_SIZE - 1 };
    assert_true(hs_path_parent(noise, sizeof(noise), blob) && hs_path_join(sum, sizeof(sum), noise, "sum"));
    int fd = open(kind == BAD_SUM ? sum : blob, O_RDWR);
    assert_true(fd >= 0);
    memset(noise, 0x5a, sizeof(noise));
    if (kind == NOISE) {
        assert_int_equal(pwrite(fd, noise, sizeof(noise), BLOB_SIZE / 3), sizeof(noise));
    } else if (kind == CUT || kind == EMPTY) {
        assert_int_equal(ftruncate(fd, kind == CUT ? BLOB_SIZE - 1 : 0), 0);
    } else if (kind == ZEROS) { /* as after a power failure: the correct size, but only zeros */
        assert_int_equal(ftruncate(fd, 0) + ftruncate(fd, BLOB_SIZE), 0);
    } else if (kind <= FLIP_LAST) {
        assert_int_equal(pread(fd, &byte, 1, places[kind]), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, places[kind]), 1);
    } else if (kind == LONGER) {
        assert_int_equal(pwrite(fd, "x", 1, BLOB_SIZE), 1);
    } else if (kind == BAD_SUM) {
        assert_int_equal(pwrite(fd, "x", 1, 3), 1);
    } else {
        unlink(kind == NO_SUM ? sum : blob);
    }
    close(fd);
}

static void damaged_entries_are_rewritten(void **state)
{
    char blob[PATH_MAX];
    bool damaged;
    struct hs_compiled_stats sum;
    use(*state, "a.onnx", "r", "s", &damaged, blob);
    for (enum damage kind = 0; kind < DAMAGES; kind++) {
        damage(blob, kind);
        hs_compiled_stats(cache_of(*state), "a.onnx", true, &sum);
        assert_int_equal(sum.damaged, 1);
        if (use(*state, "a.onnx", "r", "s", &damaged, blob) || !damaged)
            fail_msg("damage %d was not seen", kind);
        assert_true(use(*state, "a.onnx", "r", "s", &damaged, blob));
        assert_false(damaged);
    }
}

/* A program that ends while it compiles leaves a blob without a sum, or no blob. */
static void an_interrupted_write_is_discarded(void **state)
{
    struct hs_compiled_entry *entry;
    char blob[PATH_MAX];
    bool damaged;
    assert_int_equal(open_with(*state, "a.onnx", "r", "s", &entry, &damaged), 0);
    assert_true(hs_path_join(blob, sizeof(blob), hs_compiled_dir(entry), "1.blob"));
    assert_int_equal(hs_file_write_atomic(blob, "half", 4, 0644, NULL), 0);
    hs_compiled_close(entry, false);
    assert_int_equal(entries_in(cache_of(*state)), 0);
    assert_int_equal(open_with(*state, "a.onnx", "r", "s", &entry, &damaged), 0);
    assert_false(damaged);
    hs_compiled_close(entry, true); /* the runtime writes nothing */
    assert_int_equal(entries_in(cache_of(*state)), 0);
}

/* The runtime rejects the existing blob, and replaces it in place or writes another one beside it. */
static void a_blob_replaced_by_the_runtime_is_valid(void **state)
{
    struct hs_compiled_entry *entry;
    char blob[PATH_MAX], other[PATH_MAX];
    bool damaged;
    use(*state, "a.onnx", "r", "s", &damaged, blob);
    assert_int_equal(open_with(*state, "a.onnx", "r", "s", &entry, &damaged), 0);
    assert_int_equal(hs_file_write_atomic(blob, "new", 3, 0644, NULL), 0);
    hs_compiled_close(entry, true);
    assert_true(use(*state, "a.onnx", "r", "s", &damaged, blob));
    assert_false(damaged);
    assert_int_equal(open_with(*state, "a.onnx", "r", "s", &entry, &damaged), 0);
    assert_true(hs_path_join(other, sizeof(other), hs_compiled_dir(entry), "456.blob"));
    assert_int_equal(hs_file_write_atomic(other, "newer", 5, 0644, NULL), 0);
    hs_compiled_close(entry, true);
    assert_false(hs_file_exists(blob));
    assert_true(use(*state, "a.onnx", "r", "s", &damaged, blob));
    assert_string_equal(blob, other);
    assert_false(damaged);
}

static void an_entry_has_one_user_at_a_time(void **state)
{
    struct hs_compiled_entry *first, *second;
    struct hs_compiled_stats sum;
    bool damaged;
    assert_int_equal(open_with(*state, "a.onnx", "r", "s", &first, &damaged), 0);
    assert_int_equal(open_with(*state, "a.onnx", "r", "s", &second, &damaged), HS_EBUSY);
    assert_int_equal(hs_compiled_remove(cache_of(*state), "a.onnx"), 0);
    hs_compiled_stats(cache_of(*state), "a.onnx", true, &sum);
    assert_int_equal(sum.damaged, 0);
    assert_int_equal(open_with(*state, "a.onnx", "r", "other", &second, &damaged), 0);
    hs_compiled_close(second, false);
    hs_compiled_close(first, false);
}

/* Neither a deletion nor another version of the runtime takes an entry from the program that uses it. */
static void an_entry_in_use_is_not_deleted(void **state)
{
    struct hs_compiled_entry *entry;
    char blob[PATH_MAX], other[PATH_MAX];
    bool damaged;
    const char *cache = cache_of(*state);
    use(*state, "a.onnx", "r", "s", &damaged, blob);
    assert_int_equal(open_with(*state, "a.onnx", "r", "s", &entry, &damaged), 0);
    assert_int_equal(hs_compiled_remove(cache, "a.onnx"), 0);
    assert_true(hs_file_exists(blob));
    use(*state, "b.onnx", "R", "s", &damaged, other);
    assert_true(hs_file_exists(blob));
    assert_int_equal(entries_in(cache), 2);
    hs_compiled_close(entry, true);
    assert_true(hs_compiled_remove(cache, "a.onnx") > 0);
    assert_false(hs_file_exists(blob));
    assert_int_equal(entries_in(cache), 1);
}

static void stale_entries_are_evicted(void **state)
{
    char blob[PATH_MAX];
    bool damaged;
    const char *cache = cache_of(*state);
    use(*state, "a.onnx", "r", "s", &damaged, blob);
    use(*state, "b.onnx", "r", "s", &damaged, blob);
    /* The file has new content: the model has a new version. */
    folder_write(*state, "a.onnx", "model A", 7);
    assert_false(use(*state, "a.onnx", "r", "s", &damaged, blob));
    assert_false(damaged);
    assert_int_equal(entries_in(cache), 2);
    /* Another runtime version: blobs of the old one are useless. */
    assert_false(use(*state, "a.onnx", "R", "s", &damaged, blob));
    assert_int_equal(entries_in(cache), 1);
    /* Removes folders that OpenVINO wrote itself in the past, but no other files. */
    assert_int_equal(hs_dir_make(folder_path(*state, "cache/f32"), NULL), 0);
    assert_int_equal(hs_dir_make(folder_path(*state, "cache/short"), NULL), 0);
    folder_write(*state, "cache/f32/1.blob", "x", 1);
    folder_write(*state, "cache/short/mine", "x", 1);
    folder_write(*state, "cache/mine.blob", "x", 1);
    use(*state, "b.onnx", "R", "s", &damaged, blob);
    assert_false(folder_has(*state, "cache/f32"));
    assert_true(folder_has(*state, "cache/short/mine"));
    assert_true(folder_has(*state, "cache/mine.blob"));
}

static void the_least_recently_used_entry_is_evicted(void **state)
{
    char blob[PATH_MAX], settings[20];
    bool damaged;
    const char *cache = cache_of(*state);
    for (int i = 0; i < HS_COMPILED_ENTRIES_MAX; i++) {
        hs_str_format(settings, sizeof(settings), "%d", i);
        use(*state, "a.onnx", "r", settings, &damaged, blob);
    }
    assert_true(use(*state, "a.onnx", "r", "0", &damaged, blob));
    assert_int_equal(entries_in(cache), HS_COMPILED_ENTRIES_MAX);
    use(*state, "b.onnx", "r", "s", &damaged, blob);
    assert_int_equal(entries_in(cache), HS_COMPILED_ENTRIES_MAX);
    assert_true(use(*state, "a.onnx", "r", "0", &damaged, blob));
    assert_true(use(*state, "b.onnx", "r", "s", &damaged, blob));
    assert_false(use(*state, "a.onnx", "r", "1", &damaged, blob));
}

static void remove_deletes_the_entries_of_a_model(void **state)
{
    char blob[PATH_MAX];
    bool damaged;
    const char *cache = cache_of(*state);
    use(*state, "a.onnx", "r", "1", &damaged, blob);
    use(*state, "a.onnx", "r", "2", &damaged, blob);
    use(*state, "b.onnx", "r", "1", &damaged, blob);
    assert_in_range(hs_compiled_remove(cache, "a.onnx"), 2 * BLOB_SIZE, 2 * BLOB_SIZE + 1000);
    assert_int_equal(entries_in(cache), 1);
    assert_int_equal(hs_compiled_remove(cache, "a.onnx"), 0);
    assert_int_equal(hs_compiled_remove(folder_path(*state, "none"), "a.onnx"), 0);
}

static void an_unusable_folder_is_an_error(void **state)
{
    struct hs_compiled_entry *entry;
    bool damaged = true;
    assert_int_equal(open_with(*state, "none.onnx", "r", "s", &entry, &damaged), HS_EIO);
    folder_write(*state, "file", "x", 1);
    const struct hs_compiled_key key = { folder_path(*state, "file"), folder_path(*state, "a.onnx"), "r", "s" };
    assert_int_equal(hs_compiled_open(&key, &entry, &damaged, &err), HS_EIO);
    hs_compiled_close(NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_entry_is_written_once_and_reused),   TEST(damaged_entries_are_rewritten),
        TEST(an_interrupted_write_is_discarded),     TEST(a_blob_replaced_by_the_runtime_is_valid),
        TEST(an_entry_has_one_user_at_a_time),       TEST(stale_entries_are_evicted),
        TEST(an_entry_in_use_is_not_deleted),        TEST(the_least_recently_used_entry_is_evicted),
        TEST(remove_deletes_the_entries_of_a_model), TEST(an_unusable_folder_is_an_error),
    };
    return HS_RUN_TESTS(tests);
}
