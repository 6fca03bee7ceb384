#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"

static void test_add_and_get(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    float values[DIMENSION];
    struct hs_gallery_new_embedding e = {
        .values = unit_vector(7, values),
        .dimension = DIMENSION,
        .space = "arc",
        .model = "m",
        .quality = "{\"score\": 0.5}",
        .source_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    };
    struct hs_gallery_added added;
    assert_int_equal(hs_gallery_add(g, NULL, "Ada", "{\"a\": 1}", &e, &added, NULL), 0);
    assert_true(added.identity_created);
    assert_int_equal(added.embedding_dropped, 0);
    struct hs_gallery_added again = add(g, "Ada", 8);
    assert_false(again.identity_created);
    assert_int_equal(again.identity_id, added.identity_id);

    struct hs_gallery_person *person;
    assert_int_equal(hs_gallery_get(g, "Ada", true, &person, NULL), 0);
    assert_string_equal(person->identity.metadata, "{\"a\": 1}");
    assert_int_equal(strlen(person->identity.created_at), 19);
    assert_int_equal(person->count, 2);
    assert_int_equal(person->embeddings[0].id, added.embedding_id);
    assert_int_equal(person->embeddings[0].dimension, DIMENSION);
    assert_memory_equal(person->embeddings[0].values, values, sizeof(values));
    assert_string_equal(person->embeddings[0].space, "arc");
    assert_string_equal(person->embeddings[0].model, "m");
    assert_string_equal(person->embeddings[0].quality, e.quality);
    assert_string_equal(person->embeddings[0].source_sha256, e.source_sha256);
    assert_null(person->embeddings[1].model);
    hs_gallery_person_destroy(person);
    assert_int_equal(hs_gallery_check(g, NULL), 0);
    struct stat st;
    assert_int_equal(stat(((struct fixture *) *state)->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

struct listed {
    char names[4][8];
    int64_t counts[4];
    size_t count, stop_after;
};

static int list_identity(void *arg, const struct hs_gallery_identity *identity)
{
    struct listed *listed = arg;
    if (listed->count < HS_ARRAY_LEN(listed->names)) {
        assert_true(hs_str_copy(listed->names[listed->count], sizeof(listed->names[0]), identity->name));
        listed->counts[listed->count] = identity->embedding_count;
    }
    return ++listed->count == listed->stop_after ? 77 : 0;
}

static void test_list(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    const char *names[] = { "b", "a", "Z", "\xc3\xa4" };
    for (unsigned i = 0; i < HS_ARRAY_LEN(names); i++)
        add(g, names[i], i);
    add(g, "a", 9);
    bool more;
    struct listed listed = { .count = 0 };
    assert_int_equal(hs_gallery_for_each_identity(g, NULL, 3, list_identity, &listed, &more, NULL), 0);
    assert_int_equal(listed.count, 3);
    assert_true(more);
    assert_string_equal(listed.names[0], "Z");
    assert_string_equal(listed.names[1], "a");
    assert_int_equal(listed.counts[1], 2);
    listed = (struct listed) { .count = 0 };
    assert_int_equal(hs_gallery_for_each_identity(g, "b", 3, list_identity, &listed, &more, NULL), 0);
    assert_int_equal(listed.count, 1);
    assert_false(more);
    assert_string_equal(listed.names[0], names[3]);
    listed = (struct listed) { .stop_after = 2 };
    assert_int_equal(hs_gallery_for_each_identity(g, NULL, 3, list_identity, &listed, &more, NULL), 77);
    assert_int_equal(listed.count, 2);
}

/* More identities than are read at once. */
static void test_list_many(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    run_sql(f->path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
                     " INSERT INTO identities (name) SELECT printf('%05d', i) FROM n");
    bool more;
    struct listed listed = { .count = 0 };
    assert_int_equal(hs_gallery_for_each_identity(g, NULL, SIZE_MAX, list_identity, &listed, &more, NULL), 0);
    assert_int_equal(listed.count, 2500);
    assert_false(more);
    listed = (struct listed) { .count = 0 };
    assert_int_equal(hs_gallery_for_each_identity(g, "00002", 2497, list_identity, &listed, &more, NULL), 0);
    assert_int_equal(listed.count, 2497);
    assert_string_equal(listed.names[0], "00003");
    assert_true(more);
}

static int update_metadata(struct hs_gallery *g, const char *name, const char *metadata, struct hs_error *err)
{
    return hs_gallery_update(g, name, &(struct hs_gallery_update) { .metadata = metadata }, err);
}

static void test_change(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    struct hs_error err;
    add(g, "a", 1);
    add(g, "b", 2);
    assert_int_equal(update_metadata(g, "a", "{\"x\":[]}", NULL), 0);
    assert_int_equal(update_metadata(g, "a", "[]", &err), HS_EINVAL);
    assert_int_equal(update_metadata(g, "nobody", "", &err), HS_ENOTFOUND);
    assert_string_equal(err.message, "Identity 'nobody' not found");
    assert_int_equal(hs_gallery_rename(g, "a", "b", &err), HS_ECONFLICT);
    assert_int_equal(hs_gallery_rename(g, "a", "", &err), HS_EINVAL);
    assert_int_equal(hs_gallery_rename(g, "a", "c", NULL), 0);
    assert_int_equal(count_of(g, "a"), -1);
    assert_int_equal(hs_gallery_merge(g, "c", "c", &err), HS_EINVAL);
    assert_int_equal(hs_gallery_merge(g, "c", "a", &err), HS_ENOTFOUND);
    assert_int_equal(hs_gallery_merge(g, "c", "b", NULL), 0);
    assert_int_equal(count_of(g, "b"), 2);
    assert_int_equal(count_of(g, "c"), -1);
    struct hs_gallery_person *person;
    assert_int_equal(hs_gallery_get(g, "b", false, &person, NULL), 0);
    assert_string_equal(person->identity.metadata, "{\"x\":[]}");
    assert_null(person->embeddings[0].values);
    hs_gallery_person_destroy(person);
}

static void test_limit(void **state)
{
    struct fixture *f = *state;
    f->options.max_embeddings_per_identity = 2;
    struct hs_gallery *g = fixture_open(f);
    struct hs_gallery_added first = add(g, "a", 1);
    add(g, "a", 2);
    struct hs_gallery_added twin = add(g, "a", 1);
    assert_int_equal(twin.embedding_dropped, first.embedding_id);
    assert_int_equal(count_of(g, "a"), 2);
    add(g, "b", 3);
    add(g, "b", 4);
    assert_int_equal(hs_gallery_merge(g, "b", "a", NULL), 0);
    assert_int_equal(count_of(g, "a"), 2);
}

struct seen {
    int64_t touched; /* sum of the ids */
    int count, incomparable, stop_at;
    int64_t last_id;
};

static int see(void *arg, const struct hs_gallery_entry *entry)
{
    struct seen *seen = arg;
    assert_true(entry->id > seen->last_id);
    seen->last_id = entry->id;
    if (!entry->values) {
        seen->incomparable++;
        return 0;
    }
    assert_int_equal(entry->dimension, DIMENSION);
    return ++seen->count == seen->stop_at ? 77 : 0;
}

static void test_for_each(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    add(g, "a", 1);
    add(g, "b", 2);
    run_sql(f->path, "INSERT INTO embeddings (identity_id, embedding) VALUES (1, x'00'), (1, x'0000c07f')");
    struct seen seen = { 0 };
    struct hs_gallery_version version, later;
    assert_int_equal(hs_gallery_for_each(g, see, &seen, &version, NULL), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(version.change, 2);
    assert_int_equal(version.resets, 1);
    assert_int_equal(seen.incomparable, 2);
    assert_int_equal(stats_of(g).embeddings, 4);
    seen = (struct seen) { .stop_at = 1 };
    assert_int_equal(hs_gallery_for_each(g, see, &seen, NULL, NULL), 77);
    /* The gallery's own changes do not count as foreign changes, even if they empty the log. */
    add(g, "c", 3);
    assert_int_equal(hs_gallery_remove(g, "a", NULL, NULL), 0);
    assert_int_equal(hs_gallery_get_version(g, &later, NULL), 0);
    assert_int_equal(later.change, 4);
    assert_int_equal(later.resets, 1);
    run_sql(f->path, "UPDATE identities SET metadata = '{}'");
    assert_int_equal(hs_gallery_get_version(g, &later, NULL), 0);
    assert_int_equal(later.resets, 2);
}

static void touched(void *arg, int64_t identity_id)
{
    struct seen *seen = arg;
    seen->touched += identity_id;
}

/* Follows changes between two versions, including those made through another handle. */
static void test_for_each_since(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *other, *g = fixture_open(f);
    struct hs_gallery_version version, later;
    add(g, "a", 1);
    add(g, "b", 2);
    assert_int_equal(hs_gallery_open(&f->options, &other, NULL, NULL), 0);
    assert_int_equal(hs_gallery_get_version(other, &version, NULL), 0);
    struct seen seen = { 0 };
    assert_int_equal(hs_gallery_for_each_since(other, &version, touched, see, &seen, &later, NULL), 0);
    assert_int_equal(seen.touched + seen.count, 0);
    int64_t c = add(g, "c", 3).identity_id;
    assert_int_equal(hs_gallery_remove(g, "a", NULL, NULL), 0);
    int64_t b = add(g, "b", 4).identity_id;
    seen = (struct seen) { 0 };
    assert_int_equal(hs_gallery_for_each_since(other, &version, touched, see, &seen, &later, NULL), 0);
    assert_int_equal(seen.touched, 1 + b + c);
    assert_int_equal(seen.count, 3);
    assert_int_equal(later.change, version.change + 3);
    /* A failed change is not counted. */
    assert_int_equal(hs_gallery_rename(g, "b", "c", NULL), HS_ECONFLICT);
    assert_int_equal(hs_gallery_get_version(other, &version, NULL), 0);
    assert_int_equal(version.change, later.change);
    /* A foreign program does not count its changes. */
    run_sql(f->path, "UPDATE identities SET metadata = '{}'");
    assert_int_equal(hs_gallery_for_each_since(other, &later, touched, see, &seen, &version, NULL), HS_ENOTFOUND);
    assert_int_equal(hs_gallery_get_version(other, &version, NULL), 0);
    assert_int_equal(hs_gallery_for_each_since(other, &version, touched, see, &seen, &later, NULL), 0);
    version.change = 1; /* the record of changes reaches back that far */
    seen = (struct seen) { 0 };
    assert_int_equal(hs_gallery_for_each_since(other, &version, touched, see, &seen, &later, NULL), 0);
    /* After this many changes reading everything is faster. */
    run_sql(f->path, "INSERT INTO changes SELECT (SELECT change FROM gallery), 100 + value FROM (WITH RECURSIVE"
                     " n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 2001) SELECT value FROM n)");
    assert_int_equal(hs_gallery_get_version(other, &later, NULL), 0);
    later.change--;
    assert_int_equal(hs_gallery_for_each_since(other, &later, touched, see, &seen, &version, NULL), HS_ENOTFOUND);
    run_sql(f->path, "DELETE FROM changes WHERE number = 2 OR identity_id > 100");
    assert_int_equal(hs_gallery_get_version(other, &later, NULL), 0);
    later.change = 1;
    assert_int_equal(hs_gallery_for_each_since(other, &later, touched, see, &seen, &version, NULL), HS_ENOTFOUND);
    hs_gallery_close(other);
}

/* The next change detects a file that was deleted or replaced. Open content remains readable. */
static void test_deleted_file(void **state)
{
    struct fixture *f = *state;
    struct hs_error err;
    char aside[PATH_MAX];
    for (int replaced = 0; replaced < 2; replaced++) {
        struct hs_gallery *g = fixture_open(f);
        add(g, "a", (unsigned) replaced + 1);
        assert_false(hs_gallery_get_counts(g).lost);
        hs_str_format(aside, sizeof(aside), "%s.aside", f->path);
        assert_int_equal(rename(f->path, aside), 0);
        if (replaced)
            run_sql(f->path, "CREATE TABLE t (a)");
        assert_int_equal(hs_gallery_rename(g, "a", "b", &err), HS_EIO);
        assert_non_null(strstr(err.message, "deleted or replaced"));
        assert_int_equal(try_add(g, "c", 9, NULL), HS_EIO);
        assert_int_equal(hs_gallery_remove(g, "a", NULL, NULL), HS_EIO);
        assert_true(hs_gallery_get_counts(g).lost);
        assert_true(hs_gallery_backup(g, NULL, NULL) < 0);
        /* The program that created the other file has also reused the log. */
        assert_true(replaced || count_of(g, "a") == 1);
        fixture_close(f);
        assert_int_equal(rename(aside, f->path), 0);
    }
}

static void test_bad_input(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    float values[DIMENSION] = { 0 };
    struct hs_gallery_new_embedding e = { .values = values, .dimension = DIMENSION, .space = "s" };
    assert_int_equal(hs_gallery_add(g, NULL, "a", NULL, &e, NULL, NULL), HS_EINVAL);
    values[0] = 1;
    assert_int_equal(hs_gallery_add(g, NULL, "a\nb", NULL, &e, NULL, NULL), HS_EINVAL);
    assert_int_equal(hs_gallery_add(g, NULL, "a", "{", &e, NULL, NULL), HS_EINVAL);
    e.quality = "{\"a\":\"b\"}";
    assert_int_equal(hs_gallery_add(g, NULL, "a", NULL, &e, NULL, NULL), HS_EINVAL);
    e.quality = NULL;
    e.dimension = HS_GALLERY_DIMENSION_MAX + 1;
    assert_int_equal(hs_gallery_add(g, NULL, "a", NULL, &e, NULL, NULL), HS_EINVAL);
    assert_int_equal(stats_of(g).identities, 0);
}

static void test_bad_options(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g;
    f->options.keep_backups = 0;
    assert_int_equal(hs_gallery_open(&f->options, &g, NULL, NULL), HS_EINVAL);
    f->options.keep_backups = 1;
    f->options.path = "/nowhere/at/all.db";
    assert_int_equal(hs_gallery_open(&f->options, &g, NULL, NULL), HS_EIO);
    f->options.path = "";
    assert_int_equal(hs_gallery_open(&f->options, &g, NULL, NULL), HS_EINVAL);
}

enum { THREADS = 4, ROUNDS = 15 };

struct worker {
    struct hs_gallery *gallery;
    int number;
    int failures;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char name[32];
        hs_str_format(name, sizeof(name), "%d-%d", w->number, i);
        w->failures += try_add(w->gallery, name, (unsigned) (100 * w->number + i), NULL) != 0;
        w->failures += try_add(w->gallery, "shared", (unsigned) (5000 + 100 * w->number + i), NULL) != 0;
        if (i % 3 == 0)
            w->failures += hs_gallery_remove(w->gallery, name, NULL, NULL) != 0;
    }
    return NULL;
}

/* Two handles, like those of two processes, with two threads each. */
static void test_threads(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *other, *g = fixture_open(f);
    assert_int_equal(hs_gallery_open(&f->options, &other, NULL, NULL), 0);
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker) { .gallery = i % 2 ? other : g, .number = i };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(count_of(g, "shared"), THREADS * ROUNDS);
    assert_int_equal(stats_of(other).identities, 1 + THREADS * (ROUNDS - ROUNDS / 3));
    assert_int_equal(hs_gallery_check(g, NULL), 0);
    struct hs_gallery_version version;
    assert_int_equal(hs_gallery_get_version(g, &version, NULL), 0);
    /* Each change was counted once, through either handle. */
    assert_int_equal(version.change, THREADS * ROUNDS * 2 + THREADS * ROUNDS / 3);
    hs_gallery_close(other);
}

static const char key_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                  key_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static int add_idempotent(struct fixture *f, const char *key, const char *body, const char *name, unsigned seed)
{
    float values[DIMENSION];
    const struct hs_gallery_new_embedding e = { .values = unit_vector(seed, values),
                                                .dimension = DIMENSION,
                                                .space = "test" };
    const struct hs_gallery_request request = { key, body };
    return hs_gallery_add(f->gallery, &request, name, NULL, &e, NULL, NULL);
}

static void test_idempotency(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_found_request recalled;
    fixture_open(f);
    assert_int_equal(hs_gallery_find_request(f->gallery, key_a, &recalled, NULL), HS_ENOTFOUND);
    assert_int_equal(hs_gallery_find_request(f->gallery, "short", &recalled, NULL), HS_EINVAL);
    assert_int_equal(add_idempotent(f, key_a, key_b, "a", 1), 0);
    /* Repeating the request adds nothing. */
    assert_int_equal(add_idempotent(f, key_a, key_b, "a", 2), HS_ECONFLICT);
    assert_int_equal(count_of(f->gallery, "a"), 1);
    assert_int_equal(hs_gallery_find_request(f->gallery, key_a, &recalled, NULL), 0);
    assert_string_equal(recalled.body_sha256, key_b);
    assert_string_equal(recalled.name, "a");
    assert_true(recalled.added.identity_created);
    /* The request survives a restart, and follows the identity. */
    fixture_close(f);
    fixture_open(f);
    add(f->gallery, "b", 3);
    assert_int_equal(hs_gallery_merge(f->gallery, "a", "b", NULL), 0);
    assert_int_equal(hs_gallery_rename(f->gallery, "b", "c", NULL), 0);
    assert_int_equal(hs_gallery_find_request(f->gallery, key_a, &recalled, NULL), 0);
    assert_string_equal(recalled.name, "c");
    assert_int_equal(hs_gallery_remove(f->gallery, "c", NULL, NULL), 0);
    assert_int_equal(hs_gallery_find_request(f->gallery, key_a, &recalled, NULL), HS_ENOTFOUND);
    assert_int_equal(query_sql(f->path, "SELECT count(*) FROM requests"), 0);
}

static void test_requests_expire(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_found_request recalled;
    fixture_open(f);
    assert_int_equal(add_idempotent(f, key_a, key_b, "a", 1), 0);
    run_sql(f->path, "UPDATE requests SET created_at = datetime('now', '-25 hours')");
    assert_int_equal(hs_gallery_find_request(f->gallery, key_a, &recalled, NULL), HS_ENOTFOUND);
    assert_int_equal(add_idempotent(f, key_a, key_a, "a", 2), 0);
    assert_int_equal(count_of(f->gallery, "a"), 2);
    /* Only the newest requests are kept. */
    run_sql(f->path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050)"
                     " INSERT INTO requests SELECT 'k' || i, '', 1, 1, 0, 0, CURRENT_TIMESTAMP FROM n");
    assert_int_equal(add_idempotent(f, key_b, key_b, "a", 3), 0);
    assert_int_equal(query_sql(f->path, "SELECT count(*) FROM requests"), HS_GALLERY_REQUESTS_MAX);
    assert_int_equal(hs_gallery_find_request(f->gallery, key_a, &recalled, NULL), HS_ENOTFOUND);
    assert_int_equal(hs_gallery_find_request(f->gallery, key_b, &recalled, NULL), 0);
}

static void test_update(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    struct hs_gallery_person *person;
    add(g, "a", 1);
    add(g, "b", 2);
    const struct hs_gallery_update both = { .new_name = "c", .metadata = "{\"team\":7}" },
                                   taken = { .new_name = "b", .metadata = "{}" }, gone = { .metadata = "" },
                                   bad = { .metadata = "[]" }, empty = { .new_name = "" };
    assert_int_equal(hs_gallery_update(g, "a", &both, NULL), 0);
    assert_int_equal(hs_gallery_update(g, "a", &both, NULL), HS_ENOTFOUND);
    assert_int_equal(hs_gallery_update(g, "c", &taken, NULL), HS_ECONFLICT);
    assert_int_equal(hs_gallery_update(g, "c", &bad, NULL), HS_EINVAL);
    assert_int_equal(hs_gallery_update(g, "c", &empty, NULL), HS_EINVAL);
    assert_int_equal(hs_gallery_get(g, "c", false, &person, NULL), 0);
    assert_string_equal(person->identity.metadata, "{\"team\":7}");
    hs_gallery_person_destroy(person);
    assert_int_equal(hs_gallery_update(g, "c", &gone, NULL), 0);
    assert_int_equal(hs_gallery_get(g, "c", false, &person, NULL), 0);
    assert_null(person->identity.metadata);
    hs_gallery_person_destroy(person);
}

static void test_counts(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    assert_int_equal(hs_gallery_get_counts(g).identities, 0);
    add(g, "a", 1);
    add(g, "a", 2);
    assert_int_equal(hs_gallery_get_counts(g).identities, 1);
    assert_int_equal(hs_gallery_get_counts(g).embeddings, 2);
    run_sql(f->path, "DELETE FROM embeddings");
    assert_int_equal(hs_gallery_get_counts(g).embeddings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_add_and_get),     GALLERY_TEST(test_list),         GALLERY_TEST(test_list_many),
        GALLERY_TEST(test_change),          GALLERY_TEST(test_limit),        GALLERY_TEST(test_for_each),
        GALLERY_TEST(test_for_each_since),  GALLERY_TEST(test_deleted_file), GALLERY_TEST(test_bad_input),
        GALLERY_TEST(test_bad_options),     GALLERY_TEST(test_threads),      GALLERY_TEST(test_idempotency),
        GALLERY_TEST(test_requests_expire), GALLERY_TEST(test_update),       GALLERY_TEST(test_counts),
    };
    return HS_RUN_TESTS(tests);
}
