#include "cli/capture.h"

#include "base/str.h"
#include "cli/progress.h"

static struct capture seen;

static int count(const char *text, const char *what)
{
    int found = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        found++;
    return found;
}

/* `steps` calls from 0 to total; what was printed. */
static const char *show(struct hs_progress *progress, const char *what, uint64_t total, uint64_t steps)
{
    capture_begin(&seen, -1);
    for (uint64_t i = 0; i <= steps; i++)
        hs_progress_show(progress, what, total * i / steps, total);
    capture_end(&seen);
    return seen.err;
}

static void test_sizes(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        { 0, "0.0 kB" }, { 1500, "1.5 kB" }, { 999900, "999.9 kB" }, { 1000000, "1.0 MB" }, { 11500000, "11.5 MB" }
    };
    char text[32];
    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        hs_progress_size(rows[i].bytes, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_lines(void **state)
{
    struct hs_progress progress;
    char name[200];
    (void) state;
    capture_begin(&seen, -1); /* so that standard error is not a terminal */
    hs_progress_init(&progress, false);
    capture_end(&seen);
    assert_false(progress.terminal);
    assert_string_equal(show(&progress, "a", 1000000, 1), "  a:   0 % (0.0 kB)\n  a: 100 % (1.0 MB)\n");
    assert_int_equal(count(show(&progress, "b", 1000000, 1000), "\n"), 11);
    assert_non_null(strstr(seen.err, "  b:  10 % (100.0 kB)\n"));
    assert_string_equal(show(&progress, "b", 1000000, 10), ""); /* nothing new */
    hs_progress_clear(&progress);
    /* More than there should be: so there is more. */
    capture_begin(&seen, -1);
    hs_progress_show(&progress, "c", 5000000, 2000000);
    capture_end(&seen);
    assert_string_equal(seen.err, "  c: 100 % (5.0 MB)\n");
    /* Of an unknown whole: a line every ten megabytes. */
    capture_begin(&seen, -1);
    hs_progress_show(&progress, "d", 0, 0);
    hs_progress_show(&progress, "d", 9999999, 0);
    hs_progress_show(&progress, "d", 10000000, 0);
    capture_end(&seen);
    assert_string_equal(seen.err, "  d: 0.0 kB\n  d: 10.0 MB\n");
    /* A name of any length. */
    for (size_t len = 126; len <= 129; len++) {
        memset(name, 'n', len);
        name[len] = '\0';
        progress.last_step = -1;
        assert_int_equal(count(show(&progress, name, 1000000, 100), "\n"), 11);
    }
}

static void test_counts(void **state)
{
    struct hs_progress progress = { .counts = true, .last_step = -1 };
    (void) state;
    assert_string_equal(show(&progress, "pictures", 2, 2),
                        "  pictures:   0 % (0)\n  pictures:  50 % (1)\n  pictures: 100 % (2)\n");
}

/* The bar is drawn at most ten times a second, and at its end in any case. */
static void test_bar(void **state)
{
    struct hs_progress progress = { .terminal = true, .counts = true, .last_step = -1 };
    (void) state;
    capture_begin(&seen, -1);
    hs_progress_clear(&progress);
    hs_progress_show(&progress, "x", 5, 10);
    for (uint64_t i = 6; i < 10; i++)
        hs_progress_show(&progress, "x", i, 10);
    capture_end(&seen);
    assert_string_equal(seen.err, "\r  x  [###############               ]  50 %  5 of 10\x1b[K");
    capture_begin(&seen, -1);
    hs_progress_show(&progress, "x", 11, 10);
    hs_progress_clear(&progress);
    hs_progress_clear(&progress);
    capture_end(&seen);
    assert_string_equal(seen.err, "\r  x  [##############################] 100 %  11 of 11\x1b[K\r\x1b[K");
    capture_begin(&seen, -1);
    hs_progress_show(&progress, "x", 3, 0); /* at once after a clear */
    progress.last_ns -= 100 * 1000000;
    hs_progress_show(&progress, "x", 4, 0);
    capture_end(&seen);
    assert_string_equal(seen.err, "\r  x  3\x1b[K\r  x  4\x1b[K");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_bar),
    };
    return HS_RUN_TESTS(tests);
}
