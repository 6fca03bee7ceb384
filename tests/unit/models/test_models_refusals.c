/* Full disks, paths that are too long, unreadable folders, and the search order of the models
 * folder. */
#include "../unit.h"

#include <signal.h>
#include <sys/resource.h>

#include "../convert/pose_onnx.h"
#include "archives.h"
#include "base/mem.h"
#include "http_stub.h"
#include "models/download.h"
#include "models/fetch.h"
#include "models/file_install.h"
#include "models/import.h"
#include "models/npm_registry.h"
#include "models/pip_client.h"
#include "store_fixture.h"

static void expect(int r, const struct hs_error *err, int code, const char *text)
{
    if (r != code || err->code != code || !strstr(err->message, text))
        fail_msg("gave %d \"%s\", not %d \"%s\"", r, err->message, code, text);
}

/* ---- a full disk ---- */

static struct rlimit usual;

/* Limits the size of a file, as a full disk does; 0: no limit. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit = { .rlim_cur = bytes ? bytes : usual.rlim_cur, .rlim_max = usual.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int set_up(void **state)
{
    signal(SIGXFSZ, SIG_IGN);
    return getrlimit(RLIMIT_FSIZE, &usual) < 0 ? -1 : store_fixture_make(state);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, folder_remove)

/* One byte too few; the partial file is deleted. */
static void installing(void **state)
{
    static const struct archive_member members[] = { { "m", "model", NULL } };
    struct hs_error err = { 0 };
    char from[PATH_MAX], archive[PATH_MAX], to[PATH_MAX];
    hs_str_copy(from, sizeof(from), folder_path(*state, "from"));
    hs_str_copy(archive, sizeof(archive), folder_path(*state, "archive"));
    hs_str_copy(to, sizeof(to), folder_path(*state, "to"));
    folder_write(*state, "from", "model", 5);
    archive_make(archive, true, members, 1);
    for (int member = 0; member < 2; member++) {
        for (int room = 4; room <= 5; room++) {
            limit_files((rlim_t) room);
            int r = member ? hs_install_member(archive, "m", to, 100, &err) : hs_install_copy(from, to, 100, &err);
            limit_files(0);
            assert_int_equal(r, room < 5 ? HS_EIO : 0);
            assert_int_equal(hs_file_exists(to), r == 0);
            if (r < 0)
                expect(r, &err, HS_EIO, "cannot write ");
            unlink(to);
        }
    }
    /* Nor is anything written to a folder that does not exist. */
    expect(hs_install_copy(from, folder_path(*state, "no/to"), 100, &err), &err, HS_EIO, "cannot write ");
    expect(hs_install_move(folder_path(*state, "absent"), to, &err), &err, HS_EIO, "cannot write ");
    expect(hs_install_move(from, folder_path(*state, "no/to"), &err), &err, HS_EIO, "cannot write ");
    assert_true(folder_holds(*state, "from", "model", 5));
}

/* The model fits but its pack does not: neither stays, and existing files do. */
static void importing(void **state)
{
    struct hs_buf model;
    struct hs_error err = { 0 };
    folder_write(*state, "some.hef", "\x01HEF and more", 13);
    struct hs_store *store = store_fixture_open(*state);
    char sha256[65], name[100];
    assert_int_equal(hs_file_sha256(folder_path(*state, "some.hef"), sha256, NULL), 0);
    hs_str_format(name, sizeof(name), "store/mine-%.12s.hef", sha256);
    const struct hs_import_options options = { .name = "mine", .file = folder_path(*state, "some.hef"), .force = true };
    limit_files(5);
    expect(hs_import(store, &options, NULL, &err), &err, HS_EIO, "cannot write ");
    limit_files(20);
    assert_int_equal(hs_import(store, &options, NULL, &err), HS_EIO);
    limit_files(0);
    assert_false(folder_has(*state, "store/packs/mine.yaml"));
    assert_false(folder_has(*state, name));
    hs_store_close(store);
    store = store_fixture_open(*state);
    assert_int_equal(hs_store_count(store), 0);
    assert_null(hs_store_warning(store));
    assert_int_equal(hs_import(store, &options, NULL, &err), 0);
    assert_true(folder_has(*state, name));
    /* Importing the same model again keeps the existing file and its pack. */
    limit_files(20);
    assert_int_equal(hs_import(store, &options, NULL, &err), HS_EIO);
    limit_files(0);
    assert_true(folder_has(*state, name));
    hs_store_close(store);

    pose_onnx_decoded(&model, 64, 4 + 1 + 5 * 3, 84);
    pose_onnx_prop(&model, "names", "['x']");
    pose_onnx_prop(&model, "kpt_shape", "[5, 3]");
    folder_write(*state, "other.onnx", model.data, model.len);
    store = store_fixture_open(*state);
    struct hs_import_options other = options;
    other.file = folder_path(*state, "other.onnx");
    limit_files((rlim_t) model.len);
    assert_int_equal(hs_import(store, &other, NULL, &err), HS_EIO);
    limit_files(0);
    hs_buf_finish(&model);
    hs_store_close(store);
    store = store_fixture_open(*state);
    struct hs_model_choice choice = store_fixture_choice(store, "mine");
    char *path = NULL;
    assert_string_equal(choice.file->backend, "hailo");
    assert_int_equal(hs_store_verified_path(store, &choice, &path, &err), 0);
    free(path);
    hs_store_close(store);
}

