/* Remains of erased texts of every length, and remains left by another program. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "gallery/scrub.h"

enum { PEOPLE = 700, STEPS = 1500 };

static bool file_has(const char *path, const char *text)
{
    uint8_t *data;
    size_t len;
    if (hs_file_read(path, 1 << 26, &data, &len, NULL) < 0)
        return false;
    bool found = memmem(data, len, text, strlen(text)) != NULL;
    free(data);
    return found;
}

static bool gallery_has(const struct fixture *f, const char *text)
{
    static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
    bool found = false;
    for (size_t i = 0; i < 4; i++) {
        char path[PATH_MAX];
        hs_str_format(path, sizeof(path), "%s%s", f->path, ends[i]);
        found |= file_has(path, text);
    }
    return found;
}

static bool is_dirty(const struct fixture *f)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL), SQLITE_OK);
    bool dirty = hs_scrub_is_needed(db);
    sqlite3_close(db);
    return dirty;
}

/* Marks of 4 characters, unique in the file, in short names and in metadata of any length. */
static void texts_of(unsigned i, unsigned turn, char name[64], char metadata[400])
{
    char fill[256];
    memset(fill, '.', sizeof(fill));
    fill[(i * 37 + turn * 61) % 250] = '\0';
    hs_str_format(name, 64, "~%03x%.*s", i, (int) (i % 4), "...");
    hs_str_format(metadata, 400, "{\"m\":\"^%03x%c%s\"}", i, (char) ('a' + turn % 26), fill);
}

static void enrol(struct fixture *f, unsigned i)
{
    char name[64], metadata[400];
    float values[DIMENSION];
    const struct hs_gallery_new_embedding e = { .values = unit_vector(i, values),
                                                .dimension = DIMENSION,
                                                .space = "test" };
    texts_of(i, i, name, metadata);
    assert_int_equal(hs_gallery_add(f->gallery, NULL, name, metadata, &e, NULL, NULL), 0);
}

/* Pages split and merge while identities with metadata of all lengths are added and removed. No
 * mark of a removed one remains. */
static void test_marks(void **state)
{
    struct fixture *f = *state;
    static bool present[PEOPLE];
    fixture_open(f);
    unsigned x = 1;
    for (int step = 0; step < STEPS; step++) {
        x = x * 1664525 + 1013904223;
        unsigned i = (x >> 8) % PEOPLE;
        char name[64], metadata[400], mark[8];
        texts_of(i, (unsigned) step, name, metadata);
        if (!present[i]) {
            enrol(f, i);
        } else if (x >> 31) {
            assert_int_equal(
                hs_gallery_update(f->gallery, name, &(struct hs_gallery_update) { .metadata = metadata }, NULL), 0);
            continue;
        } else {
            assert_int_equal(hs_gallery_remove(f->gallery, name, NULL, NULL), 0);
            for (int k = 0; k < 2; k++) {
                hs_str_format(mark, sizeof(mark), "%c%03x", k ? '^' : '~', i);
                assert_false(gallery_has(f, mark));
            }
            assert_true(step % 10 || !is_dirty(f));
            assert_true(step % 10 || !folder_has(f, i));
        }
        present[i] = !present[i];
    }
    assert_false(is_dirty(f));
    assert_int_equal(hs_gallery_check(f->gallery, NULL), 0);
}

/* Remains from a program without secure_delete, in free space and free pages, are found, and erased
 * with the next removal. */
static void test_another_program(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    for (unsigned i = 0; i < 200; i++)
        enrol(f, i);
    fixture_close(f);
    assert_false(is_dirty(f));
    fixture_open(f);
    run_sql(f->path, "PRAGMA secure_delete = OFF; DELETE FROM embeddings WHERE id % 3 = 0; DELETE FROM embeddings WHERE"
                     " id > 40 AND id < 120; UPDATE identities SET name = 'x' || id WHERE id < 100");
    run_sql(f->path, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_true(is_dirty(f));
    assert_true(folder_has(f, 2));
    assert_int_equal(hs_gallery_remove(f->gallery, "x1", NULL, NULL), 0);
    assert_false(is_dirty(f));
    assert_false(folder_has(f, 2));
    assert_false(gallery_has(f, "~005"));
    assert_int_equal(hs_gallery_check(f->gallery, NULL), 0);
}

/* A file with auto_vacuum has pages that only look like b-tree pages. Opening rewrites it without them. */
static void test_auto_vacuum(void **state)
{
    struct fixture *f = *state;
    run_sql(f->path, "PRAGMA auto_vacuum = FULL; CREATE TABLE t (a); DROP TABLE t");
    assert_int_equal(query_sql(f->path, "PRAGMA auto_vacuum"), 1);
    fixture_open(f);
    for (unsigned i = 0; i < 50; i++)
        enrol(f, i);
    assert_int_equal(query_sql(f->path, "PRAGMA auto_vacuum"), 0);
    assert_int_equal(hs_gallery_check(f->gallery, NULL), 0);
}

/* Removing the identity erases old copies of a short name and of metadata in an unused part of a
 * page, such as balancing leaves. */
static void test_old_copies(void **state)
{
    struct fixture *f = *state;
    float values[DIMENSION];
    uint8_t *data;
    size_t len;
    const struct hs_gallery_new_embedding e = { .values = unit_vector(1, values),
                                                .dimension = DIMENSION,
                                                .space = "test" };
    fixture_open(f);
    assert_int_equal(hs_gallery_add(f->gallery, NULL, "~Li", "{\"n\":\"^7731\"}", &e, NULL, NULL), 0);
    fixture_close(f);
    int64_t root = query_sql(f->path, "SELECT rootpage FROM sqlite_schema WHERE name = 'idx_requests_created'");
    assert_int_equal(hs_file_read(f->path, 1 << 20, &data, &len, NULL), 0);
    memcpy(data + (root - 1) * 4096 + 2048, "~Li{\"n\":\"^7731\"}", 17);
    assert_int_equal(hs_file_write_atomic(f->path, data, len, 0600, NULL), 0);
    free(data);
    fixture_open(f);
    assert_int_equal(hs_gallery_remove(f->gallery, "~Li", NULL, NULL), 0);
    assert_false(gallery_has(f, "~Li"));
    assert_false(gallery_has(f, "^7731"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_marks),
        GALLERY_TEST(test_old_copies),
        GALLERY_TEST(test_another_program),
        GALLERY_TEST(test_auto_vacuum),
    };
    return HS_RUN_TESTS(tests);
}
