/* Galleries for the search tests (random, similar, equal and extreme vectors) and a brute-force
 * reference search. */
#ifndef HS_TESTS_GALLERY_VECTORS_H
#define HS_TESTS_GALLERY_VECTORS_H

#include "../unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gallery/search.h"

static uint64_t random_state = 1;

/* SplitMix64. */
static inline uint64_t random_bits(void)
{
    uint64_t h = random_state += UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 31;
}

static inline size_t random_below(size_t n)
{
    return (size_t) (random_bits() % n);
}

static inline float random_component(void)
{
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (double) (random_bits() >> 11) / 9007199254740992.0 - 0.5;
    return (float) sum;
}

static inline void normalize(float *v, size_t dimension)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double) v[i] * v[i];
    for (size_t i = 0; i < dimension; i++)
        v[i] = (float) (v[i] / sqrt(sum));
}

static inline void random_unit(float *v, size_t dimension)
{
    for (size_t i = 0; i < dimension; i++)
        v[i] = random_component() + (i == 0 ? 1e-6f : 0);
    normalize(v, dimension);
}

/* A gallery, which also acts as the store: row i has id ids[i]; ids[i] = 0 marks a removed row. */
struct gallery {
    size_t dimension, count;
    float *vectors;
    int64_t *ids, *identities;
};

static inline int fetch_vector(void *ctx, int64_t id, float *dst, struct hs_error *err)
{
    const struct gallery *gallery = ctx;
    size_t i = (size_t) id - 1000;
    if (i >= gallery->count || gallery->ids[i] == 0)
        return hs_error_set(err, HS_ENOTFOUND, "no vector");
    memcpy(dst, gallery->vectors + i * gallery->dimension, gallery->dimension * sizeof(*dst));
    return 0;
}

static inline struct gallery make_gallery(size_t dimension, size_t count, size_t per_identity)
{
    struct gallery g = { .dimension = dimension, .count = count };
    g.vectors = calloc(dimension * count, sizeof(*g.vectors));
    g.ids = calloc(count, sizeof(*g.ids));
    g.identities = calloc(count, sizeof(*g.identities));
    for (size_t i = 0; i < count; i++) {
        g.ids[i] = 1000 + (int64_t) i;
        g.identities[i] = (int64_t) ((i * 7919) % count / per_identity) - 3;
        random_unit(g.vectors + i * dimension, dimension);
    }
    return g;
}

static inline void free_gallery(struct gallery *g)
{
    free(g->vectors);
    free(g->ids);
    free(g->identities);
}

static inline double reference_score(const float *a, const float *b, size_t dimension)
{
    return hs_search_score(a, b, dimension);
}

static inline int compare_hits(const void *pa, const void *pb)
{
    const struct hs_search_hit *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->identity != b->identity)
        return a->identity < b->identity ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Scores and sorts the whole gallery; for identities, keeps the best embedding of each. Caller
 * frees *ret_hits with free(). */
static inline size_t reference_search(const struct gallery *g, const float *query, double above,
                                      struct hs_search_hit **ret_hits)
{
    struct hs_search_hit *hits = calloc(g->count + 1, sizeof(*hits));
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        double score = reference_score(query, g->vectors + i * g->dimension, g->dimension);
        if (g->ids[i] != 0 && score > above)
            hits[count++] = (struct hs_search_hit) { g->identities[i], g->ids[i], score };
    }
    qsort(hits, count, sizeof(*hits), compare_hits);
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t k = 0; k < kept && kept < 64 && !seen; k++)
            seen = hits[k].identity == hits[i].identity;
        if (!seen)
            hits[kept++] = hits[i];
        if (kept == 64)
            break;
    }
    *ret_hits = hits;
    return kept;
}

/* Checks that the index returns the same as the reference search; k is at most 64. */
static inline void check_query(struct hs_search *search, const struct gallery *g, const float *query, size_t k,
                               double above)
{
    struct hs_search_hit *expected, hits[64];
    size_t wanted = reference_search(g, query, above, &expected), count = 99;
    if (wanted > k)
        wanted = k;
    assert_int_equal(hs_search_identities(search, query, k, above, hits, &count, NULL), 0);
    assert_int_equal(count, wanted);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(hits[i].identity, expected[i].identity);
        assert_int_equal(hits[i].id, expected[i].id);
        assert_true(hits[i].score == expected[i].score);
    }
    free(expected);
}

static inline struct hs_search *index_of(struct gallery *g, int threads)
{
    struct hs_search *search;
    assert_int_equal(hs_search_create(g->dimension, threads, fetch_vector, g, &search, NULL), 0);
    for (size_t i = 0; i < g->count; i++)
        if (g->ids[i] != 0)
            assert_int_equal(hs_search_add(search, g->ids[i], g->identities[i], g->vectors + i * g->dimension, NULL),
                             0);
    return search;
}

#endif
