#include "../unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "infer/registry.h"

static char folder[64];

static void sim_is_built_in(void **state)
{
    (void) state;
    const struct hs_backend *backend = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_registry_find("sim", &backend, &err), 0);
    assert_string_equal(backend->name, "sim");
    assert_int_equal(backend->abi, HS_BACKEND_ABI);
}

static void a_missing_module_lists_the_searched_folders(void **state)
{
    (void) state;
    const struct hs_backend *backend = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_registry_find("nosuch", &backend, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "hs_backend_nosuch.so"));
    assert_non_null(strstr(err.message, folder));
    assert_null(backend);
}

static void names_with_slashes_are_refused(void **state)
{
    (void) state;
    static const char *const bad[] = {
        "", "../evil", "a/b", "A", "a.so", "with space", "a-name-that-is-far-too-long-to-be-true"
    };
    const struct hs_backend *backend = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct hs_error err = { 0 };
        assert_int_equal(hs_registry_find(bad[i], &backend, &err), HS_EINVAL);
    }
}

static void a_broken_module_is_an_error_and_is_listed(void **state)
{
    (void) state;
    char path[128];
    struct hs_error err = { 0 };
    const struct hs_backend *backend = NULL;
    hs_str_format(path, sizeof(path), "%s/hs_backend_broken.so", folder);
    assert_int_equal(hs_file_write_atomic(path, "not a library", 13, 0600, &err), 0);
    assert_int_equal(hs_registry_find("broken", &backend, &err), HS_EDEVICE);
    assert_non_null(strstr(err.message, "broken"));
    struct hs_registry_entry entries[16];
    size_t count = hs_registry_list(entries, 16);
    bool broken = false, sim = false, openvino = false;
    for (size_t i = 0; i < count; i++) {
        broken |= strcmp(entries[i].name, "broken") == 0 && !entries[i].usable && entries[i].error.code == HS_EDEVICE;
        sim |= strcmp(entries[i].name, "sim") == 0 && entries[i].usable && entries[i].probe.available;
        openvino |= strcmp(entries[i].name, "openvino") == 0;
    }
    assert_true(broken && sim && openvino);
    assert_int_equal(hs_registry_list(entries, 1), 1);
    unlink(path);
}

/* Copies a module that was built beside this test into the folder, as the backend `name`. */
static void install(const char *file, const char *name, char path[128])
{
    uint8_t *data;
    size_t len;
    char from[512];
    hs_str_format(path, 128, "%s/hs_backend_%s.so", folder, name);
    assert_true(hs_str_format(from, sizeof(from), "%s/tests/unit/infer/%s.so", getenv("HS_BUILD_DIR"), file));
    assert_int_equal(hs_file_read(from, 1 << 24, &data, &len, NULL), 0);
    assert_int_equal(hs_file_write_atomic(path, data, len, 0700, NULL), 0);
    free(data);
}

