#include "gallery/top_k.h"

#include <stdbool.h>
#include <stdlib.h>

int hs_top_k_init(struct hs_top_k *best, size_t k, double floor)
{
    *best = (struct hs_top_k) { .k = k, .floor = floor };
    best->hits = calloc(k, sizeof(*best->hits));
    return best->hits ? 0 : HS_ENOMEM;
}

void hs_top_k_finish(struct hs_top_k *best)
{
    free(best->hits);
    best->hits = NULL;
}

void hs_top_k_clear(struct hs_top_k *best)
{
    best->count = best->worst = 0;
}

/* Negative if a comes first. */
static int compare(const void *pa, const void *pb)
{
    const struct hs_search_hit *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->identity != b->identity)
        return a->identity < b->identity ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static struct hs_search_hit *find(struct hs_top_k *best, int64_t identity)
{
    for (size_t i = 0; i < best->count; i++)
        if (best->hits[i].identity == identity)
            return &best->hits[i];
    return NULL;
}

void hs_top_k_offer(struct hs_top_k *best, struct hs_search_hit hit)
{
    bool full = best->count == best->k;
    if (hit.score <= best->floor || (full && compare(&hit, &best->hits[best->worst]) >= 0))
        return;
    struct hs_search_hit *place = find(best, hit.identity);
    if (place && compare(&hit, place) >= 0)
        return;
    if (!place)
        place = full ? &best->hits[best->worst] : &best->hits[best->count++];
    *place = hit;
    best->worst = 0;
    for (size_t i = 1; i < best->count; i++)
        if (compare(&best->hits[i], &best->hits[best->worst]) > 0)
            best->worst = i;
}

void hs_top_k_sort(struct hs_top_k *best)
{
    qsort(best->hits, best->count, sizeof(*best->hits), compare);
}
