/* Read operations with the first, second, third … allocation failing, including those of SQLite and
 * of the JSON library. Each returns HS_ENOMEM, and never a partly wrong result. test_failures.c
 * covers operations that change the file. */
#include "fixture.h"

#include <string.h>
#include <unistd.h>

#include "../alloc_fail.h"
#include "base/buf.h"
#include "faults.h"
#include "gallery/diversity_prune.h"
#include "gallery/export.h"
#include "gallery/scrub.h"
#include "gallery/validate.h"
#include "vectors.h"

static void each(int (*scenario)(void *arg), void *arg, int least)
{
    int count = hs_fail_each_allocation(scenario, arg);
    if (count < least)
        fail_msg("%d allocations failed, at least %d should", count, least);
}

/* ---- the index ---- */

enum { ROWS = 300, INDEX_DIMENSION = 16, K = 5 };

struct searching {
    struct gallery *gallery;
    struct hs_search *search;
    const float *query;
    struct hs_search_hit *wanted;
    size_t wanted_count;
};

static int search(void *arg)
{
    const struct searching *s = arg;
    struct hs_search_hit hits[K];
    size_t count = 99;
    struct hs_error err = { 0 };
    int r = hs_search_identities(s->search, s->query, K, -INFINITY, hits, &count, &err);
    if (r < 0) {
        assert_int_equal(r, err.code);
        assert_int_equal(count, 99);
        assert_non_null(strstr(err.message, "no memory"));
        return r;
    }
    assert_int_equal(count, K);
    assert_memory_equal(hits, s->wanted, sizeof(hits));
    return 0;
}

static void search_with_failures(struct gallery *g, int threads, int least)
{
    struct searching s = { g, index_of(g, threads), g->vectors, NULL, 0 };
    /* Some rows that the store no longer has. */
    g->ids[0] = g->ids[1] = 0;
    s.wanted_count = reference_search(g, s.query, -INFINITY, &s.wanted);
    assert_true(s.wanted_count >= K);
    assert_int_equal(search(&s), 0); /* starts the threads, which happens only once */
    each(search, &s, least);
    hs_search_destroy(s.search);
    free(s.wanted);
    free_gallery(g);
}

static void test_search(void **state)
{
    (void) state;
    struct gallery g = make_gallery(INDEX_DIMENSION, ROWS, 3);
    search_with_failures(&g, 1, 6);
}

/* The results of a helper that runs out of memory must not be lost. */
static void test_search_threads(void **state)
{
    (void) state;
    struct gallery g = make_gallery(INDEX_DIMENSION, 50001, 3);
    search_with_failures(&g, 4, 8);
}

/* An index that grows in steps, and keeps its content if it cannot grow. */
static int grow(void *arg)
{
    const struct gallery *g = arg;
    struct hs_search *index;
    struct hs_error err = { 0 };
    int r = hs_search_create(g->dimension, 1, fetch_vector, arg, &index, &err);
    if (r < 0)
        return r;
    size_t added = 0;
    for (size_t i = 0; i < g->count && r == 0; i++) {
        r = hs_search_add(index, g->ids[i], g->identities[i], g->vectors + i * g->dimension, &err);
        added += r == 0;
    }
    assert_int_equal(hs_search_count(index), added);
    assert_int_equal(r, err.code);
    if (r == 0)
        r = hs_search_reserve(index, 2 * g->count, &err);
    if (r < 0) {
        hs_alloc_fail_arm(0);
        assert_int_equal(hs_search_add(index, 5, 5, g->vectors, NULL), 0);
        assert_int_equal(hs_search_count(index), added + 1);
    }
    hs_search_destroy(index);
    return r;
}

static void test_growing(void **state)
{
    (void) state;
    struct gallery g = make_gallery(INDEX_DIMENSION, ROWS, 3);
    each(grow, &g, 6);
    free_gallery(&g);
}

/* Three items with a limit of two; after a failure all items added so far stay. */
static int prune(void *arg)
{
    static const float values[][2] = { { 1, 0 }, { 0, 1 }, { 0.96F, 0.28F } };
    struct hs_prune kept;
    int r = 0;
    (void) arg;
    hs_prune_init(&kept, 2);
    for (int i = 0; i < 3 && r == 0; i++) {
        size_t before = kept.count;
        r = hs_prune_add(&kept, i + 1, "a", values[i], 2, 0.5 - i / 10.0);
        if (r < 0) {
            assert_int_equal(kept.count, before);
            assert_int_equal(kept.dropped_count, 0);
        }
    }
    if (r == 0) {
        assert_int_equal(kept.dropped_count, 1);
        assert_int_equal(kept.dropped[0], 3);
    }
    hs_prune_finish(&kept);
    return r;
}

static void test_prune(void **state)
{
    (void) state;
    each(prune, NULL, 8);
}

/* ---- texts ---- */

static int check_texts(void *arg)
{
    static const char deep[] = "{\"a\": [1, {\"b\": \"text\"}], \"c\": null}",
                      numbers[] = "{\"score\": 0.25, \"blur\": 3}";
    struct hs_error err = { 0 };
    double score = -1;
    (void) arg;
    int r = hs_gallery_check_metadata(deep, &err);
    if (r == 0)
        r = hs_gallery_check_quality(numbers, &err);
    assert_int_equal(r, err.code);
    if (r == 0)
        r = hs_gallery_quality_score(numbers, &score);
    assert_true(score == (r == 0 ? 0.25 : -1));
    return r;
}

/* A valid text is never reported as invalid, nor as one without a score. */
static void test_texts(void **state)
{
    (void) state;
    each(check_texts, NULL, 15);
}

/* ---- the file ---- */

