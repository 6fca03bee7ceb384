/* Tests files, compiled models, buffers and texts with failing system calls or memory: nothing is
 * left half done or open. */
#include "entries.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/compiled_cache.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "call_fail.h"
#include "models/folder.h"

static struct hs_error err;

static void expect_code(int r, int code, const char *text)
{
    if (r != code || (r < 0 && !strstr(err.message, text)))
        fail_msg("wanted %d %s, got %d %s", code, text, r, err.message);
}

/* ---- Files ---- */

static void test_replacing_fails(void **state)
{
    const char *path = folder_path(*state, "kept");
    static const struct {
        const char *call;
        int error, code;
    } rows[] = {
        { "mkostemp", EMFILE, HS_EIO }, { "write", ENOSPC, HS_EIO }, { "write", EINTR, 0 },
        { "fchmod", EPERM, HS_EIO },    { "fsync", EIO, HS_EIO },    { "close", EIO, HS_EIO },
        { "rename", EACCES, HS_EIO },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        folder_write(*state, "kept", "old", 3);
        int entries = count_entries(*state), descriptors = count_descriptors();
        hs_call_fail_arm(rows[i].call, 1, rows[i].error);
        int r = hs_file_write_atomic(path, "new one", 7, 0644, &err);
        assert_true(hs_call_fail_disarm());
        expect_code(r, rows[i].code, strerror(rows[i].error));
        assert_true(r == 0 || strstr(err.message, "kept: "));
        assert_true(folder_holds(*state, "kept", r < 0 ? "old" : "new one", r < 0 ? 3 : 7));
        assert_int_equal(count_entries(*state), entries);
        assert_int_equal(count_descriptors(), descriptors);
    }
}

/* Some folders cannot be synced; the file is written anyway. */
static void test_folder_that_cannot_be_synced(void **state)
{
    hs_call_fail_arm("fsync", 2, EINVAL);
    assert_int_equal(hs_file_write_atomic(folder_path(*state, "kept"), "new", 3, 0644, &err), 0);
    assert_true(hs_call_fail_disarm());
    assert_true(folder_holds(*state, "kept", "new", 3));
}

static void test_reading_fails(void **state)
{
    const char *path = folder_path(*state, "read");
    static const struct {
        const char *call;
        int nth, error, code;
    } rows[] = {
        { "fstat", 1, EIO, HS_EIO }, { "fstat", 2, EIO, HS_EIO }, { "read", 1, EIO, HS_EIO },
        { "read", 1, EINTR, 0 },     { "fstat", 1, EIO, HS_EIO },
    };
    char hex[65], wanted[65];
    uint8_t *data;
    size_t len;
    folder_write(*state, "read", "content", 7);
    hs_sha256("content", 7, wanted);
    int descriptors = count_descriptors();
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        data = NULL;
        len = 99;
        hs_call_fail_arm(rows[i].call, rows[i].nth, rows[i].error);
        int r = hs_file_read(path, 7, &data, &len, &err);
        assert_true(hs_call_fail_disarm());
        expect_code(r, rows[i].code, strerror(rows[i].error));
        assert_int_equal(len, r < 0 ? 99 : 7);
        assert_int_equal(data != NULL, r == 0);
        free(data);
        hs_str_copy(hex, sizeof(hex), "untouched");
        hs_call_fail_arm(rows[i].call, rows[i].nth, rows[i].error);
        r = hs_file_sha256(path, hex, &err);
        if (hs_call_fail_disarm())
            expect_code(r, rows[i].code, strerror(rows[i].error));
        assert_string_equal(hex, r < 0 ? "untouched" : wanted);
        assert_int_equal(count_descriptors(), descriptors);
    }
    assert_int_equal(hs_file_read(path, 6, &data, &len, &err), HS_ETOOLARGE);
    assert_int_equal(hs_file_read(folder_path(*state, "read/below"), 9, &data, &len, &err), HS_ENOTFOUND);
    assert_int_equal(hs_file_read(folder_path(*state, "none"), 9, &data, &len, &err), HS_ENOTFOUND);
    assert_int_equal(hs_file_sha256(folder_path(*state, "none"), hex, &err), HS_ENOTFOUND);
    assert_int_equal(count_descriptors(), descriptors);
}

