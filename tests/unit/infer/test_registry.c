#include "../unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
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

static void an_absent_module_lists_where_it_was_looked_for(void **state)
{
    (void) state;
    const struct hs_backend *backend = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_registry_find("nosuch", &backend, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "hs_backend_nosuch.so"));
    assert_non_null(strstr(err.message, folder));
    assert_null(backend);
}

static void names_with_paths_in_them_are_refused(void **state)
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

static int copy_library(const char *name)
{
    char path[128];
    uint8_t *data;
    size_t len;
    struct hs_error err = { 0 };
    const char *build = getenv("HS_BUILD_DIR");
    char from[512];
    if (!build || !hs_path_join(from, sizeof(from), build, "tests/unit/infer/stray.so") || !hs_file_exists(from))
        return -1;
    hs_str_format(path, sizeof(path), "%s/hs_backend_%s.so", folder, name);
    int r = hs_file_read(from, 1 << 24, &data, &len, &err);
    if (r == 0) {
        r = hs_file_write_atomic(path, data, len, 0700, &err);
        free(data);
    }
    return r;
}

/* stray.c is a module whose table has another interface version. */
static void a_module_of_another_interface_is_refused(void **state)
{
    (void) state;
    const struct hs_backend *backend = NULL;
    struct hs_error err = { 0 };
    char path[128];
    assert_int_equal(copy_library("stray"), 0);
    assert_int_equal(hs_registry_find("stray", &backend, &err), HS_EVERSION);
    assert_non_null(strstr(err.message, "interface 4711"));
    assert_null(backend);
    hs_str_format(path, sizeof(path), "%s/hs_backend_stray.so", folder);
    unlink(path);
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
        cmocka_unit_test(an_absent_module_lists_where_it_was_looked_for),
        cmocka_unit_test(names_with_paths_in_them_are_refused),
        cmocka_unit_test(a_broken_module_is_an_error_and_is_listed),
        cmocka_unit_test(a_module_of_another_interface_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