static void add_full(struct hs_gallery *gallery, const char *name, unsigned seed)
{
    float values[DIMENSION];
    const struct hs_gallery_new_embedding e = { .values = unit_vector(seed, values),
                                                .dimension = DIMENSION,
                                                .space = "test",
                                                .model = "a model",
                                                .quality = "{\"score\":0.25}",
                                                .created_at = "2026-01-02 03:04:05" };
    assert_int_equal(hs_gallery_add(gallery, NULL, name, "{\"k\":[1]}", &e, NULL, NULL), 0);
}

static int append(void *arg, const char *data, size_t len)
{
    return hs_buf_append(arg, data, len);
}

struct exporting {
    struct hs_gallery *gallery;
    const struct hs_buf *wanted;
};

/* Exports everything, including metadata and quality, or fails visibly. */
static int export(void *arg)
{
    const struct exporting *e = arg;
    struct hs_buf out;
    hs_buf_init(&out, 1 << 20);
    int r = hs_gallery_export(e->gallery, NULL, append, &out, NULL);
    if (r == 0) {
        assert_int_equal(out.len, e->wanted->len);
        assert_memory_equal(out.data, e->wanted->data, out.len);
    }
    hs_buf_finish(&out);
    return r;
}

static void test_export(void **state)
{
    struct fixture *f = *state;
    struct hs_buf wanted;
    add_full(fixture_open(f), "Ada", 1);
    add_full(f->gallery, "Bob", 2);
    hs_buf_init(&wanted, 1 << 20);
    struct exporting e = { f->gallery, &wanted };
    assert_int_equal(hs_gallery_export(f->gallery, NULL, append, &wanted, NULL), 0);
    assert_non_null(memmem(wanted.data, wanted.len, "\"score\": 0.25", 13));
    each(export, &e, 40);
    hs_buf_finish(&wanted);
}

static int check_audit(int r, const struct hs_gallery_audit *audit)
{
    if (r == 0) {
        assert_int_equal(audit->identities, 2);
        assert_int_equal(audit->embeddings, 2);
        assert_int_equal(audit->usability.embeddings[HS_GALLERY_USABLE], 2);
        assert_int_equal(audit->without.count, 0);
        assert_int_equal(audit->names.count, 1);
        assert_int_equal(audit->metadata.count, 0);
    }
    return r;
}

static int audit(void *arg)
{
    static struct hs_gallery_audit found;
    struct fixture *f = arg;
    return check_audit(hs_gallery_audit(f->gallery, "test", DIMENSION, &found, NULL), &found);
}

static int audit_file(void *arg)
{
    static struct hs_gallery_audit found;
    const struct fixture *f = arg;
    return check_audit(hs_gallery_audit_file(f->path, NULL, 1000, "test", DIMENSION, &found, NULL), &found);
}

static int resolve(void *arg)
{
    char name[HS_GALLERY_NAME_MAX + 1];
    struct fixture *f = arg;
    int r = hs_gallery_resolve_name(f->gallery, " Bob ", name, NULL);
    if (r == 0)
        assert_string_equal(name, "Bob");
    return r;
}

static void test_audit(void **state)
{
    struct fixture *f = *state;
    add_full(fixture_open(f), "Ada", 1);
    add_full(f->gallery, "Bob", 2);
    run_sql(f->path, "UPDATE identities SET name = 'Ada ' WHERE name = 'Ada'"); /* a name that the audit lists */
    each(audit, f, 10);
    each(audit_file, f, 10);
    hs_fail_each_allocation(resolve, f);
    assert_int_equal(hs_gallery_check(f->gallery, NULL), 0);
}

/* ---- pages of identities ---- */

enum { IDENTITIES = 1002 }; /* a page has 1000 */

struct walk {
    int nth, seen;
};

static int step(void *arg, const struct hs_gallery_identity *identity)
{
    struct walk *walk = arg;
    assert_string_equal(identity->metadata, "{}");
    if (++walk->seen == 1000)
        hs_alloc_fail_arm(walk->nth);
    return 0;
}

/* A failure on the second page must not leave identities of the first page in the buffer. */
static void test_second_page(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    run_sql(f->path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1002)"
                     " INSERT INTO identities (name, metadata) SELECT printf('%05d', i), '{}' FROM n");
    bool failed = true;
    for (int nth = 1; failed; nth++) {
        struct walk walk = { .nth = nth };
        int r = hs_gallery_for_each_identity(f->gallery, NULL, SIZE_MAX, step, &walk, NULL, NULL);
        failed = hs_alloc_fail_disarm();
        assert_int_equal(r, failed ? HS_ENOMEM : 0);
        assert_int_equal(walk.seen, failed ? 1000 : IDENTITIES);
        assert_true(!failed || nth < 100);
    }
}

/* If the file cannot be inspected, it counts as one that may hold erased content. */
static void test_scrubbing_without_memory(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db;
    add(fixture_open(f), "a", 1);
    fixture_close(f);
    bool failed = true, first = true;
    for (long nth = 1; failed; nth++) {
        assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL), SQLITE_OK);
        faults_arm(FAULT_ALLOCATION, nth);
        bool needed = hs_scrub_is_needed(db);
        failed = faults_disarm();
        assert_int_equal(needed, failed);
        assert_true(failed || !first);
        first = false;
        sqlite3_close(db);
    }
}

int main(void)
{
    faults_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_search_threads),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_prune),
        cmocka_unit_test(test_texts),
        GALLERY_TEST(test_export),
        GALLERY_TEST(test_audit),
        GALLERY_TEST(test_second_page),
        GALLERY_TEST(test_scrubbing_without_memory),
    };
    return HS_RUN_TESTS(tests);
}
