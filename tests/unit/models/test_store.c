#include "../unit.h"

#include <string.h>

#include "store_fixture.h"

static void write_store(const char *folder, const char *name, const char *text)
{
    assert_int_equal(hs_dir_make(folder_path(folder, "store/packs"), NULL), 0);
    folder_write(folder_path(folder, "store"), name, text, strlen(text));
}

static const char pinned[] = PACK_HEAD("pinned") "openvino: {file: pinned.onnx, size: 5, sha256: " SHA_MODEL "}\n";
static const char loose[] = PACK_HEAD("loose") "openvino: {file: loose.onnx}\n";

static enum hs_file_state state_of(const struct hs_store *store, const char *name, char hex[65])
{
    struct hs_error err = { 0 };
    enum hs_file_state state;
    struct hs_model_choice choice = store_fixture_choice(store, name);
    assert_int_equal(hs_store_check(store, choice.file, &state, hex, &err), 0);
    return state;
}

static void store_paths(void **state)
{
    store_fixture_add_pack(*state, "pinned", pinned);
    struct hs_store *store = store_fixture_open(*state);
    char path[PATH_MAX];
    assert_string_equal(hs_store_dir(store), folder_path(*state, "store"));
    assert_true(hs_store_path(store, "a", path, sizeof(path)));
    assert_string_equal(path, folder_path(*state, "store/a"));
    assert_false(hs_store_path(store, "a", path, 5));
    assert_int_equal(hs_store_count(store), 1);
    assert_null(hs_store_pack(store, 1));
    assert_null(hs_store_warning(store));
    assert_false(folder_has(*state, "store")); /* opening creates nothing */
    hs_store_close(store);
    hs_store_close(NULL);
}

static void folders_from_the_environment(void **state)
{
    struct hs_store *store = NULL;
    struct hs_error err = { 0 };
    char data[PATH_MAX];
    const struct hs_store_options options = { .service = "hailo-no-such-service" };
    setenv("HS_PACKS_DIR", folder_path(*state, "packs"), 1);
    setenv("HS_MODELS_DIR", folder_path(*state, "here"), 1);
    assert_int_equal(hs_store_open(&options, &store, &err), 0);
    assert_string_equal(hs_store_dir(store), folder_path(*state, "here"));
    hs_store_close(store);
    setenv("HS_MODELS_DIR", "", 1);
    setenv("XDG_DATA_HOME", *state, 1);
    hs_str_format(data, sizeof(data), "%s/hailo-services/models", (const char *) *state);
    assert_int_equal(hs_store_open(&options, &store, &err), 0);
    assert_string_equal(hs_store_dir(store), data);
    hs_store_close(store);
    setenv("XDG_DATA_HOME", "not/absolute", 1);
    setenv("HOME", *state, 1);
    hs_str_format(data, sizeof(data), "%s/.local/share/hailo-services/models", (const char *) *state);
    assert_int_equal(hs_store_open(&options, &store, &err), 0);
    assert_string_equal(hs_store_dir(store), data);
    hs_store_close(store);
    setenv("HS_PACKS_DIR", folder_path(*state, "absent"), 1);
    assert_int_equal(hs_store_open(&options, &store, &err), HS_EIO);
    assert_non_null(strstr(err.message, "absent"));
    unsetenv("HS_PACKS_DIR");
    unsetenv("HS_MODELS_DIR");
    unsetenv("XDG_DATA_HOME");
}

static void an_invalid_shipped_pack_is_an_error(void **state)
{
    struct hs_store *store = NULL;
    struct hs_error err = { 0 };
    store_fixture_add_pack(*state, "pinned", pinned);
    store_fixture_add_pack(*state, "broken", "name: broken\n");
    const struct hs_store_options options = { .service = "x",
                                              .models_dir = "/nowhere",
                                              .packs_dir = folder_path(*state, "packs") };
    assert_int_equal(hs_store_open(&options, &store, &err), HS_EINVAL);
    assert_non_null(strstr(err.message, "broken.yaml"));
}

static void an_invalid_imported_pack_is_skipped(void **state)
{
    store_fixture_add_pack(*state, "pinned", pinned);
    write_store(*state, "packs/broken.yaml", "name: broken\n");
    write_store(*state, "packs/mine.yaml", PACK_HEAD("mine") "openvino: {file: mine.onnx}\n");
    write_store(*state, "packs/.hidden.yaml", "{");
    write_store(*state, "packs/notes.txt", "{");
    struct hs_store *store = store_fixture_open(*state);
    assert_int_equal(hs_store_count(store), 2);
    assert_non_null(strstr(hs_store_warning(store), "broken.yaml"));
    assert_true(hs_store_find(store, "mine")->imported);
    assert_false(hs_store_find(store, "PINNED")->imported);
    hs_store_close(store);
}

