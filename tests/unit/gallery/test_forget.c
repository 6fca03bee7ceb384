/* A person who is forgotten is in no file any more, and the proof is the result of a search for them. */
#include "fixture.h"

#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/byte_search.h"
#include "gallery/files.h"
#include "gallery/forget.h"
#include "gallery/retention.h"

/* ---- the search ---- */

static int64_t hits_in(const struct hs_byte_search *search, const char *path)
{
    struct hs_byte_hits hits = { 0 };
    assert_int_equal(hs_byte_search_file(search, path, &hits, NULL), 0);
    return hits.hits[HS_BYTE_SEARCH_VECTOR] + hits.hits[HS_BYTE_SEARCH_NAME];
}

/* Parts are found at every position, also across the pieces in which a file is read. */
static void test_positions(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = (1 << 20) + 5000 };
    char path[PATH_MAX];
    float values[DIMENSION];
    struct hs_byte_search search;
    uint8_t *data = calloc(1, SIZE);
    assert_true(hs_path_join(path, sizeof(path), f->dir, "file"));
    assert_int_equal(hs_byte_search_init(&search), 0);
    assert_int_equal(hs_byte_search_add_vector(&search, unit_vector(5, values), sizeof(values)), 0);
    assert_int_equal(hs_byte_search_add_text(&search, HS_BYTE_SEARCH_NAME, "Ann Nobody"), 1);
    assert_int_equal(hs_byte_search_add_text(&search, HS_BYTE_SEARCH_NAME, "Ann"), 0);
    static const size_t starts[] = { 0, 1, 4095, (1 << 20) - 64, (1 << 20) - 31, (1 << 20) - 1, 1 << 20, SIZE - 63 };
    for (size_t i = 0; i < HS_ARRAY_LEN(starts); i++) {
        memset(data, 0, SIZE);
        memcpy(data + starts[i], (const uint8_t *) values + 7, 63); /* any 63 bytes */
        assert_int_equal(hs_file_write_atomic(path, data, SIZE, 0600, NULL), 0);
        assert_int_equal(hits_in(&search, path), 1);
    }
    memset(data, 0, SIZE);
    memcpy(data + (1 << 20) - 4, "Ann Nobody", 10);
    memcpy(data + SIZE - 10, "Ann Nobody", 10);
    assert_int_equal(hs_file_write_atomic(path, data, SIZE, 0600, NULL), 0);
    assert_int_equal(hits_in(&search, path), 2);
    gzFile out = gzopen(path, "wb");
    assert_int_equal(gzwrite(out, data, SIZE), SIZE);
    assert_int_equal(gzclose(out), Z_OK);
    assert_int_equal(hits_in(&search, path), 2);
    hs_byte_search_finish(&search);
    free(data);
}

/* A file that cannot be read to its end is an error, not a file without matches. */
static void test_damaged_file(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX];
    struct hs_byte_search search;
    struct hs_byte_hits hits = { 0 };
    static const uint8_t damaged[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3 };
    assert_true(hs_path_join(path, sizeof(path), f->dir, "file"));
    assert_int_equal(hs_byte_search_init(&search), 0);
    assert_int_equal(hs_file_write_atomic(path, damaged, sizeof(damaged), 0600, NULL), 0);
    assert_int_equal(hs_byte_search_file(&search, path, &hits, NULL), HS_EIO);
    assert_int_equal(hs_byte_search_file(&search, f->dir, &hits, NULL), HS_EIO);
    hs_byte_search_finish(&search);
}

/* Zeros and other repeated bytes are in every file, and are not evidence. */
static void test_repeated_bytes(void **state)
{
    (void) state;
    uint8_t zeros[256] = { 0 };
    struct hs_byte_search search;
    struct hs_byte_hits hits = { 0 };
    assert_int_equal(hs_byte_search_init(&search), 0);
    assert_int_equal(hs_byte_search_add_vector(&search, zeros, sizeof(zeros)), 0);
    hs_byte_search_data(&search, zeros, sizeof(zeros), &hits);
    assert_int_equal(hits.hits[HS_BYTE_SEARCH_VECTOR], 0);
    assert_int_equal(hits.bytes, sizeof(zeros));
    hs_byte_search_finish(&search);
}