static int download_to(const char *part, const struct http_stub *stub, struct hs_error *err)
{
    const struct hs_fetch_options options = { .stall_s = 5, .connect_s = 5 };
    char url[100], hex[65];
    hs_str_format(url, sizeof(url), "http://127.0.0.1:%d/m", stub->port);
    const struct hs_download job = {
        .url = url, .part = part, .sha256 = SHA_MODEL, .max_bytes = 1000, .mirror = true, .options = &options
    };
    *err = (struct hs_error) { 0 };
    return hs_download(&job, hex, err);
}

static void downloading(void **state)
{
    struct http_stub stub = { .body = "model", .len = 5 };
    struct hs_error err;
    char part[PATH_MAX], path[PATH_MAX + 10];
    hs_str_copy(part, sizeof(part), folder_path(*state, "m.part"));
    http_stub_start(&stub);
    limit_files(4);
    assert_int_equal(download_to(part, &stub, &err), HS_EIO);
    assert_int_equal(err.code, HS_EIO);
    limit_files(0);
    assert_int_equal(download_to(part, &stub, &err), 0);
    assert_true(folder_holds(*state, "m.part", "model", 5));
    assert_int_equal(download_to(folder_path(*state, "no/m.part"), &stub, &err), HS_EIO);
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[PATH_MAX - 2] = '\0';
    expect(download_to(path, &stub, &err), &err, HS_EINVAL, "the path /xxx"); /* a message of that length is
                                                                                 truncated */
    http_stub_stop(&stub);
    unlink(part);
    unlink(folder_path(*state, "m.part.from"));
    /* A 206 response to a request without a range could be any part of the file. */
    stub.status = 206;
    http_stub_start(&stub);
    assert_int_equal(download_to(part, &stub, &err), HS_EIO);
    http_stub_stop(&stub);
    stub.status = 404;
    http_stub_start(&stub);
    expect(download_to(part, &stub, &err), &err, HS_ENOTFOUND, "the server responded with status 404");
    http_stub_stop(&stub);
    stub.status = 500;
    http_stub_start(&stub);
    expect(download_to(part, &stub, &err), &err, HS_EIO, "the server responded with status 500");
    http_stub_stop(&stub);
}

/* ---- the store ---- */

/* An unreadable record does not cause a new fetch; a damaged one does. */
static void records(void **state)
{
    struct hs_error err = { 0 };
    enum hs_file_state found = HS_FILE_MISSING;
    store_fixture_add_pack(*state, "m", PACK_HEAD("m") "openvino: {file: m.onnx}\n");
    assert_int_equal(hs_dir_make(folder_path(*state, "store/m.onnx.sha256"), NULL), 0);
    folder_write(*state, "store/m.onnx", "model", 5);
    struct hs_store *store = store_fixture_open(*state);
    struct hs_model_choice choice = store_fixture_choice(store, "m");
    int r = hs_store_check(store, choice.file, &found, NULL, &err);
    if (r != HS_EIO || !strstr(err.message, "m.onnx.sha256"))
        fail_msg("gave %d \"%s\"", r, err.message);
    assert_int_equal(rmdir(folder_path(*state, "store/m.onnx.sha256")), 0);
    assert_int_equal(hs_store_check(store, choice.file, &found, NULL, &err), 0);
    assert_int_equal(found, HS_FILE_UNRECORDED);
    static const struct {
        const char *text;
        enum hs_file_state state;
    } cases[] = {
        { SHA_MODEL "  m.onnx\n", HS_FILE_VERIFIED },
        { SHA_OTHER "  m.onnx\n", HS_FILE_BAD },
        { SHA_MODEL, HS_FILE_BAD },
        { SHA_MODEL "0 m.onnx\n", HS_FILE_BAD },
        { "", HS_FILE_BAD },
        { "9372C470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4  m.onnx\n", HS_FILE_BAD },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        char hex[65];
        folder_write(*state, "store/m.onnx.sha256", cases[i].text, strlen(cases[i].text));
        assert_int_equal(hs_store_check(store, choice.file, &found, hex, &err), 0);
        assert_int_equal(found, cases[i].state);
        assert_string_equal(hex, SHA_MODEL);
    }
    hs_store_close(store);
}

static void folder_of(const char *wanted)
{
    const struct hs_store_options options = { .service = "hs-no-such-service", .packs_dir = "/nowhere-packs" };
    struct hs_store *store;
    struct hs_error err = { 0 };
    setenv("HS_PACKS_DIR", "/nowhere", 1);
    int r = hs_store_open(&options, &store, &err);
    expect(r, &err, HS_EIO, "cannot read the folder of packs /nowhere-packs");
    struct hs_store_options good = options;
    good.packs_dir = wanted;
    if (hs_store_open(&good, &store, &err) < 0)
        fail_msg("%s", err.message);
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char path[PATH_MAX];
    if (getenv("HS_MODELS_DIR") && *getenv("HS_MODELS_DIR"))
        hs_str_copy(path, sizeof(path), getenv("HS_MODELS_DIR"));
    else if (data && data[0] == '/')
        hs_str_format(path, sizeof(path), "%s/hailo-services/models", data);
    else
        hs_str_format(path, sizeof(path), "%s/.local/share/hailo-services/models", home ? home : "/root");
    assert_string_equal(hs_store_dir(store), path);
    hs_store_close(store);
    unsetenv("HS_PACKS_DIR");
}

