#include "../unit.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"

static char line[8192];

/* Stores the stderr output of one call in `line`. */
static void catch_line(enum hs_log_level level, const char *message)
{
    int ends[2], before = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    hs_log(level, "%s", message);
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t n = read(ends[0], line, sizeof(line) - 1);
    close(ends[0]);
    line[n > 0 ? n : 0] = '\0';
}

static json_t *catch_json(const char *message)
{
    json_error_t error;
    catch_line(HS_LOG_WARNING, message);
    size_t len = strlen(line);
    assert_true(len > 0 && line[len - 1] == '\n' && strchr(line, '\n') == line + len - 1);
    json_t *value = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        fail_msg("%s: %s", line, error.text);
    return value;
}

/* Returns true if the text starts with the shape, in which 0 stands for any digit. */
static bool has_shape(const char *text, const char *shape)
{
    for (; *shape; text++, shape++) {
        if (*shape == '0' ? *text < '0' || *text > '9' : *text != *shape)
            return false;
    }
    return true;
}

static void a_json_line_is_json_whatever_the_message(void **state)
{
    (void) state;
    static const char *const same[] = { "plain",        "\"GET /a?b=\\\"", "tab\tand\nline", "gr\xc3\xbc\xc3\x9f",
                                        "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
    hs_log_setup("test-log", HS_LOG_INFO, HS_LOG_JSON);
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        json_t *value = catch_json(same[i]);
        assert_string_equal(json_string_value(json_object_get(value, "message")), same[i]);
        assert_string_equal(json_string_value(json_object_get(value, "service")), "test-log");
        assert_string_equal(json_string_value(json_object_get(value, "level")), "WARNING");
        const char *time = json_string_value(json_object_get(value, "time"));
        assert_non_null(time);
        assert_true(has_shape(time, "0000-00-00T00:00:00.000Z"));
        assert_int_equal(strlen(time), 24);
        json_decref(value);
    }
    /* A byte that is not UTF-8 becomes the character with that number. */
    json_t *value = catch_json("a\xff"
                               "b\xc3");
    assert_string_equal(json_string_value(json_object_get(value, "message")), "a\xc3\xbf"
                                                                              "b\xc3\x83");
    json_decref(value);
}

static void a_text_line_escapes_controls_only(void **state)
{
    (void) state;
    hs_log_setup("test-log", HS_LOG_INFO, HS_LOG_TEXT);
    catch_line(HS_LOG_INFO, "a\"b\\ gr\xc3\xbc \xe2\x82\xac\n\x1b[31m\x7f\xff");
    assert_non_null(strstr(line, " [test-log] INFO: a\"b\\ gr\xc3\xbc \xe2\x82\xac\\x0a\\x1b[31m\\x7f\\xff\n"));
    assert_true(has_shape(line, "0000-00-00 00:00:00,000 [test-log] INFO: "));
}

static void a_message_that_is_too_long_is_cut_between_characters(void **state)
{
    (void) state;
    static char message[9001];
    for (size_t i = 0; i + 2 < sizeof(message); i += 3)
        memcpy(message + i, "\xe2\x82\xac", 3);
    hs_log_setup("test-log", HS_LOG_INFO, HS_LOG_JSON);
    json_t *value = catch_json(message);
    size_t len = json_string_length(json_object_get(value, "message"));
    assert_true(len > 2000 && len % 3 == 0 && len < sizeof(message));
    json_decref(value);
    /* Each byte becomes six in the output. */
    memset(message, 1, sizeof(message) - 1);
    json_decref(catch_json(message));
}

static void levels_below_the_least_are_silent(void **state)
{
    (void) state;
    hs_log_setup("test-log", HS_LOG_WARNING, HS_LOG_TEXT);
    catch_line(HS_LOG_INFO, "not this");
    assert_string_equal(line, "");
    catch_line(HS_LOG_ERROR, "but this");
    assert_non_null(strstr(line, "] ERROR: but this\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_line_is_json_whatever_the_message),
        cmocka_unit_test(a_text_line_escapes_controls_only),
        cmocka_unit_test(a_message_that_is_too_long_is_cut_between_characters),
        cmocka_unit_test(levels_below_the_least_are_silent),
    };
    return HS_RUN_TESTS(tests);
}
