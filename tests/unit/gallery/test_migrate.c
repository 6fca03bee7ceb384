#include "fixture.h"

#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "gallery/gallery_internal.h"

static int keep_spaces(void *arg, const struct hs_gallery_entry *entry)
{
    (void) arg;
    assert_string_equal(entry->space, "old");
    assert_non_null(entry->values);
    return 0;
}

static void check_migrated(struct fixture *f, int from)
{
    f->options.legacy_space = "old";
    struct hs_gallery *g = fixture_open(f);
    assert_false(f->opened.created);
    assert_int_equal(f->opened.migrated_from, from);
    assert_int_equal(f->opened.orphans_erased, 1);
    assert_true(hs_file_exists(f->opened.backed_up_to));
    assert_int_equal(count_of(g, "Ada"), 1);
    assert_int_equal(stats_of(g).embeddings, 2);
    assert_int_equal(hs_gallery_for_each(g, keep_spaces, NULL, NULL, NULL), 0);
    assert_int_equal(hs_gallery_check(g, NULL), 0);
    struct hs_gallery_person *bob;
    assert_int_equal(hs_gallery_get(g, "Bob", false, &bob, NULL), 0);
    assert_string_equal(bob->identity.created_at, "2024-01-02 03:04:05");
    hs_gallery_person_destroy(bob);
    assert_true(folder_has(f, 1));
    assert_false(folder_has(f, 3));
    add(g, "Ada", 9);
    fixture_close(f);
    assert_int_equal(query_sql(f->path, "PRAGMA user_version"), HS_GALLERY_SCHEMA);
    fixture_open(f);
    assert_int_equal(f->opened.migrated_from, -1);
    assert_string_equal(f->opened.backed_up_to, "");
}

static void test_from_first(void **state)
{
    struct fixture *f = *state;
    write_first_schema(f->path);
    check_migrated(f, 0);
}

static void test_from_1(void **state)
{
    struct fixture *f = *state;
    write_first_schema(f->path);
    run_sql(f->path, "PRAGMA user_version = 1");
    check_migrated(f, 1);
}

static void test_from_2(void **state)
{
    struct fixture *f = *state;
    write_first_schema(f->path);
    run_sql(f->path, "ALTER TABLE embeddings ADD COLUMN space TEXT; ALTER TABLE embeddings ADD COLUMN model TEXT;"
                     "ALTER TABLE embeddings ADD COLUMN quality TEXT;"
                     "ALTER TABLE embeddings ADD COLUMN source_sha256 TEXT;"
                     "UPDATE embeddings SET space = 'old'; PRAGMA user_version = 2");
    check_migrated(f, 2);
}

static void test_from_3(void **state)
{
    struct fixture *f = *state;
    write_first_schema(f->path);
    run_sql(f->path, "ALTER TABLE embeddings ADD COLUMN space TEXT; ALTER TABLE embeddings ADD COLUMN model TEXT;"
                     "ALTER TABLE embeddings ADD COLUMN quality TEXT;"
                     "ALTER TABLE embeddings ADD COLUMN source_sha256 TEXT;"
                     "UPDATE embeddings SET space = 'old'; ALTER TABLE identities ADD COLUMN metadata TEXT;"
                     "PRAGMA user_version = 3");
    check_migrated(f, 3);
}

/* Data deleted by the first programs stays in free pages until the file is rewritten. */
static void test_free_pages(void **state)
{
    struct fixture *f = *state;
    write_first_schema(f->path);
    run_sql(f->path, "PRAGMA secure_delete = OFF; DELETE FROM embeddings WHERE identity_id = 2");
    assert_true(folder_has(f, 2));
    fixture_open(f);
    assert_false(folder_has(f, 2));
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    write_first_schema(f->path);
    run_sql(f->path, "INSERT INTO identities (name) VALUES (''), ('a' || char(0) || 'b'), ('x' || char(10))");
    struct hs_gallery *g = fixture_open(f);
    assert_int_equal(count_of(g, ""), 0);
    assert_int_equal(count_of(g, "a#4"), 0);
    assert_int_equal(hs_gallery_remove(g, "x\n", NULL, NULL), 0);
}

/* If a name cannot be made valid, the file is refused and remains as it is. */
static void test_name_that_is_taken(void **state)
{
    struct fixture *f = *state;
    struct hs_error err = { 0 };
    write_first_schema(f->path);
    run_sql(f->path, "INSERT INTO identities (id, name) VALUES (7, '?#8'), (8, CAST(X'ff' AS TEXT))");
    assert_true(hs_gallery_open(&f->options, &f->gallery, NULL, &err) < 0);
    f->gallery = NULL;
    assert_non_null(strstr(err.message, "gallery"));
    assert_int_equal(query_sql(f->path, "SELECT CAST(name AS BLOB) = X'ff' FROM identities WHERE id = 8"), 1);
    run_sql(f->path, "UPDATE identities SET name = 'b' WHERE id = 7");
    assert_int_equal(count_of(fixture_open(f), "?#8"), 0);
}

/* Older programs may continue to use the file: they add embeddings without a space. */
static void test_older_program_adds(void **state)
{
    struct fixture *f = *state;
    f->options.legacy_space = "old";
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    run_sql(f->path, "INSERT INTO embeddings (identity_id, embedding) SELECT identity_id, embedding FROM embeddings");
    struct hs_gallery_person *person;
    assert_int_equal(hs_gallery_get(g, "a", false, &person, NULL), 0);
    assert_string_equal(person->embeddings[1].space, "old");
    hs_gallery_person_destroy(person);
}

static void test_newer(void **state)
{
    struct fixture *f = *state;
    write_first_schema(f->path);
    run_sql(f->path, "PRAGMA user_version = 99");
    struct hs_gallery *g;
    struct hs_error err;
    assert_int_equal(hs_gallery_open(&f->options, &g, NULL, &err), HS_EVERSION);
    assert_non_null(strstr(err.message, "99"));
    assert_int_equal(query_sql(f->path, "SELECT count(*) FROM embeddings"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_from_first),
        GALLERY_TEST(test_from_1),
        GALLERY_TEST(test_from_2),
        GALLERY_TEST(test_from_3),
        GALLERY_TEST(test_free_pages),
        GALLERY_TEST(test_names),
        GALLERY_TEST(test_name_that_is_taken),
        GALLERY_TEST(test_older_program_adds),
        GALLERY_TEST(test_newer),
    };
    return HS_RUN_TESTS(tests);
}
