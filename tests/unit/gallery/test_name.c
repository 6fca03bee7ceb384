#include "fixture.h"

#include <errno.h>
#include <string.h>
#include <unicase.h>

#include "gallery/name.h"

#define E_ACUTE "\xc3\xa9"        /* one code point */
#define E_ACUTE_APART "e\xcc\x81" /* e and the combining accent */
#define NON_JOINER "\xe2\x80\x8c"
#define JOINER "\xe2\x80\x8d"

static void expect(const char *name, const char *stored)
{
    struct hs_error err = { .message = "" };
    char clean[HS_GALLERY_NAME_MAX + 1] = "untouched";
    int r = hs_gallery_clean_name(name, clean, &err);
    assert_int_equal(r, stored ? 0 : HS_EINVAL);
    assert_string_equal(clean, stored ? stored : "untouched");
    assert_true(stored || strncmp(err.message, "name: ", 6) == 0);
}

static void test_stored_form(void **state)
{
    (void) state;
    expect("Ann", "Ann");
    expect("Jos" E_ACUTE_APART, "Jos" E_ACUTE);
    expect(" \t\xc2\xa0\xe3\x80\x80Jos" E_ACUTE "\xe2\x80\x83\r\n", "Jos" E_ACUTE);
    expect("Anna  Maria", "Anna  Maria");
    expect("a/b", "a/b");
    expect("...", "...");
    expect(". .", ". .");
    expect("ann", "ann");
    expect("Unknown soldier", "Unknown soldier");
    /* Hangul letters compose; compatibility forms stay unchanged: Ⅳ is not IV. */
    expect("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c");
    expect("\xe2\x85\xa3", "\xe2\x85\xa3");
}

