#include "../unit.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#include "base/str.h"

static void copy_and_format_report_truncation(void **state)
{
    (void) state;
    char text[6];
    assert_true(hs_str_copy(text, sizeof(text), "hello"));
    assert_false(hs_str_copy(text, sizeof(text), "hello!"));
    assert_string_equal(text, "hello");
    assert_true(hs_str_copy_n(text, sizeof(text), "worldwide", 5));
    assert_string_equal(text, "world");
    assert_false(hs_str_format(text, sizeof(text), "%d", 1234567));
    assert_string_equal(text, "12345");
    assert_true(hs_str_equal_nocase("Content-Type", "content-tYPE"));
    assert_false(hs_str_equal_nocase("abc", "abcd"));
    assert_true(hs_str_starts("data:image", "data:"));
    assert_true(hs_str_ends("model.onnx", ".onnx"));
    assert_false(hs_str_ends("x", "xx"));
}

static void numbers_take_the_whole_text(void **state)
{
    (void) state;
    double d = -1;
    int64_t i = -1;
    assert_true(hs_str_to_double(" 0.5 ", &d) && d == 0.5);
    assert_true(hs_str_to_double("1e-3", &d) && d == 1e-3);
    assert_true(hs_str_to_double("nan", &d) && isnan(d));
    d = 7;
    assert_false(hs_str_to_double("0.5x", &d));
    assert_false(hs_str_to_double("", &d));
    assert_false(hs_str_to_double("0,5", &d));
    assert_true(d == 7);
    assert_true(hs_str_to_int64("-12", &i) && i == -12);
    assert_false(hs_str_to_int64("1.5", &i));
    assert_false(hs_str_to_int64("99999999999999999999", &i));
    assert_false(hs_str_to_int64("  ", &i));
}

static void a_comma_locale_changes_nothing(void **state)
{
    (void) state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) {
        print_message("no de_DE.UTF-8 locale on this machine\n");
        skip();
    }
    double d;
    char text[32];
    assert_true(hs_str_to_double("0.5", &d) && d == 0.5);
    hs_str_from_double(0.25, text);
    assert_string_equal(text, "0.25");
    setlocale(LC_NUMERIC, "C");
}

static void bool_words_are_parsed(void **state)
{
    (void) state;
    static const char *const yes[] = { "true", "Yes", "ON" }, *const no[] = { "FALSE", "no", "off" };
    static const char *const neither[] = { "", "y", "n", "1", "0", "true ", "truth" };
    for (size_t i = 0; i < 3; i++) {
        bool truth = false;
        assert_true(hs_str_to_bool(yes[i], &truth) && truth);
        assert_true(hs_str_to_bool(no[i], &truth) && !truth);
    }
    for (size_t i = 0; i < sizeof(neither) / sizeof(neither[0]); i++) {
        bool truth = true;
        assert_false(hs_str_to_bool(neither[i], &truth));
        assert_true(truth);
    }
}

static void seconds_accept_units(void **state)
{
    (void) state;
    const struct {
        const char *text;
        double seconds;
    } good[] = { { "-1", -1 },     { "300", 300 }, { "5m", 300 },  { "1.5h", 5400 },
                 { "250ms", .25 }, { "30 s", 30 }, { "1d", 86400 } };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        double s = 0;
        assert_true(hs_str_to_seconds(good[i].text, &s));
        assert_true(s == good[i].seconds);
    }
    const char *const bad[] = { "", "m", "5 minutes", "5mm", "nan", "1m30s" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        double s;
        assert_false(hs_str_to_seconds(bad[i], &s));
    }
}

static void doubles_are_written_as_short_as_possible(void **state)
{
    (void) state;
    const struct {
        double value;
        const char *text;
    } rows[] = { { 0.1, "0.1" },
                 { 0, "0" },
                 { -2.5, "-2.5" },
                 { 1e300, "1e+300" },
                 { 0.30000000000000004, "0.30000000000000004" },
                 { 123456789, "123456789" },
                 { 600, "600" },
                 { 86400, "86400" },
                 { -1e15, "-1000000000000000" },
                 { 1e16, "1e+16" } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[32];
        hs_str_from_double(rows[i].value, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void utf8_validation_follows_unicode(void **state)
{
    (void) state;
    assert_true(hs_utf8_valid("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", 11));
    assert_false(hs_utf8_valid("\xc0\x80", 2));         /* overlong encoding */
    assert_false(hs_utf8_valid("\xed\xa0\x80", 3));     /* surrogate */
    assert_false(hs_utf8_valid("\xf4\x90\x80\x80", 4)); /* past U+10FFFF */
    assert_false(hs_utf8_valid("\xe2\x82", 2));         /* truncated */
    assert_int_equal(hs_utf8_sequence("\xe2\x82\xac", 3), 3);
}

static void quoting_escapes_and_cuts(void **state)
{
    (void) state;
    char text[16];
    hs_str_quote(text, sizeof(text), "a\"\n\xff", 4);
    assert_string_equal(text, "\"a\\\"\\x0a\\xff\"");
    hs_str_quote(text, 6, "abcdefgh", 8);
    assert_string_equal(text, "\"abc\"");
}

static void a_line_is_printable_utf8(void **state)
{
    (void) state;
    char text[] = "a\r\n\x7f gr\xc3\xbc\xc3\x9f \xff\xc3";
    hs_str_make_line(text);
    assert_string_equal(text, "a??? gr\xc3\xbc\xc3\x9f ??");
}

static void counts_have_their_plural(void **state)
{
    (void) state;
    char text[HS_COUNT_SIZE];
    assert_string_equal(hs_str_count(text, 1, "person", "people"), "1 person");
    assert_string_equal(hs_str_count(text, 0, "person", "people"), "0 people");
    assert_string_equal(hs_str_count(text, 12, "face", "faces"), "12 faces");
}

static void the_nearest_name_is_suggested(void **state)
{
    (void) state;
    size_t distance = hs_str_near("detecct");
    assert_int_equal(distance, 3);
    assert_false(hs_str_nearer("detecct", "serve", &distance));
    assert_true(hs_str_nearer("detecct", "defect", &distance));
    assert_int_equal(distance, 2);
    assert_true(hs_str_nearer("detecct", "Detect", &distance));
    assert_int_equal(distance, 1);
    assert_false(hs_str_nearer("detecct", "detects", &distance));
    assert_true(hs_str_nearer("max-side", "max_side", &distance));
    assert_int_equal(distance, 0);
    distance = hs_str_near("");
    assert_false(hs_str_nearer("", "ab", &distance));
    char text[100];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    distance = hs_str_near(text);
    assert_false(hs_str_nearer(text, text, &distance));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_and_format_report_truncation),
        cmocka_unit_test(numbers_take_the_whole_text),
        cmocka_unit_test(a_comma_locale_changes_nothing),
        cmocka_unit_test(bool_words_are_parsed),
        cmocka_unit_test(seconds_accept_units),
        cmocka_unit_test(doubles_are_written_as_short_as_possible),
        cmocka_unit_test(utf8_validation_follows_unicode),
        cmocka_unit_test(quoting_escapes_and_cuts),
        cmocka_unit_test(a_line_is_printable_utf8),
        cmocka_unit_test(counts_have_their_plural),
        cmocka_unit_test(the_nearest_name_is_suggested),
    };
    return HS_RUN_TESTS(tests);
}
