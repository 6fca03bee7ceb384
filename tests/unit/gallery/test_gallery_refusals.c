/* Values at each limit and just beyond it, and invalid files: each is refused with its error code
 * and message, and nothing changes. */
#include "fixture.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/export.h"
#include "gallery/validate.h"

static void expect(int r, const struct hs_error *err, int code, const char *text)
{
    if (r != code || (code < 0 && (err->code != code || !strstr(err->message, text))))
        fail_msg("gave %d \"%s\", not %d \"%s\"", r, r < 0 ? err->message : "", code, text);
}

/* ---- options ---- */

static void test_options(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int most, timeout, keep, code;
        const char *text;
    } cases[] = {
        { 0, 0, 1, 0, "" },
        { 1000, 0, 1, 0, "" },
        { 1001, 0, 1, HS_EINVAL, "max_embeddings_per_identity must be 0 to 1000" },
        { -1, 0, 1, HS_EINVAL, "max_embeddings_per_identity must be 0 to 1000" },
        { 0, -1, 1, HS_EINVAL, "busy_timeout_ms must not be negative" },
        { 0, 0, 0, HS_EINVAL, "keep_backups must be at least 1" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_error err = { 0 };
        f->options.max_embeddings_per_identity = cases[i].most;
        f->options.busy_timeout_ms = cases[i].timeout;
        f->options.keep_backups = cases[i].keep;
        int r = hs_gallery_open(&f->options, &f->gallery, NULL, &err);
        expect(r, &err, cases[i].code, cases[i].text);
        if (r == 0)
            fixture_close(f);
    }
    f->options.keep_backups = 1;
    f->options.max_embeddings_per_identity = 0;
    f->options.busy_timeout_ms = 0;
    struct hs_error err = { 0 };
    f->options.path = "";
    expect(hs_gallery_open(&f->options, &f->gallery, NULL, &err), &err, HS_EINVAL, "the gallery has no path");
}

/* A folder in the place of the file, and impossible paths. */
static void test_paths(void **state)
{
    struct fixture *f = *state;
    struct hs_error err = { 0 };
    char path[PATH_MAX + 10];
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_true(hs_gallery_open(&f->options, &f->gallery, NULL, &err) < 0);
    assert_int_equal(rmdir(f->path), 0);
    /* The file's own path is short enough, but not those of the files beside it. */
    size_t len = strlen(f->dir);
    memcpy(path, f->dir, len);
    for (; len < PATH_MAX - 4; len += 2)
        memcpy(path + len, "/.", 2);
    hs_str_copy(path + len, 3, "/f");
    f->options.path = path;
    assert_true(hs_gallery_open(&f->options, &f->gallery, NULL, &err) < 0);
    assert_false(hs_file_exists(path));
    f->options.path = f->path;
    fixture_open(f);
    memset(path, 'x', PATH_MAX);
    path[0] = '/';
    path[PATH_MAX] = '\0';
    assert_true(hs_gallery_restore(f->gallery, path, &err) < 0);
    assert_int_equal(err.code, hs_gallery_restore(f->gallery, path, NULL));
    fixture_close(f);
    f->options.backup_dir = path;
    path[PATH_MAX - 2] = '\0';
    if (hs_gallery_open(&f->options, &f->gallery, NULL, &err) == 0) {
        add(f->gallery, "a", 1);
        assert_true(hs_gallery_backup(f->gallery, NULL, &err) < 0);
        assert_int_equal(count_of(f->gallery, "a"), 1);
    } else {
        f->gallery = NULL;
    }
    f->options.backup_dir = f->backups;
}

/* ---- texts ---- */