static void test_refused(void **state)
{
    (void) state;
    static const char *const refused[] = {
        NULL,
        "",
        "   ",
        "\xe3\x80\x80",
        ".",
        "..",
        " .. ",
        "a\tb",
        "a\nb",
        "\x7f",
        "a\xc2\x85"
        "b",
        "\xff",
        "\xed\xa0\x80",
        "unknown",
        "Unknown",
        "UNKNOWN ",
        "unKnown",
        "\xef\xbc\xb5\xef\xbc\xae\xef\xbc\xab\xef\xbc\xae\xef\xbc\xaf\xef\xbc\xb7\xef\xbc\xae", /* full width */
        "\xf0\x9d\x90\xae"
        "nknown", /* a bold u */
        "a\xe2\x80\x8b"
        "b", /* zero width space */
        "\xe2\x80\xae"
        "abc",             /* right-to-left override */
        "abc\xe2\x80\x8f", /* right-to-left mark */
        "a\xc2\xad"
        "b", /* soft hyphen */
        "\xef\xbb\xbf"
        "a", /* byte order mark */
        "a\xe2\x81\xa6"
        "b",             /* isolate */
        "\xe3\x85\xa4",  /* Hangul filler */
        "a\xef\xb8\x8f", /* variation selector */
        "a\xe2\x80\xa8"
        "b", /* line separator */
        "\xf3\xa0\x81\x81"
        "a", /* tag */
        "a" JOINER "b",
        "a" NON_JOINER "b",
        JOINER,
        "a" NON_JOINER,
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        expect(refused[i], NULL);
}

/* The message contains the problem and its position. */
static void test_messages(void **state)
{
    (void) state;
    static const struct {
        const char *name, *message;
    } rows[] = {
        { "a\xe2\x80\x8b", "name: has an invisible character (U+200B)" },
        { "..", "name: must not be '.' or '..', which are reserved in paths" },
        { " ", "name: must not be empty or only white space" },
        { "UNKNOWN", "name: 'unknown' is reserved for faces without a match" },
        { "a\x01", "name: has control characters (U+0001)" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hs_error err;
        char clean[HS_GALLERY_NAME_MAX + 1];
        assert_int_equal(hs_gallery_clean_name(rows[i].name, clean, &err), HS_EINVAL);
        assert_string_equal(err.message, rows[i].message);
    }
}

/* Joiners stay if the script needs them: Persian "mi-khaham", Sinhala "Sri", Malayalam. */
static void test_joiners(void **state)
{
    (void) state;
    static const char *const names[] = {
        "\xd9\x85\xdb\x8c" NON_JOINER "\xd8\xae\xd9\x88\xd8\xa7\xd9\x87\xd9\x85",
        "\xd9\x85\xdb\x8c\xd9\x8e" NON_JOINER "\xd8\xae", /* a vowel sign before it is transparent */
        "\xe0\xb7\x81\xe0\xb7\x8a" JOINER "\xe0\xb6\xbb\xe0\xb7\x93",
        "\xe0\xb4\xa8\xe0\xb5\x8d" JOINER,
        "\xe0\xa4\x95\xe0\xa5\x8d" NON_JOINER "\xe0\xa4\xb7",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char clean[HS_GALLERY_NAME_MAX + 1];
        struct hs_error err = { .message = "" };
        assert_int_equal(hs_gallery_clean_name(names[i], clean, &err), 0);
    }
    /* Not allowed before a letter that does not join, nor at the start or the end. */
    expect("\xd8\xaf" NON_JOINER "\xd8\xae", NULL); /* dal does not join to the next letter */
    expect("\xd9\x85\xdb\x8c" NON_JOINER, NULL);
}

static void test_length(void **state)
{
    (void) state;
    char text[HS_GALLERY_NAME_MAX + 40], stored[HS_GALLERY_NAME_MAX + 1], long_text[8000];
    memset(text, 'x', sizeof(text));
    text[HS_GALLERY_NAME_MAX + 1] = '\0';
    expect(text, NULL);
    expect(text + 1, text + 1);
    text[0] = text[1] = ' '; /* trimmed bytes do not count */
    memcpy(stored, text + 2, HS_GALLERY_NAME_MAX);
    expect(text, stored);
    /* Decomposed, 127 letters have 381 bytes; composed, 254. */
    char *at = long_text;
    for (int i = 0; i < 127; i++, at += 3)
        memcpy(at, E_ACUTE_APART, 4);
    char clean[HS_GALLERY_NAME_MAX + 1];
    assert_int_equal(hs_gallery_clean_name(long_text, clean, NULL), 0);
    assert_int_equal(strlen(clean), 254);
    memcpy(at, E_ACUTE_APART, 4);
    assert_int_equal(hs_gallery_clean_name(long_text, clean, NULL), HS_EINVAL);
    memset(long_text, ' ', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    expect(long_text, NULL);
}

/* ---- in a gallery ---- */

static void test_one_identity_for_all_forms(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    struct hs_gallery_person *person;
    struct hs_error err;
    assert_true(add(g, "Jos" E_ACUTE_APART " ", 1).identity_created);
    assert_false(add(g, "Jos" E_ACUTE, 2).identity_created);
    assert_false(add(g, "\tJos" E_ACUTE, 3).identity_created);
    assert_true(add(g, "jos" E_ACUTE, 4).identity_created); /* different case is a different person */
    assert_int_equal(stats_of(g).identities, 2);
    assert_int_equal(hs_gallery_get(g, "  Jos" E_ACUTE_APART, false, &person, NULL), 0);
    assert_string_equal(person->identity.name, "Jos" E_ACUTE);
    assert_int_equal(person->count, 3);
    hs_gallery_person_destroy(person);
    assert_int_equal(hs_gallery_rename(g, "Jos" E_ACUTE_APART, " Ren" E_ACUTE_APART, NULL), 0);
    assert_int_equal(count_of(g, "Ren" E_ACUTE), 3);
    assert_int_equal(hs_gallery_rename(g, "jos" E_ACUTE, "Ren" E_ACUTE_APART " ", &err), HS_ECONFLICT);
    assert_int_equal(hs_gallery_rename(g, "jos" E_ACUTE, "uNknown", &err), HS_EINVAL);
    assert_int_equal(hs_gallery_remove(g, "Ren" E_ACUTE_APART, NULL, NULL), 0);
    assert_int_equal(count_of(g, ".."), -1);
    assert_int_equal(try_add(g, "..", 5, NULL), HS_EINVAL);
    assert_int_equal(stats_of(g).identities, 1);
}

/* Names stored by older programs stay, can be looked up by their exact bytes, and can be renamed,
 * merged and removed. */
static void test_legacy_names(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "Jos" E_ACUTE, 1);
    add(g, "b", 2);
    add(g, "c", 3);
    add(g, "d", 4);
    run_sql(f->path, "UPDATE identities SET name = 'Jose' || char(0x301) WHERE name = 'b';"
                     "UPDATE identities SET name = 'Unknown' WHERE name = 'c';"
                     "UPDATE identities SET name = '..' WHERE name = 'd'");
    char name[HS_GALLERY_NAME_MAX + 1];
    assert_int_equal(hs_gallery_resolve_name(g, "Jos" E_ACUTE_APART, name, NULL), 0);
    assert_string_equal(name, "Jos" E_ACUTE_APART);
    assert_int_equal(hs_gallery_resolve_name(g, " Jos" E_ACUTE_APART, name, NULL), 0);
    assert_string_equal(name, "Jos" E_ACUTE);
    assert_int_equal(hs_gallery_resolve_name(g, " Rene", name, NULL), 0);
    assert_string_equal(name, "Rene");
    assert_int_equal(hs_gallery_resolve_name(g, "Unknown", name, NULL), HS_EINVAL);
    /* Two people whose names look the same stay separate until they are merged. */
    assert_false(add(g, "Jos" E_ACUTE_APART, 6).identity_created);
    assert_int_equal(count_of(g, "Jos" E_ACUTE_APART), 2);
    assert_int_equal(count_of(g, "Jos" E_ACUTE), 1);
    assert_int_equal(hs_gallery_merge(g, "Jos" E_ACUTE_APART, "Jos" E_ACUTE, NULL), 0);
    assert_int_equal(count_of(g, "Jos" E_ACUTE_APART), 3);
    assert_int_equal(try_add(g, "Unknown", 7, NULL), HS_EINVAL);
    assert_int_equal(hs_gallery_rename(g, "Unknown", "stranger", NULL), 0);
    assert_int_equal(hs_gallery_remove(g, "..", NULL, NULL), 0);
    assert_int_equal(stats_of(g).identities, 2);
}

/* libunistring allocates itself, so its function is replaced by one that has no memory. */
static bool without_memory;

uint8_t *__real_u8_casefold(const uint8_t *text, size_t len, const char *language, uninorm_t form, uint8_t *buffer,
                            size_t *ret_len);
uint8_t *__wrap_u8_casefold(const uint8_t *text, size_t len, const char *language, uninorm_t form, uint8_t *buffer,
                            size_t *ret_len);

uint8_t *__wrap_u8_casefold(const uint8_t *text, size_t len, const char *language, uninorm_t form, uint8_t *buffer,
                            size_t *ret_len)
{
    if (!without_memory)
        return __real_u8_casefold(text, len, language, form, buffer, ret_len);
    errno = ENOMEM;
    return NULL;
}

static void test_no_memory(void **state)
{
    (void) state;
    struct hs_error err = { .message = "" };
    char clean[HS_GALLERY_NAME_MAX + 1] = "untouched";
    without_memory = true;
    int r = hs_gallery_clean_name("Ann", clean, &err);
    without_memory = false;
    assert_int_equal(r, HS_ENOMEM);
    assert_int_equal(err.code, HS_ENOMEM);
    assert_string_equal(clean, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored_form), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_messages),    cmocka_unit_test(test_joiners),
        cmocka_unit_test(test_length),      GALLERY_TEST(test_one_identity_for_all_forms),
        GALLERY_TEST(test_legacy_names),    cmocka_unit_test(test_no_memory),
    };
    return HS_RUN_TESTS(tests);
}
