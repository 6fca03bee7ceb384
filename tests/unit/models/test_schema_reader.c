#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "models/schema_reader.h"

/* A document and its strict reader. */
struct page {
    struct hs_doc *doc;
    const struct hs_node *root;
    struct hs_schema reader;
    struct hs_error err;
};

static void open_page(struct page *page, const char *text)
{
    *page = (struct page) { 0 };
    assert_int_equal(hs_doc_parse(text, strlen(text), "page.yaml", &page->doc, &page->err), 0);
    page->root = hs_doc_root(page->doc);
    page->reader = (struct hs_schema) { .name = "page.yaml", .err = &page->err };
}

static void expect(struct page *page, const char *message)
{
    if (message) {
        assert_int_equal(page->reader.status, HS_EINVAL);
        assert_string_equal(page->err.message, message);
    } else {
        assert_int_equal(page->reader.status, 0);
    }
    hs_doc_destroy(page->doc);
}

static void the_first_error_is_kept(void **state)
{
    (void) state;
    struct page page;
    open_page(&page, "a: 1");
    assert_int_equal(hs_schema_fail(&page.reader, 3, "no %s", "luck"), HS_EINVAL);
    assert_int_equal(hs_schema_fail(&page.reader, 9, "other"), HS_EINVAL);
    assert_null(hs_schema_node(&page.reader, page.root, "a", true));
    assert_null(hs_schema_text(&page.reader, page.root, "b", true, 10));
    assert_int_equal(page.err.line, 3);
    expect(&page, "page.yaml:3: no luck");
    struct hs_schema silent = { .name = "x" };
    assert_int_equal(hs_schema_fail(&silent, 1, "nobody listens"), HS_EINVAL);
}

static void maps(void **state)
{
    (void) state;
    static const char *const keys[] = { "a", "b", NULL };
    struct page page;
    open_page(&page, "a: 1\nb: 2");
    assert_true(hs_schema_map(&page.reader, page.root, "a thing", keys));
    assert_false(hs_schema_map(&page.reader, NULL, "a thing", keys));
    expect(&page, NULL);
    open_page(&page, "a: 1\nc: 2");
    assert_false(hs_schema_map(&page.reader, page.root, "a thing", keys));
    expect(&page, "page.yaml:2: unknown key `c` in a thing");
    open_page(&page, "- a");
    assert_false(hs_schema_map(&page.reader, page.root, "a thing", keys));
    expect(&page, "page.yaml:1: a thing must be a map");
    open_page(&page, "a: 1");
    assert_null(hs_schema_node(&page.reader, page.root, "b", false));
    assert_null(hs_schema_node(&page.reader, page.root, "b", true));
    expect(&page, "page.yaml:1: `b` is missing");
}

static void texts(void **state)
{
    (void) state;
    struct page page;
    open_page(&page, "a: four\nb: 5\nc: \"\"");
    assert_string_equal(hs_schema_text(&page.reader, page.root, "a", true, 4), "four");
    assert_string_equal(hs_schema_text(&page.reader, page.root, "b", true, 4), "5");
    assert_null(hs_schema_text(&page.reader, page.root, "z", false, 4));
    assert_null(hs_schema_text(&page.reader, page.root, "c", false, 4));
    expect(&page, "page.yaml:3: `c` must be a string of 1 to 4 bytes on one line");
    static const char *const bad[] = { "a: fives", "a: \"a\\eb\"", "a: \"a\\nb\"", "a: \"\\x7f\"",
                                       "a: [b]",   "a: {b: c}",    "a: ~" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        open_page(&page, bad[i]);
        assert_null(hs_schema_text(&page.reader, page.root, "a", true, 4));
        expect(&page, "page.yaml:1: `a` must be a string of 1 to 4 bytes on one line");
    }
}

static void numbers(void **state)
{
    (void) state;
    struct page page;
    open_page(&page, "a: 3\nb: 0.5\nc: 1");
    assert_int_equal(hs_schema_int(&page.reader, page.root, "z", false, 1, 3), 0);
    assert_int_equal(hs_schema_int(&page.reader, page.root, "a", true, 1, 3), 3);
    assert_true(hs_schema_float(&page.reader, page.root, "z", false, 0, 1) == 0);
    assert_true(hs_schema_float(&page.reader, page.root, "b", true, 0, 1) == 0.5f);
    assert_true(hs_schema_float(&page.reader, page.root, "c", true, 0, 1) == 1);
    expect(&page, NULL);
    static const char *const bad[] = { "a: 4",  "a: 0", "a: 1.5", "a: many", "a: \"2\"", "a: 99999999999999999999",
                                       "a: [1]" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        open_page(&page, bad[i]);
        assert_int_equal(hs_schema_int(&page.reader, page.root, "a", true, 1, 3), 0);
        expect(&page, "page.yaml:1: `a` must be a whole number from 1 to 3");
    }
    static const char *const bad_floats[] = {
        "a: 1.01", "a: -0.1", "a: .nan", "a: .inf", "a: nan", "a: often", "a: []"
    };
    for (size_t i = 0; i < sizeof(bad_floats) / sizeof(bad_floats[0]); i++) {
        open_page(&page, bad_floats[i]);
        assert_true(hs_schema_float(&page.reader, page.root, "a", true, 0, 1) == 0);
        expect(&page, "page.yaml:1: `a` must be a number from 0 to 1");
    }
}

static void memory(void **state)
{
    (void) state;
    struct page page;
    open_page(&page, "a: 1");
    uint8_t *bytes = hs_schema_alloc(&page.reader, 0, 1);
    assert_non_null(bytes);
    assert_int_equal(bytes[0], 0);
    free(bytes);
    assert_null(hs_schema_alloc(&page.reader, SIZE_MAX / 2, 4));
    assert_int_equal(page.reader.status, HS_ENOMEM);
    assert_null(hs_schema_alloc(&page.reader, 1, 1));
    hs_doc_destroy(page.doc);
}

static void words(void **state)
{
    (void) state;
    static const char *const list[] = { "red", "green", NULL };
    struct page page;
    open_page(&page, "a: green\nb: blue");
    assert_int_equal(hs_schema_word(&page.reader, page.root, "a", true, list, 5), 1);
    assert_int_equal(hs_schema_word(&page.reader, page.root, "z", false, list, 5), 5);
    assert_int_equal(hs_schema_word(&page.reader, page.root, "b", true, list, 5), 5);
    expect(&page, "page.yaml:2: `b` must be one of: red, green");
}

static void hashes(void **state)
{
    (void) state;
    struct page page;
    open_page(&page, "a: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_non_null(hs_schema_sha256(&page.reader, page.root, "a"));
    assert_null(hs_schema_sha256(&page.reader, page.root, "b"));
    expect(&page, NULL);
    static const char *const bad[] = {
        "a: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
        "a: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
        "a: 0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "a: 12",
        "a: [b]",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        open_page(&page, bad[i]);
        assert_null(hs_schema_sha256(&page.reader, page.root, "a"));
        expect(&page, "page.yaml:1: `a` must be 64 lower-case hexadecimal digits");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_error_is_kept),
        cmocka_unit_test(maps),
        cmocka_unit_test(texts),
        cmocka_unit_test(numbers),
        cmocka_unit_test(memory),
        cmocka_unit_test(words),
        cmocka_unit_test(hashes),
    };
    return HS_RUN_TESTS(tests);
}
