#include "fixture.h"

#include <string.h>

#include "gallery/audit.h"

static int64_t uses(const struct hs_gallery_audit *audit, enum hs_gallery_use use)
{
    return audit->usability.embeddings[use];
}

/* Inserts an embedding as an older program would: `values` and `dimension` may differ from those of
 * unit_vector. */
static void insert(const char *path, int64_t identity, const float *values, size_t dimension)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(db, "INSERT INTO embeddings (identity_id, embedding) VALUES (?1, ?2)", -1, &stmt, NULL),
        SQLITE_OK);
    sqlite3_bind_int64(stmt, 1, identity);
    sqlite3_bind_blob64(stmt, 2, values, dimension * sizeof(float), SQLITE_STATIC);
    assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

/* Writes a file of schema 0: the model of its embeddings is unknown, and one has another dimension. */
static void write_old(struct fixture *f)
{
    float values[DIMENSION];
    write_first_schema(f->path);
    insert(f->path, 2, unit_vector(20, values), DIMENSION / 2);
    for (int i = 0; i < DIMENSION; i++)
        values[i] = i == 3 ? 5 : 0;
    insert(f->path, 2, values, DIMENSION);
    values[3] = 0;
    insert(f->path, 2, values, DIMENSION);
}

static void check_old(const struct hs_gallery_audit *audit)
{
    assert_int_equal(audit->identities, 2);
    assert_int_equal(audit->embeddings, 5);
    assert_int_equal(uses(audit, HS_GALLERY_UNKNOWN_SPACE), 2);
    assert_int_equal(uses(audit, HS_GALLERY_OTHER_SIZE), 1);
    assert_int_equal(uses(audit, HS_GALLERY_DAMAGED), 2);
    assert_int_equal(uses(audit, HS_GALLERY_USABLE), 0);
    assert_int_equal(hs_gallery_unusable(&audit->usability), 5);
    assert_int_equal(audit->without.count, 2);
    assert_string_equal(audit->without.items[0].name, "Ada");
    assert_string_equal(audit->without.items[1].name, "Bob");
}

static void test_unknown_vectors(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_audit audit;
    struct hs_error err;
    write_old(f);
    assert_int_equal(hs_gallery_audit_file(f->path, NULL, 100, "test", DIMENSION, &audit, &err), 0);
    assert_int_equal(audit.schema_version, 0);
    check_old(&audit);
    struct hs_gallery *g = fixture_open(f);
    audit = stats_of(g);
    check_old(&audit);
    add(g, "Ada", 30);
    audit = stats_of(g);
    assert_int_equal(uses(&audit, HS_GALLERY_USABLE), 1);
    assert_int_equal(audit.without.count, 1);
    assert_int_equal(hs_gallery_audit(g, "another", DIMENSION, &audit, &err), 0);
    assert_int_equal(uses(&audit, HS_GALLERY_OTHER_SPACE), 1);
    assert_int_equal(audit.without.count, 2);
}

/* Only embeddings that can be of the space are assigned to it, in one change that indexes follow. */
static void test_set_space(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_assigned done = { 0 };
    struct hs_gallery_version before, after;
    struct hs_error err;
    float values[DIMENSION], wanted[DIMENSION];
    write_old(f);
    struct hs_gallery *g = fixture_open(f);
    add(g, "Cid", 40);
    assert_int_equal(hs_gallery_get_version(g, &before, NULL), 0);
    assert_int_equal(hs_gallery_set_space(g, "", NULL, DIMENSION, &done, &err), HS_EINVAL);
    assert_int_equal(hs_gallery_set_space(g, "unknown", NULL, DIMENSION, &done, &err), HS_EINVAL);
    assert_int_equal(hs_gallery_set_space(g, "test", "a model", DIMENSION, &done, &err), 0);
    assert_int_equal(done.embeddings, 3);
    assert_int_equal(done.identities, 2);
    assert_int_equal(done.scaled, 1);
    assert_int_equal(done.other_size, 1);
    assert_int_equal(done.damaged, 1);
    assert_int_equal(hs_gallery_get_version(g, &after, NULL), 0);
    assert_int_equal(after.change, before.change + 1);
    assert_false(hs_gallery_is_reset(&before, &after));
    struct hs_gallery_audit audit = stats_of(g);
    assert_int_equal(uses(&audit, HS_GALLERY_USABLE), 4);
    assert_int_equal(uses(&audit, HS_GALLERY_OTHER_SIZE), 1);
    assert_int_equal(audit.without.count, 0);
    struct hs_gallery_person *person;
    assert_int_equal(hs_gallery_get(g, "Bob", true, &person, NULL), 0);
    assert_memory_equal(person->embeddings[0].values, unit_vector(1, wanted), sizeof(wanted));
    assert_string_equal(person->embeddings[0].model, "a model");
    hs_gallery_person_destroy(person);
    assert_int_equal(hs_gallery_get(g, "Ada", true, &person, NULL), 0);
    memcpy(values, person->embeddings[2].values, sizeof(values));
    assert_true(values[3] > 0.999F && values[3] < 1.001F);
    hs_gallery_person_destroy(person);
    /* A second call has nothing to do. */
    assert_int_equal(hs_gallery_set_space(g, "other", NULL, DIMENSION, &done, &err), 0);
    assert_int_equal(done.embeddings, 0);
}

static void test_names_and_metadata(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "Jos\xc3\xa9", 1);
    add(g, "b", 2);
    add(g, "c", 3);
    add(g, "d", 4);
    add(g, "e", 5);
    run_sql(f->path, "UPDATE identities SET name = 'Jose' || char(0x301) WHERE name = 'b';"
                     "UPDATE identities SET name = 'Unknown' WHERE name = 'c';"
                     "UPDATE identities SET name = 'Zoe' || char(0x301) WHERE name = 'd';"
                     "UPDATE identities SET metadata = '{\"a\":' || replace(hex(zeroblob(40)), '00', '[') ||"
                     " replace(hex(zeroblob(40)), '00', ']') || '}' WHERE name = 'e'");
    struct hs_gallery_audit audit = stats_of(g);
    assert_int_equal(audit.names.count, 3);
    assert_string_equal(audit.names.items[0].name, "Jose\xcc\x81");
    assert_string_equal(audit.names.items[0].reason, "looks the same as 'Jos\xc3\xa9'");
    assert_string_equal(audit.names.items[1].reason, "name: 'unknown' is reserved for faces without a match");
    assert_string_equal(audit.names.items[2].reason, "would be stored as 'Zo\xc3\xa9'");
    assert_int_equal(audit.metadata.count, 1);
    assert_string_equal(audit.metadata.items[0].name, "e");
    assert_non_null(strstr(audit.metadata.items[0].reason, "nested deeper than 32 levels"));
}

/* A long list is truncated; its count includes all. */
static void test_bounded(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    run_sql(f->path, "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50)"
                     " INSERT INTO identities (name) SELECT ' ' || i FROM n");
    assert_int_equal(stats_of(g).names.count, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_unknown_vectors),
        GALLERY_TEST(test_set_space),
        GALLERY_TEST(test_names_and_metadata),
        GALLERY_TEST(test_bounded),
    };
    return HS_RUN_TESTS(tests);
}
