#include "../unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"

static char line[8192];

enum output { LOG, ANNOUNCEMENT };

/* Stores the output of one call in `line`. */
static void catch_fields(enum output output, enum hs_log_level level, const struct hs_log_field *fields, size_t count,
                         const char *message)
{
    int ends[2], fd = output == LOG ? STDERR_FILENO : STDOUT_FILENO;
    fflush(stdout);
    int before = dup(fd);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], fd) >= 0);
    close(ends[1]);
    if (output == ANNOUNCEMENT)
        hs_log_announce(fields, count, "%s", message);
    else if (count > 0)
        hs_log_fields(level, fields, count, "%s", message);
    else
        hs_log(level, "%s", message);
    dup2(before, fd);
    close(before);
    ssize_t n = read(ends[0], line, sizeof(line) - 1);
    close(ends[0]);
    line[n > 0 ? n : 0] = '\0';
}

static void catch_line(enum hs_log_level level, const char *message)
{
    catch_fields(LOG, level, NULL, 0, message);
}

static json_t *read_json(void)
{
    json_error_t error;
    size_t len = strlen(line);
    assert_true(len > 0 && line[len - 1] == '\n' && strchr(line, '\n') == line + len - 1);
    json_t *value = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        fail_msg("%s: %s", line, error.text);
    return value;
}

static json_t *catch_json(const char *message)
{
    catch_line(HS_LOG_WARNING, message);
    return read_json();
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
        assert_string_equal(json_string_value(json_object_get(value, "msg")), same[i]);
        assert_string_equal(json_string_value(json_object_get(value, "program")), "test-log");
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
    assert_string_equal(json_string_value(json_object_get(value, "msg")), "a\xc3\xbf"
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
    size_t len = json_string_length(json_object_get(value, "msg"));
    assert_true(len > 2000 && len % 3 == 0 && len < sizeof(message));
    json_decref(value);
    /* Each byte becomes six in the output. */
    memset(message, 1, sizeof(message) - 1);
    json_decref(catch_json(message));
}

static void messages_below_the_level_are_dropped(void **state)
{
    (void) state;
    hs_log_setup("test-log", HS_LOG_WARNING, HS_LOG_TEXT);
    catch_line(HS_LOG_INFO, "not this");
    assert_string_equal(line, "");
    catch_line(HS_LOG_ERROR, "but this");
    assert_non_null(strstr(line, "] ERROR: but this\n"));
}

static const struct hs_log_field fields[] = {
    HS_LOG_FIELD_STRING("word", "GET"),
    HS_LOG_FIELD_STRING("words", "a \"b\" =\n\xff"),
    HS_LOG_FIELD_STRING("nothing", NULL),
    HS_LOG_FIELD_STRING("empty", ""),
    HS_LOG_FIELD_INTEGER("whole", INT64_MIN),
    HS_LOG_FIELD_DECIMAL("duration_ms", 12.345),
    { .key = "status", .kind = HS_LOG_INTEGER, .in_message = true, .value.integer = 200 },
};
enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]) };

static void a_text_line_ends_with_its_fields(void **state)
{
    (void) state;
    hs_log_setup("test-log", HS_LOG_INFO, HS_LOG_TEXT);
    catch_fields(LOG, HS_LOG_INFO, fields, FIELD_COUNT, "Message 200");
    assert_non_null(strstr(line,
                           "] INFO: Message 200 word=GET words=\"a \\\"b\\\" =\\u000a\\u00ff\" nothing=- empty=\"\" "
                           "whole=-9223372036854775808 duration_ms=12.3\n"));
}

static void a_json_line_has_its_fields_as_members(void **state)
{
    (void) state;
    hs_log_setup("test-log", HS_LOG_INFO, HS_LOG_JSON);
    catch_fields(LOG, HS_LOG_INFO, fields, FIELD_COUNT, "Message 200");
    json_t *value = read_json();
    assert_int_equal(json_object_size(value), 4 + FIELD_COUNT);
    assert_string_equal(json_string_value(json_object_get(value, "msg")), "Message 200");
    assert_string_equal(json_string_value(json_object_get(value, "word")), "GET");
    assert_string_equal(json_string_value(json_object_get(value, "words")), "a \"b\" =\n\xc3\xbf");
    assert_true(json_is_null(json_object_get(value, "nothing")));
    assert_string_equal(json_string_value(json_object_get(value, "empty")), "");
    assert_true(json_integer_value(json_object_get(value, "whole")) == INT64_MIN);
    assert_true(json_real_value(json_object_get(value, "duration_ms")) == 12.3);
    assert_int_equal(json_integer_value(json_object_get(value, "status")), 200);
    json_decref(value);
}