static void test_texts(void **state)
{
    (void) state;
    char longest[HS_GALLERY_SPACE_MAX + 2];
    struct hs_error err = { 0 };
    memset(longest, 's', sizeof(longest));
    longest[HS_GALLERY_SPACE_MAX + 1] = '\0';
    expect(hs_gallery_check_space(longest, NULL, &err), &err, HS_EINVAL, "space: longer than");
    expect(hs_gallery_check_space("s", longest, &err), &err, HS_EINVAL, "model: longer than");
    assert_int_equal(hs_gallery_check_space(longest + 1, longest + 1, NULL), 0);
    assert_int_equal(hs_gallery_check_space("s", NULL, NULL), 0);
    static const struct {
        const char *space, *text;
    } spaces[] = {
        { NULL, "space: must not be empty" },
        { "", "space: must not be empty" },
        { "\xff", "space: not UTF-8" },
        { "a\x1f", "space: has control characters" },
        { "\x7f", "space: has control characters" },
        { "a\xc2\x9f", "space: has control characters" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(spaces); i++)
        expect(hs_gallery_check_space(spaces[i].space, NULL, &err), &err, HS_EINVAL, spaces[i].text);
    assert_int_equal(hs_gallery_check_space("\xc2\xa0 ~", NULL, NULL), 0);

    static const struct {
        const char *time;
        int code;
    } times[] = {
        { NULL, 0 },
        { "2026-01-02 03:04:05", 0 },
        { "0000-00-00 99:99:99", 0 },
        { "2026-01-02T03:04:05", HS_EINVAL },
        { "2026-01-02 03:04:0", HS_EINVAL },
        { "2026-01-02 03:04:055", HS_EINVAL },
        { "2026-01-02 03:04:0:", HS_EINVAL },
        { "2026-01-02 03:04:0/", HS_EINVAL },
        { "", HS_EINVAL },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(times); i++)
        expect(hs_gallery_check_time("created_at", times[i].time, &err), &err, times[i].code,
               "created_at: must be a time, YYYY-MM-DD HH:MM:SS");

    static const char digits[] = "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABCDEF";
    char sum[66];
    for (int len = 63; len <= 65; len++) {
        hs_str_copy_n(sum, sizeof(sum), digits, (size_t) len);
        expect(hs_gallery_check_sha256("source_sha256", sum, &err), &err, len == 64 ? 0 : HS_EINVAL,
               "source_sha256: must be 64 hexadecimal digits");
    }
    hs_str_copy_n(sum, sizeof(sum), digits, 64);
    sum[63] = 'g';
    assert_int_equal(hs_gallery_check_sha256("", sum, NULL), HS_EINVAL);

    expect(hs_gallery_check_quality("{\"score\": true}", &err), &err, HS_EINVAL,
           "quality: all members must be numbers");
    expect(hs_gallery_check_quality("[1]", &err), &err, HS_EINVAL, "quality: not a JSON object");
    expect(hs_gallery_check_metadata("{\"a\":", &err), &err, HS_EINVAL, "metadata: not a JSON object: ");
    assert_int_equal(hs_gallery_check_quality("{\"score\": 1, \"blur\": 0.5}", NULL), 0);
}

/* Length 1 within a thousandth, and the maximum number of values. */
static void test_vectors(void **state)
{
    (void) state;
    static float values[HS_GALLERY_DIMENSION_MAX + 1];
    struct hs_error err = { 0 };
    struct hs_gallery_new_embedding e = { .values = values, .dimension = HS_GALLERY_DIMENSION_MAX, .space = "s" };
    static const struct {
        float length;
        bool good;
    } lengths[] = { { 1, true }, { 1.0009F, true }, { 0.9991F, true }, { 1.0011F, false }, { 0.9989F, false } };
    for (size_t i = 0; i < HS_ARRAY_LEN(lengths); i++) {
        values[HS_GALLERY_DIMENSION_MAX - 1] = lengths[i].length;
        expect(hs_gallery_check_embedding(&e, &err), &err, lengths[i].good ? 0 : HS_EINVAL,
               "embedding: must be finite and of length 1");
    }
    values[HS_GALLERY_DIMENSION_MAX - 1] = 1;
    e.dimension++;
    expect(hs_gallery_check_embedding(&e, &err), &err, HS_EINVAL, "embedding: must have 1 to");
    e.dimension = 0;
    expect(hs_gallery_check_embedding(&e, &err), &err, HS_EINVAL, "embedding: must have 1 to");
    e = (struct hs_gallery_new_embedding) { .dimension = 1, .space = "s" };
    expect(hs_gallery_check_embedding(&e, &err), &err, HS_EINVAL, "embedding: must have 1 to");
    e = (struct hs_gallery_new_embedding) { (float[]) { 1 }, 1, "s", "m", "{\"a\":1}", NULL, "yesterday" };
    expect(hs_gallery_check_embedding(&e, &err), &err, HS_EINVAL, "created_at: must be a time");
    e.created_at = NULL;
    e.source_sha256 = "0";
    expect(hs_gallery_check_embedding(&e, &err), &err, HS_EINVAL, "source_sha256: must be 64");
    e.source_sha256 = NULL;
    assert_int_equal(hs_gallery_check_embedding(&e, NULL), 0);
}

/* ---- imports ---- */

static int import_text(struct hs_gallery *gallery, const char *lines, struct hs_gallery_imported *ret,
                       struct hs_error *err)
{
    struct hs_buf buf;
    char sum[65];
    hs_buf_init(&buf, 1 << 16);
    hs_buf_append_str(&buf, lines);
    hs_sha256(buf.data ? (const char *) buf.data : "", buf.len, sum);
    hs_buf_printf(&buf, "{\"sha256\":\"%s\"}\n", sum);
    int r = hs_gallery_import(gallery, (const char *) buf.data, buf.len, ret, err);
    hs_buf_finish(&buf);
    return r;
}

#define FORMAT "{\"format\":\"hailo-services-gallery\",\"version\":1}\n"
#define PERSON(more) FORMAT "{\"name\":\"a\"," more "}\n"
#define EMBEDDING(more) PERSON("\"embeddings\":[{\"space\":\"s\"," more "}]")

static void test_imports(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *lines, *text;
    } files[] = {
        { "", "import: the file is empty" },
        { "{}\n", "the first line must contain the format" },
        { "[\n", "the first line must contain the format" },
        { "{\"format\":\"hailo-services-gallery\"}\n",
          "import: version 0 is not supported; this program reads versions up to 2" },
        { "{\"format\":\"hailo-services-gallery\",\"version\":3}\n",
          "import: version 3 is not supported; this program reads versions up to 2" },
    };
    static const struct {
        const char *lines;
        int64_t embedding;
        const char *reason;
    } refused[] = {
        { FORMAT "[]\n", -1, "not an object with a name and embeddings" },
        { FORMAT "{\"name\":\"a\"\n", -1, "not an object with a name and embeddings" },
        { FORMAT "{\"name\":1,\"embeddings\":[]}\n", -1, "not an object with a name and embeddings" },
        { PERSON("\"embeddings\":{}"), -1, "not an object with a name and embeddings" },
        { PERSON("\"created_at\":5,\"embeddings\":[]"), -1, "not an object with a name and embeddings" },
        { PERSON("\"created_at\":\"5\",\"embeddings\":[]"), -1, "created_at: must be a time" },
        { PERSON("\"updated_at\":\"5\",\"embeddings\":[]"), -1, "updated_at: must be a time" },
        { PERSON("\"metadata\":\"5\",\"embeddings\":[]"), -1, "metadata: not a JSON object" },
        { PERSON("\"embeddings\":[5]"), 0, "embedding: a member has the wrong type" },
        { EMBEDDING("\"model\":5"), 0, "embedding: a member has the wrong type" },
        { EMBEDDING("\"model\":\"m\""), 0, "vector: not base64" },
        { EMBEDDING("\"vector\":\"*\""), 0, "vector: not base64" },
        { EMBEDDING("\"vector\":\"AACAPw\""), 0, "vector: not base64" },                      /* no padding */
        { EMBEDDING("\"vector\":\"AACA\""), 0, "vector: size is not a multiple of 4 bytes" }, /* three bytes */
        { EMBEDDING("\"vector\":\"\""), 0, "embedding: must have 1 to" },
        { EMBEDDING("\"vector\":\"AAAAPw==\""), 0, "embedding: must be finite and of length 1" }, /* 0.5 */
        { EMBEDDING("\"vector\":\"AACAPw==\",\"quality\":{\"a\":\"b\"}"), 0, "quality: all members must be numbers" },
    };
    struct hs_gallery_imported *done = calloc(1, sizeof(*done));
    struct hs_error err = { 0 };
    fixture_open(f);
    for (size_t i = 0; i < HS_ARRAY_LEN(files); i++)
        expect(import_text(f->gallery, files[i].lines, done, &err), &err, HS_EDECODE, files[i].text);
    expect(hs_gallery_import(f->gallery, "", 0, done, &err), &err, HS_EDECODE, "the last line has no sha256");
    expect(hs_gallery_import(f->gallery, "{\"sha256\":\"00\"}", 15, done, &err), &err, HS_EDECODE, "sha256 mismatch");
    for (size_t i = 0; i < HS_ARRAY_LEN(refused); i++) {
        expect(import_text(f->gallery, refused[i].lines, done, &err), &err, 0, "");
        assert_int_equal(done->refused_count, 1);
        assert_int_equal(done->added + done->present + done->identities, 0);
        assert_int_equal(done->refused[0].line, 2);
        assert_int_equal(done->refused[0].embedding, refused[i].embedding);
        if (!strstr(done->refused[0].reason, refused[i].reason))
            fail_msg("%s: \"%s\"", refused[i].lines, done->refused[0].reason);
    }
    assert_int_equal(count_of(f->gallery, "a"), -1);
    /* The same vector with valid base64: one value, 1.0. */
    assert_int_equal(import_text(f->gallery, EMBEDDING("\"vector\":\"AACAPw==\""), done, &err), 0);
    assert_int_equal(done->added, 1);
    assert_int_equal(done->identities, 1);
    assert_int_equal(done->refused_count, 0);
    assert_int_equal(count_of(f->gallery, "a"), 1);
    free(done);
}

