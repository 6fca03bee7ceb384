#include "vectors.h"

#include <pthread.h>
#include <stdatomic.h>

enum { DIMENSION = 32, FIXED = 52000, CHANGING = 200, ASKERS = 3, QUERIES = 60 };

/* The fixed rows stay. Other rows, far from every query, are added and removed meanwhile. */
struct traffic {
    struct gallery gallery;
    struct hs_search *search;
    atomic_bool ended;
};

/* The last component is zero in the fixed rows and dominates in the others. */
static void shape(struct gallery *g)
{
    for (size_t i = 0; i < g->count; i++) {
        float *v = g->vectors + i * DIMENSION;
        v[DIMENSION - 1] = i < FIXED ? 0 : -20;
        normalize(v, DIMENSION);
    }
}

static void *change(void *arg)
{
    struct traffic *traffic = arg;
    const struct gallery *g = &traffic->gallery;
    while (!atomic_load(&traffic->ended)) {
        for (size_t i = FIXED; i < g->count; i++)
            assert_int_equal(
                hs_search_add(traffic->search, g->ids[i], 900000 + (int64_t) (i % 2), g->vectors + i * DIMENSION, NULL),
                0);
        for (int64_t identity = 900000; identity <= 900001; identity++)
            assert_int_equal(hs_search_remove_identity(traffic->search, identity), CHANGING / 2);
    }
    return NULL;
}

static void *ask(void *arg)
{
    struct traffic *traffic = arg;
    const struct gallery *g = &traffic->gallery;
    for (size_t i = 0; i < QUERIES; i++) {
        struct hs_search_hit hit;
        size_t count, at = i * 797 % FIXED;
        assert_int_equal(hs_search_identities(traffic->search, g->vectors + at * DIMENSION, 1, 0.5, &hit, &count, NULL),
                         0);
        assert_int_equal(count, 1);
        assert_int_equal(hit.id, g->ids[at]);
        assert_true(hs_search_count(traffic->search) >= FIXED);
    }
    return NULL;
}

static void readers_during_writes(void **state)
{
    (void) state;
    struct traffic traffic = { .gallery = make_gallery(DIMENSION, FIXED + CHANGING, 3) };
    struct gallery *g = &traffic.gallery;
    shape(g);
    assert_int_equal(hs_search_create(DIMENSION, 3, fetch_vector, g, &traffic.search, NULL), 0);
    for (size_t i = 0; i < FIXED; i++)
        assert_int_equal(hs_search_add(traffic.search, g->ids[i], g->identities[i], g->vectors + i * DIMENSION, NULL),
                         0);
    pthread_t writer, askers[ASKERS];
    assert_int_equal(pthread_create(&writer, NULL, change, &traffic), 0);
    for (size_t i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_create(&askers[i], NULL, ask, &traffic), 0);
    for (size_t i = 0; i < ASKERS; i++)
        pthread_join(askers[i], NULL);
    atomic_store(&traffic.ended, true);
    pthread_join(writer, NULL);
    assert_int_equal(hs_search_count(traffic.search), FIXED);
    hs_search_destroy(traffic.search);
    free_gallery(g);
}

/* A scan by several threads returns the same as a scan by one. */
static void parallel_scan(void **state)
{
    (void) state;
    struct gallery g = make_gallery(DIMENSION, 60000, 4);
    for (int threads = 2; threads <= 5; threads++) {
        struct hs_search *search = index_of(&g, threads);
        for (size_t i = 0; i < 8; i++) {
            float query[DIMENSION];
            random_unit(query, DIMENSION);
            check_query(search, &g, query, 1 + i * 5, i % 2 ? -INFINITY : 0.4);
        }
        hs_search_destroy(search);
    }
    free_gallery(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_during_writes),
        cmocka_unit_test(parallel_scan),
    };
    return HS_RUN_TESTS(tests);
}