static void modules_without_a_backend_are_refused(void **state)
{
    (void) state;
    static const struct {
        const char *file, *name;
        int code;
        const char *message;
    } cases[] = {
        { "other_abi", "other_abi", HS_EVERSION, "hs_backend_other_abi.so was built for backend interface 4711" },
        { "other_name", "other_name", HS_EVERSION, "hs_backend_other_name.so has the unexpected name 'other_abi'" },
        { "nameless", "nameless", HS_EVERSION, "hs_backend_nameless.so has the unexpected name ''" },
        { "tableless", "tableless", HS_EVERSION, "is not a backend: missing symbol hs_backend_entry" },
        { "dependent", "dependent", HS_EDEVICE, "cannot open the backend 'dependent'" },
        { "dependent", "openvino", HS_EDEVICE, "OpenVINO was removed (libhs_test_dependency.so: cannot open" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        const struct hs_backend *backend = NULL;
        struct hs_error err = { 0 };
        char path[128];
        install(cases[i].file, cases[i].name, path);
        assert_int_equal(hs_registry_find(cases[i].name, &backend, &err), cases[i].code);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s: %s", cases[i].name, err.message);
        assert_null(backend);
        char version[32] = "untouched";
        assert_false(hs_registry_runtime(cases[i].name, version, sizeof(version)));
        assert_string_equal(version, "untouched");
        unlink(path);
    }
}

static void long_names_are_refused(void **state)
{
    (void) state;
    static const char longest[] = "a-name_of_31_characters-is-known";
    const struct hs_backend *backend;
    struct hs_error err = { 0 };
    assert_int_equal(strlen(longest + 1), 31);
    assert_int_equal(hs_registry_find(longest + 1, &backend, &err), HS_ENOTFOUND);
    assert_int_equal(hs_registry_find(longest, &backend, &err), HS_EINVAL);
    assert_non_null(strstr(err.message, "is not a valid backend name"));
}

static void the_version_of_a_runtime_is_its_number(void **state)
{
    (void) state;
    char version[32], small[1] = "";
    assert_true(hs_registry_runtime("sim", version, sizeof(version)));
    assert_string_equal(version, "2");
    assert_false(hs_registry_runtime("sim", small, sizeof(small)));
    assert_false(hs_registry_runtime("nosuch", version, sizeof(version)));
}

/* HS_BACKEND_DIR takes precedence, even before the folder exists. */
static void the_module_folder_can_be_overridden(void **state)
{
    (void) state;
    char path[HS_REGISTRY_PATH_SIZE], program[HS_REGISTRY_PATH_SIZE];
    assert_true(hs_registry_folder(path));
    assert_string_equal(path, folder);
    setenv("HS_BACKEND_DIR", "/no/such/folder", 1);
    assert_true(hs_registry_folder(path));
    assert_string_equal(path, "/no/such/folder");
    /* No module folder exists beside this test. */
    assert_true(hs_path_of_program(program, sizeof(program), "../lib/hailo-services/backends"));
    setenv("HS_BACKEND_DIR", "", 1);
    assert_true(hs_registry_folder(path));
    assert_string_equal(path, program);
    unsetenv("HS_BACKEND_DIR");
    assert_true(hs_registry_folder(path));
    assert_string_equal(path, program);
    setenv("HS_BACKEND_DIR", folder, 1);
}

/* Lists only files with the name of a module, and each name once. */
static void other_files_are_not_listed(void **state)
{
    (void) state;
    static const char *const files[] = { "hs_backend_.so",  "hs_backend_x.so.1", "backend_x.so",
                                         "hs_backend_X.so", "hs_backend_sim.so", "hs_backend_ok-1.so" };
    struct hs_registry_entry entries[16];
    char path[128];
    for (size_t i = 0; i < HS_ARRAY_LEN(files); i++) {
        hs_str_format(path, sizeof(path), "%s/%s", folder, files[i]);
        assert_int_equal(hs_file_write_atomic(path, "no", 2, 0600, NULL), 0);
    }
    size_t count = hs_registry_list(entries, HS_ARRAY_LEN(entries)), sims = 0, oks = 0, strange = 0;
    for (size_t i = 0; i < count; i++) {
        sims += strcmp(entries[i].name, "sim") == 0 && entries[i].usable && entries[i].path[0] == '\0';
        oks += strcmp(entries[i].name, "ok-1") == 0 && !entries[i].usable && hs_str_starts(entries[i].path, folder);
        strange += strchr(entries[i].name, 'x') || strchr(entries[i].name, 'X') || !entries[i].name[0];
    }
    for (size_t i = 0; i < HS_ARRAY_LEN(files); i++) {
        hs_str_format(path, sizeof(path), "%s/%s", folder, files[i]);
        unlink(path);
    }
    assert_true(sims == 1 && oks == 1 && strange == 0);
}

static int set_up(void **state)
{
    (void) state;
    hs_str_copy(folder, sizeof(folder), "/tmp/hs-registry-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    return setenv("HS_BACKEND_DIR", folder, 1);
}

static int tear_down(void **state)
{
    (void) state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sim_is_built_in),
        cmocka_unit_test(a_missing_module_lists_the_searched_folders),
        cmocka_unit_test(names_with_slashes_are_refused),
        cmocka_unit_test(a_broken_module_is_an_error_and_is_listed),
        cmocka_unit_test(modules_without_a_backend_are_refused),
        cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(the_version_of_a_runtime_is_its_number),
        cmocka_unit_test(the_module_folder_can_be_overridden),
        cmocka_unit_test(other_files_are_not_listed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
