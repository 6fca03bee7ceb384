#include "vectors.h"

/* Makes a query: half of the time near a vector of the gallery, otherwise random. */
static void make_query(const struct gallery *g, float *query)
{
    random_unit(query, g->dimension);
    if (random_below(4) == 0)
        return;
    const float *near = g->vectors + random_below(g->count) * g->dimension;
    float noise = random_below(3) == 0 ? 0 : random_below(2) == 0 ? 0.7f : 1e-6f;
    for (size_t i = 0; i < g->dimension; i++)
        query[i] = near[i] + noise * query[i];
    normalize(query, g->dimension);
}

static void check_gallery(struct gallery *g)
{
    static const size_t ks[] = { 1, 2, 5, 17, 64 };
    static const double thresholds[] = { -INFINITY, -2, 0, 0.3, 0.9, 0.9999 };
    struct hs_search *search = index_of(g, 1);
    float *query = calloc(g->dimension, sizeof(*query));
    assert_int_equal(hs_search_count(search), g->count);
    for (int round = 0; round < 40; round++) {
        make_query(g, query);
        size_t k = ks[random_below(5)];
        double above = thresholds[random_below(6)];
        check_query(search, g, query, k, above);
    }
    free(query);
    hs_search_destroy(search);
    free_gallery(g);
}

static void random_galleries(void **state)
{
    (void) state;
    static const size_t dimensions[] = { 1, 2, 3, 16, 63, 64, 65, 100, 128, 500, 512, 1000 };
    for (size_t i = 0; i < sizeof(dimensions) / sizeof(dimensions[0]); i++) {
        struct gallery g = make_gallery(dimensions[i], 1 + random_below(900), 1 + random_below(9));
        check_gallery(&g);
    }
}

/* Vectors around a few centers, at several distances, down to about one bit of a component. */
static void clustered_galleries(void **state)
{
    (void) state;
    static const float spreads[] = { 0.3f, 0.01f, 1e-4f, 1e-6f, 1e-7f };
    for (size_t s = 0; s < 5; s++) {
        struct gallery g = make_gallery(s % 2 ? 200 : 512, 600, 5);
        for (size_t i = 8; i < g.count; i++) {
            float *v = g.vectors + i * g.dimension, *centre = g.vectors + i % 8 * g.dimension;
            for (size_t k = 0; k < g.dimension; k++)
                v[k] = centre[k] + spreads[s] * v[k];
            normalize(v, g.dimension);
        }
        check_gallery(&g);
    }
}

static void vectors_that_differ_in_the_last_bit(void **state)
{
    (void) state;
    struct gallery g = make_gallery(512, 400, 3);
    for (size_t i = 1; i < g.count; i++) {
        float *v = g.vectors + i * g.dimension;
        memcpy(v, g.vectors, g.dimension * sizeof(*v));
        size_t at = random_below(g.dimension);
        v[at] = nextafterf(v[at], random_below(2) ? 1 : -1);
    }
    check_gallery(&g);
}

static void equal_vectors(void **state)
{
    (void) state;
    struct gallery g = make_gallery(128, 700, 4);
    for (size_t i = 1; i < g.count; i++)
        memcpy(g.vectors + i * g.dimension, g.vectors, g.dimension * sizeof(float));
    check_gallery(&g);
}

/* One component outweighs all others, which the codes then round to zero, or is the only one. */
static void vectors_of_few_components(void **state)
{
    (void) state;
    static const float rests[] = { 0, 1e-30f, 1e-4f, 3e-3f };
    for (size_t r = 0; r < 4; r++) {
        struct gallery g = make_gallery(300, 500, 3);
        for (size_t i = 0; i < g.count; i++) {
            float *v = g.vectors + i * g.dimension;
            for (size_t k = 0; k < g.dimension; k++)
                v[k] *= rests[r];
            v[random_below(6)] += random_below(2) ? 1 : -1;
            normalize(v, g.dimension);
        }
        check_gallery(&g);
    }
}

/* Components lie halfway between two codes, so that the rounding error is largest and always in the
 * same direction. */