static void the_shipped_pack_wins(void **state)
{
    store_fixture_add_pack(*state, "some-pose", PACK_HEAD("some-pose") "openvino: {file: shipped.onnx}\n");
    write_store(*state, "packs/a.yaml", PACK_HEAD("some_pose") "openvino: {file: mine.onnx}\n");
    struct hs_store *store = store_fixture_open(*state);
    assert_int_equal(hs_store_count(store), 1);
    assert_string_equal(store_fixture_choice(store, "some_pose").file->name, "shipped.onnx");
    assert_non_null(strstr(hs_store_warning(store), "another pack is also named some_pose"));
    hs_store_close(store);
}

/* ---- choosing ---- */

static struct hs_model_choice choose(const struct hs_store *store, const char *name, const char *backend,
                                     const char *runtime)
{
    struct hs_model_choice choice = { 0 };
    struct hs_error err = { 0 };
    if (hs_store_choose(store, HS_TASK_POSE, name, backend, runtime, &choice, &err) < 0)
        fail_msg("%s", err.message);
    return choice;
}

static void refuse_choice(const struct hs_store *store, const char *name, const char *backend, const char *runtime,
                          const char *message)
{
    struct hs_model_choice choice = { 0 };
    struct hs_error err = { 0 };
    assert_int_equal(hs_store_choose(store, HS_TASK_POSE, name, backend, runtime, &choice, &err), HS_ENOTFOUND);
    assert_null(choice.pack);
    if (!strstr(err.message, message))
        fail_msg("\"%s\" does not say \"%s\"", err.message, message);
}

static void by_name(void **state)
{
    store_fixture_add_pack(*state, "a", PACK_HEAD("some-pose") "hailo: {file: a.hef, runtime: \"5.1\"}\n");
    store_fixture_add_pack(*state, "b", PACK_HEAD("other-pose") "openvino: {file: b.onnx}\n");
    struct hs_store *store = store_fixture_open(*state);
    assert_string_equal(choose(store, "some_pose", "hailo", "5.1.1").file->name, "a.hef");
    assert_string_equal(choose(store, "Some-Pose", "sim", NULL).file->name, "a.hef");
    assert_string_equal(choose(store, "other-pose", "openvino", NULL).file->name, "b.onnx");
    refuse_choice(store, "none", "openvino", NULL, "no pose model named \"none\"; available: other-pose");
    refuse_choice(store, "a\nb", "openvino", NULL, "\"a\\x0ab\"");
    refuse_choice(store, "some-pose", "openvino", NULL,
                  "some-pose has no file for openvino; models with such a file: other-pose");
    refuse_choice(store, "some-pose", "hailo", "5.2", "no file for hailo 5.2; models with such a file: none");
    struct hs_model_choice choice;
    assert_int_equal(hs_store_choose(store, HS_TASK_FACE_DETECTION, "some-pose", "hailo", NULL, &choice, NULL),
                     HS_ENOTFOUND);
    hs_store_close(store);
}

static void the_best_one(void **state)
{
    store_fixture_add_pack(*state, "a", PACK_HEAD("aaa-pose") "openvino: {file: a.onnx}\nhailo: {file: a.hef}\n");
    store_fixture_add_pack(*state, "n", PACK_HEAD("yolo11n-pose") "openvino: {file: n.onnx, size: 5}\n");
    store_fixture_add_pack(*state, "s", PACK_HEAD("yolov8s-pose") "openvino: {file: s.onnx}\nhailo: {file: s.hef}\n");
    write_store(*state, "packs/mine.yaml", PACK_HEAD("mine") "openvino: {file: mine.onnx}\n");
    write_store(*state, "mine.onnx", "model");
    struct hs_store *store = store_fixture_open(*state);
    struct hs_model_choice choice;
    assert_string_equal(choose(store, NULL, "openvino", NULL).pack->name, "yolo11n-pose");
    assert_string_equal(choose(store, "auto", "hailo", NULL).file->name, "s.hef");
    write_store(*state, "a.onnx", "model"); /* an installed pack before one that is not */
    assert_string_equal(choose(store, "", "openvino", NULL).pack->name, "aaa-pose");
    assert_int_equal(hs_store_choose_default(store, HS_TASK_POSE, "openvino", NULL, &choice, NULL), 0);
    assert_string_equal(choice.pack->name, "yolo11n-pose");
    write_store(*state, "n.onnx", "half"); /* a file of the wrong size does not count as installed */
    assert_string_equal(choose(store, NULL, "openvino", NULL).pack->name, "aaa-pose");
    write_store(*state, "n.onnx", "whole");
    assert_string_equal(choose(store, NULL, "openvino", NULL).pack->name, "yolo11n-pose");
    refuse_choice(store, NULL, "toaster", NULL, "no pose model for toaster in ");
    hs_store_close(store);
}