/* Runs as a user without access, like a service. */
static void test_unreadable(void **state)
{
    if (geteuid() != 0)
        skip();
    folder_write(*state, "secret", "x", 1);
    assert_int_equal(chmod(folder_path(*state, "secret"), 0600), 0);
    assert_int_equal(chmod(*state, 0755), 0);
    pid_t pid = fork();
    if (pid == 0) {
        uint8_t *data;
        size_t len;
        bool refused = setgid(65534) == 0 && setuid(65534) == 0 &&
                       hs_file_read(folder_path(*state, "secret"), 9, &data, &len, NULL) == HS_EIO &&
                       hs_file_write_atomic(folder_path(*state, "mine"), "x", 1, 0644, NULL) == HS_EIO &&
                       hs_dir_make(folder_path(*state, "dir"), NULL) == HS_EIO;
        _exit(!refused);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* If the target becomes a folder while the file is written, it is not replaced. */
static void test_target_becomes_a_folder(void **state)
{
    struct hs_atomic_file file;
    const char *path = folder_path(*state, "taken");
    assert_int_equal(hs_atomic_file_begin(&file, path, &err), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    expect_code(hs_atomic_file_commit(&file, 0644, &err), HS_EIO, "taken: Is a directory");
    assert_false(hs_file_exists(file.temporary));
    expect_code(hs_atomic_file_begin(&file, path, &err), HS_EIO, "not a regular file");
}

static void test_locks(void **state)
{
    folder_write(*state, "lock", "", 0);
    int a = open(folder_path(*state, "lock"), O_RDONLY), b = open(folder_path(*state, "lock"), O_RDONLY);
    hs_call_fail_arm("flock", 1, EINTR);
    assert_int_equal(hs_file_lock(a, false), 0);
    assert_true(hs_call_fail_disarm());
    assert_int_equal(hs_file_lock(b, false), HS_EBUSY);
    hs_call_fail_arm("flock", 1, ENOLCK);
    assert_int_equal(hs_file_lock(b, false), HS_EIO);
    hs_call_fail_disarm();
    close(a);
    assert_int_equal(hs_file_lock(b, false), 0);
    close(b);
    assert_int_equal(hs_file_lock(b, true), HS_EIO);
}

static void test_write_all(void **state)
{
    (void) state;
    int full = open("/dev/full", O_WRONLY), ends[2];
    assert_int_equal(hs_file_write_all(full, "x", 1), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(hs_file_write_all(full, "", 0), 0);
    close(full);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    void (*handler)(int) = signal(SIGPIPE, SIG_IGN);
    assert_int_equal(hs_file_write_all(ends[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    signal(SIGPIPE, handler);
    close(ends[1]);
}

/* The longest path that fits, and one byte more. */
static void test_long_paths(void **state)
{
    char path[PATH_MAX + 10], dst[PATH_MAX];
    struct hs_atomic_file file;
    (void) state;
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[PATH_MAX] = '\0';
    expect_code(hs_dir_make(path, &err), HS_EINVAL, "the path is too long");
    path[PATH_MAX - 1] = '\0';
    assert_int_equal(hs_dir_make(path, &err), HS_EIO);
    path[PATH_MAX - 1] = 'a';
    path[PATH_MAX] = '/';
    path[PATH_MAX + 1] = '\0';
    expect_code(hs_dir_make_parent(path, &err), HS_EINVAL, "the path is too long");
    path[PATH_MAX - 1] = '/';
    path[PATH_MAX] = 'b';
    assert_int_equal(hs_dir_make_parent(path, &err), HS_EIO);
    path[PATH_MAX - 7] = '\0';
    expect_code(hs_atomic_file_begin(&file, path, &err), HS_EINVAL, "the path is too long");
    path[PATH_MAX - 8] = '\0';
    assert_int_equal(hs_atomic_file_begin(&file, path, &err), HS_EIO);
    assert_false(hs_path_join(dst, 6, "abc", "de"));
    assert_true(hs_path_join(dst, 7, "abc", "de"));
    assert_string_equal(dst, "abc/de");
    assert_false(hs_path_parent(dst, 3, "abc/de"));
    assert_true(hs_path_parent(dst, 4, "abc/de"));
    assert_string_equal(dst, "abc");
}

static void test_folder_that_is_gone(void **state)
{
    (void) state;
    char dst[PATH_MAX] = "x";
    hs_call_fail_arm("getcwd", 1, ENOENT);
    assert_false(hs_path_absolute(dst, sizeof(dst), "a"));
    assert_true(hs_call_fail_disarm());
    assert_true(hs_path_absolute(dst, sizeof(dst), "/a"));
    assert_string_equal(dst, "/a");
    hs_call_fail_arm("readlink", 1, EACCES);
    assert_false(hs_path_of_program(dst, sizeof(dst), "a"));
    assert_true(hs_call_fail_disarm());
    assert_true(hs_path_of_program(dst, sizeof(dst), "a"));
}

static int read_it(void *arg)
{
    uint8_t *data;
    size_t len;
    int r = hs_file_read(folder_path(arg, "read"), 7, &data, &len, &err);
    if (r == 0) {
        assert_int_equal(len, 7);
        assert_string_equal((char *) data, "content");
        free(data);
    }
    return r;
}

/* ---- Compiled models ---- */

static int open_entry(const char *folder, struct hs_compiled_entry **ret_entry, bool *ret_damaged)
{
    char cache[PATH_MAX];
    assert_true(hs_path_join(cache, sizeof(cache), folder, "cache"));
    assert_int_equal(hs_dir_make(cache, NULL), 0);
    const struct hs_compiled_key key = { cache, folder_path(folder, "model"), "runtime", "settings" };
    return hs_compiled_open(&key, ret_entry, ret_damaged, &err);
}

/* Creates a complete entry. */
static void write_entry(const char *folder)
{
    struct hs_compiled_entry *entry;
    bool damaged;
    char blob[PATH_MAX];
    folder_write(folder, "model", "model", 5);
    assert_int_equal(open_entry(folder, &entry, &damaged), 0);
    assert_true(hs_path_join(blob, sizeof(blob), hs_compiled_dir(entry), "1.blob"));
    assert_int_equal(hs_file_write_atomic(blob, "blob", 4, 0644, NULL), 0);
    hs_compiled_close(entry, true);
}

static bool has_sum(const char *folder)
{
    struct hs_compiled_stats sum;
    hs_compiled_stats(folder_path(folder, "cache"), "model", true, &sum);
    return sum.entries == 1 && sum.damaged == 0;
}

static int use_entry(void *arg)
{
    struct hs_compiled_entry *entry;
    bool damaged = false;
    int r = open_entry(arg, &entry, &damaged);
    if (r == 0) {
        assert_false(damaged);
        hs_compiled_close(entry, true);
    }
    return r;
}

/* A complete entry survives every allocation failure. */
static void test_valid_entry_survives(void **state)
{
    write_entry(*state);
    assert_true(has_sum(*state));
    assert_true(hs_fail_each_allocation(use_entry, *state) >= 3);
    assert_true(has_sum(*state));
    assert_int_equal(use_entry(*state), 0);
}

static void test_no_room_for_a_compiled_model(void **state)
{
    struct hs_compiled_entry *entry = NULL;
    bool damaged = false;
    static const struct {
        const char *call;
        int nth, error, code;
        const char *text;
    } rows[] = {
        { "fallocate", 1, ENOSPC, HS_EIO, "not enough disk space for a compiled model in " },
        { "mkostemp", 1, EDQUOT, HS_EIO, "not enough disk space for a compiled model in " },
        { "fallocate", 1, EOPNOTSUPP, 0, "" },
        { "read", 1, EIO, HS_EIO, "cannot read" },
        { "read", 1, EINTR, 0, "" },
        { "flock", 1, EWOULDBLOCK, HS_EBUSY, "another program uses the compiled model " },
    };
    folder_write(*state, "model", "other", 5);
    int descriptors = count_descriptors();
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        hs_call_fail_arm(rows[i].call, rows[i].nth, rows[i].error);
        int r = open_entry(*state, &entry, &damaged);
        assert_true(hs_call_fail_disarm());
        expect_code(r, rows[i].code, rows[i].text);
        if (r == 0)
            hs_compiled_close(entry, false);
        assert_int_equal(count_descriptors(), descriptors);
    }
}

/* A blob that cannot be made durable is deleted. */
static void test_sum_cannot_be_written(void **state)
{
    struct hs_compiled_entry *entry;
    bool damaged;
    char blob[PATH_MAX];
    folder_write(*state, "model", "third", 5);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(open_entry(*state, &entry, &damaged), 0);
        assert_true(hs_path_join(blob, sizeof(blob), hs_compiled_dir(entry), "1.blob"));
        assert_int_equal(hs_file_write_atomic(blob, "blob", 4, 0644, NULL), 0);
        hs_call_fail_arm(i ? "rename" : "fsync", 1, EIO);
        hs_compiled_close(entry, true);
        assert_true(hs_call_fail_disarm());
        assert_false(hs_file_exists(blob));
    }
}

/* ---- Memory ---- */

static int fill_buffer(void *arg)
{
    struct hs_buf buf;
    size_t len;
    hs_buf_init(&buf, 4000);
    buf.wipe = *(const bool *) arg;
    for (int i = 0; i < 100; i++)
        hs_buf_append_str(&buf, "0123456789");
    hs_buf_printf(&buf, "%0*d", 1048, 7); /* fills a power of two, so that the NUL needs more memory */
    int r = hs_buf_error(&buf);
    if (r == 0) {
        assert_int_equal(buf.len, 2048);
        r = hs_buf_str(&buf) ? 0 : HS_ENOMEM;
    }
    if (r == 0)
        assert_int_equal(strlen((char *) buf.data), 2048);
    uint8_t *data = hs_buf_take(&buf, &len);
    assert_int_equal(buf.len, 0);
    free(data);
    return r;
}

static int write_tree(void *arg)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 1000);
    int r = hs_json_write(arg, HS_JSON_SORTED, &buf);
    if (r == 0)
        assert_memory_equal(buf.data, "{\"a\":[1,{}],\"b\":\"text\"}\n", buf.len);
    hs_buf_finish(&buf);
    return r;
}

static void test_memory(void **state)
{
    json_t *tree = json_pack("{s:s, s:[i, {}]}", "b", "text", "a", 1);
    folder_write(*state, "read", "content", 7);
    assert_int_equal(hs_fail_each_allocation(read_it, *state), 1);
    for (int wipe = 0; wipe < 2; wipe++)
        assert_true(hs_fail_each_allocation(fill_buffer, &(bool) { wipe }) >= 4);
    assert_true(hs_fail_each_allocation(write_tree, tree) >= 3);
    json_decref(tree);
}

/* If an array fails to grow, its content remains. */
static void test_growing_array(void **state)
{
    (void) state;
    int *items = NULL;
    size_t capacity = 0;
    assert_true(HS_ARRAY_RESERVE(items, capacity, 3));
    items[2] = 7;
    int *before = items;
    size_t had = capacity;
    hs_alloc_fail_arm(1);
    assert_false(HS_ARRAY_RESERVE(items, capacity, had + 1));
    assert_true(hs_alloc_fail_disarm());
    assert_ptr_equal(items, before);
    assert_int_equal(capacity, had);
    assert_true(HS_ARRAY_RESERVE(items, capacity, had));
    assert_ptr_equal(items, before);
    assert_true(HS_ARRAY_RESERVE(items, capacity, had + 1));
    assert_true(capacity >= 2 * had);
    assert_int_equal(items[2], 7);
    assert_false(HS_ARRAY_RESERVE(items, capacity, SIZE_MAX / 2));
    free(items);
}

int main(void)
{
    hs_alloc_watch_leaks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replacing_fails),
        cmocka_unit_test(test_folder_that_cannot_be_synced),
        cmocka_unit_test(test_reading_fails),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_target_becomes_a_folder),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_write_all),
        cmocka_unit_test(test_long_paths),
        cmocka_unit_test(test_folder_that_is_gone),
        cmocka_unit_test(test_valid_entry_survives),
        cmocka_unit_test(test_no_room_for_a_compiled_model),
        cmocka_unit_test(test_sum_cannot_be_written),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_growing_array),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