/* Settings take precedence in this order; an empty or relative one is ignored. */
static void models_folder(void **state)
{
    static const char *const names[] = { "HS_MODELS_DIR", "XDG_DATA_HOME", "HOME" };
    char *before[3];
    for (size_t i = 0; i < 3; i++)
        before[i] = getenv(names[i]) ? strdup(getenv(names[i])) : NULL;
    char packs[PATH_MAX];
    hs_str_copy(packs, sizeof(packs), folder_path(*state, "packs"));
    setenv("HS_MODELS_DIR", "/tmp/some-models", 1);
    setenv("XDG_DATA_HOME", "/tmp/data", 1);
    setenv("HOME", "/tmp/home", 1);
    folder_of(packs);
    setenv("HS_MODELS_DIR", "", 1);
    folder_of(packs);
    setenv("XDG_DATA_HOME", "data", 1);
    folder_of(packs);
    unsetenv("XDG_DATA_HOME");
    folder_of(packs);
    unsetenv("HOME");
    folder_of(packs);
    for (size_t i = 0; i < 3; i++) {
        if (before[i])
            setenv(names[i], before[i], 1);
        else
            unsetenv(names[i]);
        free(before[i]);
    }
}

/* A folder whose path is valid, but too long for the paths of its files. */
static void long_paths(void **state)
{
    char dir[PATH_MAX + 1], path[PATH_MAX];
    struct hs_store *store;
    struct hs_error err = { 0 };
    struct hs_store_options options = { .service = "hailo-test",
                                        .models_dir = dir,
                                        .packs_dir = folder_path(*state, "packs") };
    store_fixture_add_pack(*state, "m", PACK_HEAD("m") "openvino: [{file: m.onnx}, {file: mm.onnx}]\n");
    memset(dir, '/', sizeof(dir));
    memcpy(dir, *state, strlen(*state));
    dir[PATH_MAX] = '\0'; /* one character too many for the folder */
    expect(hs_store_open(&options, &store, &err), &err, HS_EINVAL, "the path of the models folder is too long");
    dir[PATH_MAX - 8] = '\0'; /* leaves room for "packs" and little else */
    if (hs_store_open(&options, &store, &err) < 0)
        fail_msg("%s", err.message);
    struct hs_model_choice choice = store_fixture_choice(store, "m");
    enum hs_file_state found;
    char hex[65], *verified;
    struct hs_fetch_result result;
    assert_int_equal(hs_store_check(store, choice.file, &found, hex, &err), 0); /* this name just fits */
    assert_int_equal(found, HS_FILE_MISSING);
    choice.file++;
    assert_false(hs_store_has(store, choice.file));
    assert_false(hs_store_work_path(store, "m.onnx", path, sizeof(path)));
    expect(hs_store_record(store, "mm.onnx", SHA_MODEL, &err), &err, HS_EINVAL, "the path of mm.onnx is too long");
    expect(hs_store_expected(store, choice.file, hex, &err), &err, HS_EINVAL, "the path of mm.onnx is too long");
    expect(hs_store_check(store, choice.file, &found, hex, &err), &err, HS_EINVAL, "the path of mm.onnx is too long");
    expect(hs_store_verified_path(store, &choice, &verified, &err), &err, HS_EINVAL, "the path of mm.onnx is too long");
    const struct hs_fetch_options fetch = { 0 };
    assert_true(hs_fetch_file(store, &choice, &fetch, &result, &err) < 0);
    hs_store_close(store);
}

/* ---- registries ---- */

static void names_that_are_too_long(void **state)
{
    char name[HS_NPM_TEXT_SIZE + 10], path[PATH_MAX];
    struct hs_npm_location location;
    struct hs_error err = { 0 };
    memset(name, 'a', sizeof(name));
    name[HS_NPM_TEXT_SIZE] = '\0';
    expect(hs_npm_locate(name, "1", &location, &err), &err, HS_EINVAL, "npm's setting registry is too long");
    const struct hs_source source = { .kind = HS_SOURCE_PYPI_WHEEL, .address = name, .version = "1", .file = "f.whl" };
    const struct hs_pip_options options = { .dir = *state, .max_bytes = 10, .stall_s = 1 };
    expect(hs_pip_get(&source, &options, path, sizeof(path), &err), &err, HS_EINVAL, "the package name is too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(installing),
        TEST(importing),
        TEST(downloading),
        TEST(records),
        TEST(models_folder),
        TEST(long_paths),
        TEST(names_that_are_too_long),
    };
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    return HS_RUN_TESTS(tests);
}