#define FACE_PACK(name, backends)                                                                                      \
    "name: " name "\ntask: face-embedding\ntitle: t\nlicence: {name: MIT}\ninput: {width: 112, height: 112}\n"         \
    "decode: arcface\nembedding: {space: " name ", dimension: 512, threshold: 0.5}\n" backends

static const char *best_embedding(const struct hs_store *store, const char *backend, bool fresh)
{
    struct hs_model_choice choice;
    int r = fresh ? hs_store_choose_default(store, HS_TASK_FACE_EMBEDDING, backend, NULL, &choice, NULL)
                  : hs_store_choose(store, HS_TASK_FACE_EMBEDDING, NULL, backend, NULL, &choice, NULL);
    assert_int_equal(r, 0);
    return choice.pack->name;
}

/* A pack that is not fetched by default is the best one if it is installed. */
static void installed_models_are_preferred(void **state)
{
    store_fixture_add_pack(*state, "h", FACE_PACK("arcface-mobilefacenet", "hailo: {file: h.hef}\n"));
    store_fixture_add_pack(*state, "p", FACE_PACK("mobilefacenet-faceplugin", "openvino: {file: p.onnx}\n"));
    store_fixture_add_pack(*state, "w", FACE_PACK("w600k-mbf", "openvino: {file: w.onnx}\n"));
    struct hs_store *store = store_fixture_open(*state);
    assert_string_equal(best_embedding(store, "openvino", false), "mobilefacenet-faceplugin");
    assert_string_equal(best_embedding(store, "sim", false), "mobilefacenet-faceplugin");
    assert_string_equal(best_embedding(store, "hailo", false), "arcface-mobilefacenet");
    write_store(*state, "p.onnx", "model");
    assert_string_equal(best_embedding(store, "openvino", false), "mobilefacenet-faceplugin");
    write_store(*state, "w.onnx", "model");
    assert_string_equal(best_embedding(store, "openvino", false), "w600k-mbf");
    assert_string_equal(best_embedding(store, "openvino", true), "mobilefacenet-faceplugin");
    hs_store_close(store);
}

/* ---- files ---- */

static void states_of_a_file(void **state)
{
    char hex[65];
    store_fixture_add_pack(*state, "pinned", pinned);
    store_fixture_add_pack(*state, "loose", loose);
    struct hs_store *store = store_fixture_open(*state);
    assert_int_equal(state_of(store, "pinned", hex), HS_FILE_MISSING);
    assert_string_equal(hex, "");
    write_store(*state, "pinned.onnx", "model");
    assert_int_equal(state_of(store, "pinned", hex), HS_FILE_VERIFIED);
    assert_string_equal(hex, SHA_MODEL);
    write_store(*state, "pinned.onnx", "modem"); /* one bit differs, same size */
    assert_int_equal(state_of(store, "pinned", NULL), HS_FILE_BAD);
    assert_true(hs_store_has(store, store_fixture_choice(store, "pinned").file));
    write_store(*state, "loose.onnx", "other");
    assert_int_equal(state_of(store, "loose", hex), HS_FILE_UNRECORDED);
    assert_string_equal(hex, SHA_OTHER);
    assert_int_equal(hs_store_record(store, "loose.onnx", SHA_OTHER, NULL), 0);
    assert_true(folder_holds(*state, "store/loose.onnx.sha256", SHA_OTHER "  loose.onnx\n", 77));
    assert_int_equal(state_of(store, "loose", NULL), HS_FILE_VERIFIED);
    write_store(*state, "loose.onnx", "model");
    assert_int_equal(state_of(store, "loose", NULL), HS_FILE_BAD);
    write_store(*state, "loose.onnx.sha256", "rubbish");
    assert_int_equal(state_of(store, "loose", NULL), HS_FILE_BAD);
    write_store(*state, "loose.onnx.sha256", "");
    assert_int_equal(state_of(store, "loose", NULL), HS_FILE_BAD);
    hs_store_close(store);
}