/* The list holds as many refusals as it has room for; the count includes all. */
static void test_many_refusals(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_imported *done = calloc(1, sizeof(*done));
    struct hs_buf lines;
    hs_buf_init(&lines, 1 << 16);
    hs_buf_append_str(&lines, FORMAT);
    for (int i = 0; i <= HS_GALLERY_REFUSED_MAX; i++)
        hs_buf_append_str(&lines, "5\n");
    assert_int_equal(import_text(fixture_open(f), hs_buf_str(&lines), done, NULL), 0);
    assert_int_equal(done->refused_count, HS_GALLERY_REFUSED_MAX + 1);
    assert_int_equal(done->refused[HS_GALLERY_REFUSED_MAX - 1].line, HS_GALLERY_REFUSED_MAX + 1);
    hs_buf_finish(&lines);
    free(done);
}

/* ---- files ---- */

static void test_orphans(void **state)
{
    struct fixture *f = *state;
    struct hs_error err = { 0 };
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_check(f->gallery, &err), 0);
    run_sql(f->path, "PRAGMA foreign_keys = OFF; DELETE FROM identities");
    int r = hs_gallery_check(f->gallery, &err);
    if (r != HS_EIO || !strstr(err.message, "1 embedding belongs to no identity"))
        fail_msg("gave %d \"%s\"", r, err.message);
}

