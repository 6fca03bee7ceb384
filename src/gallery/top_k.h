/* The best k of a stream of scores, one for each identity. Not thread-safe. */
#ifndef HS_GALLERY_TOP_K_H
#define HS_GALLERY_TOP_K_H

#include <stddef.h>

#include "gallery/search.h"

struct hs_top_k {
    struct hs_search_hit *hits;
    size_t k, count, worst; /* `worst` is an index, once there are k */
    double floor; /* nothing at or below it is wanted */
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

#endif
