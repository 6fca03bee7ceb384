/* Drills of backups: good ones, and one defect each. */
#include "fixture.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "gallery/crypt.h"
#include "gallery/files.h"
#include "gallery/verify.h"

enum { FACES = 250 };

static void use_key(struct fixture *f, const char *name, char ret_path[128])
{
    char id[HS_CRYPT_ID_SIZE];
    fixture_close(f);
    hs_path_join(ret_path, 128, f->dir, name);
    assert_int_equal(hs_crypt_key_generate(ret_path, id, NULL), 0);
    f->options.key = ret_path;
    f->options.encrypt = true;
}

/* The number of files in the folder that begin with the name of the database. */
static int count_files(const struct fixture *f)
{
    DIR *dir = opendir(f->dir);
    assert_non_null(dir);
    int count = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)))
        count += hs_str_starts(entry->d_name, "faces.db");
    closedir(dir);
    return count;
}

static int verify(struct fixture *f, const char *backup, struct hs_gallery_verified *found, struct hs_error *err)
{
    int before = count_files(f);
    int r = hs_gallery_verify_backup(f->gallery, backup, found, err);
    assert_int_equal(count_files(f), before);
    return r;
}

static void fill(struct hs_gallery *g)
{
    for (unsigned i = 0; i < FACES; i++) {
        char name[16];
        hs_str_format(name, sizeof(name), "p%u", i / 5);
        add(g, name, i);
    }
}

static void check_good(struct fixture *f, int64_t sealed)
{
    struct hs_gallery_verified found;
    struct hs_error err;
    char backup[PATH_MAX];
    fill(fixture_open(f));
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    assert_int_equal(verify(f, hs_path_base(backup), &found, &err), 0);
    assert_true(found.same_change);
    assert_int_equal(found.identities, FACES / 5);
    assert_int_equal(found.embeddings, FACES);
    assert_int_equal(found.live_identities, FACES / 5);
    assert_int_equal(found.live_embeddings, FACES);
    assert_int_equal(found.sealed, sealed);
    assert_int_equal(found.unreadable + found.invalid, 0);
    assert_in_range(found.searched, 80, 100);
    assert_int_equal(found.found, found.searched);
    assert_true(found.size_bytes > FACES * DIMENSION * 4);
    /* The gallery changes: the backup is still good, and that is reported. */
    add(f->gallery, "new", 9999);
    assert_int_equal(verify(f, backup, &found, &err), 0);
    assert_false(found.same_change);
    assert_int_equal(found.live_embeddings, FACES + 1);
}

static void test_plain(void **state)
{
    check_good(*state, 0);
}

static void test_encrypted(void **state)
{
    char key[128];
    use_key(*state, "key", key);
    check_good(*state, FACES);
}

/* An older program's backup has no spaces and no change numbers. */
static void test_first_schema(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_verified found;
    write_first_schema(f->path);
    fixture_open(f);
    assert_string_not_equal(f->opened.backed_up_to, "");
    assert_int_equal(verify(f, f->opened.backed_up_to, &found, NULL), 0);
    assert_int_equal(found.schema_version, 0);
    assert_int_equal(found.embeddings, 3);
    assert_int_equal(found.found, 3);
    assert_false(found.same_change);
}

/* People who share a vector are found by it under any of their names. */
static void test_equal_vectors(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_verified found;
    char backup[PATH_MAX];
    fixture_open(f);
    for (int i = 0; i < 6; i++) {
        const char name[] = { (char) ('a' + i), '\0' };
        add(f->gallery, name, 1);
    }
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    assert_int_equal(verify(f, backup, &found, NULL), 0);
    assert_int_equal(found.found, 6);
}

static void test_empty(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_verified found;
    char backup[PATH_MAX];
    assert_int_equal(hs_gallery_backup(fixture_open(f), backup, NULL), 0);
    assert_int_equal(verify(f, backup, &found, NULL), 0);
    assert_int_equal(found.embeddings + found.searched, 0);
}

