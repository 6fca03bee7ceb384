#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/subprocess.h"

static char folder[] = "/tmp/hs-test-subprocess-XXXXXX";

static int make_folder(void **state)
{
    (void) state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void) state;
    char log[100];
    hs_path_join(log, sizeof(log), folder, "log");
    unlink(log);
    return rmdir(folder);
}

static void expect_log(const char *text)
{
    char path[100];
    uint8_t *data;
    size_t len;
    assert_true(hs_path_join(path, sizeof(path), folder, "log"));
    assert_int_equal(hs_file_read(path, 4096, &data, &len, NULL), 0);
    assert_string_equal((char *) data, text);
    free(data);
}

static void output_and_code(void **state)
{
    (void) state;
    struct hs_error err;
    int code = -1;
    const char *const argv[] = { "sh", "-c", "pwd; echo \"$1\" >&2; cat; exit 3", "sh", "a; b 'c'", NULL };
    char wanted[200];
    assert_int_equal(hs_subprocess_run(argv, folder, "log", &code, &err), 0);
    assert_int_equal(code, 3);
    snprintf(wanted, sizeof(wanted), "%s\na; b 'c'\n", folder);
    expect_log(wanted);
    /* What was there before is gone. */
    const char *const quiet[] = { "true", NULL };
    assert_int_equal(hs_subprocess_run(quiet, folder, "log", &code, &err), 0);
    assert_int_equal(code, 0);
    expect_log("");
}

static void a_signal_and_a_program_that_is_missing(void **state)
{
    (void) state;
    struct hs_error err;
    int code = -1;
    const char *const killed[] = { "sh", "-c", "kill -9 $$", NULL }, *const none[] = { "no-such-program-here", NULL };
    assert_int_equal(hs_subprocess_run(killed, folder, "log", &code, &err), 0);
    assert_int_equal(code, 128);
    assert_int_equal(hs_subprocess_run(none, folder, "log", &code, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "no-such-program-here"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_code),
        cmocka_unit_test(a_signal_and_a_program_that_is_missing),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