/* Counts the files of the gallery and its backups, including temporary files. */
static int count_files(const struct fixture *f)
{
    const char *const folders[] = { f->dir, f->backups };
    int count = 0;
    for (size_t i = 0; i < HS_ARRAY_LEN(folders); i++) {
        DIR *dir = opendir(folders[i]);
        while (dir && readdir(dir))
            count++;
        if (dir)
            closedir(dir);
    }
    return count;
}

/* A backup that is truncated anywhere or is not a backup is refused. It changes nothing and leaves
 * no unpacked files. */
static void test_bad_backups(void **state)
{
    struct fixture *f = *state;
    struct hs_error err = { 0 };
    char path[PATH_MAX], bad[PATH_MAX];
    uint8_t *data;
    size_t len;
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, path, NULL), 0);
    add(f->gallery, "b", 2);
    assert_int_equal(hs_file_read(path, 1 << 20, &data, &len, NULL), 0);
    hs_path_join(bad, sizeof(bad), f->dir, "bad.db.gz");
    assert_int_equal(hs_file_write_atomic(bad, "no backup", 9, 0600, NULL), 0);
    int before = count_files(f);
    assert_int_equal(hs_gallery_restore(f->gallery, bad, &err), HS_EDECODE);
    for (size_t part = 0; part < len; part += 1 + len / 20) {
        assert_int_equal(hs_file_write_atomic(bad, data, part, 0600, NULL), 0);
        expect(hs_gallery_restore(f->gallery, bad, &err), &err, HS_EDECODE, "bad.db.gz");
        assert_int_equal(count_files(f), before);
    }
    data[len / 2] ^= 0x10; /* complete, except for one flipped bit */
    assert_int_equal(hs_file_write_atomic(bad, data, len, 0600, NULL), 0);
    expect(hs_gallery_restore(f->gallery, bad, &err), &err, HS_EDECODE, "bad.db.gz");
    assert_int_equal(unlink(bad), 0);
    expect(hs_gallery_restore(f->gallery, bad, &err), &err, HS_ENOTFOUND, "");
    assert_int_equal(count_files(f), before - 1);
    assert_int_equal(count_of(f->gallery, "b"), 1);
    assert_int_equal(hs_gallery_restore(f->gallery, path, &err), 0);
    assert_int_equal(count_of(f->gallery, "b"), -1);
    free(data);
}