static void only_verified_files_are_returned(void **state)
{
    char *path = NULL;
    struct hs_error err = { 0 };
    store_fixture_add_pack(*state, "pinned", pinned);
    store_fixture_add_pack(*state, "loose", loose);
    struct hs_store *store = store_fixture_open(*state);
    struct hs_model_choice choice = store_fixture_choice(store, "pinned"), other = store_fixture_choice(store, "loose");
    assert_int_equal(hs_store_verified_path(store, &choice, &path, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, " models pull pinned"));
    write_store(*state, "pinned.onnx", "modem");
    assert_int_equal(hs_store_verified_path(store, &choice, &path, &err), HS_EMODEL);
    write_store(*state, "loose.onnx", "model");
    assert_int_equal(hs_store_verified_path(store, &other, &path, &err), HS_EMODEL);
    assert_non_null(strstr(err.message, SHA_MODEL));
    assert_null(path);
    write_store(*state, "pinned.onnx", "model");
    assert_int_equal(hs_store_verified_path(store, &choice, &path, &err), 0);
    assert_string_equal(path, folder_path(*state, "store/pinned.onnx"));
    free(path);
    hs_store_close(store);
}

static void removing(void **state)
{
    int removed = -1;
    struct hs_error err = { 0 };
    store_fixture_add_pack(*state, "loose", loose);
    struct hs_store *store = store_fixture_open(*state);
    assert_int_equal(hs_store_remove(store, hs_store_find(store, "loose"), &removed, &err), 0);
    assert_int_equal(removed, 0);
    assert_false(folder_has(*state, "store"));
    hs_store_close(store);

    static const char *const left[] = { "loose.onnx", "loose.onnx.sha256", "loose.onnx.part", "loose.onnx.part.from" };
    for (size_t i = 0; i < 4; i++)
        write_store(*state, left[i], "model");
    write_store(*state, "packs/mine.yaml", PACK_HEAD("mine") "openvino: {file: mine.onnx}\n");
    write_store(*state, "mine.onnx", "model");
    assert_int_equal(hs_dir_make(folder_path(*state, "store/.loose.onnx.fetch/deep"), NULL), 0);
    store = store_fixture_open(*state);
    /* Nothing is deleted while the file cannot be locked. */
    assert_int_equal(hs_dir_make(folder_path(*state, "store/.loose.onnx.lock"), NULL), 0);
    assert_int_equal(hs_store_remove(store, hs_store_find(store, "loose"), &removed, &err), HS_EIO);
    assert_true(folder_has(*state, "store/loose.onnx"));
    assert_int_equal(rmdir(folder_path(*state, "store/.loose.onnx.lock")), 0);
    assert_int_equal(hs_store_remove(store, hs_store_find(store, "loose"), &removed, &err), 0);
    assert_int_equal(removed, 1);
    for (size_t i = 0; i < 4; i++)
        assert_false(folder_has(folder_path(*state, "store"), left[i]));
    assert_false(folder_has(*state, "store/.loose.onnx.fetch"));
    assert_non_null(hs_store_find(store, "loose"));
    assert_int_equal(hs_store_remove(store, hs_store_find(store, "mine"), &removed, &err), 0);
    assert_int_equal(removed, 1);
    assert_null(hs_store_find(store, "mine"));
    assert_false(folder_has(*state, "store/mine.onnx"));
    assert_false(folder_has(*state, "store/packs/mine.yaml"));
    assert_int_equal(hs_store_count(store), 1);
    hs_store_close(store);
}

static void one_at_a_time(void **state)
{
    int lock, other;
    struct hs_error err = { 0 };
    struct hs_store *store = store_fixture_open(*state);
    assert_int_equal(hs_store_lock(store, "a", true, &lock, &err), 0);
    assert_int_equal(hs_store_lock(store, "a", false, &other, &err), HS_EBUSY);
    assert_int_equal(hs_store_lock(store, "b", false, &other, &err), 0);
    hs_store_unlock(store, "b", other);
    hs_store_unlock(store, "a", lock);
    assert_false(folder_has(*state, "store/.a.lock"));
    assert_int_equal(hs_store_lock(store, "a", false, &lock, &err), 0);
    hs_store_unlock(store, "a", lock);
    assert_int_equal(symlink("elsewhere", folder_path(*state, "store/.c.lock")), 0);
    assert_int_equal(hs_store_lock(store, "c", false, &lock, &err), HS_EIO);
    hs_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(store_paths),
        STORE_TEST(folders_from_the_environment),
        STORE_TEST(an_invalid_shipped_pack_is_an_error),
        STORE_TEST(an_invalid_imported_pack_is_skipped),
        STORE_TEST(the_shipped_pack_wins),
        STORE_TEST(by_name),
        STORE_TEST(the_best_one),
        STORE_TEST(installed_models_are_preferred),
        STORE_TEST(states_of_a_file),
        STORE_TEST(only_verified_files_are_returned),
        STORE_TEST(removing),
        STORE_TEST(one_at_a_time),
    };
    return HS_RUN_TESTS(tests);
}