static void largest_rounding_error(void **state)
{
    (void) state;
    struct gallery g = make_gallery(512, 500, 3);
    for (size_t i = 0; i < g.count; i++) {
        float *v = g.vectors + i * g.dimension;
        for (size_t k = 0; k < g.dimension; k++)
            v[k] = k == 0 ? 127 : 3.5f + (random_below(2) ? 0.001f : -0.001f) + (float) random_below(2);
        normalize(v, g.dimension);
    }
    check_gallery(&g);
}

static void removed_and_added_again(void **state)
{
    (void) state;
    struct gallery g = make_gallery(96, 1500, 6);
    for (size_t i = 0; i < g.count; i++)
        g.identities[i] = (int64_t) i + 1;
    struct hs_search *search = index_of(&g, 1);
    size_t left = g.count;
    for (int round = 0; round < 2000; round++) {
        size_t i = random_below(g.count);
        if (g.ids[i] != 0) {
            assert_int_equal(hs_search_remove_identity(search, g.identities[i]), 1);
            assert_int_equal(hs_search_remove_identity(search, g.identities[i]), 0);
            g.ids[i] = 0;
            left--;
        } else if (round % 3 != 0) {
            g.ids[i] = 1000 + (int64_t) i;
            float *v = g.vectors + i * g.dimension;
            random_unit(v, g.dimension);
            assert_int_equal(hs_search_add(search, g.ids[i], g.identities[i], v, NULL), 0);
            left++;
        }
        assert_int_equal(hs_search_count(search), left);
        if (round % 20 == 0)
            check_query(search, &g, g.vectors + random_below(g.count) * g.dimension, 5, -INFINITY);
    }
    hs_search_destroy(search);
    free_gallery(&g);
}

static void identities_removed_as_a_whole(void **state)
{
    (void) state;
    struct gallery g = make_gallery(64, 800, 7);
    struct hs_search *search = index_of(&g, 1);
    for (int64_t identity = -3; identity < 120; identity++) {
        size_t expected = 0;
        for (size_t i = 0; i < g.count; i++)
            if (g.ids[i] != 0 && g.identities[i] == identity) {
                g.ids[i] = 0;
                expected++;
            }
        assert_int_equal(hs_search_remove_identity(search, identity), expected);
        assert_int_equal(hs_search_remove_identity(search, identity), 0);
        check_query(search, &g, g.vectors, 9, -INFINITY);
    }
    assert_int_equal(hs_search_count(search), 0);
    hs_search_destroy(search);
    free_gallery(&g);
}

/* Vectors that the store no longer has are left out, and vectors that they outranked are found. */
static void vectors_missing_from_the_store(void **state)
{
    (void) state;
    struct gallery g = make_gallery(64, 600, 2);
    struct hs_search *search = index_of(&g, 1);
    for (int round = 0; round < 50; round++) {
        const float *query = g.vectors + random_below(g.count) * g.dimension;
        struct hs_search_hit *hits;
        reference_search(&g, query, -2, &hits);
        for (int i = 0; i < 4; i++)
            g.ids[hits[i].id - 1000] = 0;
        free(hits);
        check_query(search, &g, query, 3, -INFINITY);
    }
    hs_search_destroy(search);
    free_gallery(&g);
}

static int failing_fetch(void *ctx, int64_t id, float *dst, struct hs_error *err)
{
    (void) ctx;
    (void) dst;
    return hs_error_set(err, HS_EIO, "cannot read %lld", (long long) id);
}