/* ---- forgetting ---- */

static const char person[] = "Ann Nobody";

static void add_person(struct hs_gallery *g)
{
    float values[DIMENSION];
    const struct hs_gallery_new_embedding e = { .values = unit_vector(1, values),
                                                .dimension = DIMENSION,
                                                .space = "test" };
    assert_int_equal(hs_gallery_add(g, NULL, person, "{\"badge\":\"4711-0815-xyz\"}", &e, NULL, NULL), 0);
    add(g, person, 2);
    add(g, "b", 3);
}

static json_t *forget(struct hs_gallery *g, bool expected)
{
    json_t *proof;
    bool clean;
    struct hs_error err = { .message = "" };
    if (hs_gallery_forget(g, person, &proof, &clean, &err) != 0)
        fail_msg("%s", err.message);
    if (clean != expected) {
        char *text = json_dumps(proof, JSON_INDENT(1));
        print_error("%s\n", text);
        free(text);
    }
    assert_int_equal(clean, expected);
    return proof;
}

static json_int_t number(const json_t *proof, const char *part, const char *name)
{
    const json_t *value = json_object_get(json_object_get(proof, part), name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void test_forget(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    struct hs_gallery_backups *backups;
    char backup[PATH_MAX];
    add_person(g);
    assert_int_equal(hs_gallery_backup(g, backup, NULL), 0);
    json_t *proof = forget(g, true);
    assert_int_equal(count_of(g, person), -1);
    assert_int_equal(count_of(g, "b"), 1);
    assert_false(hs_file_exists(backup));
    assert_false(folder_has(f, 1));
    assert_int_equal(hs_gallery_list_backups(g, &backups, NULL), 0);
    assert_int_equal(backups->count, 1);
    hs_gallery_backups_destroy(backups);
    assert_int_equal(number(proof, "erased", "embeddings"), 2);
    assert_int_equal(number(proof, "audit", "seq"), 4);
    assert_int_equal(number(proof, "search", "vector_parts"), 0);
    assert_true(number(proof, "search", "bytes") > 8192);
    const json_t *files = json_object_get(json_object_get(proof, "search"), "files");
    assert_true(json_array_size(files) >= 6); /* database, -shm, -wal, .uid, .audit-head, backup */
    char *text = json_dumps(proof, 0);
    assert_null(strstr(text, "Ann"));
    assert_null(strstr(text, "4711"));
    free(text);
    json_decref(proof);
}

/* The salted hash identifies the person to a reader who knows the name. */
static void test_person_of_proof(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    char salted[200], sum[65];
    add_person(g);
    json_t *proof = forget(g, true);
    const json_t *of = json_object_get(proof, "person");
    assert_true(hs_str_format(salted, sizeof(salted), "%s%s", json_string_value(json_object_get(of, "salt")), person));
    hs_sha256(salted, strlen(salted), sum);
    assert_string_equal(sum, json_string_value(json_object_get(of, "salted_name_sha256")));
    json_decref(proof);
}

/* A copy that an administrator left beside the gallery is found. */
static void copy_beside(struct fixture *f, const char *end)
{
    char path[PATH_MAX];
    uint8_t *data;
    size_t len;
    assert_true(hs_str_format(path, sizeof(path), "%s%s", f->path, end));
    assert_int_equal(hs_file_read(f->path, 1 << 24, &data, &len, NULL), 0);
    assert_int_equal(hs_file_write_atomic(path, data, len, 0600, NULL), 0);
    free(data);
}

static void test_copy_beside(void **state)
{
    struct fixture *f = *state;
    add_person(fixture_open(f));
    fixture_close(f); /* no log is left */
    copy_beside(f, ".old");
    json_t *proof = forget(fixture_open(f), false);
    assert_int_equal(number(proof, "search", "vector_parts"), 2 * DIMENSION * 4 / HS_BYTE_SEARCH_PART);
    assert_true(number(proof, "search", "names") >= 1);
    assert_int_equal(number(proof, "search", "metadata"), 1);
    json_decref(proof);
}

/* A copy in the unused part of a page, as other programs leave them, is erased before the search. */
static void test_copy_in_file(void **state)
{
    struct fixture *f = *state;
    add_person(fixture_open(f));
    fixture_copy_file(f, 1);
    json_decref(forget(f->gallery, true));
}

/* A name that other people also have, as part of theirs, does not make the proof fail. */
static void test_common_name(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    add_person(g);
    add(g, "Ann Nobody-Smith", 9);
    json_t *proof = forget(g, true);
    assert_true(number(proof, "search", "names") > 0);
    assert_int_equal(number(proof, "search", "other_records_with_the_name"), 1);
    json_decref(proof);
}

/* A reader keeps the log in use: the person is erased, but the search still finds them in the log. */
static void test_beside_a_reader(void **state)
{
    struct fixture *f = *state;
    sqlite3 *reader;
    f->options.busy_timeout_ms = 100;
    add_person(fixture_open(f));
    assert_int_equal(sqlite3_open(f->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM identities", NULL, NULL, NULL), SQLITE_OK);
    json_t *proof = forget(f->gallery, false);
    assert_true(number(proof, "search", "vector_parts") > 0);
    assert_true(json_is_true(json_object_get(proof, "pending")));
    json_decref(proof);
    sqlite3_close(reader);
}

static void test_nobody(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    json_t *proof;
    bool clean;
    struct hs_error err;
    assert_int_equal(hs_gallery_forget(g, "nobody", &proof, &clean, &err), HS_ENOTFOUND);
}

/* Forgets the person as soon as the parent allows it. */
static void forget_in_child(const struct fixture *f, int ready, int go)
{
    struct hs_gallery *g;
    json_t *proof;
    bool clean;
    char byte = 0;
    if (hs_gallery_open(&f->options, &g, NULL, NULL) < 0 || write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
        _exit(2);
    hs_gallery_forget(g, person, &proof, &clean, NULL);
    _exit(3);
}

/* The process is killed when the person is erased, but is still in a backup: a record of that remains. */
static void test_killed(void **state)
{
    struct fixture *f = *state;
    int ready[2], go[2], lock, status;
    char backup[PATH_MAX], byte = 0;
    add_person(fixture_open(f));
    assert_int_equal(hs_gallery_backup(f->gallery, backup, NULL), 0);
    fixture_close(f);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        forget_in_child(f, ready[1], go[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    fixture_open(f);
    assert_int_equal(hs_gallery_lock_folder(f->path, &lock, NULL), 0); /* stops the child before the purge */
    assert_int_equal(write(go[1], &byte, 1), 1);
    for (int i = 0; i < 10000 && count_of(f->gallery, person) >= 0; i++)
        usleep(1000);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    hs_gallery_unlock_folder(lock);
    assert_int_equal(count_of(f->gallery, person), -1);
    assert_true(hs_file_exists(backup));
    assert_true(hs_retention_is_purge_due(f->gallery));
    add_person(f->gallery);
    json_decref(forget(f->gallery, true));
    assert_false(hs_retention_is_purge_due(f->gallery));
    assert_false(hs_file_exists(backup));
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_positions),    GALLERY_TEST(test_damaged_file),    cmocka_unit_test(test_repeated_bytes),
        GALLERY_TEST(test_forget),       GALLERY_TEST(test_person_of_proof), GALLERY_TEST(test_copy_beside),
        GALLERY_TEST(test_copy_in_file), GALLERY_TEST(test_common_name),     GALLERY_TEST(test_beside_a_reader),
        GALLERY_TEST(test_nobody),       GALLERY_TEST(test_killed),
    };
    return HS_RUN_TESTS(tests);
}
