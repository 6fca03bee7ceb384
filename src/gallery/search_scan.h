/* From all rows to the few that may be in the answer, by bounds on their scores. The opening of search.c derives them.
 */
#ifndef HS_GALLERY_SEARCH_SCAN_H
#define HS_GALLERY_SEARCH_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gallery/search.h"
#include "gallery/search_rows.h"

/* ---- the best k of a stream of scores, one for each identity. Not thread-safe ---- */

struct hs_top_k {
    struct hs_search_hit *hits;
    size_t k, count, worst; /* `worst` is an index, once there are k */
    double floor;           /* nothing at or below it is wanted */
};

int hs_top_k_init(struct hs_top_k *best, size_t k, double floor); /* HS_ENOMEM */
void hs_top_k_finish(struct hs_top_k *best);
void hs_top_k_clear(struct hs_top_k *best);

/* Of two offers for the same identity the better counts. */
void hs_top_k_offer(struct hs_top_k *best, struct hs_search_hit hit);

/* A lower score than this can no longer be among them; an equal one can. */
static inline double hs_top_k_limit(const struct hs_top_k *best)
{
    double worst = best->count == best->k ? best->hits[best->worst].score : best->floor;
    return worst > best->floor ? worst : best->floor;
}

/* Best first; equal scores by identity, then id. The object may only be cleared or finished afterwards. */
void hs_top_k_sort(struct hs_top_k *best);

/* ---- scanning ---- */

/* The vector asked for, in codes. */
struct hs_search_query {
    int8_t *coarse, *fine; /* one allocation, `stride` bytes each */
    size_t stride;
    struct hs_search_scale coarse_scale, fine_scale;
    double norm;
    /* ids that the store no longer has: as if their rows were absent */
    int64_t *gone;
    size_t gone_count;
};

int hs_search_query_init(struct hs_search_query *query, const struct hs_search_rows *rows, const float *vector);
void hs_search_query_finish(struct hs_search_query *query);
int hs_search_query_add_gone(struct hs_search_query *query, int64_t id); /* HS_ENOMEM */

struct hs_search_candidate {
    uint32_t row;
    float upper;
};

/* The findings of one thread. */
struct hs_search_scan {
    struct hs_top_k lower; /* lower bounds of scores */
    struct hs_search_candidate *candidates;
    size_t count, capacity;
    int status; /* 0, or HS_ENOMEM once memory was short; then nothing else counts */
};

/* HS_ENOMEM. Either way to be finished. */
int hs_search_scan_init(struct hs_search_scan *scan, size_t k, double above);
void hs_search_scan_finish(struct hs_search_scan *scan);

void hs_search_scan_block(struct hs_search_scan *scan, const struct hs_search_rows *rows,
                          const struct hs_search_query *query, size_t at);

/* Adds what another thread has found. */
void hs_search_scan_merge(struct hs_search_scan *scan, const struct hs_search_scan *other);

/* A row that needs its true score; that is at most `upper`. */
struct hs_search_finding {
    int64_t identity, id;
    double upper;
};

/* Compares the candidates more exactly. Those that are left, highest bound first: caller frees with free(). */
int hs_search_scan_findings(struct hs_search_scan *scan, const struct hs_search_rows *rows,
                            const struct hs_search_query *query, struct hs_search_finding **ret_findings,
                            size_t *ret_count);

#endif