static void invalid_input_is_rejected(void **state)
{
    (void) state;
    struct hs_search *search;
    struct hs_search_hit hit = { 7, 7, 7 };
    size_t count = 7;
    struct hs_error err;
    assert_int_equal(hs_search_create(0, 1, failing_fetch, NULL, &search, &err), HS_EINVAL);
    assert_int_equal(hs_search_create(HS_SEARCH_MAX_DIMENSION + 1, 1, failing_fetch, NULL, &search, &err), HS_EINVAL);
    assert_int_equal(hs_search_create(3, 1, failing_fetch, NULL, &search, &err), 0);
    float bad[][3] = { { 0, 0, 0 },   { 0, 0, 1.02f },    { 0, 0.98f, 0 },
                       { NAN, 1, 0 }, { INFINITY, 0, 0 }, { 3e38f, 3e38f, 1 } };
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(hs_search_add(search, 1, 1, bad[i], &err), HS_EINVAL);
        assert_int_equal(hs_search_identities(search, bad[i], 1, -2, &hit, &count, &err), HS_EINVAL);
    }
    float good[3] = { 0, 1, 0 };
    assert_int_equal(hs_search_identities(search, good, 0, -2, &hit, &count, &err), HS_EINVAL);
    assert_int_equal(hs_search_identities(search, good, HS_SEARCH_MAX_K + 1, -2, &hit, &count, &err), HS_EINVAL);
    assert_int_equal(count, 7);
    assert_int_equal(hs_search_identities(search, good, 1, -2, &hit, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(hs_search_add(search, 5, 1, good, &err), 0);
    assert_int_equal(hs_search_identities(search, good, 1, -2, &hit, &count, &err), HS_EIO);
    assert_string_equal(err.message, "cannot read 5");
    assert_int_equal(hit.id, 7);
    hs_search_destroy(search);
    hs_search_destroy(NULL);
}

static void memory_is_a_fraction_of_the_vectors(void **state)
{
    (void) state;
    for (size_t count = 500; count < 20000; count += count / 3) {
        struct gallery g = make_gallery(512, count, 5);
        struct hs_search *search = index_of(&g, 1);
        double ratio = (double) hs_search_memory(search) / (double) (count * 512 * sizeof(float));
        assert_true(ratio < 0.3);
        hs_search_destroy(search);
        free_gallery(&g);
    }
}

static void reserved_capacity_is_used(void **state)
{
    (void) state;
    struct gallery g = make_gallery(512, 9000, 5);
    struct hs_search *search;
    assert_int_equal(hs_search_create(512, 1, fetch_vector, &g, &search, NULL), 0);
    assert_int_equal(hs_search_reserve(search, 100, NULL), 0);
    assert_int_equal(hs_search_reserve(search, 9000, NULL), 0);
    size_t reserved = hs_search_memory(search);
    for (size_t i = 0; i < g.count; i++)
        assert_int_equal(hs_search_add(search, g.ids[i], g.identities[i], g.vectors + i * 512, NULL), 0);
    assert_true(hs_search_memory(search) - reserved < 9000 * 64);
    assert_int_equal(hs_search_reserve(search, SIZE_MAX, NULL), HS_ENOMEM);
    check_query(search, &g, g.vectors + 8999 * 512, 5, -INFINITY);
    hs_search_destroy(search);
    free_gallery(&g);
}

static void the_score_is_the_dot_product(void **state)
{
    (void) state;
    for (size_t dimension = 1; dimension < 70; dimension++) {
        float a[70], b[70];
        random_unit(a, dimension);
        random_unit(b, dimension);
        long double sum = 0;
        for (size_t i = 0; i < dimension; i++)
            sum += (long double) a[i] * b[i];
        assert_true(fabsl(sum - hs_search_score(a, b, dimension)) < 1e-14L);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_galleries),
        cmocka_unit_test(clustered_galleries),
        cmocka_unit_test(vectors_that_differ_in_the_last_bit),
        cmocka_unit_test(equal_vectors),
        cmocka_unit_test(vectors_of_few_components),
        cmocka_unit_test(largest_rounding_error),
        cmocka_unit_test(removed_and_added_again),
        cmocka_unit_test(identities_removed_as_a_whole),
        cmocka_unit_test(vectors_missing_from_the_store),
        cmocka_unit_test(invalid_input_is_rejected),
        cmocka_unit_test(memory_is_a_fraction_of_the_vectors),
        cmocka_unit_test(reserved_capacity_is_used),
        cmocka_unit_test(the_score_is_the_dot_product),
    };
    return HS_RUN_TESTS(tests);
}
