/* Scripts replace pip, so that no test uses the network. */
#include "../unit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "folder.h"
#include "models/pip_client.h"

static const struct hs_source wheel = {
    .kind = HS_SOURCE_PYPI_WHEEL, .address = "some-thing", .version = "1.2", .file = "some_thing-1.2-py3-none-any.whl"
};
static const struct hs_source sdist = {
    .kind = HS_SOURCE_PYPI_SDIST, .address = "some-thing", .version = "1.2", .file = "some_thing-1.2.tar.gz"
};

static int deadline_ms = 60000;

/* Creates a program in <folder>/bin that records its arguments in <folder>/args and its working
 * folder in <folder>/where. */
static void play(const char *folder, const char *name, const char *script)
{
    char text[1000], path[100];
    assert_int_equal(hs_dir_make(folder_path(folder, "bin"), NULL), 0);
    assert_int_equal(hs_dir_make(folder_path(folder, "work"), NULL), 0);
    assert_true(hs_str_format(text, sizeof(text), "#!/bin/sh\nprintf '%%s\\n' \"$@\" >%s\npwd >%s\n%s\n",
                              folder_path(folder, "args"), folder_path(folder, "where"), script));
    assert_true(hs_str_format(path, sizeof(path), "bin/%s", name));
    folder_write(folder, path, text, strlen(text));
    assert_int_equal(chmod(folder_path(folder, path), 0755), 0);
}

static int get(const char *folder, const struct hs_source *source, char path[PATH_MAX], struct hs_error *err)
{
    const struct hs_pip_options options = {
        .dir = folder_path(folder, "work"),
        .max_bytes = 1000,
        .stall_s = 7,
        .deadline_ns = hs_clock_now_ns() + deadline_ms * HS_NS_PER_MS,
    };
    setenv("HS_PYTHON", folder_path(folder, "bin/python"), 1);
    *err = (struct hs_error) { 0 };
    int r = hs_pip_get(source, &options, path, PATH_MAX, err);
    unsetenv("HS_PYTHON");
    return r;
}

/* True if one of the program's arguments is `wanted`. */
static bool called_with(const char *folder, const char *wanted)
{
    uint8_t *text;
    size_t len;
    bool found = false;
    assert_int_equal(hs_file_read(folder_path(folder, "args"), 1 << 20, &text, &len, NULL), 0);
    char *save = NULL;
    for (char *line = strtok_r((char *) text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        found |= strcmp(line, wanted) == 0;
    free(text);
    return found;
}

static void a_wheel(void **state)
{
    char path[PATH_MAX], where[PATH_MAX];
    struct hs_error err;
    play(*state, "python", "echo wheel >some_thing-1.2-py3-none-any.whl");
    assert_int_equal(get(*state, &wheel, path, &err), 0);
    assert_string_equal(path, folder_path(*state, "work/some_thing-1.2-py3-none-any.whl"));
    static const char *const wanted[] = { "pip",         "download",       "--no-deps", "--only-binary=:all:",
                                          "--timeout=7", "some-thing==1.2" };
    for (size_t i = 0; i < HS_ARRAY_LEN(wanted); i++)
        assert_true(called_with(*state, wanted[i]));
    hs_str_format(where, sizeof(where), "%s\n", folder_path(*state, "work"));
    assert_true(folder_holds(*state, "where", where, strlen(where)));
}

static void a_wheel_of_another_name(void **state)
{
    char path[PATH_MAX];
    struct hs_error err;
    play(*state, "python", "echo wheel >some_thing-1.2-cp311-manylinux.whl");
    assert_int_equal(get(*state, &wheel, path, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "some-thing==1.2 has no file some_thing-1.2-py3-none-any.whl"));
}

/* Not downloaded with `pip download`, which would run code from the archive. */
static void a_source_archive(void **state)
{
    char path[PATH_MAX];
    struct hs_error err;
    play(*state, "python", "echo sdist >\"$5\"");
    assert_int_equal(get(*state, &sdist, path, &err), 0);
    assert_true(folder_has(*state, "work/some_thing-1.2.tar.gz"));
    assert_true(called_with(*state, "-c"));
    assert_true(called_with(*state, "1000"));
    assert_true(called_with(*state, "--timeout=7"));
    assert_false(called_with(*state, "download"));
}

static void a_client_that_fails(void **state)
{
    char path[PATH_MAX];
    struct hs_error err;
    play(*state, "python",
         "echo 'first line'; printf 'ERROR: no \\033[31mmatch\\n\\n[notice] a new pip\\n' >&2; exit 1");
    assert_int_equal(get(*state, &wheel, path, &err), HS_EIO);
    assert_non_null(strstr(err.message, "ERROR: no \\x1b[31mmatch"));
    assert_null(strstr(err.message, "notice"));
    play(*state, "python", "kill -9 $$");
    assert_int_equal(get(*state, &wheel, path, &err), HS_EIO);
    assert_non_null(strstr(err.message, "no output"));
    play(*state, "python", "echo \"$0: No module named pip\"; exit 1");
    assert_int_equal(get(*state, &wheel, path, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "python3-pip"));
}

static void a_client_that_does_not_end(void **state)
{
    char path[PATH_MAX];
    struct hs_error err;
    play(*state, "python", "echo Looking in indexes; exec sleep 300");
    deadline_ms = 1000;
    assert_int_equal(get(*state, &wheel, path, &err), HS_EIO);
    deadline_ms = 60000;
    assert_non_null(strstr(err.message, "Looking in indexes"));
    assert_non_null(strstr(err.message, "pip timed out"));
}

static void a_client_that_is_not_there(void **state)
{
    char path[PATH_MAX];
    struct hs_error err;
    unlink(folder_path(*state, "bin/python"));
    assert_int_equal(get(*state, &wheel, path, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "pip is not installed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(a_wheel),
        FOLDER_TEST(a_wheel_of_another_name),
        FOLDER_TEST(a_source_archive),
        FOLDER_TEST(a_client_that_fails),
        FOLDER_TEST(a_client_that_does_not_end),
        FOLDER_TEST(a_client_that_is_not_there),
    };
    return HS_RUN_TESTS(tests);
}