static void fields_that_do_not_fit_are_left_out_whole(void **state)
{
    (void) state;
    static char text[1001], message[9001];
    struct hs_log_field many[40];
    memset(text, '"', sizeof(text) - 1);
    memset(message, 1, sizeof(message) - 1);
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
        static char keys[40][4];
        snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
        many[i] = (struct hs_log_field) HS_LOG_FIELD_STRING(keys[i], text);
    }
    for (int format = HS_LOG_TEXT; format <= HS_LOG_JSON; format++) {
        hs_log_setup("test-log", HS_LOG_INFO, (enum hs_log_format) format);
        catch_fields(LOG, HS_LOG_INFO, many, 40, message);
        assert_true(strlen(line) < 4096 && line[strlen(line) - 1] == '\n' && strstr(line, "k0"));
    }
    json_t *value = read_json();
    size_t len = json_string_length(json_object_get(value, "k0"));
    assert_true(len > 100 && len <= 256);
    json_decref(value);
}

static void an_announcement_goes_to_stdout_at_every_level(void **state)
{
    (void) state;
    hs_log_setup("test-log", HS_LOG_ERROR, HS_LOG_TEXT);
    catch_fields(ANNOUNCEMENT, HS_LOG_INFO, fields, FIELD_COUNT, "listening on x");
    assert_string_equal(line, "listening on x\n");
    hs_log_setup("test-log", HS_LOG_ERROR, HS_LOG_JSON);
    catch_fields(ANNOUNCEMENT, HS_LOG_INFO, fields, FIELD_COUNT, "listening on x");
    json_t *value = read_json();
    assert_string_equal(json_string_value(json_object_get(value, "msg")), "listening on x");
    assert_string_equal(json_string_value(json_object_get(value, "word")), "GET");
    json_decref(value);
}

/* The journal's stream is a socket; any other file serves the test. */
static void a_line_for_the_journal_begins_with_its_level(void **state)
{
    (void) state;
    char path[] = "/tmp/hs-test-log-XXXXXX", stream[64];
    int file = mkstemp(path), before = dup(STDERR_FILENO);
    struct stat st;
    assert_true(file >= 0 && fstat(file, &st) == 0 && unlink(path) == 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    dup2(file, STDERR_FILENO);
    hs_log_setup("test-log", HS_LOG_DEBUG, HS_LOG_JSON);
    hs_log_debug("a");
    hs_log_info("b");
    hs_log_warning("c");
    hs_log_error("d");
    dup2(before, STDERR_FILENO);
    hs_log_setup("test-log", HS_LOG_INFO, HS_LOG_TEXT); /* stderr is another file than JOURNAL_STREAM names */
    assert_string_equal(hs_log_journal_prefix(HS_LOG_ERROR), "");
    unsetenv("JOURNAL_STREAM");
    close(before);
    ssize_t n = pread(file, line, sizeof(line) - 1, 0);
    close(file);
    line[n > 0 ? n : 0] = '\0';
    const char *at = line;
    static const char *const begins[] = { "<7>{\"time\"", "<6>{\"time\"", "<4>{\"time\"", "<3>{\"time\"" };
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(at);
        assert_memory_equal(at, begins[i], strlen(begins[i]));
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    assert_string_equal(at, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_line_is_json_whatever_the_message),
        cmocka_unit_test(a_text_line_escapes_controls_only),
        cmocka_unit_test(a_message_that_is_too_long_is_cut_between_characters),
        cmocka_unit_test(messages_below_the_level_are_dropped),
        cmocka_unit_test(a_text_line_ends_with_its_fields),
        cmocka_unit_test(a_json_line_has_its_fields_as_members),
        cmocka_unit_test(fields_that_do_not_fit_are_left_out_whole),
        cmocka_unit_test(an_announcement_goes_to_stdout_at_every_level),
        cmocka_unit_test(a_line_for_the_journal_begins_with_its_level),
    };
    return HS_RUN_TESTS(tests);
}
