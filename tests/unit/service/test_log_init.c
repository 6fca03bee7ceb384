#include "../unit.h"

#include <stdlib.h>

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

static void hailort_is_led_into_the_journal(void **state)
{
    (void) state;
    unsetenv("HAILO_PRINT_TO_SYSLOG");
    start(HS_HAILORT_LOG_OFF);
    assert_null(getenv("HAILO_PRINT_TO_SYSLOG"));
    start(HS_HAILORT_LOG_JOURNAL);
    assert_string_equal(getenv("HAILO_PRINT_TO_SYSLOG"), "1");
}

static void the_users_own_word_stays(void **state)
{
    (void) state;
    setenv("HAILO_PRINT_TO_SYSLOG", "1", 1);
    start(HS_HAILORT_LOG_OFF);
    assert_string_equal(getenv("HAILO_PRINT_TO_SYSLOG"), "1");
    setenv("HAILO_PRINT_TO_SYSLOG", "0", 1);
    start(HS_HAILORT_LOG_JOURNAL);
    assert_string_equal(getenv("HAILO_PRINT_TO_SYSLOG"), "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hailort_is_led_into_the_journal),
        cmocka_unit_test(the_users_own_word_stays),
    };
    return HS_RUN_TESTS(tests);
}
