/* Reduces all rows to the few that may be in the result, by bounds on their scores. The comment at
 * the top of search.c derives the bounds. */
#ifndef HS_GALLERY_SEARCH_SCAN_H
#define HS_GALLERY_SEARCH_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gallery/search.h"
#include "gallery/search_rows.h"

/* ---- the best k scores of a stream, one per identity; not thread-safe ---- */

struct hs_top_k {
    struct hs_search_hit *hits;
    size_t k, count, worst; /* `worst` is an index, valid once count is k */
    double floor;           /* scores at or below it are ignored */
};

int hs_top_k_init(struct hs_top_k *best, size_t k, double floor); /* HS_ENOMEM */
void hs_top_k_finish(struct hs_top_k *best);
void hs_top_k_clear(struct hs_top_k *best);

/* Offers a hit. For each identity only its best hit is kept. */
void hs_top_k_offer(struct hs_top_k *best, struct hs_search_hit hit);

/* Returns the limit: a lower score can no longer be among the best k; an equal one can. */
static inline double hs_top_k_limit(const struct hs_top_k *best)
{
    double worst = best->count == best->k ? best->hits[best->worst].score : best->floor;
    return worst > best->floor ? worst : best->floor;
}

/* Sorts best first; equal scores by identity, then id. Afterwards the object may only be cleared or
 * finished. */
void hs_top_k_sort(struct hs_top_k *best);

/* ---- scanning ---- */

/* The query vector in codes. */
struct hs_search_query {
    int8_t *coarse, *fine; /* one allocation, `stride` bytes each */
    size_t stride;
    struct hs_search_scale coarse_scale, fine_scale;
    double norm;
    /* ids that the store no longer has; the scan skips their rows */
    int64_t *deleted;
    size_t deleted_count;
};

int hs_search_query_init(struct hs_search_query *query, const struct hs_search_rows *rows, const float *vector);
void hs_search_query_finish(struct hs_search_query *query);
int hs_search_query_add_deleted(struct hs_search_query *query, int64_t id); /* HS_ENOMEM */

struct hs_search_candidate {
    uint32_t row;
    float upper;
};

/* The results of one thread. */
struct hs_search_scan {
    struct hs_top_k lower; /* lower bounds of scores */
    struct hs_search_candidate *candidates;
    size_t count, capacity;
    int status; /* 0, or HS_ENOMEM; then the other fields are invalid */
};

/* HS_ENOMEM. The caller finishes the scan also after a failure. */
int hs_search_scan_init(struct hs_search_scan *scan, size_t k, double above);
void hs_search_scan_finish(struct hs_search_scan *scan);

void hs_search_scan_block(struct hs_search_scan *scan, const struct hs_search_rows *rows,
                          const struct hs_search_query *query, size_t at);

/* Adds the results of another thread. */
void hs_search_scan_merge(struct hs_search_scan *scan, const struct hs_search_scan *other);

/* A row that needs an exact score, which is at most `upper`. */
struct hs_search_finding {
    int64_t identity, id;
    double upper;
};

/* Compares the candidates with tighter bounds. Returns those that remain, highest bound first.
 * Caller frees with free(). */
int hs_search_scan_findings(struct hs_search_scan *scan, const struct hs_search_rows *rows,
                            const struct hs_search_query *query, struct hs_search_finding **ret_findings,
                            size_t *ret_count);

#endif