/* With a full disk no backup is made, no partial file is left, and existing backups stay. */
static void test_backup_without_room(void **state)
{
    struct fixture *f = *state;
    struct hs_error err = { 0 };
    struct hs_gallery_backups *list;
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    int files = count_files(f);
    for (rlim_t room = 1; room < 70000; room = room * 16 + 1) {
        small = (struct rlimit) { .rlim_cur = room, .rlim_max = before.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        int r = hs_gallery_backup(f->gallery, NULL, &err);
        int restored = hs_gallery_list_backups(f->gallery, &list, NULL);
        if (restored == 0) {
            restored = r < 0 ? hs_gallery_restore(f->gallery, list->items[0].path, NULL) : 0;
            assert_true(r < 0 || list->count > 1);
            assert_true(r == 0 || list->count == 1);
            hs_gallery_backups_destroy(list);
        }
        setrlimit(RLIMIT_FSIZE, &before);
        if (r == 0)
            break;
        assert_int_equal(r, HS_EIO);
        assert_int_equal(err.code, HS_EIO);
        assert_true(restored < 0);
        assert_int_equal(count_files(f), files);
        assert_int_equal(count_of(f->gallery, "a"), 1);
        assert_int_equal(hs_gallery_check(f->gallery, NULL), 0);
    }
    signal(SIGXFSZ, handler);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_options),     GALLERY_TEST(test_paths),       cmocka_unit_test(test_texts),
        cmocka_unit_test(test_vectors), GALLERY_TEST(test_imports),     GALLERY_TEST(test_many_refusals),
        GALLERY_TEST(test_orphans),     GALLERY_TEST(test_bad_backups), GALLERY_TEST(test_backup_without_room),
    };
    return HS_RUN_TESTS(tests);
}