/* Cuts the file, and changes one byte, at several places. */
static void test_damaged(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_verified found;
    struct hs_error err;
    char backup[PATH_MAX], copy[PATH_MAX];
    uint8_t *data;
    size_t len;
    fill(fixture_open(f));
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    assert_int_equal(hs_file_read(backup, SIZE_MAX / 2, &data, &len, NULL), 0);
    hs_path_join(copy, sizeof(copy), f->dir, "copy.gz");
    for (size_t i = 1; i < 8; i++) {
        assert_int_equal(hs_file_write_atomic(copy, data, len * i / 8, 0600, NULL), 0);
        assert_int_equal(verify(f, copy, &found, &err), HS_EDECODE);
        data[len * i / 8] ^= 0x40;
        assert_int_equal(hs_file_write_atomic(copy, data, len, 0600, NULL), 0);
        assert_int_equal(verify(f, copy, &found, &err), HS_EDECODE);
        data[len * i / 8] ^= 0x40;
    }
    free(data);
    assert_int_equal(verify(f, "missing.db.gz", &found, &err), HS_ENOTFOUND);
}

/* A backup can be an uncompressed database; `sql` changes it. */
static int verify_changed(struct fixture *f, const char *backup, const char *sql, struct hs_gallery_verified *found,
                          struct hs_error *err)
{
    char copy[PATH_MAX];
    hs_path_join(copy, sizeof(copy), f->dir, "changed.db");
    unlink(copy);
    assert_int_equal(hs_gallery_make_file(copy, NULL), 0);
    assert_int_equal(hs_gallery_uncompress(backup, copy, NULL), 0);
    run_sql(copy, sql);
    return verify(f, copy, found, err);
}

static void test_changed(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_verified found;
    struct hs_error err;
    char key[128], backup[PATH_MAX];
    use_key(f, "key", key);
    fill(fixture_open(f));
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    assert_int_equal(verify_changed(f, backup, "SELECT 1", &found, &err), 0);
    assert_int_equal(verify_changed(f, backup,
                                    "UPDATE embeddings SET embedding = (SELECT embedding FROM embeddings WHERE id = 2)"
                                    " WHERE id = 1",
                                    &found, &err),
                     HS_EDECODE);
    assert_int_equal(found.unreadable, 1);
    assert_non_null(strstr(err.message, "1 of its 250 encrypted vectors"));
    assert_int_equal(verify_changed(f, backup, "DELETE FROM keys", &found, &err), HS_EKEY);
    assert_int_equal(verify_changed(f, backup, "DROP TABLE embeddings", &found, &err), HS_EDECODE);
    /* Not a defect of the backup: the gallery itself has such a vector. */
    assert_int_equal(
        verify_changed(f, backup, "UPDATE embeddings SET embedding = zeroblob(256) WHERE id = 1", &found, &err), 0);
    assert_int_equal(found.invalid, 1);
}

/* The backup claims to have the last change, but lacks a face. */
static void test_missing_face(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_verified found;
    struct hs_error err;
    char backup[PATH_MAX], copy[PATH_MAX], packed[PATH_MAX];
    add(fixture_open(f), "a", 1);
    add(f->gallery, "b", 2);
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    hs_path_join(copy, sizeof(copy), f->dir, "copy.db");
    hs_path_join(packed, sizeof(packed), f->dir, "copy.db.gz");
    assert_int_equal(hs_gallery_make_file(copy, NULL), 0);
    assert_int_equal(hs_gallery_make_file(packed, NULL), 0);
    assert_int_equal(hs_gallery_uncompress(backup, copy, NULL), 0);
    run_sql(copy, "DELETE FROM embeddings WHERE id = 2");
    assert_int_equal(hs_gallery_compress(copy, packed, 2, NULL), 0);
    assert_int_equal(verify(f, packed, &found, &err), HS_EDECODE);
    assert_non_null(strstr(err.message, "2 people and 1 faces, not 2 and 2"));
    assert_int_equal(hs_gallery_compress(copy, packed, 1, NULL), 0);
    assert_int_equal(verify(f, packed, &found, &err), 0);
}

static void test_other_key(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_verified found;
    struct hs_error err;
    char key[128], other[128], backup[PATH_MAX];
    use_key(f, "key", key);
    add(fixture_open(f), "a", 1);
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    fixture_close(f);
    hs_gallery_delete_database(f->path);
    use_key(f, "other", other);
    fixture_open(f);
    assert_int_equal(verify(f, backup, &found, &err), HS_EKEY);
    assert_non_null(strstr(err.message, "database.encryption_key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_plain),         GALLERY_TEST(test_encrypted),    GALLERY_TEST(test_first_schema),
        GALLERY_TEST(test_equal_vectors), GALLERY_TEST(test_empty),        GALLERY_TEST(test_damaged),
        GALLERY_TEST(test_changed),       GALLERY_TEST(test_missing_face), GALLERY_TEST(test_other_key),
    };
    return HS_RUN_TESTS(tests);
}
