#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "service/app.h"

static const struct hs_program program = { .name = "hailo-test" };
static const struct hs_command command = { .name = "detect" };
static const struct hs_invocation call = { .program = &program, .command = &command };

static void start(enum hs_hailort_log hailort)
{
    const struct hs_logging_settings logging = { .level = 1, .hailort = hailort };
    const struct hs_problems problems = { 0 };
    hs_log_init(&call, &logging, &problems);
}

static void hailort_logs_to_the_journal(void **state)
{
    (void) state;
    unsetenv("HAILO_PRINT_TO_SYSLOG");
    start(HS_HAILORT_LOG_OFF);
    assert_null(getenv("HAILO_PRINT_TO_SYSLOG"));
    start(HS_HAILORT_LOG_JOURNAL);
    assert_string_equal(getenv("HAILO_PRINT_TO_SYSLOG"), "1");
}

static void variables_of_the_user_are_kept(void **state)
{
    (void) state;
    setenv("HAILO_PRINT_TO_SYSLOG", "1", 1);
    start(HS_HAILORT_LOG_OFF);
    assert_string_equal(getenv("HAILO_PRINT_TO_SYSLOG"), "1");
    setenv("HAILO_PRINT_TO_SYSLOG", "0", 1);
    start(HS_HAILORT_LOG_JOURNAL);
    assert_string_equal(getenv("HAILO_PRINT_TO_SYSLOG"), "0");
}

static bool logs(struct hs_invocation options, enum hs_log_level level)
{
    const struct hs_logging_settings logging = { .level = HS_LOG_INFO };
    const struct hs_problems problems = { 0 };
    char line[200];
    FILE *log = tmpfile();
    int saved = dup(STDERR_FILENO);
    options.program = &program;
    options.command = &command;
    hs_log_init(&options, &logging, &problems);
    dup2(fileno(log), STDERR_FILENO);
    hs_log(level, "a line");
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(log);
    bool found = fgets(line, sizeof(line), log);
    fclose(log);
    return found;
}

static void options_choose_the_level(void **state)
{
    (void) state;
    assert_true(logs((struct hs_invocation) { 0 }, HS_LOG_INFO));
    assert_false(logs((struct hs_invocation) { 0 }, HS_LOG_DEBUG));
    assert_true(logs((struct hs_invocation) { .verbose = true }, HS_LOG_DEBUG));
    assert_true(logs((struct hs_invocation) { .quiet = true }, HS_LOG_ERROR));
    assert_false(logs((struct hs_invocation) { .quiet = true }, HS_LOG_WARNING));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hailort_logs_to_the_journal),
        cmocka_unit_test(variables_of_the_user_are_kept),
        cmocka_unit_test(options_choose_the_level),
    };
    return HS_RUN_TESTS(tests);
}
